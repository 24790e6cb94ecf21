"""Runs of rows, one after the other, that belong together: whole columns at once, no value as a Python object."""

from collections.abc import Sequence

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc


def run_starts(rows: pa.Table, *names: str) -> np.ndarray:
    """The first row of each run of rows with equal values of the columns."""
    if not rows.num_rows:
        return np.zeros(0, np.int64)
    begins = np.zeros(rows.num_rows, bool)
    begins[0] = True
    for name in names:
        column = rows[name].combine_chunks()
        begins[1:] |= pc.fill_null(pc.not_equal(column[1:], column[:-1]), True).to_numpy(zero_copy_only=False)
    return np.flatnonzero(begins)


def equal_to_next(column: pa.Array) -> np.ndarray:
    """bool [rows - 1]: whether each value but the last, a text, a number or a list of texts, equals the one after it;
    nulls are equal to nulls."""
    validity = column.is_valid().to_numpy(zero_copy_only=False)
    if pa.types.is_list(column.type):
        equal = _lists_equal_to_next(column)
    else:
        equal = pc.fill_null(pc.equal(column[:-1], column[1:]), True).to_numpy(zero_copy_only=False)
    return equal & (validity[:-1] == validity[1:])


def _lists_equal_to_next(lists: pa.ListArray) -> np.ndarray:
    lengths_N = pc.fill_null(pc.list_value_length(lists), 0).to_numpy()
    members_M = lists.flatten().dictionary_encode(null_encoding="encode").indices.to_numpy()
    is_as_long = lengths_N[:-1] == lengths_N[1:]
    # The members of a list and of the next, which is as long, are as far apart as the lists are long.
    owner_M = np.repeat(np.arange(len(lists)), lengths_N)
    place_P = np.flatnonzero(np.append(is_as_long, False)[owner_M])
    differ_P = members_M[place_P] != members_M[place_P + lengths_N[owner_M[place_P]]]
    return is_as_long & (np.bincount(owner_M[place_P[differ_P]], minlength=len(lists))[:-1] == 0)


def run_numbers(starts: np.ndarray, num_rows: int) -> np.ndarray:
    """The number of the run that each row is in."""
    return np.repeat(np.arange(len(starts)), np.diff(np.append(starts, num_rows)))


def first_valid(column: pa.Array, starts: np.ndarray) -> pa.Array:
    """The first value of each run that is not null."""
    place = np.where(column.is_valid().to_numpy(zero_copy_only=False), np.arange(len(column)), len(column))
    first = np.minimum.reduceat(place, starts)
    return column.take(pa.array(first, mask=first == len(column)))


def differs(column: pa.Array, first: pa.Array) -> np.ndarray:
    """int32 [rows]: 1 where a value is there, and another than the first."""
    return pc.fill_null(pc.not_equal(column, first), False).to_numpy(zero_copy_only=False).astype(np.int32)


def unions(
    parts: Sequence[pa.Array], owners: Sequence[np.ndarray], wanted: np.ndarray, max_members: int
) -> tuple[pa.Array, np.ndarray]:
    """(for each owner the members of its lists, each once, at most max_members, as first seen; how many more there
    were). parts: lists, the first parts' first. owners: whose each list is. wanted: bool [owners]; others get none."""
    lists = pa.concat_arrays(list(parts))
    lengths = pc.fill_null(pc.list_value_length(lists), 0).to_numpy()
    owner = np.repeat(np.concatenate(list(owners)), lengths)
    coded = lists.flatten().dictionary_encode()
    order = np.argsort(owner, kind="stable")
    order = order[wanted[owner[order]]]
    keys = owner[order] * max(len(coded.dictionary), 1) + coded.indices.to_numpy()[order]
    order = order[np.sort(np.unique(keys, return_index=True)[1])]
    counts = np.bincount(owner[order], minlength=len(wanted))
    rank = np.arange(len(order)) - np.repeat(np.cumsum(counts) - counts, counts)
    kept = order[rank < max_members]
    offsets = np.append(0, np.cumsum(np.minimum(counts, max_members))).astype(np.int32)
    members = coded.dictionary.take(coded.indices.take(pa.array(kept)))
    return pa.ListArray.from_arrays(pa.array(offsets), members), np.maximum(counts - max_members, 0)
