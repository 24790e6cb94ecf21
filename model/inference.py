"""Items in, unit vectors out, in batches of fixed shape: the bytes of a vector depend on its item and model alone.

The shape of the batch that an item rides in depends on that item alone: items wait in queues by the smallest class of
PICTURE_CLASSES that holds their pictures, a full queue is one batch, and the last batch of a queue is padded with empty
items. So neither neighbours nor their number can change a row, and an incremental run equals one from scratch.

Batches run side by side, one a core, each in one thread: no barriers inside an operator, which stall on a busy machine.
"""

from collections.abc import Callable, Iterable, Iterator

import numpy as np
import torch

from model.itemsage import ItemBatch, collate_items
from model.ordered_map import ordered_map, single_threaded_pool, usable_cores
from schemas.records import ItemFeatures
from schemas.tables import MAX_PICTURES, NUM_TEXT_FIELDS

#: Pictures that a batch has room for; few pads, few shapes.
PICTURE_CLASSES = (0, 1, 2, 4, 8, MAX_PICTURES)
BATCH_SIZE = 256

Encoder = Callable[[ItemBatch], torch.Tensor]


def embed_items(
    encoder: Encoder, items: Iterable[ItemFeatures], picture_dim: int, batch_size: int = BATCH_SIZE
) -> Iterator[tuple[list[str], np.ndarray]]:
    """Yields (item ids, float32 unit vectors [n, 256]) batch by batch; every item once, not in input order.

    At most len(PICTURE_CLASSES) batches wait to be filled and two a core to be embedded. Raises ValueError for a vector
    that is not finite.
    """
    num_threads = usable_cores()
    with single_threaded_pool(num_threads) as pool:
        yield from ordered_map(
            pool,
            lambda batch: _embed_batch(encoder, batch, picture_dim, batch_size),
            _batches(items, batch_size),
            max_waiting=2 * num_threads,
        )


def _batches(items: Iterable[ItemFeatures], batch_size: int) -> Iterator[list[ItemFeatures]]:
    """Items of one picture class each, `batch_size` a batch but for the last of a class."""
    queues: dict[int, list[ItemFeatures]] = {}
    for item in items:
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


def _embed_batch(
    encoder: Encoder, items: list[ItemFeatures], picture_dim: int, batch_size: int
) -> tuple[list[str], np.ndarray]:
    room = picture_class(len(items[0].pictures))
    padded = items + [_empty_item(picture_dim)] * (batch_size - len(items))
    with torch.inference_mode():
        batch = collate_items(padded, picture_dim, num_pictures=room, picture_dtype=torch.float16)
        vectors_BD = encoder(batch).float().cpu().numpy()[: len(items)]
    bad = np.flatnonzero(~np.isfinite(vectors_BD).all(axis=1))
    if len(bad):
        names = ", ".join(repr(items[i].item_id) for i in bad[:5])
        raise ValueError(f"expected finite vectors, got {len(bad)} that are not, of items {names}: is the model sound?")
    return [item.item_id for item in items], vectors_BD


def _empty_item(picture_dim: int) -> ItemFeatures:
    return ItemFeatures(
        item_id="",
        token_ids=np.zeros(0, np.int32),
        token_offsets=np.zeros(NUM_TEXT_FIELDS + 1, np.int32),
        pictures=np.zeros((0, picture_dim), np.float16),
    )
