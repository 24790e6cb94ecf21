"""`itemsage recommend` as people and programs call it."""

import dataclasses
import doctest
import io
import json
import sys
from pathlib import Path

import pytest
from recommend_store import HOSTILE_ITEM, HOSTILE_USER, make_store

from pipelines import recommend
from pipelines.recommend import RecommendConfig, answer_lines, as_json, format_answer, main, parse_line
from pipelines.serving import published_users, recommender
from pipelines.serving.recommendation_types import Candidate, Recommendation, Settings, UserCluster
from pipelines.serving.recommender import Recommender
from schemas.errors import UsageError


@pytest.fixture(scope="module")
def store(tmp_path_factory) -> Path:
    """Published; read it, do not change it."""
    folder = tmp_path_factory.mktemp("store")
    make_store(folder)
    return folder


def printed(arguments: list[str], capsys) -> str:
    assert main(arguments) == 0
    return capsys.readouterr().out


def is_plain(text: str) -> bool:
    return all(line.isprintable() for line in text.split("\n"))


def test_a_person_sees_clusters_and_the_first_candidates(store, capsys):
    out = printed(["--store", str(store), "--user", "user-014", "--top", "50"], capsys)
    clusters, candidates = out.strip().split("\n\n")
    assert clusters.splitlines()[0].split() == ["medoid", "importance", "size", "last", "action", "sampled", "title"]
    assert sum(" yes" in line for line in clusters.splitlines()) in (1, 2, 3)
    lines = candidates.splitlines()
    assert lines[0].split() == ["rank", "score", "id", "from", "cluster", "title"]
    assert [line.split()[0] for line in lines[1:21]] == [str(rank) for rank in range(1, 21)]
    assert lines[21:] == ["and 30 more: --json shows them all"]


def test_hostile_names_do_not_reach_the_terminal(store, capsys):
    out = printed(["--store", str(store), "--user", HOSTILE_USER, "--recent", HOSTILE_ITEM + ",gone\x1b[1m"], capsys)
    assert is_plain(out)
    assert r"\x1b" in out
    assert r"recent items that the run has not: gone\x1b[1m" in out
    assert main(["--store", str(store), "--user", "no\x1b[2Jbody"]) == 2
    assert is_plain(capsys.readouterr().err)


def test_columns_align_whatever_the_names():
    cluster = UserCluster("\u96ea\u96ea", "t\x1b" * 100, 12.5, 1_234, 0, True)
    candidates = [Candidate("a\nb", 1.25, 1.0, "\u96ea\u96ea", "t"), Candidate("c", -0.5, -0.5, "popular", None)]
    text = format_answer(Recommendation("u", [cluster], candidates, []))
    assert is_plain(text)
    assert text.splitlines()[1].startswith("\u96ea\u96ea        12.500  1,234  1970-01-01T00:00:00Z  yes      t")
    assert text.splitlines()[4:] == [
        "   1   1.250  a\\nb  \u96ea\u96ea          t",
        "   2  -0.500  c     popular",
    ]
    nothing = format_answer(Recommendation("u", [], [], []))
    assert nothing.splitlines() == ["no actions: popular items only", "", "no items"]


def test_many_clusters_are_cut_but_the_sampled_ones(store):
    clusters = [UserCluster(f"m{n}", None, 50.0 - n, 1, 0, n == 40) for n in range(50)]
    lines = format_answer(Recommendation("u", clusters, [], [])).splitlines()
    assert [line.split()[0] for line in lines[1:22]] == [*(f"m{n}" for n in range(20)), "m40"]
    assert lines[22] == "and 29 more: --json shows them all"


def test_json_has_everything(store, capsys):
    arguments = ["--store", str(store), "--user", "user-003", "--recent", "item-001,no-item", "--top", "30", "--json"]
    found = json.loads(printed(arguments, capsys))
    assert set(found) == {"user_id", "samples", "clusters", "candidates", "unknown_recent"}
    assert found["samples"] == sum(cluster["sampled"] for cluster in found["clusters"]) == 3
    assert (found["user_id"], found["unknown_recent"]) == ("user-003", ["no-item"])
    assert len(found["candidates"]) == 30
    assert set(found["candidates"][0]) == {"item_id", "score", "cosine", "cluster", "title"}
    assert set(found["clusters"][0]) == {"medoid_item_id", "title", "importance", "size", "last_action", "sampled"}
    assert "2026-07-01T00:00:00Z" in {cluster["last_action"] for cluster in found["clusters"]}
    assert found == as_json(Recommender(str(store)).recommend("user-003", ["item-001", "no-item"], Settings(top=30)))


def test_flags_reach_the_recommender(store, capsys):
    base = ["--store", str(store), "--user", "user-028", "--top", "40", "--json"]
    plain = json.loads(printed(base, capsys))
    assert json.loads(printed(base, capsys)) == plain
    for flags in (["--popularity-weight=0.5"], ["--keep-seen"], ["--samples=1"], ["--near-duplicate-cosine=0.8"]):
        assert json.loads(printed([*base, *flags], capsys)) != plain, flags
    assert any(json.loads(printed([*base, "--samples=1", f"--seed={n}"], capsys)) != plain for n in range(3))
    assert json.loads(printed([*base, "--samples=1"], capsys))["samples"] == 1
    exact = json.loads(printed([*base, "--exact"], capsys))
    assert exact["clusters"] == plain["clusters"]
    assert RecommendConfig(store="s", user="u", keep_near_duplicates=True).settings().near_duplicate_cosine is None


@pytest.mark.medium
def test_the_calibrated_popularity_weight_is_blended_in_if_wanted(store, tmp_path, capsys):
    make_store(tmp_path / "weighed", popularity_weight=0.3)
    make_store(tmp_path / "none", popularity_weight=None)
    (tmp_path / "users.jsonl").write_text('{"user_id": "user-028"}\n')
    for asked in (["--user", "user-028", "--json"], ["--requests", str(tmp_path / "users.jsonl")]):
        base = ["--store", str(tmp_path / "weighed"), "--top=40", *asked]
        plain, blended = printed(base, capsys), printed([*base, "--blend-popularity"], capsys)
        assert blended == printed([*base, "--popularity-weight=0.3"], capsys) != plain
        for without in (store, tmp_path / "none"):
            assert main(["--store", str(without), *asked, "--blend-popularity"]) == 2
            captured = capsys.readouterr()
            assert captured.out == ""
            assert "calibrate first and let the next daily run use it, or give --popularity-weight" in captured.err
    both = ["--store", str(tmp_path / "weighed"), "--user=user-028", "--blend-popularity", "--popularity-weight=0.1"]
    assert main(both) == 2
    assert "--blend-popularity or --popularity-weight, got both" in capsys.readouterr().err
    stranger = ["--store", str(tmp_path / "weighed"), "--user=nobody", "--blend-popularity"]
    assert "no actions: popular items only" in printed(stranger, capsys)


def test_bulk_answers_in_order_around_bad_lines(store, tmp_path, capsys):
    lines = [
        b'\xef\xbb\xbf{"user_id": "user-001"}',
        b"",
        b"not json",
        b'{"user_id": "nobody"}',
        b'{"user_id": "nobody", "recent": ["item-004", "no-item"]}',
        b'{"user_id": "user-002", "recent": "item-004"}',
        b'{"user_id": "user-002", "recent": null}',
    ]
    (tmp_path / "users.jsonl").write_bytes(b"\n".join(lines))
    arguments = ["--store", str(store), "--requests", str(tmp_path / "users.jsonl"), "--top", "5"]
    assert main(arguments) == 0
    captured = capsys.readouterr()
    answers = [json.loads(line) for line in captured.out.splitlines()]
    assert [answer["user_id"] for answer in answers] == ["user-001", None, "nobody", "nobody", "user-002", "user-002"]
    assert ["candidates" in answer for answer in answers] == [True, False, False, True, False, True]
    assert "line 3: expected one JSON object" in answers[1]["error"]
    assert "expected a user with actions" in answers[2]["error"]
    assert answers[3]["unknown_recent"] == ["no-item"]
    assert answers[5] == as_json(Recommender(str(store)).recommend("user-002", (), Settings(top=5)))
    assert "3 lines could not be answered" in captured.err


def test_spaces_around_recent_items_are_no_part_of_them(store, capsys):
    asked = ["--store", str(store), "--user", "user-001", "--json", "--recent"]
    found = [printed([*asked, recent], capsys) for recent in ("item-004,item-007", " item-004 , item-007 ,")]
    assert found[0] == found[1]


def test_bulk_reads_standard_input(store, monkeypatch, capsys):
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(b'{"user_id": "user-001"}\n')))
    assert json.loads(printed(["--store", str(store), "--requests", "-"], capsys))["user_id"] == "user-001"


@pytest.mark.parametrize(
    "line",
    [
        b'{"user_id": 7}',
        b'{"user_id": ""}',
        b'{"user_id": "\\ud800"}',
        b'{"user_id": "u", "recent": ["\\ud800"]}',
        b'{"user_id": "u", "recent": [1]}',
        b'{"user_id": "u", "recent": {"a": 1}}',
        b'["user_id"]',
        b"\xff\xfe",
        b"[" * 100_000,
        b'{"user_id": "' + b"x" * (1 << 20) + b'"}',
    ],
)
def test_bad_lines_are_errors_of_their_own(line):
    parsed = parse_line(line, 12)
    assert isinstance(parsed.error, UsageError)
    assert str(parsed.error).startswith("line 12: expected")
    assert len(str(parsed.error)) < 700


def test_a_bad_line_spoils_no_other(store):
    asked = Recommender(str(store))
    good = b'{"user_id": "user-009"}'
    alone = list(answer_lines(asked, [good], Settings(top=3)))
    assert list(answer_lines(asked, [b"{", good, b"[]"], Settings(top=3)))[1:2] == alone


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--user", "nobody"], "'nobody'"),
        ([], "exactly one of"),
        (["--user", "a", "--requests", "b"], "--user and --requests"),
        (["--requests", "b", "--recent", "a"], "--recent with --user"),
        (["--requests", "nowhere.jsonl"], "nowhere.jsonl"),
        (["--user", "user-001", "--top", "0"], "--top from 1"),
        (["--user", "user-001", "--samples", "0"], "--samples from 1"),
        (["--user", "user-001", "--popularity-weight", "-1"], "--popularity-weight of at least 0"),
        (["--user", "user-001", "--popularity-weight", "nan"], "--popularity-weight of at least 0"),
        (["--user", "user-001", "--near-duplicate-cosine", "0"], "--keep-near-duplicates"),
        (["--user", "user-001", "--near-duplicate-cosine", "nan"], "--keep-near-duplicates"),
    ],
)
def test_wrong_calls_exit_with_2(store, capsys, arguments, message):
    assert main(["--store", str(store), *arguments]) == 2
    assert message in capsys.readouterr().err


def test_nothing_published_is_a_wrong_call(tmp_path, capsys):
    assert main(["--store", str(tmp_path), "--user", "u"]) == 2
    assert "published run" in capsys.readouterr().err


def test_the_examples_and_flags_are_the_documented_ones():
    for module in (recommend, recommender, published_users):
        assert doctest.testmod(module).failed == 0
    assert doctest.testmod(recommend).attempted == 2
    defaults = {field.name: field.default for field in dataclasses.fields(RecommendConfig)}
    for field in dataclasses.fields(Settings):
        assert defaults[field.name] == field.default
