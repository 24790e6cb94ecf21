"""Features of several items as the tensors that the item encoder reads (shape letters: see model.items.itemsage)."""

import dataclasses
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from schemas.errors import UsageError
from schemas.records.tfrecords import ItemFeatures


@dataclass
class ItemBatch:
    """Features of B items.

    token_ids_T: int64. token_offsets_BF: int64 [B * 12 + 1], field f of item b is segment b * 12 + f.
    pictures_BND: float32 (float16 is accepted), zeros where absent. picture_mask_BN: bool, True = present.
    text_vectors_BD: float32 or float16 vectors of the items' whole texts by the text encoder, zeros where there is no
    text; no columns for a model without one.
    """

    token_ids_T: Tensor
    token_offsets_BF: Tensor
    pictures_BND: Tensor
    picture_mask_BN: Tensor
    text_vectors_BD: Tensor

    def __len__(self) -> int:
        return self.picture_mask_BN.shape[0]

    def to(self, device: torch.device | str, non_blocking: bool = False) -> "ItemBatch":
        moved = {f.name: getattr(self, f.name).to(device, non_blocking=non_blocking) for f in dataclasses.fields(self)}
        return ItemBatch(**moved)


#: What is done to a batch before it is encoded.
ItemChange = Callable[[ItemBatch], ItemBatch]


def collate_items(
    items: Sequence[ItemFeatures],
    picture_dim: int,
    num_pictures: int | None = None,
    picture_dtype: torch.dtype = torch.float32,
    text_dim: int = 0,
) -> ItemBatch:
    """Pads pictures to `num_pictures` (None: the most that an item has; more than that are cut) and joins tokens.

    Raises UsageError if an item's vectors are not `picture_dim` or `text_dim` wide (0 ignores them).
    """
    most = max((len(item.pictures) for item in items), default=0) if num_pictures is None else num_pictures
    most = most if picture_dim else 0
    pictures_BND = np.zeros((len(items), most, picture_dim), np.float16)
    mask_BN = np.zeros((len(items), most), bool)
    for row, item in enumerate(items):
        count = min(len(item.pictures), most)
        if count and item.pictures.shape[1] != picture_dim:
            raise UsageError(
                f"expected pictures of {picture_dim} dimensions, got {item.pictures.shape[1]} (item {item.item_id!r}): "
                "use the picture encoder that the model was trained with"
            )
        if count:
            pictures_BND[row, :count] = item.pictures[:count]
            mask_BN[row, :count] = True
    text_vectors_BD = np.zeros((len(items), text_dim), np.float16)
    for row, item in enumerate(items if text_dim else ()):
        if len(item.text_vector) not in (0, text_dim):
            raise UsageError(
                f"expected a text vector of {text_dim} dimensions, got {len(item.text_vector)} (item "
                f"{item.item_id!r}): use the text encoder that the model was trained with"
            )
        if len(item.text_vector):
            text_vectors_BD[row] = item.text_vector
    lengths_BF = np.array([np.diff(item.token_offsets) for item in items], np.int64).reshape(-1)
    tokens_T = np.concatenate([np.zeros(0, np.int64), *(item.token_ids for item in items)], dtype=np.int64)
    return ItemBatch(
        token_ids_T=torch.from_numpy(tokens_T),
        token_offsets_BF=torch.from_numpy(np.concatenate([np.zeros(1, np.int64), np.cumsum(lengths_BF)])),
        pictures_BND=torch.from_numpy(pictures_BND).to(picture_dtype),
        picture_mask_BN=torch.from_numpy(mask_BN),
        text_vectors_BD=torch.from_numpy(text_vectors_BD).to(picture_dtype),
    )
