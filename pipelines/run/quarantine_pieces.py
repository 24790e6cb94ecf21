"""The quarantine of a unit that may reject any number of rows, written in pieces: a worker holds one at a time."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager

import pyarrow.parquet as pq

from pipelines.run.unit_files import quarantine_path
from pipelines.run.units import UnitWriter
from schemas.quarantine import Rejection, rejections_to_table
from schemas.tables import QUARANTINE

#: Rejections that a worker holds before it writes them, of some 600 bytes each, and about a row group of the file.
ROWS_A_PIECE = 65_536


@contextmanager
def quarantine_in_pieces(writer: UnitWriter) -> Iterator[Callable[[Sequence[Rejection]], None]]:
    """Yields what takes rejections, any number of times; writes and counts them as UnitWriter.quarantine does of all at
    once. Without any there is no file; after an exception neither.

    A piece is sorted, and the pieces follow each other as they came: rejections that come in the order of their file
    are in it. Where a piece ends depends on what is given alone, so that equal rejections give equal bytes.
    """
    with ExitStack() as opened:
        pieces = _Pieces(writer, opened)
        yield pieces.add
        pieces.flush()


class _Pieces:
    def __init__(self, writer: UnitWriter, opened: ExitStack):
        self.writer, self.opened = writer, opened
        self.waiting: list[Rejection] = []
        self.file: pq.ParquetWriter | None = None

    def add(self, rejections: Sequence[Rejection]) -> None:
        self.waiting += rejections
        if len(self.waiting) >= ROWS_A_PIECE:
            self.flush()

    def flush(self) -> None:
        if not self.waiting:
            return
        rows = rejections_to_table(self.waiting)
        self.waiting = []
        if self.file is None:
            path = quarantine_path(self.writer.unit.stage, self.writer.unit.name)
            temporary = self.opened.enter_context(self.writer.file(path))
            self.file = self.opened.enter_context(pq.ParquetWriter(temporary, QUARANTINE, compression="zstd"))
        self.file.write_table(self.writer.quarantined(rows))
