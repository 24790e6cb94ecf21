"""From a command line to a job's config: flags generated from a frozen dataclass, TOML below them, Beam options beside.

Each job declares its config once:

    @dataclass(frozen=True, kw_only=True)
    class EmbedConfig:
        run: str = flag(help="run folder", path=True)
        batch_size: int = flag(default=1024, help="items a forward pass")

`parse` fills it: flags override the TOML file (`--config`), which overrides defaults; whatever Beam knows becomes its
PipelineOptions; anything else is an error with exit code 2. Paths become absolute there, and only there: whoever makes
the config of a Beam job in Python, for workers in other working folders, does as `parse` does (with_absolute_paths).
"""

import argparse
import dataclasses
import os
import shlex
import sys
import time
import typing
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, TypeVar

from pipelines.console.config_file import of_flag_type, plain_type, read_config_file, read_format
from pipelines.console.exit_codes import exit_code
from pipelines.console.paths import as_given, check_local, path_fields, with_absolute_paths
from pipelines.console.terminal import in_words
from schemas.errors import UsageError
from schemas.files import declare
from schemas.quarantine import quote
from schemas.reading.formats_of_config import TYPES

if TYPE_CHECKING:
    from apache_beam.options.pipeline_options import PipelineOptions

ConfigT = TypeVar("ConfigT")

#: The fields of configs that name the files of a table, whose form [format] and --format may tell.
_TABLE_FIELDS = {
    "catalog": "catalogue",
    "engagements": "engagements",
    "judgements": "judgements",
    "file": "catalogue",  # that a config is made from; of a log it is the file beside it
}


def flag(
    *,
    help: str,
    default: Any = dataclasses.MISSING,
    choices: Sequence[str] | None = None,
    positional: bool = False,
    by_commas: bool = False,
    path: bool = False,
) -> Any:
    """A field of a job's config that is also a command line flag; without a default it is required.

    `positional`: `run` is given as `RUN`, not as `--run=RUN`. At most one a config. `by_commas`: a text of values that
    commas separate; a config file may give a list instead. `path`: names a file, a folder or (a glob) several: a URI is
    refused, and in a Beam job the path becomes absolute.
    """
    metadata = {"help": help, "choices": choices, "positional": positional, "by_commas": by_commas, "path": path}
    if isinstance(default, dict):
        return dataclasses.field(default_factory=lambda: dict(default), metadata=metadata)
    return dataclasses.field(default=default, metadata=metadata)


def like(config_class: type, name: str, **changed: Any) -> Any:
    """A flag that another config has, with its default and all: told once. changed: of its metadata, say its help."""
    (found,) = (field for field in dataclasses.fields(config_class) if field.name == name)
    return dataclasses.field(default=found.default, metadata={**found.metadata, **changed})


def names_once(text: str, called: str) -> list[str]:
    """The names of a flag of `by_commas`, as given. Raises UsageError for one that stands twice.

    >>> names_once("bpr, dae,", "--sources")
    ['bpr', 'dae']
    """
    names = [name for name in map(str.strip, text.split(",")) if name]
    if twice := [name for place, name in enumerate(names) if name in names[:place]]:
        raise UsageError(f"expected {called} that name each once, got {quote(twice[0])} twice: leave one out")
    return names


def parse(
    config_class: type[ConfigT], argv: Sequence[str], prog: str, example: str
) -> "tuple[ConfigT, PipelineOptions]":
    """The config of a Beam job (see parse_alone), its paths absolute, and the Beam options that were given beside its
    flags."""
    config, rest = _fill(config_class, argv, prog, f"{example}\n\nOther flags go to Beam: --runner, ...")
    return with_absolute_paths(config), beam_options(rest)


def parse_alone(config_class: type[ConfigT], argv: Sequence[str], prog: str, example: str) -> ConfigT:
    """The config of a command that runs no Beam, from flags, `--config` TOML and defaults.

    The TOML file: see read_config_file. If the config has a `date`, every `{date}` in a value becomes that date.
    Raises UsageError for a missing or unknown flag, a value of a wrong type, a URI for a path, or a `{date}` without a
    date.
    """
    config, rest = _fill(config_class, argv, prog, example)
    if rest:
        raise UsageError(f"expected flags of this command, got {' '.join(rest)}; see {prog} --help")
    return config


def main_of(
    config_class: type[ConfigT],
    run: "Callable[[ConfigT, PipelineOptions], Any]",
    argv: Sequence[str] | None,
    prog: str,
    example: str,
) -> int:
    """The `main` of a Beam job: parses (argv None: the process's), runs, returns the exit code."""

    def job() -> None:
        run(*parse(config_class, sys.argv[1:] if argv is None else argv, prog, example))

    return exit_code(job)


def main_of_alone(
    config_class: type[ConfigT], run: Callable[[ConfigT], Any], argv: Sequence[str] | None, prog: str, example: str
) -> int:
    """The `main` of a command that runs no Beam."""

    def job() -> None:
        run(parse_alone(config_class, sys.argv[1:] if argv is None else argv, prog, example))

    return exit_code(job)


def _fill(config_class: type[ConfigT], argv: Sequence[str], prog: str, example: str) -> tuple[ConfigT, list[str]]:
    """The config, and the flags that are not its own."""
    parser = _parser(config_class, prog, example)
    known, rest = parser.parse_known_args(list(argv))
    flags = {name: value for name, value in vars(known).items() if value not in (None, [])}
    values = {name: value for name, value in flags.items() if name not in ("config", "format")}
    command = prog.split()[-1].rpartition(".")[2]
    check_local(known.config or "", "--config")
    merged = _fill_date({**read_config_file(known.config, config_class, command), **values}, config_class)
    for field in path_fields(config_class):
        source = flag_name(field) if field.name in values else f"{field.name} in {known.config}"
        check_local(merged.get(field.name) or "", source)
    for name in _TABLE_FIELDS.keys() & merged.keys():
        is_log = name == "file" and "catalog" in merged
        form = read_format(known.config, "engagements" if is_log else _TABLE_FIELDS[name])
        merged[name] = declare(merged[name], {**form, "type": known.format} if "format" in flags else form)
    fields = dataclasses.fields(config_class)  # type: ignore[arg-type]
    missing = [
        flag_name(f)
        for f in fields
        if f.name not in merged and f.default is dataclasses.MISSING and f.default_factory is dataclasses.MISSING
    ]
    if missing:
        raise UsageError(f"expected {', '.join(missing)}, got none; {prog} --help")
    return config_class(**merged), rest


def flag_name(field: "dataclasses.Field[Any]") -> str:
    """How a field is written on the command line: `--batch-size`, or `OUT` if it is positional."""
    return field.name.upper() if field.metadata["positional"] else "--" + field.name.replace("_", "-")


def _fill_date(values: dict[str, Any], config_class: type) -> dict[str, Any]:
    """`values` with the date in place of `{date}`; unchanged for a config that has no date."""
    names = {field.name for field in dataclasses.fields(config_class)}
    dated = [name for name, value in values.items() if isinstance(value, str) and "{date}" in value and name != "date"]
    if "date" not in names or not dated:
        return values
    if values.get("date") is None:
        raise UsageError(f"expected --date for the {{date}} in {values[dated[0]]!r}, got none")
    return {**values, **{name: values[name].replace("{date}", values["date"]) for name in dated}}


def narrow(config_class: type[ConfigT], wider: Any, **given: Any) -> ConfigT:
    """The config of one stage from the config of a command that runs several: fields of equal name, and `given`."""
    names = {field.name for field in dataclasses.fields(config_class)}  # type: ignore[arg-type]
    shared = {f.name: getattr(wider, f.name) for f in dataclasses.fields(wider) if f.name in names}
    return config_class(**{**shared, **given})


def set_flag_types(config: Any) -> None:
    """For the `__post_init__` of a config that ids are made of, which may be made in Python, too: its numbers become of
    the types that flags have, for 2 and 2.0 are two ids."""
    hints = typing.get_type_hints(type(config))
    for field in dataclasses.fields(config):
        value = of_flag_type(getattr(config, field.name), plain_type(hints[field.name]))
        object.__setattr__(config, field.name, value)


def beam_options(argv: Sequence[str]) -> "PipelineOptions":
    """Beam's options from leftover flags; the runner is FnApiRunner unless given. Unknown flags raise UsageError."""
    from apache_beam.options.pipeline_options import PipelineOptions  # a second that `--help` need not wait for

    parser = argparse.ArgumentParser(add_help=False, allow_abbrev=False)
    for options_class in PipelineOptions.__subclasses__():
        add_flags: Any = options_class._add_argparse_args  # the only list of Beam's flags there is
        add_flags(_IgnoreDuplicates(parser))
    _, unknown = parser.parse_known_args(list(argv))
    if unknown:
        raise UsageError(f"expected flags of this command or of Beam, got {' '.join(unknown)}")
    given = any(argument == "--runner" or argument.startswith("--runner=") for argument in argv)
    return PipelineOptions([*argv] if given else [*argv, "--runner=FnApiRunner"])


def print_summary(stage: str, counts: dict[str, Any], started_s: float, where: str) -> None:
    """The short summary that each job ends with: read, reused, computed, quarantined, written, seconds, where."""
    from schemas.tables import UNREADABLE  # pyarrow: a moment that `--help` need not wait for

    told = {name: count for name, count in counts.items() if ":" not in name or name.startswith(UNREADABLE)}
    shown = in_words(told)
    print(f"{stage}: {shown or 'nothing to do'}; {time.monotonic() - started_s:.1f} s; {where}", flush=True)


def shown_call(prog: str, config: Any, left_out: Sequence[str] = (), names: Mapping[str, str] | None = None) -> str:
    """The call that a config comes from, for a page that is the same wherever it is made: flags of other values than
    their defaults, an absolute path by its last part. names: flag -> how it is written instead."""
    parts = [prog]
    for field in dataclasses.fields(config):
        value = as_given(getattr(config, field.name))
        if field.name in ("columns", *left_out) or value == field.default:
            continue
        name = (names or {}).get(flag_name(field), flag_name(field))
        if isinstance(value, bool):
            parts.append(name if value else name.replace("--", "--no-", 1))
        elif isinstance(value, str) and os.path.isabs(value):
            parts.append(f"{name} {shlex.quote(os.path.basename(value))}")
        else:
            parts.append(f"{name} {shlex.quote(str(value))}")
    return " ".join(parts)


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
    if hints.keys() & _TABLE_FIELDS.keys():
        parser.add_argument("--format", choices=list(TYPES), help="what input files are whose names do not tell it")
    for field in dataclasses.fields(config_class):
        if field.name == "columns":
            continue
        name, kind, choices = flag_name(field), plain_type(hints[field.name]), field.metadata["choices"]
        default = "" if field.default in (dataclasses.MISSING, None) else f" (default {field.default})"
        keywords: dict[str, Any] = {"help": field.metadata["help"].replace("%", "%%") + default, "default": None}
        if field.metadata["positional"]:  # optional to argparse: the TOML file may give it
            parser.add_argument(
                field.name, nargs="?", metavar=None if choices else name, type=kind, choices=choices, **keywords
            )
        elif kind is bool:
            parser.add_argument(name, action=argparse.BooleanOptionalAction, dest=field.name, **keywords)
        else:
            parser.add_argument(name, type=kind, choices=choices, dest=field.name, **keywords)
    return parser
