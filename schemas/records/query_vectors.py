"""Vectors of queries that a shop brings, made elsewhere and frozen: Parquet files, read in bounded batches.

    query     string, not null, not blank
    vector    list of numbers, fixed-size or not: as many in every row of all files, finite, not all 0

Other columns are ignored. A table has no quarantine: its maker mends it, and one bad row is an error that names it.
"""

from collections.abc import Iterator, Sequence

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from schemas.errors import CorruptFileError, ThresholdError, UsageError
from schemas.files import shown
from schemas.parquet.batches import bounded_batches
from schemas.parquet.files import PARQUET_ERRORS, open_parquet
from schemas.quarantine import quote
from schemas.reading.input_files import format_of
from schemas.reading.rows import MAX_BATCH_BYTES, MAX_BATCH_ROWS

QUERY, VECTOR = "query", "vector"
#: What is looked up while items are searched has an end.
MAX_QUERIES, MAX_DIM = 10_000_000, 8_192
_REMEDY = "write a table of distinct queries, each with the vector that its model gives it"


def check_query_vectors(files: Sequence[str]) -> None:
    """By the footers alone. Raises UsageError for files that are no Parquet, lack a column, have one of another type,
    no rows at all or more than MAX_QUERIES, CorruptFileError for a file without a valid footer."""
    num_rows = 0
    for path in files:
        if format_of(path) != "parquet":
            raise UsageError(f"expected Parquet files of query vectors, got {shown(path)}: write it as Parquet")
        with _open(path) as file:
            _check_columns(file.schema_arrow, path)
            num_rows += file.metadata.num_rows
    if not 1 <= num_rows <= MAX_QUERIES:
        raise UsageError(
            f"expected 1 to {MAX_QUERIES:,} query vectors, got {num_rows:,} rows in {_names(files)}: keep those of the "
            "queries that are asked most"
        )


def read_queries(files: Sequence[str]) -> Iterator[list[str]]:
    """The queries of sorted files that `check_query_vectors` passes, row by row, in batches. Raises ThresholdError for
    one that is null or blank."""
    for path, first_row, column in _batches(files, QUERY):
        queries = column.cast(pa.string()).to_pylist()
        for place, query in enumerate(queries):
            if query is None or not query.strip():
                raise ThresholdError(
                    f"expected a query in each row of the query vectors, got {quote(query)} in row "
                    f"{first_row + place:,} of {shown(path)}: leave the row out"
                )
        yield queries


def read_vectors(files: Sequence[str]) -> Iterator[np.ndarray]:
    """Their vectors in the same order, in batches float32 [B, D] of norm 1. Raises ThresholdError for one that has
    another length than the first, holds a null or what is not finite, or is all 0."""
    dim = None
    for path, first_row, column in _batches(files, VECTOR):
        lengths_B = pc.fill_null(pc.list_value_length(column), -1).to_numpy(zero_copy_only=False)
        dim = int(lengths_B[0]) if dim is None else dim
        if not 1 <= dim <= MAX_DIM:
            raise ThresholdError(
                f"expected query vectors of 1 to {MAX_DIM:,} numbers, got {_length(dim)} in row {first_row:,} of "
                f"{shown(path)}: {_REMEDY}"
            )
        if (odd := np.flatnonzero(lengths_B != dim)).size:
            raise ThresholdError(
                f"expected query vectors of {dim} numbers, as in the first row, got {_length(int(lengths_B[odd[0]]))} "
                f"in row {first_row + odd[0]:,} of {shown(path)}: {_REMEDY}"
            )
        values = pc.list_flatten(column).cast(pa.float64())
        vectors_BD = values.to_numpy(zero_copy_only=False).reshape(-1, dim)  # null: NaN
        largest_B = np.abs(vectors_BD).max(axis=1)
        if (bad := np.flatnonzero(~np.isfinite(largest_B) | (largest_B == 0))).size:
            got = "one that is all 0" if largest_B[bad[0]] == 0 else "null, NaN or infinity"
            raise ThresholdError(
                f"expected finite query vectors that are not all 0, got {got} in row {first_row + bad[0]:,} of "
                f"{shown(path)}: leave the row out, its query is then known by its words"
            )
        vectors_BD = vectors_BD / largest_B[:, None]
        yield (vectors_BD / np.linalg.norm(vectors_BD, axis=1, keepdims=True)).astype(np.float32)


def _batches(files: Sequence[str], name: str) -> Iterator[tuple[str, int, pa.Array]]:
    """(file, number of its row that is the first, counted from 1, values) of a column."""
    for path in files:
        row = 1
        with _open(path) as file:
            try:
                for part in range(file.metadata.num_row_groups):
                    for batch in bounded_batches(file, path, part, {name}, MAX_BATCH_ROWS, MAX_BATCH_BYTES):
                        for place, why in batch.oversized:
                            raise CorruptFileError(
                                f"expected a {name}, got {why} in row {row + place:,} of {shown(path)}: {_REMEDY}"
                            )
                        if batch.table.num_rows:
                            yield path, row, batch.table[name].combine_chunks()
                        row += batch.table.num_rows
            except PARQUET_ERRORS as error:
                raise _damaged(path, error) from error


def _open(path: str) -> pq.ParquetFile:
    try:
        return open_parquet(path)
    except PARQUET_ERRORS as error:
        raise _damaged(path, error) from error


def _check_columns(schema: pa.Schema, path: str) -> None:
    kinds = {
        QUERY: (pa.types.is_string, pa.types.is_large_string, pa.types.is_string_view),
        VECTOR: (pa.types.is_list, pa.types.is_large_list, pa.types.is_fixed_size_list),
    }
    if missing := [name for name in kinds if name not in schema.names]:
        raise UsageError(
            f"expected the columns {QUERY} and {VECTOR} in the query vectors, got no {' and no '.join(missing)} among "
            f"{quote(schema.names)} in {shown(path)}: name them so"
        )
    query, vector = _plain(schema.field(QUERY).type), schema.field(VECTOR).type
    is_text, is_list = (any(is_kind(of) for is_kind in kinds[name]) for name, of in ((QUERY, query), (VECTOR, vector)))
    if not is_text or not is_list or not (pa.types.is_floating(vector.value_type)):
        raise UsageError(
            f"expected a {QUERY} of text and a {VECTOR} that is a list of floats, got {query} and {vector} in "
            f"{shown(path)}: {_REMEDY}"
        )


def _plain(kind: pa.DataType) -> pa.DataType:
    """The type of the values, where they are coded by a dictionary."""
    return kind.value_type if pa.types.is_dictionary(kind) else kind


def _length(count: int) -> str:
    return "null" if count < 0 else f"{count:,}"


def _names(files: Sequence[str]) -> str:
    return shown(files[0]) if len(files) == 1 else f"{len(files)} files"


def _damaged(path: str, error: Exception) -> CorruptFileError:
    return CorruptFileError(f"expected a Parquet file, got {quote(str(error))} in {shown(path)}: write it again")
