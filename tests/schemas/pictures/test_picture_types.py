"""How the names of pictures end: one list for whoever asks."""

import pytest
from hang_guard import ends

from pipelines.init.table.columns import SeenColumn
from schemas.cells.list_texts import listed
from schemas.columns.names_or_values import value_among_names
from schemas.pictures.types import is_called_like_a_picture
from schemas.reading.escaped_letters import escapes_are_letters

ENDINGS = ["jpg", "jpeg", "jfif", "png", "webp", "gif", "bmp", "tif", "tiff", "avif", "heic", "heif", "svg", "JPG"]


@pytest.mark.parametrize("ending", ENDINGS)
def test_every_ending_is_known_everywhere(ending: str) -> None:
    assert is_called_like_a_picture(f"a.{ending}")
    assert listed(f"a.{ending},b.{ending}") == [f"a.{ending}", f"b.{ending}"]
    assert value_among_names(["A-1", f"a.{ending}"]) == f"a.{ending}"
    assert SeenColumn("x", [f"m/a.{ending}", f"https://x/a b.{ending}?v=1#2"]).share_pictures == 1
    rows = ["id\ttext\n", "1\tWarm.\\nSoft.\n", "2\tWarm.\\nThin.\n"]
    assert not escapes_are_letters([*rows, f"3\tC:\\new\\a.{ending}\n"])


@pytest.mark.parametrize("text", ["a mug", "a.jpg.zip", "jpg", "See a.jpg? It is good", "a.jpg\nb", ""])
def test_others_are_none(text: str) -> None:
    assert SeenColumn("x", [text, "a mug"]).share_pictures == 0


@pytest.mark.medium
@pytest.mark.parametrize("text", [".jpg?" * 12_000 + " y", "a" + ".jpg " * 12_000 + "y", " " * 60_000 + "y"])
def test_a_long_text_is_gone_through_once(text: str) -> None:
    """As long as an address may be."""
    with ends(within_cpu_s=10):
        assert SeenColumn("x", [text + str(number) for number in range(50)]).share_pictures == 0
        value_among_names([text] * 50)
