"""Rows of one id: equal ones collapse, of different ones the last stays."""

from collections.abc import Sequence

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from schemas.files import shown
from schemas.quarantine import Rejection, quote
from schemas.tables import ITEMS


def resolve_duplicates(rows: pa.Table, file_names: Sequence[str]) -> tuple[pa.Table, list[Rejection], int]:
    """(one row an id, sorted by item_id; rejections; how many rows collapsed) of validated catalogue rows in any order.

    rows: columns ITEMS, file_number, row_number and any others. file_names: what `where` calls file k.
    Of the rows of an id, those with equal ITEMS content count once, by their last occurrence in (file, row) order.
    The last of what is left stays; each of the others gives a rejection `duplicate_id` that names the one that stayed.

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
    rejections: list[Rejection] = []
    num_collapsed = 0
    in_group = np.flatnonzero(~is_last | np.insert(same_as_next, 0, False))  # rows whose id occurs more than once
    group: list[int] = []
    for row in in_group.tolist():
        group.append(row)
        if is_last[row]:
            rejected, collapsed = _resolve_group(rows, group, file_names)
            rejections += rejected
            num_collapsed += collapsed
            group = []
    return (rows.filter(pa.array(is_last)) if rejections or num_collapsed else rows), rejections, num_collapsed


def _resolve_group(rows: pa.Table, group: list[int], file_names: Sequence[str]) -> tuple[list[Rejection], int]:
    """Rejections and number of collapsed rows among the rows (positions, ascending) of one id."""
    members = rows.take(group)
    contents = [repr(row) for row in members.select(ITEMS.names).to_pylist()]
    places = [
        f"{shown(file_names[file])}:{row}"
        for file, row in zip(members["file_number"].to_pylist(), members["row_number"].to_pylist(), strict=True)
    ]
    last_place = dict(zip(contents, places, strict=True))
    kept = last_place.pop(contents[-1])
    item_id = members["item_id"][0].as_py()
    rejections = [
        Rejection(
            level="row",
            stage="items",
            item_id=item_id,
            reason="duplicate_id",
            expected="one row an item_id",
            got=f"{quote(item_id)} again with other content in {kept}, which stays",
            where=place,
            remedy="remove the row, or give it an item_id of its own",
        )
        for place in last_place.values()
    ]
    return rejections, len(group) - len(last_place) - 1
