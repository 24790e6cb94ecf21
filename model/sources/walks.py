"""Seeded random walks over the graph of items: DeepWalk (Perozzi, Al-Rfou and Skiena, KDD 2014) by weight of edges.

From an item the next is its neighbour n with probability weight(n) / sum of weights. The random number of a step is a
stable hash of (seed, start item, walk, step): walks are equal whoever makes them, in whatever parts, hop by hop or
whole:

    hop by hop    walkers at an item + the adjacency of that item --hop--> walkers at the next
    whole         a bucket of start items + the adjacency of all --walk--> int64 [starts x walks, length]

Items are codes here: the places of their ids in the ascending list of all. A walk that comes to an item without
neighbours ends there.

Legend: S start items, W walkers, L steps of a walk (its start included), N items of an adjacency, E its edges.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from model.machine.columns import offsets_of
from model.sources.stable_random import mixed, name_hashes, uniform
from schemas.errors import UsageError

#: Where a walk has ended.
ENDED = -1


@dataclass(frozen=True, kw_only=True)
class WalksConfig:
    """walks_an_item: that start at each. length: items of a walk, its start included. Raises UsageError for fewer than
    one walk or two items."""

    walks_an_item: int = 10
    length: int = 20
    seed: int = 0

    def __post_init__(self) -> None:
        if self.walks_an_item < 1 or self.length < 2:
            raise UsageError(f"expected at least one walk of at least two items, got {self}")


@dataclass(frozen=True, eq=False)
class Adjacency:
    """The edges of some items. items_N: their codes, int64, ascending. Item i has the edges offsets[i] to
    offsets[i + 1]: neighbours_E, codes of any items; cumulative_E: int64, the sum of the item's weights so far."""

    items_N: np.ndarray
    offsets: np.ndarray
    neighbours_E: np.ndarray
    cumulative_E: np.ndarray


@dataclass(frozen=True, eq=False)
class Walkers:
    """start_hash_W: uint64, of seed and start item. walk_W: which of the item's walks. current_W: codes, or ENDED."""

    start_hash_W: np.ndarray
    walk_W: np.ndarray
    current_W: np.ndarray


def adjacency_of(edges: pa.Table, item_ids: pa.Array) -> Adjacency:
    """That of CO_ENGAGEMENTS in any order, of which the items' edges are whole. item_ids: all items, ascending. Raises
    UsageError for an edge of an item that is not among them, a weight below 1, or an item's sum of 2^53 and more."""
    table = edges.sort_by([("item_id", "ascending"), ("neighbour_id", "ascending")])
    codes = [pc.index_in(table.column(name), value_set=item_ids) for name in ("item_id", "neighbour_id")]
    if codes[0].null_count or codes[1].null_count:
        raise UsageError(f"expected edges between the {len(item_ids)} items, got one of another item")
    item_E, neighbour_E = (code.to_numpy().astype(np.int64) for code in codes)
    weight_E = table.column("weight").to_numpy()
    if len(weight_E) and weight_E.min() < 1:
        raise UsageError(f"expected weights of edges of at least 1, got {weight_E.min()}")
    items_N, degree_N = np.unique(item_E, return_counts=True)
    offsets = offsets_of(degree_N)
    running_E = np.cumsum(weight_E)
    before_N = running_E[offsets[:-1]] - weight_E[offsets[:-1]]
    cumulative_E = running_E - np.repeat(before_N, degree_N)
    if len(cumulative_E) and cumulative_E.max() >= 2**53:
        raise UsageError(f"expected an item's weights to sum below 2^53, got {cumulative_E.max()}")
    return Adjacency(items_N, offsets, neighbour_E, cumulative_E)


def start_walks(start_ids: Sequence[str], start_codes: np.ndarray, config: WalksConfig) -> Walkers:
    """Walkers at their start items, by start item, then walk."""
    hash_S = name_hashes(start_ids, "walks", config.seed)
    return Walkers(
        np.repeat(hash_S, config.walks_an_item),
        np.tile(np.arange(config.walks_an_item), len(start_ids)),
        np.repeat(np.asarray(start_codes, np.int64), config.walks_an_item),
    )


def hop(walkers: Walkers, step: int, adjacency: Adjacency) -> Walkers:
    """The walkers after step `step` (the first is 1), in the same order. adjacency: has the edges of every item where a
    walker is; an item without any ends the walk."""
    current_W = walkers.current_W
    next_W = np.full(len(current_W), ENDED, np.int64)
    if not len(adjacency.items_N):
        return Walkers(walkers.start_hash_W, walkers.walk_W, next_W)
    place_W = np.minimum(np.searchsorted(adjacency.items_N, current_W), len(adjacency.items_N) - 1)
    goes_on = np.flatnonzero(adjacency.items_N[place_W] == current_W)
    begin, end = adjacency.offsets[place_W[goes_on]], adjacency.offsets[place_W[goes_on] + 1]
    random = uniform(mixed(walkers.start_hash_W[goes_on], walkers.walk_W[goes_on], step))
    total = adjacency.cumulative_E[end - 1]
    drawn = np.minimum(np.floor(random * total).astype(np.int64), total - 1)
    next_W[goes_on] = adjacency.neighbours_E[_first_above(adjacency.cumulative_E, begin, end, drawn)]
    return Walkers(walkers.start_hash_W, walkers.walk_W, next_W)


def walk(start_ids: Sequence[str], start_codes: np.ndarray, adjacency: Adjacency, config: WalksConfig) -> np.ndarray:
    """int64 [S x walks_an_item, L]: the codes of every walk, by start item, then walk; ENDED after its end."""
    walkers = start_walks(start_ids, start_codes, config)
    steps = [walkers.current_W]
    for step in range(1, config.length):
        walkers = hop(walkers, step, adjacency)
        steps.append(walkers.current_W)
    return np.stack(steps, axis=1)


def _first_above(cumulative_E: np.ndarray, begin: np.ndarray, end: np.ndarray, drawn: np.ndarray) -> np.ndarray:
    """The first place in [begin, end) whose cumulative weight is above `drawn`, by bisection of all at once."""
    low, high = begin.copy(), end - 1
    while (low < high).any():
        middle = (low + high) // 2
        is_above = cumulative_E[middle] > drawn
        high = np.where(is_above, middle, high)
        low = np.where(is_above | (low >= high), low, middle + 1)
    return low
