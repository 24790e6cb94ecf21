"""Sentences -> vectors, fast and repeatable.

A text is padded to the next of a few lengths, and the network runs on batches whose shape that length decides, the last
one of a length padded too, each in one thread: a text's bytes depend on the text and the encoder id, not on the other
texts or the number of cores. Batches run side by side, one a core. The linear maps are in bfloat16 where the hardware
has it, after a parity check with float32.
"""

import copy
import os
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
import torch
import torch.nn.functional as F

from model.machine.number_formats import DTYPES, MIN_PARITY_COSINE, refuse_or_warn, smallest_cosine
from model.machine.ordered_map import ordered_map, single_threaded_pool, usable_cores
from model.text.bert import load_bert
from model.text.text_encoder_spec import TextEncoderSpec, saved_text_encoder_spec, text_encoder_spec
from model.text.tokenizer import plain_text
from schemas.errors import UsageError
from schemas.hashing import seed_of
from schemas.quarantine import quote

if TYPE_CHECKING:
    from tokenizers import Tokenizer

_PARITY_TEXTS = (
    "running shoes", "iPhone 12 case, clear", "6 ft HDMI cable", "organic whole milk 1l", "x",
    "Women's waterproof hiking jacket with hood, dark green, size M",
    "Stainless steel kitchen knife set with wooden block, 7 pieces: chef, bread, carving, utility and paring knife",
)  # fmt: skip
_PARITY_LENGTHS = (2, 5, 12, 30)
_TEXTS_A_CHUNK = 256
_MAX_THREADS = 16
_LEAST_NORM = 1e-6


def _tells_nobody(count: int) -> None:
    """Where nobody asks how far it is."""


class TextEncoder:
    """A loaded encoder. Attributes: spec (settled dtype), encoder_id, network_id, dim, parity_cosine."""

    def __init__(self, spec: TextEncoderSpec, may_fall_back: bool = False):
        self.tokenizer = _open_tokenizer(spec)
        self._num_special: int = self.tokenizer.num_special_tokens_to_add(False)
        exact = load_bert(spec.network, spec.weights_file).to(spec.device)
        self.spec, self.parity_cosine = spec, 1.0
        self._network = exact
        self._pool = single_threaded_pool(_num_threads())
        if spec.dtype != "float32":
            self._lower_precision(may_fall_back)
        self.encoder_id, self.network_id, self.dim = self.spec.encoder_id, self.spec.network_id, spec.dim

    def _lower_precision(self, may_fall_back: bool) -> None:
        """Takes the faster number format if it keeps the vectors; else float32 with a warning, or UsageError.

        Also what is left after subtracting the mean vector must be kept: what all texts have in common hides errors.
        """
        exact, texts = self._network, self._parity_ids()
        reference_BD = self._encode_ids(texts)
        self._network = copy.deepcopy(exact).with_linear_maps(DTYPES[self.spec.dtype])
        vectors_BD = self._encode_ids(texts)
        self.parity_cosine = min(
            smallest_cosine(reference_BD, vectors_BD),
            smallest_cosine(reference_BD - reference_BD.mean(axis=0), vectors_BD - reference_BD.mean(axis=0)),
        )
        if self.parity_cosine >= MIN_PARITY_COSINE:
            return
        refuse_or_warn(self.spec.name, self.spec.dtype, MIN_PARITY_COSINE, f"{self.parity_cosine:.5f}", may_fall_back)
        self._network, self.spec = exact, replace(self.spec, dtype="float32")

    def encode(self, texts: Sequence[str], on_encoded: Callable[[int], None] = _tells_nobody) -> np.ndarray:
        """float32 [N, dim], rows of norm 1, in the order of the texts; a row of zeros, whose norm is 0, for a text
        without a token (empty, or blank).

        A row's bytes do not depend on the other texts. Equal texts are computed once. Longer texts than spec.max_tokens
        are cut. on_encoded: called after each batch with the number of its texts.
        """
        row_of = {text: row for row, text in enumerate(dict.fromkeys(texts))}
        distinct = list(row_of)
        chunks = (distinct[start : start + _TEXTS_A_CHUNK] for start in range(0, len(distinct), _TEXTS_A_CHUNK))
        tokenised = ordered_map(self._pool, self._tokenise, chunks, max_waiting=2 * _num_threads())
        vectors_ND = self._encode_ids([ids for chunk in tokenised for ids in chunk], on_encoded)
        return vectors_ND[[row_of[text] for text in texts]]

    def encode_means(
        self, groups: Sequence[Sequence[str]], on_encoded: Callable[[int], None] = _tells_nobody
    ) -> np.ndarray:
        """float32 [N, dim]: for each group of texts the mean of their vectors, scaled to norm 1; zeros where no text
        has a token. As independent of the other groups as `encode`, and on_encoded as there."""
        texts = list(dict.fromkeys(text for group in groups for text in group))
        row_of, vectors_ND = {text: row for row, text in enumerate(texts)}, self.encode(texts, on_encoded)
        sums_ND = np.zeros((len(groups), self.spec.dim), np.float32)
        for row, group in enumerate(groups):
            for text in group:
                sums_ND[row] += vectors_ND[row_of[text]]
        return sums_ND / np.maximum(np.linalg.norm(sums_ND, axis=1, keepdims=True), _LEAST_NORM)

    def _tokenise(self, texts: Sequence[str]) -> list[list[int]]:
        """Token ids of each text as plain_text, special ones included; none for a text that has only those."""
        # a lone surrogate is no UTF-8
        sound = [plain_text(text).encode("utf-8", "replace").decode() for text in texts]
        encodings = self.tokenizer.encode_batch([text.lower() for text in sound] if self.spec.lower_case else sound)
        return [encoding.ids if len(encoding.ids) > self._num_special else [] for encoding in encodings]

    def _encode_ids(
        self, texts: Sequence[Sequence[int]], on_encoded: Callable[[int], None] = _tells_nobody
    ) -> np.ndarray:
        """Token ids of N texts -> float32 [N, dim], zeros for those without."""
        vectors_ND = np.zeros((len(texts), self.spec.dim), np.float32)
        batches = list(self._batches(texts))
        encoded = ordered_map(
            self._pool,
            lambda batch: self._encode_batch([texts[row] for row in batch[1]], batch[0]),
            batches,
            max_waiting=2 * _num_threads(),
        )
        for (_, rows), vectors_BD in zip(batches, encoded, strict=True):
            vectors_ND[rows] = vectors_BD
            on_encoded(len(rows))
        return vectors_ND

    def _batches(self, texts: Sequence[Sequence[int]]) -> Iterator[tuple[int, list[int]]]:
        """(padded length, rows of the texts) of every batch; texts without tokens are in none."""
        by_length: dict[int, list[int]] = {}
        for row, ids in enumerate(texts):
            if ids:
                by_length.setdefault(padded_length(len(ids), self.spec.max_tokens), []).append(row)
        for length, rows in sorted(by_length.items()):
            size = self._batch_size(length)
            yield from ((length, rows[start : start + size]) for start in range(0, len(rows), size))

    def _batch_size(self, length: int) -> int:
        return max(1, self.spec.batch_tokens // length)

    def _encode_batch(self, texts: Sequence[Sequence[int]], length: int) -> np.ndarray:
        """float32 [len(texts), dim]. The network always sees the full batch of this length."""
        ids_BT = np.zeros((self._batch_size(length), length), np.int64)
        present_BT = np.zeros(ids_BT.shape, bool)
        present_BT[:, 0] = True  # what fills the batch up has one token, so that its attention is defined
        for row, ids in enumerate(texts):
            ids_BT[row, : len(ids)] = ids
            present_BT[row, : len(ids)] = True
        with torch.inference_mode():
            mask_BT = torch.from_numpy(present_BT).to(self.spec.device)
            hidden_BTW = self._network(torch.from_numpy(ids_BT).to(self.spec.device), mask_BT)
            if self.spec.pooling == "cls":
                pooled_BW = hidden_BTW[:, 0]
            else:
                pooled_BW = torch.where(mask_BT[..., None], hidden_BTW, 0).sum(1) / mask_BT.sum(1, keepdim=True)
            return F.normalize(pooled_BW, dim=1)[: len(texts)].cpu().numpy()

    def _parity_ids(self) -> list[list[int]]:
        """Sentences of a shop, and, for a tokenizer of another language, tokens at random."""
        random = np.random.default_rng(seed_of("text encoder parity"))
        lengths = [min(length, self.spec.max_tokens) for length in _PARITY_LENGTHS]
        at_random = [random.integers(0, self.spec.network.vocabulary_size, length).tolist() for length in lengths]
        return [*filter(None, self._tokenise(_PARITY_TEXTS)), *at_random]


def load_text_encoder(
    name_or_folder: str, device: str = "auto", dtype: str = "auto", batch_tokens: int | None = None
) -> TextEncoder:
    """A loaded encoder; arguments as in text_encoder_spec. dtype "auto" falls back to float32 if parity fails."""
    spec = text_encoder_spec(name_or_folder, device, dtype, batch_tokens)
    return TextEncoder(spec, may_fall_back=dtype == "auto")


def open_text_encoder(folder: str | os.PathLike[str], device: str = "auto", dtype: str = "auto") -> TextEncoder:
    """What save_text_encoder wrote: the same network id, and the same encoder id on the same kind of machine."""
    return TextEncoder(saved_text_encoder_spec(str(folder), device, dtype), may_fall_back=dtype == "auto")


def padded_length(num_tokens: int, max_tokens: int) -> int:
    """The length that a text is padded to: in finer steps where texts are short, and most are.

    >>> [padded_length(number, 300) for number in (2, 8, 9, 64, 65, 129, 300)]
    [8, 8, 16, 64, 80, 160, 300]
    """
    step = 8 if num_tokens <= 64 else 16 if num_tokens <= 128 else 32
    return min(-(-num_tokens // step) * step, max_tokens)


def _open_tokenizer(spec: TextEncoderSpec) -> "Tokenizer":
    """Cuts at spec.max_tokens, pads nothing. Raises UsageError without the library, for a file that is no tokenizer and
    for one that knows more tokens than the network."""
    # Texts are tokenised in threads of ours; the library's own would also warn at every fork of a runner.
    os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
    try:
        from tokenizers import Tokenizer
    except ImportError as error:
        raise UsageError(
            f"expected the library tokenizers for text encoder {spec.name}, got none: pip install 'itemsage[text]', or "
            "pip install tokenizers"
        ) from error
    try:
        tokenizer = Tokenizer.from_file(spec.tokenizer_file)
    except Exception as error:  # the library raises Exception itself
        raise UsageError(f"expected a tokenizer in {spec.tokenizer_file}, got {quote(str(error))}") from error
    tokenizer.no_padding()
    tokenizer.enable_truncation(spec.max_tokens)
    largest = max(tokenizer.get_vocab(with_added_tokens=True).values(), default=0)
    if largest >= spec.network.vocabulary_size:
        raise UsageError(
            f"expected token ids below {spec.network.vocabulary_size}, got {largest} in {spec.tokenizer_file}: "
            "the tokenizer is another network's"
        )
    return tokenizer


def _num_threads() -> int:
    return min(usable_cores(), _MAX_THREADS)
