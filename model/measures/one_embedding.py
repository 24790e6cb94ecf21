"""The three tasks of One Embedding To Do Them All (arXiv 1906.12120) at one split of a log, asked of item vectors.

    attributes        mean over attributes of the macro-F1 of a linear probe       (attribute_probe)
    clicked_bought    AUC of items clicked and bought in one session               (clicked_bought)
    cart_returns      AUC of returns of what was bought, by a logistic regression  (cart_returns)

    log   |-- sources learn --|-- validation: weights of a fusion --|-- test: the table --|
                           split_us                               end_us = split_us of the table

Families are parted the same way: half of them, by the hash of their names, are RESERVED for the table, whose test items
are drawn among them with each seed; validation sees no label of theirs. So nothing that the table measures has chosen a
weight. The half is the same for every seed, and a seed tests most of it: figures of two seeds share items, and deviate
less than those of other items would. A task that the log or the catalogue cannot ask is left out, with the reason.

Legend: N items, D dimension.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from model.measures.attribute_probe import (
    AttributeQuestion,
    ProbeConfig,
    answers,
    ask,
    macro_f1_figure,
    majority_answers,
)
from model.measures.auc import auc
from model.measures.cart_returns import (
    LOGISTIC,
    CartRows,
    ReturnConfig,
    cart_features,
    cart_rows,
    of_some_carts,
    return_scores,
)
from model.measures.clicked_bought import SessionPairs, of_some_sessions, pair_cosines, session_pairs
from model.measures.log_rows import popularity_before
from schemas.errors import ThresholdError, UsageError
from schemas.hashing import seed_of

ATTRIBUTES, CLICKED_BOUGHT, CART_RETURNS = "attributes", "clicked_bought", "cart_returns"
TASKS = (ATTRIBUTES, CLICKED_BOUGHT, CART_RETURNS)
#: Share of the families whose labels only the table asks for; its page calls it a half.
_RESERVED_SHARE = 0.5
_BUCKETS = 1_000
#: An AUC of chance.
_CHANCE = 0.5

#: Attribute -> the vectors that are asked for it, float [N, D]; "": for the tasks that ask for none.
VectorsFor = Callable[[str], np.ndarray | None]


@dataclass(frozen=True, kw_only=True)
class TasksConfig:
    """seed: of the test families, the random twins and the trees. max_attributes: those with most labelled items;
    max_items: of an attribute, whole families of the smallest hashes; max_pairs: clicked and bought, max_bought: rows
    of carts, max_session_items: different items of either, all of whole sessions; they bound the time of a search for
    weights."""

    probe: ProbeConfig = field(default_factory=ProbeConfig)
    returns: ReturnConfig = field(default_factory=ReturnConfig)
    seed: int = 0
    max_attributes: int | None = None
    max_items: int | None = None
    max_pairs: int | None = None
    max_bought: int | None = None
    max_session_items: int | None = None

    def __post_init__(self) -> None:
        bounds = (self.max_attributes, self.max_items, self.max_pairs, self.max_bought, self.max_session_items)
        if any(most is not None and most < 1 for most in bounds):
            raise UsageError(
                "expected max_attributes, max_items, max_pairs, max_bought and max_session_items >= 1, or None, got "
                f"{self}"
            )


#: What a search for weights can afford: it asks some hundred times.
SEARCH = TasksConfig(
    probe=ProbeConfig(strengths=(30.0,), max_steps=100),
    max_attributes=3,
    max_items=4_000,
    max_pairs=50_000,
    max_bought=50_000,
    max_session_items=30_000,
)


@dataclass(frozen=True, eq=False, kw_only=True)
class OneEmbeddingTasks:
    """questions: by attribute. pairs, carts: None where the log has none. left_out: task or attribute -> why.
    popularity_N: int64 [N], clicks (of a log without any: purchases) before the split: an item of none is cold."""

    config: TasksConfig
    questions: Mapping[str, AttributeQuestion]
    pairs: SessionPairs | None
    carts: CartRows | None
    popularity_N: np.ndarray
    left_out: Mapping[str, str]

    @property
    def names(self) -> list[str]:
        """The tasks that are asked."""
        there = (self.questions, self.pairs is not None, self.carts is not None)
        return [name for name, is_there in zip(TASKS, there, strict=True) if is_there]

    def sizes(self) -> dict[str, str]:
        """How much each task asks, for a person."""
        found = {
            ATTRIBUTES: ", ".join(f"{name} of {len(asked.test):,} items" for name, asked in self.questions.items())
        }
        if self.pairs is not None:
            found[CLICKED_BOUGHT] = f"{len(self.pairs):,} pairs of {int(self.pairs.session_P.max()) + 1:,} sessions"
        if self.carts is not None:
            is_returned_T = self.carts.is_returned_R[self.carts.is_test_R]
            found[CART_RETURNS] = f"{int(is_returned_T.sum()):,} returns of {len(is_returned_T):,} items bought"
        return {name: size for name, size in found.items() if name in self.names}

    def asked(self, attribute: str) -> np.ndarray:
        """int64, ascending: the rows of items whose vectors `scores` looks at: of an attribute, or ("") of the tasks
        that ask for none."""
        if attribute:
            return self.questions[attribute].items
        there = [task.items for task in (self.pairs, self.carts) if task is not None]
        return np.unique(np.concatenate([np.zeros(0, np.int64), *there]))

    def among(self, rows_A: np.ndarray) -> "OneEmbeddingTasks":
        """The same tasks, and so the same scores, of these items alone: rows, ascending, all that are asked about in
        it."""
        return replace(
            self,
            questions={name: question.among(rows_A) for name, question in self.questions.items()},
            pairs=None if self.pairs is None else self.pairs.among(rows_A),
            carts=None if self.carts is None else self.carts.among(rows_A),
            popularity_N=self.popularity_N[rows_A],
        )

    def floors(self) -> dict[str, float]:
        """The score of what knows nothing, of each task that is asked: the majority of attributes, .5 of an AUC."""
        majority = [_macro_f1(asked, majority_answers(asked)) for asked in self.questions.values()]
        found = {ATTRIBUTES: float(np.mean(majority)) if majority else np.nan}
        return {name: found.get(name, _CHANCE) for name in self.names}

    def scores(self, vectors_for: VectorsFor) -> dict[str, float]:
        """The figure of each task that is asked. vectors_for: None for an attribute counts as the majority's answer;
        rows of zeros stand for items without a vector. The same on every run."""
        found: dict[str, float] = {}
        if self.questions:
            found[ATTRIBUTES] = float(np.mean([self._attribute(name, vectors_for(name)) for name in self.questions]))
        if (vectors_ND := vectors_for("")) is None:
            raise UsageError('expected vectors for the tasks that ask for no attribute (""), got none')
        if self.pairs is not None:
            pair_P, random_P = pair_cosines(self.pairs, vectors_ND)
            is_pair = np.repeat([True, False], len(self.pairs))
            found[CLICKED_BOUGHT] = auc(np.concatenate([pair_P, random_P]), is_pair)
        if self.carts is not None:
            features = cart_features(self.carts, vectors_ND)
            scores_T = return_scores(self.carts, features, LOGISTIC, self.config.returns)
            found[CART_RETURNS] = auc(scores_T, self.carts.is_returned_R[self.carts.is_test_R])
        return found

    def _attribute(self, name: str, vectors_ND: np.ndarray | None) -> float:
        asked = self.questions[name]
        if vectors_ND is None:
            return _macro_f1(asked, majority_answers(asked))
        return _macro_f1(asked, answers(asked, vectors_ND, self.config.probe))


def table_tasks(
    log: pa.Table,
    item_ids: Sequence[str],
    labels: Mapping[str, Sequence[str | None]],
    families: Sequence[str],
    split_us: int,
    config: TasksConfig | None = None,
) -> OneEmbeddingTasks:
    """The tasks of the table: sessions from the split on (microseconds since 1970), test items of RESERVED families.

    log: ENGAGEMENTS, valid; item_ids: N, distinct; labels: attribute -> one value an item, None where it is not known;
    families: equal for items that share text or pictures. Raises ThresholdError if no task can be asked.
    """
    config = config or TasksConfig()
    probe = replace(config.probe, seed=config.seed, test_share=tested_of_reserved(config.probe))
    reserved_N = _is_reserved(families)
    return _tasks(log, item_ids, labels, families, reserved_N, split_us, replace(config, probe=probe))


def tested_of_reserved(probe: ProbeConfig) -> float:
    """Share of the RESERVED families that one seed of the table tests.

    >>> tested_of_reserved(ProbeConfig(test_share=0.3))
    0.6
    """
    return min(probe.test_share / _RESERVED_SHARE, 0.99)


def validation_tasks(
    log: pa.Table,
    item_ids: Sequence[str],
    labels: Mapping[str, Sequence[str | None]],
    families: Sequence[str],
    split_us: int,
    end_us: int,
    config: TasksConfig = SEARCH,
) -> OneEmbeddingTasks:
    """The tasks that choose weights: the same of the log before `end_us`, where the table's test begins, and of items
    of other families than RESERVED. split_us: the sources that are weighed learnt from the log before it alone.

    Raises UsageError unless split_us < end_us, ThresholdError if no task can be asked.
    """
    if not split_us < end_us:
        raise UsageError(f"expected a validation part of the log, from {split_us} to before {end_us} (us), got none")
    before = log.filter(pc.less(log["timestamp"].cast(pa.int64()), end_us))
    reserved_N = _is_reserved(families)
    shown = {
        name: [None if hidden else value for value, hidden in zip(values, reserved_N.tolist(), strict=True)]
        for name, values in labels.items()
    }
    probe = replace(config.probe, seed=config.seed)
    return _tasks(before, item_ids, shown, families, None, split_us, replace(config, probe=probe))


def _tasks(
    log: pa.Table,
    item_ids: Sequence[str],
    labels: Mapping[str, Sequence[str | None]],
    families: Sequence[str],
    may_test_N: np.ndarray | None,
    split_us: int,
    config: TasksConfig,
) -> OneEmbeddingTasks:
    popularity_N = popularity_before(log, item_ids, split_us)
    questions: dict[str, AttributeQuestion] = {}
    left_out: dict[str, str] = {}
    for name in _most_labelled(labels):
        if len(questions) == config.max_attributes:
            break
        try:
            some = _of_some_items(labels[name], families, config.max_items)
            questions[name] = ask(name, some, families, popularity_N == 0, config.probe, may_test_N=may_test_N)
        except ThresholdError as error:
            left_out[name] = str(error)
    pairs = carts = None
    try:
        pairs = session_pairs(log, item_ids, split_us, seed=config.seed)
        pairs = of_some_sessions(pairs, config.max_pairs, config.max_session_items)
    except ThresholdError as error:
        left_out[CLICKED_BOUGHT] = str(error)
    returns = replace(config.returns, seed=config.seed)
    try:
        carts = cart_rows(log, item_ids, split_us, returns)
        carts = of_some_carts(carts, config.max_bought, config.max_session_items, returns)
    except ThresholdError as error:
        left_out[CART_RETURNS] = str(error)
    if not questions and pairs is None and carts is None:
        raise ThresholdError(
            f"expected a task that catalogue and log can ask, got none: {'; '.join(left_out.values())}"
        )
    return OneEmbeddingTasks(
        config=replace(config, returns=returns),
        questions=questions,
        pairs=pairs,
        carts=carts,
        popularity_N=popularity_N,
        left_out=left_out,
    )


def _most_labelled(labels: Mapping[str, Sequence[str | None]]) -> list[str]:
    """Attributes by falling number of labelled items, of equal ones by name."""
    return sorted(labels, key=lambda name: (-sum(value is not None for value in labels[name]), name))


def _of_some_items(
    labels_N: Sequence[str | None], families: Sequence[str], max_items: int | None
) -> Sequence[str | None]:
    """The labels of at most max_items items, those of the families of the smallest hashes."""
    if max_items is None:
        return labels_N
    labelled = [row for row, value in enumerate(labels_N) if value is not None]
    kept = set(sorted(labelled, key=lambda row: (seed_of("searched family", families[row]), row))[:max_items])
    return [value if row in kept else None for row, value in enumerate(labels_N)]


def _is_reserved(families: Sequence[str]) -> np.ndarray:
    """bool [N]: whether the item's labels are the table's alone."""
    reserved = {
        name: seed_of("reserved family", name) % _BUCKETS < _RESERVED_SHARE * _BUCKETS for name in set(families)
    }
    return np.array([reserved[name] for name in families], bool)


def _macro_f1(asked: AttributeQuestion, answers_T: np.ndarray) -> float:
    labels_T = asked.label_N[asked.test]
    figure = macro_f1_figure(labels_T, answers_T, np.arange(len(labels_T)))
    return float(figure(np.ones((1, len(labels_T)), np.int64))[0])
