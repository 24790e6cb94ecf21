"""Whole jobs: sample shop -> train -> daily -> search, evaluate, path; and what must hold of what they leave."""

import json
import shutil
from collections import Counter
from pathlib import Path

import annoy
import numpy as np
import pyarrow.dataset as ds
import pyarrow.parquet as pq
import pytest
from exploration import soak
from train_runs import SMALL_MODEL
from useless_logs import REJECTED, date_digits, ga4_names, nobody, only_shown, other_items, write

from model.users.pinnersage import DEFAULT_ALPHA
from pipelines import cli
from pipelines.console.jobs import beam_options
from pipelines.daily import job as daily
from pipelines.operations.verify.job import verify_run
from pipelines.serving.searcher import Searcher
from pipelines.store import store
from pipelines.train import job as train
from schemas.errors import UsageError
from schemas.files import read_sealed_json, write_sealed_json
from schemas.sample_shop.generate import generate

DATE = "2026-06-30"
pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def shop(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("shop")
    generate(folder, items=60, seed=3)
    return folder


@pytest.fixture(scope="module")
def trained(shop, tmp_path_factory) -> Path:
    """A store with one trained model."""
    folder = tmp_path_factory.mktemp("store")
    train.run(
        train.TrainConfig(
            catalog=f"{shop}/catalog.parquet",
            engagements=f"{shop}/engagements.parquet",
            image_root=str(shop),
            store=str(folder),
            date=DATE,
            image_encoder="efficientnet_lite0",
            pseudo_queries=2,
            epochs=1,
            min_steps=20,
            batch_size=64,
            **SMALL_MODEL,
        ),
        beam_options([]),
    )
    return folder


def day(shop: Path, folder: Path, **given) -> Path:
    config = {
        "catalog": f"{shop}/catalog.parquet",
        "image_root": str(shop),
        "store": str(folder),
        "date": DATE,
        **given,
    }
    daily.run(daily.DailyConfig(**config), beam_options([]))
    return store.current_run(str(folder))


@pytest.fixture(scope="module")
def published(shop, trained) -> Path:
    return day(shop, trained, engagements=f"{shop}/engagements.parquet")


@pytest.fixture
def own_store(trained, published, tmp_path) -> Path:
    """The store of the published run with a life of its own, but for models and training runs."""
    for name in ("models", "training"):
        (tmp_path / name).symlink_to(trained / name)
    shutil.copytree(published, tmp_path / published.relative_to(trained))
    for name in ("store.json", "CURRENT"):
        (tmp_path / name).write_bytes((trained / name).read_bytes())
    (tmp_path / "CURRENT").write_text(published.relative_to(trained).as_posix() + "\n")
    return tmp_path


def files_of(run: Path, *names: str) -> dict[str, bytes]:
    found = [path for name in names for path in sorted((run / name).rglob("*")) if path.is_file()]
    found = [path for path in found if path.name != "times.json"]
    return {path.relative_to(run).as_posix(): path.read_bytes() for path in found}


def test_contract_of_the_published_run(published):
    table = ds.dataset(published / "embeddings").to_table()
    ids = table["item_id"].to_pylist()
    vectors = np.stack(table["embedding"].to_numpy())
    assert ids == sorted(set(ids))
    assert len(ids) > 50
    assert vectors.shape == (len(ids), 256)
    assert np.abs(np.linalg.norm(vectors, axis=1) - 1).max() < 1e-5
    assert table.schema.field("embedding").type.list_size == 256
    index = annoy.AnnoyIndex(256, "angular")
    index.load(str(published / "index" / "items.ann"))
    rows = pq.read_table(published / "index" / "ids.parquet")["item_id"].to_pylist()
    assert rows == ids
    assert index.get_item_vector(7) == pytest.approx(vectors[7], abs=1e-6)


def test_every_row_and_picture_is_accounted_for(shop, published):
    counts = json.loads((published / "manifest.json").read_text())["counts"]
    assert counts["rows_read"] == pq.read_metadata(shop / "catalog.parquet").num_rows
    assert counts["rows_read"] == sum(counts[f"rows_{part}"] for part in ("published", "collapsed", "quarantined"))
    parts = ("computed", "reused", "quarantined", "cut_off")
    assert counts["pictures_listed"] == sum(counts[f"pictures_{part}"] for part in parts)
    assert all(counts[f"pictures_{part}"] > 0 for part in ("reused", "quarantined", "cut_off"))
    quarantine = ds.dataset(published / "quarantine").to_table().to_pylist()
    found = Counter((row["stage"] == "log", row["level"]) for row in quarantine)
    assert found[False, "row"] == counts["rows_quarantined"] > 0
    assert found[False, "picture"] == counts["pictures_quarantined"] > 0
    assert found[True, "row"] == counts["actions_quarantined"] > 0
    assert counts["users"] == counts["users_new"] > 100
    assert counts["actions_used"] > counts["clusters"] > counts["users"]


def test_every_planted_fault_is_found_with_its_reason(shop, trained, published):
    (training,) = (trained / "training" / DATE).iterdir()
    rows = [row for run in (training, published) for row in ds.dataset(run / "quarantine").to_table().to_pylist()]
    found = {(row["reason"], row[key]) for row in rows for key in ("item_id", "where")}
    planted = pq.read_table(shop / "planted.parquet").to_pylist()
    expected = [row for row in planted if row["expected_reason"] is not None]
    assert len({row["expected_reason"] for row in expected}) >= 14
    for row in expected:
        key = "item_id" if row["expected_reason"] == "no_content" else "where"
        where = row["uri"] if row["level"] == "picture" else row[key]
        assert (row["expected_reason"], where) in found, row


def test_a_second_store_gets_equal_bytes(shop, trained, published, tmp_path):
    for name in ("models", "training"):
        (tmp_path / name).symlink_to(trained / name)
    again = day(shop, tmp_path, engagements=f"{shop}/engagements.parquet")
    assert again.name == published.name
    folders = ("embeddings", "index", "items", "quarantine", "users", "user_actions", "item_popularity")
    expected = files_of(published, *folders)
    assert len(expected) > 12
    assert files_of(again, *folders) == expected
    assert (again / "manifest.json").read_bytes() == (published / "manifest.json").read_bytes()


def test_the_same_call_does_nothing_again(shop, trained, published, capsys):
    before = {path: path.stat().st_mtime_ns for path in published.rglob("*") if path.is_file()}
    assert day(shop, trained, engagements=f"{shop}/engagements.parquet") == published
    assert "nothing to compute" in capsys.readouterr().out
    assert {path: path.stat().st_mtime_ns for path in published.rglob("*") if path.is_file()} == before


def test_search_by_text_picture_and_item(shop, trained, published):
    searcher = Searcher(str(trained))
    item = searcher.item_ids[5].as_py()
    found = searcher.by_item([item], 5)[0]
    assert len(found) == 5
    assert item not in [result.item_id for result in found]
    assert len(searcher.by_text(["red mug", "chair"], 3)) == 2
    picture = next((shop / "images" / "queries").iterdir())
    assert searcher.by_image([picture], 4)[0][0].score >= searcher.by_image([picture], 4)[0][3].score


def test_command_line_of_the_published_run(shop, trained, published, capsys, tmp_path):
    assert cli.main(["path", "--store", str(trained), "embeddings"]) == 0
    assert capsys.readouterr().out.strip() == str(published / "embeddings")
    assert cli.main(["search", "--store", str(trained), "--text", "red chair", "--top", "3", "--json"]) == 0
    assert len(json.loads(capsys.readouterr().out)["results"]) == 3
    log = ["--engagements", f"{shop}/engagements.parquet", "--image-root", str(shop)]
    assert cli.main(["evaluate", "--store", str(trained), *log, "--json"]) == 0
    report = json.loads(capsys.readouterr().out)
    assert report["rows"]["rows_of_training_part"] > 0
    assert {"itemsage", "tfidf", "popularity"} <= set(report["tasks"][-1]["methods"])
    assert cli.main(["search", "--store", str(tmp_path), "--text", "x"]) == 2
    assert "itemsage daily" in capsys.readouterr().err


def test_the_published_run_lists_the_files_of_users(published):
    listed = {entry["path"] for entry in json.loads((published / "manifest.json").read_text())["files"]}
    buckets = {path.name for path in (published / "users").iterdir()}
    assert len(buckets) == 4
    expected = {f"{folder}/{name}" for folder in ("users", "user_actions") for name in buckets}
    assert listed >= expected | {"item_popularity/items.parquet"}
    assert [path for path in listed if path.startswith("item_popularity/_")] == []
    store.check_run(str(published.parents[2]), published)


def test_scripts_find_users_and_shoppers_get_candidates(published, own_store, capsys):
    for name in ("users", "user_actions", "item_popularity"):
        assert cli.main(["path", "--store", str(own_store), name]) == 0
        assert capsys.readouterr().out.strip() == str(store.current_run(str(own_store)) / name)
    rows = ds.dataset(published / "user_actions").to_table().to_pylist()
    shopper = max(rows, key=lambda row: len(row["actions"]))
    call = ["recommend", "--store", str(own_store), "--user", shopper["user_id"], "--top", "20", "--json"]
    assert cli.main(call) == 0
    answer = json.loads(capsys.readouterr().out)
    items = [candidate["item_id"] for candidate in answer["candidates"]]
    assert len(items) == len(set(items)) == 20
    assert not set(items) & {action["item_id"] for action in shopper["actions"]}
    assert set(items) <= set(ds.dataset(published / "embeddings").to_table()["item_id"].to_pylist())
    assert len(answer["clusters"]) == len(shopper["medoids"])


def test_the_summary_tells_of_users(published):
    manifest = json.loads((published / "manifest.json").read_text())
    counts = {name: f"{count:,}" for name, count in manifest["counts"].items()}
    text = daily.summary(manifest, {"total": 1.0}, published)
    assert (
        f"users    today {counts['users']} = reused 0 + computed {counts['users']}; computed = changed 0 + new "
        f"{counts['users']}; {counts['clusters']} clusters of {counts['actions_used']} actions\n"
    ) in text
    assert "         yesterday 0 = reused 0 + changed 0 + gone 0\nseconds" in text
    without = {name: count for name, count in manifest["counts"].items() if name != "users"}
    assert "users " not in daily.summary({**manifest, "counts": without}, {"total": 1.0}, published)


def has_users(run: Path) -> bool:
    counts = json.loads((run / "manifest.json").read_text())["counts"]
    there = {"users", "user_actions", "item_popularity", "manifests/users.json", "units/users"}
    found = {name for name in there if (run / name).exists()}
    assert found in (set(), there)
    assert ("users" in counts) == ("clusters" in counts) == bool(found)
    return bool(found)


def test_days_without_users(shop, published, own_store, capsys):
    """--no-users after a day that had some needs a word; days without engagements have none to begin with."""
    assert has_users(published)
    places = ["--catalog", f"{shop}/catalog.parquet", "--image-root", str(shop), "--store", str(own_store)]
    call = ["daily", *places, "--engagements", f"{shop}/engagements.parquet", "--date", "2026-07-01", "--no-users"]
    assert cli.main(call) == 3
    error = capsys.readouterr().err
    assert "[users_count] 0 users have clusters, yesterday" in error
    assert "--no-users was given" in error
    assert store.current_run(str(own_store)).name == published.name
    assert cli.main([*call, "--accept", "users_count", "--because", "nobody reads them"]) == 0
    assert "users " not in capsys.readouterr().out.split("\nrows     read")[1]
    run = store.current_run(str(own_store))
    assert (run.parent.name, has_users(run)) == ("2026-07-01", False)
    run = day(shop, own_store, date="2026-07-02")
    assert (run.parent.name, has_users(run)) == ("2026-07-02", False)
    assert cli.main(["path", "--store", str(own_store), "users"]) == 2
    assert cli.main(["recommend", "--store", str(own_store), "--user", "user-1"]) == 2
    assert "expected" in capsys.readouterr().err


def test_a_calibration_in_the_store_is_another_run(shop, published, own_store):
    def calibrate(model_id: str, alpha: float) -> None:
        content = {"model_id": model_id, "alpha": alpha}
        write_sealed_json(own_store / "calibration" / f"{used['model_id']}.json", content)

    used = read_sealed_json(published / "manifests" / "users.json")
    calibrate("itemsage-ffffffffffff", 0.25)  # of another model's vectors: it does not count
    assert day(shop, own_store, engagements=f"{shop}/engagements.parquet").name == published.name
    calibrate(used["model_id"], 0.25)
    run = day(shop, own_store, engagements=f"{shop}/engagements.parquet")
    assert run.name != published.name
    facts = read_sealed_json(run / "manifests" / "users.json")
    assert (used["alpha"], facts["alpha"]) == (DEFAULT_ALPHA, 0.25)
    assert facts["counts"]["clusters_written"] > used["counts"]["clusters_written"]
    assert facts["counts"]["users_reused"] == 0
    given = day(shop, own_store, engagements=f"{shop}/engagements.parquet", alpha=0.75)
    assert given.name not in (run.name, published.name)
    assert read_sealed_json(given / "manifests" / "users.json")["alpha"] == 0.75
    assert json.loads((given / "manifest.json").read_text())["config"]["alpha"] == 0.75


def test_a_day_later_is_another_run_and_lists_what_changed(shop, trained, published, tmp_path):
    table = pq.read_table(shop / "catalog.parquet")
    good = table.filter(table["item_id"].is_valid())
    later = tmp_path / "catalog.parquet"
    pq.write_table(good.slice(0, len(good) - 8), later)
    run = day(shop, trained, catalog=str(later), engagements=f"{shop}/engagements.parquet", date="2026-07-01")
    assert run != published
    changes = {row["change"] for row in ds.dataset(run / "changes").to_table().to_pylist()}
    assert "deleted" in changes
    assert "new" not in changes
    counts = json.loads((run / "manifest.json").read_text())["counts"]
    assert counts["pictures_computed"] == 0
    assert counts["users_yesterday"] == counts["users_reused"] + counts["users_changed"] + counts["users_gone"] > 100
    assert counts["users_reused"] > 0 < counts["users_changed"]  # who acted on what is gone is clustered again


def test_the_day_of_another_time_zone_is_another_run_and_told(shop, published, own_store, capsys):
    assert json.loads((published / "manifest.json").read_text())["time_zone"] == "UTC"
    run = day(shop, own_store, engagements=f"{shop}/engagements.parquet", time_zone="Europe/Berlin")
    assert run.name != published.name
    before = own_store / published.relative_to(published.parents[2])
    assert f"WARNING: the days of the run before, {before}, end in 'UTC'" in capsys.readouterr().out
    manifest = json.loads((run / "manifest.json").read_text())
    assert (manifest["date"], manifest["time_zone"]) == (DATE, "Europe/Berlin")
    assert "time_zone" not in manifest["config"]
    assert not [problem for finding in verify_run(own_store, run) for problem in finding.problems]
    again = cli.main(["evaluate", "--store", str(own_store), "--engagements", f"{shop}/engagements.parquet"])
    assert (again, "WARNING: the days" in capsys.readouterr().out) == (0, False)


def test_a_calibration_in_the_middle_of_a_run_stops_it(published):
    """The run is named after one alpha: users made with another do not belong to it."""
    manifest = json.loads((published / "manifest.json").read_text())
    daily._check_calibration(published, manifest)
    for changed in ({"alpha": 0.123}, {"samples": 77}):
        facts = {**manifest, "config": {**manifest["config"], **changed}}
        with pytest.raises(UsageError, match=r"calibrated while the run was at work. Repeat the call") as error:
            daily._check_calibration(published, facts)
        assert "popularity weight None, sampled True, got alpha" in str(error.value)


@pytest.mark.parametrize("change", [date_digits, only_shown, *soak(ga4_names, other_items, nobody)])
def test_a_log_of_which_nothing_can_be_used_stops_the_day_before_the_pictures(
    shop, published, own_store, tmp_path, capsys, change
):
    rows = pq.read_table(shop / "engagements.parquet").slice(0, 300).to_pylist()
    log = write(tmp_path / "log.parquet", [change(row) for row in rows if row["timestamp"] is not None])
    places = ["--catalog", f"{shop}/catalog.parquet", "--image-root", str(shop), "--store", str(own_store)]
    call = ["daily", *places, "--engagements", str(log), "--date", "2026-07-01"]
    gate = "quarantine_log" if change in REJECTED else "log_used"
    for _ in range(2):  # the run is resumed, and told the same
        assert cli.main(call) == 3
        error = capsys.readouterr().err
        assert f"got 1 failed: [{gate}] " in error
        assert f'--accept {gate} --because "..."' in error
    (run,) = (own_store / "runs" / "2026-07-01").iterdir()
    assert not (run / "features").exists()
    gates = {gate["name"]: gate for gate in json.loads((run / "gates.json").read_text())["gates"]}
    assert gates[gate]["status"] == "failed"
    assert gates[gate]["message"] in error
    assert store.current_run(str(own_store)).name == published.name
    if change not in (date_digits, only_shown):
        return
    why = ["--accept", f"{gate},users_count,recall", "--because", "the log is mended tomorrow"]
    assert cli.main([*call, *why]) == 0
    assert store.current_run(str(own_store)) == run
    manifest = json.loads((run / "manifest.json").read_text())
    assert manifest["accepted"][gate] == "the log is mended tomorrow"
    assert verified(own_store, run) == {}


def verified(folder: Path, run: Path) -> dict[str, list[str]]:
    """Check -> problems that `itemsage verify` finds."""
    return {finding.check: finding.problems for finding in verify_run(folder, run) if finding.problems}


def test_a_published_run_with_a_log_is_sound(own_store, published):
    assert verified(own_store, own_store / published.parent.parent.name / published.parent.name / published.name) == {}


def test_a_column_that_is_mapped_wrongly_is_told_before_the_work(shop, trained, tmp_path, capsys):
    mapped = {"engagements": {"user_id": "customer"}}
    with pytest.raises(UsageError, match="expected a column 'customer' for user_id"):
        day(shop, trained, engagements=f"{shop}/engagements.parquet", columns=mapped, date="2026-07-09")
    assert not (trained / "runs" / "2026-07-09").exists()


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"columns": {"titel": "name"}}, "got titel: is it 'title'"),
        ({"columns": {"item_id": "sku"}}, "expected a column 'sku' for item_id"),
        ({"columns": {"engagements": {"action": "what"}}, "users": False}, "expected a column 'what' for action"),
        ({"num_buckets": 999}, "got 999"),
        ({"num_buckets": -1}, "got -1"),
        ({"max_trees": 0}, "expected --target-recall"),
        ({"accept": "vectors", "because": "x"}, "no reason publishes it"),
    ],
)
def test_a_wrong_call_leaves_no_run(shop, trained, published, given, message):
    with pytest.raises(UsageError, match=message):
        day(shop, trained, engagements=f"{shop}/engagements.parquet", date="2026-07-09", **given)
    assert not (trained / "runs" / "2026-07-09").exists()


@pytest.mark.parametrize(
    ("model", "message"), [(None, "run `itemsage train` first"), ("0123456789abcdef", "got '0123456789abcdef'")]
)
def test_a_store_without_a_model_is_not_made(tmp_path, model, message):
    (tmp_path / "c.csv").write_text("item_id,title\na,mug\n")
    with pytest.raises(UsageError, match=message):
        day(tmp_path, tmp_path / "store", catalog=f"{tmp_path}/c.csv", model=model)
    assert not (tmp_path / "store").exists()
