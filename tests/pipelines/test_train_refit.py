"""`itemsage train --refit`: the model that goes into use is trained on the validation part, too."""

import doctest
from pathlib import Path

import pytest
from train_runs import models_of, run_train, training_folder, write_catalogue, write_log

from model.split.split import Split
from pipelines.train import model as train_model
from pipelines.train.model import wants_refit

LOG = ("--pseudo-queries", "0", "--split", "time", "--test-fraction", "0", "--image-encoder", "none")


class _Killed(BaseException):
    pass


def lines_of(shown: str) -> list[str]:
    return [line.removeprefix("train: ") for line in shown.splitlines() if line.startswith("train: ")]


def current_of(folder: Path) -> dict:
    return models_of(folder)[(folder / "store" / "models" / "CURRENT").read_text().strip()]


@pytest.mark.slow
def test_a_refit_follows_the_training_that_was_validated(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    write_catalogue(tmp_path, images=None)
    write_log(tmp_path)
    call = ("--engagements", f"{tmp_path}/log.parquet", *LOG, "--min-steps", "60", "--learning-rate", "0.003")
    assert run_train(tmp_path, *call, "--refit", "off") == 0
    chosen = current_of(tmp_path)
    assert chosen["refit"] is False
    assert chosen["metrics"]["refit"] is None
    capsys.readouterr()

    step = train_model._Shown.step

    def killed(shown: train_model._Shown, number: int, total_steps: int, loss: float) -> None:
        if shown.name == "refit" and number == 30:
            raise _Killed
        step(shown, number, total_steps, loss)

    monkeypatch.setattr(train_model._Shown, "step", killed)
    with pytest.raises(_Killed):
        run_train(tmp_path, *call)
    monkeypatch.setattr(train_model._Shown, "step", step)
    assert run_train(tmp_path, *call) == 0
    refitted, metrics = current_of(tmp_path), current_of(tmp_path)["metrics"]
    own = metrics["refit"]
    assert refitted["refit"] is True
    assert refitted["model_id"] != chosen["model_id"]
    assert {name: metrics[name] for name in metrics if name != "refit"} == {
        name: chosen["metrics"][name] for name in metrics if name != "refit"
    }
    num_validation = metrics["validation"]["search/click"]["num_pairs"]
    pairs = chosen["towers"]["text"]["search/click"]
    assert pairs <= refitted["towers"]["text"]["search/click"] <= pairs + num_validation
    assert refitted["towers"]["text"] == own["num_pairs_by_task"]
    assert own["steps"] == round(60 / metrics["steps_per_epoch"] * own["steps_per_epoch"])
    lines = lines_of(capsys.readouterr().out)
    assert [line for line in lines if line.startswith("continued: ")] == [
        "continued: 60 of 60 steps were taken before"
    ] * 2
    (began, again) = (line for line in lines if line.startswith(f"refit: {own['steps']} steps from the same start"))
    assert began == again
    assert f"with the {num_validation} validation pairs, too" in began
    assert "the validation above is of the model before the refit" in began
    (continued,) = (line for line in lines if line.startswith("refit: continued: "))
    assert int(continued.split()[2]) in range(1, 30)
    assert lines[-2].startswith("refit: moved from the start: table ")
    assert list(training_folder(tmp_path).glob("checkpoints/*/refit/metrics.jsonl"))

    assert run_train(tmp_path, *call, "--refit", "off") == 0
    assert current_of(tmp_path)["model_id"] == chosen["model_id"]


@pytest.mark.parametrize(
    ("asked", "has_test", "wanted"),
    [("auto", True, False), ("auto", False, True), ("on", True, True), ("off", False, False)],
)
def test_without_a_test_part_it_is_the_default(asked: str, has_test: bool, wanted: bool) -> None:
    assert wants_refit(asked, Split(kind="time", has_validation=True, has_test=has_test)) is wanted


def test_the_examples_are_right() -> None:
    result = doctest.testmod(train_model)
    assert result.attempted > 0
    assert result.failed == 0
