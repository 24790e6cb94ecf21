"""Config files and command lines that nobody should write."""

import dataclasses
import json
import random
import typing
from collections.abc import Iterator, Sequence

from fuzz_bytes import damaged
from fuzz_values import CONTROL, TEXTS, text

from pipelines.console.commands import COMMANDS
from pipelines.console.config_file import SHARED_KEYS, plain_type
from pipelines.console.jobs import flag_name

_VALUES = (
    "1", "0", "-1", "99999999999999999999", "9" * 400, "9" * 5000, "1.5", "1e400", "nan", "inf", "-inf", "true",
    "false", '""', "''",
    '"x"', '"\\u0000"', '"\\u001b[2J"', '"""\n\n"""', "[]", "[1, 'a']", "{}", "{a = 1}", "1979-05-27",
    "1979-05-27T07:32:00Z", "0xff", "0o7",
    "1_000", "01", "'unfinished", "[" * 300 + "]" * 300, "[" * 5000 + "]" * 5000, "{a=" * 200 + "1" + "}" * 200,
    "{a=" * 5000, "=", "\ufeff",
    '"auto"', '"cpu"', '"resnet50"', '"../../etc"', '"{date}"', '"{0.__class__}"', '"%s%n"', "2026-06-30",
    '"2026-06-30"',
)  # fmt: skip
_LINES = (
    "[columns]", "[columns.leave_out]",
    "[columns]\nleave_out = {a = [1, 'x', false]}",
    "[columns.engagements]", "[columns.nonsense]", "[[columns]]", "columns = 3", "[daily]", "[[daily]]",
    "[dai-ly]", "[train]",
    "[sample-shop]", "[sample_shop]", "daily = 1", "[a.b.c]", "[" + "a." * 500 + "a]", "a." * 3000 + "a = 1", "# \x07",
    "\x00", "= 1", "[", "]]",
    '"\\x" = 1', '"\x1b[31m" = 1', "'' = 1", '"a\\u001b[2Jb" = 1', "catalog.x = 1",
)  # fmt: skip
_FLAG_VALUES = (
    "",
    "0",
    "-1",
    "1",
    "1e999",
    "nan",
    "inf",
    "9" * 5000,
    "1_0",
    "٣",
    "true",
    "x",
    "--",
    "-",
    "@file",
    *CONTROL[1:],
)


def make_config(rng: random.Random, config_class: type, command: str) -> bytes:
    """A TOML file with keys of this command, keys that are nearly ones, and what TOML allows or does not."""
    names = [field.name for field in dataclasses.fields(config_class)]
    lines = list(_good_lines(rng, config_class)) if rng.random() < 0.7 else []
    for _ in range(rng.choice((0, 0, 0, 0, 1, 3, 10))):
        if rng.random() < 0.25:
            lines.append(rng.choice((*_LINES, f"[{command}]", f"[{rng.choice(list(COMMANDS))}]")))
        else:
            lines.append(f"{_key(rng, names)} = {_value(rng)}")
    data = "\n".join(lines).encode("utf-8", "surrogatepass")
    return damaged(data, rng) if rng.random() < 0.15 else data


def _good_lines(rng: random.Random, config_class: type) -> Iterator[str]:
    """What every flag takes, and one that is nearly out of range."""
    hints = typing.get_type_hints(config_class)
    for field in dataclasses.fields(config_class):
        kind, choices = plain_type(hints[field.name]), field.metadata["choices"]
        if choices is not None:
            yield f"{field.name} = '{rng.choice(choices)}'"
        elif kind is str:
            yield (
                f"{field.name} = {json.dumps(rng.choice(TEXTS), ensure_ascii=False)}"
                if rng.random() < 0.1
                else f"{field.name} = 'x'"
            )
        elif kind in (int, float, bool):
            good = {
                int: ("0", "-1", "99"),
                float: ("0.5", "-1", "nan", "1e300", "7", "0.1", rng.choice(("0.0", "9" * 320))),
                bool: ("true", "false"),
            }
            yield f"{field.name} = {rng.choice(good[kind])}"


def _key(rng: random.Random, names: Sequence[str]) -> str:
    name = rng.choice(names if rng.random() < 0.7 else sorted(SHARED_KEYS))
    draw = rng.random()
    if draw < 0.6:
        return name
    if draw < 0.7:
        return name.replace("_", "-")
    if draw < 0.8:
        place = rng.randrange(len(name))
        return rng.choice((name[:place] + name[place + 1 :] or "x", name + name[place], name.upper(), f'"{name} "'))
    return '"' + text(rng)[:60].replace("\\", "").replace('"', "").replace("\n", "") + '"'


def _value(rng: random.Random) -> str:
    if rng.random() < 0.85:
        return rng.choice(_VALUES)
    return '"' + rng.choice(TEXTS).replace("\\", "\\\\").replace('"', '\\"') + '"'


def make_command_line(rng: random.Random, config_class: type) -> list[str]:
    """Flags with hostile values, unknown flags, flags twice and without their value."""
    fields = dataclasses.fields(config_class)
    argv = []
    for _ in range(rng.choice((0, 0, 0, 1, 3, 8))):
        flag = flag_name(rng.choice(fields))
        if rng.random() < 0.15:
            flag = rng.choice(
                (flag[:-1], flag + "x", "--no-" + flag[2:], "-x", "--", flag.upper(), rng.choice(CONTROL))
            )
        value = rng.choice(_FLAG_VALUES) if rng.random() < 0.7 else text(rng)
        argv += rng.choice(([f"{flag}={value}"], [flag, value], [flag], [value]))
    return [argument for argument in argv if argument not in ("-h", "--help")]
