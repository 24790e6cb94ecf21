"""Folders that are tables: Delta Lake and Iceberg, of which the files of the current version are found, and others.

A table's folder holds rows that the table no longer has, of products deleted or written again. So the files are those
that the library of the format names, and a table is refused, by name, where even these hold more than it has (rows
deleted within a file) or call columns otherwise than it does.
"""

import os
import re
from collections.abc import Iterable, Iterator, Mapping
from importlib import import_module
from typing import Any
from urllib.parse import unquote

from schemas import storage
from schemas.errors import UsageError
from schemas.quarantine import quote

DELTA, ICEBERG = "Delta Lake", "Iceberg"
_SEVEN_DIGITS = "[0-9]" * 7
#: What lies in the folder of a table.
_MARKS = {
    "_delta_log": DELTA,
    "metadata/*.metadata.json": ICEBERG,
    ".hoodie": "Hudi",
    "_spark_metadata": "Spark stream's",
    "_versions/*.manifest": "Lance",
    "snapshot/snapshot-*": "Paimon",
    f"base_{_SEVEN_DIGITS}/": "Hive ACID",
    f"delta_{_SEVEN_DIGITS}_{_SEVEN_DIGITS}*/": "Hive ACID",
}
#: Format -> (library, extra that installs it).
_LIBRARIES = {DELTA: ("deltalake", "delta"), ICEBERG: ("pyiceberg.table", "iceberg")}
#: What a reader of a Delta table must know and that changes nothing in its files, or that is looked at.
_DELTA_FEATURES = {"columnMapping", "deletionVectors", "timestampNtz", "v2Checkpoint", "vacuumProtocolCheck"}
_METADATA_NAME = re.compile(r"v?(\d+)[-.].*")
_FILE_URI = re.compile(r"file:(?://(?:localhost)?)?(/.*)", re.DOTALL)
_COPY = (
    "let a reader of such tables (deltalake, pyiceberg, Spark) write the current version into a folder of plain "
    "Parquet files, and give that folder"
)


def current_files(folder: str) -> list[str] | None:
    """The data files of the current version of the table whose folder this is; None for the folder of no table.

    Raises UsageError for a table whose files are not just its rows, or that cannot be read, and where the library that
    reads it is not installed.
    """
    kind = _kind_of(folder)
    if kind is None:
        return None
    if kind not in _LIBRARIES:
        raise UsageError(f"expected files, got the {kind} table {quote(folder)}, which is not read: {_COPY}")
    found = {DELTA: _delta_files, ICEBERG: _iceberg_files}[kind](folder, _library(kind, folder))
    missing = next((path for path in found if not storage.has_file(path)), None)
    if missing is not None:
        raise _refused(kind, folder, f"names {quote(missing)}, where there is no file")
    return found


def is_table(folder: str) -> bool:
    """Whether the folder is that of a table."""
    return _kind_of(folder) is not None


def refuse_parts_of_tables(paths: Iterable[str]) -> None:
    """Raises UsageError for what lies in the folder of a table, or is one: read as loose parts, rows that were deleted
    or written again would come back."""
    folders = {os.path.abspath(path if storage.is_folder(path) else os.path.dirname(path)) for path in paths}
    while folders:
        for folder in sorted(folders):
            kind = _kind_of(folder)
            if kind is not None:
                to_do = f"give {quote(folder)} itself, or " if kind in _LIBRARIES else ""
                raise UsageError(
                    f"expected files, got the {kind} table {quote(folder)}: read as loose files, its deleted rows "
                    f"would come back. To do: {to_do}{_COPY}"
                )
        folders = {os.path.dirname(folder) for folder in folders} - folders


def _kind_of(folder: str) -> str | None:
    return next((kind for mark, kind in _MARKS.items() if storage.has_any(folder, mark)), None)


def _library(kind: str, folder: str) -> Any:
    name, extra = _LIBRARIES[kind]
    try:
        return import_module(name)
    except ImportError as error:
        raise UsageError(
            f"expected the library {name.partition('.')[0]}, which reads the {kind} table {quote(folder)}, got none: "
            f"pip install 'itemsage[{extra}]', or {_COPY}"
        ) from error


def _refused(kind: str, folder: str, what: str) -> UsageError:
    return UsageError(
        f"expected a table whose files are its rows, got the {kind} table {quote(folder)}, which {what}: {_COPY}"
    )


def _delta_files(folder: str, deltalake: Any) -> list[str]:
    try:
        table = deltalake.DeltaTable(folder)
        features, metadata = set(table.protocol().reader_features or ()), table.metadata()
        unknown = sorted(features - _DELTA_FEATURES)
        if unknown:
            raise _refused(DELTA, folder, f"needs {', '.join(unknown)} of its reader")
        if metadata.configuration.get("delta.columnMapping.mode", "none") != "none":
            raise _refused(DELTA, folder, "maps columns to other names in its files (columnMapping)")
        if "deletionVectors" in features and _num_rows(table.deletion_vectors()):
            raise _refused(DELTA, folder, "has rows deleted within files (deletionVectors)")
        uris = table.file_uris()
    except deltalake.exceptions.DeltaError as error:
        raise _refused(DELTA, folder, f"cannot be read ({_first_line(error)})") from error
    files = [_local_path(uri, folder, DELTA) for uri in uris]
    _check_partitions(files, metadata.partition_columns, folder)
    return files


def _check_partitions(files: Iterable[str], columns: Iterable[str], folder: str) -> None:
    """Raises UsageError for a file of a Delta table that does not lie in a folder of each of its partition columns."""
    for path in files:
        folders = os.path.dirname(os.path.relpath(path, folder)).split(os.sep)
        for column in columns:
            if not any(name.startswith(f"{column}=") for name in folders):
                raise _refused(DELTA, folder, f"has {quote(path)} without the folder {column}=... of its partition")


def _iceberg_files(folder: str, pyiceberg: Any) -> list[str]:
    pyiceberg_errors: Any = import_module("pyiceberg.exceptions")
    try:
        table = pyiceberg.StaticTable.from_metadata(_current_metadata(folder))
        if not storage.is_same_place(_local_path(table.location(), folder, ICEBERG), folder):
            raise _refused(ICEBERG, folder, f"says that it lies at {quote(table.location())}: it was moved or copied")
        snapshot = table.current_snapshot()
        if snapshot is not None:
            _local_path(snapshot.manifest_list, folder, ICEBERG)
        tasks = list(table.scan().plan_files())
    except UsageError:
        raise
    except (ValueError, OSError, pyiceberg_errors.ValidationError) as error:  # ValueError: deletes that it cannot read
        raise _refused(ICEBERG, folder, f"cannot be read ({_first_line(error)})") from error
    files = []
    for task in tasks:
        if task.delete_files:
            raise _refused(ICEBERG, folder, "has rows deleted within files (delete files)")
        if task.file.file_format.value != "PARQUET":
            raise _refused(ICEBERG, folder, f"has files of {task.file.file_format.value}")
        files.append(_local_path(task.file.file_path, folder, ICEBERG))
    names = {field.field_id: field.name for field in table.schema().fields}
    for path in filter(os.path.isfile, files):
        for name, number in _numbered_columns(path):
            if (number in names or name in names.values()) and names.get(number) != name:
                raise _refused(ICEBERG, folder, f"has a column that {quote(path)} calls {quote(name)}: it was renamed")
    return files


def _current_metadata(folder: str) -> str:
    """The metadata file that is current: that of version-hint.text or, without one, of the highest number."""
    paths = map(str, storage.paths_in(folder, "metadata/*.metadata.json"))
    found = {path: _METADATA_NAME.fullmatch(os.path.basename(path)) for path in paths}
    number_of = {path: int(match[1]) for path, match in found.items() if match}
    hint = os.path.join(folder, "metadata", "version-hint.text")
    if storage.has_file(hint):
        text = storage.text_of(hint).strip()
        wanted = int(text) if text.isdecimal() else None
    else:
        wanted = max(number_of.values(), default=None)
    current = [path for path, number in number_of.items() if number == wanted]
    if len(current) != 1:
        raise _refused(
            ICEBERG, folder, f"has {len(current)} metadata files of number {wanted}: its catalog alone knows"
        )
    return current[0]


def _num_rows(table: Any) -> int:
    import pyarrow as pa  # a moment that commands which read no table need not wait for

    return int(pa.table(table).num_rows)


def _numbered_columns(path: str) -> Iterator[tuple[str, int]]:
    """(name, number that Iceberg knows the column by) of the columns of a file that have such a number."""
    import pyarrow.parquet as pq  # as above

    for field in pq.read_schema(path):
        metadata: Mapping[bytes, bytes] = field.metadata or {}
        if b"PARQUET:field_id" in metadata:
            yield field.name, int(metadata[b"PARQUET:field_id"])


def _local_path(uri: str, folder: str, kind: str) -> str:
    """The path that a table calls so."""
    match = _FILE_URI.fullmatch(uri)
    if match is None and "://" in uri:
        raise _refused(kind, folder, f"has files at {quote(uri)}, another place than this machine")
    path = match[1] if match else uri
    return path if storage.has(path) else unquote(path)


def _first_line(error: Exception) -> str:
    return quote((str(error).splitlines() or [""])[0])
