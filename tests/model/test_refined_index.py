"""How good a refined index is, against loops over literal neighbours."""

import numpy as np
import pyarrow as pa
import pytest

from model.nearest.index import ExactIndex
from model.nearest.refined import near_duplicates_table, refined_facts
from model.split.near_duplicates import kept_rows, near_duplicates
from schemas.tables import NEAR_DUPLICATES


def circle(*degrees: float) -> np.ndarray:
    radians = np.radians(degrees)
    return np.stack([np.cos(radians), np.sin(radians)], axis=1).astype(np.float32)


def clumps(num_rows: int = 400, seed: int = 0) -> np.ndarray:
    generator = np.random.default_rng(seed)
    rows = generator.standard_normal((50, 8))[generator.integers(0, 50, num_rows)]
    rows = rows + 0.2 * generator.standard_normal(rows.shape)
    return (rows / np.linalg.norm(rows, axis=1, keepdims=True)).astype(np.float32)


def test_the_facts_are_those_of_a_loop_over_all_items():
    matrix = clumps()
    found = near_duplicates(matrix, 0.97)
    kept = kept_rows(found)
    facts = refined_facts(matrix, found, ExactIndex(matrix[kept]), cosine=0.97, seed=0)
    represented, different = [], []
    for query in matrix:
        nearest = np.argsort(-(matrix @ query), kind="stable")[:10]
        results = kept[np.argsort(-(matrix[kept] @ query), kind="stable")[:10]]
        represented += [found[row] in results for row in nearest]
        different.append(len({int(found[row]) for row in nearest}))
    assert facts.share_represented == pytest.approx(np.mean(represented), abs=2e-3)
    assert facts.different_of_full_top == pytest.approx(np.mean(different), abs=2e-2)
    assert 0.5 < facts.share_represented < 1
    assert 1.5 < facts.different_of_full_top < 9.5
    assert (facts.items_in, facts.items_kept, facts.items_removed) == (400, len(kept), 400 - len(kept))
    assert facts.largest_group == max(np.sum(found == row) for row in kept)


def test_an_index_that_finds_nothing_near_represents_nothing():
    """The wrong rows under the right numbers: the share falls."""
    matrix = clumps()
    found = near_duplicates(matrix, 0.97)
    wrong = ExactIndex(np.roll(matrix[kept_rows(found)], 1, axis=0))
    assert refined_facts(matrix, found, wrong, cosine=0.97, seed=0).share_represented < 0.3


def test_fewer_items_than_results():
    matrix = circle(0, 1, 90)
    found = near_duplicates(matrix, 0.99)
    facts = refined_facts(matrix, found, ExactIndex(matrix[kept_rows(found)]), cosine=0.99, seed=0)
    assert (facts.items_kept, facts.largest_group) == (2, 2)
    assert (facts.share_represented, facts.different_of_full_top) == (1, 2)


def test_an_index_of_other_items_is_refused():
    matrix = circle(0, 1, 90)
    with pytest.raises(ValueError, match="expected an index of the 2 kept rows, got 3 items"):
        refined_facts(matrix, near_duplicates(matrix, 0.99), ExactIndex(matrix), cosine=0.99, seed=0)


def test_the_table_lists_who_is_left_out():
    matrix = circle(0, 60, 0, 61, 180)
    table = near_duplicates_table(pa.array(list("abcde")), matrix, near_duplicates(matrix, 0.99))
    assert table.schema.equals(NEAR_DUPLICATES)
    assert table["item_id"].to_pylist() == ["c", "d"]
    assert table["representative_item_id"].to_pylist() == ["a", "b"]
    np.testing.assert_allclose(table["cosine"].to_numpy(), [1, np.cos(np.radians(1))], atol=1e-6)
    assert table["cosine"][0].as_py() == 1
    none = near_duplicates_table(pa.array(["a"]), matrix[:1], np.zeros(1, np.int64))
    assert len(none) == 0
    assert none.schema.equals(NEAR_DUPLICATES)
