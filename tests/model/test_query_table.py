"""A shop's own query vectors: found by the query however it is typed, the same bytes for the same table."""

import doctest
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from query_vectors import write_query_vectors, write_vectors_of

from model.items import query_table
from model.items.query_table import QueryTable
from model.text.tokenizer import same_query
from schemas.errors import CorruptFileError, ThresholdError, UsageError
from schemas.files import sha256_of_file

pytestmark = pytest.mark.medium

DIM = 5
TABLE = st.dictionaries(st.text(max_size=6).filter(str.strip), st.integers(0, 2**32 - 1), min_size=1, max_size=25)


def vector_of(seed: int) -> np.ndarray:
    vector_D = np.random.default_rng(seed).standard_normal(DIM).astype(np.float32)
    return vector_D / np.linalg.norm(vector_D)


def build(folder: Path, *files: Path) -> QueryTable:
    return QueryTable.build(list(map(str, files)), folder / "tables")


def bytes_of(table: QueryTable) -> dict[str, str]:
    return {path.name: sha256_of_file(path) for path in table.folder.iterdir()}


@pytest.fixture
def table(tmp_path: Path) -> QueryTable:
    return build(tmp_path, write_vectors_of(tmp_path / "q.parquet", {f"q {n}": vector_of(n) for n in range(30)}))


@settings(max_examples=60)
@given(drawn=TABLE, asked=st.lists(st.text(max_size=6), max_size=8), order=st.randoms(use_true_random=False))
def test_what_is_found_is_what_was_given(tmp_path_factory, drawn: dict[str, int], asked: list[str], order) -> None:
    """In any order, and split over any files: the same bytes."""
    folder = tmp_path_factory.mktemp("table")
    seed_of = {same_query(query): seed for query, seed in drawn.items()}  # one for queries that are the same one
    given_of = {query: vector_of(seed_of[same_query(query)]) for query in drawn}
    table = build(folder, write_vectors_of(folder / "q.parquet", given_of))
    assert (table.rows, table.dim) == (len(seed_of), DIM)
    queries = [*drawn, *asked]
    for query, vector_D in zip(queries, table.vectors(queries), strict=True):
        seed = seed_of.get(same_query(query))
        expected_D = np.zeros(DIM) if seed is None else vector_of(seed)
        np.testing.assert_array_equal(vector_D, expected_D.astype(np.float16))
    shuffled = list(given_of)
    order.shuffle(shuffled)
    half = len(shuffled) // 2
    parts = [shuffled[:half], shuffled[half:]] if half else [shuffled]
    files = [
        write_vectors_of(folder / f"parts/{n}.parquet", {q: given_of[q] for q in part}) for n, part in enumerate(parts)
    ]
    again = build(folder, *files)
    assert bytes_of(again) == bytes_of(table)
    assert again.id == table.id


def test_queries_are_found_however_they_are_typed(tmp_path: Path) -> None:
    brought = {"Red  Shoe": vector_of(1), "straße": vector_of(2)}
    table = build(tmp_path, write_vectors_of(tmp_path / "q.parquet", brought))
    typed = ["red shoe", "RED\tSHOE ", "ｒｅｄ shoe", "STRASSE", "redshoe", "red shoe!", ""]
    assert table.vectors(typed).any(axis=1).tolist() == [True] * 4 + [False] * 3
    assert table.vectors([]).shape == (0, DIM)
    assert doctest.testmod(query_table).failed == 0


def test_another_table_is_another_folder(tmp_path: Path) -> None:
    path = tmp_path / "q.parquet"
    first = build(tmp_path, write_vectors_of(path, {"a": vector_of(1)}))
    assert build(tmp_path, write_vectors_of(path, {"a": vector_of(1)})).folder == first.folder
    second = build(tmp_path, write_vectors_of(path, {"a": vector_of(2)}))
    assert second.folder != first.folder
    assert second.id != first.id
    assert not np.array_equal(second.vectors(["a"]), first.vectors(["a"]))


def test_one_query_with_two_vectors_is_refused_and_with_one_twice_is_not(tmp_path: Path) -> None:
    rounded = vector_of(1).astype(np.float16)
    twice = write_query_vectors(tmp_path / "twice.parquet", ["a", "b", " A"], [vector_of(1), vector_of(2), rounded])
    assert build(tmp_path, twice).rows == 2
    path = write_query_vectors(tmp_path / "two.parquet", ["a", "b", " A"], [vector_of(1), vector_of(2), vector_of(3)])
    message = r"got two of cosine -?0\.\d+ for 'a': as 'a' in row 1 and as ' A' in row 3, counted over all files"
    with pytest.raises(ThresholdError, match=message):
        build(tmp_path, path)
    assert len(list((tmp_path / "tables").iterdir())) == 1  # nothing is left of it


def test_a_table_that_would_fill_the_disk_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(query_table, "MAX_TABLE_BYTES", 2 * DIM * 3)
    vectors = {name: vector_of(1) for name in "abcd"}
    assert build(tmp_path, write_vectors_of(tmp_path / "3.parquet", {n: vectors[n] for n in "abc"})).rows == 3
    with pytest.raises(UsageError, match="at most 30 bytes as float16, got 4 of 5 numbers, 40 bytes"):
        build(tmp_path, write_vectors_of(tmp_path / "4.parquet", vectors))


def test_a_look_up_reads_its_own_rows_alone(table: QueryTable) -> None:
    """A row that is damaged is refused, and hinders no other."""
    row = int(np.flatnonzero((np.load(table.folder / "vectors.npy") == table.vectors(["q 7"])).all(axis=1))[0])
    damaged = np.load(table.folder / "vectors.npy")
    damaged[row, 2] += np.float16(0.25)
    np.save(table.folder / "vectors.npy", damaged)
    opened = QueryTable(table.folder)
    assert opened.vectors(["q 6", "q 8"]).any(axis=1).all()
    message = rf"expected the vector that was written for 'q 7', got another in row {row} of"
    with pytest.raises(CorruptFileError, match=message):
        opened.vectors(["q 6", "q 7"])


@pytest.mark.parametrize("name", ["keys", "vectors", "checks"])
def test_files_that_do_not_fit_each_other_are_refused(table: QueryTable, name: str) -> None:
    path = table.folder / f"{name}.npy"
    whole, content = path.read_bytes(), np.load(path)
    for damage in (whole[:-3], whole[:20], b""):
        path.write_bytes(damage)
        with pytest.raises(CorruptFileError, match=rf"expected a column of a query table in .*{name}\.npy"):
            QueryTable(table.folder)
    for other in (content[:-1], content.astype(np.float64)):
        np.save(path, other)
        with pytest.raises(CorruptFileError, match=rf"expected <.. \[30.*\], got .* in .*{name}\.npy: restore"):
            QueryTable(table.folder)
    path.unlink()
    with pytest.raises(CorruptFileError, match="expected a column of a query table"):
        QueryTable(table.folder)
