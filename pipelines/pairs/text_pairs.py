"""Pairs made of the items' own texts."""

from collections.abc import Mapping, Sequence

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from model.split.held_out import UNKNOWN, item_codes, pair_codes, query_codes
from model.split.split import PARTS, Split
from model.split.split_labels import assign
from model.text.pseudo_queries import pseudo_queries, random_word_queries
from model.text.typos import maybe_misspelt
from pipelines.pairs.distinct_pairs import PAIRS, PairRules, surface_of, with_query_ids
from schemas.hashing import stable_hash
from schemas.tables import DISTILLATION, PSEUDO_TASK

#: Share of the pseudo-queries that validate, where a validation part was asked for; none tests, but those of items and
#: queries that a query_item split holds out: an item that is to be new has no pair of any kind that trains. Where it
#: gives none, see pipelines.pairs.few_pairs.
PSEUDO_VALIDATION_SHARE = 0.05

#: Another form of the query that must not be held out either, the query as it is written, id of the item.
_Row = tuple[str, str, str]


def text_pairs(items: pa.Table, rules: PairRules, split: Split) -> pa.Table:
    """PAIRS of task PSEUDO_TASK for the items (ITEMS): pseudo-queries, and those of part DISTILLATION.

    Of the pseudo-queries a share is in the validation part, the others in train. With a query_item split those of a
    held-out item, or equal to a held-out query, are in that part. A misspelt query is in the harder of the parts of
    what was meant and what is written.

    Queries to distil from are those of a share of the items, drawn by a seeded hash of their ids: up to half as
    pseudo_queries makes them, the others of random words, none misspelt, for BM25 knows no misspelt word. What would be
    held out of the pseudo-queries is left out, also as it would be misspelt, and in a query_hash split whatever that
    does not train on.
    """
    num_pseudo, num_phrases = rules.pseudo_queries, -(-rules.distillation.queries // 2)
    pseudo: list[_Row] = []
    distilled: list[_Row] = []
    for item in items.to_pylist():
        queries = pseudo_queries(item, max(num_pseudo, num_phrases), rules.seed)
        pseudo += _pseudo_rows(item["item_id"], queries[:num_pseudo], rules)
        if num_phrases and _is_distilled(item["item_id"], rules):
            distilled += _distillation_rows(item, queries[:num_phrases], rules)
    to_distil = _to_distil(_with_parts(distilled, rules.seed, split), split)
    return pa.concat_tables([_with_parts(pseudo, rules.seed, split), to_distil])


def _pseudo_rows(item_id: str, queries: Sequence[str], rules: PairRules) -> list[_Row]:
    meant_by: dict[str, str] = {}
    for query in queries:
        written = maybe_misspelt(query, rules.typo_share, rules.seed, item_id)
        meant_by.setdefault(query if written in queries else written, query)
    return [(meant, written, item_id) for written, meant in meant_by.items()]


def _is_distilled(item_id: str, rules: PairRules) -> bool:
    return stable_hash(f"distillation/{rules.seed}/{item_id}") < rules.distillation.item_share * 2**64


def _distillation_rows(item: Mapping[str, str], phrases: Sequence[str], rules: PairRules) -> list[_Row]:
    item_id = item["item_id"]
    random_words = random_word_queries(item, rules.distillation.queries - len(phrases), rules.seed)
    queries = dict.fromkeys([*phrases, *random_words])
    return [(maybe_misspelt(query, rules.typo_share, rules.seed, item_id), query, item_id) for query in queries]


def _to_distil(pairs: pa.Table, split: Split) -> pa.Table:
    """PAIRS that train, in part DISTILLATION."""
    pairs = pairs.filter(pc.equal(pairs.column("part"), "train"))
    if split.kind == "query_hash":
        surface = pa.array([surface_of(PSEUDO_TASK)] * len(pairs), pa.string())
        pairs = pairs.filter(pc.equal(assign(split, pairs.append_column("surface", surface)), "train"))
    part = pa.array([DISTILLATION] * len(pairs), pa.string())
    return pairs.set_column(pairs.column_names.index("part"), PAIRS.field("part"), part)


def _with_parts(rows: Sequence[_Row], seed: int, split: Split) -> pa.Table:
    """PAIRS of these rows."""
    meant, query, item_id = (pa.array([row[place] for row in rows], pa.string()) for place in range(3))
    ones, task = pa.array([1] * len(rows), pa.int64()), pa.array([PSEUDO_TASK] * len(rows), pa.string())
    pairs = pa.table({"meant": meant, "query": query, "item_id": item_id, "count": ones, "task": task})
    codes = np.maximum(*(_pseudo_codes(pairs, name, seed, split) for name in ("meant", "query")))
    pairs = pairs.append_column("part", pa.array(PARTS).take(pa.array(codes)))
    return with_query_ids(pairs)


def _pseudo_codes(pairs: pa.Table, column: str, seed: int, split: Split) -> np.ndarray:
    """The parts of pseudo-queries, as places in PARTS, as the texts in `column` have them: their own by hash, and with
    a query_item split the hardest of that, the item's, and the query's if it is in the log."""
    held_out = PSEUDO_VALIDATION_SHARE * 2**64 if split.has_validation else 0
    texts = pairs.column(column).to_pylist()
    own = np.fromiter((stable_hash(f"pseudo/{seed}/{text}") < held_out for text in texts), np.int64, len(texts))
    if split.held_out is None or len(pairs) == 0:
        return own
    surface = pa.array([surface_of(PSEUDO_TASK)] * len(pairs), pa.string())
    query = query_codes(split.held_out, pa.table({"surface": surface, "query": pairs.column(column)}))
    query = np.where(query == UNKNOWN, own, np.maximum(query, own))
    return pair_codes(query, item_codes(split.held_out, pairs.column("item_id")))
