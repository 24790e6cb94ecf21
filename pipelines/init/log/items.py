"""The columns of a log's items, and where paths lead in a list of them.

Rows that take a purchase back, in another column than the action, are asked about: they would count as bought.
"""

import re
from collections.abc import Sequence

from pipelines.console.terminal import shortened
from pipelines.init.table.columns import SeenColumn
from pipelines.init.table.found import FoundColumn, found_in
from pipelines.init.table.seen import SeenTable
from schemas.columns import usual_names
from schemas.columns.names import plain_name
from schemas.events.led_to import first_led_to

_ITEM_PATH = ("items", "item_id")
#: Behind the name of a list, where a system has several.
_NUMBER = re.compile(r"(?<![_\d])[_\d]++$")
#: Objects that are an item, and what its id is called there.
_OBJECTS = ("item", "product", "article", "variant", "content")
_NAMES_IN_OBJECTS = ("id", "uuid", "key", "code", "number", "ref", "externalid", "external_id")
#: Share of the rows, below which nobody is asked about them.
_FEW_ROWS = 0.005
_QUANTITIES = ("quantity", "qty", "item_quantity", "lineitem_quantity", "product_quantity", "amount", "menge", "units")
_STATES = ("status", "order_status", "financial_status", "payment_status", "state", "fulfillment_status")
_TAKEN_BACK = ("refunded", "returned", "cancelled", "canceled", "voided", "chargeback", "partially_refunded")


def item_columns(table: SeenTable) -> list[SeenColumn]:
    """The column of items, or where a path leads to them: the one into a list, which events of several items have, and
    the one of a single item, where some events have the one and some the other; [] without any."""
    one = column_or_path(table, usual_names.LOG_ITEMS, _ITEM_PATH)
    if one is not None and one.filled and one.name == ".".join(_ITEM_PATH):
        return [one]
    listed = _in_lists(table)[:1]
    if one is None or not (one.filled or not listed):
        return listed or _ids_in_objects(table)
    if not one.filled:
        return _ids_in_objects(table) or [one]
    if listed and one.name in table.columns:
        is_more, is_twice = _rows_beside(listed[0], one)
        return [one] if not is_more else [one, *listed] if is_twice else [*listed, one]
    return [*listed, one]


def other_item_columns(table: SeenTable, found: Sequence[str]) -> list[list[SeenColumn]]:
    """Beside the items that were found, of these names, the other columns that may be a log's items: of each usual name
    the one in a list, and the one of a single item."""
    listed = _in_lists(table)
    ways: list[list[SeenColumn]] = []
    for name in (*usual_names.LOG_ITEMS, *(f"{one}.id" for one in usual_names.LOG_LISTS)):
        inner = [column for column in listed if plain_name(name) in _names_in_list(column.name)]
        alone = table.column([name])
        columns = [*inner[:1], *([alone] if alone is not None and alone.filled else [])]
        if columns and [column.name for column in columns] not in [list(found), *map(_names_of, ways)]:
            ways.append(columns)
    return ways


def _in_lists(table: SeenTable) -> list[SeenColumn]:
    """The ids in lists of objects, the likelier first."""
    names = [*usual_names.LOG_ITEMS, *(f"{listed}.id" for listed in usual_names.LOG_LISTS)]
    by_name: dict[str, SeenColumn] = {}
    for path, column in table.members.items():
        for name in _names_in_list(path):
            by_name.setdefault(name, column)
    found = (by_name.get(plain_name(name)) for name in names)
    return list(dict.fromkeys(column for column in found if column is not None))


def _names_in_list(path: str) -> tuple[str, str]:
    """What a field of objects in a list may be called by: its own name, and that with the list's."""
    of_list, field = path.split(".")[-2:]
    of_list = _NUMBER.sub("", of_list).rpartition("_")[2]  # ..._ecommerce_product_1
    return plain_name(field), plain_name(f"{of_list}.{field}")


def _ids_in_objects(table: SeenTable) -> list[SeenColumn]:
    """The id in an object that is called an item (`item.id`), whose last name says nothing alone; [] without any."""
    return table.id_in_objects(_NAMES_IN_OBJECTS, _OBJECTS)


def _rows_beside(column: SeenColumn, other: SeenColumn) -> tuple[bool, int]:
    """(whether a column has a value in a row where another has none, in how many rows both have one)."""
    rows = list(zip(column.values, other.values, strict=True))
    is_more = any(one is not None and two is None for one, two in rows)
    return is_more, sum(one is not None and two is not None for one, two in rows)


def _names_of(columns: Sequence[SeenColumn]) -> list[str]:
    return [column.name for column in columns]


def items_of_log(columns: Sequence[SeenColumn], table: SeenTable) -> FoundColumn:
    """The items, of these columns."""
    notes = ["a row for each item of a list, or the one that the event has itself"] if len(columns) > 1 else []
    if len(columns) > 1 and (num_both := _rows_beside(*columns[:2])[1]):
        names = " and ".join(_names_of(columns[:2]))
        notes.append(
            f"{num_both:,} of {table.num_rows:,} rows have both, {names}: which are the items of these events? "
            "The first that is named here counts"
        )
    listed = any(isinstance(value, list) for value in columns[0].filled) and columns[0].name in table.columns
    options = {"separator": ","} if listed and columns[0].texts == [] else {}
    notes += [*_asked_of_rows_without(columns, table), *_asked_of_returns(table)]
    return found_in(columns, "item_id", options=options, notes=notes)


def _asked_of_rows_without(columns: Sequence[SeenColumn], table: SeenTable) -> list[str]:
    """What a person is asked of rows without an item in which another column has something that is called as items
    are."""
    rows = [all(values) for values in zip(*([value is None for value in one.values] for one in columns), strict=True)]
    read = {name for one in columns for name in (one.name, one.name.partition(".")[0])}
    named = (table.column([name]) for name in (*usual_names.LOG_ITEMS, *usual_names.LOG_LISTS))
    for other in dict.fromkeys(one for one in named if one is not None and one.name not in read):
        there = [
            value for value, is_without in zip(other.values, rows, strict=True) if is_without and value is not None
        ]
        if len(there) > _FEW_ROWS * len(rows):
            return [
                f"{len(there):,} of {len(rows):,} rows have none by {' and '.join(_names_of(columns))}, and have "
                f"{other.name} ({shortened(str(there[0]), 60)}): are their items there? Then name it as a further "
                "source; a list of objects is to be JSON in the export"
            ]
    return []


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
