"""Rows that repeat an id: the rows of one product, or two products that have one id by mistake."""

from collections.abc import Sequence
from typing import NamedTuple

from pipelines.console.terminal import shortened
from pipelines.init.table.columns import SeenColumn

_MAX_TITLE = 40


class RepeatedIds(NamedTuple):
    """What is done with the rows of an id: group_rows; notes: of the column of the ids; questions: of the start."""

    group_rows: str = "no"
    notes: tuple[str, ...] = ()
    questions: tuple[str, ...] = ()


def repeated_ids(ids: SeenColumn, titles: Sequence[SeenColumn]) -> RepeatedIds:
    """Rows of one id are merged if their titles agree, or only one of them has any. Where they differ they are not, and
    a person is asked: merged they would be one item with the texts of one product and the pictures of both.

    ids: a value a row; titles: the columns of the title.
    """
    num_repeated = len(ids.texts) - len(set(ids.texts))
    if not num_repeated:
        return RepeatedIds()
    others = _of_other_titles(ids, titles)
    if not others:
        num_ids = len(set(ids.texts))
        return RepeatedIds("merge", (f"{num_ids:,} ids in {len(ids.values):,} rows: rows of one id are merged",))
    item_id, (first, second) = next(iter(others.items()))
    asked = (
        f"{ids.name}: {len(others):,} ids are on rows with different titles, such as {shortened(item_id, _MAX_TITLE)}: "
        f"{shortened(first, _MAX_TITLE)!r} and {shortened(second, _MAX_TITLE)!r}. They are not merged: one row of an "
        "id is its item, the others are quarantined as duplicate_id. Are they products of their own? Then give each "
        'its own id in the export. Are they one product? Then write group_rows = "merge" above [columns]'
    )
    return RepeatedIds("no", (), (asked,))


def _of_other_titles(ids: SeenColumn, titles: Sequence[SeenColumn]) -> dict[str, tuple[str, str]]:
    """Ids whose rows have different titles -> two of these."""
    first: dict[str, str] = {}
    others: dict[str, tuple[str, str]] = {}
    for column in titles[:1]:  # further columns are parts of a title
        for item_id, title in zip(ids.values, column.values, strict=True):
            if item_id is None or not isinstance(title, str):
                continue
            known = first.setdefault(str(item_id).strip(), title)
            if _plain(known) != _plain(title):
                others.setdefault(str(item_id).strip(), (known, title))
    return others


def _plain(title: str) -> str:
    return " ".join(title.split()).casefold()
