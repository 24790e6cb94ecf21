"""`itemsage init` of feeds with several columns of pictures: each is read, the main one first."""

import json
import re
from pathlib import Path

import pytest
from init_calls import write_csv, written

from pipelines.init.rehearsal import rehearse_items

HEAD = "id,title,description,availability,condition,price,link,brand"
ROW = "{0},Mug {0},Of clay,in stock,new,5 USD,https://x/{0},Acme"


def pictures(name: str, config: dict) -> list[list[str]]:
    items = rehearse_items([name], config["columns"], config.get("group_rows", "no")).items
    return items.sort_by("item_id")["images"].to_pylist()


@pytest.mark.parametrize("names", ["image[0].url,image[1].url", "image_link_1,image_link_2", "Image 1,Image 2"])
def test_numbered_pictures_stand_in_for_the_main_one(names: str):
    rows = [f"{ROW.format(n)},https://x/a{n}.jpg,https://x/b{n}.jpg" for n in range(3)]
    config = written(write_csv("c.csv", f"{HEAD},{names}", *rows))
    assert config["columns"]["images"] == names.split(",")
    assert pictures("c.csv", config)[1] == ["https://x/a1.jpg", "https://x/b1.jpg"]


def test_numbered_pictures_beside_a_main_one_that_some_rows_lack():
    rows = [f"{ROW.format(1)},,https://x/a.jpg,https://x/b.jpg", f"{ROW.format(2)},https://x/c.jpg,,"]
    config = written(write_csv("c.csv", f"{HEAD},image_link,image[0].url,image[1].url", *rows))
    assert config["columns"]["images"] == ["image_link", "image[0].url", "image[1].url"]
    assert pictures("c.csv", config) == [["https://x/a.jpg", "https://x/b.jpg"], ["https://x/c.jpg"]]


def test_the_same_pictures_once_more_are_not_read_twice():
    rows = [f"{ROW.format(n)},https://x/{n}.jpg,https://x/{n}.jpg,https://x/{n}b.jpg" for n in range(3)]
    config = written(write_csv("c.csv", f"{HEAD},image_link,image[0].url,image[1].url", *rows))
    assert config["columns"]["images"] == ["image_link", "image[1].url"]


def test_videos_and_other_addresses_are_no_pictures():
    rows = [f"{ROW.format(n)},https://x/{n}.jpg,https://x/{n}.mp4" for n in range(3)]
    config = written(write_csv("c.csv", f"{HEAD},image_link,video[0].url", *rows))
    assert config["columns"]["images"] == "image_link"


def test_the_content_api_has_its_main_picture_first():
    rows = [
        {
            "offerId": str(number),
            "title": f"Mug {number}",
            "imageLink": f"https://x/{number}.jpg",
            "additionalImageLinks": [f"https://x/{number}b.jpg"],
        }
        for number in range(3)
    ]
    Path("c.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    config = written("c.jsonl")
    assert config["columns"]["images"] == ["imageLink", "additionalImageLinks"]
    assert pictures("c.jsonl", config)[1] == ["https://x/1.jpg", "https://x/1b.jpg"]


@pytest.mark.parametrize(
    ("names", "order"),
    [
        ("gallery_images,image", ["image", "gallery_images"]),
        ("image_2,main_image", ["main_image", "image_2"]),
        ("image_2,image_1", ["image_1", "image_2"]),
        ("weitere_bilder,hauptbild", ["hauptbild", "weitere_bilder"]),
    ],
)
def test_the_main_picture_is_first_whatever_the_order_of_the_columns(names: str, order: list[str]):
    rows = [f"A-{n},Mug {n},{n}a.jpg,{n}b.jpg" for n in range(3)]
    assert written(write_csv("c.csv", f"sku,name,{names}", *rows))["columns"]["images"] == order


ETSY = ("TITLE", "DESCRIPTION", "TAGS", "IMAGE1", "SKU")


def test_tags_are_no_ids_where_some_products_have_no_sku(capsys: pytest.CaptureFixture[str]):
    rows = ['Mug,A mug,"mug,tea",https://x/a.jpg,M-R', 'Pot,A pot,"pot,tea",https://x/b.jpg,', "Lamp,A lamp,lamp,,"]
    config = written(write_csv("c.csv", ",".join(ETSY), *rows))
    assert (config["columns"]["item_id"], config["columns"]["product_types"]) == ("SKU", "TAGS")
    assert re.search(r"\? item_id: .*2 (of 3 )?rows", capsys.readouterr().out)


def test_another_column_that_is_called_an_id_is_taken():
    rows = ["Mug,A mug,mug,https://x/a.jpg,M-R,1", "Pot,A pot,pot,,,2", "Lamp,A lamp,lamp,,,3"]
    config = written(write_csv("c.csv", ",".join((*ETSY, "product_id")), *rows))
    assert config["columns"]["item_id"] == "product_id"
