"""Spellings of URLs: equal ones are one picture, what cannot be asked is none, and no text breaks either."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from schemas.pictures.urls import FETCHED_FOLDER, canonical_url, fetched_path
from schemas.storage import resolve_inside

URLS = st.one_of(
    st.text().map("http://".__add__),
    st.from_regex(r"https?://[^/]{0,20}/.{0,30}", fullmatch=True),
    st.text("htps:/[]@%.?#0129a\xe9\0 \ud800").map("https://a".__add__),
)


def test_spellings_of_one_url_are_one_picture():
    same = ["http://shop.example/a b.jpg", "HTTP://SHOP.example:80/a%20b.jpg#x", " http://shop.example/a b.jpg "]
    assert len({canonical_url(url) for url in same}) == 1
    assert len({fetched_path(url) for url in ("http://a.example/1", "http://a.example/2", "https://a.example/1")}) == 3


@pytest.mark.parametrize(
    ("url", "canonical"),
    [
        ("http://shop.ex\xe4mple/\xe4.jpg", "http://shop.xn--exmple-cua/%C3%A4.jpg"),
        ("http://shop.example/50%.jpg", "http://shop.example/50%25.jpg"),
        ("http://[::1]:8080/x", "http://[::1]:8080/x"),
        ("https://shop.example", "https://shop.example/"),
        ("https://shop.example/a|b.jpg?v=1&w={2}", "https://shop.example/a%7Cb.jpg?v=1&w=%7B2%7D"),
    ],
)
def test_canonical_urls(url, canonical):
    assert canonical_url(url) == canonical


@pytest.mark.parametrize(
    "url", ["http://", "http://u@x/a", "http://u:p@x/a", "http://x:0/", "http://[x", "s3://b/k", "a"]
)
def test_what_is_no_url_to_ask(url):
    assert canonical_url(url) is None
    assert fetched_path(url) is None


@given(URLS)
def test_any_text_has_one_spelling_or_none(url):
    canonical = canonical_url(url)
    if canonical is not None:
        assert canonical_url(canonical) == canonical
        assert canonical.isascii()
        assert canonical.isprintable()
        assert " " not in canonical
        path = fetched_path(url)
        assert path == fetched_path(canonical)
        assert resolve_inside("/images", str(path)).startswith(f"/images/{FETCHED_FOLDER}/")
