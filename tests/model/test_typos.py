"""Misspelt queries: one typo, where people make it, the same one every time."""

import doctest
from collections import Counter

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from model.text import typos
from model.text.tokenizer import is_cjk, normalize
from model.text.typos import MIN_LETTERS, maybe_misspelt

TEXTS = st.text(max_size=40) | st.lists(
    st.sampled_from(
        ["shoe", "shoes", "hose", "oops", "tx-20", "42cm", "tee", "木製椅子", "椅子shop", "éèàô", "하늘에서"]
    )
    | st.text("abcd", min_size=1, max_size=7),
    max_size=5,
).map(" ".join)
QUERIES = TEXTS.map(normalize).map(lambda text: " ".join(text.split()))


def one_edit(word: str, typo: str) -> str | None:
    """What turns a word into its typo: swapped, lost or doubled; None for anything else, or at its first letter."""
    for at in range(1, len(word)):
        if typo == word[:at] + word[at + 1 :]:
            return "lost"
        if typo == word[: at + 1] + word[at:]:
            return "doubled"
        if at + 1 < len(word) and typo == word[:at] + word[at + 1] + word[at] + word[at + 2 :]:
            return "swapped"
    return None


@pytest.mark.medium
@settings(max_examples=300, deadline=None)
@given(QUERIES, st.integers(), st.text(max_size=8))
def test_a_typo_is_one_edit_of_one_long_word_of_letters(query, seed, item_id):
    got = maybe_misspelt(query, 1.0, seed, item_id)
    assert got == maybe_misspelt(query, 1.0, seed, item_id)
    assert got == normalize(got)
    before, after = query.split(" "), got.split(" ")
    assert len(before) == len(after)
    changed = [place for place, (old, new) in enumerate(zip(before, after, strict=True)) if old != new]
    if not changed:
        return
    (place,) = changed
    old, new = before[place], after[place]
    assert one_edit(old, new)
    assert old[0] == new[0]
    assert len(old) >= MIN_LETTERS
    assert old.isalpha()
    assert not any(map(is_cjk, old))
    assert new not in before


@settings(max_examples=100, deadline=None)
@given(QUERIES, st.integers(), st.text(max_size=8))
def test_a_share_of_nothing_misspells_nothing(query, seed, item_id):
    assert maybe_misspelt(query, 0.0, seed, item_id) == query


@pytest.mark.parametrize("query", ["", "tee", "tx-20", "42cm 2024", "木製椅子木製椅子", "aaa bb", "t-shirt"])
def test_what_stays_as_it_is(query):
    assert {maybe_misspelt(query, 1.0, seed, "a") for seed in range(20)} == {query}


def test_another_word_of_the_query_is_never_made():
    """Losing a letter of "shoes" or swapping two of "haets" would."""
    for query, other in (("shoes shoe", "shoe"), ("haets hates", "hates")):
        for seed in range(200):
            assert maybe_misspelt(query, 1.0, seed, "a").split(" ").count(other) <= 1


def test_every_kind_comes_and_the_share_is_kept():
    found = Counter(
        one_edit("wardrobe", maybe_misspelt("wardrobe", 0.3, 0, f"item-{number}")) for number in range(3000)
    )
    assert 0.27 < 1 - found[None] / 3000 < 0.33
    assert all(found[kind] > 200 for kind in ("swapped", "lost", "doubled"))


def test_the_draw_depends_on_seed_item_and_query():
    """Changes of the draw change every model trained on pseudo-queries: they must be seen."""
    got = [
        maybe_misspelt("red wardrobe", 1.0, 7, "item-1"),
        maybe_misspelt("red wardrobe", 1.0, 8, "item-1"),
        maybe_misspelt("red wardrobe", 1.0, 7, "item-2"),
        maybe_misspelt("wardrobe", 1.0, 7, "item-1"),
    ]
    assert got == ["red wadrobe", "red wardrobbe", "red wardorbe", "warrdobe"]


def test_the_examples_are_right():
    assert doctest.testmod(typos).failed == 0
