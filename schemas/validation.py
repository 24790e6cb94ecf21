"""Raw rows -> good rows and rejections. Every row leaves as one or the other; nothing is repaired silently.

A row is rejected, with the first reason found in it:

| reason | rule |
|---|---|
| broken_line | a text line that is no JSON object, or no CSV row of the header's width |
| cut_off_file | the same of the last row of a file that ends within it, without a line end |
| oversized_cell | a cell of a Parquet file has more than `MAX_CELL_BYTES`, as much as a line of text may have |
| null_id, empty_id | the id is null (an empty CSV cell too, or a word for null); it is empty or white space only |
| oversized_id | the id has more than `max_id_bytes` bytes of UTF-8 |
| wrong_type | an id, a timestamp, a surface, an action or a grade is of no type that its column takes |
| bad_utf8 | one of these is not UTF-8: decoding it with replacements would damage it silently |
| unknown_surface, unknown_action, null_timestamp, missing_query | engagements and judgements only |

A value is cut, dropped or mended, and counted, where that loses no row: `texts_truncated`, `queries_truncated`,
`pictures_cut_off`, `pictures_empty` (null or blank URIs), `ids_trimmed` (blanks around an id), and
`cells_unreadable:<field>`: a cell of an optional field that cannot be read (see schemas.coercion) is null, and its row
stays. A text of more than `max_text_characters` becomes what a browser shows of it, if it has markup, and is cut if
that is longer, too: words behind a long style are kept. A picture that its cell does not give (see
schemas.picture_cells) is rejected, as `picture`; its row stays. Case and control characters of an id count, for ids
never become file names.
"""

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from schemas.coercion import id_column, number_column, text_column, timestamp_column
from schemas.column_cells import Fault, Faults, Found
from schemas.cut_off_files import CUT_OFF_FILE
from schemas.empty_columns import empty_ids_remedy
from schemas.markup import shown_start
from schemas.parquet_batches import MAX_CELL_BYTES
from schemas.picture_cells import REMEDIES as PICTURE_REMEDIES
from schemas.picture_cells import BadPicture
from schemas.picture_columns import picture_column
from schemas.quarantine import Rejection, quote
from schemas.raw_rows import FileSlice, RawRows
from schemas.stored_pictures import stored_name
from schemas.tables import (
    ACTIONS,
    CATALOGUE,
    ENGAGEMENTS,
    JUDGEMENTS,
    MAX_PICTURES,
    QUERY_SURFACES,
    SURFACES,
    TEXT_FIELDS,
    UNREADABLE,
)
from schemas.words_of_ours import our_words

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
#: Reason of a row that cannot be parsed, and what was expected.
_BROKEN, _CUT_OFF = ("broken_line", "a line that can be parsed"), (CUT_OFF_FILE, "a file that ends with a whole row")
_NO_ID = ("null_id", "empty_id")
#: Fields of which a cell that cannot be read costs only itself; a bit of `unreadable_bits` each.
_OPTIONAL_FIELDS = (*TEXT_FIELDS, "images", "group")

REMEDIES = {
    "broken_line": "write one valid JSON object or CSV row a line, or say in the config how it is written: [format] "
    "separator, quote, escape",
    CUT_OFF_FILE: "the file ends within this row: is it whole? Write it again, and give it its name once it is done",
    "oversized_cell": "shorten the value, or leave it out",
    "null_id": "give the row its item_id",
    "empty_id": "give the row its item_id",
    "oversized_id": "use a shorter item_id",
    "wrong_type": "cast the column in the export, or say in [columns] how it is written",
    "bad_utf8": "export the table as UTF-8, or say in the config what it is: [format] encoding",
    "unknown_surface": "use one of the expected surfaces, or leave the row out",
    "unknown_action": "use one of the expected actions, or leave the row out",
    "null_timestamp": "give the row its UTC timestamp",
    "missing_query": "give search rows their text and closeup rows their image URI",
}


@dataclass(frozen=True, kw_only=True)
class Limits:
    """Numbers of the rules; part of the ingest fingerprint."""

    max_id_bytes: int = 512
    max_text_characters: int = 10_000
    #: Of a text with markup, which may hide most of it: so many are read to find as many as above.
    max_markup_characters: int = 1_000_000
    max_query_characters: int = 2_000
    max_pictures: int = MAX_PICTURES


def validate_catalogue(
    raw: RawRows,
    file_slice: FileSlice,
    limits: Limits = Limits(),
    keep_picture: Callable[[bytes], str] = stored_name,
) -> tuple[pa.Table, list[Rejection], Counter[str]]:
    """(good rows as VALIDATED_CATALOGUE in input order, rejections of rows and of pictures, counts: rows_read,
    rows_rejected, pictures_listed, and of the good rows what `catalogue_counts` counts). keep_picture: takes a picture
    that is in its cell, and returns what the row lists for it.

    Rows that were read with a column `group` are GROUPED: one without an id is good if it has a group; one without a
    group has that of its id.
    """
    found = Found()
    ids = _ids(raw, limits, found)
    groups = {}
    if "group" in raw.table.column_names:
        groups["group"], ids = _groups(raw, ids, limits, found)
    _say_if_none(raw, ids, CATALOGUE, found.faults)
    texts = {name: text_column(raw, name, found, join_lists=True) for name in TEXT_FIELDS}
    images, num_cut, num_empty = _pictures(picture_column(raw, "images", found, keep_picture), limits.max_pictures)
    num_truncated = np.zeros(raw.table.num_rows, np.int32)
    for name, text in texts.items():
        texts[name], truncated = _shown_start(text, limits)
        num_truncated += truncated
    columns = {
        "item_id": ids,
        **texts,
        "images": images,
        "file_number": np.full(raw.table.num_rows, file_slice.file_number, np.int32),
        "row_number": raw.row_numbers,
        "names_another": found.of_first.get("group" if groups else "item_id", np.zeros(raw.table.num_rows, bool)),
        "pictures_cut_off": num_cut,
        "pictures_empty": num_empty,
        "texts_truncated": num_truncated,
        "ids_trimmed": found.trimmed["item_id"].astype(np.int32),
        "unreadable_bits": _unreadable_bits(found, raw.table.num_rows),
        **groups,
    }
    good, _ = _good_rows(columns, GROUPED if groups else VALIDATED_CATALOGUE, found.faults)
    rejections = _rejections(raw, file_slice, "items", ids, found.faults)
    counts = Counter(
        rows_read=raw.num_rows,
        rows_rejected=len(rejections),
        pictures_listed=len(good["images"].combine_chunks().flatten()),
        **catalogue_counts(good),
    )
    return good, rejections + _rejected_pictures(raw, file_slice, ids, found), counts


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


def _unreadable_bits(found: Found, num_rows: int) -> np.ndarray:
    bits = np.zeros(num_rows, np.int32)
    for name, rows in found.unreadable.items():
        bits[list(rows)] |= 1 << _OPTIONAL_FIELDS.index(name)
    return bits


def validate_engagements(
    raw: RawRows,
    file_slice: FileSlice,
    limits: Limits = Limits(),
    stage: str = "pairs",
) -> tuple[pa.Table, list[Rejection], Counter[str]]:
    """(good rows as ENGAGEMENTS in input order, rejections, counts: rows_read, rows_rejected, queries_truncated, and,
    where there are any, ids_trimmed and cells_unreadable:<column> of the good rows).

    The query of a home row is dropped. Timestamps are not compared with any clock. Of surfaces and actions case and
    signs do not count (see schemas.words_of_ours).
    """
    found = Found()
    columns: dict[str, Any] = {"timestamp": timestamp_column(raw, "timestamp", found)}
    columns |= {name: id_column(raw, name, found) for name in ("user_id", "session_id")}
    columns["item_id"] = id_column(raw, "item_id", found, required=True)
    columns["query"] = text_column(raw, "query", found)
    _flag(found.faults, columns["timestamp"].is_null(), "null_timestamp", "a timestamp", columns["timestamp"])
    _flag(found.faults, _is_blank(columns["item_id"]), "null_id", "an item_id", columns["item_id"])
    _say_if_none(raw, columns["item_id"], ENGAGEMENTS, found.faults)
    for name, known in (("surface", SURFACES), ("action", ACTIONS)):
        columns[name] = _in_any_case(text_column(raw, name, found, required=True), known)
        _flag_unknown(found.faults, columns[name], known, f"unknown_{name}")
    needs_query = pc.is_in(columns["surface"], pa.array(QUERY_SURFACES))
    missing = pc.and_(needs_query, _is_blank(columns["query"]))
    _flag(found.faults, missing, "missing_query", f"a query on {' and '.join(QUERY_SURFACES)}", columns["query"])
    query, truncated = _truncate(columns["query"], limits.max_query_characters)
    columns["query"] = pc.if_else(needs_query, query, pa.scalar(None, pa.string()))
    truncated &= needs_query.to_numpy(zero_copy_only=False)
    good, keep = _good_rows(columns, ENGAGEMENTS, found.faults)
    rejections = _rejections(raw, file_slice, stage, columns["item_id"], found.faults)
    counts = Counter(
        rows_read=raw.num_rows,
        rows_rejected=len(rejections),
        queries_truncated=int(truncated[keep].sum()),
        **_log_counts(found, keep),
    )
    return good, rejections, counts


def _log_counts(found: Found, keep: np.ndarray) -> dict[str, int]:
    trimmed = np.any(list(found.trimmed.values()), axis=0)
    unreadable = {f"{UNREADABLE}{name}": int(keep[list(rows)].sum()) for name, rows in found.unreadable.items()}
    counts = {"ids_trimmed": int(trimmed[keep].sum()), **unreadable}
    return {name: count for name, count in counts.items() if count}


def _in_any_case(values: pa.Array, known: tuple[str, ...]) -> pa.Array:
    """Values that are one of the known but for case and signs as that one; others as they are."""
    return pc.coalesce(our_words(values, dict(zip(known, known, strict=True))), values)


def validate_judgements(
    raw: RawRows,
    file_slice: FileSlice,
    limits: Limits = Limits(),
    stage: str = "evaluate",
) -> tuple[pa.Table, list[Rejection], Counter[str]]:
    """(good rows as JUDGEMENTS in input order, rejections, counts: rows_read, rows_rejected, queries_truncated)."""
    found = Found()
    columns: dict[str, Any] = {name: text_column(raw, name, found, required=True) for name in ("surface", "query")}
    columns["item_id"] = id_column(raw, "item_id", found, required=True)
    columns["grade"] = number_column(raw, "grade", found)
    _flag(found.faults, _is_blank(columns["item_id"]), "null_id", "an item_id", columns["item_id"])
    _say_if_none(raw, columns["item_id"], JUDGEMENTS, found.faults)
    columns["surface"] = _in_any_case(columns["surface"], QUERY_SURFACES)
    _flag_unknown(found.faults, columns["surface"], QUERY_SURFACES, "unknown_surface")
    _flag(found.faults, _is_blank(columns["query"]), "missing_query", "a query", columns["query"])
    _flag(found.faults, columns["grade"].is_null(), "wrong_type", "a finite number in grade", columns["grade"])
    columns["query"], truncated = _truncate(columns["query"], limits.max_query_characters)
    good, keep = _good_rows(columns, JUDGEMENTS, found.faults)
    rejections = _rejections(raw, file_slice, stage, columns["item_id"], found.faults)
    counts = Counter(
        rows_read=raw.num_rows,
        rows_rejected=len(rejections),
        queries_truncated=int(truncated[keep].sum()),
    )
    return good, rejections, counts


def _ids(raw: RawRows, limits: Limits, found: Found) -> pa.Array:
    """The item ids; null where they are null, oversized or no text."""
    ids = id_column(raw, "item_id", found, required=True)
    _flag(found.faults, ids.is_null(), "null_id", "an item_id", ids)
    _flag(found.faults, _is_blank(ids), "empty_id", "an item_id that is not blank", ids)
    oversized = pc.fill_null(pc.greater(pc.binary_length(ids), limits.max_id_bytes), False)
    _flag(found.faults, oversized, "oversized_id", f"an item_id of at most {limits.max_id_bytes} bytes", ids, "item_id")
    return pc.if_else(oversized, pa.scalar(None, pa.string()), ids)


def _say_if_none(raw: RawRows, ids: pa.Array, schema: pa.Schema, faults: Faults) -> None:
    """Puts what is then likely into the faults of a batch that has no id at all."""
    if not len(ids) or not pc.all(_is_blank(ids)).as_py():
        return
    rows = [row for row, fault in faults.items() if fault.reason in _NO_ID]
    is_some_other = any(fault.column == "item_id" and fault.reason not in _NO_ID for fault in faults.values())
    if rows and not is_some_other:  # a bad id is one
        remedy = empty_ids_remedy(raw, "item_id", schema)
        faults.update({row: faults[row]._replace(remedy=remedy) for row in rows})


def _groups(raw: RawRows, ids: pa.Array, limits: Limits, found: Found) -> tuple[pa.Array, pa.Array]:
    """(the group of each row, its id, null where it has none). Takes back the fault of a row that has only a group."""
    groups = id_column(raw, "group", found)
    oversized = pc.fill_null(pc.greater(pc.binary_length(groups), limits.max_id_bytes), False)
    found.unreadable.setdefault("group", set()).update(np.flatnonzero(oversized).tolist())
    groups = pc.if_else(pc.or_(oversized, _is_blank(groups)), pa.scalar(None, pa.string()), groups)
    for row in [row for row, fault in found.faults.items() if fault.reason in _NO_ID]:
        if groups[row].is_valid:
            del found.faults[row]
    ids = pc.if_else(_is_blank(ids), pa.scalar(None, pa.string()), ids)
    return pc.coalesce(groups, ids), ids


def _pictures(lists: pa.Array, max_pictures: int) -> tuple[pa.Array, np.ndarray, np.ndarray]:
    """(lists without nulls and blanks and of at most `max_pictures`, how many were cut off, how many were blank)."""
    zeros = np.zeros(len(lists), np.int32)
    members = lists.flatten()
    longest = pc.max(pc.list_value_length(lists)).as_py() or 0
    if longest <= max_pictures and not pc.any(_is_blank(members)).as_py():
        return pc.coalesce(lists, pa.scalar([], lists.type)), zeros, zeros
    given = [uris or [] for uris in lists.to_pylist()]
    named = [[uri for uri in uris if uri is not None and uri.strip()] for uris in given]
    num_empty = np.array([len(a) - len(b) for a, b in zip(given, named, strict=True)], np.int32)
    num_cut = np.array([max(len(uris) - max_pictures, 0) for uris in named], np.int32)
    return pa.array([uris[:max_pictures] for uris in named], lists.type), num_cut, num_empty


def _shown_start(text: pa.Array, limits: Limits) -> tuple[pa.Array, np.ndarray]:
    """(text of at most `max_text_characters`, null where nothing is shown, bool [rows] where more was shown)."""
    cut, was_cut = _truncate(text, limits.max_text_characters)
    rows = np.flatnonzero(was_cut).tolist()
    if not rows:
        return cut, was_cut
    starts = cut.to_pylist()
    for row in rows:
        start, was_cut[row] = shown_start(text[row].as_py(), limits.max_text_characters, limits.max_markup_characters)
        starts[row] = start or None
    return pa.array(starts, pa.string()), was_cut


def _truncate(text: pa.Array, max_characters: int) -> tuple[pa.Array, np.ndarray]:
    """(text of at most that many code points, bool [rows] where it was longer)."""
    too_long = pc.fill_null(pc.greater(pc.utf8_length(text), max_characters), False)
    if not pc.any(too_long).as_py():
        return text, np.zeros(len(text), bool)
    return pc.utf8_slice_codeunits(text, 0, max_characters), too_long.to_numpy(zero_copy_only=False)


def _is_blank(text: pa.Array) -> pa.Array:
    return pc.fill_null(pc.equal(pc.utf8_trim_whitespace(text), ""), True)


def _flag_unknown(faults: Faults, values: pa.Array, known: tuple[str, ...], reason: str) -> None:
    _flag(faults, pc.invert(pc.is_in(values, pa.array(known))), reason, f"one of {', '.join(known)}", values)


def _flag(faults: Faults, mask: pa.Array, reason: str, expected: str, values: pa.Array, column: str = "") -> None:
    """Records a fault, of our column, for the rows of the mask that have none yet."""
    for row in np.flatnonzero(mask.to_numpy(zero_copy_only=False)).tolist():
        if row not in faults:
            faults[row] = Fault(reason, expected, quote(values[row].as_py()), column=column)


def _good_rows(columns: dict[str, Any], schema: pa.Schema, faults: Faults) -> tuple[pa.Table, np.ndarray]:
    """(the rows without a fault, bool [rows] which they are)."""
    arrays = [column if isinstance(column, pa.Array) else pa.array(column) for column in map(columns.get, schema.names)]
    keep = np.ones(len(arrays[0]), bool)
    keep[list(faults)] = False
    table = pa.Table.from_arrays(arrays, schema=schema)
    return (table.filter(pa.array(keep)) if faults else table), keep


def _rejections(raw: RawRows, file_slice: FileSlice, stage: str, ids: pa.Array, faults: Faults) -> list[Rejection]:
    """One rejection for each faulty row, broken line and row with an oversized cell."""
    found = [(int(raw.row_numbers[row]), ids[row].as_py(), fault) for row, fault in faults.items()]
    for number, error in raw.broken:
        reason, expected = _CUT_OFF if number in raw.cut_off else _BROKEN
        found.append((number, None, Fault(reason, expected, quote(error))))
    for number, why in raw.oversized:
        found.append((number, None, Fault("oversized_cell", f"cells of at most {MAX_CELL_BYTES:,} bytes", why)))
    return [
        Rejection(
            level="row",
            stage=stage,
            item_id=item_id,
            reason=fault.reason,
            expected=fault.expected,
            got=fault.got,
            where=file_slice.where(number),
            remedy=fault.remedy or REMEDIES[fault.reason],
        )
        for number, item_id, fault in sorted(found, key=lambda entry: entry[0])
    ]


def _rejected_pictures(raw: RawRows, file_slice: FileSlice, ids: pa.Array, found: Found) -> list[Rejection]:
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
