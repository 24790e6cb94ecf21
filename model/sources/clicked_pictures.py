"""Which product a query picture shows, as far as clicks tell: positives of picture queries for a Siamese network."""

from collections import Counter, defaultdict
from collections.abc import Iterable


def clicked_products(clicks: Iterable[tuple[str, str]]) -> dict[str, str]:
    """query picture -> the item that most of its clicks were on, of equal ones the first by id. clicks: (query picture,
    item) of each, in any order.

    A picture has one product in training; what else was clicked after it are items like it, and no proof of another.

    >>> clicked_products([("q.jpg", "b"), ("q.jpg", "a"), ("q.jpg", "b"), ("r.jpg", "d"), ("r.jpg", "c")])
    {'q.jpg': 'b', 'r.jpg': 'c'}
    """
    counts: dict[str, Counter[str]] = defaultdict(Counter)
    for picture, item in clicks:
        counts[picture][item] += 1
    return {
        picture: min(counts[picture], key=lambda item: (-counts[picture][item], item)) for picture in sorted(counts)
    }
