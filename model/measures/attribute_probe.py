"""Task 1 of One Embedding To Do Them All (arXiv 1906.12120): does a vector tell an item's attribute?

A linear probe (multinomial logistic regression on unit vectors) learns the attribute of the training items and is asked
for that of the test items, which are of other product families. The figure is macro-F1, the mean over values of

    F1 = 2 tp / (2 tp + fp + fn)

so that rare values count as much as frequent ones, beside the floors: the most frequent value for all, and the same
probe on TF-IDF of the items' text. Values of fewer than `min_items` training items are not asked for.

No leak: whoever calls gives vectors in which the attribute that is asked for is withheld (side information without its
field: SideInformationConfig.without), clickstream vectors of the time before the split, and, as text, fields that
do not hold the attribute itself. Titles may still name it: that is what the text floor measures.

Legend: N items, D dimension, T test items, K values, R draws, C clusters.
"""

import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from model.machine.blas_threads import one_blas_thread
from model.measures.resampling import Figure, compared_with_bounds
from schemas.errors import ThresholdError, UsageError
from schemas.hashing import seed_of

MAJORITY, TEXT = "majority", "text"
F1 = "macro_f1"
_BUCKETS = 1_000


@dataclass(frozen=True, kw_only=True)
class ProbeConfig:
    """test_share: of the families, by the hash of their names. strengths: values of C (the inverse of the L2 penalty)
    of which the best on `inner_share` of the training families is taken. min_items: training items of a value."""

    test_share: float = 0.3
    inner_share: float = 0.25
    strengths: tuple[float, ...] = (1.0, 10.0, 100.0)
    min_items: int = 8
    max_steps: int = 200
    seed: int = 0

    def __post_init__(self) -> None:
        if not (0 < self.test_share < 1 and 0 < self.inner_share < 1) or self.min_items < 1:
            raise UsageError(f"expected shares in (0, 1) and min_items >= 1, got {self}")
        if not self.strengths or min(self.strengths) <= 0 or self.max_steps < 1:
            raise UsageError(f"expected strengths above 0 and max_steps >= 1, got {self}")


@dataclass(frozen=True, eq=False)
class AttributeQuestion:
    """One attribute asked of the same items. label_N: int64, of `values`, -1 for an item that is not asked; train,
    test: rows. cluster_T: int64 of each test item, families drawn whole. is_cold_T: no clicks before the split."""

    attribute: str
    values: tuple[str, ...]
    label_N: np.ndarray
    family_N: Sequence[str]
    train: np.ndarray
    test: np.ndarray
    cluster_T: np.ndarray
    is_cold_T: np.ndarray

    @property
    def items(self) -> np.ndarray:
        """int64, ascending: the rows of items that train and test."""
        return np.union1d(self.train, self.test)

    def among(self, rows_A: np.ndarray) -> "AttributeQuestion":
        """The same question of items that are numbered by their places in rows_A, ascending, all of `items` in it."""
        return replace(
            self,
            label_N=self.label_N[rows_A],
            family_N=[self.family_N[row] for row in rows_A.tolist()],
            train=np.searchsorted(rows_A, self.train),
            test=np.searchsorted(rows_A, self.test),
        )


def ask(
    attribute: str,
    labels_N: Sequence[str | None],
    family_N: Sequence[str],
    is_cold_N: np.ndarray,
    config: ProbeConfig,
    may_train_N: np.ndarray | None = None,
    may_test_N: np.ndarray | None = None,
) -> AttributeQuestion:
    """The question, with its items split by family. labels_N: one value an item, None where it is not known; family_N:
    equal for items that share text or pictures (the item's own id where nothing is known). may_train_N: bool, which
    items the probe may train on; may_test_N: bool, of which families test items are drawn, the others train; None: all.
    Raises ThresholdError if fewer than two values are left, or no test item has one."""
    if not len(labels_N) == len(family_N) == len(is_cold_N):
        raise UsageError(f"expected as many families and cold flags as labels, got {len(family_N)}, {len(is_cold_N)}")
    share_of = {name: _share("attribute test", config.seed, name) for name in set(family_N)}
    is_test_N = np.array([share_of[name] < config.test_share for name in family_N], bool)
    is_test_N &= np.ones(len(labels_N), bool) if may_test_N is None else may_test_N
    may_train_N = np.ones(len(labels_N), bool) if may_train_N is None else may_train_N
    train_labels = [label for label, fits in zip(labels_N, ~is_test_N & may_train_N, strict=True) if fits and label]
    counts = {value: train_labels.count(value) for value in sorted(set(train_labels))}
    values = tuple(value for value, count in counts.items() if count >= config.min_items)
    place = {value: number for number, value in enumerate(values)}
    label_N = np.array([place.get(label, -1) if label else -1 for label in labels_N], np.int64)
    train = np.flatnonzero((label_N >= 0) & ~is_test_N & may_train_N)
    test = np.flatnonzero((label_N >= 0) & is_test_N)
    if len(values) < 2 or not len(test):
        raise ThresholdError(
            f"expected at least 2 values of {attribute} with {config.min_items} training items each, and test items, "
            f"got {len(values)} values and {len(test)} test items: ask for another attribute"
        )
    _, cluster_T = np.unique([family_N[row] for row in test.tolist()], return_inverse=True)
    is_cold_T = np.asarray(is_cold_N, bool)[test]
    return AttributeQuestion(attribute, values, label_N, family_N, train, test, cluster_T.reshape(-1), is_cold_T)


def answers(question: AttributeQuestion, features_N: Any, config: ProbeConfig) -> np.ndarray:
    """int64 [T]: the value that the probe says of each test item. features_N: float [N, D], dense or sparse. The same
    on every run. Raises UsageError for another number of rows or numbers that are not finite."""
    if features_N.shape[0] != len(question.label_N):
        raise UsageError(f"expected a row of each of {len(question.label_N)} items, got {features_N.shape[0]}")
    numbers = features_N if isinstance(features_N, np.ndarray) else features_N.data
    if not np.isfinite(numbers).all():
        raise UsageError(f"expected finite vectors, got some that are not for {question.attribute}")
    strength = _best_strength(question, features_N, config)
    return _fitted(features_N, question.label_N, question.train, strength, config).predict(features_N[question.test])


def majority_answers(question: AttributeQuestion) -> np.ndarray:
    """int64 [T]: the most frequent value of the training items, of equal ones the first."""
    return np.full(len(question.test), np.bincount(question.label_N[question.train]).argmax())


def text_features(texts_N: Sequence[str], question: AttributeQuestion) -> Any:
    """Sparse float64 [N, words]: TF-IDF of words, as the training items' texts know them."""
    from sklearn.feature_extraction.text import TfidfVectorizer  # a second that others need not wait for

    vectorizer = TfidfVectorizer(sublinear_tf=True, token_pattern=r"(?u)\w+")
    try:
        vectorizer.fit([texts_N[row] for row in question.train.tolist()])
    except ValueError as error:  # no word at all
        raise ThresholdError(f"expected texts with words, got none of {len(question.train)} items") from error
    return vectorizer.transform(texts_N).tocsr()


def report(
    question: AttributeQuestion, answers_of: Mapping[str, np.ndarray], reference: str | None = None
) -> dict[str, Any]:
    """{"attribute", "values", "test_items", "cold_items", "all": figures, "cold": figures or None, "warm": the same}
    where figures are {method: {macro_f1 with bounds, "more": than the reference, with bounds, paired}}.

    answers_of: int64 [T] of each method. reference: a method that the others are compared with, all of them.
    """
    parts = {"all": np.ones(len(question.test), bool), "cold": question.is_cold_T, "warm": ~question.is_cold_T}
    found: dict[str, Any] = {
        "attribute": question.attribute,
        "values": len(question.values),
        "test_items": len(question.test),
        "cold_items": int(question.is_cold_T.sum()),
    }
    for name, kept_T in parts.items():
        found[name] = _figures(question, answers_of, kept_T, reference) if kept_T.any() else None
    return found


def macro_f1_figure(labels_T: np.ndarray, answers_T: np.ndarray, cluster_T: np.ndarray) -> Figure:
    """Macro-F1 over the values that the drawn test items have, as a function of how often each cluster counts."""
    num_values = int(max(labels_T.max(initial=-1), answers_T.max(initial=-1))) + 1
    num_clusters = int(cluster_T.max(initial=-1)) + 1
    sums_3CK = np.zeros((3, num_clusters, num_values))
    for place, (values_T, counts_T) in enumerate(
        ((labels_T, labels_T == answers_T), (labels_T, np.ones(len(labels_T))), (answers_T, np.ones(len(answers_T))))
    ):
        np.add.at(sums_3CK[place], (cluster_T, values_T), counts_T)

    def figure(counts_RC: np.ndarray) -> np.ndarray:
        right_RK, labelled_RK, answered_RK = (counts_RC @ sums_CK for sums_CK in sums_3CK)
        f1_RK = 2 * right_RK / np.maximum(labelled_RK + answered_RK, 1)  # tp + fn and tp + fp
        asked_R = (labelled_RK > 0).sum(axis=1)
        total_R = np.where(labelled_RK > 0, f1_RK, 0).sum(axis=1)
        return np.divide(total_R, asked_R, out=np.full(len(counts_RC), np.nan), where=asked_R > 0)

    return figure


def _figures(
    question: AttributeQuestion, answers_of: Mapping[str, np.ndarray], kept_T: np.ndarray, reference: str | None
) -> dict[str, Any]:
    _, cluster_T = np.unique(question.cluster_T[kept_T], return_inverse=True)
    labels_T = question.label_N[question.test][kept_T]
    num_clusters = int(cluster_T.max()) + 1
    figure_of = {name: macro_f1_figure(labels_T, said_T[kept_T], cluster_T) for name, said_T in answers_of.items()}
    return compared_with_bounds(F1, figure_of, num_clusters, reference)


def _best_strength(question: AttributeQuestion, features_N: Any, config: ProbeConfig) -> float:
    """Of the strengths that of the best macro-F1 on inner families, of equal ones the first."""
    shares = [_share("attribute inner", config.seed, question.family_N[row]) for row in question.train.tolist()]
    is_inner = np.array(shares) < config.inner_share
    inner, rest = question.train[is_inner], question.train[~is_inner]
    if len(config.strengths) == 1 or not len(inner) or len(set(question.label_N[rest].tolist())) < 2:
        return config.strengths[0]
    scores = []
    for strength in config.strengths:
        said = _fitted(features_N, question.label_N, rest, strength, config).predict(features_N[inner])
        figure = macro_f1_figure(question.label_N[inner], said, np.arange(len(inner)))
        scores.append(figure(np.ones((1, len(inner)), np.int64))[0])
    return config.strengths[int(np.argmax(scores))]


def _fitted(features_N: Any, label_N: np.ndarray, rows: np.ndarray, strength: float, config: ProbeConfig) -> Any:
    from sklearn.exceptions import ConvergenceWarning
    from sklearn.linear_model import LogisticRegression  # a second that others need not wait for

    with warnings.catch_warnings(), one_blas_thread():  # a probe that is nearly there is a probe
        warnings.simplefilter("ignore", ConvergenceWarning)
        return LogisticRegression(C=strength, max_iter=config.max_steps).fit(features_N[rows], label_N[rows])


def _share(*names: object) -> float:
    return seed_of(*names) % _BUCKETS / _BUCKETS
