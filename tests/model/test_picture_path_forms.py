"""A picture is found however a shop writes its path, and never outside the image root."""

import os
import unicodedata
from urllib.parse import quote as percent

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from model.pictures.faults import PictureError
from model.pictures.files import locate_picture, read_picture
from model.pictures.root import PictureRoot
from schemas.pictures.paths import path_forms
from schemas.pictures.urls import fetched_path, is_picture_url

CAFE = "caf\u00e9.jpg"


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    """images/ with files that hold their own names, and beside it what nobody may read."""
    folder = tmp_path_factory.mktemp("shop") / "images"
    for name in ("m/b/mb01.jpg", "a.jpg", "two words.jpg", " blanks .jpg", "100%.jpg", "a+b&c.jpg", "Upper/Photo.JPG"):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(name)
    for form in ("NFC", "NFD"):
        name = unicodedata.normalize(form, f"{form} {CAFE}")
        (folder / name).write_text(name)
    (folder.parent / "secret").write_text("secret")
    (folder.parent / "secret.jpg").write_text("secret")
    (folder / "out").symlink_to(folder.parent)
    (folder / "out.jpg").symlink_to(folder.parent / "secret.jpg")
    return folder


def read(root, uri):
    return read_picture(root, uri).decode()


def fault(root, uri):
    with pytest.raises(PictureError) as caught:
        read_picture(root, uri)
    return caught.value


WRITTEN = {
    "/m/b/mb01.jpg": "m/b/mb01.jpg",
    "//m/b/mb01.jpg": "m/b/mb01.jpg",
    "m\\b\\mb01.jpg": "m/b/mb01.jpg",
    "\\m\\b\\mb01.jpg": "m/b/mb01.jpg",
    "a.jpg?v=1699981234": "a.jpg",
    "/m/b/mb01.jpg?width=800&height=600": "m/b/mb01.jpg",
    "two%20words.jpg": "two words.jpg",
    "/two%20words.jpg?v=1": "two words.jpg",
    "m%5Cb%2Fmb01.jpg": "m/b/mb01.jpg",
    "two words.jpg": "two words.jpg",
    " blanks .jpg": " blanks .jpg",
    "%20blanks%20.jpg": " blanks .jpg",
    "100%.jpg": "100%.jpg",
    "100%25.jpg": "100%.jpg",
    "a+b&c.jpg": "a+b&c.jpg",
    "a+b&amp;c.jpg": "a+b&c.jpg",
    " a.jpg": "a.jpg",
    "a.jpg\n": "a.jpg",
    "\t/m/b/mb01.jpg?v=1 ": "m/b/mb01.jpg",
    "images/a.jpg": "a.jpg",
    "/images/m/b/mb01.jpg?v=1": "m/b/mb01.jpg",
}


@pytest.mark.parametrize("written", WRITTEN)
def test_a_path_is_found_as_shops_write_it(root, written):
    assert read(root, written) == WRITTEN[written]
    assert locate_picture(root, written).is_other_form == (written != WRITTEN[written])


def test_a_path_from_the_folder_above_is_tried_last(tmp_path):
    root = tmp_path / "images"
    for name in ("a.jpg", "images/a.jpg"):
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(name)
    assert read(root, "images/a.jpg") == "images/a.jpg"
    (root / "images" / "a.jpg").unlink()
    assert read(root, "images/a.jpg") == "a.jpg"
    assert fault(root, "images/../../a.jpg").reason == "outside_root"


def test_a_url_without_its_scheme_is_told(root):
    error = fault(root, "//cdn.example/a.jpg")
    assert (error.reason, error.got) == ("remote_uri", "without a scheme: '//cdn.example/a.jpg'")
    assert error.remedy.startswith("write https: before addresses that begin with //, in the export; then fetch")
    assert fault(root, "//m/b/none.jpg").reason in ("missing", "outside_root")


def test_a_url_with_blanks_around_it_is_one(root):
    assert fault(root, " https://x.example/a.jpg\n").reason == "remote_uri"
    assert is_picture_url(" https://x.example/a.jpg")
    fetched = root / fetched_path("https://x.example/blank.jpg")
    fetched.parent.mkdir(parents=True)
    fetched.write_text("fetched")
    assert read(root, " https://x.example/blank.jpg") == "fetched"


@pytest.mark.parametrize("stored", ["NFC", "NFD"])
@pytest.mark.parametrize("written", ["NFC", "NFD"])
def test_both_unicode_forms_of_a_name_are_tried(root, stored, written):
    name = unicodedata.normalize(stored, f"{stored} {CAFE}")
    assert read(root, unicodedata.normalize(written, name)) == name
    assert read(root, percent(unicodedata.normalize(written, name))) == name


@pytest.mark.parametrize("start", ["file://", "file://localhost", "FILE:", "file:"])
def test_a_file_url_inside_the_root_is_its_file(root, start):
    assert read(root, f"{start}{root}/two words.jpg") == "two words.jpg"
    assert read(root, f"{start}{percent(str(root))}/two%20words.jpg") == "two words.jpg"
    assert fault(root, f"{start}{root}/none.jpg").reason == "missing"
    outside_root = f"{root.parent}/secret", f"{root}/../secret", f"{root}/%2e%2e/secret"
    for outside in ("/m/b/mb01.jpg", "/etc/passwd", *outside_root):
        assert fault(root, f"{start}{outside}").reason == "outside_root"
    assert fault(root, f"file://server{root}/a.jpg").reason == "outside_root"  # of another machine


def test_the_name_as_it_is_comes_first(tmp_path):
    for name in ("a%20b.jpg", "a b.jpg", "a.jpg?v=1", "a.jpg", "a\\b.jpg"):
        (tmp_path / name).write_text(name)
    (tmp_path / "a").mkdir()
    (tmp_path / "a" / "b.jpg").write_text("a/b.jpg")
    for name in ("a%20b.jpg", "a b.jpg", "a.jpg?v=1", "a.jpg", "a\\b.jpg", "a/b.jpg"):
        assert read(tmp_path, name) == name
        assert not locate_picture(tmp_path, name).is_other_form
    inner = tmp_path / str(tmp_path).lstrip("/") / "a.jpg"
    inner.parent.mkdir(parents=True)
    inner.write_text("below the root")
    assert read(tmp_path, f"{tmp_path}/a.jpg") == "a.jpg"


def test_a_missing_picture_whose_name_differs_by_case_is_named(root):
    for uri in ("upper/photo.jpg", "/UPPER/PHOTO.jpg", "Upper/photo.jpg?v=3", "upper%2Fphoto.jpg"):
        error = fault(root, uri)
        assert error.reason == "missing"
        assert "but there is 'Upper/Photo.JPG'" in error.got
        assert error.remedy == "write the name as the file has it: capital and small letters are different ones"
    for uri in ("upper/none.jpg", "OUT/SECRET", "OUT.JPG", "upper", "", "x" * 300, "a\0b"):
        assert "but there is" not in fault(root, uri).got


def test_it_is_named_too_where_the_path_may_be_one_of_this_machine(root):
    (root / "usr").mkdir()
    (root / "usr" / "Photo.jpg").write_text("below the root")
    error = fault(root, "/usr/photo.jpg?v=1")
    assert error.reason == "missing"
    assert "but there is 'usr/Photo.jpg'" in error.got
    assert fault(root, "/usr/none.jpg").reason == "outside_root"


def test_a_name_in_another_case_is_told_as_long_as_it_is_there(tmp_path):
    assert "but there is" not in fault(tmp_path, "a.jpg").got
    (tmp_path / "A.jpg").write_text("A")
    os.utime(tmp_path, ns=(1, 1))
    assert "but there is 'A.jpg'" in fault(tmp_path, "a.jpg").got
    (tmp_path / "A.jpg").unlink()
    os.utime(tmp_path, ns=(2, 2))
    assert "but there is" not in fault(tmp_path, "a.jpg").got


PIECES = [
    *("..", ".", "", "/", "\\", "%2e%2e", "%2f", "%5c", "..%2f", "%00", "\0", "%25", "%252e", "?", "?v=1"),
    *("out", "out.jpg", "secret", "secret.jpg", "a.jpg", "m", "b", "mb01.jpg", "file://", "file:", "\u2025"),
    *("caf\u00e9", " ", "\n", "&amp;", "&#46;&#46;&#47;", "images/", "//x.example/"),
]


def located_or_fault(root, uri):
    try:
        return locate_picture(PictureRoot.of(root), uri)
    except PictureError as error:
        return error


@pytest.mark.medium
@given(st.lists(st.sampled_from(PIECES), max_size=9).map("".join), st.sampled_from(["", "{root}/", "{root}%2f"]))
@example("..%2f..%2f..%2fetc%2fpasswd", "")
@example("/..%5csecret", "file://{root}")
@settings(max_examples=600, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_no_form_leaves_the_root(root, uri, start):
    uri = start.format(root=root) + uri
    found = located_or_fault(root, uri)
    if isinstance(found, PictureError):
        assert found.reason in ("missing", "outside_root", "remote_uri")
        assert "secret" not in found.got.partition(", but there is ")[2]
        return
    assert os.path.realpath(found.path) == found.path
    assert found.path.startswith(f"{root}/")
    assert "secret" not in read(root, uri)


@given(st.text(max_size=40))
@settings(max_examples=400, deadline=None)
def test_forms_are_few_and_different(uri):
    forms = list(path_forms(uri))
    assert len(set(forms)) == len(forms) <= 256
    if not uri.lower().startswith("file:"):
        assert forms[0] == uri
