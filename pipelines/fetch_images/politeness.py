"""What a host asks of those who ask it: not too often, and nothing that its robots.txt disallows."""

import threading
import time
from collections.abc import Callable
from dataclasses import replace
from typing import ClassVar
from urllib.parse import urlsplit
from weakref import WeakValueDictionary

from pipelines.fetch_images.errors import HOST_FAULTS, FetchError
from pipelines.fetch_images.http import Answer, HttpLimits, get
from pipelines.fetch_images.robots_rules import RobotsRules
from schemas.quarantine import quote

#: RFC 9309: at least this much of a robots.txt is read.
_MAX_ROBOTS_BYTES = 500 << 10
#: A longer delay than this is not kept: the rate flag is the place for one.
_MAX_CRAWL_DELAY_S = 30.0
#: RFC 9309: a host without one, or that does not show it, allows everything.
_NO_ROBOTS = frozenset(("not_found", "gone", "refused"))
#: Told as they are, since every other URL there has them too.
_FAULTS_OF_THE_PLACE = HOST_FAULTS | {"private_address", "port_refused"}


class RequestRate:
    """At most so many requests a second, however many threads ask."""

    def __init__(self, per_s: float):
        self._interval_s, self._next_s, self._lock = 1 / per_s, 0.0, threading.Lock()

    def wait(self) -> None:
        """Returns when the next request may start."""
        with self._lock:
            start_s = max(self._next_s, time.monotonic())
            self._next_s = start_s + self._interval_s
        time.sleep(max(0.0, start_s - time.monotonic()))

    def pause(self, seconds: float) -> None:
        """No request starts for so long."""
        with self._lock:
            self._next_s = max(self._next_s, time.monotonic() + seconds)

    def slow_down(self, interval_s: float) -> None:
        """From now on at least so long between two requests."""
        with self._lock:
            self._interval_s = max(self._interval_s, interval_s)


class RequestRates:
    """The rates of the hosts that one asks, those that it is redirected to among them. A host has one rate in a
    process, however many ask it: several servers may redirect to one network of caches. num_requests: of this one."""

    _of_process: ClassVar[WeakValueDictionary[tuple[str, float], RequestRate]] = WeakValueDictionary()
    _lock = threading.Lock()

    def __init__(self, per_s: float):
        self._per_s, self.num_requests = per_s, 0
        self._held: dict[str, RequestRate] = {}

    def of(self, url: str) -> RequestRate:
        """The rate of a URL's host."""
        host = urlsplit(url).netloc
        with self._lock:
            if host not in self._held:
                self._held[host] = self._of_process.setdefault((host, self._per_s), RequestRate(self._per_s))
            return self._held[host]

    def wait(self, url: str) -> None:
        """Returns when the next request of a URL's host may start."""
        rate = self.of(url)
        with self._lock:
            self.num_requests += 1
        rate.wait()


class Robots:
    """The robots.txt of the hosts that are asked, each read once."""

    def __init__(self, limits: HttpLimits, rates: RequestRates, fetch: Callable[..., Answer] = get):
        self._limits, self._rates, self._fetch = replace(limits, max_bytes=_MAX_ROBOTS_BYTES), rates, fetch
        self._rules: dict[str, RobotsRules | FetchError] = {}
        self._lock = threading.Lock()

    def check(self, url: str) -> None:
        """Raises FetchError: robots_disallowed, or why the host's robots.txt cannot be read (then it allows nothing,
        and would most likely not show its pictures either)."""
        parts = urlsplit(url)
        origin = f"{parts.scheme}://{parts.netloc}"
        with self._lock:
            if origin not in self._rules:
                self._rules[origin] = self._read(origin)
            rules = self._rules[origin]
        if isinstance(rules, FetchError):
            raise rules
        if not rules.allows(url):
            raise FetchError("robots_disallowed", f"a URL that {origin}/robots.txt allows", quote(url))

    def _read(self, origin: str) -> RobotsRules | FetchError:
        rules = RobotsRules()
        try:
            answer = self._fetch(f"{origin}/robots.txt", self._limits, before_hop=self._rates.wait)
            rules = RobotsRules.parse(answer.body.decode("utf-8", "replace"), self._limits.user_agent)
        except FetchError as error:
            if error.reason not in _NO_ROBOTS:
                reason = error.reason if error.reason in _FAULTS_OF_THE_PLACE else "robots_unreadable"
                return FetchError(reason, error.expected, f"{error.got} for {origin}/robots.txt", error.status)
        if rules.crawl_delay_s is not None:
            self._rates.of(origin).slow_down(min(rules.crawl_delay_s, _MAX_CRAWL_DELAY_S))
        return rules
