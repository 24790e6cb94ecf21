import dataclasses
import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from model.items.batch import collate_items
from model.items.config import ItemSageConfig
from model.items.hash_embedder import HashEmbedder, hash_rows_of, is_prime
from model.items.itemsage import MAX_SCALE, START_SCALE, ItemEncoder, ItemSage
from model.items.layers import TransformerBlock
from schemas.errors import UsageError
from schemas.records.tfrecords import ItemFeatures
from schemas.tables import NUM_TEXT_FIELDS

SMALL = ItemSageConfig(
    vocabulary_size=300,
    picture_dim=24,
    hash_rows=64,
    hash_dim=32,
    width=48,
    heads=4,
    ffn_dim=40,
    mlp_dim=56,
    output_dim=16,
)


def make_items(count: int, seed: int = 0, picture_dim: int = 24) -> list[ItemFeatures]:
    """Items with 0-5 pictures and 0-9 tokens a field; item 0 has neither."""
    rng = np.random.default_rng(seed)
    items = []
    for number in range(count):
        lengths = rng.integers(0, 10, NUM_TEXT_FIELDS) * (number > 0)
        items.append(
            ItemFeatures(
                item_id=f"item-{number}",
                token_ids=rng.integers(1, 300, lengths.sum()).astype(np.int32),
                token_offsets=np.concatenate([[0], np.cumsum(lengths)]).astype(np.int32),
                pictures=rng.standard_normal((rng.integers(0, 6) * (number > 0), picture_dim)).astype(np.float16),
            )
        )
    return items


def randomized(model: nn.Module, seed: int = 1) -> nn.Module:
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter += 0.1 * torch.randn(parameter.shape, generator=generator)
    return model


@pytest.mark.parametrize("number", [2, 3, 5, 31, 1_264_003, 104_729])
def test_primes(number):
    assert is_prime(number) == all(number % d for d in range(2, math.isqrt(number) + 1))


@pytest.mark.parametrize("root", [2, 3, 5, 7, 11, 101, 1009])
def test_squares_of_primes_are_not_prime(root):
    assert not is_prime(root * root)


def test_no_prime_below_two():
    assert not any(is_prime(number) for number in (-7, 0, 1))


def test_hash_rows_are_in_range_spread_and_mostly_different_for_the_two_functions():
    rows_VK = hash_rows_of(50_000, 1_000, seed=3)
    assert rows_VK.min() >= 0
    assert rows_VK.max() < 1_000
    counts = torch.bincount(rows_VK[:, 0].long(), minlength=1_000)
    assert counts.min() > 40
    assert counts.max() < 60
    assert len(torch.unique(rows_VK, dim=0)) > 0.9 * 50_000
    assert not torch.equal(rows_VK, hash_rows_of(50_000, 1_000, seed=4))


GOLDEN_ROWS = [[96, 83], [12, 8], [37, 24], [53, 49], [69, 65]]


def test_the_first_hash_functions_are_the_same_however_many_there_are():
    rows_V2 = hash_rows_of(1_009, 100, seed=0)
    assert rows_V2[:5].tolist() == GOLDEN_ROWS
    assert torch.equal(hash_rows_of(1_009, 100, seed=0, num_hashes=1), rows_V2[:, :1])
    rows_V3 = hash_rows_of(1_009, 100, seed=0, num_hashes=3)
    assert torch.equal(rows_V3[:, :2], rows_V2)
    assert all((rows_V3[:, 2] != rows_V2[:, number]).float().mean() > 0.9 for number in range(2))


@pytest.mark.parametrize("num_hashes", [1, 2, 3])
def test_hash_embedder_is_the_formula(num_hashes):
    embedder = HashEmbedder(dataclasses.replace(SMALL, num_hashes=num_hashes))
    tokens, offsets = [5, 9, 9, 250, 1], [0, 3, 3, 5]
    got = embedder(torch.tensor(tokens), torch.tensor(offsets))
    rows_VK = hash_rows_of(SMALL.vocabulary_size, SMALL.hash_rows, SMALL.seed, num_hashes).tolist()
    for segment in range(3):
        expected = torch.zeros(SMALL.hash_dim)
        for token in tokens[offsets[segment] : offsets[segment + 1]]:
            for number in range(num_hashes):
                expected += embedder.weights[token, number] * embedder.table[rows_VK[token][number]]
        torch.testing.assert_close(got[segment], expected)


def test_tables_get_sparse_gradients_equal_to_dense_ones():
    embedder = HashEmbedder(SMALL)
    tokens, offsets = torch.tensor([5, 9, 9, 250]), torch.tensor([0, 3, 4])
    target = torch.randn(2, SMALL.hash_dim)
    (embedder(tokens, offsets) * target).sum().backward()
    assert embedder.table.grad.is_sparse
    assert embedder.weights.grad.is_sparse
    table, weights = (value.detach().clone().requires_grad_() for value in (embedder.table, embedder.weights))
    vectors = (weights[tokens][..., None] * table[embedder.rows_VK[tokens].long()]).sum(dim=1)
    (torch.stack([vectors[:3].sum(0), vectors[3]]) * target).sum().backward()
    torch.testing.assert_close(embedder.table.grad.to_dense(), table.grad)
    torch.testing.assert_close(embedder.weights.grad.to_dense(), weights.grad)


def test_block_equals_torch_encoder_layer_where_present():
    block = TransformerBlock(48, 4, 40, 0.0)
    oracle = nn.TransformerEncoderLayer(48, 4, 40, dropout=0.0, batch_first=True)
    pairs = [
        (oracle.self_attn.in_proj_weight, block.qkv.weight),
        (oracle.self_attn.in_proj_bias, block.qkv.bias),
        (oracle.self_attn.out_proj, block.attention_out),
        (oracle.linear1, block.ffn_in),
        (oracle.linear2, block.ffn_out),
        (oracle.norm1, block.attention_norm),
        (oracle.norm2, block.ffn_norm),
    ]
    randomized(block)
    with torch.no_grad():
        for target, source in pairs:
            if isinstance(target, nn.Parameter):
                target.copy_(source)
            else:
                target.load_state_dict(source.state_dict())
    x_BPW = torch.randn(5, 7, 48)
    mask_BP = torch.rand(5, 7) < 0.6
    mask_BP[:, 0] = True
    expected = oracle(x_BPW, src_key_padding_mask=~mask_BP)
    torch.testing.assert_close(block(x_BPW, mask_BP)[mask_BP], expected[mask_BP], atol=1e-6, rtol=1e-5)


@pytest.mark.parametrize("start", ["linear", "random"])
def test_every_vector_is_finite_float32_and_unit_even_of_an_empty_item_or_query(start):
    model = ItemSage(dataclasses.replace(SMALL, start=start))
    batch = collate_items(make_items(6), 24)
    tokens, offsets = torch.tensor([1, 2, 3]), torch.tensor([0, 0, 3])
    for vectors in (
        model.item_encoder(batch),
        model.text_tower(tokens, offsets),
        model.picture_tower(torch.randn(3, 24)),
    ):
        assert vectors.dtype == torch.float32
        torch.testing.assert_close(vectors.norm(dim=1), torch.ones(len(vectors)))


def test_gradients_are_finite_and_moderate_for_empty_queries_and_items():
    model = ItemSage(SMALL)
    queries = model.text_tower(torch.tensor([1, 2]), torch.tensor([0, 0, 2]))
    items = model.item_encoder(collate_items(make_items(2), 24))
    (queries * items.flip(0)).sum().backward()
    for name, parameter in model.named_parameters():
        if parameter.grad is not None:
            gradient = parameter.grad.to_dense()
            assert gradient.isfinite().all(), name
            assert gradient.abs().max() < 1e3, name


def test_padding_and_absent_fields_do_not_matter():
    encoder = randomized(ItemSage(SMALL).item_encoder).eval()
    items = make_items(6)
    tight = encoder(collate_items(items, 24))
    wide = collate_items(items, 24, num_pictures=20)
    wide.pictures_BND[~wide.picture_mask_BN] = 7.0
    torch.testing.assert_close(encoder(wide), tight, atol=1e-6, rtol=1e-5)


def test_pictures_and_each_field_matter():
    encoder = randomized(ItemSage(SMALL).item_encoder).eval()
    batch = collate_items(make_items(2)[1:], 24)
    vector = encoder(batch)
    assert not torch.allclose(encoder(dataclasses.replace(batch, pictures_BND=batch.pictures_BND + 1)), vector)
    for token in range(len(batch.token_ids_T)):
        changed = batch.token_ids_T.clone()
        changed[token] = (changed[token] + 1) % 300
        assert not torch.equal(encoder(dataclasses.replace(batch, token_ids_T=changed)), vector)


@given(seed=st.integers(0, 10_000))
@settings(max_examples=10, deadline=None)
def test_items_do_not_see_each_other(seed):
    encoder = randomized(ItemSage(SMALL).item_encoder).eval()
    items = make_items(5, seed)
    together = encoder(collate_items(items, 24))
    for number, item in enumerate(items):
        torch.testing.assert_close(encoder(collate_items([item], 24))[0], together[number], atol=1e-6, rtol=1e-4)


def test_untrained_queries_find_the_items_that_share_their_words_or_pictures():
    sizes = {"hash_dim": 256, "output_dim": 256, "width": 512, "mlp_dim": 512}
    config = dataclasses.replace(SMALL, vocabulary_size=3000, hash_rows=5000, **sizes)
    model = ItemSage(config).eval()
    rng = np.random.default_rng(5)
    items = [
        ItemFeatures(
            item_id=str(number),
            token_ids=np.arange(1 + 40 * number, 41 + 40 * number, dtype=np.int32),
            token_offsets=np.array([0, 10, 40, *[40] * 10], np.int32),
            pictures=rng.standard_normal((2, 24)).astype(np.float16),
        )
        for number in range(50)
    ]
    with torch.no_grad():
        vectors = model.item_encoder(collate_items(items, 24))
        tokens = torch.from_numpy(np.concatenate([item.token_ids[2:6] for item in items]).astype(np.int64))
        by_text = model.text_tower(tokens, torch.arange(0, 201, 4)) @ vectors.T
        by_picture = model.picture_tower(torch.from_numpy(np.stack([item.pictures[1] for item in items]))) @ vectors.T
    assert (by_text.argmax(dim=1) == torch.arange(50)).float().mean() > 0.9
    assert (by_picture.argmax(dim=1) == torch.arange(50)).float().mean() > 0.9


def test_picture_length_matters_only_without_normalisation():
    batch = collate_items(make_items(4), 24)
    louder = dataclasses.replace(batch, pictures_BND=3 * batch.pictures_BND)
    for normalize in (True, False):
        config = dataclasses.replace(SMALL, normalize_pictures=normalize)
        encoder = randomized(ItemSage(config).item_encoder).eval()
        assert torch.allclose(encoder(batch), encoder(louder), atol=1e-6) == normalize


@pytest.mark.parametrize(
    "switches",
    [
        {"use_pictures": False},
        {"use_text": False},
        {"picture_dim": 0},
        {"num_layers": 2},
        {"num_hashes": 1},
        {"num_hashes": 3},
        {"output_dim": 64},
        {"field_layer_norm": False},
        {"field_weights": False},
        {"share_text_table": False},
        {"weight_init": "normal"},
        {"dropout": 0.1},
    ],
)
def test_every_switch_trains(switches):
    config = dataclasses.replace(SMALL, **switches)
    model = ItemSage(config)
    vectors = model.item_encoder(collate_items(make_items(5), config.picture_dim))
    (model.scale() * vectors @ model.text_tower(torch.tensor([1, 2]), torch.tensor([0, 2])).T).sum().backward()
    assert model.item_encoder.head_out.weight.grad.abs().sum() > 0


def test_state_dict_holds_the_shared_table_once_and_loads_back():
    model = randomized(ItemSage(SMALL))
    state = {name: value.clone() for name, value in model.state_dict().items()}
    assert [name for name in state if name.endswith("table")] == ["hash_embedder.table"]
    other = ItemSage(dataclasses.replace(SMALL))
    other.load_state_dict(state)
    batch = collate_items(make_items(5), 24)
    assert torch.equal(other.item_encoder(batch), model.item_encoder(batch))
    assert other.text_tower.hash_embedder is other.item_encoder.hash_embedder
    unshared = ItemSage(dataclasses.replace(SMALL, share_text_table=False)).state_dict()
    assert "text_tower.hash_embedder.table" in unshared


def test_same_seed_same_weights_whatever_the_global_generator():
    torch.manual_seed(1)
    first = ItemSage(SMALL).state_dict()
    torch.manual_seed(2)
    before = torch.get_rng_state()
    second = ItemSage(SMALL).state_dict()
    assert torch.equal(torch.get_rng_state(), before)
    assert all(torch.equal(first[name], second[name]) for name in first)
    third = ItemSage(dataclasses.replace(SMALL, seed=1)).state_dict()
    assert not torch.equal(first["hash_embedder.table"], third["hash_embedder.table"])


def test_scale_starts_at_one_over_seven_hundredths_and_is_clamped():
    model = ItemSage(SMALL)
    assert model.scale().item() == pytest.approx(START_SCALE)
    with torch.no_grad():
        model.log_scale.fill_(9.0)
    assert model.scale().item() == pytest.approx(MAX_SCALE)
    model.clamp_scale_()
    model.scale().backward()
    assert model.log_scale.grad.item() > 0


def test_collate_cuts_and_checks_pictures():
    items = make_items(6)
    batch = collate_items(items, 24, num_pictures=2, picture_dtype=torch.float16)
    assert batch.pictures_BND.dtype == torch.float16
    assert batch.pictures_BND.shape == (6, 2, 24)
    assert batch.picture_mask_BN.sum(dim=1).tolist() == [min(2, len(item.pictures)) for item in items]
    assert batch.token_offsets_BF.shape == (6 * NUM_TEXT_FIELDS + 1,)
    assert batch.token_ids_T.tolist() == [token for item in items for token in item.token_ids]
    with pytest.raises(UsageError, match="23 dimensions, got 24"):
        collate_items(items, 23)


def test_config_refuses_what_cannot_work_and_round_trips():
    with pytest.raises(UsageError, match="got 50"):
        dataclasses.replace(SMALL, width=50)
    with pytest.raises(UsageError, match="neither"):
        dataclasses.replace(SMALL, use_text=False, picture_dim=0)
    assert ItemSageConfig.from_json(SMALL.to_json()) == SMALL
    before = {name: value for name, value in SMALL.to_json().items() if name != "field_weights"}  # as saved earlier
    without = dataclasses.replace(SMALL, field_weights=False)
    assert ItemSageConfig.from_json(before) == without
    assert without.to_json() == before
    with pytest.raises(UsageError, match="depth"):
        ItemSageConfig.from_json({**SMALL.to_json(), "depth": 3})


@pytest.mark.medium
def test_the_papers_size():
    encoder = ItemEncoder(ItemSageConfig(vocabulary_size=1_264_003, picture_dim=256))
    embedder = sum(parameter.numel() for parameter in encoder.hash_embedder.parameters())
    total = sum(parameter.numel() for parameter in encoder.parameters())
    assert embedder == 28_128_006
    assert 30.8e6 < total < 32.3e6
