"""Each case of ../shared/cases: what its README calls right, at the level of rows; no case is left out."""

import datetime as dt
import os
from pathlib import Path
from typing import Any

import pyarrow.dataset as ds
import pytest
from read_tables import catalogue_of, log_of

from model.text.tokenizer import only_words
from pipelines import cli
from schemas.columns.mapping import table_columns
from schemas.errors import CorruptFileError, UsageError
from schemas.files import expand_inputs

FOLDER = Path(os.environ.get("ITEMSAGE_CASES", Path(__file__).resolve().parents[3] / "shared" / "cases"))
OF_A_FEED = {"item_id": "id", "images": ["image_link", "additional_image_link"]}
IN_THE_FEED = {
    "title": ['"Vintage" lamp', '27" monitor', "plain", "plain 4"],
    "description": ["A lamp", "Wide", '"quoted, start', "ok"],
    "images": [[f"https://e.com/{number}.jpg" for number in numbers] for numbers in ((1, 2, 3), (4,), (5,), (6,))],
}
#: Catalogue -> what is mapped, and columns of the rows as they must come out.
CATALOGUES: dict[str, tuple[dict[str, Any], dict[str, list[Any]]]] = {
    "capital_title_with_images/catalog.parquet": ({"title": "Title", "description": "Description"}, {}),
    "csv_empty_part/parts": ({}, {"item_id": ["A-1", "A-2"], "images": [["a.jpg"], ["b.jpg", "c.jpg"]]}),
    "csv_ids/c.csv": (
        {},
        {"item_id": ["00123", "123", "\N{SHOPPING TROLLEY}-1", "77", "1e5", "9007199254740993", "cafe\u0301", "café"]},
    ),
    "csv_long_html_lines/c.csv": ({}, {"item_id": ["L-1", "L-2"], "images": [["a.jpg"], ["b.jpg"]]}),
    "csv_null_words/c.csv": ({}, {"item_id": ["N-1", "N-2"], "title": [None, None]}),
    "csv_semicolon/c.csv": ({}, {"title": ["Red mug", "Blue mug"], "images": [["a.jpg"], ["b.jpg", "c.jpg"]]}),
    "csv_spark_escape/part-0.csv": ({}, {"title": ['Poster "Hello, World"', '27" monitor', "plain"]}),
    "csv_utf16/c.csv": ({}, {"title": ["Red mug", "Blue mug"], "images": [["a.jpg"], ["b.jpg", "c.jpg"]]}),
    "jsonl_text_images/c.jsonl": ({}, {"images": [["a.jpg", "b.jpg"]] * 3}),
    "jsonl_types/c.jsonl": (
        {},
        {
            "item_id": [str(number) for number in range(1, 11)],
            "title": ["int", "x", "float id", "y", "true", "hello", "z", "n", "NaN", "dup2"],
            "size": [None, "42.5", *[None] * 8],
            "images": [[], [], [], ["one.jpg"], [], [], ["a.jpg"], ["a.jpg"], [], []],
        },
    ),
    "pq_bq_list_struct/c.parquet": ({}, {"item_id": ["a", "b"], "images": [["a.jpg", "b.jpg"], []]}),
    "pq_decimal_id/c.parquet": ({}, {"item_id": ["101", "102"]}),
    "pq_float_size/c.parquet": ({}, {"size": ["38.5", "42"], "colors": ["true", "false"]}),
    "pq_json_text_images/c.parquet": ({}, {"images": [["a.jpg", "b.jpg"]]}),
    "pq_nullable_int_category/c.parquet": ({}, {}),
    "tsv_google_unquoted/feed.tsv": (OF_A_FEED, IN_THE_FEED),
    "txt_google/feed.txt": (OF_A_FEED, IN_THE_FEED),
    "xml_google/feed.xml": (OF_A_FEED, {"item_id": ["G1"], "title": ["Lamp"], "images": [["https://e.com/1.jpg"]]}),
}
#: Log -> what is mapped, and (rows that are good, rows of which nothing can be made).
LOGS: dict[str, tuple[dict[str, Any], int, int]] = {
    "eng_bigquery_utc_text/log.csv": ({}, 12, 0),
    "eng_day2/day1.parquet": ({}, 480, 0),
    "eng_day2/day2.parquet": ({}, 320, 160),
    "eng_duplicates/log.parquet": ({}, 60, 0),
    "eng_epoch_us/log.parquet": ({}, 12, 0),
    "eng_float_user/log.parquet": ({}, 12, 0),
    "eng_ga4_names/log.parquet": ({}, 4, 8),
    "eng_padded_ids/log.parquet": ({}, 12, 0),
    "eng_hive_constant/surface=home/action=checkout/log.parquet": ({}, 12, 0),
}
#: Cases that are about more than rows -> the module of tests that has them.
ELSEWHERE = {
    "delta_table": "tests/schemas/test_table_folders.py",
    "hf_image_struct": "tests/pipelines/features/test_table_pictures.py",
    "pictures": "tests/model/test_mended_pictures.py",
    "train_all_missing": "tests/pipelines/gates/test_training.py",
}
#: Cases that are refused -> what with.
REFUSED: dict[str, tuple[type[Exception], str]] = {
    "capital_title_with_images/catalog.parquet": (UsageError, "title: is it 'Title'\\?"),
    "pq_flipped_byte/c.parquet": (CorruptFileError, "CRC checksum verification failed"),
}


@pytest.fixture(scope="module", autouse=True)
def _cases() -> None:
    if not FOLDER.is_dir():
        pytest.skip(f"CASES MISSING: no folder {FOLDER}; set ITEMSAGE_CASES to run these tests")


def rows_of(case: str, mapping: dict[str, Any]) -> tuple[dict[str, list[Any]], list[str]]:
    """(columns of the good rows of all files of a catalogue, reasons of the others)."""
    rows: dict[str, list[Any]] = {}
    reasons: list[str] = []
    for path in expand_inputs(str(FOLDER / case)):
        good, rejected, _ = catalogue_of(Path(path), **table_columns(mapping, "catalogue"))
        rows = {name: rows.get(name, []) + values for name, values in good.items()}
        reasons += rejected
    return rows, reasons


@pytest.mark.parametrize("case", CATALOGUES)
def test_a_catalogue_gives_the_rows_that_it_has(case: str) -> None:
    mapping, wanted = CATALOGUES[case]
    rows, reasons = rows_of(case, mapping)
    assert {name: rows[name] for name in wanted} == wanted
    assert reasons == (["null_id", "null_id"] if case.startswith("csv_null_words") else [])


def test_a_product_has_the_same_words_with_tags_and_without() -> None:
    rows, _ = rows_of("html_description/c.jsonl", {})
    by_id = dict(zip(rows["item_id"], rows["description"], strict=True))
    for name in ("mug", "lamp", "scarf"):
        shown = [only_words(by_id[f"{name}-{how}"]) for how in ("plain", "html")]
        assert shown[0] == shown[1]
        assert shown[0]


def test_an_export_of_shopify_is_a_row_a_product(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert cli.main(["init", str(FOLDER / "shopify" / "products_export.csv")]) == 0
    assert cli.main(["ingest", "--run", "run", "--config", "shop.toml", "--date", "2026-06-30"]) == 0
    items = {row["item_id"]: row for row in ds.dataset("run/items").to_table().to_pylist()}
    assert items.keys() == {"plaid-shirt", "mug"}
    pictures = [f"https://cdn.example.com/plaid-{number}.jpg?v=1" for number in (1, 2, 3)]
    assert (items["plaid-shirt"]["title"], items["plaid-shirt"]["images"]) == ("Plaid Shirt", pictures)


def test_what_the_larger_catalogues_hold() -> None:
    rows, _ = rows_of("pq_nullable_int_category/c.parquet", {})
    assert len(rows["item_id"]) == 1_000
    assert set(rows["google_product_category"]) == {"2169", None}
    rows, _ = rows_of("csv_long_html_lines/c.csv", {})
    assert rows["title"][0].split() == ["line"] * 1_500


@pytest.mark.parametrize("case", LOGS)
def test_a_log_gives_the_rows_that_it_has(case: str) -> None:
    mapping, num_good, num_rejected = LOGS[case]
    rows, reasons, _ = log_of(FOLDER / case, **table_columns(mapping, "engagements"))
    assert (len(rows["item_id"]), reasons) == (num_good, ["unknown_action"] * num_rejected)
    assert all(time.date() >= dt.date(2026, 6, 20) for time in rows["timestamp"])
    assert not any(item != item.strip() for item in rows["item_id"])


def test_what_a_log_says_by_its_folders_its_units_and_its_numbers() -> None:
    rows, *_ = log_of(FOLDER / "eng_hive_constant/surface=home/action=checkout/log.parquet")
    assert set(zip(rows["surface"], rows["action"], strict=True)) == {("home", "checkout")}
    rows, *_ = log_of(FOLDER / "eng_epoch_us/log.parquet")
    assert rows["timestamp"][0] == dt.datetime(2026, 6, 20, 10, tzinfo=dt.UTC)
    rows, *_ = log_of(FOLDER / "eng_float_user/log.parquet")
    assert rows["user_id"][:3] == ["1", "2", None]
    actions = {"view_item": "click", "add_to_cart": "add_to_cart", "purchase": "checkout"}
    mapping = {"engagements": {"action": {"source": "action", "values": actions}}}
    mapped = table_columns(mapping, "engagements")
    rows, reasons, _ = log_of(FOLDER / "eng_ga4_names/log.parquet", **mapped)
    assert (set(rows["action"]), reasons) == (set(actions.values()), [])


@pytest.mark.parametrize("case", REFUSED)
def test_what_cannot_be_read_is_refused_by_what_it_is(case: str) -> None:
    error, message = REFUSED[case]
    with pytest.raises(error, match=message):
        rows_of(case, {})


def test_no_case_is_left_out() -> None:
    tested = {case.partition("/")[0] for case in (*CATALOGUES, *LOGS, *REFUSED)} | {"html_description", "shopify"}
    assert {path.name for path in FOLDER.iterdir() if path.is_dir()} == tested | ELSEWHERE.keys()
    assert all((Path(__file__).parents[2] / module).is_file() for module in ELSEWHERE.values())
