"""A row group of a Parquet file in batches whose memory is bounded before they are decoded.

Compression and dictionaries make a few kilobytes of file out of gigabytes of values, so rows alone bound nothing:

- a page is decompressed whole; one that is larger than MAX_PAGE_BYTES is refused, by its header;
- a batch has as many rows as fit by the sizes of the pages, and as few as would fit if each had the longest value of
  its column's dictionary. A column with a long one stays dictionary-coded, and is cut by what its rows unfold to;
- a row with a cell above MAX_CELL_BYTES is left out and told; it is never unfolded;
- the cells of list columns may differ without a bound, so a list column of a row group is refused if it takes both
  MAX_LIST_BYTES and MAX_LIST_RATIO times its bytes in the file;
- a cell of pictures that is too large costs itself, not its row; of columns of bytes, which pictures themselves may be,
  the bounds are larger: MAX_PICTURE_PAGE_BYTES, if the file has about as many, and MAX_PICTURES_CELL_BYTES.

What is left open: values coded as DELTA_BYTE_ARRAY, each of which may repeat the whole of the one before.
"""

from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from schemas import storage
from schemas.arrow_types import holds_bytes
from schemas.errors import CorruptFileError
from schemas.files import shown
from schemas.parquet.files import check_int96, open_parquet
from schemas.parquet.footer import chunk_footers
from schemas.parquet.pages import Page, pages_of
from schemas.parquet.value_sizes import MEMBER_BYTES, unfolded_bytes
from schemas.quarantine import quote

#: Writers' pages have 1 MiB or less; the largest known ones (DuckDB) 100 MiB.
MAX_PAGE_BYTES = 128 << 20
#: As long as a line of a text file may be.
MAX_CELL_BYTES = 16 << 20
MAX_LIST_BYTES, MAX_LIST_RATIO = 128 << 20, 100
#: Of a column of pictures. pyarrow writes pages, and dictionaries, of 1,024 values, however large these are.
MAX_PICTURE_PAGE_BYTES, MAX_PICTURES_CELL_BYTES = 1 << 30, 128 << 20
#: Pictures are compressed already: what unfolds to more times its bytes in the file is something else.
_MAX_PICTURE_RATIO = 4
#: Bytes of a value of the physical types that have one width.
_WIDTHS = {"BOOLEAN": 1, "INT32": 4, "INT64": 8, "INT96": 12, "FLOAT": 4, "DOUBLE": 8}
#: What a batch may take if each of its rows has the longest values of the dictionaries.
_MAX_UNFOLDED_BYTES = 256 << 20
#: A column whose cells may unfold to more stays dictionary-coded.
_LONG_CELL_BYTES = 16 << 10
_MAX_UNEVENNESS = 4


class BoundedBatch(NamedTuple):
    """table: columns by the file's names; rows: int64 [table.num_rows], places in the row group, ascending. oversized:
    (place in the row group, why) of the rows that are left out; without_pictures: of those that have null for a cell of
    pictures."""

    table: pa.Table
    rows: np.ndarray
    oversized: list[tuple[int, str]]
    without_pictures: list[tuple[int, str]]


def bounded_batches(
    file: pq.ParquetFile,
    path: str,
    part: int,
    columns: Collection[str],
    max_rows: int,
    max_bytes: int,
    pictures: Collection[str] = (),
) -> Iterator[BoundedBatch]:
    """The row group `part` in order, in batches of at most `max_rows` rows and about `max_bytes` bytes, strings of some
    columns dictionary-coded. file: an open one of `path`; pictures: those of the columns that may hold pictures. Raises
    CorruptFileError for what is refused, and what pyarrow raises for a damaged file."""
    group = file.metadata.row_group(part)
    in_bytes = {name for name in pictures if holds_bytes(file.schema_arrow.field(name).type)}
    chunks = _read_chunks(file, path, part, columns, in_bytes)
    check_int96(file, path, part, [chunk.path for chunk in chunks if chunk.is_int96])
    longest = _longest_values(file, path, part, chunks)
    coded = [chunk.path for chunk in chunks if chunk.stays_coded(longest[chunk.path])]
    unfolded_bytes = sum(chunk.row_bytes(longest[chunk.path]) for chunk in chunks if chunk.path not in coded)
    num_rows = min(max_rows, _MAX_UNFOLDED_BYTES // max(unfolded_bytes, 1))
    num_rows = _rows_that_fit(chunks, group.num_rows, max(num_rows, 1), max_bytes)
    row = 0
    with _opened(file, path, coded) as reading:
        for batch in reading.iter_batches(num_rows, row_groups=[part], columns=sorted(columns)):
            yield from _cut(pa.Table.from_batches([batch]), row, max_bytes, pictures)
            row += batch.num_rows
    if row != group.num_rows:  # pyarrow ends, and says nothing, where the first of the columns ends
        raise CorruptFileError(
            f"expected {group.num_rows:,} rows in row group {part}, got {row:,} in {shown(path)}: write it again"
        )


@dataclass(frozen=True)
class _Chunk:
    """A column chunk, as footer and page headers describe it. width: of its values in bytes, 0 if they differ."""

    path: str
    num_rows: int
    num_values: int
    compressed_bytes: int
    uncompressed_bytes: int
    is_text: bool
    is_int96: bool
    width: int
    is_list: bool
    pages: Sequence[Page]

    @property
    def dictionary_bytes(self) -> int:
        return max((page.uncompressed_bytes for page in self.pages if page.is_dictionary), default=0)

    def is_of(self, columns: Collection[str]) -> bool:
        return _is_of(self.path, columns)

    def row_bytes(self, longest: int) -> int:
        """Of a row whose values are all that long."""
        return longest * max(-(-self.num_values // max(self.num_rows, 1)), 1)

    def stays_coded(self, longest: int) -> bool:
        """Whether its strings are to be read as they are coded."""
        if not self.is_text or not longest:
            return False
        return self.row_bytes(longest) > _LONG_CELL_BYTES or (self.is_list and self.is_much(self.num_values * longest))

    def is_much(self, decoded_bytes: int) -> bool:
        """Whether so many bytes are more than what this chunk may take at once, and than what its file is worth."""
        return decoded_bytes > max(MAX_LIST_BYTES, MAX_LIST_RATIO * self.compressed_bytes)

    def bytes_between(self, rows: np.ndarray) -> np.ndarray:
        """[len(rows) - 1]: what the pages take from each of these rows to the next, if the rows of a page are alike."""
        data = [page for page in self.pages if not page.is_dictionary and page.num_values]
        ends_P = np.cumsum([0, *(page.num_values for page in data)])
        bytes_P = np.cumsum([0, *(page.uncompressed_bytes for page in data)])
        return np.diff(np.interp(rows * (ends_P[-1] / max(self.num_rows, 1)), ends_P, bytes_P))


def _is_of(path: str, columns: Collection[str]) -> bool:
    """Whether the leaf `path` is one of these columns, or lies in one."""
    return any(path == name or path.startswith(f"{name}.") for name in columns)


def _read_chunks(
    file: pq.ParquetFile, path: str, part: int, columns: Collection[str], in_bytes: Collection[str]
) -> list[_Chunk]:
    """The chunks of these columns. Raises CorruptFileError if one is too large to be read."""
    num_rows, footers, chunks = file.metadata.row_group(part).num_rows, chunk_footers(path)[part], []
    if len(footers) != len(file.schema):
        raise CorruptFileError(
            f"expected {len(file.schema)} columns in row group {part}, got {len(footers)} in {shown(path)}: "
            "write it again"
        )
    with storage.open_file(path, "rb") as raw:
        for number, footer in enumerate(footers):
            column = file.schema.column(number)
            if not _is_of(column.path, columns):
                continue
            chunk = _Chunk(
                path=column.path,
                num_rows=num_rows,
                num_values=footer.num_values,
                compressed_bytes=footer.compressed_bytes,
                uncompressed_bytes=footer.uncompressed_bytes,
                is_text=column.physical_type == "BYTE_ARRAY",
                is_int96=column.physical_type == "INT96",
                width=column.length
                if column.physical_type == "FIXED_LEN_BYTE_ARRAY"
                else _WIDTHS.get(column.physical_type, 0),
                is_list=column.max_repetition_level > 0,
                pages=list(pages_of(raw, footer.start, footer.start + footer.compressed_bytes)),
            )
            where = f"in column {quote(chunk.path)}, row group {part} of {shown(path)}"
            _check_size(chunk, where, _max_page_bytes(chunk, in_bytes))
            chunks.append(chunk)
    return chunks


def _max_page_bytes(chunk: _Chunk, in_bytes: Collection[str]) -> int:
    of_pictures = min(MAX_PICTURE_PAGE_BYTES, _MAX_PICTURE_RATIO * chunk.compressed_bytes)
    return max(MAX_PAGE_BYTES, of_pictures) if chunk.is_of(in_bytes) else MAX_PAGE_BYTES


def _check_size(chunk: _Chunk, where: str, max_page_bytes: int) -> None:
    largest = max((page.uncompressed_bytes for page in chunk.pages), default=0)
    if largest > max_page_bytes:
        raise CorruptFileError(
            f"expected pages of at most {max_page_bytes:,} bytes, got one of {largest:,} {where}: "
            "shorten its longest value, or let its writer make smaller pages or row groups"
        )
    decoded_bytes = chunk.uncompressed_bytes + chunk.num_values * MEMBER_BYTES
    if chunk.is_list and chunk.is_much(decoded_bytes):
        raise CorruptFileError(
            f"expected lists of at most {MAX_LIST_BYTES:,} bytes, got {decoded_bytes:,} (out of "
            f"{chunk.compressed_bytes:,} in the file) {where}: shorten its lists, or write smaller row groups"
        )


def _rows_that_fit(chunks: Sequence[_Chunk], total_rows: int, num_rows: int, max_bytes: int) -> int:
    """Rows a batch, at most `num_rows`: their pages take max_bytes on average, and nowhere _MAX_UNEVENNESS times it."""
    mean_bytes = sum(chunk.uncompressed_bytes for chunk in chunks) // max(total_rows, 1)
    num_rows = max(min(num_rows, max_bytes // max(mean_bytes, 1)), 1)
    while num_rows > 1:
        edges = np.append(np.arange(0, total_rows, num_rows), total_rows)
        bytes_B = np.sum([chunk.bytes_between(edges) for chunk in chunks], axis=0)
        if np.max(bytes_B, initial=0) <= _MAX_UNEVENNESS * max_bytes:
            break
        num_rows //= 2
    return num_rows


def _longest_values(file: pq.ParquetFile, path: str, part: int, chunks: Sequence[_Chunk]) -> dict[str, int]:
    """Bytes of the longest value in each chunk's dictionary, or more; 0 of texts without one. Numbers have their width.
    The dictionary of a chunk that may have long texts is looked into, by reading one row."""
    longest = {chunk.path: chunk.dictionary_bytes for chunk in chunks}
    longest |= {chunk.path: chunk.width for chunk in chunks if chunk.width}
    unsure = [chunk for chunk in chunks if chunk.stays_coded(longest[chunk.path])]
    if not unsure:
        return longest
    with _opened(file, path, [chunk.path for chunk in unsure]) as reading:
        names = sorted({chunk.path for chunk in unsure})
        for batch in reading.iter_batches(1, row_groups=[part], columns=names):
            roots = dict(zip(batch.schema.names, map(_longest_in_dictionaries, batch.columns), strict=True))
            for chunk in unsure:
                found = max((n for root, n in roots.items() if chunk.is_of([root])), default=0)
                longest[chunk.path] = found or longest[chunk.path]  # 0: the row had no value, nothing was looked up
            break
    return longest


def _opened(file: pq.ParquetFile, path: str, coded: Sequence[str]) -> pq.ParquetFile:
    return open_parquet(path, metadata=file.metadata, read_dictionary=list(coded))


def _longest_in_dictionaries(array: pa.Array) -> int:
    """Bytes of the longest string in the dictionaries of an array and of what lies in it."""
    if pa.types.is_dictionary(array.type):
        return pc.max(pc.binary_length(array.dictionary)).as_py() or 0
    if pa.types.is_struct(array.type):
        return max(map(_longest_in_dictionaries, array.flatten()), default=0)
    return _longest_in_dictionaries(array.values) if hasattr(array, "values") else 0


def _cut(table: pa.Table, first_row: int, max_bytes: int, pictures: Collection[str]) -> Iterator[BoundedBatch]:
    """The table in pieces of about max_bytes once it is unfolded, without the rows that have an oversized cell, and
    without oversized cells of pictures."""
    total_R = np.zeros(table.num_rows, np.int64)
    oversized: dict[int, str] = {}
    nulled: dict[int, str] = {}
    for place, (name, column) in enumerate(zip(table.column_names, table.columns, strict=True)):
        bytes_R = unfolded_bytes(column.chunk(0) if column.num_chunks == 1 else column.combine_chunks())
        too_large = nulled if name in pictures else oversized
        is_in_bytes = name in pictures and holds_bytes(column.type)
        most = MAX_PICTURES_CELL_BYTES if is_in_bytes else MAX_CELL_BYTES
        is_large_R = bytes_R > most
        for row in np.flatnonzero(is_large_R).tolist():
            above = f", above {most:,}" if name in pictures else ""
            too_large.setdefault(row, f"{bytes_R[row]:,} bytes in {quote(name)}{above}")
        if name in pictures and is_large_R.any():
            table = table.set_column(place, name, column.take(pa.array(np.arange(len(column)), mask=is_large_R)))
            bytes_R[is_large_R] = 0
        total_R += bytes_R
    keep_R = np.ones(table.num_rows, bool)
    keep_R[list(oversized)] = False
    rows = np.flatnonzero(keep_R)
    kept = table.take(pa.array(rows)) if oversized else table
    piece_R = np.maximum(np.cumsum(total_R[rows]) - 1, 0) // max_bytes
    starts = [0, *(np.flatnonzero(np.diff(piece_R)) + 1).tolist(), len(rows)]
    told = [(first_row + row, why) for row, why in sorted(oversized.items())]
    for start, end in pairwise(starts):
        rows_of_piece = rows[start:end]
        lacking = [(first_row + row, nulled[row]) for row in rows_of_piece.tolist() if row in nulled] if nulled else []
        yield BoundedBatch(kept.slice(start, end - start), first_row + rows_of_piece, told, lacking)
        told = []
