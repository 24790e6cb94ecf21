"""95 % bootstrap intervals of figures that are no mean (an AUC, a macro-F1), and of differences of two of them.

A figure is a function of how often each cluster (a session, a product family) was drawn. The clusters are drawn whole,
and the same draws serve both sides of a difference: it is paired. model.measures.evaluation.bootstrap_ratios draws here
too.

Fewer than LEAST_CLUSTERS have no interval, bounds of None. Draws of one cluster are all that cluster: an interval of no
width that knows nothing. Of two or three the tails are the least and the largest cluster, between which a median of
theirs lies half or three quarters of the time. And two methods that are as good differ the same way in all of C
clusters 2 / 2^C of the time: more than 5 % up to five of them.

Legend: C clusters, R draws, one row each.
"""

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

#: int64 [R, C], how often each cluster counts -> float64 [R], NaN where these draws have no figure.
Figure = Callable[[np.ndarray], np.ndarray]
#: Of an interval, see the module.
LEAST_CLUSTERS = 6
_RESAMPLES, _DRAWS_AT_ONCE = 1000, 50
_BOUNDS = [2.5, 97.5]


def with_bounds(name: str, figure: Figure, num_clusters: int, seed: int = 0) -> dict[str, float | None]:
    """{name, name_low, name_high}: the figure of all clusters, each once, with its interval. NaN where there is none;
    bounds of None of fewer than LEAST_CLUSTERS, see the module.

    >>> with_bounds("mean", lambda counts: counts @ ([1.0] * 6) / counts.sum(axis=1), 6)
    {'mean': 1.0, 'mean_low': 1.0, 'mean_high': 1.0}
    >>> with_bounds("mean", lambda counts: counts @ [1.0] / counts.sum(axis=1), 1)
    {'mean': 1.0, 'mean_low': None, 'mean_high': None}
    """
    value = figure(np.ones((1, num_clusters), np.int64))[0]
    return _named(name, value, _drawn_if_any(figure, num_clusters, seed))


def compared_with_bounds(
    name: str, figure_of: Mapping[str, Figure], num_clusters: int, reference: str | None = None, seed: int = 0
) -> dict[str, dict[str, Any]]:
    """Of each source what with_bounds gives and, if there is a reference, "more": the same of its difference to it.
    Each figure is drawn once, whatever it is compared with."""
    value_of = {source: figure(np.ones((1, num_clusters), np.int64))[0] for source, figure in figure_of.items()}
    drawn_of = {source: _drawn_if_any(figure, num_clusters, seed) for source, figure in figure_of.items()}
    found: dict[str, dict[str, Any]] = {}
    for source, value in value_of.items():
        found[source] = dict(_named(name, value, drawn_of[source]))
        if reference is not None:
            own_R, other_R = drawn_of[source], drawn_of[reference]
            more_R = None if own_R is None or other_R is None else own_R - other_R
            found[source]["more"] = _named(name, value - value_of[reference], more_R)
    return found


def drawn_figures(figure: Figure, num_clusters: int, seed: int = 0, resamples: int = _RESAMPLES) -> np.ndarray:
    """float64 [resamples], or [resamples, M] of M figures: of clusters drawn with replacement."""
    generator = np.random.default_rng(seed)
    found = []
    for start in range(0, resamples, _DRAWS_AT_ONCE):
        num_R = min(_DRAWS_AT_ONCE, resamples - start)
        drawn_RC = generator.integers(0, num_clusters, (num_R, num_clusters))
        places_RC = drawn_RC + num_clusters * np.arange(num_R)[:, None]
        found.append(figure(np.bincount(places_RC.ravel(), minlength=places_RC.size).reshape(places_RC.shape)))
    return np.concatenate(found)


def _drawn_if_any(figure: Figure, num_clusters: int, seed: int) -> np.ndarray | None:
    """None of too few clusters for an interval."""
    return None if num_clusters < LEAST_CLUSTERS else drawn_figures(figure, num_clusters, seed)


def _named(name: str, value: float, drawn_R: np.ndarray | None) -> dict[str, float | None]:
    if drawn_R is None:
        return {name: float(value), f"{name}_low": None, f"{name}_high": None}
    good_R = drawn_R[np.isfinite(drawn_R)]
    low, high = np.percentile(good_R, _BOUNDS) if len(good_R) else (np.nan, np.nan)
    return {name: float(value), f"{name}_low": float(low), f"{name}_high": float(high)}
