"""What `itemsage init` says of a table whose pictures are wrapped in objects, and of one in which it finds none."""

import json
import tomllib
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from pipelines.init import job as init
from pipelines.init.rehearsal import rehearse_items

URL = "https://x.example/1.jpg"


@pytest.fixture(autouse=True)
def working_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def written(name: str, *lines: str) -> str:
    """The text of the config for a file of these lines."""
    Path(name).write_text("\n".join(lines) + "\n")
    assert init.main([name]) == 0
    return Path("shop.toml").read_text()


@pytest.mark.parametrize(
    "wrapped", [{"edges": [{"node": {"url": URL}}]}, {"v": [{"v": URL}]}, [{"image": {"src": URL}}]]
)
def test_pictures_in_wrapped_lists(wrapped: Any) -> None:
    rows = [json.dumps({"id": f"i{n}", "title": f"Mug {n}", "images": wrapped}) for n in range(3)]
    config = tomllib.loads(written("t.jsonl", *rows))
    assert (config["columns"]["images"], config["image_encoder"] != "none") == ("images", True)


def test_no_column_of_pictures() -> None:
    assert '"none"  # no column of pictures was found' in written("t.csv", "sku,name", "a,A", "b,B")


def test_a_column_of_pictures_without_any_is_no_missing_column() -> None:
    lines = [f"{item}\t{item}\thttps://x.example/{item}\t\t1 EUR" for item in "ab"]
    text = written("t.tsv", "id\ttitle\tlink\timage_link\tprice", *lines)
    assert '"none"  # no picture was found in the column of images' in text


@pytest.mark.medium
@pytest.mark.parametrize("name", ["file", "path", "large"])
@pytest.mark.parametrize(
    ("wrapper", "element"), [("list", "element"), ("array", "element"), ("bag", "array_element"), (None, None)]
)
def test_pictures_under_other_names_in_wrapped_lists(name: str, wrapper: str | None, element: str | None) -> None:
    """As BigQuery exports a list of records: objects whose addresses are called otherwise than usual."""
    pictures = [{name: f"{side}.jpg", "alt": "a mug"} for side in ("front", "back")]
    wrapped = {wrapper: [{element: one} for one in pictures]} if wrapper else pictures
    rows = [{"item_id": f"i{number}", "title": f"Mug {number}", "images": wrapped} for number in range(3)]
    pq.write_table(pa.Table.from_pylist([*rows, {**rows[0], "item_id": "i9", "images": None}]), "t.parquet")
    Path("t.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    for table in ("t.parquet", "t.jsonl"):
        assert init.main([table, "--force"]) == 0
        config = tomllib.loads(Path("shop.toml").read_text())
        assert config["columns"]["images"] == f"images.{name}"
        items = rehearse_items([table], config["columns"], "no").items
        assert items["images"].to_pylist()[0] == ["front.jpg", "back.jpg"]
