"""Which tokens the model knows: text to int32 ids, rows of the weight table W.

Mode "vocabulary": the most frequent tokens of each kind; disjoint ranges of ids, the first id of each unused, unknown
tokens dropped:

    id   0        1 ... n_words   n_words + 1   ...                  size - 1
         unused   words           unused        bigrams   unused   trigrams

Mode "hashing": no vocabulary; 1 + stable_hash(kind, token) % (size - 1), nothing is dropped, tokens may collide.

A folder holds tokens.parquet (kind, token, count; rank order, so a row's number gives its id) and vocabulary.json.
"""

import contextlib
import hashlib
import json
import os
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from model.text.tokenizer import SEPARATOR, TOKENIZER_VERSION, bigrams, character_trigrams, normalize, words
from schemas import storage
from schemas.errors import CorruptFileError
from schemas.files import read_json, shown
from schemas.hashing import fingerprint, stable_hash
from schemas.quarantine import quote
from schemas.storage import atomic_write
from schemas.tables import TEXT_FIELDS

#: Kinds of tokens in the order of their id ranges, with the paper's sizes.
PAPER_SIZES = {"word": 200_000, "bigram": 1_000_000, "trigram": 64_000}
KINDS = tuple(PAPER_SIZES)
#: Rows of W with a full vocabulary: all tokens and one unused id a kind.
PAPER_TABLE_SIZE = sum(PAPER_SIZES.values()) + len(KINDS)
#: Ids of one text beyond this many are cut off (the first ones stay): one field cannot outweigh an item's record.
MAX_TOKENS_PER_FIELD = 4096

TOKENS = pa.schema(
    [
        pa.field("kind", pa.string(), nullable=False),
        pa.field("token", pa.string(), nullable=False),
        pa.field("count", pa.int64(), nullable=False),
    ]
)
TOKENS_FILE, DESCRIPTION_FILE = "tokens.parquet", "vocabulary.json"
MODES = ("vocabulary", "hashing")

_MAX_REMEMBERED_PIECES = 200_000
_MAX_REMEMBERED_CHARACTERS = 40


@dataclass
class TokenCounts:
    """Occurrences of tokens by kind. A monoid: TokenCounts() is zero, `add_text` and `tables` are all a stage needs."""

    by_kind: dict[str, Counter[str]] = field(default_factory=lambda: {kind: Counter() for kind in KINDS})

    def __len__(self) -> int:
        return sum(map(len, self.by_kind.values()))

    def add_text(self, text: str | None) -> None:
        """Counts the tokens of one field of one item; None counts nothing."""
        if not text:
            return
        normalized = normalize(text)
        found = words(normalized)
        self.by_kind["word"].update(found)
        self.by_kind["bigram"].update(bigrams(found))
        self.by_kind["trigram"].update(character_trigrams(normalized))

    def table(self) -> pa.Table:
        """A TOKENS table, in no particular order."""
        return pa.concat_tables(
            pa.table([pa.repeat(kind, len(counts)), list(counts), list(counts.values())], schema=TOKENS)
            for kind, counts in self.by_kind.items()
        )


def sum_counts(tables: Iterable[pa.Table]) -> pa.Table:
    """One row a (kind, token) with the sum of its counts: TOKENS, in no particular order."""
    summed = pa.concat_tables([TOKENS.empty_table(), *tables]).group_by(["kind", "token"]).aggregate([("count", "sum")])
    return summed.rename_columns({"count_sum": "count"}).select(TOKENS.names).cast(TOKENS)


def most_frequent(tokens: pa.Table, sizes: Mapping[str, int], min_count: int = 1) -> pa.Table:
    """The `sizes[kind]` most frequent tokens of each kind with at least `min_count`; ties go to the smaller token.

    Input: TOKENS, each (kind, token) once. Output: the same, in order of KINDS, then by falling count, then token.
    """
    tokens = tokens.filter(pc.field("count") >= min_count)
    ranked = []
    for kind in KINDS:
        part = tokens.filter(pc.field("kind") == kind)
        ranked.append(part.sort_by([("count", "descending"), ("token", "ascending")]).slice(0, sizes[kind]))
    return pa.concat_tables(ranked).combine_chunks()


def inverse_document_frequencies(num_with_V: np.ndarray, num_documents: int) -> np.ndarray:
    """float64 [V]: log(1 + (N - n + .5) / (n + .5)) of tokens that n of N documents have, as in BM25 (Robertson and
    Zaragoza 2009, eq. 3.15, the 1 added so that none is below 0).

    >>> inverse_document_frequencies(np.array([1, 3]), 3).round(3).tolist()
    [0.981, 0.134]
    """
    frequencies_V: np.ndarray = np.log1p((num_documents - num_with_V + 0.5) / (num_with_V + 0.5))
    return frequencies_V


class Vocabulary:
    """Text to token ids. `size`: rows of W, larger than every id; `id`: fingerprint of all that ids depend on.

    Make one by `from_counts`, `hashing` or `load`. `sizes`: tokens of each kind (all 0 in mode "hashing").
    """

    def __init__(self, mode: str, tokens: pa.Table, hashing_size: int = 0):
        self.mode = mode
        self.tokens = tokens
        self._pieces: dict[str, tuple[list[str], list[int], list[int]]] = {}
        self._lookup: dict[str, Callable[[str], int | None]] = {}
        self.sizes: dict[str, int] = {}
        digest = hashlib.sha256()
        base = 0
        for kind in KINDS:
            part = tokens.filter(pc.field("kind") == kind)
            names = part["token"].to_pylist()
            digest.update(f"{kind} {len(names)}\n".encode() + "\n".join(names).encode() + b"\n")
            digest.update(part["count"].to_numpy().astype("<i8").tobytes())
            self.sizes[kind] = len(names)
            if mode == "hashing":
                self._lookup[kind] = _Hasher(kind, hashing_size)
            else:
                self._lookup[kind] = dict(zip(names, range(base + 1, base + 1 + len(names)), strict=True)).get
            base += len(names) + 1
        self.size = hashing_size if mode == "hashing" else base
        self.id = fingerprint([mode, self.size, TOKENIZER_VERSION, digest.hexdigest()])

    @classmethod
    def from_counts(cls, counts: pa.Table, sizes: Mapping[str, int] = PAPER_SIZES, min_count: int = 1) -> "Vocabulary":
        """A vocabulary of the most frequent tokens of a TOKENS table in which each (kind, token) stands once."""
        return cls("vocabulary", most_frequent(counts, sizes, min_count))

    @classmethod
    def hashing(cls, size: int = PAPER_TABLE_SIZE) -> "Vocabulary":
        """A table of `size` >= 2 rows without a vocabulary; row 0 stays unused. Raises ValueError for a smaller one."""
        if size < 2:
            raise ValueError(f"expected a hashing size of at least 2, got {size}")
        return cls("hashing", TOKENS.empty_table(), size)

    def id_ranges(self) -> dict[str, range]:
        """The ids of each kind of token; none in mode "hashing", where kinds share them."""
        ranges, base = {}, 0
        for kind in KINDS if self.mode == "vocabulary" else ():
            ranges[kind] = range(base + 1, base + 1 + self.sizes[kind])
            base += self.sizes[kind] + 1
        return ranges

    @property
    def word_ids(self) -> range:
        """The ids of words; in mode "hashing", where kinds share them, those of all tokens."""
        return self.id_ranges().get("word", range(1, self.size))

    def encode(self, text: str) -> np.ndarray:
        """int32 [T] ids in 1 ... size - 1: words, then bigrams, then trigrams, in text order, duplicates kept,
        unknown tokens dropped, at most MAX_TOKENS_PER_FIELD."""
        return np.array(self._encode(text), np.int32)

    def encode_item(self, row: Mapping[str, str | None]) -> tuple[np.ndarray, np.ndarray]:
        """Ids of an item's 12 text fields: (token_ids int32 [T], token_offsets int32 [13]) as in ItemFeatures.

        Missing, null and empty fields have no tokens.
        """
        ids: list[int] = []
        offsets = [0]
        for name in TEXT_FIELDS:
            text = row.get(name)
            if text:
                ids += self._encode(text)
            offsets.append(len(ids))
        return np.array(ids, np.int32), np.array(offsets, np.int32)

    def save(self, folder: str | os.PathLike[str]) -> None:
        """Writes the folder, each file atomically, the description last."""
        self.write_files(lambda name: atomic_write(Path(folder, name)))

    def write_files(self, open_file: Callable[[str], contextlib.AbstractContextManager[str]]) -> None:
        """Writes the folder's files to the names that `open_file(name)` yields."""
        with open_file(TOKENS_FILE) as temporary:
            pq.write_table(self.tokens, temporary, compression="zstd", use_dictionary=["kind"])
        with open_file(DESCRIPTION_FILE) as temporary:
            storage.put_bytes(temporary, (json.dumps(self.describe(), indent=1, sort_keys=True) + "\n").encode())

    def describe(self) -> dict[str, Any]:
        """The content of vocabulary.json."""
        return {
            "id": self.id,
            "mode": self.mode,
            "size": self.size,
            "sizes": self.sizes,
            "tokenizer_version": TOKENIZER_VERSION,
        }

    @classmethod
    def load(cls, folder: str | os.PathLike[str]) -> "Vocabulary":
        """Inverse of `save`. Raises CorruptFileError if a file is missing, broken, of another tokeniser version, or if
        the tokens are not those that the description's id was made from."""
        description = read_json(Path(folder, DESCRIPTION_FILE))
        path = Path(folder, TOKENS_FILE)
        try:
            mode, size, version = description["mode"], description["size"], description["tokenizer_version"]
            tokens = pq.read_table(path, schema=TOKENS)
            good_size = type(size) is int and size >= 2 if mode == "hashing" else tokens["count"].null_count == 0
            if tokens["token"].null_count or not good_size:
                raise ValueError("nulls or a size that is no number of at least 2")
        except (KeyError, TypeError, ValueError, OSError, pa.ArrowException) as error:
            raise CorruptFileError(
                f"expected a vocabulary in {folder}, got {quote(str(error))}: build it again"
            ) from error
        if version != TOKENIZER_VERSION or mode not in MODES:
            raise CorruptFileError(
                f"expected a vocabulary of tokeniser version {TOKENIZER_VERSION} and a mode of {MODES}, got version "
                f"{version!r} and mode {mode!r} in {folder}: build it again with this version"
            )
        vocabulary = cls(mode, tokens, size)
        if vocabulary.id != description.get("id"):
            raise CorruptFileError(
                f"expected tokens of vocabulary {shown(str(description.get('id')))[:100]}, got {vocabulary.id} "
                f"in {path}: build it again"
            )
        return vocabulary

    def _encode(self, text: str) -> list[int]:
        found: list[str] = []
        word_ids: list[int] = []
        trigram_ids: list[int] = []
        trigram_id, remembered = self._lookup["trigram"], self._pieces
        before = ""
        for piece in normalize(text).split():
            piece_words, piece_word_ids, piece_trigram_ids = remembered.get(piece) or self._analyse(piece)
            if before and (crossing := trigram_id(before[-1] + SEPARATOR + piece[0])):
                trigram_ids.append(crossing)
            found += piece_words
            word_ids += piece_word_ids
            trigram_ids += piece_trigram_ids
            before = piece
        bigram_ids = list(filter(None, map(self._lookup["bigram"], bigrams(found))))
        return (word_ids + bigram_ids + trigram_ids)[:MAX_TOKENS_PER_FIELD]

    def _analyse(self, piece: str) -> tuple[list[str], list[int], list[int]]:
        """(words, word ids, trigram ids) of a run without white space; remembered, for catalogues repeat themselves."""
        found = words(piece)
        word_ids = list(filter(None, map(self._lookup["word"], found)))
        trigram_ids = list(filter(None, map(self._lookup["trigram"], character_trigrams(piece))))
        analysed = (found, word_ids, trigram_ids)
        if len(piece) <= _MAX_REMEMBERED_CHARACTERS:
            if len(self._pieces) >= _MAX_REMEMBERED_PIECES:
                self._pieces.clear()
            self._pieces[piece] = analysed
        return analysed


class _Hasher:
    """token -> 1 + stable_hash(kind/token) % (size - 1)."""

    def __init__(self, kind: str, size: int):
        self.prefix, self.modulus = kind + "/", size - 1

    def __call__(self, token: str) -> int:
        return 1 + stable_hash(self.prefix + token) % self.modulus
