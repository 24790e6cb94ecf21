"""Which of a table's columns may be the id: by their names, and by what they hold where the names do not tell."""

import re

from pipelines.init.table.columns import SeenColumn
from pipelines.init.table.seen import SeenTable
from schemas.columns.names import bare_name, plain_name
from schemas.columns.names_of_amounts import is_called_an_amount
from schemas.columns.usual_names import ITEM_IDS, OF_CATALOGUE
from schemas.tables import CATALOGUE, TEXT_FIELDS

#: A column that is filled in no more of the rows is taken only where no other is called an id.
_MOSTLY = 0.5
_OUR_NAME = CATALOGUE.names[0]
_MAX_ID_CHARACTERS = 64
_FRACTION = re.compile(r"\s*-?\d+[.,]\d+\s*")


def ids_of(table: SeenTable) -> list[SeenColumn]:
    """Columns that may be the id: called so and with no value twice, else the first that is called so, else those with
    another short value in each row. One that most rows lack is taken where it has our own name, or nothing else is."""
    called = [column for name in ITEM_IDS if (column := table.column([name])) is not None]
    called = [column for column in dict.fromkeys(called) if column.filled and not _is_constant(column)]
    known = [column for column in called if column.share_filled > _MOSTLY]
    known = known or [column for column in called if column.name == _OUR_NAME]
    known = [column for column in known if column.name in table.columns] or known  # else of a brand, of a seller
    if known:
        return [column for column in known if column.is_distinct] or known[:1]
    keys = [column for column in table.columns.values() if column.is_key and _is_short(column)]
    keys = [column for column in keys if not is_called_an_amount(column.name)]
    if called and all(map(_is_called_a_text, keys)):  # tags change, and are no ids because none is there twice
        return called[:1]
    return sorted(keys, key=_is_called_a_text)


def is_called_an_id(column: SeenColumn) -> bool:
    """Whether its name alone says so."""
    return not {plain_name(column.name), bare_name(column.name)}.isdisjoint(map(plain_name, ITEM_IDS))


def _is_constant(column: SeenColumn) -> bool:
    """Whether one value is in all of several rows, as the code of an answer is."""
    return len(column.texts) > 1 and len(set(column.texts)) == 1


def _is_called_a_text(column: SeenColumn) -> bool:
    names = (name for ours in TEXT_FIELDS for name in OF_CATALOGUE[ours])
    return plain_name(column.name) in set(map(plain_name, names))


def _is_short(column: SeenColumn) -> bool:
    return not column.share_pictures and all(
        len(text) <= _MAX_ID_CHARACTERS and " " not in text.strip() and not _FRACTION.fullmatch(text)
        for text in column.texts
    )
