"""Calibration of alpha on a shop where its right value is known."""

import json
from pathlib import Path

import pytest
from user_shop import TO, make_shop
from users_runs import MODEL_ID

from model.user_calibration import alpha_grid
from pipelines import users
from pipelines.user_alpha import alpha_of, default_calibration_path
from pipelines.user_plan import UsersConfig
from schemas.files import read_sealed_json


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    return make_shop(tmp_path_factory.mktemp("shop"))


def calibrate(shop: tuple[Path, Path], *flags: str) -> int:
    run, engagements = shop
    arguments = [f"--run={run}", f"--engagements={engagements}", f"--date={TO}", "--calibrate", "--validation-days=3"]
    return users.main([*arguments, *flags])


def test_the_alpha_that_keeps_groups_apart_is_chosen_written_and_found(shop, capsys):
    run, engagements = shop
    assert calibrate(shop) == 0
    shown = capsys.readouterr().out
    path = default_calibration_path(run, MODEL_ID)
    found = read_sealed_json(path)
    curve = {point["alpha"]: point for point in found["curve"]}
    assert [*curve] == alpha_grid()
    best = curve[found["alpha"]]
    assert 1 < found["alpha"] < 20
    assert best["recall"] == pytest.approx(1)
    assert (best["clusters_median"], best["clusters_p90"]) == (3, 3)
    larger = [point["recall"] for alpha, point in curve.items() if alpha > found["alpha"]]
    assert max(larger) < 0.95  # of all that keep the groups apart the largest
    assert curve[0.1]["recall"] < 0.9
    assert curve[64.0]["recall"] < 0.6
    assert curve[64.0]["clusters_median"] == 1
    assert (found["model_id"], found["date"], found["criterion"]) == (MODEL_ID, TO, "recall@400")
    assert found["user_days"] == 60
    marked = [line for line in shown.splitlines() if line.startswith("* ")]
    assert len(marked) == 1
    assert float(marked[0].split()[1]) == found["alpha"]
    config = UsersConfig(run=str(run), engagements=str(engagements), date=TO)
    assert alpha_of(config, MODEL_ID) == (found["alpha"], str(path))


def test_the_same_data_give_the_same_bytes_at_the_given_place(shop, tmp_path):
    for name in ("one.json", "other.json"):
        assert calibrate(shop, f"--calibration={tmp_path / name}") == 0
    assert (tmp_path / "one.json").read_bytes() == (tmp_path / "other.json").read_bytes()
    assert not [path for path in tmp_path.iterdir() if path.name.startswith(".")]
    assert json.loads((tmp_path / "one.json").read_text())["validation_days"] == 3


def test_nothing_of_the_run_is_touched(shop, tmp_path):
    run, _ = shop
    before = {path: path.stat().st_mtime_ns for path in run.rglob("*")}
    assert calibrate(shop, f"--calibration={tmp_path / 'c.json'}") == 0
    assert {path: path.stat().st_mtime_ns for path in run.rglob("*")} == before


@pytest.mark.parametrize("flags", [["--date=2026-06-01"], ["--date=2027-01-01"], ["--actions=checkout"]])
def test_too_few_user_days_are_refused_with_their_number(shop, tmp_path, capsys, flags):
    assert calibrate(shop, f"--calibration={tmp_path / 'c.json'}", *flags) == 2
    message = capsys.readouterr().err
    assert "expected at least 20 user-days" in message
    assert "got 0" in message
    assert "--validation-days" in message
    assert not (tmp_path / "c.json").exists()
