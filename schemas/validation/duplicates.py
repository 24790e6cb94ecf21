"""Rows of one id: equal ones collapse, of different ones the last stays, or the one that holds all that it holds."""

from collections.abc import Iterable, Iterator, Sequence
from itertools import groupby
from operator import itemgetter
from typing import Any

import numpy as np
import pyarrow as pa

from schemas.files import shown
from schemas.quarantine import Rejection, quote
from schemas.tables import ITEMS, TEXT_FIELDS
from schemas.validation.runs import equal_to_next

_REMEDY = "remove the row, or give it an item_id of its own"
_COMPLETING_REMEDY = f"if both are rows of one item, merge them: --group-rows merge; else {_REMEDY}"

_PLACE = ("file_number", "row_number")
#: Rows of ids that have several which are Python objects at one time, beside those of one id.
_ROWS_AT_ONCE = 1_024


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

    Only rows of ids whose rows differ become Python objects: a catalogue that was appended twice costs little more than
    one of as many ids.
    """
    rows = rows.sort_by([(name, "ascending") for name in ("item_id", "file_number", "row_number")]).combine_chunks()
    if rows.num_rows < 2:
        return rows, [], 0
    is_repeated = np.logical_and.reduce([equal_to_next(rows[name].combine_chunks()) for name in ITEMS.names])
    num_collapsed = int(is_repeated.sum())
    rows = rows.filter(pa.array(np.append(~is_repeated, True))) if num_collapsed else rows
    is_kept = np.ones(rows.num_rows, bool)
    rejections: list[Rejection] = []
    for group in _groups(rows):
        kept, rejected, collapsed = _resolve_group(group, file_names)
        is_kept[[row["place"] for row in group]] = False
        is_kept[group[kept]["place"]] = True
        rejections += rejected
        num_collapsed += collapsed
    return (rows if is_kept.all() else rows.filter(pa.array(is_kept))), rejections, num_collapsed


def _groups(rows: pa.Table) -> Iterator[list[dict[str, Any]]]:
    """The rows, sorted by item_id, of each id that has several: their columns, and `place`, their number in rows."""
    same_as_next = equal_to_next(rows["item_id"].combine_chunks())
    places_N = np.flatnonzero(np.append(same_as_next, False) | np.insert(same_as_next, 0, False))
    if not len(places_N):
        return
    several = rows.select([*ITEMS.names, *_PLACE]).take(pa.array(places_N)).append_column("place", pa.array(places_N))
    found = (row for batch in several.to_batches(max_chunksize=_ROWS_AT_ONCE) for row in batch.to_pylist())
    for _, group in groupby(found, itemgetter("item_id")):
        yield list(group)


def num_completing(rejections: Iterable[Rejection]) -> int:
    """How many ids have rows that complete each other, of what resolve_duplicates rejected: a row that was left out
    says nothing else than the one that stayed, and one of them has a text that the other lacks."""
    return len({rejection.item_id for rejection in rejections if rejection.remedy == _COMPLETING_REMEDY})


def _resolve_group(members: Sequence[dict[str, Any]], file_names: Sequence[str]) -> tuple[int, list[Rejection], int]:
    """(which stays, rejections, number of collapsed rows) among the rows of one id, in their order."""
    last = {_content(row): number for number, row in enumerate(members)}  # of equal ones
    texts = [{name: row[name] for name in TEXT_FIELDS if row[name] is not None} for row in members]
    fuller = [number for number in last.values() if texts[-1].items() < texts[number].items()]
    kept = max(fuller, key=lambda number: (len(texts[number]), number), default=len(members) - 1)
    places = [f"{shown(file_names[row['file_number']])}:{row['row_number']}" for row in members]
    item_id = members[0]["item_id"]
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
    return kept, rejections, len(members) - len(last)


def _content(row: dict[str, Any]) -> tuple[Any, ...]:
    """What equal rows have alike: the values of ITEMS."""
    return (*(row[name] for name in TEXT_FIELDS), tuple(row["images"]))


def _complete_each_other(a: dict[str, Any], b: dict[str, Any]) -> bool:
    """
    >>> _complete_each_other({"title": "x"}, {"size": "S"}), _complete_each_other({"title": "x"}, {"title": "y"})
    (True, False)
    """
    return a != b and all(a[name] == b[name] for name in a.keys() & b.keys())
