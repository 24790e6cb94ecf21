"""The rungs below the transformer: one start, another shape each, and whatever a model must do they do too."""

import dataclasses
from pathlib import Path

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from made_items import PICTURE_DIM, make_items

from model.items.batch import ItemBatch, collate_items
from model.items.checks import _item_encoder_numbers
from model.items.config import AGGREGATORS, ItemSageConfig
from model.items.folded import FoldedItemEncoder, encoder_for_inference
from model.items.inference import embed_items
from model.items.itemsage import ItemEncoder, ItemSage
from model.items.start import start_as_linear_map_
from model.items.store import load_item_encoder, load_model, save_model
from model.training.forward import encode_items
from schemas.errors import UsageError
from schemas.files import write_json
from schemas.tables import NUM_TEXT_FIELDS

TEXT_DIM = 20
CONFIG = ItemSageConfig(
    vocabulary_size=500,
    picture_dim=PICTURE_DIM,
    text_dim=TEXT_DIM,
    hash_rows=300,
    hash_dim=48,
    output_dim=32,
    width=88,
    ffn_dim=64,
    mlp_dim=96,
)
RUNGS = tuple(name for name in AGGREGATORS if name != "transformer")


def config_of(aggregator: str, **switches: object) -> ItemSageConfig:
    return dataclasses.replace(CONFIG, aggregator=aggregator, **switches)  # type: ignore[arg-type]


def batch_of(count: int = 21, seed: int = 1, num_pictures: int | None = None) -> ItemBatch:
    """Items of 0 to 6 pictures and 0 to 9 tokens a field, of which every third has no text vector; item 0 is empty."""
    batch = collate_items(make_items(count, seed), PICTURE_DIM, num_pictures)
    batch.text_vectors_BD = torch.randn(count, TEXT_DIM, generator=torch.Generator().manual_seed(seed))
    batch.text_vectors_BD[::3] = 0
    return batch


def moved(encoder: ItemEncoder) -> ItemEncoder:
    """With weights none of which is zero, so that no path is hidden."""
    generator = torch.Generator().manual_seed(9)
    with torch.no_grad():
        for parameter in encoder.parameters():
            parameter += 0.1 * torch.randn(parameter.shape, generator=generator)
    return encoder.eval()


def linear_map(model: ItemSage, batch: ItemBatch) -> torch.Tensor:
    """Sum of fields + text vector + sum of pictures, by the maps of the query towers, [B, O]."""
    B = len(batch)
    fields_BFE = model.hash_embedder(batch.token_ids_T, batch.token_offsets_BF).view(B, NUM_TEXT_FIELDS, -1)
    sum_BO = F.layer_norm(fields_BFE, fields_BFE.shape[2:])[:, :, :32].sum(dim=1)
    text = model.text_tower.hidden
    text_vectors_BD = F.normalize(batch.text_vectors_BD, dim=1) * TEXT_DIM**0.5
    texts_BO = F.linear(text_vectors_BD, text.weight[:32, CONFIG.hash_dim :], text.bias[:32])
    sum_BO = sum_BO + texts_BO * batch.text_vectors_BD.any(dim=1, keepdim=True)
    assert model.picture_tower is not None
    looks = model.picture_tower.hidden
    pictures_BND = F.normalize(batch.pictures_BND, dim=2) * PICTURE_DIM**0.5
    pictures_BNO = F.linear(pictures_BND, looks.weight[:32], looks.bias[:32])
    return sum_BO + (pictures_BNO * batch.picture_mask_BN[..., None]).sum(dim=1)


@torch.no_grad()
@pytest.mark.parametrize(("aggregator", "num_layers"), [*((name, 1) for name in AGGREGATORS), ("transformer", 2),
                                                        ("transformer", 4)])  # fmt: skip
def test_every_rung_starts_as_the_linear_map_of_words_and_looks(aggregator: str, num_layers: int) -> None:
    model = ItemSage(config_of(aggregator, num_layers=num_layers)).eval()
    generator = torch.Generator().manual_seed(5)
    pictures_XD, texts_XD = (2 + torch.randn(300, dim, generator=generator) for dim in (PICTURE_DIM, TEXT_DIM))
    torch.manual_seed(0)
    start_as_linear_map_(model, pictures_XD, texts_XD, torch.rand(500, generator=generator) + 0.1)
    batch = batch_of()
    batch.pictures_BND, batch.text_vectors_BD = batch.pictures_BND + 2, batch.text_vectors_BD + 2
    batch.text_vectors_BD[::3] = 0
    vectors_BO, expected_BO = model.item_encoder(batch)[1:], linear_map(model, batch)[1:]
    assert F.cosine_similarity(vectors_BO, expected_BO).min() > 0.99
    apart = F.normalize(vectors_BO) @ F.normalize(vectors_BO).T - F.normalize(expected_BO) @ F.normalize(expected_BO).T
    assert apart.abs().max() < (0.05 if num_layers < 4 else 0.1)
    if aggregator not in ("transformer", "sum_mlp"):  # no LayerNorm: nothing but CLS stands between
        assert F.cosine_similarity(vectors_BO, expected_BO).min() > 0.9995


@pytest.mark.parametrize("aggregator", AGGREGATORS)
def test_every_weight_has_a_gradient(aggregator: str) -> None:
    encoder = ItemSage(config_of(aggregator)).item_encoder
    (encoder(batch_of()) @ torch.linspace(-1, 1, 32)).square().sum().backward()
    never = {name for name, parameter in encoder.named_parameters() if parameter.grad is None}
    assert never == set()
    for name, parameter in encoder.named_parameters():
        gradient = parameter.grad.to_dense()
        assert gradient.isfinite().all(), name
        assert gradient.abs().max() < 1e3, name


@pytest.mark.parametrize("aggregator", RUNGS)
@pytest.mark.parametrize("switches", [{}, {"use_text": False}, {"picture_dim": 0}, {"text_dim": 0}, {"num_hashes": 3}])
def test_the_forward_of_training_is_the_plain_one(aggregator: str, switches: dict[str, object]) -> None:
    encoder = moved(ItemSage(config_of(aggregator, **switches)).item_encoder)
    direction_O, results = torch.linspace(-1, 1, 32), []
    for forward in (encoder, lambda batch: encode_items(encoder, batch)):
        encoder.zero_grad()
        vectors_BO = forward(batch_of())
        (vectors_BO @ direction_O).square().sum().backward()
        gradients = {name: p.grad.to_dense() for name, p in encoder.named_parameters() if p.grad is not None}
        results.append((vectors_BO.detach(), gradients))
    (plain_BO, plain), (fast_BO, fast) = results
    torch.testing.assert_close(fast_BO, plain_BO, atol=1e-5, rtol=0)
    assert fast.keys() == plain.keys()
    for name, gradient in plain.items():
        torch.testing.assert_close(fast[name], gradient, atol=1e-4 * float(gradient.abs().max()) + 1e-6, rtol=1e-3)


@pytest.mark.parametrize("aggregator", AGGREGATORS)
def test_sixteen_bits_give_nearly_the_same_vectors(aggregator: str) -> None:
    encoder = moved(ItemSage(config_of(aggregator)).item_encoder)
    with torch.autocast("cpu", torch.bfloat16):
        vectors_BO = encode_items(encoder, batch_of())
    assert vectors_BO.dtype == torch.float32
    vectors_BO.sum().backward()
    assert F.cosine_similarity(vectors_BO, encode_items(encoder, batch_of())).min() > 0.995


@torch.no_grad()
@pytest.mark.parametrize("aggregator", RUNGS)
def test_vectors_are_unit_and_padding_does_not_matter(aggregator: str) -> None:
    encoder = moved(ItemSage(config_of(aggregator)).item_encoder)
    tight_BO = encoder(batch_of())
    wide = batch_of(num_pictures=20)
    wide.pictures_BND[~wide.picture_mask_BN] = 7.0
    torch.testing.assert_close(encoder(wide), tight_BO, atol=1e-6, rtol=1e-5)
    torch.testing.assert_close(tight_BO.norm(dim=1), torch.ones(21))
    assert tight_BO.std(dim=0).max() > 1e-2
    untrained = ItemSage(config_of(aggregator, start="random")).item_encoder.eval()
    torch.testing.assert_close(untrained(batch_of()).norm(dim=1), torch.ones(21))


@torch.no_grad()
@pytest.mark.parametrize("aggregator", RUNGS)
def test_each_field_the_text_vector_and_pictures_matter(aggregator: str) -> None:
    encoder = moved(ItemSage(config_of(aggregator)).item_encoder)
    batch = batch_of(3)
    vectors_BO = encoder(batch)
    for name in ("pictures_BND", "text_vectors_BD"):
        assert not torch.allclose(encoder(dataclasses.replace(batch, **{name: getattr(batch, name) + 1})), vectors_BO)
    for token in range(len(batch.token_ids_T)):
        changed_T = batch.token_ids_T.clone()
        changed_T[token] = (changed_T[token] + 1) % 500
        assert not torch.equal(encoder(dataclasses.replace(batch, token_ids_T=changed_T)), vectors_BO)


@torch.no_grad()
def test_fields_are_told_apart_where_each_has_weights_of_its_own() -> None:
    item = make_items(2, seed=4)[1]
    offsets = np.array([0, 5, *[9] * 11], np.int32)
    tokens = np.arange(1, 10, dtype=np.int32)
    first = dataclasses.replace(item, token_ids=tokens, token_offsets=offsets)
    last = dataclasses.replace(first, token_offsets=np.array([*[0] * 11, 5, 9], np.int32)[-13:])
    first = dataclasses.replace(first, token_offsets=np.array([0, 5, *[9] * 11], np.int32))
    for aggregator, tells in (("linear", True), ("mlp_concat_mlp", True), ("sum", False), ("sum_mlp", False)):
        encoder = moved(ItemSage(config_of(aggregator, text_dim=0, field_weights=False)).item_encoder)
        one_BO, other_BO = (encoder(collate_items([features], PICTURE_DIM)) for features in (first, last))
        assert torch.allclose(one_BO, other_BO, atol=1e-5) != tells, aggregator


@torch.no_grad()
def test_the_mean_picture_weighs_as_much_as_all_of_them() -> None:
    encoder = ItemSage(config_of("mlp_concat_mlp")).item_encoder.eval()
    once, thrice = batch_of(2, seed=8, num_pictures=3), batch_of(2, seed=8, num_pictures=3)
    once.picture_mask_BN[:] = torch.tensor([True, False, False])
    thrice.picture_mask_BN[:] = True
    thrice.pictures_BND[:] = once.pictures_BND[:, :1]
    joined = [encoder._joined(encoder.inputs(batch), 2)[:, :32] - encoder.cls[:32] for batch in (once, thrice)]
    torch.testing.assert_close(joined[1], 3 * joined[0], atol=1e-4, rtol=1e-4)


@pytest.mark.parametrize("aggregator", RUNGS)
def test_bytes_depend_neither_on_neighbours_nor_on_place_in_a_batch_of_fixed_shape(aggregator: str) -> None:
    config = config_of(aggregator, text_dim=0, output_dim=256, width=512, hash_dim=256)
    encoder = encoder_for_inference(moved(ItemSage(config).item_encoder))
    items, others = make_items(64, seed=4), make_items(64, seed=5)
    order = np.random.default_rng(6).permutation(64)
    with torch.inference_mode():
        expected_BO = encoder(collate_items(items, PICTURE_DIM, 8))
        shuffled_BO = encoder(collate_items([items[i] for i in order], PICTURE_DIM, 8))
        mixed_BO = encoder(collate_items(items[:5] + others[5:], PICTURE_DIM, 8))
    assert torch.equal(shuffled_BO, expected_BO[order])
    assert torch.equal(mixed_BO[:5], expected_BO[:5])


@pytest.mark.parametrize("switches", [*({"aggregator": name} for name in RUNGS), {"num_layers": 2}], ids=str)
def test_what_does_not_fold_is_used_as_it_is(switches: dict[str, object]) -> None:
    encoder = ItemSage(dataclasses.replace(CONFIG, **switches)).item_encoder.train()
    assert encoder_for_inference(encoder) is encoder
    assert not encoder.training
    with pytest.raises(UsageError, match="1 block, got"):
        FoldedItemEncoder.from_encoder(encoder)
    assert isinstance(encoder_for_inference(ItemSage(CONFIG).item_encoder), FoldedItemEncoder)


@pytest.mark.parametrize("switches", [*({"aggregator": name} for name in AGGREGATORS), {"num_layers": 2},
                                      {"num_hashes": 1}, {"num_hashes": 3}], ids=str)  # fmt: skip
def test_a_saved_model_is_loaded_and_embeds(tmp_path: Path, switches: dict[str, object]) -> None:
    write_json(tmp_path / "v" / "vocabulary.json", {"id": "v"})
    write_json(tmp_path / "i" / "image_encoder.json", {"network_id": "n"})
    model = ItemSage(dataclasses.replace(CONFIG, text_dim=0, **switches))
    moved(model.item_encoder)
    folder, towers = tmp_path / "m", {"text": {"search/click": 7}, "picture": {}}
    save_model(model, folder, vocabulary_folder=tmp_path / "v", image_encoder_folder=tmp_path / "i",
               towers=towers, split={"kind": "time"}, metrics={})  # fmt: skip
    items = make_items(30, seed=2)
    loaded = encoder_for_inference(load_item_encoder(folder))
    found = {}
    for ids, vectors_BO in embed_items(loaded, items, PICTURE_DIM, batch_size=8):
        found.update(zip(ids, vectors_BO, strict=True))
    with torch.inference_mode():
        for encoder in (model.item_encoder.eval(), load_model(folder).item_encoder):
            expected_BO = encoder(collate_items(items, PICTURE_DIM)).numpy()
            got_BO = np.stack([found[item.item_id] for item in items])
            np.testing.assert_allclose(got_BO, expected_BO, atol=1e-5)


@pytest.mark.parametrize("aggregator", AGGREGATORS)
@pytest.mark.parametrize("switches", [{}, {"use_text": False}, {"picture_dim": 0}, {"text_dim": 0}], ids=str)
def test_the_numbers_that_a_folder_must_hold_are_those_of_the_matrices(
    aggregator: str, switches: dict[str, object]
) -> None:
    config = config_of(aggregator, **switches)
    matrices = [
        p.numel() for name, p in ItemEncoder(config).named_parameters() if p.dim() == 2 and "hash_embedder" not in name
    ]
    assert sum(matrices) == _item_encoder_numbers(config)


def test_the_sizes_that_the_docstring_states() -> None:
    def millions(**switches: object) -> float:
        config = ItemSageConfig(vocabulary_size=9, hash_rows=9, picture_dim=2048, text_dim=384, **switches)
        named = ItemEncoder(config).named_parameters()
        return round(sum(p.numel() for name, p in named if "hash_embedder" not in name) / 1e6, 1)

    assert [millions(num_layers=number) for number in (1, 2, 4)] == [4.3, 6.4, 10.6]
    assert [millions(aggregator=name) for name in RUNGS] == [8.6, 2.2, 0.7, 1.4]


def test_switches_that_would_do_nothing_are_refused() -> None:
    with pytest.raises(UsageError, match="aggregator of transformer"):
        config_of("max")
    with pytest.raises(UsageError, match="num_layers 1 and dropout 0 for the aggregator sum"):
        config_of("sum", num_layers=2)
    with pytest.raises(UsageError, match="num_layers 1 and dropout 0"):
        config_of("linear", dropout=0.1)
    for number in (0, 4):
        with pytest.raises(UsageError, match="num_hashes from 1 to 3"):
            dataclasses.replace(CONFIG, num_hashes=number)


def test_a_config_of_the_defaults_is_written_as_before_there_were_rungs() -> None:
    assert not {"aggregator", "num_hashes"} & CONFIG.to_json().keys()
    other = config_of("sum", num_hashes=3)
    assert other.to_json().items() >= {"aggregator": "sum", "num_hashes": 3}.items()
    for config in (CONFIG, other):
        assert ItemSageConfig.from_json(config.to_json()) == config
