"""Writing the columns of model.training.tables: records in, one pass, bounded memory.

Legend: D width of a vector.
"""

import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from model.machine.columns import ColumnWriter, offsets_of, read_column, write_column
from schemas import storage
from schemas.records.tfrecords import Pair, decode_features, decode_pair, read_records
from schemas.tables import IDS

#: Columns of a PairTable, by pair and by query: name -> dtype.
PAIR_COLUMNS = {"task": "<i2", "query": "<i8", "item": "<i8", "count": "<i4"} | {
    "query_item_count": "<f4",
    "query_count": "<f4",
}
QUERY_COLUMNS = {"query_id": "<i8", "query_picture_row": "<i8", "query_token_ids": "<i4"} | {
    "query_token_offsets": "<i8",
    "query_pictures": "<f2",
    "query_text_vectors": "<f2",
    "query_table_vectors": "<f2",
}
_CHUNK_PAIRS = 4096


def record_files(folder: str | os.PathLike[str]) -> list[str]:
    """The finished files of records in a folder, sorted."""
    return [str(path) for path in storage.paths_in(folder, "*.tfrecord") if not path.name.startswith((".", "_"))]


def write_items(paths: Sequence[str], picture_dim: int, text_dim: int, folder: Path) -> dict[str, Any]:
    """Writes the columns of an ItemTable, and returns what build_columns keeps of them. Raises CorruptFileError for
    vectors of other widths."""
    with ExitStack() as stack:
        columns = {
            "token_ids": stack.enter_context(ColumnWriter(folder, "token_ids", "<i4")),
            "field_lengths": stack.enter_context(ColumnWriter(folder, "field_lengths", "<i4")),
            "pictures": stack.enter_context(ColumnWriter(folder, "pictures", "<f2", (picture_dim,))),
            "text_vectors": stack.enter_context(ColumnWriter(folder, "text_vectors", "<f2", (text_dim,))),
        }
        item_ids, num_pictures, no_text_1D = [], [], np.zeros((1, text_dim), np.float16)
        for item in (decode_features(payload) for path in paths for payload in read_records(path)):
            columns["token_ids"].append(item.token_ids)
            columns["field_lengths"].append(np.diff(item.token_offsets))
            columns["pictures"].append(item.pictures)
            columns["text_vectors"].append(item.text_vector[None] if len(item.text_vector) else no_text_1D)
            item_ids.append(item.item_id)
            num_pictures.append(len(item.pictures))
    write_column(folder, "field_offsets", offsets_of(read_column(folder, "field_lengths")))
    storage.remove(Path(folder, "field_lengths.npy"))
    write_column(folder, "picture_offsets", offsets_of(np.array(num_pictures, np.int64)))
    pq.write_table(pa.table({"item_id": pa.array(item_ids, pa.string())}, schema=IDS), folder / "ids.parquet")
    return {"num_items": len(item_ids)}


def write_pairs(
    paths: Sequence[str], rows_of: Callable[[list[str]], np.ndarray], dims: Mapping[str, int], folder: Path
) -> dict[str, Any]:
    """Writes the columns of a PairTable, and returns what build_columns keeps of them; pairs go through memory in
    chunks. rows_of: int64 rows of item ids, -1 for one without features. dims: columns of vectors -> D. Raises
    CorruptFileError for vectors of other widths."""
    tasks: dict[str, int] = {}
    num_without_item = 0
    with ExitStack() as stack:
        columns = {
            name: stack.enter_context(ColumnWriter(folder, name, dtype, (dims[name],) if name in dims else ()))
            for name, dtype in (PAIR_COLUMNS | QUERY_COLUMNS).items()
            if name not in ("task", "query_token_offsets")
        }
        task_column = stack.enter_context(ColumnWriter(folder, "first_seen_task", "<i2"))
        queries = _Queries(columns, dims)
        for chunk in _chunks(paths):
            rows = rows_of([pair.item_id for pair in chunk])
            num_without_item += int((rows < 0).sum())
            kept = [pair for pair, row in zip(chunk, rows, strict=True) if row >= 0]
            task_column.append(np.array([tasks.setdefault(pair.task, len(tasks)) for pair in kept], np.int64))
            columns["query"].append(np.array([queries.row_of(pair) for pair in kept], np.int64))
            columns["item"].append(rows[rows >= 0])
            for name in ("count", "query_item_count", "query_count"):
                columns[name].append(np.array([getattr(pair, name) for pair in kept]))
    write_column(folder, "query_token_offsets", offsets_of(np.array(queries.num_tokens, np.int64)))
    return {"num_pairs_without_item": num_without_item, "tasks": _write_sorted_tasks(folder, tasks)}


class _Queries:
    """Writes each distinct query once. columns: of QUERY_COLUMNS; num_tokens: of each query so far."""

    def __init__(self, columns: Mapping[str, ColumnWriter], dims: Mapping[str, int]):
        self._columns = columns
        self._no_text, self._not_in_table = (
            np.zeros(dims[name], np.float16) for name in ("query_text_vectors", "query_table_vectors")
        )
        self._rows: dict[int, int] = {}
        self._num_pictures = 0
        self.num_tokens: list[int] = []

    def row_of(self, pair: Pair) -> int:
        """The row of the pair's query, which is written if it is the first of it."""
        if pair.query_id not in self._rows:
            self._rows[pair.query_id] = len(self._rows)
            self._write(pair)
        return self._rows[pair.query_id]

    def _write(self, pair: Pair) -> None:
        is_picture = len(pair.query_picture) > 0
        self._columns["query_id"].append(np.array([pair.query_id]))
        self._columns["query_picture_row"].append(np.array([self._num_pictures if is_picture else -1]))
        self._columns["query_token_ids"].append(pair.query_token_ids)
        self.num_tokens.append(len(pair.query_token_ids))
        text_vector = self._no_text if is_picture else pair.query_text_vector
        self._columns["query_text_vectors"].append(text_vector[None])
        table_vector = pair.query_table_vector if len(pair.query_table_vector) else self._not_in_table
        self._columns["query_table_vectors"].append(table_vector[None])
        if is_picture:
            self._columns["query_pictures"].append(pair.query_picture[None])
            self._num_pictures += 1


def _write_sorted_tasks(folder: Path, tasks: Mapping[str, int]) -> list[str]:
    """Writes the column of tasks as numbers of their sorted names, which are returned, in the place of the column of
    their numbers in the order they were first seen in."""
    names = sorted(tasks)
    sorted_index = np.array([names.index(name) for name in tasks], "<i2")
    first_seen = np.asarray(read_column(folder, "first_seen_task"))
    write_column(folder, "task", sorted_index[first_seen] if len(names) else first_seen)
    storage.remove(Path(folder, "first_seen_task.npy"))
    return names


def _chunks(paths: Sequence[str]) -> Iterator[list[Pair]]:
    chunk: list[Pair] = []
    for path in paths:
        for payload in read_records(path):
            chunk.append(decode_pair(payload))
            if len(chunk) == _CHUNK_PAIRS:
                yield chunk
                chunk = []
    if chunk:
        yield chunk
