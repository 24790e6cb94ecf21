"""The columns of a log's items, and where paths lead in a list of them."""

import re
from collections.abc import Iterator, Sequence
from typing import Any

from pipelines.init.log.returned import asked_of_returns
from pipelines.init.table.found import Found, found_in
from pipelines.init.table.seen import SeenColumn, SeenTable
from schemas.columns import usual_names
from schemas.columns.names import plain_name

_ITEM_PATH = ("items", "item_id")


def item_columns(table: SeenTable) -> list[SeenColumn]:
    """The column of items, or where a path leads to them; behind the one into a list the one of a single item."""
    one = column_or_path(table, usual_names.LOG_ITEMS, _ITEM_PATH)
    if one is not None and one.filled and (one.name in table.columns or one.name == ".".join(_ITEM_PATH)):
        return [one]
    names = [*usual_names.LOG_ITEMS, *(f"{listed}.id" for listed in usual_names.LOG_LISTS)]
    by_name: dict[str, SeenColumn] = {}
    for path, column in table.members.items():
        of_list, field = path.split(".")[-2:]
        of_list = re.sub(r"[_\d]+$", "", of_list).rpartition("_")[2]  # ..._ecommerce_product_1
        for name in (field, f"{of_list}.{field}"):
            by_name.setdefault(plain_name(name), column)
    listed = [by_name[plain] for name in names if (plain := plain_name(name)) in by_name]
    return [*listed[:1], *([one] if one is not None and (one.filled or not listed) else [])]


def items_of_log(columns: Sequence[SeenColumn], table: SeenTable) -> Found:
    """The items, of these columns."""
    notes = ["a row for each item of a list, or the one that the event has itself"] if len(columns) > 1 else []
    listed = any(isinstance(value, list) for value in columns[0].filled) and columns[0].name in table.columns
    options = {"separator": ","} if listed and columns[0].texts == [] else {}
    return found_in(columns, "item_id", options=options, notes=[*notes, *asked_of_returns(table)])


def column_or_path(table: SeenTable, names: Sequence[str], path: tuple[str, str]) -> SeenColumn | None:
    """The column of one of the names, or where the path leads in one (see schemas.events.paths)."""
    flat = table.column([*names, ".".join(path)])
    root = table.columns.get(path[0])
    if (flat is not None and flat.filled) or root is None:
        return flat
    return SeenColumn(".".join(path), [next(_led_to(value, path[1]), None) for value in root.values])


def _led_to(value: Any, name: str) -> Iterator[Any]:
    """What is behind a name in a value, as schemas.events.paths has it."""
    if isinstance(value, dict) and len(value) == 1 and next(iter(value)) in ("list", "array", "element", "item"):
        value = next(iter(value.values()))
    if isinstance(value, dict):
        if value.get(name) is not None:
            yield value[name]
        return
    for member in value if isinstance(value, list | tuple) else ():
        if isinstance(member, tuple) and len(member) == 2:  # of a map
            member = {"key": member[0], "value": member[1]}
        if isinstance(member, dict) and len(member) == 1 and "element" in member:
            member = member["element"]
        if isinstance(member, dict) and member.keys() == {"key", "value"}:
            if member["key"] == name:
                told = member["value"]
                told = next((v for v in told.values() if v is not None), None) if isinstance(told, dict) else told
                yield from () if told is None else (told,)
        else:
            yield from _led_to(member, name)
