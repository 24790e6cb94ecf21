"""Pictures that nobody should send: every mode and format, damaged, beheaded, enlarged, glued to other files."""

import io
import random
import struct
import zlib

import numpy as np
from fuzz_bytes import damaged
from PIL import Image

from model.pictures.faults import FORMATS

_MODES = {
    "PNG": ("1", "L", "LA", "P", "RGB", "RGBA", "I", "I;16"),
    "JPEG": ("L", "RGB", "CMYK"),
    "GIF": ("L", "P", "RGB"),
    "WEBP": ("RGB", "RGBA"),
    "BMP": ("1", "L", "P", "RGB", "RGBA"),
    "TIFF": ("1", "L", "LA", "P", "RGB", "RGBA", "CMYK", "I;16", "I", "F", "YCbCr", "LAB"),
    "AVIF": ("L", "RGB", "RGBA"),
}
_OPTIONS: dict[str, tuple[dict[str, object], ...]] = {
    "JPEG": ({}, {"progressive": True}, {"quality": 1}, {"restart_marker_rows": 1}),
    "PNG": ({}, {"optimize": True}),
    "GIF": ({}, {"interlace": 1}),
    "WEBP": ({}, {"lossless": True}),
    "AVIF": ({"speed": 10}, {"speed": 10, "quality": 1}),
    "BMP": ({},),
    "TIFF": ({}, {"compression": "tiff_lzw"}, {"compression": "tiff_deflate"}, {"compression": "packbits"}),
}
_SIZES = ((1, 1), (2, 300), (300, 2), (40, 31), (64, 64))
_STRANGERS = (
    b"", b"\0" * 100, b"%PDF-1.7\n1 0 obj", b"<svg xmlns='http://www.w3.org/2000/svg'/>", b"%!PS-Adobe-3.0 EPSF-3.0\n",
    b"PK\x03\x04" + b"\0" * 60, b"<!doctype html><script>alert(1)</script>", b"\x7fELF" + b"\0" * 60,
    b"\0\0\0\x0cjP  \r\n\x87\n",
    b"\0\0\x01\0\x01\0", b"8BPS\0\x01", b"P6 1 1 255\n\0\0\0", b"#define x_width 1", b"\x0a\x05\x01\x08",
    b"\0\0\0\x1cftypavif",
    b"\x89HDF\r\n\x1a\n", b"FWS", b"RIFF\xff\xff\xff\xffWEBP", b"BM", b"GIF89a", b"\xff\xd8\xff", b"\x89PNG\r\n\x1a\n",
    b"MM\0*", b"II+\0\x08",
)  # fmt: skip


def make_picture(rng: random.Random) -> bytes:
    """A picture file, or what somebody may take for one."""
    if rng.random() < 0.05:
        return rng.choice(_STRANGERS)
    kind = rng.choice(FORMATS)
    data = _encoded(rng, kind)
    for _ in range(rng.choice((0, 1, 1, 1, 2))):
        data = rng.choice((damaged_body, damaged_body, _enlarged, _glued, _with_exif))(data, rng)
    return data


def damaged_body(data: bytes, rng: random.Random) -> bytes:
    """Any damage; the checksums of a PNG are then mended half of the time, so that its decoder looks further."""
    hurt = damaged(data, rng)
    return _mended(hurt) if hurt.startswith(b"\x89PNG") and rng.random() < 0.5 else hurt


def _encoded(rng: random.Random, kind: str) -> bytes:
    mode = rng.choice(_MODES[kind])
    size = rng.choice(_SIZES)
    picture = _of_mode(rng, mode, size)
    options = dict(rng.choice(_OPTIONS[kind]))
    if kind in ("GIF", "WEBP", "PNG", "TIFF", "AVIF") and rng.random() < 0.2 and mode in ("L", "P", "RGB", "RGBA"):
        frames = [_of_mode(rng, mode, size) for _ in range(rng.choice((1, 3, 12)))]
        options |= {"save_all": True, "append_images": frames}
    if kind in ("PNG", "GIF") and rng.random() < 0.2 and mode in ("L", "P", "RGB"):
        options["transparency"] = (0, 0, 0) if mode == "RGB" and kind == "PNG" else 0
    buffer = io.BytesIO()
    try:
        picture.save(buffer, kind, **options)
    except (OSError, ValueError, SystemError, struct.error, KeyError):  # a mode that this compression does not take
        buffer = io.BytesIO()
        Image.new("RGB", size).save(buffer, kind)
    return buffer.getvalue()


def _of_mode(rng: random.Random, mode: str, size: tuple[int, int]) -> Image.Image:
    noise = np.frombuffer(rng.randbytes(size[0] * size[1] * 3), np.uint8).reshape(size[1], size[0], 3)
    if mode == "I;16":
        return Image.fromarray(noise[..., 0].astype(np.uint16) * 257)
    if mode == "I":
        return Image.fromarray((noise[..., 0].astype(np.int32) - rng.choice((0, 128))) * rng.choice((1, 257, 2**23)))
    if mode == "F":
        values = noise[..., 0].astype(np.float32) * rng.choice((1 / 255, 1.0, -1e36, 1e36))
        values[0, 0] = rng.choice((0.0, float("nan"), float("inf"), -float("inf")))
        return Image.fromarray(values)
    picture = Image.fromarray(noise)
    return (
        picture.convert("L").convert(mode)
        if mode in ("LA", "1")
        else picture.convert(mode)
        if mode != "LAB"
        else picture
    )


def _enlarged(data: bytes, rng: random.Random) -> bytes:
    """The header says another size: huge, zero, negative, or just more than there is."""
    width, height = (rng.choice((0, 1, 65, 5_000, 20_000, 65_535, 2**31 - 1, 2**32 - 1)) for _ in range(2))
    if data.startswith(b"\x89PNG"):
        return _mended(data[:16] + struct.pack(">II", width, height) + data[24:])
    if data.startswith(b"GIF8"):
        place = rng.choice((6, max(data.find(b"\x2c") + 5, 6)))
        return data[:place] + struct.pack("<HH", width & 0xFFFF, height & 0xFFFF) + data[place + 4 :]
    if data.startswith(b"BM"):
        return data[:18] + struct.pack("<II", width, height) + data[26:]
    if data.startswith(b"\xff\xd8"):
        place = next((i for mark in (b"\xff\xc0", b"\xff\xc2") if (i := data.find(mark)) >= 0), 0) + 5
        return data[:place] + struct.pack(">HH", height & 0xFFFF, width & 0xFFFF) + data[place + 4 :]
    if data[8:12] == b"WEBP":
        place = rng.choice((24, 26))
        return data[:place] + struct.pack("<HH", width & 0xFFFF, height & 0xFFFF) + data[place + 4 :]
    return data.replace(struct.pack("<HHI", 256, 4, 1), struct.pack("<HHI", 256, 4, rng.choice((1, 2**31))))


def _glued(data: bytes, rng: random.Random) -> bytes:
    """Two files in one."""
    stranger = rng.choice(_STRANGERS) + rng.randbytes(rng.choice((0, 100)))
    return stranger + data if rng.random() < 0.3 else data + stranger


def _with_exif(data: bytes, rng: random.Random) -> bytes:
    """Nonsense where a camera's notes belong."""
    orientation = struct.pack(
        "<HHII", 0x0112, rng.choice((3, 3, 2, 5, 99)), rng.choice((1, 1, 0, 2**31)), rng.randrange(12)
    )
    body = (
        b"Exif\0\0II*\0\x08\0\0\0"
        + struct.pack("<H", rng.choice((1, 1, 0, 65_535)))
        + orientation
        + rng.randbytes(rng.choice((0, 4, 90)))
    )
    if rng.random() < 0.3:
        body = damaged(body, rng)
    if data.startswith(b"\xff\xd8"):
        return data[:2] + b"\xff\xe1" + struct.pack(">H", len(body) + 2) + body + data[2:]
    if data.startswith(b"\x89PNG"):
        kind = rng.choice((b"eXIf", b"iTXt", b"zTXt", b"tEXt", b"iCCP", b"tRNS", b"PLTE", b"acTL", b"fcTL"))
        return data[:33] + _chunk(kind, body[6:] if kind == b"eXIf" else body) + data[33:]
    return data


def _chunk(kind: bytes, body: bytes) -> bytes:
    return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))


def _mended(data: bytes) -> bytes:
    """A PNG whose chunks have the checksums of what they hold."""
    mended, place = bytearray(data), 8
    while place + 12 <= len(mended):
        length = int.from_bytes(mended[place : place + 4], "big")
        end = place + 8 + length
        if end + 4 > len(mended):
            break
        mended[end : end + 4] = struct.pack(">I", zlib.crc32(mended[place + 4 : end]))
        place = end + 4
    return bytes(mended)
