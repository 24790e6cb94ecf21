"""A published refined index: it is listed and found by readers, and verify and the gates see every damage of it."""

import json
import shutil
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import verified_store
from verified_store import current, problems

from model.nearest.index_folder import open_index
from model.nearest.refined import read_near_duplicates
from model.nearest.tuned_build import build_annoy
from pipelines import path
from pipelines.gates.gated_run import GatedRun
from pipelines.operations.verify.job import main, verify_run
from pipelines.run.index_problems import refined_problems
from pipelines.run.model_ids import wrong_model_ids
from pipelines.run.opened import Run
from schemas.files import read_json, sha256_of_file, write_json, write_sealed_json
from schemas.tables import IDS, NEAR_DUPLICATES

pytestmark = pytest.mark.medium

FOLDER = "refined_index"
NAMES = ("items.ann", "ids.parquet", "manifest.json", "near_duplicates.parquet")


@pytest.fixture
def own_store(refined_store, tmp_path) -> Path:
    """A copy to damage."""
    return Path(shutil.copytree(refined_store, tmp_path / "store"))


def reseal(run: Path, **facts: object) -> None:
    """Makes every checksum and manifest fit the files of refined_index/, as somebody would who wants it believed."""
    sizes = {
        name: {"bytes": (run / FOLDER / name).stat().st_size, "sha256": sha256_of_file(run / FOLDER / name)}
        for name in NAMES
        if name != "manifest.json"
    }
    manifest = read_json(run / FOLDER / "manifest.json") | facts
    write_json(run / FOLDER / "manifest.json", manifest | {"files": sizes})
    refined = {name: fact for name, fact in manifest.items() if name != "files"}
    verified_store.reseal(run, "index", (f"{FOLDER}/",), refined=refined)


def test_a_published_refined_index_passes_and_is_found(refined_store, capsys):
    assert problems(refined_store) == {}
    found = {each.check: each for each in verify_run(refined_store, current(refined_store))}
    ids = open_index(current(refined_store) / FOLDER)[1]
    removed = read_near_duplicates(current(refined_store) / FOLDER)
    assert len(ids) + len(removed) == 40
    assert min(len(ids), len(removed)) >= 2, "else the tests below show nothing"
    assert found[FOLDER].looked_at == f"{len(ids)} items, {len(removed)} near-duplicates of them"
    assert [each.check for each in found.values() if each.warnings] == []
    assert main(["--store", str(refined_store)]) == 0
    assert "17 checks passed" in capsys.readouterr().out
    assert path.main([FOLDER, "--store", str(refined_store)]) == 0
    assert capsys.readouterr().out.strip() == str(current(refined_store) / FOLDER)
    published = {entry["path"] for entry in read_json(current(refined_store) / "manifest.json")["files"]}
    assert published >= {f"{folder}/{name}" for folder in (FOLDER,) for name in NAMES} | {"index/items.ann"}


def test_without_a_refined_index_there_is_none_to_find(made_store, capsys):
    assert path.main([FOLDER, "--store", str(made_store)]) == 2
    assert "expected refined_index in the published run" in capsys.readouterr().err


def test_the_gates_pass_it_and_look_at_its_model_id(own_store):
    run = GatedRun(current(own_store))
    assert not list(refined_problems(run.refined, *run.embeddings))
    places, wrong = wrong_model_ids(run)
    reseal(current(own_store), model_id="itemsage-ffffffffffff")
    assert wrong == []
    assert wrong_model_ids(Run(current(own_store))) == (
        places,
        [f"{FOLDER}/manifest.json 'itemsage-ffffffffffff' instead of '{run.model_id}'"],
    )
    assert "expected an index of model " in problems(own_store)[FOLDER]


def other_ids(run: Path) -> None:
    table = pq.read_table(run / FOLDER / "ids.parquet")
    pq.write_table(pa.table([["another", *table["item_id"].to_pylist()[1:]]], schema=IDS), run / FOLDER / "ids.parquet")


def other_vectors(run: Path) -> None:
    index, _, manifest = open_index(run / FOLDER)
    matrix = index.vectors(np.arange(index.num_items))[::-1].copy()
    (run / FOLDER / "items.ann").unlink()
    build_annoy(matrix, run / FOLDER / "items.ann", max_trees=manifest["n_trees"])


def edit_rows(run: Path, column: str, value: object) -> None:
    file = run / FOLDER / "near_duplicates.parquet"
    rows = pq.read_table(file).to_pylist()
    rows[0][column] = value
    pq.write_table(pa.Table.from_pylist(rows, schema=NEAR_DUPLICATES), file)


def fewer_rows(run: Path) -> None:
    file = run / FOLDER / "near_duplicates.parquet"
    pq.write_table(pq.read_table(file).slice(1), file)
    facts = read_json(run / FOLDER / "manifest.json")["refined"]
    reseal(run, refined=facts | {"items_removed": facts["items_removed"] - 1})


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (other_ids, "once, kept or left out, got others"),
        (other_vectors, "expected the vector of embeddings/, got another for item"),
        (lambda run: edit_rows(run, "representative_item_id", "stranger"), "that are kept, got 1 others, 'stranger'"),
        (lambda run: edit_rows(run, "cosine", 0.95), "to its representative, got 0.950000 for item"),
        (fewer_rows, "once, kept or left out, got others"),
    ],
)
def test_wrong_content_is_found_though_its_checksums_fit(own_store, damage, message):
    damage(current(own_store))
    reseal(current(own_store))
    found = problems(own_store)
    assert message in found[FOLDER]
    assert "checksums" not in found


def test_facts_that_differ_from_the_stage_manifest_are_found(own_store):
    run = current(own_store)
    document = run / "manifests" / "index.json"
    value = json.loads(document.read_text())
    del value["checksum"], value["refined"]
    write_sealed_json(document, value)
    assert "in manifests/index.json, got others" in problems(own_store)[FOLDER]
