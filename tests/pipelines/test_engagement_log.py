"""The engagement log as a stage: every row counted once, bad ones in the quarantine, nothing read twice."""

import datetime as dt
import json
import random
import shutil
from collections import Counter
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st
from useless_logs import ga4_names, good_rows, write
from users_runs import ITEM_IDS, NOW, finish_embeddings, us, vectors_of, write_vectors

from pipelines.console.jobs import beam_options
from pipelines.log import engagement_log, judge_log
from pipelines.log import rows as log_rows
from pipelines.log.engagement_log import LogConfig
from pipelines.log.judge_log import by_bucket_of_row, distinct_counts
from pipelines.log.rows import KEPT_VALUES, LogUse, RejectedRows, near_items, rejected_values, unknown_items
from pipelines.run import quarantine_pieces
from schemas.errors import UsageError
from schemas.hashing import mixed_hashes
from schemas.quarantine import Rejection
from schemas.tables import ACTIONS, ENGAGEMENTS, SURFACES

pytestmark = pytest.mark.medium

DATE = "2026-06-30"
LEFT_OUT = ("rows_quarantined", "rows_after_date", "rows_other_actions", "rows_without_user_or_query")
OF_USE = ("rows_equal", "rows_used")
ROWS = st.lists(
    st.fixed_dictionaries(
        {
            "timestamp": st.integers(-2, 2).map(lambda hours: NOW + dt.timedelta(hours=hours)),
            "user_id": st.sampled_from(["u", None]),
            "surface": st.sampled_from(SURFACES),
            "item_id": st.sampled_from(["a", "b", "gone", "left"]),
            "action": st.sampled_from(ACTIONS),
        }
    ),
    max_size=40,
)


CLICK = {"timestamp": NOW, "user_id": "u", "surface": "home", "item_id": "a", "action": "click"}


def judge(folder: Path, runner: tuple[str, ...] = (), **given) -> dict:
    config = {"run": str(folder / "run"), "engagements": str(folder / "log"), "date": DATE, **given}
    return engagement_log.run(LogConfig(**config), beam_options(runner))


def write_csv(path: Path, rows: list[dict]) -> None:
    lines = [",".join(rows[0]), *(",".join("" if v is None else str(v) for v in row.values()) for row in rows)]
    path.write_text("\n".join(lines) + "\n")


@pytest.fixture
def folder(tmp_path) -> Path:
    """A run with item vectors, and a log of two files: good rows, and of one file every other row unknown."""
    finish_embeddings(tmp_path / "run", vectors_of())
    (tmp_path / "log").mkdir()
    rows = good_rows(ITEM_IDS, NOW)
    write(tmp_path / "log" / "1.parquet", rows)
    write(tmp_path / "log" / "2.parquet", [ga4_names(row) if number % 2 else row for number, row in enumerate(rows)])
    return tmp_path


@given(ROWS, st.integers(1, 5), st.booleans())
def test_rows_are_counted_where_they_first_belong(rows, num_pieces, to_the_end_of_the_day):
    end_us = us(NOW) if to_the_end_of_the_day else None
    use = LogUse(end_us, pa.array(["a", "b", "c"]))
    num_used = 0
    for number in range(num_pieces):
        piece = [{**row, "query": "q" if row["surface"] != "home" else None} for row in rows[number::num_pieces]]
        use.add(pa.Table.from_pylist(piece, schema=ENGAGEMENTS))
        num_used += len(use.take()) if number % 2 else 0
    num_used += len(use.take())
    expected: Counter[str] = Counter()
    unknown: Counter[str] = Counter()
    for row in rows:
        if end_us is not None and us(row["timestamp"]) >= end_us:
            expected["rows_after_date"] += 1
        elif row["action"] in ("impression", "return"):
            expected["rows_other_actions"] += 1
        elif row["user_id"] is None and row["surface"] == "home":
            expected["rows_without_user_or_query"] += 1
        elif row["item_id"] not in ("a", "b"):
            expected["rows_item_unknown"] += 1
            unknown[repr(row["item_id"])] += 1
        else:
            expected["rows_used"] += 1
    counts = use.counts() | {"rows_used": num_used}
    assert {name: count for name, count in counts.items() if name.startswith("rows_") and count} == dict(expected)
    assert dict(unknown_items(counts)) == dict(unknown)


def rejection(got: str, reason: str = "unknown_action", expected: str = "an action") -> Rejection:
    return Rejection(
        level="row", stage="log", item_id=None, reason=reason, expected=expected, got=got, where="l:1", remedy="m"
    )


def test_the_values_that_are_rejected_most_are_kept_of_each_kind():
    counted = RejectedRows()
    counted.add([rejection(f"'{name}'") for name in "aabbbc"])
    counted.add([rejection(str(number), "wrong_type", "a time") for number in range(30)] + [rejection("'b'")])
    counts = counted.counts()
    assert (counts["rows_quarantined"], counts["reason:unknown_action"], counts["reason:wrong_type"]) == (37, 7, 30)
    found = rejected_values(counts)
    assert [(value.got, value.num_rows) for value in found[:3]] == [("'b'", 4), ("'a'", 2), ("'c'", 1)]
    assert [value.got for value in found if value.reason == "wrong_type"] == ["0", "1", "10", "11", "12"]


def test_a_log_of_distinct_values_takes_bounded_memory(monkeypatch):
    monkeypatch.setattr(log_rows, "_MAX_KINDS", 100)
    counted = RejectedRows()
    for number in range(50):
        counted.add([rejection(f"'{number}-{row}'") for row in range(20)] + [rejection("'view_item'")])
    assert len(counted._values) <= 100
    (first, *others) = rejected_values(counted.counts())
    assert (first.got, first.num_rows, len(others)) == ("'view_item'", 50, KEPT_VALUES - 1)
    assert counted.counts()["rows_quarantined"] == 50 * 21


def test_a_log_of_unknown_items_takes_bounded_memory(monkeypatch):
    monkeypatch.setattr(log_rows, "_MAX_KINDS", 100)
    use = LogUse(None, pa.array(["known"]))
    for number in range(50):
        rows = [{**CLICK, "item_id": f"{number}-{row}"} for row in range(130)]
        most = [{**CLICK, "item_id": item_id} for item_id in (" KNOWN", "z")]
        use.add(pa.Table.from_pylist([*rows, *most, *most], ENGAGEMENTS))
        use.take()
    assert len(use._unknown) <= 100
    counts = use.counts()
    assert counts["rows_item_unknown"] == 50 * 134
    assert unknown_items(counts)[:2] == [("' KNOWN'", 100), ("'z'", 100)]
    assert near_items(counts) == [("' KNOWN'", "'known'", 100)]


def test_the_quarantine_is_written_in_pieces_of_any_size(tmp_path, monkeypatch):
    bad = [{**row, "action": f"view {number}"} for number, row in enumerate(good_rows(ITEM_IDS, NOW) * 3)]
    (tmp_path / "log").mkdir()
    write_csv(tmp_path / "log" / "1.csv", bad)
    found = {}
    for rows_a_piece in (10**9, 25):
        finish_embeddings(tmp_path / f"run-{rows_a_piece}", vectors_of())
        monkeypatch.setattr(quarantine_pieces, "ROWS_A_PIECE", rows_a_piece)
        monkeypatch.setattr("schemas.reading.rows.MAX_BATCH_ROWS", 10)
        counts = judge(tmp_path, run=str(tmp_path / f"run-{rows_a_piece}"))["counts"]
        (path,) = (tmp_path / f"run-{rows_a_piece}" / "quarantine").iterdir()
        found[rows_a_piece] = pq.read_table(path).drop(["run"]), counts, pq.ParquetFile(path).num_row_groups
    (table, counts, one), (in_pieces, counts_of_pieces, several) = found.values()
    assert in_pieces.equals(table)
    assert counts_of_pieces == counts
    assert counts["rows_quarantined"] == len(table) == len(bad)
    assert (one, several > 3) == (1, True)


def test_every_row_is_counted_and_the_bad_ones_are_in_the_quarantine(folder, capsys):
    counts = judge(folder)["counts"]
    assert counts["rows_read"] == 120
    assert counts["rows_read"] == sum(counts[name] for name in (*LEFT_OUT, "rows_item_unknown", *OF_USE))
    assert (counts["rows_quarantined"], counts["reason:unknown_action"]) == (30, 30)
    assert (counts["rows_used"], counts["rows_equal"], counts["action:click"]) == (60, 30, 60)
    (file,) = (folder / "run" / "quarantine").iterdir()
    quarantine = pq.read_table(file).to_pylist()
    assert {(row["stage"], row["reason"], row["got"]) for row in quarantine} == {
        ("log", "unknown_action", "'view_item'")
    }
    assert len(quarantine) == 30
    assert "log: rows " in capsys.readouterr().out


def test_nothing_is_read_twice(folder, monkeypatch, capsys):
    first = judge(folder)
    with monkeypatch.context() as patched:
        patched.setattr(judge_log, "read_slice", lambda *_: pytest.fail("read again"))
        assert judge(folder) == first
    capsys.readouterr()
    lost = sorted((folder / "run" / "units" / "log").iterdir())[0]
    lost.unlink()
    assert judge(folder) == first
    assert "log: rows " in capsys.readouterr().out
    (folder / "log" / "2.parquet").unlink()
    counts = judge(folder)["counts"]
    assert (counts["rows_read"], counts["rows_quarantined"]) == (60, 0)
    assert not list((folder / "run" / "quarantine").iterdir())


@pytest.mark.parametrize(("num_files", "rows_at_once"), [(1, 500_000), (3, 500_000), (2, 7)])
def test_a_log_of_every_row_five_times_has_the_rows_of_use_of_the_log(
    tmp_path, monkeypatch, capsys, num_files, rows_at_once
):
    """Wherever the equal rows lie: in one file or several, in one piece of a file or another."""
    monkeypatch.setattr(judge_log, "MAX_ROWS_AT_ONCE", rows_at_once)
    actions = ["click", "save", "impression"]
    rows = [{**row, "action": actions[n % 3]} for n, row in enumerate(good_rows([*ITEM_IDS[:3], "gone"], NOW))]
    repeated = rows * 5
    random.Random(0).shuffle(repeated)
    made = []
    for name, given_rows in (("once", rows), ("often", repeated)):
        finish_embeddings(tmp_path / name / "run", vectors_of())
        (tmp_path / name / "log").mkdir()
        for number in range(num_files):
            table = pa.Table.from_pylist(given_rows[number::num_files])
            pq.write_table(table, tmp_path / name / "log" / f"{number}.parquet", row_group_size=11)
        made.append(judge(tmp_path / name)["counts"])
    once, often = made
    assert "rows_equal" not in once
    for count in ("rows_used", "action:click", "action:save"):
        assert often[count] == once[count] > 0
    assert often["rows_equal"] == 4 * once["rows_used"]
    assert often["rows_read"] == sum(often[name] for name in (*LEFT_OUT, "rows_item_unknown", *OF_USE)) == 300
    assert f"rows equal {4 * once['rows_used']}" in capsys.readouterr().out


@pytest.mark.parametrize(
    "runner",
    [
        ("--runner=BundleBasedDirectRunner",),
        ("--runner=FnApiRunner", "--direct_num_workers=2", "--direct_running_mode=multi_threading"),
    ],
)
def test_every_runner_writes_the_same_bytes(folder, runner):
    (folder / "other").mkdir()
    shutil.copytree(folder / "log", folder / "other" / "log")
    finish_embeddings(folder / "other" / "run", vectors_of())
    assert judge(folder / "other", runner) == judge(folder)
    written = [
        {path.name: path.read_bytes() for path in (root / "run" / "units" / "log").iterdir()}
        for root in (folder, folder / "other")
    ]
    assert len(written[0]) == 3
    assert written[0] == written[1]


@given(ROWS, st.integers(1, 5))
def test_rows_of_use_are_distinct_ones_however_they_are_cut(rows, num_pieces):
    table = pa.Table.from_pylist([{**row, "action": "save"} for row in rows], schema=ENGAGEMENTS)
    pieces: dict[int, list[bytes]] = {}
    for number in range(num_pieces):
        for bucket, piece in by_bucket_of_row(table.take(pa.array(range(number, len(table), num_pieces), pa.int64()))):
            pieces.setdefault(bucket, []).append(piece)
    counts = sum((distinct_counts(parts) for parts in pieces.values()), Counter())
    distinct = {tuple(row.values()) for row in table.to_pylist()}
    num_with_user = len({row for row in distinct if row[table.column_names.index("user_id")] is not None})
    expected = {
        "rows_used": len(distinct),
        "action:save": len(distinct),
        "rows_with_user": num_with_user,
        "rows_equal": len(rows) - len(distinct),
    }
    assert {**counts} == {name: count for name, count in expected.items() if count}


WORDS_OF_64_BITS = st.integers(0, 2**64 - 1)


@given(st.lists(st.tuples(WORDS_OF_64_BITS, WORDS_OF_64_BITS), min_size=1, max_size=5))
def test_the_hash_of_two_numbers_is_that_of_whole_numbers(pairs):
    first_N, second_N = np.array(pairs, np.uint64).T
    expected = [(a * 0x9E3779B97F4A7C15) % 2**64 ^ (a >> 29) ^ b for a, b in pairs]
    assert mixed_hashes(first_N, second_N).tolist() == expected


@pytest.mark.parametrize("change", ["date", "columns", "items"])
def test_what_the_counts_depend_on_makes_them_anew(folder, change):
    judge(folder)
    if change == "date":
        assert judge(folder, date="2026-06-29")["counts"]["rows_after_date"] == 2 * 24 - 12
    elif change == "columns":
        columns = {"engagements": {"user_id": "session_id", "query": "user_id"}}
        assert judge(folder, columns=columns)["counts"]["rows_used"] == 60
    else:
        other = write_vectors(folder / "other.parquet", vectors_of(ITEM_IDS[:30]))
        counts = judge(folder, embeddings=str(other))["counts"]
        assert (counts["rows_used"], counts["rows_equal"], counts["rows_item_unknown"]) == (30, 15, 45)
        assert unknown_items(counts)[0] == ("'item-030'", 2)


def test_a_log_without_rows_or_columns(folder):
    for path in (folder / "log").iterdir():
        path.unlink()
    pq.write_table(ENGAGEMENTS.empty_table(), folder / "log" / "1.parquet")
    assert judge(folder)["counts"].get("rows_read", 0) == 0
    (folder / "log" / "1.parquet").unlink()
    (folder / "log" / "1.jsonl").write_text(json.dumps({"when": 1}) + "\n")
    with pytest.raises(UsageError, match="timestamp"):
        judge(folder)


def test_ids_that_the_catalogue_has_in_another_spelling_are_named(folder, capsys):
    rows = good_rows(ITEM_IDS, NOW)
    spelt = [ITEM_IDS[0].upper(), f"00{ITEM_IDS[1]}", f"{ITEM_IDS[2]}.0", f" {ITEM_IDS[3]} ", "gone"]
    strange = [{**row, "item_id": item_id, "session_id": 7.5} for row, item_id in zip(rows, spelt, strict=False)]
    write(folder / "log" / "1.parquet", strange)
    write(folder / "log" / "2.parquet", rows)
    counts = judge(folder)["counts"]
    assert (counts["rows_item_unknown"], counts["rows_item_near"], counts["ids_trimmed"]) == (4, 3, 1)
    assert counts["cells_unreadable:session_id"] == 5
    left_out = sum(counts.get(name, 0) for name in (*LEFT_OUT, "rows_item_unknown"))
    assert counts["rows_read"] == counts["rows_used"] + counts.get("rows_equal", 0) + left_out
    said = capsys.readouterr().out
    assert "cells unreadable:session id 5, ids trimmed 1" in said
    assert "log: WARNING: 3 rows name items that the catalogue has in another spelling" in said
    assert f"'{ITEM_IDS[0].upper()}' is '{ITEM_IDS[0]}' there" in said


def test_unicode_forms_of_an_id_are_near():
    known = pa.array(["caf\u00e9", "b"])
    assert log_rows.near_misses(["cafe\u0301", "B ", "c"], known) == {"cafe\u0301": "caf\u00e9", "B ": "b"}
    assert log_rows.near_misses(["'SKU-1", "’2"], pa.array(["sku-1", "002"])) == {"'SKU-1": "sku-1", "’2": "002"}
    assert log_rows.near_misses(["SKU-1"], pa.array(["'SKU-1"])) == {"SKU-1": "'SKU-1"}
    assert log_rows.near_misses([], known) == log_rows.near_misses(["b"], pa.array([], pa.string())) == {}


@pytest.mark.parametrize(
    ("num_lacking", "told"),
    [
        (2, "log: no column action: all 120 rows are clicks"),
        (1, "log: no column action in 1 of 2 files: all their rows are clicks"),
        (0, ""),
    ],
)
def test_that_rows_are_taken_for_clicks_is_said(folder, capsys, num_lacking, told):
    rows = good_rows(ITEM_IDS, NOW)
    for number in range(2):
        kept = [{key: row[key] for key in row if key != "action"} for row in rows] if number < num_lacking else rows
        write_csv(folder / "log" / f"{number + 1}.csv", kept)
        (folder / "log" / f"{number + 1}.parquet").unlink()
    judge(folder)
    said = [line for line in capsys.readouterr().out.splitlines() if "clicks" in line]
    assert said == [told] * bool(told)


def test_an_action_that_is_told_is_not_taken_for_granted(folder, capsys):
    rows = [{key: row[key] for key in row if key != "action"} for row in good_rows(ITEM_IDS, NOW)]
    for number in range(2):
        write_csv(folder / "log" / f"{number + 1}.csv", rows)
        (folder / "log" / f"{number + 1}.parquet").unlink()
    judge(folder, columns={"engagements": {"action": {"constant": "save"}}})
    assert "no column action" not in capsys.readouterr().out


@pytest.mark.parametrize(
    "content", ["timestamp,user_id,item_id,action\n", "", "timestamp,user_id,item_id,action\n,,,\n"]
)
def test_a_log_of_a_header_alone_is_called_empty(tmp_path, capsys, content):
    finish_embeddings(tmp_path / "run", vectors_of())
    (tmp_path / "log.csv").write_text(content)
    assert judge(tmp_path, engagements=str(tmp_path / "log.csv"))["counts"].get("rows_read", 0) == 0
    said = capsys.readouterr().out
    assert "log: WARNING: the log is empty (a header alone, or not even that): " in said
    assert "log.csv" in said


def test_a_log_that_ends_within_a_row_is_told(tmp_path, capsys):
    finish_embeddings(tmp_path / "run", vectors_of())
    (tmp_path / "log.csv").write_text("timestamp,user_id,item_id,action\n2026-06-30,u,a,click\n2026-06-30,u")
    assert judge(tmp_path, engagements=str(tmp_path / "log.csv"))["counts"]["reason:cut_off_file"] == 1
    assert "log: WARNING: 1 file ends within a row in " in capsys.readouterr().out


@pytest.mark.parametrize(
    ("times", "counted"),
    [
        (["2026-06-30 10:00:00.5+02", "2026-06-29T10:00:00Z"], (2, 0, 0)),
        (["2026-06-30 10:00:00.5", "2026-06-29T10:00:00"], (0, 2, 0)),
        (["1782813600", "1782813601000"], (0, 0, 2)),
        (["2026-06-30 10:00:00+02", "2026-06-30 10:00:00"], (1, 1, 0)),
        (["2026-06-30 10:00:00+02", "1782813600"], (1, 0, 1)),
        ([], (0, 0, 0)),
    ],
)
def test_how_the_times_of_a_log_are_written_is_kept(tmp_path, times, counted):
    finish_embeddings(tmp_path / "run", vectors_of())
    lines = ["timestamp,user_id,item_id,action", *(f"{time},u,a,click" for time in times)]
    (tmp_path / "log.csv").write_text("\n".join(lines) + "\n")
    counts = judge(tmp_path, engagements=str(tmp_path / "log.csv"))["counts"]
    found = [counts.get(f"times_{how}", 0) for how in ("with_offset", "without_offset", "since_1970")]
    assert (*found, counts.get("rows_quarantined", 0)) == (*counted, 0)


def test_a_log_whose_clicks_have_their_items_elsewhere_is_told(tmp_path, capsys):
    finish_embeddings(tmp_path / "run", vectors_of())
    (tmp_path / "log").mkdir()
    lines = [{"items": [{"id": ITEM_IDS[0]}], "action": "checkout"}, *[{"items": None, "action": "click"}] * 2]
    at = {"timestamp": "2026-06-30T10:00:00Z", "user_id": "u"}
    (tmp_path / "log" / "1.jsonl").write_text("\n".join(json.dumps(at | line) for line in lines))
    counts = judge(tmp_path, columns={"engagements": {"item_id": "items.id"}})["counts"]
    assert (counts["rows_read"], counts["rows_used"], counts["events_without_items"]) == (1, 1, 2)
    assert "log: WARNING: most events have no item of these actions: 2 of 2 click;" in capsys.readouterr().out
