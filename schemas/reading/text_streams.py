"""The bytes of a text file as UTF-8, whatever it is compressed with and whatever it is encoded in."""

import codecs
import contextlib
import gzip
import io
import re
import zlib
from collections.abc import Iterator
from typing import IO, Any, cast

from schemas import storage
from schemas.errors import CorruptFileError
from schemas.files import shown
from schemas.quarantine import quote
from schemas.reading.plausible_letters import LettersSeen

#: A longer line, or value of JSON, is broken: no row is that large, and a file without line ends must not fill the
#: memory.
MAX_LINE_BYTES = 16 << 20
#: What compressed files begin with, and what compressed them.
MAGIC = {b"\x1f\x8b": "gzip", b"\x28\xb5\x2f\xfd": "zstd"}
#: Byte order marks; that of UTF-16 begins that of UTF-32.
_BYTE_ORDER_MARKS = {
    codecs.BOM_UTF8: "utf-8",
    codecs.BOM_UTF32_LE: "utf-32-le",
    codecs.BOM_UTF32_BE: "utf-32-be",
    codecs.BOM_UTF16_LE: "utf-16-le",
    codecs.BOM_UTF16_BE: "utf-16-be",
}
#: So many first characters, all of them ASCII, tell UTF-16 that has no mark: UTF-8 text has no zero bytes.
_SURE_CHARACTERS = 8
_PIECE_BYTES = 1 << 20
_OF_UTF8 = re.compile("[^\x00-\x7f\udc80-\udcff]")
#: Bytes that cp1252 does not have, and 0xFF, which hardly any of its texts have.
_NOT_OF_CP1252 = re.compile("[\udc81\udc8d\udc8f\udc90\udc9d\udcff]")
#: Pieces of a file, of those with letters beyond ASCII, whose letters are looked at.
_MAX_PIECES_OF_LETTERS = 2


def compression_of(path: str) -> str:
    """ "gzip", "zstd" or "" by a file's first bytes, whatever its name is."""
    with storage.open_file(path, "rb") as file:
        start = file.read(4)
    return next((name for magic, name in MAGIC.items() if start.startswith(magic)), "")


@contextlib.contextmanager
def open_unpacked(path: str, compression: str) -> Iterator[IO[bytes]]:
    """A file's bytes, uncompressed. A damaged file raises CorruptFileError."""
    try:
        if compression == "zstd":
            import pyarrow as pa  # a moment that commands which read no table need not wait for

            with pa.CompressedInputStream(pa.OSFile(path), "zstd") as stream:
                yield io.BufferedReader(cast(io.RawIOBase, stream))
        else:
            with gzip.open(path, "rb") if compression == "gzip" else storage.open_file(path, "rb") as file:
                yield cast(IO[bytes], file)
    except (OSError, EOFError, zlib.error, UnicodeError) as error:
        raise CorruptFileError(
            f"expected a readable file, got {quote(str(error))} in {shown(path)}: write it again"
        ) from error


@contextlib.contextmanager
def open_utf8(path: str, compression: str, encoding: str, returns: bool) -> Iterator[IO[bytes]]:
    """A text file's bytes, uncompressed, as UTF-8; what is not of the encoding is not UTF-8 either. returns: carriage
    returns end its lines, and become newlines."""
    with open_unpacked(path, compression) as file:
        if encoding == "utf-8" and not returns:
            yield file
        else:
            yield io.BufferedReader(_Transcoded(file, encoding, returns), _PIECE_BYTES)


def encoding_of(sample: bytes, path: str, compression: str, may_be_cp1252: bool) -> str:
    """The encoding of a text that begins with `sample`, as Python names it: by its byte order mark, by zero bytes, or
    cp1252 where the whole file has bytes that are not UTF-8 and not one character that only UTF-8 writes so, and its
    letters are what words of cp1252 have (see schemas.reading.plausible_letters). A file that has both is UTF-8, with
    damage; so is one of another encoding, which a person has to tell."""
    for mark, name in _BYTE_ORDER_MARKS.items():
        if sample.startswith(mark):
            return name
    low, high = sample[: 2 * _SURE_CHARACTERS : 2], sample[1 : 2 * _SURE_CHARACTERS : 2]
    if len(high) == _SURE_CHARACTERS:
        for text, zeros, name in ((low, high, "utf-16-le"), (high, low, "utf-16-be")):
            if not any(zeros) and all(text) and text.isascii():
                return name
    return "cp1252" if may_be_cp1252 and _is_cp1252(path, compression) else "utf-8"


def _is_cp1252(path: str, compression: str) -> bool:
    decoder = codecs.getincrementaldecoder("utf-8")("surrogateescape")
    found, letters, num_pieces = False, LettersSeen(), 0
    with open_unpacked(path, compression) as file:
        while True:
            piece = file.read(_PIECE_BYTES)
            if piece and piece.isascii() and not decoder.getstate()[0]:
                continue
            text = decoder.decode(piece, final=not piece)
            if _OF_UTF8.search(text) or _NOT_OF_CP1252.search(text):
                return False
            found = found or not text.isascii()
            if not piece:
                return found and letters.are_plausible
            if num_pieces < _MAX_PIECES_OF_LETTERS:
                letters.add(piece.decode("cp1252", "replace"))
                num_pieces += 1


class _Transcoded(io.RawIOBase):
    """UTF-8 out of the bytes of another encoding."""

    def __init__(self, source: IO[bytes], encoding: str, returns: bool):
        self._source, self._returns = source, returns
        # the lone surrogates of UTF-16 and UTF-32 stay what they are, other wrong bytes too: none of them is UTF-8
        self._errors = "surrogatepass" if encoding.startswith(("utf-16", "utf-32")) else "surrogateescape"
        self._decoder = codecs.getincrementaldecoder(encoding)(self._errors)
        self._ready = memoryview(b"")

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        while not self._ready:
            piece = self._source.read(_PIECE_BYTES)
            text = self._decoder.decode(piece, final=not piece)
            data = text.encode("utf-8", self._errors)
            self._ready = memoryview(data.replace(b"\r", b"\n") if self._returns else data)
            if not piece and not self._ready:
                return 0
        count = min(len(buffer), len(self._ready))
        buffer[:count] = self._ready[:count]
        self._ready = self._ready[count:]
        return count
