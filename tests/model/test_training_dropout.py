"""What training leaves out: shares as asked, never everything, the same whoever reads which piece of a batch."""

import numpy as np
import pytest
import torch

from model.items.batch import ItemBatch
from model.training.dropout import Dropout, drop_from_items, drop_from_queries, uniforms
from schemas.errors import UsageError
from schemas.tables import NUM_TEXT_FIELDS

NUM_ITEMS, FIELD_TOKENS, NUM_PICTURES = 400, 50, 5


def batch_of(rows_B: np.ndarray) -> ItemBatch:
    """Items whose tokens name their item, field and place; every third has no picture, every seventh no text."""
    lengths_BF = np.tile([FIELD_TOKENS, 0, 1] * 4, (len(rows_B), 1)) * (rows_B % 7 > 0)[:, None]
    tokens = [
        row * 1000 + field * 60 + np.arange(length)
        for row, lengths in zip(rows_B, lengths_BF, strict=True)
        for field, length in enumerate(lengths)
    ]
    mask_BN = np.arange(NUM_PICTURES) < np.where(rows_B % 3 > 0, 1 + rows_B % NUM_PICTURES, 0)[:, None]
    return ItemBatch(
        token_ids_T=torch.from_numpy(np.concatenate(tokens).astype(np.int64)),
        token_offsets_BF=torch.from_numpy(np.concatenate([[0], np.cumsum(lengths_BF)]).astype(np.int64)),
        pictures_BND=torch.ones(len(rows_B), NUM_PICTURES, 3) * torch.from_numpy(mask_BN)[..., None],
        picture_mask_BN=torch.from_numpy(mask_BN),
        text_vectors_BD=torch.ones(len(rows_B), 2) * (lengths_BF.any(axis=1)[:, None]),
    )


def lengths_of(batch: ItemBatch) -> np.ndarray:
    return np.diff(batch.token_offsets_BF.numpy()).reshape(-1, NUM_TEXT_FIELDS)


ROWS = np.arange(NUM_ITEMS)
ALL = Dropout(tokens=0.2, fields=0.3, pictures=0.4, modalities=0.3, max_field_tokens=20)


def test_nothing_is_dropped_without_being_asked() -> None:
    before, after = batch_of(ROWS), drop_from_items(batch_of(ROWS), ROWS, Dropout(), seed=1)
    for name in ("token_ids_T", "token_offsets_BF", "pictures_BND", "picture_mask_BN", "text_vectors_BD"):
        assert torch.equal(getattr(before, name), getattr(after, name)), name


@pytest.mark.parametrize(
    ("dropout", "left"),
    [(Dropout(tokens=0.2), 0.8), (Dropout(max_field_tokens=20), 0.4), (Dropout(tokens=0.5, max_field_tokens=20), 0.2)],
)
def test_long_fields_lose_their_share_of_tokens_and_short_ones_stay(dropout: Dropout, left: float) -> None:
    before, after = lengths_of(batch_of(ROWS)), lengths_of(drop_from_items(batch_of(ROWS), ROWS, dropout, seed=1))
    assert after[:, ::3].sum() / before[:, ::3].sum() == pytest.approx(left, abs=0.02)
    assert (after[:, 2::3] == before[:, 2::3]).all()  # one token: without it the field would be gone


def test_what_is_left_is_part_of_what_was_there_in_order() -> None:
    before, after = batch_of(ROWS), drop_from_items(batch_of(ROWS), ROWS, ALL, seed=1)
    assert np.isin(after.token_ids_T, before.token_ids_T).all()
    segment_T = np.repeat(np.arange(NUM_ITEMS * NUM_TEXT_FIELDS), np.diff(after.token_offsets_BF))
    row_T, field_T = np.divmod(segment_T, NUM_TEXT_FIELDS)
    place_T = after.token_ids_T.numpy() - row_T * 1000 - field_T * 60
    assert ((place_T >= 0) & (place_T < FIELD_TOKENS)).all()
    assert (np.diff(place_T)[np.diff(segment_T) == 0] > 0).all()
    assert not (after.picture_mask_BN & ~before.picture_mask_BN).any()
    assert torch.equal(after.pictures_BND[..., 0] > 0, after.picture_mask_BN)


def test_fields_pictures_and_modalities_go_in_their_shares() -> None:
    before = batch_of(ROWS)
    fields = lengths_of(drop_from_items(before, ROWS, Dropout(fields=0.3), seed=1)) > 0
    assert fields.sum() / (lengths_of(before) > 0).sum() == pytest.approx(0.7, abs=0.03)
    text_vectors_BD = drop_from_items(before, ROWS, Dropout(fields=0.3), seed=1).text_vectors_BD
    assert text_vectors_BD.sum() / before.text_vectors_BD.sum() == pytest.approx(0.7, abs=0.06)
    many = ROWS % NUM_PICTURES == 4
    pictures = drop_from_items(before, ROWS, Dropout(pictures=0.3), seed=1).picture_mask_BN.numpy()
    assert pictures[many].sum() / before.picture_mask_BN.numpy()[many].sum() == pytest.approx(0.7, abs=0.06)
    both = (ROWS % 7 > 0) & (ROWS % 3 > 0)
    after = drop_from_items(before, ROWS, Dropout(modalities=0.4), seed=1)
    has_text, has_pictures = lengths_of(after).any(axis=1), after.picture_mask_BN.numpy().any(axis=1)
    assert (~has_text & both).sum() / both.sum() == pytest.approx(0.2, abs=0.06)
    assert (~has_pictures & both).sum() / both.sum() == pytest.approx(0.2, abs=0.06)
    assert (has_text[both] | has_pictures[both]).all()
    assert (after.text_vectors_BD.any(dim=1).numpy() == has_text).all()  # the text vector is text too


@pytest.mark.parametrize("seed", range(5))
def test_nobody_loses_everything(seed: int) -> None:
    hard = Dropout(tokens=0.95, fields=0.95, pictures=0.95, modalities=0.95, max_field_tokens=1)
    before, after = batch_of(ROWS), drop_from_items(batch_of(ROWS), ROWS, hard, seed=seed)
    had = lengths_of(before).any(axis=1) | before.picture_mask_BN.numpy().any(axis=1)
    has = lengths_of(after).any(axis=1) | after.picture_mask_BN.numpy().any(axis=1)
    assert (had == has).all()
    tokens_T, offsets_B, text_vectors_BD, table_vectors_BD = drop_from_queries(
        torch.arange(60), torch.tensor([0, 1, 30, 30, 60]), torch.ones(4, 2), torch.ones(4, 3), np.arange(4), hard, seed
    )
    assert text_vectors_BD[2].all()  # all that this query has
    assert table_vectors_BD[2].all()
    assert (offsets_B.diff() > 0).tolist() == [True, True, False, True]
    assert len(tokens_T) == offsets_B[-1]


def test_the_vectors_of_a_query_are_dropped_one_by_one() -> None:
    """So that its words are learned where the shop's table has it too, and each vector where the other is missing."""
    queries = 400
    offsets_B, ones_BD = torch.arange(queries + 1), torch.ones(queries, 2)
    half = Dropout(fields=0.5)
    *_, text_BD, table_BD = drop_from_queries(
        torch.arange(queries), offsets_B, ones_BD, ones_BD, np.arange(queries), half, seed=3
    )
    kept = np.stack([text_BD.numpy()[:, 0], table_BD.numpy()[:, 0]]).astype(int)
    counts = np.bincount(2 * kept[0] + kept[1], minlength=4)
    assert counts.min() > queries / 4 - 40


def test_a_piece_of_a_batch_loses_what_the_whole_batch_loses_and_another_step_something_else() -> None:
    whole = drop_from_items(batch_of(ROWS), ROWS, ALL, seed=7)
    piece_rows = ROWS[100:250]
    piece = drop_from_items(batch_of(piece_rows), piece_rows, ALL, seed=7)
    assert (lengths_of(whole)[100:250] == lengths_of(piece)).all()
    start, stop = whole.token_offsets_BF[[100 * NUM_TEXT_FIELDS, 250 * NUM_TEXT_FIELDS]].tolist()
    assert torch.equal(whole.token_ids_T[start:stop], piece.token_ids_T)
    assert torch.equal(whole.picture_mask_BN[100:250], piece.picture_mask_BN)
    assert (lengths_of(drop_from_items(batch_of(ROWS), ROWS, ALL, seed=8)) != lengths_of(whole)).any()


def test_uniforms_are_uniform_and_their_own() -> None:
    values = uniforms(3, np.repeat(np.arange(1000), 50), np.tile(np.arange(50), 1000))
    assert np.histogram(values, bins=20, range=(0, 1))[0] == pytest.approx(np.full(20, 2500), abs=250)
    assert len(np.unique(values)) == len(values)
    assert abs(np.corrcoef(values[:-1], values[1:])[0, 1]) < 0.02
    assert uniforms(3, np.array([5]), np.array([6]))[0] == values[5 * 50 + 6]


@pytest.mark.parametrize("wrong", [{"tokens": 1.0}, {"fields": -0.1}, {"max_field_tokens": -1}])
def test_impossible_shares_are_refused(wrong: dict[str, float]) -> None:
    with pytest.raises(UsageError, match="expected dropout probabilities"):
        Dropout(**wrong)  # type: ignore[arg-type]
