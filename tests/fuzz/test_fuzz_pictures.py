"""Hostile pictures: a crop of the right shape, or a PictureError that a person can read."""

import random
import warnings
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from fuzz_pictures import make_picture
from fuzz_run import Outcome, fuzz
from fuzz_values import URIS, text

from model.pictures.decoding import Preprocessing, decode_picture
from model.pictures.faults import REMEDIES, PictureError, PictureLimits
from model.pictures.files import read_picture

SMALL = Preprocessing(resize_px=20, crop_px=16, interpolation="bilinear", mean=(0.5,) * 3, std=(0.5,) * 3)
LIMITS = PictureLimits(max_bytes=50_000, max_pixels=400_000)


def refused(error: PictureError) -> Outcome:
    assert error.reason in REMEDIES
    for shown in (str(error), error.expected, error.got, error.remedy):
        assert shown.isprintable(), repr(shown)
        assert 0 < len(shown) < 1_000
    return Outcome(error.reason)


def check_picture(rng: random.Random, folder: Path) -> Outcome:
    data = make_picture(rng)
    root = folder / "images"
    root.mkdir()
    name = rng.choice(("a.jpg", "a.png", "a.txt", "a", "a.svg", "\x1b[31m.gif", "ä 木.webp"))
    (root / name).write_bytes(data)
    (folder / "secret.png").write_bytes(data)
    uri = name if rng.random() < 0.9 else rng.choice((*URIS, "../secret.png", str(folder / "secret.png"), text(rng)))
    try:
        read = read_picture(root, uri, LIMITS)
        assert read == data
        assert uri == name, "read outside the root"
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            crop_HWC = decode_picture(read, SMALL, LIMITS)
            assert np.array_equal(crop_HWC, decode_picture(read, SMALL, LIMITS))
    except PictureError as error:
        return refused(error)
    assert crop_HWC.shape == (16, 16, 3)
    assert crop_HWC.dtype == np.uint8
    return Outcome(counts=Counter(pictures=1))


@pytest.mark.medium
def test_pictures(tmp_path: Path) -> None:
    tally = fuzz("pictures", check_picture, tmp_path)
    assert tally.inputs == sum(tally.verdicts.values())
