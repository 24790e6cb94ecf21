"""`itemsage search` as a person and a program call it: tables, JSON lines around bad lines, exit codes."""

import dataclasses
import doctest
import io
import json
import sys

import pytest
from search_store import ESCAPE_TITLE, WORDS, picture_path, titles

from pipelines import search
from pipelines.search import answer_lines, format_results, main, parse_query
from pipelines.serving.searcher import Result, Searcher
from schemas.errors import UsageError


@pytest.mark.medium
def test_bulk_answers_every_line_in_order(store, tmp_path, capsys):
    good = [
        {"query_id": "a", "text": titles()[4]},
        {"query_id": 2, "item": "item-007", "text": None},
        {"query_id": "p", "image": str(picture_path(store, 1))},
    ]
    lines = [json.dumps(query).encode() for query in good]
    lines[1:1] = [b"", b"not json", b'{"query_id": "x"}', b'{"query_id": "u", "item": "nobody"}', b'{"text": "red"}']
    (tmp_path / "queries.jsonl").write_bytes(b"\xef\xbb\xbf" + b"\n".join(lines))
    assert main(["--store", str(store), "--queries", str(tmp_path / "queries.jsonl"), "--top", "2"]) == 0
    captured = capsys.readouterr()
    answers = [json.loads(line) for line in captured.out.splitlines() if line.startswith("{")]
    assert [answer["query_id"] for answer in answers] == ["a", None, "x", "u", None, 2, "p"]
    assert ["results" in answer for answer in answers] == [True, False, False, False, False, True, True]
    assert answers[0]["results"][0] == {
        "item_id": "item-004",
        "score": pytest.approx(1, abs=1e-5),
        "title": titles()[4],
    }
    assert all(len(answer["results"]) == 2 for answer in answers if "results" in answer)
    assert answers[-1]["results"][0]["item_id"] == "item-061"
    assert "line 3: expected one JSON object" in answers[1]["error"]
    assert "'nobody'" in answers[3]["error"]
    assert "4 lines could not be answered" in captured.err


def test_bulk_answers_around_a_text_without_a_known_token(store_with_vocabulary):
    texts = ["blue wool", "qqq", "silk scarf"]
    lines = [json.dumps({"query_id": text, "text": text}).encode() for text in texts]
    searcher = Searcher(str(store_with_vocabulary))
    answers = list(answer_lines(searcher, lines, 2))
    assert [answer["query_id"] for answer in answers] == texts
    assert ["results" in answer for answer in answers] == [True, False, True]
    (alone,) = answer_lines(searcher, lines[2:], 2)
    assert [result["item_id"] for result in answers[2]["results"]] == [result["item_id"] for result in alone["results"]]


def test_bulk_does_not_depend_on_batches(searcher, monkeypatch):
    lines = [json.dumps({"query_id": n, "text": f"{WORDS[n % 10]} {n}"}).encode() for n in range(25)]
    whole = list(answer_lines(searcher, lines, 3))
    monkeypatch.setattr(search, "_LINES_A_BATCH", 4)
    batched = list(answer_lines(searcher, lines, 3))
    assert [a["query_id"] for a in batched] == list(range(25))
    ids = [[[r["item_id"] for r in a["results"]] for a in answers] for answers in (whole, batched)]
    assert ids[0] == ids[1]


def test_long_answers_come_in_small_batches(searcher, monkeypatch):
    """What is in memory at a time is bounded by results, not by lines."""
    monkeypatch.setattr(search, "_RESULTS_A_BATCH", 130)
    sizes: list[int] = []
    found = type(searcher).search
    monkeypatch.setattr(
        type(searcher), "search", lambda self, queries, top: sizes.append(len(queries)) or found(self, queries, top)
    )
    lines = [json.dumps({"query_id": n, "item": f"item-{n:03d}"}).encode() for n in range(5)]
    for top, expected in ((30, [4, 1]), (20_000, [2, 2, 1])):  # there are 63 items
        sizes.clear()
        answers = list(answer_lines(searcher, lines, top))
        assert sizes == expected
        assert [len(answer["results"]) for answer in answers] == [min(top, 62)] * 5


@pytest.mark.parametrize("as_json", [[], ["--json"]])
def test_more_results_than_there_are_items_are_all_items(store, capsys, as_json):
    assert main(["--store", str(store), "--text", "blue wool", "--top", "1000000", *as_json]) == 0
    shown = capsys.readouterr().out
    assert (len(json.loads(shown)["results"]) if as_json else len(shown.splitlines()) - 1) == 63


def test_bulk_reads_standard_input(store, monkeypatch, capsys):
    line = b'{"query_id": 1, "item": "item-001"}\n'
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(line)))
    assert main(["--store", str(store), "--queries", "-", "--exact"]) == 0
    assert json.loads(capsys.readouterr().out)["query_id"] == 1


@pytest.mark.parametrize(
    "line",
    [
        b'{"query_id": 1, "text": "a", "item": "b"}',
        b'{"query_id": 1, "text": 3}',
        b'{"query_id": 1, "text": ""}',
        b'{"query_id": 1, "text": "\\ud800"}',
        b'{"query_id": 1.5, "text": "a"}',
        b'{"query_id": ["1"], "text": "a"}',
        b'["query_id", "text"]',
        b"\xff\xfe",
        b"[" * 100_000,
        b'{"query_id": 1, "text": "' + b"x" * (1 << 20) + b'"}',
    ],
)
def test_bad_lines_are_errors_of_their_own(line):
    parsed = parse_query(line, 12)
    assert isinstance(parsed.query, UsageError)
    assert str(parsed.query).startswith("line 12: expected")
    assert len(str(parsed.query)) < 700


def test_a_person_sees_an_aligned_table_without_escape_codes(store, capsys):
    assert main(["--store", str(store), "--text", ESCAPE_TITLE, "--top", "2"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].split() == ["rank", "score", "id", "title"]
    assert lines[1].startswith("   1  1.000  item-059  night \\x1b[31mlamp\\u202e \u96ea")
    assert len(lines) == 3


def test_tables_align_wide_and_hostile_ids():
    table = format_results(
        [Result("\u96ea\u96ea", 1, "a"), Result("x\ny", 0.5, None), Result("abcd", -0.25, "t" * 200)]
    )
    lines = table.splitlines()
    assert len(lines) == 4
    assert lines[1] == "   1   1.000  \u96ea\u96ea  a"
    assert lines[2] == "   2   0.500  x\\ny"
    assert lines[3] == "   3  -0.250  abcd  " + "t" * 79 + "…"
    assert format_results([]) == "no items"


def test_a_person_sees_titles_without_markup():
    (_, line) = format_results([Result("a", 1, "Salt &amp; <b>Pepper</b> &#x202e;&#27;[31m")]).splitlines()
    assert line == "   1  1.000  a   Salt & Pepper \\u202e[31m"


def test_json_of_one_query(store, capsys):
    assert main(["--store", str(store), "--item", "item-001", "--top", "2", "--json"]) == 0
    answer = json.loads(capsys.readouterr().out)
    assert answer["item"] == "item-001"
    assert [set(result) for result in answer["results"]] == [{"item_id", "score", "title"}] * 2


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--item", "item-999"], "'item-999'"),
        ([], "exactly one of"),
        (["--item", "a", "--text", "b"], "--text and --item"),
        (["--text", "a", "--top", "0"], "--top from 1"),
        (["--text", "a", "--top", "many"], "--top"),
        (["--queries", "nowhere.jsonl"], "nowhere.jsonl"),
        (["--text", " "], "white space"),
    ],
)
def test_wrong_calls_exit_with_2(store, capsys, arguments, message):
    try:
        code = main(["--store", str(store), *arguments])
    except SystemExit as error:  # argparse
        code = error.code
    assert code == 2
    assert message in capsys.readouterr().err


def test_the_flags_are_the_documented_ones():
    flags = [field.name for field in dataclasses.fields(search.SearchConfig)]
    assert flags == ["store", "text", "image", "item", "queries", "top", "exact", "json"]
    assert doctest.testmod(search).attempted >= 1
    assert doctest.testmod(search).failed == 0
