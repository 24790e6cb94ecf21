"""What a shop does not want as items, by the values of its own columns: `leave_out` of `[columns]`.

[columns]
leave_out = {Status = ["draft", "archived"], Published = [false], deleted_at = ["*"]}

The keys are the shop's columns (dots lead into objects), the values texts of which one is enough. Blanks around a text
and case do not count; a boolean or a number has the text that cells have, and `0.0` is `0`. `*` is whatever stands
there. Which rows then go: schemas.validation.left_out_rows.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from schemas.cells.text import UnreadableCellError, cell_text
from schemas.columns.spec import Column, Columns
from schemas.errors import UsageError
from schemas.quarantine import quote
from schemas.tables import LEAVE_OUT

#: What stands for any text.
ANY = "*"
#: Names of a key with dots: TOML makes as many tables of it.
_MOST_NAMES = 20


@dataclass(frozen=True, kw_only=True)
class LeaveOut(Column):
    """texts: for each source the texts of rows that are left out, as plain_texts has them. A class of its own: what
    identifies other mappings, and so the items that were made by them, has no such field."""

    texts: tuple[tuple[str, ...], ...] = ()


def leave_out_texts(columns: Columns) -> dict[str, list[str]]:
    """A mapping's filter: each column of the shop's -> the texts, as plain_texts has them; {} without one."""
    spec = columns.get(LEAVE_OUT.name)
    if not isinstance(spec, LeaveOut):
        return {}
    return {name: list(texts) for name, texts in zip(spec.source, spec.texts, strict=True)}


def plain_texts(texts: pa.Array) -> pa.Array:
    """Texts without blanks around them and case, a whole number without the zeros behind its point.

    >>> plain_texts(pa.array([" Draft", "0.0", "1.50", None])).to_pylist()
    ['draft', '0', '1.50', None]
    """
    plain = pc.utf8_lower(pc.utf8_trim_whitespace(texts))
    return pc.replace_substring_regex(plain, r"^(-?\d+)\.0+$", r"\1")


def parse_leave_out(given: Any, where: str) -> LeaveOut | None:
    """The entry of the config; None of one that leaves nothing out. `where`: the table it is in, as a message says it.
    Raises UsageError for what is no table of columns with texts.

    >>> parse_leave_out({"Status": ["Draft", " draft "], "a": {"b": [False, 0]}}, "[columns]").texts
    (('draft',), ('0', 'false'))
    """
    if given == "":
        return None
    if not isinstance(given, Mapping):
        raise _no_entry(given, where)
    texts = {}
    for name, values in _by_path(given, where).items():
        listed = values if isinstance(values, list) else [values]
        if not listed:
            raise UsageError(
                f"expected texts of rows to leave out for {quote(name)} of {LEAVE_OUT.name} in {where}, got none: "
                f'write some, or ["{ANY}"] for any, or leave the column out'
            )
        texts[name] = _listed_texts(listed, name, where)
    order = sorted(texts)
    return LeaveOut(source=tuple(order), texts=tuple(texts[name] for name in order)) if texts else None


def _no_entry(given: Any, where: str) -> UsageError:
    return UsageError(
        f"expected a table of your columns, each with the texts of rows that are no items, as {LEAVE_OUT.name} in "
        f'{where}, for example {LEAVE_OUT.name} = {{Status = ["draft"]}}, got {quote(given)}'
    )


def _by_path(given: Mapping[str, Any], where: str) -> dict[str, Any]:
    """The entry with names with dots in place of tables in tables, as TOML reads a key with dots."""
    found: dict[str, Any] = {}
    left: list[tuple[tuple[str, ...], Any]] = [((name,), value) for name, value in given.items()]
    while left:
        names, value = left.pop()
        if not all(names) or len(names) > _MOST_NAMES:
            raise _no_entry(given, where)
        if isinstance(value, Mapping):
            left += [((*names, name), inner) for name, inner in value.items()]
        else:
            found[".".join(names)] = value
    return found


def _listed_texts(listed: Sequence[Any], name: str, where: str) -> tuple[str, ...]:
    try:
        texts = [cell_text(value) for value in listed]
        plain = plain_texts(pa.array(texts, pa.string())).to_pylist()
    except UnreadableCellError:
        plain = [None]
    if not all(plain):
        raise UsageError(
            f"expected texts, numbers or booleans, none of them blank, for {quote(name)} of {LEAVE_OUT.name} in "
            f"{where}, got {quote(list(listed))}"
        )
    return tuple(sorted(set(plain)))
