"""The column of the description where its name has more words than usual, `Main Description`, and another column was
found that is called rather like a part of one, `Highlights`."""

from collections.abc import Sequence
from dataclasses import replace

from pipelines.init.table.columns import SeenColumn
from pipelines.init.table.found import FoundColumn, found_in, unread_columns
from pipelines.init.table.seen import SeenTable
from schemas.columns.internal_names import is_internal
from schemas.columns.names import language_in, plain_name, words_of
from schemas.columns.picture_names import is_called_a_picture

_DESCRIPTIONS = (
    *("description", "beschreibung", "descripcion", "descripción", "descrizione", "omschrijving", "descricao"),
    *("descrição", "opis"),
)
#: Words in the names of descriptions of other things, or of a few words.
_OF_OTHERS = frozenset(
    (
        *("short", "brief", "meta", "seo", "og", "category", "categories", "brand", "manufacturer", "seller", "vendor"),
        *("supplier", "size", "shipping", "delivery", "return", "returns", "warranty", "care", "image", "picture"),
        *("color", "colour", "material", "group", "department", "section", "index", "type", "kategorie", "marke"),
        *("versand", "courte", "corta", "corto", "breve", "collection", "store", "shop", "condition", "tax", "code"),
    )
)


def with_description(found: Sequence[FoundColumn], table: SeenTable) -> list[FoundColumn]:
    """What is found, with the column that is called a description in front of what was taken for one. Of several none
    is taken: they are lines that nothing reads, and a question."""
    taken = next((one for one in found if one.name == "description" and one.sources), None)
    if taken is None or any(map(_is_called_one, taken.sources)):
        return list(found)
    unread = set(unread_columns(table, found))
    columns = [column for name, column in table.columns.items() if name in unread and _is_one(column)]
    if not columns:
        return list(found)
    made = [found_in([column], "description") for column in columns]
    made = [replace(one, sources=(*one.sources, *taken.sources), notes=taken.notes) for one in made]
    if len(columns) == 1:
        note = f"{columns[0].name!r} by its name, before {', '.join(taken.sources)}. Is it the description?"
        new = replace(made[0], options=taken.options, notes=(*taken.notes, note), others=(taken, *taken.others))
    else:
        names = ", ".join(repr(column.name) for column in columns)
        note = f"{names} are called so, too. Is one of them it? Take away the # before its line"
        new = replace(taken, notes=(*taken.notes, note), others=(*made, *taken.others))
    return [new if one is taken else one for one in found]


def _is_one(column: SeenColumn) -> bool:
    """Whether a column has texts and is called a description, of the product and whole."""
    is_text = column.share_readable and not (column.share_addresses or column.share_pictures) and column.num_words > 1
    is_other = is_internal(column.name) or is_called_a_picture(column.name) or language_in(column.name) is not None
    return bool(is_text) and not is_other and _is_called_one(column.name)


def _is_called_one(name: str) -> bool:
    """Whether the name is that of a description.

    >>> _is_called_one("Main Description"), _is_called_one("meta_description"), _is_called_one("Highlights")
    (True, False, False)
    """
    is_called = any(word in plain_name(name) for word in _DESCRIPTIONS)
    return is_called and _OF_OTHERS.isdisjoint(words_of(name))
