r"""Texts of tabs without quotes in which a backslash and a letter stand for another character, as databases write them:
`mysql -B` and `SELECT ... INTO OUTFILE` of MySQL, `COPY` of PostgreSQL, ClickHouse's TabSeparated.

    Warm and soft.\nWash cold.      a line end within a cell: \n, or a backslash at the end of the line
    C:\\pictures                    a backslash
    It\'s warm                      a quote, by ClickHouse
    \N                              null
"""

import re
from collections.abc import Mapping, Sequence

from schemas.pictures.types import is_called_like_a_picture

ESCAPE = "\\"
#: Letter behind an escape -> what the two stand for. \N stays what it is: a word for null.
LETTERS: Mapping[str, str] = {"n": "\n", "t": "\t", "r": "\r", "'": "'"}
#: Fewest lines with such escapes, and their share, where no null and no escaped line end shows who wrote the file.
_FEWEST_LINES, _FEWEST_SHARE = 2, 0.01
_NULL_CELL = re.compile(r"(?:(?<=\t)|^)\\N(?=\t|\r?\n|$)")
_ESCAPED = re.compile(r"\\(.?)", re.DOTALL)
#: What those databases write behind a backslash.
_WRITTEN = frozenset("ntrbfv0Z'\\\t\r\n")
#: Cells in which a backslash is data: JSON's own escapes, quoted cells; so are paths of Windows.
_OF_OTHERS = re.compile(r'[\[{].*"|"[^\t]*"$', re.DOTALL)


def escapes_are_letters(lines: Sequence[str]) -> bool:
    r"""Whether the lines of a text of tabs, the first of them that of the names, have escapes as databases write them,
    and no others.

    >>> rows = ["id\ttext\n", "1\tWarm.\\nSoft.\n", "2\tWarm.\\nThin.\n"]
    >>> escapes_are_letters(rows), escapes_are_letters([*rows, "3\tC:\\images\n"])
    (True, False)
    """
    num_lines, is_sure = 0, False
    for line in lines[1:]:
        if ESCAPE not in line:
            continue
        rest = _NULL_CELL.sub("", line)
        behind = _ESCAPED.findall(rest)
        if not _WRITTEN.issuperset(behind) or any(map(_is_of_others, rest.split("\t"))):
            return False
        num_lines += bool(behind)
        is_sure = is_sure or rest != line or "\n" in behind
    return num_lines > 0 if is_sure else num_lines >= max(_FEWEST_LINES, _FEWEST_SHARE * len(lines))


def _is_of_others(cell: str) -> bool:
    text = cell.strip()
    if ESCAPE not in text.replace(ESCAPE * 2, ""):
        return False
    return _OF_OTHERS.match(text) is not None or (len(text.split()) == 1 and is_called_like_a_picture(text))
