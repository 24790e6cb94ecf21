"""What a report says: tasks and baselines, what could not be evaluated, judgements; the command that prints it."""

import json

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from evaluated_days import DATE, IDS, NUM_ITEMS, PICTURES, ROWS, draw_picture, row, task, write_rows
from hypothesis import given
from hypothesis import strategies as st

from model.query_encoder import QueryEncoder
from pipelines import cli
from pipelines.evaluate import evaluate_run
from pipelines.evaluation.evaluated_run import EvaluatedRun
from pipelines.evaluation.inputs import sample_queries
from pipelines.evaluation.judgements import evaluate_judgements
from pipelines.evaluation.query_pictures import PATH, QUERY_PICTURES
from pipelines.gating.thresholds import LogThresholds
from schemas.errors import ThresholdError
from schemas.files import read_json, sha256_of_file, write_json, write_text
from schemas.tables import JUDGEMENTS


def test_first_day_is_computed_with_baselines_and_leaves_its_query_pictures(shop):
    report, reused = shop.day()
    assert not reused
    assert [entry["task"] for entry in report["tasks"]] == ["closeup/click", "search/click", "search/save"]
    assert set(task(report, "search/click")["methods"]) == {"itemsage", "tfidf", "bm25", "popularity"}
    assert set(task(report, "closeup/click")["methods"]) == {"itemsage", "raw_pictures", "popularity"}
    rows = {name: count for name, count in report["rows"].items() if count}
    assert rows == {"rows_read": 23, "rows_other_surface_or_action": 2, "rows_of_training_part": 6}
    assert [row["uri"] for row in shop.cached()] == PICTURES
    assert pq.read_schema(shop.run / PATH).equals(QUERY_PICTURES)
    expected = QueryEncoder(shop.model).image_encoder.encode_stream(
        (uri, (shop.image_root / uri).read_bytes()) for uri in PICTURES
    )
    assert [row["vector"] for row in shop.cached()] == [vector.astype("<f2").tobytes() for _, vector in expected]
    public = evaluate_run(
        shop.run,
        shop.model,
        engagements=str(shop.folder / f"{shop.run.name}.parquet"),
        image_root=str(shop.image_root),
        date=DATE,
        columns={},
    )
    assert public == {name: value for name, value in report.items() if name not in ("fingerprint", "checksum")}


@pytest.mark.parametrize(("surface", "idle"), [("search", "load_picture_tower"), ("closeup", "load_text_tower")])
def test_a_tower_without_queries_is_not_loaded(shop, surface, idle):
    shop.day([each for each in ROWS if each["surface"] == surface])
    assert sum(shop.loads[name] for name in ("load_text_tower", "load_picture_tower")) == 1
    assert not shop.loads[idle]
    assert shop.loads["ImageEncoder"] == (surface == "closeup")


def test_what_cannot_be_evaluated_says_why_and_is_reused(shop):
    trained_on = ROWS[-6:]
    report, reused = shop.day(trained_on)
    assert not reused
    assert "expected held-out engagements" in report["not_evaluated"]
    assert "got none of 6 rows" in report["not_evaluated"]
    report, reused = shop.day([*trained_on, row("home", None, 1)])
    assert reused
    assert "got none of 7 rows" in report["not_evaluated"]
    assert report == shop.from_scratch([*trained_on, row("home", None, 1)])
    report, _ = shop.day([row("closeup", "gone.png", 1)])
    assert "see --image-root" in report["not_evaluated"]
    report, _ = shop.day([row("closeup", PICTURES[0], 1)], image_root=None)
    assert "see --image-root" in report["not_evaluated"]
    assert not shop.loads
    assert not (shop.run / PATH).exists()
    with pytest.raises(ThresholdError, match="got none of 6 rows"):
        evaluate_run(
            shop.run,
            shop.model,
            engagements=write_rows(shop.folder / "x.parquet", trained_on),
            image_root=None,
            date=DATE,
            columns={},
        )


def test_queries_without_a_known_token_are_misses(shop):
    report, _ = shop.day([row("search", "xylophone", 2), row("search", "red", 3)])
    assert report["rows"]["queries_without_known_token"] == 1
    (entry,) = report["tasks"]
    assert (entry["queries"], entry["pairs"]) == (2, 2)
    single, _ = shop.day([row("search", "xylophone", 2)])
    assert task(single, "search/click")["methods"]["itemsage"]["mrr"] == 1 / NUM_ITEMS
    assert "retrieval_frequency" not in task(single, "search/click")


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
    assert report["tasks"][0]["queries"] == 2
    assert read_json(shop.model / "manifest.json")["model_id"] == report["model_id"]


def test_judgements_of_which_most_are_rejected_are_no_measure(shop):
    judged = [{"surface": "search", "query": "red lamp", "item_id": IDS[n % 6], "grade": "good"} for n in range(30)]
    judged[0]["grade"] = "3"
    path = shop.folder / "judgements.csv"
    path.write_text("surface,query,item_id,grade\n" + "".join(",".join(row.values()) + "\n" for row in judged))
    run = EvaluatedRun(shop.new_run(), shop.model)
    with pytest.raises(ThresholdError, match=r"29.* of 30"):
        evaluate_judgements(run, str(path), date=None, columns={}, thresholds=LogThresholds())


def publish_by_hand(shop) -> None:
    """The last day's run as far as the command looks at it."""
    store, run = shop.folder, shop.run
    (store / "models").mkdir()
    (store / "models" / shop.model.name).symlink_to(shop.model)
    write_json(run / "manifest.json", {"date": DATE, "model_id": shop.model.name})
    write_text(run / "COMPLETED", sha256_of_file(run / "manifest.json") + "\n")
    write_text(store / "CURRENT", f"runs/{DATE}/{run.name}\n")


def test_the_command_reads_what_a_published_run_remembers_and_changes_nothing(shop, capsys):
    shop.day()
    publish_by_hand(shop)
    run, store = shop.run, shop.folder
    draw_picture(shop.image_root / "new.png", 5)
    log = write_rows(store / "log.parquet", [*ROWS, row("closeup", "new.png", 1)])
    before = {path: (path.stat().st_mtime_ns, path.read_bytes()) for path in run.rglob("*") if path.is_file()}
    shop.loads.clear()
    call = ["evaluate", "--store", str(store), "--engagements", log, "--image-root", str(shop.image_root)]
    assert cli.main([*call, "--json"]) == 0
    report = json.loads(capsys.readouterr().out)
    assert task(report, "closeup/click")["queries"] == 5
    assert "fingerprint" not in report
    assert shop.loads["read_picture_file"] == 2
    assert {path: (path.stat().st_mtime_ns, path.read_bytes()) for path in run.rglob("*") if path.is_file()} == before
    assert cli.main(call) == 0
    assert "closeup/click" in capsys.readouterr().out
    write_rows(store / "log.parquet", ROWS[-6:])
    assert cli.main(call) == 3
    assert "error: expected held-out engagements" in capsys.readouterr().err


@given(st.sets(st.text(max_size=4), min_size=1, max_size=40), st.text(max_size=4), st.integers(1, 20))
def test_a_new_query_displaces_at_most_one_of_the_sample(queries, new, max_queries):
    before, after = sample_queries(queries, max_queries), sample_queries(queries | {new}, max_queries)
    assert len(before) == min(len(queries), max_queries)
    assert list(before) == sorted(before)
    assert len(set(before) - set(after)) <= 1
    assert set(after) - set(before) <= {new}


def test_a_log_of_which_too_much_is_rejected_is_no_evaluation(shop, capsys):
    shop.day()
    publish_by_hand(shop)
    shop.loads.clear()
    good = [row("search", "red", 3) for _ in range(20)]
    renamed = [{**row("closeup", PICTURES[0], 3), "action": "view_item"} for _ in range(30)]
    for rows, told in ((good + renamed, "30 of 50 log rows are quarantined"), (renamed, "30 of 30 log rows")):
        log = write_rows(shop.folder / "bad.parquet", rows)
        call = ["evaluate", "--store", str(shop.folder), "--engagements", log, "--image-root", str(shop.image_root)]
        assert cli.main(call) == 3
        error = capsys.readouterr().err
        assert "expected the log to pass its gates before the run is evaluated, got 1 failed: [quarantine_log]" in error
        assert told in error
        assert "got 'view_item' in 30 rows" in error
        assert not shop.loads
    write_rows(shop.folder / "bad.parquet", good + renamed)
    assert cli.main([*call, "--max-quarantined-log", "0.6"]) == 0
