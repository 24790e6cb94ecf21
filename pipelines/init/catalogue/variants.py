"""Tables in which some rows are variants, and a column names the product of each: another row, or none of the table."""

from collections.abc import Collection, Sequence

from pipelines.init.catalogue.repeated_ids import repeated_ids
from pipelines.init.table.columns import SeenColumn
from pipelines.init.table.found import FoundColumn, Start, found_in
from pipelines.init.table.seen import SeenTable
from schemas.columns.usual_names import PARENTS

#: Of a table that is not looked at to its end, the products that may be further down.
_FEW_UNKNOWN = 0.1
#: What a column of parents has in rows that have none.
_NO_PARENT = ("0", "-1")
#: Share of products that have a title, where the rows below them have none.
_MOST_TITLED = 0.9
#: What a row is in words that is a variant.
_VARIANTS = ("variation", "variant")


def by_parent(
    table: SeenTable, ids: Sequence[SeenColumn], rest: Sequence[FoundColumn], asked: tuple[str, ...]
) -> list[Start]:
    """Products with their variants merged into them, and variants beside their products, where a column names the
    product of some rows: what it has are ids of others, or of no row, if rows of one product have one title."""
    parent, values = _parents(table, ids)
    if parent is None or not parent.texts:
        return []
    notes = [f"the {parent.name} in {len(parent.texts):,} of {table.num_rows:,} rows, which are variants"]
    keys = [column for column in ids if column.is_key]
    is_row = next((column for column in keys if _are_rows(parent, column, table)), None)
    column = is_row or (keys[0] if keys and _are_siblings(parent, keys, titles_of(table, rest)) else None)
    if column is None:
        return []
    merged = (
        "they are merged into the row that they name"
        if is_row
        else f"{parent.name} names no row: rows that share it, and a title, are merged. Are they variants?"
    )
    item_ids = found_in([parent, column], "item_id", options=values, notes=[*notes, merged])
    why = "variants have what they lack of their product"
    group = found_in([parent, column], "group", options=values, notes=[why])
    own = found_in([column], "item_id")
    return [
        Start((item_ids, *rest), f"products, variants by {parent.name} merged", "merge", asked),
        Start((own, group, *rest), f"rows by {column.name}, variants beside their product", "merge", asked),
    ]


def by_continuation(
    table: SeenTable, ids: Sequence[SeenColumn], rest: Sequence[FoundColumn], asked: tuple[str, ...]
) -> list[Start]:
    """Products with the rows below them merged into them, and these rows beside their product, where a column repeats
    in rows that follow each other, of which the first alone has a title: the others are variants."""
    titles = titles_of(table, rest)
    sources = {source for one in rest for source in one.sources}
    columns = [column for column in table.columns.values() if column.name not in sources]
    product = next((column for column in columns if any(_continues(column, title) for title in titles[:1])), None)
    if product is None:
        return []
    num_products = len(set(product.texts))
    note = (
        f"{num_products:,} values in {table.num_rows:,} rows, of which the first of each alone has a title: the others "
        "are merged into it. Are they its variants?"
    )
    told_apart = f"products by {product.name}, rows merged"
    merged = Start((found_in([product], "item_id", notes=[note]), *rest), told_apart, "merge", asked)
    keys = [column for column in ids if column.is_key and column is not product]
    group = found_in([product], "group", notes=["variants have what they lack of their product"])
    beside = [
        Start((found_in([key], "item_id"), group, *rest), f"rows by {key.name}, with their product", "merge", asked)
        for key in keys
    ]
    return [merged, *beside]


def _continues(column: SeenColumn, title: SeenColumn) -> bool:
    """Whether each value of a column stands in rows that follow each other, some in several, and titles in no other
    than the first of these, of which most have one."""
    if len(column.texts) != len(column.values) or column.is_distinct:
        return False
    seen: set[str | None] = set()
    above, num_first, num_titles = None, 0, 0
    for value, text in zip(column.texts_of_rows, title.texts_of_rows, strict=True):
        is_first = value != above
        if (is_first and value in seen) or (text is not None and not is_first):
            return False
        seen.add(value)
        above, num_first, num_titles = value, num_first + is_first, num_titles + (text is not None)
    return num_titles >= _MOST_TITLED * num_first


def asked_of_parents(table: SeenTable, ids: Sequence[SeenColumn]) -> list[str]:
    """What a person is asked of a column of parents that several rows share, where by_parent finds nothing to merge."""
    parent, _ = _parents(table, ids)
    if parent is None or len(set(parent.texts)) == len(parent.texts):
        return []
    num_products = len(set(parent.texts))
    return [
        f"{parent.name}: {len(parent.texts):,} rows name {num_products:,} others, by which nothing is merged. "
        f"Are those of one {parent.name} variants of one product? Then write "
        f'item_id = ["{parent.name}", "{ids[0].name}"], and group_rows = "merge" above [columns]'
    ]


def titles_of(table: SeenTable, found: Sequence[FoundColumn]) -> list[SeenColumn]:
    """The columns that the title is made of."""
    columns = {**table.nested, **table.columns}
    return [columns[name] for one in found if one.name == "title" for name in one.sources if name in columns]


def parent_by_kind(table: SeenTable, known: Collection[str]) -> SeenColumn | None:
    """The column that names the product of each variant, whatever it is called, where another says in words which rows
    are variants: it is filled in these alone. known: what products are named by."""
    for kind in table.columns.values():
        is_variant = [text is not None and text.strip().casefold().startswith(_VARIANTS) for text in kind.texts_of_rows]
        if not any(is_variant) or all(is_variant):
            continue
        for column in table.columns.values():
            is_filled = [text is not None for text in column.texts_of_rows]
            if column is not kind and is_filled == is_variant and set(column.texts) <= set(known):
                return column
    return None


def _parents(table: SeenTable, ids: Sequence[SeenColumn]) -> tuple[SeenColumn | None, dict[str, dict[str, str]]]:
    """(the column, with null where it says that a row has no parent; what the mapping says of these words)."""
    known = {text for column in ids if column.is_key for text in column.texts}
    parent = table.column(PARENTS) or parent_by_kind(table, known)
    if parent is None:
        return None, {}
    none = [word for word in _NO_PARENT if word in parent.texts and word not in known]
    if not none:
        return parent, {}
    texts = parent.texts_of_rows
    return SeenColumn(parent.name, [None if text in none else text for text in texts]), {
        "values": dict.fromkeys(none, "")
    }


def _are_rows(parent: SeenColumn, column: SeenColumn, table: SeenTable) -> bool:
    """Whether what the parent has are ids of rows, but for some of a large table, which lie further down."""
    parents = set(parent.texts)
    return len(parents - set(column.texts)) <= (0 if table.is_whole else _FEW_UNKNOWN * len(parents))


def _are_siblings(parent: SeenColumn, keys: Sequence[SeenColumn], titles: Sequence[SeenColumn]) -> bool:
    """Whether the parents are no rows, and rows of one parent, of which some have several, have one title."""
    are_rows = any(not set(parent.texts).isdisjoint(column.texts) for column in keys)
    if are_rows or not any(title.texts for title in titles):
        return False
    named = SeenColumn(parent.name, parent.texts_of_rows)
    return repeated_ids(named, titles).group_rows == "merge"
