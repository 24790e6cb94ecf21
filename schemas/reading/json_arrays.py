"""JSON that is too large to be parsed at once, cut into its parts by its brackets: the elements of an array, the values
of an object. What else is wrong with a part is left to whoever parses it."""

import json
import re
from collections.abc import Iterator
from typing import IO

from schemas.errors import CorruptFileError
from schemas.files import shown

_PIECE_BYTES = 1 << 20
_BLANKS = b" \t\r\n\xef\xbb\xbf"
_STRING = rb'"[^"\\]*+(?:\\.[^"\\]*+)*+"'
#: From within an element to its next bracket, and from its start to the bracket or comma that follows.
_TO_BRACKET = re.compile(rb'(?:[^"\[\]{}]++|' + _STRING + rb")*+([\[\]{}])", re.DOTALL)
_TO_MARK = re.compile(rb'(?:[^"\[\]{},]++|' + _STRING + rb")*+([\[\]{},])", re.DOTALL)
#: A name of an object, with the colon behind it.
_KEY = re.compile(rb"\s*(" + _STRING + rb")\s*:", re.DOTALL)


def array_elements(file: IO[bytes], path: str, max_bytes: int) -> Iterator[tuple[int, bytes]]:
    """(place from 1, text) of each element of the array that a UTF-8 file holds, or of several behind each other.

    Raises CorruptFileError for an array that does not end, and for an element above max_bytes.
    """
    text = JsonText(file, path, max_bytes)
    while start := text.next_byte():
        if start != b"[":
            raise text.broken("something else behind it")
        for element in text.elements():
            text.place += 1
            yield text.place, element


def objects_behind_each_other(file: IO[bytes], path: str, max_bytes: int) -> Iterator[tuple[int, bytes]]:
    """(place from 1, text) of each object of a UTF-8 file that has one behind the other, wherever its lines end.

    Raises CorruptFileError for one that does not end, for anything else between them, and for one above max_bytes.
    """
    text = JsonText(file, path, max_bytes)
    for value in text.objects():
        text.place += 1
        yield text.place, value


class JsonText:
    """A place in a file of JSON, which moves on. place: of the element before it, for messages. What passes a part
    raises CorruptFileError where the file ends within it, or it has more than max_bytes."""

    def __init__(self, file: IO[bytes], path: str, max_bytes: int, max_depth: int | None = None):
        """max_depth: how deep brackets of a part may nest; None: as deep as they do."""
        self._file, self._path, self._max_bytes, self._max_depth = file, path, max_bytes, max_depth
        self._data, self._start = b"", 0
        self.place = 0

    def next_byte(self) -> bytes:
        """The next that is no blank, which stays; b"" at the end of the file."""
        while not (rest := self._data[self._start : self._start + _PIECE_BYTES].lstrip(_BLANKS)):
            self._start = min(self._start + _PIECE_BYTES, len(self._data))
            if self._start == len(self._data):
                self._data, self._start = self._file.read(_PIECE_BYTES), 0
                if not self._data:
                    return b""
        self._start = self._data.index(rest[:1], self._start)
        return rest[:1]

    def elements(self) -> Iterator[bytes]:
        """Those of the array whose bracket comes next; it is passed once they all are taken."""
        self._start += 1
        ended = False
        while not ended:
            element, mark = self._take_part(b",]")
            ended = mark == b"]"
            if element or not ended:  # an empty array has none, nor has a comma before its end
                yield element

    def names(self) -> Iterator[str]:
        """The names of the object whose bracket comes next. The value of each has to be passed before the next is
        asked for; then the object is passed."""
        self._start += 1
        while (start := self.next_byte()) != b"}":
            if start == b",":
                self._start += 1
                continue
            while (found := _KEY.match(self._data, self._start)) is None:
                if start not in b'"':
                    raise self.broken("no name of a value")
                self._read_on()
            self._start = found.end()
            try:
                yield str(json.loads(found[1].decode("utf-8", "surrogateescape")))
            except ValueError:
                raise self.broken("no name of a value") from None
        self._start += 1

    def skip_value(self) -> None:
        """Passes a value of an object; a list is passed by its elements, however many they are."""
        if self.next_byte() == b"[":
            for _ in self.elements():
                pass
            return
        _, mark = self._take_part(b",}")
        self._start -= mark == b"}"

    def take_value(self) -> bytes:
        """Passes a value of an object, and returns it."""
        value, mark = self._take_part(b",}")
        self._start -= mark == b"}"
        return value

    def objects(self) -> Iterator[bytes]:
        """The objects of a file that stand one behind the other, with blanks or a comma between."""
        while start := self.next_byte():
            if start == b",":
                self._start += 1
            elif start == b"{":
                yield self._take_object()
            else:
                raise self.broken("something else behind it")

    def rest(self, num_bytes: int) -> bytes:
        """So many bytes of what comes next, or fewer; they stay."""
        return self._data[self._start : self._start + num_bytes]

    def _take_object(self) -> bytes:
        depth, end = 0, self._start
        while True:
            found = _TO_BRACKET.match(self._data, end)
            if found is None:
                end -= self._read_on()
                continue
            depth, end = depth + (1 if found[1] in b"[{" else -1), found.end()
            if not depth:
                value, self._start = self._data[self._start : end], end
                return value

    def _take_part(self, marks: bytes) -> tuple[bytes, bytes]:
        """An element or a value, and the comma or bracket behind it."""
        depth, end = 0, self._start
        while True:
            found = (_TO_BRACKET if depth else _TO_MARK).match(self._data, end)
            if found is None:
                end -= self._read_on()
                continue
            mark, end = found[1], found.end()
            if not depth and mark in marks:
                part = self._data[self._start : end - 1].strip()
                self._start = end
                return part, mark
            depth += 1 if mark in b"[{" else -1
            if depth < 0:
                raise self.broken("a bracket too many")
            if self._max_depth is not None and depth > self._max_depth:
                raise self.broken(f"more than {self._max_depth} levels")

    def _read_on(self) -> int:
        """Reads more of the part; returns by how much its places have moved."""
        moved, self._data = self._start, self._data[self._start :]
        self._start = 0
        if len(self._data) > self._max_bytes:
            raise self.broken(f"one of more than {self._max_bytes:,} bytes")
        more = self._file.read(_PIECE_BYTES)
        if not more:
            raise self.broken("the end of the file")
        self._data += more
        return moved

    def broken(self, what: str) -> CorruptFileError:
        """What to raise for JSON that cannot be cut."""
        return CorruptFileError(
            f"expected a JSON array or object, got {what} behind element {self.place:,} in {shown(self._path)}: write "
            "it again"
        )
