"""Near-duplicates against a naive double loop, whatever the blocks and threads; what is promised of any result."""

import doctest

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from threadpoolctl import threadpool_limits

from model.split import near_duplicates as module
from model.split.near_duplicates import cosines, kept_rows, near_duplicates

DIM = 24
BLOCKS = [{}, {"_BLOCK_ROWS": 1, "_BLOCK_KEPT": 1, "_BLOCK_PAIRS": 1}, {"_BLOCK_ROWS": 7, "_BLOCK_KEPT": 5}]


def rows_with_duplicates(num_rows: int, seed: int = 0, spread: float = 0.1) -> np.ndarray:
    """Unit rows in clumps of varying tightness; about a third repeat another row bit for bit."""
    generator = np.random.default_rng(seed)
    centers = generator.standard_normal((max(1, num_rows // 8), DIM))
    noise = spread * generator.random((num_rows, 1)) * generator.standard_normal((num_rows, DIM))
    rows = centers[generator.integers(0, len(centers), num_rows)] + noise
    rows = (rows / np.linalg.norm(rows, axis=1, keepdims=True)).astype(np.float32)
    copied = generator.random(num_rows) < 1 / 3
    rows[copied] = rows[generator.integers(0, num_rows, int(copied.sum()))]
    return rows


def cosine(one: np.ndarray, other: np.ndarray) -> float:
    if one.tobytes() == other.tobytes():
        return 1.0
    return min(float((one.astype(np.float64) * other).sum()), float(np.nextafter(1, 0)))


def naive(matrix: np.ndarray, threshold: float) -> list[int]:
    kept: list[int] = []
    for row in range(len(matrix)):
        if all(cosine(matrix[row], matrix[other]) < threshold for other in kept):
            kept.append(row)
    nearest = []
    for row in range(len(matrix)):
        scores = [cosine(matrix[row], matrix[other]) for other in kept]
        nearest.append(row if row in kept else kept[scores.index(max(scores))])
    return nearest


@pytest.mark.medium
@pytest.mark.parametrize("blocks", BLOCKS)
@pytest.mark.parametrize("threshold", [0.2, 0.9, 0.98, 0.9999, 1.0])
def test_the_result_is_that_of_a_double_loop(monkeypatch, threshold, blocks):
    for name, value in blocks.items():
        monkeypatch.setattr(module, name, value)
    matrix = rows_with_duplicates(160)
    found = near_duplicates(matrix, threshold)
    assert found.dtype == np.int64
    assert found.tolist() == naive(matrix, threshold)
    assert 1 <= len(kept_rows(found)) < 160


@settings(max_examples=40, deadline=None)
@given(
    num_rows=st.integers(1, 40),
    seed=st.integers(0, 1000),
    spread=st.sampled_from([0.0, 1e-4, 0.05, 0.5]),
    threshold=st.floats(0.01, 1),
)
def test_what_any_result_promises(num_rows, seed, spread, threshold):
    matrix = rows_with_duplicates(num_rows, seed, spread)
    found = near_duplicates(matrix, threshold)
    assert found.tolist() == naive(matrix, threshold)
    kept = kept_rows(found)
    assert found[kept].tolist() == kept.tolist()
    assert set(found.tolist()) == set(kept.tolist())
    apart = [cosine(matrix[a], matrix[b]) for a in kept for b in kept if a < b]
    assert max(apart, default=0) < threshold
    assert min(cosine(row, matrix[other]) for row, other in zip(matrix, found, strict=True)) >= threshold
    groups: dict[bytes, set[int]] = {}
    for row, other in zip(matrix, found.tolist(), strict=True):
        groups.setdefault(row.tobytes(), set()).add(other)
    assert {len(group) for group in groups.values()} == {1}, "equal rows have one representative"


def test_rounding_decides_nothing():
    """The threshold is the cosine of a pair itself, then the next number above it: float32 cannot tell these."""
    matrix = rows_with_duplicates(300, seed=5, spread=0.3)
    near, far, wrong_in_float32 = 0, 0, 0
    for a, b in [(row, row + 1) for row in range(0, 300, 2)]:
        pair = matrix[[a, b]]
        exact = cosine(*pair)
        if 0 < exact < 0.9999:
            near += near_duplicates(pair, exact).tolist() == [0, 0]
            far += near_duplicates(pair, float(np.nextafter(exact, 1))).tolist() == [0, 1]
            wrong_in_float32 += float(pair[0] @ pair[1]) < exact
        else:
            near, far = near + 1, far + 1
    assert (near, far) == (150, 150)
    assert wrong_in_float32 > 10, "else the test shows nothing"


def test_a_chain_is_not_followed():
    """0, 10, 20, ... degrees, near within 12: every other one is kept, and a tie goes to the lower row."""
    angles = np.radians(np.arange(0, 60, 10))
    matrix = np.stack([np.cos(angles), np.sin(angles)], axis=1).astype(np.float32)
    found = near_duplicates(matrix, float(np.cos(np.radians(12))))
    assert kept_rows(found).tolist() == [0, 2, 4]
    assert (np.abs(found - np.arange(6)) <= 1).all()
    square = np.array([[1, 0], [0, 1], [0.6, 0.8], [0.8, 0.6], [0.70710677, 0.70710677]], np.float32)
    assert near_duplicates(square[[0, 1, 4]], 0.7).tolist() == [0, 1, 0]


def test_the_representative_is_the_nearest_of_all_that_are_kept():
    """Row 1 falls to row 0; row 2, kept after it, is nearer."""
    angles = np.radians([0, 10, 15, 15.5])
    matrix = np.stack([np.cos(angles), np.sin(angles)], axis=1).astype(np.float32)
    assert near_duplicates(matrix, float(np.cos(np.radians(12)))).tolist() == [0, 2, 2, 2]


def test_threads_do_not_change_the_result():
    matrix = rows_with_duplicates(3000, spread=0.3)
    results = []
    for threads in (1, 2):
        with threadpool_limits(threads, "blas"):
            results.append(near_duplicates(matrix, 0.9).tolist())
    assert results[0] == results[1]
    assert 10 < len(set(results[0])) < 2900


def test_all_equal_none_equal_and_none_at_all():
    one = rows_with_duplicates(1)
    assert near_duplicates(np.repeat(one, 2500, axis=0), 1.0).tolist() == [0] * 2500
    assert near_duplicates(np.eye(9, dtype=np.float32), 0.5).tolist() == list(range(9))
    assert near_duplicates(np.zeros((0, DIM), np.float32), 0.9).tolist() == []


def test_cosines_are_1_for_equal_rows_alone():
    rows = rows_with_duplicates(50, spread=1.0)
    other = rows.copy()
    other[:, 0] = np.nextafter(other[:, 0], np.float32(2))
    own = np.arange(50)
    assert (cosines(rows, rows, own, own) == 1).all()
    apart = cosines(rows, other, own, own)
    assert (apart < 1).all()
    assert (apart > 1 - 1e-6).all()


@pytest.mark.parametrize("threshold", [0, -0.5, 1.001, float("nan")])
def test_thresholds_out_of_range_are_refused(threshold):
    with pytest.raises(ValueError, match="expected a threshold above 0"):
        near_duplicates(rows_with_duplicates(3), threshold)


@pytest.mark.parametrize("damage", ["nan", "float64", "one row"])
def test_rows_that_are_none_are_refused(damage):
    matrix = rows_with_duplicates(3)
    if damage == "nan":
        matrix[1, 2] = np.nan
    bad = {"nan": matrix, "float64": matrix.astype(np.float64), "one row": matrix[0]}[damage]
    with pytest.raises(ValueError, match="expected finite float32 rows"):
        near_duplicates(bad, 0.9)


def test_examples_in_the_docstrings():
    assert doctest.testmod(module).failed == 0


def test_a_negative_zero_is_a_zero():
    matrix = np.array([[1, 0], [1, -0.0], [0, 1]], np.float32)
    assert near_duplicates(matrix, 1.0).tolist() == [0, 0, 2]
