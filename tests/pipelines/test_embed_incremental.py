"""The embed stage with an earlier run: equal bytes to a run from scratch, counts that add up, what may not be reused,
and items that the model cannot embed. Features are hand-made, the encoder is a real, small ItemSage."""

import dataclasses
import json
import shutil
from collections.abc import Iterable
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch

from model import inference
from model.itemsage import ItemSage, ItemSageConfig
from model.model_store import read_model_manifest, save_model
from model.split import SplitConfig, no_engagements
from model.vocabulary import Vocabulary
from pipelines import embed
from pipelines.jobs import beam_options
from pipelines.transforms import embed_parts
from pipelines.units import Unit, UnitWriter, bucket_name, sidecar_path, write_stage_manifest
from schemas.embeddings import read_embeddings, validate_embeddings
from schemas.errors import CorruptFileError
from schemas.files import read_sealed_json, sha256_of_file, write_json, write_sealed_json
from schemas.hashing import bucket_of, content_hash, fingerprint
from schemas.records import ItemFeatures, encode_features, write_records
from schemas.tables import FINGERPRINTS, NUM_TEXT_FIELDS, QUARANTINE

PICTURE_DIM, NUM_BUCKETS, VOCABULARY = 8, 4, 100
Shop = dict[str, ItemFeatures | None]  # None: an item without a record (nothing of it was left)


@pytest.fixture(autouse=True)
def _small_parts(monkeypatch):
    monkeypatch.setattr(embed_parts, "ROWS_A_FILE", 12)


@pytest.fixture(scope="module")
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


def item(name: str, random: np.random.Generator) -> ItemFeatures:
    lengths = random.integers(0, 3, NUM_TEXT_FIELDS)
    lengths[0] += 1
    return ItemFeatures(
        item_id=name,
        token_ids=random.integers(1, VOCABULARY, lengths.sum()).astype(np.int32),
        token_offsets=np.concatenate([[0], np.cumsum(lengths)]).astype(np.int32),
        pictures=random.standard_normal((random.integers(0, 4), PICTURE_DIM)).astype(np.float16),
    )


def shop_of(count: int, seed: int = 0) -> Shop:
    random = np.random.default_rng(seed)
    return {f"item-{number:03d}": item(f"item-{number:03d}", random) for number in range(count)}


def broken(features: ItemFeatures) -> ItemFeatures:
    """Tokens that the vocabulary does not have."""
    return dataclasses.replace(features, token_ids=features.token_ids + VOCABULARY)


def write_features(
    run: Path, shop: Shop, *, num_buckets: int = NUM_BUCKETS, fingerprints: bool = True, only: Iterable[int] = ()
) -> Path:
    """What the features stage leaves of a shop (`only`: of these buckets)."""
    for bucket in only or range(num_buckets):
        names = sorted(name for name in shop if bucket_of(name, num_buckets) == bucket)
        payloads = {name: encode_features(shop[name]) for name in names if shop[name] is not None}
        unit = bucket_name(bucket, num_buckets)
        writer = UnitWriter(str(run), Unit("features", unit, fingerprint(sorted(map(str, payloads.values())))))
        with writer.file(f"features/{unit}.tfrecord") as temporary:
            write_records(temporary, payloads.values())
        if fingerprints:
            rows = [
                {
                    "item_id": name,
                    "text_hash": bytes(16),
                    "features_hash": content_hash(payloads[name]) if name in payloads else None,
                    "pictures": [],
                }
                for name in names
            ]
            with writer.file(f"fingerprints/{unit}.parquet") as temporary:
                pq.write_table(pa.Table.from_pylist(rows, schema=FINGERPRINTS), temporary)
        writer.counts["items_written"] = len(payloads)
        writer.seal()
    names = [bucket_name(bucket, num_buckets) for bucket in range(num_buckets)]
    ids = {"image_encoder_id": "pictures", "vocabulary_id": Vocabulary.hashing(VOCABULARY).id}
    write_stage_manifest(str(run), "features", names, **ids)
    return run


def embedded(run: Path, model: Path, earlier: Path | None = None) -> dict[str, int]:
    """Runs the stage; its counts without the prefix, after the checks that always hold."""
    config = embed.EmbedConfig(run=str(run), model=str(model), reuse_from=str(earlier) if earlier else None)
    manifest = embed.run(config, beam_options([]))
    counts = {name.removeprefix("rows_"): count for name, count in manifest["counts"].items()}
    assert counts["written"] == counts["reused"] + counts["computed"]
    assert counts["computed"] == counts["changed"] + counts["new"]
    assert counts["yesterday"] == counts["reused"] + counts["changed"] + counts["gone"]
    assert counts["read"] == counts["written"] + counts["quarantined"]
    ids, matrix = read_embeddings(run / "embeddings")
    validate_embeddings(ids, matrix, str(run))
    assert len(ids) == counts["written"]
    return counts


def files_of(run: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in (run / "embeddings").iterdir()}


def ids_of(run: Path) -> set[str]:
    return set(read_embeddings(run / "embeddings")[0].to_pylist())


def quarantine_of(run: Path) -> list[dict]:
    return [row for path in sorted((run / "quarantine").glob("*.parquet")) for row in pq.read_table(path).to_pylist()]


def model_without_weights(model: Path, folder: Path) -> Path:
    """A model whose manifest can be read and which cannot be loaded."""
    shutil.copytree(model, folder)
    for path in folder.glob("*.safetensors"):
        path.unlink()
    return folder


def test_random_days_equal_runs_from_scratch(models, tmp_path):
    """New, changed, gone, broken and mended items; empty buckets; a model changed in the middle and changed back."""
    random = np.random.default_rng(5)
    shop = shop_of(45)
    earlier, earlier_shop, earlier_model = None, {}, None
    totals: dict[str, int] = {}
    for day in range(9):
        names = sorted(shop)
        if day not in (0, 5):  # day 5: nothing changes
            for name in random.choice(names, random.integers(1, 12), replace=False).tolist():
                shop[name] = item(name, random)
            for name in random.choice(names, random.integers(0, 9), replace=False).tolist():
                del shop[name]
            for number in random.integers(0, 90, random.integers(0, 9)).tolist():
                shop.setdefault(f"item-{number:03d}", item(f"item-{number:03d}", random))
            for name in random.choice(sorted(shop), 2, replace=False).tolist():
                shop[name] = broken(item(name, random)) if random.random() < 0.7 else None
        if day == 7:  # a bucket dies out
            shop = {name: value for name, value in shop.items() if bucket_of(name, NUM_BUCKETS) != 1}
        model = models[day in (3, 4)]
        run = write_features(tmp_path / f"day-{day}", shop)
        counts = embedded(run, model, earlier)
        scratch = write_features(tmp_path / f"scratch-{day}", shop)
        embedded(scratch, model)
        assert files_of(run) == files_of(scratch)
        assert [{**row, "run": ""} for row in quarantine_of(run)] == [
            {**row, "run": ""} for row in quarantine_of(scratch)
        ]
        before, now = (ids_of(earlier) if earlier else set()), ids_of(run)
        same = {name for name in before & now if shop[name] is earlier_shop[name] and model == earlier_model}
        expected = {"reused": len(same), "yesterday": len(before), "gone": len(before - now), "new": len(now - before)}
        assert {name: counts[name] for name in expected} == expected
        totals = {name: totals.get(name, 0) + count for name, count in counts.items()}
        earlier, earlier_shop, earlier_model = run, dict(shop), model
    parts = {len(files_of(tmp_path / f"day-{day}")) for day in range(9)}
    assert len(parts) > 1, "one grouping of buckets all the time proves little"
    assert all(totals[name] > 0 for name in ("reused", "changed", "new", "gone", "quarantined"))


def test_a_day_without_change_copies_and_loads_no_model(models, tmp_path):
    shop = {**shop_of(40), "item-005": broken(shop_of(40)["item-005"])}
    first = write_features(tmp_path / "first", shop)
    embedded(first, models[0])
    second = write_features(tmp_path / "second", shop)
    counts = embedded(second, model_without_weights(models[0], tmp_path / "model"), first)
    assert files_of(second) == files_of(first)
    assert counts["reused"] == counts["written"] == counts["yesterday"] == 39
    assert counts["quarantined"] == 1
    assert [row["run"] for row in quarantine_of(second)] == ["second"]
    third = write_features(tmp_path / "third", shop)  # copies of copies
    assert embedded(third, tmp_path / "model", second) == counts


def test_items_that_only_leave_load_no_model(models, tmp_path):
    first = write_features(tmp_path / "first", shop_of(40))
    embedded(first, models[0])
    fewer = {name: features for name, features in shop_of(40).items() if not name.endswith("3")}
    second = write_features(tmp_path / "second", fewer)
    counts = embedded(second, model_without_weights(models[0], tmp_path / "model"), first)
    assert (counts["reused"], counts["computed"], counts["gone"]) == (36, 0, 4)
    scratch = write_features(tmp_path / "scratch", fewer)
    embedded(scratch, models[0])
    assert files_of(second) == files_of(scratch)


def changed_shop() -> Shop:
    """shop_of(40) with one item changed in every bucket: no part is copied whole."""
    shop = shop_of(40)
    random = np.random.default_rng(1)
    for bucket in range(NUM_BUCKETS):
        name = next(name for name in shop if bucket_of(name, NUM_BUCKETS) == bucket)
        shop[name] = item(name, random)
    return shop


@pytest.mark.parametrize(
    ("damage", "reused", "yesterday", "said"),
    [
        ("none", 36, 40, None),
        ("no fingerprints there", 0, 40, "no fingerprints/ in"),
        ("no fingerprints here", 0, 40, "no fingerprints/ in"),
        ("a fingerprint file missing", None, 40, None),
        ("a fingerprint file damaged", None, 40, "expected fingerprints of features"),
        ("no manifest", 0, 0, "all items count as new: expected the finished stage"),
        ("poisoned manifest", 0, 0, "all items count as new"),
        ("features made again", 0, 40, "from other features than it holds"),
        ("no features manifest", 0, 40, "from other features than it holds"),
        ("other code", 0, 40, "made by other code"),
        ("other model", 0, 40, "its model is"),
        ("other buckets", 0, 40, "it has 4 buckets, this run 3"),
        ("embeddings outside", None, None, "expected a file inside"),
        ("embeddings flipped", None, None, "its items count as new, for an earlier file is damaged: expected sha256"),
        ("embeddings missing", None, None, "its items count as new, for an earlier file is damaged: expected a file"),
        ("embeddings of nonsense", None, None, "expected finite vectors of norm 1"),
        ("all embeddings missing", 0, 0, "is damaged"),
    ],
)
def test_only_what_is_sound_is_reused(models, tmp_path, capsys, monkeypatch, damage, reused, yesterday, said):
    first = write_features(tmp_path / "first", shop_of(40), fingerprints=damage != "no fingerprints there")
    if damage == "other code":
        monkeypatch.setattr(embed_parts, "CODE_VERSION", 0)
    embedded(first, models[damage == "other model"])
    monkeypatch.setattr(embed_parts, "CODE_VERSION", embed.CODE_VERSION)
    num_lost = damaged(first, damage)
    num_buckets = 3 if damage == "other buckets" else NUM_BUCKETS
    second = write_features(
        tmp_path / "second", changed_shop(), fingerprints=damage != "no fingerprints here", num_buckets=num_buckets
    )
    capsys.readouterr()
    counts = embedded(second, models[0], first)
    err = capsys.readouterr().err
    assert (said or "") in err
    assert len(err.splitlines()) == (said is not None) * (2 if damage == "all embeddings missing" else 1)
    scratch = write_features(tmp_path / "scratch", changed_shop(), num_buckets=num_buckets)
    embedded(scratch, models[0])
    assert files_of(second) == files_of(scratch)
    assert counts["yesterday"] == (40 - num_lost if yesterday is None else yesterday)
    if reused is None:
        assert 0 < counts["reused"] < 36
    else:
        assert counts["reused"] == reused


def damaged(run: Path, how: str) -> int:
    """Damages a finished run; how many rows the files held that can no longer be trusted."""
    part = sorted((run / "embeddings").iterdir())[0]
    num_rows = pq.read_metadata(part).num_rows
    manifest = run / "manifests" / "embeddings.json"
    listed = read_sealed_json(manifest)
    if how == "a fingerprint file missing":
        sorted((run / "fingerprints").iterdir())[0].unlink()
    elif how == "a fingerprint file damaged":
        sorted((run / "fingerprints").iterdir())[0].write_bytes(b"PAR1 nothing PAR1")
    elif how == "no manifest":
        manifest.unlink()
    elif how == "poisoned manifest":
        manifest.write_text('{"files": 7, "model_id": [], "units": null}')
    elif how == "features made again":
        write_features(run, shop_of(40, seed=9))
    elif how == "no features manifest":
        (run / "manifests" / "features.json").unlink()
    elif how == "embeddings outside":
        outside = run.parent / "outside.parquet"
        part.rename(outside)
        part.symlink_to(outside)
        return num_rows
    elif how == "embeddings flipped":
        content = bytearray(part.read_bytes())
        content[len(content) // 2] ^= 1
        part.write_bytes(content)
        return num_rows
    elif how == "embeddings missing":
        part.unlink()
        return num_rows
    elif how == "all embeddings missing":
        shutil.rmtree(run / "embeddings")
    elif how == "embeddings of nonsense":
        pq.write_table(nonsense(pq.read_table(part)), part)
        listed["files"][0].update(sha256=sha256_of_file(part), bytes=part.stat().st_size)
        write_sealed_json(manifest, listed)
        return num_rows
    return 0


def nonsense(table: pa.Table) -> pa.Table:
    column = table["embedding"].combine_chunks()
    zeros = pa.FixedSizeListArray.from_arrays(pa.array(np.zeros(256 * len(table), np.float32)), type=column.type)
    return table.set_column(1, table.schema.field("embedding"), zeros)


def test_a_copied_part_that_is_damaged_is_computed(models, tmp_path, capsys):
    first = write_features(tmp_path / "first", shop_of(40))
    embedded(first, models[0])
    expected = files_of(first)
    damaged(first, "embeddings flipped")
    second = write_features(tmp_path / "second", shop_of(40))
    counts = embedded(second, models[0], first)
    assert files_of(second) == expected
    assert counts["computed"] == counts["new"] > 0
    assert counts["reused"] > 0
    assert "is computed, not taken over: expected sha256" in capsys.readouterr().err


@pytest.mark.parametrize("counts", [None, [], {}, {"rows_written": 3}])
def test_a_sidecar_without_counts_is_no_source(models, tmp_path, counts):
    first = write_features(tmp_path / "first", shop_of(20))
    embedded(first, models[0])
    for path in sidecar_path(str(first), "embeddings", "x").parent.glob("*.json"):
        write_sealed_json(path, {**read_sealed_json(path), "counts": counts})
    second = write_features(tmp_path / "second", shop_of(20))
    assert embedded(second, models[0], first)["reused"] == 20
    assert files_of(second) == files_of(first)


def test_what_memory_did_not_hold_is_tried_again(models, tmp_path):
    shop = {**shop_of(20), "item-005": broken(shop_of(20)["item-005"])}
    first = write_features(tmp_path / "first", shop)
    embedded(first, models[0])
    for path in sidecar_path(str(first), "embeddings", "x").parent.glob("*.json"):
        sidecar = read_sealed_json(path)
        if sidecar["counts"].get("reason:model_failed"):
            sidecar["counts"]["reason:out_of_memory"] = sidecar["counts"].pop("reason:model_failed")
            write_sealed_json(path, sidecar)
    second = write_features(tmp_path / "second", shop)
    counts = embedded(second, models[0], first)
    assert (counts["reused"], counts["computed"], counts["quarantined"]) == (19, 0, 1)
    assert [row["reason"] for row in quarantine_of(second)] == ["model_failed"]


@pytest.mark.filterwarnings("ignore:memory does not hold")
@pytest.mark.parametrize("shop", [shop_of(40), changed_shop()], ids=["copied", "changed"])
def test_what_was_embedded_in_halved_batches_is_not_taken_over(models, tmp_path, monkeypatch, shop):
    """Only by the part that it is in; once memory holds whole batches, bytes are those of a fresh run."""
    small = inference._FixedShapes._forward
    poor = {"item-003"}

    def without_memory(forward, items, room, batch_size):
        if batch_size == inference.BATCH_SIZE and poor & {item.item_id for item in items}:
            raise MemoryError
        return small(forward, items, room, batch_size)

    first = write_features(tmp_path / "first", shop_of(40))
    with monkeypatch.context() as patched:
        patched.setattr(inference._FixedShapes, "_forward", without_memory)
        counts = embedded(first, models[0])
    num_halved = counts["in_halved_batches"]
    assert 0 < num_halved < 40
    second = write_features(tmp_path / "second", shop)
    counts = embedded(second, models[0], first)
    assert num_halved <= counts["computed"] < 40
    assert "in_halved_batches" not in counts
    assert counts["yesterday"] == 40
    scratch = write_features(tmp_path / "scratch", shop)
    embedded(scratch, models[0])
    assert files_of(second) == files_of(scratch)


@pytest.mark.parametrize("shop", [shop_of(40), changed_shop()], ids=["copied", "changed"])
def test_an_upgrade_of_torch_computes_every_vector(models, tmp_path, monkeypatch, capsys, shop):
    first = write_features(tmp_path / "first", shop_of(40))
    embedded(first, models[0])
    monkeypatch.setattr(embed_parts, "versions_of", lambda *names: dict.fromkeys(names, "99.0"))
    counts = embedded(write_features(tmp_path / "second", shop), models[0], first)
    assert (counts["reused"], counts["computed"], counts["yesterday"]) == (0, 40, 40)
    assert "another version of torch" in capsys.readouterr().err


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


def test_the_run_itself_is_no_earlier_run(models, tmp_path):
    run = write_features(tmp_path / "run", shop_of(20))
    assert embedded(run, models[0], run)["new"] == 20
