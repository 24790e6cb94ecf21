"""The queries that an index is chosen for: of the log as far as training left them out, else made from items."""

import datetime as dt
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from run_builder import RunBuilder
from search_store import NUM_BUCKETS, item_ids, write_model

from model.items.query_encoder import QueryEncoder
from model.nearest.recall import Truth
from model.split.split import Split
from pipelines.index import job as index
from pipelines.index import queries as index_queries
from pipelines.index.queries import plan_queries
from pipelines.run.opened import Run
from pipelines.serving.searcher import Searcher
from schemas.errors import CorruptFileError, UsageError
from schemas.files import read_json
from schemas.records.tfrecords import ItemFeatures
from schemas.tables import ENGAGEMENTS, NUM_TEXT_FIELDS

pytestmark = pytest.mark.medium

CUT = dt.datetime(2026, 6, 1, tzinfo=dt.UTC)
PICTURE_DIM = 512
IDS = pa.array(item_ids())


@pytest.fixture
def run(own_store) -> Path:
    """A run that is not published any more, of a model whose training ended at CUT."""
    run = own_store / "runs" / "2026-06-30" / "0123456789abcdef"
    (run / "COMPLETED").unlink()
    cut_us = int(CUT.timestamp() * 1e6)
    cuts = {"validation_start_us": cut_us, "gap_start_us": cut_us, "test_start_us": cut_us}
    Split(kind="time", has_validation=False, has_test=True, **cuts).save(model_of(run))
    return run


def model_of(run: Path) -> Path:
    return run.parents[2] / "models" / read_json(run / "index" / "manifest.json")["model_id"]


def write_log(path: Path, queries: dict[str, int]) -> str:
    """Clicks by query, as many days after CUT as said."""
    rows = [
        {
            "timestamp": CUT + dt.timedelta(days=days),
            "surface": "search",
            "query": query,
            "item_id": "item-000",
            "action": "click",
        }
        for query, days in queries.items()
    ]
    pq.write_table(pa.Table.from_pylist(rows, schema=ENGAGEMENTS), path)
    return str(path)


def write_features(run: Path, num_pictures: int, num_each: int = 1, same: dict[int, int] | None = None) -> None:
    """Features of so many items with `num_each` pictures each, and of three items more. same: item -> the item before
    it whose pictures it has."""
    draw, pictures = np.random.default_rng(0), []
    for number in range(num_pictures + 3):
        of_item = draw.standard_normal((num_each * (number < num_pictures), PICTURE_DIM)).astype("<f2")
        pictures.append(pictures[same[number]] if same and number in same else of_item)
    items = [
        ItemFeatures(
            item_id=f"item-{number:03d}",
            token_ids=np.zeros(0, np.int32),
            token_offsets=np.zeros(NUM_TEXT_FIELDS + 1, np.int32),
            pictures=of_item,
        )
        for number, of_item in enumerate(pictures)
    ]
    RunBuilder(run).features(items, NUM_BUCKETS)


def plan(run: Path, **asked):
    return plan_queries(str(run), model_of(run).name, None, columns={}, **asked)


def test_texts_are_those_of_the_log_that_training_has_not_seen(run, tmp_path):
    new = {f"wool lamp {number}": 1 for number in range(150)}
    log = write_log(tmp_path / "log.parquet", {**new, "red dress": -1, "blue chair": -2})
    asked = plan(run, engagements=log)
    assert set(asked.texts) == new.keys()
    assert asked.texts_are == "150 of the log"
    assert asked.encoded(IDS)["text"].vectors_QD.shape == (150, 256)
    assert plan(run, engagements=log, date="2026-06-01").texts_are == "made from the text of items"


def test_few_queries_of_the_log_are_asked_beside_made_ones(run, tmp_path):
    asked = plan(run, engagements=write_log(tmp_path / "log.parquet", {"wool lamp for the garden": 3}))
    assert "wool lamp for the garden" in asked.texts
    assert len(asked.texts) > 30
    assert asked.texts_are == "1 of the log and made from the text of items"


def test_without_a_log_queries_are_made_from_the_text_of_items(run):
    asked = plan(run)
    assert len(asked.texts) > 30
    assert asked.texts_are == "made from the text of items"
    assert asked.pictures_QD is None
    assert asked == plan(run)


def test_a_picture_is_asked_alone_and_its_item_does_not_count(run):
    """Item 3 has the picture of item 1: it is asked once; item 2 is not in the index."""
    write_features(run, 4, same={3: 1})
    asked = plan(run)
    assert asked.picture_items == ("item-000", "item-001", "item-002")
    assert asked.pictures_QD is not None
    assert asked.pictures_QD.shape == (3, PICTURE_DIM)
    found = asked.encoded(pa.array(["item-001", "item-003", "item-000"]))["picture"]
    expected = QueryEncoder(model_of(run)).picture_vectors(asked.pictures_QD[:2])
    np.testing.assert_array_equal(found.vectors_QD, expected)
    assert found.own_rows_Q is not None
    assert found.own_rows_Q.tolist() == [2, 0]
    assert "picture" not in asked.encoded(pa.array(["item-009"]))


def test_one_picture_of_several_is_asked(run):
    write_features(run, 2, num_each=5)
    asked = plan(run)
    assert asked.pictures_QD is not None
    assert asked.pictures_QD.shape == (2, PICTURE_DIM)
    records = [item for bucket in range(NUM_BUCKETS) for item in Run(run).records(bucket)]
    by_item = {item.item_id: item.pictures for item in records}
    for item_id, vector_D in zip(asked.picture_items, asked.pictures_QD, strict=True):
        assert (by_item[item_id] == vector_D).all(axis=1).sum() == 1


def test_many_items_are_sampled(run, monkeypatch):
    monkeypatch.setattr(index_queries, "MAX_QUERIES", 5)
    write_features(run, 9)
    asked = plan(run)
    assert len(asked.texts) <= 5
    assert asked.pictures_QD is not None
    assert len(asked.pictures_QD) == 5


def test_a_tower_that_was_not_trained_is_not_asked(tmp_path, image_encoder_folder, run):
    write_features(run, 2)
    model_id = write_model(tmp_path, image_encoder_folder, {"text": {"search/click": 3}})
    asked = plan_queries(str(run), model_id, str(tmp_path / "models" / model_id), columns={})
    assert asked.encoded(IDS).keys() == {"text"}


def test_another_model_is_refused_and_none_is_said(run, tmp_path, capsys):
    with pytest.raises(UsageError, match="expected --model itemsage-0"):
        plan_queries(str(run), "itemsage-0", str(model_of(run)), columns={})
    alone = plan_queries(str(tmp_path / "a" / "b" / "run"), "itemsage-0", None, columns={})
    assert alone.encoded(IDS) == {}
    assert "text and picture queries are not measured, give --model: expected" in capsys.readouterr().out
    with pytest.raises(CorruptFileError, match="expected"):
        plan_queries(str(run), "itemsage-0", str(tmp_path / "none"), columns={})


def rebuild(run: Path, *flags: str) -> dict:
    (run / "COMPLETED").unlink(missing_ok=True)
    assert index.main(["--run", str(run), *flags]) == 0
    return read_json(run / "index" / "manifest.json")


def test_the_manifest_states_what_each_kind_finds_and_the_build_says_it(run, tmp_path, capsys):
    write_features(run, 4)
    log = write_log(tmp_path / "log.parquet", {f"wool lamp {number}": 1 for number in range(150)})
    kinds = rebuild(run, "--engagements", log)["searched"]["kinds"]
    assert {kind: (facts["num_queries"], facts["queries"]) for kind, facts in kinds.items()} == {
        "item": (len(item_ids()), "items of the index"),
        "text": (150, "150 of the log"),
        "picture": (4, "pictures of other items"),
    }
    for facts in kinds.values():
        assert facts["recall"]["10"] >= 0.95
        assert facts["target_reached"]
    assert "index: 150 text queries (150 of the log) among the items: search_k" in capsys.readouterr().out


def test_other_queries_are_another_index_and_equal_ones_are_not(run, tmp_path):
    write_features(run, 4)
    logs = [write_log(tmp_path / f"{name}.parquet", {f"{name} lamp {n}": 1 for n in range(150)}) for name in "ab"]
    made = []
    for log in (logs[0], logs[0], logs[1]):
        rebuild(run, "--engagements", log)
        made.append((run / "index" / "items.ann").stat().st_mtime_ns)
    assert made[0] == made[1] < made[2]


def test_a_kind_out_of_reach_is_said(run, monkeypatch, capsys):
    monkeypatch.setattr(Truth, "recall", lambda self, index, k, search_k: 0.5)
    rebuild(run, "--seed", "3")
    assert "WARNING: expected recall@10 >= 0.95 of text queries, got " in capsys.readouterr().out


def test_searches_inspect_what_was_chosen_for_their_kind(own_store, monkeypatch):
    searcher, asked = Searcher(str(own_store)), []
    monkeypatch.setattr(
        searcher.index,
        "search",
        lambda queries, top, kind: asked.append(kind) or (np.zeros((len(queries), top), int), np.ones((1, top))),
    )
    searcher.by_text(["red dress"], top=1)
    searcher.by_image([next(own_store.glob("*.png"))], top=1)
    searcher.by_item(["item-003"], top=1)
    assert asked == ["text", "picture", "item"]
