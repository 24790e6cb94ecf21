"""The gates on hand-made runs: each passes, fails by a little with its numbers in the message, is accepted or not."""

import dataclasses
import json
import shutil
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from gate_runs import (
    DEFAULTS,
    DIM,
    MODEL_ID,
    TODAY,
    YESTERDAY,
    edit,
    flip_byte,
    judge,
    make_run,
    names,
    report_of,
    statuses,
    unit_rows,
)
from hypothesis import given
from hypothesis import strategies as st

import pipelines.gating.vectors
from pipelines.gates import (
    GATES,
    GateResult,
    GateThresholds,
    check_quarantine_share,
    format_gates,
    require_passed,
    run_gates,
)
from pipelines.gating.fields import field_count
from pipelines.gating.gated_run import GatedRun
from pipelines.gating.vectors import check_drift, check_kept, check_neighbour_overlap
from pipelines.units import read_stage_manifest
from schemas.errors import CorruptFileError, ThresholdError, UsageError
from schemas.files import read_json, sha256_of_file, write_json
from schemas.sample_shop.assortment import make_assortment
from schemas.sample_shop.catalogue import make_catalogue
from schemas.sample_shop.faults import plant_in_catalogue

OTHER_MODEL = "itemsage-ba9876543210"
OF_COVERAGE = {"coverage", "coverage_text", "coverage_fields", "coverage_pictures"}
COMPARING = {"row_count", *OF_COVERAGE, "neighbour_overlap", "drift", "recall"}
OF_USERS = {"users", "users_count"}  # see test_gate_users.py
NEVER_ACCEPTED = {"vectors", "index", "users", "model_id"}


@pytest.fixture(scope="module")
def made(tmp_path_factory) -> Path:
    """A store of two sound days: 60 items, of which 2 have gone, 2 are new and 1 has another vector today."""
    store = tmp_path_factory.mktemp("store")
    vectors = unit_rows(62)
    make_run(store, YESTERDAY, names(60), vectors[:60], report=report_of(click=(0.5, 300), save=(0.4, 250)))
    changed = vectors.copy()
    changed[30] = unit_rows(1, seed=7)[0]
    make_run(store, TODAY, names(60, first=2), changed[2:], report=report_of(click=(0.48, 310), save=(0.41, 260)))
    return store


@pytest.fixture
def days(made, tmp_path) -> tuple[Path, Path]:
    """(today, yesterday): copies to be damaged."""
    shutil.copytree(made, tmp_path / "store")
    runs = tmp_path / "store" / "runs"
    return runs / TODAY / "0123456789abcdef", runs / YESTERDAY / "0123456789abcdef"


def test_a_sound_day_passes_every_gate_and_says_so(days):
    today, yesterday = days
    results = run_gates(today, yesterday, DEFAULTS, {})
    assert [result.name for result in results] == list(GATES)
    assert statuses({result.name: result for result in results}) == {
        "passed": set(GATES) - OF_USERS,
        "skipped": OF_USERS,
    }
    require_passed(results, today)
    written = (today / "gates.json").read_bytes()
    assert run_gates(today, yesterday, DEFAULTS, {}) == results
    assert (today / "gates.json").read_bytes() == written
    report = json.loads(written)
    assert report["gates"] == [dataclasses.asdict(result) for result in results]
    assert report["previous"] == f"runs/{YESTERDAY}/0123456789abcdef"
    assert report["thresholds"] == dataclasses.asdict(DEFAULTS)
    shown = format_gates(results)
    assert shown.splitlines()[0] == f"gates: {len(GATES) - 2} passed, 2 skipped"
    assert all(name in shown for name in GATES)
    assert str(today.parents[2]) not in written.decode()


def test_numbers_of_a_sound_day(days):
    found = judge(*days)
    assert (found["row_count"].value, found["row_count"].baseline) == (60, 60)
    assert found["coverage"].value == pytest.approx(58 / 60, abs=1e-6)
    assert "58 of yesterday's 60 ids" in found["coverage"].message
    assert 0.9 < found["neighbour_overlap"].value < 1.0
    assert found["drift"].value == pytest.approx(0.5, abs=0.05)
    assert (found["recall"].value, found["recall"].baseline, found["recall"].threshold) == (0.48, 0.5, 0.45)


def test_the_first_run_has_nothing_to_be_compared_with(days):
    today, _ = days
    found = judge(today, None)
    assert statuses(found) == {"skipped": COMPARING | OF_USERS, "passed": set(GATES) - COMPARING - OF_USERS}
    assert found["row_count"].message == "not compared: there is no run before"
    require_passed(list(found.values()), today)
    assert read_json(today / "gates.json")["previous"] is None


def test_a_day_without_change_is_seen_as_such(days):
    today, yesterday = days
    shutil.rmtree(today)
    shutil.copytree(yesterday, today)
    found = judge(today, yesterday)
    assert statuses(found) == {"passed": set(GATES) - OF_USERS, "skipped": OF_USERS}
    assert [found[name].value for name in ("coverage", "neighbour_overlap", "drift")] == [1.0, 1.0, 0.5]
    shutil.rmtree(yesterday / "embeddings")  # of equal files today's stand for yesterday's
    assert judge(today, yesterday)["drift"].value == 0.5


def test_an_unfinished_stage_is_a_fault_and_no_failed_gate(days):
    today, yesterday = days
    (today / "manifests" / "index.json").unlink()
    with pytest.raises(CorruptFileError, match="expected the finished stage 'index'"):
        run_gates(today, yesterday, DEFAULTS, {})
    assert not (today / "gates.json").exists()


@pytest.mark.parametrize(
    ("before", "status", "message"),
    [
        (75, "passed", "60 rows are to be published, yesterday 75: expected 60 to 150"),
        (76, "failed", "60 rows are to be published, yesterday 76: expected 61 to 152"),
        (30, "passed", "60 rows are to be published, yesterday 30: expected 24 to 60"),
        (29, "failed", "60 rows are to be published, yesterday 29: expected 24 to 58"),
    ],
)
def test_row_count(days, before, status, message):
    today, yesterday = days
    edit(yesterday, "embeddings", {"rows_written": before})
    result = judge(today, yesterday)["row_count"]
    assert (result.status, result.message) == (status, message)
    assert (result.value, result.baseline) == (60, before)
    edit(yesterday, "embeddings", {"rows_written": None})
    assert judge(today, yesterday)["row_count"].status == "skipped"


def test_coverage_of_ids(days, tmp_path):
    today, yesterday = days
    thresholds = GateThresholds(min_kept=0.95)
    assert judge(today, yesterday, thresholds)["coverage"].status == "passed"
    result = judge(today, yesterday, GateThresholds(min_kept=0.97))["coverage"]
    assert result.status == "failed"
    assert result.message == "58 of yesterday's 60 ids are still published (0.966667): expected at least 0.97"
    other = make_run(tmp_path / "renamed", TODAY, [f"sku-{n}" for n in names(60)], unit_rows(60))
    found = judge(other, yesterday)
    assert (found["coverage"].status, found["coverage"].value) == ("failed", 0.0)
    assert found["row_count"].status == "passed"
    assert found["neighbour_overlap"].status == "skipped"


@pytest.mark.parametrize(
    ("gate", "key", "passing", "failing", "message"),
    [
        (
            "coverage_text",
            "items_with_text",
            54,
            53,
            "53 of 60 items have text (0.883333), yesterday 60 of 60 (1): expected at least 0.9",
        ),
        (
            "coverage_pictures",
            "items_with_picture",
            24,
            23,
            "23 of 60 items have a picture (0.383333), yesterday 30 of 60 (0.5): expected at least 0.4",
        ),
    ],
)
def test_coverage_of_text_and_pictures(days, gate, key, passing, failing, message):
    today, yesterday = days
    edit(today, "features", {key: passing})
    assert judge(today, yesterday)[gate].status == "passed"
    edit(today, "features", {key: failing})
    result = judge(today, yesterday)[gate]
    assert (result.status, result.message) == ("failed", message)
    edit(today, "features", {key: None})  # a renamed title column, or an unmounted folder
    assert (judge(today, yesterday)[gate].status, judge(today, yesterday)[gate].value) == ("failed", 0.0)
    edit(yesterday, "features", {key: None})
    result = judge(today, yesterday)[gate]
    assert (result.status, result.message) == ("skipped", f"not compared: the run before did not count {key}")


def test_coverage_of_single_fields(days):
    today, yesterday = days
    edit(today, "items", {field_count("title"): 54, field_count("brand"): 30})
    assert judge(today, yesterday)["coverage_fields"].status == "passed"
    edit(today, "items", {field_count("title"): None, field_count("brand"): 23})  # the titles' column was renamed
    result = judge(today, yesterday)["coverage_fields"]
    assert (result.status, result.value, result.threshold) == ("failed", 1.0, 0.1)
    assert "title is filled in 0 of the rows, yesterday in 1" in result.message
    assert "brand is filled in 0.383333 of the rows, yesterday in 0.5" in result.message
    edit(yesterday, "items", {field_count("title"): None, field_count("brand"): None})
    assert judge(today, yesterday)["coverage_fields"].status == "skipped"


def test_quarantine_adds_the_stages_up(days):
    today, yesterday = days
    edit(today, "items", {"rows_read": 270, "rows_quarantined": 20})
    edit(today, "features", {"rows_quarantined": 4, "pictures_listed": 100, "pictures_quarantined": 20})
    edit(today, "embeddings", {"rows_quarantined": 3})
    found = judge(today, yesterday)
    assert found["quarantine_rows"].message == "27 of 270 rows are quarantined (0.1): expected at most 0.1"
    assert found["quarantine_rows"].status == found["quarantine_pictures"].status == "passed"
    edit(today, "embeddings", {"rows_quarantined": 4})
    edit(today, "features", {"pictures_quarantined": 21})
    found = judge(today, yesterday)
    assert found["quarantine_rows"].status == found["quarantine_pictures"].status == "failed"
    assert found["quarantine_rows"].message == "28 of 270 rows are quarantined (0.103704): expected at most 0.1"
    assert found["quarantine_pictures"].message == "21 of 100 pictures are quarantined (0.21): expected at most 0.2"


def replace_vectors(run: Path, matrix: np.ndarray, ids: Sequence[str]) -> None:
    """Other rows in the embeddings file, written past every check, with the manifest's blessing."""
    path = run / "embeddings" / "part-00000-of-00001.parquet"
    schema = pq.read_schema(path)
    vectors = pa.FixedSizeListArray.from_arrays(pa.array(matrix.reshape(-1)), type=schema.field("embedding").type)
    pq.write_table(pa.table([pa.array(ids), vectors], schema=schema), path)
    entry = {"path": f"embeddings/{path.name}", "bytes": path.stat().st_size, "sha256": sha256_of_file(path)}
    edit(run, "embeddings", {"rows_written": len(ids)}, files=[entry])


@pytest.mark.parametrize(
    ("fault", "message"),
    [
        ("nan", "got norm nan for item 'item-00009'"),
        ("zero", "got norm 0.0 for item 'item-00009'"),
        ("long", "got norm 1.001"),
        ("twice", "expected unique ids in ascending order"),
        ("order", "expected unique ids in ascending order"),
        ("fewer", "expected 60 vectors, 1 or more, got 59"),
        ("none", "expected 0 vectors, 1 or more, got 0"),
        ("flipped", "expected sha256"),
        ("stray", "expected the files of manifests/embeddings.json"),
        ("gone", "nothing is found"),
    ],
)
def test_broken_vectors_fail_and_cannot_be_accepted(days, fault, message):
    today, yesterday = days
    matrix, ids = unit_rows(62)[2:].copy(), names(60, first=2)
    path = today / "embeddings" / "part-00000-of-00001.parquet"
    if fault == "nan":
        matrix[7, 3] = np.nan
    elif fault == "zero":
        matrix[7] = 0
    elif fault == "long":
        matrix[7] *= 1.001
    elif fault == "twice":
        ids[8] = ids[7]
    elif fault == "order":
        ids[7], ids[8] = ids[8], ids[7]
    replace_vectors(today, matrix, ids) if fault != "none" else replace_vectors(today, matrix[:0], [])
    if fault == "fewer":
        replace_vectors(today, matrix[1:], ids[1:])
        edit(today, "embeddings", {"rows_written": 60})
    elif fault == "flipped":
        flip_byte(path)
    elif fault == "stray":
        shutil.copy(path, path.with_name("part-old.parquet"))
    elif fault == "gone":
        shutil.rmtree(path.parent)
    found = judge(today, yesterday)
    assert found["vectors"].status == "failed"
    assert message in found["vectors"].message
    assert {name for name in ("coverage", "neighbour_overlap", "drift") if found[name].status == "skipped"} == {
        "coverage",
        "neighbour_overlap",
        "drift",
    }
    with pytest.raises(ThresholdError, match=r"\[vectors\].*cannot be accepted"):
        require_passed(list(found.values()), today)


@pytest.mark.parametrize(
    ("fault", "message"),
    [
        ("flipped index", "expected sha256"),
        ("flipped ids", "expected sha256"),
        ("poisoned manifest", "expected sha256"),
        ("truncated", "expected sha256"),
        ("of other items", "expected the 60 ids of the embeddings"),
        ("of other vectors", "expected the vectors of the embeddings, got others"),
        ("gone", "got no file"),
    ],
)
def test_an_index_of_something_else_fails_and_cannot_be_accepted(days, fault, message):
    today, yesterday = days
    index = today / "index"
    if fault == "flipped index":
        flip_byte(index / "items.ann")
    elif fault == "flipped ids":
        flip_byte(index / "ids.parquet")
    elif fault == "poisoned manifest":
        write_json(index / "manifest.json", read_json(index / "manifest.json") | {"dimension": 16})
    elif fault == "truncated":
        data = (index / "items.ann").read_bytes()
        (index / "items.ann").write_bytes(data[: len(data) // 2])
    elif fault == "of other items":  # yesterday's, complete and sound in itself
        shutil.rmtree(index)
        shutil.copytree(yesterday / "index", index)
        shutil.copy(yesterday / "manifests" / "index.json", today / "manifests" / "index.json")
    elif fault == "of other vectors":
        replace_vectors(today, unit_rows(60, seed=3), names(60, first=2))
    elif fault == "gone":
        (index / "items.ann").unlink()
    found = judge(today, yesterday)
    assert found["index"].status == "failed"
    assert message in found["index"].message or (fault == "gone" and "expected the file" in found["index"].message)
    with pytest.raises(ThresholdError, match="index cannot be accepted"):
        require_passed([found["index"]], today)


def test_index_recall(days):
    today, yesterday = days
    path = today / "index" / "manifest.json"
    for recall, status in ((0.9, "passed"), (0.899, "failed")):
        write_json(path, read_json(path) | {"recall": {"10": recall, "100": 0.5}})
        result = judge(today, yesterday)["index_recall"]
        assert (result.status, result.value) == (status, recall)
    assert result.message == "the index finds 0.899 of the 10 exact nearest: expected at least 0.9"
    assert judge(today, yesterday, index_recall="tiny")["index_recall"].status == "accepted"
    for poison in ({"recall": {}}, {"recall": []}, {"recall": {"10": "1"}}):
        write_json(path, read_json(path) | poison)
        assert judge(today, yesterday)["index_recall"].status == "failed"


def turn(vectors: np.ndarray) -> np.ndarray:
    rotation = np.linalg.qr(np.random.default_rng(9).normal(size=(DIM, DIM)))[0]
    turned = vectors @ rotation
    return (turned / np.linalg.norm(turned, axis=1, keepdims=True)).astype(np.float32)


def test_rotated_vectors_keep_their_neighbours_and_fail_drift(made, tmp_path):
    yesterday = made / "runs" / YESTERDAY / "0123456789abcdef"
    today = make_run(tmp_path, TODAY, names(60), turn(unit_rows(62)[:60]))
    found = judge(today, yesterday)
    assert found["neighbour_overlap"].value == 1.0
    assert found["drift"].status == "failed"
    assert found["drift"].value > 0.9
    assert f"AUC {found['drift'].value:g} (0.5 where nothing moves): expected at most 0.8" in found["drift"].message
    with pytest.raises(ThresholdError, match=r"--accept drift --because"):
        require_passed(list(found.values()), today)
    accepted = judge(today, yesterday, drift="rotated on purpose")
    assert statuses(accepted)["accepted"] == {"drift"}
    require_passed(list(accepted.values()), today)


def test_shuffled_vectors_fail_the_overlap_and_keep_drift(made, tmp_path):
    yesterday = made / "runs" / YESTERDAY / "0123456789abcdef"
    shuffled = unit_rows(62)[:60][np.random.default_rng(1).permutation(60)]
    found = judge(make_run(tmp_path, TODAY, names(60), shuffled), yesterday)
    assert found["neighbour_overlap"].status == "failed"
    value = found["neighbour_overlap"].value
    assert value < 0.4
    assert f"{value:g} of the 10 nearest of 60 items" in found["neighbour_overlap"].message
    assert found["drift"].status == "passed"


def test_vectors_of_another_model_are_not_compared_but_its_recall_is(made, tmp_path):
    yesterday = made / "runs" / YESTERDAY / "0123456789abcdef"
    report = report_of(click=(0.44, 300), save=(0.44, 250))
    today = make_run(tmp_path, TODAY, names(60), turn(unit_rows(60)), model_id=OTHER_MODEL, report=report)
    found = judge(today, yesterday)
    for name in ("neighbour_overlap", "drift"):
        assert found[name].status == "skipped"
        assert found[name].message == f"not compared: model '{OTHER_MODEL}' today, yesterday '{MODEL_ID}'"
    assert found["recall"].status == "failed"
    assert found["recall"].message == (
        "Recall@10 of 'search/click' is 0.44 on 300 pairs, yesterday 0.5 on 300: expected at least 0.45"
    )


def test_a_dozen_items_are_too_few_to_be_compared(tmp_path):
    same = make_run(tmp_path / "c", YESTERDAY, names(11), unit_rows(11))
    found = judge(make_run(tmp_path / "d", TODAY, names(11), unit_rows(11)), same)
    assert {found[name].status for name in ("neighbour_overlap", "drift")} == {"skipped"}
    yesterday = make_run(tmp_path / "a", YESTERDAY, names(11), unit_rows(11))
    today = make_run(tmp_path / "b", TODAY, names(11), unit_rows(11, seed=1))
    found = judge(today, yesterday)
    assert {name: found[name].status for name in ("neighbour_overlap", "drift")} == {
        "neighbour_overlap": "skipped",
        "drift": "skipped",
    }
    assert found["drift"].message == "not compared: 11 vectors, yesterday 11, where chance decides"


@pytest.mark.parametrize(
    ("today_report", "yesterday_report", "status", "message"),
    [
        (report_of(click=(0.45, 200)), report_of(click=(0.5, 200)), "passed", "is 0.45 on 200 pairs, yesterday 0.5 on"),
        (report_of(click=(0.449, 200)), report_of(click=(0.5, 200)), "failed", "expected at least 0.45"),
        (report_of(click=(0.1, 199)), report_of(click=(0.5, 300)), "skipped", "got 'search/click' 199"),
        (report_of(click=(0.1, 900)), report_of(save=(0.5, 199)), "skipped", "got no task in common"),
        (
            report_of(click=(0.3, 900)),
            report_of(click=(0.5, 900), save=(0.4, 1200)),
            "failed",
            "expected Recall@10 of 'search/save' (yesterday 0.4 on 1,200 pairs) again, got none today; "
            "Recall@10 of 'search/click' is 0.3 on 900 pairs",
        ),
        (
            report_of(click=(0.5, 900)),
            {"not_evaluated": "no rows"},
            "skipped",
            "yesterday was not evaluated: 'no rows'",
        ),
        ({"not_evaluated": "no rows"}, report_of(click=(0.5, 199)), "skipped", "today was not evaluated: 'no rows'"),
        (None, report_of(click=(0.5, 200)), "skipped", "today was not evaluated (no --engagements)"),
        (report_of(click=(0.5, 200)), None, "skipped", "yesterday was not evaluated (no --engagements)"),
        (
            {"not_evaluated": "no\x1b[2J rows"},
            report_of(click=(0.5, 200)),
            "failed",
            r"(yesterday 0.5 on 200 pairs) again, got none today: 'no\x1b[2J rows'",
        ),
        (
            report_of(click=(0.3, 200), save=(0.1, 500), checkout=(0.5, 800)),
            report_of(click=(0.4, 200), save=(0.5, 500), checkout=(0.5, 800)),
            "failed",
            "Recall@10 of 'search/click' is 0.3 on 200 pairs, yesterday 0.4 on 200: expected at least 0.35; "
            "Recall@10 of 'search/save' is 0.1 on 500 pairs, yesterday 0.5 on 500: expected at least 0.45",
        ),
    ],
)
def test_recall(days, today_report, yesterday_report, status, message):
    for run, report in zip(days, (today_report, yesterday_report), strict=True):
        (run / "metrics.json").unlink()
        if report is not None:
            write_json(run / "metrics.json", report)
    result = judge(*days)["recall"]
    assert result.status == status
    assert message in result.message


def test_a_recall_that_is_not_measured_any_more_fails_until_a_person_accepts(days):
    today, yesterday = days
    write_json(today / "metrics.json", {"not_evaluated": "got none of 6 rows", "model_id": OTHER_MODEL})
    write_json(yesterday / "metrics.json", report_of(click=(0.5, 300)) | {"model_id": MODEL_ID})
    result = judge(today, yesterday)["recall"]
    assert (result.status, result.value, result.baseline, result.threshold) == ("failed", None, 0.5, None)
    assert result.message.endswith(
        f"(of two models, '{OTHER_MODEL}' and yesterday '{MODEL_ID}': on two different held-out splits)"
    )
    assert "--engagements" in result.remedy
    assert judge(today, yesterday, recall="trained on June")["recall"].status == "accepted"
    for recall, status in ((0.45, "passed"), (0.44, "failed")):
        write_json(today / "metrics.json", report_of(click=(recall, 300)) | {"model_id": OTHER_MODEL})
        result = judge(today, yesterday)["recall"]
        assert result.status == status
        assert "two different held-out splits" in result.message


def test_equal_files_are_judged_as_a_search_would_but_without_one(days, monkeypatch):
    today, yesterday = days
    shutil.rmtree(today)
    shutil.copytree(yesterday, today)
    checks = (check_kept, check_neighbour_overlap, check_drift)
    apart = [check(GatedRun(today), GatedRun(yesterday), DEFAULTS) for check in checks]
    for name in ("neighbour_overlap", "domain_auc", "sample_rows", "common_rows"):
        monkeypatch.setattr(pipelines.gating.vectors, name, lambda *_: pytest.fail("nothing need be searched"))
    whole = GatedRun(today)
    assert [check(whole, GatedRun(yesterday, twin=whole), DEFAULTS) for check in checks] == apart


@pytest.mark.parametrize("poison", ["{", "[]", '{"tasks": [{"task": "x"}]}', '{"tasks": 3}', "null"])
def test_a_report_that_is_none_is_no_silent_skip(days, poison):
    today, yesterday = days
    (yesterday / "metrics.json").write_text(poison)
    result = judge(today, yesterday)["recall"]
    assert (result.status, result.value) == ("skipped" if poison == "null" else "failed", None)


def test_one_model_id_everywhere(days):
    today, yesterday = days
    write_json(today / "index" / "manifest.json", read_json(today / "index" / "manifest.json") | {"model_id": "x\x1b"})
    edit(today, "features", vocabulary_id="v2")
    (today / "users").mkdir()
    for number, metadata in enumerate(({"model_id": MODEL_ID}, {"model_id": OTHER_MODEL}, {})):
        pq.write_table(
            pa.table({"user_id": ["u"]}).replace_schema_metadata(metadata), today / f"users/{number}.parquet"
        )
    result = judge(today, yesterday)["model_id"]
    assert (result.status, result.value) == ("failed", 4)
    assert result.message == (
        f"expected '{MODEL_ID}' in 8 places, 4 name another: index/manifest.json 'x\\x1b' instead of '{MODEL_ID}'; "
        f"users/1.parquet '{OTHER_MODEL}' instead of '{MODEL_ID}'; users/2.parquet None instead of '{MODEL_ID}'; "
        "the features vocabulary_id 'v2' instead of the model's 'v1'"
    )


@pytest.mark.parametrize("fault", ["gone", "list", "embeddings"])
def test_a_model_that_is_not_there_or_other_embeddings(days, fault):
    today, yesterday = days
    manifest = today.parents[2] / "models" / MODEL_ID / "manifest.json"
    if fault == "gone":
        manifest.unlink()
    elif fault == "list":
        manifest.write_text("[]")
    else:
        edit(today, "embeddings", model_id="../../escape")
    assert judge(today, yesterday)["model_id"].status == "failed"


@pytest.mark.parametrize(
    ("damage", "failing"),
    [
        ("manifests/embeddings.json", {"row_count", "coverage", "neighbour_overlap", "drift"}),
        ("manifests/features.json", {"coverage_text", "coverage_pictures"}),
        ("manifests/items.json", {"coverage_fields"}),
        ("embeddings/part-00000-of-00001.parquet", {"coverage", "neighbour_overlap", "drift"}),
        ("metrics.json", {"recall"}),
        (".", COMPARING - {"recall"}),
    ],
)
def test_a_damaged_yesterday_fails_what_needs_it_until_a_person_accepts(days, damage, failing):
    today, yesterday = days
    if damage == ".":
        shutil.rmtree(yesterday)
    else:
        (yesterday / damage).write_bytes(b"\x00broken")
    found = judge(today, yesterday)
    assert statuses(found)["failed"] == failing
    assert all(found[name].message.startswith("the days cannot be compared: expected") for name in failing)
    with pytest.raises(ThresholdError, match="the new run stands without it"):
        require_passed(list(found.values()), today)
    accepted = judge(today, yesterday, **dict.fromkeys(failing, "the disk of yesterday broke"))
    assert statuses(accepted).get("failed", set()) == set()
    require_passed(list(accepted.values()), today)


@pytest.mark.parametrize("poison", ['{"counts": {"rows_written": "60"}, "files": []}', "[]", '{"counts": {"a": -1}}'])
def test_poisoned_counts_are_damage(days, poison):
    today, yesterday = days
    (yesterday / "manifests" / "embeddings.json").write_text(poison)
    assert judge(today, yesterday)["row_count"].status == "failed"
    (today / "manifests" / "items.json").write_text(poison)
    with pytest.raises(CorruptFileError, match=r"expected (counts and files|an object)"):
        run_gates(today, yesterday, DEFAULTS, {})


def test_control_characters_of_a_path_reach_no_terminal(days, tmp_path):
    today, _ = days
    found = judge(today, tmp_path / "a\x1b[2J\nb")
    assert r"a\x1b[2J\nb" in found["row_count"].message
    assert "\x1b" not in format_gates(list(found.values()))


def test_a_manifest_cannot_point_outside_the_run(days):
    today, yesterday = days
    files = read_stage_manifest(str(today), "embeddings")["files"]
    edit(today, "embeddings", files=[{**files[0], "path": "embeddings/../../../secret"}])
    assert judge(today, yesterday)["vectors"].status == "failed"


def test_accepting_keeps_the_reason_and_spares_only_what_failed(days):
    today, yesterday = days
    edit(yesterday, "embeddings", {"rows_written": 600})
    reason = "summer goods\x1b[31m left"
    found = judge(today, yesterday, row_count=reason, recall=reason)
    result = found["row_count"]
    assert (result.status, result.accepted_reason) == ("accepted", reason)
    assert (found["recall"].status, found["recall"].accepted_reason) == ("passed", None)
    saved = {gate["name"]: gate for gate in read_json(today / "gates.json")["gates"]}
    assert saved["row_count"]["accepted_reason"] == reason
    shown = format_gates(list(found.values()))
    assert r"accepted because 'summer goods\x1b[31m left'" in shown
    assert "\x1b" not in shown


@pytest.mark.parametrize(
    ("accepted", "message"),
    [
        ({"row_cuont": "x"}, "expected gates out of row_count, .*got 'row_cuont'"),
        ({"vectors": "x", "row_count": "x"}, "got vectors: what fails there is broken for readers"),
        ({"row_count": " "}, r"expected a reason \(--because\) for accepting row_count"),
    ],
)
def test_what_cannot_be_accepted_is_a_wrong_call(days, accepted, message):
    with pytest.raises(UsageError, match=message):
        run_gates(*days, DEFAULTS, accepted)
    with pytest.raises(UsageError, match=message):
        check_quarantine_share({"rows_read": 1}, thresholds=DEFAULTS, accepted=accepted)
    assert {name for name, gate in GATES.items() if not gate.acceptable} == NEVER_ACCEPTED


def test_a_failure_names_formula_numbers_remedy_and_the_way_out(days):
    today, yesterday = days
    edit(today, "features", {"items_with_text": 0, "items_with_picture": 0})
    results = run_gates(today, yesterday, DEFAULTS, {})
    with pytest.raises(ThresholdError) as failure:
        require_passed(results, today)
    text = str(failure.value)
    assert "got 2 failed" in text
    assert f"({today}/gates.json has all gates)" in text
    assert "[coverage_text] 0 of 60 items have text (0), yesterday 60 of 60 (1): expected at least 0.9" in text
    assert "(formula: items with text / items >= the same of yesterday - max_coverage_drop)" in text
    assert "To do: see whether a text column was renamed" in text
    assert "Nothing is published: yesterday's run stays" in text
    assert '--accept coverage_text,coverage_pictures --because "..."' in text
    shown = format_gates(results)
    assert "coverage_text        FAILED               0            1          0.9" in shown
    assert "to do: see whether --image-root is mounted" in shown


def share(rejected: int, total: int, **thresholds: float) -> GateResult:
    counts = {"rows_read": total, "rows_quarantined": rejected}
    return check_quarantine_share(counts, thresholds=GateThresholds(**thresholds), accepted={})[0]


@pytest.mark.parametrize(
    ("rejected", "total", "status"),
    [
        (0, 0, "passed"),
        (20, 200, "passed"),
        (21, 200, "failed"),
        (19, 20, "passed"),
        (20, 20, "failed"),
        (1, 1, "failed"),
        (1, 0, "failed"),
    ],
)
def test_few_rejections_pass_unless_they_are_all(rejected, total, status):
    assert share(rejected, total).status == status


def test_a_share_is_not_held_against_its_own_rounding():
    assert share(40, 60, max_quarantined_rows=2 / 3).status == "passed"
    assert share(80_001, 120_000, max_quarantined_rows=2 / 3).status == "failed"


def test_the_early_check_judges_what_is_known_by_then():
    items = {"rows_read": 1000, "rows_quarantined": 90}
    features = {"rows_quarantined": 11, "pictures_listed": 100, "pictures_quarantined": 100}
    early = check_quarantine_share(items, thresholds=DEFAULTS, accepted={})
    assert [(result.name, result.status) for result in early] == [("quarantine_rows", "passed")]
    later = check_quarantine_share(items, features, thresholds=DEFAULTS, accepted={"quarantine_rows": "known"})
    assert [(r.name, r.status) for r in later] == [("quarantine_rows", "accepted"), ("quarantine_pictures", "failed")]
    assert later[1].message == "100 of 100 pictures are quarantined (1): expected at most 0.2, and never all"
    with pytest.raises(
        ThresholdError, match=r"got 1 failed: \[quarantine_pic.*--accept quarantine_rows,quarantine_pic"
    ):
        require_passed(later, Path("run"))


@given(st.integers(0, 300), st.integers(0, 300), st.integers(1, 300), st.floats(0, 1), st.integers(0, 40))
def test_more_rejections_never_pass_where_fewer_fail(few, many, total, most, spared):
    few, many = sorted((min(few, total), min(many, total)))
    given_thresholds = {"max_quarantined_rows": most, "min_quarantined": spared}
    if share(few, total, **given_thresholds).status == "failed":
        assert share(many, total, **given_thresholds).status == "failed"


@pytest.mark.parametrize("items", [10, 60, 400, 2000])
def test_the_sample_shops_faults_pass(items):
    assortment = make_assortment(items, 0)
    faulty = plant_in_catalogue(make_catalogue(assortment, 0), [product.item_id for product in assortment.products], 0)
    levels = [row["level"] for row in faulty.planted]
    pictures = sum(len(row["images"]) for row in faulty.rows)
    results = check_quarantine_share(
        {"rows_read": len(faulty.rows), "rows_quarantined": levels.count("row")},
        {"pictures_listed": pictures, "pictures_quarantined": levels.count("picture")},
        thresholds=DEFAULTS,
        accepted={},
    )
    assert levels.count("row") > 0
    assert levels.count("picture") > 0
    assert [result.status for result in results] == ["passed", "passed"]


@pytest.mark.parametrize("field", dataclasses.fields(GateThresholds), ids=lambda field: field.name)
def test_thresholds_out_of_range_are_a_wrong_call(field):
    flag_name = "--" + field.name.replace("_", "-")
    for value in (-0.1, float("nan"), float("inf")):
        with pytest.raises(UsageError, match=flag_name):
            GateThresholds(**{field.name: value})
    if field.name not in ("max_row_growth", "min_quarantined", "min_recall_pairs"):
        with pytest.raises(UsageError, match=f"{flag_name} from .* to 1, got 1.5"):
            GateThresholds(**{field.name: 1.5})
    assert field.metadata["help"]


def test_an_auc_below_chance_is_no_threshold():
    with pytest.raises(UsageError, match=r"--max-drift-auc from 0.5 to 1, got 0.4"):
        GateThresholds(max_drift_auc=0.4)
