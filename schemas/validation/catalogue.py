"""Raw rows of a catalogue -> good rows and rejections of rows and pictures; the rules: schemas.validation.rules."""

from collections import Counter
from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from schemas.cells.markup import shown_start
from schemas.coercion.cells import BatchFindings, Faults
from schemas.coercion.columns import id_column, text_column
from schemas.coercion.pictures import picture_column
from schemas.columns.raw_rows import FileSlice, RawRows
from schemas.pictures.cells import REMEDIES as PICTURE_REMEDIES
from schemas.pictures.cells import BadPicture
from schemas.pictures.stored import stored_name
from schemas.quarantine import Rejection
from schemas.tables import CATALOGUE, LEAVE_OUT, TEXT_FIELDS, UNREADABLE
from schemas.validation.left_out_rows import ROWS_LEFT_OUT, SAYS_LEFT_OUT, left_out_column
from schemas.validation.rules import (
    DEFAULT_LIMITS,
    NO_ID,
    Limits,
    flag,
    good_rows,
    is_blank,
    rejections_of,
    say_if_none,
    truncate,
)

#: Columns that `validate_catalogue` adds: where the row came from, whether it names another (its group, or else its id,
#: is of the first of several sources, such as a parent: the row that is called so has it of another), what was cut.
VALIDATED_CATALOGUE = pa.schema(
    [
        *CATALOGUE,
        pa.field("file_number", pa.int32(), nullable=False),
        pa.field("row_number", pa.int64(), nullable=False),
        pa.field("names_another", pa.bool_(), nullable=False),
        pa.field("pictures_cut_off", pa.int32(), nullable=False),
        pa.field("pictures_empty", pa.int32(), nullable=False),
        pa.field("texts_truncated", pa.int32(), nullable=False),
        pa.field("ids_trimmed", pa.int32(), nullable=False),
        pa.field("unreadable_bits", pa.int32(), nullable=False),
    ]
)
#: The same of a catalogue whose mapping names the column `group`: rows without an id belong to one.
GROUPED = pa.schema(
    [
        field.with_nullable(True) if field.name == "item_id" else field
        for field in [*VALIDATED_CATALOGUE, pa.field("group", pa.string(), nullable=False)]
    ]
)
#: Fields of which a cell that cannot be read costs only itself; a bit of `unreadable_bits` each.
_OPTIONAL_FIELDS = (*TEXT_FIELDS, "images", "group", LEAVE_OUT.name)


def validated_schema(read: pa.Schema) -> pa.Schema:
    """What validate_catalogue makes of rows that were read by this schema (see
    schemas.columns.mapping.catalogue_schema)."""
    schema = GROUPED if "group" in read.names else VALIDATED_CATALOGUE
    return schema.append(SAYS_LEFT_OUT) if LEAVE_OUT.name in read.names else schema


def validate_catalogue(
    raw: RawRows,
    file_slice: FileSlice,
    limits: Limits = DEFAULT_LIMITS,
    keep_picture: Callable[[bytes], str] = stored_name,
) -> tuple[pa.Table, list[Rejection], Counter[str]]:
    """(good rows as VALIDATED_CATALOGUE in input order, rejections of rows, cells and pictures, counts: rows_read,
    rows_rejected, pictures_listed, and of the good rows what `catalogue_counts` counts). keep_picture: takes a picture
    that is in its cell, and returns what the row lists for it.

    Rows that were read with a column `group` are GROUPED: one without an id is good if it has a group; one without a
    group has that of its id. Those that were read with a column `leave_out` have SAYS_LEFT_OUT, too: one that is to be
    left out is not rejected for its id; where there is nothing that belongs to it, it is counted as rows_left_out.
    """
    found = BatchFindings()
    columns = _columns(raw, limits, keep_picture, found)
    columns["file_number"] = np.full(raw.table.num_rows, file_slice.file_number, np.int32)
    ids, left_out = columns["item_id"], columns.get(SAYS_LEFT_OUT.name)
    gone = _gone(found, columns.get("group"), left_out)
    good, _ = good_rows(columns, validated_schema(raw.table.schema), {**found.faults, **gone})
    rejections = rejections_of(raw, file_slice, "items", ids, found.faults)
    counts = Counter(
        rows_read=raw.num_rows,
        rows_rejected=len(rejections),
        **({ROWS_LEFT_OUT: len(gone)} if gone else {}),
        pictures_listed=len(good["images"].combine_chunks().flatten()),
        **catalogue_counts(good),
        **{name: int(rows.sum()) for name, rows in found.pointed.items()},
    )
    for row in _says_true(left_out):
        found.bad_pictures.pop(row, None)
        found.bad_texts.pop(row, None)
    rejections += _rejected_cells(raw, file_slice, ids, found)
    return good, rejections + _rejected_pictures(raw, file_slice, ids, found), counts


def _columns(
    raw: RawRows, limits: Limits, keep_picture: Callable[[bytes], str], found: BatchFindings
) -> dict[str, pa.Array | np.ndarray]:
    """The columns of validated_schema but the file's number, of good rows and bad ones. Puts what is wrong with them
    into `found`."""
    num_rows = raw.table.num_rows
    ids = _ids(raw, limits, found)
    of_mapping = {}  # columns that are there where the mapping names them
    if "group" in raw.table.column_names:
        of_mapping["group"], ids = _groups(raw, ids, limits, found)
    named_by = "group" if "group" in of_mapping else "item_id"
    if LEAVE_OUT.name in raw.table.column_names:
        of_mapping[SAYS_LEFT_OUT.name] = left_out_column(raw, found)
    say_if_none(raw, ids, CATALOGUE, found.faults)
    texts, num_truncated = _texts(raw, limits, found)
    images, num_cut, num_empty = _pictures(picture_column(raw, "images", found, keep_picture), limits.max_pictures)
    return {
        "item_id": ids,
        **texts,
        "images": images,
        "row_number": raw.row_numbers,
        "names_another": found.of_first.get(named_by, np.zeros(num_rows, bool)),
        "pictures_cut_off": num_cut,
        "pictures_empty": num_empty,
        "texts_truncated": num_truncated,
        "ids_trimmed": found.trimmed["item_id"].astype(np.int32),
        "unreadable_bits": _unreadable_bits(found, num_rows),
        **of_mapping,
    }


def catalogue_counts(rows: pa.Table) -> dict[str, int]:
    """What was cut, dropped or mended in VALIDATED_CATALOGUE: pictures_cut_off, pictures_empty, texts_truncated, and,
    where there are any, ids_trimmed and cells_unreadable:<field>."""
    always = {name: _sum(rows[name]) for name in ("pictures_cut_off", "pictures_empty", "texts_truncated")}
    found = {"ids_trimmed": _sum(rows["ids_trimmed"])}
    if _sum(rows["unreadable_bits"]):
        bits = rows["unreadable_bits"].to_numpy()
        found |= {f"{UNREADABLE}{name}": int((bits >> bit & 1).sum()) for bit, name in enumerate(_OPTIONAL_FIELDS)}
    return always | {name: count for name, count in found.items() if count}


def _sum(column: pa.ChunkedArray) -> int:
    return pc.sum(column).as_py() or 0


def _unreadable_bits(found: BatchFindings, num_rows: int) -> np.ndarray:
    bits = np.zeros(num_rows, np.int32)
    for name, rows in found.unreadable.items():
        bits[list(rows)] |= 1 << _OPTIONAL_FIELDS.index(name)
    return bits


def _ids(raw: RawRows, limits: Limits, found: BatchFindings) -> pa.Array:
    """The item ids; null where they are null, oversized or no text."""
    ids = id_column(raw, "item_id", found, required=True)
    flag(found.faults, ids.is_null(), "null_id", "an item_id", ids)
    flag(found.faults, is_blank(ids), "empty_id", "an item_id that is not blank", ids)
    oversized = pc.fill_null(pc.greater(pc.binary_length(ids), limits.max_id_bytes), False)
    flag(found.faults, oversized, "oversized_id", f"an item_id of at most {limits.max_id_bytes} bytes", ids, "item_id")
    return pc.if_else(oversized, pa.scalar(None, pa.string()), ids)


def _groups(raw: RawRows, ids: pa.Array, limits: Limits, found: BatchFindings) -> tuple[pa.Array, pa.Array]:
    """(the group of each row, its id, null where it has none). Takes back the fault of a row that has only a group."""
    groups = id_column(raw, "group", found)
    oversized = pc.fill_null(pc.greater(pc.binary_length(groups), limits.max_id_bytes), False)
    found.unreadable.setdefault("group", set()).update(np.flatnonzero(oversized).tolist())
    groups = pc.if_else(pc.or_(oversized, is_blank(groups)), pa.scalar(None, pa.string()), groups)
    for row in [row for row, fault in found.faults.items() if fault.reason in NO_ID]:
        if groups[row].is_valid:
            del found.faults[row]
    ids = pc.if_else(is_blank(ids), pa.scalar(None, pa.string()), ids)
    return pc.coalesce(groups, ids), ids


def _gone(found: BatchFindings, groups: pa.Array | None, left_out: pa.Array | None) -> Faults:
    """The faults, which are taken back, of rows that are to be left out. One that has a group stays without an id, for
    others go with it."""
    faulty = [row for row in _says_true(left_out) if row in found.faults]
    faults = {row: found.faults.pop(row) for row in faulty}
    return {row: fault for row, fault in faults.items() if groups is None or not groups[row].is_valid}


def _says_true(left_out: pa.Array | None) -> list[int]:
    """The rows that say of themselves that they are to be left out."""
    return [] if left_out is None else np.flatnonzero(pc.fill_null(left_out, False)).tolist()


def _texts(raw: RawRows, limits: Limits, found: BatchFindings) -> tuple[dict[str, pa.Array], np.ndarray]:
    """(texts by field, as they are shown, int32 [rows]: how many of a row were cut)."""
    given = {name: text_column(raw, name, found, join_lists=True) for name in TEXT_FIELDS}
    texts, num_truncated = {}, np.zeros(raw.table.num_rows, np.int32)
    for name, text in given.items():
        texts[name], truncated = _shown_start(text, limits)
        num_truncated += truncated
    return texts, num_truncated


def _pictures(lists: pa.Array, max_pictures: int) -> tuple[pa.Array, np.ndarray, np.ndarray]:
    """(lists without nulls and blanks and of at most `max_pictures`, how many were cut off, how many were blank)."""
    zeros = np.zeros(len(lists), np.int32)
    members = lists.flatten()
    longest = pc.max(pc.list_value_length(lists)).as_py() or 0
    if longest <= max_pictures and not pc.any(is_blank(members)).as_py():
        return _without_null_lists(lists), zeros, zeros
    given = [uris or [] for uris in lists.to_pylist()]
    named = [[uri for uri in uris if uri is not None and uri.strip()] for uris in given]
    num_empty = np.array([len(a) - len(b) for a, b in zip(given, named, strict=True)], np.int32)
    num_cut = np.array([max(len(uris) - max_pictures, 0) for uris in named], np.int32)
    return pa.array([uris[:max_pictures] for uris in named], lists.type), num_cut, num_empty


def _without_null_lists(lists: pa.Array) -> pa.Array:
    """The lists, an empty one for null."""
    if lists.null_count == len(lists):  # a table without pictures; coalesce takes .5 us a row of it
        return pa.ListArray.from_arrays(np.zeros(len(lists) + 1, np.int32), pa.array([], lists.type.value_type))
    return pc.coalesce(lists, pa.scalar([], lists.type))


def _shown_start(text: pa.Array, limits: Limits) -> tuple[pa.Array, np.ndarray]:
    """(text of at most `max_text_characters`, null where nothing is shown, bool [rows] where more was shown)."""
    cut, was_cut = truncate(text, limits.max_text_characters)
    rows = np.flatnonzero(was_cut).tolist()
    if not rows:
        return cut, was_cut
    starts = cut.to_pylist()
    for row in rows:
        start, was_cut[row] = shown_start(text[row].as_py(), limits.max_text_characters, limits.max_markup_characters)
        starts[row] = start or None
    return pa.array(starts, pa.string()), was_cut


def _rejected_cells(raw: RawRows, file_slice: FileSlice, ids: pa.Array, found: BatchFindings) -> list[Rejection]:
    """One rejection for each row that stays and has optional cells that are not UTF-8."""
    faults = {row: fault for row, fault in sorted(found.bad_texts.items()) if row not in found.faults}
    whole = replace(raw, broken=[], oversized=[])
    return [replace(one, level="cell") for one in rejections_of(whole, file_slice, "items", ids, faults)]


def _rejected_pictures(raw: RawRows, file_slice: FileSlice, ids: pa.Array, found: BatchFindings) -> list[Rejection]:
    """One rejection for each bad picture of a row that stays."""
    pictures = {row: list(bad) for row, bad in found.bad_pictures.items()}
    for number, why in raw.without_pictures:
        row = int(np.searchsorted(raw.row_numbers, number))
        bad = BadPicture("too_many_bytes", "a smaller cell", why)
        pictures.setdefault(row, []).append(bad)
    return [
        Rejection(
            level="picture",
            stage="items",
            item_id=ids[row].as_py(),
            **picture._asdict(),
            where=file_slice.where(int(raw.row_numbers[row])),
            remedy=PICTURE_REMEDIES[picture.reason],
        )
        for row, bad in sorted(pictures.items())
        if row not in found.faults
        for picture in bad
    ]
