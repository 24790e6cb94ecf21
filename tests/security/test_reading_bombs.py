"""Files of some kilobytes that unfold to gigabytes: read, refused or quarantined in bounded memory, whatever the
table. Each is read in a process of its own, whose peak is measured."""

import gzip
import json

import hand_made_parquet as by_hand
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from exploration import SOAK, soak
from peak_memory import growth_bytes

from schemas.parquet.batches import MAX_CELL_BYTES

pytestmark = pytest.mark.slow

GIB, MIB = 1 << 30, 1 << 20
MAX_GROWTH_BYTES = 900 * MIB
PREPARE = """
import collections, json, resource, sys
from schemas.errors import CorruptFileError
from schemas.reading.input_files import check_columns
from schemas.reading.rows import plan_slices, read_slice
from schemas.tables import CATALOGUE, ENGAGEMENTS, JUDGEMENTS
from schemas.validation.catalogue import validate_catalogue
from schemas.validation.log import validate_engagements, validate_judgements
resource.setrlimit(resource.RLIMIT_AS, (16 << 30, 16 << 30))  # what goes wrong takes the test, not the machine
name, path = sys.argv[1:]
schema, validate = {
    "catalogue": (CATALOGUE, validate_catalogue),
    "engagements": (ENGAGEMENTS, validate_engagements),
    "judgements": (JUDGEMENTS, validate_judgements),
}[name]
"""
READ = """
good, reasons, got, error = 0, collections.Counter(), set(), None
try:
    check_columns([path], {}, schema)
    for part in plan_slices([path]):
        for raw in read_slice(part, {}, schema):
            rows, rejected, _ = validate(raw, part)
            good += rows.num_rows
            reasons.update(rejection.reason for rejection in rejected)
            got |= {rejection.got for rejection in rejected[:1]}
except CorruptFileError as caught:
    error = str(caught)
print(json.dumps([good, dict(reasons), sorted(got), error]))
"""


def read(path, table="catalogue", max_growth_bytes=MAX_GROWTH_BYTES):
    """(good rows, rejections by reason, what some of them got, the error that ended it) of a file."""
    growth, printed = growth_bytes(PREPARE, READ, table, str(path))
    assert growth < max_growth_bytes, f"{growth:,} bytes"
    good, reasons, got, error = json.loads(printed)
    assert all(len(text) <= 250 and text.isprintable() for text in got)
    return good, reasons, got, error


def write(path, **columns):
    num_rows = max(map(len, columns.values()))
    table = {"item_id": [f"item {n}" for n in range(num_rows)], **columns}
    pq.write_table(pa.table(table), path, compression="zstd", write_statistics=False)
    return path


def repeated(value, num_rows):
    """That value in every row, stored once."""
    return pa.DictionaryArray.from_arrays(np.zeros(num_rows, np.int32), pa.array([value]))


def lists(counts, value):
    """Lists of so many members, all that value."""
    members = repeated(value, sum(counts))
    return pa.ListArray.from_arrays(pa.array(np.cumsum([0, *counts]), pa.int32()), members)


def test_a_parquet_file_of_kilobytes_with_a_value_of_a_gigabyte(tmp_path):
    path = by_hand.write_one_large_value(tmp_path / "catalog.parquet", GIB)
    assert path.stat().st_size < 150_000
    good, reasons, _, error = read(path, max_growth_bytes=100 * MIB)
    assert (good, reasons) == (0, {})
    assert "expected pages of at most 134,217,728 bytes, got one of 1,073,741,828 in column 'title'" in error
    assert str(path) in error


@pytest.mark.parametrize("size", [MAX_CELL_BYTES + 1, 120 * MIB])
def test_a_cell_that_can_be_read_but_is_too_large_costs_its_row(tmp_path, size):
    path = write(tmp_path / "catalog.parquet", title=["x" * size, "good"], description=["d", "d"])
    good, reasons, got, error = read(path)
    assert (good, reasons, error) == (1, {"oversized_cell": 1}, None)
    assert got == [f"{size:,} bytes in 'title'"]


def test_a_large_cell_within_the_cap_is_cut_as_ever(tmp_path):
    path = write(tmp_path / "catalog.parquet", title=["x" * MAX_CELL_BYTES])
    assert read(path)[:2] == (1, {})


@pytest.mark.parametrize(
    ("size", "num_rows", "outcome"),
    [
        (20 * MIB, 5_000, (0, {"oversized_cell": 5_000})),  # 100 GB
        *soak((MIB, 2_000, (2_000, {}))),  # 2 GB; the next but one has as many, behind rows without any
    ],
)
def test_one_large_value_in_many_rows(tmp_path, size, num_rows, outcome):
    path = write(tmp_path / "catalog.parquet", title=repeated("x" * size, num_rows))
    good, reasons, _, error = read(path)
    assert ((good, reasons), error) == (outcome, None)


@pytest.mark.soak
def test_large_values_at_the_end_of_many_small_ones(tmp_path):
    """1.3 GB in 80 rows, where the mean of a row is 130 kB."""
    path = by_hand.write_large_values_at_the_end(tmp_path / "catalog.parquet", MAX_CELL_BYTES, 10_000, 80)
    assert path.stat().st_size < 2 * MIB
    assert read(path)[:2] == (10_080, {})


def test_one_large_value_behind_rows_without_any(tmp_path):
    """Whoever looks at the first rows sees nothing of it."""
    values = pa.DictionaryArray.from_arrays(pa.array([None] * 2_000 + [0] * 2_000, pa.int32()), pa.array(["x" * MIB]))
    good, reasons, _, error = read(write(tmp_path / "catalog.parquet", title=values))
    assert (good, reasons, error) == (4_000, {}, None)


@pytest.mark.parametrize(
    ("counts", "value", "outcome"),
    [
        ([3_000_000, 1], "x" * 1_000, (2, {"too_many_bytes": 1})),  # 3 GB in one row
        ([1_000] * 2_000, "x" * 20_000, (2_000, {"too_many_bytes": 2_000})),  # 40 GB
        *soak(([20] * 5_000, "x" * 5_000, (5_000, {}))),  # 500 MB
        ([15_000_000], "x", (1, {"too_many_bytes": 1})),  # of few bytes, but many members
    ],
)
def test_lists_of_many_members(tmp_path, counts, value, outcome):
    good, reasons, _, error = read(write(tmp_path / "catalog.parquet", images=lists(counts, value)))
    assert ((good, reasons), error) == (outcome, None)


def test_a_large_picture_in_many_rows(tmp_path):
    """1 GB of pictures, stored once."""
    path = write(tmp_path / "catalog.parquet", images=repeated(b"\xff\xd8\0" * (10 * MIB // 3), 100))
    good, reasons, _, error = read(path)
    assert (good, reasons, error) == (100, {}, None)


def test_a_list_of_more_members_than_fit_is_refused(tmp_path):
    good, _, _, error = read(write(tmp_path / "catalog.parquet", images=lists([40_000_000], "x")))
    assert good == 0
    assert "expected lists of at most 134,217,728 bytes" in error
    assert "in column 'images.list.element'" in error


@pytest.mark.parametrize("kind", ["bytes", "structs", *soak("lists of numbers", "nested lists")])
def test_values_of_another_kind_are_cut_before_they_are_shown(tmp_path, kind):
    values = {
        "bytes": pa.array([b"\xff" * (15 * MIB)] * 3),
        "lists of numbers": pa.array([np.zeros(1_000_000)] * 3),
        "structs": pa.array([{"a": {"b": "x" * (15 * MIB)}}] * 3),
        "nested lists": pa.array([[[["x" * 100] * 1_000] * 100]] * 3),
    }
    good, reasons, _, error = read(write(tmp_path / "catalog.parquet", title=values[kind]))
    told = {"bad_utf8": 3} if kind == "bytes" else {}  # of cells: no row is rejected
    assert (good, reasons, error) == (3, told, None), "a bad optional cell costs only itself"
    good, reasons, got, error = read(write(tmp_path / "catalog.parquet", item_id=values[kind]))
    assert (good, sum(reasons.values()), error) == (0, 3, None)
    assert reasons.keys() <= {"wrong_type", "bad_utf8", "id_too_long"}
    assert got


@pytest.mark.parametrize("table", ["engagements", "judgements"])
def test_the_other_tables_are_read_in_the_same_way(tmp_path, table):
    columns = {"surface": ["search"] * 5_000, "query": repeated("x" * (20 * MIB), 5_000)}
    columns |= {"timestamp": ["2026-06-30"] * 5_000, "action": ["click"] * 5_000, "grade": [1.0] * 5_000}
    good, reasons, _, error = read(write(tmp_path / "a.parquet", **columns), table)
    assert (good, reasons, error) == (0, {"oversized_cell": 5_000}, None)


def gzipped(path, before, piece, size, after):
    """A file of gzip members; `piece` is repeated to `size` bytes without being compressed again and again."""
    member = gzip.compress(piece * (16 * MIB // len(piece)), 9)
    path.write_bytes(gzip.compress(before) + member * (size // (16 * MIB)) + gzip.compress(after))
    return path


LINES = {
    "a text": ("a.jsonl.gz", b'{"item_id": "a", "title": "', b"x", b'"}\n{"item_id": "b"}\n'),
    "a list": ("a.jsonl.gz", b'{"item_id": "a", "images": ["', b'","', b'"]}\n{"item_id": "b"}\n'),
    "a number": ("a.jsonl.gz", b'{"item_id": ', b"9", b'}\n{"item_id": "b"}\n'),
    "nested lists": ("a.jsonl.gz", b'{"item_id": ', b"[", b'}\n{"item_id": "b"}\n'),
    "a cell": ("a.csv.gz", b"item_id,title\na,", b"x", b"\nb,good\n"),
    "a quoted cell": ("a.csv.gz", b'item_id,title\na,"', b"x", b'"\nb,good\n'),
    "many cells": ("a.csv.gz", b"item_id,title\na,", b",", b"\nb,good\n"),
    "quotation marks": ("a.tsv.gz", b'item_id\ttitle\na\t"', b'""', b'"\nb\tgood\n'),
}
FEW_LINES = ("a text", "many cells")


@pytest.mark.parametrize(
    "kind", ["a text", "many cells", *soak(*(kind for kind in LINES if kind not in ("a text", "many cells")))]
)
def test_a_long_line_in_a_small_gzip_file(tmp_path, kind):
    """Of a gigabyte in `make soak`, the first of each format; else of more than may be held."""
    name, before, piece, after = LINES[kind]
    path = gzipped(tmp_path / name, before, piece, GIB if SOAK and kind in ("a text", "a cell") else 256 * MIB, after)
    assert path.stat().st_size < 4 * MIB
    good, reasons, _, error = read(path, max_growth_bytes=200 * MIB)
    assert (good, reasons, error) == (1, {"broken_line": 1}, None)


@pytest.mark.soak
def test_lines_within_the_cap_that_are_many_values(tmp_path):
    """Python's values are larger than their text: what is read together is bounded by what it takes in memory."""
    line = b'{"item_id": "a", "title": [' + b"[]," * (5 * MIB) + b"0]}\n"
    (tmp_path / "a.jsonl").write_bytes(line * 2)
    good, reasons, _, error = read(tmp_path / "a.jsonl", max_growth_bytes=1_200 * MIB)
    assert (good, reasons, error) == (2, {}, None)
