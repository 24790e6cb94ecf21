"""The gates before a training: rejected rows of the catalogue and of the log, and pictures that are missing."""

import json
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from train_runs import DATE, ENCODER, TINY, models_of, run_train, training_folder, write_catalogue, write_log

from pipelines.train import job as train
from schemas.tables import ENGAGEMENTS

pytestmark = pytest.mark.slow


def test_too_many_rejected_rows_stop_training_after_ingest(tmp_path, capsys):
    write_catalogue(tmp_path, item_id=[None] * 25 + [f"item-{number}" for number in range(15)])
    assert run_train(tmp_path, *ENCODER) == 3
    shown = capsys.readouterr().err
    assert "[quarantine_rows] 25 of 40 rows are quarantined (0.625): expected at most 0.1" in shown
    assert "No model is trained: the store has none." in shown
    (tmp_path / "store" / "models").mkdir(parents=True)
    (tmp_path / "store" / "models" / "CURRENT").write_text("0123456789abcdef\n")
    assert run_train(tmp_path, *ENCODER) == 3
    assert "No model is trained: the store keeps the one it has." in capsys.readouterr().err
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
    assert run_train(tmp_path, *ENCODER, *accepted, "--validation-fraction", "0", "--accept-untrained") == 0
    assert "accepted quarantine_pictures: they come tomorrow" in capsys.readouterr().out
    (model,) = models_of(tmp_path).values()
    assert model["accepted"] == {"quarantine_pictures": "they come tomorrow"}
    assert model["picture_dim"] == 1280


def test_a_threshold_may_be_raised(tmp_path):
    write_catalogue(tmp_path, missing=25)
    assert run_train(tmp_path, *ENCODER, "--max-quarantined-pictures", "0.7", "--validation-fraction", "0") == 0


def test_a_bad_log_stops_training_until_it_is_accepted(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write_catalogue(tmp_path, images=None)
    write_log(tmp_path)
    rows = pq.read_table(tmp_path / "log.parquet").to_pylist()
    for row in rows[:200]:
        row["action"] = "view_item"
    pq.write_table(pa.Table.from_pylist(rows, schema=ENGAGEMENTS), tmp_path / "log.parquet")
    places = ["--catalog", f"{tmp_path}/catalog.parquet", "--engagements", f"{tmp_path}/log.parquet", "--date", DATE]
    call = [*places, "--store", f"{tmp_path}/store", "--image-encoder", "none", *TINY, "--accept-untrained"]
    assert train.main(call) == 3
    shown = capsys.readouterr().err
    assert "quarantine_log" in shown
    assert "view_item" in shown
    assert "--accept quarantine_log" in shown
    assert not models_of(tmp_path)
    assert train.main([*call, "--accept", "quarantine_log", "--because", "old app"]) == 0, capsys.readouterr().err
    (manifest,) = models_of(tmp_path).values()
    assert manifest["accepted"] == {"quarantine_log": "old app"}
