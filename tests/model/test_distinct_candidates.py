"""Candidates without near-duplicates: a plain loop is the exact twin."""

import doctest

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from model.nearest import distinct_candidates
from model.nearest.distinct_candidates import choose_distinct, without_equal
from schemas.hashing import row_hashes


def unit(*angles_degrees: float) -> np.ndarray:
    radians = np.radians(angles_degrees)
    return np.stack([np.cos(radians), np.sin(radians)], axis=1).astype(np.float32)


def random_vectors(generator: np.random.Generator, count: int, kinds: int) -> np.ndarray:
    """Unit vectors around few directions, so that many are near-duplicates."""
    centres = generator.standard_normal((kinds, 6))
    vectors = centres[generator.integers(kinds, size=count)] + 0.05 * generator.standard_normal((count, 6))
    return (vectors / np.linalg.norm(vectors, axis=1, keepdims=True)).astype(np.float32)


def slow_choose(order, vectors, seen, top, cosine) -> list[int]:
    chosen: list[int] = []
    for place in order.tolist():
        others = [*seen, *(vectors[other] for other in chosen)]
        if len(chosen) < top and all(float(np.dot(vectors[place], other)) < cosine for other in others):
            chosen.append(place)
    return chosen


@given(st.integers(0, 2**32), st.integers(1, 60), st.integers(1, 12), st.sampled_from([0.5, 0.97, 0.999]))
@settings(max_examples=60, deadline=None)
def test_choosing_is_its_loop_whatever_the_blocks(seed, top, kinds, cosine):
    generator = np.random.default_rng(seed)
    vectors, seen = random_vectors(generator, 70, kinds), random_vectors(generator, 5, kinds)
    order = generator.permutation(70)[:60]
    slow = slow_choose(order, vectors, seen, top, cosine)
    with pytest.MonkeyPatch.context() as patch:
        for block in (7, 256):
            patch.setattr(distinct_candidates, "_BLOCK", block)
            assert choose_distinct(order, vectors.__getitem__, seen, top, cosine).tolist() == slow


@given(st.integers(0, 2**32), st.integers(1, 9), st.sampled_from([0.5, 0.97, 0.999]))
@settings(max_examples=60, deadline=None)
def test_leaving_out_equal_ones_first_changes_no_choice(seed, top, cosine):
    generator = np.random.default_rng(seed)
    different = random_vectors(generator, 12, 4)
    vectors, seen = different[generator.integers(12, size=60)], different[generator.integers(12, size=2)]
    order = generator.permutation(60)
    left = without_equal(order, row_hashes(vectors), row_hashes(seen))
    assert len(np.unique(vectors[left], axis=0)) == len(left) < 60
    both = [choose_distinct(places, vectors.__getitem__, seen, top, cosine) for places in (order, left)]
    np.testing.assert_array_equal(*both)


def test_the_example():
    assert doctest.testmod(distinct_candidates).attempted == 1
    assert doctest.testmod(distinct_candidates).failed == 0


@pytest.mark.parametrize("cosine", [0.9, 0.985, 0.999, 0.99999])
@pytest.mark.parametrize("noise", [0.0, 0.01, 0.045, 0.1, 0.2, 1.0])
def test_a_projection_changes_no_choice(cosine, noise):
    """Many seen items, with many candidates just about as near as the cosine."""
    generator = np.random.default_rng(7)
    seen = generator.standard_normal((900, 128))
    vectors = seen[generator.integers(900, size=600)] + noise * generator.standard_normal((600, 128))
    seen, vectors = (
        (rows / np.linalg.norm(rows, axis=1, keepdims=True)).astype(np.float32) for rows in (seen, vectors)
    )
    found = choose_distinct(np.arange(600), vectors.__getitem__, seen, 600, cosine)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(distinct_candidates, "_PROJECTED_FROM", 2.0)
        np.testing.assert_array_equal(found, choose_distinct(np.arange(600), vectors.__getitem__, seen, 600, cosine))
    is_near = (vectors @ seen.T).max(axis=1) >= cosine
    assert not is_near[found].any()
    assert distinct_candidates._Near(seen, 0.985).is_projected


def test_near_duplicates_come_if_nobody_minds():
    vectors = unit(0, 0, 0, 90)
    order = np.array([2, 0, 3, 1])
    assert choose_distinct(order, vectors.__getitem__, unit(0), 3, None).tolist() == [2, 0, 3]
    assert choose_distinct(order, vectors.__getitem__, vectors[:0], 3, 0.999).tolist() == [2, 3]
    assert choose_distinct(order, vectors.__getitem__, unit(90), 3, 0.999).tolist() == [2]


def test_what_is_left_out_stands_in_nobodys_way():
    """20 is near 10, which is near the seen 0: only 10 goes."""
    vectors = unit(10, 20)
    assert choose_distinct(np.array([0, 1]), vectors.__getitem__, unit(0), 2, np.cos(np.radians(15))).tolist() == [1]


def test_no_more_vectors_are_gathered_than_needed():
    vectors = unit(*np.linspace(0, 350, 1000))
    asked: list[int] = []
    choose_distinct(np.arange(1000), lambda places: asked.extend(places) or vectors[places], vectors[:0], 10, 0.9999999)
    assert len(asked) == distinct_candidates._BLOCK
