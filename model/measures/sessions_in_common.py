"""What counting alone knows of two items, without a vector: the sessions before the split that engaged with both.

    c(a, b) = |S_a and S_b| / sqrt(|S_a| |S_b|)      S_x: the sessions that clicked x, put it into a cart or bought it

A cosine, 0 of an item that no session has. Whatever learns from clickstream has the same sessions to learn from.

Legend: N items, S sessions, P pairs.
"""

from collections.abc import Sequence

import numpy as np
import pyarrow as pa
from scipy import sparse

from model.measures.clicked_bought import SessionPairs
from model.measures.log_rows import BUY, CLICK, IN_CART, log_rows

_PAIRS_AT_ONCE = 1 << 16


def session_rows(log: pa.Table, item_ids: Sequence[str], split_us: int) -> sparse.csr_matrix:
    """float64 [N, S] of norm 1: an item's sessions of the events before the split (microseconds since 1970); rows of
    nothing for items without any. log: ENGAGEMENTS."""
    rows = log_rows(log, item_ids)
    rows = rows.only(
        (rows.session_E >= 0) & (rows.time_us_E < split_us) & np.isin(rows.action_E, (CLICK, IN_CART, BUY))
    )
    item_E, session_E = np.unique(np.stack([rows.item_E, rows.session_E]), axis=1)
    norm_N = np.sqrt(np.bincount(item_E, minlength=len(item_ids)))
    shape = (len(item_ids), int(session_E.max(initial=-1)) + 1)
    return sparse.csr_matrix((1 / norm_N[item_E], (item_E, session_E)), shape=shape)


def common_cosines(pairs: SessionPairs, unit_NS: sparse.csr_matrix) -> tuple[np.ndarray, np.ndarray]:
    """float64 [P] each: of (clicked, bought), and of (random, bought), by the rows of session_rows."""
    found_2P = np.empty((2, len(pairs)))
    for start in range(0, len(pairs), _PAIRS_AT_ONCE):
        block = slice(start, start + _PAIRS_AT_ONCE)
        bought_BS = unit_NS[pairs.bought_P[block]]
        for side, rows_P in enumerate((pairs.clicked_P, pairs.random_P)):
            found_2P[side, block] = np.asarray(unit_NS[rows_P[block]].multiply(bought_BS).sum(axis=1)).ravel()
    return found_2P[0], found_2P[1]
