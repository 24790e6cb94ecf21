"""Sizes of pages, read from their headers: what pyarrow's footer says of them, whoever wrote them, or a clear error."""

import io
from pathlib import Path

import hand_made_parquet as by_hand
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from schemas.errors import CorruptFileError
from schemas.parquet.pages import Page, pages_of


def pages(path: Path) -> dict[str, list[Page]]:
    """The pages of the first row group, by column."""
    group, found = pq.read_metadata(path).row_group(0), {}
    with open(path, "rb") as file:
        for number in range(group.num_columns):
            chunk = group.column(number)
            start = chunk.dictionary_page_offset if chunk.has_dictionary_page else chunk.data_page_offset
            found[chunk.path_in_schema] = list(pages_of(file, start, start + chunk.total_compressed_size))
    return found


@pytest.mark.parametrize("compression", ["none", "snappy", "zstd", "gzip", "lz4"])
@pytest.mark.parametrize("version", ["1.0", "2.0"])
@pytest.mark.parametrize("dictionary", [True, False])
def test_pages_are_as_large_as_the_footer_says(tmp_path, compression, version, dictionary):
    rows = 5_000
    table = pa.table(
        {
            "text": [f"text {n}" * (n % 7) for n in range(rows)],
            "list": [["a"] * (n % 4) for n in range(rows)],
            "number": range(rows),
            "null": pa.nulls(rows, pa.string()),
        }
    )
    how = {"compression": compression, "data_page_version": version, "use_dictionary": dictionary}
    pq.write_table(table, tmp_path / "a.parquet", data_page_size=4096, write_batch_size=100, **how)
    group, found = pq.read_metadata(tmp_path / "a.parquet").row_group(0), pages(tmp_path / "a.parquet")
    assert len(found) == group.num_columns
    assert len(found["text"]) > 3
    for number in range(group.num_columns):
        chunk, of_chunk = group.column(number), found[group.column(number).path_in_schema]
        total = sum(page.uncompressed_bytes for page in of_chunk)
        headers = chunk.total_uncompressed_size - total
        assert sum(page.num_values for page in of_chunk) == chunk.num_values
        assert 5 * len(of_chunk) <= headers <= 150 * len(of_chunk)
        assert [page.is_dictionary for page in of_chunk] == [
            chunk.has_dictionary_page and place == 0 for place in range(len(of_chunk))
        ]


def test_a_hand_made_file_is_one_that_pyarrow_reads(tmp_path):
    path = by_hand.write_one_large_value(tmp_path / "a.parquet", 16 << 20)
    table = pq.read_table(path)
    assert table["item_id"].to_pylist() == ["a"]
    assert table["title"][0].as_py() == "x" * (16 << 20)
    assert pages(path) == {"item_id": [Page(5, False, 1)], "title": [Page((16 << 20) + 4, False, 1)]}


VALUES = st.recursive(
    st.integers(-(2**31), 2**31 - 1)
    | st.integers(-(2**63), 2**63 - 1).map(by_hand.Long)
    | st.booleans()
    | st.binary(max_size=400),
    lambda inner: (
        st.dictionaries(st.integers(1, 60), inner, max_size=5)
        | st.lists(st.binary(max_size=5), max_size=20)
        | st.lists(st.floats(), max_size=20)
        | st.lists(st.dictionaries(st.integers(1, 60), inner, max_size=3), max_size=17)
    ),
    max_leaves=20,
)


@pytest.mark.medium
@given(st.dictionaries(st.integers(4, 300), VALUES, max_size=6), st.integers(0, 3), st.binary(max_size=50))
@settings(max_examples=300, deadline=None)
def test_other_fields_of_a_header_are_passed_over(others, kind, body):
    """Newer versions may add any."""
    others = {number: value for number, value in others.items() if number not in (5, 8)}
    others |= {8: {1: 7, 2: by_hand.Long(9)}} if kind == 3 else {}
    header = by_hand.struct({1: kind, 2: 12_345, 3: len(body)} | dict(sorted(others.items())))
    file = io.BytesIO(b"PAR1" + (header + body) * 2)
    end = len(file.getvalue())
    assert list(pages_of(file, 4, end)) == [Page(12_345, kind == 2, 7 if kind == 3 else 0)] * 2


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"\x15\x00\x15",  # ends within
        b"\xff" * 100,
        by_hand.struct({1: 0, 2: 5}),  # without its compressed size
        by_hand.struct({1: 0, 2: -5, 3: 5}),
        by_hand.struct({1: 0, 2: 5, 3: -5}),
        by_hand.struct({1: 0, 2: 5, 3: 5, 5: {1: -5}}),
        by_hand.struct({1: 0, 2: 5, 3: 5, 5: {2: 5}}),
        by_hand.struct({1: 0, 2: 5, 3: 5, 5: 5}),
        b"\x1c" * 5_000,  # structs without an end
        b"\x19" * 5_000,  # lists of lists
        b"\x1b\xff\xff\xff\xff\x0f\x11" + b"\1" * 99,  # a map of more than there is
        b"\x18" + b"\xff" * 20,  # a text of endless length
        b"\x19\xf3" + by_hand.varint(2**62),  # lists of more bytes, doubles, UUIDs, truths than there are
        b"\x19\xf7" + by_hand.varint(2**62),
        b"\x1a\xfd" + by_hand.varint(2**62) + b"\1" * 99,
        b"\x19\xf1" + by_hand.varint(2**62),
        b"\x19\x29\xf3" + by_hand.varint(2**62),  # in a list
        b"\x1c\x19\xf7" + by_hand.varint(2**62),  # in a struct
        b"\x1b" + by_hand.varint(2**62) + b"\x73",  # a map of doubles to bytes
        b"\x1b" + by_hand.varint(40) + b"\x77" + b"\1" * 50,
    ],
)
def test_what_is_no_header_is_a_clear_error(tmp_path, data):
    path = tmp_path / "a.parquet"
    path.write_bytes(data)
    with open(path, "rb") as file, pytest.raises(CorruptFileError, match=r"no header of a page at byte 0.*a\.parquet"):
        list(pages_of(file, 0, 10_000))
