"""Embeddings files: the layout readers rely on, equal bytes, and refusal of what is not a unit vector of one model."""

import duckdb
import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from schemas.errors import CorruptFileError, UsageError
from schemas.records import embeddings
from schemas.records.embeddings import (
    embeddings_metadata,
    read_embeddings,
    read_embeddings_metadata,
    validate_embeddings,
    write_embeddings_file,
)
from schemas.tables import EMBEDDING_DIM, EMBEDDINGS

METADATA = embeddings_metadata("itemsage-0123456789ab", EMBEDDING_DIM)


def unit_rows(num_rows: int, dim: int = EMBEDDING_DIM, seed: int = 0) -> np.ndarray:
    rows = np.random.default_rng(seed).standard_normal((num_rows, dim)).astype(np.float32)
    return rows / np.linalg.norm(rows, axis=1, keepdims=True)


def names(num_rows: int) -> list[str]:
    return [f"item-{row:06d}" for row in range(num_rows)]


def test_round_trip_keeps_every_bit(tmp_path):
    matrix = unit_rows(50)
    write_embeddings_file(tmp_path / "part-00000-of-00001.parquet", names(50), matrix, METADATA)
    ids, read = read_embeddings(tmp_path)
    assert ids.to_pylist() == names(50)
    assert read.dtype == np.float32
    assert read.flags.c_contiguous
    np.testing.assert_array_equal(read, matrix)
    assert read_embeddings_metadata(tmp_path) == METADATA


def test_layout_is_the_documented_one(tmp_path):
    path = tmp_path / "part.parquet"
    write_embeddings_file(path, names(3), unit_rows(3), METADATA)
    file = pq.ParquetFile(path)
    assert file.schema_arrow.equals(EMBEDDINGS)
    assert not file.schema_arrow.field("embedding").nullable
    columns = {
        file.metadata.row_group(0).column(i).path_in_schema: file.metadata.row_group(0).column(i) for i in (0, 1)
    }
    vectors = columns["embedding.list.element"]
    assert vectors.compression == "ZSTD"
    assert "BYTE_STREAM_SPLIT" in vectors.encodings
    assert not any("DICTIONARY" in encoding for column in columns.values() for encoding in column.encodings)


def test_equal_content_is_equal_bytes(tmp_path):
    for name in ("a.parquet", "b.parquet"):
        write_embeddings_file(tmp_path / name, names(20), unit_rows(20), METADATA)
    assert (tmp_path / "a.parquet").read_bytes() == (tmp_path / "b.parquet").read_bytes()


def test_what_is_no_file_of_embeddings_is_told_with_what_to_give(tmp_path):
    path = tmp_path / "config.json"
    path.write_text("{}")
    with pytest.raises(CorruptFileError, match="give a folder of item vectors and nothing else"):
        read_embeddings(tmp_path)


@pytest.mark.parametrize("rows_per_group", [3, 7, 100])
def test_files_and_row_groups_are_merged_by_id(tmp_path, monkeypatch, rows_per_group):
    monkeypatch.setattr(embeddings, "ROWS_PER_GROUP", rows_per_group)
    matrix, ids = unit_rows(20), names(20)
    for part in range(2):  # as buckets do: each file is sorted, the folder is not
        rows = range(part, 20, 2)
        write_embeddings_file(tmp_path / f"part-{part}.parquet", [ids[r] for r in rows], matrix[list(rows)], METADATA)
    read_ids, read = read_embeddings(tmp_path)
    assert read_ids.to_pylist() == ids
    np.testing.assert_array_equal(read, matrix)


def test_no_rows(tmp_path):
    write_embeddings_file(tmp_path / "part.parquet", [], unit_rows(0), METADATA)
    ids, matrix = read_embeddings(tmp_path)
    assert len(ids) == 0
    assert matrix.shape == (0, EMBEDDING_DIM)


def test_other_dimensions_are_written_too(tmp_path):
    write_embeddings_file(tmp_path / "part.parquet", names(4), unit_rows(4, 8), embeddings_metadata("other", 8))
    assert read_embeddings(tmp_path)[1].shape == (4, 8)


def spoiled(row: int, value: float) -> np.ndarray:
    matrix = unit_rows(5)
    matrix[row] *= np.float32(value)
    return matrix


@pytest.mark.parametrize(
    ("ids", "matrix", "message"),
    [
        (names(5), spoiled(2, np.nan), "norm nan.*item-000002"),
        (names(5), spoiled(3, np.inf), "item-000003"),
        (names(5), spoiled(1, 0.0), r"norm 0\.0.*item-000001"),
        (names(5), spoiled(4, 1.0002), "item-000004"),
        ([*names(4)[::-1], "z"], unit_rows(5), "ascending.*row 1 of"),
        (["a", "b", "b", "c", "d"], unit_rows(5), "unique.*'b' after 'b' in row 2"),
        (["a", "b", None, "c", "d"], unit_rows(5), "1 nulls"),
        (names(4), unit_rows(5), "for 4 ids"),
        (names(5), unit_rows(5).astype(np.float64), "float64"),
    ],
)
def test_bad_content_is_refused_and_not_written(tmp_path, ids, matrix, message):
    with pytest.raises(CorruptFileError, match=message):
        write_embeddings_file(tmp_path / "part.parquet", ids, matrix, METADATA)
    assert list(tmp_path.iterdir()) == []


def test_a_norm_within_the_tolerance_is_accepted():
    validate_embeddings(pa.array(names(5)), spoiled(4, 1.00009), "here")


def test_metadata_must_name_the_dimension(tmp_path):
    with pytest.raises(CorruptFileError, match="dimension 256"):
        write_embeddings_file(tmp_path / "part.parquet", names(1), unit_rows(1), METADATA | {"dimension": "128"})


def test_two_models_in_one_folder_are_refused(tmp_path):
    write_embeddings_file(tmp_path / "a.parquet", ["a"], unit_rows(1), METADATA)
    write_embeddings_file(tmp_path / "b.parquet", ["b"], unit_rows(1), METADATA | {"model_id": "other"})
    with pytest.raises(CorruptFileError, match="other"):
        read_embeddings(tmp_path)


def test_foreign_and_broken_files_are_refused(tmp_path):
    folder = tmp_path / "foreign"
    folder.mkdir()
    pq.write_table(pa.table({"item_id": ["a"]}), folder / "part.parquet")
    with pytest.raises(CorruptFileError, match="metadata"):
        read_embeddings(folder)
    pq.write_table(pa.table({"item_id": ["a"]}).replace_schema_metadata(METADATA), folder / "part.parquet")
    with pytest.raises(CorruptFileError, match="columns"):
        read_embeddings(folder)
    (folder / "part.parquet").write_bytes(b"PAR1 not really")
    with pytest.raises(CorruptFileError, match=r"part\.parquet"):
        read_embeddings(folder)
    with pytest.raises(UsageError, match="nothing is found"):
        read_embeddings(tmp_path / "absent")


def test_duckdb_polars_pandas_and_pyarrow_read_them(tmp_path):
    path, matrix = str(tmp_path / "part.parquet"), unit_rows(10)
    write_embeddings_file(path, names(10), matrix, METADATA)
    connection = duckdb.connect()
    connection.execute("SET threads = 1")
    rows = connection.execute(f"SELECT item_id, embedding::FLOAT[256] FROM '{path}'").fetchall()
    assert [row[0] for row in rows] == names(10)
    np.testing.assert_array_equal(np.array([row[1] for row in rows], np.float32), matrix)
    nearest = connection.execute(
        f"SELECT item_id FROM '{path}' "
        "ORDER BY array_cosine_similarity(embedding::FLOAT[256], ?::FLOAT[256]) DESC LIMIT 1",
        [matrix[7].tolist()],
    ).fetchone()
    assert nearest == ("item-000007",)
    polars_frame = pl.read_parquet(path)
    assert polars_frame["embedding"].dtype == pl.Array(pl.Float32, 256)
    np.testing.assert_array_equal(polars_frame["embedding"].to_numpy(), matrix)
    np.testing.assert_array_equal(np.stack(pd.read_parquet(path)["embedding"].to_list()), matrix)
    table = pq.read_table(path)
    np.testing.assert_array_equal(table["embedding"].combine_chunks().flatten().to_numpy().reshape(10, 256), matrix)
