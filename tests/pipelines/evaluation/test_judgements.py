"""What a report says of judgements, with and without the log that the model was trained on."""

import json

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from evaluated_days import (
    IDS,
    NUM_ITEMS,
    ROWS,
    publish_by_hand,
    write_rows,
)

from pipelines import cli
from pipelines.console.thresholds import LogThresholds
from pipelines.evaluate.evaluated_run import EvaluatedRun
from pipelines.evaluate.job import format_report
from pipelines.evaluate.judgements import evaluate_judgements
from schemas.errors import ThresholdError
from schemas.files import read_json
from schemas.tables import JUDGEMENTS

pytestmark = pytest.mark.medium


def test_judgements_have_the_start_too(shop_of_a_start):
    shop = shop_of_a_start
    rows = [{"surface": "search", "query": "red lamp", "item_id": IDS[n], "grade": float(n)} for n in range(3)]
    path = shop.folder / "judgements.parquet"
    pq.write_table(pa.Table.from_pylist(rows, schema=JUDGEMENTS), path)
    run = EvaluatedRun(shop.new_run(), shop.model)
    (entry,) = evaluate_judgements(run, str(path), date=None, columns={}, thresholds=LogThresholds())["tasks"]
    assert {"ndcg@10", "hit@10", "mrr"} <= set(entry["differences"]["start"])


def test_judgements_count_queries_without_a_known_token(shop):
    judged = [
        {"surface": "search", "query": query, "item_id": IDS[n], "grade": float(n % 3)}
        for query in ("red lamp", "xylophone")
        for n in range(6)
    ]
    path = shop.folder / "judgements.parquet"
    pq.write_table(pa.Table.from_pylist(judged, schema=JUDGEMENTS), path)
    run = EvaluatedRun(shop.new_run(), shop.model)
    report = evaluate_judgements(run, str(path), date=None, columns={}, thresholds=LogThresholds())
    assert report["rows"]["queries_without_known_token"] == 1
    (entry,) = report["tasks"]
    assert entry["queries"] == 2
    assert list(entry["differences"]) == ["tfidf", "character_tfidf", "bm25", "random"]
    assert entry["best_baseline"] in ("tfidf", "character_tfidf", "bm25")
    expected = entry["methods"]["itemsage"]["ndcg@10"] - entry["methods"]["bm25"]["ndcg@10"]
    assert entry["differences"]["bm25"]["ndcg@10"] == pytest.approx(expected)
    assert "itemsage - it" in format_report(report)
    assert read_json(shop.model / "manifest.json")["model_id"] == report["model_id"]


def test_judgements_beside_the_training_log_have_its_baselines_and_the_four_cells(shop, capsys):
    """The training part knows `blue` and the items 0 to 2."""
    judged = [
        {"surface": "search", "query": query, "item_id": IDS[n], "grade": float(grade)}
        for query in ("Blue", "red lamp")
        for n, grade in ((0, 3), (1, 0), (2, 1), (20, 2), (21, 0))
    ]
    path = shop.folder / "judgements.parquet"
    pq.write_table(pa.Table.from_pylist(judged, schema=JUDGEMENTS), path)
    shop.day()
    publish_by_hand(shop)
    log = write_rows(shop.folder / "log.parquet", ROWS)
    call = ["evaluate", "--store", str(shop.folder), "--judgements", str(path)]
    assert cli.main([*call, "--engagements", log, "--json"]) == 0
    report = json.loads(capsys.readouterr().out)
    (entry,) = report["tasks"]
    texts = ["itemsage", "tfidf", "character_tfidf", "bm25", "bm25_expanded", "remembered_else_bm25", "popularity"]
    assert set(entry["methods"]) == {*texts, "random"}
    assert [(cell["queries"], cell["pairs"]) for cell in entry["cells"]] == [(1, 3), (1, 2), (1, 3), (1, 2)]
    assert {cell["best_baseline"] for cell in entry["cells"]} <= set(texts[1:])
    assert entry["new_queries"]["queries"] == 1
    scores_N = EvaluatedRun(shop.run, shop.model).bm25.scores(["red lamp"])[0]  # the new one; its best item is 0
    rank = int((scores_N >= scores_N[0] - 1e-6).sum())
    assert entry["new_queries"]["methods"]["bm25"]["mrr"] == pytest.approx(1 / rank)
    assert report["training_pairs_missing"] == {"search/click": {"model": 10, "log": 3}}
    assert cli.main([*call, "--engagements", log]) == 0
    shown = capsys.readouterr().out
    assert shown.count("new query, new item") == 1
    assert "search, new queries        1  itemsage  " in shown  # `red lamp`
    assert "the log has 3 of the 10 pairs" in shown
    assert cli.main(call) == 0
    assert "new query" not in capsys.readouterr().out
    assert cli.main(["evaluate", "--store", str(shop.folder)]) == 2
    assert "expected --engagements or --judgements, got neither" in capsys.readouterr().err


def test_judgements_rank_their_exact_items_among_all_items(shop):
    """`red lamp` has two items of the highest grade, `blue` none of it, and another item stands above all of them."""
    judged = [("red lamp", 3, 3), ("red lamp", 4, 3), ("red lamp", 5, 2), ("blue", 6, 2), ("blue", 7, 0)]
    rows = [{"surface": "search", "query": q, "item_id": IDS[n], "grade": float(grade)} for q, n, grade in judged]
    path = shop.folder / "judgements.parquet"
    pq.write_table(pa.Table.from_pylist(rows, schema=JUDGEMENTS), path)
    run = EvaluatedRun(shop.new_run(), shop.model)
    report = evaluate_judgements(run, str(path), date=None, columns={}, thresholds=LogThresholds())
    (entry,) = report["tasks"]
    assert (entry["queries"], entry["exact"]) == (2, {"grade": 3, "queries": 1})
    scorers = {"bm25": run.bm25, "character_tfidf": run.character_tfidf}
    for name, scores_N in {name: scorer.scores(["red lamp"])[0] for name, scorer in scorers.items()}.items():
        rank = 1 + sum(scores_N[[n for n in range(NUM_ITEMS) if n not in (3, 4)]] >= scores_N[[3, 4]].max() - 1e-6)
        assert entry["methods"][name]["mrr"] == pytest.approx(1 / rank)
        assert entry["methods"][name]["hit@10"] == (rank <= 10)
        expected = entry["methods"]["itemsage"]["mrr"] - 1 / rank
        assert entry["differences"][name]["mrr"] == pytest.approx(expected)
    assert "mrr" not in entry["methods"]["random"]
    assert "hit@10: queries with any item of grade 3 among the first ten" in format_report(report)


def test_judgements_without_a_relevant_item_are_no_measure(shop):
    rows = [{"surface": "search", "query": "red lamp", "item_id": IDS[0], "grade": 0.0}]
    path = shop.folder / "judgements.parquet"
    pq.write_table(pa.Table.from_pylist(rows, schema=JUDGEMENTS), path)
    run = EvaluatedRun(shop.new_run(), shop.model)
    with pytest.raises(ThresholdError, match="expected search judgements above 0 of items in the run"):
        evaluate_judgements(run, str(path), date=None, columns={}, thresholds=LogThresholds())


def test_judgements_of_which_most_are_rejected_are_no_measure(shop):
    judged = [{"surface": "search", "query": "red lamp", "item_id": IDS[n % 6], "grade": "good"} for n in range(30)]
    judged[0]["grade"] = "3"
    path = shop.folder / "judgements.csv"
    path.write_text("surface,query,item_id,grade\n" + "".join(",".join(row.values()) + "\n" for row in judged))
    run = EvaluatedRun(shop.new_run(), shop.model)
    with pytest.raises(ThresholdError, match=r"29.* of 30"):
        evaluate_judgements(run, str(path), date=None, columns={}, thresholds=LogThresholds())
