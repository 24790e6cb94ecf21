"""Two parts' pairs as one table: what the records of both would have made, with counts over both."""

import dataclasses
from collections import Counter
from pathlib import Path

import numpy as np
import pytest

from model.split.split import PARTS
from model.training.data import TrainingData
from model.training.joined_pairs import join_pair_tables
from model.training.tables import PairTable
from schemas.errors import CorruptFileError
from schemas.records.tfrecords import decode_pair, encode_pair, read_records, write_records

TABLE_DIM = 3


@pytest.fixture(scope="module")
def data(training_run: Path, tmp_path_factory: pytest.TempPathFactory) -> TrainingData:
    return TrainingData.open(training_run, tmp_path_factory.mktemp("cache"), picture_dim=16)


def _in_table(query_id: int) -> np.ndarray:
    """The vector that the shop's own table has for a query; two of three are not in it."""
    known = query_id % 3 == 0
    return np.random.default_rng(query_id).standard_normal(TABLE_DIM if known else 0).astype(np.float16)


def test_the_vectors_of_the_shops_own_table_stay_with_their_queries(training_run: Path, tmp_path: Path) -> None:
    run = tmp_path / "run"
    run.mkdir()
    (run / "features").symlink_to(training_run / "features")
    for path in (path for part in PARTS for path in (training_run / "pairs").glob(f"{part}/*.tfrecord")):
        pairs = list(map(decode_pair, read_records(path)))
        made = [
            dataclasses.replace(p, query_table_vector=_in_table(p.query_id)) if len(p.query_token_ids) else p
            for p in pairs
        ]
        (run / "pairs" / path.parent.name).mkdir(parents=True)
        write_records(run / "pairs" / path.parent.name / path.name, map(encode_pair, made))
    data = TrainingData.open(run, tmp_path / "cache", picture_dim=16, query_table_dim=TABLE_DIM)
    joined = join_pair_tables(data.train, data.validation, tmp_path)
    for table in (data.train, data.validation, joined):
        rows = np.flatnonzero(table.is_text(np.arange(len(table.query_id_Q))))
        table_vectors_QD = table.text(rows)[3].numpy()
        assert 0 < table_vectors_QD.any(axis=1).sum() < len(rows)
        for query_id, vector_D in zip(table.query_id_Q[rows].tolist(), table_vectors_QD, strict=True):
            expected_D = _in_table(query_id)
            np.testing.assert_array_equal(vector_D, expected_D if len(expected_D) else np.zeros(TABLE_DIM))
    with pytest.raises(CorruptFileError, match=r"expected rows of shape \(5,\) for query_table_vectors, got \(3,\)"):
        TrainingData.open(run, tmp_path / "cache", picture_dim=16, query_table_dim=5)


def _rows(table: PairTable) -> list[tuple]:
    """(task, query's id, tokens and picture, item) of each pair, with its counts, sorted."""
    rows = []
    for number in range(len(table)):
        query = np.asarray(table.query_P[number : number + 1])
        tokens = tuple(table.text(query)[0].tolist())
        picture = () if table.is_text(query)[0] else tuple(table.pictures(query)[0].tolist())
        key = (table.tasks[table.task_P[number]], int(table.query_id_Q[query[0]]), tokens, picture)
        counts = table.count_P[number], table.query_item_count_P[number], table.query_count_P[number]
        rows.append((*key, int(table.item_P[number]), *map(float, counts)))
    return sorted(rows)


def test_every_pair_of_both_is_there_once_with_counts_over_both(
    data: TrainingData, training_run: Path, tmp_path: Path
) -> None:
    joined = join_pair_tables(data.train, data.validation, tmp_path)
    pairs = [
        pair
        for part in ("train", "validation")
        for path in sorted((training_run / "pairs" / part).iterdir())
        for pair in map(decode_pair, read_records(path))
    ]
    of_pair, of_query_item, of_query = Counter(), Counter(), Counter()
    expected = {}
    for pair in pairs:
        (item,) = data.items.rows_of([pair.item_id])
        key = (pair.task, pair.query_id, tuple(pair.query_token_ids.tolist()))
        expected[pair.task, pair.query_id, item] = (*key, tuple(pair.query_picture.astype(np.float32).tolist()), item)
        of_pair[pair.task, pair.query_id, item] += pair.count
        of_query_item[pair.query_id, item] += pair.count
        of_query[pair.query_id] += pair.count
    assert len(joined) == len(expected)
    assert max(of_pair.values()) > max(pair.count for pair in pairs)  # some are in both parts
    assert _rows(joined) == sorted(
        (*row, of_pair[key], of_query_item[key[1:]], of_query[key[1]]) for key, row in expected.items()
    )
    assert joined.tasks == ["closeup/save", "search/checkout", "search/click"]
    assert sorted(joined.query_id_Q.tolist()) == sorted({pair.query_id for pair in pairs})
    assert joined.has_pictures


def test_a_finished_table_is_used_again_and_others_are_made_beside_it(data: TrainingData, tmp_path: Path) -> None:
    first = join_pair_tables(data.train, data.validation, tmp_path)
    made_ns = [path.stat().st_mtime_ns for path in sorted(first.folder.iterdir())]
    assert join_pair_tables(data.train, data.validation, tmp_path).folder == first.folder
    assert [path.stat().st_mtime_ns for path in sorted(first.folder.iterdir())] == made_ns
    assert join_pair_tables(data.validation, data.train, tmp_path).folder != first.folder


def test_a_part_without_pairs_adds_none(data: TrainingData, tmp_path: Path) -> None:
    (tmp_path / "none").mkdir()
    empty = PairTable.build(tmp_path / "none", data.items, tmp_path / "cache")
    for parts in ((data.validation, empty), (empty, data.validation)):
        joined = join_pair_tables(*parts, tmp_path / "joined")
        distinct = {(task, query, item) for task, query, _, _, item, *_ in _rows(data.validation)}
        assert len(joined) == len(distinct)
        assert joined.count_P.sum() == data.validation.count_P.sum()
        assert joined.tasks == data.validation.tasks


def test_tasks_that_only_one_part_has_keep_their_names(data: TrainingData, training_run: Path, tmp_path: Path) -> None:
    (path,) = (training_run / "pairs" / "validation").iterdir()
    records = [payload for payload in read_records(path) if decode_pair(payload).task == "search/click"]
    (tmp_path / "clicks").mkdir()
    write_records(tmp_path / "clicks" / "a.tfrecord", records)
    clicks = PairTable.build(tmp_path / "clicks", data.items, tmp_path / "cache")
    assert clicks.tasks == ["search/click"]
    joined = join_pair_tables(clicks, data.train, tmp_path / "joined")
    by_task = Counter(task for task, *_ in _rows(joined))
    assert by_task == Counter(joined.num_pairs_by_task())
    assert by_task["closeup/save"] == len({row[:5] for row in _rows(data.train) if row[0] == "closeup/save"})
