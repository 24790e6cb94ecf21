"""Batches of a row group: all rows in order, bounded by what they unfold to, whatever is coded and how."""

from itertools import pairwise

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from schemas.coercion.cells import BatchFindings
from schemas.coercion.columns import id_column
from schemas.coercion.pictures import picture_column
from schemas.columns.raw_rows import RawRows
from schemas.columns.spec import Column
from schemas.errors import CorruptFileError
from schemas.parquet import batches as parquet_batches
from schemas.parquet.batches import bounded_batches
from schemas.parquet.value_sizes import unfolded_bytes
from schemas.pictures.stored import stored_name

pytestmark = pytest.mark.medium

MAX_ROWS, MAX_BYTES, MAX_CELL = 7, 120, 60

TEXTS = st.none() | st.sampled_from(["", "a", "b" * 15, "ü" * 12, "c" * 45, "d" * 70]) | st.text(max_size=8)
ROWS = st.lists(
    st.fixed_dictionaries(
        {"item_id": st.text("abc", max_size=3), "title": TEXTS, "images": st.none() | st.lists(TEXTS, max_size=4)}
    ),
    min_size=1,
    max_size=40,
)
SCHEMA = pa.schema({"item_id": pa.string(), "title": pa.string(), "images": pa.list_(pa.string())})


def size(value) -> int:
    """What a cell unfolds to."""
    if isinstance(value, list):
        return sum(size(member) + 8 for member in value)
    return 0 if value is None else len(value.encode())


@pytest.fixture
def small_bounds(monkeypatch):
    for name, bound in (("MAX_CELL_BYTES", MAX_CELL), ("_LONG_CELL_BYTES", 20), ("_MAX_UNFOLDED_BYTES", 300)):
        monkeypatch.setattr(parquet_batches, name, bound)


@given(ROWS, st.booleans(), st.sampled_from(["1.0", "2.0"]), st.integers(20, 60))
@settings(max_examples=200, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_every_row_comes_once_in_order_or_is_told(tmp_path, small_bounds, rows, dictionary, version, page_bytes):
    path = tmp_path / "a.parquet"
    how = {"use_dictionary": dictionary, "data_page_version": version, "data_page_size": page_bytes}
    pq.write_table(pa.Table.from_pylist(rows, schema=SCHEMA), path, write_batch_size=5, row_group_size=25, **how)
    found, told, start = {}, [], 0
    with pq.ParquetFile(path) as file:
        for part in range(file.metadata.num_row_groups):
            for batch in bounded_batches(file, str(path), part, SCHEMA.names, MAX_ROWS, MAX_BYTES):
                assert len(batch.rows) == batch.table.num_rows <= MAX_ROWS
                numbers = (start + batch.rows).tolist()
                sizes = [sum(map(size, rows[number].values())) for number in numbers]
                assert sum(sizes[1:]) <= MAX_BYTES
                untrimmed = {name: Column(source=(name,), trim=False) for name in ("item_id", "title")}
                raw = RawRows(1, batch.table, [], batch.rows, columns=untrimmed)
                columns = {name: id_column(raw, name, BatchFindings(), required=True) for name in untrimmed}
                columns["images"] = picture_column(raw, "images", BatchFindings(), stored_name)
                found |= dict(zip(numbers, pa.table(columns).to_pylist(), strict=True))
                told += [start + row for row, why in batch.oversized]
            start += file.metadata.row_group(part).num_rows
    large = [number for number, row in enumerate(rows) if max(map(size, row.values())) > MAX_CELL]
    assert told == large
    assert list(found) == [number for number in range(len(rows)) if number not in large]
    assert [found[number] for number in found] == [rows[number] for number in found]


@given(st.lists(st.none() | st.lists(TEXTS, max_size=4), max_size=12), st.integers(0, 5))
@settings(max_examples=100, deadline=None)
def test_what_values_unfold_to_does_not_depend_on_how_they_are_held(lists, skipped):
    expected = [0 if value is None else size(value) for value in lists][skipped:]
    for kind in (
        pa.list_(pa.string()),
        pa.large_list(pa.large_string()),
        pa.list_(pa.string_view()),
        pa.list_(pa.dictionary(pa.int8(), pa.string())),
    ):
        assert unfolded_bytes(pa.array(lists, kind).slice(skipped)).tolist() == expected
    texts = [None if value is None else "".join(text or "" for text in value) for value in lists]
    expected = [size(text) for text in texts][skipped:]
    structs = pa.array(
        [None if text is None else {"a": text, "n": None} for text in texts], pa.struct({"a": "string", "n": "null"})
    )
    maps = pa.array([None if text is None else [(text, 1)] for text in texts], pa.map_(pa.string(), pa.int32()))
    assert unfolded_bytes(structs.slice(skipped)).tolist() == expected
    with_entry = [0 if text is None else size(text) + 12 for text in texts]
    assert unfolded_bytes(maps.slice(skipped)).tolist() == with_entry[skipped:]
    assert unfolded_bytes(pa.array(texts).dictionary_encode().slice(skipped)).tolist() == expected


def test_a_column_that_ends_before_the_others_is_an_error(tmp_path):
    """With pages of one byte pyarrow writes such a file, and reads no row of it without a word."""
    table = pa.Table.from_pylist([{"item_id": "a", "title": None, "images": None}], schema=SCHEMA)
    path = tmp_path / "a.parquet"
    pq.write_table(table, path, data_page_size=1)
    with pq.ParquetFile(path) as file, pytest.raises(CorruptFileError, match=r"expected 1 rows.*got 0.*a\.parquet"):
        list(bounded_batches(file, str(path), 0, SCHEMA.names, MAX_ROWS, MAX_BYTES))


def test_a_row_group_without_rows_has_none(tmp_path):
    path = tmp_path / "a.parquet"
    with pq.ParquetWriter(path, SCHEMA) as writer:
        writer.write_table(SCHEMA.empty_table())
    with pq.ParquetFile(path) as file:
        for part in range(file.metadata.num_row_groups):
            batches = bounded_batches(file, str(path), part, SCHEMA.names, MAX_ROWS, MAX_BYTES)
            assert sum(len(batch.rows) for batch in batches) == 0


def test_a_normal_file_is_read_in_full_batches(tmp_path):
    """Neither a long text in a dictionary, nor many numbers or times, nor an uneven distribution makes many small
    ones."""
    rows = 50_000
    texts = [f"title {n} " + "word " * (n % 9) for n in range(rows)]
    texts[7] = "a long description " * 300
    table = pa.table(
        {
            "item_id": [f"i{n}" for n in range(rows)],
            "title": texts,
            "brand": ["acme", "bell"] * (rows // 2),
            "price": np.arange(rows) / 7,
            "changed_at": pa.array(range(rows), pa.timestamp("us")),
        }
    )
    for dictionary in (True, False):
        pq.write_table(table, tmp_path / "a.parquet", use_dictionary=dictionary)
        with pq.ParquetFile(tmp_path / "a.parquet") as file:
            batches = list(bounded_batches(file, f"{tmp_path}/a.parquet", 0, table.schema.names, 8192, 32 << 20))
        assert [len(batch.rows) for batch in batches] == [8192] * 6 + [rows % 8192]
        starts = [int(batch.rows[0]) for batch in batches]
        assert [end - start for start, end in pairwise(starts)] == [8192] * 6
        assert np.concatenate([batch.rows for batch in batches]).tolist() == list(range(rows))
