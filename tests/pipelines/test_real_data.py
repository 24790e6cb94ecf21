"""Real products through every stage: grocery photos to products. Skipped, loudly, where the data is missing."""

import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest
from exploration import soak

from pipelines.console.jobs import beam_options
from pipelines.daily import job as daily
from pipelines.evaluate.job import EvaluateConfig
from pipelines.evaluate.job import run as evaluate
from pipelines.serving.searcher import Searcher
from pipelines.train import job as train

pytestmark = pytest.mark.slow


@pytest.mark.parametrize(("every", "num_queries"), [(10, 51), *soak((1, 498))])
def test_grocery_photos_find_their_product(real_data, tmp_path, every, num_queries):
    """Of every tenth product; of all in `make soak`."""
    grocery, store = real_data / "grocery", str(tmp_path / "store")
    catalogue = pq.read_table(grocery / "catalog.parquet")
    catalogue = catalogue.take(list(range(0, len(catalogue), every)))
    log = pq.read_table(grocery / "engagements.parquet")
    pq.write_table(catalogue, tmp_path / "catalog.parquet")
    pq.write_table(log.filter(pc.is_in(log["item_id"], catalogue["item_id"])), tmp_path / "engagements.parquet")
    given = {"catalog": f"{tmp_path}/catalog.parquet", "image_root": f"{grocery}/images", "date": "2020-01-02"}
    train.run(
        train.TrainConfig(
            **given,
            engagements=f"{tmp_path}/engagements.parquet",
            store=store,
            image_encoder="efficientnet_lite0",
            split="item_time",
            min_steps=60,
            epochs=1,
            batch_size=256,
        ),
        beam_options([]),
    )
    daily.run(daily.DailyConfig(**given, store=store), beam_options([]))
    config = EvaluateConfig(store=store, engagements=f"{tmp_path}/engagements.parquet", image_root=given["image_root"])
    (task,) = evaluate(config)["tasks"]
    assert task["task"] == "closeup/click"
    assert task["queries"] == num_queries  # the last fifth of each product's photos, never trained on
    methods = task["methods"]
    assert methods["itemsage"]["recall@1"] >= 0.88
    assert methods["itemsage"]["recall@1"] > methods["raw_pictures"]["recall@1"] > 0.7
    (found,) = Searcher(store).by_item(["Golden-Delicious"], 3)
    assert len(found) == 3
