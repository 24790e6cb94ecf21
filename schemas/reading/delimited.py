"""Columns of delimited text: which are ours, also within a text, and ids as a spreadsheet writes them."""

import re
from collections.abc import Iterator, Mapping, Sequence
from itertools import islice

import pyarrow as pa

from schemas.cells.keyed_texts import keyed
from schemas.columns.extended_json import plain_value, value_at
from schemas.columns.mapping import asked_of_names, listed, source_columns
from schemas.columns.nested_columns import root_of
from schemas.columns.raw_rows import Row
from schemas.columns.spec import Columns, column_of
from schemas.errors import UsageError
from schemas.files import shown
from schemas.reading.text import csv_rows

#: Rows that show what a column holds.
_NUM_LOOKED_AT = 1_000
#: How Excel keeps the zeros before an id: as a formula of a text, or behind a mark of text.
_KEPT_AS_TEXT = re.compile(r"""="([^"]+)"|'(\d+)""")


def source_of_text(present: Sequence[str], columns: Columns, schema: pa.Schema, path: str) -> dict[str, str]:
    """source_columns of a delimited file: paths lead into columns in whose first rows a text holds values by keys."""
    if not present:
        return {}
    sources = (theirs for name in schema.names for theirs in column_of(columns, name).source)
    roots = list(dict.fromkeys(root for theirs in sources if (root := root_of(theirs, present)) is not None))
    found = set[str]()
    for row in islice(csv_rows(path, {root: root for root in roots}), _NUM_LOOKED_AT) if roots else ():
        found |= {root for root, text in (row.values or {}).items() if text and keyed(text) is not None}
    try:
        return source_columns(present, columns, schema, path, leads_into=found)
    except UsageError:
        if asked := asked_of_names(present, _name_met_again(path, present)):
            raise UsageError(
                f"expected the names of columns in {shown(path)}, got {listed(present)}: {asked}"
            ) from None
        raise


def _name_met_again(path: str, names: Sequence[str]) -> str | None:
    """A name of a column that is also a value there: the line of names is a row, then."""
    once = {name: name for name in names if names.count(name) == 1}
    rows = islice(csv_rows(path, once), _NUM_LOOKED_AT)
    return next((name for row in rows for name, text in (row.values or {}).items() if text == name), None)


def led_into(rows: Iterator[Row], paths: Mapping[str, str]) -> Iterator[Row]:
    """The rows with what paths lead to in the texts that they have as these columns. paths: our name -> path."""
    for row in rows:
        values = row.values or {}
        for name in paths if values else ():
            values[name] = plain_value(value_at({paths[name].partition(".")[0]: values[name]}, paths[name]))
        yield row


def ids_as_shown(rows: Iterator[Row], names: Sequence[str]) -> Iterator[Row]:
    """The rows with ids as a spreadsheet shows them: `="00123"` and `'00123` are 00123."""
    for row in rows:
        values = row.values or {}
        for name in names if values else ():
            value = values[name]
            if value and value[0] in "='" and (found := _KEPT_AS_TEXT.fullmatch(value)):
                values[name] = found[1] or found[2]
        yield row
