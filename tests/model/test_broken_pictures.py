"""Files that are cut, too large or no pictures: each is an error with a reason, the same for the same bytes."""

import re

import numpy as np
import pytest
from decoded_pictures import LIMITS, SMALL, pixels, reason_of
from hypothesis import given, settings
from hypothesis import strategies as st
from made_pictures import encoded
from PIL import Image

from model.pictures.decoding import decode_picture
from model.pictures.faults import CONTENT_REASONS, REMEDIES, PictureError


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "GIF", "WEBP", "BMP", "AVIF"])
@pytest.mark.parametrize("share", [0.5, 0.9])
def test_a_cut_file_is_an_error_and_not_a_grey_patch(kind, share):
    noise = Image.fromarray(np.random.default_rng(0).integers(0, 256, (128, 128, 3), dtype=np.uint8))
    data = encoded(noise, kind)
    assert decode_picture(data, SMALL, LIMITS).std() > 10
    assert reason_of(data[: int(len(data) * share)]) == "truncated"


def test_progressive_jpeg_that_is_cut_is_truncated():
    noise = Image.fromarray(np.random.default_rng(0).integers(0, 256, (128, 128, 3), dtype=np.uint8))
    data = encoded(noise, "JPEG", progressive=True)
    assert reason_of(data[: len(data) // 2]) == "truncated"


def test_cut_tiff_is_an_error():
    """Pillow writes a TIFF's directory first or last: where it is cut off, the file is no picture at all."""
    data = encoded(Image.fromarray(pixels(128, 128)), "TIFF")
    assert {reason_of(data[: len(data) * share // 10]) for share in (1, 5, 9)} <= {"truncated", "not_a_picture"}


def test_too_many_pixels_are_refused_from_the_header(monkeypatch):
    bomb = encoded(Image.new("L", (5000, 5000)), "PNG", optimize=False)
    assert len(bomb) < 100_000
    monkeypatch.setattr(Image.Image, "load", lambda self: pytest.fail("decoded"))
    assert reason_of(bomb) == "too_many_pixels"


def test_a_bomb_that_pillow_itself_refuses_is_too_many_pixels():
    header = bytearray(encoded(Image.new("L", (8, 8)), "BMP"))
    header[18:26] = (60_000).to_bytes(4, "little") * 2
    assert reason_of(bytes(header)) == "too_many_pixels"


def test_a_thread_of_pixels_is_refused_before_it_is_resized():
    assert reason_of(encoded(Image.new("L", (1, 20_000)), "PNG")) == "too_many_pixels"


@pytest.mark.parametrize(
    "data", [b"", b"hello", b"<svg/>", b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n", b"\0" * 99]
)
def test_other_files_are_not_pictures(data):
    assert reason_of(data) == "not_a_picture"


@pytest.mark.medium
@settings(max_examples=150, deadline=None)
@given(st.sampled_from(["JPEG", "PNG", "GIF", "WEBP", "BMP", "TIFF", "AVIF"]), st.data())
def test_hostile_bytes_give_a_picture_or_a_picture_error(kind, data):
    good = bytearray(encoded(Image.fromarray(pixels(24, 24)), kind))
    for _ in range(data.draw(st.integers(1, 6))):
        good[data.draw(st.integers(0, len(good) - 1))] = data.draw(st.integers(0, 255))
    try:
        outcome = decode_picture(bytes(good), SMALL, LIMITS).shape
    except PictureError as error:
        outcome, said = error.reason, str(error)
        with pytest.raises(PictureError, match=re.escape(said)):  # equal bytes are rejected in equal words
            decode_picture(bytes(good), SMALL, LIMITS)
    assert outcome == (32, 32, 3) or outcome in CONTENT_REASONS


@pytest.mark.parametrize("brands", [b"heic\0\0\0\0mif1heic", b"mif1\0\0\0\0mif1heix", b"msf1\0\0\0\0hevc"])
def test_heic_is_named(brands):
    data = (len(brands) + 8).to_bytes(4, "big") + b"ftyp" + brands + b"\0" * 40
    with pytest.raises(PictureError, match=r"not_a_picture: .* of HEIC: HEIC is not read: convert to JPEG") as caught:
        decode_picture(data, SMALL, LIMITS)
    assert caught.value.reason == "not_a_picture"


def test_an_avif_whose_first_brand_is_that_of_any_picture_is_read():
    data = encoded(Image.new("RGB", (40, 40), (9, 99, 199)), "AVIF")
    assert data[8:12] == b"avif"
    assert b"avif" in data[16:40] or b"mif1" in data[16:40]
    other = data[:8] + b"mif1" + data[12:16] + data[16:32].replace(b"mif1", b"avif") + data[32:]
    assert np.abs(decode_picture(other, SMALL, LIMITS).astype(int) - (9, 99, 199)).max() < 6


def test_a_message_holds_no_address_in_memory():
    data = b"\xff\xd8\xff" + b"x" * 40
    for _ in range(2):
        with pytest.raises(PictureError) as caught:
            decode_picture(data, SMALL, LIMITS)
        assert (caught.value.reason, caught.value.got) == ("truncated", f"43 bytes starting with {data[:8]!r}")


def test_decoding_out_of_memory_costs_the_picture(monkeypatch):
    def no_memory(self):
        raise MemoryError

    data = encoded(Image.fromarray(pixels(64, 64)), "PNG")
    monkeypatch.setattr("PIL.ImageFile.ImageFile.load", no_memory)
    assert reason_of(data) == "out_of_memory"
    assert REMEDIES.keys() > CONTENT_REASONS
    assert "out_of_memory" not in CONTENT_REASONS
