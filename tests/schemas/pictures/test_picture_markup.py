"""Cells of pictures as spreadsheets, pages and databases write them."""

from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from read_tables import catalogue_of, write_rows

A, B = "https://dl.example/.attachments/9f/a.jpg", "https://dl.example/b%20c.png?x=1&y=2"
CELLS = {
    f"photo.jpg ({A})": [A],
    f"photo.jpg ({A}),y y (1).png ({B})": [A, B],
    f"photo.jpg ({A}), y.png ({B})": [A, B],
    f'=IMAGE("{A}")': [A],
    f'=IMAGE("{A}",4,50,50)': [A],
    f'=HYPERLINK("{A}","the front")': [A],
    f'=HYPERLINK("{A}";"the front")': [A],
    f'=BILD("{A}")': [A],
    f'<img src="{A}">': [A],
    f"<img alt='a > b' class=x src='{A}' /><img src={A.replace('a.jpg', 'c.jpg')}>": [A, A.replace("a.jpg", "c.jpg")],
    f'<p><a href="https://shop.example/p"><IMG data-src="z.jpg" SRC="{B.replace("&", "&amp;")}"></a></p>': [B],
    f"![a mug]({A}) ![]({B})": [A, B],
    "img/front.jpg": ["img/front.jpg"],
    "front (1).jpg": ["front (1).jpg"],
    "=A1": ["=A1"],
    "<none>": ["<none>"],
    "!x.jpg": ["!x.jpg"],
    f"{A}": [A],
    "https://x.example/a_(b).jpg": ["https://x.example/a_(b).jpg"],
}


@pytest.mark.parametrize("form", ["csv", "jsonl", "parquet"])
def test_the_addresses_are_read_in_every_container(tmp_path: Path, form: str) -> None:
    rows = [{"item_id": str(number), "images": cell} for number, cell in enumerate(CELLS)]
    path = write_rows(tmp_path / f"c.{form}", rows)
    read, reasons, _ = catalogue_of(path)
    assert (read["images"], reasons) == (list(CELLS.values()), [])


@pytest.mark.parametrize("cell", CELLS)
def test_one_cell_alone_is_read_alike(tmp_path: Path, cell: str) -> None:
    """What the other cells of a column are decides nothing."""
    pq.write_table(pa.table({"item_id": ["1"], "images": [cell]}), tmp_path / "c.parquet")
    assert catalogue_of(tmp_path / "c.parquet")[0]["images"] == [CELLS[cell]]
