"""`itemsage init` of tables whose columns of pictures are not all of the products: charts, logos, labels, previews."""

import json
import tomllib
from pathlib import Path

import pytest
from init_calls import write_csv, written

COLOURS = ["red", "blue", "green", "white", "black", "grey"]
SITE = "https://x.example"


def write_table(name, cells):
    """A table of six products with a column of that name. cells: from the product's number."""
    rows = [f"a{n},{colour} scarf,{SITE}/{n}.jpg,{cells(n)}" for n, colour in enumerate(COLOURS)]
    return write_csv("t.csv", f"sku,name,main_image,{name}", *rows)


@pytest.mark.medium
@pytest.mark.parametrize(
    "name",
    [
        *("size_chart_url", "brand_logo", "energy_label", "og_image", "flag", "brand_image", "brandImage"),
        *("Größentabelle", "manufacturer.image", "category_image_url", "energielabel"),
    ],
)
@pytest.mark.parametrize("cells", [lambda n: f"{SITE}/chart.png", lambda n: f"{SITE}/chart{n}.png"])
def test_pictures_that_are_called_by_another_thing_are_asked_about(capsys, name, cells):
    table = write_table(name, cells)
    assert written(table)["columns"]["images"] == "main_image"
    question = f"'{name}': pictures of other things by name, or one for nearly all items. Of the product? Add it here"
    assert f"? images: {question}\n" in capsys.readouterr().out
    offered = f'# images = ["main_image", "{name}"]'
    text = Path("shop.toml").read_text()
    assert f"# {question}\n" in text
    assert f"images = \"main_image\"\n# '{name}': 100% filled, e.g. {cells(0)}\n{offered}\n" in text
    changed = text.replace('images = "main_image"\n', "").replace(offered, offered.removeprefix("# "))
    assert tomllib.loads(changed)["columns"]["images"] == ["main_image", name]


def test_one_picture_for_all_items_is_asked_about_whatever_its_name():
    assert written(write_table("image_9", lambda n: "9.jpg"))["columns"]["images"] == "main_image"
    assert written(write_table("image_9", lambda n: f"back{n}.jpg"))["columns"]["images"] == ["main_image", "image_9"]


def test_one_picture_for_the_variants_of_a_product_is_theirs():
    rows = [f"a{n},scarf,{colour},1.jpg" for n, colour in enumerate(COLOURS)]
    assert written(write_csv("t.csv", "sku,name,colour,image", *rows))["columns"]["images"] == "image"


def test_few_pictures_of_a_column_of_another_name_are_asked_about():
    rows = [f"a{n},scarf {n},{SITE}/{n}.jpg,{SITE}/class_{n % 2}.png,{SITE}/p{n}.png" for n in range(24)]
    columns = written(write_csv("t.csv", "sku,name,image,class,back", *rows))["columns"]
    assert columns["images"] == ["image", "back"]


def test_where_no_other_picture_is_found_none_is_taken_and_the_line_is_offered(capsys):
    rows = [f"a{n},{colour} scarf,{SITE}/{n}.jpg" for n, colour in enumerate(COLOURS)]
    config = written(write_csv("t.csv", "sku,name,og_image", *rows))
    assert (config["columns"]["images"], config["image_encoder"]) == ("", "none")
    text = Path("shop.toml").read_text()
    assert '# images = "og_image"\n' in text
    assert "no column of pictures was found" in text
    assert "? images: 'og_image': pictures of other things by name" in capsys.readouterr().out


def test_numbered_columns_come_in_the_order_of_their_numbers():
    header = "sku,name,Image 1 URL,Image 10 URL,front_picture,Image 2 URL,image_2_alt"
    rows = [f"a{n},scarf {n},1-{n}.jpg,10-{n}.jpg,f-{n}.jpg,2-{n}.jpg,alt-{n}.jpg" for n in range(3)]
    columns = written(write_csv("t.csv", header, *rows))["columns"]
    assert columns["images"] == ["Image 1 URL", "Image 2 URL", "Image 10 URL", "front_picture"]
    assert "image_2_alt" not in Path("shop.toml").read_text().partition("# Not read")[0]


def test_a_brands_logo_in_an_object_does_not_hide_the_pictures_in_lists():
    brand, media = {"name": "Acme", "logo": f"{SITE}/logo.png"}, [{"path": f"{SITE}/m.png", "role": "main"}]
    rows = [{"sku": f"a{n}", "name": f"scarf {n}", "brand": brand, "media": media} for n in range(2)]
    Path("t.json").write_text(json.dumps(rows))
    columns = written("t.json")["columns"]
    assert (columns["images"], columns["brand"]) == ("media.path", "brand.name")


@pytest.mark.parametrize("folder", ["/img", SITE, "https://x.example/img/a"])
def test_names_of_files_beside_their_paths_are_the_same_pictures(folder):
    rows = [
        {"sku": f"a{n}", "name": f"scarf {n}", "images": [{"filename": f"{n}.jpg", "fullpath": f"{folder}/{n}.jpg"}]}
        for n in range(3)
    ]
    Path("t.json").write_text(json.dumps(rows))
    assert written("t.json")["columns"]["images"] == "images.fullpath"


def test_pictures_in_a_list_come_before_a_small_one_of_an_object(capsys):
    """As Plytix has the thumbnail of a product, and all its assets."""
    rows = [
        {
            "sku": f"a{n}",
            "name": f"scarf {n}",
            "thumbnail": {"id": "x", "url": f"{SITE}/thumb/{n}.jpg"},
            "assets": [{"key": "k", "file": f"{SITE}/{n}.jpg"}],
        }
        for n in range(3)
    ]
    Path("t.json").write_text(json.dumps(rows))
    assert written("t.json")["columns"]["images"] == "assets.file"
    assert "? thumbnail holds small pictures: left out\n" in capsys.readouterr().out
