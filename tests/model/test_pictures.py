"""What a good file is decoded to: the geometry of torchvision, upright, in 8-bit colours on white."""

import numpy as np
import pytest
from decoded_pictures import LIMITS, SMALL, pixels
from hypothesis import given, settings
from hypothesis import strategies as st
from made_pictures import encoded
from PIL import Image
from torchvision.models import ResNet50_Weights, get_model_weights
from torchvision.transforms import functional as tv

from model.pictures.decoding import Preprocessing, decode_picture
from model.pictures.faults import PictureLimits
from model.pictures.pixels import to_8_bits


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
        "avif": encoded(colour, "AVIF", quality=95),
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
        encoded(Image.fromarray(rgba), "AVIF", quality=100),
    ):
        got = decode_picture(data, SMALL, LIMITS)
        assert np.abs(got[:, :10].astype(int) - (255, 0, 0)).max() <= 3
        assert (got[:, -10:] >= 254).all()
    keyed = encoded(Image.new("RGB", (64, 64), (0, 255, 0)), "PNG", transparency=(0, 255, 0))
    assert (decode_picture(keyed, SMALL, LIMITS) == 255).all()
    grey_alpha = encoded(Image.new("LA", (64, 64), (0, 128)), "PNG")
    assert abs(int(decode_picture(grey_alpha, SMALL, LIMITS).mean()) - 127) <= 1


def test_pictures_of_two_colours_are_read():
    checks = np.indices((64, 64)).sum(axis=0) // 16 % 2 == 0
    for kind in ("PNG", "TIFF", "BMP"):
        got = decode_picture(encoded(Image.fromarray(checks), kind), SMALL, LIMITS)
        assert {0, 255} <= set(np.unique(got).tolist())


@pytest.mark.parametrize("kind", ["GIF", "WEBP", "PNG", "TIFF", "AVIF"])
def test_animations_give_their_first_frame(kind):
    red, blue = Image.new("RGB", (64, 64), (255, 0, 0)), Image.new("RGB", (64, 64), (0, 0, 255))
    data = encoded(red, kind, save_all=True, append_images=[blue], **({"lossless": True} if kind == "WEBP" else {}))
    got = decode_picture(data, SMALL, LIMITS)
    assert (np.abs(got.astype(int) - (255, 0, 0)) <= (3 if kind == "AVIF" else 1)).all()


def test_preprocessing_round_trip_and_checks():
    assert Preprocessing.from_json(SMALL.to_json()) == SMALL
    with pytest.raises(ValueError, match="224 and 200"):
        Preprocessing(resize_px=200, crop_px=224, interpolation="bilinear", mean=(0, 0, 0), std=(1, 1, 1))
    with pytest.raises(ValueError, match="lanczos"):
        Preprocessing(resize_px=224, crop_px=224, interpolation="lanczos", mean=(0, 0, 0), std=(1, 1, 1))
    assert ResNet50_Weights.IMAGENET1K_V2.transforms().resize_size == [232]
