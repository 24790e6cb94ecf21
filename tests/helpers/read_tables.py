"""Files of a test written, and read as far as the rows that are good."""

import csv
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from schemas.columns.mapping import table_columns
from schemas.reading.input_files import check_columns
from schemas.reading.rows import plan_slices, read_slice
from schemas.tables import CATALOGUE, ENGAGEMENTS
from schemas.validation.catalogue import validate_catalogue
from schemas.validation.log import validate_engagements


def catalogue_of(path: Path, **columns: Any) -> tuple[dict[str, list[Any]], list[str], dict[str, int]]:
    """(columns of the good rows, reasons, counts) of a catalogue file."""
    rows: dict[str, list[Any]] = {name: [] for name in CATALOGUE.names}
    reasons, counts = [], {}
    for part in plan_slices([str(path)]):
        for raw in read_slice(part, columns):
            good, rejected, counts = validate_catalogue(raw, part)
            assert counts["rows_read"] == len(good) + sum(row.level == "row" for row in rejected)
            for name in rows:
                rows[name] += good[name].to_pylist()
            reasons += [row.reason for row in rejected]
    return rows, reasons, dict(counts)


def log_of(path: Path, **columns: Any) -> tuple[dict[str, list[Any]], list[str], dict[str, int]]:
    """The same of a log that is one batch."""
    (part,) = plan_slices([str(path)])
    (raw,) = read_slice(part, columns, ENGAGEMENTS)
    good, rejected, counts = validate_engagements(raw, part)
    return good.to_pydict(), [row.reason for row in rejected], dict(counts)


def mapped(path: Path, columns: dict[str, Any], table: str = "catalogue") -> dict[str, list[Any]]:
    """The columns of a file whose rows are all good, by a config's table."""
    mapping = table_columns(columns if table == "catalogue" else {table: columns}, table)
    schema, validate = {
        "catalogue": (CATALOGUE, validate_catalogue),
        "engagements": (ENGAGEMENTS, validate_engagements),
    }[table]
    check_columns([str(path)], mapping, schema)
    (part,) = plan_slices([str(path)])
    (raw,) = read_slice(part, mapping, schema)
    good, rejected, _ = validate(raw, part)
    assert not rejected
    return good.to_pydict()


def write_rows(path: Path, rows: Sequence[Mapping[str, Any]], schema: pa.Schema | None = None) -> Path:
    """Rows of equal keys as .parquet, .jsonl or .csv, where what is no text is JSON. schema: of Parquet."""
    if path.suffix == ".parquet":
        pq.write_table(pa.Table.from_pylist(list(rows), schema), path)
    elif path.suffix == ".jsonl":
        path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    else:
        with open(path, "w", newline="", encoding="utf-8") as file:
            out = csv.DictWriter(file, list(rows[0]))
            out.writeheader()
            out.writerows(
                {k: v if v is None or isinstance(v, str) else json.dumps(v) for k, v in row.items()} for row in rows
            )
    return path


def write_parquet(path: Path, **columns: Any) -> Path:
    """A Parquet file of these columns."""
    pq.write_table(pa.table(columns), path)
    return path
