"""Columns of pictures: addresses, and pictures that are in their cells, in whatever way a shop's system writes them."""

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from schemas.arrow_types import holds_bytes
from schemas.cells.lists import MAX_ADDRESS_CHARACTERS, list_members
from schemas.cells.text import UnreadableCellError
from schemas.coercion.cells import BatchFindings, Blame, cells_of_sources, coerced_values
from schemas.coercion.fast_columns import TEXT_LISTS, fast_lists
from schemas.columns.raw_rows import RawRows
from schemas.pictures.cells import MIN_BASE64_CHARACTERS, BadPicture, Picture
from schemas.pictures.stored import STORED_PREFIX

#: What stands for no picture where a picture's name does (Magento).
NO_PICTURE = ("no_selection",)


def picture_column(raw: RawRows, name: str, found: BatchFindings, keep: Callable[[bytes], str]) -> pa.Array:
    """Lists of addresses (see schemas.cells.lists), members null where they were. A picture that is in its cell is
    kept, and its address is what `keep` returns. Members that cannot be read are left out, and their cell is in
    found.unreadable; pictures that cannot be had are in found.bad_pictures."""
    blame = Blame(name, found)
    arrays = []
    for cells in cells_of_sources(raw, name):
        separator = cells.spec.separator
        values = None if cells.array is None else fast_lists(cells.array, separator)
        if values is None or cells.array is None or _may_be_pictures(values.flatten(), cells.array.type):
            given = coerced_values(cells, partial(_addresses, separator=separator, keep=keep), blame)
            values = pa.array([_good_pictures(row, members, found) for row, members in enumerate(given)], TEXT_LISTS)
        arrays.append(_without_words(values))
    if len(arrays) == 1:
        return arrays[0]
    rows = zip(*(array.to_pylist() for array in arrays), strict=True)
    joined = [[member for members in row for member in members or ()] for row in rows]
    return pa.array([list(dict.fromkeys(members)) for members in joined], TEXT_LISTS)


def _without_words(lists: pa.Array) -> pa.Array:
    """The lists with null for members that say that there is no picture."""
    words = pc.is_in(pc.utf8_trim_whitespace(lists.flatten()), pa.array(NO_PICTURE))
    if not pc.any(words).as_py():
        return lists
    return pa.array(
        [
            members and [None if member is not None and member.strip() in NO_PICTURE else member for member in members]
            for members in lists.to_pylist()
        ],
        TEXT_LISTS,
    )


def _addresses(value: Any, separator: str | None, keep: Callable[[bytes], str]) -> list[str | BadPicture | None]:
    """list_members with pictures kept, so that no more than one cell's are in memory."""

    def kept(members: Sequence[str | Picture | BadPicture | None]) -> list[str | BadPicture | None]:
        return [keep(member.data) if isinstance(member, Picture) else member for member in members]

    try:
        return kept(list_members(value, separator))
    except UnreadableCellError as error:
        raise UnreadableCellError(error.reason, error.value, kept(error.rest or [])) from error


def _good_pictures(
    row: int, members: Sequence[str | BadPicture | None] | None, found: BatchFindings
) -> list[str | None] | None:
    if members is None:
        return None
    if bad := [member for member in members if isinstance(member, BadPicture)]:
        found.bad_pictures.setdefault(row, []).extend(bad)
    return [member for member in members if not isinstance(member, BadPicture)]


def _may_be_pictures(texts: pa.Array, kind: pa.DataType) -> bool:
    """Whether some of the texts, which the column's type holds, may be no address but a picture, or too long for an
    address, or look like one of ours."""
    plain = pc.utf8_ltrim_whitespace(texts)
    starts = [pc.starts_with(plain, start, ignore_case=True) for start in ("data:", STORED_PREFIX)]
    longest = pc.max(pc.binary_length(plain)).as_py() or 0
    if longest > MIN_BASE64_CHARACTERS:
        starts.append(pc.match_substring_regex(plain, r"^(/9j/|iVBORw0KGgo|R0lGOD|UklGR)"))
    if holds_bytes(kind):
        starts.append(pc.match_substring_regex(plain, r"^<|[\x00-\x08\x0b\x0c\x0e-\x1f]"))
    return longest > MAX_ADDRESS_CHARACTERS or any(pc.any(start).as_py() for start in starts)
