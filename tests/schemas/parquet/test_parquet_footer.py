"""Footers of Parquet files: what is read of them is what pyarrow reads; damaged and encrypted ones are refused."""

import re
from pathlib import Path

import hand_made_parquet as by_hand
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from pyarrow.parquet.encryption import CryptoFactory, EncryptionConfiguration, KmsClient, KmsConnectionConfig

from schemas.errors import CorruptFileError
from schemas.parquet.footer import chunk_footers
from schemas.reading.input_files import check_columns, column_names, count_rows
from schemas.reading.rows import plan_slices, read_slice

TABLE = pa.table(
    {"item_id": ["a", "b", "c"], "title": ["x", None, "x"], "images": [["a.jpg"], [], None], "n": [1, 2, 3]}
)


@pytest.mark.parametrize("dictionary", [True, False])
@pytest.mark.parametrize("num_rows", [1, 2, 3])
def test_chunks_are_what_pyarrow_says(tmp_path: Path, dictionary: bool, num_rows: int) -> None:
    path = tmp_path / "c.parquet"
    pq.write_table(TABLE, path, row_group_size=num_rows, use_dictionary=dictionary, write_page_index=True)
    metadata, found = pq.read_metadata(path), chunk_footers(str(path))
    assert len(found) == metadata.num_row_groups
    for part, chunks in enumerate(found):
        group = metadata.row_group(part)
        assert len(chunks) == group.num_columns == 4
        for number, chunk in enumerate(chunks):
            theirs = group.column(number)
            sizes = (theirs.num_values, theirs.total_uncompressed_size, theirs.total_compressed_size)
            start = theirs.dictionary_page_offset if theirs.has_dictionary_page else theirs.data_page_offset
            assert chunk == (*sizes, start)


def test_a_file_without_rows_has_no_chunks(tmp_path: Path) -> None:
    pq.ParquetWriter(tmp_path / "c.parquet", TABLE.schema).close()
    assert chunk_footers(str(tmp_path / "c.parquet")) == ()
    assert plan_slices([str(tmp_path / "c.parquet")]) == []


def rewritten(path: Path, footer: bytes) -> str:
    """The file with another footer."""
    data = path.read_bytes()
    pages = data[: -8 - int.from_bytes(data[-8:-4], "little")]
    path.write_bytes(pages + footer + len(footer).to_bytes(4, "little") + b"PAR1")
    return str(path)


@pytest.mark.parametrize(
    "fields",
    [
        {},
        {4: 5},
        {4: [5]},
        {4: [{}]},
        {4: [{1: 5}]},
        {4: [{1: [{}]}]},
        {4: [{1: [{3: 5}]}]},
        {4: [{1: [{3: {5: by_hand.Long(1)}}]}]},
        {4: [{1: [{3: {5: {}, 6: {}, 7: {}, 9: {}}}]}]},
    ],
)
def test_a_footer_that_is_none_is_a_clear_error(tmp_path: Path, fields: dict[int, object]) -> None:
    pq.write_table(TABLE, tmp_path / "c.parquet")
    path = rewritten(tmp_path / "c.parquet", by_hand.struct(fields))
    with pytest.raises(CorruptFileError, match=r"footer.*c\.parquet.*write it again"):
        chunk_footers(path)


def test_statistics_of_other_lengths_than_the_schema_has_levels_are_refused(tmp_path: Path) -> None:
    """Asked what the footer says of such a chunk, pyarrow itself ends the process."""
    path = tmp_path / "c.parquet"
    pq.write_table(TABLE.select(["item_id", "images"]), path)
    data = path.read_bytes()
    footer = data[-8 - int.from_bytes(data[-8:-4], "little") : -8]
    # of SizeStatistics the numbers of values at each of two levels: one more
    changed, count = re.subn(b"\x19\x26(..)", b"\x19\x36\\1\0", footer, flags=re.DOTALL)
    assert count
    rewritten(path, changed)
    with pytest.raises(CorruptFileError, match=r"c\.parquet"):
        [list(read_slice(part, {})) for part in plan_slices([str(path)])]


class _PlainKms(KmsClient):
    """Keeps keys as they are."""

    def __init__(self, connection: KmsConnectionConfig) -> None:
        super().__init__()

    def wrap_key(self, key_bytes: bytes, master_key_identifier: str) -> str:
        return key_bytes.hex()

    def unwrap_key(self, wrapped_key: str, master_key_identifier: str) -> bytes:
        return bytes.fromhex(wrapped_key)


@pytest.mark.parametrize("plaintext_footer", [True, False])
def test_an_encrypted_file_is_refused_by_name(tmp_path: Path, plaintext_footer: bool) -> None:
    """Asked for an encrypted column of a file whose footer is not, pyarrow itself ends the process."""
    path = tmp_path / "c.parquet"
    table = TABLE
    keys = {"column_keys": {"key": ["item_id"]}, "plaintext_footer": plaintext_footer}
    configuration = EncryptionConfiguration(footer_key="key", double_wrapping=False, **keys)
    properties = CryptoFactory(_PlainKms).file_encryption_properties(KmsConnectionConfig(), configuration)
    with pq.ParquetWriter(path, table.schema, encryption_properties=properties) as writer:
        writer.write_table(table)
    for look in (
        lambda: column_names(str(path)),
        lambda: count_rows([str(path)]),
        lambda: check_columns([str(path)], {}),
        lambda: plan_slices([str(path)]),
    ):
        with pytest.raises(CorruptFileError, match=r"encrypted.*c\.parquet.*decrypt"):
            look()
