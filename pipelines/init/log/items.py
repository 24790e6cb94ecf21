"""The columns of a log's items, and where paths lead in a list of them.

Rows that take a purchase back, in another column than the action, are asked about: they would count as bought.
"""

import re
from collections.abc import Sequence

from pipelines.init.table.columns import SeenColumn
from pipelines.init.table.found import FoundColumn, found_in
from pipelines.init.table.seen import SeenTable
from schemas.columns import usual_names
from schemas.columns.names import plain_name
from schemas.events.led_to import first_led_to

_ITEM_PATH = ("items", "item_id")
#: Behind the name of a list, where a system has several.
_NUMBER = re.compile(r"(?<![_\d])[_\d]++$")
_QUANTITIES = ("quantity", "qty", "item_quantity", "lineitem_quantity", "product_quantity", "amount", "menge", "units")
_STATES = ("status", "order_status", "financial_status", "payment_status", "state", "fulfillment_status")
_TAKEN_BACK = ("refunded", "returned", "cancelled", "canceled", "voided", "chargeback", "partially_refunded")


def item_columns(table: SeenTable) -> list[SeenColumn]:
    """The column of items, or where a path leads to them; behind the one into a list the one of a single item."""
    one = column_or_path(table, usual_names.LOG_ITEMS, _ITEM_PATH)
    if one is not None and one.filled and (one.name in table.columns or one.name == ".".join(_ITEM_PATH)):
        return [one]
    names = [*usual_names.LOG_ITEMS, *(f"{listed}.id" for listed in usual_names.LOG_LISTS)]
    by_name: dict[str, SeenColumn] = {}
    for path, column in table.members.items():
        of_list, field = path.split(".")[-2:]
        of_list = _NUMBER.sub("", of_list).rpartition("_")[2]  # ..._ecommerce_product_1
        for name in (field, f"{of_list}.{field}"):
            by_name.setdefault(plain_name(name), column)
    listed = [by_name[plain] for name in names if (plain := plain_name(name)) in by_name]
    return [*listed[:1], *([one] if one is not None and (one.filled or not listed) else [])]


def items_of_log(columns: Sequence[SeenColumn], table: SeenTable) -> FoundColumn:
    """The items, of these columns."""
    notes = ["a row for each item of a list, or the one that the event has itself"] if len(columns) > 1 else []
    listed = any(isinstance(value, list) for value in columns[0].filled) and columns[0].name in table.columns
    options = {"separator": ","} if listed and columns[0].texts == [] else {}
    return found_in(columns, "item_id", options=options, notes=[*notes, *_asked_of_returns(table)])


def column_or_path(table: SeenTable, names: Sequence[str], path: tuple[str, str]) -> SeenColumn | None:
    """The column of one of the names, or where the path leads in one as the log's job reads it."""
    flat = table.column([*names, ".".join(path)])
    root = table.columns.get(path[0])
    if (flat is not None and flat.filled) or root is None:
        return flat
    return SeenColumn(".".join(path), first_led_to(root.values, ".".join(path)))


def _asked_of_returns(table: SeenTable) -> Sequence[str]:
    """What a person is asked of rows with a quantity below 0, and of those with a state such as refunded."""
    found = []
    quantity = table.column(_QUANTITIES)
    if quantity is not None and (count := sum(map(_is_below_zero, quantity.texts))):
        found.append(f"{quantity.name} is below 0 in {count:,} rows")
    for state in filter(None, (table.column([name]) for name in _STATES)):
        seen = [text.strip() for text in state.texts if text.strip().casefold() in _TAKEN_BACK]
        if seen:
            found.append(f"{state.name} is {' or '.join(sorted(set(seen)))} in {len(seen):,} rows")
    return [
        f"{told}: are these returns? They count as what their action says: write return as their action in the export, "
        "or leave them out of it"
        for told in found
    ]


def _is_below_zero(text: str) -> bool:
    plain = text.strip().replace(",", ".")
    return plain.startswith("-") and any(digit in plain for digit in "123456789")
