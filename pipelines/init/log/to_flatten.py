"""Logs that are no rows yet: visits with a list of actions which have lists of items, and lists of products in a text.

No mapping of columns reads these, for the time of an action and its items are in different lists.
"""

import re

from pipelines.init.table.seen import SeenTable
from schemas.errors import UsageError
from schemas.files import shown

_MATOMO = "actionDetails"
_ADOBE = ("product_list", "post_product_list")
#: Category;product;quantity;price;events;eVars, of which only the product has to be there, and the next one behind a
#: comma.
_OF_ADOBE = re.compile(r"[^;,]*;[^;,]+(?:;[^,]*)?(?:,.*)?", re.DOTALL)
_HOW = "docs/starts/log.md has the lines that do it, under 'Lists of lists'"


def refuse_to_flatten(table: SeenTable, given: str) -> None:
    """Raises UsageError for a table of visits of Matomo, or of hits of Adobe Analytics, with what to do. given: the
    path of the call."""
    visits = table.column([_MATOMO])
    if visits is not None and any(isinstance(value, list) and value for value in visits.filled):
        raise UsageError(
            f"expected an event a row in {shown(given)}, got visits as Matomo has them, whose {visits.name} are lists "
            "of actions with lists of items: write a row for each item of an action, with its timestamp, type and "
            f"itemSKU. {_HOW}"
        )
    products = table.column(_ADOBE)
    if products is not None and any(map(_OF_ADOBE.fullmatch, products.texts)):
        raise UsageError(
            f"expected an item a row in {shown(given)}, got lists of products in {products.name}, as Adobe Analytics "
            "writes them (Category;Product;Quantity;Price): write a row for each product, with the second part as "
            f"item_id, and an action by event_list. {_HOW}"
        )
