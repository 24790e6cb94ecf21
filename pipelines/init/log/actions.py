"""What events of a log are called, and which action of ours each is."""

import re
from collections import Counter
from collections.abc import Collection

from pipelines.init.log.no_action import MOST_ACTIONS
from pipelines.init.table.columns import SeenColumn
from pipelines.init.table.seen import SeenTable
from schemas import tables
from schemas.columns import usual_names
from schemas.columns.names import plain_name

#: Google's events of items -> our actions.
ACTIONS = {
    "view_item_list": "impression",
    "view_search_results": "impression",
    "view_item": "click",
    "select_item": "click",
    "add_to_wishlist": "save",
    "add_to_cart": "add_to_cart",
    "purchase": "checkout",
    "refund": "return",
}
#: Google's events that say nothing of what somebody thinks of an item, or have none. Its `click` leaves the site.
OF_NO_USE = (
    *("add_payment_info", "add_shipping_info", "begin_checkout", "remove_from_cart", "select_promotion", "view_cart"),
    *("view_promotion", "click", "file_download", "first_visit", "form_start", "form_submit", "generate_lead", "login"),
    *("page_view", "scroll", "search", "session_start", "share", "sign_up", "user_engagement", "video_complete"),
    *("video_progress", "video_start"),
)
#: What other systems call actions (Segment, Meta, Snowplow) -> ours, "" for none. Case and signs do not count.
_OTHER_ACTIONS = {
    **dict.fromkeys(("view", "product_view", "detail_view", "pdp_view"), "click"),
    **dict.fromkeys(("ansicht", "vue", "vista", "klick", "clic"), "click"),
    **dict.fromkeys(("merkzettel", "wunschliste"), "save"),
    **dict.fromkeys(("warenkorb", "panier", "carrito"), "add_to_cart"),
    **dict.fromkeys(("kauf", "bestellung", "achat", "compra"), "checkout"),
    **dict.fromkeys(("wishlist", "favorite", "favourite", "like"), "save"),
    **dict.fromkeys(("cart", "add_to_basket", "basket"), "add_to_cart"),
    **dict.fromkeys(("transaction", "order", "buy", "placed_order"), "checkout"),
    **dict.fromkeys(
        (
            *("added_to_cart", "item_added_to_cart", "product_added_to_cart", "added_product", "added_to_bag"),
            *("add_item_to_cart", "add_product_to_cart", "add_to_bag", "item_added", "cart_add"),
        ),
        "add_to_cart",
    ),
    **dict.fromkeys(
        (
            *("viewed_product", "viewed_item", "item_viewed", "product_view", "view_product", "clicked_product"),
            *("product_page_viewed", "product_detail_viewed", "viewed_product_page", "item_clicked", "product_click"),
        ),
        "click",
    ),
    **dict.fromkeys(
        (
            *("added_to_wishlist", "item_added_to_wishlist", "wishlisted", "favorited", "favourited", "saved"),
            *("product_saved", "saved_product", "liked"),
        ),
        "save",
    ),
    **dict.fromkeys(
        (
            *("purchased", "ordered", "bought", "order_placed", "completed_order", "purchase_completed"),
            *("completed_purchase", "checkout_completed", "ordered_product", "product_purchased", "made_purchase"),
            *("item_purchased", "order_paid"),
        ),
        "checkout",
    ),
    **dict.fromkeys(("refunded", "returned", "refunded_order", "order_returned", "item_returned"), "return"),
    **dict.fromkeys(("removed_from_cart", "item_removed_from_cart", "started_checkout", "viewed_cart"), ""),
    **dict.fromkeys(("viewed_product_list", "product_list_view", "product_impression"), "impression"),
    "product_list_viewed": "impression",
    "product_viewed": "click",
    "product_clicked": "click",
    "product_added_to_wishlist": "save",
    "product_added": "add_to_cart",
    "order_completed": "checkout",
    "order_refunded": "return",
    "view_content": "click",
    "ecommerce_order": "checkout",
    "ecommerce_abandoned_cart": "add_to_cart",
    **dict.fromkeys(("initiate_checkout", "checkout_started", "product_removed", "cart_viewed"), ""),
    "products_searched": "",
    "list_view": "impression",
    "list_click": "click",
    **dict.fromkeys(("checkout_step", "trans_error", "promo_view", "promo_click"), ""),
}
#: The type, or the name, in an object of actions.
_TYPE_OF_ACTION = re.compile(r"action[_\d]*\.(?:type|action)$", re.IGNORECASE)


def is_ga4(table: SeenTable) -> bool:
    """Whether the columns are those of GA4's events."""
    return table.has("event_name") and any(table.has(name) for name in ("event_timestamp", "event_date", "items"))


def event_column(table: SeenTable) -> SeenColumn | None:
    """The column of what somebody did; where its events say nothing of items, the type of an object of actions that
    does (Snowplow's `unstruct_event_..._ecommerce_action_1`)."""
    named = (table.column([name]) for name in usual_names.OF_LOG["action"])
    columns = [column for column in named if column is not None]
    # of an object that is called an event the action is in it
    event = next((column for column in columns if column.texts), next(iter(columns), None))
    if event is not None and _says_actions(event, table):
        return event
    typed = (column for path, column in table.nested.items() if _TYPE_OF_ACTION.search(path))
    if (found := next((column for column in typed if _says_actions(column, table)), None)) is not None:
        return found
    if event is not None and len(set(event.texts)) > 1 and not event.is_distinct:
        return event
    others = [column for column in {**table.columns, **table.nested}.values() if _is_of_actions(column, table)]
    return next(iter(others), event)


def known_actions(seen: Collection[str], is_google: bool) -> dict[str, str]:
    """Those of a file's events that are known but for case and signs -> our action, "" for none. is_google: whether
    other systems' words say nothing there, nor those of ours that Google has for something else."""
    known = {**dict.fromkeys(OF_NO_USE, ""), **ACTIONS, **({} if is_google else _OTHER_ACTIONS)}
    known |= {name: name for name in tables.ACTIONS if not (is_google and name in OF_NO_USE)}
    by_name = {plain_name(name): action for name, action in known.items()}
    theirs = [name for name in seen if name not in tables.ACTIONS]
    names = [*theirs, *(name for name in tables.ACTIONS if name in seen)]
    return {name: by_name[plain] for name in names if (plain := plain_name(name)) in by_name}


def _is_of_actions(column: SeenColumn, table: SeenTable) -> bool:
    """Whether a column has several values, of which most are known actions."""
    seen = Counter(column.texts)
    known = known_actions(seen, is_ga4(table)) if 1 < len(seen) <= MOST_ACTIONS else {}
    return any(known.values()) and 2 * sum(seen[name] for name in known) > seen.total()


def _says_actions(column: SeenColumn, table: SeenTable) -> bool:
    return any(known_actions(set(column.texts), is_ga4(table)).values())
