"""Doctor tells of rows that stand below their product, in the words in which init refuses such a table."""

from pathlib import Path
from typing import Any

import pytest
from doctor_findings import by_name
from exploration import representatives

from pipelines.operations.doctor.job import DoctorConfig, diagnose
from pipelines.operations.findings import FAILED, WARNING

BIGCOMMERCE = (
    "Item,ID,Name,Type,SKU,Description",
    "Product,111,Red scarf,physical,RS,<p>warm</p>",
    "Variant,201,,,RS-S,",
    "Product,112,Blue mug,physical,BM,<p>holds tea</p>",
)
SQUARESPACE = (
    "Product ID [Non Editable],Title,SKU",
    "111,Red scarf,RS-S",
    ",,RS-M",
    "112,Blue mug,BM-1",
)
WIX = ("handleId,fieldType,name", "p1,Product,Scarf", "p1,Variant,", "p2,Product,Mug")
NAMES = {"item_id": "ID", "title": "Name"}
PLAIN = ("Item,ID,Name", "Poster,1,Red", "Print,2,Blue")


@pytest.mark.parametrize(
    ("lines", "columns", "got"),
    representatives(
        [
            (BIGCOMMERCE, {**NAMES, "description": "Description"}, "rows of other kinds in 'Item' (Variant)"),
            (SQUARESPACE, {"item_id": "SKU", "title": "Title"}, "rows without 'Product ID [Non Editable]' and 'Title'"),
            (BIGCOMMERCE, {**NAMES, "description": "Description", "leave_out": {"Item": ["variant"]}}, ""),
            (WIX, {"item_id": "handleId", "title": "name"}, ""),
            (PLAIN, NAMES, ""),
            (("ID,Name", "1,Red"), NAMES, ""),
            (("ID,Name",), NAMES, ""),
        ],
        *(0, 1, 3, 6),
    ),
)
def test_rows_whose_place_alone_says_whose_they_are(
    tmp_path: Path, lines: tuple[str, ...], columns: dict[str, Any], got: str
) -> None:
    (tmp_path / "export.csv").write_text("\n".join([*lines, ""]))
    config = DoctorConfig(catalog=str(tmp_path / "export.csv"), image_root=str(tmp_path), columns=columns)
    finding = by_name(diagnose(config))["columns of catalogue"]
    told = [warning for warning in finding.warnings if "a product a row" in warning]
    assert finding.status != FAILED
    if not got:
        assert told == []
        return
    assert finding.status == WARNING
    (warning,) = told
    assert got in warning
    assert "under 'Rows below a product'" in warning
