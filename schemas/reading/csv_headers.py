"""Which line of a delimited text has the names of its columns, and which lines beside it are no rows either.

Above the header may stand lines of titles and comments, and what templates of marketplaces have: their settings, what
each column is for, and what a person calls it. Labels may stand below it, too:

    TemplateType=shoes  Version=2021.8                       settings
    Seller SKU          Product Name      Main Image URL     labels
    item_sku            item_name         main_image_url     the header: of two lines that name the same the one of a
    Required            Required          Optional           machine's names
    A-1                 Linen shirt       https://...        the first row

A line is left out only where it can be no row: which labels are told from rows is in schemas.reading.label_rows.
"""

import csv
import itertools
import re
from collections.abc import Mapping, Sequence
from dataclasses import replace
from types import MappingProxyType

from schemas.reading.csv_dialects import CsvDialect, best_dialect
from schemas.reading.escaped_letters import ESCAPE, escapes_are_letters
from schemas.reading.label_rows import (
    are_explanations,
    are_labels,
    are_settings,
    are_statuses,
    are_told_apart,
    are_types,
    are_units,
    name_the_same,
    rows_told,
    stand_out,
)

#: Lines that a title, or what else stands above a header, may take; comments and blank lines aside.
_MAX_LINES_ABOVE = 5
#: Lines below one that may be a header which show whether it is.
_LINES_BELOW = 20
#: Rows of labels below a header.
_MAX_LABEL_ROWS = 3
#: The line before the header by which a sheet tells its separator.
_SEPARATOR_LINE = re.compile(r'"?sep=([^"\r\n]|\\t|tab)"?\r?\n?', re.IGNORECASE)
_RULE = re.compile(r"(?=.*(?:--|==))[-=+:|\s]+", re.DOTALL)
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
    lines = lines[dialect.header_line - 1 :]
    dialect = _of_cells(dialect, lines, given)
    rows = dialect.first_rows(lines, 2 + _MAX_LABEL_ROWS)
    return replace(dialect, num_label_rows=max(dialect.num_label_rows, _num_label_rows(rows)))


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
    number, num_above, is_sure, unlike_rows = first_line, 0, False, list[list[str]]()
    while num_above <= _MAX_LINES_ABOVE and number < len(lines):
        line = lines[number - 1]
        if number > first_line and (not line.strip() or (line.startswith("#") and '"' not in line)):
            number += 1
            continue
        below = lines[number:]
        dialect, width = (
            best_dialect(lines[number - 1 :], usual, given) if number > first_line else (first, first_width)
        )
        rows = dialect.first_rows(lines[number - 1 :], 2 + _MAX_LABEL_ROWS)
        if rows and (told := _told_by_settings(rows[0], lines[first_line - 1 :], usual, given)) is not None:
            return replace(told, header_line=told.header_line + first_line - 1)
        are_names = bool(rows) and width > 1 and _may_be_header(rows[0], next(reversed(unlike_rows), ()))
        if number == first_line:
            is_header = line.startswith("#") and are_names and dialect.fits(below, width)  # the names themselves
        else:
            is_header = are_names and not line.startswith("#") and not _are_labels_above(rows)
            is_header = is_header and (_mostly_fits(dialect, below, width) if is_sure else dialect.fits(below, width))
            is_header = is_header and (not unlike_rows or _is_below(unlike_rows, rows))
        if is_header:
            return replace(dialect, header_line=number, has_title=number > first_line)
        surely_above = bool(rows) and (are_settings(rows[0]) or _are_comments(rows[0]) or is_rule(rows[0]))
        if not (surely_above or _may_be_title(line, first) or _are_labels_above(rows)):
            cells = _cells_of(line, first)
            if not _may_be_above(cells) or _are_rows_below(cells, below, first):
                break
            unlike_rows.append(cells)
        is_sure = is_sure or surely_above
        number += dialect.num_lines_of_row(lines[number - 1 :]) if width > 1 else 1
        num_above += 1
    return replace(first, header_line=first_line)


def _told_by_settings(
    settings: Sequence[str], lines: list[str], usual: str, given: Mapping[str, str]
) -> CsvDialect | None:
    """The dialect with the header that the settings of a template, in the first of the lines, tell; None if they tell
    none, or what stands there is none."""
    told = rows_told(settings)
    if told is None:
        return None
    names_row, first_row = told
    number = 1
    for _ in range(names_row - 1):
        dialect, _ = best_dialect(lines[number - 1 :], usual, given)
        number += dialect.num_lines_of_row(lines[number - 1 :])
        if number > len(lines):
            return None
    dialect, width = best_dialect(lines[number - 1 :], usual, given)
    names = next(iter(dialect.first_rows(lines[number - 1 :], 1)), [])
    if width < 2 or not _may_be_header(names):
        return None
    return replace(dialect, header_line=number, has_title=True, num_label_rows=first_row - names_row - 1)


def _mostly_fits(dialect: CsvDialect, lines: list[str], width: int) -> bool:
    return 2 * dialect.num_lines_as_wide(lines, width) >= sum(
        bool(line.strip()) and not is_rule([line.strip()]) for line in lines
    )


def _num_label_rows(rows: Sequence[Sequence[str]]) -> int:
    """How many of the rows below the first, the header, are labels: each that names the same, says which columns are
    required, of which type or in which unit they are or what to write there, above one that does none of these."""
    names, below = (rows[0], rows[1:]) if rows else ([], [])
    is_label = [
        name_the_same(row, names)
        or are_statuses(row)
        or are_types(row)
        or are_explanations(row, below[number:])
        or are_units(row, below[number:])
        for number, row in enumerate(below, 1)
    ]
    count = is_label.index(False) if False in is_label else 0
    return count if count <= _MAX_LABEL_ROWS else 0


def _are_labels_above(rows: Sequence[Sequence[str]]) -> bool:
    """Whether the first row labels the columns that a row below it names, as a machine does; or says which of them are
    required."""
    if not rows or are_statuses(rows[0]):
        return bool(rows)
    below = [row for row in rows[1:] if not are_statuses(row)]
    return bool(below) and _may_be_header(below[0]) and are_labels(rows[0], below[0], below[1:])


def _are_comments(cells: Sequence[str]) -> bool:
    """Whether several of the cells are a comment each."""
    return sum(cell.startswith("#") for cell in cells) > 1


def _cells_of(line: str, dialect: CsvDialect) -> list[str]:
    try:
        return dialect.first_row([line])
    except csv.Error:
        return [line]


def _may_be_title(line: str, dialect: CsvDialect) -> bool:
    """Whether a line may stand above a header: a comment, one cell of several words, or none but blank ones."""
    found = [cell.strip() for cell in _cells_of(line, dialect) if cell.strip()]
    return line.startswith("#") or not found or (len(found) == 1 and " " in found[0])


def _may_be_above(cells: Sequence[str]) -> bool:
    """Whether these may stand above a header that is surely one: one or two cells, as of a day or of a shop's name, or
    some with blank ones beside them, as of groups of columns."""
    num = _num_filled(cells)
    return num <= 2 or num < len(cells)


def _are_rows_below(cells: Sequence[str], below: list[str], dialect: CsvDialect) -> bool:
    """Whether most of the lines next below are rows of as many cells, none of which lacks a name."""
    some = below[:_LINES_BELOW]
    return _num_filled(cells) == len(cells) and 2 * dialect.num_lines_as_wide(some, len(cells)) > len(some)


def _is_below(above: Sequence[Sequence[str]], rows: Sequence[Sequence[str]]) -> bool:
    """Whether the first of the rows is so much unlike the others, and so much wider than the lines above, that it has
    the names."""
    width = len(rows[0])
    are_narrower = all(
        _num_filled(cells) < width if len(cells) == width or _num_filled(cells) < 2 else len(cells) + 1 < width
        for cells in above
    )
    return are_narrower and stand_out(rows[0], rows[1:])


def _num_filled(cells: Sequence[str]) -> int:
    return sum(bool(cell.strip()) for cell in cells)


def _may_be_header(cells: Sequence[str], groups: Sequence[str] = ()) -> bool:
    """Whether these may be names: all there, all different, be it by the groups of columns in the line above, each
    begins with a letter, be it behind a sign."""
    names = [cell.strip(_SIGNS) for cell in cells]
    names = names[1:-1] if len(names) > 2 and not (names[0] or names[-1]) else names  # within | and |
    are_different = len(set(names)) == len(names) or are_told_apart(names, groups)
    are_names = are_different and all(name[:1].isalpha() for name in names)
    return are_names and not _are_comments(cells) and not are_settings(cells)
