"""Rows of a log that take a purchase back, in another column than the action: asked about, for they would count as
bought."""

from collections.abc import Sequence

from pipelines.init.table.seen import SeenTable

_QUANTITIES = ("quantity", "qty", "item_quantity", "lineitem_quantity", "product_quantity", "amount", "menge", "units")
_STATES = ("status", "order_status", "financial_status", "payment_status", "state", "fulfillment_status")
_TAKEN_BACK = ("refunded", "returned", "cancelled", "canceled", "voided", "chargeback", "partially_refunded")


def asked_of_returns(table: SeenTable) -> Sequence[str]:
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
