"""The cells of a column as the mapping says where they are, coerced value by value, and what is found wrong with them.

What could not be coerced is in BatchFindings: a fault of the row where the column must have a value, else a cell that
could not be read, which costs only itself.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from schemas.cells.text import UnreadableCellError
from schemas.columns.raw_rows import RawRows
from schemas.columns.spec import Column, column_of, part_name
from schemas.parquet.value_sizes import num_values
from schemas.pictures.cells import BadPicture
from schemas.quarantine import quote

#: Values of a nested cell, as Python objects of some hundred bytes each: eight bytes of a list may be so many fields.
_MAX_CELL_VALUES = 100_000


class Fault(NamedTuple):
    """What is wrong with a row; fields as in schemas.quarantine.Rejection. remedy: "" for that of its reason. column:
    of ours, the one that it is about, "" for the whole row."""

    reason: str
    expected: str
    got: str
    remedy: str = ""
    column: str = ""


Faults = dict[int, Fault]


@dataclass
class BatchFindings:
    """What was found in a batch. faults: row -> the first fault that costs it. unreadable: our column -> the rows whose
    cell could not be read and is null. trimmed: our column -> bool [rows] where an id had blanks around it. of_first:
    our column of ids that has several sources -> bool [rows] where the id is of the first of them.
    pointed: count of schemas.coercion.whole_ids -> bool [rows] where an id is written as `100.0` and was read so.
    bad_pictures: row -> the pictures that its cell does not give, and that are left out. bad_texts: row -> the first of
    its optional cells that are not UTF-8, and so null."""

    faults: Faults = field(default_factory=dict)
    unreadable: dict[str, set[int]] = field(default_factory=dict)
    trimmed: dict[str, np.ndarray] = field(default_factory=dict)
    of_first: dict[str, np.ndarray] = field(default_factory=dict)
    pointed: dict[str, np.ndarray] = field(default_factory=dict)
    bad_pictures: dict[int, list[BadPicture]] = field(default_factory=dict)
    bad_texts: Faults = field(default_factory=dict)


@dataclass(frozen=True, eq=False)
class Cells:
    """A column of the file: `array`, or Python `values` where those have no common type, null where a word stands for
    null. was_word: bool [rows] where one does; as_given: the cells with these words. called: the shop's column and
    ours, for a message."""

    spec: Column
    array: pa.Array | None
    values: Sequence[Any]
    was_word: np.ndarray
    as_given: Sequence[Any]
    called: str

    def value(self, row: int) -> Any:
        """None also for what is no value in Python."""
        try:
            given = self.values[row]
            return given.as_py() if isinstance(given, pa.Scalar) else given
        except (ValueError, OverflowError, KeyError, pa.ArrowException):
            return None

    def word(self, row: int) -> Any:
        """What stands in the row's cell."""
        given = self.as_given[row]
        return given.as_py() if isinstance(given, pa.Scalar) else given


def cells_of_sources(raw: RawRows, name: str) -> Iterator[Cells]:
    """The cells of each source that the mapping names for our column, in its order."""
    spec = column_of(raw.columns, name)
    words = raw.null_words if spec.null_words is None else spec.null_words
    none = np.zeros(raw.table.num_rows, bool)
    for number in range(max(len(spec.source), 1)):
        key = part_name(name, number)
        called = called_in_words(name, spec.source[number] if spec.source else name)
        if key in raw.mixed:
            given = raw.mixed[key]
            is_word = np.array([isinstance(v, str) and v.strip() in words for v in given], bool) if words else none
            values = [None if null else v for v, null in zip(given, is_word, strict=True)] if words else given
            yield Cells(spec, None, values, is_word, given, called)
            continue
        column = raw.table[key].combine_chunks()
        array, is_word = column, none
        if words and pa.types.is_string(column.type):
            mask = pc.fill_null(pc.is_in(pc.utf8_trim_whitespace(column), pa.array(words)), False)
            if pc.any(mask).as_py():
                array = pc.if_else(mask, pa.scalar(None, pa.string()), column)
                is_word = mask.to_numpy(zero_copy_only=False)
        yield Cells(spec, array, array, is_word, column, called)


def called_in_words(name: str, source: str) -> str:
    """Our column `name` as a message calls it: what the shop calls it stands before it where that is another name.

    >>> called_in_words("item_id", "item_id"), called_in_words("item_id", "sku")
    ('item_id', "'sku' (item_id)")
    """
    return name if source == name else f"{quote(source)} ({name})"


def _no_remedy(_value: object) -> str:
    return ""


class Blame(NamedTuple):
    """Where a value of our column `name` that cannot be coerced is put down. required: it costs its row; wanted: what
    its fault says then was expected; called: in which column, as Cells has it; remedy: of a value of the wrong type
    what to do, "" for what its reason says."""

    name: str
    found: BatchFindings
    required: bool = False
    wanted: str = ""
    called: str = ""
    remedy: Callable[[object], str] = _no_remedy

    def __call__(self, row: int, reason: str, value: object) -> None:
        """Puts down the row's value; what is wrong with a row already stays."""
        if self.required:
            wanted, remedy = ("UTF-8", "") if reason == "bad_utf8" else (self.wanted, self.remedy(value))
            got = quote(value.item() if isinstance(value, np.generic) else value)
            fault = Fault(reason, f"{wanted} in {self.called or self.name}", got, remedy, self.name)
            self.found.faults.setdefault(row, fault)
        else:
            self.found.unreadable.setdefault(self.name, set()).add(row)
            if reason == "bad_utf8":
                fault = Fault(reason, f"UTF-8 in {self.called or self.name}", quote(value), column=self.name)
                self.found.bad_texts.setdefault(row, fault)


def by_value(cells: Cells, coerce: Callable[[Any], Any], kind: pa.DataType, blame: Blame) -> pa.Array:
    """The column of what coerced_values returns, as the type `kind`."""
    return pa.array(coerced_values(cells, coerce, blame), kind)


def coerced_values(cells: Cells, coerce: Callable[[Any], Any], blame: Blame) -> list[Any]:
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


def _getters(cells: Cells) -> Iterator[Callable[[], Any]]:
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
