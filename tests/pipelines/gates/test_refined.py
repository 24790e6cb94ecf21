"""The gates of the refined index: damage fails `refined_index`, which no reason accepts; a cosine that makes one item
of many fails `refined_kept` with its numbers until a person accepts it; runs without one are not asked."""

from pathlib import Path

import numpy as np
import pytest
from gate_runs import TODAY, build_index, edit, flip_byte, judge, make_run, names, statuses, unit_rows

from model.nearest import index_folder
from model.nearest.tuned_build import build_annoy
from pipelines.console.jobs import beam_options
from pipelines.gates.judge import GateThresholds, require_passed
from pipelines.index import job as index
from schemas.errors import ThresholdError, UsageError
from schemas.files import read_json, sha256_of_file, write_json

pytestmark = pytest.mark.medium

FOLDER = "refined_index"
NAMES = ("items.ann", "ids.parquet", "manifest.json", "near_duplicates.parquet")
NUM_ITEMS = 60


def refined_run(store: Path, cosine: float = 0.99, num_kinds: int = 20) -> Path:
    """60 items, each near those whose number is the same modulo num_kinds."""
    kinds = unit_rows(num_kinds, mean=0.0)[np.arange(NUM_ITEMS) % num_kinds]
    vectors = kinds + 0.002 * unit_rows(NUM_ITEMS, seed=1, mean=0.0)
    vectors = (vectors / np.linalg.norm(vectors, axis=1, keepdims=True)).astype(np.float32)
    run = make_run(store, TODAY, names(NUM_ITEMS), vectors)
    index.run(index.IndexConfig(run=str(run), refine_cosine=cosine), beam_options([]))
    return run


def bless(run: Path, name: str) -> None:
    """Gives the stage's manifest the checksum of the file as it is now."""
    entries = read_json(run / "manifests" / "index.json")["files"]
    now = {"bytes": (run / name).stat().st_size, "path": name, "sha256": sha256_of_file(run / name)}
    edit(run, "index", files=[now if entry["path"] == name else entry for entry in entries])


def change_facts(run: Path, **facts: object) -> None:
    path = run / FOLDER / "manifest.json"
    manifest = read_json(path)
    write_json(path, manifest | {"refined": manifest["refined"] | facts})
    bless(run, f"{FOLDER}/manifest.json")


def test_a_sound_refined_index_passes_with_its_numbers(tmp_path):
    found = judge(refined_run(tmp_path), None)
    assert not statuses(found).get("failed")
    assert found["refined_index"].message == "20 items are kept and stand for all"
    kept = found["refined_kept"]
    assert (kept.status, kept.value, kept.threshold) == ("passed", pytest.approx(1 / 3, abs=1e-6), 0.05)
    assert "at cosine 0.99 the refined index keeps 20 of 60 items" in kept.message
    assert "the refined index finds" in found["index_recall"].message


def test_without_one_nothing_is_asked(days):
    found = judge(days[0], None)
    assert {found[name].status for name in ("refined_index", "refined_kept")} == {"skipped"}
    assert "refined" not in found["index_recall"].message


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("damage", ["flipped", "gone"])
def test_a_damaged_file_fails_and_no_reason_accepts_it(tmp_path, name, damage):
    run = refined_run(tmp_path)
    flip_byte(run / FOLDER / name) if damage == "flipped" else (run / FOLDER / name).unlink()
    found = judge(run, None)
    assert "refined_index" in statuses(found)["failed"]
    assert (found["index"].status, found["refined_kept"].status) == ("passed", "skipped")
    with pytest.raises(UsageError, match="refined_index"):
        judge(run, None, refined_index="never mind")


@pytest.mark.parametrize(
    ("facts", "message"),
    [
        ({"items_in": 59}, "was made from 60, got 59"),
        ({"items_kept": 21}, "21, got 20"),
        ({"items_kept": "20"}, "expected items_in, items_kept and cosine"),
        ({"items_in": -1}, "expected items_in, items_kept and cosine"),
        ({"cosine": None}, "cosine"),
    ],
)
def test_facts_that_do_not_fit_fail_though_checksums_do(tmp_path, facts, message):
    run = refined_run(tmp_path)
    change_facts(run, **facts)
    result = judge(run, None)["refined_index"]
    assert (result.status, message in result.message) == ("failed", True)


@pytest.mark.parametrize("manifest", [[], {}, {"refined": 7}, "text"])
def test_a_manifest_that_is_none_fails_and_ends_nothing(tmp_path, manifest):
    run = refined_run(tmp_path)
    write_json(run / FOLDER / "manifest.json", manifest)
    bless(run, f"{FOLDER}/manifest.json")
    found = judge(run, None)
    assert {found[name].status for name in ("refined_index", "index_recall", "model_id")} == {"failed"}


def test_vectors_of_another_dimension_fail(tmp_path):
    run = refined_run(tmp_path)
    short = index_folder.open_index(run / FOLDER)[0].vectors(np.arange(20))[:, :16]
    short = short / np.linalg.norm(short, axis=1, keepdims=True)
    (run / FOLDER / "items.ann").unlink()
    n_trees = build_annoy(short.astype(np.float32), run / FOLDER / "items.ann", max_trees=3).n_trees
    path = run / FOLDER / "manifest.json"
    manifest = read_json(path)
    file = {"bytes": (run / FOLDER / "items.ann").stat().st_size, "sha256": sha256_of_file(run / FOLDER / "items.ann")}
    write_json(path, manifest | {"dimension": 16, "n_trees": n_trees, "files": manifest["files"] | {"items.ann": file}})
    bless(run, f"{FOLDER}/items.ann")
    bless(run, f"{FOLDER}/manifest.json")
    result = judge(run, None)["refined_index"]
    assert "expected vectors of 32 numbers" in result.message
    assert result.status == "failed"


def test_another_days_refined_index_fails(tmp_path):
    run, other = refined_run(tmp_path / "a"), refined_run(tmp_path / "b", num_kinds=30)
    for name in NAMES:
        (run / FOLDER / name).write_bytes((other / FOLDER / name).read_bytes())
        bless(run, f"{FOLDER}/{name}")
    found = judge(run, None)
    assert found["refined_index"].status == "failed"
    assert "expected the vector of embeddings/, got another for item" in found["refined_index"].message


def test_a_folder_that_no_manifest_lists_fails(tmp_path):
    run = refined_run(tmp_path)
    build_index(run)
    assert judge(run, None)["refined_index"].status == "failed"


def test_a_cosine_that_makes_one_of_many_fails_until_it_is_accepted(tmp_path):
    run = refined_run(tmp_path, cosine=0.01)
    found = judge(run, None, GateThresholds(min_refined_kept=0.5))
    kept = found["refined_kept"]
    assert statuses(found)["failed"] == {"refined_kept"}
    assert kept.value < 0.5
    with pytest.raises(ThresholdError, match=r"--refine-cosine keeps more.*"):
        require_passed(list(found.values()), run)
    accepted = judge(run, None, GateThresholds(min_refined_kept=0.5), refined_kept="one shelf")
    assert accepted["refined_kept"].status == "accepted"
    require_passed(list(accepted.values()), run)


def test_the_worse_of_both_recalls_is_judged(tmp_path):
    run = refined_run(tmp_path)
    path = run / FOLDER / "manifest.json"
    write_json(path, read_json(path) | {"recall": {"10": 0.25}})
    bless(run, f"{FOLDER}/manifest.json")
    result = judge(run, None)["index_recall"]
    assert (result.status, result.value) == ("failed", 0.25)
    assert "the refined index finds 0.25" in result.message
