"""Query vectors that a shop brings: read whatever their lists are, refused by the row where they are wrong."""

import itertools
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from query_vectors import write_query_vectors

from schemas.errors import CorruptFileError, ThresholdError, UsageError
from schemas.records import query_vectors
from schemas.records.query_vectors import check_query_vectors, read_queries, read_vectors

VECTORS = [[3.0, 4.0], [0.0, -2.0], [1e-30, 0.0], [1e30, 1e30]]
UNIT = [[0.6, 0.8], [0.0, -1.0], [1.0, 0.0], [0.5**0.5, 0.5**0.5]]
QUERIES = ["a", "b", "c", "d"]
KINDS = [pa.list_(pa.float32()), pa.large_list(pa.float64()), pa.list_(pa.float32(), 2), pa.list_(pa.float64(), 2)]


def read(*files: Path) -> tuple[list[str], np.ndarray]:
    names = list(map(str, files))
    check_query_vectors(names)
    return list(itertools.chain.from_iterable(read_queries(names))), np.concatenate(list(read_vectors(names)))


@pytest.mark.parametrize("kind", KINDS, ids=str)
def test_vectors_are_read_with_norm_1_whatever_their_lists_are(tmp_path, kind):
    queries, vectors_ND = read(write_query_vectors(tmp_path / "q.parquet", QUERIES, VECTORS, kind))
    assert queries == QUERIES
    assert vectors_ND.dtype == np.float32
    np.testing.assert_allclose(vectors_ND, UNIT, atol=1e-6)


def test_parts_are_read_one_after_the_other(tmp_path):
    rng = np.random.default_rng(0)
    given_ND = rng.standard_normal((50, 3)).astype(np.float32)
    names = [f"query {number}" for number in range(50)]
    files = [
        write_query_vectors(tmp_path / f"part-{start}.parquet", names[start : start + 20], given_ND[start : start + 20])
        for start in (0, 20, 40)
    ]
    queries, vectors_ND = read(*files)
    assert queries == names
    np.testing.assert_allclose(vectors_ND, given_ND / np.linalg.norm(given_ND, axis=1, keepdims=True), atol=1e-6)


@pytest.mark.parametrize(
    ("row", "message"),
    [
        ([1.0], r"expected query vectors of 2 numbers, as in the first row, got 1 in row 10 of .*q\.parquet"),
        ([1.0, 2.0, 3.0], r"got 3 in row 10 of"),
        ([], r"got 0 in row 10 of"),
        (None, r"got null in row 10 of"),
        ([1.0, float("nan")], r"expected finite query vectors that are not all 0, got null, NaN or infinity in row 10"),
        ([1.0, float("inf")], r"got null, NaN or infinity in row 10"),
        ([1.0, None], r"got null, NaN or infinity in row 10"),
        ([0.0, -0.0], r"got one that is all 0 in row 10 of .*: leave the row out"),
    ],
    ids=str,
)
def test_a_bad_vector_is_refused_by_its_row(tmp_path, row, message):
    path = write_query_vectors(tmp_path / "q.parquet", [f"q{n}" for n in range(12)], [[1.0, 2.0]] * 9 + [row] * 3)
    check_query_vectors([str(path)])
    with pytest.raises(ThresholdError, match=message):
        list(read_vectors([str(path)]))


@pytest.mark.parametrize("row", [[None], [0.0], []], ids=str)
def test_a_bad_first_vector_is_refused_too(tmp_path, row):
    path = write_query_vectors(tmp_path / "q.parquet", QUERIES, [row] * 4)
    with pytest.raises(ThresholdError, match="in row 1 of"):
        list(read_vectors([str(path)]))


@pytest.mark.parametrize("query", [None, "", " \t"])
def test_a_query_of_nothing_is_refused_by_its_row(tmp_path, query):
    path = write_query_vectors(tmp_path / "q.parquet", [*map(str, range(8)), query], [[1.0]] * 9)
    with pytest.raises(ThresholdError, match=r"expected a query in each row .* in row 9 of .*: leave the row out"):
        list(read_queries([str(path)]))


@pytest.mark.parametrize(
    ("columns", "message"),
    [
        ({"text": ["a"], "vector": [[1.0]]}, r"expected the columns query and vector .*, got no query among .*'text'"),
        ({"query": ["a"], "embedding": [[1.0]]}, r"got no vector among"),
        ({"text": ["a"]}, r"got no query and no vector among"),
        (
            {"query": [1], "vector": [[1.0]]},
            r"a query of text and a vector that is a list of floats, got int64",
        ),
        ({"query": ["a"], "vector": [1.0]}, r"got string and double"),
        ({"query": ["a"], "vector": [["1"]]}, r"got string and list<"),
    ],
    ids=str,
)
def test_other_columns_are_a_wrong_call(tmp_path, columns, message):
    pq.write_table(pa.table(columns), tmp_path / "q.parquet")
    with pytest.raises(UsageError, match=message):
        check_query_vectors([str(tmp_path / "q.parquet")])


def test_other_files_are_a_wrong_call(tmp_path, monkeypatch):
    (tmp_path / "q.csv").write_text("query,vector\na,1\n")
    with pytest.raises(UsageError, match=r"expected Parquet files of query vectors, got .*q\.csv: write it as Parquet"):
        check_query_vectors([str(tmp_path / "q.csv")])
    (tmp_path / "q.parquet").write_bytes(b"PAR1 and no more")
    with pytest.raises(CorruptFileError, match="expected a Parquet file"):
        check_query_vectors([str(tmp_path / "q.parquet")])
    empty = write_query_vectors(tmp_path / "empty.parquet", [], [])
    with pytest.raises(UsageError, match="expected 1 to 10,000,000 query vectors, got 0 rows"):
        check_query_vectors([str(empty)])
    monkeypatch.setattr(query_vectors, "MAX_QUERIES", 3)
    many = write_query_vectors(tmp_path / "many.parquet", QUERIES, VECTORS)
    with pytest.raises(UsageError, match="expected 1 to 3 query vectors, got 4 rows"):
        check_query_vectors([str(many)])


def test_coded_queries_and_further_columns_are_no_hindrance(tmp_path):
    table = pa.table({"n": [1, 2], "query": pa.array(["a", "b"]).dictionary_encode(), "vector": [[1.0], [2.0]]})
    pq.write_table(table, tmp_path / "q.parquet")
    assert read(tmp_path / "q.parquet")[0] == ["a", "b"]
