"""The pairs of two parts as one table, to train on both.

Shapes as in model.training.tables: P pairs, Q distinct queries, T flat tokens.
"""

import os
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import numpy as np

from model.machine.columns import ColumnWriter, build_columns, offsets_of, write_column
from model.training.table_columns import PAIR_COLUMNS, QUERY_COLUMNS
from model.training.tables import PairTable
from schemas.hashing import fingerprint

#: Part of what names a finished table: raise it when the same sources make another one.
_VERSION = 1
_CHUNK_QUERIES = 4096


def join_pair_tables(first: PairTable, second: PairTable, cache_folder: str | os.PathLike[str]) -> PairTable:
    """The pairs of both, made in `cache_folder` unless they are there already.

    Both are of one ItemTable and as PairTable.build made them. A pair of one task that both have becomes one, with the
    sum of its counts. C(q, p) and C(q), which a part has from the training part alone, are counted anew over the pairs
    of both, exactly even if the parts have estimates of a sketch.
    """
    source = fingerprint(["joined pairs", _VERSION, first.folder.name, second.folder.name])
    return PairTable(build_columns(cache_folder, source, lambda folder: _write(first, second, folder)))


def _write(first: PairTable, second: PairTable, folder: Path) -> dict[str, Any]:
    """Writes the columns of a PairTable; queries go through memory in chunks."""
    row_of_second_Q, new_Q = _rows_in_both(first.query_id_Q, second.query_id_Q)
    _write_queries([(first, np.arange(len(first.query_id_Q))), (second, new_Q)], folder)
    tasks = sorted({*first.tasks, *second.tasks})
    task_P, query_P, item_P, count_P = (
        np.concatenate([np.asarray(values, np.int64) for values in parts])
        for parts in (
            [np.array([tasks.index(name) for name in t.tasks], np.int64)[t.task_P] for t in (first, second)],
            [first.query_P, row_of_second_Q[second.query_P]],
            [first.item_P, second.item_P],
            [first.count_P, second.count_P],
        )
    )
    num_queries, num_items = len(first.query_id_Q) + len(new_Q), int(item_P.max(initial=0)) + 1
    query_item_P = query_P * num_items + item_P
    key_P = task_P * (num_queries * num_items) + query_item_P
    _, kept_P, pair_P = np.unique(key_P, return_index=True, return_inverse=True)
    columns = {
        "task": task_P[kept_P],
        "query": query_P[kept_P],
        "item": item_P[kept_P],
        "count": _sums(pair_P, count_P),
        "query_item_count": _sums(np.unique(query_item_P, return_inverse=True)[1], count_P, spread=True)[kept_P],
        "query_count": _sums(query_P, count_P, spread=True)[kept_P],
    }
    for name, values in columns.items():
        write_column(folder, name, values.astype(PAIR_COLUMNS[name]))
    return {"num_pairs_without_item": first.num_pairs_without_item + second.num_pairs_without_item, "tasks": tasks}


def _rows_in_both(first_id_Q: np.ndarray, second_id_Q: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The joined row of each query of the second table, and the rows of those that the first lacks, which follow it."""
    row_of = {query_id: row for row, query_id in enumerate(np.asarray(first_id_Q).tolist())}
    second_ids = np.asarray(second_id_Q).tolist()
    new_Q = [row for row, query_id in enumerate(second_ids) if query_id not in row_of]
    row_of |= {second_ids[row]: len(first_id_Q) + place for place, row in enumerate(new_Q)}
    return np.array([row_of[query_id] for query_id in second_ids], np.int64), np.array(new_Q, np.int64)


def _write_queries(sources: list[tuple[PairTable, np.ndarray]], folder: Path) -> None:
    """The queries `rows` of each (table, rows), one after the other."""
    no_rows = np.zeros(0, np.int64)
    _, _, no_text_vectors, no_table_vectors = sources[0][0].text(no_rows)
    shapes = {
        "query_pictures": (sources[0][0].pictures(no_rows).shape[1],),
        "query_text_vectors": (no_text_vectors.shape[1],),
        "query_table_vectors": (no_table_vectors.shape[1],),
    }
    num_pictures, lengths = 0, [no_rows]
    with ExitStack() as stack:
        columns = {
            name: stack.enter_context(ColumnWriter(folder, name, dtype, shapes.get(name, ())))
            for name, dtype in QUERY_COLUMNS.items()
            if name != "query_token_offsets"
        }
        for table, rows_Q in sources:
            for start in range(0, len(rows_Q), _CHUNK_QUERIES):
                chunk = rows_Q[start : start + _CHUNK_QUERIES]
                is_picture = ~table.is_text(chunk)
                token_ids_T, offsets, text_vectors, table_vectors = table.text(chunk)
                picture_rows = np.where(is_picture, num_pictures + np.cumsum(is_picture) - 1, -1)
                columns["query_id"].append(np.asarray(table.query_id_Q[chunk]))
                columns["query_picture_row"].append(picture_rows)
                columns["query_token_ids"].append(token_ids_T.numpy())
                columns["query_pictures"].append(table.pictures(chunk[is_picture]).numpy())
                columns["query_text_vectors"].append(text_vectors.numpy())
                columns["query_table_vectors"].append(table_vectors.numpy())
                num_pictures += int(is_picture.sum())
                lengths.append(np.diff(offsets.numpy()))
    write_column(folder, "query_token_offsets", offsets_of(np.concatenate(lengths)))


def _sums(group_P: np.ndarray, count_P: np.ndarray, spread: bool = False) -> np.ndarray:
    """float64: the sum of counts of each group or, spread, of each pair's group."""
    sums = np.bincount(group_P, count_P)
    return sums[group_P] if spread else sums
