"""The README and the pages under docs/: every command and flag in them exists, every config is read, every link leads
somewhere, and the README is short and leads to every page.

What a page tells of another program (Flink's, Airflow's, the readers') is tested in engines/ and in test_scheduling.py.
"""

import argparse
import importlib
import re
import tomllib
from collections.abc import Callable
from pathlib import Path

import pytest
from apache_beam.options.pipeline_options import PipelineOptions
from command_configs import MODULES, flags
from pages import DOCS, PAGES, README, anchors, calls, calls_of, fences, links, page_name, prose, spans
from python_process import ROOT

from pipelines import cli
from pipelines.console.jobs import parse
from pipelines.daily.config import DailyConfig
from schemas.columns.mapping import catalogue_columns, table_columns

MAX_README_BYTES = 12_288
#: What a command's own main does with its arguments before it works.
WORK = ("run", "run_alone", "publish")
#: Flags of `itemsage` that are no field of a config: read by every command, or short for another.
SHORT_FLAGS = {"--config", "--format", "--help", "--from", "--to"}
#: Flags of other programs in the prose.
FLAGS_OF_OTHERS = {"--now", "--nproc-per-node", "--system"}
_FLAG = re.compile(r"(?<![\w-])--[a-z][\w-]*")
_TARGETS = re.compile(r"^([\w-]+):(?!=)", re.MULTILINE)
each_page = pytest.mark.parametrize("page", PAGES, ids=page_name)


def beam_flags() -> set[str]:
    parser = argparse.ArgumentParser(conflict_handler="resolve")
    for options in PipelineOptions.__subclasses__():
        options._add_argparse_args(parser)
    return set(parser._option_string_actions)


def known_flags() -> set[str]:
    """Every flag that a command, Beam, a benchmark or a program of FLAGS_OF_OTHERS has."""
    ours = {flag for of_command in flags().values() for flag in of_command}
    negated = {flag.replace("--", "--no-", 1) for flag in ours}
    sources = "".join(path.read_text() for path in sorted((ROOT / "benchmarks").glob("*.py")))
    return ours | negated | SHORT_FLAGS | FLAGS_OF_OTHERS | beam_flags() | set(_FLAG.findall(sources))


@pytest.fixture
def parse_call(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[list[str]], int]:
    """Calls a command in an empty folder with a config file, up to where its work would begin; its exit code."""
    (tmp_path / "shop.toml").write_text('catalog = "catalog.csv"\nimage_root = "images"\nstore = "store"\n')
    monkeypatch.chdir(tmp_path)

    def call(words: list[str]) -> int:
        module = importlib.import_module(MODULES[words[0]])
        for name in WORK:
            if hasattr(module, name):
                monkeypatch.setattr(module, name, lambda *_: [])
        return module.main(words[1:])

    return call


def check_target(words: list[str]) -> None:
    targets = set(_TARGETS.findall((ROOT / "Makefile").read_text()))
    assert {word for word in words if "=" not in word} <= targets


@each_page
def test_the_commands_of_a_page_are_calls_that_are_taken(page, parse_call, capsys):
    for program, *words in calls(page):
        if program == "make":
            check_target(words)
        elif program == "itemsage":
            assert words[0] in MODULES, words
            assert parse_call(words) == 0, (words, capsys.readouterr().err)
        elif words[0] == "-c":
            compile(words[1], page_name(page), "exec")
        elif words[:2] != ["-m", "venv"]:
            assert words[0] == "-m", words
            package, _, name = words[1].partition(".")
            assert package == "pipelines", words
            assert parse_call([name, *words[2:]]) == 0, (words, capsys.readouterr().err)


@each_page
def test_the_commands_in_a_sentence_have_their_flags(page):
    of_beam = beam_flags()
    for program, *words in map(str.split, spans(page)):
        if program == "make" and words:
            check_target(words)
        elif program == "itemsage" and words and words[0] not in ("COMMAND", "--help"):
            commands = {word for word in words if word in MODULES} if "|" in words else {words[0]}
            assert commands <= set(MODULES), words
            given = set(_FLAG.findall(" ".join(words)))
            taken = {flag for command in commands for flag in flags().get(command, {})}
            assert given - taken - SHORT_FLAGS - of_beam == set(), words


@each_page
def test_the_flags_of_a_page_exist(page):
    assert set(_FLAG.findall(prose(page))) - known_flags() == set()


@each_page
def test_the_packages_and_modules_of_a_page_exist(page):
    text = page.read_text()
    setup = (ROOT / "setup.py").read_text()
    assert {extra for extra in re.findall(r"'\.\[(\w+)\]'", text) if f'"{extra}": [' not in setup} == set()
    modules = set(re.findall(r"\b(?:benchmarks|pipelines)(?:\.[a-z_]+)+", text))
    places = [ROOT.joinpath(*module.split(".")) for module in sorted(modules)]
    assert [place for place in places if not (place.is_dir() or place.with_suffix(".py").is_file())] == []


@each_page
def test_the_fences_of_a_page_are_read(page, tmp_path):
    for fence in fences(page):
        assert fence.language in ("", "toml", "python", "sql")
        if fence.language == "python":
            compile(fence.text, page_name(page), "exec")
        elif fence.language == "toml":
            config = tmp_path / "shop.toml"
            config.write_text(fence.text)
            told = tomllib.loads(fence.text)
            places = [f"--{name}=x" for name in ("catalog", "store") if name not in told]  # of a part of a config
            parse(DailyConfig, [f"--config={config}", "--date=2026-07-01", *places], "itemsage daily", "")
            columns = told.get("columns", {})
            catalogue_columns(columns, "no")
            table_columns(columns, "engagements")


@each_page
def test_the_links_of_a_page_lead_somewhere(page):
    for path, anchor in links(page):
        assert path.exists(), path
        assert not anchor or anchor in anchors(path), (path, anchor)


def test_the_readme_is_short():
    assert len(README.read_bytes()) < MAX_README_BYTES


def test_the_readme_leads_to_every_page():
    linked = {path for path, _ in links(README)}
    linked |= {path for page in linked & set(PAGES) for path, _ in links(page)}
    assert set(DOCS.rglob("*.md")) - linked == set()


def test_the_two_commands_are_run_and_test():
    targets = [words for program, *words in calls(README) if program == "make"]
    assert targets == [["run"], ["test"]]


@pytest.mark.parametrize("folder", ["schemas", "model", "pipelines", "tests"])
def test_the_readme_names_the_folders_of_the_code(folder):
    (row,) = re.findall(rf"^\| `{folder}/` \| (.*) \|.*\|$", README.read_text(), re.MULTILINE)
    there = {path.name for path in (ROOT / folder).iterdir() if path.is_dir() and path.name != "__pycache__"}
    assert set(re.findall(r"`(\w+)/`", row)) == there


def test_a_flag_that_is_none_is_found(parse_call, capsys):
    assert parse_call(["search", "--store", "demo/store", "--text", "mug", "--tpo", "5"]) == cli.EXIT_USAGE
    assert "--tpo" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("itemsage search --text 'a mug' > found.jsonl  # by hand", [["itemsage", "search", "--text", "a mug"]]),
        ("0 4 * * * cd /srv && .venv/bin/itemsage gc --store store", [["itemsage", "gc", "--store", "store"]]),
        (
            'make run && python -c "$(itemsage runs)"',
            [["make", "run"], ["python", "-c", "$(itemsage runs)"], ["itemsage", "runs"]],
        ),
        ("  items ─▶ itemsage's index", []),
    ],
)
def test_the_calls_of_a_line(line, words):
    assert calls_of(line) == words


def test_the_pages_have_calls():
    assert sum(len(calls(page)) for page in PAGES) > 50
