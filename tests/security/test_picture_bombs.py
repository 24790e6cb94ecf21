"""Pictures that are small on disk and huge in memory, and files that are programs: refused before they cost much."""

import contextlib
import io
import resource
import struct
import time
import tracemalloc
import zlib

import numpy as np
import pytest
from PIL import Image

from model.pictures.decoding import Preprocessing, decode_picture
from model.pictures.faults import PictureError, PictureLimits

SMALL = Preprocessing(resize_px=40, crop_px=32, interpolation="bilinear", mean=(0.5,) * 3, std=(0.5,) * 3)
MAX_BYTES, MAX_CPU_S = 8 << 20, 2.0


def chunk(kind: bytes, body: bytes) -> bytes:
    return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))


def png_of_zeros(width: int, height: int, bits: int = 1, extra: bytes = b"") -> bytes:
    """A valid PNG of one colour."""
    line = b"\0" + b"\0" * ((width * bits + 7) // 8)
    packer = zlib.compressobj(9)
    data = b"".join([*(packer.compress(line * 100) for _ in range(height // 100)), packer.flush()])
    header = chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, bits, 0, 0, 0, 0))
    return b"\x89PNG\r\n\x1a\n" + header + extra + chunk(b"IDAT", data) + chunk(b"IEND", b"")


def gif_of_many_frames(count: int) -> bytes:
    buffer = io.BytesIO()
    Image.new("L", (64, 64), 9).save(buffer, "GIF")
    whole = buffer.getvalue()
    start = whole.index(b"\x2c\0\0\0\0")
    return whole[:start] + whole[start:-1] * count + b"\x3b"


def tiff(width: int, height: int, *entries: tuple[int, int, int, int]) -> bytes:
    """A TIFF header with tags and nothing behind them."""
    tags = [(256, 4, 1, width), (257, 4, 1, height), (258, 3, 1, 8), (259, 3, 1, 1), (262, 3, 1, 1), *entries]
    body = b"".join(struct.pack("<HHII", *tag) for tag in sorted(tags))
    return b"II*\0\x08\0\0\0" + struct.pack("<H", len(tags)) + body + b"\0\0\0\0"


def refusal(data: bytes) -> PictureError:
    """The error, which must come in little time and memory."""
    with pytest.raises(PictureError):
        decode_picture(data[:20], SMALL)  # what is loaded once is loaded
    grown_kb = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    tracemalloc.start()
    started_s = time.process_time()
    try:
        with pytest.raises(PictureError) as caught:
            decode_picture(data, SMALL)
        peak_bytes = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak_bytes < MAX_BYTES + 2 * len(data), f"{peak_bytes:,} bytes"
    assert time.process_time() - started_s < MAX_CPU_S
    grown_kb = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - grown_kb  # what decoders allocate themselves
    assert grown_kb < 50_000, f"{grown_kb:,} KB"
    return caught.value


@pytest.mark.parametrize(("width", "height"), [(9_000, 9_000), (14_000, 14_000), (30_000, 30_000), (100, 600_000)])
def test_png_bombs(width, height):
    data = png_of_zeros(width, height)
    assert len(data) < 1 << 20
    assert refusal(data).reason == "too_many_pixels"


def test_a_png_within_the_limit_is_decoded():
    crop_HWC = decode_picture(png_of_zeros(2_000, 2_000), SMALL)
    assert (crop_HWC == 0).all()


@pytest.mark.parametrize("kind", ["TIFF", "GIF", "BMP", "WEBP", "JPEG"])
def test_headers_that_claim_more_than_there_is(kind):
    buffer = io.BytesIO()
    Image.new("RGB", (40, 40)).save(buffer, kind)
    data = bytearray(buffer.getvalue())
    if kind == "TIFF":
        data = bytearray(tiff(2**31, 2**31))
    elif kind == "GIF":
        data[6:10] = struct.pack("<HH", 65_535, 65_535)
    elif kind == "BMP":
        data[18:26] = struct.pack("<II", 60_000, 60_000)
    elif kind == "WEBP":
        data = data[:12] + b"VP8X\x0a\0\0\0\x10\0\0\0\xff\x3f\0\xff\x3f\0" + data[12:]
    else:
        place = data.find(b"\xff\xc0") + 5
        data[place : place + 4] = struct.pack(">HH", 65_000, 65_000)
    assert refusal(bytes(data)).reason in ("too_many_pixels", "undecodable", "truncated", "not_a_picture")


def test_a_gif_of_many_frames_gives_its_first_in_little_memory():
    data = gif_of_many_frames(200_000)
    tracemalloc.start()
    started_s = time.process_time()
    try:
        crop_HWC = decode_picture(data, SMALL)
        peak_bytes = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert crop_HWC.shape == (32, 32, 3)
    assert peak_bytes < MAX_BYTES
    assert time.process_time() - started_s < MAX_CPU_S


@pytest.mark.parametrize(
    "entries",
    [
        ((273, 4, 2**31, 8), (279, 4, 2**31, 8)),  # two thousand million strips
        ((324, 4, 2**30, 8), (322, 4, 1, 1), (323, 4, 1, 1)),  # tiles of one pixel
        ((34377, 1, 2**31, 8),),  # a Photoshop block of 2 GB
        ((330, 4, 65_535, 8),),  # itself as its own sub-picture
        ((32773, 13, 1, 8),),
    ],
)
def test_tiff_tags_that_promise_gigabytes(entries):
    assert refusal(tiff(400, 400, *entries)).reason in ("undecodable", "truncated", "not_a_picture")


@pytest.mark.medium
def test_compressed_text_and_profiles_do_not_unfold():
    """100 MB of zeros in a text and in a colour profile: either the picture alone is read, or nothing."""
    zeros = zlib.compress(b"\0" * (100 << 20), 9)
    for extra in (
        chunk(b"zTXt", b"comment\0\0" + zeros),
        chunk(b"iTXt", b"comment\0\x01\0\0\0" + zeros),
        chunk(b"iCCP", b"p\0\0" + zeros),
        chunk(b"tEXt", b"comment\0" + b"x" * 1_000) * 1_000,
    ):
        tracemalloc.start()
        with contextlib.suppress(PictureError):
            assert not decode_picture(png_of_zeros(100, 100, extra=extra), SMALL).any()
        peak_bytes = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        assert peak_bytes < 70 << 20


PROGRAMS = {
    "svg": b'<?xml version="1.0"?><!DOCTYPE svg [<!ENTITY x SYSTEM "file:///etc/passwd">]><svg>&x;</svg>',
    "eps": b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 40 40\n(trace) (w) file closefile\nshowpage\n",
    "pdf": b"%PDF-1.4\n1 0 obj<</Type/Catalog/OpenAction<</S/Launch/F(touch trace)>>>>endobj\ntrailer<</Root 1 0 R>>\n",
    "ppm": b"P6 100000 100000 255\n",
    "wmf": b"\xd7\xcd\xc6\x9a\0\0" + b"\0" * 40,
    "fits": b"SIMPLE  =                    T" + b" " * 2850,
    "psd": b"8BPS\0\x01" + b"\0" * 6 + b"\0\x03" + b"\0\0\x75\x30" * 2 + b"\0\x08\0\x03",
    "ico": b"\0\0\x01\0\x01\0\0\0\0\0\x01\0\x20\0\xff\xff\xff\x7f\x16\0\0\0",
    "jpeg2000": b"\0\0\0\x0cjP  \r\n\x87\n" + b"\0" * 40,
    "heic": b"\0\0\0\x1cftypheic\0\0\0\0mif1heicmiafMiHB",
    "html": b"<!doctype html><img src=x onerror=alert(1)>",
    "zip": b"PK\x03\x04" + b"\0" * 100,
}


@pytest.mark.parametrize("name", PROGRAMS)
def test_other_formats_are_never_interpreted(name, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert refusal(PROGRAMS[name]).reason == "not_a_picture"
    assert list(tmp_path.iterdir()) == []


def test_a_picture_with_a_program_behind_it_is_the_picture():
    buffer = io.BytesIO()
    Image.fromarray(np.full((64, 64, 3), 7, np.uint8)).save(buffer, "PNG")
    for program in PROGRAMS.values():
        assert (decode_picture(buffer.getvalue() + program, SMALL) == 7).all()
        with pytest.raises(PictureError):
            decode_picture(program + buffer.getvalue(), SMALL)


def test_the_cap_on_bytes_and_pixels_is_the_caller_s():
    with pytest.raises(PictureError) as caught:
        decode_picture(png_of_zeros(200, 200), SMALL, PictureLimits(max_pixels=39_999))
    assert caught.value.reason == "too_many_pixels"
