"""Means over user-days with intervals that know that the days of one user are alike: users are drawn, not user-days.

Legend: U user-days, G users, T methods, M metrics, B resamples.
"""

import warnings
from dataclasses import dataclass

import numpy as np

from model.measures.resampling import LEAST_CLUSTERS

NUM_RESAMPLES = 1000
_CONFIDENCE = 0.95


@dataclass(frozen=True, eq=False)
class Summary:
    """All float64 [T, M]: the mean, the bounds of its 95 % interval, and the same of the lift over the baseline in
    percent (nan where the baseline is 0). Bounds are nan of fewer than LEAST_CLUSTERS users with a value, see
    model.measures.resampling."""

    mean: np.ndarray
    low: np.ndarray
    high: np.ndarray
    lift: np.ndarray
    lift_low: np.ndarray
    lift_high: np.ndarray


def summarize(users_U: np.ndarray, values_UTM: np.ndarray, baseline: int, seed: int) -> Summary:
    """Means over user-days and their bootstrap intervals; lifts are paired: both means of a lift are over the same draw
    of users. nan values do not count. baseline: the method that lifts are over. ValueError without user-days."""
    if not len(users_U):
        raise ValueError("expected at least one user-day, got none")
    _, users_U = np.unique(users_U, return_inverse=True)
    num_users, num_values = users_U.max() + 1, values_UTM[0].size
    flat = values_UTM.reshape(len(users_U), num_values)
    sums_G, counts_G = np.zeros((num_users, num_values)), np.zeros((num_users, num_values))
    np.add.at(sums_G, users_U, np.nan_to_num(flat))
    np.add.at(counts_G, users_U, ~np.isnan(flat))
    generator = np.random.default_rng(seed)
    drawn_BG = generator.multinomial(num_users, np.full(num_users, 1 / num_users), NUM_RESAMPLES).astype(np.float64)
    shape = values_UTM.shape[1:]
    mean = _ratio(sums_G.sum(axis=0), counts_G.sum(axis=0)).reshape(shape)
    means_B = _ratio(drawn_BG @ sums_G, drawn_BG @ counts_G).reshape(-1, *shape)
    lifts_B = 100 * (_ratio(means_B, np.broadcast_to(means_B[:, [baseline]], means_B.shape)) - 1)
    lift = 100 * (_ratio(mean, np.broadcast_to(mean[[baseline]], shape)) - 1)
    users_TM = (counts_G > 0).sum(axis=0).reshape(shape)
    both_TM = np.minimum(users_TM, users_TM[[baseline]])
    return Summary(mean, *_bounds(means_B, users_TM), lift, *_bounds(lifts_B, both_TM))


def standard_errors(users_U: np.ndarray, values_UT: np.ndarray) -> np.ndarray:
    """float64 [T]: of the mean over user-days, the users being independent (linearised ratio of sums)."""
    _, users_U = np.unique(users_U, return_inverse=True)
    residuals_GT = np.zeros((users_U.max() + 1, values_UT.shape[1]))
    np.add.at(residuals_GT, users_U, values_UT - values_UT.mean(axis=0))
    return np.sqrt((residuals_GT**2).sum(axis=0)) / len(users_U)


def _bounds(values_B: np.ndarray, users_TM: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The tails of the resamples; nan where all are, or too few users have a value."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)  # all nan
        low, high = np.nanquantile(values_B, [(1 - _CONFIDENCE) / 2, (1 + _CONFIDENCE) / 2], axis=0)
    few_TM = users_TM < LEAST_CLUSTERS
    return np.where(few_TM, np.nan, low), np.where(few_TM, np.nan, high)


def _ratio(above: np.ndarray, below: np.ndarray) -> np.ndarray:
    return np.divide(above, below, out=np.full(above.shape, np.nan), where=below != 0)
