"""Names of columns without what systems write around them."""

import re

import pytest
from hang_guard import ends
from hypothesis import given
from hypothesis import strategies as st

from schemas.columns.names import bare_name, plain_name

#: As the rule is said: a bracket behind a name, with the blanks around it.
TWIN = re.compile(r"\s*[(\[][^()\[\]]*[)\]]\s*$")


@given(st.text(st.sampled_from("ab ()[]\n."), max_size=12))
def test_what_stands_in_brackets_is_none_of_the_name(name: str) -> None:
    without = TWIN.sub("", name)
    assert bare_name(name) == plain_name(without)


@pytest.mark.parametrize(
    "name",
    [
        "a" + " " * 500_000 + "b",
        "a" + "(" * 200_000 + "b",
        "a" + " (b" * 100_000,
        "a" + "[b=c]" * 100_000 + "#",
    ],
)
def test_a_long_name_is_gone_through_once(name: str) -> None:
    with ends():
        bare_name(name)


@pytest.mark.parametrize(
    ("name", "bare"),
    [
        ("*C:Marke", "marke"),
        ("# C:Marke", "marke"),
        ("item_name[marketplace_id=A1PA][language_tag=de_DE]#1.value", "itemname"),
        ("color[language_tag=de_DE]#1.standardized_values#1.value", "color"),
        ("item_name#1", "itemname1"),
    ],
)
def test_signs_of_marketplaces_are_none_of_the_name(name: str, bare: str) -> None:
    assert bare_name(name) == bare
