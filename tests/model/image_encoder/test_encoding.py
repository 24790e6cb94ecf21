"""Vectors of pictures and of streams of them: bytes depend on the picture alone, a bad picture costs only itself."""

import numpy as np
import pytest
import torch
from made_pictures import png
from PIL import Image
from random_models import IMAGE_ENCODER, PICTURE_DIM, WEIGHTS_NAME, random_network

from model.pictures import backbones, image_encoder
from model.pictures.faults import PictureError, PictureLimits
from model.pictures.image_encoder import ImageEncoder, load_image_encoder
from schemas.errors import UsageError

pytestmark = pytest.mark.medium


def test_vectors_are_those_of_the_plain_network(encoder, pictures_BHWC):
    network = random_network(IMAGE_ENCODER)
    preset = backbones.weights_entry(IMAGE_ENCODER, None, has_file=False).transforms()
    with torch.inference_mode():
        pixels_BCHW = torch.stack([preset(Image.fromarray(pixels_HWC)) for pixels_HWC in pictures_BHWC[:3]])
        expected = network.features(pixels_BCHW).mean((2, 3)).numpy()
    stream = dict(encoder.encode_stream(enumerate(png(pixels_HWC) for pixels_HWC in pictures_BHWC[:3])))
    got = np.stack([stream[number] for number in range(3)])
    assert got.dtype == np.float16
    np.testing.assert_allclose(got, expected, rtol=2e-3, atol=1e-4)
    assert np.abs(expected[0] - expected[1]).max() > 0.01


@pytest.mark.parametrize("dtype", ["float32", "auto"])
def test_a_rows_bytes_do_not_depend_on_the_others(dtype, weights_file, crops_BHWC):
    encoder = load_image_encoder(IMAGE_ENCODER, weights_file, WEIGHTS_NAME, device="cpu", dtype=dtype)
    vectors_BD = encoder.encode(crops_BHWC)
    assert vectors_BD.shape == (19, encoder.dim)
    assert len({row.tobytes() for row in vectors_BD}) == 19
    order = np.random.default_rng(1).permutation(19)
    np.testing.assert_array_equal(encoder.encode(crops_BHWC[order]), vectors_BD[order])
    for start, stop in ((0, 1), (5, 6), (7, 18), (18, 19), (0, 0)):
        np.testing.assert_array_equal(encoder.encode(crops_BHWC[start:stop]), vectors_BD[start:stop])


def test_bytes_do_not_depend_on_the_callers_threads(encoder, crops_BHWC):
    before = torch.get_num_threads()
    expected = encoder.encode(crops_BHWC[:3])
    try:
        for num_threads in (1, 3):
            torch.set_num_threads(num_threads)
            np.testing.assert_array_equal(encoder.encode(crops_BHWC[:3]), expected)
    finally:
        torch.set_num_threads(before)


def test_stream_keeps_order_and_a_broken_picture_costs_only_itself(encoder, pictures_BHWC):
    good = [png(pixels_HWC) for pixels_HWC in pictures_BHWC]
    passed_on = PictureError("missing", "a file", "none")
    stream = [(number, data) for number, data in enumerate(good)]
    stream[4] = (4, good[4][:2000])
    stream[7] = (7, b"hello")
    stream[9] = (9, passed_on)
    stream[10] = (10, "not bytes")
    got = list(encoder.encode_stream(stream))
    assert [key for key, _ in got] == list(range(19))
    values = dict(got)
    assert (values[4].reason, values[7].reason) == ("truncated", "not_a_picture")
    assert values[9] is passed_on
    assert values[10] == "not bytes"
    alone = dict(encoder.encode_stream([(8, good[8])]))
    assert values[8].tobytes() == alone[8].tobytes()
    assert sum(isinstance(value, np.ndarray) for value in values.values()) == 15


def test_stream_applies_limits_and_takes_nothing_for_nothing(encoder, pictures_BHWC):
    assert list(encoder.encode_stream([])) == []
    got = dict(encoder.encode_stream([(0, png(pictures_BHWC[0]))], PictureLimits(max_pixels=100)))
    assert got[0].reason == "too_many_pixels"


def test_stream_is_pulled_no_further_than_needed(encoder, pictures_BHWC):
    data = png(pictures_BHWC[0])
    pulled = []
    stream = encoder.encode_stream((pulled.append(number), data) for number in range(10_000))
    next(stream)
    stream.close()
    assert len(pulled) < 1000


def test_a_picture_that_breaks_the_network_is_found(encoder, pictures_BHWC, crops_BHWC, monkeypatch):
    bad = crops_BHWC[2]
    forward = ImageEncoder._forward

    def failing(self, part_BHWC):
        if (part_BHWC == bad).all(axis=(1, 2, 3)).any():
            raise RuntimeError("cannot")
        vectors_BD = forward(self, part_BHWC)
        vectors_BD[(part_BHWC == crops_BHWC[5]).all(axis=(1, 2, 3))] = np.inf
        return vectors_BD

    expected = encoder.encode(crops_BHWC)
    monkeypatch.setattr(ImageEncoder, "_forward", failing)
    values = dict(encoder.encode_stream(enumerate(map(png, pictures_BHWC))))
    assert {number for number, value in values.items() if isinstance(value, PictureError)} == {2, 5}
    assert values[2].reason == values[5].reason == "encoder_failed"
    np.testing.assert_array_equal(values[3], expected[3])
    monkeypatch.setattr(ImageEncoder, "_forward", lambda self, part_BHWC: (_ for _ in ()).throw(RuntimeError("broken")))
    with pytest.raises(RuntimeError, match="broken"):
        list(encoder.encode_stream(enumerate(map(png, pictures_BHWC[:3]))))


def test_a_bad_picture_is_found_by_halves(encoder, pictures_BHWC, crops_BHWC, monkeypatch):
    """A batch of 8 with one bad picture: itself, then two halves of 8, 4 and 2, and a blank one."""
    forward, batches = ImageEncoder._forward, []

    def failing(self, part_BHWC):
        batches.append(int((part_BHWC != 0).any(axis=(1, 2, 3)).sum()))
        if (part_BHWC == crops_BHWC[2]).all(axis=(1, 2, 3)).any():
            raise ValueError("cannot\x1b[31m")
        return forward(self, part_BHWC)

    expected = encoder.encode(crops_BHWC[:8])
    monkeypatch.setattr(ImageEncoder, "_forward", failing)
    values = dict(encoder.encode_stream(enumerate(map(png, pictures_BHWC[:8]))))
    assert batches == [8, 4, 2, 2, 1, 0, 1, 4]
    assert (values[2].reason, values[2].got) == ("encoder_failed", "ValueError: 'cannot\\x1b[31m'")
    for number in (0, 1, 3, 4, 5, 6, 7):
        assert values[number].tobytes() == expected[number].tobytes()


def test_wrong_shapes_are_refused(encoder):
    with pytest.raises(ValueError, match=r"expected uint8 \[B, 224, 224, 3\], got float32"):
        encoder.encode(np.zeros((1, 224, 224, 3), np.float32))
    with pytest.raises(ValueError, match="225"):
        encoder.encode(np.zeros((1, 225, 224, 3), np.uint8))


def test_bfloat16_is_close_and_has_its_own_id(encoder, weights_file, crops_BHWC):
    fast = load_image_encoder(IMAGE_ENCODER, weights_file, WEIGHTS_NAME, device="cpu", dtype="bfloat16")
    assert fast.parity_cosine >= 0.999
    assert fast.network_id == encoder.network_id
    assert fast.encoder_id != encoder.encoder_id
    a_BD, b_BD = (e.encode(crops_BHWC).astype(np.float32) for e in (encoder, fast))
    cosines_B = (a_BD * b_BD).sum(1) / np.linalg.norm(a_BD, axis=1) / np.linalg.norm(b_BD, axis=1)
    assert cosines_B.min() > 0.999
    assert (a_BD != b_BD).any()


def test_without_parity_float32_is_used(weights_file, monkeypatch):
    monkeypatch.setattr(image_encoder, "MIN_PARITY_COSINE", 1.1)
    monkeypatch.setattr("model.machine.number_formats.has_fast_bfloat16", lambda device: True)
    with pytest.warns(UserWarning, match="float32 is used"):
        encoder = load_image_encoder(IMAGE_ENCODER, weights_file, WEIGHTS_NAME, device="cpu")
    assert encoder.spec.dtype == "float32"
    assert encoder.encode(np.zeros((1, 224, 224, 3), np.uint8)).shape == (1, PICTURE_DIM)
    with pytest.raises(UsageError, match=r"within cosine 1.1 .*use dtype float32"):
        load_image_encoder(IMAGE_ENCODER, weights_file, WEIGHTS_NAME, device="cpu", dtype="bfloat16")
