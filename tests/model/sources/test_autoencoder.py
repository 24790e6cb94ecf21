"""The denoising auto-encoder: its loss by hand, noise, training that helps, bytes that depend on the item alone."""

import dataclasses

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import sparse

from model.sources.autoencoder import (
    ENCODE_BATCH,
    AutoencoderConfig,
    TrainedAutoencoder,
    corrupted,
    encode_rows,
    load_autoencoder,
    reconstruction_loss,
    save_autoencoder,
    started,
    train_autoencoder,
)
from model.sources.side_information import AttributeVocabulary, SideInformationConfig, count_values, vocabulary_of
from schemas.errors import CorruptFileError, ThresholdError, UsageError

CONFIG = AutoencoderConfig(output_dim=6, hidden_dim=32, epochs=12, batch_size=64, learning_rate=3e-3)
KINDS = 6
SIDE = SideInformationConfig(fields={"brand": "whole", "colors": "words", "materials": "words"})


def shop(num_items: int = 320) -> tuple[list[str], sparse.csr_matrix, AttributeVocabulary]:
    """Items of a few kinds; brand, colours and material of each are those of its kind, mostly."""
    generator = np.random.default_rng(0)
    kinds = generator.integers(0, KINDS, (num_items, 3))
    kinds[generator.random((num_items, 3)) < 0.8] = -1
    kinds = np.where(kinds < 0, generator.integers(0, KINDS, num_items)[:, None], kinds)
    columns = {
        "brand": [f"brand{kind}" if row % 9 else None for row, kind in enumerate(kinds[:, 0])],
        "colors": [f"hue{kind} shade{kind % 3}" for kind in kinds[:, 1]],
        "materials": [f"stuff{kind}" for kind in kinds[:, 2]],
    }
    vocabulary = vocabulary_of(count_values(columns, SIDE), SIDE)
    return [f"item-{row:04d}" for row in range(num_items)], vocabulary.rows(columns), vocabulary


@pytest.fixture(scope="module")
def trained() -> TrainedAutoencoder:
    return train_autoencoder(*shop(), CONFIG)


def test_loss_is_half_the_squared_distance_on_average():
    rows, said = np.array([[1.0, 0, 1], [0, 0, 0]]), np.array([[0.5, 0.5, 1], [1, 0, 2]])
    by_hand = sum(sum((x - y) ** 2 for x, y in zip(*pair, strict=True)) for pair in zip(rows, said, strict=True)) / 4
    assert reconstruction_loss(torch.tensor(rows), torch.tensor(said)).item() == pytest.approx(by_hand)


def test_sparse_rows_are_encoded_as_dense_ones_are(trained):
    _, rows_NV, _ = shop()
    model = trained.model
    dense_NV = torch.from_numpy(rows_NV.toarray())
    with torch.inference_mode():
        hidden_NH = torch.nn.functional.gelu(dense_NV @ model.hidden_VH + model.hidden_bias_H)
        vectors_ND = dense_NV @ model.straight_VD + model.encoded(hidden_NH) - model.mean_D
        expected_ND = torch.nn.functional.normalize(vectors_ND, dim=1).numpy()
    assert np.abs(encode_rows(trained, rows_NV) - expected_ND).max() < 1e-5


def test_the_start_is_the_best_linear_map():
    """Of rank D: no other linear reconstruction of rank D has a smaller loss than the singular vectors'."""
    _, rows_NV, _ = shop()
    model = started(rows_NV, CONFIG)
    dense_NV = rows_NV.toarray()
    with torch.inference_mode():
        columns, offsets = (
            torch.from_numpy(rows_NV.indices.astype(np.int64)),
            torch.from_numpy(rows_NV.indptr[:-1].astype(np.int64)),
        )
        said_NV = model.decode(model.encode(columns, offsets)).numpy()
    left, values, right = np.linalg.svd(dense_NV.astype(np.float64), full_matrices=False)
    best_NV = (left[:, :6] * values[:6]) @ right[:6]
    assert np.abs(said_NV - best_NV).max() < 1e-3


def test_training_lowers_the_loss_of_hidden_values_below_the_linear_start(trained):
    losses = [line["validation"] for line in trained.curve]
    assert trained.best_epoch == int(np.argmin(losses)) > 0
    assert losses[trained.best_epoch] < 0.9 * losses[0]


def test_noise_hides_its_share_of_ones_and_adds_none():
    _, rows_NV, _ = shop()
    noisy_NV = corrupted(rows_NV, 0.3, seed=1)
    assert 0.25 < 1 - noisy_NV.nnz / rows_NV.nnz < 0.35
    assert ((rows_NV - noisy_NV).toarray() >= 0).all()
    assert (corrupted(rows_NV, 0.3, seed=1) != noisy_NV).nnz == 0
    assert (corrupted(rows_NV, 0.3, seed=2) != noisy_NV).nnz > 0
    assert (corrupted(rows_NV, 0.0, seed=1) != rows_NV).nnz == 0


def test_equal_training_is_equal_to_the_byte_and_another_seed_is_not(trained):
    again = train_autoencoder(*shop(), CONFIG)
    for name, value in trained.model.state_dict().items():
        assert torch.equal(value, again.model.state_dict()[name]), name
    assert again.curve == trained.curve
    other = train_autoencoder(*shop(), dataclasses.replace(CONFIG, seed=1))
    assert not torch.equal(other.model.hidden_VH, again.model.hidden_VH)


@pytest.mark.parametrize(("max_rows", "epochs"), [(1, 1), (400, 2), (10**6, 3)])
def test_a_large_catalogue_has_fewer_epochs(max_rows, epochs):
    config, rows = dataclasses.replace(CONFIG, epochs=3, max_rows=max_rows), []
    found = train_autoencoder(*shop(), config, rows.append)
    assert len(found.curve) == epochs + 1
    assert sum(rows) // epochs in range(250, 320)  # what validation leaves of 320


@settings(max_examples=20, deadline=None)
@given(st.lists(st.integers(0, 319), min_size=1, max_size=2 * ENCODE_BATCH))
def test_a_row_has_the_same_bytes_whatever_its_neighbours(trained, rows):
    _, rows_NV, _ = shop()
    whole_ND = encode_rows(trained, rows_NV)
    assert encode_rows(trained, rows_NV[rows]).tobytes() == whole_ND[rows].tobytes()


def test_vectors_are_of_norm_1_and_an_item_without_attributes_has_none(trained):
    vectors_ND = encode_rows(
        trained, sparse.csr_matrix(np.eye(2, len(trained.vocabulary), dtype=np.float32) * [[1], [0]])
    )
    assert vectors_ND.dtype == np.float32
    assert np.linalg.norm(vectors_ND[0]) == pytest.approx(1, abs=1e-6)
    assert not vectors_ND[1].any()
    assert encode_rows(trained, sparse.csr_matrix((0, len(trained.vocabulary)), dtype=np.float32)).shape == (0, 6)


def test_a_new_item_is_near_those_of_its_kind(trained):
    ids, rows_NV, vocabulary = shop()
    new = vocabulary.rows({"brand": ["brand2"], "colors": ["hue2"], "materials": ["a stuff of no other item"]})
    near = np.argsort(-(encode_rows(trained, rows_NV) @ encode_rows(trained, new)[0]))[:10]
    is_of_kind = rows_NV[near][:, vocabulary.columns["colors"]["hue2"]].toarray()
    assert is_of_kind.mean() >= 0.8, ids[near[0]]


def test_a_saved_model_encodes_as_before_and_has_the_same_id(trained, tmp_path):
    _, rows_NV, _ = shop()
    name = save_autoencoder(trained, tmp_path / "one")
    assert save_autoencoder(train_autoencoder(*shop(), CONFIG), tmp_path / "two") == name
    loaded = load_autoencoder(tmp_path / "one")
    assert encode_rows(loaded, rows_NV).tobytes() == encode_rows(trained, rows_NV).tobytes()
    assert loaded.config == trained.config
    weights = tmp_path / "one" / "weights.safetensors"
    weights.write_bytes(weights.read_bytes()[:-1] + b"\x01")
    with pytest.raises(CorruptFileError, match="sha256"):
        load_autoencoder(tmp_path / "one")


def test_bad_input_says_what_was_expected(trained):
    ids, rows_NV, vocabulary = shop()
    with pytest.raises(UsageError, match=r"rows of \[3, "):
        train_autoencoder(ids[:3], rows_NV, vocabulary, CONFIG)
    with pytest.raises(ThresholdError, match="10 items with attributes"):
        train_autoencoder(ids, sparse.csr_matrix(rows_NV.shape, dtype=np.float32), vocabulary, CONFIG)
    with pytest.raises(UsageError, match="columns, got 2"):
        encode_rows(trained, sparse.csr_matrix((1, 2), dtype=np.float32))
    for wrong in ({"noise": 1.0}, {"output_dim": 0}, {"start": "other"}, {"validation_share": 0}):
        with pytest.raises(UsageError, match="expected"):
            AutoencoderConfig(**wrong)


def test_fewer_columns_than_dimensions_leave_the_rest_to_training():
    columns = {"brand": [f"b{row % 3}" for row in range(40)]}
    side = SideInformationConfig(fields={"brand": "whole"})
    vocabulary = vocabulary_of(count_values(columns, side), side)
    config = dataclasses.replace(CONFIG, output_dim=16, epochs=1)
    found = train_autoencoder([f"i{row}" for row in range(40)], vocabulary.rows(columns), vocabulary, config)
    assert encode_rows(found, vocabulary.rows(columns)).shape == (40, 16)
