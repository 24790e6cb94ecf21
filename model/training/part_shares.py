"""What a part of the item encoder is worth: validation again with the part switched off, in the trained model.

    block          each transformer block as the linear start has it (model.items.start): the mean of all present
                   positions, no values of its own, no feed-forward. Its share is that of what it has learned.
    attention      its learned values and feed-forward stay, only the weights of the positions are equal: the mean
    text           items without text: without fields and text vector
    text_vector    items without the vector of the text encoder, fields stay
    pictures       items without pictures

The first two are of the transformer alone.

Queries are never changed. What is left was trained beside the part, and does not get the chance to make up for it: a
share says how much the model leans on the part, at most what a model that was trained without it would lose. text and
pictures are left out of a model that has nothing else to read.
"""

import copy
import dataclasses
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TypeVar

import torch
from torch import nn

from model.items.batch import ItemBatch, ItemChange
from model.items.config import ItemSageConfig
from model.items.itemsage import ItemEncoder
from model.items.layers import TransformerBlock
from model.items.start import start_block_

T = TypeVar("T")


def measure_without(encoder: ItemEncoder, measure: Callable[[ItemChange | None], T]) -> dict[str, T]:
    """part -> what `measure(change)` returns while the part is switched off; the encoder is as it was afterwards."""
    measured = {}
    for name, switch_off_ in (("block", _switch_off_), ("attention", _attend_equally_)) if encoder.blocks else ():
        with _changed_blocks(encoder, switch_off_):
            measured[name] = measure(None)
    for name, change in item_changes(encoder.config).items():
        measured[name] = measure(change)
    return measured


def item_changes(config: ItemSageConfig) -> dict[str, ItemChange]:
    """part -> what takes it from the items."""
    changes: dict[str, ItemChange] = {}
    if config.use_text and config.sees_pictures:
        changes["text"] = without_text
    if config.reads_text_vectors:
        changes["text_vector"] = without_text_vectors
    if config.use_text and config.sees_pictures:
        changes["pictures"] = without_pictures
    return changes


def without_text(batch: ItemBatch) -> ItemBatch:
    """The items without fields and text vectors."""
    return dataclasses.replace(
        without_text_vectors(batch),
        token_ids_T=batch.token_ids_T[:0],
        token_offsets_BF=torch.zeros_like(batch.token_offsets_BF),
    )


def without_text_vectors(batch: ItemBatch) -> ItemBatch:
    """The items without the vectors of the text encoder."""
    return dataclasses.replace(batch, text_vectors_BD=torch.zeros_like(batch.text_vectors_BD))


def without_pictures(batch: ItemBatch) -> ItemBatch:
    """The items without pictures."""
    return dataclasses.replace(
        batch,
        pictures_BND=torch.zeros_like(batch.pictures_BND),
        picture_mask_BN=torch.zeros_like(batch.picture_mask_BN),
    )


@contextmanager
def _changed_blocks(encoder: ItemEncoder, change_: Callable[[TransformerBlock], None]) -> Iterator[None]:
    trained = encoder.blocks
    changed = copy.deepcopy(trained)
    with torch.no_grad():
        for block in changed:
            assert isinstance(block, TransformerBlock)
            change_(block)
    encoder.blocks = changed
    try:
        yield
    finally:
        encoder.blocks = trained


def _switch_off_(block: TransformerBlock) -> None:
    start_block_(block)
    for norm in (block.attention_norm, block.ffn_norm):
        norm.reset_parameters()


def _attend_equally_(block: TransformerBlock) -> None:
    width = len(block.qkv.bias) // 3
    nn.init.zeros_(block.qkv.weight[:width])
    nn.init.zeros_(block.qkv.bias[:width])
