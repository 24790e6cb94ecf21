"""The items of the published run as recommendations see them: by row of the index that is searched, with titles and
popularity.

refined_index/ is searched if the run has one. There an item that was removed has the row of its representative: as a
medoid, as a seen item and as a popular one.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from model.nearest.index import MANIFEST_FILE, ExactIndex, ItemIndex, open_index, read_index_manifest
from model.nearest.refined import REFINED_FOLDER, read_near_duplicates
from pipelines.serving.published_users import check_published
from pipelines.serving.searcher import Searcher
from schemas.errors import CorruptFileError
from schemas.files import sha256_of_file
from schemas.hashing import row_hashes
from schemas.quarantine import quote
from schemas.user_rows import POPULARITY_FILE, POPULARITY_FOLDER
from schemas.users import read_popularity


class PublishedItems:
    """index, and by its rows: num_users_N int32 (users who acted on the item in the window, 0 if none did), popular
    int64 (rows that somebody acted on, most users first, ties by row). rows: item id -> row, about 150 bytes an item.

    A representative has the most users that one of its group has: a lower bound of the users of them all, since who
    acted on several of a group cannot be told from counts.

    Stays with the run that CURRENT named when it was made; `exact` compares with every item instead of using the index.
    published: sha256 by path of the run's published files. Raises what Searcher raises, and CorruptFileError for a
    refined index that is not the published one.
    """

    def __init__(self, store: str, exact: bool = False):
        searcher = Searcher(store, exact=exact)
        self.run, self.model_id, self.titles = searcher.run, searcher.model_id, searcher.titles
        self.published: dict[str, str] = {entry["path"]: entry["sha256"] for entry in searcher.manifest["files"]}
        self.index, self.item_ids, removed = _refined(searcher, self.published, exact) or (
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
        check_published(self.run, f"{POPULARITY_FOLDER}/{POPULARITY_FILE}", self.published)
        table = read_popularity(self.run / POPULARITY_FOLDER / POPULARITY_FILE)
        self.num_users_N = np.zeros(self.index.num_items, np.int32)
        np.maximum.at(self.num_users_N, self.rows_of(table["item_id"].to_pylist()), table["num_users"].to_numpy())
        order = np.argsort(-self.num_users_N, kind="stable")
        self.popular = order[: int((self.num_users_N > 0).sum())]
        self.most_users = int(self.num_users_N.max())


def _refined(
    searcher: Searcher, published: Mapping[str, str], exact: bool
) -> tuple[ItemIndex, pa.Array, dict[str, str]] | None:
    """The refined index of the searcher's run, its item ids, and removed item -> the item that stands for it; None if
    none was published, whatever the folder may hold. `exact`: its items, compared one by one."""
    folder = searcher.run / REFINED_FOLDER
    if not any(path.startswith(f"{REFINED_FOLDER}/") for path in published):
        return None
    manifest = read_index_manifest(folder)
    if manifest["model_id"] != searcher.model_id:
        raise CorruptFileError(
            f"expected model {searcher.model_id}, got {manifest['model_id']} in {folder}: publish the run again"
        )
    _check_published(published, folder, manifest)
    pairs = read_near_duplicates(folder).to_pydict()
    removed = dict(zip(pairs["item_id"], pairs["representative_item_id"], strict=True))
    index, ids, _ = open_index(folder)
    if not exact:
        return index, ids, removed
    rows = pc.index_in(ids, value_set=searcher.item_ids)
    if rows.null_count:
        raise CorruptFileError(f"expected items of {searcher.run}/embeddings only, got others in {folder}")
    return ExactIndex(searcher.index.vectors(rows.to_numpy())), ids, removed


def _check_published(published: Mapping[str, str], folder: Path, manifest: dict[str, Any]) -> None:
    """Who opens the folder's files compares them with its manifest: what that says must be what was published."""
    listed = {name: entry["sha256"] for name, entry in manifest["files"].items()}
    listed[MANIFEST_FILE] = sha256_of_file(folder / MANIFEST_FILE)
    wrong = sorted(name for name, sha256 in listed.items() if published.get(f"{folder.name}/{name}") != sha256)
    if wrong:
        raise CorruptFileError(f"expected the published files, got others by {quote(wrong)} in {folder}: publish again")
