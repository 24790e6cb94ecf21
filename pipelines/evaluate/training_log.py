"""What a log tells of a model's training: which queries and items it had, and how often they met.

    rows of the log that the model's split does not label "test"     the training part: train, validation and gap

A query or an item is seen if the training part has it, or a near-duplicate of its kind as the split groups them: on any
action, and for an item on any surface. A text query is known by its words, a picture by its content where it has been
read, else by its path. What the model had beside the log, pseudo-queries of the catalogue's own text, makes nothing
seen.
"""

from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import cached_property, partial
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from model.measures.baselines import popularity_scores
from model.split.held_out import groups_of, item_node, query_node
from schemas.hashing import stable_hash
from schemas.tables import POSITIVE_ACTIONS, QUERY_SURFACES

#: Of engagements; a log has no others.
_TASKS = frozenset(f"{surface}/{action}" for surface in QUERY_SURFACES for action in POSITIVE_ACTIONS)


class TrainingLog:
    """rows: QUERY_ROWS of the training part. row_of: item id -> row of the run's N items, in their order. held_out:
    HELD_OUT of the split; None if it keeps no groups."""

    def __init__(self, rows: pa.Table, row_of: Mapping[str, int], held_out: pa.Table | None = None):
        self._rows, self._row_of, self._held_out = rows, row_of, held_out

    @cached_property
    def popularity_N(self) -> np.ndarray | None:
        """Engagements an item, None if there are none at all."""
        item_ids = self._rows["item_id"].to_pylist()
        return popularity_scores(list(self._row_of), item_ids) if item_ids else None

    @cached_property
    def seen_items_N(self) -> np.ndarray:
        """bool [N]"""
        return self._among_groups(self._row_of, pc.unique(self._rows["item_id"]).to_pylist(), item_node)

    @cached_property
    def text_pairs(self) -> Counter[tuple[str, int]]:
        """(query, row of the item) -> engagements on search; items that the run lacks are left out."""
        return self._pairs(pc.equal(self._rows["surface"], "search"))

    @cached_property
    def picture_pairs(self) -> Counter[tuple[str, int]]:
        """The same of queries that are pictures."""
        return self._pairs(pc.not_equal(self._rows["surface"], "search"))

    def pairs_of(self, task: str) -> Counter[tuple[str, int]]:
        """The same of one task, such as closeup/click."""
        surface, action = task.split("/")
        return self._pairs(pc.and_(pc.equal(self._rows["surface"], surface), pc.equal(self._rows["action"], action)))

    def pictures(self, most: int) -> list[str]:
        """At most so many pictures of `picture_pairs`, those with the smallest hashes."""
        uris = {uri for uri, _ in self.picture_pairs}
        return sorted(uris, key=lambda uri: (stable_hash(f"training picture/{uri}"), uri))[:most]

    def seen_texts(self, queries: Sequence[str]) -> np.ndarray:
        """bool [Q]"""
        known = self._queries(pc.equal(self._rows["surface"], "search"))
        return self._among_groups(queries, known, partial(query_node, "search"))

    def seen_pictures(self, uris: Sequence[str], content_of: Callable[[str], str]) -> np.ndarray:
        """bool [Q]. content_of: equal for equal pictures."""
        known = self._queries(pc.not_equal(self._rows["surface"], "search"))
        contents = set(map(content_of, known))
        is_copy_Q = np.fromiter((content_of(uri) in contents for uri in uris), bool, len(uris))
        return is_copy_Q | self._among_groups(uris, known, partial(query_node, "closeup"))

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

    def _among_groups(self, asked: Iterable[str], known: Iterable[str], node: Callable[[str], int]) -> np.ndarray:
        """bool: whether each is one of the known, or a near-duplicate."""
        of_asked, of_known = (
            groups_of(self._held_out, np.array([*map(node, names)], np.uint64)) for names in (asked, known)
        )
        return np.isin(of_asked, of_known)
