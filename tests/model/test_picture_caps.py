"""What a picture may cost: our caps alone decide, in bounded memory, and what Pillow thinks of it reaches nobody."""

import io
import struct
import threading
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from decoded_pictures import SMALL, pixels
from exploration import representatives
from made_pictures import encoded
from peak_memory import growth_bytes
from PIL import Image, ImageFile
from python_process import run_python

from model.pictures.decoding import decode_picture
from model.pictures.faults import DEFAULT_LIMITS, PictureError, PictureLimits

pytestmark = pytest.mark.medium

#: Above Pillow's own limit, and above twice that, where it refuses.
ABOVE_PILLOWS = [(14_000, 13_000), (20_000, 20_000)]


def bitmap_of(width: int, height: int) -> bytes:
    """A BMP file that says it has this size; nothing of it follows."""
    header = bytearray(encoded(Image.new("L", (8, 8)), "BMP"))
    header[18:26] = struct.pack("<II", width, height)
    return bytes(header)


@pytest.mark.parametrize("size", ABOVE_PILLOWS)
def test_our_cap_alone_decides(size, monkeypatch):
    def decoded(self):
        raise OSError("the decoder is reached")

    monkeypatch.setattr(ImageFile.ImageFile, "load", decoded)
    for cap, reason, got in (
        (size[0] * size[1], "undecodable", "the decoder is reached"),
        (size[0] * size[1] - 1, "too_many_pixels", f"{size[0]} x {size[1]}"),
    ):
        with pytest.raises(PictureError, match=got) as caught:
            decode_picture(bitmap_of(*size), SMALL, PictureLimits(max_pixels=cap))
        assert caught.value.reason == reason


def test_pillows_own_limit_holds_for_others_again(monkeypatch):
    """Also after threads that decode at the same time, and after pictures that fail."""
    before = Image.MAX_IMAGE_PIXELS
    assert before is not None
    inside, meanwhile = threading.Barrier(3), []

    def decoded(self):
        inside.wait()
        meanwhile.append(Image.MAX_IMAGE_PIXELS)
        inside.wait()
        raise OSError

    monkeypatch.setattr(ImageFile.ImageFile, "load", decoded)
    with ThreadPoolExecutor(3) as pool:
        tries = [pool.submit(decode_picture, bitmap_of(8, 8), SMALL) for _ in range(3)]
        assert all(isinstance(one.exception(), PictureError) for one in tries)
    assert meanwhile == [None] * 3
    assert before == Image.MAX_IMAGE_PIXELS


def test_the_default_cap_takes_the_pictures_of_a_camera_of_50_megapixels():
    for width, height in ((8_688, 5_792), (8_192, 6_144), (8_272, 6_200)):
        assert width * height <= DEFAULT_LIMITS.max_pixels
    crop_HWC = decode_picture(encoded(Image.new("L", (8_688, 5_792), 7), "PNG"), SMALL)
    assert (crop_HWC == 7).all()


NOISY = """
import io, sys
from PIL import Image
from model.pictures.faults import PictureError, PictureLimits
from model.pictures.decoding import decode_picture
from decoded_pictures import SMALL
for path in sys.argv[1:]:
    try:
        decode_picture(open(path, "rb").read(), SMALL, PictureLimits(max_pixels=400_000_000))
    except PictureError as error:
        print(error.reason)
"""


def noisy_files() -> dict[str, bytes]:
    """Files at which Pillow, or a library beneath it, prints something when it is left to itself."""
    palette = Image.fromarray(pixels(64, 64)).quantize(16)
    tiff = bytearray(encoded(Image.fromarray(pixels(64, 64)), "TIFF", compression="tiff_lzw"))
    tiff[8:400] = b"\xff" * 392  # "Using code not yet in table", says libtiff
    fax = bytearray(encoded(Image.fromarray(pixels(64, 64)).convert("1"), "TIFF", compression="group4"))
    fax[8:60] = b"\x55" * 52
    exif = b"Exif\0\0II*\0\x08\0\0\0\x02\0\x12\x01\x03\0\x05\0\0\0\x01\0\0\0\x0f\x01\x02\0\xff\xff\0\0\xff\xff\0\0"
    many = [(256, 4, 2, 8), (257, 4, 1, 40), (258, 3, 1, 8), (259, 3, 1, 1), (262, 3, 1, 1), (277, 3, 1, 900)]
    tags = b"".join(struct.pack("<HHII", *tag) for tag in many)
    return {
        "palette.png": encoded(palette, "PNG", transparency=bytes(range(16))),
        "large.bmp": bitmap_of(*ABOVE_PILLOWS[0]),
        "code.tif": bytes(tiff),
        "fax.tif": bytes(fax),
        "exif.jpg": encoded(Image.fromarray(pixels(64, 64)), "JPEG", exif=exif),
        "samples.tif": b"II*\0\x08\0\0\0" + struct.pack("<H", len(many)) + tags + b"\0\0\0\0",
        "apng.png": encoded(palette, "PNG")[:33]
        + b"\0\0\0\x08acTL\0\0\0\0\0\0\0\0\x84\x8f\x7c\x8f"
        + encoded(palette, "PNG")[33:],
    }


def test_nothing_is_printed(tmp_path):
    paths = []
    for name, data in noisy_files().items():
        paths.append(str(tmp_path / name))
        (tmp_path / name).write_bytes(data)
    ended = run_python("import sys; sys.path.append('tests/helpers')" + NOISY, *paths)
    assert ended.returncode == 0, ended.stderr
    assert ended.stderr == ""


PREPARE = """
import sys
from decoded_pictures import SMALL
from model.pictures.decoding import decode_picture
small, large = (open(path, "rb").read() for path in sys.argv[1:])
decode_picture(small, SMALL)
"""


@pytest.mark.parametrize(
    "mode", representatives(["RGB", "RGBA", "LA", "P", "I;16", "F", "rotated", "rotated RGBA"], 0, 4, 7)
)
def test_a_decode_takes_at_most_thirteen_bytes_a_pixel(tmp_path, mode):
    width, height = 5_000, 4_000
    grey_HW = np.repeat((np.arange(height) % 251).astype(np.uint8)[:, None], width, axis=1)
    kind, options = "TIFF" if mode == "F" else "PNG", {}
    if mode in ("I;16", "F"):
        picture = Image.fromarray(grey_HW.astype(np.uint16 if mode == "I;16" else np.float32))
    else:
        picture = Image.fromarray(grey_HW).convert({"rotated": "RGB", "rotated RGBA": "RGBA"}.get(mode, mode))
    if mode == "P":
        options["transparency"] = bytes(range(256))
    if mode.startswith("rotated"):
        options["exif"] = Image.Exif()
        options["exif"][0x0112] = 6
    for name, one in (("small", picture.crop((0, 0, 90, 80))), ("large", picture)):
        buffer = io.BytesIO()
        one.save(buffer, kind, **options, **({"compress_level": 1} if kind == "PNG" else {}))
        (tmp_path / name).write_bytes(buffer.getvalue())
    paths = str(tmp_path / "small"), str(tmp_path / "large")
    growth, _ = growth_bytes(PREPARE, "decode_picture(large, SMALL)", *paths)
    assert growth < 13 * width * height + (16 << 20)
