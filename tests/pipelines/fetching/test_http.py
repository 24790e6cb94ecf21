"""One GET against a local server: bounded in bytes and seconds, and only to places that may be asked."""

import socket
import time
from dataclasses import replace

import pytest
from picture_server import cut_short, dripping, dripping_headers, endless

from pipelines.fetch_images import addresses, http
from pipelines.fetch_images.addresses import is_public
from pipelines.fetch_images.errors import FetchError
from pipelines.fetch_images.http import HttpLimits, get
from schemas.pictures.types import picture_type

LIMITS = HttpLimits(max_bytes=1_000_000, timeout_s=5.0, allow_private=True, user_agent="itemsage/test")


def fault(url: str, limits: HttpLimits = LIMITS) -> FetchError:
    with pytest.raises(FetchError) as caught:
        get(url, limits)
    assert caught.value.got.isprintable()
    return caught.value


def test_a_picture_and_what_the_server_says_of_it(server):
    url = server.put("/a.jpg", b"\xff\xd8\xffdata", ETag='"1"', Last_Modified="Thu, 01 Jan 2026 00:00:00 GMT")
    answer = get(url, LIMITS)
    assert (answer.status, answer.body, answer.etag) == (200, b"\xff\xd8\xffdata", '"1"')
    assert answer.last_modified == "Thu, 01 Jan 2026 00:00:00 GMT"
    assert server.headers[0]["User-Agent"] == "itemsage/test"
    assert server.headers[0]["Host"] == f"127.0.0.1:{server.port}"


def test_redirects_are_followed_to_the_picture(server):
    server.put("/c.jpg", b"there")
    server.redirect("/b.jpg", server.url("/c.jpg"))
    assert get(server.redirect("/a.jpg", "/b.jpg"), LIMITS).body == b"there"
    assert server.asked == ["/a.jpg", "/b.jpg", "/c.jpg"]


def test_a_redirect_in_a_circle_ends(server):
    assert fault(server.redirect("/a.jpg", "/a.jpg")).reason == "too_many_redirects"
    assert len(server.asked) == LIMITS.max_redirects + 1


@pytest.mark.parametrize(
    "location", ["file:///etc/passwd", "ftp://x/a", "http://u:p@x/a", "http://[x/a", "gopher://x/"]
)
def test_a_redirect_goes_to_http_alone(server, location):
    assert fault(server.redirect("/a.jpg", location)).reason == "bad_redirect"


def test_https_is_not_left_for_http():
    with pytest.raises(FetchError) as caught:
        http._redirected("https://shop.example/a.jpg", "http://shop.example/a.jpg")
    assert caught.value.reason == "bad_redirect"


@pytest.mark.parametrize(
    ("status", "reason"),
    [(404, "not_found"), (410, "gone"), (403, "refused"), (429, "busy"), (503, "busy"), (500, "server_error")],
)
def test_a_status_is_told_with_its_reason(server, status, reason):
    server.answers["/a.jpg"] = status, {}, b""
    error = fault(server.url("/a.jpg"))
    assert (error.reason, error.status) == (reason, status)
    assert error.got.startswith(f"HTTP {status}")


def test_retry_after_is_read(server):
    server.answers["/a.jpg"] = 429, {"Retry-After": "7"}, b""
    assert fault(server.url("/a.jpg")).retry_after_s == 7


@pytest.mark.medium
@pytest.mark.parametrize("respond", [dripping, dripping_headers, lambda handler: time.sleep(3)])
def test_a_slow_answer_is_given_up_in_time(server, respond):
    server.answers["/a.jpg"] = respond
    started_s = time.monotonic()
    assert fault(server.url("/a.jpg"), replace(LIMITS, timeout_s=0.4)).reason == "timed_out"
    assert time.monotonic() - started_s < 2


def test_an_endless_body_is_read_no_further_than_the_cap(server):
    server.answers["/a.jpg"] = endless
    assert fault(server.url("/a.jpg")).reason == "too_many_bytes"


def test_a_body_that_is_declared_too_large_is_not_read(server):
    url = server.put("/a.jpg", bytes(2_000))
    error = fault(url, replace(LIMITS, max_bytes=1_999))
    assert (error.reason, error.got) == ("too_many_bytes", "2,000 bytes")
    assert len(get(url, replace(LIMITS, max_bytes=2_000)).body) == 2_000


def test_less_than_was_promised_is_no_picture(server):
    server.answers["/a.jpg"] = cut_short
    assert fault(server.url("/a.jpg")).reason == "cut_short"


def test_what_is_no_http_is_told(server):
    server.answers["/a.jpg"] = lambda handler: handler.wfile.write(b"SSH-2.0-OpenSSH\r\n") and None
    assert fault(server.url("/a.jpg")).reason == "bad_answer"


def test_nobody_there(server):
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        assert fault(f"http://127.0.0.1:{closed.getsockname()[1]}/a.jpg").reason == "unreachable"


def test_tls_is_verified(server):
    assert fault(f"https://127.0.0.1:{server.port}/a.jpg").reason == "tls_failed"


PRIVATE = (
    "10.1.2.3 127.0.0.1 169.254.169.254 172.16.0.1 192.168.1.1 100.64.0.1 0.0.0.0 224.0.0.1 255.255.255.255 240.0.0.1 "
    "::1 :: fe80::1 fe80::1%eth0 fc00::1 ff02::1 ::ffff:127.0.0.1 64:ff9b::7f00:1 2002:7f00:1:: 198.18.0.1 "
    "fec0::1 feff::1 ::ffff:0:10.0.0.1 ::ffff:0:93.184.216.34 ::10.0.0.1 ::93.184.216.34 192.0.0.8 192.0.0.9 "
    "192.0.0.170 192.88.99.1 2001::1 2001:20::1 2001:4:112::1 2001:db8::1 "
    "3fff::1 64:ff9b:1::1 100::1 5f00::1 4000::1 0100:0:0:1::1 ::ffff:192.88.99.1 64:ff9b::c058:6301"
)


@pytest.mark.parametrize("address", PRIVATE.split())
def test_addresses_that_are_nobodys_business(address):
    assert not is_public(address)


@pytest.mark.parametrize(
    "address",
    [
        *("93.184.216.34", "192.0.1.1", "192.88.98.1", "2606:2800:220:1::1", "2a00:1450:4001::1"),
        *("2001:4860:4860::8888", "2001:200::1", "64:ff9b::5db8:d822", "::ffff:93.184.216.34", "2002:5db8:d822::1"),
    ],
)
def test_public_addresses(address):
    assert is_public(address)


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "[::1]", "2130706433", "0x7f.1", "[::ffff:127.0.0.1]"])
def test_a_private_address_is_not_asked(server, host, monkeypatch):
    monkeypatch.setattr(http, "DEFAULT_PORTS", {"http": server.port, "https": 443})
    monkeypatch.setattr(socket, "create_connection", lambda *args: pytest.fail("a connection was opened"))
    error = fault(f"http://{host}:{server.port}/a.jpg", replace(LIMITS, allow_private=False))
    assert error.reason in ("private_address", "unreachable")
    assert error.reason == "private_address" or not host.startswith(("127", "local"))


def test_another_port_is_not_asked(server):
    assert fault("http://93.184.216.34:22/a.jpg", replace(LIMITS, allow_private=False)).reason == "port_refused"


def test_a_redirect_to_a_private_address_is_not_followed(server, monkeypatch):
    monkeypatch.setattr(http, "DEFAULT_PORTS", {"http": server.port, "https": 443})
    monkeypatch.setattr(addresses, "is_public", lambda address: address == "127.0.0.1")
    url = server.redirect("/a.jpg", f"http://127.0.0.2:{server.port}/secret.jpg")
    assert fault(url, replace(LIMITS, allow_private=False)).reason == "private_address"
    assert server.asked == ["/a.jpg"]


def test_a_name_is_looked_up_once_and_what_was_checked_is_asked(server, monkeypatch):
    """A second look-up could have another answer."""
    answers = iter([[(socket.AF_INET, socket.SOCK_STREAM, 6, "", ("127.0.0.1", server.port))]])
    connect = socket.create_connection
    asked = []
    monkeypatch.setattr(addresses.socket, "getaddrinfo", lambda *args, **kwargs: next(answers))

    def only_addresses(address, *args):
        asked.append(address)
        monkeypatch.undo()  # the connection itself reads the address with getaddrinfo
        return connect(address, *args)

    monkeypatch.setattr(socket, "create_connection", only_addresses)
    server.put("/a.jpg", b"x")
    assert get(f"http://shop.example:{server.port}/a.jpg", LIMITS).body == b"x"
    assert asked == [("127.0.0.1", server.port)]
    assert server.headers[0]["Host"] == f"shop.example:{server.port}"


@pytest.mark.parametrize("found", [("93.184.216.34", "10.0.0.1"), ("10.0.0.1", "93.184.216.34")])
def test_a_host_is_not_asked_if_any_of_its_addresses_is_private(monkeypatch, found):
    """The connection tries them one after the other: a public one beside it excuses none."""
    answers = [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (address, 80)) for address in found]
    monkeypatch.setattr(addresses.socket, "getaddrinfo", lambda *args, **kwargs: answers)
    told = fault("http://shop.example/a.jpg", replace(LIMITS, allow_private=False))
    assert (told.reason, told.got) == ("private_address", "shop.example at 10.0.0.1")
    assert addresses.addresses_of("shop.example", 80, allow_private=True) == list(found)


def test_picture_types():
    heads = {b"\xff\xd8\xff\xe0": "JPEG", b"\0\0\0\x1cftypavif": "AVIF", b"\0\0\0\x18ftypheic": "HEIC", b"BM": "BMP"}
    assert {data: picture_type(data) for data in heads} == heads
    assert [picture_type(data) for data in (b"", b"<html>", b"{}", b"\0\0\0\x18ftypmp42", b"RIFF\0\0\0\0WAVE")] == [
        None
    ] * 5


def test_an_address_that_does_not_answer_leaves_time_for_the_next(server, monkeypatch):
    connect, given_s = socket.create_connection, []

    def only_the_last(address, timeout_s):
        given_s.append(timeout_s)
        if address[0] != "127.0.0.1":
            raise TimeoutError
        return connect(address, timeout_s)

    monkeypatch.setattr(http, "addresses_of", lambda *args: ["2001:db8::1", "192.0.2.1", "127.0.0.1"])
    monkeypatch.setattr(socket, "create_connection", only_the_last)
    server.put("/a.jpg", b"x")
    assert get(server.url("/a.jpg"), LIMITS).body == b"x"
    assert given_s[0] < LIMITS.timeout_s / 2
    monkeypatch.setattr(http, "addresses_of", lambda *args: ["2001:db8::1", "192.0.2.1"])
    assert fault(server.url("/a.jpg")).reason == "timed_out"
