"""Which engagements train a model, which stop it early, which test it.

    query_item  whole queries and whole items are held out, near-duplicates together (model.split.held_out)
    time        ---- train ----|-- validation --|-- gap --|-- test --|      one cut for the whole log
    item_time   the same without gap, item by item: the last rows of each item test
    query_hash  a query is in one part, whatever its time and however it is spelt in case, blanks and Unicode form
    none        no engagement trained the model: every row is test

The same Split labels the rows that a model was made from and, later, any other engagements it is evaluated on, where
only the rows labelled "test" are new to it: "train", "validation" and "gap" are its own training part. How it labels
them is model.split.split_labels.
"""

import dataclasses
import math
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from model.split.held_out import HELD_OUT, HeldOutShares
from model.split.item_cutoffs import ITEM_CUTOFFS
from schemas import storage
from schemas.days import DAY_US
from schemas.errors import CorruptFileError, ThresholdError, UsageError
from schemas.files import read_json, write_json
from schemas.storage import atomic_write

KINDS = ("query_item", "time", "item_time", "query_hash")
DEFAULT_KIND = "query_item"
#: The kind of the split of a model that trains on no engagement.
NO_LOG = "none"
#: What a kind keeps beside its JSON: the field of Split, and its schema.
_TABLES = {"item_time": ("item_cutoffs", ITEM_CUTOFFS), "query_item": ("held_out", HELD_OUT)}
PARTS = ("train", "validation", "test")
#: Where days are not given, the fractions of the log's span count, but no part is longer than this.
MAX_TEST_DAYS, MAX_GAP_DAYS, MAX_VALIDATION_DAYS = 14.0, 3.0, 7.0
GAP_FRACTION = 0.025


@dataclass(frozen=True, kw_only=True)
class SplitConfig:
    """What a user asks for. test_days, gap_days, validation_days (kind "time") default to fractions of the log's span.

    test_fraction, validation_fraction: share of an item's rows (item_time), of the queries (query_item, query_hash) or,
    where days are not given, of the log's time span (time; at most MAX_TEST_DAYS, MAX_VALIDATION_DAYS). 0 means: no
    such part. item_test_fraction, item_validation_fraction (query_item): share of the items; none without such a part.
    """

    kind: str = DEFAULT_KIND
    test_days: float | None = None
    gap_days: float | None = None
    validation_days: float | None = None
    test_fraction: float = 0.2
    validation_fraction: float = 0.1
    item_test_fraction: float = 0.05
    item_validation_fraction: float = 0.05
    seed: int = 0

    def __post_init__(self) -> None:
        if self.kind not in KINDS:
            raise UsageError(f"expected a split of {', '.join(KINDS)}, got {self.kind!r}")
        for fractions in (
            (self.test_fraction, self.validation_fraction),
            (self.item_test_fraction, self.item_validation_fraction),
        ):
            if not (min(fractions) >= 0 and sum(fractions) < 1):
                raise UsageError(
                    f"expected test and validation fractions >= 0 that leave a rest to train, got {fractions}"
                )
        for name in ("test_days", "gap_days", "validation_days"):
            value = getattr(self, name)
            if value is not None and not (0 <= value < math.inf):
                raise UsageError(f"expected {name} >= 0, got {value}")
            if value is not None and self.kind != "time":
                shown = name.replace("_", "-")
                raise UsageError(f"expected --{shown} with --split time, got {value:g} with --split {self.kind}")


@dataclass(frozen=True)
class TimeSpan:
    """First and last timestamp (microseconds since 1970, UTC) and number of rows: a monoid, TimeSpan() its zero."""

    first_us: int | None = None
    last_us: int | None = None
    num_rows: int = 0

    def __add__(self, other: "TimeSpan") -> "TimeSpan":
        firsts = [us for us in (self.first_us, other.first_us) if us is not None]
        lasts = [us for us in (self.last_us, other.last_us) if us is not None]
        return TimeSpan(min(firsts, default=None), max(lasts, default=None), self.num_rows + other.num_rows)

    @classmethod
    def of(cls, timestamps: pa.ChunkedArray | pa.Array) -> "TimeSpan":
        """The span of a column of type TIMESTAMP."""
        if len(timestamps) == 0:
            return cls()
        bounds = pc.min_max(pc.cast(timestamps, pa.int64())).as_py()
        return cls(bounds["min"], bounds["max"], len(timestamps))


@dataclass(frozen=True, kw_only=True)
class Split:
    """A fitted split. Times in microseconds since 1970, UTC, each the first instant of its part; set for kind "time".

    has_validation, has_test: whether the part was asked for. item_cutoffs: ITEM_CUTOFFS sorted by item_id, for kind
    "item_time"; held_out: HELD_OUT sorted by node, for kind "query_item"; these are not in the JSON but in a Parquet
    file beside it.
    """

    kind: str
    has_validation: bool
    has_test: bool
    validation_start_us: int | None = None
    gap_start_us: int | None = None
    test_start_us: int | None = None
    test_fraction: float = 0.0
    validation_fraction: float = 0.0
    item_test_fraction: float = 0.0
    item_validation_fraction: float = 0.0
    seed: int = 0
    item_cutoffs: pa.Table | None = field(default=None, compare=False, repr=False)
    held_out: pa.Table | None = field(default=None, compare=False, repr=False)

    def to_json(self) -> dict[str, Any]:
        """Plain values, without the tables; of the items' fractions only if the kind has them."""
        left_out = {name for name, _ in _TABLES.values()}
        if self.kind != "query_item":
            left_out |= {"item_test_fraction", "item_validation_fraction"}
        return {f.name: getattr(self, f.name) for f in dataclasses.fields(self) if f.name not in left_out}

    @classmethod
    def from_json(cls, value: Mapping[str, Any], table: pa.Table | None = None) -> "Split":
        """Inverse of to_json; table: of the kind. Raises CorruptFileError for missing or unknown fields."""
        try:
            return cls(**value).with_table(table)
        except TypeError as error:
            raise CorruptFileError(f"expected the fields of a split, got {sorted(value)}: {error}") from error

    @property
    def table(self) -> pa.Table | None:
        """What the kind keeps beside its JSON: item_cutoffs or held_out."""
        return getattr(self, _TABLES[self.kind][0]) if self.kind in _TABLES else None

    def with_table(self, table: pa.Table | None) -> "Split":
        """The split with what its kind keeps beside its JSON; the same one for None."""
        if table is None:
            return self
        name, schema = _TABLES[self.kind]
        if name == "held_out" and table.schema.names == HELD_OUT.names[:-1]:  # without groups
            table = table.append_column("group", table["node"])
        values: dict[str, Any] = {name: table.cast(schema)}
        return dataclasses.replace(self, **values)

    @property
    def shares(self) -> HeldOutShares:
        """What is held out of queries and items, for kind "query_item"."""
        return HeldOutShares(
            test=self.test_fraction,
            validation=self.validation_fraction,
            item_test=self.item_test_fraction,
            item_validation=self.item_validation_fraction,
        )

    def save(self, folder: str | Path) -> None:
        """Writes split.json and, for the kinds that keep a table, split.parquet, each atomically."""
        self.write_files(lambda name: atomic_write(Path(folder, name)))

    def write_files(self, open_file: Callable[[str], AbstractContextManager[str]]) -> None:
        """As save; `open_file(name)` gives the context in which a file of the folder is written."""
        if self.table is not None:
            with open_file("split.parquet") as temporary:
                pq.write_table(self.table, temporary, compression="zstd")
        with open_file("split.json") as temporary:
            write_json(temporary, self.to_json())

    @classmethod
    def load(cls, folder: str | Path) -> "Split":
        """Inverse of save. Raises CorruptFileError if a file is missing or is not a split."""
        value = read_json(Path(folder, "split.json"))
        if not isinstance(value, dict) or "kind" not in value:
            raise CorruptFileError(f"expected a split in {Path(folder, 'split.json')}, got {value!r:.100}")
        if value["kind"] not in _TABLES:
            return cls.from_json(value)
        path = Path(folder, "split.parquet")
        if not storage.has_file(path):
            raise CorruptFileError(f"expected the table of a split of kind {value['kind']} at {path}, got no file")
        try:
            return cls.from_json(value, pq.read_table(path))
        except (ValueError, pa.ArrowException) as error:
            expected = f"expected the table of a split of kind {value['kind']} at {path}"
            raise CorruptFileError(f"{expected}, got {type(error).__name__}: {error}") from error


def no_engagements(config: SplitConfig) -> Split:
    """The split of a model that trains on no engagement (pseudo-queries alone): every engagement tests it."""
    return Split(kind=NO_LOG, has_validation=_wants_validation(config), has_test=False, seed=config.seed)


def fit_split(span: TimeSpan, config: SplitConfig) -> Split:
    """The split of a log with this span. What lies in a table is still to be added (with_table): for kind "item_time"
    by fit_item_cutoffs, for kind "query_item" by fit_held_out.

    kind "time": test is the last test_days up to and with the last timestamp, the gap lies before it, validation before
    the gap. Without a test part there is no gap: everything up to the last timestamp trains, anything later is test.
    """
    has_test = (config.test_fraction if config.kind != "time" or config.test_days is None else config.test_days) > 0
    common: dict[str, Any] = {"kind": config.kind, "has_validation": _wants_validation(config), "has_test": has_test}
    common["seed"] = config.seed
    fractions: dict[str, Any] = {
        "test_fraction": config.test_fraction,
        "validation_fraction": config.validation_fraction,
    }
    if config.kind in ("item_time", "query_hash"):
        return Split(**common, **fractions)
    if span.first_us is None or span.last_us is None:
        raise ThresholdError("expected engagements with a query to split, got 0 rows: check surface and action")
    if config.kind == "query_item":
        fractions["item_test_fraction"] = config.item_test_fraction * has_test
        fractions["item_validation_fraction"] = config.item_validation_fraction * common["has_validation"]
        return Split(**common, **fractions)
    return Split(**common, **_time_cuts(span.first_us, span.last_us, config, has_test))


def _time_cuts(first_us: int, last_us: int, config: SplitConfig, has_test: bool) -> dict[str, Any]:
    """The first instants of the parts of a split by time, by their field of Split."""
    span_us = last_us - first_us + 1
    test_us = _length_us(config.test_days, config.test_fraction, MAX_TEST_DAYS, span_us)
    gap_us = _length_us(config.gap_days, GAP_FRACTION, MAX_GAP_DAYS, span_us) if has_test else 0
    validation_us = _length_us(config.validation_days, config.validation_fraction, MAX_VALIDATION_DAYS, span_us)
    test_start_us = last_us + 1 - test_us
    gap_start_us = test_start_us - gap_us
    return {
        "validation_start_us": gap_start_us - validation_us,
        "gap_start_us": gap_start_us,
        "test_start_us": test_start_us,
    }


def check_parts(split: Split, num_pairs: Mapping[str, int]) -> None:
    """Raises ThresholdError if a part that was asked for, or train, is empty; `num_pairs` holds pairs by part. Queries
    made of items' texts alone (NO_LOG) may be too few to validate: what trains on them then says so."""
    wanted = {"train": True, "validation": split.has_validation and split.kind != NO_LOG, "test": split.has_test}
    empty = [part for part in PARTS if wanted[part] and not num_pairs.get(part)]
    if not empty:
        return
    shown = ", ".join(f"{part} {num_pairs.get(part, 0):,}" for part in PARTS)
    remedy = "another --test-fraction or --validation-fraction, or another --split"
    if split.kind == "query_item":
        remedy = f"{remedy} (a log of few queries: --split item_time or time)"
    if split.kind == "time":
        remedy = "shorter --test-days, --gap-days and --validation-days, or --split item_time or query_hash"
    raise ThresholdError(
        f"expected at least one pair in each part of a {split.kind} split, got none in {' and '.join(empty)} "
        f"({shown}): use {remedy}; a fraction of 0 means no such part"
    )


def _wants_validation(config: SplitConfig) -> bool:
    by_days = config.kind == "time" and config.validation_days is not None
    return bool(config.validation_days if by_days else config.validation_fraction)


def _length_us(days: float | None, fraction: float, max_days: float, span_us: int) -> int:
    if days is not None:
        return round(days * DAY_US)
    return min(math.ceil(span_us * fraction), round(max_days * DAY_US))
