"""What training leaves out of items and queries, so that no token, field, picture or modality is relied on alone.

    tokens       each with probability `tokens`; a long field is thinned further, to about `max_field_tokens`
    fields       a text field with all its tokens; the text vector, of queries too; their vector of the shop's table
    pictures     a picture
    modalities   all text of an item that has pictures, or all pictures of one that has text: a shop's next item may
                 lack either, and beside a strong modality a weak one learns nothing
    queries      tokens, of text queries

Nothing is ever left without any input: what would be is kept whole. Whether a thing stays depends on (seed, its item's
or query's row, its place) alone, so several processes that each read a piece of a batch drop what one process would.

Shapes as in model.items.itemsage: B rows, N pictures, F fields, T tokens, S segments.
"""

from dataclasses import dataclass

import numpy as np
import torch

from model.items.batch import ItemBatch
from schemas.errors import UsageError
from schemas.hashing import seed_of
from schemas.tables import NUM_TEXT_FIELDS


@dataclass(frozen=True, kw_only=True)
class Dropout:
    """Probabilities of leaving out; max_field_tokens: about as many tokens of a field stay, 0: no bound."""

    tokens: float = 0.0
    fields: float = 0.0
    pictures: float = 0.0
    modalities: float = 0.0
    max_field_tokens: int = 0

    def __post_init__(self) -> None:
        shares = {name: getattr(self, name) for name in ("tokens", "fields", "pictures", "modalities")}
        if not all(0 <= share < 1 for share in shares.values()) or self.max_field_tokens < 0:
            raise UsageError(
                f"expected dropout probabilities from 0 to below 1 and max_field_tokens >= 0, got {shares} and "
                f"{self.max_field_tokens}"
            )


def drop_from_items(batch: ItemBatch, rows_B: np.ndarray, dropout: Dropout, seed: int) -> ItemBatch:
    """`batch` of the items `rows_B` of the catalogue without what is dropped in the step that `seed` names."""
    fields_BF = np.diff(batch.token_offsets_BF.numpy()).reshape(len(batch), NUM_TEXT_FIELDS)
    pictures_BN = batch.picture_mask_BN.numpy()
    lone_U = uniforms(seed_of(seed, "modality"), rows_B)
    has_both_B = fields_BF.any(axis=1) & pictures_BN.any(axis=1)
    loses_text_B = has_both_B & (lone_U < dropout.modalities / 2)
    loses_pictures_B = has_both_B & (lone_U >= 1 - dropout.modalities / 2)

    has_tokens_B = fields_BF.any(axis=1)
    keeps_text_vector_B = ~has_tokens_B | (uniforms(seed_of(seed, "text vector"), rows_B) >= dropout.fields)
    keeps_text_vector_B &= ~loses_text_B
    stays_BF = _grid(seed_of(seed, "field"), rows_B, NUM_TEXT_FIELDS) >= dropout.fields
    stays_BF |= ~(stays_BF & (fields_BF > 0)).any(axis=1, keepdims=True)
    stays_BF &= ~loses_text_B[:, None]
    stays_BN = _grid(seed_of(seed, "picture"), rows_B, pictures_BN.shape[1]) >= dropout.pictures
    stays_BN |= ~(stays_BN & pictures_BN).any(axis=1, keepdims=True)
    stays_BN &= ~loses_pictures_B[:, None]

    keys_S = (rows_B[:, None] * NUM_TEXT_FIELDS + np.arange(NUM_TEXT_FIELDS)).ravel()
    token_ids_T, offsets_S = _thinned(batch.token_ids_T, batch.token_offsets_BF, keys_S, dropout, seed)
    segment_T = np.repeat(np.arange(len(keys_S)), np.diff(offsets_S.numpy()))
    token_ids_T, offsets_S = _segments(token_ids_T, segment_T, stays_BF.ravel()[segment_T], len(keys_S))
    mask_BN = torch.from_numpy(pictures_BN & stays_BN)
    return ItemBatch(
        token_ids_T=token_ids_T,
        token_offsets_BF=offsets_S,
        pictures_BND=batch.pictures_BND * mask_BN[..., None],
        picture_mask_BN=mask_BN,
        text_vectors_BD=batch.text_vectors_BD * torch.from_numpy(keeps_text_vector_B)[:, None],
    )


def drop_from_queries(
    token_ids_T: torch.Tensor,
    offsets_B: torch.Tensor,
    text_vectors_BD: torch.Tensor,
    table_vectors_BD: torch.Tensor,
    rows_B: np.ndarray,
    dropout: Dropout,
    seed: int,
) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor, torch.Tensor]:
    """Text queries (rows of the pair table) without what is dropped: as PairTable.text."""
    has_tokens_B = np.diff(offsets_B.numpy()) > 0
    text_stays_B, table_stays_B = (
        torch.from_numpy(~has_tokens_B | (uniforms(seed_of(seed, f"query {name} vector"), rows_B) >= dropout.fields))
        for name in ("text", "table")
    )
    return (
        *_thinned(token_ids_T, offsets_B, rows_B, dropout, seed_of(seed, "query")),
        text_vectors_BD * text_stays_B[:, None],
        table_vectors_BD * table_stays_B[:, None],
    )


def uniforms(seed: int, *keys_X: np.ndarray) -> np.ndarray:
    """float64 in [0, 1), one for each row of keys (integers): the same keys give the same number (SplitMix64)."""
    mixed_X = np.full(len(keys_X[0]), seed, np.uint64)
    for key_X in keys_X:
        mixed_X = (mixed_X ^ key_X.astype(np.uint64)) + np.uint64(0x9E3779B97F4A7C15)
        mixed_X = (mixed_X ^ (mixed_X >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
        mixed_X = (mixed_X ^ (mixed_X >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
        mixed_X ^= mixed_X >> np.uint64(31)
    return (mixed_X >> np.uint64(11)) * 2.0**-53


def _grid(seed: int, rows_B: np.ndarray, columns: int) -> np.ndarray:
    """float64 [B, columns] of uniforms by row and column."""
    keys = np.repeat(rows_B, columns), np.tile(np.arange(columns), len(rows_B))
    return uniforms(seed, *keys).reshape(len(rows_B), columns)


def _thinned(
    token_ids_T: torch.Tensor, offsets_S: torch.Tensor, keys_S: np.ndarray, dropout: Dropout, seed: int
) -> tuple[torch.Tensor, torch.Tensor]:
    """Segments, known by their keys, without dropped tokens; one that would lose all of them keeps all."""
    lengths_S, starts_S = np.diff(offsets_S.numpy()), offsets_S.numpy()[:-1]
    segment_T = np.repeat(np.arange(len(lengths_S)), lengths_S)
    keep_S = np.full(len(lengths_S), 1.0 - dropout.tokens)
    if dropout.max_field_tokens:
        keep_S *= np.minimum(1.0, dropout.max_field_tokens / np.maximum(lengths_S, 1))
    place_T = np.arange(len(segment_T)) - starts_S[segment_T]
    kept_T = uniforms(seed_of(seed, "token"), keys_S[segment_T], place_T) < keep_S[segment_T]
    kept_T |= np.bincount(segment_T[kept_T], minlength=len(lengths_S))[segment_T] == 0
    return _segments(token_ids_T, segment_T, kept_T, len(lengths_S))


def _segments(
    token_ids_T: torch.Tensor, segment_T: np.ndarray, kept_T: np.ndarray, num_segments: int
) -> tuple[torch.Tensor, torch.Tensor]:
    counts_S = np.bincount(segment_T[kept_T], minlength=num_segments)
    offsets = np.concatenate([np.zeros(1, np.int64), np.cumsum(counts_S)])
    return token_ids_T[torch.from_numpy(kept_T)], torch.from_numpy(offsets)
