"""What a config makes of the first rows, read by the same code as the jobs."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date
from functools import cached_property
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from pipelines.console.terminal import shortened, shown_title
from pipelines.log.doubts import Doubts
from schemas.coercion.cells import BatchFindings
from schemas.coercion.columns import text_column
from schemas.columns.mapping import catalogue_columns, catalogue_schema, table_columns
from schemas.columns.spec import Column, ColumnsOfTable
from schemas.events.item_lists import items_of_text
from schemas.pictures.stored import stored_path
from schemas.pictures.urls import is_picture_url
from schemas.quarantine import Rejection
from schemas.reading.input_files import check_columns, relative_names
from schemas.reading.rows import mixed_ids, plan_slices, read_slice, read_table
from schemas.tables import ENGAGEMENTS, TEXT_FIELDS, unreadable_cells
from schemas.validation.catalogue import validate_catalogue
from schemas.validation.grouping import resolve_rows
from schemas.validation.log import validate_engagements

#: Rows that are read of a table, at most by a batch more.
MAX_ROWS = 100_000


@dataclass(frozen=True, eq=False)
class RehearsedItems:
    """items: one row an id. is_whole: whether the files have no more rows. unreadable: our column -> its cells that
    cannot be read, and are null. mixed_ids: see schemas.reading.rows."""

    items: pa.Table
    num_rows: int
    num_merged: int
    rejections: Sequence[Rejection]
    is_whole: bool
    unreadable: Mapping[str, int] = field(default_factory=dict)
    mixed_ids: Sequence[str] = ()

    @cached_property
    def ids(self) -> set[str]:
        """Of the items."""
        return set(self.items["item_id"].to_pylist())

    @cached_property
    def pictures(self) -> list[str]:
        """All that the items name, each once."""
        return list(dict.fromkeys(self.items["images"].combine_chunks().flatten().to_pylist()))

    @property
    def urls(self) -> list[str]:
        """Those of them that are http(s) URLs."""
        return [uri for uri in self.pictures if is_picture_url(uri)]

    @property
    def paths(self) -> list[str]:
        """Those of them that are neither http(s) URLs nor in the table."""
        return [uri for uri in self.pictures if not is_picture_url(uri) and stored_path(uri) is None]

    @property
    def num_with_text(self) -> int:
        """Items with any text."""
        masks = [self.items[name].is_valid() for name in TEXT_FIELDS]
        any_text = masks[0]
        for mask in masks[1:]:
            any_text = pc.or_(any_text, mask)
        return pc.sum(any_text).as_py() or 0

    @property
    def num_with_pictures(self) -> int:
        """Items that name a picture."""
        return pc.sum(pc.greater(pc.list_value_length(self.items["images"]), 0)).as_py() or 0

    @property
    def words_of_a_title(self) -> str:
        """The first title, as a person would search for it."""
        titles = (title for title in self.items["title"].to_pylist() if title)
        return shown_title(next(titles, "a product"), 40).rstrip("…")


@dataclass(eq=False)
class RehearsedLog:
    """items: item -> rows of it. no_rows: events that are none. events_by_action: see schemas.events.actions. doubts:
    of the rows that can be read. mixed_ids: see schemas.reading.rows."""

    num_rows: int = 0
    rejections: list[Rejection] = field(default_factory=list)
    items: Counter[str] = field(default_factory=Counter)
    no_rows: Counter[str] = field(default_factory=Counter)
    events_by_action: Counter[str] = field(default_factory=Counter)
    last_day: date | None = None
    is_whole: bool = True
    doubts: Doubts = field(default_factory=Doubts)
    mixed_ids: Sequence[str] = ()

    def share_known(self, ids: set[str]) -> float:
        """The rows on one of these items, of the good ones; 0 without any."""
        known = sum(count for item, count in self.items.items() if item in ids)
        return known / max(self.items.total(), 1)

    def split_by(self, separator: str) -> "RehearsedLog":
        """The log as far as its items tell, of which texts list several (see schemas.events.item_lists)."""
        items = Counter[str]()
        for text, count in self.items.items():
            items.update(dict.fromkeys(items_of_text(text, separator), count))
        return RehearsedLog(self.items.total(), items=items)


def rehearse_items(files: Sequence[str], columns: Mapping[str, Any], group_rows: str) -> RehearsedItems:
    """Reads a catalogue by `[columns]`. Raises UsageError as the jobs do."""
    mapping = catalogue_columns(columns, group_rows)
    schema = catalogue_schema(mapping)
    check_columns(files, mapping, schema)
    good, rejections, num_rows, is_whole = [], list[Rejection](), 0, True
    all_counts = Counter[str]()
    for file_slice, raw in read_table(files, mapping, schema):
        if num_rows >= MAX_ROWS:
            is_whole = False
            break
        rows, rejected, counts = validate_catalogue(raw, file_slice)
        good.append(rows)
        rejections += rejected
        num_rows += counts["rows_read"]
        all_counts.update(counts)
    if not good:
        return RehearsedItems(schema.empty_table(), 0, 0, (), True)
    resolved = resolve_rows(pa.concat_tables(good), relative_names(files), group_rows)
    rejections += resolved.rejections
    unreadable, mixed = unreadable_cells(all_counts), mixed_ids(files, mapping, schema, all_counts)
    return RehearsedItems(resolved.items, num_rows, resolved.num_merged, rejections, is_whole, unreadable, mixed)


def rehearse_log(files: Sequence[str], columns: Mapping[str, Any]) -> RehearsedLog:
    """Reads a log by `[columns.engagements]`. Raises UsageError as the jobs do."""
    mapping = table_columns({"engagements": columns}, "engagements")
    check_columns(files, mapping, ENGAGEMENTS)
    log, all_counts = RehearsedLog(), Counter[str]()
    for file_slice, raw in read_table(files, mapping, ENGAGEMENTS):
        if log.num_rows + log.no_rows.total() >= MAX_ROWS:
            log.is_whole = False
            break
        rows, rejected, counts = validate_engagements(raw, file_slice)
        all_counts.update(counts)
        log.num_rows += counts["rows_read"]
        log.rejections += rejected
        log.items.update(rows["item_id"].to_pylist())
        log.no_rows.update(raw.no_rows)
        log.events_by_action.update(raw.events_by_action)
        log.doubts.add(rows, counts)
        last = pc.max(rows["timestamp"]).as_py()
        if last is not None:
            log.last_day = max(filter(None, (log.last_day, last.date())))
    log.mixed_ids = mixed_ids(files, mapping, ENGAGEMENTS, all_counts)
    return log


def count_events(files: Sequence[str], column: str) -> Counter[str]:
    """How often each value of a log's column of events is there, in the first rows of every file: of MAX_ROWS a share
    each, at least a batch."""
    schema = pa.schema([ENGAGEMENTS.field("action")])
    mapping = ColumnsOfTable({"action": Column(source=(column,))}, files)
    seen, num_rows = Counter[str](), Counter[str]()
    for file_slice in plan_slices(files):
        for raw in read_slice(file_slice, mapping, schema) if num_rows[file_slice.path] * len(files) < MAX_ROWS else ():
            seen.update(text for text in text_column(raw, "action", BatchFindings()).to_pylist() if text is not None)
            num_rows[file_slice.path] += raw.table.num_rows
            if num_rows[file_slice.path] * len(files) >= MAX_ROWS:
                break
    return seen


def reasons(rejections: Sequence[Rejection]) -> str:
    """How many for which reason, one of them, with what to do; "" without any."""
    counts = Counter((rejection.reason, rejection.remedy) for rejection in rejections)
    first = {(rejection.reason, rejection.remedy): rejection for rejection in reversed(rejections)}
    shown = ((count, first[key]) for key, count in counts.most_common(3))
    return "; ".join(
        f"{count:,} {one.reason} (expected {one.expected}, got {shortened(one.got, 60)}): {one.remedy}"
        for count, one in shown
    )
