"""Nothing but schemas/storage.py touches files: another kind of storage needs no other module."""

import ast
from pathlib import Path

import pytest

_ROOT = Path(__file__).resolve().parents[1]
_SOURCES = sorted(path for package in ("schemas", "model", "pipelines") for path in (_ROOT / package).rglob("*.py"))
_OS = frozenset(
    (
        "open", "stat", "lstat", "fstat", "access", "unlink", "remove", "rename", "replace", "mkdir", "makedirs",
        "rmdir", "removedirs", "listdir", "scandir", "walk", "link", "symlink", "readlink", "chmod", "chown",
        "utime", "truncate", "ftruncate", "fsync", "pread", "pwrite", "statvfs",
    )
)  # fmt: skip
_OS_PATH = frozenset(
    (
        "exists", "lexists", "isfile", "isdir", "islink", "ismount", "getsize", "getmtime", "realpath",
        "samefile",
    )
)  # fmt: skip
_METHODS = frozenset(
    (
        "read_text", "write_text", "read_bytes", "write_bytes", "mkdir", "rmdir", "unlink", "rename", "touch",
        "is_file", "is_dir", "is_symlink", "exists", "iterdir", "rglob", "glob", "stat", "lstat", "chmod",
        "symlink_to", "hardlink_to",
    )
)  # fmt: skip
_MODULES = frozenset(("shutil", "glob", "tempfile", "mmap", "fcntl"))


def _named(node: ast.expr) -> str:
    return ast.unparse(node) if isinstance(node, ast.Name | ast.Attribute) else ""


def touched(source: str) -> list[tuple[int, str]]:
    """(line, call) of the calls in a module that touch files."""
    found = []
    for node in ast.walk(ast.parse(source)):
        if not isinstance(node, ast.Call):
            continue
        function = node.func
        if isinstance(function, ast.Name):
            touches = function.id == "open"
        elif isinstance(function, ast.Attribute):
            of = _named(function.value)
            touches = (
                (of == "os" and function.attr in _OS)
                or (of == "os.path" and function.attr in _OS_PATH)
                or of in _MODULES
                or (function.attr in _METHODS and of not in ("storage", "os", "os.path"))
                or (function.attr == "resolve" and not node.args)
            )
        else:
            touches = False
        if touches:
            found.append((node.lineno, ast.unparse(function)))
    return found


@pytest.mark.medium
@pytest.mark.parametrize("path", _SOURCES, ids=lambda path: path.relative_to(_ROOT).as_posix())
def test_only_storage_touches_files(path: Path) -> None:
    found = touched(path.read_text(encoding="utf-8"))
    name = path.relative_to(_ROOT).as_posix()
    if name == "schemas/storage.py":
        assert found, "else nothing is looked at"
    else:
        assert not found, f"expected {name} to ask schemas.storage, got {found}"


@pytest.mark.parametrize(
    "source",
    [
        "open('a')",
        "os.stat('a')",
        "os.path.isfile('a')",
        "shutil.rmtree('a')",
        "Path('a').read_text()",
        "(folder / 'a').unlink()",
        "glob.glob('*')",
        "path.resolve()",
    ],
)
def test_a_touch_is_seen(source: str) -> None:
    assert touched(source)


@pytest.mark.parametrize(
    "source", ["storage.has('a')", "os.path.join('a', 'b')", "text.replace('a', 'b')", "os.environ.get('A')"]
)
def test_what_touches_nothing_is_let_pass(source: str) -> None:
    assert not touched(source)
