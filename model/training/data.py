"""The stream of training batches: step -> PairBatch, a pure function of (tables, config, seed).

A resumed run therefore needs no state of the stream, and each process of a distributed run knows the whole global batch
and reads only the features of its own share.

A batch of B pairs holds B // K pairs of each of the K tasks that have pairs; the first B % K tasks, in the order of
their names, hold one more. Each task walks through its own pairs in an order shuffled anew each time it starts over,
so a sparse task comes round more often than a common one (equal task mix, ItemSage). Pseudo-queries are a help for the
others: where there are others, they have at most pseudo_share of the batch. In the natural mix there is one walk, over
the pairs of all tasks. A pair that occurred c times in the log is walked over min(c, count_cap) times.

Random negatives push items away, positives pull them. An item that is met as a negative more often than as a positive
is pushed away from every query whatever it is, items without pairs most of all. So each step draws every item i for
itself, with probability

    pi_i = min(B p_i, B / I, 1)          p_i: its share of the positives, I items

all pi scaled down together where their sum is more than num_negatives. Then i is a negative about as often as a
positive, B p_i times a step, or less. Where every item has pairs (pseudo-queries) the pi are nearly equal; an item
without any pair is no negative at all.

Legend: B pairs of a batch, U distinct items, Q distinct queries (text first, then pictures), M random negatives,
K tasks, I items of the catalogue.
"""

import dataclasses
import os
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from model.training.known_items import KnownItems
from model.training.tables import ItemTable, PairTable
from schemas.errors import ThresholdError, UsageError
from schemas.hashing import seed_of
from schemas.quarantine import quote
from schemas.tables import DISTILLATION, PSEUDO_TASK


@dataclass(frozen=True, kw_only=True, eq=False)
class PairBatch:
    """One global batch as row numbers; features are read from the tables by whoever encodes them.

    items_U: distinct rows of the ItemTable, sorted. positive_B, negative_M: positions in items_U.
    text_queries, picture_queries: distinct rows of the PairTable's queries. query_B: positions in the two, one after
    the other. is_known_QU: bool, which items the training pairs of any task have for a query. task_B: index into
    PairTable.tasks. query_item_count_B = C(q, p), query_count_B = C(q).
    """

    items_U: np.ndarray
    positive_B: np.ndarray
    negative_M: np.ndarray
    text_queries: np.ndarray
    picture_queries: np.ndarray
    query_B: np.ndarray
    is_known_QU: np.ndarray
    task_B: np.ndarray
    query_item_count_B: np.ndarray
    query_count_B: np.ndarray


@dataclass
class PairStream:
    """Batches of `pairs` with random negatives.

    num_negatives: how many a step on average, at most. mixes_equally: see above; if not, pairs come in the natural
    mix. Raises UsageError if batch_size < K in the equal mix, ThresholdError without pairs.
    """

    pairs: PairTable
    num_items: int
    batch_size: int
    num_negatives: int
    seed: int
    count_cap: int = 10
    mixes_equally: bool = True
    pseudo_share: float = 1.0
    _walks: list[np.ndarray] = field(init=False, repr=False)
    _names: list[str] = field(init=False, repr=False)
    _known: KnownItems = field(init=False, repr=False)
    _shuffled: dict[tuple[int, int], np.ndarray] = field(init=False, repr=False, default_factory=dict)

    def __post_init__(self) -> None:
        if len(self.pairs) == 0:
            raise ThresholdError(
                "expected training pairs, got 0: no engagement of the training part has an item with features"
            )
        self._names = self.pairs.tasks if self.mixes_equally else ["all"]
        num_walks = len(self._names)
        if self.batch_size < num_walks:
            raise UsageError(f"expected a batch size of at least one pair a task ({num_walks}), got {self.batch_size}")
        task_P, count_P = np.asarray(self.pairs.task_P), np.asarray(self.pairs.count_P)
        repeats_P = np.minimum(count_P, self.count_cap)
        self._walks = []
        for number in range(num_walks):
            rows = np.flatnonzero(task_P == number) if self.mixes_equally else np.arange(len(task_P))
            self._walks.append(np.repeat(rows, repeats_P[rows]).astype(np.uint32))
        self._shares = task_shares(self._names, self.batch_size, self.pseudo_share)
        bounded_I = np.minimum(self.item_probabilities(), 1 / self.num_items)
        bounded_I = np.minimum(bounded_I * self.batch_size, 1)
        self._drawn_I = bounded_I * min(self.num_negatives / bounded_I.sum(), 1)
        self._known = KnownItems(self.pairs)

    @property
    def steps_per_epoch(self) -> int:
        """Steps that hold as many pairs of the log as it has (capped repeats included), rounded up; without a log, of
        pseudo-queries. They are a help for the others, and do not make a training longer."""
        of_log = [number for number, name in enumerate(self._names) if name != PSEUDO_TASK]
        counted = of_log or range(len(self._names))
        num_pairs = sum(len(self._walks[number]) for number in counted)
        return -(-num_pairs // sum(self._shares[number] for number in counted))

    def item_probabilities(self) -> np.ndarray:
        """float64 [num_items]: how probable each item is in a place of the batch, over tasks by their shares."""
        probability_I = np.zeros(self.num_items)
        for share, walk in zip(self._shares, self._walks, strict=True):
            items_W = np.asarray(self.pairs.item_P[walk])
            probability_I += np.bincount(items_W, minlength=self.num_items) * (share / self.batch_size / len(walk))
        return probability_I

    @property
    def mean_num_negatives(self) -> float:
        """How many random negatives a step has on average."""
        return float(self._drawn_I.sum())

    def negative_probabilities(self) -> np.ndarray:
        """float64 [num_items]: how probable each item is as a random negative, see above; zeros where none is drawn."""
        return self._drawn_I / max(self.mean_num_negatives, np.finfo(np.float64).tiny)

    def batch(self, step: int) -> PairBatch:
        """The batch of step 0, 1, ..."""
        rows_B = np.concatenate([self._pairs_of_walk(number, step) for number in range(len(self._walks))])
        items_B, queries_B = np.asarray(self.pairs.item_P[rows_B]), np.asarray(self.pairs.query_P[rows_B])
        negatives_M = self._negatives(step)
        items_U, inverse = np.unique(np.concatenate([items_B, negatives_M]), return_inverse=True)
        queries_Q, query_of_pair_B = np.unique(queries_B, return_inverse=True)
        is_text_Q = self.pairs.is_text(queries_Q)
        text_first_Q = np.argsort(~is_text_Q, kind="stable")
        position_Q = np.empty(len(queries_Q), np.int64)
        position_Q[text_first_Q] = np.arange(len(queries_Q))
        return PairBatch(
            items_U=items_U,
            positive_B=inverse[: len(rows_B)],
            negative_M=inverse[len(rows_B) :],
            text_queries=queries_Q[is_text_Q],
            picture_queries=queries_Q[~is_text_Q],
            query_B=position_Q[query_of_pair_B],
            is_known_QU=self._known.among(queries_Q[text_first_Q], items_U),
            task_B=np.asarray(self.pairs.task_P[rows_B], np.int64),
            query_item_count_B=np.asarray(self.pairs.query_item_count_P[rows_B]),
            query_count_B=np.asarray(self.pairs.query_count_P[rows_B]),
        )

    def _pairs_of_walk(self, number: int, step: int) -> np.ndarray:
        """Rows of a walk's share of a step; cycle c of a walk is shuffled with a seed of its own."""
        share, length = self._shares[number], len(self._walks[number])
        cycle_S, place_S = np.divmod(np.arange(step * share, (step + 1) * share), length)
        pieces = [self._walk(number, int(cycle))[place_S[cycle_S == cycle]] for cycle in np.unique(cycle_S)]
        return np.concatenate(pieces).astype(np.int64)

    def _walk(self, number: int, cycle: int) -> np.ndarray:
        if (number, cycle) not in self._shuffled:
            for key in [key for key in self._shuffled if key[0] == number and key[1] < cycle - 1]:
                del self._shuffled[key]
            generator = np.random.default_rng(seed_of("pairs", self.seed, self._names[number], cycle))
            self._shuffled[number, cycle] = generator.permutation(self._walks[number])
        return self._shuffled[number, cycle]

    def _negatives(self, step: int) -> np.ndarray:
        """Sorted items (Poisson sampling: each is drawn or not by itself, so that its probability is exact)."""
        generator = np.random.default_rng(seed_of("negatives", self.seed, step))
        return np.flatnonzero(generator.random(self.num_items) < self._drawn_I)


def task_shares(tasks: Sequence[str], batch_size: int, pseudo_share: float) -> list[int]:
    """Pairs of each task in a batch: equally many, but of pseudo-queries beside other tasks at most pseudo_share of it
    (and at least one).

    >>> task_shares(["search/click", "search/pseudo"], 10, 0.3)
    [7, 3]
    >>> task_shares(["closeup/click", "search/click", "search/pseudo", "search/save"], 10, 0.3)
    [3, 3, 2, 2]
    """
    equal = _equal_shares(len(tasks), batch_size)
    most = max(1, int(pseudo_share * batch_size))
    if PSEUDO_TASK not in tasks or len(tasks) == 1 or equal[tasks.index(PSEUDO_TASK)] <= most:
        return equal
    shares = _equal_shares(len(tasks) - 1, batch_size - most)
    shares.insert(tasks.index(PSEUDO_TASK), most)
    return shares


def _equal_shares(num_tasks: int, batch_size: int) -> list[int]:
    return [batch_size // num_tasks + (task < batch_size % num_tasks) for task in range(num_tasks)]


def sample_pairs(pairs: PairTable, num_pairs: int, seed: int) -> np.ndarray:
    """Sorted rows of at most `num_pairs` pairs of the log's tasks, equally many of each as far as a task has them, and
    beside them of at most `num_pairs` of pseudo-queries, seeded."""
    is_pseudo_P = pairs.is_pseudo()
    task_P = np.asarray(pairs.task_P)
    chosen = [np.zeros(0, np.int64)]
    for kind_P in (~is_pseudo_P, is_pseudo_P):
        generator = np.random.default_rng(seed_of("sample", seed))
        by_task = sorted((np.flatnonzero(kind_P & (task_P == task)) for task in np.unique(task_P[kind_P])), key=len)
        left = num_pairs
        for position, rows in enumerate(by_task):
            share = min(len(rows), left // (len(by_task) - position))
            chosen.append(generator.choice(rows, share, replace=False, shuffle=False))
            left -= share
    return np.sort(np.concatenate(chosen))


@dataclass(frozen=True, kw_only=True, eq=False)
class TrainingData:
    """All that training reads. distillation: queries made of the items' texts, words alone, for what comes before the
    log (see model.training.distillation). test: held out of it, None unless it was asked for."""

    items: ItemTable
    train: PairTable
    validation: PairTable
    distillation: PairTable
    test: PairTable | None = None

    @classmethod
    def open(
        cls,
        run_folder: str | os.PathLike[str],
        cache_folder: str | os.PathLike[str],
        *,
        picture_dim: int,
        text_dim: int = 0,
        query_table_dim: int = 0,
        with_test: bool = False,
    ) -> "TrainingData":
        """The tables of a run folder; their columns are made in `cache_folder` on the first call. picture_dim,
        text_dim, query_table_dim: those of the encoders that made the features and of the shop's own query vectors, 0
        for none. with_test: whether to open the test part."""
        run, cache = Path(run_folder), Path(cache_folder)
        items = ItemTable.build(run / "features", cache / "items", picture_dim, text_dim)
        words = PairTable.build(
            run / "pairs" / DISTILLATION, items, cache / "pairs-distillation", has_text_vectors=False
        )
        tables = {
            part: PairTable.build(run / "pairs" / part, items, cache / f"pairs-{part}", query_table_dim)
            for part in ("train", "validation", *(["test"] if with_test else []))
        }
        return cls(items=items, distillation=words, **tables)

    def of_tasks(self, tasks: Sequence[str]) -> "TrainingData":
        """The same with the training and validation pairs of these tasks alone; itself for none named. Raises
        UsageError for a task without training pairs."""
        if not tasks:
            return self
        if unknown := sorted(set(tasks) - set(self.train.tasks)):
            raise UsageError(
                f"expected tasks among those that have training pairs ({', '.join(self.train.tasks)}), got "
                f"{', '.join(map(quote, unknown))}"
            )
        return dataclasses.replace(self, train=self.train.of_tasks(tasks), validation=self.validation.of_tasks(tasks))
