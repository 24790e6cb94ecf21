"""A row of totals below a table is asked about by every command that reads the catalogue, and dropped by none."""

import itertools
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from apache_beam.options.pipeline_options import PipelineOptions
from doctor_findings import by_name
from hypothesis import example, given
from hypothesis import strategies as st
from init_calls import write_csv, written

from pipelines.ingest import job as ingest
from pipelines.ingest.config import IngestConfig
from pipelines.operations.doctor.job import DoctorConfig, diagnose
from schemas.columns.mapping import catalogue_columns
from schemas.columns.spec import Columns
from schemas.tables import ITEMS
from schemas.validation.rows_of_totals import (
    LOOKED_AT,
    are_called_totals,
    are_codes,
    likely_totals,
    may_be_totals,
    totals_in_words,
)

OPTIONS = PipelineOptions(["--runner=FnApiRunner"])
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


_AMOUNTS = ["12", "1 200,50", "-"]
_PICTURES: list[list[str]] = [[], ["a.jpg"]]
_CELLS = st.none() | st.sampled_from(["Total", "(60 rows)", "Exported by", "A mug", "S-1", "SUM41", *_AMOUNTS])


@given(
    st.lists(
        st.fixed_dictionaries(
            {
                "item_id": _CELLS.filter(bool),
                "title": _CELLS,
                "brand": _CELLS,
                "images": st.sampled_from(_PICTURES),
            }
        ),
        max_size=6,
    )
)
def test_as_a_look_at_each_item_tells(rows: list[dict[str, Any]]) -> None:
    def is_likely(row: dict[str, Any]) -> bool:
        """The sentence of likely_totals, word by word."""
        is_label = row["item_id"] == "Exported by"  # what it is of stands in the next cell
        by_id = is_label or row["item_id"] in ("Total", "(60 rows)")
        by_title = is_label or row["title"] == "Total"
        is_called_so = by_id or (by_title and row["item_id"] in _AMOUNTS)
        title_says_nothing = by_title or row["title"] in (None, *_AMOUNTS)
        return is_called_so and title_says_nothing and row["brand"] in (None, *_AMOUNTS) and not row["images"]

    assert likely_totals(items_of(*rows).select(LOOKED_AT)).equals(items_of(*filter(is_likely, rows)).select(LOOKED_AT))


_PIECES = (
    *("total", "Sum", "items", "rows", "stand", "created", "by", "page", "of", "eof", "end"),
    *("copyright", "Report", "at", "1", "60", "2026", "30.11.2026", "30-11-2026", "10:00"),
    *("A", "ſ", "İ", "٣", "é"),
    *("(", ")", "[", "]", "(c)", "©", "#", "//", "--", "-", ".", "_", "=", "*", ":", "：", ","),
    *(" ", "\t", "\n", "\u00a0", "\u212a", ""),
)
_OF_THREE = ["".join(pieces) for pieces in itertools.product(_PIECES, repeat=3)]


@given(st.lists(st.lists(st.sampled_from(_PIECES), max_size=8).map("".join) | st.text(max_size=8)))
@example(_OF_THREE)
def test_codes_are_neither_totals_nor_lines_below_a_table(ids: list[str]) -> None:
    array = pa.array([*ids, "S-1", "copyright-2026"], pa.string())
    may_be = may_be_totals(array, pa.nulls(len(array), pa.string()))
    assert not (may_be & are_codes(array)).any()
    assert are_codes(array)[-2:].tolist() == [True, False]
    assert may_be[-1]


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
    "line",
    [
        *("Report generated 2026-11-30 10:00 by admin", "(60 rows)", "Exported by admin", "© 2026 Acme", "© Acme"),
        *("60 rows in set (0.00 sec)", "(60 rows affected)", "60 rows selected.", "Generated on 30 Nov 2026"),
        *("Exported at 10:00", "Copyright 2026 Acme. All rights reserved.", "*** End of file ***", "Page 1 of 3"),
        *("Number of rows: 60", "Erstellt am 30.11.2026", "Stand: 30.11.2026", "Généré le 30/11/2026"),
        *("This report was generated by Acme ERP", "Powered by Acme", "Exported: 2026-11-30", "[60 records]"),
        *("Data as of 2026-11-30", "Created: 30.11.2026 10:00", "REPORT DATE: 2026-11-30"),
    ],
)
def test_what_reports_write_below_a_table_is_asked_about(line: str) -> None:
    likely = [{"item_id": line}, {"item_id": f" {line}", "size": "12.50"}]
    products = [{"item_id": line, "title": "A mug"}, {"item_id": line, "images": ["a.jpg"]}]
    found = likely_totals(items_of(*likely, *products))
    assert found["item_id"].to_pylist() == [line, f" {line}"]
    told = totals_in_words(found.slice(0, 1), {})
    assert told.startswith("1 item looks like a line below the table: ")
    assert "rows of totals or lines below the table" in totals_in_words(
        likely_totals(items_of(*likely, {"item_id": "Total"})), {}
    )


@pytest.mark.parametrize("label", ["Report generated:", "Exported by", "Printed on:", "Erstellt am"])
def test_what_a_label_below_a_table_is_of_may_stand_in_the_next_cell(label: str) -> None:
    items = items_of({"item_id": label, "title": "admin, at ten"}, {"item_id": label, "title": "x", "brand": "Acme"})
    assert likely_totals(items)["title"].to_pylist() == ["admin, at ten"]


@pytest.mark.parametrize("item_id", ["# end of export 12 rows", "-- made by hand", "// EOF of products"])
def test_comments_below_a_table_are_lines_below_it(item_id: str) -> None:
    assert likely_totals(items_of({"item_id": item_id})).num_rows == 1


@pytest.mark.parametrize(
    "item_id",
    ["A-1", "Created", "printed-mug", "Standard", "stand-up 2", "12 items", "Report", "exported", "of", "#A-1", "# 12"],
)
def test_ids_of_products_are_no_lines_below_a_table(item_id: str) -> None:
    assert not likely_totals(items_of({"item_id": item_id}, {"item_id": item_id, "title": "A mug"})).num_rows


def test_a_line_below_a_table_is_asked_about_by_init_and_by_the_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    write_csv("c.csv", "SKU,Name", "A1,Mug", "A2,Pot", '"Report generated 2026-11-30 10:00 by admin",')
    assert written("c.csv")["columns"]["item_id"] == "SKU"
    line = "SKU: Report generated 2026-11-30 10:00 by ad… in 1 rows (a line below the table?)"
    assert line in capsys.readouterr().out
    ingest.run(IngestConfig(run="r", catalog="c.csv", columns={"item_id": "SKU", "title": "Name"}), OPTIONS)
    said = capsys.readouterr()
    assert "1 item looks like a line below the table: 'Report generated" in said.out + said.err


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


@pytest.mark.medium
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
