"""What a run's own index answers to the queries of an evaluation, as searches get it, beside exact search.

Legend: P pairs, Q queries, E dimension, N items, K results a query.
"""

from pathlib import Path
from typing import Any

import numpy as np

from model.machine.equal_rows import EqualRows
from model.measures.comparison import K
from model.measures.evaluation import HeldOutTask, ScoreBlock, difference, rank_pairs, summarize_ranks
from model.nearest.index import NO_ROW, ExactIndex, ItemIndex, QueryKind
from model.nearest.index_folder import MANIFEST_FILE
from model.nearest.recall import share_found
from model.nearest.searched import SEARCHED
from pipelines.run.opened import EMBEDDINGS, INDEX, Run
from schemas import storage
from schemas.errors import CorruptFileError
from schemas.files import sha256_of_file

#: Below every cosine: the score of an item that the index does not return.
_NOT_RETURNED = -2.0


class RunIndex:
    """index: rows in the order of vectors_NE, float32 unit rows. backend: its name."""

    def __init__(self, index: ItemIndex, vectors_NE: np.ndarray, backend: str):
        self.index, self.vectors_NE, self.backend = index, vectors_NE, backend
        self._equal = EqualRows.of(vectors_NE)

    @classmethod
    def of(cls, run: Run, model_id: str) -> "RunIndex | None":
        """The run's, None while it has none, or one of unified vectors, which queries have none of. Raises
        CorruptFileError unless it is of the run's items and this model."""
        if identity(run.folder) is None or run.searched != EMBEDDINGS:
            return None
        index, ids, manifest = run.index
        if manifest["model_id"] != model_id or not ids.equals(run.embeddings.ids):
            raise CorruptFileError(
                f"expected the items of {run.folder / EMBEDDINGS} by model {model_id}, got others by "
                f"{manifest['model_id']} in {run.folder / INDEX}: run the index stage again"
            )
        return cls(index, run.embeddings.matrix_ND, manifest.get(SEARCHED, {}).get("backend", "annoy"))

    def measure(
        self, task: HeldOutTask, vectors_QE: np.ndarray, answered_Q: np.ndarray, kind: QueryKind, exact_P: np.ndarray
    ) -> dict[str, Any]:
        """An entry of the report. backend; found: the share of the first ten of exact search that the index returns
        when it is asked for ten, of the queries that have an answer, None if none has; recall@1, recall@10 and hit@10
        of the task through it, with bounds; difference: what exact search, whose ranks are exact_P, has more,
        paired."""
        ranks_P = rank_pairs(task, self.scores(task, vectors_QE, answered_Q, kind))
        figures, more = (
            {name: value for name, value in measured.items() if not name.startswith("mrr")}
            for measured in (summarize_ranks(task, ranks_P), difference(task, exact_P, ranks_P))
        )  # ten results say nothing about what comes after them, so there is no mrr
        found = self.found(vectors_QE[answered_Q], kind)
        return {"backend": self.backend, "found": found, **figures, "difference": more}

    def found(self, vectors_QE: np.ndarray, kind: QueryKind) -> float | None:
        """The share of each query's K nearest vectors that the index returns; None without a query."""
        if not len(vectors_QE):
            return None
        wanted = min(K, self.index.num_items)
        _, cosines_QK = ExactIndex(self.vectors_NE).search(vectors_QE, wanted)
        rows_QK, _ = self.index.search(vectors_QE, wanted, kind)
        return share_found(self.vectors_NE, vectors_QE, rows_QK, cosines_QK[:, -1])

    def scores(self, task: HeldOutTask, vectors_QE: np.ndarray, answered_Q: np.ndarray, kind: QueryKind) -> ScoreBlock:
        """Cosines of what the index returns, and of what is equal to it, which it could have returned as well; all else
        is below them. Ranks leave out what a query is known to have engaged, so it is asked for K results beside that.
        Queries that have no answer are not asked."""
        tops_Q = K - 1 + np.bincount(task.not_distractors_L2[:, 0], minlength=len(task.queries))
        returned: dict[int, np.ndarray] = {}
        for top in np.unique(tops_Q[answered_Q]):
            asked = np.flatnonzero(answered_Q & (tops_Q == top))
            rows_QK, _ = self.index.search(vectors_QE[asked], min(int(top), self.index.num_items), kind)
            returned |= dict(zip(asked.tolist(), map(self._with_twins, rows_QK), strict=True))

        def score_block(rows: np.ndarray) -> np.ndarray:
            scores_QN = np.full((len(rows), len(self.vectors_NE)), _NOT_RETURNED, np.float32)
            for scores_N, query in zip(scores_QN, rows.tolist(), strict=True):
                if (near := returned.get(query)) is not None:
                    scores_N[near] = self.vectors_NE[near] @ vectors_QE[query]
            return scores_QN

        return score_block

    def _with_twins(self, rows_K: np.ndarray) -> np.ndarray:
        """Rows of the items whose vectors are those of the returned ones."""
        vectors = np.unique(self._equal.id_N[rows_K[rows_K != NO_ROW]])
        return self._equal.members(vectors, len(self._equal.id_N))


def identity(run: Path) -> str | None:
    """Changes with every file of the run's index; None while it has none."""
    manifest = run / INDEX / MANIFEST_FILE
    return sha256_of_file(manifest) if storage.has_file(manifest) else None
