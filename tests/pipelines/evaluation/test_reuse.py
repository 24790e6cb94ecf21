"""When the report of an earlier evaluation is taken over, when it is computed again, and what is loaded for it."""

import datetime as dt
import subprocess
import sys
from typing import Any

import pyarrow as pa
import pytest
from evaluated_days import DATE, LAST, NEXT_DATE, NUM_ITEMS, ROWS, row, task, write_rows
from hypothesis import given
from hypothesis import strategies as st

import pipelines.evaluate.plan
import pipelines.evaluate.query_pictures
from pipelines.evaluate.job import format_report
from pipelines.evaluate.query_pictures import PATH
from pipelines.log.training_rows import QUERY_ROWS, rows_hash
from pipelines.run.units import read_stage_manifest
from schemas.errors import CorruptFileError
from schemas.files import read_json, write_json, write_sealed_json

pytestmark = pytest.mark.slow


def test_an_unchanged_day_reuses_and_loads_nothing(shop):
    first, _ = shop.day()
    bytes_before = (shop.run / PATH).read_bytes()
    second, reused = shop.day()
    assert reused
    assert second == first
    assert format_report(second) == format_report(first)
    assert not shop.loads
    assert (shop.run / PATH).read_bytes() == bytes_before


def test_other_files_with_equal_rows_and_a_later_date_reuse(shop):
    shop.day([*ROWS, row("home", None, 3, when=LAST + dt.timedelta(hours=1))])
    parts = shop.folder / "log"
    write_rows(parts / "a.parquet", [*ROWS[12:][::-1], *[row("home", None, 1) for _ in range(5)]])
    write_rows(parts / "b.parquet", [*ROWS[:12][::-1], row("closeup", "x.png", 2, "impression")])
    report, reused = shop.day(str(parts), date=NEXT_DATE)
    assert reused
    assert not shop.loads
    assert (report["rows"]["rows_read"], report["rows"]["rows_other_surface_or_action"]) == (29, 8)
    assert report == shop.from_scratch(str(parts), date=NEXT_DATE)


def test_rows_after_the_date_do_not_count(shop):
    shop.day()
    report, reused = shop.day([*ROWS, row("search", "lamp", 3, when=LAST + dt.timedelta(days=1))])
    assert reused
    assert report["rows"]["rows_after_date"] == 1
    assert not shop.day([*ROWS, row("search", "lamp", 3, when=LAST + dt.timedelta(days=1))], date=NEXT_DATE)[1]


def test_one_more_engagement_loads_the_towers_alone(shop):
    shop.day()
    more = [*ROWS, row("search", "silk lamp", 3)]
    report, reused = shop.day(more)
    assert not reused
    assert shop.loads == {"load_text_tower": 1, "load_picture_tower": 1}
    assert task(report, "search/click")["queries"] == 11
    assert report == shop.from_scratch(more)


def test_an_engagement_that_counts_twice_is_another_evaluation(shop):
    first, _ = shop.day()
    second, reused = shop.day([*ROWS, ROWS[-1]])  # of the training part: popularity counts it
    assert not reused
    assert second["fingerprint"] != first["fingerprint"]


@pytest.mark.parametrize("damage", ["cut", "digit", "absent", "not json", "a list"])
def test_damaged_metrics_are_computed_again(shop, damage):
    first, _ = shop.day()
    path = shop.run / "metrics.json"
    text = path.read_text()
    damaged = {
        "cut": text[:-20],
        "digit": text.replace('"queries": 10', '"queries": 11'),
        "not json": "\x00",
        "a list": "[1]",
    }
    assert damaged.get(damage) != text
    path.unlink()
    if damage in damaged:
        path.write_text(damaged[damage])
    second, reused = shop.day()
    assert not reused
    assert second == first
    assert shop.loads["ImageEncoder"] == 0


@pytest.mark.parametrize("stage", ["items", "features", "embeddings"])
def test_other_items_are_another_evaluation(shop, stage):
    shop.day()
    run = shop.new_run()
    manifest = read_stage_manifest(str(run), stage)
    manifest["files"].append({"path": f"quarantine/{stage}-x.parquet", "bytes": 1, "sha256": "1" * 64})
    write_sealed_json(run / "manifests" / f"{stage}.json", manifest)
    assert shop.day(run=run)[1]  # a quarantine file names its run: it is none of the evaluation's inputs
    run = shop.new_run()
    manifest = read_stage_manifest(str(run), stage)
    manifest["files"][0]["sha256"] = "0" * 64
    write_sealed_json(run / "manifests" / f"{stage}.json", manifest)
    with pytest.raises(CorruptFileError, match=r"expected sha256 0{64}"):  # it is not reused, so the file is read
        shop.day(run=run)


def test_an_unpublished_run_keeps_its_own_report(shop):
    yesterday = shop.day([*ROWS, row("search", "silk lamp", 3)]) and shop.run
    first, _ = shop.day()
    run, shop.run = shop.run, yesterday
    assert shop.day(run=run) == (first, False)  # not yesterday's: its gates failed, and the call is repeated
    assert not shop.loads
    more = [*ROWS, row("search", "silk lamp", 3)]
    shop.run = yesterday
    assert shop.day(more, run=run)[1]  # another log than before: yesterday's report after all
    write_json(run / "metrics.json", {**read_json(run / "metrics.json"), "items": 1})
    shop.run = None
    again, reused = shop.day(more, run=run)
    assert (again["items"], reused) == (NUM_ITEMS, False)
    assert shop.loads["load_text_tower"] == 1


def test_a_report_that_is_taken_over_groups_no_text_rows(shop, monkeypatch):
    searches = [each for each in ROWS if each["surface"] == "search"]
    first, _ = shop.day(searches)

    def forbidden(*_: Any) -> None:
        raise AssertionError("neither pairs nor baselines are needed")

    monkeypatch.setattr(pipelines.evaluate.plan, "held_out_tasks", forbidden)
    monkeypatch.setattr(pipelines.evaluate.plan, "TrainingLog", forbidden)
    assert shop.day(searches) == (first, True)


def test_a_day_without_change_need_not_wait_for_big_libraries(shop):
    shop.day()
    run, log = shop.new_run(), write_rows(shop.folder / "next.parquet", ROWS)
    facts = {"engagements": log, "image_root": str(shop.image_root), "date": DATE, "columns": {}}
    code = f"""if True:
        import sys
        from pathlib import Path
        from pipelines.daily import job as daily
        print(daily.evaluate.evaluate_or_reuse(*map(Path, {[str(run), str(shop.model), str(shop.run)]}), **{facts})[1])
        print(*{{"scipy", "sklearn", "torchvision"}} & sys.modules.keys())
    """
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert (done.stdout.split(), done.stderr) == (["True"], "")


QUERY_ROW = st.fixed_dictionaries(
    {
        "timestamp": st.datetimes(dt.datetime(2000, 1, 1), dt.datetime(2030, 1, 1), timezones=st.just(dt.UTC)),
        "surface": st.sampled_from(["search", "closeup"]),
        "query": st.text(max_size=3),
        "item_id": st.text(min_size=1, max_size=2),
        "action": st.sampled_from(["click", "save"]),
    }
)


@given(st.lists(QUERY_ROW, max_size=12), st.randoms(use_true_random=False))
def test_rows_hash_sees_the_bag_of_rows_alone(rows, random):
    shuffled = random.sample(rows, len(rows))
    cut = random.randint(0, len(rows))
    parts = [pa.Table.from_pylist(part, schema=QUERY_ROWS) for part in (shuffled[:cut], shuffled[cut:])]
    expected = rows_hash(pa.Table.from_pylist(rows, schema=QUERY_ROWS))
    assert rows_hash(pa.concat_tables(parts)) == expected
    assert rows_hash(parts[0]) != expected or cut == len(rows)
    changed = [{**each, "query": each["query"] + "x"} for each in rows]
    assert rows_hash(pa.Table.from_pylist(changed, schema=QUERY_ROWS)) != expected or not rows
