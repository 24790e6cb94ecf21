"""Sequences of items from an engagement log: what skip-gram and the item graph learn from.

    log --before the cut, actions that count--> an item once a session, or once a user and day
        --by time, then item_id--> sequences, at most so long, as a table of names (SEQUENCES)

A table is of any part of the log that has its sessions (or users) whole: parts may be made anywhere, and concatenated
and sorted they are the table of all.

Legend: T tokens (items at their places), S sequences.
"""

from dataclasses import dataclass, field

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from model.machine.columns import offsets_of
from model.sources.engaged_rows import RowsConfig, ranks_of, usable_rows
from schemas.errors import UsageError
from schemas.records.clickstream import SEQUENCES

SESSION, LIFETIME = "session", "lifetime"
_US_PER_DAY = 86_400_000_000


@dataclass(frozen=True, kw_only=True)
class SequencesConfig:
    """kind: "session" (a row without session_id belongs to its user's UTC day), or "lifetime" of a user, an item once
    for each UTC day. max_length: the newest so many items of a sequence are kept.

    Raises UsageError for another kind, or max_length below 2.
    """

    rows: RowsConfig = field(default_factory=RowsConfig)
    kind: str = SESSION
    max_length: int = 2_000

    def __post_init__(self) -> None:
        if self.kind not in (SESSION, LIFETIME):
            raise UsageError(f"expected sequences of a {SESSION} or a {LIFETIME}, got {self.kind!r}")
        if self.max_length < 2:
            raise UsageError(f"expected sequences of at least 2 items, got max_length {self.max_length}")


@dataclass(frozen=True, eq=False)
class _Tokens:
    """Columns of integers [T]; keys and items by rank of their names."""

    key_T: np.ndarray
    item_T: np.ndarray
    time_us_T: np.ndarray
    weight_T: np.ndarray

    def take(self, places: np.ndarray) -> "_Tokens":
        return _Tokens(self.key_T[places], self.item_T[places], self.time_us_T[places], self.weight_T[places])

    def __len__(self) -> int:
        return len(self.key_T)


def sequences_of(log: pa.Table, config: SequencesConfig) -> tuple[pa.Table, dict[str, int]]:
    """(SEQUENCES of at least two items each, how much was left out for what). The order of rows does not matter.

    Raises ValueError as `usable_rows` does.
    """
    rows, facts = usable_rows(log, config.rows)
    keys = _keys(rows, config.kind)
    with_key = rows.filter(pc.is_valid(keys))
    facts["rows_without_sequence"] = rows.num_rows - with_key.num_rows
    key_T, key_names = ranks_of(keys.drop_null())
    item_T, item_names = ranks_of(with_key.column("item_id"))
    time_us_T = pc.cast(with_key.column("timestamp"), pa.int64()).to_numpy()
    every = _Tokens(key_T, item_T, time_us_T, with_key.column("weight").to_numpy())
    once = _once(every, by_day=config.kind == LIFETIME)
    newest = _newest(once, config.max_length)
    kept = newest.take(np.bincount(newest.key_T, minlength=1)[newest.key_T] > 1)
    facts["tokens_over_the_cap"] = len(once) - len(newest)
    facts["sequences_of_one_item"] = len(key_names) - len(np.unique(kept.key_T))
    table = _table(kept, key_names, item_names)
    return table, {**facts, "sequences": table.num_rows, "tokens": len(kept)}


def _keys(rows: pa.Table, kind: str) -> pa.ChunkedArray:
    """The name of each row's sequence, null for a row that belongs to none."""
    users = rows.column("user_id")
    if kind == LIFETIME:
        return users
    days = pc.strftime(rows.column("timestamp"), format="%Y-%m-%d")
    of_day = pc.binary_join_element_wise("day", users, days, "/")
    return pc.coalesce(pc.binary_join_element_wise("session", rows.column("session_id"), "/"), of_day)


def _once(tokens: _Tokens, by_day: bool) -> _Tokens:
    """An item once a key (and UTC day) at its first time with its largest weight, by key, time and item."""
    day_T = tokens.time_us_T // _US_PER_DAY if by_day else np.zeros(len(tokens), np.int64)
    order = np.lexsort((tokens.time_us_T, tokens.item_T, day_T, tokens.key_T))
    named = np.stack([tokens.key_T, day_T, tokens.item_T])[:, order]
    starts = np.flatnonzero(np.r_[True, (named[:, 1:] != named[:, :-1]).any(axis=0)][: len(tokens)])
    first = tokens.take(order[starts])
    weight_T = np.maximum.reduceat(tokens.weight_T[order], starts) if len(starts) else first.weight_T
    in_time = np.lexsort((first.item_T, first.time_us_T, first.key_T))
    return _Tokens(first.key_T, first.item_T, first.time_us_T, weight_T).take(in_time)


def _newest(tokens: _Tokens, max_length: int) -> _Tokens:
    """The last tokens of each key."""
    end_T = np.searchsorted(tokens.key_T, tokens.key_T, side="right")
    return tokens.take(end_T - np.arange(len(tokens)) <= max_length)


def _table(tokens: _Tokens, key_names: pa.Array, item_names: pa.Array) -> pa.Table:
    keys, lengths = np.unique(tokens.key_T, return_counts=True)
    offsets = pa.array(offsets_of(lengths), pa.int32())
    flat = (item_names.take(pa.array(tokens.item_T)), pa.array(tokens.time_us_T), pa.array(tokens.weight_T))
    columns = [
        pa.ListArray.from_arrays(offsets, values.cast(column.type.value_type), type=column.type)
        for column, values in zip(list(SEQUENCES)[1:], flat, strict=True)
    ]
    return pa.table([key_names.take(pa.array(keys)), *columns], schema=SEQUENCES)
