"""A shop's own frozen vectors of queries, looked up by the query's text: what a query model made elsewhere knows.

    columns.json    rows, dim and id, the fingerprint of all rows
    keys.npy        uint64 [N], rising: the hash of each normalised query
    vectors.npy     float16 [N, D] of norm 1, in the order of the keys
    checks.npy      uint64 [N]: the hash of each row of vectors.npy

Everything is memory-mapped, and what a look-up reads is checked by the row: a search touches a few pages of a table of
gigabytes. A model holds the sha256 of FILES_THAT_TELL, and by them knows every vector. Equal tables make equal bytes,
whatever files and order their rows came in.

Queries are the same if they are once they are normalised as tokens are and runs of white space are one space
(tokenizer.same_query): "Red  Shoe" is "red shoe".
"""

import hashlib
import itertools
import os
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from model.machine.columns import FACTS_FILE, build_columns, read_facts, write_column
from model.text.tokenizer import same_query
from schemas.errors import CorruptFileError, ThresholdError, UsageError
from schemas.hashing import fingerprint, row_hashes, stable_hash
from schemas.quarantine import quote
from schemas.reading.input_files import input_identity
from schemas.records.query_vectors import check_query_vectors, read_queries, read_vectors

#: What says which queries there are and which vectors: 16 bytes a query.
FILES_THAT_TELL = (FACTS_FILE, "keys.npy", "checks.npy")
#: Part of what names a finished table: raise it when the same files make another one.
_VERSION = 1
_VECTOR_DTYPE = "<f2"
#: Vectors of one query that differ by less are the same one, rounded in two ways.
_MAX_DISTANCE = 1e-3
_CHUNK_ROWS = 8_192
#: It is copied into each model that is trained with it.
MAX_TABLE_BYTES = 8 << 30


class QueryTable:
    """The table in a folder that `build` or a model made. rows, dim: numbers of queries and of a vector's dimensions;
    id: of all rows. Raises CorruptFileError for files that do not fit each other."""

    def __init__(self, folder: str | os.PathLike[str]):
        self.folder = Path(folder)
        facts = read_facts(folder)
        try:
            self.rows, self.dim, self.id = int(facts["rows"]), int(facts["dim"]), str(facts["id"])
        except (KeyError, TypeError, ValueError) as error:
            raise CorruptFileError(f"expected rows, dim and id, got {quote(facts)} in {self.folder}") from error
        self._key_N = self._column("keys", "<u8", (self.rows,))
        self._vector_ND = self._column("vectors", _VECTOR_DTYPE, (self.rows, self.dim))
        self._check_N = self._column("checks", "<u8", (self.rows,))

    @classmethod
    def build(cls, files: Sequence[str], cache_folder: str | os.PathLike[str]) -> "QueryTable":
        """The table of sorted Parquet files (schemas.records.query_vectors), made in `cache_folder` unless it is there
        already. Memory: about 50 bytes a query.

        Raises UsageError and ThresholdError as schemas.records.query_vectors does, and ThresholdError for a query with
        two vectors.
        """
        check_query_vectors(files)
        build_columns(cache_folder, table_source(files), lambda folder: _write(files, folder))
        return cls(table_folder(files, cache_folder))

    def vectors(self, queries: Sequence[str]) -> np.ndarray:
        """float16 [Q, dim] of norm 1, zeros for a query that is not in the table. Raises CorruptFileError for a row
        that is not what was written."""
        key_Q = _keys(queries)
        row_Q = np.minimum(np.searchsorted(self._key_N, key_Q), self.rows - 1)
        found = np.flatnonzero(self._key_N[row_Q] == key_Q)
        vectors_QD = np.zeros((len(queries), self.dim), _VECTOR_DTYPE)
        vectors_QD[found] = self._vector_ND[row_Q[found]]
        if (damaged := found[row_hashes(vectors_QD[found]) != self._check_N[row_Q[found]]]).size:
            raise CorruptFileError(
                f"expected the vector that was written for {quote(queries[damaged[0]])}, got another in row "
                f"{row_Q[damaged[0]]:,} of {self.folder}: restore the folder"
            )
        return vectors_QD

    def _column(self, name: str, dtype: str, shape: tuple[int, ...]) -> np.ndarray:
        path = self.folder / f"{name}.npy"
        try:
            column: np.ndarray = np.load(path, mmap_mode="r", allow_pickle=False)
        except (OSError, EOFError, ValueError) as error:
            raise CorruptFileError(f"expected a column of a query table in {path}, got {quote(str(error))}") from error
        if column.dtype.str != dtype or column.shape != shape:
            got = f"{column.dtype.str} {list(column.shape)}"
            raise CorruptFileError(f"expected {dtype} {list(shape)}, got {got} in {path}: restore the folder")
        return np.asarray(column)


def table_source(files: Sequence[str]) -> str:
    """Identifies the table that files make, by their content."""
    return fingerprint(["query table", _VERSION, input_identity(files)])


def table_folder(files: Sequence[str], cache_folder: str | os.PathLike[str]) -> Path:
    """Where `QueryTable.build` puts the table of these files."""
    return Path(cache_folder, table_source(files))


def _keys(queries: Sequence[str]) -> np.ndarray:
    """uint64 [Q]"""
    return np.fromiter((stable_hash(same_query(query)) for query in queries), np.uint64, count=len(queries))


def _write(files: Sequence[str], folder: Path) -> dict[str, Any]:
    """Writes the columns; vectors go through memory in chunks, each to its place by key."""
    key_X = np.concatenate([_keys(queries) for queries in read_queries(files)])
    key_N, first_N, row_X = np.unique(key_X, return_index=True, return_inverse=True)
    write_column(folder, "keys", key_N.astype("<u8"))
    vector_ND = None
    for start, vectors_BD in _numbered(read_vectors(files)):
        if vector_ND is None:
            vector_ND = _new_vectors(folder / "vectors.npy", len(key_N), vectors_BD.shape[1])
        row_B = row_X[start : start + len(vectors_BD)]
        is_first_B = first_N[row_B] == np.arange(start, start + len(vectors_BD))
        vector_ND[row_B[is_first_B]] = vectors_BD[is_first_B]
        cosine_B = (vector_ND[row_B].astype(np.float32) * vectors_BD).sum(axis=1)
        if (odd := np.flatnonzero(cosine_B < 1 - _MAX_DISTANCE)).size:
            raise _two_vectors(files, int(first_N[row_B[odd[0]]]), start + int(odd[0]), float(cosine_B[odd[0]]))
    assert vector_ND is not None, "a table without rows, which check_query_vectors refuses"
    vector_ND.flush()
    starts = range(0, len(key_N), _CHUNK_ROWS)
    check_N = np.concatenate([row_hashes(vector_ND[start : start + _CHUNK_ROWS]) for start in starts])
    write_column(folder, "checks", check_N.astype("<u8"))
    digest = hashlib.sha256(key_N.astype("<u8").tobytes() + check_N.astype("<u8").tobytes()).hexdigest()
    dim = vector_ND.shape[1]
    return {"dim": dim, "id": fingerprint([_VERSION, dim, digest]), "rows": len(key_N)}


def _new_vectors(path: Path, rows: int, dim: int) -> np.memmap:
    if (size := rows * dim * np.dtype(_VECTOR_DTYPE).itemsize) > MAX_TABLE_BYTES:
        raise UsageError(
            f"expected query vectors that take at most {MAX_TABLE_BYTES:,} bytes as float16, got {rows:,} of {dim:,} "
            f"numbers, {size:,} bytes: keep those of the queries that are asked most"
        )
    return np.lib.format.open_memmap(path, "w+", _VECTOR_DTYPE, (rows, dim))


def _numbered(batches: Iterator[np.ndarray]) -> Iterator[tuple[int, np.ndarray]]:
    """(how many rows came before, batch)"""
    start = 0
    for batch in batches:
        yield start, batch
        start += len(batch)


def _two_vectors(files: Sequence[str], first: int, second: int, cosine: float) -> ThresholdError:
    """first, second: their rows, over all files from 0."""
    rows = enumerate(itertools.chain.from_iterable(read_queries(files)))
    queries = {row: query for row, query in rows if row in (first, second)}
    return ThresholdError(
        f"expected one vector a query, got two of cosine {cosine:.4f} for {quote(same_query(queries[first]))}: as "
        f"{quote(queries[first])} in row {first + 1:,} and as {quote(queries[second])} in row {second + 1:,}, counted "
        "over all files: keep one. Queries that differ in case or white space alone are one query"
    )
