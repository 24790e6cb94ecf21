"""Columns that are called as prices, stocks and the like are: none of them is an id, though no value is there twice."""

from schemas.columns.names import words_of

_AMOUNTS = frozenset(
    (
        *("price", "prices", "msrp", "rrp", "cost", "costs", "amount", "total", "preis", "vk", "ek", "uvp", "prix"),
        *("precio", "preço", "preco", "prezzo", "prijs", "cena", "pris", "stock", "qty", "quantity", "inventory"),
        *("weight", "gewicht", "poids", "peso", "rating", "position", "rank", "discount", "tax", "vat"),
    )
)


def is_called_an_amount(name: str) -> bool:
    """Whether a name tells that a column has prices, stocks or the like.

    >>> is_called_an_amount("product_price"), is_called_an_amount("salePrice"), is_called_an_amount("price_list_id")
    (True, True, False)
    """
    words = words_of(name)
    return not _AMOUNTS.isdisjoint(words) and words[-1] not in ("id", "code", "number", "sku")
