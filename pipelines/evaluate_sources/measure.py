"""The figures of the table: each source on each task, with each seed, beside the floors that know no vector.

    attributes        majority, and `text`: the same probe on TF-IDF of all text but the fields asked for
    clicked_bought    `text`: TF-IDF of all text, cut to its first singular vectors; `sessions in common`: counted
                      before the split, without any vector
    cart_returns      `text`, the size of the cart alone, and `random`: vectors that tell items apart and nothing else

A seed decides which of the RESERVED families (model.measures.one_embedding) test and which random items stand in pairs;
intervals, and differences to the reference, are those of the first. Returns know no seed. An item without a vector is a
row of zeros in all of it.

Legend: N items, D dimension, S seeds.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from model.machine.blas_threads import one_blas_thread
from model.measures import attribute_probe, cart_returns, clicked_bought
from model.measures.attribute_probe import MAJORITY, TEXT, AttributeQuestion
from model.measures.auc import AUC
from model.measures.one_embedding import (
    ATTRIBUTES,
    CART_RETURNS,
    CLICKED_BOUGHT,
    OneEmbeddingTasks,
    TasksConfig,
    table_tasks,
)
from model.measures.sessions_in_common import common_cosines, session_rows
from model.sources.unit_rows import unit_or_zero
from pipelines.console.progress import Progress
from pipelines.one_embedding.catalogue import Catalogue, fields_of
from pipelines.one_embedding.vectors import SourceVectors
from schemas.hashing import seed_of

if TYPE_CHECKING:
    from scipy.sparse import csr_matrix

PARTS = ("all", "cold", "warm")
RANDOM, COUNTED = "random", "sessions in common"
#: Of text and of random vectors.
_DIM = 64


@dataclass(frozen=True, eq=False, kw_only=True)
class Table:
    """What is measured. reference: a source, or TEXT, that the others are compared with."""

    catalogue: Catalogue
    sources: Sequence[SourceVectors]
    reference: str
    config: TasksConfig
    num_seeds: int

    def measured(self, log: Any, split_us: int) -> dict[str, Any]:
        """{task: figures, "left_out": task or attribute -> why, "cold_items"}; log: ENGAGEMENTS. Raises ThresholdError
        if no task can be asked."""
        catalogue = self.catalogue
        items = (catalogue.item_ids, catalogue.labels, catalogue.families)
        tasks_S = [
            table_tasks(log, *items, split_us, replace(self.config, seed=seed)) for seed in range(self.num_seeds)
        ]
        first = tasks_S[0]
        vectors_of = {TEXT: text_vectors(catalogue.texts()), **{one.name: one.vectors_ND for one in self.sources}}
        found: dict[str, Any] = {
            ATTRIBUTES: self._attributes(tasks_S),
            CLICKED_BOUGHT: self._clicked_bought(tasks_S, vectors_of, session_rows(log, catalogue.item_ids, split_us)),
            CART_RETURNS: None,
            "left_out": dict(sorted(first.left_out.items())),
            "cold_items": int((first.popularity_N == 0).sum()),
        }
        if first.carts is not None:
            known = {RANDOM: random_vectors(catalogue.item_ids), **vectors_of}
            found[CART_RETURNS] = cart_returns.return_report(first.carts, known, first.config.returns, self.reference)
        return _without_nan(found)

    def _attributes(self, tasks_S: Sequence[OneEmbeddingTasks]) -> dict[str, Any]:
        """attribute -> figures of all seeds."""
        names = list(tasks_S[0].questions)
        progress = Progress("evaluate-sources", "probes", sum(len(tasks.questions) for tasks in tasks_S))
        reports: dict[str, list[dict[str, Any]]] = {name: [] for name in names}
        for tasks in tasks_S:
            for name in names:
                if name in tasks.questions:
                    reports[name].append(self._attribute(tasks.questions[name], tasks.config))
                    progress.advance()
        progress.close()
        return {name: _of_seeds(found, attribute_probe.F1) for name, found in reports.items()}

    def _attribute(self, asked: AttributeQuestion, config: TasksConfig) -> dict[str, Any]:
        words = attribute_probe.text_features(self.catalogue.texts(fields_of(asked.attribute)), asked)
        said = {
            MAJORITY: attribute_probe.majority_answers(asked),
            TEXT: attribute_probe.answers(asked, words, config.probe),
        }
        said |= {one.name: attribute_probe.answers(asked, one.vectors_ND, config.probe) for one in self.sources}
        return attribute_probe.report(asked, said, self.reference)

    def _clicked_bought(
        self, tasks_S: Sequence[OneEmbeddingTasks], vectors_of: Mapping[str, np.ndarray], sessions_NS: "csr_matrix"
    ) -> dict[str, Any] | None:
        reports = []
        for pairs in (tasks.pairs for tasks in tasks_S):
            if pairs is not None:
                counted = {COUNTED: common_cosines(pairs, sessions_NS)}
                reports.append(clicked_bought.pair_report(pairs, vectors_of, self.reference, counted))
        return _of_seeds(reports, AUC) if reports else None


def text_vectors(texts: Sequence[str]) -> np.ndarray:
    """float32 [N, D]: unit rows, TF-IDF of words on its first singular vectors; zeros of an item without words."""
    from sklearn.decomposition import TruncatedSVD  # a second that `--help` need not wait for
    from sklearn.feature_extraction.text import TfidfVectorizer

    try:
        words = TfidfVectorizer(sublinear_tf=True, token_pattern=r"(?u)\w+").fit_transform(texts)
    except ValueError:  # no word at all
        return np.zeros((len(texts), 1), np.float32)
    dim = min(_DIM, min(words.shape) - 1)
    if dim < 1:
        return np.ones((len(texts), 1), np.float32)
    with one_blas_thread():
        return unit_or_zero(TruncatedSVD(dim, random_state=0).fit_transform(words).astype(np.float32))


def random_vectors(item_ids: Sequence[str]) -> np.ndarray:
    """float32 [N, D]: unit rows, each drawn for its item's id."""
    rows = [np.random.default_rng(seed_of("random vector", item_id)).standard_normal(_DIM) for item_id in item_ids]
    return unit_or_zero(np.array(rows, np.float32).reshape(-1, _DIM))


def _of_seeds(reports: Sequence[Mapping[str, Any]], metric: str) -> dict[str, Any]:
    """The first report, whose figures have those of every seed beside them, "by_seed": a seed without a part has
    none."""
    found = dict(reports[0])
    for part in PARTS:
        if found[part] is not None:
            others = [report[part] for report in reports if report[part] is not None]
            found[part] = {
                method: {**figures, "by_seed": [other[method][metric] for other in others]}
                for method, figures in found[part].items()
            }
    return found


def _without_nan(value: Any) -> Any:
    """None for what is no number, so that it is JSON."""
    if isinstance(value, Mapping):
        return {name: _without_nan(one) for name, one in value.items()}
    if isinstance(value, list):
        return [_without_nan(one) for one in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value
