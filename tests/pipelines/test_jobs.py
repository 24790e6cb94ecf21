"""Flags: command line over TOML over defaults; whatever nobody knows is refused; exit codes."""

import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import apache_beam as beam
import pytest
from apache_beam.options.pipeline_options import DirectOptions, StandardOptions

from pipelines.console.jobs import (
    beam_options,
    exit_code,
    flag,
    main_of_alone,
    parse,
    parse_alone,
    print_summary,
    shown_call,
)
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
    accept: str = flag(default="", help="separated by commas", by_commas=True)
    columns: dict[str, Any] = flag(default={}, help="mapping")


@dataclass(frozen=True, kw_only=True)
class PlaceConfig:
    """Makes a thing somewhere."""

    size: int = flag(default=1, help="how large")
    out: str = flag(help="where", positional=True)
    quick: bool = flag(default=False, help="hurry")


def parsed(*argv: str) -> Config:
    return parse(Config, argv, "itemsage thing", "itemsage thing --run=r")[0]


def toml(tmp_path: Path, text: str) -> str:
    (tmp_path / "c.toml").write_text(text)
    return f"--config={tmp_path / 'c.toml'}"


def test_defaults_and_flags() -> None:
    assert parsed("--run=r") == Config(run="r", batch_size=8, rate=0.5, date=None, mode="fast", resume=True, columns={})
    given = parsed("--run", "r", "--batch-size=9", "--rate=2", "--date=d", "--mode=exact", "--no-resume")
    assert given == Config(run="r", batch_size=9, rate=2.0, date="d", mode="exact", resume=False)


def test_a_call_is_shown_as_it_could_be_given_without_the_folders_of_a_machine() -> None:
    config = parsed("--run=/data/runs/7", "--rate=2", "--mode=exact", "--no-resume", "--accept=a b,c")
    shown = "thing --run 7 --rate 2.0 --mode exact --no-resume --accept 'a b,c'"
    assert shown_call("thing", config) == shown
    assert shown_call("thing", config, left_out=("rate", "accept"), names={"--mode": "--how"}) == (
        "thing --run 7 --how exact --no-resume"
    )


def test_toml_lies_between_defaults_and_flags(tmp_path: Path) -> None:
    config = toml(
        tmp_path,
        'run = "a"\nbatch_size = 1\ntarget_recall = 0.5\nengagements = 1\n[thing]\nbatch-size = 2\nrate = 3\n'
        '[columns]\ntitle = "name"\n[sample-shop]\nunknown = 1\n',
    )
    assert parsed(config) == Config(run="a", batch_size=2, rate=3.0, columns={"title": "name"})
    assert parsed(config, "--batch-size=7", "--run=b").batch_size == 7


@pytest.mark.parametrize(
    ("text", "expected"), [('"a,b"', "a,b"), ('["a", "b"]', "a,b"), ("[3, 20]", "3,20"), ('["a"]', "a"), ("[]", "")]
)
def test_toml_may_list_what_commas_separate(tmp_path: Path, text: str, expected: str) -> None:
    assert parsed(toml(tmp_path, f'run = "a"\naccept = {text}\n')).accept == expected


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ('run = "a"\n[thing]\nbatch_sise = 1\n', "batch_sise"),
        ('run = "a"\nbatch_size = "1"\n', "expected int for batch_size"),
        ('run = "a"\nbatch_size = true\n', "expected int for batch_size"),
        ('run = "a"\nresume = 1\n', "expected bool for resume"),
        ('run = "a"\nmode = "slow"\n', "one of fast, exact for mode in .*, got 'slow'"),
        ('run = "a"\n[thing]\nmode = "slow"\n', "one of fast, exact for mode"),
        ('run = "a"\nengagement = "log"\n', "got 'engagement' in .*: is it engagements"),
        ('run = "a"\nthing = 5\n', r"expected a table \[thing\] in .*, got thing = 5"),
        ('run = "a"\n[[thing]]\nrate = 1\n', r"expected a table \[thing\]"),
        ('run = "a"\n[dayly]\nrate = 1\n', r"got '\[dayly\]' in .*: is it daily"),
        ('run = "a"\n[thing.columns]\ntitle = "name"\n', "got 'columns'"),
        ('run = "a"\ncolumns = "name"\n', "expected dict for columns"),
        ('run = ["a"]\n', "expected str for run"),
        ('run = "a"\naccept = ["b,c"]\n', "expected words without commas"),
        ('run = "a"\naccept = ["b", 1.5]\n', "expected words without commas"),
        ('run = "a"\naccept = [true]\n', "expected words without commas"),
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


@pytest.mark.parametrize("argv", [["there"], ["--size=2", "there"], ["there", "--size", "2"], ["--quick", "there"]])
def test_a_positional_flag(argv: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    def place(*argv: str) -> PlaceConfig:
        return parse_alone(PlaceConfig, argv, "itemsage place", "itemsage place there")

    assert place(*argv).out == "there"
    assert place(toml(tmp_path, 'out = "file"\n')).out == "file"
    assert place(toml(tmp_path, 'out = "file"\n'), *argv).out == "there"
    with pytest.raises(UsageError, match="expected OUT, got none"):
        place("--size=2")
    with pytest.raises(UsageError, match="got too"):
        place("there", "too")
    with pytest.raises(SystemExit):
        place("--help")
    assert "OUT" in capsys.readouterr().out


def test_date_goes_into_every_value(tmp_path: Path) -> None:
    config = toml(tmp_path, 'run = "{date}/{date}"\n[columns]\ntitle = "{date}"\n')
    assert parsed(config, "--date=d").run == "d/d"
    assert parsed(config, "--date=d").columns == {"title": "{date}"}
    assert parsed("--run=r-{date}", "--date", "2026-06-30").run == "r-2026-06-30"
    with pytest.raises(UsageError, match=r"expected --date for the \{date\} in 'r-\{date\}'"):
        parsed("--run=r-{date}")
    undated = parse_alone(PlaceConfig, ["{date}"], "itemsage place", "x")
    assert undated.out == "{date}"  # such a command has no day


def fail(error: BaseException, cause: BaseException | None = None) -> Any:
    def job() -> None:
        raise error from cause

    return job


class EmptyError(ThresholdError):
    """A kind of error of its own, as some modules have."""


WORKER = """Traceback (most recent call last):
  File "schemas/reading/rows.py", line 1, in read_slice
OSError: short read

The above exception was the direct cause of the following exception:

Traceback (most recent call last):
schemas.errors.CorruptFileError: expected a file, got none [while running 'Read']
"""


def test_exit_codes(capsys: pytest.CaptureFixture[str]) -> None:
    assert exit_code(lambda: None) == 0
    assert exit_code(lambda: 5) == 5
    for job, code, shown in [
        (fail(UsageError("wrong call")), 2, "wrong call"),
        (fail(ThresholdError("bad data")), 3, "bad data"),
        (fail(EmptyError("no data")), 3, "no data"),
        (fail(RuntimeError("it failed"), EmptyError("no data")), 3, "no data"),
        (fail(CorruptFileError("bad file")), 1, "bad file"),
        (fail(CorruptFileError("bad file [while running 'Step/Do']")), 1, "bad file"),
        (fail(CorruptFileError("two\nlines")), 1, "two lines"),
        (fail(RuntimeError("it failed"), ThresholdError("bad data")), 3, "bad data"),
        (fail(RuntimeError("it"), RuntimeError(WORKER)), 1, "expected a file, got none"),
        (fail(RuntimeError(f"instruction 7: {WORKER}\n\tat java.lang")), 1, "expected a file, got none"),
    ]:
        assert exit_code(job) == code
        assert capsys.readouterr().err == f"error: {shown}\n"
    assert exit_code(fail(KeyboardInterrupt())) == 130
    assert capsys.readouterr().err == "interrupted: the same call goes on where it stopped\n"


@pytest.mark.parametrize(
    "error",
    [
        KeyError("x"),
        RuntimeError("CorruptFileError: not a line of a traceback"),
        RuntimeError(WORKER + "KeyError: 'a fault while handling it'\n"),
        BrokenPipeError("of a worker, while somebody reads our output"),
    ],
)
def test_faults_of_ours_keep_their_traceback(error: Exception) -> None:
    with pytest.raises(type(error)) as raised:
        exit_code(fail(error, None))
    assert raised.value is error
    if isinstance(error, KeyError):
        with pytest.raises(KeyError):
            exit_code(fail(error, CorruptFileError("handled wrongly")))


@pytest.mark.parametrize("size", [1, 100_000])  # what fits into a buffer fails as late as at its last flush
def test_a_reader_that_stops_reading_ends_it_quietly(size: int) -> None:
    code = f"import sys; from pipelines.console.jobs import exit_code; sys.exit(exit_code(lambda: print('x' * {size})))"
    with subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        process.stdout.close()
        assert process.stderr.read() == b""
    assert process.returncode == 141


def test_main_of_runs_and_returns_the_exit_code(capsys: pytest.CaptureFixture[str]) -> None:
    seen: list[PlaceConfig] = []

    def main(*argv: str) -> int:
        return main_of_alone(
            PlaceConfig, lambda config: seen.append(config) or {"rows": 3}, argv, "itemsage place", "x"
        )

    assert main("there") == 0  # not the manifest
    assert seen == [PlaceConfig(out="there")]
    assert main() == 2
    assert "expected OUT" in capsys.readouterr().err


def test_summary_line(capsys: pytest.CaptureFixture[str]) -> None:
    print_summary("items", {"rows_read": 12345, "reason:null_id": 2}, 0.0, "run/items")
    shown = capsys.readouterr().out
    assert shown.startswith("items: rows read 12,345; ")
    assert shown.endswith(" s; run/items\n")


@pytest.mark.parametrize(("error", "told"), [(CorruptFileError("a file is torn"), True), (KeyError("ours?"), False)])
def test_an_error_of_ours_inside_a_pipeline_is_one_line_without_beams_traceback(error, told, capsys, caplog):
    def fail_with(element: int) -> int:
        raise error

    def job() -> None:
        with beam.Pipeline(options=beam_options([])) as pipeline:
            _ = pipeline | beam.Create([1]) | beam.Map(fail_with)

    if told:
        assert exit_code(job) == 1
        assert capsys.readouterr().err.splitlines()[-1] == "error: a file is torn"
    else:
        with pytest.raises(KeyError):
            exit_code(job)
    assert any(record.exc_info for record in caplog.records) == (not told)
