"""What `itemsage init` says of a table whose pictures are wrapped in objects, and of one in which it finds none."""

import json
import tomllib
from pathlib import Path
from typing import Any

import pytest

from pipelines.init import job as init

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
