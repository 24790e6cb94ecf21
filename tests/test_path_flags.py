"""Flags that name places: all of them are known as such, and none takes a URI, whatever it is of."""

import dataclasses
import importlib
import typing
from pathlib import Path

import pytest
from command_configs import MODULES, configs
from python_process import ROOT, run_python

from pipelines.console.config_file import plain_type
from pipelines.console.jobs import flag_name, parse
from pipelines.console.paths import path_fields

#: Flags of text that name no place; "command flag" where other commands have a path of that name.
NO_PLACES = {
    *("accept", "actions", "because", "calibrate_samples", "date", "device", "end_date", "from_date", "image_encoder"),
    *("image_weights_name", "image_weights_sha256", "item", "reason", "recent", "text", "to_date", "train_before"),
    *("frozen", "nested_dims", "sources", "tables", "tasks", "text_encoder", "time_zone", "user", "user_agent"),
    *("half_evidence", "reference", "split_date", "weights"),
    "evaluate-sources also",
    "evaluate-users also",  # NAME=FOLDER, of which it refuses URIs itself
    *("backfill model", "daily model", "doctor model", "unify model", "unified_model"),  # ids of models
    # names of runs, which are looked up in the store
    *("diff new", "diff old", "explain run", "rollback to", "verify run"),
}
OBJECT = "s3://bucket/x"
PATH_FLAGS = [(command, field) for command, config in configs().items() for field in path_fields(config)]


def call(command: str, *argv: str) -> int:
    """Exit code of `python -m <module of the command> argv`, which is that of `itemsage command argv`."""
    return importlib.import_module(MODULES[command]).main(argv)


@pytest.fixture
def empty(tmp_path, monkeypatch) -> Path:
    """The working folder, in which nothing may be left."""
    folder = tmp_path / "empty"
    folder.mkdir()
    monkeypatch.chdir(folder)
    return folder


@pytest.mark.parametrize("command", configs())
def test_every_flag_of_text_is_a_path_or_known_as_none(command):
    """A new flag belongs to either: `flag(path=True)` where it is declared, or NO_PLACES."""
    config = configs()[command]
    hints = typing.get_type_hints(config)
    for field in dataclasses.fields(config):
        is_text = plain_type(hints[field.name]) is str and field.metadata["choices"] is None
        is_no_place = bool({field.name, f"{command} {field.name}"} & NO_PLACES)
        assert bool(field.metadata["path"]) == (is_text and not is_no_place), flag_name(field)


def test_every_command_with_a_store_or_a_run_is_walked():
    walked = {command for command, _ in PATH_FLAGS}
    assert set(MODULES) - walked == {"demo"}
    assert len(PATH_FLAGS) > 60


@pytest.mark.parametrize(("command", "field"), PATH_FLAGS, ids=lambda value: getattr(value, "name", value))
def test_an_object_store_is_refused_before_anything_is_made(command, field, empty, capsys):
    argv = [OBJECT] if field.metadata["positional"] else [f"{flag_name(field)}={OBJECT}"]
    assert call(command, *argv) == 2
    error = capsys.readouterr().err
    assert f"expected a local path for {flag_name(field)}, got '{OBJECT}'" in error
    assert "mount it" in error
    assert list(empty.iterdir()) == []


@pytest.mark.parametrize("command", configs())
def test_so_it_is_in_the_config_file(command, empty, tmp_path, capsys):
    config = tmp_path / "shop.toml"
    for field in path_fields(configs()[command]):
        config.write_text(f'{field.name} = "{OBJECT}"\n')
        assert call(command, "--config", str(config)) == 2
        assert f"a local path for {field.name} in {config}, got '{OBJECT}'" in capsys.readouterr().err
    assert list(empty.iterdir()) == []


def test_a_flag_that_overrides_the_config_file_decides(empty, tmp_path, capsys):
    config = tmp_path / "shop.toml"
    config.write_text(f'store = "{OBJECT}"\n[path]\nwhat = "index"\n')
    assert call("path", "--config", str(config), "--store", "none") == 2
    assert "expected a published run in the store none" in capsys.readouterr().err


@pytest.mark.parametrize("command", [*configs(), "demo"])
def test_places_that_are_no_fields_of_a_config(command, empty, capsys):
    argv = [OBJECT] if command == "demo" else [f"--config={OBJECT}"]
    assert call(command, *argv) == 2
    assert f"expected a local path for {'FOLDER' if command == 'demo' else '--config'}" in capsys.readouterr().err
    assert list(empty.iterdir()) == []


@pytest.mark.parametrize(
    "value",
    [
        *("s3://bucket/{date}/*.parquet", "gs://b/x", "S3A://b/x", "hdfs:///x", "https://example.org/a.parquet"),
        *("  s3://b/x", "simplecache::s3://b/x", "a.parquet,s3://b/x", "catalog/*,gs://b/x", "s3:/b/x", "./s3://b/x"),
    ],
)
def test_spellings_of_a_uri(value, empty, capsys):
    assert call("ingest", "--run=run", f"--catalog={value}", "--date=2026-06-30") == 2
    assert "expected a local path for --catalog" in capsys.readouterr().err
    assert list(empty.iterdir()) == []


@pytest.mark.parametrize(
    ("value", "to_do"),
    [
        ("file:///data/shop", "give /data/shop"),
        ("FILE:/data/shop", "give /data/shop"),
        ("file://localhost/data/my%20shop", "give /data/my shop"),
        ("file:///", "give /"),
        ("file://data/shop", "give that path"),
    ],
)
def test_a_file_uri_is_told_as_a_path(value, to_do, empty, capsys):
    assert call("ingest", "--run=run", f"--catalog={value}") == 2
    assert capsys.readouterr().err.endswith(f"{to_do}\n")
    assert list(empty.iterdir()) == []


@pytest.mark.parametrize("value", ["day=2026:1/a b", "a:b", "12:30/x", "s3:", "./s3:/x", "/data/s3:/x"])
def test_names_with_a_colon_are_paths(value, empty):
    config, _ = parse(configs()["vocabulary"], [f"--run={value}"], "itemsage vocabulary", "")
    assert Path(config.run) == empty / value


def test_beam_may_use_an_object_store(empty):
    argv = ["--run=run", "--temp_location=gs://bucket/tmp"]
    _, options = parse(configs()["vocabulary"], argv, "itemsage vocabulary", "")
    assert options.get_all_options()["temp_location"] == "gs://bucket/tmp"


@pytest.mark.medium
def test_as_a_module_of_its_own(empty):
    code = "import runpy, sys; sys.argv[1:] = sys.argv[2:]; runpy.run_module('pipelines.ingest', run_name='__main__')"
    ended = run_python(code, "-", f"--run={OBJECT}", "--catalog=x")
    assert ended.returncode == 2
    assert ended.stderr.startswith("error: expected a local path for --run")
    assert list(empty.iterdir()) == []
    assert not list(ROOT.glob("s3:*"))
