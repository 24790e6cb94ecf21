"""What the footer of a Parquet file says of its column chunks, read without pyarrow.

pyarrow reads a damaged or an encrypted chunk with an error, but asked what the footer says of it, it ends the process.
The footer is a struct of Thrift's compact protocol (FileMetaData of apache/parquet-format).
"""

import functools
import os
from typing import NamedTuple

import pyarrow as pa
import pyarrow.parquet as pq

from schemas import storage
from schemas.errors import CorruptFileError
from schemas.files import shown
from schemas.parquet.thrift_compact import CompactReader

#: The end of a file: four bytes of its footer's length, and a mark, which is this one if the footer is encrypted.
_TAIL_BYTES, _ENCRYPTED_MARK = 8, b"PARE"
#: The key of the Arrow types among the metadata; readers know it in this case only.
_ARROW_TYPES = b"ARROW:schema"
#: Fields of FileMetaData, RowGroup, ColumnChunk and ColumnMetaData.
_ROW_GROUPS, _ENCRYPTION_ALGORITHM = 4, 8
_COLUMNS = 1
_META_DATA, _CRYPTO_METADATA = 3, 8
_NUM_VALUES, _UNCOMPRESSED_BYTES, _COMPRESSED_BYTES, _DATA_PAGE, _DICTIONARY_PAGE = 5, 6, 7, 9, 11


class ChunkFooter(NamedTuple):
    """Sizes of a column chunk, page headers included; start: the place in the file of its first page."""

    num_values: int
    uncompressed_bytes: int
    compressed_bytes: int
    start: int


def read_footer(path: str) -> pq.FileMetaData:
    """A footer whose chunks can be read. Raises CorruptFileError as chunk_footers does, and what pyarrow raises for a
    damaged file."""
    if _tail_of(path).endswith(_ENCRYPTED_MARK):
        raise _encrypted(path)
    metadata = pq.read_metadata(path)
    chunk_footers(path)
    return metadata


def footer_of_stored_types(path: str) -> pq.FileMetaData:
    """The footer without the Arrow types that its writer noted: each column is of the type that is stored, so a list of
    a fixed size is a list. pyarrow writes null among those of a fixed size, and cannot read it."""
    tail = _tail_of(path)
    with storage.open_file(path, "rb") as file:
        file.seek(-_TAIL_BYTES - int.from_bytes(tail[:4], "little"), os.SEEK_END)
        footer = file.read()
    return pq.read_metadata(pa.BufferReader(b"PAR1" + footer.replace(_ARROW_TYPES, _ARROW_TYPES.lower())))


def chunk_footers(path: str) -> tuple[tuple[ChunkFooter, ...], ...]:
    """The chunks of each row group, in the order of the schema's leaves. Looked at once a process, as long as the file
    stays as it is. Raises CorruptFileError for an encrypted file, and for a footer that is none."""
    status = storage.status(path)
    return _chunk_footers(str(path), status.st_mtime_ns, status.st_size)


@functools.lru_cache(maxsize=256)
def _chunk_footers(path: str, mtime_ns: int, num_bytes: int) -> tuple[tuple[ChunkFooter, ...], ...]:
    length = int.from_bytes(_tail_of(path)[:4], "little")
    with storage.open_file(path, "rb") as file:
        file.seek(max(num_bytes - _TAIL_BYTES - length, 0))
        reader = CompactReader(file.read(length))

    def chunk() -> ChunkFooter:
        fields = reader.struct()
        if _CRYPTO_METADATA in fields:
            raise _encrypted(path)
        meta = fields[_META_DATA]
        starts = (meta.get(_DATA_PAGE, 0), meta.get(_DICTIONARY_PAGE, 0))
        start = min((start for start in starts if start > 0), default=0)
        return ChunkFooter(meta[_NUM_VALUES], meta[_UNCOMPRESSED_BYTES], meta[_COMPRESSED_BYTES], start)

    def row_group() -> tuple[ChunkFooter, ...]:
        return tuple(reader.struct({_COLUMNS: chunk})[_COLUMNS])

    try:
        fields = reader.struct({_ROW_GROUPS: row_group})
        if _ENCRYPTION_ALGORITHM in fields:
            raise _encrypted(path)
        return tuple(fields[_ROW_GROUPS])
    except CorruptFileError:
        raise
    except (AttributeError, IndexError, KeyError, TypeError, ValueError) as error:
        raise CorruptFileError(
            f"expected a Parquet file, got a footer that is none ({error}) in {shown(path)}: write it again"
        ) from error


def _tail_of(path: str) -> bytes:
    with storage.open_file(path, "rb") as file:
        file.seek(max(file.seek(0, os.SEEK_END) - _TAIL_BYTES, 0))
        return file.read()


def _encrypted(path: str) -> CorruptFileError:
    return CorruptFileError(
        f"expected a plain Parquet file, got an encrypted one at {shown(path)}: decrypt it in the export"
    )
