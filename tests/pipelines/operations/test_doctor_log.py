"""The checklist before a run: what it tells of the log."""

import datetime as dt
import json

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from doctor_findings import by_name
from exploration import representatives, soak
from useless_logs import ga4_names, good_rows, write

import schemas.reading.rows
from pipelines.operations.doctor.job import DoctorConfig, diagnose, main
from pipelines.operations.findings import FAILED, OK, WARNING


def test_what_was_read_of_a_long_log_is_told(tmp_path, monkeypatch):
    monkeypatch.setattr(schemas.reading.rows, "MAX_BATCH_ROWS", 20)
    log = write(tmp_path / "log.parquet", good_rows(["item-1"], dt.datetime(2026, 7, 1, tzinfo=dt.UTC)))
    found = by_name(diagnose(DoctorConfig(engagements=str(log))))["rows of engagements"]
    assert found.looked_at == "20 of the first 20 of 60 rows can be read"


def test_dates_in_a_format_of_their_own_are_told_with_what_to_write(tmp_path):
    rows = good_rows(["item-1"], dt.datetime(2026, 7, 1, tzinfo=dt.UTC))
    log = write(tmp_path / "log.parquet", [{**row, "timestamp": f"{row['timestamp']:%d.%m.%Y}"} for row in rows])
    (problem,) = by_name(diagnose(DoctorConfig(engagements=str(log))))["rows of engagements"].problems
    assert "'30.06.2026' in 2" in str(problem)
    assert '[columns.engagements] timestamp = {time = "%d.%m.%Y"}' in str(problem)


LACKING = "; times without an offset:"
LOCAL, ZONED = "2026-06-30 10:00:00", "2026-06-30T10:00:00+02:00"


@pytest.mark.parametrize(
    ("times", "zone", "time_zone", "told", "num_warnings"),
    representatives(
        [
            ([LOCAL, LOCAL, ZONED], None, "UTC", f"{LACKING} 2, read as UTC; with 1", 0),
            ([ZONED, 1782806400], None, "UTC", "", 0),
            ([ZONED, ZONED], "Europe/Berlin", "UTC", "; none of the times lacks an offset, so the zone is not used", 0),
            ([LOCAL, ZONED, 1782806400], "Europe/Berlin", "UTC", f"{LACKING} 1, read as Europe/Berlin; with 2", 0),
            ([LOCAL], None, "Europe/Berlin", f"{LACKING} 1, read as UTC; with 0", 1),
            ([LOCAL], "Europe/Berlin", "Europe/Berlin", f"{LACKING} 1, read as Europe/Berlin; with 0", 0),
        ],
        *(0, 2, 4),
    ),
)
def test_of_which_zone_times_are_is_told(tmp_path, times, zone, time_zone, told, num_warnings):
    rows = good_rows(["item-1"], dt.datetime(2026, 7, 1, tzinfo=dt.UTC))[: len(times)]
    lines = [json.dumps({**row, "timestamp": time}) for row, time in zip(rows, times, strict=True)]
    (tmp_path / "log.jsonl").write_text("\n".join(lines))
    columns = {"engagements": {"timestamp": {"zone": zone}}} if zone else {}
    found = by_name(diagnose(DoctorConfig(engagements=f"{tmp_path}/log.jsonl", columns=columns, time_zone=time_zone)))
    finding = found["rows of engagements"]
    assert finding.looked_at.replace("with one, or since 1970: ", "with ").endswith(f"rows can be read{told}")
    assert [('timestamp = {zone = "Europe/Berlin"}' in warning) for warning in finding.warnings] == [
        True
    ] * num_warnings


def test_a_column_of_types_that_have_no_zone(tmp_path):
    rows = good_rows(["item-1"], dt.datetime(2026, 7, 1, tzinfo=dt.UTC))
    local = [{**row, "timestamp": row["timestamp"].replace(tzinfo=None)} for row in rows]
    log = write(tmp_path / "log.parquet", local)
    found = by_name(diagnose(DoctorConfig(engagements=str(log))))["rows of engagements"]
    assert found.looked_at.endswith("; times without an offset: 60, read as UTC; with one, or since 1970: 0")


def test_a_log_whose_ids_are_all_null_is_told_with_the_column_that_may_be_meant(tmp_path):
    rows = good_rows(["item-1"], dt.datetime(2026, 7, 1, tzinfo=dt.UTC))
    log = write(tmp_path / "log.parquet", [{**row, "sku": row["item_id"], "item_id": None} for row in rows])
    (problem,) = by_name(diagnose(DoctorConfig(engagements=str(log))))["rows of engagements"].problems
    assert "null_id 60 (expected an item_id, got None in 60 rows): no row here has one in 'item_id': is it 'sku'? " in (
        str(problem)
    )


@pytest.mark.parametrize(
    ("num_bad", "flags", "status"),
    [*soak((0, [], OK), (30, [], FAILED)), (5, [], WARNING), (30, ["--max-quarantined-log", "0.5"], WARNING)],
)
def test_rows_of_the_log_are_held_against_the_gate(tmp_path, capsys, num_bad, flags, status):
    rows = good_rows(["item-1"], dt.datetime(2026, 7, 1, tzinfo=dt.UTC))
    log = write(tmp_path / "log.parquet", [*map(ga4_names, rows[:num_bad]), *rows[num_bad:]])
    assert main(["--engagements", str(log), "--json", *flags]) == (3 if status == FAILED else 0)
    (found,) = [f for f in json.loads(capsys.readouterr().out)["findings"] if f["check"] == "rows of engagements"]
    assert (found["status"], found["looked_at"]) == (status, f"{60 - num_bad} of the 60 rows can be read")
    told = " ".join(found["problems"] + found["warnings"])
    assert (f"got 'view_item' in {num_bad} rows): use one of the expected actions" in told) == (num_bad > 0)


def test_times_that_cannot_be_read_cost_only_themselves(tmp_path):
    rows = good_rows(["item-1"], dt.datetime(2026, 7, 1, tzinfo=dt.UTC))
    table = pa.Table.from_pylist([{**row, "timestamp": row["timestamp"].isoformat()} for row in rows])
    texts = table["timestamp"].to_pylist()
    garbled = pa.array([b"\xff", *(text.encode() for text in texts[1:])]).cast(pa.string(), safe=False)
    for number, times in enumerate((garbled, _dates_of_whom_one_is_beyond(len(texts)))):
        path = tmp_path / f"{number}.parquet"
        pq.write_table(table.set_column(table.column_names.index("timestamp"), "timestamp", times), path)
        found = by_name(diagnose(DoctorConfig(engagements=str(path))))["rows of engagements"]
        assert not found.problems
        assert found.looked_at.startswith("59 of the 60 rows can be read")


def _dates_of_whom_one_is_beyond(num_dates):
    """date64, of which the first is in a year that Python does not have."""
    day_ms = 86_400_000
    return pa.array([2**60 // day_ms * day_ms, *[20_000 * day_ms] * (num_dates - 1)]).cast(pa.date64())


def test_a_log_without_a_column_of_actions_is_told_what_its_rows_are(tmp_path):
    rows = good_rows(["item-1"], dt.datetime(2026, 7, 1, tzinfo=dt.UTC))
    log = tmp_path / "log.parquet"
    write(log, rows)
    pq.write_table(pq.read_table(log).drop_columns("action"), log)
    found = by_name(diagnose(DoctorConfig(engagements=str(log))))["rows of engagements"]
    assert found.looked_at == "60 of the 60 rows can be read; no column action: all 60 rows are clicks"
    assert (found.problems, found.warnings) == ([], [])


@pytest.mark.parametrize("name", ["log.parquet", *soak("log.jsonl")])
def test_events_that_have_no_item_are_told(tmp_path, name):
    at, views = "2026-06-30T10:00:00Z", [{"id": "item-1"}]
    rows = [
        *({"timestamp": at, "user_id": "u", "event": "View", "items": [], "product_id": "item-1"} for _ in range(5)),
        {"timestamp": at, "user_id": "u", "event": "Order", "items": views, "product_id": None},
        {"timestamp": at, "user_id": "u", "event": "Home", "items": [], "product_id": None},
    ]
    if name.endswith("parquet"):
        pq.write_table(pa.Table.from_pylist(rows), tmp_path / name)
    else:
        (tmp_path / name).write_text("\n".join(map(json.dumps, rows)))
    action = {"source": "event", "values": {"View": "click", "Order": "checkout", "Home": ""}}
    found = {}
    for sources in ("items.id", ["items.id", "product_id"]):
        columns = {"engagements": {"item_id": sources, "action": action}}
        config = DoctorConfig(engagements=str(tmp_path / name), columns=columns)
        found[str(sources)] = by_name(diagnose(config))["rows of engagements"]
    lost, whole = found.values()
    assert lost.looked_at.startswith(
        "1 of 1 rows of the first events, of which others are none (events without items 6)"
    )
    (warning,) = lost.warnings
    assert "most events have no item of these actions: 5 of 5 click" in warning
    assert whole.looked_at.startswith(
        "6 of 6 rows of the first events, of which others are none (events without items 1)"
    )
    assert whole.warnings == []


@pytest.mark.medium
@pytest.mark.parametrize(
    ("item", "told"),
    [
        ("7", "'7' is '000007' there"),
        ("SKU", "the catalogue has no item 'SKU' in 3 rows"),
        ("000007,000008", 'separator = ","'),
    ],
)
def test_a_log_of_which_no_row_is_on_an_item_of_the_catalogue_is_a_problem(tmp_path, monkeypatch, item, told):
    rows = good_rows([item], dt.datetime(2026, 7, 1, tzinfo=dt.UTC))[:3]
    log = write(tmp_path / "log.parquet", rows)
    (tmp_path / "p.csv").write_text("item_id,title\n000007,a red mug\n000008,a blue mug\n")
    config = DoctorConfig(catalog=f"{tmp_path}/p.csv", engagements=str(log))
    finding = by_name(diagnose(config))["rows of engagements"]
    assert finding.status == FAILED
    assert "0 of 3 are on items of the catalogue" in finding.looked_at
    (problem,) = finding.problems
    assert "0 of 3 log rows are of use: expected at least 1; rows item unknown 3" in str(problem)
    assert told in str(problem)
    monkeypatch.setattr(schemas.reading.rows, "MAX_BATCH_ROWS", 2)  # of many rows the first may be old ones
    assert by_name(diagnose(config))["rows of engagements"].status == WARNING


def test_rows_that_name_several_items_in_a_text_are_a_warning(tmp_path):
    start = dt.datetime(2026, 7, 1, tzinfo=dt.UTC)
    log = write(tmp_path / "log.parquet", [*good_rows(["7"], start)[:1], *good_rows(["7|8"], start)[:2]])
    (tmp_path / "p.csv").write_text("item_id,title\n7,a red mug\n8,a blue mug\n")
    finding = by_name(diagnose(DoctorConfig(catalog=f"{tmp_path}/p.csv", engagements=str(log))))["rows of engagements"]
    assert finding.status == WARNING
    assert finding.warnings[0].startswith("2 rows name several items in one text, such as '7|8'")


def test_times_that_nobody_set_are_told(tmp_path):
    rows = good_rows(["item-1"], dt.datetime(2026, 7, 1, tzinfo=dt.UTC))
    times = ["1970-01-01", "1970-01-01 00:00:00", "0000-00-00 00:00:00", "0"]
    texts = [*times, *(f"{row['timestamp']:%Y-%m-%dT%H:%M:%SZ}" for row in rows[len(times) :])]
    given = [{**row, "timestamp": text} for row, text in zip(rows, texts, strict=True)]
    log = write(tmp_path / "log.parquet", given)
    found = by_name(diagnose(DoctorConfig(engagements=str(log))))["rows of engagements"]
    assert found.looked_at.startswith(f"{len(rows) - 2} of the {len(rows)} rows can be read")
    told = [text for text in found.warnings if "before 1990" in text]
    assert len(told) == 1
    assert told[0].startswith("2 times are before 1990")


@pytest.mark.parametrize(("year", "status", "is_told"), [(2026, OK, False), (2052, FAILED, True)])
def test_rows_after_the_day_of_the_run_are_told_before_it(tmp_path, year, status, is_told):
    log = write(tmp_path / "log.parquet", good_rows(["item-1"], dt.datetime(year, 7, 1, tzinfo=dt.UTC)))
    finding = by_name(diagnose(DoctorConfig(engagements=str(log), date="2026-06-30")))["rows of engagements"]
    assert finding.status == status
    assert ("; 60 are after 2026-06-30, and not used" in finding.looked_at) is is_told
    told = [*finding.problems, *finding.warnings]
    assert ("0 of 60 log rows are of use: expected at least 1; rows after date 60" in told) is is_told
    assert any("60 times are of 2052, which is yet to come" in text for text in told) is is_told


def test_users_that_a_spreadsheet_rounded_are_no_users(tmp_path):
    rows = good_rows(["item-1"], dt.datetime(2026, 7, 1, tzinfo=dt.UTC))
    rounded = [{**row, "user_id": "1.23451E+18", "surface": "home", "query": None} for row in rows]
    log = write(tmp_path / "log.parquet", rounded)
    finding = by_name(diagnose(DoctorConfig(engagements=str(log))))["rows of engagements"]
    assert "0 of 60 log rows are of use: expected at least 1; rows without user or query 60" in finding.problems
    assert any(text.startswith("60 cells of user_id cannot be read, and are empty") for text in finding.warnings)
