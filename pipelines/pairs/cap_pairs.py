"""The cap on an item's training pairs."""

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from schemas.hashing import stable_hash
from schemas.tables import PSEUDO_TASK


def cap_pairs(pairs: pa.Table, max_pairs_per_item: int, seed: int) -> pa.Table:
    """At most that many training pairs an item (pseudo-queries, and the other parts, are not capped).

    An item's pairs of each task stand in the order of a seeded stable hash; the tasks take turns, in the order of their
    names, until the cap is reached: sparse tasks keep all they have.
    """
    if max_pairs_per_item == 0 or pairs.num_rows == 0:
        return pairs
    capped = np.logical_and(
        pc.equal(pairs.column("part"), "train").to_numpy(), pc.not_equal(pairs.column("task"), PSEUDO_TASK).to_numpy()
    )
    rows = np.flatnonzero(capped)
    if len(rows) == 0:
        return pairs
    subset = pairs.take(pa.array(rows))
    keys = zip(*(subset.column(name).to_pylist() for name in ("task", "query_id", "item_id")), strict=True)
    hashes = np.array([stable_hash(f"cap/{seed}/{task}/{query}/{item}") for task, query, item in keys], np.uint64)
    items, tasks = _codes(subset.column("item_id")), _codes(subset.column("task"))
    turn = np.empty(len(rows), np.int64)
    order = np.lexsort([hashes, tasks, items])
    turn[order] = _rank_in_runs(items[order] * (tasks.max() + 1) + tasks[order])
    order = np.lexsort([tasks, turn, items])
    keep = np.ones(pairs.num_rows, bool)
    keep[rows[order[_rank_in_runs(items[order]) >= max_pairs_per_item]]] = False
    return pairs.filter(pa.array(keep))


def _codes(column: pa.ChunkedArray) -> np.ndarray:
    """Ranks of the values of a string column among its distinct values, sorted."""
    encoded = column.combine_chunks().dictionary_encode()
    rank = np.empty(len(encoded.dictionary), np.int64)
    rank[pc.array_sort_indices(encoded.dictionary).to_numpy()] = np.arange(len(rank))
    return rank[encoded.indices.to_numpy()]


def _rank_in_runs(sorted_keys: np.ndarray) -> np.ndarray:
    """
    >>> _rank_in_runs(np.array([4, 4, 4, 7, 9, 9])).tolist()
    [0, 1, 2, 0, 0, 1]
    """
    starts = np.flatnonzero(np.diff(sorted_keys, prepend=sorted_keys[:1] - 1))
    return np.arange(len(sorted_keys)) - np.repeat(starts, np.diff(starts, append=len(sorted_keys)))
