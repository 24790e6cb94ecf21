"""Picture files under a root: found and read inside it alone, known again by size and time once they are settled."""

import errno
import os

import pytest
from decoded_pictures import LIMITS
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from model.pictures import files as pictures
from model.pictures.faults import PictureError, PictureLimits
from model.pictures.files import find_picture, read_picture, read_picture_file
from model.pictures.root import PictureRoot
from schemas.storage import resolve_inside


@pytest.fixture
def root(tmp_path):
    folder = tmp_path / "images"
    (folder / "sub").mkdir(parents=True)
    (folder / "sub" / "a.bin").write_bytes(b"12345")
    (tmp_path / "secret.bin").write_bytes(b"secret")
    (folder / "link").symlink_to(tmp_path / "secret.bin")
    (folder / "inner").symlink_to(folder / "sub" / "a.bin")
    os.mkfifo(folder / "pipe")
    return folder


def test_reads_inside_the_root(root):
    for uri in ("sub/a.bin", "sub/../sub/a.bin", str(root / "sub" / "a.bin"), "inner"):
        assert read_picture(root, uri, LIMITS) == b"12345"


@pytest.mark.parametrize(
    ("uri", "reason"),
    [
        ("sub/none.bin", "missing"), ("sub", "missing"), ("", "missing"), ("pipe", "missing"), ("x" * 5000, "missing"),
        ("\ud800", "missing"), ("sub/a.bin/b", "missing"), ("../secret.bin", "outside_root"), ("link", "outside_root"),
        ("/etc/passwd", "outside_root"), ("a\0b", "outside_root"), ("https://x.example/a.jpg", "remote_uri"),
        ("HTTP://x.example/a.jpg", "remote_uri"), ("s3://bucket/a.jpg", "remote_uri"),
        ("data:image/png;x", "remote_uri"),
    ],
)  # fmt: skip
def test_what_is_not_read_has_a_reason(root, uri, reason):
    with pytest.raises(PictureError) as caught:
        read_picture(root, uri, LIMITS)
    assert caught.value.reason == reason
    assert caught.value.remedy in str(caught.value)


def test_of_what_was_not_fetched_it_is_told_where_fetching_says_why(root):
    """Once something was fetched: before it, and of what is never fetched, there is nothing to look into."""

    def told(uri: str) -> PictureError:
        with pytest.raises(PictureError) as caught:
            read_picture(root, uri, LIMITS)
        assert caught.value.reason == "remote_uri"
        return caught.value

    assert "quarantine" not in told("https://x.example/a.jpg").remedy
    (root / "fetched").mkdir()
    assert "fetched/quarantine" in told("https://x.example/a.jpg").remedy
    assert told("https://x.example/a.jpg").got == "'https://x.example/a.jpg', which is not among the fetched pictures"
    assert "quarantine" not in told("s3://bucket/a.jpg").remedy


def test_a_path_with_a_comma_may_be_a_list_and_is_told_how_one_is_written(root):
    with pytest.raises(PictureError) as caught:
        read_picture(root, "sub/a.bin,sub/b.bin", LIMITS)
    assert '["a.jpg", "b.jpg"], or in CSV as a.jpg|b.jpg' in caught.value.remedy
    with pytest.raises(PictureError) as caught:
        read_picture(root, "sub/none.bin", LIMITS)
    assert "a.jpg" not in caught.value.remedy


def test_files_above_the_cap_are_refused(root):
    with pytest.raises(PictureError, match="at most 4 bytes, got 5 bytes"):
        read_picture(root, "sub/a.bin", PictureLimits(max_bytes=4))
    assert read_picture(root, "sub/a.bin", PictureLimits(max_bytes=5)) == b"12345"


def test_a_file_is_found_without_being_opened(root, monkeypatch):
    status = (root / "sub" / "a.bin").stat()
    monkeypatch.setattr("builtins.open", lambda *args, **kwargs: pytest.fail("opened"))
    path = str(root.resolve() / "sub" / "a.bin")
    assert find_picture(root, "sub/a.bin", LIMITS) == (path, 5, status.st_mtime_ns)
    with pytest.raises(PictureError, match="at most 4 bytes, got 5 bytes"):
        find_picture(root, "sub/a.bin", PictureLimits(max_bytes=4))


def test_a_settled_file_is_recognised_by_size_and_time(root):
    path, old_ns = root / "sub" / "a.bin", 1_700_000_000_123_456_789
    os.utime(path, ns=(old_ns, old_ns))
    file = read_picture_file(root, "sub/a.bin", LIMITS)
    assert (file.data, file.size_bytes, file.modified_ns) == (b"12345", 5, path.stat().st_mtime_ns)


@pytest.mark.parametrize("age_ms", [-60_000, 0, 50, 1_999])
def test_a_file_that_has_just_been_written_is_not(root, monkeypatch, age_ms):
    """A second write within the clock's step could leave size and time as they are."""
    path = root / "sub" / "a.bin"
    now_ns = path.stat().st_mtime_ns + age_ms * 1_000_000
    monkeypatch.setattr(pictures.time, "time_ns", lambda: now_ns)
    file = read_picture_file(root, "sub/a.bin", LIMITS)
    assert (file.data, file.size_bytes, file.modified_ns) == (b"12345", -1, -1)


@pytest.mark.parametrize("change", ["longer", "shorter", "time"])
def test_a_file_that_changes_while_it_is_read_is_not(root, monkeypatch, change):
    path, old_ns = root / "sub" / "a.bin", 1_700_000_000_000_000_000
    os.utime(path, ns=(old_ns, old_ns))
    fstat, calls = os.fstat, []

    def changing(descriptor):
        calls.append(fstat(descriptor))
        if len(calls) == 1:
            path.write_bytes({"longer": b"1234567", "shorter": b"12", "time": b"12345"}[change])
            os.utime(path, ns=(old_ns, old_ns + (change == "time")))
        return calls[-1]

    monkeypatch.setattr(pictures.os, "fstat", changing)
    file = read_picture_file(root, "sub/a.bin", LIMITS)
    assert (file.size_bytes, file.modified_ns) == (-1, -1)
    assert len(calls) >= 2


@pytest.mark.parametrize("number", [errno.EIO, errno.ESTALE, errno.EMFILE, errno.ENOTCONN])
@pytest.mark.parametrize("call", ["lstat", "fstat"])
def test_a_failing_disk_is_not_a_missing_picture(root, monkeypatch, number, call):
    def failing(path):
        raise OSError(number, os.strerror(number))

    with monkeypatch.context() as patched:
        patched.setattr(pictures.os, call, failing)
        with pytest.raises(OSError, match=os.strerror(number)) as caught:
            read_picture_file(root, "sub/a.bin", LIMITS)
    assert caught.value.errno == number


NAMES = ["a.bin", "sub", "sub link", "file link", "out", "out file", "loop", "..", ".", "", "none", "x" * 300, "a\0b"]


@pytest.mark.medium
@given(st.lists(st.sampled_from(NAMES), min_size=1, max_size=4).map("/".join))
@settings(max_examples=400, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_a_root_finds_what_following_every_link_finds(root, uri):
    if not (root / "loop").is_symlink():
        (root / "sub" / "sub").mkdir()
        (root / "sub" / "sub" / "a.bin").write_bytes(b"deep")
        for name, target in {
            "sub link": "sub", "file link": "sub/a.bin", "out": "..", "out file": "../x", "loop": "loop",
        }.items():  # fmt: skip
            (root / name).symlink_to(target)
            (root / "sub" / name).symlink_to(target)

    def fault_or(found):
        try:
            return found()
        except OSError as error:
            return type(error)
        except ValueError:
            return "not a name"

    def slowly():
        path = resolve_inside(root, uri)
        return path and (path, os.stat(path))

    assert fault_or(lambda: PictureRoot.of(root).find(uri)) == fault_or(slowly)


def test_a_root_is_found_through_its_own_symlink(root, tmp_path):
    link = tmp_path / "link to the root"
    link.symlink_to(root)
    assert find_picture(link, "sub/a.bin") == find_picture(PictureRoot.of(root), "sub/a.bin")


def test_reading_out_of_memory_costs_the_picture(root, monkeypatch):
    def no_memory(descriptor):
        raise MemoryError

    with monkeypatch.context() as patched:
        patched.setattr(pictures.os, "fstat", no_memory)
        with pytest.raises(PictureError, match=r"out_of_memory.*more memory"):
            read_picture_file(root, "sub/a.bin", LIMITS)
