"""Rows of one id: equal ones collapse, of different ones the last stays, or the one that holds all that it holds."""

from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from schemas.files import shown
from schemas.quarantine import Rejection, quote
from schemas.tables import ITEMS, TEXT_FIELDS

_REMEDY = "remove the row, or give it an item_id of its own"
_COMPLETING_REMEDY = f"if both are rows of one item, merge them: --group-rows merge; else {_REMEDY}"


def resolve_duplicates(rows: pa.Table, file_names: Sequence[str]) -> tuple[pa.Table, list[Rejection], int]:
    """(one row an id, sorted by item_id; rejections; how many rows collapsed) of validated catalogue rows in any order.

    rows: columns ITEMS, file_number, row_number and any others. file_names: what `where` calls file k.
    Of the rows of an id, those with equal ITEMS content count once, by their last occurrence in (file, row) order.
    The last of what is left stays, unless it is emptier than another: all of its texts are equal there, which has more;
    then the fullest of those stays. Each of the others gives a rejection `duplicate_id` that names the one that stayed.

        id  row  content        id  row  content
        a   1    x              a   3    x          1 collapsed (row 1 = row 3), 1 rejected (row 2)
        a   2    y       ->
        a   3    x
    """
    rows = rows.sort_by([(name, "ascending") for name in ("item_id", "file_number", "row_number")]).combine_chunks()
    if rows.num_rows < 2:
        return rows, [], 0
    ids = rows["item_id"].combine_chunks()
    same_as_next = pc.equal(ids[:-1], ids[1:]).to_numpy(zero_copy_only=False)
    is_last = np.append(~same_as_next, True)
    is_kept = is_last.copy()
    rejections: list[Rejection] = []
    num_collapsed = 0
    in_group = np.flatnonzero(~is_last | np.insert(same_as_next, 0, False))  # rows whose id occurs more than once
    group: list[int] = []
    for row in in_group.tolist():
        group.append(row)
        if is_last[row]:
            kept, rejected, collapsed = _resolve_group(rows, group, file_names)
            is_kept[group] = False
            is_kept[group[kept]] = True
            rejections += rejected
            num_collapsed += collapsed
            group = []
    return (rows.filter(pa.array(is_kept)) if rejections or num_collapsed else rows), rejections, num_collapsed


def num_completing(rejections: Iterable[Rejection]) -> int:
    """How many ids have rows that complete each other, of what resolve_duplicates rejected: a row that was left out
    says nothing else than the one that stayed, and one of them has a text that the other lacks."""
    return len({rejection.item_id for rejection in rejections if rejection.remedy == _COMPLETING_REMEDY})


def _resolve_group(rows: pa.Table, group: list[int], file_names: Sequence[str]) -> tuple[int, list[Rejection], int]:
    """(which stays, rejections, number of collapsed rows) among the rows (positions, ascending) of one id."""
    members = rows.take(group)
    items = members.select(ITEMS.names).to_pylist()
    last = {repr(item): number for number, item in enumerate(items)}  # of equal ones
    texts = [{name: item[name] for name in TEXT_FIELDS if item[name] is not None} for item in items]
    fuller = [number for number in last.values() if texts[-1].items() < texts[number].items()]
    kept = max(fuller, key=lambda number: (len(texts[number]), number), default=len(group) - 1)
    places = [
        f"{shown(file_names[file])}:{row}"
        for file, row in zip(members["file_number"].to_pylist(), members["row_number"].to_pylist(), strict=True)
    ]
    item_id = items[0]["item_id"]
    rejections = [
        Rejection(
            level="row",
            stage="items",
            item_id=item_id,
            reason="duplicate_id",
            expected="one row an item_id",
            got=f"{quote(item_id)} again with other content in {places[kept]}, which stays",
            where=places[number],
            remedy=_COMPLETING_REMEDY if _complete_each_other(texts[number], texts[kept]) else _REMEDY,
        )
        for number in last.values()
        if number != kept
    ]
    return kept, rejections, len(group) - len(last)


def _complete_each_other(a: dict[str, Any], b: dict[str, Any]) -> bool:
    """
    >>> _complete_each_other({"title": "x"}, {"size": "S"}), _complete_each_other({"title": "x"}, {"title": "y"})
    (True, False)
    """
    return a != b and all(a[name] == b[name] for name in a.keys() & b.keys())
