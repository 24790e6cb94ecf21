"""Task 2 of One Embedding To Do Them All (arXiv 1906.12120): are items that one session clicked and bought near?

    session after the split     clicked a b c, bought b     pairs  (a, b) (c, b)
    of each pair                clicked item replaced by a random one of equal popularity: (a', b) (c', b)

The figures are the mean cosine of pairs and of their random twins, and the AUC: how often any pair is above any twin,
its own or another's. A bought item's own clicks make no pair, they would be of cosine 1. Popularity is clicks before
the split: a random item is drawn among the NEIGHBOURS that are next to the clicked one in the order of popularity (of
equal ones by a hash of the id), but for items of the session. So neither "popular items are near each other" nor "an
unknown item is far" is worth anything. Of a log without any click, as a till's is, two items that one session bought
are a pair, both ways, and purchases are popularity.

An item without a vector is a row of zeros, of cosine 0 with all: pairs are the same for every source.

Legend: N items, P pairs, D dimension.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pyarrow as pa

from model.measures.auc import AUC, auc_figure
from model.measures.log_rows import BUY, LogRows, interest, log_rows, popularity_before
from model.measures.resampling import Figure, compared_with_bounds
from model.measures.some_sessions import rows_of_some_sessions
from schemas.errors import ThresholdError, UsageError
from schemas.hashing import seed_of, stable_hash

PAIR_COSINE, RANDOM_COSINE = "pair_cosine", "random_cosine"
#: Of one session: a robot's session is not the figure.
MAX_PAIRS_A_SESSION = 50
#: Clicked items of one session, and bought ones, that pairs are drawn among.
MAX_ITEMS_A_SESSION = 1_000
#: Whose vectors are in memory at once.
_PAIRS_AT_ONCE = 1 << 16
#: Items next to an item in the order of popularity, half of them to each side.
NEIGHBOURS = 50
_NEVER = int(np.iinfo(np.int64).max)


@dataclass(frozen=True, eq=False)
class SessionPairs:
    """Rows of items, int64 [P]: clicked and bought in one session, and the random item in the place of the clicked one.
    session_P: int64, from 0 on. is_cold_P: one of clicked and bought has popularity 0."""

    clicked_P: np.ndarray
    bought_P: np.ndarray
    random_P: np.ndarray
    session_P: np.ndarray
    is_cold_P: np.ndarray

    def __len__(self) -> int:
        return len(self.clicked_P)

    def only(self, keep_P: np.ndarray) -> "SessionPairs":
        """The kept pairs, sessions numbered anew."""
        _, session_P = np.unique(self.session_P[keep_P], return_inverse=True)
        kept = (self.clicked_P[keep_P], self.bought_P[keep_P], self.random_P[keep_P])
        return SessionPairs(*kept, session_P.reshape(-1), self.is_cold_P[keep_P])

    @property
    def items(self) -> np.ndarray:
        """int64, ascending: the rows of items that the pairs ask about."""
        return np.unique(np.concatenate([self.clicked_P, self.bought_P, self.random_P]))

    def among(self, rows_A: np.ndarray) -> "SessionPairs":
        """The same pairs of items that are numbered by their places in rows_A, ascending, all of `items` in it."""
        return replace(
            self,
            clicked_P=np.searchsorted(rows_A, self.clicked_P),
            bought_P=np.searchsorted(rows_A, self.bought_P),
            random_P=np.searchsorted(rows_A, self.random_P),
        )


def session_pairs(
    log: pa.Table, item_ids: Sequence[str], split_us: int, end_us: int | None = None, seed: int = 0
) -> SessionPairs:
    """The pairs of sessions that begin at the split or later (and before `end_us`), each once a session, in the order
    of session, clicked, bought; events without a session are left out. item_ids: distinct. log: ENGAGEMENTS.

    A pair without a twin, as that of a robot which clicked all around, is left out. Raises ThresholdError if there is
    no pair, or none with a twin.
    """
    popularity_N = popularity_before(log, item_ids, split_us)
    rows = log_rows(log, item_ids)
    rows = rows.only(rows.session_E >= 0)
    first_S = np.full(int(rows.session_E.max(initial=-1)) + 1, _NEVER)
    np.minimum.at(first_S, rows.session_E, rows.time_us_E)
    inside_S = (first_S >= split_us) & (first_S < (_NEVER if end_us is None else end_us))
    rows = rows.only(inside_S[rows.session_E])
    clicked, bought = (_distinct(rows, action) for action in (interest(log), BUY))
    pairs_P3 = _joined(clicked, bought, seed)
    if not len(pairs_P3):
        raise ThresholdError(
            "expected sessions after the split that clicked one item and bought another, got none: give a log with "
            "session_id and checkouts, and clicks if there are any, or an earlier split"
        )
    session_P, clicked_P, bought_P = pairs_P3.T
    of_session: dict[int, set[int]] = {}
    for session, row in np.concatenate([clicked, bought]).tolist():
        of_session.setdefault(session, set()).add(row)
    random_P = _twins(clicked_P, [of_session[session] for session in session_P.tolist()], popularity_N, item_ids, seed)
    kept_P = random_P >= 0
    if not kept_P.any():
        raise ThresholdError(f"expected items besides those of a session, got {len(item_ids)} items in all")
    session_P, clicked_P, bought_P, random_P = (rows_P[kept_P] for rows_P in (session_P, clicked_P, bought_P, random_P))
    is_cold_P = (popularity_N[clicked_P] == 0) | (popularity_N[bought_P] == 0)
    _, session_P = np.unique(session_P, return_inverse=True)
    return SessionPairs(clicked_P, bought_P, random_P, session_P.reshape(-1), is_cold_P)


def of_some_sessions(pairs: SessionPairs, max_pairs: int | None, max_items: int | None = None) -> SessionPairs:
    """The pairs of whole sessions until there are max_pairs, or max_items different items (see rows_of_some_sessions);
    None: all."""
    if (max_pairs is None or len(pairs) <= max_pairs) and (max_items is None or len(pairs.items) <= max_items):
        return pairs
    session_I = np.tile(pairs.session_P, 3)
    item_I = np.concatenate([pairs.clicked_P, pairs.bought_P, pairs.random_P])
    return pairs.only(rows_of_some_sessions(pairs.session_P, session_I, item_I, max_pairs, max_items))


def pair_report(
    pairs: SessionPairs,
    vectors_of: Mapping[str, np.ndarray],
    reference: str | None = None,
    others: Mapping[str, tuple[np.ndarray, np.ndarray]] | None = None,
) -> dict[str, Any]:
    """{"pairs", "cold_pairs", "sessions", "all": figures, "cold": figures or None, "warm": the same}, figures {source:
    {auc with bounds over sessions, pair_cosine, random_cosine, "more": than the reference, paired}}.

    vectors_of: float [N, D] of each source, unit rows or zeros; others: float [P] of pairs and of their twins, of what
    scores without vectors. Raises UsageError for numbers that are not finite.
    """
    scores_of = {**(others or {})} | {name: pair_cosines(pairs, vectors_ND) for name, vectors_ND in vectors_of.items()}
    counts = {"pairs": len(pairs), "cold_pairs": int(pairs.is_cold_P.sum())}
    found: dict[str, Any] = {**counts, "sessions": int(pairs.session_P.max()) + 1}
    for part, kept_P in (("all", np.ones(len(pairs), bool)), ("cold", pairs.is_cold_P), ("warm", ~pairs.is_cold_P)):
        found[part] = None
        if kept_P.any():
            kept = {name: [scores_P[kept_P] for scores_P in scores] for name, scores in scores_of.items()}
            found[part] = _figures(pairs.only(kept_P), kept, reference)
    return found


def pair_cosines(pairs: SessionPairs, vectors_ND: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """float64 [P] each: of (clicked, bought), and of (random, bought)."""
    if not np.isfinite(vectors_ND).all():
        raise UsageError("expected finite vectors, got some that are not")
    cosines_2P = np.empty((2, len(pairs)))
    for start in range(0, len(pairs), _PAIRS_AT_ONCE):
        block = slice(start, start + _PAIRS_AT_ONCE)
        bought_BD = vectors_ND[pairs.bought_P[block]].astype(np.float64)
        for side, rows_P in enumerate((pairs.clicked_P, pairs.random_P)):
            cosines_2P[side, block] = np.einsum("bd,bd->b", vectors_ND[rows_P[block]].astype(np.float64), bought_BD)
    return cosines_2P[0], cosines_2P[1]


def _figures(
    pairs: SessionPairs, scores_of: Mapping[str, Sequence[np.ndarray]], reference: str | None
) -> dict[str, dict[str, Any]]:
    num_sessions = int(pairs.session_P.max()) + 1
    figure_of = {name: _pair_auc(scores, pairs) for name, scores in scores_of.items()}
    found = compared_with_bounds(AUC, figure_of, num_sessions, reference)
    for name, (pair_P, random_P) in scores_of.items():
        found[name] |= {PAIR_COSINE: float(pair_P.mean()), RANDOM_COSINE: float(random_P.mean())}
    return found


def _pair_auc(scores: Sequence[np.ndarray], pairs: SessionPairs) -> Figure:
    is_pair = np.repeat([True, False], len(pairs))
    return auc_figure(np.concatenate(scores), is_pair, np.tile(pairs.session_P, 2))


def _distinct(rows: LogRows, action: str) -> np.ndarray:
    """int64 [X, 2], sorted and distinct: (session, item)."""
    of_action_E = rows.action_E == action
    return np.unique(np.stack([rows.session_E[of_action_E], rows.item_E[of_action_E]], axis=1), axis=0)


def _joined(clicked_X2: np.ndarray, bought_Y2: np.ndarray, seed: int) -> np.ndarray:
    """int64 [P, 3] (session, clicked, bought), of different items; at most MAX_PAIRS_A_SESSION of a session, drawn."""
    bought_of: dict[int, list[int]] = {}
    for session, row in bought_Y2.tolist():
        bought_of.setdefault(session, []).append(row)
    clicked_of: dict[int, list[int]] = {}
    for session, row in clicked_X2.tolist():
        if session in bought_of:
            clicked_of.setdefault(session, []).append(row)
    found = [np.zeros((0, 3), np.int64)]
    for session, clicked in clicked_of.items():
        generator = np.random.default_rng(seed_of("pairs of a session", seed, session))
        one_C, other_B = (_some(rows, MAX_ITEMS_A_SESSION, generator) for rows in (clicked, bought_of[session]))
        both_P2 = np.stack(np.meshgrid(one_C, other_B, indexing="ij"), axis=-1).reshape(-1, 2)
        pairs_P2 = _some(both_P2[both_P2[:, 0] != both_P2[:, 1]], MAX_PAIRS_A_SESSION, generator)
        found.append(np.insert(pairs_P2, 0, session, axis=1))
    return np.concatenate(found)


def _some(rows: Sequence[int] | np.ndarray, most: int, generator: np.random.Generator) -> np.ndarray:
    """int64: all rows, or `most` of them drawn, in their order."""
    rows = np.asarray(rows, np.int64)
    return rows if len(rows) <= most else rows[np.sort(generator.permutation(len(rows))[:most])]


def _twins(
    clicked_P: np.ndarray,
    session_items_P: Sequence[set[int]],
    popularity_N: np.ndarray,
    item_ids: Sequence[str],
    seed: int,
) -> np.ndarray:
    """int64 [P]: of each clicked item one of its neighbours by popularity that is not of the session, -1 of none."""
    hashes_N = np.fromiter((stable_hash(name) for name in item_ids), np.uint64, len(item_ids))
    order_N = np.lexsort((hashes_N, popularity_N))
    place_N = np.empty(len(order_N), np.int64)
    place_N[order_N] = np.arange(len(order_N))
    generator = np.random.default_rng(seed_of("random twins", seed))
    width = min(NEIGHBOURS + 1, len(order_N))
    twins = []
    for clicked, own in zip(clicked_P.tolist(), session_items_P, strict=True):
        first = int(np.clip(place_N[clicked] - width // 2, 0, len(order_N) - width))
        around = [row for row in order_N[first : first + width].tolist() if row not in own]
        twins.append(around[int(generator.integers(len(around)))] if around else -1)
    return np.array(twins, np.int64)
