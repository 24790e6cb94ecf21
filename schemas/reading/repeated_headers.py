"""The header of a delimited text where it comes again further down, as in files of which each had one, and that were
joined: `cat part-*`, members of a gzip file, exports that were pasted below each other."""

from collections.abc import Callable, Sequence

#: Of so many names at least: a column may hold its own name.
_FEWEST_NAMES = 2
_MARK = "\ufeff"


def repeats_of(header: Sequence[str]) -> Callable[[Sequence[str]], bool]:
    """Whether the cells of a row are the header once more, in whatever case: that of a further file may stand behind a
    byte order mark.

    >>> is_repeat = repeats_of(["item_id", "title"])
    >>> is_repeat(["item_id", " Title"]), is_repeat(['\\ufeff"item_id"', "title"]), is_repeat(["item_id", "Mug"])
    (True, True, False)
    """
    plain = _plain(header)
    named = [number for number, name in enumerate(plain) if name]
    if len(named) < _FEWEST_NAMES:
        return lambda cells: False
    last, width = named[-1], len(plain)

    def is_repeat(cells: Sequence[str]) -> bool:
        # nearly every row differs in this cell, and costs no more
        is_like = len(cells) == width and cells[last].strip().casefold() == plain[last]
        return is_like and _plain(cells) == plain

    return is_repeat


def _plain(cells: Sequence[str]) -> list[str]:
    first = cells[0].removeprefix(_MARK) if cells else ""
    if cells and first != cells[0] and len(first) > 1 and first[0] == first[-1] == '"':
        first = first[1:-1]  # no quote of the dialect, for it did not begin the cell
    return [cell.strip().casefold() for cell in (first, *cells[1:])]
