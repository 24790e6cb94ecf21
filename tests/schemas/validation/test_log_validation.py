"""Each rule of a log, and of judgements, with its reason and what to do."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import pyarrow as pa
import pytest
from raw_batches import SLICE, engagements, outcome, raw_rows

from schemas.columns.spec import Column
from schemas.tables import ENGAGEMENTS, JUDGEMENTS, TIMESTAMP
from schemas.validation.log import validate_engagements, validate_judgements
from schemas.validation.rules import REMEDIES

NOON = datetime(2024, 5, 1, 12, tzinfo=UTC)


@pytest.mark.parametrize(
    "column",
    [
        pa.array([NOON], pa.timestamp("s", "UTC")),
        pa.array([NOON], pa.timestamp("ns", "Europe/Berlin")),
        pa.array([NOON.replace(tzinfo=None)], pa.timestamp("ms")),
        pa.array([int(NOON.timestamp() * 1e9) + 1], pa.timestamp("ns")),
        pa.array(["2024-05-01T12:00:00Z"]),
        pa.array(["2024-05-01 12:00:00"]),
        ["2024-05-01T14:00:00+02:00"],
        [datetime(2024, 5, 1, 14, tzinfo=timezone(timedelta(hours=2)))],
    ],
)
def test_timestamps_become_utc(column: Any) -> None:
    good, reasons, _ = outcome(engagements(timestamp=column), validate_engagements)
    assert not reasons
    assert good["timestamp"].to_pylist() == [NOON]
    assert good.schema == ENGAGEMENTS


def test_timestamps_that_are_none() -> None:
    mixed = [None, "", "2024-05-01", 20240501, "20240501100000", "16120101012", "soon", "2024-13-01", 1.5, True]
    good, reasons, _ = outcome(engagements(timestamp=mixed), validate_engagements)
    assert good["timestamp"].to_pylist() == [datetime(2024, 5, 1, tzinfo=UTC)]
    assert (reasons[1], reasons[2]) == ("null_timestamp", "null_timestamp")
    assert [reasons[row] for row in range(4, 11)] == ["wrong_type"] * 7
    for column in (
        pa.array([20240501]),
        pa.array([10**12], pa.timestamp("s")),
        pa.array([10**16], pa.timestamp("s")),
    ):
        assert outcome(engagements(timestamp=column), validate_engagements)[1] == {1: "wrong_type"}
    assert outcome(engagements(timestamp=pa.array([None], TIMESTAMP)), validate_engagements)[1] == {1: "null_timestamp"}


def test_engagement_rules() -> None:
    columns = {
        "surface": ["search", "closeup", "home", "Seek", None, "search", "closeup", "search", "search", "search"],
        "query": ["mug", "a.jpg", "ignored", "x", "x", None, "  ", "x" * 2001, "x", "x"],
        "action": ["click", "save", "checkout", "click", "click", "click", "click", "click", "buy", None],
        "item_id": ["a", 5, "a", "a", "a", "a", "a", "a", "a", "a"],
    }
    good, reasons, counts = outcome(engagements(**columns), validate_engagements)
    assert reasons == {
        4: "unknown_surface",
        5: "unknown_surface",
        6: "missing_query",
        7: "missing_query",
        9: "unknown_action",
        10: "unknown_action",
    }
    assert good["query"].to_pylist() == ["mug", "a.jpg", None, "x" * 2000]
    assert good["item_id"].to_pylist() == ["a", "5", "a", "a"]
    assert counts["queries_truncated"] == 1
    _, reasons, _ = outcome(engagements(item_id=[None, "", "\ud800", 1.5]), validate_engagements)
    assert reasons == {1: "null_id", 2: "null_id", 3: "bad_utf8", 4: "wrong_type"}


def test_judgement_rules() -> None:
    grades = [1, 2.5, "3", None, "many", float("nan"), True, 1e300, 1, 1]
    surfaces = ["search"] * 8 + ["home", "search"]
    queries = ["mug"] * 9 + [None]
    raw = raw_rows(JUDGEMENTS, surface=surfaces, query=queries, item_id=["a"] * 10, grade=grades)
    good, reasons, _ = outcome(raw, validate_judgements)
    assert good["grade"].to_pylist() == [1.0, 2.5, 3.0]
    assert good.schema == JUDGEMENTS
    assert reasons == {**dict.fromkeys(range(4, 9), "wrong_type"), 9: "unknown_surface", 10: "missing_query"}
    for kind in (pa.float32(), pa.float64(), pa.int8(), pa.decimal128(22, 2)):
        good, reasons, _ = outcome(
            raw_rows(
                JUDGEMENTS,
                surface=pa.array(["search"]),
                query=pa.array(["mug"]),
                item_id=pa.array(["a"]),
                grade=pa.array([2]).cast(kind),
            ),
            validate_judgements,
        )
        assert (good["grade"].to_pylist(), reasons) == ([2.0], {})


@pytest.mark.parametrize(
    ("column", "written"),
    [
        (pa.array(["30.06.2026", "01.07.2026", "soon"]), 'timestamp = {source = "day", time = "%d.%m.%Y"}'),
        (pa.array(["06/30/2026 10:00"]), 'timestamp = {source = "day", time = "%m/%d/%Y %H:%M"}'),
        (pa.array([20260630, 20260701]), 'timestamp = {source = "day", time = "%Y%m%d"}'),
        (pa.array([20260630.0]), 'timestamp = {source = "day", time = "%Y%m%d"}'),
        (pa.array([b"30.06.2026"]), 'timestamp = {source = "day", time = "%d.%m.%Y"}'),
        (pa.array([2026063010]), 'timestamp = {source = "day", time = "%Y%m%d%H"}, or time = "s" there'),
        (pa.array(["30/Jun/2026:10:00:00 +0000"]), 'time = "%d/%b/%Y:%H:%M:%S %z"'),
        (["06/07/2026", 5], '{source = "day", time = "%d/%m/%Y"}, or time = "%m/%d/%Y" there'),
    ],
)
def test_a_date_in_a_format_of_its_own_is_told_with_the_key_to_write(column: Any, written: str) -> None:
    raw = replace(engagements(timestamp=column), columns={"timestamp": Column(source=("day",))})
    _, rejections, _ = validate_engagements(raw, SLICE)
    assert len(rejections) == len(column)
    for rejection in rejections:
        assert rejection.reason == "wrong_type"
        assert written in rejection.remedy
        assert rejection.remedy.startswith("say how it is written, in the config: [columns.engagements] ")


def test_a_format_that_is_told_and_not_needed_is_to_be_left_out() -> None:
    raw = engagements(timestamp=pa.array(["2026-06-30T10:00:00Z", "2026-06-30 10:00"]))
    raw = replace(raw, columns={"timestamp": Column(source=("timestamp",), time="%d.%m.%Y")})
    _, rejections, _ = validate_engagements(raw, SLICE)
    assert {rejection.remedy for rejection in rejections} == {
        "leave time = '%d.%m.%Y' out of timestamp in [columns.engagements]: such times are read without it"
    }


def test_a_format_that_some_rows_are_not_written_in_is_told_by_none() -> None:
    raw = engagements(timestamp=pa.array(["30.06.2026", "01.07.2026", "06.07.2026 10:00"]))
    raw = replace(raw, columns={"timestamp": Column(source=("timestamp",), time="%d.%m.%Y")})
    (rejection,) = validate_engagements(raw, SLICE)[1]
    assert rejection.remedy.startswith("the times are written in several ways, %d.%m.%Y %H:%M and such as other rows")


def test_what_is_no_date_has_the_remedy_of_its_reason() -> None:
    _, rejections, _ = validate_engagements(engagements(timestamp=pa.array(["soon", "late"])), SLICE)
    assert {rejection.remedy for rejection in rejections} == {REMEDIES["wrong_type"]}


def test_what_is_wrong_is_told_by_the_shops_name_of_its_column() -> None:
    columns = {"item_id": "artikel", "timestamp": "wann", "action": "was"}
    given = {
        "item_id": [1.5, "a", "a"],
        "timestamp": ["2026-06-30", "soon", "2026-06-30"],
        "action": ["click"] * 2 + [[1]],
    }
    _, rejections, _ = validate_engagements(replace(engagements(**given), columns=columns), SLICE)
    item, time, action = rejections
    assert item.expected == "text or a whole number in 'artikel' (item_id)"
    assert "[columns.engagements] item_id = " in item.remedy
    assert time.expected == "a timestamp, ISO 8601 text or seconds, ms, us or ns since 1970 in 'wann' (timestamp)"
    assert action.expected == "text in 'was' (action)"
    grades = raw_rows(JUDGEMENTS, surface=["search"], query=["mug"], item_id=["a"], grade=["much"])
    _, (grade,), _ = validate_judgements(replace(grades, columns={"grade": "note"}), SLICE)
    assert grade.expected == "a finite number in 'note' (grade)"
