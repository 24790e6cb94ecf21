"""What a table says of products that customers do not see: by a flag of its own, by that of a deletion or its time, and
by Magento's visibility."""

import re
from collections.abc import Callable

from pipelines.init.table.hidden import Hidden, Shown, hidden_products
from pipelines.init.table.seen import SeenTable
from schemas.columns.leave_out import ANY
from schemas.columns.usual_names import DELETED, HIDDEN, VISIBLE

#: What a product that customers see has in a column of VISIBLE, and what one that they do not see, in plain flags and
#: in other words.
_SHOWN = (
    *("1", "1.0", "true", "t", "yes", "y", "on", "ja", "wahr", "oui", "si", "sí", "sim"),
    *("active", "enabled", "published", "publish", "visible", "available", "online"),
    *("aktiv", "actif", "activo", "attivo", "actief"),
)
_NOT_SHOWN = ("0", "0.0", "false", "f", "no", "n", "off", "nein", "falsch", "non", "nee", "não")
_HIDDEN = (
    *("2", "-1", "inactive", "disabled", "draft", "archived", "private", "hidden", "pending"),
    *("unavailable", "offline", "deleted", "unlisted", "ended", "closed"),
    *("inaktiv", "inactif", "inactivo", "inattivo", "inactief"),
)
#: What Magento's visibility is of a product that has a page of its own; and of a variant that has none.
_SEEN = ("catalog, search", "catalog", "search")
_NOT_ALONE = "not visible individually"
#: Square's columns, in words.
_VISIBILITIES = ("visibility", "square_online_item_visibility", "item_visibility")
#: How the name of a flag is written, and that of the time since when it is set.
_FLAGS = ("{}", "is_{}", "product_{}", "product_is_{}", "is_product_{}", "item_{}", "item_is_{}", "{}_flag", "flag_{}")
_TIMES = ("{}_at", "{}_on", "{}_date", "date_{}")
_TIME = re.compile(r"\d{1,4}[-./]\d{1,2}[-./]\d{1,4}.*|\d{8,20}", re.DOTALL)


def unseen_products(table: SeenTable) -> tuple[Hidden, ...]:
    """The columns of the table that say of some rows that customers do not see their product."""
    shown = [Shown(name, _SHOWN) for word in VISIBLE for name in _names(word, _FLAGS) if _has_flags(table, name)]
    for word in (*DELETED, *HIDDEN):
        names = _names(word, (*_FLAGS, *_TIMES))
        shown += [Shown(name, _NOT_SHOWN) for name in names if _has_flags(table, name)]
        times = [name for name in names if not _has_flags(table, name)]
        shown += [Shown(name, (), (ANY,)) for name in times if word in DELETED or _has_times(table, name)]
    shown += [Shown(name, _SEEN) for name in ("visibility",) if _is_magentos(table, name)]
    shown += [Shown(name, _SHOWN) for name in _VISIBILITIES if _says_in_words(table, name)]
    once = {one.column: one for one in reversed(hidden_products(table, shown))}
    return tuple(reversed(once.values()))


def _names(word: str, forms: tuple[str, ...]) -> list[str]:
    return [form.format(word) for form in forms]


def _has_flags(table: SeenTable, name: str) -> bool:
    """Whether the column of that name says of each product whether customers see it."""
    return _has_only(table, name, lambda text: text in (*_SHOWN, *_NOT_SHOWN, *_HIDDEN))


def _has_times(table: SeenTable, name: str) -> bool:
    """Whether the column of that name has nothing but times."""
    return _has_only(table, name, lambda text: _TIME.fullmatch(text) is not None)


def _says_in_words(table: SeenTable, name: str) -> bool:
    """Whether the column of that name has flags that are words: Magento's visibility has numbers of another sense."""
    column = table.column([name])
    return column is not None and _has_flags(table, name) and not any(map(str.isdigit, column.texts))


def _is_magentos(table: SeenTable, name: str) -> bool:
    """Whether the column of that name says where customers see a product, in Magento's words."""
    return _has_only(table, name, lambda text: text in (*_SEEN, _NOT_ALONE))


def _has_only(table: SeenTable, name: str, is_one: Callable[[str], bool]) -> bool:
    """Whether there is a column of that name, and all its texts, trimmed and in small letters, are such."""
    column = table.column([name])
    return column is not None and all(is_one(text.strip().casefold()) for text in column.texts)
