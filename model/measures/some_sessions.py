"""Some of a log's sessions, so that a task costs no more than a search can afford.

Legend: R rows (pairs, say), I places where a session has an item, S sessions.
"""

import numpy as np

from schemas.hashing import seed_of


def rows_of_some_sessions(
    session_R: np.ndarray,
    session_I: np.ndarray,
    item_I: np.ndarray,
    max_rows: int | None = None,
    max_items: int | None = None,
) -> np.ndarray:
    """bool [R]: the rows of whole sessions, drawn by the hash of their numbers until the next would make more than
    max_rows rows or max_items different items; the first is drawn in any case. None: no such bound.

    session_R: int64, of each row, from 0 on; session_I, item_I: int64, which items a session asks about, in any order
    and as often as you like.

    >>> kept = rows_of_some_sessions(np.array([0, 0, 1, 2]), np.array([0, 1, 2]), np.array([7, 8, 7]), max_items=1)
    >>> kept.tolist()
    [True, True, False, False]
    """
    rows_S = np.bincount(session_R)
    order_S = np.array(sorted(range(len(rows_S)), key=lambda session: seed_of("some sessions", session)), np.int64)
    place_S = np.empty(len(order_S), np.int64)
    place_S[order_S] = np.arange(len(order_S))
    fits_S = np.ones(len(order_S), bool)  # in the order of the draw, as all below
    if max_rows is not None:
        fits_S &= np.cumsum(rows_S[order_S]) <= max_rows
    if max_items is not None:
        fits_S &= np.cumsum(_new_items(place_S[session_I], item_I, len(order_S))) <= max_items
    fits_S[:1] = True
    num_drawn = len(fits_S) if fits_S.all() else int(fits_S.argmin())
    return np.isin(session_R, order_S[:num_drawn])


def _new_items(place_I: np.ndarray, item_I: np.ndarray, num_sessions: int) -> np.ndarray:
    """int64 [S]: how many items the session drawn at each place has that none before it has."""
    by_place = np.argsort(place_I, kind="stable")
    _, first = np.unique(item_I[by_place], return_index=True)
    return np.bincount(place_I[by_place][first], minlength=num_sessions)
