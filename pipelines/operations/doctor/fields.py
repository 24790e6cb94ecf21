"""Whether the catalogue still has the columns that the last run's items had values in."""

from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from pipelines.gates.fields import field_count
from pipelines.operations.findings import Finding, brief
from pipelines.run.units import read_stage_manifest
from pipelines.store import history, store
from schemas import storage
from schemas.columns.mapping import table_columns
from schemas.columns.spec import column_of
from schemas.errors import CorruptFileError
from schemas.reading.input_files import known_columns
from schemas.tables import TEXT_FIELDS


def warn_of_lost_columns(
    store_folder: str | None, files: Sequence[str], columns: Mapping[str, Any], finding: Finding
) -> None:
    """Adds a warning for every field of the published run's items that no file of the catalogue has a column for."""
    try:
        run = store.current_run_or_none(store_folder) if store_folder is not None else None
        filled = filled_fields(run) if run is not None else {}
    except (CorruptFileError, OSError, pa.ArrowException, KeyError, TypeError, ValueError) as error:
        finding.warn(f"not compared with the columns of the published run, which cannot be read: {error}")
        return
    mapping = table_columns(columns, "catalogue")
    theirs = {name for path in files for name in known_columns(path)}
    for name, num_rows in filled.items():
        sources = column_of(mapping, name).source
        if num_rows and run is not None and sources and theirs.isdisjoint(sources):
            finding.warn(
                f"expected the column {brief(sources[0])}, got none: {history.name_of(run)} has {name} in "
                f"{num_rows:,} rows, which would be empty; a column that was renamed is mapped in [columns]"
            )


def filled_fields(run: Path) -> dict[str, int]:
    """Text field, and images -> number of items of a run that have one: as the items stage counted, or else counted in
    items/. Raises what reading a damaged run raises."""
    counts = read_stage_manifest(str(run), "items")["counts"]
    images = {"images": int(counts.get("pictures_listed", 0) and counts.get("rows_written", 0))}
    if any(field_count(name) in counts for name in TEXT_FIELDS):
        return {name: int(counts.get(field_count(name), 0)) for name in TEXT_FIELDS} | images
    found = Counter[str]()
    for path in storage.paths_in(run / "items", "*.parquet"):
        there = [name for name in TEXT_FIELDS if name in pq.read_schema(path).names]
        table = pq.read_table(path, columns=there)
        found.update({name: pc.sum(pc.greater(pc.utf8_length(table[name]), 0)).as_py() or 0 for name in there})
    return {name: found[name] for name in TEXT_FIELDS} | images
