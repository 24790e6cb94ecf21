"""Calls of `itemsage init` in the working folder: what it writes, what it refuses, and small tables for it to read."""

import tomllib
from pathlib import Path
from typing import Any

import pytest
from export_files import made_products

from pipelines.init import job as init

#: The products of the exports.
PRODUCTS = made_products(1, 25, [f"https://shop.example/{number}.jpg" for number in range(60)])


def written(*arguments: str) -> dict[str, Any]:
    """What `itemsage init` writes, of a call that succeeds."""
    assert init.main([*arguments, "--force"]) == 0
    text = Path("shop.toml").read_text()
    assert "allow_private" not in text
    return tomllib.loads(text)


def refused(capsys: pytest.CaptureFixture[str], *arguments: str, code: int = 2) -> str:
    """The message of a call that is refused, and writes nothing."""
    assert init.main(list(arguments)) == code
    assert not Path("shop.toml").exists()
    return capsys.readouterr().err


def write_csv(name: str, *lines: str) -> str:
    """Writes these lines to a file, and returns its name."""
    Path(name).write_text("\n".join(lines) + "\n")
    return name
