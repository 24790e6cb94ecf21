"""What is said of files that end within a row, as those do that somebody else is still writing."""

from collections.abc import Mapping

from schemas.errors import printable

#: The reason by which quarantine has the row within which a file ends.
CUT_OFF_FILE = "cut_off_file"


def num_cut_off(counts: Mapping[str, int]) -> int:
    """How many files end within a row, by the counts of the stage that read them: each has one such row."""
    return counts.get(f"reason:{CUT_OFF_FILE}", 0)


def cut_off_in_words(num_files: int, where: str) -> str:
    """
    >>> cut_off_in_words(1, "feed.tsv")
    '1 file ends within a row in feed.tsv: expected whole ones, is the export finished?'
    """
    end = "files end" if num_files > 1 else "file ends"
    return f"{num_files:,} {end} within a row in {printable(where)}: expected whole ones, is the export finished?"
