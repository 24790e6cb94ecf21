"""Which engagements count: those with a query and a positive action, before the end of a day. Knows no Beam."""

import hashlib
from collections import Counter

import pyarrow as pa
import pyarrow.compute as pc

from pipelines.log.equal_rows import EVENT, EVENT_FIELD, with_events
from schemas.tables import ENGAGEMENTS, POSITIVE_ACTIONS, QUERY_SURFACES

#: An engagement with a query: what pairs are counted and evaluations are made from.
QUERY_ROWS = pa.schema(
    [
        pa.field(name, ENGAGEMENTS.field(name).type, nullable=False)
        for name in ("timestamp", "surface", "query", "item_id", "action")
    ]
)
#: The same with the session, null if the log has none: what pairs are split by; and what equal rows are known by.
SESSION_ROWS = QUERY_ROWS.append(ENGAGEMENTS.field("session_id")).append(EVENT_FIELD)
_ROWS_A_MESSAGE = 65_536


def query_rows(
    engagements: pa.Table, end_us: int | None, schema: pa.Schema = QUERY_ROWS
) -> tuple[pa.Table, Counter[str]]:
    """QUERY_ROWS (or SESSION_ROWS, as `schema` says) of valid ENGAGEMENTS: surfaces with a query, positive actions,
    before `end_us`. Counts the others as rows_after_date and rows_without_task."""
    num_rows = engagements.num_rows
    if end_us is not None:
        engagements = engagements.filter(pc.less(pc.cast(engagements.column("timestamp"), pa.int64()), end_us))
    num_in_time = engagements.num_rows
    has_task = pc.and_(
        pc.is_in(engagements.column("surface"), pa.array(QUERY_SURFACES)),
        pc.is_in(engagements.column("action"), pa.array(POSITIVE_ACTIONS)),
    )
    kept = engagements.filter(has_task)
    kept = (with_events(kept) if EVENT in schema.names else kept).select(schema.names).cast(schema)
    counts = Counter(rows_after_date=num_rows - num_in_time, rows_without_task=num_in_time - kept.num_rows)
    return kept, counts


def rows_hash(rows: pa.Table) -> str:
    """sha256 (hex) of a QUERY_ROWS table as a bag of rows: their order, chunks and files do not count."""
    ordered = rows.sort_by([(name, "ascending") for name in QUERY_ROWS.names]).combine_chunks()
    digest = hashlib.sha256()
    for batch in ordered.to_batches(max_chunksize=_ROWS_A_MESSAGE):
        digest.update(batch.serialize())
    return digest.hexdigest()
