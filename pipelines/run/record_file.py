"""TFRecord files with random access to the records that a first pass has met."""

from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

from schemas import storage
from schemas.errors import CorruptFileError
from schemas.hashing import content_hash
from schemas.records.tfrecords import read_records

#: Of a TFRecord file, around each payload: its length and that CRC; its own CRC.
_HEADER_BYTES, _FOOTER_BYTES = 12, 4


class RecordFile:
    """A TFRecord file whose records can be read again, in any order, once they have been scanned."""

    def __init__(self, path: Path):
        self.path = path
        self._scanned: list[tuple[int, int, bytes]] = []
        self._file: BinaryIO | None = None

    def __len__(self) -> int:
        return len(self._scanned)

    def scan(self) -> Iterator[tuple[bytes, bytes]]:
        """(payload, its hash) of each record, in order. Raises as read_records does."""
        offset = 0
        for payload in read_records(self.path):
            digest = content_hash(payload)
            self._scanned.append((offset + _HEADER_BYTES, len(payload), digest))
            offset += _HEADER_BYTES + len(payload) + _FOOTER_BYTES
            yield payload, digest

    def payload(self, number: int) -> bytes:
        """A record that was scanned. Raises CorruptFileError if it is another by now."""
        if self._file is None:
            self._file = storage.open_file(self.path, "rb", buffering=0)
        offset, size_bytes, digest = self._scanned[number]
        payload = storage.read_at(self._file, size_bytes, offset)
        if content_hash(payload) != digest:
            raise CorruptFileError(f"expected record {number} of {self.path} as it was a moment ago, got another")
        return payload

    def close(self) -> None:
        """Ends reading; what was scanned can still be read again."""
        if self._file is not None:
            self._file.close()
        self._file = None
