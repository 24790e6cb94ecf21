"""The ranks of a sample of held-out pairs among the catalogue, as the model in training embeds queries and items.

Legend: P sampled pairs, I items of the catalogue, N candidates among them, A distinct queries of the sample, M items
that such a query is known to have engaged, B batch, D and O dimensions of the output.
"""

import contextlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import torch

from model.items.batch import ItemChange
from model.items.itemsage import ItemSage
from model.items.layers import unit
from model.measures.metrics import ranks
from model.training.data import sample_pairs
from model.training.forward import encode_items
from model.training.known_items import known_items
from model.training.tables import ItemTable, PairTable
from schemas.errors import UsageError
from schemas.hashing import seed_of

_ITEMS_PER_BATCH = 512


@dataclass(frozen=True, eq=False)
class RankedPairs:
    """Rows of the pairs that were sampled, their ranks, and among how many items."""

    rows_P: np.ndarray
    ranks_P: np.ndarray
    num_items: int


def rank_sampled_pairs(
    model: ItemSage,
    items: ItemTable,
    pairs: PairTable,
    num_pairs: int,
    num_distractors: int,
    seed: int,
    dim: int | None = None,
    change: ItemChange | None = None,
    known: Sequence[PairTable] = (),
) -> RankedPairs:
    """As model.training.validation.evaluate_recall says, which has the same arguments."""
    if dim is not None and not 1 <= dim <= model.config.output_dim:
        raise UsageError(f"expected a dim from 1 to the {model.config.output_dim} of the model's vectors, got {dim}")
    rows_P = sample_pairs(pairs, num_pairs, seed)
    if len(rows_P) == 0:
        return RankedPairs(rows_P, rows_P, 0)
    positives_P = np.asarray(pairs.item_P[rows_P])
    candidates_N = np.arange(len(items))
    if len(items) > num_distractors:
        generator = np.random.default_rng(seed_of("distractors", seed))
        candidates_N = np.union1d(generator.choice(len(items), num_distractors, replace=False), positives_P)
    with _measured(model):
        candidates_ND = _prefix(embed_rows(model, items, candidates_N, change), dim)
        queries_PD = _prefix(_embed_queries(model, pairs, np.asarray(pairs.query_P[rows_P])), dim)
    position_I = np.full(len(items), -1)
    position_I[candidates_N] = np.arange(len(candidates_N))
    known_A, place_P = known_items(pairs, rows_P, known)
    left_out_A = [place_M[place_M >= 0] for place_M in (position_I[known_M] for known_M in known_A)]
    left_out_P = [left_out_A[place] for place in place_P]
    ranks_P = ranks(queries_PD, candidates_ND[position_I[positives_P]], candidates_ND, left_out_P)
    return RankedPairs(rows_P, ranks_P, len(candidates_N))


@contextlib.contextmanager
def _measured(model: ItemSage) -> Iterator[None]:
    """In evaluation mode and without gradients; the model's training mode is left as it was."""
    was_training = model.training
    model.eval()
    try:
        with torch.inference_mode():
            yield
    finally:
        model.train(was_training)


def _prefix(vectors_XO: np.ndarray, dim: int | None) -> np.ndarray:
    """The first `dim` entries of unit vectors, of norm 1; all of them as they are for None."""
    return vectors_XO if dim is None else unit(torch.from_numpy(vectors_XO[:, :dim])).numpy()


def embed_rows(
    model: ItemSage,
    items: ItemTable,
    rows_N: np.ndarray,
    change: ItemChange | None = None,
) -> np.ndarray:
    """float32 unit vectors [N, O] of rows of the table, each first changed by `change`."""
    device = model.log_scale.device
    vectors = []
    for start in range(0, len(rows_N), _ITEMS_PER_BATCH):
        batch = items.batch(rows_N[start : start + _ITEMS_PER_BATCH])
        batch = batch if change is None else change(batch)
        vectors.append(encode_items(model.item_encoder, batch.to(device)).float().cpu())
    return torch.cat(vectors).numpy()


def _embed_queries(model: ItemSage, pairs: PairTable, queries_P: np.ndarray) -> np.ndarray:
    """float32 unit vectors [P, O] of query rows, text and pictures each through its tower."""
    device = model.log_scale.device
    vectors_PD = np.zeros((len(queries_P), model.config.output_dim), np.float32)
    is_text_P = pairs.is_text(queries_P)
    if is_text_P.any():
        text = (x.to(device) for x in pairs.text(queries_P[is_text_P]))
        vectors_PD[is_text_P] = model.text_tower(*text).cpu().numpy()
    if not is_text_P.all():
        assert model.picture_tower is not None
        pictures_BD = pairs.pictures(queries_P[~is_text_P]).to(device)
        vectors_PD[~is_text_P] = model.picture_tower(pictures_BD).cpu().numpy()
    return vectors_PD
