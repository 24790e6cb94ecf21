"""Logs of orders, a row an item, of which the first row of each order alone says when it was and whose (Shopify)."""

from collections.abc import Iterator
from dataclasses import replace

from pipelines.init.table.columns import SeenColumn
from pipelines.init.table.found import FoundColumn
from pipelines.init.table.seen import SeenTable
from schemas.columns.usual_names import ORDERS

#: What orders are called by, the likelier first.
_NAMES = ("name", "order", "order_name", "transaction_id", "purchase_id", "cart_id", "id", *ORDERS)
#: Share of the orders whose first row has the value, in a log in which it is written once an order.
_NEARLY_ALL = 0.9


def with_order(found: FoundColumn, table: SeenTable) -> FoundColumn:
    """Our column, of rows that have what the first row of their order has, where the rows below it have nothing."""
    values = table.columns.get(found.sources[0]) if len(found.sources) == 1 else None
    if values is None or len(values.texts) == len(values.values) or not values.texts:
        return found
    order = next((one for one in _orders(table) if one is not values and _is_once_an_order(one, values)), None)
    if order is None:
        return found
    note = f"the first row of each {order.name!r} alone has it: the rows below it have it, too"
    return replace(found, options={**found.options, "within": order.name}, notes=(*found.notes, note))


def _orders(table: SeenTable) -> Iterator[SeenColumn]:
    """The columns that each row has, those that are called an order first."""
    called = [column for name in _NAMES if (column := table.column([name])) is not None]
    for column in dict.fromkeys([*called, *table.columns.values()]):
        if column.name in table.columns and len(column.texts) == len(column.values) and not column.is_distinct:
            yield column


def _is_once_an_order(order: SeenColumn, values: SeenColumn) -> bool:
    """Whether rows of one order follow each other, and the first of each has the value and no other has any."""
    seen: set[str] = set()
    num_first = num_values = num_below = 0
    above: str | None = None
    for here, value in zip(order.texts, values.texts_of_rows, strict=True):
        if here == above:
            num_below += 1
            if value is not None:
                return False
            continue
        if here in seen:
            return False
        seen.add(here)
        above, num_first, num_values = here, num_first + 1, num_values + (value is not None)
    return num_below > 0 and num_values >= _NEARLY_ALL * num_first
