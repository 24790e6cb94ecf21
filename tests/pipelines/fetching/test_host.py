"""The pictures of one host: what is fresh is not asked for, what failed is told, the host is left in peace."""

import threading
import time
from dataclasses import replace
from pathlib import Path

import pytest

from pipelines.fetch_images.cache import HostCache, remove_half_files
from pipelines.fetch_images.errors import FetchError
from pipelines.fetch_images.host import FetchRules, HostFetcher, Outcome, counts_of
from pipelines.fetch_images.http import Answer, HttpLimits
from pipelines.fetch_images.politeness import RequestRate, RequestRates, Robots
from schemas import storage
from schemas.pictures.fetched import CacheRow, host_key
from schemas.pictures.urls import fetched_path

PICTURE, OTHER = b"\x89PNG\r\n\x1a\n one", b"\x89PNG\r\n\x1a\n other"
DAY_S = 86_400.0
RULES = FetchRules(
    http=HttpLimits(max_bytes=1_000_000, timeout_s=5.0, allow_private=True, user_agent="itemsage/test"),
    max_requests_per_host_s=1_000.0,
    concurrent_per_host=2,
    refresh_s=7 * DAY_S,
    ignore_robots=False,
)


class Host:
    """A cache and the calls on it, at a time that the test sets."""

    def __init__(self, root: Path):
        self.root, self.now_s = root, 1_000_000.0

    def settle(self, *urls: str, rules: FetchRules = RULES, **given: object) -> list[Outcome]:
        cache = HostCache(self.root, "host")
        try:
            return list(HostFetcher(cache, rules, now_s=lambda: self.now_s, **given).settle(urls))
        finally:
            cache.close()

    def file(self, url: str) -> Path:
        return self.root / str(fetched_path(url))

    @property
    def journal(self) -> Path:
        return self.root / "fetched" / "hosts" / f"{host_key('host')}.jsonl"


@pytest.fixture
def host(tmp_path) -> Host:
    return Host(tmp_path)


def test_a_picture_is_fetched_once_and_asked_for_conditionally_when_it_is_old(host, server):
    url = server.put("/a.png", PICTURE, ETag='"1"', Last_Modified="Thu, 01 Jan 2026 00:00:00 GMT")
    assert host.settle(url) == [Outcome(url=url, kind="fetched", num_bytes=len(PICTURE))]
    assert host.file(url).read_bytes() == PICTURE
    assert host.settle(url) == [Outcome(url=url, kind="fresh")]
    assert server.asked == ["/robots.txt", "/a.png"]

    host.now_s += 8 * DAY_S
    server.answers["/a.png"] = 304, {}, b""
    assert host.settle(url) == [Outcome(url=url, kind="not_modified")]
    assert server.headers[-1]["If-None-Match"] == '"1"'
    assert server.headers[-1]["If-Modified-Since"] == "Thu, 01 Jan 2026 00:00:00 GMT"
    assert host.settle(url)[0].kind == "fresh"


def test_an_equal_picture_keeps_its_file_and_another_replaces_it(host, server):
    url = server.put("/a.png", PICTURE)
    host.settle(url)
    before = host.file(url).stat()
    host.now_s += 8 * DAY_S
    assert host.settle(url)[0].kind == "fetched"
    assert host.file(url).stat().st_ino == before.st_ino
    host.now_s += 8 * DAY_S
    server.put("/a.png", OTHER)
    host.settle(url)
    assert host.file(url).read_bytes() == OTHER


@pytest.mark.parametrize(("status", "reason"), [(404, "not_found"), (410, "gone")])
def test_what_is_gone_for_good_is_asked_again_only_when_it_is_old(host, server, status, reason):
    server.answers["/a.png"] = status, {}, b""
    url = server.url("/a.png")
    first = host.settle(url)[0]
    assert (first.kind, first.reason, first.is_kept) == ("failed", reason, False)
    assert f"HTTP {status}" in first.got
    assert host.settle(url) == [first]
    assert server.pictures_asked() == ["/a.png"]
    host.now_s += 8 * DAY_S
    server.put("/a.png", PICTURE)
    assert host.settle(url)[0].kind == "fetched"


def test_an_earlier_picture_stays_when_a_later_question_fails(host, server):
    url = server.put("/a.png", PICTURE)
    host.settle(url)
    host.now_s += 8 * DAY_S
    server.put("/a.png", b"<html>we have moved</html>")
    outcome = host.settle(url)[0]
    assert (outcome.reason, outcome.is_kept) == ("wrong_type", True)
    assert host.file(url).read_bytes() == PICTURE
    assert counts_of([outcome])["urls_kept"] == 1


def test_a_page_is_no_picture_whatever_it_is_called(host, server):
    url = server.put("/a.jpg", b"<!DOCTYPE html>", Content_Type="image/jpeg")
    outcome = host.settle(url)[0]
    assert outcome.reason == "wrong_type"
    assert "b'<!DOCTYPE html>'" in outcome.got
    assert not host.file(url).exists()


@pytest.mark.medium
def test_a_busy_server_is_asked_again_after_the_pause_that_it_asks_for(host, server):
    answers = iter([(429, {"Retry-After": "1"}, b""), (200, {"Content-Length": str(len(PICTURE))}, PICTURE)])
    server.answers["/a.png"] = lambda handler: next(answers)
    started_s = time.monotonic()
    assert host.settle(server.url("/a.png"))[0].kind == "fetched"
    assert time.monotonic() - started_s > 0.9


def test_a_pause_that_is_too_long_is_left_to_another_call(host, server):
    server.answers["/a.png"] = 503, {"Retry-After": "3600"}, b""
    assert host.settle(server.url("/a.png"))[0].reason == "busy"
    assert server.pictures_asked() == ["/a.png"]
    assert host.settle(server.url("/a.png"))[0].reason == "busy"
    assert len(server.pictures_asked()) == 2  # not settled: the next call asks


def test_a_server_that_stays_broken_is_asked_three_times(host, server, monkeypatch):
    monkeypatch.setattr("pipelines.fetch_images.host._FIRST_PAUSE_S", 0.01)
    server.answers["/a.png"] = 500, {}, b""
    assert host.settle(server.url("/a.png"))[0].reason == "server_error"
    assert len(server.pictures_asked()) == 3


def test_a_host_that_does_not_answer_is_given_up(host, monkeypatch):
    asked = []

    def nobody(url, *args):
        asked.append(url)
        raise FetchError("timed_out", "an answer within 5 s", "none")

    urls = [f"http://shop.example/{number}.png" for number in range(30)]
    outcomes = host.settle(*urls, rules=replace(RULES, concurrent_per_host=1), fetch=nobody)
    assert len(asked) == 10
    assert [outcome.reason for outcome in outcomes] == ["timed_out"] * 10 + ["host_given_up"] * 20


def test_robots_txt_is_read_once_and_kept(host, server):
    server.put("/robots.txt", b"User-agent: *\nDisallow: /private/\n")
    urls = [server.put(f"/{folder}/{n}.png", PICTURE) for folder in ("private", "open") for n in range(3)]
    assert [outcome.reason for outcome in host.settle(*urls)] == ["robots_disallowed"] * 3 + [""] * 3
    assert server.asked.count("/robots.txt") == 1
    assert not any("private" in path for path in server.asked)
    outcomes = host.settle(*urls, rules=replace(RULES, ignore_robots=True))
    assert [outcome.kind for outcome in outcomes] == ["fetched"] * 3 + ["fresh"] * 3


def test_robots_txt_holds_behind_a_redirect_too(host, server):
    server.put("/robots.txt", b"User-agent: itemsage\nDisallow: /private/\n")
    server.put("/private/a.png", PICTURE)
    assert host.settle(server.redirect("/a.png", "/private/a.png"))[0].reason == "robots_disallowed"


def test_a_host_that_hides_its_robots_txt_allows_nothing(host, server):
    server.answers["/robots.txt"] = 500, {}, b""
    assert host.settle(server.put("/a.png", PICTURE))[0].reason == "robots_unreadable"
    assert server.pictures_asked() == []


def test_crawl_delay_is_kept_within_reason(server):
    rates = RequestRates(1_000.0)
    server.put("/robots.txt", b"User-agent: *\nCrawl-delay: 86400\n")
    Robots(RULES.http, rates).check(server.url("/a.png"))
    assert rates.of(server.url("/a.png"))._interval_s == 30
    assert rates.of("http://another.example/a.png")._interval_s == 1 / 1_000


def test_a_host_has_one_rate_however_many_ask_it():
    one, other = RequestRates(1_000.0), RequestRates(1_000.0)
    assert one.of("https://cdn.example/a.png") is other.of("https://cdn.example/b.png")
    assert one.of("https://cdn.example/a.png") is not one.of("https://shop.example/a.png")


def test_a_host_that_is_redirected_to_has_its_own_rate_and_its_own_pause(host, server, monkeypatch):
    """Two names of the server are two hosts: the first redirects, the second is busy and is left in peace."""
    elsewhere = server.put("/b.png", PICTURE).replace("127.0.0.1", "localhost")
    url = server.redirect("/a.png", elsewhere)
    server.answers["/b.png"] = 503, {"Retry-After": "1"}, b""
    paused: list[RequestRate] = []
    monkeypatch.setattr(RequestRate, "pause", lambda rate, seconds: paused.append(rate))
    cache = HostCache(host.root, "host")
    fetcher = HostFetcher(cache, RULES)
    assert [outcome.reason for outcome in fetcher.settle([url])] == ["busy"]
    cache.close()
    assert paused == [fetcher.rates.of(elsewhere)] * 2
    assert fetcher.rates.of(elsewhere) is not fetcher.rates.of(url)


@pytest.mark.medium
def test_requests_are_spread_over_time(host, server):
    urls = [server.put(f"/{number}.png", PICTURE) for number in range(5)]
    started_s = time.monotonic()
    host.settle(*urls, rules=replace(RULES, max_requests_per_host_s=10.0, concurrent_per_host=4, ignore_robots=True))
    assert time.monotonic() - started_s > 0.35


def test_no_more_than_so_many_at_the_same_time(host):
    now, most, lock = [0], [0], threading.Lock()

    def slow(url, *args):
        with lock:
            now[0] += 1
            most[0] = max(most[0], now[0])
        time.sleep(0.02)
        with lock:
            now[0] -= 1
        return Answer(status=200, body=PICTURE, etag=None, last_modified=None)

    urls = [f"http://shop.example/{number}.png" for number in range(12)]
    host.settle(*urls, rules=replace(RULES, concurrent_per_host=3), fetch=slow)
    assert most == [3]


def test_a_lost_or_damaged_picture_is_fetched_anew_and_unconditionally(host, server):
    url = server.put("/a.png", PICTURE, ETag='"1"')
    host.settle(url)
    host.file(url).write_bytes(b"half")
    assert host.settle(url)[0].kind == "fetched"
    assert "If-None-Match" not in server.headers[-1]
    assert host.file(url).read_bytes() == PICTURE


def test_a_journal_that_was_cut_off_or_forged_costs_only_its_own_lines(host, server):
    first, second = server.put("/a.png", PICTURE), server.put("/b.png", PICTURE)
    host.settle(first, second)
    lines = host.journal.read_text().splitlines()
    forged = lines[1].replace(str(fetched_path(second)), "../../outside")
    host.journal.write_text("\n".join([lines[0], forged, "[1]", '{"url": 3}', "[" * 10_000, lines[1][:-9]]))
    assert [outcome.kind for outcome in host.settle(first, second)] == ["fresh", "fetched"]
    assert [outcome.kind for outcome in host.settle(first, second)] == ["fresh", "fresh"]
    assert len(host.journal.read_text().splitlines()) == 2


def test_killed_before_the_journal_is_closed_nothing_is_asked_twice(host, server):
    url = server.put("/a.png", PICTURE)
    cache = HostCache(host.root, "host")
    list(HostFetcher(cache, RULES, now_s=lambda: host.now_s).settle([url]))  # and no close
    assert host.settle(url)[0].kind == "fresh"


def test_half_a_file_is_never_a_picture(host, server, monkeypatch):
    url = server.put("/a.png", PICTURE)

    def killed(place, data):
        with open(place, "wb") as file:
            file.write(data[:5])
        raise KeyboardInterrupt

    monkeypatch.setattr(storage, "put_bytes", killed)
    with pytest.raises(KeyboardInterrupt):
        host.settle(url)
    assert not host.file(url).exists()
    monkeypatch.undo()
    leftover = host.file(url).parent / f".{host.file(url).name}.12345678.tmp"
    leftover.write_bytes(b"ha")
    remove_half_files(host.root)
    assert not leftover.exists()
    assert host.settle(url)[0].kind == "fetched"


def test_rows_say_where_their_picture_is(host, server):
    url = server.put("/a.png", PICTURE)
    host.settle(url)
    row = HostCache(host.root, "host").row(url)
    assert row == CacheRow(
        url=url,
        path=str(fetched_path(url)),
        asked_at=host.now_s,
        status=200,
        sha256=row.sha256,
        bytes=len(PICTURE),
    )
