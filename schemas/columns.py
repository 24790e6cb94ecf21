"""Which of a file's columns are ours: the shop's mapping, the Hive folders of the path, what may be absent."""

import difflib
import os
from collections.abc import Collection, Mapping, Sequence
from typing import Any
from urllib.parse import unquote

import pyarrow as pa

from schemas.errors import UsageError
from schemas.files import shown
from schemas.quarantine import quote
from schemas.tables import CATALOGUE, ENGAGEMENTS, JUDGEMENTS

TABLES = {"catalogue": CATALOGUE, "engagements": ENGAGEMENTS, "judgements": JUDGEMENTS}
#: Columns that a file may lack although their stored form is not nullable: no `images` column means no pictures.
_OPTIONAL = {"images"}
#: Column names that a message lists.
_MAX_LISTED = 30
#: What exports separate columns by, where the call says that it is another mark.
_OTHER_DELIMITERS = (";", "\t", "|", ",")
_HIVE_NULL = "__HIVE_DEFAULT_PARTITION__"


def table_columns(columns: Mapping[str, Any], table: str) -> dict[str, str]:
    """The column mapping (our name -> the shop's) of one table out of a config's `[columns]`.

    Keys directly in `[columns]` are the catalogue's; `[columns.engagements]` and so on hold another table's.
    Raises UsageError for a name that is not a column of the table, and for `[columns.X]` of a table X that is none.
    """
    flat = {key: value for key, value in columns.items() if not isinstance(value, Mapping)}
    misplaced = sorted((columns.keys() - flat.keys() - TABLES.keys()) | (flat.keys() & TABLES.keys()))
    if misplaced:
        raise UsageError(
            f"expected tables [columns.X] with X of {', '.join(TABLES)}, got {_listed(misplaced)} in [columns]"
        )
    nested = columns.get(table, {})
    mapping = {**(flat if table == "catalogue" else {}), **nested}
    unknown = sorted(set(mapping) - set(TABLES[table].names))
    if unknown or not all(isinstance(value, str) for value in mapping.values()):
        near = similar_name(unknown[0], TABLES[table].names) if unknown else None
        raise UsageError(
            f"expected columns of {table} ({', '.join(TABLES[table].names)}) mapped to names of yours, "
            f"got {_listed(unknown) if unknown else quote(mapping)}" + (f": is it {near!r}?" if near else "")
        )
    return mapping


def _listed(names: Sequence[str]) -> str:
    r"""Names that a file gave, the first of them, fit to print.

    >>> _listed(["id", "\x1b[31m"])
    "id, '\\x1b[31m'"
    """
    some = [name if name.isprintable() and len(name) <= 100 else quote(name) for name in names[:_MAX_LISTED]]
    more = [f"{len(names) - _MAX_LISTED} more"] if len(names) > _MAX_LISTED else []
    return ", ".join([*some, *more]) or "no columns"


def _section(schema: pa.Schema) -> str:
    """The table of a config that maps columns of this schema."""
    table = next((name for name, known in TABLES.items() if known.equals(schema)), "catalogue")
    return "columns" if table == "catalogue" else f"columns.{table}"


def similar_name(wanted: str, names: Sequence[str]) -> str | None:
    """The one of some column names that is most like the wanted one, in whatever case; None if none is.

    >>> similar_name("images", ["Title", "Image", "price"]), similar_name("images", ["price"])
    ('Image', None)
    """
    folded = {name.casefold(): name for name in names}
    near = difflib.get_close_matches(wanted.casefold(), folded, n=1)
    return folded[near[0]] if near else None


def list_names(schema: pa.Schema) -> set[str]:
    """Names of the columns that hold lists."""
    return {wanted.name for wanted in schema if pa.types.is_list(wanted.type)}


def partition_values(path: str, columns: Mapping[str, str], schema: pa.Schema) -> dict[str, str | None]:
    """Our columns that Hive folders of the path (`key=value`) give."""
    folders = [part.partition("=") for part in os.path.dirname(os.path.abspath(path)).split(os.sep)]
    given = {key: unquote(value) for key, equals, value in folders if equals}
    found = {name: given[columns.get(name, name)] for name in schema.names if columns.get(name, name) in given}
    return {name: None if value == _HIVE_NULL else value for name, value in found.items()}


def source_columns(
    present: Collection[str], columns: Mapping[str, str], schema: pa.Schema, path: str
) -> dict[str, str]:
    """Our name -> the file's column, for those it has; UsageError if a mapped or a required column is missing."""
    names, given = list(present), partition_values(path, columns, schema)
    source = {}
    for wanted in schema:
        theirs = columns.get(wanted.name, wanted.name)
        if names.count(theirs) > 1:
            raise UsageError(f"expected one column {theirs!r}, got {names.count(theirs)} of that name in {shown(path)}")
        if theirs in names:
            source[wanted.name] = theirs
        elif wanted.name in given:
            continue
        elif wanted.name in columns or not (wanted.nullable or wanted.name in _OPTIONAL):
            remedy = _remedy(wanted.name, theirs, names, _section(schema))
            raise UsageError(
                f"expected a column {theirs!r} for {wanted.name}, got {_listed(names)} in {shown(path)}: {remedy}"
            )
    return source


def _remedy(ours: str, theirs: str, names: Sequence[str], section: str) -> str:
    """What to do for a column that is missing among `names`."""
    other = next((mark for mark in _OTHER_DELIMITERS if len(names) == 1 and mark in names[0]), None)
    if other is not None:
        return (
            f"that is one column; if {other!r} separates several, say so in the config: [format] separator = {other!r}"
        )
    near = similar_name(theirs, names)
    if near is None:
        return f'map it, in the config: [{section}] {ours} = "your name"'
    return f"is it {quote(near)}? then map it, in the config: [{section}] {ours} = {quote(near)}"
