"""What a report says: tasks and baselines, what could not be evaluated; the command that prints it."""

import datetime as dt
import json
import shutil

import numpy as np
import pyarrow.parquet as pq
import pytest
import torch
from evaluated_days import (
    CUT,
    DATE,
    IDS,
    LAST,
    NUM_ITEMS,
    PICTURES,
    ROWS,
    WORDS,
    draw_picture,
    publish_by_hand,
    row,
    task,
    write_rows,
)
from hypothesis import given
from hypothesis import strategies as st
from random_models import PICTURE_DIM

from model.items.batch import collate_items
from model.items.query_encoder import QueryEncoder
from model.items.store import load_start
from model.text.vocabulary import Vocabulary
from pipelines import cli
from pipelines.evaluate.evaluated_run import EvaluatedRun
from pipelines.evaluate.inputs import sample_queries
from pipelines.evaluate.job import evaluate_run, format_report
from pipelines.evaluate.query_pictures import PATH, QUERY_PICTURES
from schemas.errors import ThresholdError
from schemas.records.embeddings import read_embeddings

pytestmark = pytest.mark.medium


def test_first_day_is_computed_with_baselines_and_leaves_its_query_pictures(shop):
    report, reused = shop.day()
    assert not reused
    assert [entry["task"] for entry in report["tasks"]] == ["closeup/click", "search/click", "search/save"]
    texts = ["itemsage", "tfidf", "bm25", "bm25_expanded", "remembered_else_bm25", "popularity"]
    assert list(task(report, "search/click")["methods"]) == texts
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


def take_photo(shop, uri: str, seed: int, last_byte: bytes) -> None:
    """A picture that hardly differs from another one of that seed, but in its content."""
    draw_picture(shop.image_root / uri, seed)
    path = shop.image_root / uri
    path.write_bytes(path.read_bytes()[:-1] + last_byte)


def two_visits(shop) -> list[dict]:
    """Photos of items 5 to 8 in the training part, and once more, hardly changed, as test."""
    rows = []
    for number in range(4):
        for visit, when in (("train", CUT - dt.timedelta(days=1)), ("test", LAST)):
            uri = f"{visit}/{number}.bmp"
            take_photo(shop, uri, number, b"\x01" if visit == "train" else b"\x02")
            rows.append(row("closeup", uri, 5 + number, when=when))
    return rows


def test_training_photos_are_baselines_where_they_are_asked_for(shop):
    """The nearest training photo is of the right item, where untrained vectors know nothing."""
    rows = two_visits(shop)
    report, _ = shop.day(rows, max_training_pictures=100)
    entry = task(report, "closeup/click")
    remembered, popular = "remembered_else_raw_pictures", "popularity"
    of_photos = ["nearest_photo", "nearest_picture", "picture_vote", "logistic_probe"]
    assert list(entry["methods"]) == ["itemsage", "raw_pictures", remembered, *of_photos, popular]
    assert entry["methods"][remembered] == entry["methods"]["raw_pictures"]  # no picture comes twice
    for name in of_photos:
        assert entry["methods"][name]["recall@1"] == 1
        assert entry["differences"][name]["recall@1"] == entry["methods"]["itemsage"]["recall@1"] - 1
    assert shop.loads["read_picture_file"] == 16  # each once to hash and once to encode it
    assert [cell["pairs"] for cell in entry["cells"]] == [0, 0, 4, 0]  # other bytes, known items
    one, _ = shop.day(rows, max_training_pictures=1)
    assert task(one, "closeup/click")["left_out"] == {
        "logistic_probe": "expected training photos of at least 2 items, got 1"
    }
    none, _ = shop.day(rows)
    assert list(task(none, "closeup/click")["methods"]) == ["itemsage", "raw_pictures", remembered, popular]
    assert "closeup/click: no logistic_probe: expected training photos of at least 2 items" in format_report(one)


def photos_of_training(shop) -> list[dict]:
    """A photo that was clicked with the items 10 to 21, twice each, and another one that was saved with item 9."""
    take_photo(shop, "clicked.bmp", 3, b"\x01")
    take_photo(shop, "saved.bmp", 4, b"\x01")
    day_before = CUT - dt.timedelta(days=1)
    clicked = [row("closeup", "clicked.bmp", n, when=day_before) for n in range(10, 22)] * 2
    return [*clicked, row("closeup", "saved.bmp", 9, "save", day_before)]


def test_the_vote_of_the_photos_of_a_task_can_be_the_best_baseline(shop):
    """The photo that is asked looks like the clicked one, but what is saved is item 9."""
    trained = photos_of_training(shop)
    take_photo(shop, "asked.bmp", 3, b"\x02")
    tested = [row("closeup", "asked.bmp", 9, "save"), row("closeup", "asked.bmp", 8)]
    saves = task(shop.day([*trained, *tested], max_training_pictures=100)[0], "closeup/save")
    assert saves["best_baseline"] == "picture_vote"
    assert saves["methods"]["picture_vote"]["recall@1"] == 1
    assert saves["methods"]["nearest_photo"]["recall@10"] == 0
    of_saves, _ = shop.day([trained[-1], *tested], max_training_pictures=100)
    assert task(of_saves, "closeup/save")["methods"]["picture_vote"] == saves["methods"]["picture_vote"]
    assert "picture_vote" not in task(of_saves, "closeup/click")["methods"]
    told = "closeup/click: no picture_vote: expected a training photo of closeup/click, got none"
    assert told in format_report(of_saves)


def test_the_nearest_picture_of_photos_and_catalogue_can_be_the_best_baseline(shop):
    """One query looks like a training photo of its item, the other like the catalogue picture of its own."""
    tested = [row("closeup", "asked.bmp", 9), row("closeup", "shown.bmp", 30)]
    take_photo(shop, "asked.bmp", 4, b"\x02")
    take_photo(shop, "shown.bmp", 5, b"\x02")
    shop.day(tested)
    vector = next(np.frombuffer(each["vector"], "<f2") for each in shop.cached() if each["uri"] == "shown.bmp")
    run = shop.new_run(item_pictures={30: (bytes(32), vector)})
    report, _ = shop.day([*photos_of_training(shop), *tested], run, max_training_pictures=100)
    entry = task(report, "closeup/click")
    assert entry["best_baseline"] == "nearest_picture"
    found = {name: entry["methods"][name]["recall@10"] for name in ("nearest_picture", "nearest_photo", "raw_pictures")}
    assert found == {"nearest_picture": 1, "nearest_photo": 0.5, "raw_pictures": 0.5}
    assert entry["methods"]["nearest_picture"]["recall@1"] == 1


def test_a_training_photo_under_another_name_is_seen(shop):
    rows = two_visits(shop)
    shutil.copy(shop.image_root / "train/0.bmp", shop.image_root / "test/0.bmp")
    report, _ = shop.day(rows, max_training_pictures=100)
    assert [cell["pairs"] for cell in task(report, "closeup/click")["cells"]] == [1, 0, 3, 0]
    seen = task(shop.day([rows[0], rows[1]], max_training_pictures=100)[0], "closeup/click")
    assert seen["methods"]["remembered_else_raw_pictures"]["recall@1"] == 1


def test_the_four_cells_of_a_log(shop):
    """Items 0 to 2 and the query `blue` are of the training part."""
    rows = [*ROWS[-6:], row("search", "Blue!", 1), row("search", "blue", 9), row("search", "red", 2)]
    report, _ = shop.day([*rows, *[row("search", "red", n) for n in (11, 12)]])
    (entry,) = report["tasks"]
    assert [(cell["cell"], cell["queries"], cell["pairs"]) for cell in entry["cells"]] == [
        ("seen query, seen item", 1, 1),
        ("seen query, new item", 1, 1),
        ("new query, seen item", 1, 1),
        ("new query, new item", 1, 2),
    ]
    assert entry["cells"][0]["best_baseline"] in entry["methods"]
    assert entry["new_queries"]["queries"] == 1  # `red`
    ours = entry["new_queries"]["methods"]["itemsage"]["mrr"] - entry["new_queries"]["methods"]["bm25"]["mrr"]
    assert entry["new_queries"]["differences"]["bm25"]["mrr"] == pytest.approx(ours)
    assert report["training_pairs_missing"] == {
        "closeup/click": {"model": 10, "log": 0},
        "search/click": {"model": 10, "log": 3},
    }
    shown = format_report(report)
    assert "search/click: the log has 3 of the 10 pairs that the model was trained on" in shown
    assert shown.count(" new item ") == 2
    assert "search/click, new queries        1  itemsage " in shown


def test_what_a_query_has_engaged_in_training_is_no_distractor_of_its_test_pairs(shop):
    """`blue` has engaged the items 0 to 2 in training: for no method they stand before its new items 9 and 12."""
    rows = [*ROWS[-6:], row("search", "Blue!", 9), row("search", "blue", 12, "save")]
    report, _ = shop.day(rows)
    others = NUM_ITEMS - 5
    for name in ("search/click", "search/save"):
        methods = task(report, name)["methods"]
        assert methods["popularity"]["mrr"] == 1 / (1 + others)  # none of them is popular: all tie
        assert 0 < methods["remembered_else_bm25"]["mrr"] == methods["bm25"]["mrr"]
    (query_E,), _ = EvaluatedRun(shop.run, shop.model).text_queries(("Blue!",))
    scores_N = read_embeddings(shop.run / "embeddings")[1] @ query_E
    rank = 1 + sum(scores_N[n] >= scores_N[9] for n in range(NUM_ITEMS) if n not in (0, 1, 2, 9, 12))
    assert task(report, "search/click")["methods"]["itemsage"]["mrr"] == 1 / rank


def test_a_training_photo_of_equal_content_tells_what_its_query_has_engaged(shop):
    rows = [row("closeup", "old.png", 5, when=CUT - dt.timedelta(days=1)), row("closeup", PICTURES[0], 6)]
    shutil.copy(shop.image_root / PICTURES[0], shop.image_root / "old.png")
    report, _ = shop.day(rows, max_training_pictures=9)
    methods = task(report, "closeup/click")["methods"]
    assert methods["popularity"]["mrr"] == 1 / (NUM_ITEMS - 1)
    unread, _ = shop.day(rows)
    assert task(unread, "closeup/click")["methods"]["popularity"]["mrr"] == 1 / NUM_ITEMS


def test_what_is_bold_is_better_than_the_best_of_the_others(shop):
    """Random vectors find nothing, the words of a title all: BM25 is bold, where it is better beyond chance alone."""
    titles = [f"{WORDS[n % 10]} {WORDS[(n * 7 + n // 10) % 10]}" for n in range(NUM_ITEMS)]
    report, _ = shop.day([row("search", titles[n], n) for n in range(NUM_ITEMS)])
    (entry,) = report["tasks"]
    best = entry["best_baseline"]
    assert entry["differences"][best]["recall@10_high"] < 0
    assert format_report(report).count(f"**{best}**") == 1
    assert "**itemsage**" not in format_report(report)
    few, _ = shop.day([row("search", titles[0], 0)])
    few["tasks"][0]["differences"][best] |= {"recall@10": -1.0, "recall@10_low": -1.0, "recall@10_high": 0.0}
    assert f"**{best}**" not in format_report(few)


def test_spellings_of_a_query_are_drawn_together(shop):
    report, _ = shop.day([row("search", query, 3 + n) for n, query in enumerate(("red lamp", "Red  LAMP!", "silk"))])
    (entry,) = report["tasks"]
    assert (entry["queries"], entry["query_groups"]) == (3, 2)
    assert "spellings of one, and near-duplicates as the model's split groups them, are drawn" in format_report(report)


def test_the_first_place_is_compared_too(shop):
    titles = [f"{WORDS[n % 10]} {WORDS[(n * 7 + n // 10) % 10]}" for n in range(NUM_ITEMS)]
    report, _ = shop.day([row("search", titles[n], n) for n in range(NUM_ITEMS)])
    (entry,) = report["tasks"]
    ours, theirs = (entry["methods"][name]["recall@1"] for name in ("itemsage", "bm25"))
    assert entry["differences"]["bm25"]["recall@1"] == pytest.approx(ours - theirs)
    (shown,) = [line for line in format_report(report).splitlines() if " bm25 " in line or "**bm25**" in line][:1]
    assert f"{theirs:.3f}  **-" in shown


def test_queries_without_a_known_token_are_misses(shop):
    report, _ = shop.day([row("search", "xylophone", 2), row("search", "red", 3)])
    assert report["rows"]["queries_without_known_token"] == 1
    (entry,) = report["tasks"]
    assert (entry["queries"], entry["pairs"]) == (2, 2)
    single, _ = shop.day([row("search", "xylophone", 2)])
    assert task(single, "search/click")["methods"]["itemsage"]["mrr"] == 1 / NUM_ITEMS
    assert "retrieval_frequency" not in task(single, "search/click")


def test_the_start_of_the_model_is_measured_where_it_is_asked_for(shop_of_a_start):
    shop, generator = shop_of_a_start, np.random.default_rng(0)
    pictures = {n: (bytes([n]) * 32, generator.normal(size=PICTURE_DIM).astype(np.float16)) for n in range(NUM_ITEMS)}
    report, _ = shop.day(run=shop.new_run(item_pictures=pictures), start=True)
    start = load_start(shop.model)
    features = [item for _, item in sorted(EvaluatedRun(shop.run, shop.model).features(), key=lambda found: found[0])]
    with torch.inference_mode():
        items_NE = start.item_encoder(collate_items(features, PICTURE_DIM)).numpy()
    for name in ("search/click", "closeup/click"):
        entry = task(report, name)
        assert set(entry["differences"]["start"]) == set(entry["differences"]["popularity"])
        assert all("start" in cell for cell in entry["cells"] if cell["pairs"])
    vocabulary = Vocabulary.load(shop.model / "vocabulary")
    tokens = [torch.from_numpy(vocabulary.encode(each["query"]).astype(np.int64)) for each in ROWS[:10]]
    pictures_BD = [torch.from_numpy(np.frombuffer(each["vector"], "<f2").astype(np.float32)) for each in shop.cached()]
    with torch.inference_mode():
        asked = {
            "search/click": [start.text_tower(ids, torch.tensor([0, len(ids)])) for ids in tokens],
            "closeup/click": [start.picture_tower(picture_D[None]) for picture_D in pictures_BD],
        }
    rows = {"search/click": ROWS[:10], "closeup/click": [each for each in ROWS if each["surface"] == "closeup"]}
    for name, vectors in asked.items():
        reciprocal = []
        for each, vector in zip(rows[name], vectors, strict=True):
            scores_N = items_NE @ vector.numpy()[0]
            reciprocal.append(1 / int((scores_N >= scores_N[IDS.index(each["item_id"])] - 1e-6).sum()))
        assert task(report, name)["methods"]["start"]["mrr"] == pytest.approx(np.mean(reciprocal))
        assert len(set(reciprocal)) > 1, "all items are alike: nothing is shown"
    assert "search/click" in format_report(report)
    assert not any("start" in entry["methods"] for entry in shop.day()[0]["tasks"])


def test_a_model_that_keeps_no_start_says_so(shop):
    report, _ = shop.day(start=True)
    assert not any("start" in entry["methods"] for entry in report["tasks"])
    assert "search/click: no start: expected start.safetensors in model itemsage-" in format_report(report)


def test_letters_are_counted_where_they_are_asked_for_and_not_too_many(shop, monkeypatch):
    report, _ = shop.day([row("search", "scarv", 9)], letters=True)
    (entry,) = report["tasks"]
    assert list(entry["methods"]) == ["itemsage", "tfidf", "character_tfidf", "bm25"]
    assert entry["methods"]["character_tfidf"]["mrr"] > entry["methods"]["tfidf"]["mrr"] == 1 / NUM_ITEMS
    monkeypatch.setattr("model.measures.baselines.MAX_NGRAM_LETTERS", 100)
    report, _ = shop.day([row("search", "scarv", 9), row("search", "silk", 4)], letters=True)
    (entry,) = report["tasks"]
    assert list(entry["methods"]) == ["itemsage", "tfidf", "bm25"]
    assert "search/click: no character_tfidf: expected at most 100 letters of text, got" in format_report(report)


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
