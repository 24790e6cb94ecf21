"""The kinds of files that `itemsage init` starts from."""

from collections.abc import Callable

from pipelines.init.catalogue import by_contents, google_feed, shopify, woocommerce
from pipelines.init.log.actions import is_ga4
from pipelines.init.table.found import Start
from pipelines.init.table.seen import SeenTable

#: The kind of a log; of catalogues how each is read, likeliest first.
GA4 = "ga4"
CATALOGUES: dict[str, Callable[[SeenTable], list[Start]]] = {
    "shopify": shopify.starts,
    "woocommerce": woocommerce.starts,
    "google-feed": google_feed.starts,
    "csv": by_contents.starts,
}
KINDS = (*(kind for kind in CATALOGUES if kind != "csv"), GA4, "csv")
_RECOGNISED = {
    "shopify": shopify.is_shopify,
    "woocommerce": woocommerce.is_woocommerce,
    GA4: is_ga4,
    "google-feed": google_feed.is_google_feed,
}


def recognised_kind(table: SeenTable) -> str:
    """One of KINDS, by the names of the columns: csv if they are nobody's in particular."""
    return next((kind for kind, is_one in _RECOGNISED.items() if is_one(table)), "csv")
