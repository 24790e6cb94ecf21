"""JSON lines: long ones are not held, bad ones are told of, and only bad ones end a command with 2."""

import doctest
import io
import json

import pytest

from pipelines.console import json_lines, terminal
from pipelines.console.json_lines import bounded_lines, is_text, line_error, object_in, print_answers
from schemas.errors import UsageError


@pytest.mark.parametrize("module", [json_lines, terminal])
def test_the_examples(module):
    assert doctest.testmod(module).attempted >= 1
    assert doctest.testmod(module).failed == 0


def test_a_line_without_end_is_not_held(monkeypatch):
    monkeypatch.setattr(json_lines, "MAX_LINE_BYTES", 10)
    assert list(bounded_lines(io.BytesIO(b"a\r\nbb\n"))) == [b"a", b"bb"]
    lines = list(bounded_lines(io.BytesIO(b"a\n" + b"b" * 100 + b"\nccc\n" + b"d" * 10 + b"\n")))
    assert (lines[0], lines[2], lines[3]) == (b"a", b"ccc", b"d" * 10)
    assert 10 < len(lines[1]) < 20
    assert len(list(bounded_lines(io.BytesIO(b"b" * 95)))) == 1


@pytest.mark.parametrize(
    "line", [b"", b"7", b"[{}]", b'{"a": 1', b"\xff", b"[" * 100_000, b'{"a": "' + b"x" * (1 << 20) + b'"}']
)
def test_what_is_no_object_is_an_empty_one(line):
    assert object_in(line) == {}
    told = str(line_error(line, 3, "an object"))
    assert told.startswith("line 3: expected a")
    assert len(told) < 500


def test_text_is_what_utf8_can_hold():
    assert is_text("")
    assert is_text("\u96ea")
    assert not any(map(is_text, ("\ud800", 7, None, ["a"])))


def test_answers_are_printed_and_errors_counted(capsys):
    answers = [{"n": 1}, {"n": 2, "error": "expected more"}]
    print_answers("search", answers)
    captured = capsys.readouterr()
    assert [json.loads(line) for line in captured.out.splitlines()] == answers
    assert captured.err == 'search: 1 lines could not be answered: see their "error"\n'
    print_answers("search", [])
    assert capsys.readouterr() == ("", "")


def test_only_errors_are_a_wrong_call(capsys):
    with pytest.raises(UsageError, match="at least one line that can be answered, got 2"):
        print_answers("search", [{"error": "a"}, {"error": "b"}])
    assert len(capsys.readouterr().out.splitlines()) == 2
