import errno
import io
import os
import re

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image
from torchvision.models import ResNet50_Weights, get_model_weights
from torchvision.transforms import functional as tv

from model import pictures
from model.picture_pixels import to_8_bits
from model.pictures import (
    CONTENT_REASONS,
    REMEDIES,
    PictureError,
    PictureLimits,
    PictureRoot,
    Preprocessing,
    decode_picture,
    find_picture,
    read_picture,
    read_picture_file,
)
from schemas.files import resolve_inside

SMALL = Preprocessing(resize_px=40, crop_px=32, interpolation="bilinear", mean=(0.5,) * 3, std=(0.5,) * 3)
LIMITS = PictureLimits(max_bytes=1 << 20, max_pixels=200_000)


def pixels(width: int, height: int, seed: int = 0) -> np.ndarray:
    """Smooth colours: JPEG keeps them within a few steps."""
    x, y = np.meshgrid(np.linspace(0, 1, width), np.linspace(0, 1, height))
    return (np.stack([x, y, (x + y + seed) % 1], axis=-1) * 255).astype(np.uint8)


def encoded(picture: Image.Image, kind: str, **options) -> bytes:
    buffer = io.BytesIO()
    picture.save(buffer, kind, **options)
    return buffer.getvalue()


def reason_of(data: bytes, limits: PictureLimits = LIMITS) -> str:
    with pytest.raises(PictureError) as caught:
        decode_picture(data, SMALL, limits)
    assert caught.value.remedy
    assert caught.value.got
    return caught.value.reason


@pytest.mark.parametrize("size", [(64, 48), (48, 64), (33, 200), (40, 40), (500, 41), (41, 43)])
@pytest.mark.parametrize("name", ["resnet50", "efficientnet_b1", "squeezenet1_0", "vit_b_16"])
def test_geometry_is_torchvisions(size, name):
    preset = get_model_weights(name).DEFAULT.transforms()
    preprocessing = Preprocessing(
        resize_px=preset.resize_size[0],
        crop_px=preset.crop_size[0],
        interpolation=preset.interpolation.value,
        mean=tuple(preset.mean),
        std=tuple(preset.std),
    )
    picture = Image.fromarray(pixels(*size))
    expected_CHW = preset(picture).numpy()
    got_HWC = decode_picture(encoded(picture, "PNG"), preprocessing)
    normalised = (got_HWC / 255.0 - preprocessing.mean) / preprocessing.std
    assert got_HWC.dtype == np.uint8
    np.testing.assert_allclose(normalised.transpose(2, 0, 1), expected_CHW, atol=1e-5)


@settings(max_examples=60, deadline=None)
@given(st.integers(1, 120), st.integers(1, 120), st.integers(8, 48), st.integers(0, 16))
def test_geometry_is_torchvisions_for_any_size(width, height, crop_px, margin):
    preprocessing = Preprocessing(
        resize_px=crop_px + margin, crop_px=crop_px, interpolation="bicubic", mean=(0, 0, 0), std=(1, 1, 1)
    )
    picture = Image.fromarray(pixels(width, height))
    resized = tv.resize(picture, [crop_px + margin], interpolation=tv.InterpolationMode.BICUBIC, antialias=True)
    expected = np.asarray(tv.center_crop(resized, [crop_px]))
    got = decode_picture(encoded(picture, "PNG"), preprocessing, PictureLimits(max_pixels=10_000_000))
    np.testing.assert_array_equal(got, expected)


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP", "TIFF"])
@pytest.mark.parametrize("orientation", range(1, 9))
def test_exif_orientation_turns_the_picture_upright(kind, orientation):
    upright = Image.fromarray(pixels(96, 64))
    undo = {
        2: Image.Transpose.FLIP_LEFT_RIGHT, 3: Image.Transpose.ROTATE_180, 4: Image.Transpose.FLIP_TOP_BOTTOM,
        5: Image.Transpose.TRANSPOSE, 6: Image.Transpose.ROTATE_90, 7: Image.Transpose.TRANSVERSE,
        8: Image.Transpose.ROTATE_270,
    }  # fmt: skip
    stored = upright.transpose(undo[orientation]) if orientation > 1 else upright
    exif = Image.Exif()
    exif[0x0112] = orientation
    options = {"quality": 95} if kind in ("JPEG", "WEBP") else {}
    got = decode_picture(encoded(stored, kind, exif=exif, **options), SMALL, LIMITS).astype(int)
    expected = decode_picture(encoded(upright, "PNG"), SMALL, LIMITS).astype(int)
    assert np.abs(got - expected).mean() < 4
    assert np.abs(got - expected[::-1]).mean() > 20


def test_damaged_exif_costs_nothing():
    data = encoded(Image.fromarray(pixels(64, 64)), "JPEG", exif=b"Exif\0\0MM\0*\xff\xff\xff\xff\0\0")
    assert decode_picture(data, SMALL, LIMITS).shape == (32, 32, 3)


def test_modes_mean_the_same_picture():
    colour = Image.fromarray(pixels(64, 64))
    expected = decode_picture(encoded(colour, "PNG"), SMALL, LIMITS).astype(int)
    same = {
        "cmyk": encoded(colour.convert("CMYK"), "TIFF"),
        "cmyk jpeg": encoded(colour.convert("CMYK"), "JPEG", quality=98),
        "palette": encoded(colour.quantize(256), "PNG"),
        "palette gif": encoded(colour.quantize(256), "GIF"),
        "opaque rgba": encoded(colour.convert("RGBA"), "PNG"),
        "bmp": encoded(colour, "BMP"),
        "webp": encoded(colour, "WEBP", lossless=True),
    }
    for name, data in same.items():
        assert np.abs(decode_picture(data, SMALL, LIMITS) - expected).mean() < 8, name


@pytest.mark.parametrize("kind", ["PNG", "TIFF"])
def test_16_bit_grey_is_scaled_and_not_clipped(kind):
    ramp = np.linspace(0, 65535, 64 * 64).reshape(64, 64).astype(np.uint16)
    got = decode_picture(encoded(Image.fromarray(ramp), kind), SMALL, LIMITS)
    expected = decode_picture(encoded(Image.fromarray((ramp // 257).astype(np.uint8)), "PNG"), SMALL, LIMITS)
    assert np.abs(got.astype(int) - expected).max() <= 1
    assert (got[..., 0] == got[..., 2]).all()
    assert 0 < got.min() < 40 < 200 < got.max() < 255


@pytest.mark.parametrize(
    ("values", "is_16_bit", "expected"),
    [
        (np.array([[0, 32896, 65535]], np.uint16), True, [0, 128, 255]),
        (np.array([[0, 100, 200]], np.uint16), True, [0, 0, 1]),
        (np.array([[0, 128, 255]], np.int32), False, [0, 128, 255]),
        (np.array([[0, 257, 65535]], np.int32), False, [0, 1, 255]),
        (np.array([[-10, 0, 10]], np.int32), False, [0, 128, 255]),
        (np.array([[0.0, 0.5, 1.0]], np.float32), False, [0, 128, 255]),
        (np.array([[np.nan, 255.0, np.inf]], np.float32), False, [0, 255, 0]),
        (np.array([[-7, -7, -7]], np.int32), False, [0, 0, 0]),
    ],
)
def test_wide_grey(values, is_16_bit, expected):
    assert to_8_bits(values, is_16_bit)[0].tolist() == expected


def test_transparency_shows_white():
    rgba = np.zeros((64, 64, 4), np.uint8)
    rgba[:, :32] = (255, 0, 0, 255)
    rgba[:, 32:] = (0, 0, 0, 0)
    for data in (
        encoded(Image.fromarray(rgba), "PNG"),
        encoded(Image.fromarray(rgba), "WEBP", lossless=True, exact=True),
        encoded(Image.fromarray(rgba).quantize(4), "PNG"),
        encoded(Image.fromarray(rgba), "GIF"),
    ):
        got = decode_picture(data, SMALL, LIMITS)
        assert np.abs(got[:, :10].astype(int) - (255, 0, 0)).max() <= 1
        assert (got[:, -10:] >= 254).all()
    keyed = encoded(Image.new("RGB", (64, 64), (0, 255, 0)), "PNG", transparency=(0, 255, 0))
    assert (decode_picture(keyed, SMALL, LIMITS) == 255).all()
    grey_alpha = encoded(Image.new("LA", (64, 64), (0, 128)), "PNG")
    assert abs(int(decode_picture(grey_alpha, SMALL, LIMITS).mean()) - 127) <= 1


@pytest.mark.parametrize("kind", ["GIF", "WEBP", "PNG", "TIFF"])
def test_animations_give_their_first_frame(kind):
    red, blue = Image.new("RGB", (64, 64), (255, 0, 0)), Image.new("RGB", (64, 64), (0, 0, 255))
    data = encoded(red, kind, save_all=True, append_images=[blue], **({"lossless": True} if kind == "WEBP" else {}))
    got = decode_picture(data, SMALL, LIMITS)
    assert (np.abs(got.astype(int) - (255, 0, 0)) <= 1).all()


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "GIF", "WEBP", "BMP"])
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


@settings(max_examples=150, deadline=None)
@given(st.sampled_from(["JPEG", "PNG", "GIF", "WEBP", "BMP", "TIFF"]), st.data())
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


@pytest.fixture
def root(tmp_path):
    folder = tmp_path / "images"
    (folder / "sub").mkdir(parents=True)
    (folder / "sub" / "a.bin").write_bytes(b"12345")
    (tmp_path / "secret.bin").write_bytes(b"secret")
    (folder / "link").symlink_to(tmp_path / "secret.bin")
    (folder / "inner").symlink_to(folder / "sub" / "a.bin")
    os.mkfifo(folder / "pipe")
    return folder


def test_reads_inside_the_root(root):
    for uri in ("sub/a.bin", "sub/../sub/a.bin", str(root / "sub" / "a.bin"), "inner"):
        assert read_picture(root, uri, LIMITS) == b"12345"


@pytest.mark.parametrize(
    ("uri", "reason"),
    [
        ("sub/none.bin", "missing"), ("sub", "missing"), ("", "missing"), ("pipe", "missing"), ("x" * 5000, "missing"),
        ("\ud800", "missing"), ("sub/a.bin/b", "missing"), ("../secret.bin", "outside_root"), ("link", "outside_root"),
        ("/etc/passwd", "outside_root"), ("a\0b", "outside_root"), ("https://x.example/a.jpg", "remote_uri"),
        ("HTTP://x.example/a.jpg", "remote_uri"), ("s3://bucket/a.jpg", "remote_uri"),
        ("data:image/png;x", "remote_uri"),
    ],
)  # fmt: skip
def test_what_is_not_read_has_a_reason(root, uri, reason):
    with pytest.raises(PictureError) as caught:
        read_picture(root, uri, LIMITS)
    assert caught.value.reason == reason
    assert caught.value.remedy in str(caught.value)


def test_files_above_the_cap_are_refused(root):
    with pytest.raises(PictureError, match="at most 4 bytes, got 5 bytes"):
        read_picture(root, "sub/a.bin", PictureLimits(max_bytes=4))
    assert read_picture(root, "sub/a.bin", PictureLimits(max_bytes=5)) == b"12345"


def test_a_file_is_found_without_being_opened(root, monkeypatch):
    status = (root / "sub" / "a.bin").stat()
    monkeypatch.setattr("builtins.open", lambda *args, **kwargs: pytest.fail("opened"))
    path = str(root.resolve() / "sub" / "a.bin")
    assert find_picture(root, "sub/a.bin", LIMITS) == (path, 5, status.st_mtime_ns)
    with pytest.raises(PictureError, match="at most 4 bytes, got 5 bytes"):
        find_picture(root, "sub/a.bin", PictureLimits(max_bytes=4))


def test_a_settled_file_is_recognised_by_size_and_time(root):
    path, old_ns = root / "sub" / "a.bin", 1_700_000_000_123_456_789
    os.utime(path, ns=(old_ns, old_ns))
    file = read_picture_file(root, "sub/a.bin", LIMITS)
    assert (file.data, file.size_bytes, file.modified_ns) == (b"12345", 5, path.stat().st_mtime_ns)


@pytest.mark.parametrize("age_ms", [-60_000, 0, 50, 1_999])
def test_a_file_that_has_just_been_written_is_not(root, monkeypatch, age_ms):
    """A second write within the clock's step could leave size and time as they are."""
    path = root / "sub" / "a.bin"
    now_ns = path.stat().st_mtime_ns + age_ms * 1_000_000
    monkeypatch.setattr(pictures.time, "time_ns", lambda: now_ns)
    file = read_picture_file(root, "sub/a.bin", LIMITS)
    assert (file.data, file.size_bytes, file.modified_ns) == (b"12345", -1, -1)


@pytest.mark.parametrize("change", ["longer", "shorter", "time"])
def test_a_file_that_changes_while_it_is_read_is_not(root, monkeypatch, change):
    path, old_ns = root / "sub" / "a.bin", 1_700_000_000_000_000_000
    os.utime(path, ns=(old_ns, old_ns))
    fstat, calls = os.fstat, []

    def changing(descriptor):
        calls.append(fstat(descriptor))
        if len(calls) == 1:
            path.write_bytes({"longer": b"1234567", "shorter": b"12", "time": b"12345"}[change])
            os.utime(path, ns=(old_ns, old_ns + (change == "time")))
        return calls[-1]

    monkeypatch.setattr(pictures.os, "fstat", changing)
    file = read_picture_file(root, "sub/a.bin", LIMITS)
    assert (file.size_bytes, file.modified_ns) == (-1, -1)
    assert len(calls) >= 2


@pytest.mark.parametrize("number", [errno.EIO, errno.ESTALE, errno.EMFILE, errno.ENOTCONN])
@pytest.mark.parametrize("call", ["lstat", "fstat"])
def test_a_failing_disk_is_not_a_missing_picture(root, monkeypatch, number, call):
    def failing(path):
        raise OSError(number, os.strerror(number))

    with monkeypatch.context() as patched:
        patched.setattr(pictures.os, call, failing)
        with pytest.raises(OSError, match=os.strerror(number)) as caught:
            read_picture_file(root, "sub/a.bin", LIMITS)
    assert caught.value.errno == number


NAMES = ["a.bin", "sub", "sub link", "file link", "out", "out file", "loop", "..", ".", "", "none", "x" * 300, "a\0b"]


@given(st.lists(st.sampled_from(NAMES), min_size=1, max_size=4).map("/".join))
@settings(max_examples=400, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_a_root_finds_what_following_every_link_finds(root, uri):
    if not (root / "loop").is_symlink():
        (root / "sub" / "sub").mkdir()
        (root / "sub" / "sub" / "a.bin").write_bytes(b"deep")
        for name, target in {
            "sub link": "sub", "file link": "sub/a.bin", "out": "..", "out file": "../x", "loop": "loop",
        }.items():  # fmt: skip
            (root / name).symlink_to(target)
            (root / "sub" / name).symlink_to(target)

    def fault_or(found):
        try:
            return found()
        except OSError as error:
            return type(error)
        except ValueError:
            return "not a name"

    def slowly():
        path = resolve_inside(root, uri)
        return path and (path, os.stat(path))

    assert fault_or(lambda: PictureRoot.of(root).find(uri)) == fault_or(slowly)


def test_a_root_is_found_through_its_own_symlink(root, tmp_path):
    link = tmp_path / "link to the root"
    link.symlink_to(root)
    assert find_picture(link, "sub/a.bin") == find_picture(PictureRoot.of(root), "sub/a.bin")


def test_reading_out_of_memory_costs_the_picture(root, monkeypatch):
    def no_memory(descriptor):
        raise MemoryError

    with monkeypatch.context() as patched:
        patched.setattr(pictures.os, "fstat", no_memory)
        with pytest.raises(PictureError, match=r"out_of_memory.*more memory"):
            read_picture_file(root, "sub/a.bin", LIMITS)


def test_preprocessing_round_trip_and_checks():
    assert Preprocessing.from_json(SMALL.to_json()) == SMALL
    with pytest.raises(ValueError, match="224 and 200"):
        Preprocessing(resize_px=200, crop_px=224, interpolation="bilinear", mean=(0, 0, 0), std=(1, 1, 1))
    with pytest.raises(ValueError, match="lanczos"):
        Preprocessing(resize_px=224, crop_px=224, interpolation="lanczos", mean=(0, 0, 0), std=(1, 1, 1))
    assert ResNet50_Weights.IMAGENET1K_V2.transforms().resize_size == [232]
