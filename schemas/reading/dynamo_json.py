"""DynamoDB's JSON, in which each value stands in an object under the sign of its type.

{"Item": {"sku": {"S": "A-1"}, "price": {"N": "9.90"}, "images": {"L": [{"S": "a.jpg"}]}, "sold": {"NULL": true}}}
"""

from typing import Any

#: The sign of a type -> what stands behind it.
_TYPES: dict[str, type] = {
    **dict.fromkeys(("S", "N", "B"), str),
    **dict.fromkeys(("SS", "NS", "BS", "L"), list),
    **dict.fromkeys(("BOOL", "NULL"), bool),
    "M": dict,
}
#: What an export has around a row.
_ITEM = "Item"


def plain_item(row: dict[str, Any]) -> dict[str, Any]:
    """A row with its plain values, if all of its values, or those of its only one, `Item`, are of a type each; else the
    row itself.

    >>> plain_item({"Item": {"sku": {"S": "A-1"}, "images": {"L": [{"S": "a.jpg"}]}, "sold": {"NULL": True}}})
    {'sku': 'A-1', 'images': ['a.jpg'], 'sold': None}
    >>> plain_item({"sku": "A-1", "stock": {"S": "sold out"}})
    {'sku': 'A-1', 'stock': {'S': 'sold out'}}
    """
    item = row.get(_ITEM) if len(row) == 1 else row
    if not isinstance(item, dict) or not item or not all(map(_is_typed, item.values())):
        return row
    return {name: _plain(value) for name, value in item.items()}


def _is_typed(value: Any) -> bool:
    if not isinstance(value, dict) or len(value) != 1:
        return False
    ((sign, inner),) = value.items()
    return isinstance(inner, _TYPES.get(sign, ()))


def _plain(value: Any) -> Any:
    if not _is_typed(value):
        return value
    ((sign, inner),) = value.items()
    if sign == "NULL":
        return None
    if sign == "L":
        return [_plain(member) for member in inner]
    return {name: _plain(member) for name, member in inner.items()} if sign == "M" else inner
