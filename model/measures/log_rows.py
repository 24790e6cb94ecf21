"""A log of engagements as columns of numbers, for tasks that look at sessions.

Legend: E events, N items.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

CLICK, IN_CART, BUY, RETURN = "click", "add_to_cart", "checkout", "return"


@dataclass(frozen=True, eq=False)
class LogRows:
    """Events of listed items. item_E: int64, the row of the item; time_us_E: int64, since 1970; action_E: str;
    session_E: int64, -1 for an event without one; sessions are numbered by their ids, so that the order of the log does
    not matter."""

    item_E: np.ndarray
    time_us_E: np.ndarray
    action_E: np.ndarray
    session_E: np.ndarray

    def only(self, keep_E: np.ndarray) -> "LogRows":
        """The kept events, sessions numbered as before."""
        return LogRows(self.item_E[keep_E], self.time_us_E[keep_E], self.action_E[keep_E], self.session_E[keep_E])


def log_rows(log: pa.Table, item_ids: Sequence[str]) -> LogRows:
    """The events of a log (schemas.tables.ENGAGEMENTS) whose item is one of item_ids, in their order."""
    sessions = log["session_id"].combine_chunks()
    names = pc.unique(sessions.drop_null()).sort()
    item_E = pc.index_in(log["item_id"], pa.array(item_ids, pa.string())).fill_null(-1).to_numpy().astype(np.int64)
    session_E = pc.index_in(sessions, names).fill_null(-1).to_numpy().astype(np.int64)
    time_us_E = log["timestamp"].cast(pa.int64()).to_numpy()
    return LogRows(item_E, time_us_E, log["action"].to_numpy(), session_E).only(item_E >= 0)


def interest(log: pa.Table) -> str:
    """The action that tells what people looked at: CLICK; of a log without any click, as a till's is, BUY."""
    return CLICK if pc.any(pc.equal(log["action"], CLICK)).as_py() else BUY


def popularity_before(log: pa.Table, item_ids: Sequence[str], split_us: int) -> np.ndarray:
    """int64 [N]: how often each item was clicked before the split; of a log without any click, bought."""
    rows = log_rows(log, item_ids)
    counted_E = (rows.time_us_E < split_us) & (rows.action_E == interest(log))
    return np.bincount(rows.item_E[counted_E], minlength=len(item_ids))
