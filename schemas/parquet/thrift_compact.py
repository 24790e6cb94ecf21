"""Thrift's compact protocol, in which the footer and the page headers of a Parquet file are written: read are the whole
numbers of a struct, and of the structs in it.
"""

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any

_MAX_DEPTH = 10
_TRUE, _FALSE, _BYTE, _I16, _I32, _I64, _DOUBLE, _BINARY, _LIST, _SET, _MAP, _STRUCT, _UUID = range(1, 14)
_FIXED_BYTES = {_BYTE: 1, _DOUBLE: 8, _UUID: 16}


class CompactReader:
    """Reads Thrift's compact protocol in a time that the length of the data bounds. IndexError at the end of the data,
    ValueError for what it does not have."""

    def __init__(self, data: bytes):
        self.data, self.place = data, 0

    def struct(self, lists: Mapping[int, Callable[[], Any]] = MappingProxyType({}), depth: int = 0) -> dict[int, Any]:
        """The whole numbers and structs among its fields, by field, and the lists of structs of which `lists` tells by
        field what reads one of them; the others are passed over."""
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
                fields[field] = self.struct(depth=depth + 1)
            elif kind == _LIST and field in lists:
                fields[field] = [lists[field]() for _ in range(self._num_structs())]
            elif kind not in (_TRUE, _FALSE):  # whose value is their kind
                self._skip(kind, depth)
        return fields

    def _num_structs(self) -> int:
        """The length of the list of structs that begins here."""
        head = self._byte()
        length = head >> 4 if head >> 4 != 15 else self._varint()
        if length and head & 15 != _STRUCT:
            raise ValueError(f"a list of kind {head & 15}")
        return length

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
            self.struct(depth=depth + 1)
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
        if count > len(self.data) - self.place:  # each takes a byte or more; those of fixed length are not looked at
            raise IndexError(f"{count:,} values")
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
