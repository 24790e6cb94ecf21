"""Surfaces and actions as shops write them: `Add to cart`, `ADD-TO-CART` and `addToCart` are one word."""

from collections.abc import Mapping

import pyarrow as pa
import pyarrow.compute as pc


def plain_words(values: pa.Array) -> pa.Array:
    """Texts without case and signs; "" of signs alone.

    >>> plain_words(pa.array(["Add to cart", "addToCart", "Käufe!"])).to_pylist()
    ['addtocart', 'addtocart', 'käufe']
    """
    return pc.replace_substring_regex(pc.utf8_lower(values), r"[^\p{L}\p{M}\p{N}]+", "")


def our_words(values: pa.Array, known: Mapping[str, str]) -> pa.Array:
    """What each value stands for that is a key of `known`, or is one but for case and signs; null of others. Keys that
    differ in case and signs alone, and stand for different words, are taken as they are written.

    >>> our_words(pa.array(["View", "addToCart", "x"]), {"view": "click", "add_to_cart": "save"}).to_pylist()
    ['click', 'save', None]
    """
    exact = _looked_up(values, known)
    if not pc.any(pc.and_(values.is_valid(), exact.is_null())).as_py():
        return exact
    return pc.coalesce(exact, _looked_up(plain_words(values), _by_plain_word(known)))


def _by_plain_word(known: Mapping[str, str]) -> dict[str, str]:
    found: dict[str, set[str]] = {}
    plain_keys = plain_words(pa.array(known, pa.string())).to_pylist()
    for plain, ours in zip(plain_keys, known.values(), strict=True):
        found.setdefault(plain, set()).add(ours)
    return {plain: ours.pop() for plain, ours in found.items() if plain and len(ours) == 1}


def _looked_up(values: pa.Array, known: Mapping[str, str]) -> pa.Array:
    """What the values that are keys stand for; null of others."""
    place = pc.index_in(values, value_set=pa.array(known, pa.string()))
    return pa.array(known.values(), pa.string()).take(place)
