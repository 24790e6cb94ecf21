"""URIs that try to leave the image root: refused, whatever they are dressed as, and nothing outside is read."""

import contextlib
import os
import socket
import threading

import pytest

from model.pictures.faults import PictureError, PictureLimits
from model.pictures.files import read_picture
from schemas.storage import resolve_inside

SECRET = b"the secret"


@pytest.fixture
def root(tmp_path):
    """outside/secret, outside-sibling, and images/ full of ways out."""
    images, outside = tmp_path / "images", tmp_path / "outside"
    (images / "sub").mkdir(parents=True)
    outside.mkdir()
    (outside / "secret").write_bytes(SECRET)
    (tmp_path / "images-not").mkdir()
    (tmp_path / "images-not" / "secret").write_bytes(SECRET)
    (images / "good.png").write_bytes(b"good")
    (images / "file_link").symlink_to(outside / "secret")
    (images / "folder_link").symlink_to(outside)
    (images / "relative_link").symlink_to("../outside/secret")
    (images / "chain_1").symlink_to("chain_2")
    (images / "chain_2").symlink_to("sub/chain_3")
    (images / "sub" / "chain_3").symlink_to(outside / "secret")
    (images / "loop_1").symlink_to("loop_2")
    (images / "loop_2").symlink_to("loop_1")
    (images / "self").symlink_to("self")
    (images / "up").symlink_to("..")
    (images / "zero").symlink_to("/dev/zero")
    (images / "memory").symlink_to("/proc/self/mem")
    (images / "inner_link").symlink_to("sub/../good.png")
    os.mkfifo(images / "pipe")
    return images


def reason_of(root, uri, limits=PictureLimits()) -> str:  # noqa: B008 (frozen)
    with pytest.raises(PictureError) as caught:
        read_picture(root, uri, limits)
    assert SECRET.decode() not in str(caught.value)
    assert str(caught.value).isprintable()
    return caught.value.reason


OUTSIDE = [
    "../outside/secret",
    "sub/../../outside/secret",
    "./.././outside/secret",
    "..//outside///secret",
    "sub/../sub/../../outside/secret",
    "../images-not/secret",
    "../images/../outside/secret",
    "/etc/passwd",
    "//etc/passwd",
    "/proc/self/environ",
    "/proc/self/cmdline",
    "/proc/self/fd/0",
    "/dev/zero",
    "/dev/stdin",
    "/",
    "..",
    "../..",
    "file_link",
    "folder_link/secret",
    "relative_link",
    "chain_1",
    "up/outside/secret",
    "up/images/up/outside/secret",
    "zero",
    "memory",
    "good.png\0/../../outside/secret",
]


@pytest.mark.parametrize("uri", OUTSIDE)
def test_nothing_outside_the_root_is_read(root, uri):
    assert reason_of(root, uri) == "outside_root"


DRESSED = [
    "%2e%2e/outside/secret",
    "%2e%2e%2foutside%2fsecret",
    "..%2foutside%2fsecret",
    "%252e%252e/outside/secret",
    "/..%2f..%2foutside%2fsecret",
    "%2fetc%2fpasswd",
    "..%5coutside%5csecret",
    "%66ile_link",
    "folder_link%2fsecret?v=1",
    "/folder_link/secret",
    "\\up\\outside\\secret",
    "..%00/outside/secret",
    "..\\outside\\secret",
    "sub\\..\\..\\outside\\secret",
    "\u2025/outside/secret",
    "\uff0e\uff0e/outside/secret",
    "\u2024\u2024/outside/secret",
    "..\u2215outside\u2215secret",
    "..\uff0foutside\uff0fsecret",
    "\u202e../outside/secret",
    "..;/outside/secret",
    ".. /outside/secret",
    "..\t/outside/secret",
    "~/secret",
    "~root/secret",
    "$HOME/secret",
    "${PWD}/../outside/secret",
    "$(cat ../outside/secret)",
    "`cat ../outside/secret`",
    "*/../../outside/secret",
    "\udc80/x",
    "a" * 300,
    "a/" * 3_000,
    "loop_1",
    "self",
    "sub",
    "pipe",
    ".",
]


@pytest.mark.parametrize("uri", DRESSED)
def test_a_name_is_only_a_name(root, uri):
    """Whatever an encoding stands for, it is a name below the root; what is no file is missing."""
    assert reason_of(root, uri) in ("missing", "outside_root")


REMOTE = (
    "file:///etc/passwd file://localhost/etc/passwd file:///%2e%2e/etc/passwd FILE:///etc/passwd file:/etc/passwd "
    "http://127.0.0.1/x ftp://x/y data:image/png;base64,AA jar:file:///x!/y php://input gopher://x s3://bucket/key "
    "c:\\windows"
)


@pytest.mark.parametrize("uri", REMOTE.split())
def test_nothing_is_fetched(root, uri, monkeypatch):
    def no_network(*args, **kwargs):
        raise AssertionError("a connection was opened")

    monkeypatch.setattr(socket.socket, "connect", no_network)
    assert reason_of(root, uri) in ("remote_uri", "missing", "outside_root")


def test_links_that_stay_inside_are_followed(root):
    assert read_picture(root, "inner_link") == b"good"
    assert read_picture(root, str(root / "good.png")) == b"good"
    assert read_picture(root, "sub/../good.png") == b"good"


def test_a_pipe_is_not_waited_for(root):
    done = threading.Event()

    def read():
        reason_of(root, "pipe")
        done.set()

    threading.Thread(target=read, daemon=True).start()
    assert done.wait(5), "reading a named pipe waits for a writer"


def test_endless_files_inside_the_root_are_bounded():
    """An image root that holds devices or /proc itself."""
    for root, uri in (("/dev", "zero"), ("/dev", "full"), ("/proc/self", "mem"), ("/proc/self", "pagemap")):
        with contextlib.suppress(PictureError):
            assert len(read_picture(root, uri, PictureLimits(max_bytes=1_000))) <= 1_000


def test_the_root_itself_may_be_a_link(root, tmp_path):
    (tmp_path / "linked").symlink_to(root)
    assert read_picture(tmp_path / "linked", "good.png") == b"good"
    assert reason_of(tmp_path / "linked", "../outside/secret") == "outside_root"
    assert resolve_inside(tmp_path / "linked", str(tmp_path / "images-not" / "secret")) is None
