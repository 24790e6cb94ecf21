"""Encoders are opened and used by threads that know nothing of each other, as in a worker of a portable runner."""

import threading

import numpy as np
import pytest
import torch
from at_once import at_once
from random_models import IMAGE_ENCODER, WEIGHTS_NAME, random_network

from model.pictures.backbones import vector_network
from model.pictures.image_encoder import load_image_encoder

pytestmark = pytest.mark.medium

ROUNDS = 3


@pytest.fixture(scope="module")
def pixels_BCHW() -> torch.Tensor:
    return torch.from_numpy(np.random.default_rng(0).standard_normal((1, 3, 64, 64), np.float32))


def test_threads_that_fold_networks_at_once_get_what_one_gets(pixels_BCHW):
    with torch.inference_mode():
        expected_BD = vector_network(random_network(IMAGE_ENCODER))(pixels_BCHW)
    for _ in range(ROUNDS):
        networks = [random_network(IMAGE_ENCODER) for _ in range(8)]
        for folded in at_once(lambda: vector_network(networks.pop())):  # noqa: B023 (called in this round)
            with torch.inference_mode():
                assert torch.equal(folded(pixels_BCHW), expected_BD)


def test_networks_of_other_threads_run_while_one_is_folded(pixels_BCHW):
    network, ended = random_network(IMAGE_ENCODER), threading.Event()
    with torch.inference_mode():
        expected_BK = network(pixels_BCHW)

    def use() -> None:
        with torch.inference_mode():
            while not ended.is_set():
                assert torch.equal(network(pixels_BCHW), expected_BK)

    def fold() -> None:
        try:
            for _ in range(4 * ROUNDS):
                vector_network(random_network(IMAGE_ENCODER))
        finally:
            ended.set()

    calls = [fold, use, use]
    at_once(lambda: calls.pop()(), num_threads=len(calls))


def test_threads_that_open_encoders_at_once_get_the_same_bytes(weights_file, encoder, crops_BHWC):
    expected = encoder.encode(crops_BHWC)

    def open_and_encode() -> np.ndarray:
        opened = load_image_encoder(IMAGE_ENCODER, weights_file, WEIGHTS_NAME, device="cpu", dtype="float32")
        return opened.encode(crops_BHWC)

    for got in at_once(open_and_encode):
        np.testing.assert_array_equal(got, expected)


def test_threads_that_share_an_encoder_get_the_same_bytes(encoder, crops_BHWC):
    expected = encoder.encode(crops_BHWC)
    for got in at_once(lambda: encoder.encode(crops_BHWC)):
        np.testing.assert_array_equal(got, expected)
