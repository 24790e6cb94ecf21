"""robots.txt as RFC 9309 says."""

import time
import tracemalloc

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipelines.fetch_images.robots_rules import RobotsRules, _fits

AGENT = "itemsage/0.1 (pictures of a catalogue)"


def allows(robots: str, path: str) -> bool:
    return RobotsRules.parse(robots, AGENT).allows(f"https://shop.example{path}")


@pytest.mark.parametrize(
    ("robots", "path", "allowed"),
    [
        ("", "/a.jpg", True),
        ("User-agent: *\nDisallow: /", "/a.jpg", False),
        ("User-agent: *\nDisallow:", "/a.jpg", True),
        ("User-agent: *\nDisallow: /a", "/b.jpg", True),
        ("User-agent: *\nDisallow: /\nAllow: /pictures/", "/pictures/a.jpg", True),
        ("User-agent: *\nAllow: /\nDisallow: /pictures/", "/pictures/a.jpg", False),
        ("User-agent: *\nAllow: /a\nDisallow: /a", "/a.jpg", True),
        ("User-agent: *\nDisallow: /*.jpg$", "/b/a.jpg", False),
        ("User-agent: *\nDisallow: /*.jpg$", "/b/a.jpg?v=1", True),
        ("User-agent: *\nDisallow: /*?*size=", "/a.jpg?v=1&size=2", False),
        ("User-agent: *\nDisallow: *size", "/a.jpg?size=2", False),
        ("User-agent: *\nDisallow: /%7Eme/", "/~me/a.jpg", False),
        ("User-agent: *\nDisallow: /ä/", "/%C3%A4/a.jpg", False),
        ("User-agent: *\nDisallow: /a%2fb", "/a%2Fb.jpg", False),
        ("\ufeffUSER-AGENT : *\r\ndisallow : /a # no", "/a.jpg", False),
        ("User-agent: *\nDisallow: /\n\nUser-agent: ItemSage\nDisallow: /b", "/a.jpg", True),
        ("User-agent: itemsage/2\nDisallow: /a\nUser-agent: *\nAllow: /", "/a.jpg", False),
        ("User-agent: other\nUser-agent: itemsage\nDisallow: /a", "/a.jpg", False),
        ("User-agent: itemsage\nDisallow: /b\n\nUser-agent: itemsage\nDisallow: /a", "/a.jpg", False),
        ("User-agent: otherbot\nDisallow: /", "/a.jpg", True),
        ("User-agent: itemsage\n\nUser-agent: *\nDisallow: /", "/a.jpg", False),
        ("Disallow: /", "/a.jpg", True),
        ("<html>not found</html>", "/a.jpg", True),
    ],
)
def test_what_is_allowed(robots, path, allowed):
    assert allows(robots, path) is allowed


def test_crawl_delay():
    assert RobotsRules.parse("User-agent: *\nCrawl-delay: 2.5", AGENT).crawl_delay_s == 2.5
    for value in ("soon", "nan", "inf", "-1", ""):
        assert RobotsRules.parse(f"User-agent: *\nCrawl-delay: {value}", AGENT).crawl_delay_s is None


def test_no_pattern_takes_long():
    started_s = time.monotonic()
    assert not _fits("/" + "*a" * 5_000 + "*b$", "/" + "a" * 20_000)
    assert time.monotonic() - started_s < 1


@pytest.mark.medium
@pytest.mark.parametrize("names", [["bot" + "x" * more for more in range(300)], ["*"] * 20_000], ids=["many", "one"])
def test_no_group_of_many_names_takes_long_or_much(names):
    text = "".join(f"User-agent: {name}\n" for name in names) + "Disallow: /b\n" * 20_000
    tracemalloc.start()
    started_s = time.monotonic()
    try:
        assert RobotsRules.parse(text, AGENT).allows("http://shop.example/a.jpg")
        assert time.monotonic() - started_s < 10
        assert tracemalloc.get_traced_memory()[1] < 50e6
    finally:
        tracemalloc.stop()


@given(st.text(), st.text("/ab*$%?"))
def test_any_text_is_rules(text, pattern):
    RobotsRules.parse(text, AGENT).allows("http://shop.example/a.jpg")
    assert isinstance(allows(f"User-agent: *\nDisallow: {pattern}", "/a/b"), bool)
