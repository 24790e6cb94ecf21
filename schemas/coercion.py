"""Columns of any type into columns of ours: whole columns at once where all is well, value by value where not.

Each function returns the coerced column, null where a value was null or could not be coerced. What could not is in
`Found`: a fault of the row where the column must have a value, else a cell that could not be read, which costs only
itself. What each type becomes: schemas.cell_text, cell_lists and cell_times. What the mapping says of a column (several
sources, separator, values, null words, blanks) is done here.
"""

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from functools import partial
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from schemas.arrow_types import ARROW_REFUSALS, holds_bytes, is_text, joined_texts
from schemas.cell_lists import MAX_ADDRESS_CHARACTERS, MAX_SEPARATORS, MAY_BE_LIST, joined_text, list_members
from schemas.cell_text import UnreadableCellError, cell_text, id_text
from schemas.cell_times import fast_timestamps, timestamp_of
from schemas.column_spec import Column, column_of
from schemas.columns import part_name
from schemas.parquet_batches import num_values
from schemas.picture_cells import MIN_BASE64_CHARACTERS, BadPicture, Picture
from schemas.quarantine import quote
from schemas.stored_pictures import STORED_PREFIX
from schemas.tables import ID_COLUMNS, TIMESTAMP

if TYPE_CHECKING:
    from schemas.reading import RawRows

_STRINGS = pa.list_(pa.string())
#: Values of a nested cell, as Python objects of some hundred bytes each: eight bytes of a list may be so many fields.
_MAX_CELL_VALUES = 100_000
#: Columns whose values have no blanks around them unless the mapping says so.
_TRIMMED = {*ID_COLUMNS, "surface", "action"}
#: Types with few values a batch that Arrow writes in another way than we do.
_BY_DISTINCT = (
    pa.types.is_floating,
    pa.types.is_decimal,
    pa.types.is_date,
    pa.types.is_time,
)


class Fault(NamedTuple):
    """What is wrong with a row; fields as in schemas.quarantine.Rejection."""

    reason: str
    expected: str
    got: str


Faults = dict[int, Fault]


@dataclass
class Found:
    """What was found in a batch. faults: row -> the first fault that costs it. unreadable: our column -> the rows whose
    cell could not be read and is null. trimmed: our column -> bool [rows] where an id had blanks around it.
    bad_pictures: row -> the pictures that its cell does not give, and that are left out."""

    faults: Faults = field(default_factory=dict)
    unreadable: dict[str, set[int]] = field(default_factory=dict)
    trimmed: dict[str, np.ndarray] = field(default_factory=dict)
    bad_pictures: dict[int, list[BadPicture]] = field(default_factory=dict)


def text_column(
    raw: "RawRows", name: str, found: Found, *, join_lists: bool = False, required: bool = False
) -> pa.Array:
    """Strings (see schemas.cell_text). With `join_lists` the non-null members of a list are joined by one space. The
    empty string becomes null. required: a cell that cannot be read costs its row."""
    coerce, wanted = (joined_text, "text or a list of texts") if join_lists else (cell_text, "text")
    blame = _Blame(name, found, required, f"{wanted} in {name}")
    arrays = []
    for cells in _sources(raw, name):
        values = None if cells.array is None else _fast_text(cells.array, join_lists)
        if values is None:
            values = _by_value(cells, coerce, pa.string(), blame)
        values = _as_mapped_from(values, name, cells.spec)
        arrays.append(_without_empty(_mapped(values, cells.spec)))
    return _told_by_presence(joined_texts(arrays, " "), column_of(raw.columns, name))


def mapped_to_empty(raw: "RawRows", name: str) -> np.ndarray:
    """bool [rows]: where the mapping makes a text column "", and no other of its sources has a text. A cell that is
    empty of itself is missing, which is another thing; a word for null may be mapped."""
    spec = column_of(raw.columns, name)
    emptied, has_text = np.zeros(raw.table.num_rows, bool), np.zeros(raw.table.num_rows, bool)
    unused = [theirs for theirs, ours in spec.values if not ours]
    if not unused:
        return emptied
    blame = _Blame(name, Found(), False, "text")  # text_column puts down what cannot be read
    for cells in _sources(raw, name):
        values = None if cells.array is None else _fast_text(cells.array, join_lists=False)
        if values is None:
            values = _by_value(cells, cell_text, pa.string(), blame)
        values = _as_mapped_from(values, name, spec)
        is_unused = pc.is_in(pc.utf8_trim_whitespace(values), pa.array(unused, pa.string()))
        emptied |= is_unused.to_numpy(zero_copy_only=False)
        words = np.flatnonzero(cells.was_word).tolist()
        emptied[[row for row in words if str(cells.word(row)).strip() in unused]] = True
        has_text |= _without_empty(_mapped(values, spec)).is_valid().to_numpy(zero_copy_only=False)
    return emptied & ~has_text


def id_column(raw: "RawRows", name: str, found: Found, *, required: bool = False) -> pa.Array:
    """Ids (see schemas.cell_text), without the blanks around them, whose rows are in found.trimmed. required: what is
    no id, or a word that stands for null, costs its row; else it is null, and so is the empty string."""
    expected = f"text or a whole number in {name}"
    arrays, trimmed = [], np.zeros(raw.table.num_rows, bool)
    for cells in _sources(raw, name):
        values = None if cells.array is None else _fast_ids(cells.array)
        if values is None:
            values = _by_value(cells, id_text, pa.string(), _Blame(name, found, required, expected))
        if required:
            for row in np.flatnonzero(cells.was_word).tolist():
                found.faults.setdefault(row, Fault("null_id", f"an {name}", quote(cells.word(row))))
        if name in raw.whole:
            values = pc.replace_substring_regex(values, r"^\s*(-?\d+)\.0+\s*$", r"\1")
        plain = pc.utf8_trim_whitespace(values)
        if cells.spec.trim is not False and not plain.equals(values):
            trimmed |= pc.fill_null(pc.not_equal(plain, values), False).to_numpy(zero_copy_only=False)
            values = plain
        values = _mapped(_without_prefix(values, cells.spec), cells.spec)
        arrays.append(values if required else _without_empty(values))
    found.trimmed[name] = trimmed
    return arrays[0] if len(arrays) == 1 else pc.coalesce(*arrays)


def picture_column(raw: "RawRows", name: str, found: Found, keep: Callable[[bytes], str]) -> pa.Array:
    """Lists of addresses (see schemas.cell_lists), members null where they were. A picture that is in its cell is kept,
    and its address is what `keep` returns. Members that cannot be read are left out, and their cell is in
    found.unreadable; pictures that cannot be had are in found.bad_pictures."""
    blame = _Blame(name, found, False, f"a list of texts in {name}")
    arrays = []
    for cells in _sources(raw, name):
        separator = cells.spec.separator
        values = None if cells.array is None else _fast_lists(cells.array, separator)
        if values is None or cells.array is None or _may_be_pictures(values.flatten(), cells.array.type):
            given = _coerced(cells, partial(_addresses, separator=separator, keep=keep), blame)
            values = pa.array([_good_pictures(row, members, found) for row, members in enumerate(given)], _STRINGS)
        arrays.append(values)
    if len(arrays) == 1:
        return arrays[0]
    rows = zip(*(array.to_pylist() for array in arrays), strict=True)
    joined = [[member for members in row for member in members or ()] for row in rows]
    return pa.array([list(dict.fromkeys(members)) for members in joined], _STRINGS)


def _addresses(value: Any, separator: str | None, keep: Callable[[bytes], str]) -> list[str | BadPicture | None]:
    """list_members with pictures kept, so that no more than one cell's are in memory."""

    def kept(members: Sequence[str | Picture | BadPicture | None]) -> list[str | BadPicture | None]:
        return [keep(member.data) if isinstance(member, Picture) else member for member in members]

    try:
        return kept(list_members(value, separator))
    except UnreadableCellError as error:
        raise UnreadableCellError(error.reason, error.value, kept(error.rest or [])) from error


def _good_pictures(
    row: int, members: Sequence[str | BadPicture | None] | None, found: Found
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


def timestamp_column(raw: "RawRows", name: str, found: Found) -> pa.Array:
    """UTC microseconds (see schemas.cell_times); what is none costs its row."""
    arrays = []
    for cells in _sources(raw, name):
        told, zone = cells.spec.time, cells.spec.zone
        expected = f"a timestamp, ISO 8601 text or seconds, ms, us or ns since 1970 in {name}"
        expected = expected if told is None else f"a timestamp in {told} in {name}"
        values = None if cells.array is None else fast_timestamps(cells.array, told, zone)
        if values is None:
            blame = _Blame(name, found, True, expected)
            values = _by_value(cells, partial(timestamp_of, told=told, zone=zone), TIMESTAMP, blame)
        arrays.append(values)
    return arrays[0] if len(arrays) == 1 else pc.coalesce(*arrays)


def number_column(raw: "RawRows", name: str, found: Found) -> pa.Array:
    """float32 from numbers and their text. Not a finite float32, or a boolean, costs its row."""
    blame = _Blame(name, found, True, f"a finite number in {name}")
    arrays = [_by_value(cells, _number, pa.float32(), blame) for cells in _sources(raw, name)]
    return arrays[0] if len(arrays) == 1 else pc.coalesce(*arrays)


@dataclass(frozen=True, eq=False)
class _Cells:
    """A column of the file: `array`, or Python `values` where those have no common type, null where a word stands for
    null. was_word: bool [rows]."""

    spec: Column
    array: pa.Array | None
    values: Sequence[Any]
    was_word: np.ndarray
    as_given: Sequence[Any]

    def word(self, row: int) -> Any:
        given = self.as_given[row]
        return given.as_py() if isinstance(given, pa.Scalar) else given


def _sources(raw: "RawRows", name: str) -> Iterator[_Cells]:
    spec = column_of(raw.columns, name)
    words = raw.null_words if spec.null_words is None else spec.null_words
    none = np.zeros(raw.table.num_rows, bool)
    for number in range(max(len(spec.source), 1)):
        key = part_name(name, number)
        if key in raw.mixed:
            given = raw.mixed[key]
            is_word = np.array([isinstance(v, str) and v.strip() in words for v in given], bool) if words else none
            values = [None if null else v for v, null in zip(given, is_word, strict=True)] if words else given
            yield _Cells(spec, None, values, is_word, given)
            continue
        column = raw.table[key].combine_chunks()
        array, is_word = column, none
        if words and pa.types.is_string(column.type):
            mask = pc.fill_null(pc.is_in(pc.utf8_trim_whitespace(column), pa.array(words)), False)
            if pc.any(mask).as_py():
                array = pc.if_else(mask, pa.scalar(None, pa.string()), column)
                is_word = mask.to_numpy(zero_copy_only=False)
        yield _Cells(spec, array, array, is_word, column)


class _Blame(NamedTuple):
    """Where a value that cannot be coerced is put down."""

    name: str
    found: Found
    required: bool
    expected: str

    def __call__(self, row: int, reason: str, value: object) -> None:
        if self.required:
            expected = f"UTF-8 in {self.name}" if reason == "bad_utf8" else self.expected
            self.found.faults.setdefault(row, Fault(reason, expected, quote(value)))
        else:
            self.found.unreadable.setdefault(self.name, set()).add(row)


def _by_value(cells: _Cells, coerce: Callable[[Any], Any], kind: pa.DataType, blame: _Blame) -> pa.Array:
    """The column of what _coerced returns."""
    return pa.array(_coerced(cells, coerce, blame), kind)


def _coerced(cells: _Cells, coerce: Callable[[Any], Any], blame: _Blame) -> list[Any]:
    """Coerces value by value; one that fails leaves what could be read of it, and is put down."""
    coerced = []
    for row, get in enumerate(_getters(cells)):
        result = None
        try:
            value = get()
            result = None if value is None else coerce(value)
        except UnreadableCellError as error:
            result = error.rest
            blame(row, error.reason, error.value)
        except UnicodeDecodeError as error:  # as_py of a string or a list of strings
            blame(row, "bad_utf8", error.object)
        except (ValueError, OverflowError, KeyError, pa.ArrowException) as error:  # as_py: dates beyond Python's range,
            # zones that it does not know
            blame(row, "wrong_type", str(error))
        coerced.append(result)
    return coerced


def _getters(cells: _Cells) -> Iterator[Callable[[], Any]]:
    """For each row what gets its value, and may raise. float32 stays what it is, for its text is shorter."""
    if cells.array is None:
        return (partial(_same, value) for value in cells.values)
    if pa.types.is_floating(cells.array.type) and cells.array.type != pa.float64():
        numbers = cells.array.to_numpy(zero_copy_only=False)
        return (partial(_same, number) for number in numbers)
    if not pa.types.is_nested(cells.array.type):
        return (cells.array[row].as_py for row in range(len(cells.array)))
    nums = num_values(cells.array)
    return (partial(_nested_value, cells.array, row, int(nums[row])) for row in range(len(cells.array)))


def _nested_value(column: pa.Array, row: int, num: int) -> Any:
    """The value of a list or struct column; no more of it becomes Python than a cell may have."""
    if num > _MAX_CELL_VALUES:
        raise UnreadableCellError("wrong_type", f"{num:,} values in one cell")
    return column[row].as_py()


def _same(value: Any) -> Any:
    return value


def _as_mapped_from(values: pa.Array, name: str, spec: Column) -> pa.Array:
    """A text column as the keys of a mapping's values have it: without blanks, separators and prefix."""
    if spec.trim or (spec.trim is None and name in _TRIMMED):
        values = pc.utf8_trim_whitespace(values)
    if spec.separator is not None:
        values = pc.replace_substring(values, spec.separator, " ")
    return _without_prefix(values, spec)


def _without_prefix(values: pa.Array, spec: Column) -> pa.Array:
    if spec.prefix is None:
        return values
    has_it = pc.starts_with(values, pattern=spec.prefix)
    return pc.if_else(has_it, pc.utf8_slice_codeunits(values, len(spec.prefix)), values)


def _mapped(values: pa.Array, spec: Column) -> pa.Array:
    """Each of the shop's values as ours; others stay."""
    if not spec.values:
        return values
    theirs, ours = zip(*spec.values, strict=True)
    place = pc.index_in(pc.utf8_trim_whitespace(values), value_set=pa.array(theirs, pa.string()))
    return pc.coalesce(pa.array(ours, pa.string()).take(place), values)


def _told_by_presence(text: pa.Array, spec: Column) -> pa.Array:
    """The text, or what the mapping says instead of one that is there, or is not."""
    if spec.present is not None:
        text = pc.if_else(text.is_valid(), pa.scalar(spec.present), pa.scalar(None, pa.string()))
    return text if spec.absent is None else pc.fill_null(text, spec.absent)


def _without_empty(values: pa.Array) -> pa.Array:
    is_empty = pc.equal(values, "")
    return pc.if_else(is_empty, pa.scalar(None, pa.string()), values) if pc.any(is_empty).as_py() else values


def _fast_text(column: pa.Array, join_lists: bool) -> pa.Array | None:
    """The column as strings if every value is one, or a number, boolean, date or time, else None."""
    kind = column.type
    try:
        if pa.types.is_null(kind) or pa.types.is_integer(kind) or pa.types.is_boolean(kind):
            return column.cast(pa.string())
        if pa.types.is_dictionary(kind):
            return _fast_text(column.dictionary_decode(), join_lists)
        if is_text(kind):
            column.validate(full=True)  # Parquet's reader does not check UTF-8
            return column.cast(pa.string())
        if pa.types.is_timestamp(kind):
            in_us = pc.CastOptions(target_type=pa.timestamp("us", kind.tz), allow_time_truncate=True)
            return _by_distinct(pc.cast(column, options=in_us), cell_text)
        if any(test(kind) for test in _BY_DISTINCT):
            return _by_distinct(column, cell_text)
        if join_lists and _is_text_list(kind):
            lists = _fast_lists(column, None)
            if lists is not None and lists.flatten().null_count == 0:
                return pc.binary_join(lists, " ")
    except ARROW_REFUSALS:
        pass
    return None


def _fast_ids(column: pa.Array) -> pa.Array | None:
    """The column as ids if every value is one, else None."""
    kind = column.type
    if pa.types.is_dictionary(kind):
        return _fast_ids(column.dictionary_decode())
    if pa.types.is_floating(kind) or pa.types.is_decimal(kind):
        return _by_distinct(column, id_text)
    is_id = pa.types.is_null(kind) or pa.types.is_integer(kind) or is_text(kind)
    return _fast_text(column, join_lists=False) if is_id else None


def _by_distinct(column: pa.Array, coerce: Callable[[Any], str | None]) -> pa.Array | None:
    """Each of the column's values coerced once; None if one cannot be."""
    is_float = pa.types.is_floating(column.type)
    try:
        coded = column.dictionary_encode()
        values = coded.dictionary.to_numpy(zero_copy_only=False) if is_float else coded.dictionary.to_pylist()
        texts = [coerce(value) for value in values]
    except (ValueError, OverflowError, KeyError, *ARROW_REFUSALS):  # UnreadableCellError; to_pylist: as in _coerced;
        return None  # dictionary_encode: Arrow has none of float16
    return pa.array(texts, pa.string()).take(coded.indices)


def _fast_lists(column: pa.Array, separator: str | None) -> pa.Array | None:
    """The column as lists of strings if every value is plainly one, else None."""
    kind = column.type
    try:
        if pa.types.is_null(kind):
            return column.cast(_STRINGS)
        if _is_list(kind) and pa.types.is_dictionary(kind.value_type):
            return _fast_lists(column.cast(pa.list_(kind.value_type.value_type)), separator)
        if _is_text_list(kind):
            column.validate(full=True)
            return column.cast(_STRINGS)
        if is_text(kind):
            column.validate(full=True)
            return _split_lists(column.cast(pa.string()), separator)
    except ARROW_REFUSALS:
        pass
    return None


def _split_lists(text: pa.Array, separator: str | None) -> pa.Array | None:
    """A text column as lists; None if some of it may be written in more than one way."""
    if separator is None and pc.any(pc.match_substring_regex(text, MAY_BE_LIST)).as_py():
        if pc.any(pc.match_substring_regex(text, r"[,;]|^\s*[\[({]")).as_py():
            return None
        separator = "|"
    if separator is None:
        is_null = text.is_null()
        offsets = np.append(0, np.cumsum(text.is_valid().to_numpy(zero_copy_only=False))).astype(np.int32)
        return pa.ListArray.from_arrays(pa.array(offsets), text.drop_null(), mask=is_null)
    if (pc.max(pc.count_substring(text, separator)).as_py() or 0) > MAX_SEPARATORS:
        return None
    lists = pc.split_pattern(text, separator)
    lengths = pc.fill_null(pc.list_value_length(lists), 0).to_numpy()
    offsets = np.append(0, np.cumsum(lengths)).astype(np.int32)
    members = pc.utf8_trim_whitespace(lists.flatten())
    return pa.ListArray.from_arrays(pa.array(offsets), members, mask=lists.is_null())


def _is_list(kind: pa.DataType) -> bool:
    return pa.types.is_list(kind) or pa.types.is_large_list(kind)


def _is_text_list(kind: pa.DataType) -> bool:
    return _is_list(kind) and (is_text(kind.value_type) or pa.types.is_dictionary(kind.value_type))


def _number(value: Any) -> float:
    number = math.nan
    if isinstance(value, int | float | np.floating | Decimal | str) and not isinstance(value, bool):
        try:
            number = float(value)
        except (ValueError, OverflowError):
            number = math.nan
    if not abs(number) <= float(pa.scalar(3.4e38, pa.float32()).as_py()):
        raise UnreadableCellError("wrong_type", value.item() if isinstance(value, np.generic) else value)
    return number
