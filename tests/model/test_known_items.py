"""The items that a query is known to have engaged, from the tables of training."""

import tracemalloc
from pathlib import Path

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from model.training.data import TrainingData
from model.training.known_items import items_by_key, known_items, query_keys

KEYED = st.lists(st.tuples(st.integers(0, 5), st.integers(0, 9)), max_size=30)


@given(st.lists(st.integers(0, 7), min_size=1, max_size=12), st.lists(KEYED, max_size=3))
def test_all_items_of_a_key_and_no_others(asked, tables):
    items, places = items_by_key(np.array(asked, np.uint64), [_columns(table) for table in tables])
    assert len(items) == len(set(asked))
    for place, key in zip(places, asked, strict=True):
        expected = {item for table in tables for of, item in table if of == key}
        assert items[place].tolist() == sorted(expected)


def test_many_pairs_of_a_query_of_many_items_hold_its_items_once():
    table = np.zeros(20_000, np.uint64), np.arange(20_000)
    tracemalloc.start()
    try:
        items, places = items_by_key(np.repeat(np.arange(2, dtype=np.uint64), 500), [table])
        _, peak_bytes = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert [len(each) for each in items] == [20_000, 0]
    assert len(places) == 1000
    assert peak_bytes < 10 << 20, "a matrix of pairs and items has 160 MB"


def _columns(table: list[tuple[int, int]]) -> tuple[np.ndarray, np.ndarray]:
    keys, items = np.array(table, np.int64).reshape(-1, 2).T
    return keys.astype(np.uint64), items


def test_queries_are_one_by_their_tokens_and_pictures_by_their_id(data: TrainingData) -> None:
    for pairs in (data.train, data.validation):
        keys = query_keys(pairs)
        rows = np.arange(len(pairs.query_id_Q))
        said = [
            tuple(pairs.text(rows[[row]])[0].tolist()) if pairs.is_text(rows[[row]])[0] else pairs.query_id_Q[row]
            for row in rows
        ]
        assert len(set(said)) == len(set(keys.tolist())) == len(set(zip(said, keys.tolist(), strict=True)))
    shared = np.intersect1d(query_keys(data.train), query_keys(data.validation))
    assert len(shared) > 10, "the two parts share queries"


def test_what_training_knows_is_left_out_beside_the_own_part(data: TrainingData, tmp_path: Path) -> None:
    rows_P = np.arange(0, len(data.validation), 3)
    items, places = known_items(data.validation, rows_P, [data.train])
    ids = {table: np.asarray(table.query_id_Q)[np.asarray(table.query_P)] for table in (data.train, data.validation)}
    more = 0
    for row, place in zip(rows_P, places, strict=True):
        expected = set()
        for table, id_P in ids.items():
            expected |= set(np.asarray(table.item_P)[id_P == ids[data.validation][row]].tolist())
        assert set(items[place].tolist()) == expected
        more += len(expected) - 1
    assert more > 0
