"""Rows that belong together: the rows of one item become one, and the items of a group complete each other.

A group is all rows with one value of the column that `[columns] group` names; a row without one belongs to the group of
its id. In a group (order: file, row; but where the column has several sources, as `["Parent", "SKU"]`, rows that have
it of the first, which name another row, come behind those that have it of another, and are the one that is named)

    Handle  SKU   title  size  images           item_id  title  size  images
    shirt   s-1   Shirt  S     1.jpg            s-1      Shirt  S     1.jpg 3.jpg
    shirt   s-2          M     2.jpg      ->    s-2      Shirt  M     2.jpg 3.jpg
    shirt                      3.jpg            1 row merged

- the rows of one id are one item: of each text the first there is, the union of the pictures;
- an item that lacks a text has the first of its group; one without a picture has those of the first row with some;
- a row without an id is merged into its group: its pictures follow those of each item. Without any id in the group it
  is rejected (`null_id`);
- with share-pictures all pictures of the group follow those of each item.

Nothing depends on the order in which rows are given. Rows of a group beyond MAX_GROUP_ROWS are rejected.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from schemas.files import shown
from schemas.quarantine import Rejection, quote
from schemas.tables import MAX_PICTURES, TEXT_FIELDS
from schemas.validation.catalogue import VALIDATED_CATALOGUE
from schemas.validation.duplicates import resolve_duplicates
from schemas.validation.left_out_rows import ORDER, without_left_out
from schemas.validation.runs import differs, first_valid, run_numbers, run_starts, unions

#: What may be done with the rows of an item, and with those of a group.
SHARE_PICTURES = "share-pictures"
GROUP_ROWS = ("no", "merge", SHARE_PICTURES)
#: Rows of an item and of a group. A column that tells no products apart (a brand) makes groups of any size.
MAX_GROUP_ROWS = 10_000
#: A row of several. rows_merged: how many rows it is made of, less one. texts_differing: their cells that hold another
#: text than the first of the item or, of rows without an id, of the group; what they held is in no output.
MERGED = pa.schema(
    [
        *VALIDATED_CATALOGUE,
        pa.field("rows_merged", pa.int32(), nullable=False),
        pa.field("texts_differing", pa.int32(), nullable=False),
    ]
)
_COUNTS = (
    *("pictures_cut_off", "pictures_empty", "texts_truncated", "ids_trimmed"),
    *("rows_merged", "texts_differing"),
)
_PLACE = ("file_number", "row_number")


@dataclass(frozen=True, eq=False)
class ResolvedRows:
    """One row an id, sorted by id; the rejections; how many rows were equal to one that stayed, how many were merged
    into another, and how many were left out (see schemas.validation.left_out_rows)."""

    items: pa.Table
    rejections: list[Rejection]
    num_collapsed: int = 0
    num_merged: int = 0
    num_left_out: int = 0


def resolve_rows(
    rows: pa.Table, file_names: Sequence[str], group_rows: str, max_pictures: int = MAX_PICTURES
) -> ResolvedRows:
    """What becomes of validated rows of whole items, in any order: VALIDATED_CATALOGUE, or of whole groups: GROUPED
    (either with SAYS_LEFT_OUT, too), or of what complete_groups made of them. group_rows: one of GROUP_ROWS;
    file_names: what `where` calls file k."""
    rows, num_left_out = without_left_out(rows, group_rows)
    if group_rows == "no":
        return ResolvedRows(*resolve_duplicates(rows, file_names), num_left_out=num_left_out)
    rejections: list[Rejection] = []
    if "group" in rows.column_names:
        share = group_rows == SHARE_PICTURES
        rows, rejections = complete_groups(rows, file_names, share_pictures=share, max_pictures=max_pictures)
    items, beyond = merge_items(rows, file_names, max_pictures)
    num_merged = pc.sum(items["rows_merged"]).as_py() or 0
    return ResolvedRows(items, rejections + beyond, num_merged=num_merged, num_left_out=num_left_out)


def merge_items(
    rows: pa.Table, file_names: Sequence[str], max_pictures: int = MAX_PICTURES
) -> tuple[pa.Table, list[Rejection]]:
    """(one row an id, MERGED, sorted by id; rejections) of VALIDATED_CATALOGUE or MERGED rows in any order.

    file_names: what `where` calls file k. An item of one row stays as it is.
    """
    rows, rejections = _within_bound(_counted(rows), "item_id", file_names)
    return _one_a_run(rows, run_starts(rows, "item_id"), max_pictures).select(MERGED.names).cast(MERGED), rejections


def complete_groups(
    rows: pa.Table, file_names: Sequence[str], *, share_pictures: bool, max_pictures: int = MAX_PICTURES
) -> tuple[pa.Table, list[Rejection]]:
    """(one row an id and group, MERGED; rejections) of GROUPED rows in any order, whole groups of them: see above."""
    rows, rejections = _within_bound(_counted(rows), "group", file_names)
    rows, lonely = _without_items(rows, file_names)
    if not rows.num_rows:
        return MERGED.empty_table(), rejections + lonely
    group_starts = run_starts(rows, "group")
    texts = {name: first_valid(rows[name].combine_chunks(), group_starts) for name in TEXT_FIELDS}
    has_id = rows["item_id"].combine_chunks().is_valid()
    numbers = run_numbers(group_starts, rows.num_rows)
    numbered = rows.append_column("group_number", pa.array(numbers))
    owned = numbered.filter(has_id).sort_by([(name, "ascending") for name in ("group_number", "item_id", *ORDER)])
    items = _one_a_run(owned, run_starts(owned, "group_number", "item_id"), max_pictures)
    group_of = items["group_number"].to_numpy()
    for name in TEXT_FIELDS:
        items = _with(items, name, pc.coalesce(items[name].combine_chunks(), texts[name].take(pa.array(group_of))))
    without_id = numbered.filter(pc.invert(has_id))
    items = _with_pictures(items, numbered if share_pictures else without_id, numbered, group_of, max_pictures)
    return _with_counts(items, without_id, texts, group_of).select(MERGED.names).cast(MERGED), rejections + lonely


def _counted(rows: pa.Table) -> pa.Table:
    """The rows with the columns that MERGED has beyond them."""
    zeros = pa.array(np.zeros(rows.num_rows, np.int32))
    for name in ("rows_merged", "texts_differing"):
        rows = rows if name in rows.column_names else rows.append_column(name, zeros)
    return rows


def _within_bound(rows: pa.Table, key: str, file_names: Sequence[str]) -> tuple[pa.Table, list[Rejection]]:
    """(the rows by key, in order, at most MAX_GROUP_ROWS of a key; the others)."""
    rows = rows.sort_by([(name, "ascending") for name in (key, *ORDER)]).combine_chunks()
    starts = run_starts(rows, key)
    first = np.repeat(starts, np.diff(np.append(starts, rows.num_rows)))
    beyond = np.arange(rows.num_rows) - first >= MAX_GROUP_ROWS
    if not beyond.any():
        return rows, []
    what = "item_id" if key == "item_id" else "group"
    rejected = _rejections(
        rows.filter(pa.array(beyond)),
        file_names,
        "group_too_large",
        f"at most {MAX_GROUP_ROWS:,} rows of one {what}",
        [f"more of {quote(value)}" for value in rows[key].filter(pa.array(beyond)).to_pylist()],
        f"see whether the column that is mapped to {what} tells products apart",
    )
    lost = np.zeros(rows.num_rows, np.int32)  # rows that were merged into what is rejected now
    np.add.at(lost, first[beyond], rows["rows_merged"].to_numpy()[beyond])
    return _with_more(rows, "rows_merged", lost).filter(pa.array(~beyond)), rejected


def _without_items(rows: pa.Table, file_names: Sequence[str]) -> tuple[pa.Table, list[Rejection]]:
    """(the rows of groups in which some row has an id; the others)."""
    starts = run_starts(rows, "group")
    if not len(starts):
        return rows, []
    has_id = rows["item_id"].is_valid().to_numpy()
    lonely = ~np.logical_or.reduceat(has_id, starts)[run_numbers(starts, rows.num_rows)]
    if not lonely.any():
        return rows, []
    rejected = _rejections(
        rows.filter(pa.array(lonely)),
        file_names,
        "null_id",
        "an item_id in some row of a group",
        [f"none in {quote(value)}" for value in rows["group"].filter(pa.array(lonely)).to_pylist()],
        "give a row of the group its item_id",
    )
    return rows.filter(pa.array(~lonely)), rejected


def _rejections(
    rows: pa.Table, file_names: Sequence[str], reason: str, expected: str, got: Sequence[str], remedy: str
) -> list[Rejection]:
    names = ("item_id", *_PLACE)
    cells = zip(*(rows[name].to_pylist() for name in names), got, strict=True)
    return [
        Rejection(
            level="row",
            stage="items",
            item_id=item_id,
            reason=reason,
            expected=expected,
            got=what,
            where=f"{shown(file_names[file])}:{row}",
            remedy=remedy,
        )
        for item_id, file, row, what in cells
    ]


def _one_a_run(rows: pa.Table, starts: np.ndarray, max_pictures: int) -> pa.Table:
    """The rows of each run (in order, of one item) as one row, which is where the first is."""
    if len(starts) == rows.num_rows:
        return rows
    rows = rows.combine_chunks()
    sizes = np.diff(np.append(starts, rows.num_rows))
    merged = rows.take(pa.array(starts))
    numbers = run_numbers(starts, rows.num_rows)
    differing = np.zeros(rows.num_rows, np.int32)
    for name in TEXT_FIELDS:
        first = first_valid(rows[name].combine_chunks(), starts)
        differing += differs(rows[name].combine_chunks(), first.take(pa.array(numbers)))
        merged = _with(merged, name, first)
    rows = _with(rows, "texts_differing", pa.array(rows["texts_differing"].to_numpy() + differing))
    for name in _COUNTS:
        merged = _with(merged, name, pa.array(np.add.reduceat(rows[name].to_numpy(), starts), pa.int32()))
    bits = np.bitwise_or.reduceat(rows["unreadable_bits"].to_numpy(), starts)
    merged = _with(merged, "unreadable_bits", pa.array(bits, pa.int32()))
    merged = _with_more(merged, "rows_merged", sizes - 1)
    several = sizes > 1
    pictures, num_cut = unions([rows["images"].combine_chunks()], [numbers], several, max_pictures)
    merged = _with_images(merged, pictures, several)
    return _with_more(merged, "pictures_cut_off", num_cut)


def _with_pictures(
    items: pa.Table, shared: pa.Table, rows: pa.Table, group_of: np.ndarray, max_pictures: int
) -> pa.Table:
    """The items with the pictures of their group behind their own. shared: the rows of the groups whose pictures all
    items have; rows: those that one without a picture has some from."""
    num_groups = int(group_of.max()) + 1
    everyone = np.ones(num_groups, bool)
    of_group, num_cut = unions(
        [shared["images"].combine_chunks()], [shared["group_number"].to_numpy()], everyone, max_pictures
    )
    some = rows.filter(pc.greater(pc.list_value_length(rows["images"]), 0))
    starts = run_starts(some, "group_number")
    first = np.full(num_groups, -1)
    first[some["group_number"].to_numpy()[starts]] = starts
    own = items["images"].combine_chunks()
    borrows = pc.equal(pc.list_value_length(own), 0).to_numpy(zero_copy_only=False)
    place = np.where(borrows, first[group_of], -1)
    borrowed = some["images"].combine_chunks().take(pa.array(place, mask=place < 0))
    given = of_group.take(pa.array(group_of))
    gets_any = borrows | (pc.list_value_length(given).to_numpy() > 0)
    owners = np.arange(items.num_rows)
    pictures, num_beyond = unions([own, borrowed, given], [owners] * 3, gets_any, max_pictures)
    items = _with_images(items, pictures, gets_any)
    return _with_more(items, "pictures_cut_off", num_beyond + num_cut[group_of])


def _with_counts(items: pa.Table, without_id: pa.Table, texts: dict[str, pa.Array], group_of: np.ndarray) -> pa.Table:
    """The items with the counts of the rows without an id in the first item of their group. texts: the first of each
    group."""
    if not without_id.num_rows:
        return items
    groups, first = np.unique(group_of, return_index=True)
    receiver = first[np.searchsorted(groups, without_id["group_number"].to_numpy())]
    found = {name: without_id[name].to_numpy().copy() for name in _COUNTS}
    found["rows_merged"] += 1
    for name in TEXT_FIELDS:
        of_group = texts[name].take(without_id["group_number"].combine_chunks())
        found["texts_differing"] += differs(without_id[name].combine_chunks(), of_group)
    for name, counts in found.items():
        more = np.zeros(items.num_rows, np.int32)
        np.add.at(more, receiver, counts)
        items = _with_more(items, name, more)
    bits = items["unreadable_bits"].to_numpy().copy()
    np.bitwise_or.at(bits, receiver, without_id["unreadable_bits"].to_numpy())
    return _with(items, "unreadable_bits", pa.array(bits))


def _with_images(rows: pa.Table, pictures: pa.Array, where: np.ndarray) -> pa.Table:
    """The rows with other pictures where they are to have them."""
    own = rows["images"].combine_chunks()
    place = np.where(where, np.arange(len(own)) + len(own), np.arange(len(own)))
    return _with(rows, "images", pa.concat_arrays([own, pictures.cast(own.type)]).take(pa.array(place)))


def _with_more(rows: pa.Table, name: str, more: np.ndarray) -> pa.Table:
    return _with(rows, name, pa.array(rows[name].to_numpy() + more, pa.int32()))


def _with(rows: pa.Table, name: str, column: pa.Array) -> pa.Table:
    place = rows.column_names.index(name)
    return rows.set_column(place, rows.schema.field(name), column)
