"""`itemsage init` of tables with pictures: by path, by address, in cells, and none."""

import base64
import io
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from init_calls import write_csv, written
from PIL import Image

from pipelines.init.table.cells import PictureCell
from pipelines.init.table.first_rows import look_at


def test_pictures_by_path_start_where_they_lie(capsys):
    write_csv("t.csv", "sku,name,picture", "a,A,pics/1.jpg", "b,B,pics/2.jpg")
    assert written("t.csv", "--image-root", "elsewhere")["image_root"] == "elsewhere"
    question = "where is pics/1.jpg? Not here: write the folder that the pictures' paths start from"
    assert question in Path("shop.toml").read_text()
    assert f"? image_root: {question}\n" in capsys.readouterr().out
    Path("pics").mkdir()
    Path("pics/1.jpg").write_bytes(b"x")
    capsys.readouterr()
    assert written("t.csv")["image_root"] == "."
    told = capsys.readouterr().out
    assert "fetch-images" not in told
    assert "image_root" not in told
    assert written("t.csv", "--image-root", "elsewhere")["image_root"] == "elsewhere"  # what is given is meant
    assert "where is pics/1.jpg?" in Path("shop.toml").read_text()


@pytest.mark.parametrize("path", [r"m\a.jpg?v=1", "/m/a.jpg", "%6D/a.jpg"])
def test_pictures_are_looked_for_as_the_jobs_do(path):
    write_csv("t.csv", "sku,name,image", f"a,A,{path}", f"b,B,{path}")
    Path("images/m").mkdir(parents=True)
    Path("images/m/a.jpg").write_bytes(b"x")
    assert written("t.csv")["image_root"] == "images"
    assert "the pictures' paths start here" in Path("shop.toml").read_text()


def png(grey: int) -> bytes:
    """A picture's file."""
    buffer = io.BytesIO()
    Image.new("L", (8, 8), grey).save(buffer, "PNG")
    return buffer.getvalue()


@pytest.mark.parametrize(
    "cells",
    [
        [png(1), png(2)],
        [{"bytes": png(1), "path": "1.png"}, {"bytes": png(2), "path": None}],
        [[{"bytes": png(1), "path": None}], [{"bytes": png(2), "path": None}, {"bytes": png(3), "path": None}]],
    ],
    ids=["bytes", "structs", "lists of structs"],
)
def test_pictures_in_cells_of_parquet(capsys, cells):
    table = {"sku": ["a", "b"], "name": ["red scarf", "blue hat"], "digest": [bytes(range(16)), bytes(range(1, 17))]}
    pq.write_table(pa.table({**table, "picture": cells}), "t.parquet")
    config = written("t.parquet")
    assert config["columns"] == {"item_id": "sku", "title": "name", "images": "picture"}
    told = capsys.readouterr().out
    assert "2 with text, 2 with pictures" in told
    assert "fetch-images" not in told
    text = Path("shop.toml").read_text()
    assert "e.g. a picture\n" in text
    assert "where is" not in text
    assert Path(config["image_root"]).is_dir()
    assert isinstance(look_at(["t.parquet"]).columns["picture"].values[0], PictureCell)  # without its bytes


def test_few_paths_do_not_decide_where_pictures_are_looked_for(capsys):
    """A cell without its bytes has a path that lies nowhere: train asks for a folder that is there."""
    cells = [{"bytes": png(n), "path": f"{n}.png"} for n in range(4)] + [{"bytes": b"", "path": "empty.png"}]
    names = [f"scarf {n}" for n in range(5)]
    pq.write_table(pa.table({"sku": list("abcde"), "name": names, "picture": cells}), "t.parquet")
    assert written("t.parquet")["image_root"] == "."
    question = "where is empty.png? Not here (1 of 5 pictures are paths): write the folder that the pictures' paths"
    assert question in Path("shop.toml").read_text()
    assert f"? image_root: {question}" in capsys.readouterr().out
    assert written("t.parquet", "--image-root", "elsewhere")["image_root"] == "elsewhere"


def test_few_paths_among_addresses(capsys):
    lines = [f"{n},scarf {n},https://x.example/{n}.jpg" for n in range(4)]
    write_csv("t.csv", "sku,name,picture", *lines, "9,hat,no.jpg")
    assert written("t.csv")["image_root"] == "images"
    assert (
        "# fetch-images puts them in fetched/ there; where is no.jpg? Not here (1 of 5" in Path("shop.toml").read_text()
    )
    assert "? image_root: where is no.jpg? Not here (1 of 5 pictures are paths)" in capsys.readouterr().out


def test_pictures_in_cells_of_csv(capsys):
    noise = base64.b64encode(png(1) + bytes(200)).decode()
    uri = f"data:image/png;base64,{base64.b64encode(png(2)).decode()}"
    lines = ["a,A,", f"b,B,{noise}", f'c,C,"{uri}"', 'd,D,"data:image/png;base64,%%"', "e,E,https://x.example/1.jpg"]
    write_csv("t.csv", "sku,name,picture", *lines)
    assert written("t.csv")["columns"]["images"] == "picture"
    told = capsys.readouterr().out
    assert "5 items (rows by sku), 5 with text, 3 with pictures" in told
    assert "WARNING: 1 pictures in cells cannot be read: 1 not_a_picture" in told
    assert "fetch-images" in told


def test_one_bad_picture_among_addresses():
    lines = [f"{n},{name},https://x.example/{n}.jpg" for n, name in enumerate("ABC")]
    write_csv("t.csv", "sku,name,picture", *lines, '9,Z,"data:image/png;base64,%%"')
    assert written("t.csv")["columns"]["images"] == "picture"


def test_without_pictures_no_encoder_looks_at_any():
    write_csv("t.csv", "sku,name", "a,A", "b,B")
    config = written("t.csv")
    assert (config["image_encoder"], "image_root" in config) == ("none", False)


def test_pictures_are_looked_for_one_folder_below(capsys):
    write_csv("t.csv", "sku,name,picture", "a,A,1.jpg", "b,B,2.jpg")
    for folder in ("assets", "media"):
        Path(folder).mkdir()
    Path("media/2.jpg").write_bytes(b"x")
    assert written("t.csv")["image_root"] == "media"
    assert "where is" not in capsys.readouterr().out
    Path("media/2.jpg").unlink()
    Path("images/catalog").mkdir(parents=True)
    Path("images/catalog/1.jpg").write_bytes(b"x")
    assert written("t.csv")["image_root"] == "images/catalog"


@pytest.mark.parametrize("called", ["image", "images", "photos"])
def test_objects_that_are_printed_are_asked_for_as_json(capsys, called):
    cells = ["{src=https://x.example/1.jpg, alt=b}", "[{src=https://x.example/2.jpg}]", "{src=https://x.example/3.jpg}"]
    write_csv("t.csv", f"sku,name,{called}", *(f'{n},scarf {n},"{cell}"' for n, cell in enumerate(cells)))
    assert not written("t.csv")["columns"].get("images")
    told = capsys.readouterr().out
    assert (
        f"? {called} holds objects that are printed, no JSON, such as {cells[0]}: nothing in them is read. Write"
        in told
    )
    assert "write the column as JSON" in told or called != "images"


@pytest.mark.parametrize("path", ["/media/{}%201.jpg", "media/{} 1.jpg", "{} 1.jpg?v=2"])
def test_one_picture_under_two_columns_is_one(path, capsys):
    """The end of the address beside it, however it is written."""
    rows = [f"{name},{name},https://shop.example/media/{name}%201.jpg?v=1,{path.format(name)}" for name in "ab"]
    write_csv("t.csv", "sku,name,Image URL,Image Path", *rows)
    written("t.csv")
    told = capsys.readouterr().out
    assert "images                   Image URL      100%" in told
    assert "image_root" not in told
