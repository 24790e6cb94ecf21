"""No pattern that texts of shops are searched by goes through a long one again and again."""

import importlib
import inspect
import pkgutil
import re
from collections.abc import Iterator
from typing import Any

import pytest
from hang_guard import ends

#: So long that who goes through it once for each of its characters does not end within a second.
NUM_CHARACTERS = 50_000
#: What is done to a pattern that may begin anywhere; so may one that is handed on.
SEARCHES = "(?:search|subn?|split|findall|finditer)"
#: Patterns of which no long text is tried, and why.
SHORT_ALONE = {
    "schemas.cells.times._NAMED_UTC": "a text that may be a time has 100 characters",
    "schemas.cells.date_formats._CLOCK": "a text that may be a time has 60 characters",
    "schemas.cells.date_remedies._ZONE_LETTERS": "a text that may be a time has 100 characters",
}


def patterns() -> dict[str, tuple[re.Pattern[Any], bool]]:
    """module.name -> a pattern, and whether it is searched; else it is matched from the text's beginning."""
    found: dict[str, tuple[re.Pattern[Any], bool]] = {}
    for package in ("schemas", "pipelines.init"):
        root = importlib.import_module(package)
        for info in pkgutil.walk_packages(root.__path__, f"{package}."):
            if info.name.endswith("__main__"):
                continue
            module = importlib.import_module(info.name)
            source = inspect.getsource(module)
            for name, value in vars(module).items():
                for place, one in enumerate(value if isinstance(value, tuple) else (value,)):
                    if isinstance(one, re.Pattern) and re.search(
                        rf"^[\w, ]*\b{name}\b[\w, ]* = ", source, re.MULTILINE
                    ):
                        is_searched = re.search(rf"\b{name}(?:\.{SEARCHES}\b|,)|[(,] *{name}\)", source) is not None
                        key = f"{info.name}.{name}" + (f"[{place}]" if isinstance(value, tuple) else "")
                        found[key] = one, is_searched
    return found


def words_of(pattern: re.Pattern[Any]) -> list[str]:
    """What stands in a pattern itself: its signs, and words of its letters."""
    source = pattern.pattern if isinstance(pattern.pattern, str) else pattern.pattern.decode("latin-1")
    source = re.sub(r"\\[A-Za-z]", "", source)
    signs = set(re.sub(r"[\w\s]", "", source))
    return sorted({*re.findall(r"[A-Za-z]{2,}", source), *signs}, key=lambda word: (len(word) > 1, word))[:25]


def texts(words: list[str]) -> Iterator[str]:
    """Long texts of a few pieces again and again, before and behind something else."""
    fillers = ["a", "1", " ", "\n", ".", "Aé", "<", '"', "\\"]
    for pump in [*words, *fillers]:
        yield pump * (NUM_CHARACTERS // len(pump)) + "\x07"
    for word in words:
        for pump in fillers[:3]:
            yield f"{word}{pump * NUM_CHARACTERS}\x07"
            yield f"{word}{pump}" * (NUM_CHARACTERS // (len(word) + 1)) + "\x07"


PATTERNS = {name: one for name, one in patterns().items() if name not in SHORT_ALONE}


@pytest.mark.medium
@pytest.mark.parametrize("name", PATTERNS)
def test_a_long_text_is_gone_through_once(name: str) -> None:
    pattern, is_searched = PATTERNS[name]
    for text in texts(words_of(pattern)):
        tried = text if isinstance(pattern.pattern, str) else text.encode()
        with ends(within_cpu_s=1):
            pattern.fullmatch(tried)
            for _ in pattern.finditer(tried) if is_searched else ():
                pass


def test_there_are_patterns() -> None:
    assert len(PATTERNS) > 90
    assert SHORT_ALONE.keys() <= patterns().keys()
    assert sum(is_searched for _, is_searched in PATTERNS.values()) > 30
