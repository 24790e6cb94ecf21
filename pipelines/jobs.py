"""From a command line to a job's config: flags generated from a frozen dataclass, TOML below them, Beam options beside.

Each job declares its config once:

    @dataclass(frozen=True, kw_only=True)
    class EmbedConfig:
        run: str = flag(help="run folder")
        batch_size: int = flag(default=1024, help="items a forward pass")

`parse` fills it: flags override the TOML file (`--config`), which overrides defaults; whatever Beam knows becomes its
PipelineOptions; anything else is an error with exit code 2.
"""

import argparse
import dataclasses
import sys
import time
import tomllib
import types
import typing
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, TypeVar

from schemas.errors import ThresholdError, UsageError

if TYPE_CHECKING:
    from apache_beam.options.pipeline_options import PipelineOptions

ConfigT = TypeVar("ConfigT")
EXIT_DONE, EXIT_FAULT, EXIT_USAGE, EXIT_THRESHOLD = 0, 1, 2, 3


def flag(*, help: str, default: Any = dataclasses.MISSING, choices: Sequence[str] | None = None) -> Any:
    """A field of a job's config that is also a command line flag; without a default it is required."""
    metadata = {"help": help, "choices": choices}
    if isinstance(default, dict):
        return dataclasses.field(default_factory=lambda: dict(default), metadata=metadata)
    return dataclasses.field(default=default, metadata=metadata)


def parse(
    config_class: type[ConfigT], argv: Sequence[str], prog: str, example: str
) -> "tuple[ConfigT, PipelineOptions]":
    """The config of a Beam job (see parse_alone) and the Beam options that were given beside its flags."""
    config, rest = _fill(config_class, argv, prog, f"{example}\n\nOther flags go to Beam: --runner, ...")
    return config, beam_options(rest)


def parse_alone(config_class: type[ConfigT], argv: Sequence[str], prog: str, example: str) -> ConfigT:
    """The config of a command that runs no Beam, from flags, `--config` TOML and defaults.

    TOML keys are the flag names with `_` or `-`; a table named like the command (`[daily]`) overrides top-level keys;
    keys of other commands are ignored. Field `columns` (dict) is filled from the table `[columns]` only.
    Raises UsageError for a missing or unknown flag or a value of a wrong type.
    """
    config, rest = _fill(config_class, argv, prog, example)
    if rest:
        raise UsageError(f"expected flags of this command, got {' '.join(rest)}; see {prog} --help")
    return config


def _fill(config_class: type[ConfigT], argv: Sequence[str], prog: str, example: str) -> tuple[ConfigT, list[str]]:
    """The config, and the flags that are not its own."""
    parser = _parser(config_class, prog, example)
    known, rest = parser.parse_known_args(list(argv))
    values = {name: value for name, value in vars(known).items() if name != "config" and value is not None}
    merged = {**_read_toml(known.config, config_class, prog), **values}
    fields = dataclasses.fields(config_class)  # type: ignore[arg-type]
    missing = [
        f.name
        for f in fields
        if f.name not in merged and f.default is dataclasses.MISSING and f.default_factory is dataclasses.MISSING
    ]
    if missing:
        raise UsageError(
            f"expected {', '.join('--' + name.replace('_', '-') for name in missing)}, got none; {prog} --help"
        )
    return config_class(**merged), rest


def narrow(config_class: type[ConfigT], wider: Any, **given: Any) -> ConfigT:
    """The config of one stage from the config of a command that runs several: fields of equal name, and `given`."""
    names = {field.name for field in dataclasses.fields(config_class)}  # type: ignore[arg-type]
    shared = {f.name: getattr(wider, f.name) for f in dataclasses.fields(wider) if f.name in names}
    return config_class(**{**shared, **given})


def beam_options(argv: Sequence[str]) -> "PipelineOptions":
    """Beam's options from leftover flags; the runner is FnApiRunner unless given. Unknown flags raise UsageError."""
    from apache_beam.options.pipeline_options import PipelineOptions  # a second that `--help` need not wait for

    parser = argparse.ArgumentParser(add_help=False, allow_abbrev=False)
    for options_class in PipelineOptions.__subclasses__():
        options_class._add_argparse_args(_IgnoreDuplicates(parser))  # the only list of Beam's flags there is
    _, unknown = parser.parse_known_args(list(argv))
    if unknown:
        raise UsageError(f"expected flags of this command or of Beam, got {' '.join(unknown)}")
    given = any(argument == "--runner" or argument.startswith("--runner=") for argument in argv)
    return PipelineOptions([*argv] if given else [*argv, "--runner=FnApiRunner"])


def exit_code(run: Callable[[], int | None]) -> int:
    """Runs a command and turns what it raises into exit codes: 0 done, 2 usage, 3 threshold; other errors propagate."""
    try:
        return run() or EXIT_DONE
    except UsageError as error:
        print(f"error: {error}", file=sys.stderr)
        return EXIT_USAGE
    except ThresholdError as error:
        print(f"error: {error}", file=sys.stderr)
        return EXIT_THRESHOLD


def print_summary(stage: str, counts: dict[str, Any], started_s: float, where: str) -> None:
    """The short summary that each job ends with: read, reused, computed, quarantined, written, seconds, where."""
    shown = ", ".join(f"{name.replace('_', ' ')} {value:,}" for name, value in counts.items() if ":" not in name)
    print(f"{stage}: {shown or 'nothing to do'}; {time.monotonic() - started_s:.1f} s; {where}", flush=True)


class _IgnoreDuplicates:
    """argparse refuses a flag twice; some of Beam's option classes share flags."""

    def __init__(self, parser: argparse.ArgumentParser):
        self.parser = parser

    def add_argument(self, *args: Any, **kwargs: Any) -> None:
        if not any(name in self.parser._option_string_actions for name in args):
            kwargs.pop("required", None)
            self.parser.add_argument(*args, **kwargs)

    def __getattr__(self, name: str) -> Any:
        return lambda *args, **kwargs: self


def _parser(config_class: type, prog: str, example: str) -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog=prog,
        description=(config_class.__doc__ or "").strip().split("\n\n")[0],
        epilog=f"example:\n  {example}",
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    parser.add_argument("--config", help="TOML file with any of these flags; flags override it")
    hints = typing.get_type_hints(config_class)
    for field in dataclasses.fields(config_class):
        if field.name == "columns":
            continue
        name, kind = "--" + field.name.replace("_", "-"), _plain_type(hints[field.name])
        default = "" if field.default in (dataclasses.MISSING, None) else f" (default {field.default})"
        keywords: dict[str, Any] = {"help": field.metadata["help"].replace("%", "%%") + default, "dest": field.name}
        if kind is bool:
            parser.add_argument(name, action=argparse.BooleanOptionalAction, default=None, **keywords)
        else:
            parser.add_argument(name, type=kind, choices=field.metadata["choices"], default=None, **keywords)
    return parser


def _plain_type(hint: Any) -> type:
    """`int | None` -> int."""
    if isinstance(hint, types.UnionType):
        return next(argument for argument in typing.get_args(hint) if argument is not type(None))
    return typing.get_origin(hint) or hint


def _read_toml(path: str | None, config_class: type, prog: str) -> dict[str, Any]:
    if path is None:
        return {}
    try:
        with open(path, "rb") as file:
            document = tomllib.load(file)
    except (OSError, tomllib.TOMLDecodeError) as error:
        raise UsageError(f"expected a TOML file at {path}, got {error}") from error
    command = prog.split()[-1]
    flat = {key: value for key, value in document.items() if not isinstance(value, dict)}
    flat |= document.get(command, {})
    hints = typing.get_type_hints(config_class)
    values: dict[str, Any] = {}
    for key, value in flat.items():
        name = key.replace("-", "_")
        if name not in hints:
            if key in document.get(command, {}):
                raise UsageError(f"expected a flag of {prog} in [{command}] of {path}, got {key!r}")
            continue
        kind = _plain_type(hints[name])
        if kind is float and isinstance(value, int) and not isinstance(value, bool):
            value = float(value)
        if not isinstance(value, kind) or (isinstance(value, bool) and kind is not bool):
            raise UsageError(f"expected {kind.__name__} for {key} in {path}, got {value!r}")
        values[name] = value
    if "columns" in hints and "columns" in document:
        values["columns"] = document["columns"]
    return values
