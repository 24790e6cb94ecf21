"""The HNSW backend: equal bytes for equal input, exact neighbours where it inspects enough, no foreign files."""

import builtins

import numpy as np
import pytest
from optional_libraries import needs_voyager

from model.nearest.index import NO_ROW, ExactIndex
from model.nearest.recall import RecallQueries
from model.nearest.voyager import build_voyager, is_installed, load_voyager, require_voyager
from schemas.errors import CorruptFileError, UsageError

DIM = 32


def unit_rows(num_rows: int, seed: int = 0) -> np.ndarray:
    rows = np.random.default_rng(seed).standard_normal((num_rows, DIM)).astype(np.float32)
    return rows / np.linalg.norm(rows, axis=1, keepdims=True)


@needs_voyager
def test_neighbours_are_the_exact_ones_where_it_inspects_enough(tmp_path):
    matrix, queries = unit_rows(500), unit_rows(40, seed=1)
    facts = build_voyager(matrix, tmp_path / "made", {"text": RecallQueries(vectors_QD=queries, source="made up")})
    assert facts.kinds.keys() == {"item", "text"}
    assert all(kind.target_reached for kind in facts.kinds.values())
    index = load_voyager(tmp_path / "made", DIM, 500)
    rows, scores = index.search(queries, 10, search_k=500)
    expected = ExactIndex(matrix).search(queries, 10)
    np.testing.assert_array_equal(rows, expected[0])
    np.testing.assert_allclose(scores, expected[1], atol=1e-5)
    found = ExactIndex(matrix).search(queries, 10)[1][:, -1:]
    asked = index.search(queries, 10, search_k=facts.kinds["text"].search_k)
    assert (asked[1] >= found - 1e-5).mean() == pytest.approx(facts.kinds["text"].recall["10"], abs=1e-6)
    np.testing.assert_array_equal(index.vectors([3, 499]), matrix[[3, 499]])


@pytest.mark.medium
@needs_voyager
def test_two_builds_are_equal_bytes_and_the_seed_matters(tmp_path):
    for name, seed in (("a", 1), ("b", 1), ("c", 2)):
        build_voyager(unit_rows(800), tmp_path / name, seed=seed)
    a, b, c = ((tmp_path / name).read_bytes() for name in "abc")
    assert a == b
    assert a != c


@needs_voyager
@pytest.mark.parametrize("num_rows", [1, 5, 300])
def test_all_rows_can_be_asked_for_and_more_are_padded(tmp_path, num_rows):
    matrix = unit_rows(num_rows)
    build_voyager(matrix, tmp_path / "made")
    rows, scores = load_voyager(tmp_path / "made", DIM, num_rows).search(matrix[:1], num_rows + 2, search_k=10)
    assert sorted(rows[0].tolist()) == [NO_ROW, NO_ROW, *range(num_rows)]
    assert np.isneginf(scores[0, num_rows:]).all()


@needs_voyager
def test_foreign_files_are_refused(tmp_path):
    build_voyager(unit_rows(20), tmp_path / "made")
    for dimension, n_items in ((DIM + 1, 20), (DIM, 21)):
        with pytest.raises(CorruptFileError, match="expected"):
            load_voyager(tmp_path / "made", dimension, n_items)
    (tmp_path / "other").write_bytes(b"VOYA" + b"\xff" * 200)
    with pytest.raises(CorruptFileError, match="an index of voyager"):
        load_voyager(tmp_path / "other", DIM, 20)


def test_without_the_library_the_call_is_wrong(monkeypatch):
    whole = builtins.__import__

    def without(name, *rest):
        if name == "voyager":
            raise ImportError(name)
        return whole(name, *rest)

    monkeypatch.setattr(builtins, "__import__", without)
    assert not is_installed()
    with pytest.raises(UsageError, match=r"pip install 'itemsage\[voyager\]'"):
        require_voyager()
