"""Calibration of alpha and of the number of samples on a shop where their right values are known."""

import json
from pathlib import Path

import pytest
from user_shop import TO, make_shop
from users_runs import MODEL_ID

from model.user_calibration import alpha_grid
from pipelines import users
from pipelines.config_file import read_config_file
from pipelines.user_alpha import alpha_of, default_calibration_path
from pipelines.user_plan import UsersConfig
from schemas.files import read_sealed_json


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    return make_shop(tmp_path_factory.mktemp("shop"))


def calibrate(shop: tuple[Path, Path], *flags: str) -> int:
    run, engagements = shop
    arguments = [f"--run={run}", f"--engagements={engagements}", f"--date={TO}", "--calibrate", "--calibration-days=3"]
    return users.main([*arguments, *flags])


def test_the_alpha_that_keeps_groups_apart_is_chosen_written_and_found(shop, capsys):
    run, engagements = shop
    assert calibrate(shop) == 0
    shown = capsys.readouterr().out
    path = default_calibration_path(run, MODEL_ID)
    found = read_sealed_json(path)
    curve = {point["alpha"]: point for point in found["curve"] if point["samples"] == 3}
    assert [*curve] == alpha_grid()
    assert len(found["curve"]) == 4 * len(curve)
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
    assert found["samples"] == 3  # of equally good numbers the fewest
    assert [one["samples"] for one in found["best"]] == [3, 5, 10, 20]
    assert [one["recall"] for one in found["best"]] == pytest.approx([1] * 4)
    assert {name: best[name] for name in found["best"][0]} == found["best"][0]
    marked = [line.split() for line in shown.splitlines() if "*" in line]
    assert {float(line[0]) for line in marked} == {one["alpha"] for one in found["best"]}
    assert sum(cell.endswith("*") for line in marked for cell in line) == 4
    assert sum(line.startswith("e = ") for line in shown.splitlines()) == 4
    assert f"users: e = 3 at alpha {found['alpha']:g} has the best recall@400" in shown
    config = UsersConfig(run=str(run), engagements=str(engagements), date=TO)
    assert alpha_of(config, MODEL_ID) == (found["alpha"], 3, str(path))


def test_the_same_data_give_the_same_bytes_at_the_given_place(shop, tmp_path):
    for name in ("one.json", "other.json"):
        assert calibrate(shop, f"--calibration={tmp_path / name}") == 0
    assert (tmp_path / "one.json").read_bytes() == (tmp_path / "other.json").read_bytes()
    assert not [path for path in tmp_path.iterdir() if path.name.startswith(".")]
    assert json.loads((tmp_path / "one.json").read_text())["calibration_days"] == 3


def test_the_given_numbers_of_samples_are_compared(shop, tmp_path, capsys):
    """Two medoids bring two of a user's three groups: three are needed, and enough."""
    path = tmp_path / "c.json"
    assert calibrate(shop, f"--calibration={path}", "--calibrate-samples=7, 2,2,3") == 0
    found = read_sealed_json(path)
    recall = {one["samples"]: one["recall"] for one in found["best"]}
    assert list(recall) == [2, 3, 7]
    assert 0.6 < recall[2] < 0.8
    assert found["samples"] == 3
    shown = capsys.readouterr().out
    assert shown.splitlines()[1].split() == ["alpha", "clusters", *"e=2e=3e=7"]
    assert "largest e tried" not in shown
    assert calibrate(shop, f"--calibration={path}", "--calibrate-samples=2") == 0
    alone = read_sealed_json(path)
    assert (alone["samples"], alone["best"]) == (2, found["best"][:1])
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
    assert calibrate(shop, f"--calibration={tmp_path / 'c.json'}") == 0
    assert {path: path.stat().st_mtime_ns for path in run.rglob("*")} == before


@pytest.mark.parametrize("flags", [["--date=2026-06-01"], ["--date=2027-01-01"], ["--actions=checkout"]])
def test_too_few_user_days_are_refused_with_their_number(shop, tmp_path, capsys, flags):
    assert calibrate(shop, f"--calibration={tmp_path / 'c.json'}", *flags) == 2
    message = capsys.readouterr().err
    assert "expected at least 20 user-days" in message
    assert "got 0" in message
    assert "--calibration-days" in message
    assert not (tmp_path / "c.json").exists()
