"""`itemsage evaluate-users` on a shop where the order of the methods is known by construction."""

import json
import os
import shutil
from pathlib import Path
from typing import Any

import pytest
from user_shop import FROM, TO, make_shop
from users_runs import MODEL_ID

from model.users.baselines import DECAY_PER_DAY, METHODS
from model.users.evaluation import RELEVANT_COSINE, TOP
from model.users.lists import LISTS, OWN, POPULAR
from model.users.month_ahead import BY_VECTORS, CUTS, MIN_ITEM_ACTIONS, WEIGHTS
from model.users.ranking import IMPRESSIONS_AN_ITEM
from pipelines.evaluate_users.alphas import alphas_of
from pipelines.evaluate_users.job import EvaluateUsersConfig, command_line, main
from pipelines.users.alpha import default_calibration_path
from pipelines.users.config import UsersConfig
from schemas.files import write_sealed_json

pytestmark = pytest.mark.medium

#: Clusters are the three groups of a user at this alpha.
ALPHA = 4.0


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    return make_shop(tmp_path_factory.mktemp("shop"))


def evaluate(shop: tuple[Path, Path], out: Path, *flags: str) -> tuple[int, dict[str, Any], str]:
    """(exit code, figures, page)."""
    run, engagements = shop
    arguments = [f"--run={run}", f"--engagements={engagements}", "--from", FROM, f"--to={TO}", f"--alpha={ALPHA}"]
    arguments.append(f"--list-length={TOP}")
    code = main([*arguments, f"--out={out / 'page.md'}", f"--out-json={out / 'figures.json'}", *flags])
    return code, json.loads((out / "figures.json").read_text()), (out / "page.md").read_text()


@pytest.fixture(scope="module")
def evaluated(shop, tmp_path_factory: pytest.TempPathFactory) -> tuple[int, dict[str, Any], str]:
    return evaluate(shop, tmp_path_factory.mktemp("out"))


def means(report: dict[str, Any], metric: str) -> dict[str, float]:
    return {m["method"]: m[metric]["mean"] for m in report["walk_forward"]["methods"]}


def test_methods_come_out_in_the_order_that_the_shop_was_made_for(evaluated):
    code, report, _ = evaluated
    assert code == 0
    recall = means(report, "recall")
    assert list(recall) == [*METHODS, *LISTS]
    assert recall["PinnerSage, e = 3"] == recall["PinnerSage, top 3 instead of sampled"] == 1
    assert recall["Ward centroids, e = 3"] == recall["complete linkage, e = 3"] == 1
    assert 0.6 < recall["PinnerSage, e = 2"] < 0.8
    assert recall["PinnerSage, e = 10"] == 1  # there are but three clusters
    for alone in ("last item", "single medoid", "PinnerSage, e = 1"):
        assert 0.3 < recall[alone] < 0.5
    for average in ("decay average, λ = 0", "decay average, λ = 0.01"):
        assert recall[average] < 0.05
    assert all(value >= recall[name] for name, value in means(report, "relevance").items())
    ranked = means(report, "r_precision")
    assert ranked["PinnerSage, e = 3"] > ranked["last item"]


def test_bold_is_only_what_is_above_the_best_of_the_others(evaluated):
    """Three queries of three clusters are the best there is, but centroids and complete linkage are level with them."""
    _, report, page = evaluated
    recall = means(report, "recall")
    assert recall[POPULAR] > 0.99  # 120 items are all that anybody wants, and the most popular 400 have those known
    assert 0.5 < recall[OWN] < 1
    over = report["walk_forward"]["over_best_baseline"]
    assert over["method"] == "PinnerSage, e = 3"
    assert over["metrics"]["recall"]["lift_high"] == 0
    assert over["metrics"]["recall"]["baseline"] not in ("PinnerSage, e = 2", "PinnerSage, e = 5")
    absolute = page.split("The same, absolute")[1]
    shown = next(line for line in absolute.splitlines() if line.startswith("| PinnerSage, e = 3 |"))
    for place, name in enumerate(("relevance", "recall", "r_precision", "reciprocal_rank")):
        is_bold = shown.split(" | ")[1 + place].startswith("**")
        assert is_bold == (over["metrics"][name]["lift_low"] > 0)
    assert "| metric | best baseline | lift |" in page


def test_what_was_measured_is_told(evaluated):
    _, report, _ = evaluated
    walk = report["walk_forward"]
    assert (walk["days"], walk["users"], walk["user_days"]) == (3, 20, 60)
    assert (report["items"], report["model_id"]) == (4 * (3 * 130 + 450), MODEL_ID)
    assert (report["alpha"], report["alpha_from"]) == (ALPHA, "--alpha")
    assert report["rows"]["rows_used"] == report["rows"]["rows_read"] == 20 * 13 * 3
    lift = next(m for m in walk["methods"] if m["method"] == "PinnerSage, e = 3")["recall"]
    assert 100 < lift["lift_low"] <= lift["lift"] <= lift["lift_high"] < 300
    month = report["month_ahead"]
    assert 15 < month["users"] <= 20
    assert 20 < month["candidates"] < 100  # of all 120 that are wanted: every list is long enough for all
    assert {m["all_recall@400"]["mean"] for m in month["methods"]} == {1.0}
    assert {m["method"] for m in month["methods"]} >= set(BY_VECTORS)


def test_pinnersage_at_other_alphas_is_shown_beside(evaluated):
    _, report, page = evaluated
    grid = {(p["alpha"], p["num"], p["sampled"]): p for p in report["walk_forward"]["alpha_by_num"]}
    chosen = next(m for m in report["walk_forward"]["methods"] if m["method"] == "PinnerSage, e = 3")
    assert grid[ALPHA, 3, True]["recall"] == chosen["recall"]["mean"] == 1
    assert grid[ALPHA, 3, True]["clusters_median"] == chosen["clusters_median"] == 3
    assert grid[ALPHA / 16, 3, True]["recall"] < 0.9  # many clusters a group: three of them miss some
    assert grid[ALPHA / 16, 3, True]["clusters_median"] > 3
    assert f"| {ALPHA:g} | 3 | 1.000 / 1.000 |" in page


#: Of the days before those evaluated.
CALIBRATION = {"model_id": MODEL_ID, "date": "2026-06-10", "calibration_days": 3}
#: What a calibration of this shop might say: groups halved for e = 10, everything in one cluster for e = 3.
BEST = [{"samples": 3, "alpha": 64.0}, {"samples": 5, "alpha": ALPHA}, {"samples": 10, "alpha": 0.25}]


@pytest.fixture(scope="module")
def calibrated(shop, tmp_path_factory: pytest.TempPathFactory) -> tuple[dict[str, Any], str]:
    folder = tmp_path_factory.mktemp("calibrated")
    write_sealed_json(folder / "c.json", {**CALIBRATION, "alpha": 0.25, "samples": 10, "best": BEST})
    (folder / "notes.md").write_text("\ufeffRecall is **high**.\n\n- see α\n\n", encoding="utf-8")
    run, engagements = shop
    arguments = [f"--run={run}", f"--engagements={engagements}", f"--from={FROM}", f"--to={TO}"]
    arguments += [f"--calibration={folder / 'c.json'}", f"--notes={folder / 'notes.md'}", f"--list-length={TOP}"]
    assert main([*arguments, f"--out={folder / 'page.md'}", f"--out-json={folder / 'figures.json'}"]) == 0
    return json.loads((folder / "figures.json").read_text()), (folder / "page.md").read_text()


def test_the_papers_table_is_at_the_best_alpha_for_3_and_the_calibrated_rows_at_theirs(calibrated, evaluated):
    report, page = calibrated
    chosen, other = "PinnerSage, calibrated: e = 10, alpha = 0.25", "PinnerSage, e = 5, alpha = 4, calibrated for it"
    own = ["own items, 10 most recent", "own items, 10 most important"]
    assert (report["alpha"], report["alpha_from"]) == (64.0, "calibration c.json, best for e = 3")
    assert report["calibrated"] == {
        "samples": 10,
        "alpha": 0.25,
        "sampled": True,
        "date": "2026-06-10",
        "days": 3,
    }
    methods = means_of(report)
    grid = {(p["alpha"], p["num"]): p for p in report["walk_forward"]["alpha_by_num"] if p["sampled"]}
    assert list(methods) == [*METHODS, *LISTS, chosen, *own, other]  # e = 3 at its own alpha is a row of the paper's
    assert methods["PinnerSage, e = 3"]["clusters_median"] == 1
    assert methods["PinnerSage, e = 3"]["recall"]["mean"] < 0.5
    assert methods[other]["clusters_median"] == 3
    assert methods[other]["recall"] == means_of(evaluated[1])["PinnerSage, e = 5"]["recall"]
    assert methods[chosen]["clusters_median"] > 3
    assert methods[chosen]["recall"]["mean"] == grid[0.25, 10]["recall"] > 0.8
    for name in (chosen, other):
        assert page.count(f"| {name} | ") >= 2
    assert (
        "- alpha 64 (calibration c.json, best for e = 3) where nothing else is said; calibrated choice: e = 10, alpha "
        "0.25, of the 3 days up to 2026-06-10\n" in page
    )
    assert {alpha for alpha, _ in grid} >= {0.25, 1.0}


def test_the_month_ahead_has_the_choice_alone_blended_and_with_all_medoids(calibrated, evaluated):
    report, page = calibrated
    added = ["PinnerSage, calibrated: e = 10, alpha = 0.25", "PinnerSage, all medoids, alpha = 0.25"]
    month = report["month_ahead"]
    assert {m["method"] for m in month["methods"]} - {m["method"] for m in evaluated[1]["month_ahead"]["methods"]} == {
        *added
    }
    for name in added:
        for question in ("all", "new"):
            weight = month["weights"][question][name]
            assert weight in WEIGHTS
            assert any(m["method"] == name and m["popularity_weight"] == weight for m in month["methods"])
        assert page.count(f"| {name} | ") >= 1
        assert page.count(f"| {name}, popularity ") == 1
    assert page.count("| PinnerSage, all medoids | ") == 1


def test_the_notes_end_the_page_and_the_command_names_them(calibrated, evaluated):
    _, page = calibrated
    assert page.endswith("\n\n## Reading the figures\n\nRecall is **high**.\n\n- see α\n")
    assert "--calibration c.json --list-length 400 --notes notes.md\n" in page
    assert "Reading the figures" not in evaluated[2]
    assert evaluated[1]["calibrated"] is None
    assert "calibrated" not in evaluated[2]


def means_of(report: dict[str, Any]) -> dict[str, dict[str, Any]]:
    return {m["method"]: m for m in report["walk_forward"]["methods"]}


def test_the_page_has_a_row_for_every_method_and_no_folder_of_this_machine(evaluated, shop):
    _, report, page = evaluated
    run, _ = shop
    for name in (*METHODS, *LISTS):
        assert page.count(f"| {name} | ") >= 2, name
    assert "| last item | +0 [+0, +0] | +0 [+0, +0] |" in page
    assert str(run.parent) not in page
    assert str(run.parent) not in json.dumps(report)
    call = f"itemsage evaluate-users --run run --engagements log.parquet --from {FROM} --to {TO} --alpha 4.0"
    assert f"{call} --list-length 400" in page
    widths = {line.count("|") for line in page.splitlines() if line.startswith("|")}
    assert widths <= {4, 6, 7, 11}


def test_the_same_call_gives_the_same_bytes(evaluated, shop, tmp_path):
    code, report, page = evaluate(shop, tmp_path)
    assert (code, report, page) == evaluated


def test_impressions_of_the_log_are_used(tmp_path, evaluated):
    code, report, page = evaluate(make_shop(tmp_path, impressions=True), tmp_path)
    assert code == 0
    assert report["walk_forward"]["impressions"] == "of the log"
    assert evaluated[1]["walk_forward"]["impressions"] == "drawn"
    assert "those of the log" in page
    assert means(report, "recall") == means(evaluated[1], "recall")
    assert report["rows"]["rows_other_actions"] == report["rows"]["rows_used"]


def test_any_embeddings_and_a_calibration_stand_in_for_the_run_and_alpha(shop, tmp_path, evaluated, capsys):
    run, engagements = shop
    calibration = tmp_path / "c.json"
    write_sealed_json(calibration, {**CALIBRATION, "alpha": ALPHA})
    common = [f"--embeddings={run / 'embeddings'}", f"--engagements={engagements}", f"--from={TO}", f"--to={TO}"]
    assert main([*common, f"--calibration={calibration}", f"--out-json={tmp_path / 'a.json'}"]) == 0
    report = json.loads((tmp_path / "a.json").read_text())
    assert (report["alpha"], report["alpha_from"]) == (ALPHA, "calibration c.json, best for e = 3")
    assert report["walk_forward"]["list_length"] == 68  # of 3,360 items
    assert means(report, "relevance")["PinnerSage, e = 3"] == 1
    assert capsys.readouterr().out.startswith("# ")


def test_the_runs_own_calibration_is_found(tmp_path):
    run, engagements = make_shop(tmp_path)
    write_sealed_json(default_calibration_path(run, MODEL_ID), {**CALIBRATION, "alpha": 3.5})
    arguments = [f"--run={run}", f"--engagements={engagements}", f"--from={TO}", f"--to={TO}"]
    assert main([*arguments, f"--out-json={tmp_path / 'a.json'}"]) == 0
    assert json.loads((tmp_path / "a.json").read_text())["alpha"] == 3.5


@pytest.mark.parametrize("is_named", [True, False])
@pytest.mark.parametrize("date", [FROM, TO, "2026-07-01"])
def test_a_calibration_that_has_seen_the_period_is_refused_wherever_it_was_found(
    tmp_path, shop, capsys, date, is_named
):
    """On the day before, it is not: see `calibrated`. A given alpha needs none."""
    run, engagements = tmp_path / "run", shop[1]
    shutil.copytree(shop[0], run)
    path = tmp_path / "c.json" if is_named else default_calibration_path(run, MODEL_ID)
    write_sealed_json(path, {**CALIBRATION, "alpha": 3.5, "date": date})
    arguments = [f"--run={run}", f"--engagements={engagements}", f"--from={FROM}", f"--to={TO}"]
    out = [f"--out={tmp_path / 'page.md'}", *([f"--calibration={path}"] if is_named else [])]
    assert main([*arguments, *out]) == 2
    message = capsys.readouterr().err
    assert f"expected a calibration of days before --from {FROM}, got one up to {date}" in message
    assert "with an earlier --date" in message
    assert "or give --alpha" in message
    assert not (tmp_path / "page.md").exists()
    alphas = alphas_of(UsersConfig(run=str(run), engagements="", date=TO, alpha=2.0), MODEL_ID, FROM)
    assert (alphas.paper, alphas.chosen) == (2.0, None)


@pytest.mark.parametrize("wrong", [{"date": None}, {"date": "June"}, {"date": 20260610}, {"calibration_days": "3"}])
def test_a_calibration_that_does_not_say_of_when_it_is_is_damaged(tmp_path, shop, capsys, wrong):
    path = tmp_path / "c.json"
    write_sealed_json(path, {**CALIBRATION, "alpha": 3.5, **wrong})
    arguments = [f"--run={shop[0]}", f"--engagements={shop[1]}", f"--from={FROM}", f"--to={TO}"]
    assert main([*arguments, f"--calibration={path}"]) == 1
    assert "calibrate again" in capsys.readouterr().err


def test_the_page_tells_the_constants_of_the_code(evaluated):
    _, _, page = evaluated
    for told in (
        f"{TOP} recommended items, floor({TOP} / e)",
        f"a cosine of at least {RELEVANT_COSINE} to a",
        f"against {IMPRESSIONS_AN_ITEM} impressions an item",
        f"at least {MIN_ITEM_ACTIONS} actions before",
        f"λ = {DECAY_PER_DAY} a day",
        f"chosen by recall@{max(CUTS)} on the period",
        "the weights may be too low",
    ):
        assert told in page, told


@pytest.mark.parametrize(
    ("flags", "told"),
    [
        (["--from=2026-06-14"], "on or before --to"),
        (["--from=June"], "YYYY-MM-DD"),
        (["--from=2026-06-01", "--to=2026-06-01"], "expected users with actions"),
        (["--actions=impression"], "expected --actions"),
        (["--alpha=-1"], "expected --alpha"),
        (["--engagements=nowhere.parquet"], "nowhere.parquet"),
        (["--notes=nowhere.md"], "expected --notes"),
        ([f"--notes={__file__}x"], "readable Markdown file"),
    ],
)
def test_a_wrong_call_is_told_and_writes_nothing(shop, tmp_path, capsys, flags, told):
    run, engagements = shop
    arguments = [f"--run={run}", f"--engagements={engagements}", f"--from={FROM}", f"--to={TO}"]
    assert main([*arguments, f"--out={tmp_path / 'page.md'}", *flags]) == 2
    assert told in capsys.readouterr().err
    assert not list(tmp_path.iterdir())


def test_neither_run_nor_embeddings_is_refused(shop, capsys):
    assert main([f"--engagements={shop[1]}", f"--from={FROM}", f"--to={TO}"]) == 2
    assert "--run or --embeddings" in capsys.readouterr().err


def test_the_command_line_keeps_relative_paths_and_quotes(tmp_path):
    config = EvaluateUsersConfig(
        run=os.path.join("store", "runs"), engagements=str(tmp_path / "a log.parquet"), from_date=FROM, to_date=TO
    )
    shown = f"itemsage evaluate-users --run {os.path.join('store', 'runs')} --engagements 'a log.parquet' --from {FROM}"
    assert command_line(config) == f"{shown} --to {TO}"
