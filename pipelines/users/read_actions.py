"""Engagement files to the actions of users in the window, by bucket of the user.

    slices -> (bucket, IPC bytes of ACTIONS)

Items travel as row numbers of the embeddings, -1 for one without a vector. A slice is a unit of the stage "users" that
only counts. Rows: rows_read = rows_quarantined + rows_after_date + rows_other_actions + rows_without_user +
rows_too_old + those that come out; each counts where it first belongs, in this order, which is that of
pipelines.log.rows: rows of one name are the same rows.
"""

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

import apache_beam as beam
import pyarrow as pa
import pyarrow.compute as pc
from apache_beam.transforms.window import GlobalWindows
from apache_beam.utils.windowed_value import WindowedValue

from pipelines.console.progress import Progress
from pipelines.console.terminal import found_in_words
from pipelines.log.equal_rows import EVENT, EVENT_FIELD, with_events
from pipelines.log.read_engagements import MAX_ROWS_AT_ONCE, by_bucket, read_and_seal, slice_unit
from pipelines.run.bucket_rows import pack
from pipelines.run.counted import CountedDoFn
from pipelines.run.item_vectors import VectorsSource, load_vectors
from pipelines.run.units import UnitWriter
from schemas.columns.raw_rows import FileSlice
from schemas.columns.spec import ColumnsOfTable
from schemas.records.user_rows import USERS_STAGE

READ_PROGRESS = "users: read"
ACTIONS = pa.schema(
    [
        pa.field("user_id", pa.string(), nullable=False),
        pa.field("item_row", pa.int32(), nullable=False),
        pa.field("time_us", pa.int64(), nullable=False),
        EVENT_FIELD,
    ]
)


@dataclass(frozen=True, kw_only=True)
class ActionsSource:
    """What reading depends on. columns: our name -> the shop's; actions: the kinds that count; the window is
    start_us <= time < end_us, in microseconds since 1970, UTC."""

    run: str
    columns: ColumnsOfTable
    actions: Sequence[str]
    start_us: int
    end_us: int
    num_buckets: int
    vectors: VectorsSource
    fingerprint: str


def actions_in_window(engagements: pa.Table, source: ActionsSource) -> tuple[pa.Table, Counter[str]]:
    """(user_id, item_id, time_us, event) of the valid ENGAGEMENTS that count, and counts of the others."""
    rows = engagements
    counts: Counter[str] = Counter(rows_quarantined=0)

    def keep(mask: pa.ChunkedArray, left_out: str) -> None:
        nonlocal rows
        kept = rows.filter(mask)
        counts[left_out] += len(rows) - len(kept)
        rows = kept

    keep(pc.less(rows["timestamp"].cast(pa.int64()), source.end_us), "rows_after_date")
    keep(pc.is_in(rows["action"], pa.array(source.actions)), "rows_other_actions")
    keep(rows["user_id"].is_valid(), "rows_without_user")
    keep(pc.greater_equal(rows["timestamp"].cast(pa.int64()), source.start_us), "rows_too_old")
    arrays = [rows["user_id"], rows["item_id"], rows["timestamp"].cast(pa.int64()), with_events(rows)[EVENT]]
    return pa.Table.from_arrays(arrays, ["user_id", "item_id", "time_us", EVENT]), counts


def why_unused(counts: Mapping[str, int], otherwise: str) -> str:
    """What became of the rows of a log, and what to do about the largest part that makes no user; `otherwise`: if more
    of them do."""
    remedies = {
        "rows_without_user": "see that the log has a user_id, or that [columns.engagements] names it",
        "rows_item_unknown": "see that the log and the catalogue have the same item ids",
        "rows_other_actions": "see --actions",
        "rows_after_date": "give a later --date",
        "rows_too_old": "give a --date inside the log",
    }
    shown = found_in_words({name: count for name, count in counts.items() if ":" not in name})
    worst = max(remedies, key=lambda name: counts.get(name, 0))
    remedy = remedies[worst] if counts.get(worst, 0) > counts.get("rows_used", 0) else otherwise
    return f"{shown or 'no rows'}. To do: {remedy}"


def with_item_rows(rows: pa.Table, item_ids: pa.Array) -> pa.Table:
    """ACTIONS of (user_id, item_id, time_us, event); item_ids: those that have a vector."""
    found = pc.fill_null(pc.index_in(rows["item_id"], value_set=item_ids), -1)
    return pa.Table.from_arrays([rows["user_id"], found, rows["time_us"], rows[EVENT]], schema=ACTIONS)


class ReadActions(beam.PTransform):
    """FileSlice in, (bucket, IPC bytes of ACTIONS) out, of the buckets of `wanted` only."""

    def __init__(self, source: ActionsSource, wanted: Iterable[int], total: int | None = None):
        super().__init__(label="Read actions")
        self.source, self.wanted, self.total = source, frozenset(wanted), total

    def expand(self, slices: beam.PCollection[FileSlice]) -> beam.PCollection[tuple[int, bytes]]:
        read = _ReadSlice(self.source, self.wanted, self.total)
        return slices | "Spread slices" >> beam.Reshuffle() | "Read and validate" >> beam.ParDo(read)


class _ReadSlice(CountedDoFn):
    """Rows wait until there are enough of them, over the slices of a bundle: a piece should not be mostly headers."""

    def __init__(self, source: ActionsSource, wanted: frozenset[int], total: int | None):
        self.source, self.wanted, self.total = source, wanted, total

    def start_bundle(self) -> None:
        self.waiting: list[pa.Table] = []

    def process(self, file_slice: FileSlice) -> Iterator[tuple[int, bytes]]:
        writer = UnitWriter(self.source.run, slice_unit(file_slice, self.source.fingerprint, USERS_STAGE))
        progress = Progress.shared(READ_PROGRESS, "rows", self.total)
        for rows in read_and_seal(file_slice, self.source.columns, writer, progress, self._select):
            self.waiting.append(rows)
            if sum(map(len, self.waiting)) >= MAX_ROWS_AT_ONCE:
                yield from self._flush()

    def finish_bundle(self) -> Iterator[WindowedValue]:
        yield from map(GlobalWindows.windowed_value, self._flush())

    def _select(self, engagements: pa.Table) -> tuple[pa.Table, Counter[str]]:
        return actions_in_window(engagements, self.source)

    def _flush(self) -> Iterator[tuple[int, bytes]]:
        tables, self.waiting = self.waiting, []
        if not any(map(len, tables)) or not self.wanted:
            return
        rows = with_item_rows(pa.concat_tables(tables), load_vectors(self.source.vectors).ids)
        for bucket, part in by_bucket(rows, self.source.num_buckets, "user_id"):
            if bucket in self.wanted:
                yield bucket, pack(part)
