"""index --refine-cosine through `main`: what it writes, resume, taking over, removal; what is refused."""

import json
import shutil
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from run_builder import RunBuilder

from model.nearest.index import ExactIndex
from model.nearest.index_folder import open_index
from model.nearest.refined import read_near_duplicates
from model.split.near_duplicates import near_duplicates
from pipelines.console.jobs import narrow
from pipelines.daily import job as daily
from pipelines.index.job import IndexConfig, main
from pipelines.run.units import read_stage_manifest
from schemas.errors import CorruptFileError
from schemas.files import sha256_of_file, write_json
from schemas.tables import EMBEDDING_DIM, NEAR_DUPLICATES

pytestmark = pytest.mark.medium

MODEL_ID = "itemsage-0123456789ab"
COSINE = 0.9
NUM_ROWS = 240
REFINED = {f"refined_index/{name}" for name in ("items.ann", "ids.parquet", "manifest.json", "near_duplicates.parquet")}


def clumped(seed: int = 0, num_rows: int = NUM_ROWS) -> np.ndarray:
    """60 clumps of cosines about .8 to 1 inside, every tenth row equal to the one before it."""
    generator = np.random.default_rng(seed)
    centers = generator.standard_normal((60, EMBEDDING_DIM))
    noise = 0.5 * generator.random((num_rows, 1)) * generator.standard_normal((num_rows, EMBEDDING_DIM))
    rows = centers[np.arange(num_rows) % 60] + noise
    rows[9::10] = rows[8::10][: len(rows[9::10])]
    return (rows / np.linalg.norm(rows, axis=1, keepdims=True)).astype(np.float32)


def names(num_rows: int) -> list[str]:
    return [f"item-{row:05d}" for row in range(num_rows)]


def write_embeddings(run: Path, matrix: np.ndarray) -> None:
    RunBuilder(run, MODEL_ID).embeddings(names(len(matrix)), matrix)


def refine(run: Path, *arguments: str, cosine: float = COSINE) -> int:
    return main(["--run", str(run), "--refine-cosine", str(cosine), *arguments])


def sums(run: Path, *folders: str) -> dict[str, str]:
    paths = [path for folder in folders for path in sorted((run / folder).rglob("*")) if path.is_file()]
    return {path.relative_to(run).as_posix(): sha256_of_file(path) for path in paths if path.name != "times.json"}


def stamps(run: Path, folder: str) -> dict[str, tuple[int, int]]:
    paths = [path for path in (run / folder).iterdir() if path.name != "times.json"]
    return {path.name: (path.stat().st_ino, path.stat().st_mtime_ns) for path in paths}


@pytest.fixture(scope="module")
def refined(tmp_path_factory) -> Path:
    """A run with both indexes; read it, do not change it."""
    run = tmp_path_factory.mktemp("refined")
    write_embeddings(run, clumped())
    assert refine(run) == 0
    return run


def test_kept_and_left_out_items_are_those_of_the_rule(refined):
    matrix = clumped()
    representative = near_duplicates(matrix, COSINE)
    kept = np.flatnonzero(representative == np.arange(NUM_ROWS))
    index, ids, _ = open_index(refined / "refined_index")
    assert 60 < len(kept) < NUM_ROWS - 24
    assert ids.to_pylist() == [names(NUM_ROWS)[row] for row in kept]
    assert index.vectors(np.arange(len(kept))).tobytes() == matrix[kept].tobytes()
    table = read_near_duplicates(refined / "refined_index")
    assert table.schema.equals(NEAR_DUPLICATES)
    expected = {names(NUM_ROWS)[row]: names(NUM_ROWS)[representative[row]] for row in range(NUM_ROWS)}
    listed = dict(zip(table["item_id"].to_pylist(), table["representative_item_id"].to_pylist(), strict=True))
    assert listed == {item: other for item, other in expected.items() if item != other}
    assert list(listed) == sorted(listed)
    rows = [[names(NUM_ROWS).index(name) for name in side] for side in (listed.keys(), listed.values())]
    true = (matrix[rows[0]] * matrix[rows[1]]).sum(axis=1)
    np.testing.assert_allclose(table["cosine"].to_numpy(), true, atol=1e-6)
    assert (table["cosine"].to_numpy() == 1).sum() >= 5


def test_the_manifest_says_what_was_done_and_how_good_it_is(refined):
    manifest = json.loads((refined / "refined_index" / "manifest.json").read_text())
    facts = manifest["refined"]
    assert facts["cosine"] == COSINE
    assert facts["order"] == "item_id"
    assert facts["items_in"] == NUM_ROWS == facts["items_kept"] + facts["items_removed"]
    assert facts["items_kept"] == manifest["n_items"]
    representative = near_duplicates(clumped(), COSINE)
    assert facts["largest_group"] == max(np.bincount(representative)) > 2
    assert facts["share_represented"] > 0.9
    exact, _ = ExactIndex(clumped()).search(clumped(), 10)
    different = np.mean([len(set(row)) for row in representative[exact].tolist()])
    assert facts["different_of_full_top"] == pytest.approx(different, abs=1e-6)
    assert 1 < different < 10
    assert manifest["recall"]["10"] >= 0.95
    assert set(manifest["files"]) == {"items.ann", "ids.parquet", "near_duplicates.parquet"}
    stage = read_stage_manifest(str(refined), "index")
    assert stage["refined"] == {name: value for name, value in manifest.items() if name != "files"}
    removed = facts["items_removed"]
    assert stage["counts"] == {"items_indexed": 240, "items_kept": 240 - removed, "near_duplicates": removed}
    assert {entry["path"] for entry in stage["files"]} >= REFINED
    assert json.loads((refined / "refined_index" / "times.json").read_text())["refine_s"] > 0


def test_the_full_index_is_the_same_without_the_option(refined, tmp_path):
    write_embeddings(tmp_path, clumped())
    assert main(["--run", str(tmp_path)]) == 0
    assert sums(tmp_path, "index") == sums(refined, "index")
    assert not (tmp_path / "refined_index").exists()
    units = [read_stage_manifest(str(run), "index")["units"]["all"] for run in (tmp_path, refined)]
    assert units[0] == units[1]
    assert "refined" not in read_stage_manifest(str(tmp_path), "index")


def test_the_closing_lines_tell_it(tmp_path, capsys):
    write_embeddings(tmp_path, clumped())
    assert refine(tmp_path) == 0
    printed = capsys.readouterr().out
    facts = json.loads((tmp_path / "refined_index" / "manifest.json").read_text())["refined"]
    assert f"refined at cosine 0.9: 240 -> {facts['items_kept']} items ({facts['items_removed']} near-dup" in printed
    for what in ("MB -> ", "recall@10 ", " ms a query", "are represented in its 10 results"):
        assert what in printed


def test_equal_embeddings_make_equal_bytes_and_a_second_call_does_nothing(refined, tmp_path):
    write_embeddings(tmp_path, clumped())
    assert refine(tmp_path) == 0
    assert sums(tmp_path, "index", "refined_index", "manifests") == sums(refined, "index", "refined_index", "manifests")
    before = [stamps(tmp_path, folder) for folder in ("index", "refined_index")]
    assert refine(tmp_path) == 0
    assert [stamps(tmp_path, folder) for folder in ("index", "refined_index")] == before


def test_another_threshold_builds_the_refined_index_alone_and_none_removes_it(tmp_path):
    write_embeddings(tmp_path, clumped())
    assert refine(tmp_path) == 0
    full, first = stamps(tmp_path, "index"), stamps(tmp_path, "refined_index")
    assert refine(tmp_path, cosine=0.99) == 0
    assert stamps(tmp_path, "index") == full
    assert stamps(tmp_path, "refined_index") != first
    assert open_index(tmp_path / "refined_index")[2]["refined"]["cosine"] == 0.99
    assert main(["--run", str(tmp_path)]) == 0
    assert stamps(tmp_path, "index") == full
    assert not (tmp_path / "refined_index").exists()
    assert not (tmp_path / "units" / "index" / "refined.json").exists()
    assert read_stage_manifest(str(tmp_path), "index")["counts"] == {"items_indexed": NUM_ROWS}


def test_what_a_killed_build_left_is_removed(tmp_path):
    """Killed between the files and the seal: no sidecar lists them."""
    write_embeddings(tmp_path, clumped())
    assert refine(tmp_path) == 0
    (tmp_path / "units" / "index" / "refined.json").unlink()
    (tmp_path / "refined_index" / ".items.ann.0123abcd.tmp").write_text("half")
    assert main(["--run", str(tmp_path)]) == 0
    assert not (tmp_path / "refined_index").exists()


def test_a_published_run_keeps_its_files_whatever_they_are(tmp_path):
    write_embeddings(tmp_path, clumped())
    assert main(["--run", str(tmp_path)]) == 0
    (tmp_path / "refined_index").mkdir()
    (tmp_path / "COMPLETED").write_text("x")
    assert main(["--run", str(tmp_path)]) == 0
    assert (tmp_path / "refined_index").is_dir()


def test_a_published_refined_index_is_not_removed(refined, tmp_path, capsys):
    run = Path(shutil.copytree(refined, tmp_path / "run"))
    (run / "COMPLETED").write_text("x")
    before = sums(run, "index", "refined_index", "units", "manifests")
    assert main(["--run", str(run)]) == 2
    assert "which is published with refined_index/" in capsys.readouterr().err
    assert sums(run, "index", "refined_index", "units", "manifests") == before


def test_both_are_taken_over_from_the_day_before(refined, tmp_path):
    write_embeddings(tmp_path, clumped())
    assert refine(tmp_path, "--reuse-from", str(refined)) == 0
    assert sums(tmp_path, "index", "refined_index", "manifests") == sums(refined, "index", "refined_index", "manifests")
    times = [(run / "refined_index" / "times.json").read_bytes() for run in (tmp_path, refined)]
    assert times[0] == times[1], "times of its own: it was built"


@pytest.mark.parametrize("difference", ["threshold", "vectors", "flipped byte", "not refined"])
def test_a_refined_index_that_does_not_hold_today_is_built(refined, tmp_path, difference, capsys):
    earlier = Path(shutil.copytree(refined, tmp_path / "earlier"))
    if difference == "flipped byte":
        content = bytearray((earlier / "refined_index" / "items.ann").read_bytes())
        content[100] ^= 1
        (earlier / "refined_index" / "items.ann").write_bytes(content)
    elif difference == "not refined":
        assert main(["--run", str(earlier)]) == 0
    today, scratch = tmp_path / "today", tmp_path / "scratch"
    for run in (today, scratch):
        write_embeddings(run, clumped(seed=int(difference == "vectors")))
    cosine = 0.95 if difference == "threshold" else COSINE
    capsys.readouterr()
    assert refine(today, "--reuse-from", str(earlier), cosine=cosine) == 0
    assert ("computed, not taken over" in capsys.readouterr().err) == (difference == "flipped byte")
    assert refine(scratch, cosine=cosine) == 0
    assert sums(today, "index", "refined_index") == sums(scratch, "index", "refined_index")


@pytest.mark.parametrize(("num_rows", "kept"), [(1, 1), (2, 1)])
def test_few_items(tmp_path, num_rows, kept):
    write_embeddings(tmp_path, np.repeat(clumped()[:1], num_rows, axis=0))
    assert refine(tmp_path, cosine=1) == 0
    index, _, manifest = open_index(tmp_path / "refined_index")
    assert index.num_items == kept
    assert manifest["refined"]["share_represented"] == 1
    assert len(read_near_duplicates(tmp_path / "refined_index")) == num_rows - kept


def test_no_items_fail_the_threshold(tmp_path):
    write_embeddings(tmp_path, clumped()[:0])
    assert refine(tmp_path) == 3


@pytest.mark.parametrize("cosine", [-0.1, 1.01, float("nan")])
def test_a_threshold_out_of_range_is_a_wrong_call(tmp_path, cosine, capsys):
    assert main(["--run", str(tmp_path), f"--refine-cosine={cosine}"]) == 2
    assert "expected --refine-cosine" in capsys.readouterr().err


def test_the_daily_run_passes_the_threshold_on_and_refuses_a_wrong_one(tmp_path, capsys):
    config = daily.DailyConfig(catalog="c", store="s", date="2026-06-30", refine_cosine=0.98)
    assert narrow(IndexConfig, config, run="r").refine_cosine == 0.98
    given = ["--catalog", "c", "--store", str(tmp_path / "store"), "--date", "2026-06-30", "--refine-cosine", "98"]
    assert daily.main(given) == 2
    assert "expected --refine-cosine of 0 or a cosine up to 1, got 98.0" in capsys.readouterr().err


def forge(folder: Path, **columns: list[object]) -> None:
    """Two near-duplicates with other columns, and a manifest that vouches for them."""
    table = pq.read_table(folder / "near_duplicates.parquet").slice(0, 2)
    for name, values in columns.items():
        field = NEAR_DUPLICATES.field(name)
        table = table.set_column(NEAR_DUPLICATES.get_field_index(name), field, pa.array(values, field.type))
    pq.write_table(table, folder / "near_duplicates.parquet")
    manifest = json.loads((folder / "manifest.json").read_text())
    manifest["files"]["near_duplicates.parquet"]["sha256"] = sha256_of_file(folder / "near_duplicates.parquet")
    manifest["refined"]["items_removed"] = len(table)
    write_json(folder / "manifest.json", manifest)


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (lambda folder: (folder / "near_duplicates.parquet").unlink(), "got none"),
        (lambda folder: (folder / "near_duplicates.parquet").write_text("x"), "expected sha256"),
        (lambda folder: shutil.copy(folder.parent / "index" / "manifest.json", folder), "items_removed"),
        (lambda folder: forge(folder, item_id=["b", "a"]), "ascending order"),
        (lambda folder: forge(folder, item_id=["a", "b"], representative_item_id=["x", "a"]), "got 'a', which is left"),
        (lambda folder: forge(folder, cosine=[1.0, 0.5]), "cosines from 0.9 to 1, got 0.5"),
        (lambda folder: forge(folder, cosine=[1.0, float("nan")]), "cosines from 0.9 to 1, got nan"),
    ],
)
def test_a_damaged_table_of_near_duplicates_is_refused(refined, tmp_path, damage, message):
    run = Path(shutil.copytree(refined, tmp_path / "run"))
    damage(run / "refined_index")
    with pytest.raises(CorruptFileError, match=message):
        read_near_duplicates(run / "refined_index")
