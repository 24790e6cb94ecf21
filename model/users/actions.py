"""Actions of many users in memory, for evaluation over past days.

Legend: M actions of all users; H actions of one user's history; U user-days of a day.
"""

from dataclasses import dataclass

import numpy as np

from model.users.pinnersage import action_order


@dataclass(frozen=True, eq=False)
class History:
    """Actions of one user in the order of `action_order`, at least one. rows_H: int64, rows of the items' vectors;
    times_us_H: int64, microseconds since 1970."""

    rows_H: np.ndarray
    times_us_H: np.ndarray


class Actions:
    """Actions sorted by (user, time, item row), all that evaluation knows.

    user_ids: names by user number, ascending. users_M, rows_M, times_us_M: int64, in any order: the user's number, the
    item's row among the vectors (ordered as the item ids), microseconds since 1970.
    """

    def __init__(self, user_ids: list[str], users_M: np.ndarray, rows_M: np.ndarray, times_us_M: np.ndarray):
        order = np.lexsort((rows_M, times_us_M, users_M))
        self.user_ids = user_ids
        self.users_M, self.rows_M = users_M[order].astype(np.int64), rows_M[order].astype(np.int64)
        self.times_us_M = times_us_M[order].astype(np.int64)
        self._starts = np.searchsorted(self.users_M, np.arange(len(user_ids) + 1))

    def of_users(self, users: np.ndarray) -> "Actions":
        """Those of some users alone, who keep their numbers."""
        kept_M = np.isin(self.users_M, users)
        return Actions(self.user_ids, self.users_M[kept_M], self.rows_M[kept_M], self.times_us_M[kept_M])

    def between(self, user: int, from_us: int, to_us: int) -> slice:
        """The places of a user's actions at from_us <= time < to_us, found in O(log M)."""
        start, end = self._starts[user], self._starts[user + 1]
        times_us = self.times_us_M[start:end]
        return slice(start + np.searchsorted(times_us, from_us), start + np.searchsorted(times_us, to_us))

    def history(self, user: int, from_us: int, to_us: int, most: int | None = None) -> History | None:
        """A user's actions in that time, of more than `most` the newest (of equal times those of the smaller rows), as
        the users job uses them; None if there are none.

        >>> actions = Actions(["ann"], np.zeros(3, int), np.array([5, 4, 9]), np.array([10, 10, 30]))
        >>> actions.history(0, 0, 30).rows_H.tolist(), actions.history(0, 0, 31, most=2).rows_H.tolist()
        ([4, 5], [4, 9])
        """
        places = self.between(user, from_us, to_us)
        rows, times_us = self.rows_M[places], self.times_us_M[places]
        if not len(rows):
            return None
        if most is not None and len(rows) > most:
            newest = np.lexsort((rows, -times_us))[:most]
            rows, times_us = rows[newest], times_us[newest]
        order = action_order(rows, times_us)
        return History(rows[order], times_us[order])

    def items(self, user: int, from_us: int, to_us: int) -> np.ndarray:
        """The distinct item rows of a user in that time, ascending."""
        return np.unique(self.rows_M[self.between(user, from_us, to_us)])

    def within(self, from_us: int, to_us: int) -> np.ndarray:
        """The places of all actions in that time, by user."""
        return np.flatnonzero((self.times_us_M >= from_us) & (self.times_us_M < to_us))


def users_of_items(actions: Actions, from_us: int, to_us: int, num_items: int) -> np.ndarray:
    """int64 [N]: how many users acted on each item in that time."""
    within = (actions.times_us_M >= from_us) & (actions.times_us_M < to_us)
    pairs = np.unique(actions.users_M[within] * num_items + actions.rows_M[within])
    return np.bincount(pairs % num_items, minlength=num_items)
