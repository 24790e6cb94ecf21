"""The random model of the evaluated days, and a shop that watches what evaluation loads."""

from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from evaluated_days import CUT, PICTURES, WORDS, Days, draw_picture
from random_models import save_random_model

import model.items.query_encoder
import model.items.store
import model.pictures.image_encoder
import pipelines.evaluation.query_pictures

CUT_US = int(CUT.timestamp()) * 1_000_000


@pytest.fixture(scope="session")
def model_folder(tmp_path_factory) -> Path:
    """A random model with both towers, whose engagements before CUT count as trained on."""
    return save_random_model(tmp_path_factory.mktemp("model"), WORDS, CUT_US)


@pytest.fixture
def shop(tmp_path, model_folder, monkeypatch) -> Days:
    """Four good query pictures; every loader is watched, the item encoder's is forbidden."""
    loads: Counter[str] = Counter()

    def watch(owner: Any, name: str) -> None:
        original = getattr(owner, name)

        def watched(*args: Any, **kwargs: Any) -> Any:
            loads[name] += 1
            return original(*args, **kwargs)

        monkeypatch.setattr(owner, name, watched)

    def forbidden(*_: Any) -> None:
        raise AssertionError("evaluation needs no item encoder")

    watch(model.items.query_encoder, "load_text_tower")
    watch(model.items.query_encoder, "load_picture_tower")
    watch(model.pictures.image_encoder, "ImageEncoder")
    watch(pipelines.evaluation.query_pictures, "read_picture_file")
    for name in ("load_item_encoder", "load_model"):
        monkeypatch.setattr(model.items.store, name, forbidden)
    days = Days(tmp_path, model_folder, loads)
    for number, uri in enumerate(PICTURES):
        draw_picture(days.image_root / uri, number)
    return days


@pytest.fixture
def shop_of_a_start(tmp_path, shop) -> Days:
    """Its model is its own start; the run holds other vectors."""
    return Days(shop.folder, save_random_model(tmp_path / "started", WORDS, CUT_US, keeps_start=True), shop.loads)
