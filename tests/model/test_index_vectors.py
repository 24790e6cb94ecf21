"""Vectors gathered from the index's file are those that Annoy gives, for every row."""

from pathlib import Path

import annoy
import numpy as np
import pytest

from model.nearest.index import AnnoyItemIndex, ExactIndex
from model.nearest.index_folder import _mapped_vectors, open_index
from model.nearest.tuned_build import build_annoy
from schemas.errors import CorruptFileError

DIM = 16


def unit_rows(num_rows: int, seed: int = 0) -> np.ndarray:
    rows = np.random.default_rng(seed).standard_normal((num_rows, DIM)).astype(np.float32)
    return rows / np.linalg.norm(rows, axis=1, keepdims=True)


def loaded(path) -> annoy.AnnoyIndex:
    index = annoy.AnnoyIndex(DIM, "angular")
    index.load(str(path))
    return index


@pytest.mark.parametrize("num_rows", [1, 2, 17, 500])
def test_the_mapped_vectors_are_those_of_annoy(tmp_path, num_rows):
    matrix = unit_rows(num_rows)
    build_annoy(matrix, tmp_path / "items.ann")
    index = loaded(tmp_path / "items.ann")
    mapped = AnnoyItemIndex(index, 100, vectors_ND=_mapped_vectors(tmp_path / "items.ann", index))
    asked = AnnoyItemIndex(index, 100)
    rows = np.random.default_rng(1).permutation(num_rows)
    for each in (mapped, asked):
        got = each.vectors(rows)
        assert (got.dtype, type(got), got.flags.writeable) == (np.float32, np.ndarray, True)
        assert got.tobytes() == matrix[rows].tobytes()
        assert each.vectors(rows[:1].tolist()).tobytes() == matrix[rows[:1]].tobytes()
        assert each.vectors([]).shape == (0, DIM)


@pytest.mark.parametrize("row", [-1, 20])
@pytest.mark.parametrize("is_mapped", [True, False])
def test_rows_that_are_not_there_are_refused(tmp_path, row, is_mapped):
    build_annoy(unit_rows(20), tmp_path / "items.ann")
    index = loaded(tmp_path / "items.ann")
    vectors = _mapped_vectors(tmp_path / "items.ann", index) if is_mapped else None
    with pytest.raises(IndexError, match=f"expected rows from 0 to 19, got {row}"):
        AnnoyItemIndex(index, 100, vectors_ND=vectors).vectors([3, row])


def test_a_file_with_other_vectors_than_annoy_has_is_refused(tmp_path):
    for seed in (0, 1):
        build_annoy(unit_rows(20, seed), tmp_path / f"{seed}.ann", max_trees=1)
    with pytest.raises(CorruptFileError, match="expected the items' vectors in the first 20 nodes"):
        _mapped_vectors(tmp_path / "1.ann", loaded(tmp_path / "0.ann"))


def test_the_golden_index_gives_its_vectors():
    index, ids, _ = open_index(Path(__file__).parents[1] / "golden" / "index" / "v1")
    rows = list(range(len(ids)))
    assert index._vectors_ND is not None
    assert index.vectors(rows).tobytes() == AnnoyItemIndex(index._index, 1).vectors(rows).tobytes()
    found, _ = ExactIndex(index.vectors(rows)).search(index.vectors(rows), 1)
    assert found[:, 0].tolist() == rows
