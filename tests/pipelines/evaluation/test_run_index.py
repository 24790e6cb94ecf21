"""What a run's own index answers, beside exact search."""

import numpy as np
import pytest
from evaluated_days import IDS, NUM_ITEMS, PICTURES, ROWS, Days, row, task
from optional_libraries import needs_voyager
from run_builder import RunBuilder

from model.machine.equal_rows import EqualRows
from model.measures.evaluation import HeldOutTask, rank_pairs, summarize_ranks
from model.nearest.index import ExactIndex, no_results
from pipelines.console.jobs import beam_options
from pipelines.evaluate.job import format_report
from pipelines.evaluate.run_index import RunIndex
from pipelines.index import job as index
from pipelines.run.opened import Run
from schemas.errors import CorruptFileError
from schemas.tables import EMBEDDING_DIM

pytestmark = pytest.mark.medium

NUM, DIM = 60, 8


def unit_rows(seed: int, num: int) -> np.ndarray:
    vectors_ND = np.random.default_rng(seed).standard_normal((num, DIM)).astype(np.float32)
    return vectors_ND / np.linalg.norm(vectors_ND, axis=1, keepdims=True)


class HalfIndex(ExactIndex):
    """Finds nothing in odd rows."""

    def search(self, queries_QD, top, kind="item"):
        rows_QK, scores_QK = no_results(len(queries_QD), top)
        found, scores = ExactIndex(self.matrix_ND[::2]).search(queries_QD, min(top, (NUM + 1) // 2))
        rows_QK[:, : found.shape[1]], scores_QK[:, : found.shape[1]] = 2 * found, scores
        return rows_QK, scores_QK


@pytest.fixture
def asked() -> tuple[HeldOutTask, np.ndarray]:
    """Queries near their first item; the first has three items, the last no answer."""
    items_P = np.array([0, 7, 30, 11, 20, 41, 50])
    queries_P = np.array([0, 0, 0, 1, 2, 3, 4])
    vectors_NE = unit_rows(0, NUM)
    queries_QE = vectors_NE[[0, 11, 20, 41, 50]] + 0.05 * unit_rows(1, 5)
    queries_QE /= np.linalg.norm(queries_QE, axis=1, keepdims=True)
    queries_QE[4] = 0
    return HeldOutTask("search/click", tuple("abcde"), queries_P, items_P), queries_QE


def measured(searched, vectors_NE: np.ndarray, task: HeldOutTask, queries_QE: np.ndarray):
    exact_P = rank_pairs(task, lambda rows: queries_QE[rows] @ vectors_NE.T)
    answered_Q = queries_QE.any(axis=1)
    found = RunIndex(searched, vectors_NE, "made").measure(task, queries_QE, answered_Q, "text", exact_P)
    return found, summarize_ranks(task, exact_P)


def test_an_index_that_finds_all_is_as_good_as_exact_search(asked):
    vectors_NE = unit_rows(0, NUM)
    found, exact = measured(ExactIndex(vectors_NE), vectors_NE, *asked)
    names = ("recall@1", "recall@10", "recall@10_low", "recall@10_high", "hit@10")
    assert {name: found[name] for name in names} == {name: exact[name] for name in names}
    assert (found["found"], found["backend"]) == (1, "made")
    assert set(found["difference"].values()) == {0}
    assert not any(name.startswith("mrr") for name in {**found, **found["difference"]})


def test_what_an_index_does_not_return_is_lost(asked):
    """Of the items at hand those of odd rows: 2 of 4, and of the exact first ten about half."""
    vectors_NE = unit_rows(0, NUM)
    found, exact = measured(HalfIndex(vectors_NE), vectors_NE, *asked)
    rows_QK, _ = ExactIndex(vectors_NE).search(asked[1][:4], 10)
    assert found["found"] == pytest.approx(np.mean(rows_QK % 2 == 0))
    assert exact["hit@10"] == 4 / 5
    assert found["hit@10"] == 2 / 5
    assert found["difference"]["hit@10"] == pytest.approx(2 / 5)
    assert found["difference"]["recall@10"] == pytest.approx(exact["recall@10"] - found["recall@10"])


def test_twins_count_against_the_index_as_they_do_against_exact_search():
    """15 items of one vector: an index that returns 10 of them has ranked none among the first ten."""
    vectors_NE = unit_rows(0, NUM)
    vectors_NE[20:35] = vectors_NE[20]
    task = HeldOutTask("search/click", ("a", "b"), np.array([0, 1]), np.array([21, 3]))
    found, exact = measured(ExactIndex(vectors_NE), vectors_NE, task, vectors_NE[[20, 3]])
    assert len(EqualRows.of(vectors_NE)) == NUM - 14
    assert found["recall@10"] == exact["recall@10"] == 0.5
    assert found["found"] == 1


def test_no_query_with_an_answer_finds_nothing(asked):
    task, queries_QE = asked
    vectors_NE = unit_rows(0, NUM)
    found, _ = measured(ExactIndex(vectors_NE), vectors_NE, task, np.zeros_like(queries_QE))
    assert (found["found"], found["recall@10"]) == (None, 0)


def build_index(days: Days, **given) -> None:
    index.run(index.IndexConfig(run=str(days.run), model=str(days.model), **given), beam_options([]))


def test_a_run_with_an_index_is_evaluated_through_it_and_again_when_it_changes(shop, monkeypatch):
    report, _ = shop.day()
    assert "the run has no index yet" in format_report(report)
    assert not any("index" in entry for entry in report["tasks"])
    build_index(shop)
    with_index, reused = shop.day(run=shop.run)
    assert not reused
    for name in ("search/click", "closeup/click"):
        entry = task(with_index, name)
        assert entry["index"]["backend"] == "annoy"
        assert entry["index"]["found"] == 1  # so few items are all inspected
        assert entry["index"]["recall@10"] == entry["methods"]["itemsage"]["recall@10"]
    shown = format_report(with_index)
    assert "closeup/click: through the index (annoy) come 1.000 of the exact first 10" in shown
    lines = [line for line in shown.splitlines() if "  through the index  " in line]
    assert len(lines) == 2 * 3  # Recall@10 and hit@10 of each task
    assert shop.day(run=shop.run) == (with_index, False)
    assert not shop.loads
    kinds = []
    found = RunIndex.found
    monkeypatch.setattr(RunIndex, "found", lambda self, *asked: kinds.append(asked[1]) or found(self, *asked))
    shop.day([*ROWS, row("search", "silk lamp", 3), row("closeup", PICTURES[0], 9)], run=shop.run)
    assert kinds == ["picture", "text", "text"]


@pytest.mark.parametrize("backend", ["annoy", pytest.param("voyager", marks=needs_voyager)])
def test_an_index_of_different_vectors_is_written_out_as_items(shop, backend):
    """Eight vectors of five items each: a query finds the twins of what it asks for, which count against each other."""
    run = shop.new_run()
    vectors_NE = np.random.default_rng(3).standard_normal((8, EMBEDDING_DIM)).astype(np.float32)
    vectors_NE = np.tile(vectors_NE / np.linalg.norm(vectors_NE, axis=1, keepdims=True), (NUM_ITEMS // 8, 1))
    shop.run = RunBuilder(run, shop.model.name).embeddings(IDS, vectors_NE).run
    build_index(shop, index_backend=backend)
    assert (run / "index" / f"distinct.{backend}").is_file()
    report, _ = shop.day(run=run)
    for entry in report["tasks"]:
        names = ("recall@1", "recall@10", "hit@10")
        assert [entry["index"][name] for name in names] == [entry["methods"]["itemsage"][name] for name in names]
        assert (entry["index"]["found"], entry["index"]["backend"]) == (1, backend)
    assert task(report, "search/click")["index"]["recall@1"] == 0


def test_an_index_of_other_items_is_refused(shop):
    shop.day()
    build_index(shop)
    assert RunIndex.of(Run(shop.run), shop.model.name) is not None
    with pytest.raises(CorruptFileError, match=r"expected the items of .*embeddings by model another"):
        RunIndex.of(Run(shop.run), "another")
    RunBuilder(shop.run, shop.model.name).embeddings(IDS[1:], Run(shop.run).embeddings.matrix_ND[1:])
    with pytest.raises(CorruptFileError, match=r"expected the items of .*embeddings by model"):
        RunIndex.of(Run(shop.run), shop.model.name)
