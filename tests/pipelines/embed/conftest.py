"""Two small models to embed items with, and parts of few rows."""

from pathlib import Path

import pytest
from embed_runs import PICTURE_DIM, VOCABULARY

from model.itemsage import ItemSage, ItemSageConfig
from model.model_store import save_model
from model.split import SplitConfig, no_engagements
from model.vocabulary import Vocabulary
from pipelines.transforms import embed_parts
from schemas.files import write_json


@pytest.fixture
def small_parts(monkeypatch):
    monkeypatch.setattr(embed_parts, "ROWS_A_FILE", 12)


@pytest.fixture(scope="session")
def models(tmp_path_factory) -> list[Path]:
    """Two models over the same vocabulary and pictures."""
    folder = tmp_path_factory.mktemp("models")
    Vocabulary.hashing(VOCABULARY).save(folder / "vocabulary")
    write_json(folder / "encoder" / "image_encoder.json", {"network_id": "pictures"})
    for seed in range(2):
        settings = {
            "seed": seed,
            "hash_rows": 50,
            "width": 32,
            "heads": 4,
            "ffn_dim": 32,
            "mlp_dim": 32,
            "weight_init": "ones",
        }
        model = ItemSage(ItemSageConfig(vocabulary_size=VOCABULARY, picture_dim=PICTURE_DIM, **settings))
        save_model(
            model,
            folder / str(seed),
            vocabulary_folder=folder / "vocabulary",
            image_encoder_folder=folder / "encoder",
            towers={},
            split=no_engagements(SplitConfig()),
            metrics={},
        )
    return [folder / "0", folder / "1"]
