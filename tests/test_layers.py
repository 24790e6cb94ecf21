"""The packages know only what they may: schemas neither torch nor Beam, model no Beam, and never upwards."""

import ast
from pathlib import Path

import pytest

from pipelines.console.commands import COMMANDS

ROOT = Path(__file__).resolve().parents[1]
FORBIDDEN = {
    "schemas": {"torch", "torchvision", "apache_beam", "annoy", "model", "pipelines"},
    "model": {"apache_beam", "pipelines"},
}

#: The rooms of schemas/: each may import those before it, itself, and the modules beside them, which know no room.
ROOMS_OF_SCHEMAS = (
    "parquet",
    "pictures",
    "cells",
    "columns",
    "coercion",
    "events",
    "reading",
    "validation",
    "records",
    "sample_shop",
)

#: The rooms of model/: each may import those before it, and itself.
ROOMS_OF_MODEL = (
    "machine",
    "text",
    "pictures",
    "split",
    "nearest",
    "items",
    "measures",
    "training",
    "sources",
    "users",
)

#: The same of pipelines/: first what serves all, then stages in the order of the flow, then what is made of them.
ROOMS_OF_PIPELINES = (
    *("stages", "store", "console", "run", "log", "gates"),
    *(
        "ingest",
        "vocabulary",
        "features",
        "pairs",
        "sources",
        "one_embedding",
        "embed",
        "unify",
        "evaluate",
        "index",
        "users",
        "evaluate_users",
        "evaluate_sources",
        "publish",
    ),
    *("train", "daily", "ablate", "serving", "search", "recommend", "operations"),
    *("sample_shop", "demo", "path", "init", "fetch_images", "convert_complete_journey", "cli"),
)


def imports_of(path: Path) -> set[str]:
    found = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            found |= {alias.name.split(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.level == 0:
            found.add((node.module or "").split(".")[0])
    return found


@pytest.mark.medium
@pytest.mark.parametrize("package", FORBIDDEN)
def test_package_imports_only_lower_layers(package):
    files = sorted((ROOT / package).rglob("*.py"))
    assert len(files) > 5
    for path in files:
        assert not imports_of(path) & FORBIDDEN[package], path


def rooms_imported_by(path: Path, package: str) -> set[str]:
    """Rooms (and modules) of the package that are needed when the module is imported or used; not those that only
    types are of."""
    tree, typed = ast.parse(path.read_text()), set()
    for node in ast.walk(tree):
        if isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING":
            typed |= set(ast.walk(node))
    imports = [node for node in ast.walk(tree) if isinstance(node, ast.ImportFrom) and node not in typed]
    names = [f"{node.module}.{alias.name}" for node in imports for alias in node.names]
    return {name.split(".")[1] for name in names if name.startswith(f"{package}.")}


@pytest.mark.parametrize("room", ROOMS_OF_SCHEMAS)
def test_a_room_of_the_schemas_imports_only_those_before_it(room):
    files = sorted((ROOT / "schemas" / room).glob("*.py"))
    assert len(files) > 1
    before = {*ROOMS_OF_SCHEMAS[: ROOMS_OF_SCHEMAS.index(room) + 1], *beside_the_rooms()}
    for path in files:
        assert rooms_imported_by(path, "schemas") <= before, path


def test_what_stands_beside_the_rooms_of_the_schemas_knows_none_of_them():
    assert {path.parent.name for path in (ROOT / "schemas").rglob("*.py")} == {*ROOMS_OF_SCHEMAS, "schemas"}
    for name in beside_the_rooms():
        assert rooms_imported_by(ROOT / "schemas" / f"{name}.py", "schemas") <= beside_the_rooms(), name


def beside_the_rooms() -> set[str]:
    return {path.stem for path in (ROOT / "schemas").glob("*.py") if path.stem != "__init__"}


@pytest.mark.parametrize("room", ROOMS_OF_MODEL)
def test_a_room_of_the_model_imports_only_those_before_it(room):
    files = sorted((ROOT / "model" / room).glob("*.py"))
    assert len(files) > 1
    for path in files:
        assert rooms_imported_by(path, "model") <= set(ROOMS_OF_MODEL[: ROOMS_OF_MODEL.index(room) + 1]), path


def test_every_module_of_the_model_is_in_a_room():
    assert {path.parent.name for path in (ROOT / "model").rglob("*.py")} == {*ROOMS_OF_MODEL, "model"}
    assert [path.name for path in (ROOT / "model").glob("*.py")] == ["__init__.py"]


def test_every_dofn_counts_its_elements():
    """Beam's own is what CountedDoFn alone derives from."""
    plain, counted = [], 0
    for path in (ROOT / "pipelines").rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            bases = [ast.unparse(base) for base in node.bases] if isinstance(node, ast.ClassDef) else []
            plain += [node.name for base in bases if base.split(".")[-1] == "DoFn"]
            counted += "CountedDoFn" in bases
    assert (plain, counted > 20) == (["CountedDoFn"], True)


@pytest.mark.medium
@pytest.mark.parametrize("room", ROOMS_OF_PIPELINES)
def test_a_room_of_the_pipelines_imports_only_those_before_it(room):
    of_room = ROOT / "pipelines" / room
    files = sorted(of_room.rglob("*.py")) if of_room.is_dir() else [of_room.with_suffix(".py")]
    for path in files:
        before = set(ROOMS_OF_PIPELINES[: ROOMS_OF_PIPELINES.index(room) + 1])
        assert rooms_imported_by(path, "pipelines") <= before, path


def test_every_room_and_command_of_the_pipelines_has_its_place():
    listed = {path.stem for path in (ROOT / "pipelines").iterdir() if path.name not in ("__init__.py", "__pycache__")}
    assert listed == set(ROOMS_OF_PIPELINES)
    commands = {module.removesuffix(".job").split(".")[1] for module, _ in COMMANDS.values()}
    assert {name for name in listed if (ROOT / "pipelines" / f"{name}.py").exists()} <= commands | {
        "cli",
        "convert_complete_journey",
        "stages",
    }
