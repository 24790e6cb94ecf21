"""What is known of input files before their rows are read: form, names of columns, number of rows, identity."""

import functools
import os
from collections.abc import Iterable, Sequence
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from schemas import storage
from schemas.columns.hive_folders import folder_values
from schemas.columns.mapping import source_columns
from schemas.columns.named_options import with_names
from schemas.columns.spec import Columns, column_of
from schemas.errors import CorruptFileError
from schemas.files import declared_form, sha256_of_file, shown
from schemas.parquet.files import PARQUET_ERRORS
from schemas.parquet.footer import read_footer
from schemas.quarantine import quote
from schemas.reading.delimited import source_of_text
from schemas.reading.feeds import feed_keys, feed_rows
from schemas.reading.forms import form_of
from schemas.reading.forms_in_words import forms_in_words
from schemas.reading.json_objects import Wanted
from schemas.reading.json_rows import check_json_rows, count_elements, json_keys
from schemas.reading.text import csv_header, open_lines
from schemas.tables import CATALOGUE

#: Formats in which a key may be absent from a row.
_KEYED = ("json", "rss")


def check_columns(files: Sequence[str], columns: Columns, schema: pa.Schema = CATALOGUE) -> None:
    """Raises UsageError if a mapped or a required column is missing, before any work starts.

    Parquet and CSV: in any file. JSON and feeds, where a key may be absent from a row: in the first rows of every file.
    """
    columns = with_names(columns)
    keys: set[str] = set()
    keyed_files = []
    for path in sorted(files):
        if format_of(path) in _KEYED:
            if format_of(path) == "json":
                check_json_rows(path, wanted_names(columns, schema))
            keyed_files.append(path)
            if found := set(column_names(path, wanted_names(columns, schema))):
                wanted = {theirs for name in schema.names for theirs in column_of(columns, name).source}
                keys |= found | (folder_values(path).keys() & wanted)
        elif not form_of(path).is_empty:
            names = column_names(path)
            if format_of(path) == "csv":
                source_of_text(names, columns, schema, path)
            else:
                source_columns(names, columns, schema, path)
    if keyed_files and keys:  # no key at all: no line could be parsed, and each is quarantined
        source_columns(
            sorted(keys), columns, schema, keyed_files[0] if len(keyed_files) == 1 else f"{len(keyed_files)} files"
        )


def wanted_names(columns: Columns, schema: pa.Schema) -> Wanted:
    """Names that a row should have, and those that it may have, by the mapping; also of what paths lead into."""

    def named(ours: Iterable[str]) -> frozenset[str]:
        sources = [theirs for name in ours for theirs in column_of(columns, name).source or (name,)]
        return frozenset(name for theirs in sources for name in (theirs, theirs.partition(".")[0]))

    return named(field.name for field in schema if not field.nullable and field.name != "images"), named(schema.names)


def column_names(path: str, wanted: Wanted = ()) -> list[str]:
    """The column names of an input file; where a key may be absent from a row (JSON, feeds), those of the first.
    wanted: see schemas.reading.json_objects."""
    kind = format_of(path)
    if kind == "json":
        return sorted(json_keys(path, wanted))
    if kind == "rss":
        return sorted(feed_keys(path))
    return csv_header(path) if kind == "csv" else parquet_metadata(path).schema.to_arrow_schema().names


def known_columns(path: str) -> list[str]:
    """column_names, and behind them the columns that the file lacks and the `key=value` folders of its path give."""
    names = column_names(path)
    return [*names, *(name for name in folder_values(path) if name not in names)]


def count_rows(files: Sequence[str], columns: Columns | None = None, schema: pa.Schema = CATALOGUE) -> int:
    """About how many rows the files hold: lines (less CSV headers) for text of lines, exact for all others. columns,
    schema: as of read_slice, where they are known."""
    wanted = () if columns is None else wanted_names(columns, schema)
    return sum(_count_rows(path, wanted) for path in files)


def _count_rows(path: str, wanted: Wanted) -> int:
    form = form_of(path)
    if form.kind == "parquet":
        return parquet_metadata(path).num_rows
    if form.is_empty:
        return 0
    if form.kind == "rss":
        return sum(1 for _ in feed_rows(path, {}))
    if form.kind == "json" and (count := count_elements(path, wanted)) is not None:
        return count
    num_lines, last = 0, b"\n"
    with open_lines(path) as file:
        while piece := file.read(1 << 20):
            num_lines, last = num_lines + piece.count(b"\n"), piece[-1:]
    num_lines += last != b"\n"
    num_above = form.dialect.header_line - bool(form.header) + form.dialect.num_label_rows if form.kind == "csv" else 0
    return max(num_lines - num_above, 0)


def unusual_forms(files: Sequence[str], columns: Columns | None = None, schema: pa.Schema = CATALOGUE) -> str:
    """What was recognised of the files that are not as their names say, for a person (see
    schemas.reading.forms_in_words). columns, schema: as of read_slice, where they are known."""
    wanted = () if columns is None else wanted_names(columns, schema)
    return forms_in_words(sorted(files), relative_names(files), wanted)


def input_identity(files: Sequence[str]) -> list[dict[str, Any]]:
    """What identifies the input files: name relative to their common folder, size and sha256, wherever they lie and
    whenever they were written; and what the call says of their form. Goes into fingerprints and run ids."""
    return [
        {"name": name, "bytes": storage.size_of(path), "sha256": _sha256(path, storage.status(path).st_mtime_ns)}
        | ({"format": dict(form)} if (form := declared_form(path)) else {})
        for path, name in zip(sorted(files), relative_names(files), strict=True)
    ]


@functools.lru_cache(maxsize=4096)
def _sha256(path: str, mtime_ns: int) -> str:
    """Read once a process, not once a stage, as long as the file stays as it is."""
    return sha256_of_file(path)


def relative_names(files: Sequence[str]) -> list[str]:
    """Names of the sorted files relative to their common folder.

    >>> relative_names(["/d/day=2/part.csv", "/d/day=1/part.csv"])
    ['day=1/part.csv', 'day=2/part.csv']
    """
    paths = [os.path.abspath(path) for path in sorted(files)]
    if not paths:
        return []
    common = os.path.commonpath([os.path.dirname(path) for path in paths])
    return [os.path.relpath(path, common) for path in paths]


def format_of(path: str) -> str:
    """ "parquet", "json", "csv" (whatever delimits it) or "rss"; UsageError where neither the file's name nor the call
    tells."""
    return form_of(path).kind


def parquet_metadata(path: str) -> pq.FileMetaData:
    """The footer of a Parquet file. Raises CorruptFileError for a file without a valid one."""
    try:
        return read_footer(path)
    except PARQUET_ERRORS as error:
        raise CorruptFileError(
            f"expected a Parquet file, got {quote(str(error))} in {shown(path)}: write it again"
        ) from error
