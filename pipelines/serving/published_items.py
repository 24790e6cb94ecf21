"""The items of the published run as recommendations see them: by row of the index that is searched, with titles and
popularity.

refined_index/ is searched if the run has one. There an item that was removed has the row of its representative: as a
medoid, as a seen item and as a popular one.
"""

from collections.abc import Sequence

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from model.nearest.index import ExactIndex, ItemIndex
from model.nearest.refined import REFINED_FOLDER
from pipelines.serving.searcher import Searcher
from schemas.errors import CorruptFileError
from schemas.hashing import row_hashes
from schemas.quarantine import quote
from schemas.records.user_rows import POPULARITY_FILE, POPULARITY_FOLDER
from schemas.records.users import read_popularity


class PublishedItems:
    """index, and by its rows: num_users_N int32 (users who acted on the item in the window, 0 if none did), popular
    int64 (rows that somebody acted on, most users first, ties by row). rows: item id -> row, about 150 bytes an item.

    A representative has the most users that one of its group has: a lower bound of the users of them all, since who
    acted on several of a group cannot be told from counts.

    Stays with the run that CURRENT named when it was made; `exact` compares with every item instead of using the index.
    Raises what Searcher raises, and CorruptFileError for a refined index that is not the published one.
    """

    def __init__(self, store: str, exact: bool = False):
        searcher = Searcher(store, exact=exact)
        self.opened, self.run, self.titles = searcher.opened, searcher.run, searcher.titles
        self.index, self.item_ids, removed = _refined(searcher, exact) or (
            searcher.index,
            searcher.item_ids,
            {},
        )
        self.rows = {item_id: row for row, item_id in enumerate(self.item_ids.to_pylist())}
        self.rows |= {item_id: self.rows[kept] for item_id, kept in removed.items() if kept in self.rows}
        self._hashes_N = np.zeros(self.index.num_items, np.uint64)

    def vector_hashes(self, rows: np.ndarray) -> np.ndarray:
        """uint64, of the vectors of these rows: equal for equal vectors. Made when first asked for, 8 bytes an item."""
        new = np.unique(rows[self._hashes_N[rows] == 0])
        if len(new):
            self._hashes_N[new] = row_hashes(self.index.vectors(new))
        return self._hashes_N[rows]

    def forget(self) -> None:
        """Empties the cache of hashes."""
        self._hashes_N[:] = 0

    def ids_of(self, rows: np.ndarray) -> list[str]:
        return self.item_ids.take(pa.array(rows)).to_pylist()

    def rows_of(self, item_ids: Sequence[str]) -> np.ndarray:
        """int64: rows of ids that users were made with. CorruptFileError for one that the index has not."""
        try:
            return np.array([self.rows[item_id] for item_id in item_ids], np.int64)
        except KeyError as error:
            raise CorruptFileError(
                f"expected users made from the items of {self.run}, got item {quote(error.args[0])}, which its index "
                "has not: run the users stage again"
            ) from error

    def read_popularity(self) -> None:
        """Reads what the users stage wrote. CorruptFileError if that is not what was published or of other items."""
        table = read_popularity(self.opened.checked(f"{POPULARITY_FOLDER}/{POPULARITY_FILE}"))
        self.num_users_N = np.zeros(self.index.num_items, np.int32)
        np.maximum.at(self.num_users_N, self.rows_of(table["item_id"].to_pylist()), table["num_users"].to_numpy())
        order = np.argsort(-self.num_users_N, kind="stable")
        self.popular = order[: int((self.num_users_N > 0).sum())]
        self.most_users = int(self.num_users_N.max())


def _refined(searcher: Searcher, exact: bool) -> tuple[ItemIndex, pa.Array, dict[str, str]] | None:
    """The refined index of the searcher's run, its item ids, and removed item -> the item that stands for it; None if
    none was published, whatever the folder may hold. `exact`: its items, compared one by one."""
    if not searcher.opened.has_refined:
        return None
    refined = searcher.opened.refined
    pairs, ids = refined.removed.to_pydict(), refined.kept_ids
    removed = dict(zip(pairs["item_id"], pairs["representative_item_id"], strict=True))
    if not exact:
        return refined.index, ids, removed
    rows = pc.index_in(ids, value_set=searcher.item_ids)
    if rows.null_count:
        raise CorruptFileError(f"expected items of {searcher.run}/embeddings only, got others in {REFINED_FOLDER}/")
    return ExactIndex(searcher.index.vectors(rows.to_numpy())), ids, removed
