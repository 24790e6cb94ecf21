"""A row of totals below a table is asked about by every command that reads the catalogue, and dropped by none."""

from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from apache_beam.options.pipeline_options import PipelineOptions
from doctor_findings import by_name
from init_calls import write_csv, written

from pipelines.ingest import job as ingest
from pipelines.ingest.job import IngestConfig
from pipelines.operations.doctor.job import DoctorConfig, diagnose
from schemas.columns.mapping import catalogue_columns
from schemas.columns.spec import Columns
from schemas.tables import ITEMS
from schemas.validation.rows_of_totals import LOOKED_AT, are_called_totals, likely_totals, totals_in_words

COLUMNS = {"item_id": "SKU", "title": "Name", "brand": "Brand", "images": "Picture"}
PRODUCTS = ("SKU,Name,Brand,Price,Picture", "S-1,A mug,Acme,9.90,a.jpg", "S-2,A cup,Acme,9.90,b.jpg")
TOLD = "1 item looks like a row of totals: {}. No product? Then write leave_out = {{{}}} in [columns]"


def items_of(*rows: dict[str, Any]) -> pa.Table:
    return pa.Table.from_pylist([{"images": [], **row} for row in rows], schema=ITEMS.remove_metadata())


@pytest.mark.parametrize(
    "word",
    [
        *("Total", "TOTAL:", "Totals", "Grand Total", "Subtotal", "Sub-total", "Sum", "Summe", "Gesamtsumme", "Итого"),
        *("Всего:", "Total général", "Totaal", "Suma", "合計", "Total 1,234.50", "Total (12)", "Total items: 12"),
        *("** Total **", "Total number of products: 1 200", "Итого товаров: 5", "= Sum", "Toplam"),
    ],
)
def test_what_totals_are_called(word: str) -> None:
    assert are_called_totals(pa.array([word, f" {word}\t"])).all()


@pytest.mark.parametrize(
    "word", ["Total oil 5W30", "Totalgym", "Summer", "sum-1", "SUM41 T-shirt", "Someone", "T-1", "", "42", "Total Look"]
)
def test_what_products_are_called(word: str) -> None:
    assert not are_called_totals(pa.array([word, None])).any()


def test_products_with_such_names_are_not_asked_about() -> None:
    likely = [
        {"item_id": "Total"},
        {"item_id": "Итого", "title": "1 200,50", "size": "12"},
        {"item_id": "Total", "title": "Total"},
        {"item_id": "120", "title": "Grand total"},
    ]
    products = [
        {"item_id": "7", "title": "Total", "images": ["a.jpg"]},
        {"item_id": "7", "title": "Total", "description": "engine oil"},
        {"item_id": "T-7", "title": "Total"},
        {"item_id": "Total", "title": "Engine oil"},
        {"item_id": "7", "title": "A mug", "brand": "Total"},
    ]
    items = items_of(*likely, *products)
    assert likely_totals(items).to_pylist() == items.slice(0, len(likely)).to_pylist()
    assert likely_totals(items.slice(len(likely))).num_rows == 0


@pytest.mark.parametrize(
    ("columns", "told"),
    [
        ({}, 'write leave_out = {"item_id" = ["Total"], "title" = ["Sum:"]} in'),
        ({"item_id": "SKU", "title": ["A", "B"]}, 'write leave_out = {"SKU" = ["Total"], "A" = ["Sum:"]} in'),
        ({"leave_out": {"Status": ["draft"]}}, 'add "item_id" = ["Total"], "title" = ["Sum:"] to leave_out in'),
    ],
)
def test_the_words_name_the_columns_of_the_shop(columns: Columns, told: str) -> None:
    totals = items_of({"item_id": "Total"}, {"item_id": "12", "title": "Sum:"}).select(LOOKED_AT)
    found = totals_in_words(totals, catalogue_columns(columns, "no"))
    assert found.startswith("2 items look like rows of totals: 'Total', 'Sum:'")
    assert told in found
    assert totals_in_words(totals.slice(0, 0), {}) == ""


@pytest.mark.parametrize(
    ("last", "named", "entry"),
    [
        ("Total,,,19.80,", "'Total'", '"SKU" = ["Total"]'),
        ("2,Grand total,,19.80,", "'Grand total'", '"Name" = ["Grand total"]'),
        ("S-3,Total,Total,5,c.jpg", "", ""),
    ],
)
def test_every_command_asks_and_the_line_that_it_names_leaves_the_row_out(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    last: str,
    named: str,
    entry: str,
) -> None:
    monkeypatch.chdir(tmp_path)
    name = write_csv("c.csv", *PRODUCTS, last)
    told = TOLD.format(named, entry)
    assert (f"({'a row of totals?'})" in told_by_init(name, capsys)) == bool(entry)
    config = DoctorConfig(catalog=name, image_root=str(tmp_path), columns=COLUMNS)
    warnings = by_name(diagnose(config))["columns of catalogue"].warnings
    assert [warning.startswith(told) for warning in warnings] == ([True] if entry else [])
    counts, said = ingested("all", name, COLUMNS, capsys)
    assert counts["rows_written"] == 3
    assert counts.get("items_like_totals", 0) == bool(entry)
    assert (f"items: WARNING: {told}" in said) == bool(entry)
    if entry:
        key, text = entry.split(" = ")
        asked = {**COLUMNS, "leave_out": {key.strip('"'): [text.strip('[]"')]}}
        counts, said = ingested("without", name, asked, capsys)
        assert (counts["rows_written"], counts["rows_left_out"]) == (2, 1)
        assert "totals" not in said
        assert by_name(diagnose(DoctorConfig(catalog=name, columns=asked)))["columns of catalogue"].warnings == []


def told_by_init(name: str, capsys: pytest.CaptureFixture[str]) -> str:
    capsys.readouterr()
    written("--from", "csv", name)
    return capsys.readouterr().out


def ingested(
    run: str, name: str, columns: dict[str, Any], capsys: pytest.CaptureFixture[str]
) -> tuple[dict[str, int], str]:
    """(the counts, what is said on stderr)."""
    capsys.readouterr()
    config = IngestConfig(run=run, catalog=name, columns=columns)
    manifest = ingest.run(config, PipelineOptions(["--runner=FnApiRunner"]))
    return manifest["counts"], capsys.readouterr().err


def test_a_total_far_below_the_first_rows_is_found(tmp_path: Path) -> None:
    ids = [f"S-{number}" for number in range(20_000)]
    table = pa.table({"item_id": [*ids, "Total"], "title": [*ids, None]})
    pq.write_table(table, tmp_path / "c.parquet")
    config = DoctorConfig(catalog=str(tmp_path / "c.parquet"), image_root=str(tmp_path))
    (warning,) = by_name(diagnose(config))["columns of catalogue"].warnings
    assert "looks like a row of totals" in warning
