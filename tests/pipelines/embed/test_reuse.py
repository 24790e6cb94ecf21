"""The embed stage with an earlier run: bytes equal those from scratch, counts add up, what is equal loads no model."""

import shutil
from pathlib import Path

import numpy as np
import pytest
from embed_runs import (
    NUM_BUCKETS,
    broken,
    changed_shop,
    embedded,
    files_of,
    ids_of,
    item,
    quarantine_of,
    shop_of,
    write_features,
)

from model.items import inference
from pipelines.embed import parts as embed_parts
from pipelines.run.unit_files import sidecar_path
from schemas.files import read_sealed_json, write_sealed_json
from schemas.hashing import bucket_of

pytestmark = [pytest.mark.usefixtures("small_parts"), pytest.mark.slow]


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


def model_without_weights(model: Path, folder: Path) -> Path:
    """A model whose manifest can be read and which cannot be loaded."""
    shutil.copytree(model, folder)
    for path in folder.glob("*.safetensors"):
        path.unlink()
    return folder


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


def test_the_run_itself_is_no_earlier_run(models, tmp_path):
    run = write_features(tmp_path / "run", shop_of(20))
    assert embedded(run, models[0], run)["new"] == 20


@pytest.mark.parametrize(("before", "after"), [(4, 40), (40, 4)])
def test_another_grouping_of_the_buckets_leaves_no_part_behind(models, tmp_path, before, after):
    """Items get or lose their features (pictures were mended) in a run whose call is repeated."""
    shop = shop_of(40)

    def having(count: int) -> dict:
        return {name: shop[name] if number < count else None for number, name in enumerate(sorted(shop))}

    run, fresh = (write_features(tmp_path / name, having(count)) for name, count in (("a", before), ("b", after)))
    embedded(run, models[0])
    num_parts = len(files_of(run))
    embedded(write_features(run, having(after)), models[0])
    embedded(fresh, models[0])
    assert len(files_of(fresh)) != num_parts
    assert files_of(run) == files_of(fresh)
    units = [sorted(path.name for path in (folder / "units" / "embeddings").iterdir()) for folder in (run, fresh)]
    assert units[0] == units[1]
