"""The line that `itemsage init` writes for products that customers do not see leaves them out once its # is gone."""

import tomllib
from pathlib import Path
from typing import Any

import pytest
from init_calls import write_csv, written

from pipelines.init.rehearsal import rehearse_items

LINE = "# leave_out = "


def with_its_line() -> dict[str, Any]:
    """What the file says without the # before its line."""
    text = Path("shop.toml").read_text()
    assert text.count(LINE) == 1
    return tomllib.loads(text.replace(LINE, LINE.removeprefix("# ")))


def ids_of(name: str, config: dict[str, Any]) -> list[str]:
    columns = {ours: theirs for ours, theirs in config["columns"].items() if ours != "engagements"}
    return rehearse_items([name], columns, config.get("group_rows", "no")).items["item_id"].to_pylist()


SHOPIFY = ("Handle,Title,Body (HTML),Status,Published", "a,A,x,active,true", "a,,,,", "b,B,x,draft,true", "b,,,,")
WOOCOMMERCE = (
    "ID,Type,SKU,Name,Published,Visibility in catalog,Images,Parent",
    *("1,variable,,A,1,visible,,", "2,variation,,A - S,1,visible,,id:1", "3,simple,x,B,-1,visible,,"),
    "4,simple,y,C,1,hidden,,",
)


@pytest.mark.parametrize(
    ("kind", "rows", "entry", "all_ids", "ids"),
    [
        ("shopify", SHOPIFY, {"Status": ["draft", "archived"]}, ["a", "b"], ["a"]),
        (
            "shopify",
            (*SHOPIFY, "c,C,x,archived,FALSE"),
            {"Status": ["draft", "archived"], "Published": ["FALSE"]},
            ["a", "b", "c"],
            ["a"],
        ),
        (
            "woocommerce",
            WOOCOMMERCE,
            {"Published": ["-1", "0"], "Visibility in catalog": ["hidden"]},
            ["1", "3", "4"],
            ["1"],
        ),
        ("csv", ("sku,name,is_active", "a,A mug,1", "b,A cup,0"), {"is_active": ["0"]}, ["a", "b"], ["a"]),
        (
            "csv",
            ("sku,name,deleted_at", "a,A mug,", "b,A cup,2026-11-20 10:00:00", "c,A jug,NULL"),
            {"deleted_at": ["*"]},
            ["a", "b", "c"],
            ["a", "c"],
        ),
        ("csv", ("sku,name,deleted", "a,A mug,0", "b,A cup,1"), {"deleted": ["1"]}, ["a", "b"], ["a"]),
        (
            "csv",
            ("sku,name,visibility", 'a,A mug,"Catalog, Search"', "b,A cup,Not Visible Individually"),
            {"visibility": ["Not Visible Individually"]},
            ["a", "b"],
            ["a"],
        ),
    ],
)
def test_the_line_leaves_them_out_once_its_sign_is_gone(
    capsys: pytest.CaptureFixture[str],
    kind: str,
    rows: tuple[str, ...],
    entry: dict[str, list[str]],
    all_ids: list[str],
    ids: list[str],
) -> None:
    name = write_csv("t.csv", *rows)
    config = written("--from", kind, name)
    assert "leave_out" not in config["columns"]
    assert ids_of(name, config) == all_ids
    assert "take away the # before the line leave_out = ... in [columns]" in capsys.readouterr().out
    asked = with_its_line()
    assert asked["columns"]["leave_out"] == entry
    assert ids_of(name, asked) == ids


def test_a_column_with_many_texts_is_asked_about_without_a_line(capsys: pytest.CaptureFixture[str]) -> None:
    rows = [f"p{number},A,x,state {number}" for number in range(30)]
    written("--from", "shopify", write_csv("t.csv", "Handle,Title,Body (HTML),Status", *rows))
    assert "They are items too: write leave_out in [columns]" in capsys.readouterr().out
    assert LINE not in Path("shop.toml").read_text()


def test_where_all_are_seen_there_is_no_line() -> None:
    written("--from", "shopify", write_csv("t.csv", "Handle,Title,Body (HTML),Status", "a,A,x,Active", "b,B,x,"))
    assert "leave_out" not in Path("shop.toml").read_text()


def test_in_objects_the_line_leads_into_them() -> None:
    Path("t.jsonl").write_text(
        '{"sku": "a", "name": "A mug", "info": {"is_active": true}}\n'
        '{"sku": "b", "name": "A cup", "info": {"is_active": false}}\n'
    )
    written("--from", "csv", "t.jsonl")
    asked = with_its_line()
    assert asked["columns"]["leave_out"] == {"info.is_active": ["false"]}
    assert ids_of("t.jsonl", asked) == ["a"]


def test_squares_archived_and_hidden_products_are_asked_about(capsys):
    lines = ["Token,Item Name,SKU,Archived,Visibility", "T1,Red mug,M-1,N,visible", "T2,Blue mug,M-2,Y,visible"]
    write_csv("p.csv", *lines, "T3,Green bowl,M-3,N,hidden")
    written("p.csv")
    told = capsys.readouterr().out
    assert "? Archived: Y in 1 rows" in told
    assert "? Visibility: hidden in 1 rows" in told
    assert '# leave_out = {Archived = ["Y"], Visibility = ["hidden"]}' in Path("shop.toml").read_text()


@pytest.mark.medium
@pytest.mark.parametrize(
    ("name", "seen", "unseen"),
    [
        *(
            (name, seen, unseen)
            for seen, unseen in (("false", "true"), ("0", "1"), ("f", "t"), ("nein", "ja"))
            for name in (
                "is_deleted",
                "isDeleted",
                "hidden",
                "is_hidden",
                "discontinued",
                "draft",
                "Archived",
                "deleted",
            )
        ),
        *(
            (name, seen, unseen)
            for seen, unseen in (("true", "false"), ("1", "0"), ("t", "f"), ("1.0", "0.0"))
            for name in ("isVisible", "is_visible", "is_published", "product_is_available", "item_active", "status")
        ),
    ],
)
def test_a_flag_is_asked_about_however_it_is_called(capsys, name, seen, unseen):
    rows = [f"SKU-{number},Mug {number},{unseen if number == 2 else seen}" for number in range(4)]
    file = write_csv("t.csv", f"sku,title,{name}", *rows)
    written(file)
    assert f"? {name}: {unseen} in 1 rows. They are items too" in capsys.readouterr().out
    assert ids_of(file, with_its_line()) == ["SKU-0", "SKU-1", "SKU-3"]


def test_the_time_since_when_a_product_is_hidden_and_each_of_several_flags_are_asked_about(capsys):
    rows = ["a,A,false,true,0,", "b,B,true,true,0,", "c,C,false,false,0,2026-01-01", "d,D,false,true,1,"]
    written(write_csv("t.csv", "sku,title,is_deleted,isVisible,hidden,discontinued_at", *rows))
    told = capsys.readouterr().out
    assert all(f"? {name}: " in told for name in ("is_deleted", "isVisible", "hidden", "discontinued_at"))
    assert with_its_line()["columns"]["leave_out"]["discontinued_at"] == ["*"]


@pytest.mark.parametrize("name", ["hidden", "draft", "private", "live", "expired"])
def test_what_is_no_flag_is_not_asked_about(name):
    written(write_csv("t.csv", f"sku,title,{name}", "a,A,some words", "b,B,true"))
    assert "leave_out" not in Path("shop.toml").read_text()
