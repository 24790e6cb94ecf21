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

_DICTIONARY_PAGE, _DATA_PAGE_FIELDS = 2, (5, 8)
#: A header is some tens of bytes, more where it has statistics; pyarrow refuses one above the larger number.
_HEADER_BYTES, _MAX_HEADER_BYTES = 256, 16 << 20
_MAX_DEPTH = 10
_TRUE, _FALSE, _BYTE, _I16, _I32, _I64, _DOUBLE, _BINARY, _LIST, _SET, _MAP, _STRUCT, _UUID = range(1, 14)
_FIXED_BYTES = {_BYTE: 1, _DOUBLE: 8, _UUID: 16}


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
    """What _CompactReader.struct reads there, and how long it is. IndexError if it does not end, ValueError if it is
    none."""
    size = _HEADER_BYTES
    while True:
        file.seek(place)
        data = file.read(size)
        reader = _CompactReader(data)
        try:
            return reader.struct(), reader.place
        except IndexError:  # it goes on behind what was read
            if len(data) < size or size == _MAX_HEADER_BYTES:
                raise
        size = min(size * 16, _MAX_HEADER_BYTES)


class _CompactReader:
    """Reads Thrift's compact protocol. IndexError at the end of the data, ValueError for what it does not have."""

    def __init__(self, data: bytes):
        self.data, self.place = data, 0

    def struct(self, depth: int = 0) -> dict[int, Any]:
        """The whole numbers and structs among its fields, by field; the others are passed over."""
        if depth > _MAX_DEPTH:
            raise ValueError("structs in structs")
        fields: dict[int, Any] = {}
        field = 0
        while (head := self._byte()) != 0:
            kind, delta = head & 15, head >> 4
            field = field + delta if delta else self._zigzag()
            if kind in (_I16, _I32, _I64):
                fields[field] = self._zigzag()
            elif kind == _STRUCT:
                fields[field] = self.struct(depth + 1)
            elif kind not in (_TRUE, _FALSE):  # whose value is their kind
                self._skip(kind, depth)
        return fields

    def _skip(self, kind: int, depth: int) -> None:
        if depth > _MAX_DEPTH:
            raise ValueError("lists in lists")
        if kind in _FIXED_BYTES:
            self.place += _FIXED_BYTES[kind]
        elif kind in (_I16, _I32, _I64):
            self._varint()
        elif kind == _BINARY:
            length = self._varint()
            self.place += length
        elif kind == _STRUCT:
            self.struct(depth + 1)
        elif kind in (_LIST, _SET):
            head = self._byte()
            self._skip_all(head >> 4 if head >> 4 != 15 else self._varint(), (head & 15,), depth)
        elif kind == _MAP:
            count = self._varint()
            kinds = self._byte() if count else 0
            self._skip_all(count, (kinds >> 4, kinds & 15), depth)
        else:
            raise ValueError(f"a field of kind {kind}")

    def _skip_all(self, count: int, kinds: tuple[int, ...], depth: int) -> None:
        for _ in range(count):
            for kind in kinds:
                if kind in (_TRUE, _FALSE):  # outside of a struct, a byte
                    self._byte()
                else:
                    self._skip(kind, depth + 1)

    def _byte(self) -> int:
        self.place += 1
        return self.data[self.place - 1]

    def _varint(self) -> int:
        value = shift = 0
        while True:
            byte = self._byte()
            value |= (byte & 127) << shift
            shift += 7
            if byte < 128:
                return value
            if shift > 63:
                raise ValueError("an endless number")

    def _zigzag(self) -> int:
        value = self._varint()
        return (value >> 1) ^ -(value & 1)
