"""Runs with so few pairs that chance leaves a part of the split empty.

Where no pair validates the first pseudo-queries in the order of their hash do: a share of them is drawn by hash, and of
48 pseudo-queries one in twelve shops would get none, of 20 one in three. A log of a few pairs may lack a part, too, if
pseudo-queries train beside it; the stage says so.
"""

from collections import Counter
from collections.abc import Iterable, Mapping

import pyarrow as pa
import pyarrow.compute as pc

from model.split.split import NO_LOG, Split, check_parts
from schemas.tables import DISTILLATION, PSEUDO_TASK

#: Pseudo-queries that validate where chance chose no pair at all; of fewer than twice as many, half.
FEW_QUERIES = 3
#: A log of fewer pairs, split by whole queries and items, may have none in a part by chance; of 50 none is in the
#: default fifth that tests with a chance of .8^50 = .00001.
FEW_LOG_PAIRS = 50


def first_pseudo_queries(pairs: pa.Table) -> list[int]:
    """The smallest ids of the training pseudo-queries of PAIRS, which are hashes of their texts, ascending: twice
    FEW_QUERIES at most, which is all that `validating_queries` has to know of a bucket."""
    return merge_first([pairs.filter(_train_by_texts(pairs))["query_id"].to_pylist()])


def _train_by_texts(pairs: pa.Table) -> pa.ChunkedArray:
    """bool: the pseudo-queries of PAIRS that train."""
    return pc.and_(pc.equal(pairs["task"], PSEUDO_TASK), pc.equal(pairs["part"], "train"))


def merge_first(firsts: Iterable[Iterable[int]]) -> list[int]:
    """The smallest of several: a commutative, associative merge.

    >>> merge_first([[5, 5, 9], [-3, 9]])
    [-3, 5, 9]
    """
    return sorted({query_id for ids in firsts for query_id in ids})[: 2 * FEW_QUERIES]


def validating_queries(split: Split, num_pairs: Mapping[str, int], firsts: list[int]) -> list[int]:
    """The ids of the pseudo-queries that validate beyond those by hash: none where any pair validates, or none is
    asked to. num_pairs: by "part:task"; firsts: first_pseudo_queries of all buckets.

    >>> split = Split(kind="none", has_validation=True, has_test=False)
    >>> validating_queries(split, {"train:search/pseudo": 9}, [1, 2, 3, 4, 5])
    [1, 2]
    >>> validating_queries(split, {"train:search/pseudo": 9, "validation:search/pseudo": 1}, [1, 2, 3, 4, 5])
    []
    """
    if not split.has_validation or any(count for name, count in num_pairs.items() if name.startswith("validation:")):
        return []
    return firsts[: len(firsts) // 2]


def with_validating(pairs: pa.Table, query_ids: list[int]) -> pa.Table:
    """PAIRS, those of the given pseudo-queries in the validation part, if they were to train; no model is distilled
    from queries of their items, one of which may be such a query, rightly spelt. Sorted as before."""
    if not query_ids:
        return pairs
    given = pa.array(query_ids, pa.int64())
    moved = pc.and_(_train_by_texts(pairs), pc.is_in(pairs["query_id"], value_set=given))
    of_moved_items = pc.is_in(pairs["item_id"], value_set=pairs.filter(moved)["item_id"].combine_chunks())
    stays = pc.invert(pc.and_(pc.equal(pairs["part"], DISTILLATION), of_moved_items))
    pairs, moved = pairs.filter(stays), moved.filter(stays)
    part = pc.if_else(moved, "validation", pairs["part"])
    moved_pairs = pairs.set_column(pairs.column_names.index("part"), pairs.schema.field("part"), part)
    return moved_pairs.sort_by([(name, "ascending") for name in ("part", "task", "query_id", "item_id")])


def counting_pairs(split: Split, num_pairs: Mapping[str, int]) -> Counter[str]:
    """Pairs by part that count as such, from those by "part:task". Where a log is split, pseudo-queries may validate in
    its place, but do not stand for pairs of it that train or test.

    >>> log = Split(kind="time", has_validation=True, has_test=True)
    >>> counting_pairs(log, {"train:search/pseudo": 9, "train:search/click": 2, "validation:search/pseudo": 1})
    Counter({'train': 2, 'validation': 1})
    """
    counting: Counter[str] = Counter()
    for name, count in num_pairs.items():
        part, _, task = name.partition(":")
        if task != PSEUDO_TASK or split.kind == NO_LOG or part == "validation":
            counting[part] += count
    return counting


def check_pairs(split: Split, num_pairs: Mapping[str, int]) -> None:
    """Raises ThresholdError if a part that was asked for, or train, has no pair that counts, and that is no chance of a
    log of few pairs. num_pairs: by "part:task"."""
    if not unsplit_line(split, num_pairs):
        check_parts(split, counting_pairs(split, num_pairs))


def unsplit_line(split: Split, num_pairs: Mapping[str, int]) -> str:
    """What a user is told of a log of so few pairs that a part has none of them; "" where every part has some, or where
    that is an error: without pseudo-queries that train.

    >>> split = Split(kind="query_item", has_validation=True, has_test=True)
    >>> unsplit_line(split, {"train:search/pseudo": 9, "train:search/click": 1}).partition(":")[0]
    'the log has 1 pair, too few to split, and none of it is in test'
    """
    of_log = [(name.partition(":")[0], count) for name, count in num_pairs.items() if not name.endswith(PSEUDO_TASK)]
    total = sum(count for _, count in of_log)
    may_lack = split.kind == "query_item" and 0 < total < FEW_LOG_PAIRS and num_pairs.get(f"train:{PSEUDO_TASK}", 0) > 0
    wanted = ["train", *(["test"] if split.has_test else [])]
    empty = [part for part in wanted if not any(count for name, count in of_log if name == part)]
    if not may_lack or not empty:
        return ""
    return (
        f"the log has {total} pair{'' if total == 1 else 's'}, too few to split, and none of it is in "
        f"{' and '.join(empty)}: the model learns mostly from the texts of items; --test-fraction 0 lets more of the "
        "log train"
    )
