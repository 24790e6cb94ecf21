"""All gates together: what they say of sound days, of a first day, and of a damaged or poisoned run; the model id."""

import dataclasses
import json
import shutil

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from gate_runs import DEFAULTS, MODEL_ID, OTHER_MODEL, YESTERDAY, edit, flip_byte, judge, statuses

from pipelines.gates.fields import field_count
from pipelines.gates.judge import format_gates, require_passed, run_gates
from pipelines.gates.results import OF_EVERY_RUN
from pipelines.run.units import read_stage_manifest
from schemas.errors import CorruptFileError, ThresholdError
from schemas.files import read_json, write_json

OF_COVERAGE = {"coverage", "coverage_text", "coverage_fields", "coverage_pictures"}
COMPARING = {"row_count", *OF_COVERAGE, "changed_texts", "neighbour_overlap", "drift", "recall"}
OF_LOG = {"quarantine_log", "log_used", "log_actions", "log_users"}
#: Nothing to check in these runs: see test_users.py and test_refined.py.
NOT_THERE = {"users", "users_count", "refined_index", "refined_kept", *OF_LOG}


def test_a_sound_day_passes_every_gate_and_says_so(days):
    today, yesterday = days
    results = run_gates(today, yesterday, DEFAULTS, {})
    assert [result.name for result in results] == list(OF_EVERY_RUN)
    assert statuses({result.name: result for result in results}) == {
        "passed": set(OF_EVERY_RUN) - NOT_THERE,
        "skipped": NOT_THERE,
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
    assert shown.splitlines()[0] == f"gates: {len(OF_EVERY_RUN) - len(NOT_THERE)} passed, {len(NOT_THERE)} skipped"
    assert all(name in shown for name in OF_EVERY_RUN)
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
    assert statuses(found) == {"skipped": COMPARING | NOT_THERE, "passed": set(OF_EVERY_RUN) - COMPARING - NOT_THERE}
    assert found["row_count"].message == "not compared: there is no run before"
    require_passed(list(found.values()), today)
    assert read_json(today / "gates.json")["previous"] is None


TRAINED_ON = {
    "items": {"rows_written": 200, field_count("title"): 200, field_count("brand"): 100},
    "features": {"items_written": 200, "items_with_text": 200, "items_with_picture": 100},
}


def _tell_training(run, trained_on):
    path = run.parents[2] / "models" / MODEL_ID / "manifest.json"
    write_json(path, read_json(path) | {"trained_on": trained_on})


def test_the_first_run_is_compared_with_the_model_s_training(days):
    today, _ = days
    _tell_training(today, TRAINED_ON)
    found = judge(today, None)
    covered = {"coverage_text", "coverage_fields", "coverage_pictures"}
    assert {found[name].status for name in covered} == {"passed"}
    assert {found[name].status for name in COMPARING - covered} == {"skipped"}
    edit(today, "items", {field_count("title"): None})  # the export calls it Title today
    edit(today, "features", {"items_with_picture": 20, "items_with_text": 50})
    found = judge(today, None)
    assert {found[name].status for name in covered} == {"failed"}
    assert found["coverage_pictures"].message == (
        "20 of 60 items have a picture (0.333333), when the model was trained 100 of 200 (0.5): expected at least 0.4"
    )
    fields = found["coverage_fields"].message
    assert "title is filled in 0 of the rows, when the model was trained in 1" in fields


def test_a_model_that_tells_nothing_readable_of_its_training_is_not_compared_with(days):
    today, _ = days
    for told in ({"items": {}}, [], {"items": {"rows_written": "2"}, "features": {}}):
        _tell_training(today, told)
        assert judge(today, None)["coverage_text"].message == "not compared: there is no run before"


def test_a_day_without_change_is_seen_as_such(days):
    today, yesterday = days
    shutil.rmtree(today)
    shutil.copytree(yesterday, today)
    found = judge(today, yesterday)
    assert statuses(found) == {"passed": set(OF_EVERY_RUN) - NOT_THERE, "skipped": NOT_THERE}
    assert [found[name].value for name in ("coverage", "neighbour_overlap", "drift")] == [1.0, 1.0, 0.5]
    shutil.rmtree(yesterday / "embeddings")  # today's stand for yesterday's only while those are there and sound
    assert judge(today, yesterday)["drift"].status == "failed"


def test_an_unfinished_stage_is_a_fault_and_no_failed_gate(days):
    today, yesterday = days
    (today / "manifests" / "index.json").unlink()
    with pytest.raises(CorruptFileError, match="expected the finished stage 'index'"):
        run_gates(today, yesterday, DEFAULTS, {})
    assert not (today / "gates.json").exists()


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
    assert str(today.parents[2]) not in (today / "gates.json").read_text()


@pytest.mark.parametrize(
    ("damage", "failing"),
    [
        ("manifests/embeddings.json", {"row_count", "coverage", "neighbour_overlap", "drift"}),
        ("manifests/features.json", {"coverage_text", "coverage_pictures"}),
        ("manifests/items.json", {"coverage_fields", "changed_texts"}),
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
    with pytest.raises(ThresholdError, match="the new run stands without it") as error:
        require_passed(list(found.values()), today)
    assert str(error.value).count("restore the file that is named") == 1  # however many gates say so
    assert all(f"[{name}]" in str(error.value) for name in failing)
    assert ("the days cannot be compared" in str(error.value)) == (len(failing) == 1)  # else the table says it
    assert any(str(yesterday) in found[name].message for name in failing)  # a person is told the whole place,
    accepted = judge(today, yesterday, **dict.fromkeys(failing, "the disk of yesterday broke"))
    report = (today / "gates.json").read_text()
    assert f"runs/{YESTERDAY}/" in report
    assert str(today.parents[2]) not in report  # the report of a run is the same wherever its store lies
    assert statuses(accepted).get("failed", set()) == set()
    require_passed(list(accepted.values()), today)


def test_a_damaged_file_whose_checksum_is_todays_is_no_source_of_equal_vectors(days):
    """Of an unchanged catalogue, computed again for the damage, both days' manifests promise the same file."""
    today, yesterday = days
    for name in ("embeddings", "manifests"):
        shutil.rmtree(yesterday / name)
        shutil.copytree(today / name, yesterday / name)
    assert judge(today, yesterday)["neighbour_overlap"].value == 1
    flip_byte(yesterday / "embeddings" / "part-00000-of-00001.parquet")
    found = judge(today, yesterday)
    assert statuses(found)["failed"] == {"coverage", "neighbour_overlap", "drift"}
    assert "expected sha256" in found["coverage"].message


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
    with pytest.raises(CorruptFileError, match="expected names of data files inside the run, got 'embeddings/"):
        judge(today, yesterday)
