"""Hostile configs: every value is of its type and among its choices, or an error says which is not."""

import contextlib
import dataclasses
import importlib
import io
import random
import typing
from collections import Counter
from pathlib import Path

import pytest
from fuzz_configs import make_command_line, make_config
from fuzz_run import Outcome, fuzz

from pipelines.console.commands import COMMANDS
from pipelines.console.config_file import plain_type, read_config_file
from pipelines.console.jobs import parse_alone
from schemas.columns.mapping import TABLES, table_columns
from schemas.errors import UsageError

_COMMANDS = ("daily", "train", "search", "evaluate", "ingest", "features", "pairs", "embed", "index", "publish", "path")


@pytest.fixture(scope="module")
def config_classes() -> dict[str, type]:
    """command -> its config dataclass."""
    classes = {}
    for command in _COMMANDS:
        module = importlib.import_module(COMMANDS[command][0])
        classes[command] = next(value for name, value in vars(module).items() if name.lower() == f"{command}config")
    return classes


def check_values(config_class: type, values: dict[str, object]) -> None:
    fields = {field.name: field for field in dataclasses.fields(config_class)}
    hints = typing.get_type_hints(config_class)
    for name, value in values.items():
        assert name in fields
        if value is None or value == fields[name].default:
            continue
        kind = plain_type(hints[name])
        assert type(value) is kind, f"{name}: {type(value)} is no {kind}"
        choices = fields[name].metadata["choices"]
        assert choices is None or value in choices


def refused(error: UsageError) -> Outcome:
    text = str(error)
    assert text.isprintable(), repr(text)
    assert len(text) < 5_000, f"{len(text)} characters"
    return Outcome(type(error).__name__)


def check_config(rng: random.Random, folder: Path, config_classes: dict[str, type]) -> Outcome:
    command = rng.choice(sorted(config_classes))
    config_class = config_classes[command]
    path = folder / "config.toml"
    path.write_bytes(make_config(rng, config_class, command))
    argv = make_command_line(rng, config_class)
    shown = io.StringIO()
    try:
        values = read_config_file(str(path), config_class, command)
        check_values(config_class, values)
        for table in TABLES:
            mapping = table_columns(values.get("columns", {}), table)
            assert mapping.keys() <= set(TABLES[table].names)
    except UsageError as error:
        return refused(error)
    try:
        with contextlib.redirect_stderr(shown):
            config = parse_alone(config_class, ["--config", str(path), *argv], f"itemsage {command}", "example")
    except UsageError as error:
        return Outcome(type(error).__name__)
    except SystemExit as error:  # argparse
        if error.code != 2:
            raise AssertionError(f"expected exit code 2, got {error.code}") from error
        return Outcome("argparse")
    check_values(config_class, dataclasses.asdict(config))
    return Outcome(counts=Counter(configs=1))


@pytest.mark.medium
def test_configs(tmp_path: Path, config_classes: dict[str, type]) -> None:
    tally = fuzz("configs", lambda rng, folder: check_config(rng, folder, config_classes), tmp_path)
    assert tally.inputs == sum(tally.verdicts.values())
