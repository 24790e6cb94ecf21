"""Where alpha comes from: the flag, a calibration for these very vectors, the default."""

from dataclasses import dataclass
from pathlib import Path

import pytest
from users_runs import MODEL_ID, row, run_users, vectors_of, write_log, write_vectors

from pipelines.units import read_stage_manifest
from pipelines.user_alpha import DEFAULT, DEFAULT_ALPHA, GIVEN, alpha_of, default_calibration_path
from schemas.errors import CorruptFileError, UsageError
from schemas.files import write_json, write_sealed_json


@dataclass
class Flags:
    run: str
    alpha: float | None = None
    calibration: str | None = None


def test_a_store_has_one_calibration_a_model_and_a_single_run_its_own(tmp_path):
    in_store = tmp_path / "runs" / "2026-06-30" / "0123456789abcdef"
    assert default_calibration_path(in_store, MODEL_ID) == tmp_path / "calibration" / f"{MODEL_ID}.json"
    assert default_calibration_path(tmp_path / "scratch", MODEL_ID) == tmp_path / "scratch" / "calibration.json"


@pytest.mark.parametrize("model_id", ["../../etc/passwd", "a/b", "", ".hidden", "x" * 999, "a\0b", "one-embedding/v2"])
def test_a_model_id_never_leads_out_of_the_folder(tmp_path, model_id):
    path = default_calibration_path(tmp_path / "runs" / "2026-06-30" / "0123456789abcdef", model_id)
    assert path.parent == tmp_path / "calibration"
    assert path.name.startswith("model-")


def test_flag_then_calibration_then_default(tmp_path):
    assert alpha_of(Flags(str(tmp_path)), MODEL_ID) == (DEFAULT_ALPHA, DEFAULT)
    path = default_calibration_path(tmp_path, MODEL_ID)
    write_sealed_json(path, {"model_id": MODEL_ID, "alpha": 0.75, "curve": []})
    assert alpha_of(Flags(str(tmp_path)), MODEL_ID) == (0.75, str(path))
    assert alpha_of(Flags(str(tmp_path), alpha=0.0), MODEL_ID) == (0.0, GIVEN)
    assert alpha_of(Flags(str(tmp_path)), "another") == (DEFAULT_ALPHA, DEFAULT)
    assert alpha_of(Flags("elsewhere", calibration=str(path)), MODEL_ID) == (0.75, str(path))


def test_a_calibration_that_was_named_must_be_there_and_fit(tmp_path):
    path = tmp_path / "calibration.json"
    with pytest.raises(UsageError, match="got none at"):
        alpha_of(Flags("r", calibration=str(path)), MODEL_ID)
    write_json(path, {"model_id": "another", "alpha": 0.75})
    with pytest.raises(UsageError, match=f"expected a calibration for vectors of '{MODEL_ID}', got one of 'another'"):
        alpha_of(Flags("r", calibration=str(path)), MODEL_ID)


@pytest.mark.parametrize("alpha", [None, "1", True, -0.5, [], 1e999])
def test_a_calibration_without_a_number_is_damaged(tmp_path, alpha):
    path = tmp_path / "calibration.json"
    text = '{"model_id": "m", "alpha": 1e999}' if alpha == 1e999 else None
    if text is None:
        write_json(path, {"model_id": "m", "alpha": alpha})
    else:
        path.write_text(text)
    with pytest.raises(CorruptFileError):
        alpha_of(Flags(str(tmp_path)), "m")


def test_a_changed_calibration_is_damaged(tmp_path):
    path = tmp_path / "calibration.json"
    write_sealed_json(path, {"model_id": "m", "alpha": 0.75})
    path.write_text(path.read_text().replace("0.75", "0.85"))
    with pytest.raises(CorruptFileError, match="checksum"):
        alpha_of(Flags(str(tmp_path)), "m")


def test_the_job_says_which_alpha_it_used(tmp_path, capsys):
    vectors, log = (
        write_vectors(tmp_path / "v.parquet", vectors_of()),
        write_log(tmp_path / "log", [row("u", "item-001")]),
    )
    told = {}
    for name in ("default", "calibrated", "given"):
        if name == "calibrated":
            write_sealed_json(Path(tmp_path, "run", "calibration.json"), {"model_id": MODEL_ID, "alpha": 0.75})
        assert run_users(tmp_path / "run", vectors, log, *(["--alpha", "0.25"] if name == "given" else [])) == 0
        told[name] = (
            capsys.readouterr().out.splitlines()[0],
            read_stage_manifest(str(tmp_path / "run"), "users")["alpha"],
        )
    assert told["default"] == (
        f"users: alpha {DEFAULT_ALPHA} is the default; itemsage users --calibrate ... chooses it on your data",
        DEFAULT_ALPHA,
    )
    assert told["calibrated"] == (f"users: alpha 0.75 of {tmp_path / 'run' / 'calibration.json'}", 0.75)
    assert told["given"] == ("users: alpha 0.25 of --alpha", 0.25)
