"""The table of sources by task: figures equal to those computed directly, no leak, what the page says."""

import dataclasses
import json
import re
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from run_builder import RunBuilder
from source_runs import write_rows
from task_runs import ITEM_IDS, NUM, SOURCES_END, SPLIT, colour_of, date_of, item_rows, log_rows, make_run

from model.measures.attribute_probe import answers, macro_f1_figure
from model.measures.one_embedding import table_tasks
from model.split.split import Split
from pipelines import cli
from pipelines.console.exit_codes import EXIT_DONE, EXIT_FAULT, EXIT_THRESHOLD, EXIT_USAGE
from pipelines.console.jobs import parse_alone
from pipelines.console.thresholds import LogThresholds
from pipelines.evaluate_sources.job import EvaluateSourcesConfig, main
from pipelines.evaluate_sources.measure import text_vectors
from pipelines.one_embedding.catalogue import Catalogue
from pipelines.one_embedding.sessions import read_sessions
from pipelines.one_embedding.vectors import source_of
from pipelines.run.opened import Run
from schemas.days import end_of_day_us
from schemas.files import write_json
from schemas.records.embeddings import embeddings_metadata, write_embeddings_file
from schemas.tables import ITEMS

pytestmark = pytest.mark.slow
FLAGS = ("--split-date", date_of(SPLIT - 1), "--return-days", "5", "--seeds", "2")


@pytest.fixture(scope="module")
def made(tmp_path_factory) -> tuple[Path, Path]:
    """A run with three sources, the published folder of another, and the log."""
    folder = tmp_path_factory.mktemp("table")
    run, log = make_run(folder)
    unify(run)
    write_vectors(folder / "noise", 0.0)
    return run, log


def vectors_of(share: float) -> np.ndarray:
    """Unit vectors that tell an item's colour, or nothing."""
    generator = np.random.default_rng(0)
    colours = np.eye(3)[[("red", "green", "blue").index(colour_of(number)) for number in range(NUM)]]
    vectors = share * colours + 0.3 * generator.normal(size=(NUM, 3))
    return (vectors / np.linalg.norm(vectors, axis=1, keepdims=True)).astype(np.float32)


def write_vectors(folder: Path, share: float) -> None:
    folder.mkdir(parents=True)
    write_embeddings_file(folder / "part.parquet", ITEM_IDS, vectors_of(share), embeddings_metadata("made", 3))


def unify(run: Path, **facts: Any) -> None:
    """Unified vectors of a stage, that tell of colours."""
    told = {"source_ids": {"prodsi2vec": "x"}, "log_end_us": end_of_day_us(date_of(SOURCES_END - 1)), **facts}
    RunBuilder(run).unified(ITEM_IDS, vectors_of(1.0), "unified-0123456789ab", **told)


@pytest.fixture(scope="module")
def alone(made, tmp_path_factory) -> tuple[Path, Path]:
    """A run whose one source are the vectors that tell of colours, and the log: asked once, it takes seconds less."""
    run = RunBuilder(tmp_path_factory.mktemp("alone") / "run").items(item_rows(), ITEMS, 3).run
    unify(run)
    return run, made[1]


def call(made, out: Path, *flags: str) -> int:
    files = ("--out", str(out / "table.json"), "--markdown", str(out / "table.md"))
    return main(["--run", str(made[0]), "--engagements", str(made[1]), *FLAGS, *files, *flags])


@pytest.fixture(scope="module")
def out(made, tmp_path_factory) -> Path:
    found = tmp_path_factory.mktemp("out")
    assert call(made, found, "--also", f"noise={made[0].parent / 'noise'}") == EXIT_DONE
    return found


@pytest.fixture(scope="module")
def report(out) -> dict:
    return json.loads((out / "table.json").read_text())


def test_every_source_stands_in_every_task(report):
    names = ["prod2vec", "prodsi2vec", "bpr", "unified", "noise"]
    assert [one["name"] for one in report["sources"]] == names
    assert report["reference"] == "unified"
    assert set(report["attributes"]) == {"colors", "brand"}
    for figures in report["attributes"].values():
        assert set(figures["all"]) == {"majority", "text", *names}
    assert set(report["clicked_bought"]["all"]) == {"text", "sessions in common", *names}
    assert set(report["cart_returns"]["boosted"]["all"]) == {"cart size alone", "random", "text", *names}
    assert NUM - 200 <= report["cold_items"] < 60
    assert report["attributes"]["colors"]["cold_items"] > 0
    assert set(report["left_out"]) == {
        *("google_product_category", "materials", "patterns", "product_types", "size", "size_type")
    }


def test_what_tells_is_above_what_does_not(report):
    colours, pairs = report["attributes"]["colors"]["all"], report["clicked_bought"]["all"]
    returns = report["cart_returns"]["logistic"]["all"]
    assert colours["unified"]["macro_f1"] > 0.9 > 0.6 > colours["noise"]["macro_f1"]
    assert colours["majority"]["macro_f1"] < colours["text"]["macro_f1"] < 0.9  # the field itself is not in the text
    assert pairs["unified"]["auc"] > 0.8 > 0.6 > pairs["noise"]["auc"] > 0.4
    assert returns["unified"]["auc"] > 0.8 > 0.75 > max(returns[name]["auc"] for name in ("noise", "random"))
    for figures in (colours["noise"]["more"], pairs["noise"]["more"], returns["noise"]["more"]):
        assert next(value for name, value in figures.items() if name.endswith("_high")) < 0


def test_the_figures_are_those_of_the_direct_computation(made, report):
    catalogue = Catalogue.of(Run(made[0]))
    log, _ = read_sessions(str(made[1]), {}, None, None, pa.array(ITEM_IDS), LogThresholds(), "it")
    settings = parse_alone(
        EvaluateSourcesConfig, ["--run", str(made[0]), "--engagements", str(made[1]), *FLAGS], "x", ""
    ).tasks
    split_us = end_of_day_us(date_of(SPLIT - 1))
    tasks = table_tasks(log, ITEM_IDS, catalogue.labels, catalogue.families, split_us, settings)
    asked = tasks.questions["colors"]
    said = answers(asked, source_of(Run(made[0]), "prod2vec", ITEM_IDS).vectors_ND, tasks.config.probe)
    labels = asked.label_N[asked.test]
    expected = macro_f1_figure(labels, said, np.arange(len(labels)))(np.ones((1, len(labels)), np.int64))[0]
    found = report["attributes"]["colors"]["all"]["prod2vec"]
    assert found["macro_f1"] == found["by_seed"][0] == pytest.approx(expected)
    assert len(found["by_seed"]) == 2
    assert report["clicked_bought"]["pairs"] == len(tasks.pairs)
    assert report["cart_returns"]["test_rows"] == tasks.carts.is_test_R.sum()


def test_side_information_is_marked_where_it_is_asked_for(out, report):
    seen = {one["name"]: one["seen"] for one in report["sources"]}
    assert "colors" in seen["prodsi2vec"]
    assert "colors" in seen["unified"]
    assert not seen["prod2vec"]
    assert not seen["noise"]
    page = (out / "table.md").read_text()
    section = page[page.index("attributes?") : page.index("## Is what")]
    for name, is_marked in (("prodsi2vec", True), ("unified", True), ("prod2vec", False), ("text", False)):
        rows = re.findall(rf"^\| {name} \|.*$", section, re.MULTILINE)
        assert len(rows) == 2
        assert all(("†" in row) == is_marked for row in rows)


def test_evaluate_hands_over_and_writes_the_same_bytes_and_prints_the_page(made, out, tmp_path, capsys):
    words = ["evaluate", "--tasks", "one-embedding", "--run", str(made[0]), "--engagements", str(made[1])]
    files = ["--out", str(tmp_path / "table.json"), "--markdown", str(tmp_path / "table.md")]
    assert cli.main([*words, *FLAGS, *files, "--also", f"noise={made[0].parent / 'noise'}"]) == EXIT_DONE
    for name in ("table.json", "table.md"):
        assert (tmp_path / name).read_bytes() == (out / name).read_bytes()
    page = (out / "table.md").read_text()
    assert capsys.readouterr().out == page
    assert str(made[0].parent) not in page
    assert "cosine 0 with all" in page


def test_the_page_says_what_a_seed_decides(out, alone, tmp_path):
    page = (out / "table.md").read_text()
    assert "mean ± standard deviation of 2 seeds, [the 95 % bootstrap interval of the first]" in page
    assert "60 % of a half of all families, the same half for every seed" in page
    assert "± is less than other items would give" in page
    assert "how often any of these pairs has a higher cosine than any of the random ones" in page
    assert call(alone, tmp_path, "--seeds", "1") == EXIT_DONE
    page = (tmp_path / "table.md").read_text()
    assert "figures are of one seed, [their 95 % bootstrap interval]; " in page
    assert "±" not in page
    assert "for every seed" not in page


def test_evaluate_knows_no_other_tasks():
    assert cli.main(["evaluate", "--tasks=two-embeddings", "--store", "s"]) == EXIT_USAGE


def test_a_source_that_knows_what_is_asked_is_refused(made, tmp_path, capsys):
    assert call(made, tmp_path, "--split-date", date_of(SOURCES_END - 1), "--seeds", "1") == EXIT_DONE
    assert call(made, tmp_path, "--split-date", date_of(SOURCES_END - 2)) == EXIT_USAGE
    told = capsys.readouterr().err
    assert "prod2vec of the log up to 2026-07-11 00:00 UTC" in told
    assert "itemsage sources --date 2026-07-09" in told


def test_unified_vectors_of_which_nothing_tells_are_refused(alone, out, report, tmp_path, capsys):
    """A copied folder without its stage's manifest; and what --also names."""
    run = RunBuilder(tmp_path / "run").items(item_rows(), ITEMS, 3).run
    write_vectors(run / "unified", 1.0)
    assert call((run, alone[1]), tmp_path) == EXIT_USAGE
    assert "expected unified/ of the stage unified" in capsys.readouterr().err
    assert {one["name"]: one["is_told"] for one in report["sources"]}["noise"] is False
    assert "| noise | made | 3 | 230 | not told | not told |".replace("230", str(NUM)) in (out / "table.md").read_text()
    late = RunBuilder(tmp_path / "late").items(item_rows(), ITEMS, 3).run
    unify(late, log_end_us=end_of_day_us(date_of(SPLIT)))
    assert call((late, alone[1]), tmp_path) == EXIT_USAGE
    told = capsys.readouterr().err
    assert "run `itemsage unify` of such sources, and a day by it" in told
    assert "itemsage sources" not in told


def test_itemsage_is_measured_if_its_training_ended_before_the_split(alone, tmp_path, capsys):
    folder = tmp_path / "store" / "runs" / date_of(SPLIT) / ("0" * 16)
    builder = RunBuilder(folder).items(item_rows(), ITEMS, 3).embeddings(ITEM_IDS, np.eye(NUM, dtype=np.float32))
    day = ("--items-run", str(folder), "--seeds", "1")
    assert call(alone, tmp_path, *day) == EXIT_USAGE
    assert "which tells where the log of its training ends" in capsys.readouterr().err
    model = tmp_path / "store" / "models" / builder.model_id
    model.mkdir(parents=True)
    split = Split(kind="query_hash", has_validation=True, has_test=True)
    split.save(model)
    for end_day, code in ((SPLIT, EXIT_USAGE), (SPLIT - 1, EXIT_DONE)):
        write_json(model / "manifest.json", {"log_end_us": end_of_day_us(date_of(end_day))})
        assert call(alone, tmp_path, *day) == code
    assert f"itemsage of the log up to {date_of(SPLIT + 1)} 00:00 UTC" in capsys.readouterr().err
    found = json.loads((tmp_path / "table.json").read_text())
    (itemsage,) = (one for one in found["sources"] if one["name"] == "itemsage")
    assert (itemsage["items"], itemsage["dimension"]) == (NUM, NUM)
    assert {"title", "colors"} <= set(itemsage["seen"])
    dataclasses.replace(split, kind="none").save(model)
    assert call(alone, tmp_path, *day) == EXIT_DONE
    found = json.loads((tmp_path / "table.json").read_text())
    assert [one["log_end_us"] for one in found["sources"] if one["name"] == "itemsage"] == [None]


def test_a_log_without_returns_or_purchases_leaves_tasks_out(alone, tmp_path, capsys):
    without = write_rows(tmp_path / "returns", log_rows(with_returns=False))
    assert call((alone[0], without), tmp_path, "--seeds", "1") == EXIT_DONE
    found = json.loads((tmp_path / "table.json").read_text())
    assert found["cart_returns"] is None
    assert "got 0 and" in found["left_out"]["cart_returns"]
    page = (tmp_path / "table.md").read_text()
    assert "## Left out" in page
    assert "Not measured, see below." in page
    clicks = write_rows(tmp_path / "clicks", [row for row in log_rows() if row["action"] == "click"])
    assert call((alone[0], clicks), tmp_path, "--seeds", "1") == EXIT_DONE
    assert json.loads((tmp_path / "table.json").read_text())["clicked_bought"] is None
    bare = RunBuilder(tmp_path / "run").items([{**row, "colors": None, "brand": None} for row in item_rows()], None, 3)
    unify(bare.run)
    assert call((bare.run, clicks), tmp_path) == EXIT_THRESHOLD
    assert "a task that catalogue and log can ask, got none" in capsys.readouterr().err


def test_a_log_of_purchases_alone_asks_for_items_bought_together(alone, tmp_path):
    bought = [{**row, "action": "checkout"} for row in log_rows(with_returns=False) if row["action"] != "impression"]
    assert call((alone[0], write_rows(tmp_path / "bought", bought)), tmp_path, "--seeds", "1") == EXIT_DONE
    assert json.loads((tmp_path / "table.json").read_text())["clicked_bought"]["all"]["unified"]["auc"] > 0.6
    page = (tmp_path / "table.md").read_text()
    assert "## Is what a session bought near the rest?" in page
    assert "cold: not bought up to" in page
    assert "pairs of items bought together (the log has no click)" in page


def test_bad_calls_say_what_was_expected(made, tmp_path, capsys):
    for flags, told in (
        (("--reference", "best"), "--reference of prod2vec, prodsi2vec, bpr, unified, text, got 'best'"),
        (("--also", "bpr=x"), "with new names"),
        (("--also", "other=s3://bucket/x"), "--also"),
        (("--seeds", "0"), "--seeds and --max-items >= 1"),
        (("--split-date", "soon"), "--split-date YYYY-MM-DD"),
        (("--date", date_of(SPLIT - 1)), "--date after --split-date"),
        (("--items-run", str(tmp_path / "none")), "the folder of a run"),
    ):
        assert call(made, tmp_path, *flags) == EXIT_USAGE, flags
        assert told in capsys.readouterr().err
    empty = RunBuilder(tmp_path / "run").items(item_rows(), None, 3).run
    assert call((empty, made[1]), tmp_path) == EXIT_USAGE
    assert "sources of item vectors" in capsys.readouterr().err


def test_a_damaged_source_is_refused(tmp_path, made, capsys):
    run, log = make_run(tmp_path, "bpr")
    file = next((run / "bpr" / "embeddings").glob("*.parquet"))
    file.write_bytes(file.read_bytes()[:-1])
    assert call((run, log), tmp_path) in (EXIT_FAULT, EXIT_USAGE)
    assert "sha256" in capsys.readouterr().err


def test_text_vectors_of_little_text():
    assert text_vectors(["", ""]).shape == (2, 1)
    assert text_vectors(["one", "one"]).shape == (2, 1)
    found = text_vectors(["red chair oak", "red chair oak", "blue mug", ""])
    assert found[0] @ found[1] == pytest.approx(1, abs=1e-5)
    assert not found[3].any()
