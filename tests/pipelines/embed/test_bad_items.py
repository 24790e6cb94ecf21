"""Items that the model cannot embed are set aside alone; damaged features and a broken model publish nothing."""

import dataclasses
import json

import numpy as np
import pytest
import torch
from embed_runs import (
    NUM_BUCKETS,
    PICTURE_DIM,
    broken,
    changed_shop,
    embedded,
    item,
    quarantine_of,
    shop_of,
    write_features,
)

from model.items.itemsage import ItemSage, ItemSageConfig
from model.items.manifest import read_model_manifest
from model.items.store import save_model
from model.split.split import SplitConfig, no_engagements
from pipelines.run.units import bucket_name
from schemas.errors import CorruptFileError
from schemas.hashing import bucket_of
from schemas.records.embeddings import read_embeddings
from schemas.records.tfrecords import encode_features, write_records
from schemas.tables import QUARANTINE

pytestmark = [pytest.mark.usefixtures("small_parts"), pytest.mark.medium]


def test_bad_items_are_quarantined_alone(models, tmp_path):
    shop = shop_of(40)
    wide = item("item-011", np.random.default_rng(0))
    shop["item-011"] = dataclasses.replace(wide, pictures=np.ones((1, PICTURE_DIM + 1), np.float16))
    shop["item-022"] = broken(wide)
    shop["item-033"] = dataclasses.replace(wide, pictures=np.full((1, PICTURE_DIM), np.nan, np.float16))
    bad = {"item-011": "bad_features", "item-022": "model_failed", "item-033": "not_finite"}
    shop = {name: features and dataclasses.replace(features, item_id=name) for name, features in shop.items()}
    run = write_features(tmp_path / "run", shop)
    counts = embedded(run, models[0])
    assert (counts["written"], counts["quarantined"]) == (37, 3)
    assert {f"reason:{reason}" for reason in bad.values()} <= counts.keys()
    rows = quarantine_of(run)
    assert {row["item_id"]: row["reason"] for row in rows} == bad
    for row in rows:
        assert set(row) == set(QUARANTINE.names)
        where = f"features/{bucket_name(bucket_of(row['item_id'], NUM_BUCKETS), NUM_BUCKETS)}.tfrecord"
        assert (row["level"], row["stage"], row["where"], row["run"]) == ("row", "embeddings", where, "run")
        assert row["remedy"]
    good = write_features(tmp_path / "good", {name: features for name, features in shop.items() if name not in bad})
    embedded(good, models[0])
    vectors = [dict(zip(*map(list, read_embeddings(folder / "embeddings")), strict=True)) for folder in (run, good)]
    assert {str(k): v.tobytes() for k, v in vectors[0].items()} == {str(k): v.tobytes() for k, v in vectors[1].items()}
    mended = write_features(tmp_path / "mended", shop_of(40))
    counts = embedded(mended, models[0], run)
    assert (counts["reused"], counts["new"], counts["changed"]) == (37, 3, 0)
    ill = embedded(write_features(tmp_path / "ill", shop), models[0], mended)
    assert (ill["reused"], ill["gone"], ill["quarantined"]) == (37, 3, 3)


def test_a_record_that_does_not_parse_is_quarantined_with_its_id(models, tmp_path):
    shop = shop_of(20)
    run = write_features(tmp_path / "run", shop)
    unit = bucket_name(2, NUM_BUCKETS)
    names = sorted(name for name in shop if bucket_of(name, NUM_BUCKETS) == 2)
    payloads = [encode_features(shop[name]) for name in names]
    payloads[1] = b"\xff\x07 no example"
    write_records(run / "features" / f"{unit}.tfrecord", payloads)
    counts = embedded(run, models[0])
    assert (counts["written"], counts["quarantined"]) == (19, 1)
    (row,) = quarantine_of(run)
    assert (row["item_id"], row["reason"]) == (names[1], "bad_features")
    assert row["where"] == f"features/{unit}.tfrecord record 1"


def test_features_that_fail_their_crc_publish_nothing(models, tmp_path):
    run = write_features(tmp_path / "run", shop_of(20))
    path = sorted((run / "features").iterdir())[1]
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)
    with pytest.raises(CorruptFileError, match="CRC"):
        embedded(run, models[0])
    assert not (run / "manifests" / "embeddings.json").exists()


@pytest.mark.parametrize("how", ["other", "fewer", "more"])
def test_records_that_are_not_those_of_the_fingerprints_are_refused(models, tmp_path, how):
    first = write_features(tmp_path / "first", shop_of(40))
    embedded(first, models[0])
    second = write_features(tmp_path / "second", changed_shop())
    path = next(iter(sorted((second / "features").iterdir())))
    names = sorted(name for name in shop_of(40) if bucket_of(name, NUM_BUCKETS) == 0)
    payloads = [encode_features(changed_shop()[name]) for name in names]
    changed = {"other": [payloads[1], payloads[0], *payloads[2:]], "fewer": payloads[:-1], "more": payloads * 2}
    write_records(path, changed[how])
    with pytest.raises(CorruptFileError, match="expected the records that fingerprints/bucket-00000"):
        embedded(second, models[0], first)


def test_a_broken_model_quarantines_no_shop(models, tmp_path):
    manifest = read_model_manifest(models[0])
    model = ItemSage(ItemSageConfig(**json.loads((models[0] / "config.json").read_text())["model"]))
    with torch.no_grad():
        model.item_encoder.cls.fill_(torch.nan)
    folder = tmp_path / "model"
    save_model(
        model,
        folder,
        vocabulary_folder=models[0] / "vocabulary",
        image_encoder_folder=models[0] / "image_encoder",
        towers={},
        split=no_engagements(SplitConfig()),
        metrics={},
    )
    assert read_model_manifest(folder)["model_id"] != manifest["model_id"]
    run = write_features(tmp_path / "run", shop_of(20))
    with pytest.raises(CorruptFileError, match="the model is at fault"):
        embedded(run, folder)
    assert not (run / "embeddings").exists() or not any((run / "embeddings").iterdir())
