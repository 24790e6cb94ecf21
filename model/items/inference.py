"""Items in, unit vectors out, in batches of fixed shape: the bytes of a vector depend on its item and model alone.

The shape of the batch that an item rides in depends on that item alone: items wait in queues by the smallest class of
PICTURE_CLASSES that holds their pictures, a full queue is one batch, and the last batch of a queue is padded with empty
items. So neither neighbours nor their number can change a row, and an incremental run equals one from scratch.

An item that the model cannot embed fails alone: its batch is halved, each half padded to the same shape, until the item
is by itself. The others get the bytes that they would have got without it. If empty items fail as well, it is the model
that is at fault, and no item is blamed.

Batches run side by side, one a core, each in one thread: no barriers inside an operator, which stall on a busy machine.
"""

import threading
import warnings
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace

import numpy as np
import torch

from model.items.batch import ItemBatch, collate_items
from model.machine.ordered_map import ordered_map, single_threaded_pool, usable_cores
from model.machine.out_of_memory import is_out_of_memory
from schemas.errors import CorruptFileError
from schemas.quarantine import quote
from schemas.records.embeddings import NORM_TOLERANCE
from schemas.records.tfrecords import ItemFeatures
from schemas.tables import MAX_PICTURES, NUM_TEXT_FIELDS

#: Pictures that a batch has room for; few pads, few shapes.
PICTURE_CLASSES = (0, 1, 2, 4, 8, MAX_PICTURES)
BATCH_SIZE = 256
#: Why an item has no vector (reasons of the quarantine).
BAD_FEATURES, MODEL_FAILED, OUT_OF_MEMORY = "bad_features", "model_failed", "out_of_memory"
NOT_FINITE, NOT_UNIT_NORM = "not_finite", "not_unit_norm"

_NO_VECTORS = np.zeros((0, 0), np.float32)

Encoder = Callable[[ItemBatch], torch.Tensor]


@dataclass(frozen=True, slots=True)
class ItemFailure:
    """An item without a vector. reason: one of the constants above; expected, got: what a person reads, printable."""

    item_id: str
    reason: str
    expected: str
    got: str


@dataclass(frozen=True, slots=True, eq=False)
class EmbeddedBatch:
    """Some items: the ids of those with a vector, their float32 unit vectors [n, D] ([0, 0] where there is none), and
    those without one. is_halved: memory did not hold the whole batch, so that vectors may differ in the last bit from
    those that one gives."""

    item_ids: list[str]
    vectors_BD: np.ndarray
    failures: list[ItemFailure]
    is_halved: bool = False


def embed_items(
    encoder: Encoder,
    items: Iterable[ItemFeatures],
    picture_dim: int,
    batch_size: int = BATCH_SIZE,
    text_dim: int = 0,
) -> Iterator[tuple[list[str], np.ndarray]]:
    """`embed_batches` without the failures: (item ids, vectors) of the items that the model can embed, one or more."""
    for batch in embed_batches(encoder, items, picture_dim, batch_size, text_dim):
        if batch.item_ids:
            yield batch.item_ids, batch.vectors_BD


def embed_batches(
    encoder: Encoder,
    items: Iterable[ItemFeatures],
    picture_dim: int,
    batch_size: int = BATCH_SIZE,
    text_dim: int = 0,
) -> Iterator[EmbeddedBatch]:
    """Yields every item once, as a vector or as a failure, batch by batch, not in input order.

    At most len(PICTURE_CLASSES) batches wait to be filled and two a core to be embedded. A batch that memory does not
    hold is tried again in batches of half its size, with a warning: only there may bytes depend on more than the item.
    Raises CorruptFileError if the model fails on empty items too, MemoryError if memory does not hold one of them.
    """
    num_threads = usable_cores()
    forward = _FixedShapes(encoder, picture_dim, text_dim)
    with single_threaded_pool(num_threads) as pool:
        yield from ordered_map(
            pool,
            lambda batch: batch if isinstance(batch, EmbeddedBatch) else forward.embed(batch, batch_size),
            _batches(items, picture_dim, text_dim, batch_size),
            max_waiting=2 * num_threads,
        )


def _batches(
    items: Iterable[ItemFeatures], picture_dim: int, text_dim: int, batch_size: int
) -> Iterator[list[ItemFeatures] | EmbeddedBatch]:
    """Items of one picture class each, `batch_size` a batch but for the last of a class; what does not fit the model
    comes as a failure at once."""
    queues: dict[int, list[ItemFeatures]] = {}
    for item in items:
        misfit = _misfit(item, picture_dim, text_dim)
        if misfit is not None:
            yield _only_failures([misfit])
            continue
        room = picture_class(len(item.pictures))
        queue = queues.setdefault(room, [])
        queue.append(item)
        if len(queue) == batch_size:
            yield queue
            queues[room] = []
    yield from (queue for _, queue in sorted(queues.items()) if queue)


def picture_class(num_pictures: int) -> int:
    """The room for pictures in the batch of an item with so many.

    >>> [picture_class(n) for n in (0, 1, 3, 9)]
    [0, 1, 4, 20]
    """
    return next(room for room in PICTURE_CLASSES if num_pictures <= room)


def _misfit(item: ItemFeatures, picture_dim: int, text_dim: int) -> ItemFailure | None:
    """Why the arrays of an item cannot enter a batch; None if they can. Token ids are left to the model's lookup."""
    offsets = item.token_offsets
    if (
        offsets.shape != (NUM_TEXT_FIELDS + 1,)
        or offsets[0] != 0
        or offsets[-1] != len(item.token_ids)
        or (offsets[1:] < offsets[:-1]).any()
    ):
        expected = f"{NUM_TEXT_FIELDS + 1} ascending token offsets from 0 to {len(item.token_ids)}"
        return ItemFailure(item.item_id, BAD_FEATURES, expected, quote(offsets.tolist()))
    num_pictures = len(item.pictures)
    fits = picture_dim == 0 or num_pictures == 0 or item.pictures.shape == (num_pictures, picture_dim)
    if num_pictures > MAX_PICTURES or not fits:
        expected = f"at most {MAX_PICTURES} pictures of {picture_dim} dimensions"
        return ItemFailure(item.item_id, BAD_FEATURES, expected, f"an array of shape {list(item.pictures.shape)}")
    if text_dim and item.text_vector.shape not in ((0,), (text_dim,)):
        expected = f"a text vector of {text_dim} dimensions"
        return ItemFailure(item.item_id, BAD_FEATURES, expected, f"an array of shape {list(item.text_vector.shape)}")
    return None


class _FixedShapes:
    """Forward passes of one model in batches of fixed shape, and what to do when one of them fails."""

    def __init__(self, encoder: Encoder, picture_dim: int, text_dim: int):
        self.encoder, self.picture_dim, self.text_dim = encoder, picture_dim, text_dim
        self.sound_shapes: set[tuple[int, int]] = set()
        self.warned = threading.Event()

    def embed(self, items: list[ItemFeatures], batch_size: int) -> EmbeddedBatch:
        """Items of one picture class, at most `batch_size` of them, in a batch of that size."""
        room = picture_class(len(items[0].pictures))
        error = None
        try:
            vectors_BD = self._forward(items, room, batch_size)
        except Exception as caught:  # whatever it is, it may be one item's fault
            error = caught.with_traceback(None)  # the traceback would keep the batch's tensors
        if error is None:
            return self._split_by_norm(items, vectors_BD, room, batch_size)
        if is_out_of_memory(error) and batch_size > 1:
            self._warn(batch_size)
            half = batch_size // 2
            parts = [items[start : start + half] for start in range(0, len(items), half)]
            return replace(_joined([self.embed(part, half) for part in parts]), is_halved=True)
        if len(items) > 1:
            middle = len(items) // 2
            return _joined([self.embed(part, batch_size) for part in (items[:middle], items[middle:])])
        self._require_sound_model(room, batch_size)
        return _only_failures([_failure_of(items[0], error)])

    def _forward(self, items: list[ItemFeatures], room: int, batch_size: int) -> np.ndarray:
        """float32 [len(items), D], not checked; the batch is padded to `batch_size` with empty items."""
        padded = items + [_empty_item(self.picture_dim)] * (batch_size - len(items))
        with torch.inference_mode():
            batch = collate_items(padded, self.picture_dim, room, torch.float16, self.text_dim)
            vectors_BD = self.encoder(batch).float().cpu().numpy()
        if vectors_BD.ndim != 2 or len(vectors_BD) != batch_size:
            raise ValueError(f"expected {batch_size} vectors, got an array of shape {list(vectors_BD.shape)}")
        return vectors_BD[: len(items)]

    def _split_by_norm(
        self, items: list[ItemFeatures], vectors_BD: np.ndarray, room: int, batch_size: int
    ) -> EmbeddedBatch:
        """Items whose vector is finite and of norm 1, and failures of the others."""
        norms_B = _norms(vectors_BD)
        good_B = np.abs(norms_B - 1) <= NORM_TOLERANCE  # False for NaN and infinity too
        if good_B.all():
            return EmbeddedBatch([item.item_id for item in items], vectors_BD, [])
        self._require_sound_model(room, batch_size)
        failures = []
        for row in np.flatnonzero(~good_B):
            bad = int((~np.isfinite(vectors_BD[row])).sum())
            reason, got = (NOT_FINITE, f"{bad} that are not") if bad else (NOT_UNIT_NORM, f"norm {norms_B[row]:.6g}")
            expected = "finite numbers" if bad else f"a vector of norm 1 (within {NORM_TOLERANCE})"
            failures.append(ItemFailure(items[row].item_id, reason, expected, got))
        rows = np.flatnonzero(good_B)
        return EmbeddedBatch([items[row].item_id for row in rows], vectors_BD[rows], failures)

    def _require_sound_model(self, room: int, batch_size: int) -> None:
        """Raises unless the model gives an empty item a finite vector in this shape, of norm 1 or, if it has nothing to
        say of such an item, 0."""
        if (room, batch_size) in self.sound_shapes:
            return
        fault: str | None = None
        try:
            vectors_BD = self._forward([_empty_item(self.picture_dim)] * batch_size, room, batch_size)
        except Exception as error:
            if is_out_of_memory(error):
                raise MemoryError(
                    f"expected memory for a batch of {batch_size} items with {room} pictures each, got {error}: free "
                    "some, or use a machine with more"
                ) from error
            fault = f"{type(error).__name__}: {error}"
        else:
            norms_B = _norms(vectors_BD)
            good_B = (np.abs(norms_B - 1) <= NORM_TOLERANCE) | (norms_B <= NORM_TOLERANCE)
            if not good_B.all():
                fault = f"a vector of norm {norms_B[np.argmin(good_B)]:.6g}"
        if fault is not None:
            raise CorruptFileError(
                f"expected a vector of norm 1 for an item without pictures and text, got {quote(fault)}: the model is "
                "at fault, not the items: restore its folder or train it again"
            )
        self.sound_shapes.add((room, batch_size))

    def _warn(self, batch_size: int) -> None:
        if not self.warned.is_set():
            self.warned.set()
            warnings.warn(
                f"memory does not hold a batch of {batch_size} items: smaller ones are used where it does not; their "
                "vectors may differ from those of other runs in the last bit",
                stacklevel=2,
            )


def _failure_of(item: ItemFeatures, error: BaseException) -> ItemFailure:
    reason, expected = MODEL_FAILED, "features that the model can embed"
    if is_out_of_memory(error):
        reason, expected = OUT_OF_MEMORY, "an item that memory holds"
    return ItemFailure(item.item_id, reason, expected, quote(f"{type(error).__name__}: {error}"))


def _only_failures(failures: list[ItemFailure]) -> EmbeddedBatch:
    return EmbeddedBatch([], _NO_VECTORS, failures)


def _joined(batches: list[EmbeddedBatch]) -> EmbeddedBatch:
    vectors = [batch.vectors_BD for batch in batches if batch.item_ids]
    return EmbeddedBatch(
        [name for batch in batches for name in batch.item_ids],
        np.concatenate(vectors) if vectors else _NO_VECTORS,
        [failure for batch in batches for failure in batch.failures],
        any(batch.is_halved for batch in batches),
    )


def _norms(vectors_BD: np.ndarray) -> np.ndarray:
    """float64 [B], as schemas.records.embeddings.validate_embeddings computes them."""
    return np.sqrt(np.einsum("bd,bd->b", vectors_BD, vectors_BD, dtype=np.float64))


def _empty_item(picture_dim: int) -> ItemFeatures:
    return ItemFeatures(
        item_id="",
        token_ids=np.zeros(0, np.int32),
        token_offsets=np.zeros(NUM_TEXT_FIELDS + 1, np.int32),
        pictures=np.zeros((0, picture_dim), np.float16),
    )
