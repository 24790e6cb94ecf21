"""The rules by which rows are good or rejected, whatever table they are of: see catalogue and log beside them.

Every row leaves as one or the other; nothing is repaired silently. A row is rejected, with the first reason found in
it:

| reason | rule |
|---|---|
| broken_line | a text line that is no JSON object, or no CSV row of the header's width |
| cut_off_file | the same of the last row of a file that ends within it, without a line end |
| oversized_cell | a cell of a Parquet file has more than `MAX_CELL_BYTES`, as much as a line of text may have |
| null_id, empty_id | the id is null (an empty CSV cell too, or a word for null); it is empty or white space only |
| oversized_id | the id has more than `max_id_bytes` bytes of UTF-8 |
| rounded_id | the id is a text as `4.01235E+12`, which a spreadsheet made of a longer number (see rounded_ids) |
| wrong_type | an id, a timestamp, a surface, an action or a grade is of no type that its column takes |
| bad_utf8 | one of these is not UTF-8: decoding it with replacements would damage it silently |
| unknown_surface, unknown_action, null_timestamp, missing_query | engagements and judgements only |

A value is cut, dropped or mended, and counted, where that loses no row: `texts_truncated`, `queries_truncated`,
`pictures_cut_off`, `pictures_empty` (null or blank URIs), `ids_trimmed` (blanks or invisible characters around an id),
`ids_point_dropped:<column>` and `ids_point_kept:<column>` (ids written as `100.0`, see schemas.coercion.whole_ids), and
`cells_unreadable:<field>`: a cell of an optional field that cannot be read (see schemas.coercion.columns) is
null, and its row stays. A text of more than `max_text_characters` becomes what a browser shows of it, if it has markup,
and is cut if that is longer, too: words behind a long style are kept. A picture that its cell does not give (see
schemas.pictures.cells) is rejected, as `picture`; its row stays. Case and control characters of an id count, for ids
never become file names.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from schemas.coercion.cells import Fault, Faults
from schemas.coercion.empty_columns import empty_ids_remedy
from schemas.columns.raw_rows import FileSlice, RawRows
from schemas.parquet.batches import MAX_CELL_BYTES
from schemas.quarantine import Rejection, quote
from schemas.reading.cut_off_files import CUT_OFF_FILE
from schemas.tables import MAX_PICTURES

#: Reason of a row that cannot be parsed, and what was expected.
_BROKEN, _CUT_OFF = ("broken_line", "a line that can be parsed"), (CUT_OFF_FILE, "a file that ends with a whole row")
#: Reasons of a row that has no id.
NO_ID = ("null_id", "empty_id")

REMEDIES = {
    "broken_line": "write one valid JSON object or CSV row a line, or say in the config how it is written: [format] "
    "separator, quote, escape",
    CUT_OFF_FILE: "the file ends within this row: is it whole? Write it again, and give it its name once it is done",
    "oversized_cell": "shorten the value, or leave it out",
    "null_id": "give the row its item_id",
    "empty_id": "give the row its item_id",
    "oversized_id": "use a shorter item_id",
    "rounded_id": "a spreadsheet has rounded it: format the column as text in the spreadsheet, fill it anew from the "
    "shop, and export again",
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


DEFAULT_LIMITS = Limits()


def say_if_none(raw: RawRows, ids: pa.Array, schema: pa.Schema, faults: Faults) -> None:
    """Puts what is then likely into the faults of a batch that has no id at all."""
    if not len(ids) or not pc.all(is_blank(ids)).as_py():
        return
    rows = [row for row, fault in faults.items() if fault.reason in NO_ID]
    is_some_other = any(fault.column == "item_id" and fault.reason not in NO_ID for fault in faults.values())
    if rows and not is_some_other:  # a bad id is one
        remedy = empty_ids_remedy(raw, "item_id", schema)
        faults.update({row: faults[row]._replace(remedy=remedy) for row in rows})


def truncate(text: pa.Array, max_characters: int) -> tuple[pa.Array, np.ndarray]:
    """(text of at most that many code points, bool [rows] where it was longer)."""
    too_long = pc.fill_null(pc.greater(pc.utf8_length(text), max_characters), False)
    if not pc.any(too_long).as_py():
        return text, np.zeros(len(text), bool)
    return pc.utf8_slice_codeunits(text, 0, max_characters), too_long.to_numpy(zero_copy_only=False)


def is_blank(text: pa.Array) -> pa.Array:
    return pc.fill_null(pc.equal(pc.utf8_trim_whitespace(text), ""), True)


def flag_unknown(faults: Faults, values: pa.Array, known: tuple[str, ...], reason: str) -> None:
    flag(faults, pc.invert(pc.is_in(values, pa.array(known))), reason, f"one of {', '.join(known)}", values)


def flag(faults: Faults, mask: pa.Array, reason: str, expected: str, values: pa.Array, column: str = "") -> None:
    """Records a fault, of our column, for the rows of the mask that have none yet."""
    rows = [row for row in np.flatnonzero(mask.to_numpy(zero_copy_only=False)).tolist() if row not in faults]
    given = values.take(pa.array(rows, pa.int64())).to_pylist()
    faults.update(
        {row: Fault(reason, expected, quote(got), column=column) for row, got in zip(rows, given, strict=True)}
    )


def good_rows(columns: dict[str, Any], schema: pa.Schema, faults: Faults) -> tuple[pa.Table, np.ndarray]:
    """(the rows without a fault, bool [rows] which they are)."""
    arrays = [column if isinstance(column, pa.Array) else pa.array(column) for column in map(columns.get, schema.names)]
    keep = np.ones(len(arrays[0]), bool)
    keep[list(faults)] = False
    table = pa.Table.from_arrays(arrays, schema=schema)
    return (table.filter(pa.array(keep)) if faults else table), keep


def rejections_of(raw: RawRows, file_slice: FileSlice, stage: str, ids: pa.Array, faults: Faults) -> list[Rejection]:
    """One rejection for each faulty row, broken line and row with an oversized cell."""
    rows = list(faults)
    given = ids.take(pa.array(rows, pa.int64())).to_pylist()
    found = list(zip(raw.row_numbers[rows].tolist(), given, faults.values(), strict=True)) if rows else []
    for number, error in raw.broken:
        reason, expected = _CUT_OFF if number in raw.cut_off else _BROKEN
        found.append((number, None, Fault(reason, expected, quote(error))))
    for number, why in raw.oversized:
        found.append((number, None, Fault("oversized_cell", f"cells of at most {MAX_CELL_BYTES:,} bytes", why)))
    called = file_slice.called
    return [
        Rejection(
            level="row",
            stage=stage,
            item_id=item_id,
            reason=fault.reason,
            expected=fault.expected,
            got=fault.got,
            where=f"{called}:{number}",
            remedy=fault.remedy or REMEDIES[fault.reason],
        )
        for number, item_id, fault in sorted(found, key=lambda entry: entry[0])
    ]
