"""The flags of every command are a contract: changing one is a decision, made by changing the golden file.

Regenerate: PYTHONPATH=.:tests/helpers python tests/test_flags.py
"""

import dataclasses
import json
from pathlib import Path

import pytest
from command_configs import MODULES, configs, flags
from python_process import run_python

from model.items.config import ItemSageConfig
from model.training.config import TrainingConfig
from pipelines.cli import main, usage
from pipelines.console.commands import COMMANDS
from pipelines.console.config_file import SHARED_KEYS
from pipelines.train.learning_flags import LearningFlags, ModelFlags

GOLDEN = Path(__file__).parent / "golden" / "flags" / "v1" / "flags.json"


def test_flags_are_the_golden_ones():
    assert flags() == json.loads(GOLDEN.read_text())


def test_a_shared_config_file_may_hold_the_flags_of_every_command():
    names = {field.name for config in configs().values() for field in dataclasses.fields(config)} - {"columns"}
    assert names == SHARED_KEYS, "adapt SHARED_KEYS of pipelines/console/config_file.py"


def test_every_stage_has_flags():
    assert set(MODULES) - set(flags()) <= {"demo"}


@pytest.mark.parametrize(("switches", "reached_by"), [(ItemSageConfig, ModelFlags), (TrainingConfig, LearningFlags)])
def test_every_switch_of_model_and_training_is_a_flag(switches, reached_by):
    of_data = {"vocabulary_size", "picture_dim", "text_dim", "query_table_dim"}
    reached = {field.name for field in dataclasses.fields(reached_by)} | {"seed"}
    assert {field.name for field in dataclasses.fields(switches)} - of_data == reached - of_data


@pytest.mark.parametrize("command", COMMANDS)
def test_help_shows_an_example_and_exits_0(command, capsys):
    with pytest.raises(SystemExit) as exit_info:
        main([command, "--help"])
    assert exit_info.value.code == 0
    shown = capsys.readouterr().out
    assert "example:" in shown
    assert f"itemsage {command}" in shown or f"pipelines.{command}" in shown


@pytest.mark.parametrize("call", ["--help", "surf", "path --help", "path embeddings --store=none", "runs --store=none"])
def test_a_short_command_does_not_wait_for_what_it_does_not_use(call):
    code = (
        "import sys\nfrom pipelines.cli import main\n"
        "try: main(sys.argv[1:])\n"
        "except SystemExit: pass\n"
        "assert not {'apache_beam', 'numpy', 'pyarrow', 'torch'} & set(sys.modules)"
    )
    assert run_python(code, *call.split()).returncode == 0


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
