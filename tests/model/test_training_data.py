import dataclasses
import doctest
import shutil
from collections import Counter
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from model.items.batch import collate_items
from model.machine.columns import ColumnWriter, gather_ragged, offsets_of, read_column
from model.training import data as training_data
from model.training.data import PairStream, TrainingData, sample_pairs, task_shares
from model.training.known_items import KnownItems
from model.training.tables import ItemTable, PairTable
from schemas.errors import CorruptFileError, ThresholdError, UsageError
from schemas.records.tfrecords import (
    decode_features,
    decode_pair,
    encode_features,
    encode_pair,
    read_records,
    write_records,
)
from schemas.tables import PSEUDO_TASK

PICTURE_DIM = 16


def _items(run: Path) -> list:
    return [decode_features(p) for path in sorted((run / "features").iterdir()) for p in read_records(path)]


def _pairs(run: Path, part: str = "train") -> list:
    return [decode_pair(p) for path in sorted((run / "pairs" / part).iterdir()) for p in read_records(path)]


@settings(max_examples=50, deadline=None)
@given(st.lists(st.lists(st.integers(0, 99), max_size=5), min_size=1, max_size=8), st.data())
def test_gather_ragged_equals_indexing_lists(rows: list[list[int]], draw: st.DataObject) -> None:
    flat = np.array([value for row in rows for value in row], np.int64)
    wanted = draw.draw(st.lists(st.integers(0, len(rows) - 1), max_size=10))
    offsets = offsets_of(np.array([len(row) for row in rows]))
    values, gathered = gather_ragged(flat, offsets, np.array(wanted, np.int64))
    got = [values[gathered[i] : gathered[i + 1]].tolist() for i in range(len(wanted))]
    assert got == [rows[i] for i in wanted]


def test_column_writer_makes_a_plain_npy_file(tmp_path: Path) -> None:
    with ColumnWriter(tmp_path, "x", "<f4", (2,)) as column:
        column.append(np.array([[1, 2], [3, 4]]))
        column.append(np.zeros((0, 2)))
        column.append(np.array([[5, 6]]))
    assert np.load(tmp_path / "x.npy").tolist() == [[1, 2], [3, 4], [5, 6]]
    assert isinstance(read_column(tmp_path, "x"), np.memmap)
    with ColumnWriter(tmp_path, "none", "<f2", (7,)):
        pass
    assert read_column(tmp_path, "none").shape == (0, 7)


def test_item_batches_equal_collated_records(training_run: Path, data: TrainingData) -> None:
    items = _items(training_run)
    rows = np.array([5, 3, 3, 95, 0, 17])
    batch, expected = data.items.batch(rows), collate_items([items[row] for row in rows], data.items.picture_dim)
    assert [data.items.item_ids[row].as_py() for row in rows] == [items[row].item_id for row in rows]
    for field in dataclasses.fields(expected):
        assert getattr(batch, field.name).tolist() == getattr(expected, field.name).tolist(), field.name
        assert getattr(batch, field.name).dtype == getattr(expected, field.name).dtype, field.name


def test_pair_table_holds_every_pair_and_each_query_once(training_run: Path, data: TrainingData) -> None:
    pairs, table = _pairs(training_run), data.train
    assert len(table) == len(pairs)
    assert len(table.query_id_Q) == len({pair.query_id for pair in pairs})
    for row in range(0, len(pairs), 37):
        pair, query = pairs[row], table.query_P[row : row + 1]
        assert table.tasks[table.task_P[row]] == pair.task
        assert data.items.item_ids[int(table.item_P[row])].as_py() == pair.item_id
        assert table.query_id_Q[query[0]] == pair.query_id
        assert (table.count_P[row], table.query_item_count_P[row], table.query_count_P[row]) == (pair.count, 2, 5)
        if table.is_text(query)[0]:
            assert table.text(query)[0].tolist() == pair.query_token_ids.tolist()
        else:
            assert table.pictures(query).numpy().astype(np.float16).tolist() == [pair.query_picture.tolist()]
    assert table.num_pairs_by_task() == dict(sorted(Counter(pair.task for pair in pairs).items()))


def test_item_probabilities_are_those_of_the_stream(data: TrainingData) -> None:
    stream = _stream(data, batch_size=60)
    probabilities = stream.item_probabilities()
    assert probabilities.sum() == pytest.approx(1.0)
    batches = [stream.batch(step) for step in range(300)]
    drawn = np.bincount(np.concatenate([b.items_U[b.positive_B] for b in batches]), minlength=len(data.items))
    np.testing.assert_allclose(drawn / drawn.sum(), probabilities, atol=1e-3)


def test_pairs_without_item_are_left_out_and_counted(training_run: Path, data: TrainingData, tmp_path: Path) -> None:
    pairs = _pairs(training_run)[:5]
    payloads = [encode_pair(pair) for pair in [*pairs, dataclasses.replace(pairs[0], item_id="gone")]]
    write_records(tmp_path / "a.tfrecord", payloads)
    table = PairTable.build(tmp_path, data.items, tmp_path / "cache")
    assert (len(table), table.num_pairs_without_item) == (5, 1)


def test_columns_are_reused_until_their_source_changes(training_run: Path, tmp_path: Path) -> None:
    features = shutil.copytree(training_run / "features", tmp_path / "features")
    assert len(ItemTable.build(features, tmp_path / "cache", PICTURE_DIM)) == 96
    (made,) = (tmp_path / "cache").iterdir()
    made_ns = (made / "token_ids.npy").stat().st_mtime_ns
    ItemTable.build(features, tmp_path / "cache", PICTURE_DIM)
    assert (made / "token_ids.npy").stat().st_mtime_ns == made_ns
    next(iter(sorted(features.iterdir()))).unlink()
    assert len(ItemTable.build(features, tmp_path / "cache", PICTURE_DIM)) == 48
    assert not [path for path in (tmp_path / "cache").iterdir() if path.name.startswith(".")]


def test_pictures_of_another_encoder_are_refused(training_run: Path, tmp_path: Path) -> None:
    items = [item for item in _items(training_run) if len(item.pictures)]
    other = dataclasses.replace(items[1], pictures=items[1].pictures[:, :7])
    (tmp_path / "features").mkdir()
    write_records(tmp_path / "features" / "a.tfrecord", [encode_features(items[0]), encode_features(other)])
    with pytest.raises(CorruptFileError, match=r"\(16,\).*\(7,\)"):
        ItemTable.build(tmp_path / "features", tmp_path / "cache", PICTURE_DIM)
    assert not list((tmp_path / "cache").iterdir())


def _stream(data: TrainingData, **changes: Any) -> PairStream:
    settings = {"num_items": len(data.items), "batch_size": 50, "num_negatives": 40, "seed": 3, "count_cap": 2}
    return PairStream(pairs=data.train, **(settings | changes))


def test_a_batch_mixes_tasks_equally_and_the_first_hold_the_remainder(data: TrainingData) -> None:
    batch = _stream(data).batch(7)
    assert np.bincount(batch.task_B).tolist() == [17, 17, 16]
    assert 25 < len(batch.negative_M) < 55
    assert len(set(batch.negative_M.tolist())) == len(batch.negative_M)
    assert batch.items_U.tolist() == sorted(set(batch.items_U.tolist()))


@settings(max_examples=100, deadline=None)
@given(st.integers(1, 9), st.integers(0, 200), st.floats(0.001, 1), st.booleans())
def test_pseudo_queries_have_their_share_of_a_batch_at_most(
    num_tasks: int, more: int, share: float, last: bool
) -> None:
    others = [f"search/{number}" for number in range(num_tasks - 1)]
    tasks = [*others, PSEUDO_TASK] if last else [PSEUDO_TASK, *others]
    batch_size = num_tasks + more
    shares = dict(zip(tasks, task_shares(tasks, batch_size, share), strict=True))
    assert sum(shares.values()) == batch_size
    pseudo = shares.pop(PSEUDO_TASK)
    if not shares:
        return
    assert max(shares.values()) - min(shares.values()) <= 1
    assert 1 <= pseudo <= max(share * batch_size, 1)
    equal = batch_size / num_tasks
    assert abs(pseudo - equal) < 1 or pseudo == max(1, int(share * batch_size)) < equal
    assert task_shares(["a", "b", "c"], 50, share) == [17, 17, 16]


def test_a_batch_holds_the_share_of_pseudo_queries() -> None:
    pairs = _skewed(400, 100, 0)
    pairs.task_P = (np.arange(400) >= 100).astype(np.int64)
    pairs.tasks = ["search/click", PSEUDO_TASK]
    stream = PairStream(
        pairs=pairs,  # type: ignore[arg-type]
        num_items=100,
        batch_size=50,
        num_negatives=20,
        seed=3,
        pseudo_share=0.3,
    )
    assert np.bincount(stream.batch(3).task_B).tolist() == [35, 15]
    np.testing.assert_allclose(stream.item_probabilities().sum(), 1)
    of_log = int(np.minimum(pairs.count_P[:100], 10).sum())
    assert stream.steps_per_epoch == -(-of_log // 35), "pseudo-queries do not make a training longer"


class _Pairs(SimpleNamespace):
    """What PairStream reads of a PairTable."""

    def __len__(self) -> int:
        return len(self.item_P)


def _skewed(num_pairs: int, num_items: int, cold: int) -> _Pairs:
    """Pairs of one task: the last items before the `cold` ones have most of them, those none."""
    item_P = (np.random.default_rng(4).power(0.3, num_pairs) * (num_items - cold)).astype(np.int64)
    item_P[: num_items - cold] = np.arange(num_items - cold)
    zeros = np.zeros(num_pairs, np.int64)
    facts = {"query_id_Q": np.arange(num_pairs), "query_item_count_P": zeros + 1, "query_count_P": zeros + 1}
    facts |= {"task_P": zeros, "count_P": zeros + 1, "item_P": item_P, "query_P": np.arange(num_pairs)}
    return _Pairs(tasks=["search/click"], is_text=lambda rows: np.ones(len(rows), bool), **facts)


@pytest.mark.parametrize(("num_items", "cold"), [(1000, 0), (1000, 300), (230, 0), (90, 20)])
def test_no_item_is_a_negative_more_often_than_a_positive(num_items: int, cold: int) -> None:
    pairs = _skewed(4 * num_items, num_items, cold)
    stream = PairStream(pairs=pairs, num_items=num_items, batch_size=200, num_negatives=200, seed=3)  # type: ignore[arg-type]
    batches = [stream.batch(step) for step in range(400)]

    def times_met(name: str) -> np.ndarray:
        return np.bincount(np.concatenate([b.items_U[getattr(b, name)] for b in batches]), minlength=num_items)

    positives_I, negatives_I = times_met("positive_B"), times_met("negative_M")
    assert not negatives_I[num_items - cold :].any()
    by_share = np.argsort(positives_I, kind="stable")[cold:]
    rare, common = by_share[: num_items // 3], by_share[-num_items // 10 :]
    expected_I = 400 * np.minimum(200 * np.minimum(stream.item_probabilities(), 1 / num_items), 1)
    np.testing.assert_allclose(negatives_I, expected_I, atol=6 * np.sqrt(expected_I.max()))
    if num_items > 200:  # else a step holds an item as a positive several times, as a negative once
        assert 0.9 < negatives_I[rare].sum() / positives_I[rare].sum() < 1.1
    assert negatives_I[rare].sum() < 1.1 * positives_I[rare].sum()
    assert negatives_I[common].sum() < 0.5 * positives_I[common].sum()
    np.testing.assert_allclose(stream.negative_probabilities(), expected_I / expected_I.sum())
    assert stream.mean_num_negatives == pytest.approx(expected_I.sum() / 400)


def test_fewer_negatives_are_drawn_where_fewer_are_wanted() -> None:
    pairs = _skewed(4000, 1000, 0)
    stream = PairStream(pairs=pairs, num_items=1000, batch_size=200, num_negatives=30, seed=3)  # type: ignore[arg-type]
    assert stream.mean_num_negatives == pytest.approx(30)
    counts = [len(stream.batch(step).negative_M) for step in range(100)]
    assert 28 < np.mean(counts) < 32


@settings(max_examples=60, deadline=None)
@given(st.lists(st.tuples(st.integers(0, 5), st.integers(0, 7)), min_size=1, max_size=30), st.data())
def test_known_items_equal_a_search_through_the_pairs(rows: list[tuple[int, int]], draw: st.DataObject) -> None:
    pairs = _Pairs(query_P=np.array([q for q, _ in rows]), item_P=np.array([i for _, i in rows]), query_id_Q=range(6))
    queries = draw.draw(st.lists(st.integers(0, 5), max_size=6))
    items = sorted(draw.draw(st.sets(st.integers(0, 9), min_size=1)))
    known = KnownItems(pairs).among(np.array(queries, np.int64), np.array(items))  # type: ignore[arg-type]
    assert known.tolist() == [[(query, item) in rows for item in items] for query in queries]


def test_a_batch_refers_to_the_pairs_of_the_table(data: TrainingData) -> None:
    batch, table = _stream(data).batch(2), data.train
    known = set(zip(table.task_P.tolist(), table.query_P.tolist(), table.item_P.tolist(), strict=True))
    queries = np.concatenate([batch.text_queries, batch.picture_queries])[batch.query_B]
    items = batch.items_U[batch.positive_B]
    assert set(zip(batch.task_B.tolist(), queries.tolist(), items.tolist(), strict=True)) <= known
    of_any_task = {(query, item) for _, query, item in known}
    distinct = np.concatenate([batch.text_queries, batch.picture_queries])
    expected = [[(query, item) in of_any_task for item in batch.items_U.tolist()] for query in distinct.tolist()]
    assert batch.is_known_QU.tolist() == expected
    assert table.is_text(batch.text_queries).all()
    assert not table.is_text(batch.picture_queries).any()


def test_the_natural_mix_holds_each_task_in_proportion_to_its_pairs(data: TrainingData) -> None:
    stream, table = _stream(data, mixes_equally=False), data.train
    batches = [stream.batch(step) for step in range(stream.steps_per_epoch)]
    repeats_P = np.minimum(np.asarray(table.count_P), 2)
    expected_K = np.bincount(table.task_P, weights=repeats_P)
    drawn_K = np.bincount(np.concatenate([batch.task_B for batch in batches]))
    np.testing.assert_allclose(drawn_K / drawn_K.sum(), expected_K / expected_K.sum(), atol=0.01)
    items_I = np.bincount(table.item_P, weights=repeats_P, minlength=len(data.items))
    np.testing.assert_allclose(stream.item_probabilities(), items_I / items_I.sum())
    assert len(_stream(data, mixes_equally=False, batch_size=2).batch(0).task_B) == 2, "fewer pairs than tasks"


def test_no_random_negatives_are_drawn_where_none_are_wanted(data: TrainingData) -> None:
    batch = _stream(data, num_negatives=0).batch(3)
    assert len(batch.negative_M) == 0
    assert batch.items_U.tolist() == sorted(set(batch.items_U[batch.positive_B].tolist()))


def test_the_pairs_of_some_tasks_are_those_of_the_table(data: TrainingData) -> None:
    def rows(table: PairTable) -> list[tuple]:
        columns = (table.query_P, table.item_P, table.count_P, table.query_item_count_P, table.query_count_P)
        names = [table.tasks[task] for task in table.task_P]
        return list(zip(names, *(column.tolist() for column in columns), strict=True))

    some = data.of_tasks(["search/click", "search/checkout"])
    assert some.train.tasks == ["search/checkout", "search/click"]
    assert rows(some.train) == [row for row in rows(data.train) if row[0].startswith("search/")]
    assert rows(some.validation) == [row for row in rows(data.validation) if row[0].startswith("search/")]
    assert data.train.has_pictures
    assert not some.train.has_pictures
    assert data.of_tasks([]) is data
    with pytest.raises(UsageError, match=r"closeup/save, search/checkout, search/click.*got 'search/save'"):
        data.of_tasks(["search/click", "search/save"])


def test_each_task_walks_over_all_its_pairs_before_it_starts_over(data: TrainingData) -> None:
    stream, task = _stream(data), data.train.tasks.index("search/checkout")
    rows = np.concatenate([stream._pairs_of_walk(task, step) for step in range(12)])
    expected = Counter()
    for row in np.flatnonzero(np.asarray(data.train.task_P) == task):
        expected[int(row)] = min(int(data.train.count_P[row]), 2)
    length = sum(expected.values())
    assert Counter(rows[:length].tolist()) == expected
    assert Counter(rows[length : 2 * length].tolist()) == expected
    assert rows[:length].tolist() != rows[length : 2 * length].tolist()


def test_a_batch_is_a_function_of_seed_and_step(data: TrainingData) -> None:
    ahead, direct, other = _stream(data), _stream(data), _stream(data, seed=4)
    for step in range(9):
        ahead.batch(step)
    for field in dataclasses.fields(direct.batch(9)):
        assert getattr(ahead.batch(9), field.name).tolist() == getattr(direct.batch(9), field.name).tolist()
    assert direct.batch(9).query_B.tolist() != other.batch(9).query_B.tolist()


def test_an_epoch_holds_as_many_pairs_as_the_log(data: TrainingData) -> None:
    stream = _stream(data)
    total = int(np.minimum(data.train.count_P, 2).sum())
    assert stream.steps_per_epoch == -(-total // 50)


def test_impossible_streams_are_refused(training_run: Path, data: TrainingData, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"one pair a task \(3\), got 2"):
        _stream(data, batch_size=2)
    empty = PairTable.build(tmp_path, data.items, tmp_path / "cache")
    with pytest.raises(ThresholdError, match="got 0"):
        PairStream(pairs=empty, num_items=96, batch_size=8, num_negatives=8, seed=0)


@pytest.mark.parametrize(("count", "expected"), [(40, [40, 40]), (150, [100, 150]), (900, [100, 300])])
def test_pseudo_queries_are_sampled_beside_the_log_not_in_its_place(count: int, expected: list[int]) -> None:
    task_P = (np.arange(400) >= 100).astype(np.int64)
    pairs = _Pairs(tasks=["search/click", PSEUDO_TASK], task_P=task_P, is_pseudo=lambda: task_P == 1)
    rows = sample_pairs(pairs, count, seed=1)  # type: ignore[arg-type]
    assert np.bincount(task_P[rows]).tolist() == expected
    assert rows.tolist() == sorted(set(rows.tolist()))


@settings(max_examples=20, deadline=None)
@given(count=st.integers(0, 200), seed=st.integers(0, 5))
def test_sampled_pairs_are_distinct_and_as_equal_as_tasks_allow(data: TrainingData, count: int, seed: int) -> None:
    rows = sample_pairs(data.validation, count, seed)
    assert len(rows) == min(count, len(data.validation)) == len(set(rows.tolist()))
    of_task = np.asarray(data.validation.task_P)
    sampled, available = np.bincount(of_task[rows], minlength=3), np.bincount(of_task, minlength=3)
    largest = sampled.max()
    assert all(n == m or n >= largest - 1 for n, m in zip(sampled, available, strict=True))


def test_the_examples_are_right() -> None:
    assert doctest.testmod(training_data).failed == 0
