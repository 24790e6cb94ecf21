"""What the pages of a Parquet file take once they are decompressed, told by their headers.

pyarrow decompresses a page whole, whatever its size, and does not tell that size before. The header does: it lies
uncompressed before each page, a struct of Thrift's compact protocol (PageHeader of apache/parquet-format: field 1 is
the type of page, 2 and 3 its uncompressed and compressed bytes, 5 or 8 what is said of a data page, whose field 1 is
the number of values; the others are skipped).
"""

from collections.abc import Iterator
from typing import Any, BinaryIO, NamedTuple

from schemas.errors import CorruptFileError
from schemas.files import shown
from schemas.parquet.thrift_compact import CompactReader

_DICTIONARY_PAGE, _DATA_PAGE_FIELDS = 2, (5, 8)
#: A header is some tens of bytes, more where it has statistics; pyarrow refuses one above the larger number.
_HEADER_BYTES, _MAX_HEADER_BYTES = 256, 16 << 20


class Page(NamedTuple):
    """A page's size in memory; whether it is the dictionary of its column chunk, and if not, how many values it has,
    nulls too."""

    uncompressed_bytes: int
    is_dictionary: bool
    num_values: int


def pages_of(file: BinaryIO, start: int, end: int) -> Iterator[Page]:
    """The pages that lie from `start` to `end`, where a column chunk does. Raises CorruptFileError for what is none."""
    place = start
    while place < end:
        try:
            fields, header_bytes = _header_at(file, place)
            kind, uncompressed_bytes, compressed_bytes = (fields[number] for number in (1, 2, 3))
            num_values = next((fields[number][1] for number in _DATA_PAGE_FIELDS if number in fields), 0)
            if min(kind, uncompressed_bytes, compressed_bytes, num_values) < 0:
                raise ValueError("a size below 0")
        except (IndexError, KeyError, TypeError, ValueError) as error:
            raise CorruptFileError(
                f"expected a Parquet file, got no header of a page at byte {place:,} ({error}) in {shown(file.name)}: "
                "write it again"
            ) from error
        yield Page(uncompressed_bytes, kind == _DICTIONARY_PAGE, num_values)
        place += header_bytes + compressed_bytes


def _header_at(file: BinaryIO, place: int) -> tuple[dict[int, Any], int]:
    """What CompactReader.struct reads there, and how long it is. IndexError if it does not end, ValueError if it is
    none."""
    size = _HEADER_BYTES
    while True:
        file.seek(place)
        data = file.read(size)
        reader = CompactReader(data)
        try:
            return reader.struct(), reader.place
        except IndexError:  # it goes on behind what was read
            if len(data) < size or size == _MAX_HEADER_BYTES:
                raise
        size = min(size * 16, _MAX_HEADER_BYTES)
