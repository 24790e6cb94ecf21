"""Runs with finished items, random logs of sessions, and what the sources of item vectors leave behind."""

import datetime as dt
import random
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
from run_builder import RunBuilder

from pipelines.sources import job as sources
from schemas.tables import ENGAGEMENTS, ITEMS, TEXT_FIELDS

START = dt.datetime(2026, 6, 1, tzinfo=dt.UTC)
#: 30 days of log, the last of which lie after it.
DATE = "2026-06-28"
ITEM_IDS = [f"item-{number:02d}" for number in range(24)]
NUM_BUCKETS = 3
#: Folders of a run that hold what stages have made; how often anything was done is in none of them.
MADE = ("sequences", "interactions", "co_engagements", "walks", *sources.CLICKSTREAM)
Row = dict[str, Any]


def make_items(run: Path, item_ids: Sequence[str] = ITEM_IDS) -> Path:
    """A run folder whose items are finished: of two brands and three colours, which every item has one of."""
    rows = [
        {
            "item_id": item_id,
            **dict.fromkeys(TEXT_FIELDS),
            "title": f"number {number}",
            "brand": ("Acme", "Harrow & Finch")[number // 12],
            "colors": ("red", "green blue", "white")[number % 3],
            "images": [],
        }
        for number, item_id in enumerate(item_ids)
    ]
    return RunBuilder(run).items(rows, ITEMS, NUM_BUCKETS).run


def session_row(hour: float, session: str | None, user: str | None, item: str, action: str = "click") -> Row:
    """An engagement so many hours after START."""
    when = START + dt.timedelta(hours=hour)
    rest = {"surface": "home", "query": None, "item_id": item, "action": action}
    return {"timestamp": when, "user_id": user, "session_id": session, **rest}


def session_rows(num_sessions: int = 150, seed: int = 0) -> list[Row]:
    """Sessions and users of items of one half of the catalogue or the other, with every kind of row that is left out,
    and equal ones."""
    chance = random.Random(seed)
    rows = []
    for number in range(num_sessions):
        session = f"s{number}" if chance.random() < 0.8 else None
        taste, hour = chance.randrange(2), chance.uniform(0, 30 * 24)
        half = ITEM_IDS[12 * taste : 12 * taste + 12]
        user = f"u{2 * chance.randrange(10) + taste}" if chance.random() < 0.9 else None
        for _ in range(chance.randrange(1, 7)):
            item = chance.choice(half) if chance.random() < 0.95 else "unknown"
            action = chance.choice(("click", "click", "save", "add_to_cart", "checkout", "impression", "return"))
            rows.append(session_row(round(hour, 3), session, user, item, action))
            hour += chance.choice((0, 0.01))
        rows += chance.sample(rows, 1)
    return rows


def write_rows(folder: Path, rows: Sequence[Row], num_files: int = 1) -> Path:
    """A folder of Parquet files, several row groups each."""
    folder.mkdir(parents=True, exist_ok=True)
    for number in range(num_files):
        part = pa.Table.from_pylist(list(rows[number::num_files]), schema=ENGAGEMENTS)
        pq.write_table(part, folder / f"part-{number}.parquet", row_group_size=max(len(part) // 3, 1))
    return folder


def flags_of(run: Path, log: Path, *flags: str) -> list[str]:
    """A small call of `itemsage sources`."""
    small = ("--dim", "8", "--min-count", "2")
    return ["--run", str(run), "--engagements", str(log), "--date", DATE, *small, *flags]


def run_sources(run: Path, log: Path, *flags: str) -> int:
    """Exit code of the job through its command line."""
    return sources.main(flags_of(run, log, *flags))


def made_of(run: Path, *folders: str) -> dict[str, bytes]:
    """Path -> bytes of all that stages have made."""
    files = [path for folder in folders or MADE for path in (run / folder).rglob("*") if path.is_file()]
    return {path.relative_to(run).as_posix(): path.read_bytes() for path in files}


def table_of(run: Path, folder: str) -> pa.Table:
    """All rows of a folder, in the order of the files."""
    return pa.concat_tables([pq.read_table(path) for path in sorted((run / folder).glob("*.parquet"))])
