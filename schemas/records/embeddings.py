"""Embeddings as Parquet: `item_id` and a unit vector a row, written so that any tool reads them and equal content is
equal bytes.

Dictionary off, BYTE_STREAM_SPLIT + zstd for the vectors: 866 bytes a row of 256 floats against 1,062 with pyarrow's
defaults, as fast to write and faster to read. The vector field is non-null: pyarrow writes a null FixedSizeList row
that it cannot read back, so an item without a vector has no row.
"""

import os
import re
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from schemas.errors import CorruptFileError
from schemas.files import expand_inputs
from schemas.parquet.files import PARQUET_ERRORS
from schemas.quarantine import quote
from schemas.storage import atomic_write
from schemas.tables import EMBEDDINGS, SCHEMA_VERSION

#: Vectors are unit vectors, so the inner product is the cosine.
METRIC = "cosine"
#: Keys of the file metadata that every embeddings file carries.
METADATA_KEYS = ("dimension", "metric", "model_id", "schema_version")
NORM_TOLERANCE = 1e-4
ROWS_PER_GROUP = 16_384
_ROWS_PER_CHECK = 65_536
_DIMENSION = re.compile(r"[1-9][0-9]{0,5}")
_VECTOR_LEAF = "embedding.list.element"
_TO_GIVE = "give a folder of item vectors and nothing else, as embeddings, unified or prod2vec/embeddings of a run"


def embeddings_schema(dim: int) -> pa.Schema:
    """schemas.tables.EMBEDDINGS with vectors of `dim` numbers."""
    element = EMBEDDINGS.field("embedding").type.value_field
    return pa.schema([EMBEDDINGS.field("item_id"), pa.field("embedding", pa.list_(element, dim), nullable=False)])


def embeddings_metadata(model_id: str, dim: int) -> dict[str, str]:
    """The file metadata of embeddings made by one model. No date: equal content, equal bytes."""
    return {
        "dimension": str(dim),
        "metric": METRIC,
        "model_id": model_id,
        "schema_version": str(SCHEMA_VERSION),
    }


def validate_embeddings(ids: pa.Array, matrix_ND: np.ndarray, where: str) -> None:
    """Raises CorruptFileError, naming `where` and the first bad row, unless the ids are unique, not null and ascending
    (by code point) and the vectors are float32 [N, D], finite and of norm 1 within NORM_TOLERANCE.
    """
    if matrix_ND.ndim != 2 or matrix_ND.dtype != np.float32 or len(ids) != len(matrix_ND):
        got = f"{matrix_ND.dtype} {list(matrix_ND.shape)} for {len(ids)} ids"
        raise CorruptFileError(f"expected float32 [N, D] vectors and N ids, got {got} in {where}")
    if ids.null_count:
        raise CorruptFileError(f"expected ids without nulls, got {ids.null_count} nulls in {where}")
    if len(ids) > 1:
        ascending = pc.less(ids[:-1], ids[1:]).to_numpy(zero_copy_only=False)
        if not ascending.all():
            row = int(np.argmin(ascending)) + 1
            raise CorruptFileError(
                f"expected unique ids in ascending order, got {quote(ids[row].as_py())} after "
                f"{quote(ids[row - 1].as_py())} in row {row} of {where}: sort the rows by item_id and write the "
                "file again"
            )
    for start in range(0, len(matrix_ND), _ROWS_PER_CHECK):
        block = matrix_ND[start : start + _ROWS_PER_CHECK]
        norms = np.sqrt(np.einsum("nd,nd->n", block, block, dtype=np.float64))
        good = np.abs(norms - 1) <= NORM_TOLERANCE  # False for NaN and infinity too
        if not good.all():
            row = int(np.argmin(good))
            raise CorruptFileError(
                f"expected finite vectors of norm 1 (within {NORM_TOLERANCE}), got norm {norms[row]} for item "
                f"{quote(ids[start + row].as_py())} in row {start + row} of {where}: the model that made it is at fault"
            )


def write_embeddings_file(
    path: str | os.PathLike[str],
    ids: pa.Array | Sequence[str],
    matrix_ND: np.ndarray,
    metadata: Mapping[str, str],
) -> None:
    """Validates and writes one embeddings file atomically: `ids` ascending, `matrix_ND` float32 unit rows.

    `metadata` as from `embeddings_metadata`; its dimension must be D. Raises CorruptFileError for bad content.
    """
    ids = pa.array(ids, pa.string()) if not isinstance(ids, pa.Array) else ids.cast(pa.string())
    matrix_ND = np.ascontiguousarray(matrix_ND)
    validate_embeddings(ids, matrix_ND, str(path))
    if set(metadata) != set(METADATA_KEYS) or metadata["dimension"] != str(matrix_ND.shape[1]):
        expected = f"{', '.join(METADATA_KEYS)} with dimension {matrix_ND.shape[1]}"
        raise CorruptFileError(f"expected metadata {expected}, got {dict(metadata)} for {path}")
    schema = embeddings_schema(matrix_ND.shape[1])
    vectors = pa.FixedSizeListArray.from_arrays(pa.array(matrix_ND.reshape(-1)), type=schema.field("embedding").type)
    table = pa.table([ids, vectors], schema=schema.with_metadata(dict(sorted(metadata.items()))))
    with atomic_write(path) as temporary:
        pq.write_table(
            table,
            temporary,
            row_group_size=ROWS_PER_GROUP,
            compression="zstd",
            use_dictionary=False,
            column_encoding={_VECTOR_LEAF: "BYTE_STREAM_SPLIT"},
            write_statistics=["item_id"],
        )


def embedding_files(folder: str | os.PathLike[str]) -> list[str]:
    """The Parquet files of an embeddings folder, sorted; UsageError if there are none."""
    return expand_inputs(str(Path(folder)))


def read_embeddings_metadata(folder: str | os.PathLike[str]) -> dict[str, str]:
    """METADATA_KEYS of the files of a folder. Raises CorruptFileError if one lacks them or they differ: an embeddings
    folder comes from one model.
    """
    return _common_metadata({path: _open(path) for path in embedding_files(folder)})


def read_embeddings(folder: str | os.PathLike[str]) -> tuple[pa.Array, np.ndarray]:
    """All rows of an embeddings folder, ascending by item_id: ids (string) [N] and vectors float32 [N, D], C order.

    One file of one row group is not copied (the vectors are then read-only); else the peak is the matrix and one row
    group. Values are not checked: `validate_embeddings` does. Raises CorruptFileError for a wrong schema, unreadable
    files or metadata that differ between files.
    """
    files = {path: _open(path) for path in embedding_files(folder)}
    dim = int(_common_metadata(files)["dimension"])
    for path, file in files.items():
        if not file.schema_arrow.equals(embeddings_schema(dim)):
            raise CorruptFileError(
                f"expected the columns {embeddings_schema(dim)}, got {quote(str(file.schema_arrow))} in {path}"
            )
    groups = [(path, file, group) for path, file in files.items() for group in range(file.num_row_groups)]
    if len(groups) == 1:
        table = _read_group(*groups[0], ["item_id", "embedding"])
        return table["item_id"].combine_chunks(), _vectors(table, dim, groups[0][0])
    id_chunks = [_read_group(*group, ["item_id"])["item_id"].combine_chunks() for group in groups]
    ids = pa.concat_arrays(id_chunks) if id_chunks else pa.array([], pa.string())
    order = pc.sort_indices(ids).to_numpy()
    position_of_row = np.empty(len(ids), np.int64)
    position_of_row[order] = np.arange(len(ids))
    matrix_ND = np.empty((len(ids), dim), np.float32)
    start = 0
    for group in groups:
        part = _vectors(_read_group(*group, ["embedding"]), dim, group[0])
        matrix_ND[position_of_row[start : start + len(part)]] = part
        start += len(part)
    return ids.take(pa.array(order)), matrix_ND


def _open(path: str) -> pq.ParquetFile:
    try:
        return pq.ParquetFile(path)
    except PARQUET_ERRORS as error:
        raise CorruptFileError(
            f"expected a Parquet file of embeddings at {path}, got {quote(str(error))}: {_TO_GIVE}"
        ) from error


def _common_metadata(files: Mapping[str, pq.ParquetFile]) -> dict[str, str]:
    found = {path: _metadata_of(path, file) for path, file in files.items()}
    first_path, first = next(iter(found.items()))
    for path, metadata in found.items():
        if metadata != first:
            raise CorruptFileError(
                f"expected {quote(first)} as in {first_path}, got {quote(metadata)} in {path}: one model a folder"
            )
    return first


def _metadata_of(path: str, file: pq.ParquetFile) -> dict[str, str]:
    raw = file.schema_arrow.metadata or {}
    metadata = {key: raw[key.encode()].decode(errors="replace") for key in METADATA_KEYS if key.encode() in raw}
    missing = [key for key in METADATA_KEYS if key not in metadata]
    if missing:
        raise CorruptFileError(
            f"expected file metadata {', '.join(METADATA_KEYS)}, got no {', '.join(missing)} in {path}: {_TO_GIVE}"
        )
    if not _DIMENSION.fullmatch(metadata["dimension"]):
        raise CorruptFileError(f"expected a number as dimension, got {quote(metadata['dimension'])} in {path}")
    return metadata


def _read_group(path: str, file: pq.ParquetFile, group: int, columns: Iterable[str]) -> pa.Table:
    try:
        return file.read_row_group(group, columns=list(columns))
    except PARQUET_ERRORS as error:
        raise CorruptFileError(
            f"expected readable rows in row group {group} of {path}, got {quote(str(error))}"
        ) from error


def _vectors(table: pa.Table, dim: int, path: str) -> np.ndarray:
    """float32 [rows, dim] of the column `embedding`; a view where Arrow's buffer allows."""
    vectors = table["embedding"].combine_chunks()
    numbers = vectors.flatten()
    if vectors.null_count or numbers.null_count:
        raise CorruptFileError(f"expected vectors without nulls, got some in {path}: write the file again")
    return numbers.to_numpy(zero_copy_only=True).reshape(-1, dim)
