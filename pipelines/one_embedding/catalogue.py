"""A run's items as the attribute task sees them: one value an attribute, families, and text without what is asked.

An attribute is a field of the catalogue that names one (ATTRIBUTE_FIELDS); an item's value is the whole cell, of paths
the first. Items are one family if they have the same text, or a title, description or picture that at most
MAX_ITEMS_OF_A_PICTURE items have: a probe that learns one of them is not asked for another.

Legend: N items.
"""

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import pyarrow as pa

from model.sources.side_information import ATTRIBUTE_FIELDS, Form, values_of
from model.split.held_out import item_node, text_mark
from model.split.near_groups import LOOKS, MARKS, NODES, near_groups
from model.text.tokenizer import only_words
from pipelines.run.opened import Run
from schemas.cells.markup import without_markup
from schemas.hashing import stable_hash
from schemas.tables import TEXT_FIELDS

#: Fields that hold the same thing in other words.
_TOGETHER = (("product_types", "google_product_category"), ("size", "size_type"))
#: Texts that variants of a product share.
_OF_FAMILIES = ("title", "description")


def label_of(text: str | None, form: Form) -> str | None:
    """The one value of a cell that is asked for; None of a cell without any.

    >>> label_of("Home > Sofa | Sale", "paths"), label_of("Sky  blue", "words"), label_of(None, "whole")
    ('home > sofa', 'sky blue', None)
    """
    if form == "paths":
        return next(reversed(values_of((text or "").partition("|")[0], form)), None)
    return " ".join(values_of(text, form)) or None


def fields_of(attribute: str) -> tuple[str, ...]:
    """The fields that hold an attribute.

    >>> fields_of("size"), fields_of("brand")
    (('size', 'size_type'), ('brand',))
    """
    return next((fields for fields in _TOGETHER if attribute in fields), (attribute,))


@dataclass(frozen=True, eq=False)
class Catalogue:
    """rows: of ITEMS, ascending by item_id, [N]."""

    rows: Sequence[Mapping[str, Any]]

    @classmethod
    def of(cls, run: Run) -> "Catalogue":
        """All items of a run's finished stage. Raises CorruptFileError for what is not as it was written."""
        columns = ["item_id", *TEXT_FIELDS, "images"]
        rows = [row for bucket in range(run.num_buckets) for row in run.items(bucket, columns).to_pylist()]
        return cls(sorted(rows, key=lambda row: row["item_id"]))

    @cached_property
    def item_ids(self) -> list[str]:
        return [row["item_id"] for row in self.rows]

    @cached_property
    def labels(self) -> dict[str, list[str | None]]:
        """Attribute -> one value an item."""
        return {name: [label_of(row[name], form) for row in self.rows] for name, form in ATTRIBUTE_FIELDS.items()}

    def texts(self, without: Collection[str] = ()) -> list[str]:
        """All text of each item but that of some fields."""
        kept = tuple(name for name in TEXT_FIELDS if name not in without)
        if kept not in self._texts:
            self._texts[kept] = [" ".join(without_markup(row[name]) for name in kept if row[name]) for row in self.rows]
        return self._texts[kept]

    @cached_property
    def _texts(self) -> dict[tuple[str, ...], list[str]]:
        """By the fields that they are of: every seed asks for the same."""
        return {}

    @cached_property
    def families(self) -> list[str]:
        """One name an item, equal within a family."""
        return families_of(self.rows)


def families_of(rows: Sequence[Mapping[str, Any]]) -> list[str]:
    """Of each of the rows of ITEMS, which have different ids, the id of one item of its family.

    >>> empty = {name: None for name in (*TEXT_FIELDS, "images")}
    >>> families_of([{**empty, "item_id": i, "title": t} for i, t in (("a", "Mug"), ("b", "mug!"), ("c", "Cup"))])
    ['a', 'a', 'c']
    """
    ordered = sorted((item_node(row["item_id"]), number) for number, row in enumerate(rows))
    nodes = [{"node": node, "is_item": True, "first_session": 0, "last_session": 0} for node, _ in ordered]
    marks = [
        {"node": node, "mark": mark, "is_picture": is_shared}
        for node, number in ordered
        for mark, is_shared in _marks(rows[number])
    ]
    tables = (pa.Table.from_pylist(nodes, schema=NODES), pa.Table.from_pylist(marks, schema=MARKS))
    first_N = near_groups(*tables, LOOKS.empty_table())
    names = np.empty(len(rows), object)
    for (_, number), first in zip(ordered, first_N.tolist(), strict=True):
        names[number] = rows[ordered[first][1]]["item_id"]
    return names.tolist()


def _marks(row: Mapping[str, Any]) -> Iterator[tuple[int, bool]]:
    """(what items of a family share, whether too many items may share it)."""
    if (mark := text_mark(row)) is not None:
        yield mark, False
    for name in _OF_FAMILIES:
        if words := only_words(row[name] or ""):
            yield stable_hash(f"{name}\n{words}"), True
    for uri in dict.fromkeys(row["images"] or ()):
        yield stable_hash(f"picture\n{uri}"), True
