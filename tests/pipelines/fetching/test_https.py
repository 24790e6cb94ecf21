"""https: the certificate must be of the name that was listed, whatever address it has; slowness is bounded here too."""

import socket
import ssl
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from picture_server import PictureServer, dripping, picture_server, write_certificate

from pipelines.fetch_images import http
from pipelines.fetch_images.errors import FetchError
from pipelines.fetch_images.http import HttpLimits, get

pytestmark = pytest.mark.medium

LIMITS = HttpLimits(max_bytes=1_000_000, timeout_s=5.0, allow_private=True, user_agent="itemsage/test")


@pytest.fixture(scope="module")
def certificate(tmp_path_factory) -> Path:
    return write_certificate(tmp_path_factory.mktemp("tls") / "shop.pem", "shop.example")


@pytest.fixture
def secure_server(certificate, monkeypatch) -> Iterator[PictureServer]:
    """The server behind every name, trusted as shop.example."""
    context = ssl.create_default_context(cafile=certificate)
    monkeypatch.setattr(http, "_tls", lambda: context)
    monkeypatch.setattr(http, "addresses_of", lambda *args: ["127.0.0.1"])
    with picture_server(certificate) as served:
        yield served


def test_the_name_is_proved(secure_server):
    secure_server.put("/a.jpg", b"x")
    assert get(f"https://shop.example:{secure_server.port}/a.jpg", LIMITS).body == b"x"
    with pytest.raises(FetchError, match=r"other\.example") as caught:
        get(f"https://other.example:{secure_server.port}/a.jpg", LIMITS)
    assert caught.value.reason == "tls_failed"
    assert secure_server.asked == ["/a.jpg"]


def test_an_unknown_authority_is_refused(secure_server, monkeypatch):
    monkeypatch.setattr(http, "_tls", ssl.create_default_context)
    with pytest.raises(FetchError) as caught:
        get(f"https://shop.example:{secure_server.port}/a.jpg", LIMITS)
    assert caught.value.reason == "tls_failed"


def test_a_slow_body_is_given_up_in_time(secure_server):
    secure_server.answers["/a.jpg"] = dripping
    check_timed_out(f"https://shop.example:{secure_server.port}/a.jpg")


def test_a_server_that_does_not_shake_hands_is_given_up_in_time():
    with socket.create_server(("127.0.0.1", 0)) as silent:
        check_timed_out(f"https://127.0.0.1:{silent.getsockname()[1]}/a.jpg")


def check_timed_out(url: str) -> None:
    started_s = time.monotonic()
    limits = HttpLimits(max_bytes=1_000_000, timeout_s=0.5, allow_private=True, user_agent="itemsage/test")
    with pytest.raises(FetchError) as caught:
        get(url, limits)
    assert caught.value.reason == "timed_out"
    assert time.monotonic() - started_s < 2
