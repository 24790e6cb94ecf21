"""Items and pairs as memory-mapped columns: what the batches of training are gathered from.

    <run>/features/*.tfrecord  ->  ItemTable   (token ids, pictures)          memory: the page cache and 8 bytes an item
    <run>/pairs/<part>/*       ->  PairTable   (query, item, task, counts)    memory: the page cache; while it is built,
                                                                              about 100 bytes a distinct query

Legend: B rows asked for, N picture positions, D picture dim, T flat tokens, P pairs of a table, Q distinct queries.
"""

import copy
import functools
import os
from collections.abc import Collection, Sequence
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import torch

from model.items.batch import ItemBatch
from model.machine.columns import build_columns, gather_ragged, read_column, read_facts, source_fingerprint
from model.training.table_columns import PAIR_COLUMNS, QUERY_COLUMNS, record_files, write_items, write_pairs
from schemas.tables import NUM_TEXT_FIELDS, PSEUDO_TASK

#: Items whose tokens are counted at once.
_CHUNK_ITEMS = 4096
_CHUNK_TOKENS = 1 << 22


class ItemTable:
    """The catalogue's features, row by row in the order of files and records.

    item_ids: strings [I]; picture_dim: that of the image encoder, whether or not an item has a picture. text_vectors:
    float16 [I, text_dim], zeros for an item without text.
    """

    def __init__(self, folder: str | os.PathLike[str]):
        self.item_ids: pa.Array = pq.read_table(Path(folder, "ids.parquet"))["item_id"].combine_chunks()
        self._token_ids = read_column(folder, "token_ids")
        self._field_offsets = read_column(folder, "field_offsets")
        self._pictures = read_column(folder, "pictures")
        self._picture_offsets = np.asarray(read_column(folder, "picture_offsets"))
        self.picture_dim = self._pictures.shape[1]
        self.text_vectors = read_column(folder, "text_vectors")
        self.text_dim = self.text_vectors.shape[1]

    @classmethod
    def build(
        cls,
        features_folder: str | os.PathLike[str],
        cache_folder: str | os.PathLike[str],
        picture_dim: int,
        text_dim: int = 0,
    ) -> "ItemTable":
        """The table of `<features_folder>/*.tfrecord`, made in `cache_folder` unless it is there already.

        picture_dim, text_dim: widths of the vectors of the encoders that made the features, 0 for none. Raises
        CorruptFileError for vectors of another width.
        """
        paths = record_files(features_folder)
        write = functools.partial(write_items, paths, picture_dim, text_dim)
        return cls(build_columns(cache_folder, source_fingerprint(paths, picture_dim, text_dim), write))

    def __len__(self) -> int:
        return len(self.item_ids)

    def rows_of(self, item_ids: Sequence[str] | pa.Array) -> np.ndarray:
        """int64 rows of ids, -1 where the table has no such item."""
        values = pa.array(item_ids, pa.string())
        return np.asarray(pc.fill_null(pc.index_in(values, value_set=self.item_ids), -1), np.int64)

    def document_counts(self, vocabulary_size: int) -> np.ndarray:
        """int64 [vocabulary_size]: how many items have each token in any field."""
        counts_V = np.zeros(vocabulary_size, np.int64)
        starts_I = np.asarray(self._field_offsets[::NUM_TEXT_FIELDS])
        for start in range(0, len(self), _CHUNK_ITEMS):
            offsets = starts_I[start : start + _CHUNK_ITEMS + 1]
            tokens_T = np.asarray(self._token_ids[offsets[0] : offsets[-1]], np.int64)
            item_T = np.repeat(np.arange(len(offsets) - 1), np.diff(offsets))
            distinct = np.unique(item_T * vocabulary_size + tokens_T)
            counts_V += np.bincount(distinct % vocabulary_size, minlength=vocabulary_size)
        return counts_V

    def num_tokens(self, ids: range) -> int:
        """How many tokens of all items, in any field, are of these ids."""
        chunks = (
            self._token_ids[start : start + _CHUNK_TOKENS] for start in range(0, len(self._token_ids), _CHUNK_TOKENS)
        )
        return sum(int(((chunk >= ids.start) & (chunk < ids.stop)).sum()) for chunk in chunks)

    def some_rows(self, count: int, seed: int) -> np.ndarray:
        """Sorted rows of at most `count` items, drawn with a seed."""
        return _some(len(self), count, seed)

    def some_text_vectors(self, count: int, seed: int) -> torch.Tensor:
        """float32 [at most count, text_dim]: text vectors of items that have one, drawn with a seed."""
        text_vectors_XD = torch.from_numpy(np.asarray(self.text_vectors[self.some_rows(count, seed)], np.float32))
        return text_vectors_XD[text_vectors_XD.any(dim=1)]

    def some_pictures(self, count: int, seed: int) -> torch.Tensor:
        """float32 [at most count, picture_dim]: vectors of pictures of the catalogue, drawn with a seed."""
        rows = _some(len(self._pictures), count, seed)
        return torch.from_numpy(np.asarray(self._pictures[rows], np.float32))

    def batch(self, rows_B: np.ndarray) -> ItemBatch:
        """Features of rows; N = the most pictures that one of them has."""
        fields_BF = rows_B[:, None] * NUM_TEXT_FIELDS + np.arange(NUM_TEXT_FIELDS)
        token_ids_T, offsets = gather_ragged(self._token_ids, self._field_offsets, fields_BF.reshape(-1))
        pictures_P, picture_offsets = gather_ragged(self._pictures, self._picture_offsets, rows_B)
        counts_B = np.diff(picture_offsets)
        num_positions = int(counts_B.max(initial=0))
        mask_BN = np.arange(num_positions) < counts_B[:, None]
        pictures_BND = np.zeros((len(rows_B), num_positions, self.picture_dim), np.float32)
        pictures_BND[mask_BN] = pictures_P
        return ItemBatch(
            token_ids_T=torch.from_numpy(token_ids_T.astype(np.int64)),
            token_offsets_BF=torch.from_numpy(offsets),
            pictures_BND=torch.from_numpy(pictures_BND),
            picture_mask_BN=torch.from_numpy(mask_BN),
            text_vectors_BD=torch.from_numpy(np.asarray(self.text_vectors[rows_B], np.float32)),
        )


class PairTable:
    """The pairs of one part of the split, with each distinct query stored once.

    folder: of the columns. tasks: names, sorted. Columns by pair: task_P (index into tasks), query_P (row of the
    query), item_P (row of the ItemTable), count_P, query_item_count_P, query_count_P. Pairs whose item has no features
    are left out and counted.
    """

    def __init__(self, folder: str | os.PathLike[str]):
        facts = read_facts(folder)
        self.folder = Path(folder)
        self.tasks: list[str] = facts["tasks"]
        self.num_pairs_without_item: int = facts["num_pairs_without_item"]
        columns = {name: read_column(folder, name) for name in (*PAIR_COLUMNS, *QUERY_COLUMNS)}
        self.task_P, self.query_P, self.item_P = columns["task"], columns["query"], columns["item"]
        self.count_P, self.query_count_P = columns["count"], columns["query_count"]
        self.query_item_count_P = columns["query_item_count"]
        self.query_id_Q, self.picture_row_Q = columns["query_id"], columns["query_picture_row"]
        self._token_ids, self._token_offsets = columns["query_token_ids"], columns["query_token_offsets"]
        self._pictures = columns["query_pictures"]
        self._text_vectors, self._table_vectors = columns["query_text_vectors"], columns["query_table_vectors"]
        self.has_pictures = bool((self.picture_row_Q >= 0).any())

    @classmethod
    def build(
        cls,
        pairs_folder: str | os.PathLike[str],
        items: ItemTable,
        cache_folder: str | os.PathLike[str],
        query_table_dim: int = 0,
        has_text_vectors: bool = True,
    ) -> "PairTable":
        """The table of `<pairs_folder>/*.tfrecord`, made in `cache_folder` unless it is there already.

        query_table_dim: width of the vectors that the shop's own table has for queries, 0 for none. has_text_vectors:
        whether queries have vectors by the text encoder where the items have. Raises CorruptFileError for query vectors
        of another width than that, or than the items'.
        """
        paths = record_files(pairs_folder)
        of_items = len(items), str(items.item_ids[:1]), str(items.item_ids[-1:]), items.picture_dim, items.text_dim
        text_dim = items.text_dim if has_text_vectors else 0
        source = source_fingerprint(paths, *of_items, query_table_dim, text_dim)
        dims = {
            "query_pictures": items.picture_dim,
            "query_text_vectors": text_dim,
            "query_table_vectors": query_table_dim,
        }
        write = functools.partial(write_pairs, paths, items.rows_of, dims)
        return cls(build_columns(cache_folder, source, write))

    def __len__(self) -> int:
        return len(self.item_P)

    def of_tasks(self, tasks: Collection[str]) -> "PairTable":
        """The pairs of these tasks alone, of those among them that the table has; queries keep their rows."""
        kept = [number for number, name in enumerate(self.tasks) if name in tasks]
        rows_P = np.flatnonzero(np.isin(self.task_P, kept))
        table = copy.copy(self)
        table.tasks = [self.tasks[number] for number in kept]
        for name in ("query_P", "item_P", "count_P", "query_count_P", "query_item_count_P"):
            setattr(table, name, np.asarray(getattr(self, name)[rows_P]))
        table.task_P = np.searchsorted(kept, np.asarray(self.task_P[rows_P])).astype(self.task_P.dtype)
        table.has_pictures = bool((self.picture_row_Q[table.query_P] >= 0).any())
        return table

    def num_pairs_by_task(self) -> dict[str, int]:
        """Distinct pairs of each task."""
        return dict(zip(self.tasks, np.bincount(self.task_P, minlength=len(self.tasks)).tolist(), strict=True))

    def is_pseudo(self) -> np.ndarray:
        """bool [P]: which pairs are of pseudo-queries."""
        task_P = np.asarray(self.task_P)
        return task_P == self.tasks.index(PSEUDO_TASK) if PSEUDO_TASK in self.tasks else np.zeros(len(task_P), bool)

    def is_text(self, query_rows: np.ndarray) -> np.ndarray:
        """Which queries are text (the others are pictures)."""
        return np.asarray(self.picture_row_Q[query_rows] < 0)

    def num_tokens_Q(self) -> np.ndarray:
        """int64 [Q]: how many tokens of each query are known; none of a picture's."""
        return np.diff(np.asarray(self._token_offsets))

    def tokens(self, query_rows: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Token ids [T] and offsets int64 [B + 1] of queries; a picture has none."""
        return gather_ragged(self._token_ids, self._token_offsets, query_rows)

    def text(self, query_rows: np.ndarray) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor, torch.Tensor]:
        """Token ids int64 [T], offsets int64 [B + 1], text vectors float32 [B, text_dim] and vectors of the shop's own
        table float32 [B, query_table_dim], zeros for what is not in it, of text queries."""
        flat, offsets = self.tokens(query_rows)
        token_ids_T = torch.from_numpy(flat.astype(np.int64))
        text_vectors_BD, table_vectors_BD = (
            torch.from_numpy(np.asarray(vectors[query_rows], np.float32))
            for vectors in (self._text_vectors, self._table_vectors)
        )
        return token_ids_T, torch.from_numpy(offsets), text_vectors_BD, table_vectors_BD

    def pictures(self, query_rows: np.ndarray) -> torch.Tensor:
        """Vectors float32 [B, picture_dim] of picture queries, not normalised."""
        return torch.from_numpy(self._pictures[self.picture_row_Q[query_rows]].astype(np.float32))


def _some(total: int, count: int, seed: int) -> np.ndarray:
    """Sorted numbers of at most `count` of `total` rows, drawn with a seed."""
    return np.sort(np.random.default_rng(seed).choice(total, min(count, total), replace=False))
