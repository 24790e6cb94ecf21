"""What is said of a log that lacks a column which a log must have, by the names that init knows."""

import difflib
from collections.abc import Mapping, Sequence
from typing import Any

from pipelines.console.terminal import shortened
from pipelines.init.table.columns import SeenColumn
from pipelines.init.table.seen import SeenTable
from schemas.cells.date_formats import date_formats
from schemas.cells.text import UnreadableCellError
from schemas.cells.times import timestamp_of
from schemas.columns.meant_names import means_another
from schemas.columns.names import plain_name
from schemas.columns.usual_names import OF_LOG, ORDERS
from schemas.quarantine import quote

#: Our column -> Google's name for it, and what it says.
_NEEDED = {
    "action": ("event_name", "what somebody did"),
    "timestamp": ("event_timestamp", "when"),
    "item_id": ("items or item_id", "with which item"),
}
#: How like a usual name, from 0 to 1, a column is that is asked about; and letters that a name for it needs.
_NEAR, _FEWEST_LETTERS = 0.6, 3
#: Values that show whether they are times.
_LOOKED_AT = 200
_WITHOUT_TIMES = (
    "If no column is a time: of numbers of days or weeks write the date into the export, that of the first day and the "
    'number; if the log has none at all, give all rows one: timestamp = {constant = "2026-06-30T12:00:00Z"}'
)


def what_is_missing(
    table: SeenTable, event: SeenColumn | None, times: Sequence[str], items: Sequence[SeenColumn]
) -> str:
    """The message: which of the columns that a log must have are there, which are not, which may be meant, and what to
    do. event, times, items: what was found."""
    found = {
        "action": [event.name] if event is not None else [],
        "timestamp": list(times),
        "item_id": [column.name for column in items],
    }
    told = [f"{' and '.join(names)} says {_NEEDED[ours][1]}" for ours, names in found.items() if names]
    known = {name for names in found.values() for name in names}
    missing = [ours for ours, names in found.items() if not names]
    plain = [
        name for name, column in table.columns.items() if name not in known and (column.texts or not column.filled)
    ]
    may_be = {ours: [name for name in plain if _may_be(ours, table.columns[name])] for ours in missing}
    near = {ours: name for ours in missing if (name := _near(ours, may_be[ours]))}
    lacking = ", ".join(
        f"no {_NEEDED[ours][0]} ({_NEEDED[ours][1]})"
        + (f": is it {shortened(near[ours], 60)}?" if ours in near else "")
        for ours in missing
    )
    if missing == ["action"] and table.column(ORDERS) is not None:
        return _of_orders(table, found)
    lines = "; ".join(_line(ours, near.get(ours)) for ours in missing)
    if "timestamp" in missing and "timestamp" not in near:
        lines += f". {_WITHOUT_TIMES}"
    return (
        f"expected a log, with event_name, event_timestamp and items (or item_id), as GA4 calls them, or the like, got "
        f"{table.names_in_words}: {', '.join([*told, lacking])}. Name the columns so in the export, or begin with the "
        "catalogue alone, and write the log into its shop.toml: engagements = its path, and its columns in "
        f"[columns.engagements], {lines}"
    )


def _may_be(ours: str, column: SeenColumn) -> bool:
    """Whether what a column holds may be ours: an action is done more than once, a time can be read as one."""
    if ours == "action":
        return not (column.is_distinct and len(column.texts) > 1)
    return ours != "timestamp" or any(map(_is_time, column.filled[:_LOOKED_AT])) or bool(date_formats(column.texts))


def _is_time(value: Any) -> bool:
    try:
        return timestamp_of(value) is not None
    except UnreadableCellError:
        return False


def _line(ours: str, near: str | None) -> str:
    """The line of the config for a missing column. near: the one that may be meant."""
    if ours == "action" and near is None:
        return 'action = your column, or {constant = "..."} if all rows say one of click, save, add_to_cart, checkout'
    return f'{ours} = "{shortened(near or "yours", 60)}"'


def _of_orders(table: SeenTable, found: Mapping[str, Sequence[str]]) -> str:
    """The message for a table of orders, each row of which is a checkout."""
    lines = "; ".join(f"{ours} = {quote(found[ours][0])}" for ours in ("timestamp", "item_id"))
    return (
        f"expected a log, with what somebody did (event_name, action or the like), got {table.names_in_words}: is each "
        "row an order of an item? Then begin with the catalogue alone, and write the log into its shop.toml: "
        f'engagements = its path, and in [columns.engagements] action = {{constant = "checkout"}}; surface = '
        f'{{constant = "home"}}; {lines}; user_id = the column of the customers'
    )


def _near(ours: str, names: Sequence[str]) -> str | None:
    """The one of some columns that is most like a usual name of ours, and is none of another column's."""
    usual = [plain for name in OF_LOG[ours] if len(plain := plain_name(name)) >= _FEWEST_LETTERS]
    alike = [
        (difflib.SequenceMatcher(None, plain, plain_name(name)).ratio(), -number)
        for number, name in enumerate(names)
        if len(plain_name(name)) >= _FEWEST_LETTERS and not means_another(ours, name, OF_LOG)
        for plain in usual
    ]
    best = max(alike, default=(0.0, 0))
    return names[-best[1]] if best[0] >= _NEAR else None
