"""Files that are whole but for what no pixel needs are read; those that lack pixels are not."""

import contextlib
import struct
import zlib

import numpy as np
import pytest
from decoded_pictures import LIMITS, SMALL, pixels, reason_of
from hypothesis import example, given, settings
from hypothesis import strategies as st
from made_pictures import encoded
from PIL import Image

from model.pictures import mending as picture_mending
from model.pictures.decoding import Preprocessing, decode_picture
from model.pictures.faults import PictureError, PictureLimits
from model.pictures.mending import _segments, bare_png, ended_jpegs, lacks_end_mark

WHOLE = Preprocessing(resize_px=40, crop_px=40, interpolation="nearest", mean=(0.5,) * 3, std=(0.5,) * 3)
NOISE = Image.fromarray(np.random.default_rng(0).integers(0, 256, (40, 40, 3), dtype=np.uint8))
#: How shops' programs write JPEGs: Pillow's options.
JPEGS = {
    "plain": {},
    "progressive": {"progressive": True},
    "restarts": {"restart_marker_blocks": 2},
    "progressive with restarts": {"progressive": True, "restart_marker_rows": 1},
    "with a thumbnail's end mark": {"comment": b"\xff\xd8\xff\xda\xff\xd9", "optimize": True},
}


def chunk(kind: bytes, body: bytes, crc: int | None = None) -> bytes:
    crc = zlib.crc32(kind + body) if crc is None else crc
    return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", crc)


def png_with(extra: bytes, picture: Image.Image | None = None, **options: object) -> bytes:
    """A PNG with these chunks behind its header."""
    data = encoded(picture or Image.fromarray(pixels(64, 64)), "PNG", **options)
    return data[:33] + extra + data[33:]


INCOMPRESSIBLE = np.random.default_rng(0).bytes(2 << 20)
EXTRAS = {
    "a colour profile of 2 MB": chunk(b"iCCP", b"p\0\0" + zlib.compress(INCOMPRESSIBLE)),
    "a colour profile that is none": chunk(b"iCCP", b"p\0\0" + b"none"),
    "text of 2 MB": chunk(b"zTXt", b"t\0\0" + zlib.compress(INCOMPRESSIBLE)),
    "XMP of 2 MB": chunk(b"iTXt", b"XML:com.adobe.xmp\0\x01\0\0\0" + zlib.compress(INCOMPRESSIBLE)),
    "100 MB of text": chunk(b"tEXt", b"t\0" + b"x" * (1 << 20)) * 70,
    "a damaged text": chunk(b"tEXt", b"t\0text", crc=1),
}


@pytest.mark.parametrize("name", EXTRAS)
def test_what_lies_beside_the_pixels_of_a_png_costs_nothing(name):
    exif = Image.Exif()
    exif[0x0112] = 3
    for options in ({}, {"exif": exif}):
        expected = decode_picture(png_with(b"", **options), SMALL)
        got = decode_picture(png_with(EXTRAS[name], **options), SMALL, PictureLimits(max_bytes=1 << 30))
        np.testing.assert_array_equal(got, expected)
    palette = Image.fromarray(pixels(64, 64)).quantize(16)
    with_transparency = {"transparency": bytes(range(0, 256, 16))}
    np.testing.assert_array_equal(
        decode_picture(png_with(EXTRAS[name], palette, **with_transparency), SMALL),
        decode_picture(png_with(b"", palette, **with_transparency), SMALL),
    )


@pytest.mark.parametrize("kind", ["JPEG", "WEBP", "TIFF", "AVIF"])
def test_a_large_colour_profile_and_xmp_of_other_formats_cost_nothing(kind):
    picture = Image.fromarray(pixels(64, 64))
    large = {"icc_profile": INCOMPRESSIBLE} | ({} if kind == "TIFF" else {"xmp": b"<x/>" * 15_000})
    np.testing.assert_array_equal(
        decode_picture(encoded(picture, kind, **large), SMALL), decode_picture(encoded(picture, kind), SMALL)
    )


def test_a_png_that_cannot_be_mended_is_refused_in_the_same_words():
    good = png_with(b"")
    damaged = good[:60] + bytes([good[60] ^ 1]) + good[61:]
    bad = {}
    for name, data in (("bare", damaged), ("with a profile", png_with(EXTRAS["a colour profile of 2 MB"])[: 1 << 20])):
        with pytest.raises(PictureError) as caught:
            decode_picture(data, SMALL)
        bad[name] = caught.value.reason
    assert bad == {"bare": "undecodable", "with a profile": "truncated"}
    assert bare_png(good) is None
    assert bare_png(b"GIF89a") is None


@pytest.mark.parametrize("missing", [1, 2])
@pytest.mark.parametrize("kind", JPEGS)
def test_a_jpeg_without_its_end_mark_is_the_picture(kind, missing):
    for picture in (NOISE, NOISE.convert("L"), NOISE.convert("CMYK")):
        data = encoded(picture, "JPEG", **JPEGS[kind])
        assert not lacks_end_mark(data)
        assert lacks_end_mark(data[:-missing])
        np.testing.assert_array_equal(
            decode_picture(data[:-missing], WHOLE, LIMITS), decode_picture(data, WHOLE, LIMITS)
        )


@pytest.mark.medium
@pytest.mark.parametrize("kind", JPEGS)
def test_a_jpeg_that_is_cut_anywhere_is_the_whole_picture_or_truncated(kind):
    """At every byte: in headers, between scans, at restart marks, within the last block."""
    data = encoded(NOISE, "JPEG", quality=60, **JPEGS[kind])
    expected = decode_picture(data, WHOLE, LIMITS)
    outcomes = []
    for length in range(2, len(data)):
        try:
            crop_HWC = decode_picture(data[:length], WHOLE, LIMITS)
            outcomes.append("read")
            np.testing.assert_array_equal(crop_HWC, expected, err_msg=str(length))
        except PictureError as error:
            outcomes.append(error.reason)
    assert outcomes[-2:] == ["read", "read"]
    assert outcomes.count("read") <= 4  # the last byte may be padding alone
    assert set(outcomes) <= {"read", "truncated", "undecodable", "not_a_picture"}


def test_a_jpeg_that_lacks_more_is_truncated():
    data = encoded(NOISE, "JPEG", progressive=True)
    for share in (0.3, 0.6, 0.9):
        assert reason_of(data[: int(len(data) * share)]) == "truncated"


def test_what_lies_behind_the_end_mark_is_no_missing_end():
    for behind in (b"", b"\0" * 5_000, b"\xff" * 3_000, encoded(NOISE, "JPEG")[:-2]):
        assert not lacks_end_mark(encoded(NOISE, "JPEG") + behind)
    for other in (b"", b"\xff\xd8", b"\xff\xd8\xff", encoded(NOISE, "PNG")[:-2]):
        assert not lacks_end_mark(other)


SEGMENTS = st.one_of(
    st.tuples(st.sampled_from([0xC0, 0xC2, 0xC4, 0xDA, 0xDB, 0xE0]), st.binary(max_size=14)).map(
        lambda segment: bytes((0xFF, segment[0])) + struct.pack(">H", 2 + len(segment[1])) + segment[1]
    ),
    st.binary(max_size=14),
    st.sampled_from([b"\xff\xda\0\0", b"\xff\xc0\0\2", b"\xff", b"\xff\xd0"]),
)


@pytest.mark.medium
@settings(max_examples=300, deadline=None)
@example([b"\xff\xda\0\2", b"\x11" * 10])  # a scan whose header is empty
@example([b"\xff\xc0\0\2", b"\xff\xda\0\2", b"\x11" * 10])
@given(st.lists(SEGMENTS, max_size=12))
def test_whatever_segments_a_jpeg_has_it_is_a_bad_picture_at_worst(segments):
    with contextlib.suppress(PictureError):
        decode_picture(b"\xff\xd8" + b"".join(segments), SMALL)


def segment(mark: int, body: bytes) -> bytes:
    return bytes((0xFF, mark)) + struct.pack(">H", 2 + len(body)) + body


def frame(num_components: int) -> bytes:
    parts = b"".join(bytes((number, 0x11, 0)) for number in range(num_components))
    return segment(0xC2, struct.pack(">BHHB", 8, 8, 8, num_components) + parts)


def scan(num_components: int, last_bits: int = 0) -> bytes:
    parts = b"".join(bytes((number, 0)) for number in range(num_components))
    return segment(0xDA, bytes((num_components,)) + parts + bytes((0, 63, last_bits))) + b"\x11"


@pytest.mark.parametrize(
    ("head", "repeated", "most_segments"),
    [
        (frame(4), scan(255), 2),
        (frame(255), scan(4), 1),
        (b"", frame(4), 2),
        (frame(4), scan(4, last_bits=1), 1 + 1_001),
    ],
    ids=["components of a scan", "components of a frame", "frames", "scans"],
)
def test_a_jpeg_of_more_parts_than_pictures_have_is_not_looked_through(head, repeated, most_segments, monkeypatch):
    taken = []

    def counted(data):
        for number, part in enumerate(_segments(data), start=1):
            taken[-1:] = [number]
            yield part

    data = b"\xff\xd8" + head + repeated * 2_000 + scan(4)
    monkeypatch.setattr(picture_mending, "lacks_end_mark", lambda data: True)
    monkeypatch.setattr(picture_mending, "_segments", counted)
    assert ended_jpegs(data) == ()
    assert taken == [most_segments]
