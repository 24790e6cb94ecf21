"""Real products through every stage: grocery photos to products. Skipped, loudly, where the data is missing."""

import pytest

from pipelines.console.jobs import beam_options
from pipelines.daily import job as daily
from pipelines.evaluate.job import EvaluateConfig
from pipelines.evaluate.job import run as evaluate
from pipelines.serving.searcher import Searcher
from pipelines.train import job as train

pytestmark = pytest.mark.slow


def test_grocery_photos_find_their_product(real_data, tmp_path):
    grocery, store = real_data / "grocery", str(tmp_path / "store")
    given = {"catalog": f"{grocery}/catalog.parquet", "image_root": f"{grocery}/images", "date": "2020-01-02"}
    train.run(
        train.TrainConfig(
            **given,
            engagements=f"{grocery}/engagements.parquet",
            store=store,
            image_encoder="efficientnet_lite0",
            split="item_time",
            min_steps=120,
            epochs=1,
            batch_size=256,
        ),
        beam_options([]),
    )
    daily.run(daily.DailyConfig(**given, store=store), beam_options([]))
    config = EvaluateConfig(store=store, engagements=f"{grocery}/engagements.parquet", image_root=given["image_root"])
    (task,) = evaluate(config)["tasks"]
    assert task["task"] == "closeup/click"
    assert task["queries"] == 498  # the last fifth of each product's photos, never trained on
    methods = task["methods"]
    assert methods["itemsage"]["recall@1"] >= 0.88
    assert methods["itemsage"]["recall@1"] > methods["raw_pictures"]["recall@1"] > 0.7
    (found,) = Searcher(store).by_item(["Golden-Delicious"], 3)
    assert len(found) == 3
