"""Where alpha comes from: the flag, a calibration for these very vectors, the default."""

from dataclasses import dataclass

import pytest
from users_runs import MODEL_ID, row, run_users, vectors_of, write_log, write_vectors

from model.users.pinnersage import DEFAULT_ALPHA
from pipelines.run.units import read_stage_manifest
from pipelines.users.alpha import (
    DEFAULT,
    GIVEN,
    alpha_in_store,
    alpha_of,
    best_alphas,
    calibrated_on,
    default_calibration_path,
)
from schemas.errors import CorruptFileError, UsageError
from schemas.files import write_sealed_json


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
    assert alpha_of(Flags(str(tmp_path)), MODEL_ID) == (DEFAULT_ALPHA, 3, DEFAULT, None, True)
    path = default_calibration_path(tmp_path, MODEL_ID)
    chosen = {"model_id": MODEL_ID, "alpha": 0.75, "samples": 20, "popularity_weight": 2}
    write_sealed_json(path, {**chosen, "curve": []})
    assert alpha_of(Flags(str(tmp_path)), MODEL_ID) == (0.75, 20, str(path), 2.0, True)
    assert alpha_of(Flags(str(tmp_path), alpha=0.0), MODEL_ID) == (0.0, 3, GIVEN, None, True)
    assert alpha_of(Flags(str(tmp_path)), "another") == (DEFAULT_ALPHA, 3, DEFAULT, None, True)
    assert alpha_of(Flags("elsewhere", calibration=str(path)), MODEL_ID) == (0.75, 20, str(path), 2.0, True)


def test_a_store_knows_them_before_there_is_a_run(tmp_path):
    run = tmp_path / "runs" / "2026-06-30" / "0123456789abcdef"
    assert alpha_in_store(tmp_path, None, MODEL_ID) == (DEFAULT_ALPHA, 3, DEFAULT, None, True)
    path = default_calibration_path(run, MODEL_ID)
    write_sealed_json(path, {"model_id": MODEL_ID, "alpha": 0.75, "samples": 20})
    assert alpha_in_store(tmp_path, None, MODEL_ID) == (0.75, 20, str(path), None, True)
    assert alpha_of(Flags(str(run)), MODEL_ID) == (0.75, 20, str(path), None, True)
    assert alpha_in_store(tmp_path, 0.5, MODEL_ID) == (0.5, 3, GIVEN, None, True)


def test_a_calibration_without_samples_is_for_three(tmp_path):
    path = tmp_path / "calibration.json"
    write_sealed_json(path, {"model_id": "m", "alpha": 0.75})
    assert alpha_of(Flags(str(tmp_path)), "m") == (0.75, 3, str(path), None, True)
    assert best_alphas(path) == {3: 0.75}


def test_the_best_alpha_of_each_number_of_samples_is_known(tmp_path):
    path = tmp_path / "calibration.json"
    best = [{"samples": 20, "alpha": 0.75}, {"samples": 3, "alpha": 4, "recall": 0.1}]
    write_sealed_json(path, {"model_id": "m", "alpha": 0.75, "samples": 20, "best": best})
    assert list(best_alphas(path).items()) == [(3, 4.0), (20, 0.75)]


@pytest.mark.parametrize(
    "best", [None, {}, [3], [{}], [{"samples": 3}], [{"samples": 0, "alpha": 1}], [{"alpha": "1"}]]
)
def test_a_calibration_with_a_broken_list_is_damaged(tmp_path, best):
    path = tmp_path / "calibration.json"
    write_sealed_json(path, {"model_id": "m", "alpha": 0.75, "samples": 20, "best": best})
    with pytest.raises(CorruptFileError, match="expected"):
        best_alphas(path)


@pytest.mark.parametrize("samples", [None, "3", True, 0, -1, 101, 3.0, []])
def test_a_calibration_with_no_number_of_samples_is_damaged(tmp_path, samples):
    write_sealed_json(tmp_path / "calibration.json", {"model_id": "m", "alpha": 0.75, "samples": samples})
    with pytest.raises(CorruptFileError, match="expected samples from 1 to 100"):
        alpha_of(Flags(str(tmp_path)), "m")


@pytest.mark.parametrize("weight", ["2", True, -0.5, []])
def test_a_calibration_with_a_weight_that_is_none_is_damaged(tmp_path, weight):
    write_sealed_json(tmp_path / "calibration.json", {"model_id": "m", "alpha": 0.75, "popularity_weight": weight})
    with pytest.raises(CorruptFileError, match="expected popularity_weight as a number of at least 0"):
        alpha_of(Flags(str(tmp_path)), "m")


def test_a_choice_of_the_top_medoids_is_known_and_its_alpha_is_not_that_of_sampled_ones(tmp_path):
    path = tmp_path / "calibration.json"
    best = [{"samples": 3, "alpha": 4.0, "sampled": True}, {"samples": 3, "alpha": 0.5, "sampled": False}]
    write_sealed_json(path, {"model_id": "m", "alpha": 0.5, "samples": 3, "sampled": False, "best": best})
    assert alpha_of(Flags(str(tmp_path)), "m") == (0.5, 3, str(path), None, False)
    assert best_alphas(path) == {3: 4.0}


@pytest.mark.parametrize("sampled", [None, "yes", 1])
def test_a_calibration_that_does_not_say_whether_to_sample_is_damaged(tmp_path, sampled):
    write_sealed_json(tmp_path / "calibration.json", {"model_id": "m", "alpha": 0.75, "sampled": sampled})
    with pytest.raises(CorruptFileError, match="expected sampled as true or false"):
        alpha_of(Flags(str(tmp_path)), "m")


def test_when_a_calibration_was_made_is_known(tmp_path):
    write_sealed_json(tmp_path / "c.json", {"date": "2026-06-30", "calibration_days": 7})
    assert calibrated_on(tmp_path / "c.json") == ("2026-06-30", 7)


@pytest.mark.parametrize("wrong", [{"date": None}, {"date": "20260630"}, {"date": "2026-06-31"}, {"date": 7}])
def test_a_calibration_without_a_date_does_not_say_when(tmp_path, wrong):
    write_sealed_json(tmp_path / "c.json", {"calibration_days": 7, **wrong})
    with pytest.raises(CorruptFileError, match="expected date as YYYY-MM-DD"):
        calibrated_on(tmp_path / "c.json")


@pytest.mark.parametrize("days", [None, 0, True, "7", 7.0])
def test_a_calibration_without_days_does_not_say_when(tmp_path, days):
    write_sealed_json(tmp_path / "c.json", {"date": "2026-06-30", "calibration_days": days})
    with pytest.raises(CorruptFileError, match="expected calibration_days"):
        calibrated_on(tmp_path / "c.json")


def test_a_calibration_that_was_named_must_be_there_and_fit(tmp_path):
    path = tmp_path / "calibration.json"
    with pytest.raises(UsageError, match="got none at"):
        alpha_of(Flags("r", calibration=str(path)), MODEL_ID)
    write_sealed_json(path, {"model_id": "another", "alpha": 0.75})
    with pytest.raises(UsageError, match=f"expected a calibration for vectors of '{MODEL_ID}', got one of 'another'"):
        alpha_of(Flags("r", calibration=str(path)), MODEL_ID)


@pytest.mark.parametrize("alpha", [None, "1", True, -0.5, [], 1e999])
def test_a_calibration_without_a_number_is_damaged(tmp_path, alpha):
    path = tmp_path / "calibration.json"
    text = '{"model_id": "m", "alpha": 1e999}' if alpha == 1e999 else None
    if text is None:
        write_sealed_json(path, {"model_id": "m", "alpha": alpha})
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


@pytest.mark.medium
def test_the_job_says_which_alpha_it_used(tmp_path, capsys):
    vectors, log = (
        write_vectors(tmp_path / "v.parquet", vectors_of()),
        write_log(tmp_path / "log", [row("u", "item-001")]),
    )
    told, calibration = {}, tmp_path / "run" / "calibration.json"
    for name in ("default", "calibrated", "given"):
        if name == "calibrated":
            write_sealed_json(calibration, {"model_id": MODEL_ID, "alpha": 0.75, "samples": 20})
        assert run_users(tmp_path / "run", vectors, log, alpha="0.25" if name == "given" else None) == 0
        manifest = read_stage_manifest(str(tmp_path / "run"), "users")
        (line,) = [line for line in capsys.readouterr().out.splitlines() if line.startswith("users: alpha")]
        told[name] = (line, manifest["alpha"], manifest["samples"])
    defaults = f"users: alpha {DEFAULT_ALPHA}, e = 3 are the defaults; itemsage users --calibrate ... chooses them on"
    assert told["default"] == (f"{defaults} your data", DEFAULT_ALPHA, 3)
    assert told["calibrated"] == (f"users: alpha 0.75, e = 20 of {calibration}", 0.75, 20)
    assert told["given"] == ("users: alpha 0.25, e = 3 of --alpha", 0.25, 3)


@pytest.mark.medium
def test_a_calibration_with_other_settings_is_warned_of(tmp_path, capsys):
    vectors = write_vectors(tmp_path / "v.parquet", vectors_of())
    log = write_log(tmp_path / "log", [row("u", "item-001")])
    told = {}
    for kinds in (["click", "save", "add_to_cart", "checkout"], ["save"]):
        made_for = {"actions": kinds, "window_days": 90, "max_actions": 2_000, "decay_per_day": 0.01}
        calibration = {"model_id": MODEL_ID, "alpha": 0.75, "samples": 20, **made_for}
        write_sealed_json(tmp_path / "run" / "calibration.json", calibration)
        assert run_users(tmp_path / "run", vectors, log, alpha=None) == 0
        told[len(kinds)] = [line for line in capsys.readouterr().out.splitlines() if "WARNING" in line]
    assert told[4] == []
    (line,) = told[1]
    assert "alpha was calibrated with --actions ['save'], this run has ['click', 'save'" in line


@pytest.mark.medium
def test_users_do_not_depend_on_the_weight_of_popularity(tmp_path):
    vectors = write_vectors(tmp_path / "v.parquet", vectors_of())
    log = write_log(tmp_path / "log", [row("u", "item-001")])
    found = {}
    for weight in (None, 2.0, 0.0):
        chosen = {} if weight is None else {"popularity_weight": weight}
        write_sealed_json(tmp_path / "run" / "calibration.json", {"model_id": MODEL_ID, "alpha": 0.75, **chosen})
        assert run_users(tmp_path / "run", vectors, log, alpha=None) == 0
        manifest = read_stage_manifest(str(tmp_path / "run"), "users")
        assert manifest["popularity_weight"] == weight
        paths = [path for name in ("users", "units") for path in (tmp_path / "run" / name).rglob("*")]
        found[weight] = (manifest["fingerprint"], {path: path.stat().st_mtime_ns for path in paths})
    assert found[None] == found[2.0] == found[0.0]


@pytest.mark.medium
def test_users_do_not_depend_on_the_number_of_samples(tmp_path, capsys):
    """Another number alone changes the manifest, computes nothing, and leaves a published run as it is."""
    vectors, log = (
        write_vectors(tmp_path / "v.parquet", vectors_of()),
        write_log(tmp_path / "log", [row("u", "item-001")]),
    )
    run, found = tmp_path / "run", {}
    for samples in (3, 20):
        write_sealed_json(run / "calibration.json", {"model_id": MODEL_ID, "alpha": 0.75, "samples": samples})
        assert run_users(run, vectors, log, alpha=None) == 0
        times = {path: path.stat().st_mtime_ns for folder in ("users", "units") for path in (run / folder).rglob("*")}
        found[samples] = (times, read_stage_manifest(str(run), "users"))
    assert found[3][0] == found[20][0]
    assert found[20][1]["samples"] == 20
    assert found[3][1]["fingerprint"] == found[20][1]["fingerprint"]
    (run / "COMPLETED").touch()
    assert run_users(run, vectors, log, alpha=None) == 0
    write_sealed_json(run / "calibration.json", {"model_id": MODEL_ID, "alpha": 0.75, "samples": 5})
    assert run_users(run, vectors, log, alpha=None) == 2
    assert "expected a run that is not published yet" in capsys.readouterr().err
    assert read_stage_manifest(str(run), "users")["samples"] == 20
