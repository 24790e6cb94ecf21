"""What our own searches of an index folder go through: different vectors only, and as much of them as a query needs.

Most items of many a shop share their vector with another (one text, many ids). A neighbourhood of twins fills what a
query inspects, so where there are many an index of the different vectors lies beside items.ann, and what it finds is
written out as items:

    distinct.annoy      Annoy: the different vectors, by their first item; or
    distinct.voyager    the same in an HNSW graph (model.nearest.voyager)
    distinct.parquet    which of them an item has (schemas.tables.DISTINCT)

The manifest's "searched" says what is searched, and for each kind of query ("kinds") how much a query inspects, with
which queries that was chosen, and what they find. A folder without it is searched through items.ann, all kinds alike.
"""

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from model.machine.equal_rows import EqualRows
from model.nearest.index import TUNED_AT, AnnoyItemIndex, ItemIndex, NearVectors, QueryKind, check_queries, search_k_for
from model.nearest.index_folder import ANNOY_FILE, check_index_file, load_annoy, open_index
from model.nearest.voyager import VoyagerIndex, load_voyager
from schemas.errors import CorruptFileError
from schemas.parquet.files import PARQUET_ERRORS
from schemas.quarantine import quote
from schemas.tables import DISTINCT

#: After "search_k" in a sorted manifest: who looks for the first one finds that of items.ann.
SEARCHED: Final = "searched"
DISTINCT_FILE = "distinct.parquet"
#: The file of the different vectors, by backend. Not *.ann: an index folder has one, of all items.
DISTINCT_FILES: Mapping[str, str] = {"annoy": "distinct.annoy", "voyager": "distinct.voyager"}
BACKENDS = tuple(DISTINCT_FILES)
#: Different vectors have an index of their own if they are fewer than this share of the items.
DISTINCT_BELOW = 0.9
_VECTORS_COMPARED = 16


class SearchedIndex:
    """An ItemIndex: searches `near`, an index of different vectors or of all items (`equal` None), as far as each kind
    of query needs; `items` has the items' own vectors."""

    def __init__(
        self, items: ItemIndex, near: NearVectors, search_k: Mapping[QueryKind, int], equal: EqualRows | None = None
    ):
        self.num_items, self.dim = items.num_items, items.dim
        self.near, self.search_k = near, search_k
        self._items, self._equal = items, equal

    def search(self, queries_QD: np.ndarray, top: int, kind: QueryKind = "item") -> tuple[np.ndarray, np.ndarray]:
        """As ItemIndex.search. A kind that the index was not measured with inspects as much as the one that inspects
        most."""
        check_queries(queries_QD, self.dim, top)
        search_k = self.search_k.get(kind) or max(self.search_k.values())
        wanted = top if self._equal is None else min(top, self.near.num_items)
        found = self.near.search(queries_QD, wanted, search_k=search_k_for(wanted, search_k))
        return found if self._equal is None else self._equal.written_out(*found, top)

    def vectors(self, rows: Sequence[int] | np.ndarray) -> np.ndarray:
        """As ItemIndex.vectors."""
        return self._items.vectors(rows)


def open_searched(
    folder: str | os.PathLike[str], num_threads: int | None = None
) -> tuple[ItemIndex, pa.Array, dict[str, Any]]:
    """As model.nearest.index_folder.open_index, of what is searched, after the same checks of its files."""
    items, ids, manifest = open_index(folder, num_threads)
    section = manifest.get(SEARCHED)
    if section is None:
        return items, ids, manifest
    _check_section(section, manifest, Path(folder))
    search_k = {kind: facts["search_k"] for kind, facts in section["kinds"].items()}
    if not section["distinct"]:
        return SearchedIndex(items, items, search_k), ids, manifest
    name = DISTINCT_FILES[section["backend"]]
    for listed in (name, DISTINCT_FILE):
        check_index_file(folder, listed, manifest)
    equal = _read_distinct(Path(folder, DISTINCT_FILE), manifest["n_items"], section["n_vectors"])
    path = Path(folder, name)
    shape = (manifest["dimension"], len(equal))
    near: AnnoyItemIndex | VoyagerIndex
    if section["backend"] == "annoy":
        near = load_annoy(path, *shape, search_k["item"], num_threads)
    else:
        near = load_voyager(path, *shape, num_threads)
    ids_S = np.unique(np.linspace(0, len(equal) - 1, _VECTORS_COMPARED).astype(np.int64))
    if not np.array_equal(near.vectors(ids_S), items.vectors(equal.first_U[ids_S])):
        raise CorruptFileError(
            f"expected the different vectors of {ANNOY_FILE}, got others in {path}: run the index stage again"
        )
    return SearchedIndex(items, near, search_k, equal), ids, manifest


def recall_by_kind(manifest: Mapping[str, Any]) -> dict[str, dict[str, float]]:
    """What searches of each kind were measured to find, "10" and "100" -> recall, from the manifest of an index folder.
    Raises CorruptFileError if it does not say so."""
    section = manifest.get(SEARCHED)
    kinds = {"item": manifest} if section is None else section
    try:
        kinds = kinds if section is None else section["kinds"]
        found = {kind: dict(facts["recall"]) for kind, facts in kinds.items()}
        if "item" in found and all(0 <= recall[str(TUNED_AT)] <= 1 for recall in found.values()):
            return found
    except (KeyError, TypeError, ValueError, AttributeError):
        pass
    raise CorruptFileError(
        f"expected recall@{TUNED_AT} from 0 to 1 of each kind of query, got {quote(str(kinds))} in the manifest of an "
        "index: run the index stage again"
    )


def _check_section(section: Any, manifest: dict[str, Any], folder: Path) -> None:
    """Raises CorruptFileError unless the manifest's "searched" has all that opening needs."""
    good = isinstance(section, dict) and type(section.get("distinct")) is bool
    good = good and section.get("backend") in DISTINCT_FILES and isinstance(section.get("kinds"), dict)
    good = good and (section["distinct"] or section["backend"] == "annoy")
    good = good and type(section.get("n_vectors")) is int and 0 < section["n_vectors"] <= manifest["n_items"]
    good = good and "item" in section["kinds"]
    good = good and all(
        isinstance(facts, dict) and type(facts.get("search_k")) is int and 0 < facts["search_k"] < 2**31
        for facts in section["kinds"].values()
    )
    if good and section["distinct"]:
        entries = [manifest["files"].get(name) for name in (DISTINCT_FILE, DISTINCT_FILES[section["backend"]])]
        good = all(
            isinstance(entry, dict) and isinstance(entry.get("sha256"), str) and type(entry.get("bytes")) is int
            for entry in entries
        )
    if not good:
        raise CorruptFileError(
            f"expected backend, distinct, n_vectors and kinds with search_k, item among them, and sha256 and bytes of "
            f"the files, got {quote(section)} in the manifest of {folder}: run the index stage again"
        )


def _read_distinct(path: Path, num_items: int, num_vectors: int) -> EqualRows:
    try:
        table = pq.read_table(path)
    except PARQUET_ERRORS as error:
        raise CorruptFileError(f"expected a Parquet file of numbers at {path}, got {quote(str(error))}") from error
    if not table.schema.equals(DISTINCT) or len(table) != num_items or table["vector"].null_count:
        got = f"{len(table)} rows of {quote(str(table.schema))}"
        raise CorruptFileError(
            f"expected {num_items} rows of {DISTINCT}, got {got} in {path}: run the index stage again"
        )
    equal = EqualRows(table["vector"].to_numpy())
    if len(equal) != num_vectors:
        raise CorruptFileError(f"expected {num_vectors} different vectors, got {len(equal)} in {path}")
    return equal
