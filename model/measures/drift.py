"""How far two days' vectors of one model lie apart: do items keep their neighbours, and can a classifier tell the days?

The two answer different questions, and a day can fail one and pass the other:

    rotate all vectors              overlap 1, drift high    search by item as before; queries and users meet nothing
    shuffle vectors among items     overlap 0, drift .5      the cloud is the same, every item is somebody else
    new items of a new kind         overlap 1, drift rises   overlap looks at common items alone

Legend: N items of a day, C items common to both days, P probes, K neighbours, D dimension, S sampled vectors.
Everything depends on ids and vectors alone: samples and folds are drawn by the stable hash of the id.
"""

from collections.abc import Sequence
from typing import Final

import numpy as np

from model.nearest.index import NO_ROW, ExactIndex
from schemas.hashing import stable_hash

#: Probes, and neighbours of each, that the overlap looks at.
MAX_PROBES: Final = 500
NEIGHBOURS: Final = 10
#: Vectors of each day that the classifier sees.
MAX_SAMPLE: Final = 5_000
#: A neighbour this close below the k-th score counts as one: equal vectors are common, float32 sums differ by less.
TIE_TOLERANCE: Final = 1e-5
#: Rows that are gathered and compared at a time: 64 MiB of 256-d vectors.
_ROWS_PER_BLOCK = 1 << 16
_MAX_ITERATIONS = 1_000


def sample_rows(ids: Sequence[str], name: str, most: int) -> np.ndarray:
    """Rows, ascending, of the `most` ids of smallest stable_hash("<name>/<id>"): the same ids are drawn on both days as
    far as both have them, whatever else comes or goes.

    >>> sample_rows(["a", "b", "c"], "probe", 5).tolist()
    [0, 1, 2]
    """
    hashes_N = np.fromiter((stable_hash(f"{name}/{item_id}") for item_id in ids), np.uint64, len(ids))
    return np.sort(np.argsort(hashes_N, kind="stable")[:most])


def common_rows(today_ids: Sequence[str], yesterday_ids: Sequence[str]) -> tuple[np.ndarray, np.ndarray]:
    """int64 [C] rows of each day's common items, in today's order. Ids are unique within a day.

    >>> [rows.tolist() for rows in common_rows(["a", "c", "d"], ["a", "b", "d"])]
    [[0, 2], [0, 2]]
    """
    row_of = {item_id: row for row, item_id in enumerate(yesterday_ids)}
    pairs = [(row, row_of[item_id]) for row, item_id in enumerate(today_ids) if item_id in row_of]
    today_C, yesterday_C = np.array(pairs, np.int64).reshape(-1, 2).T
    return today_C, yesterday_C


def neighbour_overlap(
    today_ND: np.ndarray,
    today_rows_C: np.ndarray,
    yesterday_ND: np.ndarray,
    yesterday_rows_C: np.ndarray,
    probes_P: np.ndarray,
    k: int = NEIGHBOURS,
) -> np.ndarray:
    """float64 [P]: the share of each probe's `k` nearest common items of today that were among its nearest yesterday.

    Vectors are float32 unit rows; common item c has row today_rows_C[c] today, yesterday_rows_C[c] yesterday; probes
    are positions among the common items, and no item is its own neighbour. A neighbour n of today counts if its cosine
    of yesterday, y(n), is at least yesterday's k-th largest minus TIE_TOLERANCE, so ties by score count as overlap:

        k = 2, probe a         today: b .9  c .8  d .1        yesterday: b .9  d .7  c .7
        nearest today          b c                            2nd largest of yesterday: .7
        overlap                y(b) = .9, y(c) = .7: 2 of 2   (by rank it would depend on which of c, d comes first)

    With fewer than k other items all of them count. Peak memory: one block of 65,536 rows beside the two matrices.
    Raises ValueError without another item to be neighbour.
    """
    k = min(k, len(today_rows_C) - 1)
    if k < 1:
        raise ValueError(f"expected at least 2 common items, got {len(today_rows_C)}")
    nearest_PK, _ = _nearest_others(today_ND, today_rows_C, probes_P, k)
    _, scores_PK = _nearest_others(yesterday_ND, yesterday_rows_C, probes_P, k)
    queries_PD = yesterday_ND[yesterday_rows_C[probes_P]].astype(np.float64)
    yesterday_PK = np.einsum("pkd,pd->pk", yesterday_ND[yesterday_rows_C[nearest_PK]], queries_PD)
    return (yesterday_PK >= scores_PK[:, -1:] - TIE_TOLERANCE).mean(axis=1)


def _nearest_others(
    matrix_ND: np.ndarray, rows_C: np.ndarray, probes_P: np.ndarray, k: int
) -> tuple[np.ndarray, np.ndarray]:
    """Positions (int64 [P, k]) of each probe's k nearest among the rows, itself left out, and their cosines."""
    queries_PD = matrix_ND[rows_C[probes_P]]
    best_PK, scores_PK = np.full((len(probes_P), 0), NO_ROW, np.int64), np.zeros((len(probes_P), 0), np.float32)
    for start in range(0, len(rows_C), _ROWS_PER_BLOCK):
        block = ExactIndex(matrix_ND[rows_C[start : start + _ROWS_PER_BLOCK]])
        found_PK, found_scores_PK = block.search(queries_PD, min(k + 1, block.num_items))  # + 1: one may be itself
        found_scores_PK[found_PK + start == probes_P[:, None]] = -np.inf
        best_PK = np.concatenate([best_PK, found_PK + start], axis=1)
        scores_PK = np.concatenate([scores_PK, found_scores_PK], axis=1)
        order_PK = np.argsort(-scores_PK, axis=1, kind="stable")[:, :k]  # blocks ascend: equal scores by position
        best_PK = np.take_along_axis(best_PK, order_PK, axis=1)
        scores_PK = np.take_along_axis(scores_PK, order_PK, axis=1)
    return best_PK, scores_PK


def domain_auc(
    today_ids: Sequence[str],
    today_ND: np.ndarray,
    yesterday_ids: Sequence[str],
    yesterday_ND: np.ndarray,
    most: int = MAX_SAMPLE,
) -> float:
    """How well a linear classifier tells today's vectors from yesterday's: area under the ROC curve on held-out items.

    .5: it cannot (no drift, and exactly .5 for equal vectors); 1: every vector shows its day. Rabanser, Günnemann and
    Lipton 2019 ("Failing Loudly") call it the domain classifier. Up to `most` vectors of each day are standardised and
    given to a logistic regression (scikit-learn, L2, C = 1), cross-validated in two folds; the mean of both folds.

    Folds are by item, so an item's vectors of both days are in one fold: otherwise the classifier could learn "this
    vector was there yesterday" from the very items that it is asked about. Being linear it sees the days' means move;
    a change that leaves the mean (a rotation about it) escapes it, which is what the overlap and Recall@10 are for.

    Raises ValueError if a fold lacks vectors of a day: give at least 50 a day.
    """
    rows_T, rows_Y = sample_rows(today_ids, "drift", most), sample_rows(yesterday_ids, "drift", most)
    names = [today_ids[row] for row in rows_T], [yesterday_ids[row] for row in rows_Y]
    today_SD, yesterday_SD = today_ND[rows_T], yesterday_ND[rows_Y]
    if names[0] == names[1] and np.array_equal(today_SD, yesterday_SD):
        return 0.5
    vectors_SD = np.concatenate([today_SD, yesterday_SD]).astype(np.float64)
    is_today_S = np.repeat([True, False], [len(rows_T), len(rows_Y)])
    fold_S = np.array([stable_hash(f"drift fold/{item_id}") % 2 for item_id in names[0] + names[1]])
    folds = [fold_S == fold for fold in range(2)]
    if any(len(set(is_today_S[fold].tolist())) < 2 for fold in folds):
        raise ValueError(f"expected vectors of both days in both folds, got {len(rows_T)} and {len(rows_Y)} vectors")
    return float(np.mean([_held_out_auc(vectors_SD, is_today_S, held_out_S) for held_out_S in folds]))


def _held_out_auc(vectors_SD: np.ndarray, is_today_S: np.ndarray, held_out_S: np.ndarray) -> float:
    from sklearn.linear_model import LogisticRegression  # a second that a day without change need not wait for
    from sklearn.metrics import roc_auc_score
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    classifier = make_pipeline(StandardScaler(), LogisticRegression(max_iter=_MAX_ITERATIONS))
    classifier.fit(vectors_SD[~held_out_S], is_today_S[~held_out_S])
    scores = classifier.decision_function(vectors_SD[held_out_S])
    return float(roc_auc_score(is_today_S[held_out_S], scores))
