"""Logs of which nothing, or much too little, can be used: each an export that a shop really has, and what is told."""

import datetime as dt
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

NUM_ROWS = 60
Row = dict[str, Any]


def date_digits(row: Row) -> Row:
    """Dates as numbers, 20260630, which is no number of seconds that a log has."""
    return {**row, "timestamp": int(row["timestamp"].strftime("%Y%m%d"))}


def ga4_names(row: Row) -> Row:
    return {**row, "action": "view_item"}


def other_items(row: Row) -> Row:
    """Another system's ids."""
    return {**row, "item_id": f"other-{row['item_id']}"}


def nobody(row: Row) -> Row:
    """Neither who nor for what query."""
    return {**row, "user_id": None, "surface": "home", "query": None}


def only_shown(row: Row) -> Row:
    return {**row, "action": "impression"}


#: What becomes of each row of a good log, and what a failure tells of it.
REJECTED = {
    date_digits: "wrong_type 60 (expected a timestamp, ISO 8601 text or seconds, ms, us or ns since 1970 in time",
    ga4_names: "checkout, return, got 'view_item' in 60 rows): use one of the expected actions, or leave the row out",
}
UNUSED = {
    other_items: "rows item unknown 60; the catalogue has no item 'other-",
    nobody: "rows without user or query 60",
    only_shown: "rows other actions 60",
}


def good_rows(items: Sequence[str], end: dt.datetime) -> list[Row]:
    """Clicks of three users on search, in the days before `end`."""
    return [
        {
            "timestamp": end - dt.timedelta(hours=1 + number),
            "user_id": f"user-{number % 3}",
            "session_id": None,
            "surface": "search",
            "query": "shoe",
            "item_id": items[number % len(items)],
            "action": "click",
        }
        for number in range(NUM_ROWS)
    ]


def write(path: Path, rows: Sequence[Row]) -> Path:
    """A Parquet file whose columns have the types of the values."""
    pq.write_table(pa.Table.from_pylist(list(rows)), path)
    return path
