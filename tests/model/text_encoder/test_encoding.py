"""Sentences to vectors: the right ones, and the same bytes whatever is encoded beside them."""

import numpy as np
import pytest
import torch
from at_once import at_once
from random_text_encoders import MAX_TOKENS, WIDTH, change_json, expected_vector, write_text_encoder

from model.machine.ordered_map import single_threaded_pool
from model.text import text_encoder as text_encoders
from model.text.text_encoder import load_text_encoder, padded_length
from schemas.errors import UsageError

pytestmark = pytest.mark.medium

BLANK = ["", " ", "\n\t "]


def test_vectors_are_those_of_torchs_own_layers(encoder, folder, texts):
    vectors_ND = encoder.encode(texts)
    assert (vectors_ND.dtype, vectors_ND.shape, encoder.dim) == (np.float32, (len(texts), WIDTH), WIDTH)
    expected_ND = np.stack([expected_vector(folder, text) for text in texts])
    np.testing.assert_allclose(vectors_ND, expected_ND, atol=2e-6)
    np.testing.assert_allclose(np.linalg.norm(vectors_ND, axis=1), 1, atol=1e-6)
    others_NN = expected_ND @ expected_ND.T - np.eye(len(texts))
    assert others_NN.max() < 1 - 1e-4, "the texts must have different vectors, or the test shows nothing"


@pytest.mark.parametrize(
    ("changes", "first_position", "pooling"),
    [({"pooling": "cls_token"}, 0, "cls"), ({"model_type": "xlm-roberta", "pad_token_id": 1}, 2, "mean")],
)
def test_other_poolings_and_families(tmp_path, texts, changes, first_position, pooling):
    folder = write_text_encoder(tmp_path / "other", **changes)
    vectors_ND = load_text_encoder(str(folder), device="cpu", dtype="float32").encode(texts)
    expected = [expected_vector(folder, text, first_position=first_position, pooling=pooling) for text in texts]
    np.testing.assert_allclose(vectors_ND, expected, atol=2e-6)


@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
def test_bytes_do_not_depend_on_what_is_encoded_beside(folder, texts, dtype, monkeypatch):
    encoder = load_text_encoder(str(folder), device="cpu", dtype=dtype)
    assert encoder.spec.dtype == dtype
    expected_ND = encoder.encode(texts)
    alone_ND = np.concatenate([encoder.encode([text]) for text in texts])
    np.testing.assert_array_equal(alone_ND, expected_ND)
    order = np.random.default_rng(1).permutation(len(texts))
    shuffled_ND = encoder.encode([texts[row] for row in order] + BLANK)
    np.testing.assert_array_equal(shuffled_ND[: len(texts)], expected_ND[order])
    halves_ND = np.concatenate([encoder.encode(texts[:31]), encoder.encode(texts[31:])])
    np.testing.assert_array_equal(halves_ND, expected_ND)
    monkeypatch.setattr(encoder, "_pool", single_threaded_pool(3))
    np.testing.assert_array_equal(encoder.encode(texts), expected_ND)
    for got_ND in at_once(lambda: encoder.encode(texts)):
        np.testing.assert_array_equal(got_ND, expected_ND)


def test_every_place_in_a_batch_gives_the_same_bytes(encoder, texts):
    """The promise above, for each shape that the network ever sees."""
    ids = [[2, 5, 6, 3], list(range(4, 16)), list(range(2, 19)) + list(range(2, 17))]
    for text in ids:
        length = padded_length(len(text), MAX_TOKENS)
        size = encoder._batch_size(length)
        expected_D = encoder._encode_batch([text], length)[0]
        for place in range(size):
            beside = [[7, 8, 9]] * place + [text] + [[10]] * (size - place - 1)
            np.testing.assert_array_equal(encoder._encode_batch(beside, length)[place], expected_D)


def test_bfloat16_is_near_float32_and_not_the_same(encoder, folder, texts):
    faster = load_text_encoder(str(folder), device="cpu", dtype="bfloat16")
    assert faster.parity_cosine >= text_encoders.MIN_PARITY_COSINE > encoder.parity_cosine - 1e-2
    a_ND, b_ND = encoder.encode(texts), faster.encode(texts)
    assert (a_ND * b_ND).sum(axis=1).min() > 0.999
    assert not np.array_equal(a_ND, b_ND)
    assert faster.encoder_id != encoder.encoder_id
    assert faster.network_id == encoder.network_id


def test_a_number_format_that_loses_too_much_is_refused_or_left(folder, monkeypatch):
    monkeypatch.setattr(text_encoders, "MIN_PARITY_COSINE", 1.1)
    monkeypatch.setattr("model.machine.number_formats.has_fast_bfloat16", lambda device: True)
    with pytest.raises(UsageError, match=r"within cosine 1\.1 of float32.*use dtype float32"):
        load_text_encoder(str(folder), device="cpu", dtype="bfloat16")
    with pytest.warns(UserWarning, match="float32 is used"):
        encoder = load_text_encoder(str(folder), device="cpu")
    assert encoder.spec.dtype == "float32"
    assert {parameter.dtype for parameter in encoder._network.parameters()} == {torch.float32}


def test_texts_without_a_token_have_the_zero_vector(encoder):
    vectors_ND = encoder.encode([*BLANK, "red", "", "hat"])
    np.testing.assert_array_equal(np.linalg.norm(vectors_ND, axis=1) > 0, [0, 0, 0, 1, 0, 1])
    assert encoder.encode([]).shape == (0, WIDTH)


def test_equal_texts_are_computed_once(encoder, monkeypatch):
    computed = []
    encode_batch = encoder._encode_batch

    def counted(texts, length):
        computed.extend(texts)
        return encode_batch(texts, length)

    monkeypatch.setattr(encoder, "_encode_batch", counted)
    vectors_ND = encoder.encode(["red shoe", "blue", "red shoe", "red shoe"])
    assert len(computed) == 2
    np.testing.assert_array_equal(vectors_ND[[0, 0]], vectors_ND[[2, 3]])


def test_text_of_any_kind_is_encoded(encoder):
    vectors_ND = encoder.encode(["\ud800 red", "\0", "𝕏 ➜", "red " * 10_000, "hat\x1b[2J"])
    assert np.isfinite(vectors_ND).all()


def test_a_text_with_markup_has_the_vector_of_what_it_shows(encoder):
    shown, marked = encoder.encode(["red shoe for the rain", "<p>red <b>sh</b>oe</p>for&nbsp;the<br>rain<!-- a -->"])
    np.testing.assert_array_equal(shown, marked)
    assert not encoder.encode(["<style>red</style>&nbsp;"]).any()


def test_lower_case(tmp_path):
    folder = write_text_encoder(tmp_path / "lower")
    change_json(folder / "sentence_bert_config.json", do_lower_case=True)
    encoder = load_text_encoder(str(folder), device="cpu", dtype="float32")
    np.testing.assert_array_equal(encoder.encode(["RED Shoe"]), encoder.encode(["red shoe"]))
    np.testing.assert_allclose(encoder.encode(["RED"])[0], expected_vector(folder, "red"), atol=2e-6)


def test_the_mean_of_several_texts(encoder, texts):
    groups = [(texts[0],), (texts[1], texts[2]), (), (BLANK[1],), (texts[3], BLANK[0]), (texts[2], texts[1])]
    means_ND, vectors_ND = encoder.encode_means(groups), encoder.encode(texts)
    assert means_ND.dtype == np.float32
    both_D = vectors_ND[1] + vectors_ND[2]
    expected = [vectors_ND[0], both_D / np.linalg.norm(both_D), 0 * both_D, 0 * both_D, vectors_ND[3]]
    np.testing.assert_allclose(means_ND[:5], expected, atol=1e-6)
    alone_ND = np.concatenate([encoder.encode_means([group]) for group in groups])
    np.testing.assert_array_equal(alone_ND, means_ND)
    assert encoder.encode_means([]).shape == (0, WIDTH)


def test_each_batch_is_told(encoder, texts):
    told: list[int] = []
    encoder.encode([*texts, texts[0], BLANK[0]], told.append)
    with_tokens = {text for text in texts if text not in BLANK}
    assert sum(told) == len(with_tokens)
    assert len(told) > 1
