"""Tables of delimited text of which no row can be read: which is the first, why, and what to do with the export."""

from collections.abc import Sequence
from itertools import islice

from pipelines.console.terminal import shortened
from schemas.columns.raw_rows import Row
from schemas.errors import UsageError
from schemas.files import shown
from schemas.quarantine import quote
from schemas.reading.csv_dialects import SEPARATORS
from schemas.reading.csv_parser import other_width, text_of
from schemas.reading.forms import form_of
from schemas.reading.text import csv_header, csv_rows, lines_of
from schemas.validation.rules import REMEDIES

#: Rows that are looked at, and letters of the first that are shown.
_MAX_ROWS, _MAX_SHOWN = 1_000, 80
#: What the csv module says of a quote within a quoted cell.
_OF_QUOTES = "expected after"


def refuse_broken_rows(path: str) -> None:
    """Raises UsageError if the file is delimited text of several columns, whose first rows are all broken. A line of
    one name above wider rows is rather none of names."""
    if form_of(path).kind != "csv" or (width := len(csv_header(path))) < 2:
        return
    broken = [row for row in islice(csv_rows(path, {}), _MAX_ROWS) if row.error is not None]
    if not broken:
        return
    first = broken[0]
    line = next(line for number, line in lines_of(path) if number == first.number)
    told = shortened(text_of(line).strip(), _MAX_SHOWN) if isinstance(line, bytes) else "too long a line"
    rows = f"{len(broken):,} broken rows" if len(broken) > 1 else "a broken row"
    raise UsageError(
        f"expected rows of {width} cells in {shown(path)}, as many as its names, got {rows}: line {first.number}, "
        f"{quote(told)}: {first.error}. {_remedy(broken, width, path)}"
    )


def _remedy(broken: Sequence[Row], width: int, path: str) -> str:
    dialect = form_of(path).dialect
    mark = SEPARATORS.get(dialect.separator, "separators")
    if all(row.error == other_width(width, width + 1) for row in broken):
        return (
            f"Is a column not named in line {dialect.header_line}, as R leaves out that of its row names "
            f"(row.names = FALSE)? Or put cells that have {mark} into quotes; or say in a config how it is written: "
            "[format] separator, quote, escape"
        )
    if any(_OF_QUOTES in str(row.error) for row in broken):
        return (
            'In cells that are quoted, write each quote twice, as in "27"" screen", or export without quotes and with '
            'a separator that no cell has, such as tabs; where quotes are data, say in a config: [format] quote = ""'
        )
    return REMEDIES["broken_line"]
