"""An index folder, opened: the files of the index of Annoy, each checked before it is used. It holds

    items.ann        Annoy, metric angular: every item, for any reader of Annoy
    ids.parquet      item ids, row number = Annoy id
    manifest.json    sha256 and size of each, dimension, metric, trees, search_k, model id, measured recall

and what model.nearest.searched adds: what our own searches go through.

Annoy's file knows neither its dimension nor its metric; a truncated or foreign file loads and answers nonsense, or ends
the process. So nothing is loaded before the manifest's checks have passed.
"""

import os
from pathlib import Path
from typing import Any

import annoy
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from model.nearest.index import MAX_NUMBER, METRIC, AnnoyItemIndex
from schemas import storage
from schemas.errors import CorruptFileError
from schemas.files import check_sha256, read_json
from schemas.parquet.files import PARQUET_ERRORS
from schemas.quarantine import quote
from schemas.tables import IDS

ANNOY_FILE, IDS_FILE, MANIFEST_FILE = "items.ann", "ids.parquet", "manifest.json"
#: Before the vector in each of Annoy's nodes: descendants, two children (or the norm), 4 bytes each.
_NODE_HEADER_BYTES = 12
#: Vectors that Annoy is asked for when an index is opened, beside those read from the file.
_VECTORS_COMPARED = 16


def read_index_manifest(folder: str | os.PathLike[str]) -> dict[str, Any]:
    """The manifest of an index folder; CorruptFileError if it is missing or lacks what loading needs."""
    path = Path(folder, MANIFEST_FILE)
    manifest = read_json(path)
    counts = ("dimension", "n_items", "n_trees", "search_k")
    good = isinstance(manifest, dict) and all(
        type(manifest.get(name)) is int and 0 < manifest[name] <= MAX_NUMBER for name in counts
    )
    good = good and manifest.get("metric") == METRIC and isinstance(manifest.get("model_id"), str)
    good = good and all(
        isinstance(manifest.get("files"), dict)
        and isinstance(manifest["files"].get(name), dict)
        and isinstance(manifest["files"][name].get("sha256"), str)
        and type(manifest["files"][name].get("bytes")) is int
        for name in (ANNOY_FILE, IDS_FILE)
    )
    if not good:
        raise CorruptFileError(
            f"expected metric {METRIC!r}, model_id, positive {', '.join(counts)}, sha256 and bytes of {ANNOY_FILE} and "
            f"{IDS_FILE}, got {quote(manifest)} in {path}: run the index stage again"
        )
    return manifest


def open_index(
    folder: str | os.PathLike[str], num_threads: int | None = None
) -> tuple[AnnoyItemIndex, pa.Array, dict[str, Any]]:
    """The index, its item ids and its manifest, after every check: sizes, sha256, dimension, metric, numbers of items.

    Raises CorruptFileError for whatever does not match; nothing foreign is given to Annoy.
    """
    manifest = read_index_manifest(folder)
    for name in (ANNOY_FILE, IDS_FILE):  # no other name: a forged manifest reads no other file
        check_index_file(folder, name, manifest)
    ids = _read_ids(Path(folder, IDS_FILE), manifest["n_items"])
    path = Path(folder, ANNOY_FILE)
    return (
        load_annoy(path, manifest["dimension"], manifest["n_items"], manifest["search_k"], num_threads),
        ids,
        manifest,
    )


def check_index_file(folder: str | os.PathLike[str], name: str, manifest: dict[str, Any]) -> None:
    """Raises CorruptFileError unless the file has the size and sha256 that the manifest's "files" say."""
    entry, path = manifest["files"][name], Path(folder, name)
    size = storage.size_of(path) if storage.has_file(path) else None
    if size != entry["bytes"]:
        raise CorruptFileError(f"expected {entry['bytes']} bytes, got {size} for {path}: run the index stage again")
    check_sha256(path, entry["sha256"])


def load_annoy(
    path: Path, dimension: int, n_items: int, search_k: int, num_threads: int | None = None
) -> AnnoyItemIndex:
    """An Annoy file whose checksum is right. Raises CorruptFileError unless it has n_items unit vectors of the
    dimension; nothing of another size is given to Annoy."""
    _check_nodes(path, dimension, n_items)
    index = annoy.AnnoyIndex(dimension, METRIC)
    try:
        index.load(storage.local_path(path))
    except OSError as error:
        raise CorruptFileError(f"expected an Annoy index of dimension {dimension} at {path}, got {error}") from error
    if index.get_n_items() != n_items:  # trees cannot be checked: Annoy miscounts those of one leaf
        raise CorruptFileError(f"expected {n_items} items, got {index.get_n_items()} in {path}")
    opened = AnnoyItemIndex(index, search_k, num_threads, _mapped_vectors(path, index))
    norms = np.linalg.norm(opened.vectors([0, opened.num_items - 1]), axis=1)
    if not (np.abs(norms - 1) < 1e-3).all():
        raise CorruptFileError(f"expected unit vectors of dimension {dimension}, got norms {norms} in {path}")
    return opened


def _mapped_vectors(path: Path, index: annoy.AnnoyIndex) -> np.ndarray:
    """The items' vectors, a read-only float32 view [N, D] of the file that `index` was loaded from: Annoy's first nodes
    are the items, by number. Raises CorruptFileError if Annoy itself has other vectors for some of them."""
    shape = (index.get_n_items(), _NODE_HEADER_BYTES // 4 + index.f)
    nodes = np.asarray(np.memmap(storage.local_path(path), np.float32, "r", shape=shape))
    vectors_ND = nodes[:, _NODE_HEADER_BYTES // 4 :]
    rows = np.unique(np.linspace(0, len(vectors_ND) - 1, _VECTORS_COMPARED).astype(np.int64))
    expected = np.array([index.get_item_vector(row) for row in rows.tolist()], np.float32)
    if vectors_ND[rows].tobytes() != expected.tobytes():
        raise CorruptFileError(
            f"expected the items' vectors in the first {len(vectors_ND)} nodes of {path}, got others: another version "
            "of annoy? Run the index stage again"
        )
    return vectors_ND


def _check_nodes(path: Path, dimension: int, n_items: int) -> None:
    """Raises CorruptFileError unless the file is whole nodes of the manifest's dimension, one an item at least: Annoy
    would take it, and whatever memory a forged dimension asks for."""
    node_bytes, size = _NODE_HEADER_BYTES + 4 * dimension, storage.size_of(path)
    if size % node_bytes or size // node_bytes < n_items:
        raise CorruptFileError(
            f"expected an Annoy index of dimension {dimension} at {path}: at least {n_items} nodes of {node_bytes} "
            f"bytes, got {size} bytes: run the index stage again"
        )


def _read_ids(path: Path, num_items: int) -> pa.Array:
    try:
        table = pq.read_table(path)
    except PARQUET_ERRORS as error:
        raise CorruptFileError(f"expected a Parquet file of item ids at {path}, got {quote(str(error))}") from error
    if not table.schema.equals(IDS) or table.num_rows != num_items:
        got = f"{table.num_rows} rows of {quote(str(table.schema))}"
        raise CorruptFileError(f"expected {num_items} rows of {IDS}, got {got} in {path}: run the index stage again")
    return table["item_id"].combine_chunks()
