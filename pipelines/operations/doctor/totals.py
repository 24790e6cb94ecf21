"""Whether the catalogue has rows of totals among its products, as a spreadsheet has them below its table."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import pyarrow as pa

from pipelines.operations.findings import Finding
from schemas.coercion.cells import BatchFindings
from schemas.coercion.columns import text_column
from schemas.columns.mapping import catalogue_columns, catalogue_schema
from schemas.columns.raw_rows import RawRows
from schemas.reading.rows import read_table
from schemas.validation.catalogue import validate_catalogue
from schemas.validation.left_out_rows import without_left_out
from schemas.validation.rows_of_totals import LOOKED_AT, likely_totals, may_be_totals, totals_in_words

#: Rows that are looked at, at most by a batch more.
MAX_ROWS = 100_000


def warn_of_totals(files: Sequence[str], columns: Mapping[str, Any], group_rows: str, finding: Finding) -> None:
    """Adds a warning if items of the first rows are most likely rows of totals, in the words of the items stage."""
    if totals := list(_totals(files, columns, group_rows)):
        finding.warn(totals_in_words(pa.concat_tables(totals), catalogue_columns(columns, group_rows)))


def _totals(files: Sequence[str], columns: Mapping[str, Any], group_rows: str) -> Iterator[pa.Table]:
    mapping, num_rows = catalogue_columns(columns, group_rows), 0
    for file_slice, raw in read_table(files, mapping, catalogue_schema(mapping)):
        num_rows += raw.num_rows
        if _may_have_one(raw):
            good, _, _ = validate_catalogue(raw, file_slice)
            totals = likely_totals(without_left_out(good, group_rows)[0])
            if totals.num_rows:
                yield totals.select(LOOKED_AT)
        if num_rows >= MAX_ROWS:
            break


def _may_have_one(raw: RawRows) -> bool:
    texts = [text_column(raw, name, BatchFindings(), join_lists=name == "title") for name in ("item_id", "title")]
    return bool(may_be_totals(*texts).any())
