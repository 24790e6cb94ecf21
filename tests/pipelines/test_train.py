"""`itemsage train`: what is refused before work, after ingest, after the features and after training; what is said."""

import json
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from PIL import Image

from pipelines import train

DATE = "2026-06-30"
TINY = ("--pseudo-queries", "4", "--epochs", "1", "--min-steps", "4", "--batch-size", "32", "--device", "cpu")
ENCODER = ("--image-encoder", "efficientnet_lite0")


def write_catalogue(folder: Path, count: int = 40, missing: int = 0, **columns: list) -> None:
    """catalog.parquet of mugs with a picture each, of which the first `missing` are not there. columns: in place of
    ours, None for none."""
    folder.mkdir(parents=True, exist_ok=True)
    colours = ("red", "green", "blue", "white", "black")
    table = {
        "item_id": [f"item-{number:03d}" for number in range(count)],
        "title": [f"{colours[number % 5]} mug number {number}" for number in range(count)],
        "images": [[f"{number}.png"] for number in range(count)],
    }
    for number in range(missing, count):
        pixels = np.random.default_rng(number).integers(0, 256, (8, 8, 3), np.uint8)
        Image.fromarray(pixels).resize((32, 32)).save(folder / f"{number}.png")
    table = {name: values for name, values in (table | columns).items() if values is not None}
    pq.write_table(pa.table(table), folder / "catalog.parquet")


def run_train(folder: Path, *flags: str) -> int:
    places = ("--catalog", f"{folder}/catalog.parquet", "--image-root", str(folder), "--store", f"{folder}/store")
    return train.main([*places, "--date", DATE, *TINY, *flags])


def training_folder(folder: Path) -> Path:
    (found,) = (folder / "store" / "training" / DATE).iterdir()
    return found


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        (("--epochs", "0"), "epochs > 0"),
        (("--epochs", "nan"), "epochs > 0"),
        (("--epochs", "inf"), "epochs > 0"),
        (("--min-steps", "-1"), "min_steps >= 0"),
        (("--batch-size", "0"), "batch_size >= 1"),
        (("--dropout", "1"), "a dropout from 0 to below 1"),
        (("--test-fraction", "2"), "test and validation fractions"),
        (("--max-quarantined-pictures", "2"), "--max-quarantined-pictures from 0 to 1"),
        (("--min-quarantined", "-1"), "--min-quarantined >= 0"),
        (("--accept", "quarantine_pictures"), "--accept and --because together"),
        (("--accept", "no_such_gate", "--because", "x"), "'no_such_gate'"),
    ],
    ids=str,
)
def test_a_wrong_number_is_refused_before_any_work(tmp_path, capsys, flags, message):
    write_catalogue(tmp_path)
    assert run_train(tmp_path, *ENCODER, *flags) == 2
    assert message in capsys.readouterr().err
    assert not (tmp_path / "store").exists()


@pytest.mark.parametrize(("name", "hint"), [("Image", "is it 'Image'?"), ("foto", "none for a shop without pictures")])
def test_an_image_encoder_for_a_catalogue_without_a_column_of_pictures_is_a_wrong_call(tmp_path, capsys, name, hint):
    """Told before any work, and before the default encoder's weights are fetched."""
    write_catalogue(tmp_path, images=None, **{name: [["a.png"]] * 40})
    assert run_train(tmp_path) == 2
    shown = capsys.readouterr().err
    assert "expected pictures for the image encoder resnet50, got a catalogue that lists none" in shown
    assert hint in shown
    assert "[columns] images = " in shown
    assert not (tmp_path / "store").exists()


def test_an_image_encoder_for_a_catalogue_whose_pictures_are_all_empty_is_a_wrong_call(tmp_path, capsys):
    write_catalogue(tmp_path, images=pa.array([[]] * 40, pa.list_(pa.string())))
    assert run_train(tmp_path, *ENCODER) == 2
    assert "expected pictures for the image encoder efficientnet_lite0" in capsys.readouterr().err
    assert not (training_folder(tmp_path) / "vocabulary").exists()


def test_too_many_rejected_rows_stop_training_after_ingest(tmp_path, capsys):
    write_catalogue(tmp_path, item_id=[None] * 25 + [f"item-{number}" for number in range(15)])
    assert run_train(tmp_path, *ENCODER) == 3
    shown = capsys.readouterr().err
    assert "[quarantine_rows] 25 of 40 rows are quarantined (0.625): expected at most 0.1" in shown
    assert "No model is trained" in shown
    assert not (training_folder(tmp_path) / "vocabulary").exists()


@pytest.mark.parametrize(("missing", "share"), [(40, "(1): expected at most 0.2, and never all"), (25, "(0.625)")])
def test_too_many_missing_pictures_stop_training_after_the_features(tmp_path, capsys, missing, share):
    write_catalogue(tmp_path, missing=missing)
    for _ in range(2):  # again: nothing is mended
        assert run_train(tmp_path, *ENCODER) == 3
        shown = capsys.readouterr().err
        assert f"[quarantine_pictures] {missing} of 40 pictures are quarantined {share}" in shown
        assert '--accept quarantine_pictures --because "..."' in shown
        assert "published" not in shown
    folder = training_folder(tmp_path)
    gates = {gate["name"]: gate["status"] for gate in json.loads((folder / "gates.json").read_text())["gates"]}
    assert gates == {"quarantine_rows": "passed", "quarantine_pictures": "failed"}
    assert not (folder / "pairs").exists()
    assert not (tmp_path / "store" / "models").exists()


def test_missing_pictures_that_are_accepted_train_a_model_that_says_so(tmp_path, capsys):
    write_catalogue(tmp_path, missing=40)
    accepted = ("--accept", "quarantine_pictures", "--because", "they come tomorrow")
    assert run_train(tmp_path, *ENCODER, *accepted) == 0
    assert "accepted quarantine_pictures: they come tomorrow" in capsys.readouterr().out
    (model,) = (tmp_path / "store" / "models").glob("itemsage-*")
    manifest = json.loads((model / "manifest.json").read_text())
    assert manifest["accepted"] == {"quarantine_pictures": "they come tomorrow"}
    assert manifest["picture_dim"] == 1280


def test_thresholds_are_those_of_daily(tmp_path):
    write_catalogue(tmp_path, missing=25)
    assert run_train(tmp_path, *ENCODER, "--max-quarantined-pictures", "0.7") == 0
