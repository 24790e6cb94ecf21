"""Task 3 of One Embedding To Do Them All (arXiv 1906.12120): will a bought item of a cart be returned?

    row      one item of one session's checkout            label   a return of it within `window_days`
    vectors  [the item's | the mean of the cart's others' | their cosine | log of the size of the cart]

    |---- training: the window ends before the split ----|  |---- test: bought from the split on ----|  end of the log
                                                                          (and the window ends before it)

No leak: a training row's label was known at the split, and a test row's window is over, so that "not yet returned" is
never read as "kept". Vectors must be of the time before the split. A logistic regression and gradient-boosted trees
(scikit-learn) give scores; the figure is the AUC on test rows, with intervals over sessions, beside a classifier that
sees the size of the cart alone.

Legend: N items, R rows, T test rows, D dimension, F features.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pyarrow as pa
from threadpoolctl import threadpool_limits

from model.machine.blas_threads import one_blas_thread
from model.measures.auc import AUC, auc_figure
from model.measures.log_rows import BUY, IN_CART, RETURN, LogRows, log_rows, popularity_before
from model.measures.resampling import Figure, compared_with_bounds
from model.measures.some_sessions import rows_of_some_sessions
from schemas.days import DAY_US
from schemas.errors import ThresholdError, UsageError
from schemas.hashing import seed_of

LOGISTIC, BOOSTED = "logistic", "boosted"
CLASSIFIERS = (LOGISTIC, BOOSTED)
#: The classifier that knows no vector.
SIZE_ALONE = "cart size alone"


@dataclass(frozen=True, kw_only=True)
class ReturnConfig:
    """window_days: in which a return counts. strength: C of the logistic regression on standardised features. trees,
    learning_rate, leaves: of the boosted trees. min_returns: in each of training and test part."""

    window_days: float = 30.0
    strength: float = 0.01
    trees: int = 100
    learning_rate: float = 0.05
    leaves: int = 7
    min_returns: int = 10
    seed: int = 0

    def __post_init__(self) -> None:
        if not min(self.window_days, self.strength, self.learning_rate) > 0:
            raise UsageError(f"expected window_days, strength and learning_rate above 0, got {self}")
        if min(self.trees, self.min_returns) < 1 or self.leaves < 2:
            raise UsageError(f"expected trees and min_returns >= 1 and leaves >= 2, got {self}")


@dataclass(frozen=True, eq=False)
class CartRows:
    """Bought items. item_R: int64, their rows; cart_R: the rows of each one's cart, itself among them, ascending;
    session_R: int64; is_returned_R, is_test_R (others train), is_cold_R (no click before the split): bool."""

    item_R: np.ndarray
    cart_R: tuple[tuple[int, ...], ...]
    session_R: np.ndarray
    is_returned_R: np.ndarray
    is_test_R: np.ndarray
    is_cold_R: np.ndarray

    def __len__(self) -> int:
        return len(self.item_R)

    @property
    def items(self) -> np.ndarray:
        """int64, ascending: the rows of items that the carts hold."""
        return np.unique(np.fromiter((item for cart in set(self.cart_R) for item in cart), np.int64))

    def among(self, rows_A: np.ndarray) -> "CartRows":
        """The same rows of items that are numbered by their places in rows_A, ascending, all of `items` in it."""
        moved = {cart: tuple(np.searchsorted(rows_A, cart).tolist()) for cart in set(self.cart_R)}
        return replace(
            self, item_R=np.searchsorted(rows_A, self.item_R), cart_R=tuple(moved[cart] for cart in self.cart_R)
        )


def cart_rows(log: pa.Table, item_ids: Sequence[str], split_us: int, config: ReturnConfig) -> CartRows:
    """The rows of a log (ENGAGEMENTS), by session, then item: an item once a session, bought first. Events without a
    session, and items that are not listed, are left out.

    Raises ThresholdError unless training and test part have `min_returns` returned and kept rows each.
    """
    events = log_rows(log, item_ids)
    window_us, end_us = round(config.window_days * DAY_US), int(events.time_us_E.max(initial=0))
    bought, returned, carts = _first_and_returns(events.only(events.session_E >= 0))
    is_cold_N = popularity_before(log, item_ids, split_us) == 0
    cart_of = {session: tuple(sorted(items)) for session, items in carts.items()}
    columns: list[tuple[int, tuple[int, ...], int, bool, bool]] = []
    for (session, item), time in sorted(bought.items()):
        is_test, ends = time >= split_us, time + window_us
        if ends > (end_us if is_test else split_us):
            continue
        is_returned = any(time < back <= ends for back in returned.get((session, item), ()))
        columns.append((item, cart_of[session], session, is_returned, is_test))
    items, carts_R, sessions, labels, tests = zip(*columns, strict=True) if columns else ((), (), (), (), ())
    item_R = np.array(items, np.int64)
    is_returned_R, is_test_R = np.array(labels, bool), np.array(tests, bool)
    _check_parts(is_returned_R, is_test_R, config)
    return CartRows(item_R, tuple(carts_R), np.array(sessions, np.int64), is_returned_R, is_test_R, is_cold_N[item_R])


def of_some_carts(rows: CartRows, max_rows: int | None, max_items: int | None, config: ReturnConfig) -> CartRows:
    """The rows of whole sessions until there are max_rows, or max_items different items (see rows_of_some_sessions);
    None: all. Raises ThresholdError where too few returns are left, as cart_rows."""
    if (max_rows is None or len(rows) <= max_rows) and (max_items is None or len(rows.items) <= max_items):
        return rows
    session_R = np.unique(rows.session_R, return_inverse=True)[1].reshape(-1)
    cart_of = dict(zip(session_R.tolist(), rows.cart_R, strict=True))
    session_I = np.repeat(np.array([*cart_of], np.int64), [len(cart) for cart in cart_of.values()])
    item_I = np.fromiter((item for cart in cart_of.values() for item in cart), np.int64)
    kept_R = rows_of_some_sessions(session_R, session_I, item_I, max_rows, max_items)
    _check_parts(rows.is_returned_R[kept_R], rows.is_test_R[kept_R], config)
    return CartRows(
        item_R=rows.item_R[kept_R],
        cart_R=tuple(cart for cart, is_kept in zip(rows.cart_R, kept_R.tolist(), strict=True) if is_kept),
        session_R=rows.session_R[kept_R],
        is_returned_R=rows.is_returned_R[kept_R],
        is_test_R=rows.is_test_R[kept_R],
        is_cold_R=rows.is_cold_R[kept_R],
    )


def cart_features(rows: CartRows, vectors_ND: np.ndarray | None) -> np.ndarray:
    """float64 [R, F]: see the module; of no vectors the size of the cart alone. Items without a vector are rows of
    zeros. Raises UsageError for numbers that are not finite."""
    size_R1 = np.log([[len(cart)] for cart in rows.cart_R])
    if vectors_ND is None:
        return size_R1
    if not np.isfinite(vectors_ND).all():
        raise UsageError("expected finite vectors, got some that are not")
    item_RD = vectors_ND[rows.item_R].astype(np.float64)
    cart_RD = _means_of_others(rows, vectors_ND)
    norms_R = np.linalg.norm(item_RD, axis=1) * np.linalg.norm(cart_RD, axis=1)
    dots_R = np.einsum("rd,rd->r", item_RD, cart_RD)
    cosine_R = np.divide(dots_R, norms_R, out=np.zeros(len(rows)), where=norms_R > 1e-12)
    return np.concatenate([item_RD, cart_RD, cosine_R[:, None], size_R1], axis=1)


def _means_of_others(rows: CartRows, vectors_ND: np.ndarray) -> np.ndarray:
    """float64 [R, D]: of the other items of each cart, 0 of none; a cart of many is summed once, not for each."""
    cart_of = dict(zip(rows.session_R.tolist(), rows.cart_R, strict=True))
    sum_of = {session: vectors_ND[list(cart)].astype(np.float64).sum(axis=0) for session, cart in cart_of.items()}
    means_RD = np.zeros((len(rows), vectors_ND.shape[1]))
    for number, (item, session) in enumerate(zip(rows.item_R.tolist(), rows.session_R.tolist(), strict=True)):
        if len(cart_of[session]) > 1:
            means_RD[number] = (sum_of[session] - vectors_ND[item]) / (len(cart_of[session]) - 1)
    return means_RD


def return_scores(rows: CartRows, features_RF: np.ndarray, classifier: str, config: ReturnConfig) -> np.ndarray:
    """float64 [T]: how likely each test row is to be returned, of a classifier of CLASSIFIERS that learned from the
    training rows. The same on every run, whatever the number of threads, of which trees take as many as torch does:
    the cores that there are may be others' too."""
    if classifier not in CLASSIFIERS:
        raise UsageError(f"expected a classifier of {', '.join(CLASSIFIERS)}, got {classifier!r}")
    import torch  # as of scikit-learn below

    model = _classifier(classifier, config)
    with threadpool_limits(torch.get_num_threads(), "openmp"):
        with one_blas_thread():
            model.fit(features_RF[~rows.is_test_R], rows.is_returned_R[~rows.is_test_R])
        scores_T = model.predict_proba(features_RF[rows.is_test_R])[:, 1]
    return np.asarray(scores_T, np.float64)


def return_report(
    rows: CartRows, vectors_of: Mapping[str, np.ndarray], config: ReturnConfig, reference: str | None = None
) -> dict[str, Any]:
    """{"rows", "returned", "test_rows", "test_returned", classifier: {"all", "cold", "warm": figures or None}}, figures
    {source: {auc with bounds over sessions, "more": than the reference, paired}}; SIZE_ALONE is among the sources."""
    test = rows.is_test_R
    found: dict[str, Any] = {
        "rows": len(rows),
        "returned": int(rows.is_returned_R.sum()),
        "test_rows": int(test.sum()),
        "test_returned": int(rows.is_returned_R[test].sum()),
    }
    features_of = {SIZE_ALONE: cart_features(rows, None)}
    features_of |= {name: cart_features(rows, vectors_ND) for name, vectors_ND in vectors_of.items()}
    parts = {"all": np.ones(int(test.sum()), bool), "cold": rows.is_cold_R[test], "warm": ~rows.is_cold_R[test]}
    for classifier in CLASSIFIERS:
        scores_of = {name: return_scores(rows, both, classifier, config) for name, both in features_of.items()}
        found[classifier] = {
            part: _figures(rows, scores_of, kept_T, reference, config.min_returns) for part, kept_T in parts.items()
        }
    return found


def _figures(
    rows: CartRows,
    scores_of: Mapping[str, np.ndarray],
    kept_T: np.ndarray,
    reference: str | None,
    min_returns: int,
) -> dict[str, Any] | None:
    """None for a part of fewer returned or kept rows than min_returns: an AUC of three returns says nothing."""
    labels_T = rows.is_returned_R[rows.is_test_R][kept_T]
    if min(int(labels_T.sum()), int((~labels_T).sum())) < min_returns:
        return None
    _, session_T = np.unique(rows.session_R[rows.is_test_R][kept_T], return_inverse=True)
    num_sessions = int(session_T.max()) + 1
    figure_of: dict[str, Figure] = {
        name: auc_figure(scores_T[kept_T], labels_T, session_T.reshape(-1)) for name, scores_T in scores_of.items()
    }
    return compared_with_bounds(AUC, figure_of, num_sessions, reference)


def _first_and_returns(
    events: LogRows,
) -> tuple[dict[tuple[int, int], int], dict[tuple[int, int], list[int]], dict[int, set[int]]]:
    """((session, item) -> time of the first checkout, (session, item) -> times of returns, session -> its cart)."""
    bought: dict[tuple[int, int], int] = {}
    returned: dict[tuple[int, int], list[int]] = {}
    carts: dict[int, set[int]] = {}
    columns = (events.session_E, events.item_E, events.time_us_E, events.action_E)
    for session, row, time, action in zip(*(column.tolist() for column in columns), strict=True):
        if action in (IN_CART, BUY):
            carts.setdefault(session, set()).add(row)
        if action == BUY:
            bought[session, row] = min(time, bought.get((session, row), time))
        elif action == RETURN:
            returned.setdefault((session, row), []).append(time)
    return bought, returned, carts


def _check_parts(is_returned_R: np.ndarray, is_test_R: np.ndarray, config: ReturnConfig) -> None:
    for part, rows in (("training", ~is_test_R), ("test", is_test_R)):
        returned, kept = int(is_returned_R[rows].sum()), int((~is_returned_R[rows]).sum())
        if min(returned, kept) < config.min_returns:
            raise ThresholdError(
                f"expected at least {config.min_returns} returned and as many kept items in the {part} part, got "
                f"{returned} and {kept}: give a longer log, another split, or a shorter window than "
                f"{config.window_days:g} days"
            )


def _classifier(name: str, config: ReturnConfig) -> Any:
    from sklearn.ensemble import HistGradientBoostingClassifier  # a second that others need not wait for
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    if name == LOGISTIC:
        return make_pipeline(StandardScaler(), LogisticRegression(C=config.strength, max_iter=500))
    return HistGradientBoostingClassifier(
        max_iter=config.trees,
        learning_rate=config.learning_rate,
        max_leaf_nodes=config.leaves,
        early_stopping=False,
        random_state=seed_of("boosted", config.seed) % 2**32,
    )
