"""The gates of unified vectors: those of the embeddings, of runs that have them, each under a name of its own."""

import shutil
from pathlib import Path

import numpy as np
import pytest
from gate_runs import DEFAULTS, TODAY, YESTERDAY, flip_byte, judge, make_run, names, unit_rows
from run_builder import RunBuilder

from pipelines.gates.drift import check_kept
from pipelines.gates.gated_run import GatedRun
from pipelines.gates.judge import run_gates
from schemas.files import read_json, write_json

UNIFIED_ID = "unified-0123456789ab"
COMPARING = ("unified_coverage", "unified_neighbour_overlap", "unified_drift")


@pytest.fixture(scope="module")
def made(tmp_path_factory) -> Path:
    """A store of two days of equal embeddings, without unified vectors."""
    store = tmp_path_factory.mktemp("store")
    for date in (YESTERDAY, TODAY):
        make_run(store, date, names(60), unit_rows(60))
    return store


@pytest.fixture
def days(made, tmp_path) -> tuple[Path, Path]:
    """(today, yesterday) of a copy."""
    shutil.copytree(made, tmp_path / "store")
    return tuple(tmp_path / "store" / "runs" / date / "0123456789abcdef" for date in (TODAY, YESTERDAY))


def unify(run: Path, matrix: np.ndarray, first: int = 0, unified_id: str = UNIFIED_ID) -> None:
    RunBuilder(run).unified(names(len(matrix), first), matrix, unified_id)


def test_runs_without_them_do_not_list_their_gates(days):
    assert not any(name.startswith("unified") for name in judge(*days))


def test_a_sound_day_passes_them(days):
    matrix = unit_rows(60, seed=3)
    unify(days[1], matrix)
    matrix = matrix.copy()
    matrix[7] = unit_rows(1, seed=9)[0]
    unify(days[0], matrix)
    found = judge(*days)
    assert {found[name].status for name in ("unified", *COMPARING)} == {"passed"}
    assert found["unified_coverage"].value == 1
    assert 0.9 < found["unified_neighbour_overlap"].value < 1
    assert found["neighbour_overlap"].value == 1, "the embeddings are equal"
    listed = [gate["name"] for gate in read_json(days[0] / "gates.json")["gates"]]
    assert [name for name in listed if name.startswith("unified")] == [*COMPARING, "unified"]


def test_other_vectors_of_the_same_model_fail_and_can_be_accepted(days):
    unify(days[1], unit_rows(60, seed=3))
    unify(days[0], unit_rows(60, seed=4, mean=-3))
    found = judge(*days)
    assert {name: found[name].status for name in COMPARING} == {
        "unified_coverage": "passed",
        "unified_neighbour_overlap": "failed",
        "unified_drift": "failed",
    }
    assert found["drift"].status == "passed"
    accepted = run_gates(*days, DEFAULTS, dict.fromkeys(COMPARING[1:], "new attributes"))
    assert {result.status for result in accepted if result.name in COMPARING[1:]} == {"accepted"}


def test_an_index_of_unified_vectors_loses_no_items_unseen(days):
    """The day before has none of these vectors, but its index had the items."""
    unify(days[0], unit_rows(60, seed=3))
    path = days[0] / "index" / "manifest.json"
    assert judge(*days)["unified_coverage"].status == "skipped"  # the index is of the embeddings
    write_json(path, {**read_json(path), "vectors": "unified"})
    found = judge(*days)["unified_coverage"]
    assert (found.status, found.value) == ("passed", 1)
    assert {judge(*days)[name].status for name in COMPARING[1:]} == {"skipped"}


def test_coverage_counts_the_items_of_the_index_before(days):
    unify(days[0], unit_rows(20, seed=3))
    found = check_kept("unified_coverage", *map(GatedRun, days), DEFAULTS, "unified")
    assert (found.status, found.value) == ("failed", 0.333333)


def test_items_that_lost_theirs_are_counted(days):
    unify(days[1], unit_rows(60, seed=3))
    RunBuilder(days[0]).unified(names(20), unit_rows(60, seed=3)[:20], UNIFIED_ID)
    found = judge(*days)
    assert (found["unified_coverage"].status, found["unified_coverage"].value) == ("skipped", None)
    assert found["unified"].status == "failed", "40 items are neither there nor in quarantine"


@pytest.mark.parametrize(
    ("before", "now", "why"),
    [
        (None, UNIFIED_ID, "yesterday has no unified vectors"),
        ("unified-ba9876543210", UNIFIED_ID, "model 'unified-0123456789ab' today"),
    ],
)
def test_what_nothing_makes_comparable_is_skipped(days, before, now, why):
    if before is not None:
        unify(days[1], unit_rows(60, seed=3), unified_id=before)
    unify(days[0], unit_rows(60, seed=4), unified_id=now)
    found = judge(*days)
    assert {found[name].status for name in COMPARING[1:]} == {"skipped"}
    assert why in found["unified_drift"].message


def test_damage_of_today_and_of_yesterday(days):
    for run in days:
        unify(run, unit_rows(60, seed=3))
    flip_byte(days[1] / "unified" / "part-00000-of-00001.parquet")
    found = judge(*days)
    assert {found[name].status for name in COMPARING} == {"failed"}
    assert "the days cannot be compared" in found["unified_drift"].message
    flip_byte(days[0] / "unified" / "part-00000-of-00001.parquet")
    found = judge(*days)
    assert found["unified"].status == "failed"
    assert {found[name].status for name in COMPARING} == {"skipped"}
    assert found["unified_drift"].message == "not compared: today's vectors are broken, see the gate unified"
