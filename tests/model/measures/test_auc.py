"""AUC and resampled intervals against pairs and loops."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.metrics import roc_auc_score

from model.measures.auc import auc, auc_figure
from model.measures.comparison import is_shown
from model.measures.evaluation import bootstrap_ratios
from model.measures.resampling import LEAST_CLUSTERS, compared_with_bounds, drawn_figures, with_bounds

rows = st.lists(st.tuples(st.integers(0, 4), st.booleans(), st.integers(0, 3), st.integers(0, 2)), max_size=15)


@given(rows)
def test_auc_is_that_of_pairs(given_rows):
    scores, labels, clusters, counts = (
        np.array(column) for column in (zip(*given_rows, strict=True) if given_rows else [()] * 4)
    )
    weights = np.resize(counts, 4)
    figure = auc_figure(scores.astype(float), labels.astype(bool), clusters.astype(np.int64))
    found = figure(weights[None] if len(weights) else np.ones((1, 4), np.int64))[0]
    won = total = 0.0
    for score, label, cluster, _ in given_rows:
        for other, other_label, other_cluster, _ in given_rows:
            if label and not other_label:
                weight = weights[cluster] * weights[other_cluster]
                total += weight
                won += weight * ((score > other) + (score == other) / 2)
    assert found == pytest.approx(won / total) if total else np.isnan(found)


def test_auc_is_that_of_scikit_learn_and_refuses_what_is_no_number():
    generator = np.random.default_rng(0)
    scores, labels = generator.integers(0, 20, 200) / 7, generator.random(200) < 0.3
    assert auc(scores, labels) == pytest.approx(roc_auc_score(labels, scores))
    assert np.isnan(auc(scores, np.ones(200, bool)))
    with pytest.raises(ValueError, match="got 1 that are not"):
        auc(np.array([0.1, np.nan]), np.array([True, False]))


def test_intervals_are_those_of_the_bootstrap_of_ratios():
    sums, sizes = np.random.default_rng(0).random(30), np.arange(1.0, 31)
    found = with_bounds("mean", lambda counts: counts @ sums / (counts @ sizes), 30)
    low, high = bootstrap_ratios(sums[:, None], sizes[:, None])
    assert found == pytest.approx({"mean": sums.sum() / sizes.sum(), "mean_low": low[0], "mean_high": high[0]})


def test_a_steady_difference_is_shown_where_intervals_overlap():
    generator = np.random.default_rng(0)
    scores, labels = generator.normal(size=400), np.arange(400) < 200
    better = scores + 0.3 * labels
    clusters = np.arange(400) % 200
    figures = [auc_figure(values, labels, clusters) for values in (better, scores)]
    alone = [with_bounds("auc", figure, 200) for figure in figures]
    more = with_bounds("auc", lambda counts: figures[0](counts) - figures[1](counts), 200)
    both = compared_with_bounds("auc", dict(zip("ab", figures, strict=True)), 200, "b")
    nothing = dict.fromkeys(more, 0.0)
    assert both == {"a": {**alone[0], "more": more}, "b": {**alone[1], "more": nothing}}
    assert compared_with_bounds("auc", {"a": figures[0]}, 200) == {"a": alone[0]}
    assert alone[0]["auc_low"] < alone[1]["auc_high"]
    assert 0 < more["auc_low"] < more["auc"] < more["auc_high"]
    assert more["auc"] == pytest.approx(alone[0]["auc"] - alone[1]["auc"])


def test_draws_without_a_figure_are_left_out():
    figure = auc_figure(np.array([0.0, 1.0]), np.array([False, True]), np.array([0, 1]))
    drawn = drawn_figures(figure, 2)
    assert len(drawn) == 1000
    assert 0.4 < np.isnan(drawn).mean() < 0.6
    assert with_bounds("auc", figure, 6) == {"auc": 1.0, "auc_low": 1.0, "auc_high": 1.0}
    nowhere = with_bounds("auc", lambda counts: np.full(len(counts), np.nan), 6)
    assert all(np.isnan(value) for value in nowhere.values())


@pytest.mark.parametrize("num_clusters", [1, 2, 5])
def test_too_few_clusters_have_no_interval_and_show_nothing(num_clusters):
    """All clusters rise together by chance more often than one time in twenty: 2 / 2^C."""
    assert 2 / 2**num_clusters > 0.05 > 2 / 2**LEAST_CLUSTERS
    sums = np.arange(1.0, num_clusters + 1)
    figures = {
        name: (lambda counts, by=by: counts @ (by * sums) / counts.sum(axis=1)) for name, by in (("a", 2), ("b", 1))
    }
    more = compared_with_bounds("mean", figures, num_clusters, "b")["a"]["more"]
    for value in (with_bounds("mean", figures["a"], num_clusters), more):
        assert value["mean"] > 0
        assert (value["mean_low"], value["mean_high"]) == (None, None)
        assert not is_shown(value, "mean")
