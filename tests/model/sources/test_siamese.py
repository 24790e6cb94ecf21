"""The picture network: its starts, retrieval by loops, training that is no worse than its start, bytes of a row."""

import dataclasses

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from model.measures.same_product import retrieval_ranks
from model.sources.picture_starts import product_means, whitening
from model.sources.siamese import (
    ENCODE_BATCH,
    SiameseConfig,
    TrainedSiamese,
    batches,
    encode_items,
    encode_pictures,
    load_siamese,
    save_siamese,
    split_products,
    started,
    train_siamese,
)
from model.sources.unit_rows import unit_or_zero
from schemas.errors import CorruptFileError, ThresholdError, UsageError

DIM = 12
CONFIG = SiameseConfig(products=8, pictures=3, epochs=8, patience=8, learning_rate=3e-3, hidden_dim=8)


def pictures(num_products: int = 60, seed: int = 0) -> tuple[np.ndarray, list[str]]:
    """Products differ in the first 4 directions; what a picture adds is mostly in the others, and large."""
    generator = np.random.default_rng(seed)
    of_product = np.repeat(np.arange(num_products), generator.integers(1, 5, num_products))
    own = np.zeros((num_products, DIM))
    own[:, :4] = generator.normal(size=(num_products, 4))
    noise = generator.normal(size=(len(of_product), DIM)) * ([0.3] * 4 + [1.5] * 8)
    return (own[of_product] + noise + 1).astype(np.float32), [f"p{number:03d}" for number in of_product]


@pytest.fixture(scope="module")
def trained() -> TrainedSiamese:
    return train_siamese(*pictures(), CONFIG)


def mrr(vectors: np.ndarray, products: list[str]) -> float:
    return float((1 / retrieval_ranks(vectors, np.unique(products, return_inverse=True)[1])[1]).mean())


@given(st.lists(st.integers(0, 4), min_size=1, max_size=12), st.integers(0, 1000))
def test_ranks_are_those_of_loops(labels, seed):
    vectors = np.random.default_rng(seed).integers(-1, 2, (len(labels), 3)).astype(np.float64)
    queries, ranks = retrieval_ranks(vectors, np.array(labels))
    expected = []
    for query, label in enumerate(labels):
        own = [vectors[query] @ vectors[row] for row in range(len(labels)) if row != query and labels[row] == label]
        if own:
            others = [vectors[query] @ vectors[row] for row in range(len(labels)) if labels[row] != label]
            expected.append((query, 1 + sum(score >= max(own) for score in others)))
    assert list(zip(queries.tolist(), ranks.tolist(), strict=True)) == expected


def test_identity_is_the_backbone_and_whitening_makes_equal_variances():
    vectors, products = pictures()
    unit, labels = unit_or_zero(vectors), np.unique(products, return_inverse=True)[1]
    same = TrainedSiamese(started(unit, labels, "identity", CONFIG), CONFIG, "identity")
    assert np.abs(encode_pictures(same, vectors) - unit).max() < 1e-6
    centred = unit - unit.mean(axis=0)
    mapped = centred @ whitening(centred.astype(np.float64), 1e-6).T
    variances = np.linalg.eigvalsh(np.cov(mapped.T))
    assert variances.max() / variances.min() < 1.01
    within = started(unit, labels, "within", CONFIG)
    means = product_means(unit, labels)
    for row in (0, 7):
        assert np.allclose(means[row], unit[labels == labels[row]].mean(axis=0), atol=1e-6)
    mapped = encode_pictures(TrainedSiamese(within, CONFIG, "within"), vectors)
    assert mrr(mapped, products) > mrr(unit, products)
    few = dataclasses.replace(CONFIG, directions=4)
    discriminant = TrainedSiamese(started(unit, labels, "discriminant", few), few, "discriminant")
    assert discriminant.output_dim == 4
    assert mrr(encode_pictures(discriminant, vectors), products) > mrr(mapped, products)


def test_training_is_no_worse_than_its_start_on_validation_and_better_than_raw_on_new_products(trained):
    curve = [line["mrr"] for line in trained.curve]
    assert trained.best_epoch in (0, int(np.argmax(curve)))
    assert curve[trained.best_epoch] >= curve[0]
    new_vectors, new_products = pictures(seed=5)
    assert (
        mrr(encode_pictures(trained, new_vectors), new_products) > mrr(unit_or_zero(new_vectors), new_products) + 0.05
    )


@pytest.mark.medium
def test_weights_are_taken_only_if_they_are_shown_to_be_better_than_the_start():
    vectors, products = pictures(num_products=120)
    learned = train_siamese(vectors, products, dataclasses.replace(CONFIG, start="identity", epochs=12))
    assert learned.best_epoch > 0, "from the raw vectors on there is much to learn"
    noise = np.random.default_rng(4).normal(size=vectors.shape)
    nothing = train_siamese(noise, products, dataclasses.replace(CONFIG, start="identity"))
    mrr_of = [line["mrr"] for line in nothing.curve]
    assert max(mrr_of) > mrr_of[0], "some epoch is better by chance"
    assert nothing.best_epoch == 0
    assert torch.equal(nothing.network.map.weight, torch.eye(DIM))


def test_the_triplet_loss_falls_while_training():
    raw = dataclasses.replace(CONFIG, start="identity", epochs=12, patience=12)
    losses = [line["loss"] for line in train_siamese(*pictures(), raw).curve[1:]]
    assert np.mean(losses[-3:]) < 0.9 * np.mean(losses[:3])


def test_the_pull_keeps_the_map_near_its_start():
    vectors, products = pictures()
    far = {}
    for pull in (0.0, 10.0):
        config = dataclasses.replace(CONFIG, start="identity", pull=pull)
        network = train_siamese(vectors, products, config).network
        far[pull] = (network.map.weight - torch.eye(DIM)).norm().item()
    assert far[10.0] <= far[0.0]


def test_validation_products_are_apart_and_those_of_one_picture_train():
    vectors, products = pictures()
    vectors[3] = 0
    training, validation = split_products(unit_or_zero(vectors), products, CONFIG)
    of_training, of_validation = ({products[row] for row in rows} for rows in (training, validation))
    assert not of_training & of_validation
    assert 3 not in {*training, *validation}
    assert all(products.count(name) > 1 for name in of_validation)
    assert len(training) + len(validation) == len(products) - 1


@given(st.lists(st.integers(0, 9), min_size=4, max_size=60), st.integers(1, 3))
def test_an_epoch_shows_every_picture_once(labels, epoch):
    labels_P = np.array(labels)
    config = dataclasses.replace(CONFIG, products=4)
    parts = list(batches(labels_P, config, epoch))
    assert sorted(np.concatenate(parts).tolist()) == list(range(len(labels)))
    assert all(len(rows) <= (config.products + 1) * config.pictures for rows in parts)
    again = list(batches(labels_P, config, epoch))
    assert all((one == other).all() for one, other in zip(parts, again, strict=True))


def test_equal_training_is_equal_to_the_byte(trained):
    again = train_siamese(*pictures(), CONFIG)
    for name, value in trained.network.state_dict().items():
        assert torch.equal(value, again.network.state_dict()[name]), name
    assert again.curve == trained.curve


@settings(max_examples=20, deadline=None)
@given(st.lists(st.integers(0, 99), min_size=1, max_size=2 * ENCODE_BATCH))
def test_a_row_has_the_same_bytes_whatever_its_neighbours(trained, rows):
    vectors = pictures()[0][:100]
    assert encode_pictures(trained, vectors[rows]).tobytes() == encode_pictures(trained, vectors)[rows].tobytes()


def test_items_are_means_of_their_pictures_and_one_without_has_no_vector(trained):
    vectors = pictures()[0]
    items = encode_items(trained, [vectors[:2], vectors[:0], vectors[2:3]])
    encoded = encode_pictures(trained, vectors[:3])
    assert np.abs(items[0] - unit_or_zero(encoded[:2].sum(axis=0)[None])[0]).max() < 1e-6
    assert not items[1].any()
    assert np.abs(items[2] - encoded[2]).max() < 1e-6
    assert encode_items(trained, []).shape == (0, trained.output_dim)
    assert not encode_pictures(trained, np.zeros((1, DIM))).any()


def test_a_saved_model_encodes_as_before(trained, tmp_path):
    vectors = pictures()[0]
    save_siamese(trained, tmp_path / "one")
    loaded = load_siamese(tmp_path / "one")
    assert encode_pictures(loaded, vectors).tobytes() == encode_pictures(trained, vectors).tobytes()
    assert loaded.start == trained.start
    (tmp_path / "one" / "config.json").write_text("{}")
    with pytest.raises(CorruptFileError, match="sha256"):
        load_siamese(tmp_path / "one")


def test_bad_input_says_what_was_expected(trained):
    vectors, products = pictures()
    with pytest.raises(UsageError, match="a product of each"):
        train_siamese(vectors, products[:-1], CONFIG)
    with pytest.raises(UsageError, match="finite vectors, got 1"):
        train_siamese(np.where(np.arange(len(vectors))[:, None] == 1, np.nan, vectors), products, CONFIG)
    with pytest.raises(ThresholdError, match="got 0 and 0"):
        train_siamese(vectors, [str(row) for row in range(len(vectors))], CONFIG)
    with pytest.raises(UsageError, match="12 dimensions"):
        encode_pictures(trained, vectors[:, :3])
    for wrong in ({"start": "other"}, {"products": 1}, {"margin": 0}, {"validation_share": 1.0}):
        with pytest.raises(UsageError, match="expected"):
            SiameseConfig(**wrong)
