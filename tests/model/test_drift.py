"""Overlap against a naive loop, drift against distributions whose answer is known, and what each of them cannot see."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from model.measures import drift
from model.measures.drift import TIE_TOLERANCE, common_rows, domain_auc, neighbour_overlap, sample_rows
from schemas.hashing import stable_hash


def unit_rows(num_rows: int, seed: int, dim: int = 16, mean: float = 1.0) -> np.ndarray:
    """Unit rows around a common direction, as embeddings are."""
    rows = np.random.default_rng(seed).normal(size=(num_rows, dim)) + mean * np.eye(dim)[0]
    return normalised(rows)


def normalised(rows: np.ndarray) -> np.ndarray:
    return (rows / np.linalg.norm(rows, axis=1, keepdims=True)).astype(np.float32)


def rotation(dim: int, seed: int = 9) -> np.ndarray:
    return np.linalg.qr(np.random.default_rng(seed).normal(size=(dim, dim)))[0]


def names(num_rows: int, prefix: str = "item") -> list[str]:
    return [f"{prefix}-{row:05d}" for row in range(num_rows)]


def naive_overlap(today, today_rows, yesterday, yesterday_rows, probes, k):
    """The definition, pair by pair in float64."""
    shares = []
    for probe in probes:
        scores = []
        for matrix, rows in ((today, today_rows), (yesterday, yesterday_rows)):
            own = matrix[rows[probe]].astype(np.float64)
            scores.append({c: float(matrix[row].astype(np.float64) @ own) for c, row in enumerate(rows) if c != probe})
        count = min(k, len(scores[0]))
        nearest = sorted(scores[0], key=lambda c: (-scores[0][c], c))[:count]
        kth = sorted(scores[1].values(), reverse=True)[count - 1]
        shares.append(sum(scores[1][c] >= kth - TIE_TOLERANCE for c in nearest) / count)
    return shares


@settings(max_examples=40, deadline=None)
@given(st.integers(2, 60), st.integers(1, 12), st.integers(0, 10**6), st.sampled_from([3, 7, 1 << 16]))
def test_overlap_equals_the_naive_loop_over_any_blocks(num_common, k, seed, rows_per_block):
    generator = np.random.default_rng(seed)
    today, yesterday = unit_rows(num_common + 5, seed), unit_rows(num_common + 3, seed + 1)
    today_rows = generator.permutation(num_common + 5)[:num_common]
    yesterday_rows = generator.permutation(num_common + 3)[:num_common]
    yesterday[yesterday_rows[1:]] = normalised(
        today[today_rows[1:]] + 0.2 * generator.normal(size=(num_common - 1, 16))
    )
    probes = np.sort(generator.choice(num_common, min(num_common, 9), replace=False))
    before = drift._ROWS_PER_BLOCK
    drift._ROWS_PER_BLOCK = rows_per_block
    try:
        got = neighbour_overlap(today, today_rows, yesterday, yesterday_rows, probes, k)
    finally:
        drift._ROWS_PER_BLOCK = before
    np.testing.assert_allclose(got, naive_overlap(today, today_rows, yesterday, yesterday_rows, probes, k))


def test_the_worked_example_ties_count_as_overlap():
    def row(cosine: float, place: int) -> np.ndarray:
        vector = np.zeros(8)
        vector[0], vector[place] = cosine, np.sqrt(1 - cosine**2)
        return vector

    today = np.stack([row(1, 1), row(0.9, 1), row(0.8, 2), row(0.1, 3)]).astype(np.float32)
    yesterday = np.stack([row(1, 1), row(0.9, 1), row(0.7, 2), row(0.7, 3)]).astype(np.float32)
    rows, probe_a = np.arange(4), np.array([0])
    assert neighbour_overlap(today, rows, yesterday, rows, probe_a, k=2).tolist() == [1.0]
    assert neighbour_overlap(yesterday, rows, today, rows, probe_a, k=2).tolist() == [1.0]
    yesterday[3] = row(0.75, 3)  # now d was nearer than c
    assert neighbour_overlap(today, rows, yesterday, rows, probe_a, k=2).tolist() == [0.5]


def test_twins_of_a_probe_do_not_push_out_its_neighbours():
    vectors = unit_rows(30, 0)
    vectors[5:20] = vectors[5]
    rows = np.arange(30)
    np.testing.assert_array_equal(neighbour_overlap(vectors, rows, vectors[::-1], rows[::-1], rows, k=10), np.ones(30))


def test_one_item_has_no_neighbour():
    with pytest.raises(ValueError, match="at least 2 common items, got 1"):
        neighbour_overlap(unit_rows(1, 0), np.array([0]), unit_rows(1, 0), np.array([0]), np.array([0]))


def test_common_rows_of_days_without_a_common_item():
    today_rows, yesterday_rows = common_rows(["a"], ["b"])
    assert today_rows.tolist() == yesterday_rows.tolist() == []
    assert today_rows.dtype == np.int64


def test_the_sample_is_of_the_smallest_hashes_and_stays_when_others_come():
    few, many = names(200), sorted(names(200) + names(20, "other"))
    drawn = {few[row] for row in sample_rows(few, "probe", 50)}
    assert drawn == set(sorted(few, key=lambda item_id: stable_hash(f"probe/{item_id}"))[:50])
    later = {many[row] for row in sample_rows(many, "probe", 50)}
    assert len(drawn - later) <= 20
    assert len(drawn & later) >= 30
    assert {few[row] for row in sample_rows(few, "drift", 50)} != drawn


def test_equal_days_have_auc_one_half():
    vectors = unit_rows(300, 0)
    assert domain_auc(names(300), vectors, names(300), vectors.copy()) == 0.5


@pytest.mark.parametrize("share_common", [0.0, 0.5, 0.99])
def test_vectors_of_one_distribution_cannot_be_told(share_common):
    kept = int(600 * share_common)
    today = np.concatenate([unit_rows(kept, 0), unit_rows(600 - kept, 1)])
    yesterday = np.concatenate([unit_rows(kept, 0), unit_rows(600 - kept, 2)])
    auc = domain_auc(names(600), today, names(kept) + names(600 - kept, "jtem"), yesterday)
    assert auc == pytest.approx(0.5, abs=0.06)


def test_a_shift_is_told_the_more_the_larger():
    vectors = unit_rows(600, 0)
    step = 0.15 * np.eye(16)[3]
    aucs = [
        domain_auc(names(600), normalised(vectors + size * step), names(600), vectors) for size in (0.0, 0.5, 1, 2, 8)
    ]
    assert aucs == sorted(aucs)
    assert aucs[0] == 0.5
    assert aucs[2] > 0.6
    assert aucs[-1] > 0.95


def test_an_item_is_in_one_fold_on_both_days():
    """More dimensions than items: whoever saw yesterday's copy of an item could tell today's by heart, with the wrong
    sign. Held-out items that have not moved are not told at all."""
    vectors = unit_rows(120, 0, dim=256)
    moved = vectors.copy()
    moved[0] = unit_rows(1, 5, dim=256)[0]
    assert domain_auc(names(120), moved, names(120), vectors) == pytest.approx(0.5, abs=0.03)


def test_a_rotation_keeps_neighbours_and_is_drift():
    vectors = unit_rows(300, 0, mean=3)
    turned = normalised(vectors @ rotation(16))
    rows = np.arange(300)
    assert neighbour_overlap(turned, rows, vectors, rows, rows).mean() == 1.0
    assert domain_auc(names(300), turned, names(300), vectors) > 0.95


def test_a_rotation_about_the_mean_escapes_a_linear_classifier():
    vectors = unit_rows(300, 0, mean=3)
    about_mean = np.eye(16)
    about_mean[1:, 1:] = rotation(15)
    turned = normalised(vectors @ about_mean)
    assert domain_auc(names(300), turned, names(300), vectors) == pytest.approx(0.5, abs=0.1)


def test_a_shuffle_is_no_drift_and_keeps_no_neighbours():
    vectors = unit_rows(300, 0)
    shuffled = vectors[np.random.default_rng(1).permutation(300)]
    rows = np.arange(300)
    assert neighbour_overlap(shuffled, rows, vectors, rows, rows).mean() < 0.1
    assert domain_auc(names(300), shuffled, names(300), vectors) == pytest.approx(0.5, abs=0.1)


def test_the_sample_bounds_what_the_classifier_sees():
    """Only vectors outside the sample move: nothing is seen."""
    ids, vectors = names(400), unit_rows(400, 0)
    moved = vectors.copy()
    outside = np.setdiff1d(np.arange(400), sample_rows(ids, "drift", 100))
    moved[outside] = unit_rows(300, 7, mean=-5)
    assert domain_auc(ids, moved, ids, vectors, most=100) == 0.5
    assert domain_auc(ids, moved, ids, vectors, most=400) > 0.7


def test_too_few_vectors_are_refused():
    with pytest.raises(ValueError, match="both folds, got 1 and 1"):
        domain_auc(["a"], unit_rows(1, 0), ["a"], unit_rows(1, 1))
