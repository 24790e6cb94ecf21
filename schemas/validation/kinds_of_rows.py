"""Tables in which not every row is a product: below a product stand rows of its variants, its pictures, its rules.

A column says so in words (BigCommerce's `Item`, Wix's `fieldType`), or the rows below a product lack its id and its
title (Squarespace), or say that they are variants and lack a title (eBay). They become one item if a column names the
product in each of its rows; else nothing in such a row says whose it is but the row's place, and the table is refused
with what to do.
"""

import re
from collections.abc import Collection, Mapping, Sequence
from typing import Any, Protocol, TypeVar

from schemas.columns.names import bare_name, plain_name
from schemas.columns.names_of_amounts import is_called_an_amount
from schemas.columns.usual_names import ITEM_IDS, TEXTS
from schemas.errors import UsageError
from schemas.files import shown

#: What a row is in words: a product, and what stands below one.
_PRODUCT = "product"
_PARTS = frozenset(("variant", "variation", "image", "picture", "sku", "rule", "option", "modifier", "video", "media"))
#: Names of the product's id beside which a table may have another for each variant, and of its title.
_PRODUCT_IDS = ("product_id", "product_internal_id", "internal_id", "handle_id", "handle")
#: What the lines of docs/starts/csv.md write into each row.
OF_PRODUCT = "product_row_id"
_HOW = "docs/starts/csv.md has the lines that do it, under 'Rows below a product'"
_TITLES = tuple(name for names in TEXTS["title"] for name in names)


class Column(Protocol):
    """A column of a shop's own. values: one a row, None for null and blank text; texts: those that have one."""

    @property
    def name(self) -> str: ...

    @property
    def values(self) -> Sequence[Any]: ...

    @property
    def texts(self) -> Sequence[str]: ...

    @property
    def is_distinct(self) -> bool:
        """Whether no value is there twice; False without any."""


ColumnT = TypeVar("ColumnT", bound=Column)
ColumnT_co = TypeVar("ColumnT_co", bound=Column, covariant=True)


class Table(Protocol[ColumnT_co]):
    """The first rows of a shop's files. columns: by the shop's name; column: that of one of some names, in whatever
    case and with whatever signs."""

    @property
    def files(self) -> Sequence[str]: ...

    @property
    def columns(self) -> Mapping[str, ColumnT_co]: ...

    def column(self, names: Collection[str]) -> ColumnT_co | None: ...


def kind_column(table: Table[ColumnT]) -> ColumnT | None:
    """The column that says of each row whether it is a product or a part of one, if both are there."""
    for column in table.columns.values():
        kinds = _kinds(column)
        if len(kinds) > 1 and _PRODUCT in kinds and kinds <= {_PRODUCT, *_PARTS}:
            return column
    return None


def names_of_product(table: Table[ColumnT], kind: Column) -> ColumnT | None:
    """The column that names the product in each of its rows: each value is that of one product and
    of its parts, which stand below it."""
    is_product = [_kind(value) == _PRODUCT for value in kind.values]
    for column in filter(_is_called_an_id, table.columns.values()):
        if len(column.texts) == len(column.values) and _is_of_products_above(column.texts, is_product):
            return column
    return None


def _is_of_products_above(names: Sequence[str], is_product: Sequence[bool]) -> bool:
    """Whether each product has a name of its own, and each part that of the product above it."""
    products: set[str] = set()
    above = None
    for name, is_one in zip(names, is_product, strict=True):
        if is_one == (name in products) or not (is_one or name == above):
            return False
        above = name
        products.add(name)
    return True


def _is_called_an_id(column: Column) -> bool:
    names = set(map(plain_name, (*ITEM_IDS, *_PRODUCT_IDS, OF_PRODUCT)))
    return not names.isdisjoint((plain_name(column.name), bare_name(column.name)))


def column_of_products(table: Table[ColumnT]) -> ColumnT | None:
    """The column that says of each row whose it is, of a table whose rows are not all products; None of another."""
    written = table.column([OF_PRODUCT])
    if written is not None and len(written.texts) == len(written.values):
        return written
    kind = kind_column(table)
    return None if kind is None else names_of_product(table, kind)


def refuse_nameless_parts(table: Table[Any]) -> None:
    """Raises UsageError if rows stand below a product and only their place says of which, with what to do."""
    if told := nameless_parts(table):
        raise UsageError(told)


def nameless_parts(table: Table[Any]) -> str:
    """What is wrong with a table in which rows stand below a product and only their place says of which, and what to
    do; "" of any other."""
    if column_of_products(table) is not None:
        return ""
    kind = kind_column(table)
    if kind is not None:
        others = ", ".join(sorted({str(value).strip() for value in kind.texts if _kind(value) != _PRODUCT}))
        return _told(table, f"rows of other kinds in {kind.name!r} ({others})", kind.name)
    title = table.column(_TITLES)
    if title is None:
        return ""
    if (kind := _kind_without_title(table, title)) is not None:
        return _told(table, f"rows of other kinds in {kind.name!r} ({', '.join(sorted(set(kind.texts)))})", kind.name)
    product = _product_of_first_rows(table, title)
    if product is not None:
        return _told(
            table, f"rows without {product.name!r} and {title.name!r} below those that have them", product.name
        )
    return ""


def _kind_without_title(table: Table[ColumnT], title: Column) -> ColumnT | None:
    """The column that says of all rows without a title, and of no other, that they are parts, where no column names
    their product; None if the first row is one."""
    is_part = [value is None for value in title.values]
    if not any(is_part) or is_part[0] or _is_named(table, is_part):
        return None
    for column in table.columns.values():
        if [value is not None for value in column.values] == is_part and _different(column.texts) <= _PARTS:
            return column if _different(column.texts) else None
    return None


def _is_named(table: Table[Any], is_part: Sequence[bool]) -> bool:
    """Whether a column has in each row of a part the key of a row that is none."""
    columns = [column for column in table.columns.values() if not is_called_an_amount(column.name)]
    keys: list[set[Any]] = []
    for column in columns:
        own = [value for value, is_one in zip(column.values, is_part, strict=True) if not is_one]
        if None not in own and len(set(map(str, own))) == len(own):
            keys.append(set(map(str, own)))
    for column in columns:
        parts = {str(value) for value, is_one in zip(column.values, is_part, strict=True) if is_one}
        if any(parts <= known for known in keys):
            return True
    return False


def _product_of_first_rows(table: Table[ColumnT], title: Column) -> ColumnT | None:
    """The id of the product that, as its title, is in the first row of each and in no other. Where it is not called a
    product's, rows below one are parts only if they have a value of their own, and not all stand at the table's end."""
    product = table.column(_PRODUCT_IDS)
    if product is not None and _is_of_first_rows(product, title):
        return product
    is_first = [value is not None for value in title.values]
    if is_first == sorted(is_first, reverse=True):
        return None
    own = [column for column in table.columns.values() if column.is_distinct and not is_called_an_amount(column.name)]
    rows = [row for row, is_one in enumerate(is_first) if not is_one]
    if not any(all(column.values[row] is not None for row in rows) for column in own):
        return None
    return next((one for one in own if _is_called_a_key(one) and _is_of_first_rows(one, title)), None)


def _is_called_a_key(column: Column) -> bool:
    return _is_called_an_id(column) or plain_name(column.name) == "key"


def _is_of_first_rows(product: Column, title: Column) -> bool:
    """Whether the id of the product and its title are in the first row of each product, and in no other."""
    is_first = [value is not None for value in product.values]
    is_some = bool(is_first) and is_first[0] and not all(is_first) and product.is_distinct
    return is_some and is_first == [value is not None for value in title.values]


def _told(table: Table[Any], got: str, column: str) -> str:
    return (
        f"expected a product a row in {shown(table.files[0])}, or a column that names the product in each of its rows, "
        f"got {got}, whose place alone says which product they belong to: write the product's id into each of its "
        f"rows. {_HOW}. If each row is a product all the same, leave the column {column!r} out"
    )


def _kinds(column: Column) -> set[str]:
    """Words of a column, () of one that has a longer text, or null somewhere."""
    if len(column.texts) < len(column.values):
        return set()
    return _different(column.texts)


def _different(texts: Sequence[str]) -> set[str]:
    kinds: set[str] = set()
    for text in texts:
        kinds.add(_kind(text))
        if len(kinds) > len(_PARTS):
            return set()
    return kinds


def _kind(value: object) -> str:
    """In small letters; `product_variation` and the like (Ecwid) without the product."""
    kind = str(value).strip().casefold()
    part = re.sub(r"^product[\s_-]+", "", kind)
    return part if part in _PARTS else kind
