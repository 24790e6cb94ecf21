"""Pictures of the sample shop: every type draws, colour and pattern are visible, every encoding is what it says."""

import dataclasses
import io

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image, ImageOps

from schemas.sample_shop.intents import ANY, matches, search_queries
from schemas.sample_shop.pictures import FORMATS, VIEWS, Look, PictureSpec, encode, paint, render
from schemas.sample_shop.product_types import PRODUCT_TYPES
from schemas.sample_shop.products import PATTERNS
from schemas.sample_shop.textures import TILE_PX, tile

LOOK = Look(2, (200, 34, 42), (240, 236, 226), (104, 66, 36), "solid", 3.0, (0.5, 0.5, 0.5))


def painted_share(look: Look) -> tuple[np.ndarray, np.ndarray]:
    product, alpha, _ = paint(look, np.eye(2) * 200.0, (128.0, 128.0), (256, 256))
    return product, alpha


@given(st.integers(0, len(PRODUCT_TYPES) - 1), st.tuples(*[st.floats(0, 1)] * 3))
@settings(max_examples=60, deadline=None)
def test_every_type_and_shape_draws_a_product_in_its_colour(kind: int, shape: tuple[float, float, float]):
    product, alpha = painted_share(dataclasses.replace(LOOK, product_type=kind, shape=shape))
    covered = alpha > 250
    assert 0.02 < covered.sum() / 200**2 < 0.95
    red = (product[..., 0] > product[..., 1] + 60) & (product[..., 0] > product[..., 2] + 60) & covered
    assert red.sum() > 0.15 * covered.sum()


@pytest.mark.parametrize("pattern", [word.name for word in PATTERNS])
def test_patterns_show_the_second_colour_in_part(pattern: str):
    values = tile(pattern)
    assert values.shape == (TILE_PX, TILE_PX)
    assert values.dtype == np.uint8
    if pattern == "solid":
        assert values.max() == 0
        return
    assert 0.08 < values.mean() / 255 < 0.55
    plain, _ = painted_share(LOOK)
    patterned, alpha = painted_share(dataclasses.replace(LOOK, pattern=pattern))
    assert (np.abs(plain - patterned).sum(axis=2)[alpha > 250] > 60).mean() > 0.05


def test_patterns_differ_from_each_other():
    tiles = [tile(word.name) for word in PATTERNS]
    assert len({data.tobytes() for data in tiles}) == len(PATTERNS)


@pytest.mark.parametrize("file_format", FORMATS)
def test_encodings_are_what_they_say(file_format: str):
    data = encode(PictureSpec("x", LOOK, "packshot", file_format, 4))
    assert data == encode(PictureSpec("x", LOOK, "packshot", file_format, 4))
    image = Image.open(io.BytesIO(data))
    image.load()
    expected = {
        "jpeg": ("JPEG", "RGB"),
        "png": ("PNG", "RGB"),
        "exif": ("JPEG", "RGB"),
        "cmyk": ("JPEG", "CMYK"),
        "palette": ("PNG", "P"),
        "grey": ("JPEG", "L"),
        "sixteen_bit": ("PNG", "I;16"),
        "transparent": ("PNG", "RGBA"),
        "gif": ("GIF", None),
        "webp": ("WEBP", None),
    }[file_format]
    assert image.format == expected[0]
    assert expected[1] in (None, image.mode)
    assert (image.getexif().get(0x0112) == 6) == (file_format == "exif")
    assert (getattr(image, "n_frames", 1) == 2) == (file_format in ("gif", "webp"))
    if file_format == "transparent":
        assert image.getchannel("A").getextrema() == (0, 255)


def test_exif_orientation_restores_the_upright_picture():
    plain = Image.open(io.BytesIO(encode(PictureSpec("x", LOOK, "packshot", "png", 9))))
    data = encode(PictureSpec("x", LOOK, "packshot", "exif", 9))
    upright = ImageOps.exif_transpose(Image.open(io.BytesIO(data)))
    assert upright.size == plain.size
    difference = np.abs(np.asarray(upright, np.int16) - np.asarray(plain, np.int16))
    assert difference.mean() < 6


def test_views_of_one_look_differ_and_keep_the_size_range():
    pictures = [render(LOOK, view, np.random.default_rng(1)) for view in VIEWS]
    assert len({picture.tobytes() for picture in pictures}) == len(VIEWS)
    assert all(256 <= side <= 320 for picture in pictures for side in picture.size)


def test_unknown_encoding_is_an_error_that_names_it():
    with pytest.raises(ValueError, match="got 'tiff'"):
        encode(PictureSpec("x", LOOK, "packshot", "tiff", 0))


def test_an_intent_matches_on_the_attributes_that_matter():
    items = np.array([[2, 3, 0, 1, 5, 4], [2, 3, 1, 1, 5, 4], [1, 3, 0, 1, 5, 4]])
    assert matches(items, np.array([2, 3, ANY, ANY, ANY, ANY])).tolist() == [True, True, False]
    assert matches(items, np.array([2, 3, 1, ANY, ANY, ANY])).tolist() == [False, True, False]


def test_queries_use_shoppers_words():
    sofa = next(number for number, kind in enumerate(PRODUCT_TYPES) if kind.name == "sofa")
    queries = search_queries(np.array([[sofa, 3, 0, ANY, ANY, ANY]] * 400), 0)
    heads = {word for word in PRODUCT_TYPES[sofa].shopper if any(word in query for query in queries)}
    assert heads == {"couch", "sofa", "settee"}
    assert np.mean(["red" in query for query in queries]) > 0.95
    assert queries == search_queries(np.array([[sofa, 3, 0, ANY, ANY, ANY]] * 400), 0)
