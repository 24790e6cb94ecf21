"""Magento's store views: below the row of a product stand rows of what other views have otherwise, mostly translations
without pictures. One product is the row of the default view; the others are left out.

    sku  store_view_code  name         base_image
    B-1                   Duffle bag   /b/1.jpg      the product
    B-1  de               Reisetasche                what customers of the view `de` read
"""

from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from typing import NamedTuple

from pipelines.init.table.columns import SeenColumn
from pipelines.init.table.found import FoundColumn
from pipelines.init.table.seen import SeenTable
from schemas.columns.leave_out import ANY
from schemas.tables import LEAVE_OUT

#: What the column is called, in Magento 2 and 1.
_NAMES = ("store_view_code", "store_view", "_store")
#: What the default view is called where its rows do not leave the cell blank.
_DEFAULTS = ("default", "admin", "all", "base")


class StoreViews(NamedTuple):
    """table: the rows of the default view alone; left_out: what leaves the others out, in the config; others: their
    views -> rows."""

    table: SeenTable
    left_out: FoundColumn
    others: Counter[str]

    def asked(self, whole: SeenTable, ids: Sequence[SeenColumn]) -> list[str]:
        """What a person is told, and asked. whole: the table with all rows; ids: of the default view's."""
        column = next(iter(self.left_out.options))
        listed = ", ".join(f"{view} ({count:,})" for view, count in self.others.most_common(5))
        told = [
            f"{column}: {self.others.total():,} rows are what other views of the store have otherwise: {listed}. They "
            "are left out, for a product is its row of the default view. Do your customers read another view? Then "
            "export that view alone"
        ]
        alone = set(whole.columns[ids[0].name].texts) - set(ids[0].texts) if ids else set[str]()
        if alone:
            told.append(
                f"{column}: {len(alone):,} ids, such as {min(alone)}, have rows of other views alone, and are left "
                f'out, too. Should they be items? Then take {LEAVE_OUT.name} away, and write group_rows = "merge" '
                "above [columns]: rows of one id are merged, the first text of each column wins"
            )
        return told


def store_views(table: SeenTable) -> StoreViews | None:
    """What is known of a table whose rows are of several views, one of them the default one; None of any other."""
    column = table.column(_NAMES)
    if column is None or column.name not in table.columns:
        return None
    views = [text and text.strip() for text in column.texts_of_rows]
    default = None if None in views else next((one for one in _DEFAULTS if one in _folded(views)), "")
    is_default = [view is None if default is None else _plain(view) == default for view in views]
    if all(is_default) or not any(is_default):
        return None
    others = Counter(view for view, is_one in zip(views, is_default, strict=True) if view and not is_one)
    texts = [ANY] if default is None else sorted(others)
    note = "rows of other views than the store's default one are no products of their own"
    left_out = FoundColumn(LEAVE_OUT.name, (), {column.name: texts}, (note,))
    columns = {name: _of_rows(one, is_default) for name, one in table.columns.items()}
    return StoreViews(replace(table, columns=columns, num_rows=sum(is_default)), left_out, others)


def _of_rows(column: SeenColumn, mask: Sequence[bool]) -> SeenColumn:
    return SeenColumn(column.name, [value for value, is_one in zip(column.values, mask, strict=True) if is_one])


def _folded(views: Sequence[str | None]) -> set[str]:
    return set(map(_plain, views))


def _plain(view: str | None) -> str:
    return (view or "").casefold()
