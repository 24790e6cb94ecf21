"""What a log tells of a model's training."""

import numpy as np
import pyarrow as pa
from evaluated_days import LAST

from model.split.held_out import HELD_OUT, item_node, query_node
from pipelines.evaluate.training_log import TrainingLog
from pipelines.log.training_rows import QUERY_ROWS

ROW_OF = {"a": 0, "b": 1, "c": 2}
ROWS = [
    ("search", "red sofa", "a", "click"),
    ("search", "red sofa", "a", "save"),
    ("search", "red sofa", "a", "save"),
    ("search", "lamp", "gone", "click"),
    ("closeup", "1.png", "b", "click"),
    ("closeup", "2.png", "b", "click"),
]


def log_of(rows: list[tuple[str, str, str, str]], held_out: pa.Table | None = None) -> TrainingLog:
    names = ("surface", "query", "item_id", "action")
    dicts = [{"timestamp": LAST, **dict(zip(names, row, strict=True))} for row in rows]
    return TrainingLog(pa.Table.from_pylist(dicts, schema=QUERY_ROWS), ROW_OF, held_out)


def groups_of_the_split(*groups: tuple[int, ...]) -> pa.Table:
    """HELD_OUT of these groups of nodes."""
    rows = [{"node": node, "part": "train", "group": min(group)} for group in groups for node in group]
    return pa.Table.from_pylist(rows, schema=HELD_OUT).sort_by("node")


def test_pairs_and_items_are_counted_by_surface_over_all_actions():
    log = log_of(ROWS)
    assert log.text_pairs == {("red sofa", 0): 3}
    assert log.picture_pairs == {("1.png", 1): 1, ("2.png", 1): 1}
    assert log.popularity_N is not None
    assert log.popularity_N.tolist() == [3, 2, 0]
    assert log.seen_items_N.tolist() == [True, True, False]
    assert len(log.pictures(1)) == 1
    assert set(log.pictures(9)) == {"1.png", "2.png"}


def test_an_item_is_new_if_no_near_duplicate_has_been_engaged_either():
    """`c` is a near-duplicate of `a`; `lamp` is of no item, though `b` and it are of one group."""
    log = [("search", "lamp", "a", "click"), ("search", "lamp", "left the shop", "click")]
    a, b, c, gone = (item_node(name) for name in ("a", "b", "c", "left the shop"))
    near = groups_of_the_split((a, c), (b, query_node("search", "lamp")))
    assert log_of(log, near).seen_items_N.tolist() == [True, False, True]
    assert log_of(log).seen_items_N.tolist() == [True, False, False]
    assert log_of(log, groups_of_the_split((b, gone))).seen_items_N.tolist() == [True, True, False]


def test_a_query_is_new_if_no_near_duplicate_has_been_asked_either():
    near = groups_of_the_split(
        tuple(query_node("search", query) for query in ("red sofa", "crimson couch")),
        tuple(query_node("closeup", uri) for uri in ("1.png", "cropped.png")),
        (query_node("closeup", "3.png"), item_node("b")),
    )
    log = log_of(ROWS, near)
    assert log.seen_texts(["Crimson  couch", "couch"]).tolist() == [True, False]
    assert log.seen_pictures(["cropped.png", "3.png", "2.png"], str).tolist() == [True, False, True]


def test_text_is_seen_by_its_words_a_picture_by_its_content():
    log = log_of(ROWS)
    assert log.seen_texts(["Red-Sofa", "sofa red", "LAMP ", "1.png"]).tolist() == [True, False, True, False]
    content = {"1.png": "x", "copy.png": "x"}
    found = log.seen_pictures(["2.png", "copy.png", "new.png", "lamp"], lambda uri: content.get(uri, uri))
    assert found.tolist() == [True, True, False, False]


def test_pairs_that_the_model_had_and_the_log_lacks_are_told():
    towers = {"text": {"search/click": 2, "search/save": 2, "search/pseudo": 99}, "picture": {"closeup/click": 3}}
    assert log_of(ROWS).missing_pairs(towers) == {
        "closeup/click": {"model": 3, "log": 2},
        "search/save": {"model": 2, "log": 1},
    }


def test_missing_pairs_of_one_surface_alone():
    towers = {"text": {"search/save": 2}, "picture": {"closeup/click": 3}}
    assert list(log_of(ROWS).missing_pairs(towers, "search")) == ["search/save"]


def test_a_log_without_a_training_part_makes_all_new():
    log = log_of([])
    assert log.popularity_N is None
    assert (log.text_pairs, log.picture_pairs, log.pictures(5)) == ({}, {}, [])
    assert not np.concatenate([log.seen_items_N, log.seen_texts(["red"])]).any()
