"""A day in one column and a clock in another are one time."""

import json
from datetime import UTC, date, datetime, time
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from read_tables import log_of

from schemas.columns.mapping import table_columns

AT = datetime(2026, 6, 20, 14, 5, tzinfo=UTC)
MIDNIGHT = AT.replace(hour=0, minute=0)


def times(path: Path, **told: Any) -> tuple[list[datetime], list[str]]:
    """(timestamps, reasons) of a log whose columns are day and clock."""
    columns = table_columns({"engagements": {"timestamp": {"source": ["day", "clock"], **told}}}, "engagements")
    good, reasons, _ = log_of(path, **columns)
    return good["timestamp"], reasons


def write(path: Path, days: list[Any], clocks: list[Any]) -> Path:
    rows = [
        {"day": day, "clock": clock, "user_id": "u", "item_id": "A-1"} for day, clock in zip(days, clocks, strict=True)
    ]
    if path.suffix == ".parquet":
        pq.write_table(pa.Table.from_pylist(rows), path)
    elif path.suffix == ".jsonl":
        path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    else:
        cells = [",".join("" if value is None else str(value) for value in row.values()) for row in rows]
        path.write_text("\n".join([",".join(rows[0]), *cells, ""]))
    return path


@pytest.mark.parametrize("suffix", ["csv", "jsonl", "parquet"])
@pytest.mark.parametrize(
    ("day", "clock", "told"),
    [
        ("2026-06-20", "14:05", {}),
        ("2026-06-20", "14:05:00", {}),
        ("20260620", "14:05:00.000", {}),
        ("2026-06-20", "16:05:00", {"zone": "Europe/Berlin"}),
        ("20.06.2026", "14:05", {"time": "%d.%m.%Y %H:%M"}),
        ("06/20/2026", "2:05 PM", {"time": "%m/%d/%Y %I:%M %p"}),
    ],
)
def test_texts(tmp_path: Path, suffix: str, day: str, clock: str, told: dict[str, str]) -> None:
    assert times(write(tmp_path / f"log.{suffix}", [day] * 3, [clock] * 3), **told) == ([AT] * 3, [])


@pytest.mark.parametrize("suffix", ["csv", "jsonl", "parquet"])
def test_an_hour_is_a_clock_too(tmp_path: Path, suffix: str) -> None:
    hour = AT.replace(minute=0)
    path = write(tmp_path / f"log.{suffix}", ["2026-06-20"] * 2, [14, 0])
    assert times(path) == ([hour, MIDNIGHT], [])


def test_days_and_clocks_of_parquet(tmp_path: Path) -> None:
    path = write(tmp_path / "log.parquet", [date(2026, 6, 20)] * 2, [time(14, 5), None])
    assert times(path) == ([AT, MIDNIGHT], [])
    path = write(tmp_path / "more.parquet", [datetime(2026, 6, 20)] * 2, ["14:05", None])
    assert times(path) == ([AT, MIDNIGHT], [])


@pytest.mark.parametrize("told", [{}, {"time": "%Y-%m-%d %H:%M:%S"}])
def test_a_cell_that_is_none_costs_its_row_alone(tmp_path: Path, told: dict[str, str]) -> None:
    clocks = ["14:05:00", None, "at noon", "25:00:00", "14:05:00"]
    found = times(write(tmp_path / "log.csv", ["2026-06-20"] * 4 + [None], clocks), **told)
    assert found == ([AT, MIDNIGHT], ["wrong_type", "wrong_type", "null_timestamp"])


def test_other_sources_are_the_first_that_is_there(tmp_path: Path) -> None:
    path = write(tmp_path / "log.csv", ["2026-06-20T14:05:00Z", None], ["2026-06-21", "2026-06-20"])
    assert times(path) == ([AT, MIDNIGHT], [])
