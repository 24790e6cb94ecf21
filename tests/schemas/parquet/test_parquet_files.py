"""Parquet files: pages that do not fit their checksum, times that no unit holds, and places that a dictionary does not
have are refused."""

import struct
from collections.abc import Callable
from datetime import datetime
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from schemas.errors import CorruptFileError
from schemas.parquet.files import check_int96
from schemas.reading.rows import plan_slices, read_slice
from schemas.tables import CATALOGUE, ENGAGEMENTS
from schemas.validation.catalogue import validate_catalogue

#: As a Julian day.
_UNIX_EPOCH = 2_440_588


def read(path: Path, name: str, schema: pa.Schema = ENGAGEMENTS) -> list[Any]:
    raws = [raw for part in plan_slices([str(path)]) for raw in read_slice(part, {}, schema)]
    return [value for raw in raws for value in raw.table[name].to_pylist()]


def log(times: list[datetime | None]) -> pa.Table:
    count = len(times)
    texts = {name: [name] * count for name in ("item_id", "surface", "action")}
    return pa.table({"timestamp": pa.array(times, pa.timestamp("us")), **texts})


@pytest.mark.parametrize("version", ["1.0", "2.0"])
@pytest.mark.parametrize("dictionary", [True, False])
def test_a_page_with_a_flipped_bit_is_refused(tmp_path: Path, version: str, dictionary: bool) -> None:
    path = tmp_path / "c.parquet"
    table = log([datetime(2026, 1, 1)] * 3).set_column(1, "item_id", [["title 0001", "title 0002", "title 0003"]])
    options = {"compression": "none", "data_page_version": version, "use_dictionary": dictionary}
    pq.write_table(table, path, write_page_checksum=True, **options)
    assert read(path, "item_id") == ["title 0001", "title 0002", "title 0003"]
    place = path.read_bytes().index(b"title 0002")
    with open(path, "r+b") as file:
        file.seek(place)
        file.write(b"u")
    with pytest.raises(CorruptFileError, match=r"checksum.*c\.parquet"):
        read(path, "item_id")


def test_int96_is_right_where_nanoseconds_do_not_reach(tmp_path: Path) -> None:
    times = [datetime(1, 1, 1), datetime(2026, 1, 1, 1, 2, 3, 456_789), datetime(9999, 12, 31), None]
    pq.write_table(log(times), tmp_path / "c.parquet", use_deprecated_int96_timestamps=True)
    assert read(tmp_path / "c.parquet", "timestamp") == times


@pytest.mark.parametrize("days", [1 - _UNIX_EPOCH, 106_751_990, 106_751_992, 2**31 - 1 - _UNIX_EPOCH, -1 - _UNIX_EPOCH])
def test_int96_that_no_microseconds_hold_is_refused(tmp_path: Path, days: int) -> None:
    path, day = tmp_path / "c.parquet", datetime(2026, 1, 1)
    pq.write_table(log([day]), path, use_deprecated_int96_timestamps=True, compression="none", use_dictionary=False)
    written = struct.pack("<qi", 0, _UNIX_EPOCH + (day - datetime(1970, 1, 1)).days)
    data = path.read_bytes()
    assert data.count(written) == 1
    path.write_bytes(data.replace(written, struct.pack("<qi", 0, _UNIX_EPOCH + days)))
    (part,) = plan_slices([str(path)])
    if days in (1 - _UNIX_EPOCH, 106_751_990):
        (raw,) = read_slice(part, {}, ENGAGEMENTS)
        assert raw.table["timestamp"].cast(pa.int64()).to_pylist() == [days * 86_400_000_000]
    else:
        with pytest.raises(CorruptFileError, match=r"INT96.*'timestamp'.*c\.parquet"):
            list(read_slice(part, {}, ENGAGEMENTS))


@pytest.mark.parametrize(
    "nested",
    [
        lambda times: pa.ListArray.from_arrays([0, len(times)], times),
        lambda times: pa.StructArray.from_arrays([times], ["at"]),
        lambda times: pa.ListArray.from_arrays([0, len(times)], pa.StructArray.from_arrays([times], ["at"])),
    ],
)
def test_an_int96_within_a_list_or_an_object_is_looked_at_too(tmp_path: Path, nested: Callable[..., pa.Array]) -> None:
    path, day = tmp_path / "c.parquet", datetime(2026, 1, 1)
    table = pa.table({"events": nested(pa.array([day], pa.timestamp("us")))})
    pq.write_table(table, path, use_deprecated_int96_timestamps=True, compression="none", use_dictionary=False)
    check_int96(pq.ParquetFile(path), str(path), 0, ["events"])
    written = struct.pack("<qi", 0, _UNIX_EPOCH + (day - datetime(1970, 1, 1)).days)
    path.write_bytes(path.read_bytes().replace(written, struct.pack("<qi", 0, 2**31 - 1)))
    with pytest.raises(CorruptFileError, match=r"INT96.*'events'.*c\.parquet"):
        check_int96(pq.ParquetFile(path), str(path), 0, ["events"])


@pytest.mark.parametrize("place", [2, 127])
def test_a_place_that_the_dictionary_does_not_have_is_refused(tmp_path: Path, place: int) -> None:
    """pyarrow does not look at the places of a column that stays dictionary-coded."""
    path = tmp_path / "c.parquet"
    titles = pa.array(["a"] * 8 + ["b"] * 8).dictionary_encode()
    table = pa.table({"item_id": [f"i-{n}" for n in range(16)], "title": titles})
    pq.write_table(table, path, compression="none", write_statistics=False)
    runs = bytes([1, 16, 0, 16, 1])  # places of one bit: eight times 0, eight times 1
    data = path.read_bytes()
    assert data.count(runs) == 1
    path.write_bytes(data.replace(runs, bytes([8, 16, 0, 16, place])))
    with pytest.raises(CorruptFileError, match=rf"{place} .*of 2 values.*c\.parquet"):
        read(path, "title", CATALOGUE)


@pytest.mark.parametrize("dictionary", [True, False])
def test_lists_of_a_fixed_size_may_be_null(tmp_path, dictionary):
    """pyarrow writes such a file, and cannot read it by the types that it notes."""
    pairs = pa.list_(pa.string(), 2)
    titles = pa.array([["Oak", "table"], None, ["Red", "mug"]], pairs)
    images = pa.array([None, ["a.jpg", "b.jpg"], ["c.jpg", None]], pairs)
    size = pa.array([1, None, 3], pa.int8())
    table = pa.table({"item_id": ["a", "b", "c"], "title": titles, "images": images, "size": size})
    pq.write_table(table, tmp_path / "a.parquet", use_dictionary=dictionary)
    (part,) = plan_slices([str(tmp_path / "a.parquet")])
    good = [validate_catalogue(raw, part)[0] for raw in read_slice(part, {})]
    rows = pa.concat_tables(good).select(["title", "images", "size"]).to_pylist()
    assert [tuple(row.values()) for row in rows] == [
        ("Oak table", [], "1"),
        (None, ["a.jpg", "b.jpg"], None),
        ("Red mug", ["c.jpg"], "3"),
    ]
