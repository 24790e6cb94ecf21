"""Names of columns of pictures."""

import re

import pytest
from hang_guard import ends
from hypothesis import given
from hypothesis import strategies as st

from schemas.columns.picture_names import PICTURES, picture_column_of

BEFORE = (
    *("main", "primary", "first", "front", "cover", "featured", "default", "large", "big", "full", "additional"),
    *("base", "haupt", "product", "prod", "produkt", "item", "variant", "article", "artikel"),
)
BEHIND = (
    *("main", "large", "url", "urls", "uri", "uris", "link", "links", "href", "src", "path", "paths", "file", "files"),
    *("filename", "filenames", "name", "names", "list"),
)
#: As the rule is said, with every way to part a name tried: right, and without end for long names.
TWIN = re.compile(rf"(?:{'|'.join(BEFORE)})*(?:{'|'.join(PICTURES)})(?:s|er)?\d*(?:{'|'.join(BEHIND)})*\d*")
PIECES = st.sampled_from([*BEFORE, *BEHIND, *PICTURES, "s", "er", "rc", "1", "20", "uct", "alt"])


@given(
    before=st.lists(st.sampled_from(BEFORE), max_size=2),
    picture=st.sampled_from(PICTURES),
    behind=st.lists(PIECES, max_size=5),
)
def test_as_the_rule_is_said(before: list[str], picture: str, behind: list[str]) -> None:
    name = "".join([*before, picture, *behind])
    is_one = name.startswith("image") or TWIN.fullmatch(name) is not None
    assert (picture_column_of({name: name}) == name) == is_one


@given(pieces=st.lists(PIECES, max_size=6))
def test_as_the_rule_is_said_of_any_words(pieces: list[str]) -> None:
    name = "".join(pieces)
    is_one = name.startswith("image") or TWIN.fullmatch(name) is not None
    assert (picture_column_of({name: name}) == name) == is_one


@pytest.mark.parametrize(
    "name", ["bild" + "filenames" * 40 + "x", "foto" + "1" * 100_000 + "x", "pic" + "filenames" * 21 + "urlsrc" + "x"]
)
def test_a_name_of_many_words_is_looked_at_once(name: str) -> None:
    with ends():
        assert picture_column_of({name: name}) is None


def test_a_very_long_name_has_no_meaning() -> None:
    name = "image" + "url" * 100
    assert picture_column_of({name: name, "bild": "Bild"}) == "Bild"
    assert picture_column_of({name: name}) is None
