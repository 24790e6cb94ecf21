"""Models of every shape embed a shop: those that do not fold too."""

import numpy as np
import pytest
import torch
from embed_runs import PICTURE_DIM, changed_shop, embedded, files_of, shop_of, write_features, write_model
from exploration import representatives

from model.items.batch import collate_items
from model.items.config import AGGREGATORS
from model.items.store import load_item_encoder
from schemas.records.embeddings import read_embeddings

pytestmark = [pytest.mark.usefixtures("small_parts"), pytest.mark.medium]
SHAPES = [*({"aggregator": name} for name in AGGREGATORS), {"num_layers": 2}, {"num_hashes": 1}, {"num_hashes": 3}]


@pytest.mark.parametrize("switches", representatives(SHAPES, 0, len(SHAPES) - 3, len(SHAPES) - 1), ids=str)
def test_a_model_of_any_shape_embeds_day_by_day(tmp_path, switches):
    model = write_model(tmp_path / "model", **switches)
    yesterday = write_features(tmp_path / "yesterday", shop_of(40))
    embedded(yesterday, model)
    today = write_features(tmp_path / "today", changed_shop())
    counts = embedded(today, model, yesterday)
    assert (counts["reused"], counts["changed"]) == (36, 4)
    scratch = write_features(tmp_path / "scratch", changed_shop())
    embedded(scratch, model)
    assert files_of(today) == files_of(scratch)
    ids, matrix_ND = read_embeddings(today / "embeddings")
    items = [changed_shop()[name] for name in ids.to_pylist()]
    with torch.inference_mode():
        expected_ND = load_item_encoder(model)(collate_items(items, PICTURE_DIM)).numpy()
    np.testing.assert_allclose(matrix_ND, expected_ND, atol=1e-5)
