"""What a query is known to have engaged: items that filtered ranking leaves out of its distractors, and training out of
its negatives.

For ranking, queries are one if the model reads them alike: text of the same tokens, as spellings of one text have,
pictures of the same id. Pseudo-queries, which nobody asked, know only each other. Actions and parts do not count.

For training's negatives (KnownItems), queries are one if their query id is, pseudo-queries included, and only the
training part counts: other spellings than in case, blanks and Unicode form are other queries there.

Legend: P pairs, Q queries, T tokens, A distinct keys, K keyed pairs, M items of a query.
"""

from collections.abc import Iterable, Sequence

import numpy as np
import xxhash

from model.machine.columns import gather_ragged, offsets_of
from model.training.tables import PairTable


def known_items(
    pairs: PairTable, rows_P: np.ndarray, others: Sequence[PairTable]
) -> tuple[list[np.ndarray], np.ndarray]:
    """Of each distinct query of these pairs the rows of the items that it has engaged in their table or one of the
    others, int64 [M]; and the place of each pair's query among them, int64 [P]. A pair's own item is among them."""
    tables = [(_pair_keys(table), np.asarray(table.item_P)) for table in (pairs, *others)]
    return items_by_key(tables[0][0][rows_P], tables)


def items_by_key(
    key_P: np.ndarray, tables: Iterable[tuple[np.ndarray, np.ndarray]]
) -> tuple[list[np.ndarray], np.ndarray]:
    """(A lists of items, place of each key's list int64 [P]): the distinct items, sorted, int64 [M], of each of these
    keys (one at least) in the tables, which are uint64 keys [K] and items [K]. Memory: the items of distinct keys, as
    a query of many items may be that of many pairs."""
    asked, place_P = np.unique(key_P, return_inverse=True)
    kept = [np.zeros((0, 2), np.int64)]
    for key_K, item_K in tables:
        place_K = np.minimum(np.searchsorted(asked, key_K), len(asked) - 1)
        is_asked = asked[place_K] == key_K
        kept.append(np.stack([place_K[is_asked], item_K[is_asked].astype(np.int64)], axis=1))
    place_K, item_K = np.unique(np.concatenate(kept), axis=0).T
    return np.split(item_K, np.searchsorted(place_K, np.arange(1, len(asked)))), place_P


def query_keys(pairs: PairTable) -> np.ndarray:
    """uint64 [Q]: equal for queries of the table that are one, and for those of another table."""
    rows_Q = np.arange(len(pairs.query_id_Q))
    key_Q = np.asarray(pairs.query_id_Q).astype(np.uint64)
    token_ids_T, offsets = pairs.tokens(rows_Q)
    for row in np.flatnonzero(np.diff(offsets)).tolist():
        key_Q[row] = xxhash.xxh3_64_intdigest(token_ids_T[offsets[row] : offsets[row + 1]].tobytes())
    return key_Q


def _pair_keys(pairs: PairTable) -> np.ndarray:
    """uint64 [P]"""
    return query_keys(pairs)[np.asarray(pairs.query_P)] * np.uint64(2) + pairs.is_pseudo()


class KnownItems:
    """The items that each query has in a table of pairs, in any task, as pseudo-query, too; a query is a row of the
    table's queries, one for each query id. Memory: 4 bytes a pair and 8 a query."""

    def __init__(self, pairs: PairTable):
        query_P, item_P = np.asarray(pairs.query_P), np.asarray(pairs.item_P).astype(np.int32)
        self._items_P = item_P[np.argsort(query_P, kind="stable")]
        self._offsets = offsets_of(np.bincount(query_P, minlength=len(pairs.query_id_Q)))

    def among(self, queries_Q: np.ndarray, items_U: np.ndarray) -> np.ndarray:
        """bool [Q, U]: which of these items, distinct and sorted, each of these queries has."""
        items_X, offsets = gather_ragged(self._items_P, self._offsets, queries_Q)
        query_X = np.repeat(np.arange(len(queries_Q)), np.diff(offsets))
        place_X = np.minimum(np.searchsorted(items_U, items_X), len(items_U) - 1)
        is_there_X = items_U[place_X] == items_X
        is_known_QU = np.zeros((len(queries_Q), len(items_U)), bool)
        is_known_QU[query_X[is_there_X], place_X[is_there_X]] = True
        return is_known_QU
