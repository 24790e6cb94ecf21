"""Whole queries and whole items held out: the parts of a query_item split.

    items and queries -> groups of near-duplicates (model.split.near_groups) -> a part each, in hash order

    pair      query trains   query validates   query tests   query unknown
    item trains    train        validation         test          test
    item validates validation   validation         test          test
    item tests     test         test               test          test         and so does an unknown one

A group lies in one part, so near-duplicates never lie on two sides. One with a query counts by its queries, one of
items alone by its items: where people ask with pictures of items, these items are held out as often as queries. What
the split does not know, because it was not there when it was fitted, is test: nothing of it has trained the model.
"""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from model.split.near_groups import near_groups
from model.text.tokenizer import only_words
from schemas.errors import CorruptFileError
from schemas.hashing import stable_hash
from schemas.tables import TEXT_FIELDS

#: The part of every node, sorted by node: what a split keeps. group: the smallest node of its near-duplicates.
HELD_OUT = pa.schema(
    [
        pa.field("node", pa.uint64(), nullable=False),
        pa.field("part", pa.string(), nullable=False),
        pa.field("group", pa.uint64(), nullable=False),
    ]
)

#: The harder part of two has the higher code.
TRAIN, VALIDATION, TEST = 0, 1, 2
UNKNOWN = -1
_PARTS = ("train", "validation", "test")


@dataclass(frozen=True, kw_only=True)
class HeldOutShares:
    """Shares of the queries and of the items that are held out."""

    test: float
    validation: float
    item_test: float
    item_validation: float


def item_node(item_id: str) -> int:
    """The node of an item, in [0, 2**64)."""
    return stable_hash(f"item\n{item_id}")


def query_node(surface: str, query: str) -> int:
    """The node of a query, in [0, 2**64): one for all spellings of the same words.

    >>> query_node("search", "Red  Shoe!") == query_node("search", "red shoe")
    True
    """
    return stable_hash(f"query\n{surface}\n{only_words(query) if surface == 'search' else query}")


def text_mark(item: Mapping[str, Any]) -> int | None:
    """Equal for items whose text fields all hold the same words; None for an item without text."""
    fields = [only_words(item[name] or "") for name in TEXT_FIELDS]
    return stable_hash("text\n" + "\n".join(fields)) if any(fields) else None


def picture_mark(sha256: bytes) -> int:
    """Equal for equal picture files."""
    return stable_hash(f"picture\n{sha256.hex()}")


def session_mark(session_id: str | None) -> int:
    """0 for none."""
    return 0 if session_id is None else stable_hash(f"session\n{session_id}")


def fit_held_out(
    nodes: pa.Table, marks: pa.Table, looks: pa.Table, shares: HeldOutShares, seed: int
) -> tuple[pa.Table, Counter[str]]:
    """(HELD_OUT of NODES, which are distinct, and how many there are of what); see model.split.near_groups for the
    tables.

    The groups of smallest hash test, the next ones validate, as long as no more than the share are held out; a group
    larger than that trains. So a group mostly stays in its part from one day to the next. Of what is to be held out, at
    least one node is. counts: split_items, split_queries; split_groups of more than one node, and the items and queries
    in them (split_grouped_items, split_grouped_queries); split_largest_group.
    """
    nodes = nodes.sort_by("node").combine_chunks()
    is_item_N = nodes["is_item"].to_numpy(zero_copy_only=False)
    first_G, group_N = np.unique(near_groups(nodes, marks, looks), return_inverse=True)
    num_items_G = np.bincount(group_N, is_item_N, len(first_G)).astype(np.int64)
    num_queries_G = np.bincount(group_N, ~is_item_N, len(first_G)).astype(np.int64)
    names = (f"held-out/{seed}/{node}" for node in nodes["node"].take(pa.array(first_G)).to_pylist())
    order_G = np.argsort(np.fromiter(map(stable_hash, names), np.uint64, len(first_G)), kind="stable")
    code_G = np.full(len(first_G), TRAIN)
    for size_G, test, validation in (
        (num_queries_G, shares.test, shares.validation),
        (np.where(num_queries_G > 0, 0, num_items_G), shares.item_test, shares.item_validation),
    ):
        for code, share in ((TEST, test), (VALIDATION, validation)):
            left_G = order_G[(size_G[order_G] > 0) & (code_G[order_G] == TRAIN)]
            code_G[_held_out(left_G, size_G, share)] = code
    together_G = num_items_G + num_queries_G > 1
    counts = Counter(
        split_items=int(num_items_G.sum()),
        split_queries=int(num_queries_G.sum()),
        split_groups=int(together_G.sum()),
        split_grouped_items=int(num_items_G[together_G].sum()),
        split_grouped_queries=int(num_queries_G[together_G].sum()),
        split_largest_group=int((num_items_G + num_queries_G).max(initial=0)),
    )
    columns = [nodes["node"], pa.array(_PARTS).take(pa.array(code_G[group_N])), nodes["node"].take(first_G[group_N])]
    return pa.table(columns, schema=HELD_OUT), counts


def codes_of(held_out: pa.Table, nodes_N: np.ndarray) -> np.ndarray:
    """The part of each of the uint64 nodes by HELD_OUT, int64 [N]: TRAIN, VALIDATION, TEST or UNKNOWN. Raises
    CorruptFileError for a table that is no HELD_OUT."""
    known = held_out["node"].to_numpy()
    if len(known) == 0:
        return np.full(len(nodes_N), UNKNOWN)
    code = pc.index_in(held_out["part"], value_set=pa.array(_PARTS))
    if code.null_count or (known[1:] <= known[:-1]).any():
        raise CorruptFileError(f"expected distinct nodes that rise, each in one of {', '.join(_PARTS)}, got others")
    code = code.to_numpy()
    place_N = np.minimum(np.searchsorted(known, nodes_N), len(known) - 1)
    return np.where(known[place_N] == nodes_N, code[place_N], UNKNOWN)


def groups_of(held_out: pa.Table | None, nodes_N: np.ndarray) -> np.ndarray:
    """uint64 [N], equal for near-duplicates by HELD_OUT; what it does not know, or all without one, is alone."""
    if held_out is None or len(held_out) == 0:
        return nodes_N
    known = held_out["node"].to_numpy()
    place_N = np.minimum(np.searchsorted(known, nodes_N), len(known) - 1)
    return np.where(known[place_N] == nodes_N, held_out["group"].to_numpy()[place_N], nodes_N)


def query_codes(held_out: pa.Table, table: pa.Table) -> np.ndarray:
    """The part of each row's query (columns surface, query), as codes_of."""
    keys = pc.binary_join_element_wise(table["surface"], pc.fill_null(table["query"], ""), "\n")
    distinct = pa.chunked_array([keys]) if isinstance(keys, pa.Array) else keys
    encoded = distinct.combine_chunks().dictionary_encode()
    nodes = [query_node(*key.split("\n", 1)) for key in encoded.dictionary.to_pylist()]
    return codes_of(held_out, np.array(nodes, np.uint64))[encoded.indices.to_numpy()]


def item_codes(held_out: pa.Table, item_ids: pa.ChunkedArray) -> np.ndarray:
    """The part of each item, as codes_of."""
    encoded = item_ids.combine_chunks().dictionary_encode()
    nodes = np.array([item_node(item_id) for item_id in encoded.dictionary.to_pylist()], np.uint64)
    return codes_of(held_out, nodes)[encoded.indices.to_numpy()]


def pair_codes(query_P: np.ndarray, item_P: np.ndarray) -> np.ndarray:
    """The parts of pairs from those of their queries and items, int64 [P]: TRAIN, VALIDATION or TEST."""
    return np.maximum(np.where(query_P == UNKNOWN, TEST, query_P), np.where(item_P == UNKNOWN, TEST, item_P))


def _held_out(groups: np.ndarray, size_G: np.ndarray, share: float) -> np.ndarray:
    """The first of the groups that together have at most this share of all nodes (but one, if that is less)."""
    if share == 0:
        return groups[:0]
    most = max(1, round(share * int(size_G.sum())))
    fitting = groups[size_G[groups] <= most]
    return fitting[np.cumsum(size_G[fitting]) <= most]
