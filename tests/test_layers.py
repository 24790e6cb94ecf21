"""The packages know only what they may: schemas neither torch nor Beam, model no Beam, and never upwards."""

import ast
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
FORBIDDEN = {
    "schemas": {"torch", "torchvision", "apache_beam", "annoy", "model", "pipelines"},
    "model": {"apache_beam", "pipelines"},
}

#: The rooms of model/: each may import those before it, and itself.
ROOMS = ("machine", "text", "pictures", "split", "nearest", "items", "measures", "training", "users")


def imports_of(path: Path) -> set[str]:
    found = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            found |= {alias.name.split(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.level == 0:
            found.add((node.module or "").split(".")[0])
    return found


@pytest.mark.parametrize("package", FORBIDDEN)
def test_package_imports_only_lower_layers(package):
    files = sorted((ROOT / package).rglob("*.py"))
    assert len(files) > 5
    for path in files:
        assert not imports_of(path) & FORBIDDEN[package], path


def rooms_imported_by(path: Path) -> set[str]:
    """Rooms of model/ that are needed when the module is imported or used; not those that only types are of."""
    tree, typed = ast.parse(path.read_text()), set()
    for node in ast.walk(tree):
        if isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING":
            typed |= set(ast.walk(node))
    modules = {node.module or "" for node in ast.walk(tree) if isinstance(node, ast.ImportFrom) and node not in typed}
    return {module.split(".")[1] for module in modules if module.startswith("model.")}


@pytest.mark.parametrize("room", ROOMS)
def test_a_room_of_the_model_imports_only_those_before_it(room):
    files = sorted((ROOT / "model" / room).glob("*.py"))
    assert len(files) > 1
    for path in files:
        assert rooms_imported_by(path) <= set(ROOMS[: ROOMS.index(room) + 1]), path


def test_every_module_of_the_model_is_in_a_room():
    assert {path.parent.name for path in (ROOT / "model").rglob("*.py")} == {*ROOMS, "model"}
    assert [path.name for path in (ROOT / "model").glob("*.py")] == ["__init__.py"]
