"""Batches of raw rows that were read from no file, and what validation makes of them."""

from typing import Any

import numpy as np
import pyarrow as pa

from schemas.columns.raw_rows import FileSlice, RawRows
from schemas.quarantine import rejections_to_table
from schemas.tables import ENGAGEMENTS
from schemas.validation.catalogue import validate_catalogue
from schemas.validation.rules import Limits

SLICE = FileSlice(3, "/shop/c.parquet")


def raw_rows(schema: pa.Schema, **columns: Any) -> RawRows:
    """A batch; Arrow arrays as given, lists as mixed Python values, other columns absent."""
    count = len(next(iter(columns.values())))
    arrays = [columns[n] if isinstance(columns.get(n), pa.Array) else pa.nulls(count) for n in schema.names]
    mixed = {name: values for name, values in columns.items() if isinstance(values, list)}
    return RawRows(1, pa.Table.from_arrays(arrays, schema.names), [], np.arange(1, count + 1), mixed)


def ids(count: int) -> pa.Array:
    return pa.array([f"i{number}" for number in range(count)])


def outcome(raw: RawRows, validate: Any = validate_catalogue) -> tuple[pa.Table, dict[int, str], Any]:
    good, rejections, counts = validate(raw, SLICE, Limits())
    assert rejections_to_table(rejections).num_rows == len(rejections)  # every rejection can be written
    of_rows = [entry for entry in rejections if entry.level == "row"]
    assert counts["rows_read"] == good.num_rows + len(of_rows)
    return good, {int(entry.where.split(":")[1]): entry.reason for entry in of_rows}, counts


def engagements(**columns: Any) -> RawRows:
    """Valid rows but for the given columns."""
    plain = {"timestamp": "2024-01-01", "surface": "search", "query": "mug", "item_id": "a", "action": "click"}
    count = len(next(iter(columns.values())))
    return raw_rows(ENGAGEMENTS, **{**{name: [value] * count for name, value in plain.items()}, **columns})
