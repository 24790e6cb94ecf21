"""Atomic writes, containment, listing of inputs."""

import os
import pickle
import stat
from pathlib import Path

import pytest

from schemas.errors import CorruptFileError, UsageError
from schemas.files import (
    check_sha256,
    declare,
    declared_form,
    expand_inputs,
    read_json,
    read_sealed_json,
    sha256_of_file,
    write_json,
    write_sealed_json,
)
from schemas.storage import atomic_write, copy_folder, resolve_inside


def test_a_file_is_on_the_disk_before_it_moves_and_the_move_after(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A power cut leaves the old file or the whole new one."""
    done: list[str] = []
    replace = os.replace

    def moved(source: str, target: Path) -> None:
        done.append("moved")
        replace(source, target)

    monkeypatch.setattr(os, "fsync", lambda fd: done.append("folder" if stat.S_ISDIR(os.fstat(fd).st_mode) else "file"))
    monkeypatch.setattr(os, "replace", moved)
    write_json(tmp_path / "x.json", 1)
    assert done == ["file", "moved", "folder"]


def test_atomic_write_replaces_or_leaves_nothing(tmp_path: Path) -> None:
    target = tmp_path / "new" / "file"
    with atomic_write(target) as temporary:
        Path(temporary).write_text("one")
        assert not target.exists()
        assert os.path.basename(temporary).startswith(".")
    assert target.read_text() == "one"

    def fail_halfway() -> None:
        with atomic_write(target) as temporary:
            Path(temporary).write_text("two")
            raise RuntimeError("halfway")

    with pytest.raises(RuntimeError, match="halfway"):
        fail_halfway()
    assert target.read_text() == "one"
    with pytest.raises(FileNotFoundError), atomic_write(target):
        pass  # nothing written is an error too, not an empty file
    assert os.listdir(tmp_path / "new") == ["file"]


@pytest.mark.parametrize("umask", [0o022, 0o027, 0o002, 0o077], ids=oct)
def test_files_have_the_mode_that_the_umask_says_whatever_library_writes_them(tmp_path: Path, umask: int) -> None:
    private = tmp_path / "private"
    (private / "sub").mkdir(parents=True, mode=0o700)
    before = os.umask(umask)
    try:
        with atomic_write(tmp_path / "new" / "a") as temporary:
            os.close(os.open(temporary, os.O_CREAT | os.O_EXCL, 0o600))  # as safetensors and tempfile do
        with atomic_write(private / "sub" / "b") as temporary:
            Path(temporary).touch()
        (private / "sub" / "b").chmod(0o600)
        copy_folder(private, tmp_path / "copied")
    finally:
        os.umask(before)
    found = [tmp_path / name for name in ("new", "new/a", "copied", "copied/sub", "copied/sub/b")]
    expected = [(0o777 if path.is_dir() else 0o666) & ~umask for path in found]
    assert [stat.S_IMODE(path.stat().st_mode) for path in found] == expected
    with pytest.raises(FileNotFoundError):
        copy_folder(tmp_path / "none", tmp_path / "copy of none")
    assert not (tmp_path / "copy of none").exists()


def test_json_round_trip_and_refusals(tmp_path: Path) -> None:
    write_json(tmp_path / "a.json", {"b": 1, "a": "ü"})
    write_json(tmp_path / "b.json", {"a": "ü", "b": 1})
    assert (tmp_path / "a.json").read_bytes() == (tmp_path / "b.json").read_bytes()
    assert read_json(tmp_path / "a.json") == {"a": "ü", "b": 1}
    with pytest.raises(ValueError, match="not JSON compliant"):
        write_json(tmp_path / "c.json", float("nan"))
    (tmp_path / "d.json").write_bytes(b'{"a": "\xff"}')
    for name in ("c.json", "d.json"):
        with pytest.raises(CorruptFileError, match=name):
            read_json(tmp_path / name)


def test_a_sealed_object_is_read_only_as_it_was_written(tmp_path: Path) -> None:
    path = tmp_path / "a.json"
    write_sealed_json(path, {"a": 1})
    assert read_sealed_json(path) == {"a": 1}
    seal = read_json(path)["checksum"]
    for other in ({"a": 1}, {}, {"a": 2, "checksum": seal}, {"a": 1, "checksum": None}, {"checksum": seal}, [], None):
        write_json(path, other)
        with pytest.raises(CorruptFileError, match=r"fits its own checksum, got another at .*a\.json"):
            read_sealed_json(path)


def test_sha256(tmp_path: Path) -> None:
    (tmp_path / "abc").write_text("abc")
    digest = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"  # FIPS 180-4, example 1
    assert sha256_of_file(tmp_path / "abc") == digest
    check_sha256(tmp_path / "abc", digest)
    (tmp_path / "abc").write_text("abd")
    for name in ("abc", "gone"):
        with pytest.raises(CorruptFileError, match=digest):
            check_sha256(tmp_path / name, digest)


@pytest.mark.parametrize(
    ("uri", "inside"),
    [
        ("a.jpg", "root/a.jpg"),
        ("missing/../a.jpg", "root/a.jpg"),
        ("..hidden", "root/..hidden"),
        ("link-in", "root/a.jpg"),
        ("", "root"),
        ("../secret", None),
        ("folder/../../secret", None),
        ("../root-2/a.jpg", None),
        ("link-out", None),
        ("link-folder/secret", None),
        ("/etc/passwd", None),
        ("a\0.jpg", None),
    ],
)
def test_resolve_inside(tmp_path: Path, uri: str, inside: str | None) -> None:
    root = tmp_path / "root"
    (root / "folder").mkdir(parents=True)
    (tmp_path / "root-2").mkdir()
    for path in (root / "a.jpg", tmp_path / "secret", tmp_path / "root-2" / "a.jpg"):
        path.write_text("x")
    (root / "link-in").symlink_to("a.jpg")
    (root / "link-out").symlink_to("../secret")
    (root / "link-folder").symlink_to("..")
    expected = None if inside is None else str((tmp_path / inside).resolve())
    assert resolve_inside(root, uri) == expected
    if expected is not None:
        assert resolve_inside(root, expected) == expected  # absolute paths inside are allowed


def test_resolve_inside_a_linked_root(tmp_path: Path) -> None:
    (tmp_path / "root").mkdir()
    (tmp_path / "link").symlink_to("root")
    expected = str((tmp_path / "root").resolve() / "a.jpg")
    assert resolve_inside(tmp_path / "link", str(tmp_path / "link" / "a.jpg")) == expected


def test_expand_inputs(tmp_path: Path) -> None:
    names = [
        "p.csv",
        "_SUCCESS",
        ".p.csv.crc",
        "day=1/b.csv",
        "day=1/a.csv",
        "day=2/_tmp/x.csv",
        "day=2/c.csv",
        ".x/d.csv",
    ]
    for name in names:
        (tmp_path / name).parent.mkdir(exist_ok=True, parents=True)
        (tmp_path / name).touch()

    def found(spec: str, date: str | None = None) -> list[str]:
        return [os.path.relpath(path, tmp_path) for path in expand_inputs(str(tmp_path / spec), date)]

    assert found("") == ["day=1/a.csv", "day=1/b.csv", "day=2/c.csv", "p.csv"]
    assert found("day=*") == ["day=1/a.csv", "day=1/b.csv", "day=2/c.csv"]
    assert found("*/a.csv") == ["day=1/a.csv"]
    assert found("**/*.csv") == ["day=1/a.csv", "day=1/b.csv", "day=2/c.csv", "p.csv"]
    assert found("day=2/_tmp/*.csv") == ["day=2/_tmp/x.csv"]  # the folder is named outright
    assert set(found("day=*/../p.csv")) == {"p.csv"}
    assert found("_SUCCESS") == ["_SUCCESS"]  # named outright
    assert found("day={date}/b.csv", "1") == ["day=1/b.csv"]
    with pytest.raises(UsageError, match="--date"):
        found("day={date}")
    for nothing in ("day={date}", "x*", "day=2/_tmp/none", "*/*/x.csv", "*/_tmp/*", ".[x]/d.csv"):
        with pytest.raises(UsageError, match="nothing is found"):
            found(nothing, "3")


@pytest.mark.parametrize("name", ["photos [2026]", "what?", "a*b"])
def test_a_folder_whose_name_has_glob_characters_is_meant_itself(tmp_path: Path, name: str) -> None:
    """A glob below such a folder, be it the one that a job is called from."""
    folder = tmp_path / name / "_export"
    for part in ("day=1/a.csv", "day=2/b.csv", "_tmp/c.csv", "[x]/d.csv"):
        (folder / part).parent.mkdir(parents=True)
        (folder / part).touch()
    (tmp_path / "photos 2" / "_export" / "day=1").mkdir(parents=True)
    (tmp_path / "photos 2" / "_export" / "day=1" / "other.csv").touch()
    for spec, expected in {
        "*": ["[x]/d.csv", "day=1/a.csv", "day=2/b.csv"],
        "**/*.csv": ["[x]/d.csv", "day=1/a.csv", "day=2/b.csv"],
        "day=*/a.csv": ["day=1/a.csv"],
        "day=[12]/*.csv": ["day=1/a.csv", "day=2/b.csv"],
        "[x]/*.csv": ["[x]/d.csv"],
    }.items():
        assert [os.path.relpath(path, folder) for path in expand_inputs(f"{folder}/{spec}")] == expected


def test_what_lies_beside_data_and_is_none_is_skipped(tmp_path: Path) -> None:
    others = ["README", "readme.TXT", "README_de.html", "LICENSE", "licence.txt", "NOTICE", "part-0.csv.crc", "a.md"]
    others += ["c.sha256", "SHA256SUMS", "Thumbs.db", "_SUCCESS", ".part-0.csv.crc"]
    data = ["part-0.csv", "licenses.csv", "notices", "readmes.json"]
    for name in [*others, *data]:
        (tmp_path / name).touch()
    assert {os.path.basename(path) for path in expand_inputs(str(tmp_path))} == set(data)
    assert {os.path.basename(path) for path in expand_inputs(f"{tmp_path}/*")} == set(data)
    assert expand_inputs(f"{tmp_path}/README") == [f"{tmp_path}/README"]  # named outright


@pytest.mark.parametrize(
    ("kind", "mark", "part"),
    [
        ("Delta Lake", "_delta_log/00000000000000000000.json", "part-0.parquet"),
        ("Iceberg", "metadata/v1.metadata.json", "data/part-0.parquet"),
        ("Hudi", ".hoodie/hoodie.properties", "day=1/part-0.parquet"),
    ],
)
def test_the_folder_of_a_table_is_refused_by_name(tmp_path: Path, kind: str, mark: str, part: str) -> None:
    for name in (mark, part):
        (tmp_path / "shop" / "products" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "shop" / "products" / name).touch()
    (tmp_path / "shop" / "log.csv").touch()
    for spec in ("shop/products", f"shop/products/{part}", "shop", "shop/*", f"shop/products/{os.path.dirname(part)}"):
        with pytest.raises(UsageError, match=rf"the {kind} table .*products'.*deltalake, pyiceberg"):
            expand_inputs(str(tmp_path / spec))
    assert expand_inputs(str(tmp_path / "shop" / "log.csv")) == [str(tmp_path / "shop" / "log.csv")]


def test_what_is_declared_of_a_path_goes_with_its_files(tmp_path: Path) -> None:
    (tmp_path / "part-0").touch()
    form = {"type": "csv"}
    for spec in (tmp_path, tmp_path / "part-0", tmp_path / "part*"):
        (found,) = expand_inputs(declare(str(spec), form))
        assert declared_form(found) == form
        assert declared_form(pickle.loads(pickle.dumps(found))) == form
    assert declared_form(expand_inputs(str(tmp_path))[0]) == {}
    said = declare(str(tmp_path), form)
    assert (declared_form(declare(said, {"type": "json"})), declared_form(said)) == ({"type": "json"}, form)
