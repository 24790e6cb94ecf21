"""Looks: copies of a picture are near, other pictures are not, and no near pair is missed."""

import io

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from model.pictures.faults import PictureError, PictureLimits
from model.pictures.looks import HASH_BYTES, LOOK_BYTES, MAX_BITS, MAX_COLOUR, MAX_PLAIN_BITS, near_looks, picture_look

pytestmark = pytest.mark.medium


def scene(seed: int, size: tuple[int, int] = (320, 240)) -> Image.Image:
    """Soft random blobs: something with shapes."""
    pixels = np.random.default_rng(seed).integers(0, 255, (6, 8, 3), np.uint8)
    return Image.fromarray(pixels).resize(size, Image.Resampling.BICUBIC)


def encoded(picture: Image.Image, **options: object) -> bytes:
    file = io.BytesIO()
    picture.save(file, **{"format": "PNG", **options})
    return file.getvalue()


def are_near(*pictures: bytes) -> bool:
    looks = np.stack([np.frombuffer(picture_look(picture), np.uint8) for picture in pictures])
    return len(near_looks(looks)) > 0


@pytest.mark.parametrize("seed", range(5))
def test_a_copy_is_near(seed):
    picture = scene(seed)
    width, height = picture.size
    copies = {
        "JPEG": encoded(picture, format="JPEG", quality=40),
        "smaller": encoded(picture.resize((width // 2, height // 2))),
        "brighter": encoded(picture.point(lambda value: min(255, value + 5))),
        "cut": encoded(picture.crop((1, 1, width - 1, height - 1))),
    }
    assert len(picture_look(copies["JPEG"])) == LOOK_BYTES
    assert {name: are_near(encoded(picture), copy) for name, copy in copies.items()} == dict.fromkeys(copies, True)


def test_other_pictures_are_not_near():
    assert not are_near(*(encoded(scene(seed)) for seed in range(30)))
    red, blue = (Image.new("RGB", (100, 100), colour) for colour in ("red", "blue"))
    assert not are_near(encoded(red), encoded(blue)), "plain colours have equal bits"
    mirrored = scene(1).transpose(Image.Transpose.FLIP_LEFT_RIGHT)
    assert not are_near(encoded(scene(1)), encoded(mirrored))


def test_what_does_not_decode_has_no_look():
    with pytest.raises(PictureError, match="not_a_picture"):
        picture_look(b"no picture")
    with pytest.raises(PictureError, match="too_many_pixels"):
        picture_look(encoded(scene(0)), PictureLimits(max_pixels=1000))


@settings(max_examples=30, deadline=None)
@given(
    seed=st.integers(0, 999),
    num_looks=st.integers(0, 60),
    flips=st.integers(0, 9),
    share_of_bits=st.sampled_from([0.0, 0.1, 0.5]),
)
def test_near_pairs_are_those_of_a_naive_comparison(seed: int, num_looks: int, flips: int, share_of_bits: float):
    rng = np.random.default_rng(seed)
    looks = rng.integers(0, 256, (num_looks, LOOK_BYTES), np.uint8)
    looks[:, :HASH_BYTES] = np.packbits(rng.random((num_looks, HASH_BYTES * 8)) < share_of_bits, axis=1)
    for row in range(1, num_looks, 2):  # every other look is the one before with some bits flipped, colours moved
        bits = np.unpackbits(looks[row - 1, :HASH_BYTES])
        bits[rng.choice(len(bits), flips, replace=False)] ^= 1
        colours = looks[row - 1, HASH_BYTES:].astype(int) + rng.integers(0, 17, LOOK_BYTES - HASH_BYTES)
        looks[row] = np.concatenate([np.packbits(bits), np.clip(colours, 0, 255).astype(np.uint8)])
    expected = set()
    for one in range(num_looks):
        for other in range(one + 1, num_looks):
            bits = np.unpackbits(looks[one, :HASH_BYTES] ^ looks[other, :HASH_BYTES]).sum()
            fewest = min(np.unpackbits(looks[row, :HASH_BYTES]).sum() for row in (one, other))
            colours = np.abs(looks[one, HASH_BYTES:].astype(int) - looks[other, HASH_BYTES:]).mean()
            if bits <= (MAX_BITS if fewest > MAX_PLAIN_BITS else 0) and colours <= MAX_COLOUR:
                expected.add((one, other))
    assert {tuple(sorted(pair)) for pair in near_looks(looks).tolist()} == expected
