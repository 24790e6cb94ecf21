"""The items of a bucket: its rows, one an id, as a sealed unit."""

import unicodedata
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from pipelines.gates.fields import field_count
from pipelines.run.bucket_rows import RowRules, unpack
from pipelines.run.counted import CountedDoFn
from pipelines.run.units import Unit, UnitWriter, sealed_unit
from schemas.coercion.whole_ids import POINTS
from schemas.columns.raw_rows import NONE_OF_TEXT
from schemas.pictures.stored import STORED_PREFIX
from schemas.quarantine import unsorted_rejections
from schemas.tables import ITEMS, TEXT_FIELDS
from schemas.validation.catalogue import catalogue_counts
from schemas.validation.duplicates import num_completing
from schemas.validation.grouping import resolve_rows
from schemas.validation.left_out_rows import ROWS_LEFT_OUT
from schemas.validation.rows_of_totals import LIKE_TOTALS, likely_totals

STAGE = "items"
#: Counted where there are any: listed pictures that came in the table (see schemas.pictures.stored).
PICTURES_IN_TABLE = "pictures_in_table"


class WriteItems(CountedDoFn):
    """(bucket, pieces of its rows) in, the sidecar of its unit out; what is finished is not written again."""

    def __init__(self, run: str, units: Sequence[Unit], rules: RowRules):
        self.run, self.units, self.rules = run, list(units), rules

    def process(self, element: tuple[int, Iterable[bytes]]) -> Iterator[dict[str, Any]]:
        bucket, pieces = element
        yield sealed_unit(
            self.run,
            self.units[bucket],
            lambda writer: write_bucket(writer, *unpack(pieces, self.rules.row_schema), self.rules),
        )


def write_bucket(
    writer: UnitWriter, rows: pa.Table, rejections: pa.Table, others: Mapping[str, int], rules: RowRules
) -> dict[str, Any]:
    """Writes the items of one bucket from its rows, in any order, and seals it. Returns the sidecar. rejections:
    REJECTIONS in any order; others: counts of rows of which there is nothing else (see
    pipelines.run.bucket_rows.unpack), which are told here."""
    merged_before = pc.sum(rows["rows_merged"]).as_py() or 0 if "rows_merged" in rows.column_names else 0
    resolved = resolve_rows(rows, rules.file_names, rules.group_rows, rules.limits.max_pictures)
    items = resolved.items
    with writer.file(f"{STAGE}/{writer.unit.name}.parquet") as temporary:
        columns = [items[name].combine_chunks() for name in ITEMS.names]
        pq.write_table(pa.Table.from_arrays(columns, schema=ITEMS), temporary, compression="zstd")
    num_left_out = others.get(ROWS_LEFT_OUT, 0) + resolved.num_left_out
    num_rejected = pc.sum(pc.equal(rejections["level"], "row")).as_py() or 0
    writer.counts.update(
        rows_read=rows.num_rows + merged_before + num_rejected + others.get(ROWS_LEFT_OUT, 0),
        rows_written=items.num_rows,
        rows_collapsed=resolved.num_collapsed,
        rows_quarantined=0,
        pictures_listed=pc.sum(pc.list_value_length(items["images"])).as_py() or 0,
        **catalogue_counts(items),
    )
    if num_left_out:
        writer.counts[ROWS_LEFT_OUT] = num_left_out
    writer.counts.update({name: others[name] for name in NONE_OF_TEXT if others.get(name)})
    writer.counts.update({name: count for name, count in others.items() if name.startswith(POINTS)})
    if rules.group_rows != "no":
        writer.counts["rows_merged"] = resolved.num_merged
        if num_differing := pc.sum(items["texts_differing"]).as_py():
            writer.counts["texts_differing"] = num_differing
    if num_stored := pc.sum(pc.starts_with(items["images"].combine_chunks().flatten(), STORED_PREFIX)).as_py():
        writer.counts[PICTURES_IN_TABLE] = num_stored
    if num_partial := num_completing(resolved.rejections):
        writer.counts["ids_of_partial_rows"] = num_partial
    if num_other_form := len(ids_of_other_form(items["item_id"])):
        writer.counts["ids_not_nfc"] = num_other_form
    if num_totals := likely_totals(items).num_rows:
        writer.counts[LIKE_TOTALS] = num_totals
    for name in TEXT_FIELDS:  # a renamed column shows here first
        writer.counts[field_count(name)] = pc.sum(pc.greater(pc.utf8_length(items[name]), 0)).as_py() or 0
    writer.quarantine(pa.concat_tables([rejections, unsorted_rejections(resolved.rejections)]))
    return writer.seal()


def ids_of_other_form(ids: pa.ChunkedArray) -> list[str]:
    """The ids that are not in Unicode's composed form (NFC)."""
    others = ids.filter(pc.invert(pc.string_is_ascii(ids))).to_pylist()
    return [item_id for item_id in others if not unicodedata.is_normalized("NFC", item_id)]
