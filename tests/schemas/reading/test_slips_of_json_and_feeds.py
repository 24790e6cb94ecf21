"""Files that are nearly right: what is read of them all the same, and what is said of the others."""

import json
import re
import shutil
import subprocess
from pathlib import Path

import pytest

from schemas.errors import UsageError
from schemas.reading.input_files import check_columns
from schemas.reading.rows import plan_slices, read_slice

ROWS = [{"item_id": "1", "title": "red mug"}, {"item_id": "2", "title": "pot, iron"}]


def read(path: Path) -> list[dict[str, str]]:
    batches = [raw for part in plan_slices([str(path)]) for raw in read_slice(part, {})]
    return [row for raw in batches for row in raw.table.select(["item_id", "title"]).to_pylist()]


def refusal(path: Path) -> str:
    with pytest.raises(UsageError) as caught:
        check_columns([str(path)], {})
    return str(caught.value)


@pytest.mark.parametrize("end", ["\n", "\r\n", ""])
def test_a_sequence_of_json_texts_is_read(tmp_path: Path, end: str) -> None:
    path = tmp_path / "c.jsonl"
    path.write_text("".join(f"\x1e{json.dumps(row)}\n" for row in ROWS)[: -1 if not end else None], newline=end or None)
    assert read(path) == ROWS


@pytest.mark.parametrize("comment", ["// exported", "/* exported\n today */", "# exported\n# today"])
def test_comments_above_json_are_named_with_the_call_that_takes_them_away(tmp_path: Path, comment: str) -> None:
    path = tmp_path / "c.json"
    path.write_text(f"{comment}\n{json.dumps(ROWS)}\n")
    message = refusal(path)
    assert f"got comments above it in {path}" in message
    call = message.partition("This makes rows of it: ")[2]
    subprocess.run(call, shell=True, cwd=tmp_path, check=True)
    assert read(tmp_path / "rows.json") == ROWS


def test_lines_of_a_bulk_operation_of_shopify_are_named(tmp_path: Path) -> None:
    path = tmp_path / "c.jsonl"
    product, picture = "gid://shopify/Product/1", "gid://shopify/ProductImage/2"
    lines = [
        {"id": product, "title": "Red mug", "handle": "red-mug"},
        {"id": picture, "src": "https://x/a.jpg", "__parentId": product},
        {"id": "gid://shopify/ProductVariant/3", "sku": "M", "image": None, "__parentId": product},
        {"id": "gid://shopify/Product/4", "title": "Pot"},
    ]
    path.write_text("".join(json.dumps(line) + "\n" for line in lines))
    message = refusal(path)
    assert "got lines of a bulk operation of Shopify" in message
    assert "'__parentId'" in message
    call = message.partition("This makes rows of it: ")[2]
    assert call.startswith("jq -nc 'reduce inputs")
    if shutil.which("jq"):
        subprocess.run(call, shell=True, cwd=tmp_path, check=True)
        made = [json.loads(line) for line in (tmp_path / "rows.jsonl").read_text().splitlines()]
        assert [(row["id"], row["images"]) for row in made] == [
            (product, ["https://x/a.jpg"]),
            ("gid://shopify/Product/4", []),
        ]


def test_products_of_shopify_alone_are_rows(tmp_path: Path) -> None:
    path = tmp_path / "c.jsonl"
    path.write_text(json.dumps({"id": "gid://shopify/Product/1", "item_id": "1", "title": "Mug"}) + "\n")
    check_columns([str(path)], {})


def test_a_prefix_that_a_feed_does_not_declare_is_told_how(tmp_path: Path) -> None:
    path = tmp_path / "c.xml"
    feed = '<rss version="2.0"><channel><item><g:id>1</g:id><title>Mug</title></item></channel></rss>'
    path.write_text(feed)
    message = refusal(path)
    tag = re.search(r"<rss [^>]*>", message)
    assert tag
    assert "&amp;" not in message
    path.write_text(feed.replace('<rss version="2.0">', tag[0]))
    assert [
        raw.table["item_id"].to_pylist()
        for part in plan_slices([str(path)])
        for raw in read_slice(part, {"item_id": "id"})
    ] == [["1"]]


@pytest.mark.parametrize("line", ["sep=\\t", "SEP=\\T", '"sep=\\t"', "sep=tab", "sep=\t"])
def test_a_tab_may_be_written_in_letters(tmp_path: Path, line: str) -> None:
    path = tmp_path / "c.csv"
    path.write_text(f"{line}\nitem_id\ttitle\n1\tred mug\n2\tpot, iron\n")
    assert read(path) == ROWS


@pytest.mark.parametrize("num_rows", [1, 2, 5])
def test_a_small_table_that_mysql_printed_is_read(tmp_path: Path, num_rows: int) -> None:
    rule = "+---------+---------+"
    lines = [
        rule,
        "| item_id | title   |",
        rule,
        *[f"| {number}       | red mug |" for number in range(num_rows)],
        rule,
    ]
    path = tmp_path / "c.txt"
    path.write_text("\n".join([*lines, f"{num_rows} rows in set (0.00 sec)"]) + "\n")
    assert read(path) == [{"item_id": str(number), "title": "red mug"} for number in range(num_rows)]
