"""Logs in which no column says what somebody did: the columns that may be it, and the one action of every row."""

from collections.abc import Sequence

from pipelines.init.table.found import FoundColumn
from pipelines.init.table.seen import SeenColumn, SeenTable
from schemas.columns.names import plain_name
from schemas.columns.usual_names import ORDERS

#: Different values of a column of actions.
MOST_ACTIONS = 100
#: What a row of an order has, and no click: then each row is a checkout.
_OF_ORDERS = (*ORDERS, "price", "unit_price", "quantity", "amount", "sales_value", "total")
#: Lists of an order's items; and what each has there, as an order alone has it.
_LISTS_OF_ORDERS = ("line_items", "lineitems", "order_items", "order_lines", "positions")
_OF_LINES = tuple(map(plain_name, ("quantity", "qty", "qty_ordered", "ordered_quantity", "row_total", "subtotal")))


def of_several_values(table: SeenTable, found: Sequence[FoundColumn]) -> tuple[str, ...]:
    """The columns that nothing reads, also in objects, with several values that come again: one may be the action."""
    read = {source for one in found for source in one.sources}
    columns = {**table.columns, **table.nested}
    return tuple(
        name
        for name, column in columns.items()
        if name not in read and 1 < len(set(column.texts)) <= MOST_ACTIONS and not column.is_distinct
    )


def one_action(table: SeenTable) -> FoundColumn:
    """The action of every row of a log that has no column of them."""
    of_orders = table.column(_OF_ORDERS) or next(filter(_is_of_a_line, table.members.values()), None)
    action = "click" if of_orders is None else "checkout"
    why = "" if of_orders is None else f", for there is {of_orders.name}"
    note = f"no column says what somebody did: every row counts as {action}{why}. Is it so? Else write another"
    return FoundColumn("action", (), {"constant": action}, (note,))


def _is_of_a_line(column: SeenColumn) -> bool:
    """Whether a field of objects in a list is one of the lines of an order."""
    listed, field = column.name.split(".")[-2:]
    return plain_name(listed) in map(plain_name, _LISTS_OF_ORDERS) or plain_name(field) in _OF_LINES
