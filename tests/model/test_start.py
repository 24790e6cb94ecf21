"""The start is the linear map that it claims to be, and it knows words and looks before any training."""

import dataclasses
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from model.items.batch import ItemBatch
from model.items.config import ItemSageConfig
from model.items.itemsage import ItemSage
from model.items.start import principal_components, start_as_linear_map_, start_from_catalogue_
from model.text.vocabulary import TokenCounts, Vocabulary
from model.training.tables import ItemTable
from schemas.records.tfrecords import ItemFeatures, encode_features, write_records
from schemas.tables import NUM_TEXT_FIELDS

PICTURE_DIM = 40
EXACT = ItemSageConfig(
    vocabulary_size=300, picture_dim=PICTURE_DIM, hash_rows=500, hash_dim=48, output_dim=32, width=88, mlp_dim=96
)


def batch_of(num_items: int, seed: int, text_dim: int = 0) -> ItemBatch:
    """Items of 1 to 3 pictures and of 4 tokens in every other field."""
    generator = torch.Generator().manual_seed(seed)
    lengths_BF = torch.tensor([4, 0] * (num_items * NUM_TEXT_FIELDS // 2))
    return ItemBatch(
        token_ids_T=torch.randint(1, 300, (int(lengths_BF.sum()),), generator=generator),
        token_offsets_BF=torch.cat([torch.zeros(1, dtype=torch.int64), lengths_BF.cumsum(0)]),
        pictures_BND=torch.randn(num_items, 3, PICTURE_DIM, generator=generator),
        picture_mask_BN=torch.arange(3) <= torch.arange(num_items)[:, None] % 3,
        text_vectors_BD=torch.randn(num_items, text_dim, generator=generator),
    )


def cosines(x_BO: torch.Tensor, y_BO: torch.Tensor) -> torch.Tensor:
    return F.cosine_similarity(x_BO, y_BO, dim=1)


@torch.no_grad()
def test_the_item_encoder_is_the_sum_of_fields_and_pictures() -> None:
    model = ItemSage(EXACT).eval()
    batch = batch_of(9, seed=1)
    fields_BFE = model.hash_embedder(batch.token_ids_T, batch.token_offsets_BF).view(9, NUM_TEXT_FIELDS, -1)
    words_BO = F.layer_norm(fields_BFE, (48,))[:, :, :32].sum(dim=1)
    scaled_BND = F.normalize(batch.pictures_BND, dim=2) * PICTURE_DIM**0.5
    projected_BNO = F.linear(scaled_BND, model.picture_tower.hidden.weight[:32])
    assert cosines(model.picture_tower(batch.pictures_BND[:, 0]), projected_BNO[:, 0]).min() > 0.999
    expected_BO = words_BO + (projected_BNO * batch.picture_mask_BN[..., None]).sum(dim=1)
    assert cosines(model.item_encoder(batch), expected_BO).min() > 0.997  # CLS is short, not nothing
    assert cosines(model.item_encoder(batch), words_BO).max() < 0.95


@torch.no_grad()
@pytest.mark.parametrize("switches", [{"use_pictures": False}, {"picture_dim": 0}, {"use_text": False}])
def test_one_modality_is_exact_in_a_narrower_block(switches: dict[str, Any]) -> None:
    model = ItemSage(dataclasses.replace(EXACT, width=56, **switches)).eval()
    batch = batch_of(9, seed=1)
    if "use_text" in switches:
        scaled_BND = F.normalize(batch.pictures_BND, dim=2) * PICTURE_DIM**0.5 * batch.picture_mask_BN[..., None]
        expected_BO = F.linear(scaled_BND, model.picture_tower.hidden.weight[:32]).sum(dim=1)
    else:
        fields_BFE = model.hash_embedder(batch.token_ids_T, batch.token_offsets_BF).view(9, NUM_TEXT_FIELDS, -1)
        expected_BO = F.layer_norm(fields_BFE, (48,))[:, :, :32].sum(dim=1)
    assert cosines(model.item_encoder(batch), expected_BO).min() > 0.997  # CLS is short, not nothing


@torch.no_grad()
def test_the_papers_width_is_nearly_exact() -> None:
    sizes = {"hash_dim": 256, "output_dim": 256, "width": 512, "mlp_dim": 1024}
    model = ItemSage(dataclasses.replace(EXACT, **sizes)).eval()
    batch = batch_of(9, seed=1)
    fields_BFE = model.hash_embedder(batch.token_ids_T, batch.token_offsets_BF).view(9, NUM_TEXT_FIELDS, -1)
    scaled_BND = F.normalize(batch.pictures_BND, dim=2) * PICTURE_DIM**0.5 * batch.picture_mask_BN[..., None]
    looks_BO = F.linear(scaled_BND, model.picture_tower.hidden.weight[:256]).sum(dim=1)
    expected_BO = F.layer_norm(fields_BFE, (256,)).sum(dim=1) + looks_BO
    assert cosines(model.item_encoder(batch), expected_BO).min() > 0.99


@torch.no_grad()
def test_a_text_query_is_the_sum_of_its_words() -> None:
    model = ItemSage(EXACT).eval()
    tokens_T, offsets_B = torch.arange(1, 13), torch.tensor([0, 2, 7, 12])
    expected_BO = F.layer_norm(model.hash_embedder(tokens_T, offsets_B), (48,))[:, :32]
    assert cosines(model.text_tower(tokens_T, offsets_B), expected_BO).min() > 0.999


@torch.no_grad()
def test_a_text_vector_stands_beside_the_words_on_both_sides() -> None:
    model = ItemSage(dataclasses.replace(EXACT, text_dim=20)).eval()
    projection_OD = model.text_tower.hidden.weight[:32, 48:]
    tokens_T, offsets_B = torch.arange(1, 13), torch.tensor([0, 2, 7, 12])
    text_vectors_BD = torch.randn(3, 20, generator=torch.Generator().manual_seed(4))
    looks_BO = F.linear(F.normalize(text_vectors_BD, dim=1) * 20**0.5, projection_OD)
    words_BO = F.layer_norm(model.hash_embedder(tokens_T, offsets_B), (48,))[:, :32]
    queries_BO = model.text_tower(tokens_T, offsets_B, text_vectors_BD)
    assert cosines(queries_BO, words_BO + looks_BO).min() > 0.999
    assert cosines(queries_BO, words_BO).max() < 0.95
    nothing_B = torch.zeros(4, dtype=torch.int64)
    assert cosines(model.text_tower(tokens_T[:0], nothing_B, text_vectors_BD), looks_BO).min() > 0.999

    batch = batch_of(9, seed=1, text_dim=20)
    fields_BFE = model.hash_embedder(batch.token_ids_T, batch.token_offsets_BF).view(9, NUM_TEXT_FIELDS, -1)
    words_BO = F.layer_norm(fields_BFE, (48,))[:, :, :32].sum(dim=1)
    scaled_BND = F.normalize(batch.pictures_BND, dim=2) * PICTURE_DIM**0.5
    looks_BNO = F.linear(scaled_BND, model.picture_tower.hidden.weight[:32])
    rest_BO = words_BO + (looks_BNO * batch.picture_mask_BN[..., None]).sum(dim=1)
    text_vectors_BO = F.linear(F.normalize(batch.text_vectors_BD, dim=1) * 20**0.5, projection_OD)
    assert cosines(model.item_encoder(batch), rest_BO + text_vectors_BO).min() > 0.997  # CLS is short, not nothing
    batch.text_vectors_BD.zero_()
    assert cosines(model.item_encoder(batch), rest_BO).min() > 0.997


@torch.no_grad()
def test_an_items_text_vector_is_as_much_longer_than_its_fields_as_a_querys_than_its_words(tmp_path: Path) -> None:
    """Items of six fields, whose sum is longer than one: by the same factor the text vector beside it is."""
    generator = np.random.default_rng(0)
    counts = TokenCounts()
    for letters in generator.choice(list("abcdefghij"), (150, 2, 5)):
        counts.add_text(" ".join(map("".join, letters)))
    vocabulary = Vocabulary.from_counts(counts.table())
    offsets = np.minimum(4 * np.arange(NUM_TEXT_FIELDS + 1), 24).astype(np.int32)
    features = [
        ItemFeatures(
            item_id=f"{number:02d}",
            token_ids=generator.integers(1, vocabulary.size, 24).astype(np.int32),
            token_offsets=offsets,
            pictures=np.zeros((0, 0), np.float16),
            text_vector=generator.normal(size=20).astype(np.float16),
        )
        for number in range(60)
    ]
    (tmp_path / "features").mkdir()
    write_records(tmp_path / "features" / "a.tfrecord", map(encode_features, features))
    items = ItemTable.build(tmp_path / "features", tmp_path / "cache", 0, 20)
    config = dataclasses.replace(EXACT, vocabulary_size=vocabulary.size, picture_dim=0, text_dim=20)
    model = ItemSage(config).eval()
    start_from_catalogue_(model, items, vocabulary)
    batch = items.batch(np.arange(60))
    hidden = model.text_tower.hidden
    scaled_BD = F.normalize(batch.text_vectors_BD.float(), dim=1) * 20**0.5
    text_vectors_BO = F.linear(scaled_BD, hidden.weight[:32, 48:], hidden.bias[:32])
    assert text_vectors_BO.norm(dim=1).mean().item() == pytest.approx(2 * 32**0.5, rel=0.05)
    fields_BFE = model.hash_embedder(batch.token_ids_T, batch.token_offsets_BF).view(60, NUM_TEXT_FIELDS, -1)
    sums_BE = F.layer_norm(fields_BFE, (48,)).sum(dim=1)
    factor = float(sums_BE.norm(dim=1).mean()) / 48**0.5
    assert factor > 1.5
    expected_BO = sums_BE[:, :32] + factor * text_vectors_BO
    assert cosines(model.item_encoder(batch), expected_BO).min() > 0.997  # CLS is short, not nothing
    assert cosines(sums_BE[:, :32] + text_vectors_BO, expected_BO).mean() < 0.99


@pytest.mark.parametrize("text_dim", [0, 20])
@pytest.mark.parametrize("table_dim", [7, 90])
def test_a_vector_of_the_shops_own_table_is_half_as_long_as_the_words_from_the_start(
    text_dim: int, table_dim: int
) -> None:
    """In a direction of its own; a query without one is what it is without a table."""
    config = dataclasses.replace(EXACT, text_dim=text_dim, hash_dim=32)
    model, plain = ItemSage(dataclasses.replace(config, query_table_dim=table_dim)), ItemSage(config)
    generator = torch.Generator().manual_seed(4)
    tokens_T, offsets_B = torch.arange(1, 13), torch.tensor([0, 2, 7, 12])
    text_BD, table_BD = torch.randn(3, text_dim, generator=generator), torch.randn(3, table_dim, generator=generator)
    weights = model.text_tower.state_dict()
    plain.text_tower.load_state_dict({**weights, "hidden.weight": weights["hidden.weight"][:, :-table_dim]})
    plain_BO = plain.text_tower(tokens_T, offsets_B, text_BD)
    assert cosines(model.text_tower(tokens_T, offsets_B, text_BD, torch.zeros(3, table_dim)), plain_BO).min() > 0.9999
    words_BO = model.text_tower.norm(F.normalize(model.hash_embedder(tokens_T, offsets_B), dim=1))
    scaled_BD = F.normalize(table_BD, dim=1) * table_dim**0.5
    own_BO = F.linear(scaled_BD, model.text_tower.hidden.weight[:32, -table_dim:])
    assert (own_BO.norm(dim=1) / words_BO.norm(dim=1)).tolist() == pytest.approx([0.5] * 3, rel=0.35)
    rest_BO = words_BO
    if text_dim:
        text_vectors_BD = F.normalize(text_BD, dim=1) * text_dim**0.5
        rest_BO = words_BO + F.linear(text_vectors_BD, model.text_tower.hidden.weight[:32, 32:-table_dim])
    queries_BO = model.text_tower(tokens_T, offsets_B, text_BD, table_BD)
    assert cosines(queries_BO, rest_BO + own_BO).min() > 0.999
    (queries_BO @ torch.linspace(-1, 1, config.output_dim)).sum().backward()
    assert model.text_tower.hidden.weight.grad[:64, -table_dim:].abs().min() > 0


def test_every_weight_that_the_start_uses_has_a_gradient() -> None:
    model = ItemSage(EXACT)
    items_BO = model.item_encoder(batch_of(9, seed=2))
    queries_BO = model.picture_tower(torch.randn(9, PICTURE_DIM, generator=torch.Generator().manual_seed(3)))
    (items_BO * queries_BO).sum().backward()
    block = model.item_encoder.blocks[0]
    for layer in (
        block.qkv,
        block.attention_out,
        block.ffn_out,
        model.item_encoder.picture_in,
        model.item_encoder.head_in,
    ):
        assert layer.weight.grad is not None
        assert layer.weight.grad.abs().max() > 0
    assert block.qkv.bias.grad[: EXACT.width].abs().max() > 0  # the query of CLS starts at zero, and can leave it


@torch.no_grad()
def test_importances_scale_each_tokens_vector() -> None:
    model, plain = ItemSage(EXACT), ItemSage(EXACT)
    start_as_linear_map_(model, importance_V=torch.arange(300.0))
    tokens_T, offsets_B = torch.tensor([0, 10, 20]), torch.arange(4)
    expected_BE = plain.hash_embedder(tokens_T, offsets_B) * torch.tensor([[0.0], [10.0], [20.0]]) / 150
    torch.testing.assert_close(model.hash_embedder(tokens_T, offsets_B), expected_BE)


@torch.no_grad()
def test_pictures_lose_what_all_of_them_share() -> None:
    generator = torch.Generator().manual_seed(0)
    kinds = 0.3 * torch.randn(10, 40, generator=generator)
    shared = 5 * torch.randn(40, generator=generator)
    nuisance = torch.randn(2, 40, generator=generator)

    def photos() -> torch.Tensor:
        lights = 3 * torch.randn(200, 2, generator=generator)
        return shared + kinds.repeat(20, 1) + lights @ nuisance + 0.05 * torch.randn(200, 40, generator=generator)

    def hits(model: ItemSage) -> float:
        nearest = (model.picture_tower(queries) @ model.picture_tower(catalogue).T).argmax(dim=1)
        return float((nearest % 10 == torch.arange(200) % 10).float().mean())

    catalogue, queries = photos(), photos()
    model = ItemSage(EXACT).eval()
    before = hits(model)
    start_as_linear_map_(model, catalogue)
    assert hits(model) > max(before, 0.8)
    projection_OD, offset_O = principal_components(catalogue, 32, PICTURE_DIM, whitening=1.0)
    centred = F.normalize(catalogue, dim=1) * PICTURE_DIM**0.5 @ projection_OD.T + offset_O
    assert centred.mean(dim=0).abs().max() < 1e-3
    assert centred.norm(dim=1).mean().item() == pytest.approx(32**0.5, rel=1e-4)


@torch.no_grad()
@pytest.mark.parametrize("pictures", [None, torch.ones(1, PICTURE_DIM)])
def test_without_pictures_the_projection_keeps_cosines(pictures: torch.Tensor | None) -> None:
    projection_OD, offset_O = principal_components(pictures, 64, PICTURE_DIM, whitening=0.5)
    x = torch.randn(7, PICTURE_DIM, generator=torch.Generator().manual_seed(1))
    assert cosines((x @ projection_OD.T)[:-1], (x @ projection_OD.T)[1:]).sub(cosines(x[:-1], x[1:])).abs().max() < 1e-5
    assert not offset_O.any()
