"""The index stage through `main`: what it writes, that plain Annoy reads it, equal bytes, resume, and its refusals."""

import json
from pathlib import Path

import annoy
import numpy as np
import pyarrow.parquet as pq
import pytest
from run_builder import RunBuilder

from model.nearest.index_folder import open_index
from pipelines.console.exit_codes import EXIT_THRESHOLD
from pipelines.index.job import main
from schemas.files import read_sealed_json, sha256_of_file, write_sealed_json
from schemas.records.embeddings import embeddings_metadata, write_embeddings_file
from schemas.tables import EMBEDDING_DIM, IDS

pytestmark = pytest.mark.medium

MODEL_ID = "itemsage-0123456789ab"


def unit_rows(num_rows: int, seed: int = 0) -> np.ndarray:
    rows = np.random.default_rng(seed).standard_normal((num_rows, EMBEDDING_DIM)).astype(np.float32)
    return rows / np.linalg.norm(rows, axis=1, keepdims=True)


def names(num_rows: int) -> list[str]:
    return [f"item-{row:05d}" for row in range(num_rows)]


def write_embeddings(run: Path, matrix: np.ndarray, model_id: str = MODEL_ID, parts: int = 1) -> None:
    """The embeddings stage's output: rows dealt out to parts, each sorted."""
    RunBuilder(run, model_id).embeddings(names(len(matrix)), matrix, parts)


def checksums(run: Path) -> dict[str, str]:
    files = [path for path in run.rglob("*") if path.is_file() and path.name != "times.json"]
    return {path.relative_to(run).as_posix(): sha256_of_file(path) for path in files}


def test_plain_annoy_reads_the_index_with_its_ids(tmp_path):
    matrix = unit_rows(400)
    write_embeddings(tmp_path, matrix, parts=3)
    assert main(["--run", str(tmp_path)]) == 0
    manifest = json.loads((tmp_path / "index" / "manifest.json").read_text())
    index = annoy.AnnoyIndex(manifest["dimension"], manifest["metric"])
    index.load(str(tmp_path / "index" / "items.ann"))
    table = pq.read_table(tmp_path / "index" / "ids.parquet")
    assert table.schema.equals(IDS)
    assert table["item_id"].to_pylist() == names(400)
    assert index.get_n_items() == 400
    rows, distances = index.get_nns_by_vector(matrix[123], 5, manifest["search_k"], include_distances=True)
    assert table["item_id"][rows[0]].as_py() == "item-00123"
    cosines = 1 - np.square(distances) / 2
    np.testing.assert_allclose(cosines, matrix[rows] @ matrix[123], atol=1e-5)


def test_the_manifest_states_what_was_built(tmp_path):
    matrix = unit_rows(300)
    matrix[7] = matrix[8]
    write_embeddings(tmp_path, matrix)
    assert main(["--run", str(tmp_path), "--target-recall", "0.9", "--seed", "5"]) == 0
    manifest = json.loads((tmp_path / "index" / "manifest.json").read_text())
    assert manifest["model_id"] == MODEL_ID
    assert (manifest["dimension"], manifest["metric"], manifest["n_items"]) == (256, "angular", 300)
    assert manifest["target_reached"]
    assert manifest["recall"]["10"] >= 0.9
    assert manifest["share_with_twin"] == pytest.approx(2 / 300, abs=1e-6)
    assert manifest["seed"] == 5
    assert not any("_s" in name[-2:] or "_ms" in name for name in manifest)
    stage = json.loads((tmp_path / "manifests" / "index.json").read_text())
    assert stage["counts"] == {"items_indexed": 300}
    assert times_of(tmp_path)["latency_p95_ms"] > 0
    listed = {entry["path"] for entry in stage["files"]}
    assert listed == {"index/items.ann", "index/ids.parquet", "index/manifest.json"}
    assert open_index(tmp_path / "index")[0].num_items == 300


def test_two_runs_over_equal_embeddings_are_equal_bytes(tmp_path):
    for name in ("a", "b"):
        write_embeddings(tmp_path / name, unit_rows(200))
        assert main(["--run", str(tmp_path / name)]) == 0
    sums = [checksums(tmp_path / name) for name in ("a", "b")]
    assert sums[0] == sums[1]
    assert {"index/items.ann", "manifests/index.json"} <= sums[0].keys()


def test_a_second_call_does_nothing_and_a_changed_input_builds_anew(tmp_path):
    write_embeddings(tmp_path, unit_rows(50))
    index = tmp_path / "index" / "items.ann"
    assert main(["--run", str(tmp_path)]) == 0
    first = (index.stat().st_ino, index.stat().st_mtime_ns)
    assert main(["--run", str(tmp_path)]) == 0
    assert (index.stat().st_ino, index.stat().st_mtime_ns) == first
    write_embeddings(tmp_path, unit_rows(50, seed=1))
    assert main(["--run", str(tmp_path)]) == 0
    second = (index.stat().st_ino, index.stat().st_mtime_ns)
    assert second != first
    assert main(["--run", str(tmp_path), "--max-trees", "5"]) == 0
    assert (index.stat().st_ino, index.stat().st_mtime_ns) != second
    assert open_index(tmp_path / "index")[2]["n_trees"] == 5


def test_a_target_out_of_reach_is_said(tmp_path, capsys):
    write_embeddings(tmp_path, unit_rows(2000))
    arguments = ["--target-recall", "1", "--max-trees", "2", "--max-search-k", "20"]
    assert main(["--run", str(tmp_path), *arguments]) == 0
    printed = capsys.readouterr().out
    assert "WARNING: expected recall@10 >= 1.0" in printed
    assert "2 trees and search_k 20" in printed


@pytest.mark.parametrize("num_rows", [1, 3])
def test_few_items(tmp_path, num_rows):
    write_embeddings(tmp_path, unit_rows(num_rows))
    assert main(["--run", str(tmp_path)]) == 0
    index, ids, _ = open_index(tmp_path / "index")
    assert index.search(unit_rows(num_rows), 10)[0][0, 0] == 0
    assert len(ids) == num_rows


def test_no_items_fail_the_threshold(tmp_path, capsys):
    write_embeddings(tmp_path, unit_rows(0))
    assert main(["--run", str(tmp_path)]) == 3
    assert "at least one vector" in capsys.readouterr().err
    assert not (tmp_path / "index" / "items.ann").exists()


def test_unfinished_or_changed_embeddings_are_refused(tmp_path, capsys):
    assert main(["--run", str(tmp_path)]) == 1
    assert "expected the finished stage 'embeddings'" in capsys.readouterr().err
    write_embeddings(tmp_path, unit_rows(20))
    part = tmp_path / "embeddings" / "part-00000-of-00001.parquet"
    metadata = embeddings_metadata(MODEL_ID, EMBEDDING_DIM)
    write_embeddings_file(part, names(20), unit_rows(20, seed=3), metadata)
    assert main(["--run", str(tmp_path)]) == 1
    assert "expected sha256" in capsys.readouterr().err


@pytest.mark.parametrize("arguments", [["--target-recall", "2"], ["--max-trees", "0"], ["--max-search-k", "-1"]])
def test_settings_out_of_range_are_a_wrong_call(tmp_path, arguments, capsys):
    assert main(["--run", str(tmp_path), *arguments]) == 2
    assert "expected --target-recall from 0 to 1" in capsys.readouterr().err


def times_of(run: Path) -> dict[str, float]:
    return json.loads((run / "index" / "times.json").read_text())


def index_files(run: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in (run / "index").iterdir() if path.name != "times.json"}


def test_an_index_of_equal_embeddings_is_copied_with_its_times(tmp_path):
    first, second, third = (tmp_path / name for name in ("first", "second", "third"))
    for run in (first, second, third):
        write_embeddings(run, unit_rows(200))
    assert main(["--run", str(first)]) == 0
    assert main(["--run", str(second), "--reuse-from", str(first)]) == 0
    assert index_files(second) == index_files(first)
    assert times_of(second) == times_of(first), "times of its own: it was built"
    manifests = [json.loads((run / "manifests" / "index.json").read_text()) for run in (first, second)]
    assert manifests[0] == manifests[1]
    (second / "index" / "times.json").unlink()
    assert main(["--run", str(third), "--reuse-from", str(second)]) == 0
    assert index_files(third) == index_files(first)
    assert times_of(third) == {}


@pytest.mark.parametrize("difference", ["vectors", "settings", "flipped byte", "missing", "itself", "nothing there"])
def test_an_index_that_does_not_hold_today_is_built(tmp_path, capsys, difference):
    first, second = tmp_path / "first", tmp_path / "second"
    for run in (first, second):
        write_embeddings(run, unit_rows(150, seed=difference == "vectors" and run == first))
    if difference != "nothing there":
        assert main(["--run", str(first), "--seed", str(int(difference == "settings"))]) == 0
    annoy_file = first / "index" / "items.ann"
    if difference == "flipped byte":
        content = bytearray(annoy_file.read_bytes())
        content[100] ^= 1
        annoy_file.write_bytes(content)
    elif difference == "missing":
        annoy_file.unlink()
    capsys.readouterr()
    earlier = second if difference == "itself" else first
    assert main(["--run", str(second), "--reuse-from", str(earlier)]) == 0
    assert ("computed, not taken over" in capsys.readouterr().err) == (difference == "flipped byte")
    scratch = tmp_path / "scratch"
    write_embeddings(scratch, unit_rows(150))
    assert main(["--run", str(scratch)]) == 0
    assert index_files(second) == index_files(scratch)
    assert times_of(second).keys() == times_of(scratch).keys()


def test_the_quarantine_of_the_embed_stage_does_not_change_the_index(tmp_path):
    """It names its run, so it differs every day."""
    runs = [tmp_path / name for name in ("first", "second")]
    for run in runs:
        write_embeddings(run, unit_rows(100))
        manifest = read_sealed_json(run / "manifests" / "embeddings.json")
        path = run / "quarantine" / "embeddings-part-00000-of-00001.parquet"
        path.parent.mkdir()
        path.write_text(run.name)
        entry = {"bytes": path.stat().st_size, "path": path.relative_to(run).as_posix(), "sha256": sha256_of_file(path)}
        manifest["files"].append(entry)
        write_sealed_json(run / "manifests" / "embeddings.json", manifest)
    assert main(["--run", str(runs[0])]) == 0
    assert main(["--run", str(runs[1]), "--reuse-from", str(runs[0])]) == 0
    assert times_of(runs[1]) == times_of(runs[0])


def test_a_log_of_which_little_can_be_read_chooses_no_index(tmp_path, capsys):
    run, log = tmp_path / "run", tmp_path / "log.csv"
    write_embeddings(run, unit_rows(50))
    rows = [
        f"2026-06-01T00:00:{n:02}Z,search,item-{n:05d},{'click' if n < 10 else 'bought'},mug {n}" for n in range(50)
    ]
    log.write_text("timestamp,surface,item_id,action,query\n" + "\n".join(rows))
    assert main(["--run", str(run), "--engagements", str(log), "--date", "2026-06-30"]) == EXIT_THRESHOLD
    message = capsys.readouterr().err
    assert "the index is chosen by its queries" in message
    assert not (run / "index").exists()
