import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from model.training.frequencies import CountMinSketch, ExactCounts
from schemas.errors import UsageError
from schemas.hashing import stable_hash

KEYS = st.lists(st.tuples(st.integers(0, 40), st.integers(0, 5)), max_size=60)


def filled(counts, pairs):
    for key, count in pairs:
        counts.add(key, float(count))
    return counts


def zipf_keys(count: int) -> np.ndarray:
    numbers = np.random.default_rng(0).zipf(1.3, count) % 5000
    return np.array([stable_hash(f"item-{number}") for number in numbers], np.uint64)


@given(pairs=KEYS)
@settings(max_examples=50, deadline=None)
def test_exact_counts_are_a_plain_sum(pairs):
    counts = filled(ExactCounts(), pairs)
    for key in range(41):
        assert counts.count(key) == sum(count for k, count in pairs if k == key)
    assert counts.total == sum(count for _, count in pairs)


@given(pairs=KEYS, width=st.sampled_from([2, 8, 64]), seed=st.integers(0, 50))
@settings(max_examples=50, deadline=None)
def test_a_sketch_never_counts_too_little(pairs, width, seed):
    exact = filled(ExactCounts(), pairs)
    sketch = filled(CountMinSketch(depth=3, width=width, seed=seed), pairs)
    keys = np.arange(41)
    assert (sketch.count(keys) >= exact.count(keys)).all()
    assert sketch.total == exact.total


@given(first=KEYS, second=KEYS, third=KEYS)
@settings(max_examples=30, deadline=None)
@pytest.mark.parametrize("make", [ExactCounts, lambda: CountMinSketch(depth=2, width=16, seed=1)])
def test_merging_is_a_monoid_and_equals_counting_the_whole(make, first, second, third):
    parts = [filled(make(), pairs) for pairs in (first, second, third)]
    keys = np.arange(41)
    whole = filled(make(), first + second + third).count(keys)
    np.testing.assert_array_equal(parts[0].merge(parts[1]).merge(parts[2]).count(keys), whole)
    np.testing.assert_array_equal(parts[0].merge(parts[1].merge(parts[2])).count(keys), whole)
    np.testing.assert_array_equal(make().merge(parts[0]).count(keys), parts[0].count(keys))


def test_error_is_within_the_bound_promised():
    share, probability = 0.001, 0.05
    keys = zipf_keys(200_000)
    exact, sketch = ExactCounts(), CountMinSketch.for_error(share=share, probability=probability, seed=7)
    exact.add(keys)
    sketch.add(keys)
    distinct = np.unique(keys)
    error = sketch.count(distinct) - exact.count(distinct)
    assert error.max() > 0, "no collision at all: the test would pass for any sketch"
    assert (error > share * len(keys)).mean() <= probability


def test_strings_integers_and_arrays_are_the_same_keys():
    for counts in (ExactCounts(), CountMinSketch(seed=2)):
        counts.add("chair", 2.0)
        counts.add(stable_hash("chair"), 1.0)
        counts.add(np.array([stable_hash("chair"), 17], np.uint64), np.array([4.0, 1.0]))
        counts.add(-5, 3.0)
        assert counts.count("chair") == 7.0
        assert isinstance(counts.count("chair"), float)
        assert counts.count(np.array([-5, 17], np.int64)).tolist() == [3.0, 1.0]
        assert counts.count("table") == 0.0


def test_seeds_give_other_collisions_and_do_not_merge():
    keys = zipf_keys(20_000)
    sketches = [CountMinSketch(depth=2, width=64, seed=seed) for seed in (1, 1, 2)]
    for sketch in sketches:
        sketch.add(keys)
    np.testing.assert_array_equal(sketches[0].table_DW, sketches[1].table_DW)
    assert (sketches[0].table_DW != sketches[2].table_DW).any()
    with pytest.raises(UsageError, match="one depth, width and seed"):
        sketches[0].merge(sketches[2])


def test_wrong_calls_are_refused():
    with pytest.raises(UsageError, match="power of 2"):
        CountMinSketch(width=100)
    with pytest.raises(UsageError, match="cannot count down"):
        CountMinSketch().add("chair", -1.0)
    with pytest.raises(UsageError, match="stable_hash"):
        ExactCounts().add(np.array(["chair"]))
