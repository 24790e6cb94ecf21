"""The pictures of one host, one after another or a few at a time: each is fresh, asked for, or given a reason."""

import hashlib
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace

from model.machine.ordered_map import ordered_map
from pipelines.fetch_images.cache import HostCache
from pipelines.fetch_images.errors import HOST_FAULTS, SETTLED, WORTH_ANOTHER_TRY, FetchError
from pipelines.fetch_images.http import Answer, HttpLimits, get
from pipelines.fetch_images.politeness import RequestRates, Robots
from schemas.pictures.fetched import FETCH_REMEDIES, CacheRow
from schemas.pictures.types import NAMES, picture_type
from schemas.pictures.urls import fetched_path
from schemas.quarantine import quote

_TRIES = 3
_FIRST_PAUSE_S = 1.0
#: A server that asks for a longer pause is asked again in another call.
_MAX_PAUSE_S = 60.0
#: So many questions in a row that the host itself did not answer, and no more are asked.
_MAX_HOST_FAULTS = 10
#: A longer ETag or date is not sent back.
_MAX_HEADER_CHARACTERS = 1_000


@dataclass(frozen=True, kw_only=True)
class FetchRules:
    """How the hosts of a catalogue are asked."""

    http: HttpLimits
    max_requests_per_host_s: float
    concurrent_per_host: int
    refresh_s: float
    ignore_robots: bool


@dataclass(frozen=True, kw_only=True, slots=True)
class Outcome:
    """What became of a URL. kind: "fetched" (a picture came), "not_modified" (the server has no other one), "fresh"
    (not asked) or "failed", with the row that says why. is_kept: an earlier picture stays although it failed."""

    url: str
    kind: str
    num_bytes: int = 0
    reason: str = ""
    expected: str = ""
    got: str = ""
    is_kept: bool = False


class HostFetcher:
    """Asks one host. now_s, sleep and fetch: for tests."""

    def __init__(
        self,
        cache: HostCache,
        rules: FetchRules,
        now_s: Callable[[], float] = time.time,
        fetch: Callable[..., Answer] = get,
    ):
        self.cache, self.rules, self._now_s, self._fetch = cache, rules, now_s, fetch
        self.rates = RequestRates(rules.max_requests_per_host_s)
        self._robots = None if rules.ignore_robots else Robots(rules.http, self.rates)
        self._lock = threading.Lock()
        self._host_faults = 0

    def settle(self, urls: Iterable[str]) -> Iterator[Outcome]:
        """The outcome of each canonical URL, in order."""
        num_threads = self.rules.concurrent_per_host
        with ThreadPoolExecutor(num_threads, thread_name_prefix="fetch-pictures") as pool:
            yield from ordered_map(pool, self._settle, urls, max_waiting=2 * num_threads)

    def _settle(self, url: str) -> Outcome:
        row = self.cache.row(url)
        if row is not None and self._is_fresh(row):
            return Outcome(url=url, kind="fresh") if row.reason is None else _failed(row)
        earlier = row if row is not None and row.sha256 is not None else None
        row = earlier or CacheRow(url=url, path=str(fetched_path(url)), asked_at=0.0)
        try:
            return self._ask(row)
        except FetchError as error:
            row = replace(
                row,
                asked_at=self._now_s(),
                status=error.status,
                reason=error.reason,
                expected=error.expected,
                got=error.got,
            )
            self.cache.keep(row)
            return _failed(row)

    def _is_fresh(self, row: CacheRow) -> bool:
        settled = row.reason is None or row.reason in SETTLED
        return settled and 0 <= self._now_s() - row.asked_at < self.rules.refresh_s

    def _ask(self, row: CacheRow) -> Outcome:
        headers = {}
        if row.etag is not None:
            headers["If-None-Match"] = row.etag
        if row.last_modified is not None:
            headers["If-Modified-Since"] = row.last_modified
        answer = self._patiently(row.url, headers)
        row = replace(row, asked_at=self._now_s(), status=answer.status, reason=None, expected=None, got=None)
        if answer.status == 304:
            if row.sha256 is None:
                raise FetchError("bad_answer", "a picture", "HTTP 304 for a picture that was never sent", 304)
            self.cache.keep(row)
            return Outcome(url=row.url, kind="not_modified")
        if picture_type(answer.body) is None:
            got = f"{len(answer.body):,} bytes that start with {quote(answer.body[:16])}"
            raise FetchError("wrong_type", f"a picture, {NAMES}", got, answer.status)
        sha256 = hashlib.sha256(answer.body).hexdigest()
        is_other = sha256 != row.sha256
        row = replace(
            row,
            sha256=sha256,
            bytes=len(answer.body),
            etag=_header(answer.etag),
            last_modified=_header(answer.last_modified),
        )
        # an equal picture keeps its file, by whose time it is known unread
        self.cache.keep(row, answer.body if is_other else None)
        return Outcome(url=row.url, kind="fetched", num_bytes=len(answer.body))

    def _patiently(self, url: str, headers: dict[str, str]) -> Answer:
        """The answer, after up to three tries; between them whichever host was asked last is left in peace."""
        last_hop = url

        def before_hop(hop: str) -> None:
            nonlocal last_hop
            last_hop = hop
            self._before_hop(hop)

        for left in reversed(range(_TRIES)):
            if self._host_faults >= _MAX_HOST_FAULTS:
                got = f"{_MAX_HOST_FAULTS} questions in a row without one"
                raise FetchError("host_given_up", "a host that answers", got)
            try:
                answer = self._fetch(url, self.rules.http, headers, before_hop)
            except FetchError as error:
                self._count(error.reason in HOST_FAULTS)
                pause_s = error.retry_after_s
                if pause_s is None:
                    pause_s = _FIRST_PAUSE_S * 2 ** (_TRIES - 1 - left)
                if not left or error.reason not in WORTH_ANOTHER_TRY or pause_s > _MAX_PAUSE_S:
                    raise
                self.rates.of(last_hop).pause(pause_s)
            else:
                self._count(False)
                return answer
        raise AssertionError("the last try returns or raises")

    def _before_hop(self, url: str) -> None:
        if self._robots is not None:
            self._robots.check(url)
        self.rates.wait(url)

    def _count(self, is_host_fault: bool) -> None:
        with self._lock:
            self._host_faults = self._host_faults + 1 if is_host_fault else 0


def counts_of(outcomes: Iterable[Outcome]) -> Counter[str]:
    """urls_fetched + urls_not_modified + urls_fresh + urls_failed of them, the bytes that came as pictures, and as
    urls_kept the failed ones of which an earlier picture stays."""
    counts = Counter(dict.fromkeys(("urls_fetched", "urls_not_modified", "urls_fresh", "urls_failed", "urls_kept"), 0))
    counts["bytes_fetched"] = 0
    for outcome in outcomes:
        counts[f"urls_{outcome.kind}"] += 1
        counts["bytes_fetched"] += outcome.num_bytes
        counts["urls_kept"] += outcome.is_kept
    return counts


def remedy_of(outcome: Outcome) -> str:
    """What the owner of a picture that failed can do."""
    return FETCH_REMEDIES[outcome.reason] + ("; the picture of an earlier call is used" if outcome.is_kept else "")


def _failed(row: CacheRow) -> Outcome:
    return Outcome(
        url=row.url,
        kind="failed",
        reason=str(row.reason),
        expected=str(row.expected),
        got=str(row.got),
        is_kept=row.sha256 is not None,
    )


def _header(value: str | None) -> str | None:
    return value if value and len(value) <= _MAX_HEADER_CHARACTERS and value.isprintable() else None
