"""The elements of a JSON array, one after the other, whatever the length of the array."""

import re
from collections.abc import Iterator
from typing import IO

from schemas.errors import CorruptFileError
from schemas.files import shown

_PIECE_BYTES = 1 << 20
_STRING = rb'"[^"\\]*+(?:\\.[^"\\]*+)*+"'
#: From within an element to its next bracket, and from its start to the bracket or comma that follows.
_TO_BRACKET = re.compile(rb'(?:[^"\[\]{}]++|' + _STRING + rb")*+([\[\]{}])", re.DOTALL)
_TO_MARK = re.compile(rb'(?:[^"\[\]{},]++|' + _STRING + rb")*+([\[\]{},])", re.DOTALL)


def array_elements(file: IO[bytes], path: str, max_bytes: int) -> Iterator[tuple[int, bytes]]:
    """(place from 1, text) of each element of the array that a UTF-8 file holds, or of several behind each other.

    An element is cut out by its brackets, so what else is wrong with it is left to whoever parses it. Raises
    CorruptFileError for an array that does not end, and for an element above max_bytes.
    """
    text = _Text(file, path, max_bytes)
    while text.skip_to_array():
        ended = False
        while not ended:
            element, mark = text.take_element()
            ended = mark == b"]"
            if element or not ended:  # an empty array has none, nor has a comma before its end
                text.place += 1
                yield text.place, element


class _Text:
    def __init__(self, file: IO[bytes], path: str, max_bytes: int):
        self._file, self._path, self._max_bytes = file, path, max_bytes
        self._data, self._start = b"", 0
        self.place = 0

    def skip_to_array(self) -> bool:
        """Passes the opening bracket; False at the end of the file."""
        while not (rest := self._data[self._start : self._start + _PIECE_BYTES].lstrip(b" \t\r\n\xef\xbb\xbf")):
            self._data, self._start = self._file.read(_PIECE_BYTES), 0
            if not self._data:
                return False
        if not rest.startswith(b"["):
            raise self._broken("something else behind it")
        self._start = self._data.index(b"[", self._start) + 1
        return True

    def take_element(self) -> tuple[bytes, bytes]:
        """An element and the comma or bracket behind it."""
        depth, end = 0, self._start
        while True:
            found = (_TO_BRACKET if depth else _TO_MARK).match(self._data, end)
            if found is None:
                end -= self._read_on()
                continue
            mark, end = found[1], found.end()
            if not depth and mark in b",]":
                element = self._data[self._start : end - 1].strip()
                self._start = end
                return element, mark
            depth += 1 if mark in b"[{" else -1
            if depth < 0:
                raise self._broken("a bracket too many")

    def _read_on(self) -> int:
        """Reads more of the element; returns by how much its places have moved."""
        moved, self._data = self._start, self._data[self._start :]
        self._start = 0
        if len(self._data) > self._max_bytes:
            raise self._broken(f"one of more than {self._max_bytes:,} bytes")
        more = self._file.read(_PIECE_BYTES)
        if not more:
            raise self._broken("the end of the file")
        self._data += more
        return moved

    def _broken(self, what: str) -> CorruptFileError:
        return CorruptFileError(
            f"expected a JSON array, got {what} behind element {self.place:,} in {shown(self._path)}: write it again"
        )
