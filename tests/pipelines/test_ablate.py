"""`itemsage ablate`: what it makes and makes only once, what the page says, what is refused."""

import dataclasses
import doctest
import json
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
from train_runs import SMALL, SMALL_MODEL

from model.items.config import ItemSageConfig
from model.items.itemsage import ItemSage
from model.items.start import start_from_catalogue_
from model.training import step_choice
from model.training.config import TrainingConfig
from model.training.distillation import distill
from model.training.train import train
from model.training.validation import evaluate_recall
from pipelines import cli
from pipelines.ablate import job as ablate
from pipelines.ablate import measure, report, verdicts
from pipelines.ablate.registry import TABLES, make_tables, names_of
from pipelines.ablate.tables import Comparison, Facts, Row, Table
from pipelines.train.prepared_run import PreparedRun
from schemas.errors import UsageError
from schemas.sample_shop.generate import generate
from schemas.tables import PSEUDO_TASK

pytestmark = pytest.mark.slow

TASKS = {"search/click": 90, "closeup/save": 40, "search/checkout": 7}
FACTS = Facts(tasks=TASKS, has_pictures=True, has_pseudo_queries=True)


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A shop whose catalogue lists no pictures: nothing to encode."""
    folder = tmp_path_factory.mktemp("shop")
    generate(folder, items=80, seed=3, num_workers=1)
    catalogue = pq.read_table(folder / "catalog.parquet")
    pq.write_table(catalogue.drop_columns(["images"]), folder / "catalog.parquet")
    return folder


def call(shop: Path, work: Path, *flags: str) -> int:
    places = ("--catalog", f"{shop}/catalog.parquet", "--engagements", f"{shop}/engagements.parquet")
    short = ("--epochs", "0.1", "--min-steps", "4", "--batch-size", "32", "--device", "cpu", "--seeds", "2", *SMALL)
    return cli.main(
        ["ablate", *places, "--work", str(work), "--date", "2026-06-30", "--image-encoder", "none", *short, *flags]
    )


def figures(work: Path) -> dict[str, Any]:
    return json.loads((work / "results-items.json").read_text())


@pytest.fixture(scope="module")
def made(shop: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The work folder of a finished call: two tables, of which one cannot be made, two seeds."""
    work = tmp_path_factory.mktemp("work")
    assert call(shop, work, "--tables", "counts,modalities") == 0
    return work


def test_a_table_has_a_row_for_each_switch_and_says_whether_the_finding_holds(made: Path) -> None:
    (table,) = figures(made)["tables"]
    assert [row["name"] for row in table["rows"]] == ["exact", "count-min sketch"]
    for row in table["rows"]:
        assert row["switches"]["correction"] == "itemsage"
        assert all(len(values) == 2 for values in row["figures"]["all"].values())
        assert {len(values) for values in row["cells"].values()} == {2}
        assert "seen item" in row["cells"]
        assert set(row["figures"]) == {"all", "search/click", "search/save", "search/add_to_cart", "search/checkout"}
    page = (made / "results-items.md").read_text()
    assert "## How pairs are counted for logQ" in page
    assert "- count-min sketch against exact, expected equal: " in page
    assert "- Text, pictures, both: no pictures are read" in page
    assert "itemsage ablate --catalog catalog.parquet --engagements engagements.parquet" in page
    assert str(made) not in page


def test_one_row_is_the_training_that_it_says(made: Path, tmp_path: Path) -> None:
    (exact, _) = figures(made)["tables"][0]["rows"]
    folders = sorted((made / "preparations").iterdir())
    assert len(folders) == 2, "exact and count-min counts"
    got = []
    for folder in folders:
        prepared = PreparedRun.open(folder, with_test=True)
        model = ItemSage(ItemSageConfig(**prepared.sizes, **SMALL_MODEL, seed=1))
        start_from_catalogue_(model, prepared.data.items, prepared.vocabulary)
        config = TrainingConfig(
            epochs=0.1, min_steps=4, batch_size=32, correction="itemsage", seed=1, device="cpu", checkpoint_every=2
        )
        distill(model, prepared.data, config, prepared.vocabulary.word_ids, tmp_path / folder.name)
        train(model, prepared.data, config, tmp_path / folder.name)
        test = prepared.data.test
        assert test is not None
        known = [prepared.data.train, prepared.data.validation]
        found = evaluate_recall(model, prepared.data.items, test, num_pairs=9999, num_distractors=9999, known=known)
        measured = {task: (recall.recall, recall.reciprocal_rank) for task, recall in found.items()}
        got.append({task: values for task, values in measured.items() if task != PSEUDO_TASK})
    of_seed_1 = {task: values for task, values in exact["figures"].items() if task != "all"}
    assert {task: (values["recall"][1], values["reciprocal_rank"][1]) for task, values in of_seed_1.items()} in got


def test_whether_validation_chooses_is_told_as_training_decides_it(
    shop: Path, made: Path, monkeypatch: pytest.MonkeyPatch, capsys
) -> None:
    """Pairs of the log and of pseudo-queries are too few each, though they are enough together."""
    (folder, _) = sorted((made / "preparations").iterdir())
    is_pseudo_P = PreparedRun.open(folder).data.validation.is_pseudo()
    counts = int(is_pseudo_P.sum()), int((~is_pseudo_P).sum())
    assert min(counts) > 0
    monkeypatch.setattr(step_choice, "MIN_QUERIES", 1)
    for least, chosen in ((max(counts), True), (max(counts) + 1, False)):
        monkeypatch.setattr(step_choice, "MIN_PAIRS", least)
        assert call(shop, made, "--tables", "counts,modalities") == 0
        assert figures(made)["chosen_by_validation"] is chosen
    assert "too few validation pairs to choose a step by" in capsys.readouterr().out


def test_a_later_call_trains_only_what_is_new(shop: Path, made: Path, monkeypatch: pytest.MonkeyPatch, capsys) -> None:
    before = figures(made)
    trained = []
    monkeypatch.setattr(measure, "train", lambda *arguments: trained.append(1) or train(*arguments))
    assert call(shop, made, "--tables", "counts,modalities") == 0
    assert trained == []
    assert figures(made) == before
    assert "0 trainings to make, 4 known from earlier calls" in capsys.readouterr().out
    (broken,) = list((made / "results").iterdir())[:1]
    broken.write_text("{}")
    assert call(shop, made, "--tables", "counts") == 0
    assert trained == [1]
    assert "ablate: trained again: " in capsys.readouterr().err
    assert list((made / "trainings").iterdir()) == []
    assert figures(made)["tables"][0]["rows"][0]["figures"] == before["tables"][0]["rows"][0]["figures"]


def test_the_start_is_measured_without_training(shop: Path, made: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    prepared = PreparedRun.open(sorted((made / "preparations").iterdir())[0], with_test=True)
    row = Row(name="start", switches={"start": "linear"}, is_trained=False)
    model, config = ItemSageConfig(**prepared.sizes), TrainingConfig(device="cpu")
    training = measure.make_training(prepared, row, model, config, 5)
    monkeypatch.setattr(measure, "train", None)
    assert (training.model.seed, training.config.seed) == (5, 5)
    assert measure.measure(training, made / "none")["steps"] == 0
    longer = measure.make_training(prepared, row, model, dataclasses.replace(config, epochs=99), 5)
    assert longer.key == training.key, "how long it would be trained does not change a start"
    others = [dataclasses.replace(row, is_trained=True), dataclasses.replace(row, switches={"start": "random"})]
    keys = [measure.make_training(prepared, other, model, config, 5).key for other in others]
    assert len({training.key, *keys, measure.make_training(prepared, row, model, config, 6).key}) == 4


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        (("--tables", "agregators,counts"), "expected --tables among aggregators, "),
        (("--test-fraction", "0"), "expected a test part"),
        (("--split", "time", "--test-days", "0"), "expected a test part"),
        (("--seeds", "0"), "--seeds of at least 1"),
        (("--out", "results.json"), "--out to name a Markdown file"),
        (("--epochs", "0"), "epochs > 0"),
        (("--no-in-batch-negatives", "--no-random-negatives"), "got neither"),
        (("--no-use-text",), "expected text or pictures"),
    ],
    ids=str,
)
def test_a_wrong_call_is_refused_before_any_work(shop: Path, tmp_path: Path, capsys, flags, message) -> None:
    assert call(shop, tmp_path / "work", *flags) == 2
    assert message in capsys.readouterr().err
    assert not (tmp_path / "work").exists()


@pytest.mark.parametrize("name", TABLES)
def test_comparisons_are_of_rows_of_their_table_and_tasks_of_the_shop(name: str) -> None:
    (table,), left_out = make_tables([name], FACTS)
    names = [row.name for row in table.rows]
    assert len(set(names)) == len(names)
    assert left_out == {}
    for comparison in table.comparisons:
        assert {comparison.first, comparison.second} <= set(names)
        assert comparison.task is None or comparison.task in TASKS


def test_every_switch_of_a_row_is_one_of_model_or_training() -> None:
    known = {field.name for kind in (ItemSageConfig, TrainingConfig) for field in dataclasses.fields(kind)}
    tables, _ = make_tables(list(TABLES), FACTS)
    switches = {name for table in tables for row in table.rows for name in row.switches}
    assert switches <= known


def test_what_a_shop_lacks_is_left_out() -> None:
    one = Facts(tasks={"search/click": 9}, has_pictures=False, has_pseudo_queries=False)
    tables, left_out = make_tables(list(TABLES), one)
    assert [table.name for table in tables] == [
        name for name in TABLES if name not in ("modalities", "tasks", "task_mix")
    ]
    assert left_out["Every task alone"].endswith("there is search/click")
    with pytest.raises(UsageError, match="'counts x'"):
        names_of("counts x, start")
    assert names_of("start, counts") == ["start", "counts"]
    assert names_of("") == list(TABLES)


def test_a_task_alone_is_trained_with_the_pseudo_queries_and_compared_on_its_own_pairs() -> None:
    (table,), _ = make_tables(["tasks"], FACTS)
    assert {row.name: row.switches["tasks"] for row in table.rows}["search/checkout alone"] == (
        "search/checkout",
        "search/pseudo",
    )
    assert {comparison.task: comparison.expected for comparison in table.comparisons} == {
        "closeup/save": "no worse",
        "search/checkout": "better",
        "search/click": "no worse",
    }


@pytest.mark.parametrize(
    ("first", "second", "better", "no_worse", "equal"),
    [
        ([0.50, 0.52, 0.51], [0.40, 0.42, 0.41], verdicts.HOLDS, verdicts.HOLDS, verdicts.DOES_NOT_HOLD),
        ([0.50, 0.60, 0.40], [0.49, 0.50, 0.45], verdicts.DIRECTION_ONLY, verdicts.HOLDS, verdicts.HOLDS),
        ([0.49, 0.50, 0.45], [0.50, 0.60, 0.40], verdicts.DOES_NOT_HOLD, verdicts.HOLDS, verdicts.HOLDS),
        (
            [0.40, 0.42, 0.41],
            [0.50, 0.52, 0.51],
            verdicts.DOES_NOT_HOLD,
            verdicts.DOES_NOT_HOLD,
            verdicts.DOES_NOT_HOLD,
        ),
        ([0.5, 0.4], [0.5, 0.4], verdicts.DOES_NOT_HOLD, verdicts.HOLDS, verdicts.HOLDS),
        ([0.5], [0.4], verdicts.DIRECTION_ONLY, verdicts.DIRECTION_ONLY, verdicts.UNKNOWN),
        ([0.4], [0.5], verdicts.DOES_NOT_HOLD, verdicts.DOES_NOT_HOLD, verdicts.UNKNOWN),
    ],
)
def test_verdicts(first, second, better, no_worse, equal) -> None:
    found = verdicts.difference(first, second)
    assert verdicts.verdict("better", found, 30) == better
    assert verdicts.verdict("no worse", found, 30) == no_worse
    assert verdicts.verdict("equal", found, 30) == equal
    assert verdicts.verdict("better", found, 29) == verdicts.UNKNOWN


def test_the_figures_of_a_table_by_hand() -> None:
    rows = [Row(name="a"), Row(name="b", dim=2)]
    compared = [Comparison(first="a", expected="better", second="b", task=task) for task in ("t", "u")]
    table = Table(name="x", title="X", finding="Y.", rows=rows, comparisons=compared)

    def result(seed: int) -> dict[str, Any]:
        def tasks(recall: float) -> dict[str, Any]:
            return {
                "t": {"recall": recall, "reciprocal_rank": 0.1, "num_pairs": 30},
                "u": {"recall": 1.0, "reciprocal_rank": 0.3, "num_pairs": 10},
            }

        dims = {"4": tasks(0.5 + 0.1 * seed), "2": tasks(0.3)}
        cells = {dim: {"new item": {"recall": 0.25, "num_pairs": 3}} for dim in dims}
        sizes = {"model": {"output_dim": 4}, "best_step": 7, "steps": 9, "seconds": 1.0}
        return {"dims": dims, "cells": cells, **sizes}

    made = report.table_figures(table, {name: [result(0), result(1)] for name in "ab"})
    a, b = (row["figures"] for row in made["rows"])
    assert a["all"]["recall"] == pytest.approx([0.625, 0.7])
    assert b["all"]["reciprocal_rank"] == pytest.approx([0.15, 0.15])
    assert b["t"]["recall"] == [0.3, 0.3]
    comparison, of_few = made["comparisons"]
    assert (of_few["verdict"], of_few["num_pairs"]) == (verdicts.UNKNOWN, 10)
    assert comparison["difference"] == pytest.approx(0.25)
    assert comparison["deviation"] == pytest.approx(0.1 / 2**0.5)
    assert made["verdict"] == verdicts.HOLDS
    test = {"pairs": 8, "queries": 3, "by_task": {"t": 6, "u": 2}}
    about = {"command": "c", "items": 5, "train_pairs": {"t": 9}, "test": test, "split": "time", "seeds": 2}
    page = report.format_page({**about, "chosen_by_validation": False, "tables": [made], "left_out": {}})
    assert "| a | .662 ± .053 | .150 ± .000 | .250 ± .000 | .550 ± .071 | 1.000 ± .000 | 7 of 9 |" in page
    assert "- a against b for t (30 pairs), expected better: +.250 (2 standard deviations: .141): holds, beyond" in page
    assert "for u (10 pairs), expected better: +.000 (2 standard deviations: .000): cannot be told from so few" in page
    assert "WARNING: 8 pairs of 3 queries are too few" in page
    assert "WARNING: too few validation pairs" in page


def test_the_examples_in_docstrings_are_true() -> None:
    for module in (measure, report, verdicts, ablate):
        assert doctest.testmod(module).failed == 0
