"""`--query-vectors` from the training to the searches, on a shop where nothing else tells what a query means."""

import contextlib
import io
import json
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from query_vector_shop import DATE, ITEM_IDS, LATER, write_shop, write_table
from train_runs import models_of

from model.items.manifest import read_model_manifest
from model.items.store import QUERY_TABLE_FOLDER
from pipelines.ablate import job as ablate
from pipelines.console.jobs import beam_options
from pipelines.daily import job as daily
from pipelines.evaluate import job as evaluate
from pipelines.serving.searcher import Searcher
from pipelines.train import job as train
from schemas.errors import ThresholdError, UsageError
from schemas.files import read_json
from schemas.records.embeddings import read_embeddings

pytestmark = pytest.mark.slow

#: Recall@10 that only the vectors can give, and that no chance gives: 10 of the 120 items are .083.
TOLD, GUESSED = 0.9, 0.25
SIZES = ("--hash-rows", "1000", "--width", "128", "--ffn-dim", "128", "--mlp-dim", "128")
ENOUGH = ("--epochs", "1", "--min-steps", "40", "--batch-size", "64", *SIZES)
BRIEF = ("--epochs", "1", "--min-steps", "2", "--batch-size", "64", "--accept-untrained", *SIZES)


def train_on(folder: Path, *flags: str) -> int:
    places = ("--catalog", f"{folder}/catalog.parquet", "--engagements", f"{folder}/log.parquet", "--date", DATE)
    rest = ("--image-encoder", "none", "--pseudo-queries", "0", "--device", "cpu")
    return train.main([*places, "--store", f"{folder}/store", *rest, *flags])


def run_day(folder: Path, date: str, **given: Any) -> Path:
    """The published run of a day, with the model that was trained last."""
    places = {"catalog": f"{folder}/catalog.parquet", "engagements": f"{folder}/log.parquet", "users": False}
    daily.run(daily.DailyConfig(**places, store=f"{folder}/store", date=date, **given), beam_options([]))
    return folder / "store" / (folder / "store" / "CURRENT").read_text().strip()


def current_model(folder: Path) -> str:
    return (folder / "store" / "models" / "CURRENT").read_text().strip()


def share_found(store: Path, item_of: Mapping[str, str], **how: Any) -> float:
    """Share of the queries whose item is among the 10 nearest of the published run."""
    answers = Searcher(str(store), **how).by_text(list(item_of), top=10)
    pairs = zip(answers, item_of.values(), strict=True)
    return sum(item_id in {result.item_id for result in found} for found, item_id in pairs) / len(item_of)


def recalls(report: Mapping[str, Any]) -> dict[str, float]:
    """Method -> recall@10."""
    (task,) = report["tasks"]
    return {name: figures["recall@10"] for name, figures in task["methods"].items()}


@dataclass(frozen=True)
class Shop:
    """folder: of the shop and its store, where `told` was trained with the vectors, published on DATE, and `untold`,
    the same call without them, on the next day. item_of: of the queries of the log. shown: what the two trainings
    printed."""

    folder: Path
    item_of: Mapping[str, str]
    told: str
    untold: str
    days: tuple[Path, Path]
    shown: tuple[str, str]
    found: tuple[float, float]


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory) -> Shop:
    folder = tmp_path_factory.mktemp("told")
    item_of = write_shop(folder)
    models, days, shown, found = [], [], [], []
    calls = {DATE: ("--query-vectors", f"{folder}/table.parquet"), "2026-07-01": ("--accept-untrained",)}
    for date, flags in calls.items():
        with contextlib.redirect_stdout(io.StringIO()) as printed:
            assert train_on(folder, *ENOUGH, *flags) == 0
        models.append(current_model(folder))
        shown.append(printed.getvalue())
        if days:
            with pytest.raises(ThresholdError, match=r"\[recall\] Recall@10 of 'search/click' is 0"):
                run_day(folder, date)
        days.append(run_day(folder, date, accept="recall" if days else None, because="to compare" if days else None))
        found.append(share_found(folder / "store", item_of))
    return Shop(folder, item_of, *models, tuple(days), tuple(shown), tuple(found))


def validation_recall(shop: Shop, model_id: str) -> float:
    return models_of(shop.folder)[model_id]["metrics"]["validation"]["search/click"]["recall"]


def test_training_learns_from_the_vectors_what_words_do_not_say(shop: Shop) -> None:
    assert validation_recall(shop, shop.told) > TOLD
    assert validation_recall(shop, shop.untold) < GUESSED
    assert "pairs: 1,080 query vectors of 24 numbers in " in shop.shown[0]
    assert "query vectors" not in shop.shown[1]


def test_searches_of_a_published_run_look_the_vectors_up(shop: Shop, tmp_path: Path) -> None:
    """Also those of queries that were never logged, and of which no word is known."""
    assert shop.found[0] > TOLD
    assert shop.found[1] < GUESSED
    store = published_on_the_first_day(shop, tmp_path)
    for exact in (True, False):
        assert share_found(store, LATER, exact=exact) > TOLD
    searcher = Searcher(str(store))
    spelt = [query.upper() + " " for query in LATER]
    assert searcher.by_text(spelt) == searcher.by_text(list(LATER))
    with pytest.raises(UsageError, match="'qj999zx'"):
        searcher.by_text(["qj999zx"])


def test_evaluations_look_the_vectors_up(shop: Shop, tmp_path: Path) -> None:
    store = published_on_the_first_day(shop, tmp_path)
    asked = {"store": str(store), "engagements": f"{shop.folder}/log.parquet"}
    figures = recalls(evaluate.run(evaluate.EvaluateConfig(**asked)))
    assert figures.pop("itemsage") > TOLD
    assert max(figures.values()) < GUESSED
    first, second = (recalls(read_json(day / "metrics.json"))["itemsage"] for day in shop.days)
    assert first > TOLD
    assert second < GUESSED


def test_days_with_the_vectors_and_without_them_follow_each_other(shop: Shop, tmp_path: Path) -> None:
    """The vectors of items hang on the model, as ever; the features do not hang on the queries' vectors."""
    assert [read_json(day / "manifest.json")["model_id"] for day in shop.days] == [shop.told, shop.untold]
    first, second = (dict(zip(*_as_lists(day), strict=True)) for day in shop.days)
    assert first.keys() == second.keys() == set(ITEM_IDS)
    assert first["item-000"] != second["item-000"]
    assert (shop.folder / "store" / "models" / shop.told / QUERY_TABLE_FOLDER).is_dir()
    assert not (shop.folder / "store" / "models" / shop.untold / QUERY_TABLE_FOLDER).exists()
    assert read_json(shop.days[1] / "manifests" / "features.json")["counts"]["items_reused"] == len(ITEM_IDS)
    folder = own_copy(shop, tmp_path)
    (folder / "store" / "models" / "CURRENT").write_text(shop.told + "\n")
    again = run_day(folder, "2026-07-02")
    assert dict(zip(*_as_lists(again), strict=True)) == first
    assert share_found(folder / "store", LATER) > TOLD


@pytest.mark.soak
def test_a_table_of_other_vectors_trains_another_model_and_leaves_the_old_one_its_own(
    shop: Shop, tmp_path: Path
) -> None:
    folder = own_copy(shop, tmp_path)
    call = ("--query-vectors", f"{folder}/table.parquet")
    (before,) = (folder / "store" / "models" / shop.told / QUERY_TABLE_FOLDER).glob("columns.json")
    assert train_on(folder, *ENOUGH, *call) == 0  # nothing has changed: the training is known, the model as well
    assert current_model(folder) == shop.told
    others = {**shop.item_of, **LATER, **dict(zip(LATER, reversed(ITEM_IDS), strict=True))}
    write_table(folder / "table.parquet", others)
    assert train_on(folder, *BRIEF, *call) == 0
    other = current_model(folder)
    assert other != shop.told
    new = folder / "store" / "models" / other / QUERY_TABLE_FOLDER / "columns.json"
    assert new.read_bytes() != before.read_bytes()
    assert read_model_manifest(new.parents[1])["query_table"]["rows"] == len(others)


@pytest.mark.soak
def test_a_refit_trains_with_the_vectors(shop: Shop, tmp_path: Path) -> None:
    folder = own_copy(shop, tmp_path)
    assert train_on(folder, *ENOUGH, "--query-vectors", f"{folder}/table.parquet", "--refit", "on") == 0
    model = models_of(folder)[current_model(folder)]
    assert model["refit"] is True
    assert model["query_table"] == models_of(folder)[shop.told]["query_table"]
    (refitted, chosen) = (made["num_pairs_by_task"] for made in (model["metrics"]["refit"], model["metrics"]))
    assert refitted["search/click"] > chosen["search/click"]
    run_day(folder, "2026-07-02")
    assert share_found(folder / "store", LATER) > TOLD


def test_a_table_without_any_query_that_trains_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write_shop(tmp_path)
    write_table(tmp_path / "later.parquet", LATER)
    assert train_on(tmp_path, *BRIEF, "--query-vectors", f"{tmp_path}/later.parquet") == 3
    told = "expected queries that train among the 120 of --query-vectors, got none of "
    assert told in capsys.readouterr().err
    assert not models_of(tmp_path)


@pytest.mark.soak
def test_ablations_train_with_the_vectors(shop: Shop, tmp_path: Path) -> None:
    work, places = tmp_path / "work", ("--catalog", f"{shop.folder}/catalog.parquet", "--date", DATE)
    rest = ("--image-encoder", "none", "--pseudo-queries", "0", "--device", "cpu", "--seeds", "1")
    asked = ("--engagements", f"{shop.folder}/log.parquet", "--tables", "counts", "--work", str(work))
    vectors = ("--query-vectors", f"{shop.folder}/table.parquet")
    assert ablate.main([*places, *asked, *rest, *vectors, *ENOUGH]) == 0
    report = json.loads((work / "results-items.json").read_text())
    for row in report["tables"][0]["rows"]:
        assert min(row["figures"]["all"]["recall"]) > TOLD, row["name"]
    assert "--query-vectors table.parquet" in report["command"]


def own_copy(shop: Shop, folder: Path) -> Path:
    """The shop's folder again, to change. The names of its files count, their place does not."""
    return Path(shutil.copytree(shop.folder, folder / "copy", symlinks=True))


def published_on_the_first_day(shop: Shop, folder: Path) -> Path:
    """A store of one's own, whose readers see the run of the model that has the vectors."""
    store = own_copy(shop, folder) / "store"
    (store / "CURRENT").write_text(shop.days[0].relative_to(shop.folder / "store").as_posix() + "\n")
    return store


def _as_lists(run: Path) -> tuple[list[str], list[list[float]]]:
    ids, vectors_ND = read_embeddings(run / "embeddings")
    return ids.to_pylist(), vectors_ND.tolist()
