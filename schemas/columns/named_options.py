"""Columns whose meaning another column names, row by row: `Option1 Value` is a size where `Option1 Name` says Size.

    Handle  Option1 Name  Option1 Value  Option2 Name  Option2 Value        size  colors
    tee     Size          S              Color         Red                  S     Red
    tee                   M                            Red            ->    M     Red
    jacket  Color         Blue           Size          XL                   XL    Blue

Of the sources of a mapping with `named_by` (see schemas.columns.spec.Column) a row has the value of those whose naming
column holds one of `names`, and null of the others. With `within` a row without a name has that of the last row above
it that has one, as far as the rows one after the other have the same value in the column `within`.

The names are read beside the sources, as further parts of our column, and are gone from the rows that come out.
"""

from collections.abc import Collection, Iterator, Sequence
from dataclasses import replace
from itertools import pairwise
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa

from schemas.columns.names import plain_name
from schemas.columns.raw_rows import RawRows
from schemas.columns.spec import Column, Columns, part_name

#: What WooCommerce writes before the name of an attribute that all products share.
_SHARED = "pa_"


class _Last(NamedTuple):
    """A row: what its column `within` holds, and its name."""

    within: str | None = None
    name: str | None = None


NO_ROW = _Last()


def option_name(text: str) -> str:
    """What an option is called, without case, signs and the `pa_` that WooCommerce writes before some.

    >>> option_name("Shoe size"), option_name("pa_color"), option_name("Größe")
    ('shoesize', 'color', 'grösse')
    """
    return plain_name(text.strip().casefold().removeprefix(_SHARED))


def carried(
    names: Sequence[str | None], held_by: Sequence[str | None] | None, last: _Last = NO_ROW
) -> list[str | None]:
    """Each row's name, or the last one above it among the rows that follow each other with one value of held_by; None
    for held_by: each row's own. last: the row above the first.

    >>> carried(["Size", None, None], ["tee", "tee", "mug"])
    ['Size', 'Size', None]
    """
    if held_by is None:
        return list(names)
    whole = [last.name, *names]
    rows = giving_rows([last.within, *held_by], np.array([name is not None for name in whole], bool))
    return [whole[row] for row in rows[1:]]


def giving_rows(within: Sequence[str | None], is_there: np.ndarray) -> np.ndarray:
    """int64 [rows]: the row whose value each row has: its own, or that of the last above it that has one (is_there,
    bool [rows]) among those that follow each other with one value of `within`.

    >>> giving_rows(["#1", "#1", "#2", None, None], np.array([True, False, False, True, False])).tolist()
    [0, 0, 2, 3, 4]
    """
    rows = np.arange(len(within))
    begins = np.array([True, *(one is None or one != above for above, one in pairwise(within))])
    first = np.maximum.accumulate(np.where(begins, rows, 0))
    above = np.maximum.accumulate(np.where(is_there, rows, -1))
    return np.where(above >= first, above, rows)


def with_names(columns: Columns) -> Columns:
    """The mapping that reads, behind the sources of each column that is named by others, the columns that name them and
    the one within which a name holds."""
    return {
        name: replace(spec, source=_all_of(spec)) if isinstance(spec, Column) else spec
        for name, spec in columns.items()
    }


def only_named(batches: Iterator[RawRows], columns: Columns) -> Iterator[RawRows]:
    """The batches of one piece of a file, in order, as read by with_names(columns), with the values that are named so.
    columns: the mapping as the config has it, which the rows have afterwards."""
    named = {name: spec for name, spec in columns.items() if isinstance(spec, Column) and spec.named_by}
    last: dict[str, _Last] = {}
    for raw in batches:
        for name, spec in named.items():
            raw = _named_column(raw, name, spec, last)
        yield replace(raw, columns=columns) if named else raw


def _all_of(spec: Column) -> tuple[str, ...]:
    """The sources of a column, and behind them each other column that tells which of them count."""
    beside = [*spec.named_by, spec.within or ""]
    return (*spec.source, *(name for name in dict.fromkeys(beside) if name))


def _named_column(raw: RawRows, ours: str, spec: Column, last: dict[str, _Last]) -> RawRows:
    """The rows with the values of our column that are named so, without what names them. last: of each part the last
    row of the batch before, and afterwards of this one."""
    place = {theirs: part_name(ours, number) for number, theirs in reversed(list(enumerate(_all_of(spec))))}
    wanted = set(map(option_name, spec.names))
    held_by = None if spec.within is None else texts_of_part(raw, place[spec.within])
    table, mixed = raw.table, dict(raw.mixed)
    for part, name in [(part_name(ours, number), name) for number, name in enumerate(spec.named_by) if name]:
        names = carried(texts_of_part(raw, place[name]), held_by, last.get(part, NO_ROW))
        if names and held_by is not None:
            last[part] = _Last(held_by[-1], names[-1])
        stays = _is_one_of(names, wanted)
        table = _with_null(table, part, stays)
        if part in mixed:
            mixed[part] = [value if here else None for value, here in zip(mixed[part], stays, strict=True)]
    beside = {part_name(ours, number) for number in range(len(spec.source), len(_all_of(spec)))}
    table = table.drop_columns([part for part in table.column_names if part in beside])
    return replace(raw, table=table, mixed={part: values for part, values in mixed.items() if part not in beside})


def texts_of_part(raw: RawRows, part: str) -> list[str | None]:
    """The texts of a part; None of what is blank, or no text."""
    if part in raw.mixed:
        return [_text_or_none(value) for value in raw.mixed[part]]
    if part not in raw.table.column_names:
        return [None] * raw.table.num_rows
    return [_text_or_none(value) for value in _values(raw.table[part].combine_chunks())]


def _values(column: pa.Array) -> Sequence[Any]:
    try:
        return column.to_pylist()
    except (ValueError, OverflowError, pa.ArrowException):  # text that is no UTF-8 somewhere: it names nothing
        return [_value_or_none(value) for value in column]


def _value_or_none(value: pa.Scalar) -> Any:
    try:
        return value.as_py()
    except (ValueError, OverflowError, pa.ArrowException):
        return None


def _text_or_none(value: Any) -> str | None:
    text = str(value).strip() if isinstance(value, str | int) else ""
    return text or None


def _is_one_of(names: Sequence[str | None], wanted: Collection[str]) -> np.ndarray:
    """bool [rows]. wanted: by option_name; each different name is looked at once."""
    known = {name: name is not None and option_name(name) in wanted for name in set(names)}
    return np.array([known[name] for name in names], bool)


def _with_null(table: pa.Table, part: str, stays: np.ndarray) -> pa.Table:
    """The table with null in a part's column except in these rows: bool [rows]."""
    if part not in table.column_names or stays.all():
        return table
    column = table[part].combine_chunks()
    kept = column.take(pa.array(np.arange(len(column)), mask=~stays))
    return table.set_column(table.column_names.index(part), part, kept)
