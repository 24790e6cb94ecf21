"""A program for any Python with the reader's package: runs snippets that make a `table`, and writes its rows as JSON.

Its argument is a file {"snippets": {name: code}, "rows": an expression of `table`, "out": a file}; `out` becomes
{name: rows}, every value plain. Only the standard library is imported here.
"""

import datetime
import json
import sys
from pathlib import Path
from typing import Any


def plain(value: Any) -> Any:
    """The value as JSON has it: lists, dicts, numbers, texts; bytes as hexadecimal digits, moments as microseconds
    since 1970. A time without a zone is one of the machine's; NaN is how pandas writes null."""
    if isinstance(value, dict):
        return {key: plain(inner) for key, inner in value.items()}
    if isinstance(value, datetime.datetime):
        return (value.astimezone(datetime.UTC) - datetime.datetime.fromtimestamp(0, datetime.UTC)) // _MICROSECOND
    if isinstance(value, bytes):
        return value.hex()
    if hasattr(value, "numpy"):  # of TensorFlow
        value = value.numpy()
    if hasattr(value, "tolist"):  # of numpy
        value = value.tolist()
    if isinstance(value, list | tuple):
        return [plain(inner) for inner in value]
    return None if value != value else value


def main() -> None:
    """Runs what the file named by the argument says."""
    asked = json.loads(Path(sys.argv[1]).read_text())
    read = {}
    for name, code in asked["snippets"].items():
        names: dict[str, Any] = {}
        exec(code, names)
        read[name] = plain(eval(asked["rows"], names))
    Path(asked["out"]).write_text(json.dumps(read))


_MICROSECOND = datetime.timedelta(microseconds=1)

if __name__ == "__main__":
    main()
