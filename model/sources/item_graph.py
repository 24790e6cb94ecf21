"""The graph of items engaged with together: edges counted from sequences, and at most so many of each item.

A pair of items at most `window` apart in a sequence is one edge in both directions, of the weight of the lesser action.
Items of equal time have no order, so in a large basket those near each other are a draw, by a stable hash of sequence
and item. Weights are whole numbers: edges of parts of the sequences may be summed in any order, with equal bytes.

Legend: T tokens, E edges.
"""

from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from model.sources.engaged_rows import ranks_of
from model.sources.stable_random import mixed, name_hashes
from schemas.errors import UsageError
from schemas.records.clickstream import CO_ENGAGEMENTS


@dataclass(frozen=True, kw_only=True)
class ItemGraphConfig:
    """window: how far apart two items of a sequence may be, in items. max_degree: the heaviest so many edges of an item
    are kept. min_weight: of an edge that is kept. Raises UsageError for a value below 1."""

    window: int = 16
    max_degree: int = 200
    min_weight: int = 1
    seed: int = 0

    def __post_init__(self) -> None:
        if min(self.window, self.max_degree, self.min_weight) < 1:
            raise UsageError(f"expected window, max_degree and min_weight of at least 1, got {self}")


def count_edges(sequences: pa.Table, config: ItemGraphConfig) -> pa.Table:
    """CO_ENGAGEMENTS of a table SEQUENCES, of any part of all sequences, before any cap."""
    lists = sequences.combine_chunks()
    lengths = pc.list_value_length(lists.column("item_ids")).to_numpy()
    sequence_T = np.repeat(np.arange(lists.num_rows), lengths)
    item_T, names = ranks_of(pc.list_flatten(lists.column("item_ids")))
    time_T = pc.cast(pc.list_flatten(lists.column("times")), pa.int64()).to_numpy()
    weight_T = pc.list_flatten(lists.column("weights")).to_numpy().astype(np.int64)
    draw_T = mixed(
        name_hashes(lists.column("sequence_id").to_pylist(), "item graph", config.seed)[sequence_T],
        name_hashes(names.to_pylist(), "item")[item_T],
    )
    order = np.lexsort((item_T, draw_T, time_T, sequence_T))
    item_T, sequence_T, weight_T = item_T[order], sequence_T[order], weight_T[order]
    keys, weights = np.zeros(0, np.int64), np.zeros(0, np.int64)
    for apart in range(1, config.window + 1):
        first, second = slice(None, max(len(item_T) - apart, 0)), slice(apart, None)
        is_pair = (sequence_T[first] == sequence_T[second]) & (item_T[first] != item_T[second])
        least, most = np.minimum(item_T[first], item_T[second]), np.maximum(item_T[first], item_T[second])
        keys, weights = _summed(
            np.concatenate([keys, (least * len(names) + most)[is_pair]]),
            np.concatenate([weights, np.minimum(weight_T[first], weight_T[second])[is_pair]]),
        )
    least, most = keys // max(len(names), 1), keys % max(len(names), 1)
    return _table(np.r_[least, most], np.r_[most, least], np.r_[weights, weights], names)


def sum_edges(*tables: pa.Table) -> pa.Table:
    """CO_ENGAGEMENTS of several parts as one."""
    whole = pa.concat_tables(tables)
    summed = whole.group_by(["item_id", "neighbour_id"], use_threads=False).aggregate([("weight", "sum")])
    table = pa.table([summed.column(name) for name in ("item_id", "neighbour_id", "weight_sum")], schema=CO_ENGAGEMENTS)
    return table.sort_by([("item_id", "ascending"), ("neighbour_id", "ascending")])


def cap_degrees(edges: pa.Table, config: ItemGraphConfig) -> tuple[pa.Table, dict[str, int]]:
    """(the heaviest max_degree edges of each item, of equal ones those of the smaller neighbour_id, what was left out);
    sorted as CO_ENGAGEMENTS. Of any part that has its items whole. An edge may be left in one direction only."""
    heavy = edges.filter(pc.greater_equal(edges.column("weight"), config.min_weight))
    order = [("item_id", "ascending"), ("weight", "descending"), ("neighbour_id", "ascending")]
    by_weight = heavy.sort_by(order).combine_chunks()
    item_E, _ = ranks_of(by_weight.column("item_id"))
    place_E = np.arange(len(item_E)) - np.searchsorted(item_E, item_E)
    kept = by_weight.filter(pa.array(place_E < config.max_degree))
    facts = {
        "edges": kept.num_rows,
        "edges_too_light": edges.num_rows - heavy.num_rows,
        "edges_over_the_cap": heavy.num_rows - kept.num_rows,
        "weight_over_the_cap": (pc.sum(heavy["weight"]).as_py() or 0) - (pc.sum(kept["weight"]).as_py() or 0),
    }
    return kept.sort_by([("item_id", "ascending"), ("neighbour_id", "ascending")]), facts


def _summed(keys: np.ndarray, weights: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    if not len(keys):
        return keys, weights
    order = np.argsort(keys, kind="stable")
    starts = np.flatnonzero(np.r_[True, np.diff(keys[order]) != 0])
    return keys[order[starts]], np.add.reduceat(weights[order], starts)


def _table(item_E: np.ndarray, neighbour_E: np.ndarray, weight_E: np.ndarray, names: pa.Array) -> pa.Table:
    order = np.lexsort((neighbour_E, item_E))
    columns = [names.take(pa.array(ranks[order])) for ranks in (item_E, neighbour_E)]
    return pa.table([*columns, pa.array(weight_E[order])], schema=CO_ENGAGEMENTS)
