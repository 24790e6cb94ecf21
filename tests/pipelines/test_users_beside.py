"""`itemsage evaluate-users --also`: the same walk forward on several item vectors, on the items that all have."""

import datetime as dt
import json
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from user_shop import FROM, TO, make_shop
from users_runs import MODEL_ID, finish_embeddings, write_vectors

from model.users.actions import Actions
from model.users.baselines import METHODS
from model.users.bucket_users import ItemVectors
from model.users.lists import LISTS
from pipelines.console.exit_codes import EXIT_FAULT
from pipelines.evaluate_users.beside import CALIBRATED, OWN_AS_MANY, CommonItems
from pipelines.evaluate_users.job import main
from pipelines.run.units import write_stage_manifest
from pipelines.users.alpha import default_calibration_path
from schemas.days import end_of_day_us
from schemas.files import write_sealed_json
from schemas.records.embeddings import read_embeddings

pytestmark = pytest.mark.medium

ALPHA, LENGTH = 4.0, 100


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    return make_shop(tmp_path_factory.mktemp("shop"))


@pytest.fixture(scope="module")
def others(shop, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """(embeddings that say nothing of what goes together; the run's without a fifth of the items)."""
    folder = tmp_path_factory.mktemp("others")
    ids, matrix_ND = read_embeddings(shop[0] / "embeddings")
    names = ids.to_pylist()
    shuffled_ND = matrix_ND[np.random.default_rng(0).permutation(len(names))]
    finish_embeddings(folder / "shuffled", dict(zip(names, shuffled_ND, strict=True)))
    some = {name: row for place, (name, row) in enumerate(zip(names, matrix_ND, strict=True)) if place % 5}
    finish_embeddings(folder / "some", some)
    return folder / "shuffled" / "embeddings", folder / "some" / "embeddings"


def compare(shop: tuple[Path, Path], out: Path, also: str, *flags: str) -> tuple[int, dict[str, Any], str]:
    arguments = [f"--run={shop[0]}", f"--engagements={shop[1]}", f"--from={FROM}", f"--to={TO}", f"--also={also}"]
    arguments += [f"--list-length={LENGTH}", *flags]
    code = main([*arguments, f"--out={out / 'page.md'}", f"--out-json={out / 'figures.json'}"])
    return code, json.loads((out / "figures.json").read_text()), (out / "page.md").read_text()


@pytest.fixture(scope="module")
def compared(shop, others, tmp_path_factory: pytest.TempPathFactory) -> tuple[int, dict[str, Any], str]:
    also = f"again={shop[0] / 'embeddings'},shuffled={others[0]}"
    return compare(shop, tmp_path_factory.mktemp("out"), also, f"--alpha={ALPHA}")


def day_before(date: str) -> str:
    return (dt.date.fromisoformat(date) - dt.timedelta(days=1)).isoformat()


def day_after(date: str) -> str:
    return (dt.date.fromisoformat(date) + dt.timedelta(days=1)).isoformat()


def figures(report: dict[str, Any], method: str, metric: str = "recall") -> dict[str, Any]:
    return next(one for one in report["methods"] if one["method"] == method)[metric]


def test_each_column_is_what_the_vectors_have_alone(compared, shop, others, tmp_path):
    """The twin: the page of one kind of vectors, made by the other code path."""
    code, report, _ = compared
    assert code == 0
    assert [one["method"] for one in report["methods"]] == [*METHODS, *LISTS]
    for name, folder in (("embeddings", shop[0] / "embeddings"), ("shuffled", others[0])):
        arguments = [f"--embeddings={folder}", f"--engagements={shop[1]}", f"--from={FROM}", f"--to={TO}"]
        arguments += [f"--alpha={ALPHA}", f"--list-length={LENGTH}", f"--out-json={tmp_path / 'alone.json'}"]
        assert main(arguments) == 0
        alone = json.loads((tmp_path / "alone.json").read_text())["walk_forward"]
        for row in alone["methods"]:
            for metric in ("recall", "r_precision", "reciprocal_rank"):
                got = figures(report, row["method"], metric)[name]["mean"]
                assert got == pytest.approx(row[metric]["mean"], abs=1e-12), (name, row["method"], metric)
        own = next(one for one in report["vectors"] if one["name"] == name)
        assert own["over_best_baseline"] == alone["over_best_baseline"]


def test_equal_vectors_differ_by_nothing_and_shuffled_ones_are_shown_below(compared):
    _, report, page = compared
    ours = figures(report, "PinnerSage, e = 3")
    assert (ours["again"]["lift_low"], ours["again"]["lift"], ours["again"]["lift_high"]) == (0, 0, 0)
    assert ours["shuffled"]["lift_high"] < -50
    lists = figures(report, "own most bought")
    no_vector_is_looked_at = [lists["shuffled"][name] for name in ("lift_low", "lift_high")]
    assert no_vector_is_looked_at == pytest.approx([0, 0], abs=1e-9)
    row = next(line for line in page.splitlines() if line.startswith("| PinnerSage, e = 3 |")).split(" | ")
    assert [cell.rstrip(" |").endswith("*") for cell in row[1:]] == [False, False, True]


def test_items_that_one_lacks_are_left_out_for_all(shop, others, tmp_path):
    _, report, page = compare(shop, tmp_path, f"some={others[1]}", f"--alpha={ALPHA}")
    ours = figures(report, "PinnerSage, e = 3")
    assert report["items"] == report["items_of"][1] == report["items_of"][0] * 4 // 5
    assert 0.6 < report["actions_kept"] / report["rows"]["rows_used"] < 0.95
    assert ours["some"] == ours["embeddings"]
    assert f"{report['actions_kept']:,} of {report['rows']['rows_used']:,} rows are on them" in page


def test_the_choice_of_each_calibration_is_a_row(shop, tmp_path, others):
    path = default_calibration_path(shop[0], MODEL_ID)
    calibration = {"model_id": MODEL_ID, "date": "2026-06-10", "calibration_days": 3, "samples": 5, "sampled": False}
    write_sealed_json(path, {**calibration, "alpha": ALPHA})
    try:
        _, report, page = compare(shop, tmp_path, f"shuffled={others[0]}")
    finally:
        path.unlink()
    assert [one["method"] for one in report["methods"]][-2:] == [CALIBRATED, OWN_AS_MANY]
    assert {one["over_best_baseline"]["method"] for one in report["vectors"]} == {CALIBRATED}
    assert "top 5, alpha 4" in page


def test_vectors_that_know_the_days_asked_are_warned_of(shop, tmp_path, capsys):
    """Of a source the end of its log, of unified vectors that of their stage; a log up to the day before is fine."""
    ids, matrix_ND = read_embeddings(shop[0] / "embeddings")
    rows = dict(zip(ids.to_pylist(), matrix_ND, strict=True))
    ends = {"early": end_of_day_us(day_before(FROM)), "late": end_of_day_us(FROM), "open": None}
    folders = {}
    for name, end_us in ends.items():
        run = tmp_path / name
        folders[name] = write_vectors(run / "prod2vec" / "embeddings" / "part.parquet", rows).parent
        write_stage_manifest(str(run), "prod2vec", [], **({} if end_us is None else {"log_end_us": end_us}))
        folders[f"{name}-unified"] = write_vectors(run / "unified" / "part.parquet", rows).parent
        write_stage_manifest(str(run), "unified", [], **({} if end_us is None else {"log_end_us": end_us}))
    run = tmp_path / "none"
    folders["none"] = write_vectors(run / "unified" / "part.parquet", rows).parent
    write_stage_manifest(str(run), "unified", [], source_ids={"dae": "dae-0"}, log_end_us=None)
    also = ",".join(f"{name}={folder}" for name, folder in folders.items())
    _, report, page = compare(shop, tmp_path, also, f"--alpha={ALPHA}")
    told = capsys.readouterr().err
    warned = [warning.split("'")[1] for warning in report["warnings"]]
    assert warned == ["late", "late-unified", "open", "open-unified"]
    assert all(f"WARNING: {warning}" in told and f"**Warning**: {warning}" in page for warning in report["warnings"])
    assert f"up to {day_after(FROM)} 00:00 UTC" in report["warnings"][0]
    assert all("a log whose end is not told" in warning for warning in report["warnings"][2:])


def test_common_items_keep_actions_of_all_and_the_place_of_each():
    rows_ND = np.eye(4, dtype=np.float32)
    first = ItemVectors(pa.array(["a", "b", "c", "d"]), rows_ND)
    second = ItemVectors(pa.array(["b", "d", "e"]), rows_ND[:3])
    common = CommonItems.of([first, second])
    assert common.ids.to_pylist() == ["b", "d"]
    assert np.array_equal(common.matrices[0], rows_ND[[1, 3]])
    assert np.array_equal(common.matrices[1], rows_ND[[0, 1]])
    kept = common.of_actions(Actions(["ann"], np.zeros(3, int), np.array([0, 3, 1]), np.array([5, 6, 7])))
    assert (kept.rows_M.tolist(), kept.times_us_M.tolist()) == ([1, 0], [6, 7])


@pytest.mark.parametrize(
    ("flags", "told"),
    [
        (["--also=prod2vec"], "--also NAME=FOLDER"),
        (["--also=embeddings=x"], "with new names"),
        (["--also=a=nowhere"], "nowhere"),
        (["--also=a=x", "--calibration=c.json"], "--also without --calibration"),
        (["--vectors=unified", "--embeddings=x"], "got --embeddings x"),
    ],
)
def test_a_wrong_call_is_told_and_writes_nothing(shop, tmp_path, capsys, flags, told):
    arguments = [f"--run={shop[0]}", f"--engagements={shop[1]}", f"--from={FROM}", f"--to={TO}"]
    assert main([*arguments, f"--out={tmp_path / 'page.md'}", *flags]) == 2
    assert told in capsys.readouterr().err
    assert not list(tmp_path.iterdir())


def test_vectors_that_are_not_there_are_told_with_what_makes_them(shop, tmp_path, capsys):
    arguments = [f"--engagements={shop[1]}", f"--from={FROM}", f"--to={TO}"]
    assert main([f"--run={shop[0]}", *arguments, "--vectors=unified"]) == EXIT_FAULT
    told = capsys.readouterr().err
    assert f"expected unified vectors in {shop[0]}, got none" in told
    assert "`itemsage daily --unify` makes them" in told
    pq.write_table(pa.table({"item_id": ["a"], "count": [3]}), tmp_path / "evidence.parquet")
    assert main([*arguments, f"--embeddings={tmp_path}"]) == EXIT_FAULT
    told = capsys.readouterr().err
    assert f"in {tmp_path / 'evidence.parquet'}: give a folder of item vectors and nothing else" in told
    assert "prod2vec/embeddings of a run" in told


def test_vectors_of_no_common_item_are_refused(shop, tmp_path, capsys):
    finish_embeddings(tmp_path / "else", {"elsewhere": np.eye(32, dtype=np.float32)[0]})
    arguments = [f"--run={shop[0]}", f"--engagements={shop[1]}", f"--from={FROM}", f"--to={TO}"]
    assert main([*arguments, f"--also=other={tmp_path / 'else' / 'embeddings'}"]) == 2
    assert "items that all vectors have, got none" in capsys.readouterr().err
