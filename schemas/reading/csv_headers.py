"""Which line of a delimited text has the names of its columns, and which lines beside it are no rows either.

Above the header may stand lines of titles and comments, and what templates of marketplaces have: their settings, what
each column is for, and what a person calls it. Labels may stand below it, too:

    TemplateType=shoes  Version=2021.8                       settings
    Seller SKU          Product Name      Main Image URL     labels
    item_sku            item_name         main_image_url     the header: of two lines that name the same the one of a
    Required            Required          Optional           machine's names
    A-1                 Linen shirt       https://...        the first row

A line is left out only where it can be no row: labels say in their columns what the names say, and the row below them
does not.
"""

import csv
import itertools
import re
from collections.abc import Mapping, Sequence
from dataclasses import replace
from types import MappingProxyType

from schemas.reading.csv_dialects import CsvDialect, best_dialect
from schemas.reading.escaped_letters import ESCAPE, escapes_are_letters

#: Lines that a title, or what else stands above a header, may take.
_MAX_LINES_ABOVE = 5
#: Rows of labels below a header.
_MAX_LABEL_ROWS = 3
#: Of so many columns half may have labels of other words than their names; below it one, and of the fewest none.
_MANY_COLUMNS, _FEW_COLUMNS = 8, 4
#: The line before the header by which a sheet tells its separator.
_SEPARATOR_LINE = re.compile(r'"?sep=([^"\r\n]|\\t|tab)"?\r?\n?', re.IGNORECASE)
_RULE = re.compile(r"(?=.*(?:--|==))[-=+:|\s]+", re.DOTALL)
#: Cells with which a marketplace's template tells what it is.
_SETTING = re.compile(r"(?:template\w*|version|settings)\s*=.*", re.IGNORECASE | re.DOTALL)
_CELLS_WITH_SETTINGS = 3
#: What a template says of each column.
_STATUS = re.compile(
    r"(?:(?:conditional(?:ly)?|not|non|highly|strongly)[ -])?"
    r"(?:required|optional|preferred|recommended|desired|mandatory|obligatory)|conditional|required if applicable",
    re.IGNORECASE,
)
#: A name as machines have it.
_FIELD_NAME = re.compile(r"[^\sA-Z]+")
_WORD = re.compile(r"[A-Z]?[a-z]+|[A-Z]+")
_CAPITALS_IN_PLURAL = re.compile(r"(?<![A-Z])([A-Z]{2,}+)s\b")
#: Signs before a name: that a column must be filled, or that its line is a header.
_SIGNS = "*:# "


def recognised_dialect(
    sample: str,
    usual: str = ",",
    given: Mapping[str, str] = MappingProxyType({}),
    *,
    has_header: bool = True,
    is_cut: bool = False,
) -> CsvDialect:
    """The dialect of a file that begins with `sample` (whole lines that end in a newline). usual: the separator that
    the file's name speaks for. given: separator, quote or escape, where they need not be recognised. has_header: False:
    its first line is a row. is_cut: the file goes on behind the sample, maybe within a row."""
    lines = re.findall(r"[^\n]*\n|[^\n]+", sample)
    header_line = next((number for number, line in enumerate(lines, 1) if line.strip()), 1)
    if told := _SEPARATOR_LINE.fullmatch(lines[header_line - 1]) if lines else None:
        given, header_line = {"separator": "\t" if len(told[1]) > 1 else told[1], **given}, header_line + 1
    if not has_header:
        dialect, _ = best_dialect(lines[header_line - 1 :], usual, given, is_cut=is_cut)
        dialect = replace(dialect, header_line=header_line)
        return _of_cells(dialect, lines[header_line - 1 :], given)
    dialect = _below_titles(lines, header_line, usual, given, is_cut)
    dialect = _of_cells(dialect, lines[dialect.header_line - 1 :], given)
    return replace(
        dialect,
        num_label_rows=_num_label_rows(dialect.first_rows(lines[dialect.header_line - 1 :], 2 + _MAX_LABEL_ROWS)),
    )


def _of_cells(dialect: CsvDialect, lines: list[str], given: Mapping[str, str]) -> CsvDialect:
    """The dialect with what the cells of the lines, the first of them that of the header, show of how they are written:
    escapes that stand for other letters, blanks that align columns."""
    if given.keys() & {"quote", "escape"}:
        letters = not dialect.quote and dialect.escape == ESCAPE
    else:
        letters = dialect.separator == "\t" and not dialect.escape and escapes_are_letters(lines)
    dialect = replace(dialect, quote="", escape=ESCAPE, letters=True, blanks=False) if letters else dialect
    return replace(dialect, is_padded=_are_padded(dialect.first_rows(lines, 3)))


def _are_padded(rows: Sequence[Sequence[str]]) -> bool:
    """Whether blanks stand on both sides of every separator of the rows, as tables are printed for people."""
    edges = [pair for cells in rows if not is_rule(cells) for pair in itertools.pairwise(cells)]
    return len(edges) > 1 and all(_ends_blank(left) and _ends_blank(right[::-1]) for left, right in edges)


def _ends_blank(cell: str) -> bool:
    return not cell or cell.endswith(" ")


def is_rule(cells: Sequence[str]) -> bool:
    """Whether the cells are a line that is drawn below a header, or above it: nothing but dashes, or the like.

    >>> is_rule(["---", ":---:", ""]), is_rule(["=====", "==="]), is_rule(["-", "-"]), is_rule(["--", "A"])
    (True, True, False, False)
    """
    return _RULE.fullmatch(" ".join(cells)) is not None


def _below_titles(lines: list[str], first_line: int, usual: str, given: Mapping[str, str], is_cut: bool) -> CsvDialect:
    """The dialect with its header: of a line further down if those above may stand there, and all below it are rows as
    wide as it is, or most of them where a line above is surely none of the table."""
    first, first_width = best_dialect(lines[first_line - 1 :], usual, given, is_cut=is_cut)
    number, is_sure = first_line, False
    while number < min(first_line + _MAX_LINES_ABOVE + 1, len(lines)):
        line, below = lines[number - 1], lines[number:]
        dialect, width = (
            best_dialect(lines[number - 1 :], usual, given) if number > first_line else (first, first_width)
        )
        rows = dialect.first_rows(lines[number - 1 :], 2 + _MAX_LABEL_ROWS)
        are_names = bool(rows) and width > 1 and _may_be_header(rows[0])
        if number == first_line:
            is_header = line.startswith("#") and are_names and dialect.fits(below, width)  # the names themselves
        else:
            is_header = are_names and not line.startswith("#") and not _are_labels_above(rows)
            is_header = is_header and (_mostly_fits(dialect, below, width) if is_sure else dialect.fits(below, width))
        if is_header:
            return replace(dialect, header_line=number, has_title=number > first_line)
        surely_above = bool(rows) and (_are_settings(rows[0]) or _are_comments(rows[0]) or is_rule(rows[0]))
        if line.strip() and not (surely_above or _may_be_title(line, first) or _are_labels_above(rows)):
            break
        is_sure = is_sure or surely_above
        number += dialect.num_lines_of_row(lines[number - 1 :]) if width > 1 else 1
    return replace(first, header_line=first_line)


def _mostly_fits(dialect: CsvDialect, lines: list[str], width: int) -> bool:
    return 2 * dialect.num_lines_as_wide(lines, width) >= sum(
        bool(line.strip()) and not is_rule([line.strip()]) for line in lines
    )


def _num_label_rows(rows: Sequence[Sequence[str]]) -> int:
    """How many of the rows below the first, the header, are labels: each that names the same or says which columns are
    required, above one that does neither."""
    names, below = (rows[0], rows[1:]) if rows else ([], [])
    are_labels = [_name_the_same(row, names) or _are_statuses(row) for row in below]
    count = are_labels.index(False) if False in are_labels else 0
    return count if count <= _MAX_LABEL_ROWS else 0


def _are_labels_above(rows: Sequence[Sequence[str]]) -> bool:
    """Whether the first row labels the columns that a row below it names, as a machine does; or says which of them are
    required."""
    if not rows or _are_statuses(rows[0]):
        return bool(rows)
    if all(map(_FIELD_NAME.fullmatch, rows[0])):
        return False
    below = [row for row in rows[1:] if not _are_statuses(row)]
    return (
        len(below) > 1
        and _may_be_header(below[0])
        and all(_FIELD_NAME.fullmatch(name.strip()) for name in below[0])
        and _name_the_same(rows[0], below[0])
        and not _name_the_same(rows[0], below[1])
    )


def _name_the_same(labels: Sequence[str], names: Sequence[str]) -> bool:
    """Whether the cells of two rows call the same columns something, in words of which most are the same."""
    pairs = [(label, name) for label, name in zip(labels, names, strict=False) if label.strip()]
    if len(pairs) < 2 or 2 * len(pairs) < len(names):
        return False
    if any(set(re.findall(r"\d+", label)) - set(re.findall(r"\d+", name)) for label, name in pairs):
        return False
    words = [(_words(label), _words(name)) for label, name in pairs]
    if len(pairs) < _FEW_COLUMNS:
        return all(label and (label <= name or name <= label) for label, name in words)
    num_other = sum(label.isdisjoint(name) for label, name in words)
    return num_other <= (len(pairs) // 2 if len(pairs) >= _MANY_COLUMNS else 1)


def _words(text: str) -> set[str]:
    """
    >>> sorted(_words("Main Image URLs")), sorted(_words("mainImage_url1"))
    (['image', 'main', 'url'], ['image', 'main', 'url'])
    """
    return {word.casefold().removesuffix("s") for word in _WORD.findall(_CAPITALS_IN_PLURAL.sub(r"\1", text))}


def _are_statuses(cells: Sequence[str]) -> bool:
    found = [cell.strip() for cell in cells if cell.strip()]
    return len(found) > 2 and 2 * len(found) >= len(cells) and all(map(_STATUS.fullmatch, found))


def _are_settings(cells: Sequence[str]) -> bool:
    """Whether a marketplace's template tells with these what it is."""
    return any(_SETTING.fullmatch(cell.strip()) for cell in cells[:_CELLS_WITH_SETTINGS])


def _are_comments(cells: Sequence[str]) -> bool:
    """Whether several of the cells are a comment each."""
    return sum(cell.startswith("#") for cell in cells) > 1


def _may_be_title(line: str, dialect: CsvDialect) -> bool:
    """Whether a line may stand above a header: a comment, or one cell of several words."""
    try:
        cells = dialect.first_row([line])
    except csv.Error:
        return line.startswith("#")
    found = [cell for cell in cells if cell.strip()]
    return line.startswith("#") or (len(found) == 1 and " " in found[0].strip())


def _may_be_header(cells: Sequence[str]) -> bool:
    """Whether these may be names: all there, all different, each begins with a letter, be it behind a sign."""
    names = [cell.strip(_SIGNS) for cell in cells]
    names = names[1:-1] if len(names) > 2 and not (names[0] or names[-1]) else names  # within | and |
    are_names = all(name[:1].isalpha() for name in names) and len(set(names)) == len(names)
    return are_names and not _are_comments(cells) and not _are_settings(cells)
