"""Calibration of alpha and of the number of samples on a shop where their right values are known."""

import datetime as dt
import json
import math
import shutil
from dataclasses import replace
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest
from user_shop import TO, make_shop
from users_runs import ITEM_IDS, MODEL_ID, finish_embeddings, row, vectors_of, write_log

from model.split.split import Split
from model.users.calibration import alpha_grid
from model.users.month_ahead import WEIGHTS
from model.users.pinnersage import DEFAULT_ALPHA, US_PER_DAY
from pipelines.console.config_file import read_config_file
from pipelines.users import job as users
from pipelines.users.alpha import alpha_of, default_calibration_path
from pipelines.users.calibrate import criterion, why_few
from pipelines.users.config import ALL, BALANCED, NEW, UsersConfig
from pipelines.users.plan import plan
from schemas.files import read_sealed_json, write_json

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    return make_shop(tmp_path_factory.mktemp("shop"))


def calibrate(shop: tuple[Path, Path], *flags: str) -> int:
    run, engagements = shop
    arguments = [f"--run={run}", f"--engagements={engagements}", f"--date={TO}", "--calibrate", "--calibration-days=3"]
    return users.main([*arguments, "--list-length=400", "--calibrate-for=all", *flags])


#: What a test that chooses nothing asks: 24 user-days, of 20 that are needed.
FEW = ("--calibrate-samples=3", "--calibrate-users=8")


def test_the_alpha_that_keeps_groups_apart_is_chosen_written_and_found(shop, capsys):
    run, engagements = shop
    assert calibrate(shop) == 0
    shown = capsys.readouterr().out
    path = default_calibration_path(run, MODEL_ID)
    found = read_sealed_json(path)
    curve = {point["alpha"]: point for point in found["curve"] if (point["samples"], point["sampled"]) == (3, True)}
    assert [*curve] == alpha_grid()
    assert len(found["curve"]) == 8 * len(curve)
    best = curve[found["alpha"]]
    assert 1 < found["alpha"] < 20
    assert best["recall"] == pytest.approx(1)
    assert (best["clusters_median"], best["clusters_p90"]) == (3, 3)
    apart = [alpha for alpha, point in curve.items() if point["recall"] > 0.999]
    assert found["alpha"] == min(apart, key=lambda alpha: abs(math.log(alpha / DEFAULT_ALPHA)))
    assert curve[0.1]["recall"] < 0.9
    assert curve[64.0]["recall"] < 0.6
    assert curve[64.0]["clusters_median"] == 1
    assert (found["model_id"], found["date"], found["criterion"]) == (MODEL_ID, TO, "recall@400")
    assert found["user_days"] == 60
    assert (found["samples"], found["sampled"]) == (3, True)  # of equally good ones the fewest, and sampled
    assert [one["samples"] for one in found["best"]] == [3, 3, 5, 5, 10, 10, 20, 20]
    assert [one["sampled"] for one in found["best"]] == [True, False] * 4
    assert [one["recall"] for one in found["best"]] == pytest.approx([1] * 8)
    assert {name: best[name] for name in found["best"][0]} == found["best"][0]
    marked = [line.split() for line in shown.splitlines() if "*" in line]
    assert {float(line[0]) for line in marked} == {one["alpha"] for one in found["best"]}
    assert sum(cell.endswith("*") for line in marked for cell in line) == 8
    assert sum(line.startswith(("e = ", "top ")) for line in shown.splitlines()) == 8
    assert f"users: e = 3 at alpha {found['alpha']:g} has the best recall@400" in shown
    config = UsersConfig(run=str(run), engagements=str(engagements), date=TO)
    assert alpha_of(config, MODEL_ID) == (found["alpha"], 3, str(path), found["popularity_weight"], True)


def test_the_weight_of_popularity_is_chosen_and_told(shop, tmp_path, capsys):
    """Ten items of each of the twelve groups are all that anybody wants: blended, they are among the best 400 of all,
    and no better than three full groups. With two medoids, popularity brings the third group."""
    path = tmp_path / "c.json"
    assert calibrate(shop, f"--calibration={path}", "--calibrate-samples=3") == 0
    found = read_sealed_json(path)
    assert [point["popularity_weight"] for point in found["blend"]] == list(WEIGHTS)
    assert found["blend"][0]["recall"] == found["best"][0]["recall"]
    assert found["popularity_weight"] == 0
    assert "blend: no --popularity-weight has a better recall@400 than 0: 1.0000" in capsys.readouterr().out
    assert calibrate(shop, f"--calibration={path}", "--calibrate-samples=2") == 0
    found = read_sealed_json(path)
    recall = {point["popularity_weight"]: point["recall"] for point in found["blend"]}
    best = found["popularity_weight"]
    assert best == min(weight for weight, value in recall.items() if value == max(recall.values())) > 0
    assert recall[best] > 0.9 > 0.8 > recall[0.0]
    told = f"blend: --popularity-weight {best:g} has recall@400 {recall[best]:.4f} (0: {recall[0.0]:.4f}); recommend"
    assert told in capsys.readouterr().out
    config = UsersConfig(run=str(shop[0]), engagements=str(shop[1]), date=TO, calibration=str(path))
    assert alpha_of(config, MODEL_ID).popularity_weight == best
    assert plan(config).facts["popularity_weight"] == best


def test_rows_after_the_date_change_nothing(shop, tmp_path):
    """What is chosen on the days before a period knows nothing of the period."""
    run, engagements = shop
    log = pq.read_table(engagements)
    before = pc.less(log["timestamp"], pa.scalar(dt.datetime(2026, 6, 12, tzinfo=dt.UTC), log.schema.field(0).type))
    pq.write_table(log.filter(before), tmp_path / "cut.parquet")
    files = []
    for name, of in (("whole", engagements), ("cut", tmp_path / "cut.parquet")):
        files.append(tmp_path / f"{name}.json")
        assert calibrate((run, of), "--date=2026-06-11", f"--calibration={files[-1]}", "--calibrate-samples=2,3") == 0
    assert pq.read_metadata(tmp_path / "cut.parquet").num_rows < len(log)
    assert files[0].read_bytes() == files[1].read_bytes()


def test_new_items_decide_where_they_are_asked_to(shop, tmp_path, capsys):
    found = {}
    for name in ("all", "new"):
        flags = f"--calibration={tmp_path / name}", f"--calibrate-for={name}", "--calibrate-samples=3,5"
        assert calibrate(shop, *flags) == 0
        found[name] = read_sealed_json(tmp_path / name)
    shown = capsys.readouterr().out
    assert [found[name]["criterion"] for name in found] == ["recall@400", "recall@400 of new items"]
    assert found["all"]["curve"][:28] == found["new"]["curve"][:28]
    for name, key in (("all", "recall"), ("new", "recall_new")):
        points = found[name]["curve"]
        assert {"recall", "recall_new", "recall_new_se"} <= points[0].keys()
        best = max(point[key] for point in points)
        chosen = next(p for p in points if (p["samples"], p["alpha"]) == (found[name]["samples"], found[name]["alpha"]))
        assert chosen[key] == pytest.approx(best)
        assert f"has the best {found[name]['criterion']}; written" in shown
    assert any(0 < point["recall_new"] != point["recall"] for point in found["all"]["curve"])
    assert "of new items 1.0000 +- " in shown
    names = [criterion(decided_by, 400) for decided_by in (ALL, NEW, BALANCED)]  # the flag's names are the model's
    assert names[:2] == ["recall@400", "recall@400 of new items"]
    assert names[2] == "mean of recall@400, recall@400 of new items and R-precision (geometric)"


def test_new_items_that_nobody_acts_on_can_decide_nothing(tmp_path, capsys):
    """Everybody comes back to the item of the days before."""
    run = tmp_path / "run"
    finish_embeddings(run, vectors_of())
    rows = [row(f"u{number}", ITEM_IDS[number], age) for number in range(30) for age in (0.5, 1.5, 2.5)]
    flags = ["--date=2026-06-30", "--calibration-days=1", f"--calibration={tmp_path / 'c.json'}"]
    log = write_log(tmp_path / "log", rows)
    assert calibrate((run, log), *flags) == 0
    assert read_sealed_json(tmp_path / "c.json")["best"][0]["recall_new"] is None
    assert "of new items none" in capsys.readouterr().out
    (tmp_path / "c.json").unlink()
    assert calibrate((run, log), *flags, "--calibrate-for=new") == 2
    assert "items that are new to their users" in capsys.readouterr().err
    assert not (tmp_path / "c.json").exists()


def test_all_measures_decide_where_nothing_else_is_asked_and_lists_are_in_proportion(shop, tmp_path, capsys):
    """3,360 items: lists of 68."""
    run, engagements = shop
    path = tmp_path / "c.json"
    arguments = [f"--run={run}", f"--engagements={engagements}", f"--date={TO}", "--calibrate", "--calibration-days=3"]
    assert users.main([*arguments, f"--calibration={path}", "--calibrate-samples=2,3"]) == 0
    found = read_sealed_json(path)
    assert found["list_length"] == 68
    assert found["criterion"] == criterion(BALANCED, 68)
    worth = {
        (p["samples"], p["sampled"], p["alpha"]): (p["recall"] * p["recall_new"] * p["r_precision"]) ** (1 / 3)
        for p in found["curve"]
    }
    assert worth[found["samples"], found["sampled"], found["alpha"]] == pytest.approx(max(worth.values()))
    assert min(p["r_precision"] for p in found["curve"]) > 0
    shown = capsys.readouterr().out
    assert f"has the best {criterion(BALANCED, 68)}" in shown
    assert "R-precision " in shown
    assert users.main([*arguments, "--list-length=-1"]) == 2
    assert "expected --list-length from 1 to 10,000, or 0, got -1" in capsys.readouterr().err


def test_days_of_the_models_training_calibrate_only_if_that_is_accepted(shop, tmp_path, capsys):
    """The model of the run's store trained on what is before noon of the second of the three validation days."""
    run, engagements = shop
    stored = tmp_path / "store" / "runs" / TO / ("0" * 16)
    stored.parent.mkdir(parents=True)
    stored.symlink_to(run)  # resolved it is no run of a store: nothing is known of its model
    assert calibrate((stored, engagements), *FEW, f"--calibration={tmp_path / 'c.json'}") == 0
    assert read_sealed_json(tmp_path / "c.json")["days_trained_on"] is None
    stored.unlink()
    shutil.copytree(run, stored)
    model = tmp_path / "store" / "models" / MODEL_ID
    model.mkdir(parents=True)
    noon_us = int(dt.datetime(2026, 6, 12, 12, tzinfo=dt.UTC).timestamp()) * 1_000_000
    split = Split(kind="time", has_validation=True, has_test=True, test_start_us=noon_us)
    for given, trained_on in ((split, 2), (replace(split, kind="query_hash", test_start_us=None), 3)):
        given.save(model)
        capsys.readouterr()
        assert calibrate((stored, engagements), *FEW) == 2
        told = capsys.readouterr().err
        assert f"got {trained_on} of the 3 days up to {TO} before the end of its training" in told
        assert "--accept-training-days" in told
        assert not (tmp_path / "store" / "calibration").exists()
    assert calibrate((stored, engagements), *FEW, "--accept-training-days") == 0
    assert "WARNING: the item model was trained on 3 of the 3 validation days" in capsys.readouterr().out
    assert read_sealed_json(default_calibration_path(stored, MODEL_ID))["days_trained_on"] == 3
    write_json(model / "manifest.json", {"model_id": MODEL_ID, "log_end_us": noon_us - 2 * US_PER_DAY})
    by_query = replace(split, kind="query_hash", test_start_us=None)
    for given in (by_query, replace(split, test_start_us=noon_us - 2 * US_PER_DAY), replace(split, kind="none")):
        given.save(model)
        assert calibrate((stored, engagements), *FEW) == 0
        assert "WARNING" not in capsys.readouterr().out


def test_so_many_users_are_measured_and_told(shop, tmp_path, capsys):
    path = tmp_path / "c.json"
    few = f"--calibration={path}", "--calibrate-samples=3"
    assert calibrate(shop, *few, "--calibrate-users=8") == 0
    assert "calibrate: 8 of 20 users with actions on a validation day and before it" in capsys.readouterr().out
    found = read_sealed_json(path)
    assert (found["users"], found["users_of"], found["user_days"]) == (8, 20, 24)
    assert found["best"][0]["recall"] == pytest.approx(1)
    assert calibrate(shop, *few) == 0
    assert "calibrate: 20 of 20 users" in capsys.readouterr().out
    assert calibrate(shop, f"--calibration={path}", "--calibrate-users=6") == 2
    assert "got 18 in the 3 days" in capsys.readouterr().err
    assert calibrate(shop, f"--calibration={path}", "--calibrate-users=0") == 2
    assert "expected --calibrate-users" in capsys.readouterr().err


def test_the_same_data_give_the_same_bytes_at_the_given_place(shop, tmp_path):
    for name in ("one.json", "other.json"):
        flags = f"--calibration={tmp_path / name}", "--calibrate-samples=2,3", "--calibrate-users=8"
        assert calibrate(shop, *flags) == 0
    assert (tmp_path / "one.json").read_bytes() == (tmp_path / "other.json").read_bytes()
    assert not [path for path in tmp_path.iterdir() if path.name.startswith(".")]
    assert json.loads((tmp_path / "one.json").read_text())["calibration_days"] == 3


def test_the_given_numbers_of_samples_are_compared(shop, tmp_path, capsys):
    """Two medoids bring two of a user's three groups: three are needed, and enough."""
    path = tmp_path / "c.json"
    assert calibrate(shop, f"--calibration={path}", "--calibrate-samples=7, 2,2,3") == 0
    found = read_sealed_json(path)
    recall = {one["samples"]: one["recall"] for one in found["best"] if one["sampled"]}
    assert list(recall) == [2, 3, 7]
    assert 0.6 < recall[2] < 0.8
    assert found["samples"] == 3
    shown = capsys.readouterr().out
    assert shown.splitlines()[2].split() == [
        "alpha",
        "clusters",
        *"e=2",
        "top",
        "2",
        *"e=3",
        "top",
        "3",
        *"e=7",
        "top",
        "7",
    ]
    assert "largest e tried" not in shown
    assert calibrate(shop, f"--calibration={path}", "--calibrate-samples=2") == 0
    alone = read_sealed_json(path)
    assert (alone["samples"], alone["best"]) == (2, found["best"][:2])
    assert "largest e tried" not in capsys.readouterr().out
    assert calibrate(shop, f"--calibration={path}", "--calibrate-samples=1,2") == 0
    assert "users: e = 2 at" in (shown := capsys.readouterr().out)
    assert "(the largest e tried: --calibrate-samples may go further)" in shown


@pytest.mark.parametrize(
    "given", ["", ",", "3,", "three", "0", "-3", "101", "3.5", "1e1", "\u0663", "3;5", "1," * 11 + "1"]
)
def test_nonsense_in_place_of_numbers_is_refused(shop, tmp_path, capsys, given):
    assert calibrate(shop, f"--calibration={tmp_path / 'c.json'}", f"--calibrate-samples={given}") == 2
    assert "expected --calibrate-samples as 1 to 10 numbers from 1 to 100" in capsys.readouterr().err
    assert not (tmp_path / "c.json").exists()


def test_the_length_of_the_validation_part_of_pairs_is_not_ours(tmp_path):
    """A file that all commands share."""
    (tmp_path / "shop.toml").write_text("validation_days = 1.5\ncalibration_days = 5\n")
    assert read_config_file(str(tmp_path / "shop.toml"), UsersConfig, "users") == {"calibration_days": 5}


def test_nothing_of_the_run_is_touched(shop, tmp_path):
    run, _ = shop
    before = {path: path.stat().st_mtime_ns for path in run.rglob("*")}
    assert calibrate(shop, f"--calibration={tmp_path / 'c.json'}", *FEW) == 0
    assert {path: path.stat().st_mtime_ns for path in run.rglob("*")} == before


def test_too_few_user_days_are_refused_with_what_to_do(shop, tmp_path, capsys):
    assert calibrate(shop, f"--calibration={tmp_path / 'c.json'}", "--date=2026-06-01") == 2
    message = capsys.readouterr().err
    assert "expected at least 20 user-days" in message
    assert "got 0" in message
    assert "rows after date 720, rows read 780, rows used 60. To do: give a later --date" in message
    assert not (tmp_path / "c.json").exists()


@pytest.mark.parametrize(
    ("flag", "remedy"),
    [
        ("--date=2027-01-01", "rows read 780, rows too old 780. To do: give a --date inside the log"),
        ("--actions=checkout", "rows other actions 780, rows read 780. To do: see --actions"),
    ],
)
def test_a_log_that_makes_no_user_fails_with_what_to_do(shop, tmp_path, capsys, flag, remedy):
    assert calibrate(shop, f"--calibration={tmp_path / 'c.json'}", flag) == 3
    message = capsys.readouterr().err
    assert "log.parquet that make users, got none" in message
    assert remedy in message
    assert not (tmp_path / "c.json").exists()


def test_what_to_do_depends_on_what_the_log_lacks():
    read = {"rows_read": 100}
    assert "user_id" in why_few({**read, "rows_without_user": 90, "rows_item_unknown": 5, "rows_used": 5})
    assert "same item ids" in why_few({**read, "rows_without_user": 5, "rows_item_unknown": 90, "rows_used": 5})
    assert "--calibration-days" in why_few({**read, "rows_without_user": 5, "rows_item_unknown": 5, "rows_used": 90})
    assert why_few({}).startswith("no rows. To do: give more --calibration-days")
