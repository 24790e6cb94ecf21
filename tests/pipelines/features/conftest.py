"""A shop with finished features of `yesterday`, which is made once."""

import shutil
from pathlib import Path

import pytest
from features_shop import OTHER_TEXT, Shop
from random_models import write_image_weights

from model.pictures.image_encoder import ImageEncoder
from model.text.vocabulary import Vocabulary
from pipelines.features import resolve_pictures


@pytest.fixture(scope="session")
def weights_file(tmp_path_factory) -> str:
    return write_image_weights(tmp_path_factory.mktemp("weights") / "weights.pth")


@pytest.fixture(scope="session")
def pristine(tmp_path_factory, weights_file) -> tuple[Shop, Path]:
    """A shop with a finished `yesterday`, and a copy of its folder: pictures are trusted under their own path only.
    `other text` is a fresh run of changed rows."""
    shop = Shop(tmp_path_factory.mktemp("shop") / "shop", weights_file)
    shop.run("yesterday")
    shop.run("other text", OTHER_TEXT)
    return shop, Path(shutil.copytree(shop.folder, shop.folder.parent / "pristine"))


@pytest.fixture
def shop(pristine) -> Shop:
    """The shop as it was after `yesterday`."""
    shop, copy = pristine
    shutil.rmtree(shop.folder)
    shutil.copytree(copy, shop.folder)
    return shop


@pytest.fixture
def yesterday(shop) -> str:
    return str(shop.folder / "yesterday")


@pytest.fixture
def nothing_loaded(monkeypatch) -> None:
    for owner, name in ((ImageEncoder, "__init__"), (Vocabulary, "load"), (resolve_pictures, "read_picture_file")):
        monkeypatch.setattr(owner, name, lambda *args, name=name, **kwargs: pytest.fail(f"{name} was called"))
