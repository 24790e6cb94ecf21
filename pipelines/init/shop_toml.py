"""The text of a `shop.toml`: keys with comments that say what was seen."""

import json
import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from pipelines.console.terminal import shortened
from pipelines.init.catalogue.offered import asked_of_the_title, offered, question
from pipelines.init.log.start import LogStart
from pipelines.init.table.found import FoundColumn, Start, unread_columns
from pipelines.init.table.hidden import leave_out_entry
from pipelines.init.table.seen import SeenTable
from schemas.errors import printable
from schemas.tables import LEAVE_OUT, TEXT_FIELDS

_BARE_KEY = re.compile(r"[A-Za-z0-9_-]+")
_MAX_LISTED = 30


def toml_value(value: Any) -> str:
    """A text, a list, a table (on one line), a number or a boolean.

    >>> toml_value({"source": ["a", 'b"'], "trim": True})
    '{source = ["a", "b\\\\""], trim = true}'
    """
    if isinstance(value, str):
        return json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007F")
    if isinstance(value, Mapping):
        return "{" + ", ".join(f"{toml_key(key)} = {toml_value(inner)}" for key, inner in value.items()) + "}"
    if isinstance(value, Sequence):
        return "[" + ", ".join(map(toml_value, value)) + "]"
    return json.dumps(value)


def toml_key(key: str) -> str:
    """A key as TOML writes it.

    >>> toml_key("view_item"), toml_key("my event")
    ('view_item', '"my event"')
    """
    return key if _BARE_KEY.fullmatch(key) else toml_value(key)


def comment(text: str) -> str:
    """A line of the file that nothing reads."""
    return f"# {printable(text)}".rstrip()


def columns_text(start: Start, table: SeenTable) -> str:
    """`[columns]` of a catalogue."""
    lines = ["[columns]", comment(f"One item: {start.told_apart}.")]
    for found in start.found:
        lines += _lines_of(found)
    missing = [name for name in (*TEXT_FIELDS, "images") if name not in start.columns]
    unread = unread_columns(table, start.found)
    if missing:
        lines.append(comment(f"Not found: {', '.join(missing)}. To add one: its name = yours."))
    if unread:
        lines.append(comment(f"Not read: {_listed(unread)}."))
    if table.twice:
        lines.append(comment(f"Not read, for several columns have that name: {_listed(table.twice)}. Rename them."))
    lines += [comment(f"? {asked}") for asked in start.questions]
    lines += [comment(f"? {one.question}") for one in start.hidden]
    if entry := leave_out_entry(start.hidden):
        active = start.columns.get(LEAVE_OUT.name, {})
        if active:
            lines.append(comment(f"Then put # before {LEAVE_OUT.name} = ... above: this line has its texts, too."))
        lines.append(comment(f"{LEAVE_OUT.name} = {toml_value({**active, **entry})}"))
    lines += [comment(f"? {asked}") for asked in asked_of_the_title(table, start)]
    for name, columns in offered(table, start).items():
        lines += ["", comment(f"? {question(name, columns)}")]
        lines += [line for found in columns for line in (comment(_seen(found)), comment(_entry(found)))]
    return "\n".join(lines) + "\n"


def log_text(start: LogStart) -> str:
    """`[columns.engagements]` of a log."""
    lines = ["[columns.engagements]"]
    for found in start.found:
        lines += _lines_of(found)
    lines += [] if start.event_column else _lines_of(start.event)
    if start.unread:
        lines.append(comment(f"Not read: {_listed(start.unread)}."))
    lines += [comment(f"? {asked}") for asked in start.questions]
    if not start.event_column:
        return "\n".join(lines) + "\n"
    lines += ["", "[columns.engagements.action]", f"source = {toml_value(start.event_column)}", ""]
    lines += [
        "[columns.engagements.action.values]",
        comment('An event is one of click, save, add_to_cart, checkout, impression, return; "": it is no row.'),
    ]
    for theirs, ours in start.actions.items():
        seen = f"  # {start.seen[theirs]:,} seen" if start.seen[theirs] else ""
        if theirs in start.unknown:
            seen += ". Not one of Google's: does it say that somebody wants an item?"
        lines.append(f"{toml_key(theirs)} = {toml_value(ours)}{seen}")
    return "\n".join(lines) + "\n"


def settings_text(settings: Iterable[tuple[str, Any, str]]) -> str:
    """Keys with their values and comments, a line each."""
    lines = []
    for key, value, why in settings:
        lines.append(f"{key} = {toml_value(value)}" + (f"  {comment(why)}" if why else ""))
    return "\n".join(lines) + "\n"


def _lines_of(found: FoundColumn) -> list[str]:
    lines = [comment(part) for part in (_seen(found), *found.notes) if part]
    others = [line for one in found.others for line in (comment(_seen(one, found.sources)), comment(_entry(one)))]
    return ["", *lines, _entry(found), *others]


def _seen(found: FoundColumn, known: Sequence[str] = ()) -> str:
    """What was seen of its sources that are not known; "" without any."""
    names = ", ".join(repr(name) for name in found.sources if name not in known)
    if not names:
        return ""
    example = f", e.g. {shortened(found.example, 60)}" if found.example else ""
    return f"{names}: {found.share_filled:.0%} filled{example}"


def _entry(found: FoundColumn) -> str:
    return f"{found.name} = {toml_value(found.entry)}"


def _listed(names: Sequence[str]) -> str:
    more = f" and {len(names) - _MAX_LISTED} more" if len(names) > _MAX_LISTED else ""
    return ", ".join(shortened(name, 60) for name in names[:_MAX_LISTED]) + more
