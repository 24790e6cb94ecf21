"""Rows that a mapping's `leave_out` leaves out (see schemas.columns.leave_out), alone and with what belongs to them.

What a row says of itself is true (one of its cells has a listed text), false, or nothing (all are blank). With
--group-rows what a row does not say others say for it, as with texts:

    Handle  SKU  Status                           ID  Parent  Published
    shirt   s-1  draft   goes                     1           1          stays
    shirt   s-2          goes with the first      2   id:1    0          goes
    mug     m-1  active  stays                    3   id:1    1          stays
    mug     m-2          stays with the first     4           -1         goes
                                                  5   id:4    1          goes with 4, its product

- a row that says true goes;
- a row that says nothing goes with the first row of its item that says something, else with that of its group (order:
  schemas.validation.grouping);
- a row that names another, its product, goes with it, whatever it says itself: the variations of a draft are no items;
- a row without an id stays as long as some item of its group does.

Rows go before equal ones collapse and others are merged, so nothing of them is in any item.
"""

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from schemas.cells.text import NULL_WORDS, cell_text
from schemas.coercion.cells import BatchFindings, Blame, Cells, by_value, cells_of_sources
from schemas.coercion.fast_columns import fast_text
from schemas.columns.leave_out import ANY, LeaveOut, plain_texts
from schemas.columns.raw_rows import RawRows
from schemas.columns.spec import column_of
from schemas.tables import LEAVE_OUT

#: What a validated row says of itself, where the mapping asks; null: nothing.
SAYS_LEFT_OUT = pa.field("left_out", pa.bool_())
#: Count of the rows that were left out.
ROWS_LEFT_OUT = "rows_left_out"
#: Which row of an item or a group is the first.
ORDER = ("names_another", "file_number", "row_number")


def left_out_column(raw: RawRows, found: BatchFindings) -> pa.Array:
    """SAYS_LEFT_OUT of each row. A cell that cannot be read is as a blank one, and is put down."""
    spec = column_of(raw.columns, LEAVE_OUT.name)
    assert isinstance(spec, LeaveOut)
    is_listed, says = np.zeros(raw.table.num_rows, bool), np.zeros(raw.table.num_rows, bool)
    for cells, listed in zip(cells_of_sources(raw, LEAVE_OUT.name), spec.texts, strict=True):
        texts = plain_texts_of(cells, found)
        is_there = _mask(pc.not_equal(texts, ""))
        is_listed |= is_there if ANY in listed else _mask(pc.is_in(texts, pa.array(listed)))
        is_listed |= _is_listed_word(cells, listed)
        says |= is_there | (ANY in listed)
    return pa.array(is_listed, mask=~(says | is_listed))


def plain_texts_of(cells: Cells, found: BatchFindings) -> pa.Array:
    """The texts of a source's cells, as schemas.columns.leave_out.plain_texts has them; null where there is none, or
    one that cannot be read, which is put down."""
    values = None if cells.array is None else fast_text(cells.array, join_lists=False)
    if values is None:
        values = by_value(cells, cell_text, pa.string(), Blame(LEAVE_OUT.name, found))
    return plain_texts(values)


def _is_listed_word(cells: Cells, listed: tuple[str, ...]) -> np.ndarray:
    """bool [rows]: where a word that else stands for null is one of the texts."""
    is_word = np.zeros(len(cells.was_word), bool)
    if not set(listed).isdisjoint(word.lower() for word in NULL_WORDS):
        for row in np.flatnonzero(cells.was_word).tolist():
            is_word[row] = str(cells.word(row)).strip().lower() in listed
    return is_word


def _mask(values: pa.Array) -> np.ndarray:
    return pc.fill_null(values, False).to_numpy(zero_copy_only=False)


def without_left_out(rows: pa.Table, group_rows: str) -> tuple[pa.Table, int]:
    """(the rows that stay, in their order and without SAYS_LEFT_OUT, how many do not) of validated rows of whole items
    or, where they have a group, of whole groups, in any order. group_rows: one of
    schemas.validation.grouping.GROUP_ROWS."""
    if SAYS_LEFT_OUT.name not in rows.column_names:
        return rows, 0
    says = rows[SAYS_LEFT_OUT.name].combine_chunks()
    goes = _mask(says)
    rows = rows.drop_columns([SAYS_LEFT_OUT.name])
    if not goes.any():
        return rows, 0
    if group_rows != "no":
        goes = _with_others(rows, goes, says.is_valid().to_numpy(zero_copy_only=False))
    return rows.filter(pa.array(~goes)), int(goes.sum())


def _with_others(rows: pa.Table, is_true: np.ndarray, says: np.ndarray) -> np.ndarray:
    """bool [rows]: which go. is_true: those that say so; says: those that say anything."""
    group = _numbers(rows["group" if "group" in rows.column_names else "item_id"])
    item = _numbers(rows["item_id"])
    has_id = rows["item_id"].is_valid().to_numpy()
    names_another = rows["names_another"].to_numpy()
    order = np.lexsort([rows[name].to_numpy() for name in reversed(ORDER)])
    order = order[says[order]]
    _, item_in_group = np.unique(group * (item.max() + 2) + item, return_inverse=True)
    first_of_item, first_of_group = _first_rows(item_in_group, order), _first_rows(group, order)
    first = np.where(first_of_item >= 0, first_of_item, first_of_group)
    goes = is_true | (~says & has_id & (first >= 0) & is_true[first])
    is_of_product = (first_of_group >= 0) & ~names_another[first_of_group]
    goes |= names_another & is_of_product & is_true[first_of_group]
    with_items, with_staying = np.zeros(group.max() + 1, bool), np.zeros(group.max() + 1, bool)
    with_items[group[has_id]] = True
    with_staying[group[has_id & ~goes]] = True
    of_group = (first_of_group >= 0) & is_true[first_of_group]
    return goes | (~has_id & np.where(with_items[group], ~with_staying[group], ~says & of_group))


def _numbers(column: pa.ChunkedArray) -> np.ndarray:
    """int64 [rows]: a number for each different value; -1 of null."""
    indices = column.combine_chunks().dictionary_encode().indices
    return pc.fill_null(indices.cast(pa.int64()), -1).to_numpy()


def _first_rows(keys: np.ndarray, order: np.ndarray) -> np.ndarray:
    """int64 [rows]: the first row of `order` that has the key of the row; -1 where none has. keys: from 0."""
    first = np.full(keys.max() + 1, -1)
    different, place = np.unique(keys[order], return_index=True)
    first[different] = order[place]
    return first[keys]
