"""Validation while training: the rank of held-out positives among the catalogue, task by task.

rank = 1 + number of distractors that score at least as high as the positive; distractors are the catalogue's items (or
a seeded sample), without the items that the query is known to have engaged (model.training.known_items): filtered
ranking, as model.measures.evaluation has it.

Pairs of items that the log's training part has are told apart from those of new items, of which training saw no more
than pseudo-queries, and queries that it has from new ones. Both are known by themselves alone here; `itemsage evaluate`
counts near-duplicates as seen, too.

The score that a step is chosen by is the mean over queries, however many pairs a query has, of its pairs' mean of (hit
among the first 10 + 1 / rank) / 2. A model that learns its queries by heart gets better and better at the seen ones
while new ones suffer, so that whichever of them are many in the sample would choose the step: where there are enough of
both, seen and new queries weigh a half each. Recall@10 alone is 1 for any weights in a shop of 80 items; 1 / rank alone
forgets the places below the first.
"""

import dataclasses
from collections.abc import Collection, Sequence
from dataclasses import dataclass

import numpy as np

from model.items.batch import ItemChange
from model.items.itemsage import ItemSage
from model.measures.evaluation import with_intervals
from model.measures.metrics import recall_at_k, reciprocal_ranks
from model.training.config import TrainingConfig, Validation
from model.training.data import TrainingData
from model.training.distributed import Processes, broadcast_from_first
from model.training.forward import autocast
from model.training.ranked_pairs import RankedPairs, rank_sampled_pairs
from model.training.step_choice import StepChoice, step_choice
from model.training.tables import ItemTable, PairTable

#: How many of the first items of a ranking count as found, where training validates.
RECALL_AT = 10
#: Seen and new queries weigh a half each where there are so many of both.
MIN_QUERIES_A_KIND = 30

#: Name of a task or of a kind of items -> its figures.
Figures = dict[str, dict[str, float]]


@dataclass(frozen=True, eq=False)
class QueryScores:
    """Scores by query, see above, each times its query's weight, and the weights, which sum to 1: float64 [Q]. Of one
    validation after the other the queries are the same ones."""

    sums_Q: np.ndarray
    weights_Q: np.ndarray

    @property
    def mean(self) -> float:
        """What the best weights are chosen by."""
        return float(self.sums_Q.sum())

    def above(self, other: "QueryScores") -> dict[str, float]:
        """{"score", "score_low", "score_high"}: what these weights score more than the others, paired; the 95 %
        interval is a bootstrap over queries."""
        return with_intervals(["score"], (self.sums_Q - other.sums_Q)[:, None], self.weights_Q[:, None])


@dataclass(frozen=True, kw_only=True)
class TaskRecall:
    """Recall@k and mean reciprocal rank of one task over `num_pairs` held-out pairs, each ranked among `num_items`."""

    recall: float
    reciprocal_rank: float
    num_pairs: int
    num_items: int


def validate(
    model: ItemSage,
    data: TrainingData,
    config: TrainingConfig,
    processes: Processes,
    choice: StepChoice,
    step: int,
    change: ItemChange | None = None,
) -> tuple[Validation, QueryScores]:
    """The validation of the weights as they are after `step`, of which there must be pairs, and its score by query;
    measured by the first process and the same in all. choice: whose pairs the score is over. change: what is done to
    the items before they are encoded."""
    pairs = data.validation
    measured: tuple[Figures, Figures, QueryScores] | None = None
    if processes.rank == 0:
        with autocast(model.log_scale.device, config.precision):
            ranked = rank_sampled_pairs(
                model,
                data.items,
                pairs,
                num_pairs=config.validation_pairs,
                num_distractors=config.validation_items,
                seed=config.seed,
                change=change,
                known=[data.train],
            )
        by_task = _by_task(pairs, ranked, RECALL_AT)
        tasks = {task: dataclasses.asdict(recall) for task, recall in by_task.items()}
        deciding = choice.deciding(tasks)
        cells = _by_item(pairs, ranked, deciding, data.train)
        measured = tasks, cells, _scores_by_query(pairs, ranked, deciding, data.train)
    measured = broadcast_from_first(measured, processes)
    assert measured is not None
    tasks, cells, scores = measured
    num_pairs = int(sum(figures["num_pairs"] for figures in choice.deciding(tasks).values()))
    return Validation(step=step, score=scores.mean, num_pairs=num_pairs, tasks=tasks, cells=cells), scores


def evaluate_recall(
    model: ItemSage,
    items: ItemTable,
    pairs: PairTable,
    k: int = RECALL_AT,
    *,
    num_pairs: int = 2000,
    num_distractors: int = 20_000,
    seed: int = 0,
    dim: int | None = None,
    change: ItemChange | None = None,
    known: Sequence[PairTable] = (),
) -> dict[str, TaskRecall]:
    """By task, over a seeded sample of at most `num_pairs` pairs (see sample_pairs). A catalogue of more than
    `num_distractors` items is sampled, the sampled pairs' items are added. dim: ranks by the vectors' first `dim`
    entries alone, brought to norm 1 again (UsageError if there are not as many). change: what is done to the items
    before they are encoded. known: other parts of the log, whose pairs are known beside `pairs`. The model's training
    mode is left as it was. No pairs: empty."""
    ranked = rank_sampled_pairs(model, items, pairs, num_pairs, num_distractors, seed, dim, change, known)
    return _by_task(pairs, ranked, k)


def evaluate_cells(
    model: ItemSage,
    data: TrainingData,
    pairs: PairTable,
    known: Sequence[PairTable],
    *,
    num_pairs: int,
    dim: int | None = None,
) -> tuple[dict[str, TaskRecall], Figures]:
    """As evaluate_recall, among the whole catalogue; and the recall of the pairs of seen and of new items."""
    ranked = rank_sampled_pairs(model, data.items, pairs, num_pairs, len(data.items), seed=0, dim=dim, known=known)
    return _by_task(pairs, ranked, RECALL_AT), _by_item(pairs, ranked, pairs.tasks, data.train)


def _scores_by_query(pairs: PairTable, ranked: RankedPairs, deciding: Collection[str], train: PairTable) -> QueryScores:
    """deciding: the tasks whose pairs count."""
    decides = _decides(pairs, ranked, deciding)
    ranks_P = ranked.ranks_P[decides]
    rows_Q, query_P = np.unique(pairs.query_P[ranked.rows_P[decides]], return_inverse=True)
    score_P = ((ranks_P <= RECALL_AT) + reciprocal_ranks(ranks_P)) / 2
    trained = np.asarray(train.query_id_Q)[np.unique(np.asarray(train.query_P)[~train.is_pseudo()])]
    weights_Q = query_weights(np.isin(np.asarray(pairs.query_id_Q)[rows_Q], trained))
    return QueryScores(np.bincount(query_P, score_P) / np.bincount(query_P) * weights_Q, weights_Q)


def query_weights(is_seen_Q: np.ndarray) -> np.ndarray:
    """float64 [Q], of sum 1: all alike, or a half for the seen and a half for the new queries where there are enough.

    >>> query_weights(np.array([True, False, False])).round(3).tolist()
    [0.333, 0.333, 0.333]
    """
    counts = np.bincount(is_seen_Q.astype(np.int64), minlength=2)
    if counts.min() < MIN_QUERIES_A_KIND:
        return np.full(len(is_seen_Q), 1 / max(len(is_seen_Q), 1))
    return 0.5 / counts[is_seen_Q.astype(np.int64)]


def _by_item(pairs: PairTable, ranked: RankedPairs, deciding: Collection[str], train: PairTable) -> Figures:
    """Recall of the deciding pairs whose item has pairs of the log in the training part, and of the others."""
    decides = _decides(pairs, ranked, deciding)
    is_seen_P = np.isin(pairs.item_P[ranked.rows_P], np.asarray(train.item_P)[~train.is_pseudo()])
    cells = {}
    for name, kept_P in (("seen item", decides & is_seen_P), ("new item", decides & ~is_seen_P)):
        if kept_P.any():
            cells[name] = {"recall": recall_at_k(ranked.ranks_P[kept_P], RECALL_AT), "num_pairs": int(kept_P.sum())}
    return cells


def _decides(pairs: PairTable, ranked: RankedPairs, deciding: Collection[str]) -> np.ndarray:
    """bool [P]"""
    return np.isin(np.asarray(pairs.task_P[ranked.rows_P]), [pairs.tasks.index(task) for task in deciding])


def _by_task(pairs: PairTable, ranked: RankedPairs, k: int) -> dict[str, TaskRecall]:
    task_P, ranks_P = np.asarray(pairs.task_P[ranked.rows_P]), ranked.ranks_P
    return {
        name: TaskRecall(
            recall=recall_at_k(ranks_P[task_P == task], k),
            reciprocal_rank=float(reciprocal_ranks(ranks_P[task_P == task]).mean()),
            num_pairs=int((task_P == task).sum()),
            num_items=ranked.num_items,
        )
        for task, name in enumerate(pairs.tasks)
        if (task_P == task).any()
    }


def choice_by(pairs: PairTable) -> StepChoice:
    """How a training with these validation pairs chooses its step."""
    is_pseudo_P, query_P = pairs.is_pseudo(), np.asarray(pairs.query_P)
    counts = [(int(kind_P.sum()), len(np.unique(query_P[kind_P]))) for kind_P in (~is_pseudo_P, is_pseudo_P)]
    return step_choice(*counts[0], *counts[1])
