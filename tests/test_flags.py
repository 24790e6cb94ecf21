"""The flags of every command are a contract: changing one is a decision, made by changing the golden file.

Regenerate: PYTHONPATH=. python tests/test_flags.py
"""

import dataclasses
import importlib
import json
from pathlib import Path

import pytest

from pipelines.cli import COMMANDS, main, usage

GOLDEN = Path(__file__).parent / "golden" / "flags" / "v1" / "flags.json"


def config_of(module_name: str) -> type | None:
    """The config dataclass that a job module's `main` parses; None for the commands with a positional argument."""
    module = importlib.import_module(module_name)
    wanted = module_name.split(".")[-1].replace("_", "") + "config"
    return next((value for name, value in vars(module).items() if name.lower() == wanted), None)


def flags() -> dict[str, dict[str, str]]:
    """command -> flag -> default, "required" where there is none."""
    found = {}
    for command, (module_name, _) in COMMANDS.items():
        config = config_of(module_name)
        if config is None:
            continue
        found[command] = {
            "--" + field.name.replace("_", "-"): "required"
            if field.default is dataclasses.MISSING and field.default_factory is dataclasses.MISSING
            else str(field.default)
            for field in dataclasses.fields(config)
            if field.name != "columns"
        }
    return found


def test_flags_are_the_golden_ones():
    assert flags() == json.loads(GOLDEN.read_text())


def test_every_stage_has_flags():
    assert len(flags()) >= 10


@pytest.mark.parametrize("command", COMMANDS)
def test_help_shows_an_example_and_exits_0(command, capsys):
    with pytest.raises(SystemExit) as exit_info:
        main([command, "--help"])
    assert exit_info.value.code == 0
    shown = capsys.readouterr().out
    assert "example:" in shown
    assert f"itemsage {command}" in shown or f"pipelines.{command}" in shown


def test_unknown_command_and_no_command_exit_2(capsys):
    assert main(["surf"]) == 2
    assert "'surf'" in capsys.readouterr().err
    assert main([]) == 2
    assert main(["--help"]) == 0
    assert capsys.readouterr().out.strip() == usage()


@pytest.mark.parametrize("command", ["train", "daily", "ingest", "search", "evaluate", "publish"])
def test_a_wrong_call_exits_2_and_says_what_is_missing(command, capsys):
    assert main([command, "--no-such-flag=1", "--store=s", "--run=r"]) == 2
    assert "expected" in capsys.readouterr().err


if __name__ == "__main__":
    GOLDEN.parent.mkdir(parents=True, exist_ok=True)
    GOLDEN.write_text(json.dumps(flags(), indent=1) + "\n")
