"""The gates of vectors and index: broken ones are never accepted; what moved since yesterday is measured."""

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
    OTHER_MODEL,
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

import pipelines.gates.drift
from pipelines.gates.drift import checks_of_vectors
from pipelines.gates.gated_run import GatedRun
from pipelines.gates.judge import GateResult, GateThresholds, require_passed
from schemas.errors import ThresholdError
from schemas.files import read_json, sha256_of_file, write_json


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
        ("fewer", "expected 60 vectors of 32, got 59 of 32"),
        ("none", "expected 1 vector or more, got 0"),
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
        ("poisoned manifest", "expected the stage's files"),
        ("truncated", " bytes, got "),
        ("of other items", "expected the 60 ids of the embeddings"),
        ("of other vectors", "expected the vector of the embeddings, got another"),
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


def test_index_recall_has_a_threshold_for_each_kind_of_query(days):
    today, yesterday = days
    path = today / "index" / "manifest.json"
    kinds = {kind: {"recall": {"10": recall}} for kind, recall in (("item", 0.97), ("text", 0.93), ("picture", 0.8))}
    write_json(path, read_json(path) | {"recall": {"10": 0.99}, "searched": {"distinct": True, "kinds": kinds}})
    result = judge(today, yesterday)["index_recall"]
    assert (result.status, result.value, result.threshold) == ("failed", 0.8, 0.9)
    lower = judge(today, yesterday, GateThresholds(min_index_recall_picture=0.75))["index_recall"]
    assert (lower.status, lower.value, lower.threshold) == ("passed", 0.93, 0.9)
    assert lower.message == (
        "the index finds 0.99 and searches by item find 0.97 and searches by picture find 0.8 and searches by text "
        "find 0.93 of the 10 exact nearest: expected at least 0.9, 0.9, 0.75, 0.9"
    )
    higher = judge(today, yesterday, GateThresholds(min_index_recall_picture=0.0, min_index_recall_text=0.94))
    assert (higher["index_recall"].status, higher["index_recall"].value) == ("failed", 0.93)
    write_json(path, read_json(path) | {"searched": {"kinds": {"item": {}}}})
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


def test_equal_files_are_judged_as_a_search_would_but_without_one(days, monkeypatch):
    today, yesterday = days
    shutil.rmtree(today)
    shutil.copytree(yesterday, today)
    apart = judged_vectors(GatedRun(today), GatedRun(yesterday))
    for name in ("neighbour_overlap", "domain_auc", "sample_rows", "common_rows"):
        monkeypatch.setattr(pipelines.gates.drift, name, lambda *_: pytest.fail("nothing need be searched"))
    whole = GatedRun(today)
    assert judged_vectors(whole, GatedRun(yesterday, twin=whole)) == apart


def judged_vectors(today: GatedRun, yesterday: GatedRun) -> list[GateResult]:
    return [check() for check in checks_of_vectors(today, yesterday, DEFAULTS, "embeddings").values()]
