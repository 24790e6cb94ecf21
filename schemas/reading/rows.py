"""Raw rows from what a shop brings: Parquet, JSON, delimited text, RSS and Atom feeds (see forms).

Reading judges nothing that validation can judge: a batch carries whatever types the file has, and a text row that
cannot be parsed costs only itself. Row numbers count from 1 and stay true to the file: the line that a row begins on
(the header of a CSV file is line 1), the row in a Parquet file, the place in a JSON array or a feed.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from schemas.cells.text import NULL_WORDS
from schemas.coercion.whole_ids import POINTS
from schemas.columns.carried_values import with_carried
from schemas.columns.hive_folders import folder_values
from schemas.columns.mapping import constant_values, partition_values, source_columns
from schemas.columns.named_options import only_named, with_names
from schemas.columns.nested_columns import column_at, nested_sources, root_of
from schemas.columns.raw_rows import FileSlice, RawRows, array_or_none, batches_of_rows
from schemas.columns.spec import Columns, ColumnsOfTable, column_of, name_of_part, part_name
from schemas.errors import CorruptFileError
from schemas.events.led_to import roots_of
from schemas.events.paths import by_item
from schemas.events.unused import without_unused
from schemas.files import shown
from schemas.parquet.batches import bounded_batches
from schemas.parquet.files import PARQUET_ERRORS, open_parquet
from schemas.parquet.footer import footer_of_stored_types
from schemas.quarantine import quote
from schemas.reading.delimited import ids_as_shown, led_into, source_of_text
from schemas.reading.feeds import feed_rows
from schemas.reading.input_files import column_names, format_of, parquet_metadata, relative_names, wanted_names
from schemas.reading.json_rows import json_rows
from schemas.reading.text import csv_rows
from schemas.reading.whole_ids import mixed_ids_in_words, whole_ids_of
from schemas.tables import CATALOGUE, ENGAGEMENTS, ID_COLUMNS

#: A batch ends at either bound. Neither changes which rows are good; what a rejection advises (the format of dates that
#: cannot be read, why no row has an id) is found per batch.
MAX_BATCH_ROWS = 8_192
MAX_BATCH_BYTES = 32 << 20


def plan_slices(files: Sequence[str]) -> list[FileSlice]:
    """Slices of the input files in order of (file, row); files are sorted first, so numbers do not depend on the call.

    Raises UsageError for an unknown file name extension, CorruptFileError for a Parquet file without a valid footer.
    """
    slices = []
    for number, (path, name) in enumerate(zip(sorted(files), relative_names(files), strict=True)):
        if format_of(path) != "parquet":
            slices.append(FileSlice(number, path, 0, 1, name))
            continue
        metadata, first_row = parquet_metadata(path), 1
        for part in range(metadata.num_row_groups):
            slices.append(FileSlice(number, path, part, first_row, name))
            first_row += metadata.row_group(part).num_rows
    return slices


def read_slice(file_slice: FileSlice, columns: ColumnsOfTable, schema: pa.Schema = CATALOGUE) -> Iterator[RawRows]:
    """Yields a slice's rows in bounded batches, in order.

    columns: our column name -> the shop's, or how the shop writes it, for those that differ (see
    schemas.columns.mapping). Columns that neither the schema nor the mapping names are not read. A `key=value` folder
    gives a column that the file lacks. Events of a log may be several rows, or none: see schemas.events.paths.
    Raises UsageError if a mapped or required column is missing, CorruptFileError if the file is damaged.
    """
    batches = only_named(_read_batches(file_slice, with_names(columns), schema), columns)
    is_whole = whole_ids_of(columns, file_slice.path, schema, rows_with_ids)
    for raw in with_carried(batches, columns):
        raw = replace(raw, is_whole=is_whole)
        yield without_unused(raw) if schema.equals(ENGAGEMENTS) else raw


def read_table(
    files: Sequence[str], columns: Columns, schema: pa.Schema = CATALOGUE
) -> Iterator[tuple[FileSlice, RawRows]]:
    """The rows of all files of a table, slice by slice: each batch of read_slice, with its slice."""
    of_table = ColumnsOfTable(columns, files)
    for file_slice in plan_slices(files):
        for raw in read_slice(file_slice, of_table, schema):
            yield file_slice, raw


def rows_with_ids(files: Sequence[str], columns: Columns, schema: pa.Schema) -> Iterator[RawRows]:
    """All rows of some files as read_slice yields them, of a table that is no log without the columns that hold no ids,
    as far as these are not needed to find the rows (JSON)."""
    of_table = ColumnsOfTable(columns, files)
    ids_alone = pa.schema([field for field in schema if field.name in ID_COLUMNS])
    for file_slice in plan_slices(files):
        is_whole_table = schema.equals(ENGAGEMENTS) or format_of(file_slice.path) == "json"
        yield from read_slice(file_slice, of_table, schema if is_whole_table else ids_alone)


def mixed_ids(files: Sequence[str], columns: Columns, schema: pa.Schema, counts: Mapping[str, int]) -> list[str]:
    """What to say of columns whose ids are written in several ways, one of them `100.0` (see whole_ids). counts: of the
    stage that has read them, without which nothing is read."""
    is_any = any(name.startswith(POINTS) and count for name, count in counts.items())
    return mixed_ids_in_words(files, columns, schema, rows_with_ids) if is_any else []


def _read_batches(file_slice: FileSlice, columns: Columns, schema: pa.Schema) -> Iterator[RawRows]:
    kind, path = format_of(file_slice.path), file_slice.path
    if kind == "parquet":
        try:
            yield from _read_parquet(file_slice, columns, schema)
        except PARQUET_ERRORS as error:
            raise CorruptFileError(
                f"expected a Parquet file, got {quote(str(error))} in {shown(path)}: write it again"
            ) from error
        return
    wanted = wanted_names(columns, schema)
    present = column_names(path, wanted)
    constants = _constants(present, columns, schema, path)
    paths: dict[str, str] = {}
    if kind == "csv":
        source = source_of_text(present, columns, schema, path)
        constants = {name: value for name, value in constants.items() if name not in source}
        led = nested_sources(source, present)
        paths = led if schema.equals(ENGAGEMENTS) else {}
        plain = {name: theirs for name, theirs in source.items() if name not in led}
        roots = {name: theirs.partition(".")[0] for name, theirs in led.items()}
        rows = csv_rows(path, plain | (roots_of(paths) if paths else roots))
        rows = led_into(rows, led) if led and not paths else rows
        rows = ids_as_shown(rows, [name for name in ID_COLUMNS if name in plain])
    else:
        parts = {name: column_of(columns, name).source for name in schema.names if name not in constants}
        parts |= {name: column_of(columns, name).source for name in partition_values(path, columns, schema)}
        keys = {part_name(name, n): key for name, keys in parts.items() for n, key in enumerate(keys)}
        possible = {key.partition(".")[0] for key in keys.values()}  # that no row of this file may have
        paths = nested_sources(keys, {*present, *possible}) if schema.equals(ENGAGEMENTS) else {}
        keys = {name: key for name, key in keys.items() if name not in paths} | roots_of(paths)
        rows = json_rows(path, keys, wanted) if kind == "json" else feed_rows(path, keys)
    for raw in batches_of_rows(rows, schema, constants, MAX_BATCH_ROWS, MAX_BATCH_BYTES):
        words = NULL_WORDS if kind == "csv" else ()
        raw = replace(raw, columns=columns, null_words=words, file_columns=present)
        yield from _as_rows(raw, paths, schema)


def _as_rows(raw: RawRows, paths: Mapping[str, str], schema: pa.Schema) -> Iterator[RawRows]:
    """A batch, of a log's events as one of rows (see schemas.events.paths)."""
    yield from by_item(raw, paths) if schema.equals(ENGAGEMENTS) else (raw,)


def _constants(present: Sequence[str], columns: Columns, schema: pa.Schema, path: str) -> dict[str, str | None]:
    """constant_values, with each source of our columns that a folder gives a source of."""
    constants, given = constant_values(present, columns, schema, path), folder_values(path)
    for name in partition_values(path, columns, schema):
        sources = column_of(columns, name).source
        constants |= {part_name(name, number): given.get(theirs) for number, theirs in enumerate(sources)}
    return constants


def _read_parquet(file_slice: FileSlice, columns: Columns, schema: pa.Schema) -> Iterator[RawRows]:
    with open_parquet(file_slice.path, metadata=_footer_to_read_by(file_slice, columns, schema)) as file:
        source = source_columns(file.schema_arrow.names, columns, schema, file_slice.path)
        constants = _constants(file.schema_arrow.names, columns, schema, file_slice.path)
        paths = nested_sources(source, file.schema_arrow.names) if schema.equals(ENGAGEMENTS) else {}
        source = {name: theirs for name, theirs in source.items() if name not in paths} | roots_of(paths)
        names = [*schema.names, *sorted((source.keys() | constants.keys()) - set(schema.names))]
        present = file.schema_arrow.names
        roots = {ours: root_of(theirs, present) or theirs for ours, theirs in source.items()}
        wanted = set(roots.values())
        pictures = {theirs for ours, theirs in roots.items() if name_of_part(ours) == "images"}
        pictures -= {theirs for ours, theirs in roots.items() if name_of_part(ours) != "images"}
        batches = bounded_batches(
            file, file_slice.path, file_slice.part, wanted, MAX_BATCH_ROWS, MAX_BATCH_BYTES, pictures
        )
        for batch in batches:
            mixed: dict[str, list[Any]] = {}
            arrays = [
                _column(batch.table, source[name], roots[name], name, mixed)
                if name in source
                else _constant(constants.get(name), len(batch.rows))
                for name in names
            ]
            numbers = file_slice.first_row + batch.rows
            oversized = [(file_slice.first_row + row, why) for row, why in batch.oversized]
            without_pictures = [(file_slice.first_row + row, why) for row, why in batch.without_pictures]
            first_row = min([*numbers[:1].tolist(), *(number for number, _ in oversized[:1])])
            table = pa.Table.from_arrays(arrays, names)
            raw = RawRows(
                first_row,
                table,
                [],
                numbers,
                mixed,
                oversized=oversized,
                without_pictures=without_pictures,
                columns=columns,
                file_columns=file.schema_arrow.names,
            )
            yield from _as_rows(raw, paths, schema)


def _column(
    table: pa.Table, source: str, root: str, name: str, mixed: dict[str, list[Any]]
) -> pa.Array | pa.ChunkedArray:
    """The column that a source of the mapping is, or what it leads to in the column `root`; of values without a common
    type nulls, and the values as `name` in `mixed`."""
    if source == root:
        return table[source]
    found = column_at(table[root].combine_chunks(), source)
    if not isinstance(found, list):
        return found
    array = array_or_none(found)
    if array is None:
        mixed[name] = found
    return pa.nulls(len(found)) if array is None else array


def _footer_to_read_by(file_slice: FileSlice, columns: Columns, schema: pa.Schema) -> pq.FileMetaData:
    """The file's footer; that of its stored types if a column that is read is a list of a fixed size."""
    metadata = parquet_metadata(file_slice.path)
    present = metadata.schema.to_arrow_schema()
    fixed = {field.name for field in present if pa.types.is_fixed_size_list(field.type)}
    sources = source_columns(present.names, columns, schema, file_slice.path).values() if fixed else ()
    if fixed & {root_of(theirs, present.names) or theirs for theirs in sources}:
        return footer_of_stored_types(file_slice.path)
    return metadata


def _constant(value: str | None, count: int) -> pa.Array:
    return pa.nulls(count) if value is None else pa.array([value] * count, pa.string())
