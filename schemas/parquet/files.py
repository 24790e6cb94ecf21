"""Parquet files opened so that what is read is what was written, or refused.

Page checksums are compared where a writer made them. Times of the old INT96 type, a day and the nanoseconds within it,
are read as microseconds: as nanoseconds, which pyarrow makes of them by itself, they wrap round outside of the years
1678 to 2262, and 9999-12-31 becomes a day in 1816.
"""

from collections.abc import Iterator, Sequence
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from schemas.errors import CorruptFileError
from schemas.files import shown
from schemas.quarantine import quote

#: What pyarrow raises for a damaged Parquet file. UnicodeDecodeError: its own message holds the damaged bytes.
PARQUET_ERRORS = (OSError, pa.ArrowException, UnicodeDecodeError)
#: As many milliseconds from 1970 as 64 bits have microseconds: Arrow multiplies the days of INT96 unchecked.
_MAX_INT96_MS = (2**63 - 1) // 1_000


def open_parquet(path: str, **options: Any) -> pq.ParquetFile:
    """An open Parquet file; `options` of pq.ParquetFile. OSError at a page that does not fit its checksum."""
    checked: dict[str, Any] = {"page_checksum_verification": True, "coerce_int96_timestamp_unit": "us"}
    return pq.ParquetFile(path, **{"pre_buffer": False, **checked, **options})


def check_int96(file: pq.ParquetFile, path: str, part: int, columns: Sequence[str]) -> None:
    """Raises CorruptFileError for a time of these columns that microseconds would wrap round."""
    if not columns:
        return
    with open_parquet(path, metadata=file.metadata, coerce_int96_timestamp_unit="ms") as reading:
        for batch in reading.iter_batches(row_groups=[part], columns=list(columns)):
            for name, column in zip(batch.schema.names, batch.columns, strict=True):
                for times in _leaves(column):
                    if pc.any(pc.greater(pc.abs(times.cast(pa.int64())), _MAX_INT96_MS)).as_py():
                        raise CorruptFileError(
                            f"expected times within 292,000 years of 1970, got an INT96 beyond them in column "
                            f"{quote(name)}, row group {part} of {shown(path)}: write timestamps of microseconds"
                        )


def _leaves(array: pa.Array) -> Iterator[pa.Array]:
    """The times in an array: itself, or the members of its lists and structs."""
    if pa.types.is_timestamp(array.type):
        yield array
    elif pa.types.is_struct(array.type):
        for member in array.flatten():
            yield from _leaves(member)
    elif hasattr(array, "values"):
        yield from _leaves(array.values)
