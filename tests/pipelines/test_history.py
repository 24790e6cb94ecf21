import datetime
import json
import os

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipelines.store import history

A, B, C = (f"runs/2026-06-{day}/{day:016x}" for day in (28, 29, 30))
NOW = datetime.datetime(2026, 7, 1, tzinfo=datetime.UTC)


def hours_ago(hours):
    return NOW - datetime.timedelta(hours=hours)


def write(store, *lines):
    """Lines of (from, to, hours ago) or (from, to, hours ago, why), or bytes as they are."""
    with open(store / "history.jsonl", "wb") as file:
        for line in lines:
            if not isinstance(line, bytes):
                left, to, hours, why = (*line, "published")[:4]
                values = {"from": left, "to": to, "time": hours_ago(hours).isoformat(), "why": why}
                line = json.dumps(values).encode()
            file.write(line + b"\n")


def test_moves_are_kept_in_their_order(tmp_path):
    assert history.moves(str(tmp_path)) == []
    history.record_move(str(tmp_path), None, A, "published")
    history.record_move(str(tmp_path), A, B, "rolled back", "prices were wrong \u2028 \x1b")
    first, second = history.moves(str(tmp_path))
    assert (first.from_run, first.to_run, first.why, first.reason) == (None, A, "published", None)
    assert (second.from_run, second.to_run, second.reason) == (A, B, "prices were wrong \u2028 \x1b")
    age = datetime.datetime.now(datetime.UTC) - second.time
    assert datetime.timedelta(0) <= age < datetime.timedelta(minutes=1)


@pytest.mark.parametrize("num_bytes", [1, 40, 100])
def test_a_torn_last_line_loses_only_itself(tmp_path, num_bytes):
    history.record_move(str(tmp_path), None, A, "published")
    history.record_move(str(tmp_path), A, B, "published")
    path = tmp_path / "history.jsonl"
    first = path.read_bytes().split(b"\n")[0] + b"\n"
    path.write_bytes(path.read_bytes()[: len(first) + num_bytes])
    assert [move.to_run for move in history.moves(str(tmp_path))] == [A]
    history.record_move(str(tmp_path), A, C, "published")
    assert [move.to_run for move in history.moves(str(tmp_path))] == [A, C]


@pytest.mark.parametrize(
    "line",
    [
        b"{}", b"[]", b"7", b"\xff",
        b'{"from": null, "to": "../../etc", "time": "2026-06-30T00:00:00+00:00", "why": "x"}',
        json.dumps({"from": 3, "to": A, "time": "2026-06-30T00:00:00+00:00", "why": "x"}).encode(),
        json.dumps({"from": None, "to": A, "time": "2026-06-30T00:00:00", "why": "x"}).encode(),
        json.dumps({"from": None, "to": A, "time": "2026-06-30T00:00:00+00:00", "why": []}).encode(),
    ],
)  # fmt: skip
def test_damaged_lines_are_left_out(tmp_path, line):
    write(tmp_path, (None, A, 5), line, (A, B, 3))
    assert [move.to_run for move in history.moves(str(tmp_path))] == [A, B]


def test_a_run_counts_as_rolled_back_until_it_is_published_again(tmp_path):
    store = str(tmp_path)
    write(tmp_path, (None, A, 9), (A, B, 8))
    assert not history.was_rolled_back(store, B)
    write(tmp_path, (None, A, 9), (A, B, 8), (B, A, 7, "rolled back"))
    assert history.was_rolled_back(store, B)
    assert not history.was_rolled_back(store, A)
    write(tmp_path, (None, A, 9), (A, B, 8), (B, A, 7, "rolled back"), (A, B, 6, "republished"), (B, C, 5))
    assert not history.was_rolled_back(store, B)


@pytest.mark.parametrize(
    ("lines", "run", "expected"),
    [
        ([(None, A, 9), (A, B, 5)], A, 5),
        ([(None, A, 9), (A, B, 7), (B, A, 6, "rolled back"), (A, C, 2)], A, 2),
        ([(None, A, 9), (A, B, 7), (B, A, 6, "rolled back"), (A, C, 2)], B, 6),
        ([(None, A, 9), (A, B, 5)], B, None),  # readers see it
        ([(None, A, 9), (A, B, 20), (B, C, 3)], A, 3),  # the clock had gone back: at the latest with the next move
        ([(None, A, 9), (A, B, -50), (B, C, 3)], A, 3),  # the clock was ahead
        ([(None, A, 9), (A, B, -50)], A, 0),  # and nothing came after: now
        ([(None, A, 9), b'{"from', (B, C, 3)], A, 3),  # the damaged line may be the one that left it
        ([(None, A, 9), (A, B, 5), (A, C, 2)], B, 2),  # a crash: readers never came to B
    ],
)
def test_when_readers_left_a_run_at_the_latest(tmp_path, lines, run, expected):
    write(tmp_path, *lines)
    (tmp_path / "CURRENT").write_text(f"{lines[-1][1]}\n")
    got = history.superseded_at(str(tmp_path), tmp_path / run, NOW)
    assert got == (None if expected is None else hours_ago(expected))


def test_without_a_history_readers_left_when_the_pointer_moved_last(tmp_path):
    (tmp_path / "CURRENT").write_text(f"{B}\n")
    moment_s = hours_ago(4).timestamp()
    os.utime(tmp_path / "CURRENT", (moment_s, moment_s))
    assert history.superseded_at(str(tmp_path), A, NOW) == hours_ago(4)
    assert history.was_published(str(tmp_path), A)


def test_only_a_whole_history_tells_that_a_run_was_never_published(tmp_path):
    write(tmp_path, (None, A, 9), (A, C, 5))
    assert not history.was_published(str(tmp_path), B)
    assert history.was_published(str(tmp_path), A)
    write(tmp_path, (A, C, 5))
    assert history.was_published(str(tmp_path), B)


@given(st.lists(st.tuples(st.floats(0, 100), st.sampled_from([-300, 0, 300])), max_size=8))
def test_an_event_is_never_dated_before_it_happened_by_a_clock_that_went_wrong_in_between(events):
    """After a first event at hour 0 some clocks are 300 hours behind or ahead; now is hour 100."""
    true = [0.0, *sorted(hours for hours, _ in events)]
    told = [hours + error for hours, error in zip(true, [0, *(error for _, error in events)], strict=True)]
    start = datetime.datetime(2026, 1, 1, tzinfo=datetime.UTC)
    moments = [start + datetime.timedelta(hours=hours) for hours in told]
    latest = history._latest_possible(moments, start + datetime.timedelta(hours=100))
    for moment, hours in zip(latest, true, strict=True):
        assert start + datetime.timedelta(hours=hours) <= moment <= start + datetime.timedelta(hours=100)
