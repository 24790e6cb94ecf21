"""A file that is compressed twice, and one that has two columns of a name, are refused in words that say what to do."""

import gzip
from pathlib import Path

import pytest

from schemas.errors import UsageError
from schemas.reading.input_files import check_columns
from schemas.reading.rows import plan_slices, read_slice


@pytest.mark.parametrize("name", ["c.csv.gz", "c.csv", "c.jsonl.gz", "c.txt.gz"])
def test_gzip_within_gzip_is_named(tmp_path: Path, name: str) -> None:
    (tmp_path / name).write_bytes(gzip.compress(gzip.compress(b"item_id,title\n1,a\n")))
    with pytest.raises(UsageError, match="got gzip within gzip: unpack it once"):
        check_columns([str(tmp_path / name)], {})


def test_two_columns_of_a_name(tmp_path: Path) -> None:
    (tmp_path / "c.csv").write_text("item_id,title,title\n1,a,b\n")
    with pytest.raises(UsageError, match=r"got 2 of that name in .*: give each a name of its own"):
        check_columns([str(tmp_path / "c.csv")], {})


def test_carriage_returns_within_quotes(tmp_path: Path) -> None:
    (tmp_path / "c.csv").write_bytes(b'item_id,title\r1,"A, mug\rof two lines"\r2,"B ""x"""\r')
    (part,) = plan_slices([str(tmp_path / "c.csv")])
    (raw,) = read_slice(part, {})
    assert raw.table["title"].to_pylist() == ["A, mug\nof two lines", 'B "x"']
