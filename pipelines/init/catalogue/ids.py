"""Which of a table's columns may be the id: by their names, and by what they hold where the names do not tell."""

import re
from collections.abc import Sequence

from pipelines.init.table.columns import SeenColumn
from pipelines.init.table.seen import SeenTable
from schemas.columns.names import bare_name, is_called_a_barcode, plain_name, words_of
from schemas.columns.names_of_amounts import is_called_an_amount
from schemas.columns.usual_names import ITEM_IDS, OF_CATALOGUE
from schemas.tables import CATALOGUE, TEXT_FIELDS

#: A column that is filled in no more of the rows is taken only where no other is called an id.
_MOSTLY = 0.5
_OUR_NAME = CATALOGUE.names[0]
_MAX_ID_CHARACTERS = 64
#: How names end that rather say an id than those of barcodes do.
_LAST_WORDS = frozenset(
    (
        *("id", "key", "sku", "no", "nr", "num", "number", "code", "ref", "reference", "nummer", "numero", "número"),
        *("numer", "kod", "indeks", "index", "symbol", "clave", "clé", "cle", "codigo", "código", "codice"),
    )
)
_IN_BRACKETS = re.compile(r" \([^()]*\)$")
_FRACTION = re.compile(r"\s*-?\d+[.,]\d+\s*")


def ids_of(table: SeenTable) -> list[SeenColumn]:
    """Columns that may be the id: called so and with no value twice, else the first that is called so, else those with
    another short value in each row. One that most rows lack is taken where it has our own name, or nothing else is.
    Barcodes come behind those of the shop's own, and with any other column that a log may name items by."""
    named = [column for name in ITEM_IDS if (column := table.column([name])) is not None]
    called = [column for column in named if not _is_of_a_child_table(column, table)]
    called = [column for column in dict.fromkeys(called) if column.filled and not _is_constant(column)]
    known = [column for column in called if column.share_filled > _MOSTLY]
    known = known or [column for column in called if column.name == _OUR_NAME]
    known = [column for column in known if column.name in table.columns] or known  # else of a brand, of a seller
    own = [column for column in known if not _is_a_barcode(column, table)]
    barcodes = [column for column in known if column not in own and column.is_distinct]
    if any(column.is_distinct for column in own):
        return [*(column for column in own if column.is_distinct), *barcodes]
    if own:
        whole = [column for column in barcodes if column.is_key]
        return whole or [own[0], *barcodes]
    keys = [column for column in table.columns.values() if column.is_key and _is_short(column)]
    keys = [one for one in keys if not (is_called_an_amount(one.name) or _is_of_a_child_table(one, table))]
    if known:
        return _around_barcodes(barcodes or known[:1], keys, table)
    if called and all(map(_is_called_a_text, keys)):  # tags change, and are no ids because none is there twice
        return called[:1]
    first = sorted(keys, key=_is_called_a_text)
    return _around_barcodes([key for key in first if _is_a_barcode(key, table)], first, table)


def _around_barcodes(barcodes: Sequence[SeenColumn], keys: Sequence[SeenColumn], table: SeenTable) -> list[SeenColumn]:
    """Barcodes behind keys that end as names of ids do, and other keys, by which a log may name items, behind them."""
    if not barcodes:
        return list(keys)
    others = [key for key in keys if key not in barcodes and not (_is_a_barcode(key, table) or _is_called_a_text(key))]
    before = [key for key in others if _ends_like_an_id(key) and not _counts_rows(key)]
    return [*before, *barcodes, *(key for key in others if key not in before and not key.share_addresses)]


def _is_a_barcode(column: SeenColumn, table: SeenTable) -> bool:
    """Whether a column is called so, or another says of which kind its numbers are, as `product-id-type` does."""
    return is_called_a_barcode(column.name) or (plain_name(column.name) == "productid" and table.has("product_id_type"))


def _ends_like_an_id(column: SeenColumn) -> bool:
    """
    >>> _ends_like_an_id(SeenColumn("No.", [])), _ends_like_an_id(SeenColumn("salsify:id", []))
    (True, True)
    """
    words = [word for word in words_of(column.name) if word]
    return bool(words) and words[-1] in _LAST_WORDS


def _counts_rows(column: SeenColumn) -> bool:
    """Whether each row has its own number, from 0 or 1."""
    return any(column.texts == [str(number + first) for number in range(len(column.values))] for first in (0, 1))


def is_called_an_id(column: SeenColumn) -> bool:
    """Whether its name alone says so."""
    return not {plain_name(column.name), bare_name(column.name)}.isdisjoint(map(plain_name, ITEM_IDS))


def _is_of_a_child_table(column: SeenColumn, table: SeenTable) -> bool:
    """Whether a column is called as another is, with a table in brackets behind it: `ID (Barcodes)` beside `ID`."""
    whole = table.columns.get(_IN_BRACKETS.sub("", column.name))
    return whole is not None and whole is not column and bool(whole.filled)


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
