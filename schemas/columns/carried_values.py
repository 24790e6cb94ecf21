"""Values that the first of some rows has for all of them: what an export writes once an order, beside its first item.

    Name   Email  Created at           Lineitem sku             timestamp  user_id
    #1001  a@x.y  2026-06-20 10:00:00  S-1                      10:00      a@x.y
    #1001                              S-2              ->      10:00      a@x.y
    #1002  b@x.y  2026-06-20 11:00:00  S-1                      11:00      b@x.y

With `within = "Name"` a row without a value has that of the last row above it that has one, as far as the rows one
after the other have the same value in that column. No more than one row is kept in mind; a value is not carried from
one file, or one row group of Parquet, to the next.
"""

import contextlib
from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from schemas.arrow_types import is_text
from schemas.columns.named_options import giving_rows, texts_of_part
from schemas.columns.raw_rows import RawRows
from schemas.columns.spec import Column, Columns, part_name


class _Last(NamedTuple):
    """The row above: what its column `within` holds, and for each part the value that it has, or was given."""

    within: str | None
    values: dict[str, Any]


def with_carried(batches: Iterator[RawRows], columns: Columns) -> Iterator[RawRows]:
    """The batches of one piece of a file, in order, read by schemas.columns.named_options.with_names(columns), with the
    values that are carried so. columns: the mapping as the config has it, which the rows have afterwards."""
    carried = {
        name: spec
        for name, spec in columns.items()
        if isinstance(spec, Column) and spec.within is not None and not spec.named_by
    }
    last: dict[str, _Last] = {}
    for raw in batches:
        for name, spec in carried.items():
            raw = _carried_column(raw, name, spec, last)
        yield replace(raw, columns=columns) if carried else raw


def _carried_column(raw: RawRows, ours: str, spec: Column, last: dict[str, _Last]) -> RawRows:
    beside = part_name(ours, spec.source.index(spec.within) if spec.within in spec.source else len(spec.source))
    within = texts_of_part(raw, beside)
    table, mixed, values = raw.table, dict(raw.mixed), dict[str, Any]()
    before = last.get(ours, _Last(None, {}))
    for part in (part_name(ours, number) for number in range(len(spec.source))):
        if not within or part not in table.column_names:
            continue
        given = mixed.get(part, table[part].combine_chunks())
        whole = _joined(before.values.get(part), given)
        sources = giving_rows([before.within, *within], _is_there(whole, raw.null_words))
        if isinstance(whole, list):
            found = [whole[place] for place in sources[1:]]
            mixed[part], values[part] = found, found[-1:]
        else:
            filled = whole.take(pa.array(sources[1:]))
            table = table.set_column(table.column_names.index(part), part, filled)
            values[part] = filled.slice(len(filled) - 1)
    if within:
        last[ours] = _Last(within[-1], values)
    if beside not in (part_name(ours, number) for number in range(len(spec.source))):
        table = table.drop_columns([name for name in table.column_names if name == beside])
        mixed.pop(beside, None)
    return replace(raw, table=table, mixed=mixed)


def _joined(above: Any, given: Any) -> Any:
    """The values with that of the row above before them, null where there is none: an array, or Python's values of
    batches without a common type."""
    if isinstance(given, list) or isinstance(above, list):
        values = given if isinstance(given, list) else given.to_pylist()
        return [*(_listed(above) or [None]), *values]
    if above is None:
        return pa.concat_arrays([pa.nulls(1, given.type), given])
    if pa.types.is_null(given.type):
        return pa.concat_arrays([above, pa.nulls(len(given), above.type)])
    if pa.types.is_null(above.type):
        return pa.concat_arrays([pa.nulls(1, given.type), given])
    if above.type.equals(given.type):
        return pa.concat_arrays([above, given])
    return [*above.to_pylist(), *given.to_pylist()]


def _listed(above: Any) -> list[Any]:
    return above.to_pylist() if isinstance(above, pa.Array) else list(above or ())


def _is_there(values: Any, null_words: Sequence[str]) -> np.ndarray:
    """bool [rows]: where there is a value, and no blank text."""
    if isinstance(values, list):
        return np.array([value is not None and not _is_blank(value, null_words) for value in values], bool)
    there = values.is_valid()
    if is_text(values.type):
        with contextlib.suppress(pa.ArrowException):  # of types that have no such kernel
            is_none = pc.is_in(pc.ascii_trim_whitespace(values), pa.array(["", *null_words], values.type))
            there = pc.and_(there, pc.invert(is_none))
    return there.to_numpy(zero_copy_only=False)


def _is_blank(value: Any, null_words: Sequence[str]) -> bool:
    return isinstance(value, str) and value.strip() in ("", *null_words)
