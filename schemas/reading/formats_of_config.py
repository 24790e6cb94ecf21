"""What a call says of the form of its files: [format] of a config, and --format.

Said for a path, it goes with the path to whoever reads there (see schemas.files.InputPath).
"""

import codecs
import json
from collections.abc import Mapping
from typing import Any

from schemas.errors import UsageError
from schemas.quarantine import quote
from schemas.reading.csv_dialects import USUAL_DIALECT, check_dialect

#: What --format may say, and the kind of file and the separator that it means.
TYPES = {"csv": "csv", "tsv": "csv", "json": "json", "parquet": "parquet", "rss": "rss"}
DIALECT_KEYS = ("separator", "quote", "escape")
_TABLES = ("catalogue", "engagements", "judgements")


def checked_format(table: Mapping[str, Any], name: str, where: str) -> dict[str, str]:
    """What a config's [format] says of the files of a table (catalogue, engagements or judgements).

    Keys directly in [format] are for all tables; [format.engagements] and so on add to them or override them. Raises
    UsageError for a key or a value that means nothing.
    """
    flat = {key: value for key, value in table.items() if key not in _TABLES}
    for key in _TABLES:
        if not isinstance(table.get(key, {}), Mapping):
            raise UsageError(f"expected a table [format.{key}] in {where}, got {quote(table[key])}")
    given = {**flat, **table.get(name, {})}
    if "header" in given:
        given["header"] = json.dumps(_checked_header(given["header"], where))  # which, as the rest, is a text
    unknown = sorted(given.keys() - {"type", "encoding", "list", "header", *DIALECT_KEYS})
    if unknown or not all(isinstance(value, str) for value in given.values()):
        raise UsageError(
            f"expected type, separator, quote, escape, encoding or list, each a text, header, a list, or tables of "
            f"{', '.join(_TABLES)} in [format] of {where}, got {', '.join(map(quote, unknown)) or quote(given)}"
        )
    if given.get("type", "csv") not in TYPES:
        raise UsageError(f"expected one of {', '.join(TYPES)} for the format in {where}, got {quote(given['type'])}")
    if given.get("escape") == given.get("quote", USUAL_DIALECT.quote):
        given["escape"] = ""  # a quote before a quote is a doubled one
    check_dialect({key: given[key] for key in DIALECT_KEYS if key in given}, f"[format] of {where}")
    if "encoding" in given:
        given["encoding"] = _encoding_name(given["encoding"], where)
    return given


def _checked_header(names: Any, where: str) -> list[str]:
    """The names of columns that a config gives. Raises UsageError for what is no list of them."""
    if not isinstance(names, list) or not names or not all(isinstance(name, str) for name in names):
        raise UsageError(
            f'expected a list of the names of all columns, in their order ("": one that is not read), as header of '
            f"[format] in {where}, got {quote(names)}"
        )
    names = [name.strip() for name in names]
    twice = next((name for name in names if name and names.count(name) > 1), None)
    if twice is not None or not any(names):
        got = f"{quote(twice)} twice" if twice is not None else "no name"
        raise UsageError(f"expected a name for each column in header of [format] in {where}, got {got}")
    return names


def _encoding_name(name: str, where: str) -> str:
    """As Python names it."""
    try:
        "".encode(name)  # also refuses codecs of bytes
        found = codecs.lookup(name).name
    except (LookupError, ValueError) as error:
        raise UsageError(f"expected the name of an encoding in {where}, got {quote(name)}") from error
    return found.removesuffix("-sig")
