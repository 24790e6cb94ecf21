"""Flags: command line over TOML over defaults; whatever nobody knows is refused; exit codes."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from apache_beam.options.pipeline_options import DirectOptions, StandardOptions

from pipelines.jobs import beam_options, exit_code, flag, parse, print_summary
from schemas.errors import CorruptFileError, ThresholdError, UsageError


@dataclass(frozen=True, kw_only=True)
class Config:
    """Does a thing.

    Not shown."""

    run: str = flag(help="run folder, 100% local")
    batch_size: int = flag(default=8, help="items a pass")
    rate: float = flag(default=0.5, help="a rate")
    date: str | None = flag(default=None, help="the day")
    mode: str = flag(default="fast", help="how", choices=["fast", "exact"])
    resume: bool = flag(default=True, help="go on")
    columns: dict[str, Any] = flag(default={}, help="mapping")


def parsed(*argv: str) -> Config:
    return parse(Config, argv, "itemsage thing", "itemsage thing --run=r")[0]


def toml(tmp_path: Path, text: str) -> str:
    (tmp_path / "c.toml").write_text(text)
    return f"--config={tmp_path / 'c.toml'}"


def test_defaults_and_flags() -> None:
    assert parsed("--run=r") == Config(run="r", batch_size=8, rate=0.5, date=None, mode="fast", resume=True, columns={})
    given = parsed("--run", "r", "--batch-size=9", "--rate=2", "--date=d", "--mode=exact", "--no-resume")
    assert given == Config(run="r", batch_size=9, rate=2.0, date="d", mode="exact", resume=False)


def test_toml_lies_between_defaults_and_flags(tmp_path: Path) -> None:
    config = toml(
        tmp_path,
        'run = "a"\nbatch_size = 1\nother_commands_key = 5\n[thing]\nbatch-size = 2\nrate = 3\n'
        '[columns]\ntitle = "name"\n[other]\nunknown = 1\n',
    )
    assert parsed(config) == Config(run="a", batch_size=2, rate=3.0, columns={"title": "name"})
    assert parsed(config, "--batch-size=7", "--run=b").batch_size == 7


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ('run = "a"\n[thing]\nbatch_sise = 1\n', "batch_sise"),
        ('run = "a"\nbatch_size = "1"\n', "expected int for batch_size"),
        ('run = "a"\nbatch_size = true\n', "expected int for batch_size"),
        ('run = "a"\nresume = 1\n', "expected bool for resume"),
        ("run = \n", "expected a TOML file"),
        ("", "--run"),
    ],
)
def test_wrong_toml(tmp_path: Path, text: str, message: str) -> None:
    with pytest.raises(UsageError, match=message):
        parsed(toml(tmp_path, text))


def test_wrong_flags(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(UsageError, match="--run"):
        parsed()
    with pytest.raises(UsageError, match="--batchsize=9"):
        parsed("--run=r", "--batchsize=9")
    with pytest.raises(UsageError, match="extra"):
        parsed("--run=r", "extra")
    with pytest.raises(UsageError, match=r"none\.toml"):
        parsed(f"--config={tmp_path / 'none.toml'}")
    for wrong in ("--batch-size=many", "--mode=slow"):  # argparse's own: exit code 2
        with pytest.raises(SystemExit) as exit_:
            parsed("--run=r", wrong)
        assert exit_.value.code == 2
    capsys.readouterr()


def test_help_shows_flags_and_example(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as exit_:
        parsed("--help")
    assert exit_.value.code == 0
    shown = capsys.readouterr().out
    for text in ("Does a thing.", "--batch-size", "100% local", "(default 8)", "itemsage thing --run=r"):
        assert text in shown
    assert "Not shown" not in shown
    assert "--columns" not in shown


def test_beam_flags_pass_through() -> None:
    options = parse(Config, ["--run=r", "--direct_num_workers=3"], "itemsage thing", "x")[1]
    assert options.view_as(DirectOptions).direct_num_workers == 3
    assert options.view_as(StandardOptions).runner == "FnApiRunner"
    for argv in (["--runner=PrismRunner"], ["--runner", "PrismRunner"]):
        assert beam_options(argv).view_as(StandardOptions).runner == "PrismRunner"


def test_exit_codes(capsys: pytest.CaptureFixture[str]) -> None:
    def fail(error: Exception) -> Any:
        def job() -> None:
            raise error

        return job

    assert exit_code(lambda: None) == 0
    assert exit_code(lambda: 5) == 5
    assert exit_code(fail(UsageError("wrong call"))) == 2
    assert exit_code(fail(ThresholdError("bad data"))) == 3
    shown = capsys.readouterr().err
    assert shown == "error: wrong call\nerror: bad data\n"
    with pytest.raises(CorruptFileError, match="a fault"):  # the interpreter exits with 1
        exit_code(fail(CorruptFileError("a fault")))


def test_summary_line(capsys: pytest.CaptureFixture[str]) -> None:
    print_summary("items", {"rows_read": 12345, "reason:null_id": 2}, 0.0, "run/items")
    shown = capsys.readouterr().out
    assert shown.startswith("items: rows read 12,345; ")
    assert shown.endswith(" s; run/items\n")
