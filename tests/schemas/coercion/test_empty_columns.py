"""A column of ids without any id is told with its name, and with the column that may be meant."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from read_tables import write_parquet

from schemas.columns.mapping import TABLES, table_columns
from schemas.quarantine import Rejection
from schemas.reading.rows import plan_slices, read_slice
from schemas.validation.catalogue import validate_catalogue
from schemas.validation.log import validate_engagements, validate_judgements
from schemas.validation.rules import REMEDIES

VALIDATE = {
    "catalogue": validate_catalogue,
    "engagements": validate_engagements,
    "judgements": validate_judgements,
}


def rejections_of(folder: Path, table: str, mapped: str, rows: Sequence[dict[str, Any]]) -> list[Rejection]:
    """Of rows of a table whose ids are in the column that the config names."""
    path = folder / "rows.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    columns = table_columns({table: {"item_id": mapped}}, table)
    (file_slice,) = plan_slices([str(path)])
    (raw,) = read_slice(file_slice, columns, TABLES[table])
    return VALIDATE[table](raw, file_slice)[1]


def event(**more: Any) -> dict[str, Any]:
    return {"timestamp": "2026-06-01T00:00:00Z", "user_id": "u", "surface": "home", "action": "impression", **more}


def test_the_gate_of_a_log_names_the_column_and_the_one_that_may_be_meant(tmp_path: Path) -> None:
    rows = [event(prod_ref=None, sku=f"s{number}") for number in range(3)]
    found = rejections_of(tmp_path, "engagements", "prod_ref", rows)
    assert [row.reason for row in found] == ["null_id"] * 3
    assert {row.remedy for row in found} == {
        "no row here has one in 'prod_ref': is it 'sku'? Then map it, in the config: [columns.engagements] item_id = "
        "'sku'"
    }


def test_a_path_into_a_column_may_end_in_another_name(tmp_path: Path) -> None:
    found = rejections_of(tmp_path, "engagements", "items.id", [event(items=[{"item_id": "a"}])] * 2)
    assert {row.reason for row in found} == {"null_id"}
    assert "in 'items.id', where the path may end in another name" in found[0].remedy
    assert "[columns.engagements] item_id = ..." in found[0].remedy


@pytest.mark.parametrize(
    ("table", "section", "more"),
    [
        ("catalogue", "columns", {"title": "t"}),
        ("judgements", "columns.judgements", {"surface": "search", "query": "q", "grade": 1}),
    ],
)
def test_other_tables(tmp_path: Path, table: str, section: str, more: dict[str, Any]) -> None:
    found = rejections_of(tmp_path, table, "ref", [{"ref": blank, "product_id": "p", **more} for blank in (None, " ")])
    assert len(found) == 2
    assert all(f"[{section}] item_id = 'product_id'" in row.remedy for row in found)


def test_one_id_among_nulls_shows_that_the_column_is_right(tmp_path: Path) -> None:
    for other in ("a", 1.5):
        found = rejections_of(tmp_path, "engagements", "ref", [event(ref=None, sku="s"), event(ref=other, sku="s")])
        assert found[0].remedy == REMEDIES["null_id"]
    found = rejections_of(tmp_path, "catalogue", "ref", [{"ref": None, "sku": "s"}, {"ref": "x" * 600, "sku": "s"}])
    assert [(row.reason, row.remedy) for row in found] == [
        (reason, REMEDIES[reason]) for reason in ("null_id", "oversized_id")
    ]


@pytest.mark.parametrize("name", ["rows.jsonl", "rows.csv", "rows.parquet"])
def test_the_names_of_the_file_come_with_its_rows(tmp_path: Path, name: str) -> None:
    """Judging reads no file: one that is gone meanwhile changes no remedy."""
    path = tmp_path / name
    if name.endswith("parquet"):
        write_parquet(path, ref=[None, " "], product_id=["p", "q"], title=["t", "u"])
    else:
        path.write_text(
            '{"ref": " ", "product_id": "p", "title": "t"}\n' if "json" in name else "ref,product_id\n ,p\n"
        )
    columns = table_columns({"catalogue": {"item_id": "ref"}}, "catalogue")
    (file_slice,) = plan_slices([str(path)])
    (raw,) = read_slice(file_slice, columns, TABLES["catalogue"])
    path.unlink()
    rejections = validate_catalogue(raw, file_slice)[1]
    assert rejections
    assert all("is it 'product_id'? Then map it" in row.remedy for row in rejections)
