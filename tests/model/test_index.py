"""One test body for the exact index and its Annoy twin; builds are equal byte for byte; foreign files are refused."""

import doctest
import json
import os
import shutil
from pathlib import Path

import annoy
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from model.nearest import index as index_module
from model.nearest import tuned_build as index_build
from model.nearest.index import METRIC, NO_ROW, AnnoyItemIndex, ExactIndex
from model.nearest.index_folder import open_index
from model.nearest.recall import RecallQueries, Truth
from model.nearest.tuned_build import build_annoy, self_test, share_with_twin
from schemas.errors import CorruptFileError, ThresholdError
from schemas.files import sha256_of_file, write_json
from schemas.tables import IDS

pytestmark = pytest.mark.medium

DIM = 16


def clustered(num_rows: int, dim: int = DIM, seed: int = 0, spread: float = 0.5) -> np.ndarray:
    generator = np.random.default_rng(seed)
    centers = generator.standard_normal((max(1, num_rows // 20), dim))
    rows = centers[generator.integers(0, len(centers), num_rows)] + spread * generator.standard_normal((num_rows, dim))
    return (rows / np.linalg.norm(rows, axis=1, keepdims=True)).astype(np.float32)


def exact_annoy(matrix: np.ndarray, path: Path) -> AnnoyItemIndex:
    """An Annoy index that inspects every node: as good as exact."""
    build_annoy(matrix, path, max_trees=10)
    loaded = annoy.AnnoyIndex(matrix.shape[1], "angular")
    loaded.load(str(path))
    return AnnoyItemIndex(loaded, search_k=len(matrix) * 100)


@pytest.fixture(params=["exact", "annoy"])
def make_index(request, tmp_path):
    return ExactIndex if request.param == "exact" else lambda matrix: exact_annoy(matrix, tmp_path / "items.ann")


@pytest.mark.parametrize("num_rows", [1, 2, 7, 300])
def test_both_indexes_find_the_brute_force_neighbours(make_index, num_rows):
    matrix, queries = clustered(num_rows), clustered(150, seed=1)
    index = make_index(matrix)
    assert (index.num_items, index.dim) == (num_rows, DIM)
    rows, scores = index.search(queries, 5)
    assert rows.shape == scores.shape == (150, 5)
    assert (rows.dtype, scores.dtype) == (np.int64, np.float32)
    cosines = queries @ matrix.T
    found = min(5, num_rows)
    np.testing.assert_array_equal(rows[:, :found], np.argsort(-cosines, axis=1, kind="stable")[:, :found])
    np.testing.assert_allclose(scores[:, :found], np.sort(cosines, axis=1)[:, ::-1][:, :found], atol=2e-6)
    assert (rows[:, found:] == NO_ROW).all()
    assert np.isneginf(scores[:, found:]).all()


def test_equal_scores_come_by_ascending_row(make_index):
    matrix = np.repeat(clustered(3), 30, axis=0)
    rows, scores = make_index(matrix).search(matrix[45:46], 30)
    assert rows.tolist() == [list(range(30, 60))]
    assert len(set(scores[0].tolist())) == 1


def test_as_many_rows_as_there_are_are_found_in_order(tmp_path):
    matrix = clustered(12_000, dim=8)
    build_annoy(matrix, tmp_path / "items.ann", target_recall=0.9)
    loaded = annoy.AnnoyIndex(8, METRIC)
    loaded.load(str(tmp_path / "items.ann"))
    found = AnnoyItemIndex(loaded, search_k=5).search(matrix[:3], len(matrix))  # a cap below the number of trees
    exact = ExactIndex(matrix).search(matrix[:3], len(matrix))
    assert (np.sort(found[0], axis=1) == np.arange(len(matrix))).all()
    np.testing.assert_allclose(found[1], exact[1], atol=1e-5)


def test_vectors_are_the_items_own(make_index):
    matrix = clustered(20)
    np.testing.assert_array_equal(make_index(matrix).vectors([3, 0]), matrix[[3, 0]])
    assert make_index(matrix).vectors([]).shape == (0, DIM)


@pytest.mark.parametrize(
    ("queries", "top"),
    [
        (np.zeros((1, DIM + 1), np.float32), 5),
        (np.zeros(DIM, np.float32), 5),
        (np.full((1, DIM), np.nan, np.float32), 5),
        (np.ones((1, DIM), np.float32), 0),
    ],
)
def test_queries_that_cannot_be_answered_are_refused(make_index, queries, top):
    with pytest.raises(ValueError, match="expected"):
        make_index(clustered(20)).search(queries, top)


def test_no_queries_no_results(make_index):
    assert make_index(clustered(20)).search(np.zeros((0, DIM), np.float32), 3)[0].shape == (0, 3)


def test_exact_index_of_nothing_answers_nothing():
    rows, _ = ExactIndex(np.zeros((0, DIM), np.float32)).search(clustered(2), 3)
    assert (rows == NO_ROW).all()


@pytest.mark.parametrize("scores_per_block", [1, 1000])
def test_exact_search_does_not_depend_on_the_block(monkeypatch, scores_per_block):
    matrix, queries = clustered(300), clustered(20, seed=1)
    expected = ExactIndex(matrix).search(queries, 10)[0]
    monkeypatch.setattr(index_module, "_SCORES_PER_BLOCK", scores_per_block)
    np.testing.assert_array_equal(ExactIndex(matrix).search(queries, 10)[0], expected)


def test_annoy_results_do_not_depend_on_the_threads(tmp_path):
    matrix, queries = clustered(2000), clustered(300, seed=1)
    build_annoy(matrix, tmp_path / "items.ann")
    loaded = annoy.AnnoyIndex(DIM, "angular")
    loaded.load(str(tmp_path / "items.ann"))
    results = [AnnoyItemIndex(loaded, 100, num_threads=n).search(queries, 10) for n in (1, 4)]
    np.testing.assert_array_equal(results[0][0], results[1][0])
    np.testing.assert_array_equal(results[0][1], results[1][1])


def test_two_builds_are_equal_bytes_and_facts_and_the_seed_matters(tmp_path):
    matrix = clustered(1000, spread=3.0)
    settings_ = {"target_recall": 1.0, "max_trees": 20, "max_search_k": 200}  # unreachable: several trees are tried
    facts = [build_annoy(matrix, tmp_path / f"{n}.ann", seed=seed, **settings_) for n, seed in enumerate((1, 1, 2))]
    assert (tmp_path / "0.ann").read_bytes() == (tmp_path / "1.ann").read_bytes()
    assert (tmp_path / "0.ann").read_bytes() != (tmp_path / "2.ann").read_bytes()
    assert facts[0].to_json() == facts[1].to_json()
    assert facts[0].n_trees == 20
    assert "times" not in facts[0].to_json()
    assert facts[0].times.keys() >= {"latency_p50_ms", "latency_p95_ms"}


def brute_recall(matrix: np.ndarray, loaded: annoy.AnnoyIndex, search_k: int, k: int) -> float:
    found = total = 0
    for row, vector in enumerate(matrix):
        cosines = np.delete(matrix @ vector, row)
        kth = np.sort(cosines)[::-1][k - 1]
        near = [other for other in loaded.get_nns_by_item(row, k + 1, search_k) if other != row][:k]
        found += sum(matrix[other] @ vector >= kth - 1e-5 for other in near)
        total += k
    return found / total


def test_recall_in_the_facts_is_that_of_plain_annoy(tmp_path):
    matrix = clustered(900, dim=32, spread=3.0)
    facts = build_annoy(matrix, tmp_path / "items.ann", target_recall=0.6)
    loaded = annoy.AnnoyIndex(32, "angular")
    loaded.load(str(tmp_path / "items.ann"))
    assert facts.num_queries == 900
    for k in (10, 100):
        expected = brute_recall(matrix, loaded, facts.search_k_at[str(k)], k)
        assert facts.recall[str(k)] == pytest.approx(expected, abs=1e-3)
    assert 0.6 <= facts.recall["10"] < 1


def test_the_cheapest_candidate_that_reaches_the_target_wins(tmp_path):
    matrix = clustered(1500, dim=32, spread=3.0)
    low, high = (build_annoy(matrix, tmp_path / f"{t}.ann", target_recall=t) for t in (0.3, 0.95))
    assert low.target_reached
    assert high.target_reached
    assert high.recall["10"] >= 0.95
    assert (low.n_trees, low.search_k) < (high.n_trees, high.search_k)


def test_a_target_out_of_reach_gives_the_best_and_says_so(tmp_path):
    matrix = clustered(1500, dim=32, spread=3.0)
    facts = build_annoy(matrix, tmp_path / "items.ann", target_recall=1.0, max_trees=20, max_search_k=300)
    assert not facts.target_reached
    assert (facts.n_trees, facts.search_k) == (20, 300)
    loaded = annoy.AnnoyIndex(32, "angular")
    loaded.load(str(tmp_path / "items.ann"))
    assert loaded.get_n_trees() == 20


def test_the_best_of_failures_is_rebuilt_when_it_was_not_the_last(tmp_path, monkeypatch):
    monkeypatch.setattr(Truth, "recall", lambda self, index, k, search_k: 0.7 if search_k == 100 else 0.5)
    facts = build_annoy(clustered(300), tmp_path / "items.ann", max_trees=20)
    assert (facts.n_trees, facts.search_k, facts.target_reached) == (10, 100, False)
    loaded = annoy.AnnoyIndex(DIM, "angular")
    loaded.load(str(tmp_path / "items.ann"))
    assert loaded.get_n_trees() == 10


def test_trees_are_chosen_for_the_kind_that_needs_most(tmp_path):
    matrix = clustered(3000, dim=32, spread=1.0)
    asked = {"text": RecallQueries(vectors_QD=clustered(200, dim=32, seed=5, spread=9.0), source="made up")}
    alone = build_annoy(matrix, tmp_path / "alone.ann")
    both = build_annoy(matrix, tmp_path / "both.ann", asked)
    assert (alone.kinds.keys(), both.kinds.keys()) == ({"item"}, {"item", "text"})
    assert both.n_trees > alone.n_trees
    text = both.kinds["text"]
    assert (text.num_queries, text.queries, text.target_reached) == (200, "made up", True)
    loaded = annoy.AnnoyIndex(32, "angular")
    loaded.load(str(tmp_path / "both.ann"))
    queries = asked["text"].vectors_QD
    kth = ExactIndex(matrix).search(queries, 10)[1][:, -1:]
    rows, _ = AnnoyItemIndex(loaded, text.search_k).search(queries, 10)
    found = np.mean(np.einsum("qkd,qd->qk", matrix[rows], queries) >= kth - 1e-5)
    assert text.recall["10"] == pytest.approx(found, abs=1e-6)
    assert found >= 0.95
    capped = build_annoy(matrix, tmp_path / "capped.ann", asked, target_recall=0.8, max_trees=10, max_search_k=100)
    assert not capped.kinds["text"].target_reached


def test_equal_vectors_count_as_found(tmp_path):
    matrix = np.repeat(clustered(4), 200, axis=0)
    facts = build_annoy(matrix, tmp_path / "items.ann")
    assert facts.recall == {"10": 1.0, "100": 1.0}
    assert facts.share_with_twin == 1.0


@pytest.mark.parametrize("num_rows", [1, 2, 5, 12])
def test_few_items(tmp_path, num_rows):
    facts = build_annoy(clustered(num_rows), tmp_path / "items.ann")
    assert facts.recall == {"10": 1.0, "100": 1.0}
    assert facts.target_reached
    assert (facts.n_items, facts.num_queries) == (num_rows, num_rows)


def test_no_items_are_refused(tmp_path):
    with pytest.raises(ThresholdError, match="at least one vector"):
        build_annoy(np.zeros((0, DIM), np.float32), tmp_path / "items.ann")
    assert not (tmp_path / "items.ann").exists()


@pytest.mark.parametrize("settings_", [{"target_recall": 1.1}, {"max_trees": 0}, {"max_search_k": 0}])
def test_settings_out_of_range_are_refused(tmp_path, settings_):
    with pytest.raises(ValueError, match=r"max_trees >= 1"):
        build_annoy(clustered(5), tmp_path / "items.ann", **settings_)


@settings(max_examples=30, deadline=None)
@given(st.lists(st.integers(0, 5), max_size=30))
def test_share_with_twin_counts_rows_that_occur_twice(kinds):
    expected = sum(kinds.count(kind) > 1 for kind in kinds) / len(kinds) if kinds else 0.0
    assert share_with_twin(clustered(6)[kinds]) == pytest.approx(expected)


def test_self_test_catches_an_annoy_that_returns_one_neighbour(monkeypatch):
    self_test()
    whole = AnnoyItemIndex.search

    def single(self, queries, top):
        rows, scores = whole(self, queries, top)
        rows[:, 1:] = NO_ROW
        return rows, scores

    monkeypatch.setattr(AnnoyItemIndex, "search", single)
    with pytest.raises(RuntimeError, match="got 1 of which"):
        self_test()


def test_worked_examples():
    for module in (index_module, index_build):
        result = doctest.testmod(module)
        assert result.failed == 0
        assert result.attempted > 0


def write_index_folder(folder: Path, matrix: np.ndarray) -> Path:
    folder.mkdir()
    facts = build_annoy(matrix, folder / "items.ann")
    pq.write_table(pa.table([[f"item-{row}" for row in range(len(matrix))]], schema=IDS), folder / "ids.parquet")
    files = {
        name: {"bytes": os.path.getsize(folder / name), "sha256": sha256_of_file(folder / name)}
        for name in ("items.ann", "ids.parquet")
    }
    write_json(folder / "manifest.json", {**facts.to_json(), "model_id": "itemsage-0", "files": files})
    return folder


def edit_manifest(folder: Path, **changes) -> None:
    path = folder / "manifest.json"
    write_json(path, json.loads(path.read_text()) | changes)


def reseal(folder: Path) -> None:
    """What a careless copy script does: makes sizes and checksums fit whatever lies there."""
    names = ("items.ann", "ids.parquet")
    sizes = {n: {"bytes": os.path.getsize(folder / n), "sha256": sha256_of_file(folder / n)} for n in names}
    edit_manifest(folder, files=sizes)


def test_an_index_folder_opens(tmp_path):
    matrix = clustered(50)
    index, ids, manifest = open_index(write_index_folder(tmp_path / "index", matrix))
    assert ids[7].as_py() == "item-7"
    assert manifest["model_id"] == "itemsage-0"
    assert index.search(matrix[7:8], 1)[0].tolist() == [[7]]


def truncate(folder: Path) -> None:
    node_bytes = 12 + 4 * DIM
    data = (folder / "items.ann").read_bytes()
    assert len(data) % node_bytes == 0
    (folder / "items.ann").write_bytes(data[:-node_bytes])


def cut_in_a_node(folder: Path) -> None:
    (folder / "items.ann").write_bytes((folder / "items.ann").read_bytes()[:-5])
    reseal(folder)


def flip(folder: Path) -> None:
    data = bytearray((folder / "items.ann").read_bytes())
    data[100] ^= 1
    (folder / "items.ann").write_bytes(data)


def other_ids(folder: Path) -> None:
    pq.write_table(pa.table([["x"] * 49], schema=IDS), folder / "ids.parquet")


def not_parquet(folder: Path) -> None:
    (folder / "ids.parquet").write_text("x")
    reseal(folder)


def swap(folder: Path) -> None:
    shutil.move(folder / "items.ann", folder / "other")
    shutil.move(folder / "ids.parquet", folder / "items.ann")
    shutil.move(folder / "other", folder / "ids.parquet")


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (truncate, r"expected \d+ bytes, got \d+ for .*items\.ann"),
        (cut_in_a_node, f"dimension {DIM} at"),
        (flip, r"expected sha256 .*items\.ann"),
        (other_ids, r"ids\.parquet"),
        (lambda folder: (other_ids(folder), reseal(folder)), "expected 50 rows .* got 49"),
        (not_parquet, "Parquet file of item ids"),
        (swap, "bytes"),
        (lambda folder: edit_manifest(folder, dimension=DIM + 1), f"dimension {DIM + 1}"),
        (lambda folder: edit_manifest(folder, dimension=DIM // 2), r"dimension|items, got"),
        (lambda folder: edit_manifest(folder, n_items=49), "expected 49"),
        (lambda folder: edit_manifest(folder, metric="euclidean"), "angular"),
        (lambda folder: edit_manifest(folder, search_k="many"), "search_k"),
        (lambda folder: edit_manifest(folder, files={}), "sha256"),
        (lambda folder: (folder / "manifest.json").write_text("[1]"), "manifest"),
        (lambda folder: (folder / "manifest.json").write_text("{"), "JSON"),
        (lambda folder: (folder / "manifest.json").unlink(), "manifest"),
        (lambda folder: (folder / "items.ann").unlink(), r"got None for .*items\.ann"),
    ],
)
def test_a_damaged_index_folder_is_refused(tmp_path, damage, message):
    folder = write_index_folder(tmp_path / "index", clustered(50))
    damage(folder)
    with pytest.raises(CorruptFileError, match=message):
        open_index(folder)


def test_the_index_of_another_run_is_refused(tmp_path):
    folder = write_index_folder(tmp_path / "index", clustered(50))
    other = write_index_folder(tmp_path / "other", clustered(50, seed=9))
    shutil.copy(other / "items.ann", folder / "items.ann")
    with pytest.raises(CorruptFileError, match=r"sha256|bytes"):
        open_index(folder)
