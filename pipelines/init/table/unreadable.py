"""Tables that no config can read: why, and what to do with the export.

Its letters are of an encoding that a person has to tell, it has no rows, no names of columns or one name for several,
its rows are in a list of one object, or they are no events yet: visits with a list of actions which have lists of
items, and lists of products in a text. No mapping of columns reads these last, for the time of an action and its items
are in different lists.
"""

import re

from pipelines.init.broken_rows import refuse_broken_rows
from pipelines.init.table.seen import SeenTable
from schemas import storage
from schemas.columns.mapping import asked_of_names
from schemas.columns.names import plain_name
from schemas.columns.picture_names import is_called_a_picture
from schemas.columns.usual_names import ITEM_IDS, LOG_ITEMS, OF_CATALOGUE
from schemas.errors import UsageError
from schemas.files import shown
from schemas.quarantine import quote
from schemas.reading.forms import form_of
from schemas.reading.json_objects import list_remedy
from schemas.reading.json_rows import check_json_rows
from schemas.reading.json_shapes import refuse_other_shape

_MATOMO = "actionDetails"
_ADOBE = ("product_list", "post_product_list")
#: Of Adobe: category;product;quantity;price;events;eVars, of which only the product has to be there, and the next one
#: behind a comma.
_OF_ADOBE = re.compile(r"[^;,]*;[^;,]+(?:;[^,]*)?(?:,.*)?", re.DOTALL)
_HOW_TO_FLATTEN = "docs/starts/log.md has the lines that do it, under 'Lists of lists'"


def refuse_unreadable(table: SeenTable, given: str) -> None:
    """Raises UsageError for a table that lacks its letters, its rows or its names of columns. given: the path of the
    call."""
    _refuse_other_encoding(table)
    _refuse_without_rows(table)
    _refuse_nameless(table, given)


def _refuse_other_encoding(table: SeenTable) -> None:
    """Raises UsageError if the table's text is of an encoding that a person has to tell, with how."""
    for path in table.files:
        if form_of(path).is_of_other_encoding:
            raise UsageError(
                f"expected UTF-8 (or UTF-16, or cp1252 of Western Europe) in {shown(path)}, got letters of another "
                "encoding, such as cp1250 of Central Europe, cp1251 (Cyrillic), mac_roman, cp850, shift_jis: "
                'save it as UTF-8, or say which it is: write the two lines [format] and encoding = "cp1250", or '
                "another, into a config, say form.toml, and call itemsage init with --config form.toml, too"
            )


def _refuse_without_rows(table: SeenTable) -> None:
    """Raises UsageError for a table without rows, and for JSON of a shape that hides them, with what to do."""
    path = next((path for path in sorted(table.files) if storage.size_of(path)), sorted(table.files)[0])
    form = form_of(path)
    if form.kind == "json" and not form.is_empty:
        check_json_rows(path, (frozenset(table.columns),))
        if table.num_rows == 1 and not form.is_array and not any(map(table.has, (*ITEM_IDS, *LOG_ITEMS))):
            refuse_other_shape(path, ())
    if table.num_rows:
        return
    refuse_groups_for_names(table)
    if form.is_empty or not table.columns:
        got = "an empty file" if form.is_empty else "an empty list" if form.is_array else "none"
        raise UsageError(f"expected rows in {shown(path)}, got {got}: was the export written to its end? Make it again")
    refuse_broken_rows(path)
    raise UsageError(
        f"expected rows in {shown(path)} below the columns {table.names_in_words}, got none: see the export; of "
        "delimited text the first line must have the names of the columns"
    )


def _refuse_nameless(table: SeenTable, given: str) -> None:
    """Raises UsageError if the names of the table's columns look like its first row: like values, or among the values
    that stand below them. given: the path of the call."""
    names = [*table.columns, *table.twice]
    again = [name for name, column in table.columns.items() if name in column.texts]
    if asked := asked_of_names(names, next(iter(again), None)):
        raise UsageError(f"expected the names of columns in {shown(given)}, got {table.names_in_words}: {asked}")


def refuse_names_given_twice(table: SeenTable) -> None:
    """Raises UsageError if several columns have one name that an id, a title or a picture may have, and no other column
    is called so."""
    lacking = [name for name in table.twice if _is_needed(table, name)]
    if lacking:
        raise UsageError(
            f"expected columns with different names in {shown(table.files[0])}, got "
            f"{' and '.join(map(quote, lacking))} twice: nothing tells which is meant. Give each a name of its own in "
            "the export"
        )


def refuse_groups_for_names(table: SeenTable) -> None:
    """Raises UsageError if several columns have one name, of a table in which nothing is found: the names may stand
    below a line of groups of columns."""
    twice = [name for name in table.twice if name.strip()]
    if twice:
        raise UsageError(
            f"expected columns with different names in {shown(table.files[0])}, got {' and '.join(map(quote, twice))} "
            "twice: are they groups of columns, with the names in the line below? Then leave that first line out of "
            "the export; else give each column a name of its own"
        )


def _is_needed(table: SeenTable, name: str) -> bool:
    if is_called_a_picture(name):
        return not any(map(is_called_a_picture, table.columns))
    needed = (OF_CATALOGUE["item_id"], OF_CATALOGUE["title"])
    return any(plain_name(name) in set(map(plain_name, names)) and table.column(names) is None for names in needed)


def refuse_to_flatten(table: SeenTable, given: str) -> None:
    """Raises UsageError for a table of visits of Matomo, or of hits of Adobe Analytics, with what to do. given: the
    path of the call."""
    visits = table.column([_MATOMO])
    if visits is not None and any(isinstance(value, list) and value for value in visits.filled):
        raise UsageError(
            f"expected an event a row in {shown(given)}, got visits as Matomo has them, whose {visits.name} are lists "
            "of actions with lists of items: write a row for each item of an action, with its timestamp, type and "
            f"itemSKU. {_HOW_TO_FLATTEN}"
        )
    products = table.column(_ADOBE)
    if products is not None and any(map(_OF_ADOBE.fullmatch, products.texts)):
        raise UsageError(
            f"expected an item a row in {shown(given)}, got lists of products in {products.name}, as Adobe Analytics "
            "writes them (Category;Product;Quantity;Price): write a row for each product, with the second part as "
            f"item_id, and an action by event_list. {_HOW_TO_FLATTEN}"
        )


def refuse_wrapped(table: SeenTable) -> None:
    """Raises UsageError for one object that may have the rows in a list, which its names do not tell."""
    for column in table.columns.values() if table.num_rows == 1 else ():
        value = column.filled[0] if column.filled else None
        if isinstance(value, list) and len(value) > 1 and all(isinstance(member, dict) for member in value):
            raise UsageError(
                f"expected a row an item in {table.files[0]}, got one object, whose {column.name!r} is a list of "
                f"{len(value):,} objects. {list_remedy(column.name)}"
            )
