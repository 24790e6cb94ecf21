"""Text files of two mugs, written and packed in many ways, and read as a job reads them."""

import gzip
from pathlib import Path
from typing import Any

import pyarrow as pa

from schemas.files import expand_inputs
from schemas.reading.forms_in_words import forms_in_words
from schemas.reading.input_files import check_columns
from schemas.reading.rows import plan_slices, read_slice

HEADER = "item_id,title,images\n"
MUGS = [("A-1", "Red mug", ["a.jpg"]), ("A-2", "Blue mug", ["b.jpg", "c.jpg"])]
#: A feed as Google's Merchant Center takes it: what begins with a quotation mark is data.
GOOGLE_TEXT = (
    "id\ttitle\tdescription\timage_link\n"
    'G1\t"Vintage" lamp\tA lamp\thttps://e.com/1.jpg\n'
    'G2\t27" monitor\tWide\thttps://e.com/2.jpg\n'
    'G3\tplain\t"quoted, start\thttps://e.com/3.jpg\n'
    "G4\tplain 4\tok\thttps://e.com/4.jpg\n"
)


def packed(data: bytes, compression: str) -> bytes:
    """The bytes compressed by "zstd" or "gzip", or as they are."""
    if compression == "zstd":
        sink = pa.BufferOutputStream()
        with pa.CompressedOutputStream(sink, "zstd") as stream:
            stream.write(data)
        return sink.getvalue().to_pybytes()
    return gzip.compress(data) if compression == "gzip" else data


def write(path: Path, text: str | bytes, encoding: str = "utf-8") -> Path:
    """A file of that content, in folders that need not exist yet."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(text if isinstance(text, bytes) else text.encode(encoding))
    return path


def as_list(cell: Any) -> Any:
    """A cell of a list column, split if it is text yet: validation may do that too."""
    return cell.split("|") if isinstance(cell, str) else cell


def read(
    path: Path | str, columns: dict[str, str] | None = None
) -> tuple[list[tuple[Any, ...]], list[tuple[int, str]]]:
    """((item_id, title, images) of each row, (number, error) of what is broken), as a job reads a file or folder."""
    rows, broken = [], []
    files = expand_inputs(path if isinstance(path, str) else str(path))
    check_columns(files, columns or {})
    for part in plan_slices(files):
        for raw in read_slice(part, columns or {}):
            ids, titles, images = (raw.mixed.get(n) or raw.table[n].to_pylist() for n in ("item_id", "title", "images"))
            rows += zip(ids, titles, map(as_list, images), strict=True)
            broken += raw.broken
    return rows, broken


def words(path: Path | str) -> str:
    """What a person is told of the forms of the files there."""
    files = expand_inputs(str(path)) if isinstance(path, Path) else expand_inputs(path)
    return forms_in_words(files, [Path(file).name for file in files])


def mugs(separator: str, line_end: str = "\n") -> str:
    """The mugs as a text whose cells that separator separates."""
    rows = [["item_id", "title", "images"], ["A-1", "Red mug", "a.jpg"], ["A-2", "Blue mug", '"b.jpg|c.jpg"']]
    return "".join(separator.join(row) + line_end for row in rows)
