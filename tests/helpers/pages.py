"""The README and the pages under docs/, taken apart: fences, prose, commands, links, headings."""

import re
import shlex
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from python_process import ROOT

README = ROOT / "README.md"
DOCS = ROOT / "docs"
PAGES = [README, *sorted(DOCS.rglob("*.md"))]

_FENCE = re.compile(r"^```(\w*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
_INDENTED_CALL = re.compile(r"^ {4}(itemsage .+)$", re.MULTILINE)
_SPAN = re.compile(r"`([^`]+)`")
_LINK = re.compile(r"\]\(([^)\s]+)\)")
_HEADING = re.compile(r"^#+ (.+)$", re.MULTILINE)
_CRON_TIME = re.compile(r"^[\d*]+(?: [\d*]+){4} ")
#: The programs whose calls the pages' tests check; a line of a fence that calls none of them is no command of ours.
_PROGRAMS = re.compile(r"^(?:cd \S+ && )?(?:\S*/)?(?:itemsage|python|torchrun|make)(?= )")
_INNER_CALL = re.compile(r"\$\((itemsage [^)]+)\)")


@dataclass(frozen=True)
class Fence:
    """language: "" for commands, trees and what is printed."""

    language: str
    text: str


def page_name(page: Path) -> str:
    """`docs/starts/csv.md`: the page as a test's id."""
    return page.relative_to(ROOT).as_posix()


def fences(page: Path) -> list[Fence]:
    """What stands between ```, in the order of the page."""
    return [Fence(*found) for found in _FENCE.findall(page.read_text())]


def prose(page: Path) -> str:
    """The page without its fences."""
    return _FENCE.sub("", page.read_text())


def spans(page: Path) -> list[str]:
    """What stands between ` in the prose, on one line each; and calls of itemsage in lines of four blanks."""
    text = prose(page)
    return [*(" ".join(span.split()) for span in _SPAN.findall(text)), *_INDENTED_CALL.findall(text)]


def calls(page: Path) -> list[list[str]]:
    """The calls in the page's fences that have no language and are no drawing."""
    plain = [fence.text for fence in fences(page) if not fence.language and "─" not in fence.text]
    return [call for line in "".join(plain).replace("\\\n", " ").splitlines() for call in calls_of(line)]


def calls_of(line: str) -> list[list[str]]:
    """The words of each call of a program of the project in a line of a shell or of cron, those in `$(...)` last.
    Comments, redirections, and calls of other programs beside it are left out."""
    command = _CRON_TIME.sub("", line)
    found = list(_outer_calls(command)) if _PROGRAMS.match(command) else []
    return found + [call for inner in _INNER_CALL.findall(command) for call in calls_of(inner)]


def _outer_calls(line: str) -> Iterator[list[str]]:
    words = shlex.shlex(line, posix=True, punctuation_chars=True)
    words.whitespace_split = True
    call: list[str] = []
    for word in [*words, ";"]:
        if not set(word) <= set("&|;<>"):
            call.append(word)
        elif call:
            program = call[0].rpartition("/")[2]
            if _PROGRAMS.match(f"{program} "):
                yield [program, *call[1:]]
            call = []


def links(page: Path) -> list[tuple[Path, str]]:
    """(file or folder, heading's anchor or "") of each relative link in the prose."""
    found = [link.partition("#") for link in _LINK.findall(prose(page)) if "://" not in link]
    return [((page.parent / path).resolve() if path else page, anchor) for path, _, anchor in found]


def anchors(page: Path) -> set[str]:
    """The anchors of a page's headings, as GitHub makes them of plain words."""
    headings = _HEADING.findall(prose(page))
    return {re.sub(r"[^\w -]", "", heading.lower()).replace(" ", "-") for heading in headings}
