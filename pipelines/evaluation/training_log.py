"""What a log tells of a model's training: which queries and items it had, and how often they met.

    rows of the log that the model's split does not label "test"     the training part: train, validation and gap

A query or an item is seen if the training part has it: on any action, and for an item on any surface. A text query is
known by its words, a picture by its content where it has been read, else by its path. What the model had beside the
log, pseudo-queries of the catalogue's own text, makes nothing seen.
"""

from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import cached_property
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from model.baselines import popularity_scores
from model.tokenizer import only_words
from schemas.hashing import stable_hash
from schemas.tables import POSITIVE_ACTIONS, QUERY_SURFACES

#: Of engagements; a log has no others.
_TASKS = frozenset(f"{surface}/{action}" for surface in QUERY_SURFACES for action in POSITIVE_ACTIONS)


class TrainingLog:
    """rows: QUERY_ROWS of the training part. row_of: item id -> row of the run's N items."""

    def __init__(self, rows: pa.Table, row_of: Mapping[str, int]):
        self._rows, self._row_of = rows, row_of

    @cached_property
    def popularity_N(self) -> np.ndarray | None:
        """Engagements an item, None if there are none at all."""
        item_ids = self._rows["item_id"].to_pylist()
        return popularity_scores(list(self._row_of), item_ids) if item_ids else None

    @cached_property
    def seen_items_N(self) -> np.ndarray:
        """bool [N]"""
        return np.zeros(len(self._row_of), bool) if self.popularity_N is None else self.popularity_N > 0

    @cached_property
    def text_pairs(self) -> Counter[tuple[str, int]]:
        """(query, row of the item) -> engagements on search; items that the run lacks are left out."""
        return self._pairs(pc.equal(self._rows["surface"], "search"))

    @cached_property
    def picture_pairs(self) -> Counter[tuple[str, int]]:
        """The same of queries that are pictures."""
        return self._pairs(pc.not_equal(self._rows["surface"], "search"))

    def pictures(self, most: int) -> list[str]:
        """At most so many pictures of `picture_pairs`, those with the smallest hashes."""
        uris = {uri for uri, _ in self.picture_pairs}
        return sorted(uris, key=lambda uri: (stable_hash(f"training picture/{uri}"), uri))[:most]

    def seen_texts(self, queries: Sequence[str]) -> np.ndarray:
        """bool [Q]"""
        return _among(queries, self._queries(pc.equal(self._rows["surface"], "search")), only_words)

    def seen_pictures(self, uris: Sequence[str], content_of: Callable[[str], str]) -> np.ndarray:
        """bool [Q]. content_of: equal for equal pictures."""
        known = self._queries(pc.not_equal(self._rows["surface"], "search"))
        return _among(uris, known, content_of)

    def missing_pairs(
        self, towers: Mapping[str, Mapping[str, int]], surface: str | None = None
    ) -> dict[str, dict[str, int]]:
        """task -> {"model": pairs that the model was trained on, "log": distinct ones here} of each task, on one
        surface or on all, that has more of the first: this is not the log of its training, and what it has seen can
        seem new.
        Tasks of pseudo-queries, which no log has, are left out."""
        distinct = self._rows.group_by(["surface", "action", "query", "item_id"]).aggregate([])
        here = Counter(
            f"{row['surface']}/{row['action']}" for row in distinct.select(["surface", "action"]).to_pylist()
        )
        trained = {
            name: pairs
            for tasks in towers.values()
            for name, pairs in tasks.items()
            if name in _TASKS and surface in (None, name.split("/")[0])
        }
        return {
            name: {"model": pairs, "log": here[name]} for name, pairs in sorted(trained.items()) if here[name] < pairs
        }

    def _pairs(self, mask: Any) -> Counter[tuple[str, int]]:
        grouped = self._rows.filter(mask).group_by(["query", "item_id"]).aggregate([([], "count_all")])
        found: Counter[tuple[str, int]] = Counter()
        for row in grouped.to_pylist():
            if (item := self._row_of.get(row["item_id"])) is not None:
                found[row["query"], item] = row["count_all"]
        return found

    def _queries(self, mask: Any) -> list[str]:
        return pc.unique(self._rows.filter(mask)["query"]).to_pylist()


def _among(queries: Sequence[str], known: Iterable[str], key: Callable[[str], str]) -> np.ndarray:
    keys = set(map(key, known))
    return np.fromiter((key(query) in keys for query in queries), bool, len(queries))
