"""One GET of one URL: redirects followed by hand, every hop checked, bytes and seconds bounded, nothing retried."""

import email.utils
import functools
import http.client
import socket
import ssl
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from urllib.parse import urljoin, urlsplit

from pipelines.fetch_images.addresses import addresses_of
from pipelines.fetch_images.errors import FetchError
from schemas.pictures.urls import DEFAULT_PORTS, canonical_url
from schemas.quarantine import quote

_CHUNK_BYTES = 1 << 16
_REDIRECTS = frozenset((301, 302, 303, 307, 308))
#: Status -> reason, where it is not that of its hundred.
_REASONS = {404: "not_found", 410: "gone", 408: "timed_out", 425: "busy", 429: "busy", 503: "busy"}


@dataclass(frozen=True, kw_only=True)
class HttpLimits:
    """What one question may cost, and whom it may go to. timeout_s: of each hop, from the connection to the last
    byte."""

    max_bytes: int
    timeout_s: float
    allow_private: bool
    user_agent: str
    max_redirects: int = 5


@dataclass(frozen=True, kw_only=True)
class Answer:
    """What came of a GET: status 200 with a body, or 304 without."""

    status: int
    body: bytes
    etag: str | None
    last_modified: str | None


def get(
    url: str,
    limits: HttpLimits,
    headers: Mapping[str, str] | None = None,
    before_hop: Callable[[str], None] = lambda url: None,
) -> Answer:
    """Asks for a canonical URL. before_hop(url) comes before each question, to wait or to raise.

    Raises FetchError, of any reason but robots_disallowed, host_given_up and wrong_type.
    """
    for _ in range(limits.max_redirects + 1):
        before_hop(url)
        answer = _hop(url, limits, headers or {})
        if isinstance(answer, Answer):
            return answer
        url = _redirected(url, answer)
    raise FetchError("too_many_redirects", f"at most {limits.max_redirects} redirects", f"another one to {quote(url)}")


def _redirected(url: str, location: str) -> str:
    """The canonical URL that a redirect leads to."""
    try:
        target = canonical_url(urljoin(url, location))
    except ValueError:
        target = None
    if target is None or (url.startswith("https:") and not target.startswith("https:")):
        safe = "https" if url.startswith("https:") else "http(s)"
        raise FetchError("bad_redirect", f"a redirect to an {safe} URL", f"one to {quote(location)}")
    return target


def _hop(url: str, limits: HttpLimits, headers: Mapping[str, str]) -> Answer | str:
    """The answer, or where it redirects to."""
    parts = urlsplit(url)
    host, port = str(parts.hostname), parts.port or DEFAULT_PORTS[parts.scheme]
    if port not in DEFAULT_PORTS.values() and not limits.allow_private:
        raise FetchError("port_refused", "port 80 or 443", f"port {port} in {quote(url)}")
    watch = _Watch(time.monotonic() + limits.timeout_s)
    with _faults(url, watch, limits):
        addresses = addresses_of(host, port, limits.allow_private)
        connection = _Connection(host, port, addresses, parts.scheme == "https", watch)
        try:
            target = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
            own = {"User-Agent": limits.user_agent, "Accept": "image/*,*/*;q=0.1", "Accept-Encoding": "identity"}
            connection.request("GET", target, headers={**own, **headers, "Connection": "close"})
            return _read(connection.getresponse(), limits, watch)
        finally:
            watch.cancel()
            connection.close()


def _read(response: http.client.HTTPResponse, limits: HttpLimits, watch: "_Watch") -> Answer | str:
    status, location = response.status, response.getheader("Location")
    if status in _REDIRECTS and location is not None:
        return location
    if status == 304:
        return _answer(response, b"")
    if status != 200:
        reason = _REASONS.get(status, "server_error" if status >= 500 else "refused")
        got = f"HTTP {status} {quote(response.reason)}" if response.reason else f"HTTP {status}"
        raise FetchError(reason, "HTTP 200", got, status, _retry_after_s(response.getheader("Retry-After")))
    expected = f"at most {limits.max_bytes:,} bytes"
    declared = response.length
    if declared is not None and declared > limits.max_bytes:
        raise FetchError("too_many_bytes", expected, f"{declared:,} bytes", status)
    body = bytearray()
    while piece := response.read(min(_CHUNK_BYTES, limits.max_bytes + 1 - len(body))):
        body += piece
        if len(body) > limits.max_bytes:
            raise FetchError("too_many_bytes", expected, "more, after which reading ended", status)
    watch.check()
    if declared is not None and len(body) < declared:
        raise FetchError("cut_short", f"{declared:,} bytes", f"{len(body):,} bytes", status)
    return _answer(response, bytes(body))


def _answer(response: http.client.HTTPResponse, body: bytes) -> Answer:
    return Answer(
        status=response.status,
        body=body,
        etag=response.getheader("ETag"),
        last_modified=response.getheader("Last-Modified"),
    )


def _retry_after_s(value: str | None) -> float | None:
    """Seconds from now, of either form of the header; None without one that can be read.

    >>> _retry_after_s("7"), _retry_after_s("Thu, 01 Jan 1970 00:00:00 GMT"), _retry_after_s("soon")
    (7.0, 0.0, None)
    """
    if value is None:
        return None
    if value.isascii() and value.isdigit():
        return float(value[:9])
    try:
        return max(0.0, email.utils.parsedate_to_datetime(value).timestamp() - time.time())
    except (ValueError, OverflowError):
        return None


@dataclass
class _Watch:
    """Ends a connection whose time is up: a socket's own timeout starts anew with every byte."""

    deadline_s: float
    expired: bool = False
    _timer: threading.Timer | None = None
    _sockets: list[socket.socket] = field(default_factory=list)

    def left_s(self) -> float:
        """Seconds left; raises TimeoutError if there are none."""
        self.check()
        left_s = self.deadline_s - time.monotonic()
        if left_s <= 0:
            raise TimeoutError
        return left_s

    def over(self, connected: socket.socket) -> None:
        """From now on also shuts this socket down when the time is up."""
        self._sockets.append(connected)
        if self._timer is None:
            self._timer = threading.Timer(self.left_s(), self._end)
            self._timer.daemon = True
            self._timer.start()

    def check(self) -> None:
        """Raises TimeoutError if the time was up."""
        if self.expired:
            raise TimeoutError

    def cancel(self) -> None:
        if self._timer is not None:
            self._timer.cancel()

    def _end(self) -> None:
        self.expired = True
        for connected in self._sockets:
            try:
                connected.shutdown(socket.SHUT_RDWR)
            except OSError:
                continue  # closed already, or wrapped by the next one


class _Connection(http.client.HTTPConnection):
    """To one of the addresses that were checked; https proves the host's name, not the address's."""

    def __init__(self, host: str, port: int, addresses: list[str], secure: bool, watch: _Watch):
        super().__init__(host, port)
        self._addresses, self._secure, self._watch = addresses, secure, watch
        self.default_port = DEFAULT_PORTS["https" if secure else "http"]

    def connect(self) -> None:
        plain = self._connected()
        self._watch.over(plain)
        self.sock = plain
        if self._secure:
            self.sock = _tls().wrap_socket(plain, server_hostname=self.host, do_handshake_on_connect=False)
            self._watch.over(self.sock)
            self.sock.do_handshake()

    def _connected(self) -> socket.socket:
        """To the first address that answers; each gets its share of the time that is left."""
        for left in reversed(range(len(self._addresses))):
            address = self._addresses[-1 - left], self.port
            try:
                connected = socket.create_connection(address, self._watch.left_s() / (left + 1))
            except OSError:
                if not left:
                    raise
            else:
                connected.settimeout(self._watch.left_s())
                return connected
        raise OSError("no address")


@functools.cache
def _tls() -> ssl.SSLContext:
    """Read once: the list of authorities is long."""
    return ssl.create_default_context()


@contextmanager
def _faults(url: str, watch: _Watch, limits: HttpLimits) -> Iterator[None]:
    """Makes a FetchError of what the network raises; a connection that the watch ended was too slow, whatever it looks
    like."""
    try:
        yield
    except (OSError, http.client.HTTPException, ValueError) as error:
        if watch.expired or isinstance(error, TimeoutError):
            expected, got = f"an answer within {limits.timeout_s:g} s", f"none by then from {quote(url)}"
            raise FetchError("timed_out", expected, got) from error
        if isinstance(error, ssl.SSLError):
            raise FetchError("tls_failed", "a valid certificate", f"{quote(str(error))} from {quote(url)}") from error
        if isinstance(error, http.client.IncompleteRead):
            raise FetchError("cut_short", "a whole answer", f"its beginning from {quote(url)}") from error
        if isinstance(error, OSError):
            raise FetchError("unreachable", "an answer", f"{quote(str(error))} from {quote(url)}") from error
        raise FetchError("bad_answer", "an HTTP answer", f"{quote(repr(error))} from {quote(url)}") from error
