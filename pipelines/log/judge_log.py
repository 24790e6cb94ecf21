"""The rows of a log judged, slice by slice, and those of use counted once, however often they are there.

    slices -> read, validate, count -> (bucket, rows of use: their time, a hash of the rest, their action)
                  |                        -> equal rows of a bucket -> sum
                  v                                                      v
    units/log/read-*.json, quarantine/log-*.parquet           units/log/distinct.json

Equal rows may lie in any files, so all rows of use are shuffled, 17 bytes each; a slice is read again on a rerun that
lacks a unit.
"""

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass

import apache_beam as beam
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from pipelines.console.progress import Progress
from pipelines.log.equal_rows import EVENT, ROWS_EQUAL, with_events
from pipelines.log.read_engagements import MAX_ROWS_AT_ONCE, slice_unit
from pipelines.log.rows import LOG_STAGE, ROWS_WITH_USER, LogUse, RejectedRows, action_count
from pipelines.run.counted import CountedDoFn
from pipelines.run.quarantine_pieces import quarantine_in_pieces
from pipelines.run.shared import Shared
from pipelines.run.units import Unit, UnitWriter
from schemas.coercion.offsets_of_times import offsets_of_times
from schemas.coercion.whole_ids import POINTS
from schemas.columns.raw_rows import FileSlice
from schemas.columns.spec import ColumnsOfTable
from schemas.hashing import mixed_hashes
from schemas.reading.rows import read_slice
from schemas.tables import ENGAGEMENTS, POSITIVE_ACTIONS, UNREADABLE
from schemas.validation.log import validate_engagements

#: The unit that counts what is left once equal rows are one.
DISTINCT = "distinct"
#: The rows of use are counted in so many parts: 10 million of them are 160,000 a part, in about 10 MB.
_NUM_BUCKETS = 64
#: A row of use as it travels. action: its place in POSITIVE_ACTIONS, and _WITH_USER more if the row has a user.
_USED = np.dtype([("time_us", "<i8"), ("event", "<u8"), ("action", "u1")])
_WITH_USER = 128


@dataclass(frozen=True, kw_only=True)
class LogSource:
    """What judging depends on. run: where to count; item_files: Parquet files with the catalogue's ids; end_us: as of
    LogUse."""

    run: str
    columns: ColumnsOfTable
    item_files: tuple[str, ...]
    end_us: int | None
    fingerprint: str


class JudgeLog(beam.PTransform):
    """FileSlice in; seals the unit of each (see slice_unit) and the unit DISTINCT. Out: the name of the latter, once
    all is done."""

    def __init__(self, source: LogSource, num_rows: int):
        super().__init__(label="Judge log")
        self.source, self.num_rows = source, num_rows

    def expand(self, slices: beam.PCollection[FileSlice]) -> beam.PCollection[str]:
        return (
            slices
            | "Spread slices" >> beam.Reshuffle()
            | "Judge slice" >> beam.ParDo(_JudgeSlice(self.source, self.num_rows))
            | "Rows of a bucket" >> beam.GroupByKey()
            | "Equal rows" >> beam.MapTuple(_distinct_counts)
            | "All buckets" >> beam.CombineGlobally(_sum_counters)
            | "Seal" >> beam.Map(_seal_distinct, self.source)
        )


class _JudgeSlice(CountedDoFn):
    """A slice of the log: counts, the quarantine of its bad rows, and the rows of use."""

    def __init__(self, source: LogSource, num_rows: int):
        self.source, self.num_rows = source, num_rows

    def process(self, file_slice: FileSlice) -> Iterator[tuple[int, bytes]]:
        writer = UnitWriter(self.source.run, slice_unit(file_slice, self.source.fingerprint, LOG_STAGE))
        progress = Progress.shared(LOG_STAGE, "rows", self.num_rows)
        use, counted = LogUse(self.source.end_us, ITEM_IDS.get(self.source.item_files)), RejectedRows()
        with quarantine_in_pieces(writer) as quarantine:
            for number, raw in enumerate(read_slice(file_slice, self.source.columns, ENGAGEMENTS)):
                if not number:
                    writer.counts.update(offsets_of_times(raw))
                valid, rejected, read = validate_engagements(raw, file_slice, stage=LOG_STAGE)
                use.add(valid)
                if use.num_waiting >= MAX_ROWS_AT_ONCE:
                    yield from by_bucket_of_row(use.take())
                counted.add(rejected)
                quarantine(rejected)
                writer.counts["rows_read"] += read["rows_read"]
                writer.counts.update({**mended(read), **raw.no_rows, **raw.events_by_action})
                progress.advance(read["rows_read"])
        yield from by_bucket_of_row(use.take())
        writer.counts.update(use.counts(), rows_quarantined=0, **counted.values())
        writer.seal()


def mended(counts: Mapping[str, int]) -> dict[str, int]:
    """What was cut from cells, could not be read of them, or looks like a float, in rows that stayed."""
    return {name: n for name, n in counts.items() if name == "ids_trimmed" or name.startswith((UNREADABLE, POINTS))}


def by_bucket_of_row(used: pa.Table) -> Iterator[tuple[int, bytes]]:
    """(bucket, _USED as bytes) of ENGAGEMENTS that are of use: equal rows have one bucket."""
    if not len(used):
        return
    rows_N = np.empty(len(used), _USED)
    rows_N["time_us"] = used["timestamp"].cast(pa.int64()).to_numpy()
    rows_N["event"] = with_events(used)[EVENT].to_numpy().view(np.uint64)
    rows_N["action"] = pc.index_in(used["action"], value_set=pa.array(POSITIVE_ACTIONS)).to_numpy()
    rows_N["action"][used["user_id"].is_valid().to_numpy()] += _WITH_USER
    mixed_N = mixed_hashes(rows_N["time_us"].astype(np.uint64), rows_N["event"])
    buckets_N = (mixed_N % np.uint64(_NUM_BUCKETS)).astype(np.uint8)
    order = np.argsort(buckets_N, kind="stable")
    ends = np.cumsum(np.bincount(buckets_N, minlength=_NUM_BUCKETS))
    for bucket, part in enumerate(np.split(rows_N[order], ends[:-1])):
        if len(part):
            yield bucket, part.tobytes()


def _distinct_counts(_bucket: int, pieces: Iterable[bytes]) -> Counter[str]:
    return distinct_counts(pieces)


def distinct_counts(pieces: Iterable[bytes]) -> Counter[str]:
    """Counts of all the rows of a bucket: rows_used, those of each action and those that have a user, equal ones once;
    ROWS_EQUAL, if there are any."""
    rows = np.frombuffer(b"".join(pieces), _USED)
    order = np.lexsort((rows["event"], rows["time_us"]))
    ordered = rows[order]
    is_first = np.ones(len(rows), bool)
    is_first[1:] = (ordered["event"][1:] != ordered["event"][:-1]) | (ordered["time_us"][1:] != ordered["time_us"][:-1])
    actions = ordered["action"][is_first]
    num_actions = np.bincount(actions % _WITH_USER, minlength=len(POSITIVE_ACTIONS)).tolist()
    counts = Counter({action_count(action): n for action, n in zip(POSITIVE_ACTIONS, num_actions, strict=True) if n})
    num_used = len(actions)
    counts[ROWS_WITH_USER] = int((actions >= _WITH_USER).sum())
    counts.update({"rows_used": num_used, **({ROWS_EQUAL: len(rows) - num_used} if num_used < len(rows) else {})})
    return counts


def _sum_counters(counters: Iterable[Counter[str]]) -> Counter[str]:
    return sum(counters, Counter())


def _seal_distinct(counts: Counter[str], source: LogSource) -> str:
    writer = UnitWriter(source.run, Unit(LOG_STAGE, DISTINCT, source.fingerprint))
    writer.counts.update({"rows_used": 0, ROWS_WITH_USER: 0, **counts})
    writer.seal()
    return DISTINCT


def _read_item_ids(files: tuple[str, ...]) -> pa.Array:
    tables = [pq.read_table(path, columns=["item_id"]) for path in files]
    return pa.concat_tables(tables)["item_id"].combine_chunks() if tables else pa.array([], pa.string())


ITEM_IDS: Shared[tuple[str, ...], pa.Array] = Shared(_read_item_ids)
