"""Columns of any type into columns of ours: whole columns at once where all is well, value by value where not.

Each function returns the coerced column, null where a value was null or could not be coerced; what could not is put
down (see schemas.coercion.cells). What each type becomes: schemas.cells, its text, lists and times. What the mapping
says of a column (several sources, separator, values, null words, blanks) is done here. Pictures: beside this, pictures.
"""

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from decimal import Decimal
from functools import partial
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from schemas.arrow_types import joined_texts
from schemas.cells.date_remedies import times_remedy
from schemas.cells.invisible_letters import without_edges, without_nul
from schemas.cells.rounded_ids import rounded_ids
from schemas.cells.text import UnreadableCellError, cell_text, id_text, is_too_large
from schemas.cells.times import fast_timestamps, offset_of, timestamp_of
from schemas.cells.words_of_ours import our_words
from schemas.coercion.cells import BatchFindings, Blame, Cells, Fault, Faults, by_value, cells_of_sources
from schemas.coercion.day_and_clock import with_clocks
from schemas.coercion.fast_columns import fast_ids, fast_text
from schemas.coercion.whole_ids import DROPPED, KEPT, IdForms, forms_of, without_points
from schemas.columns.localised_texts import may_hold_objects, text_in_one_language
from schemas.columns.raw_rows import RawRows
from schemas.columns.spec import Column, column_of, part_name
from schemas.quarantine import quote
from schemas.tables import ACTIONS, ID_COLUMNS, SURFACES, TIMESTAMP

#: RE2; a formula of a spreadsheet, and what it shows.
_LINK = r'(?i)^=\s*HYPERLINK\(\s*"[^"]*"\s*[,;]\s*"((?:[^"]|"")*)"\s*\)\s*$'
#: Columns whose values have no blanks around them unless the mapping says so.
_TRIMMED = {*ID_COLUMNS, "surface", "action"}
#: Columns of a few words of ours, which a shop may write in any case.
_IN_ANY_CASE = {"surface": SURFACES, "action": ACTIONS}


def text_column(
    raw: RawRows, name: str, found: BatchFindings, *, join_lists: bool = False, required: bool = False
) -> pa.Array:
    """Strings (see schemas.cells.text). With `join_lists` the non-null members of a list are joined by one space. The
    empty string becomes null. required: a cell that cannot be read costs its row. With `join_lists` a cell that has a
    text in several languages (see schemas.columns.localised_texts) gives the one that the source's name tells; where it
    tells none, the cell cannot be read."""
    arrays = [_without_empty(mapped) for _, _, mapped in _mapped_texts(raw, name, found, join_lists, required)]
    return _told_by_presence(joined_texts(arrays, " "), column_of(raw.columns, name))


def mapped_to_empty(raw: RawRows, name: str) -> np.ndarray:
    """bool [rows]: where the mapping makes a text column "", and no other of its sources has a text. A cell that is
    empty of itself is missing, which is another thing; a word for null may be mapped."""
    emptied, has_text = np.zeros(raw.table.num_rows, bool), np.zeros(raw.table.num_rows, bool)
    unused = [theirs for theirs, ours in column_of(raw.columns, name).values if not ours]
    if not unused:
        return emptied
    for cells, values, mapped in _mapped_texts(raw, name, BatchFindings()):  # text_column puts down what cannot be read
        is_unused = pc.equal(mapped, "")
        if "" not in unused:
            is_unused = pc.and_(is_unused, pc.not_equal(values, ""))
        emptied |= pc.fill_null(is_unused, False).to_numpy(zero_copy_only=False)
        words = np.flatnonzero(cells.was_word).tolist()
        emptied[[row for row in words if str(cells.word(row)).strip() in unused]] = True
        has_text |= _without_empty(mapped).is_valid().to_numpy(zero_copy_only=False)
    return emptied & ~has_text


def _mapped_texts(
    raw: RawRows, name: str, found: BatchFindings, join_lists: bool = False, required: bool = False
) -> Iterator[tuple[Cells, pa.Array, pa.Array]]:
    """Of each source of a text column, as text_column says: its cells, their texts as the keys of a mapping have them,
    and as the mapping makes them, "" too."""
    wanted = "text or a list of texts" if join_lists else "text"
    coerce: Callable[[Any], str | None] = cell_text
    for number, cells in enumerate(cells_of_sources(raw, name)):
        blame = Blame(name, found, required, wanted, cells.called)
        values = None if cells.array is None else fast_text(cells.array, join_lists)
        if join_lists:
            coerce = partial(text_in_one_language, source=cells.spec.source[number] if cells.spec.source else name)
            values = None if values is None or may_hold_objects(values) else values
        if values is None:
            values = by_value(cells, coerce, pa.string(), blame)
        values = without_nul(values)
        values = _as_mapped_from(_without_links(values) if join_lists else values, name, cells.spec)
        yield cells, values, _mapped(values, cells.spec, _IN_ANY_CASE.get(name))


def id_column(
    raw: RawRows, name: str, found: BatchFindings, *, required: bool = False, section: str = "columns"
) -> pa.Array:
    """Ids (see schemas.cells.text), without blanks and invisible characters around them, whose rows are in
    found.trimmed; those that the first of several sources gives are in found.of_first. required: what is no id (also
    one that a spreadsheet rounded, see rounded_ids), or a word that stands for null, costs its row; else it is null,
    and so is the empty string. Ids that are written as `100.0` are in found.pointed, and 100 where schemas.coercion's
    whole_ids says so. section: the table of a config that maps the column."""
    arrays, trimmed, words = [], np.zeros(raw.table.num_rows, bool), dict[int, str]()
    for number, cells in enumerate(cells_of_sources(raw, name)):
        source = cells.spec.source[number] if cells.spec.source else name
        remedy = partial(_id_remedy, name=name, source=source, section=section)
        values = _ids(cells, Blame(name, found, required, "text or a whole number", cells.called, remedy))
        if required:
            for row in np.flatnonzero(cells.was_word).tolist():
                words.setdefault(row, quote(cells.word(row)))
        plain = without_edges(values)
        if cells.spec.trim is not False and not plain.equals(values):
            trimmed |= pc.fill_null(pc.not_equal(plain, values), False).to_numpy(zero_copy_only=False)
            values = plain
        values = _without_rounded(values, Blame(name, found, required, called=cells.called))
        values = _without_prefix(values, cells.spec)
        whole, pointed = without_points(values, cells.spec.whole, partial(raw.is_whole, part_name(name, number)))
        if pointed.any():
            read_as = (KEPT if whole is values else DROPPED) + name
            found.pointed[read_as] = pointed | found.pointed.get(read_as, False)
        values = _mapped(whole, cells.spec)
        arrays.append(values if required else _without_empty(values))
    found.trimmed[name] = trimmed
    values = arrays[0]
    if len(arrays) > 1:  # a blank id stands only where no source has another
        there = [_without_empty(values) for values in arrays]
        found.of_first[name] = there[0].is_valid().to_numpy(zero_copy_only=False)
        values = pc.coalesce(*there, *arrays)
    for row, word in words.items():
        if not values[row].is_valid:
            found.faults.setdefault(row, Fault("null_id", f"an {name}", word, column=name))
    return values


def forms_of_ids(raw: RawRows, name: str) -> dict[str, IdForms]:
    """What the ids of a batch are in each source of our column (see part_name), as id_column sees them."""
    forms = {}
    for number, cells in enumerate(cells_of_sources(raw, name)):
        values = _ids(cells, Blame(name, BatchFindings()))
        values = values if cells.spec.trim is False else without_edges(values)
        forms[part_name(name, number)] = forms_of(_without_prefix(values, cells.spec))
    return forms


def _ids(cells: Cells, blame: Blame) -> pa.Array:
    """The ids of a source as they are written."""
    values = None if cells.array is None else fast_ids(cells.array)
    return by_value(cells, id_text, pa.string(), blame) if values is None else values


def _without_rounded(values: pa.Array, blame: Blame) -> pa.Array:
    """Ids, null where a spreadsheet rounded them, which is put down."""
    rounded = rounded_ids(values)
    if not rounded.any():
        return values
    wanted = f"an id with all its digits in {blame.called}"
    for row in np.flatnonzero(rounded).tolist():
        if blame.required:
            fault = Fault("rounded_id", wanted, quote(values[row].as_py()), column=blame.name)
            blame.found.faults.setdefault(row, fault)
        else:
            blame.found.unreadable.setdefault(blame.name, set()).add(row)
    return pc.if_else(pa.array(rounded), pa.scalar(None, pa.string()), values)


def _id_remedy(value: object, name: str, source: str, section: str) -> str:
    """What to do about a value that is no id: to read what is in an object, or to name or write another column."""
    field = next((key for key in value if "." not in key), None) if isinstance(value, Mapping) else None
    if field is not None:
        inner = quote(f"{source}.{field}")
        return f"name what is in the object, in the config: [{section}] {name} = {inner}, or another field of it"
    if isinstance(value, list) and name == "item_id" and section.endswith(".engagements"):
        entry = f'item_id = {{source = {quote(source)}, separator = ","}}'
        return f"say that a row lists several items, in the config: [{section}] {entry} makes a row for each"
    if is_too_large(value):
        return (
            f"too large for a float, which has lost its last digits: write {quote(source)} as text or whole numbers "
            "(int64) in the export; a column with empty cells becomes float in pandas, unless its type is Int64"
        )
    return (
        f"write {quote(source)} as text or whole numbers in the export, or name the column of the ids, in the config: "
        f'[{section}] {name} = "your name"'
    )


def timestamp_column(raw: RawRows, name: str, found: BatchFindings) -> pa.Array:
    """UTC microseconds (see schemas.cells.times); what is none costs its row, and where it is a date of some format the
    remedy of its fault says what to write. A day and a clock in two sources are one time."""
    arrays = []
    for cells in with_clocks(list(cells_of_sources(raw, name))):
        told, zone = cells.spec.time, cells.spec.zone
        wanted = "a timestamp, ISO 8601 text or seconds, ms, us or ns since 1970"
        wanted = wanted if told is None else f"a timestamp in {told}"
        values = None if cells.array is None else fast_timestamps(cells.array, told, zone)
        if values is None:
            blame = Blame(name, found, True, wanted, cells.called)
            values = by_value(cells, partial(timestamp_of, told=told, zone=zone), TIMESTAMP, blame)
            _say_formats(cells, name, len(values) - values.null_count, found.faults)
        arrays.append(values)
    return arrays[0] if len(arrays) == 1 else pc.coalesce(*arrays)


def _say_formats(cells: Cells, name: str, num_read: int, faults: Faults) -> None:
    """Puts what to do about times that could not be read into their faults: the format to tell, that none is to be
    told, or what to change. num_read: rows of the batch whose time could be."""
    rows = [row for row, fault in faults.items() if (fault.reason, fault.column) == ("wrong_type", name)]
    dates = {row: date for row in rows if isinstance(date := cells.value(row), str | bytes | int | float)}
    texts = [text for date in dates.values() if (text := _text_or_none(date)) is not None]
    told = cells.spec.time
    remedy = times_remedy(texts, num_read, name, cells.spec.source, cells.spec.zone)
    if not remedy and told is not None and dates and all(offset_of(date) is not None for date in dates.values()):
        remedy = f"leave time = {quote(told)} out of {name} in [columns.engagements]: such times are read without it"
    if remedy:
        faults.update({row: faults[row]._replace(remedy=remedy) for row in dates})


def _text_or_none(value: Any) -> str | None:
    try:
        return cell_text(value)
    except UnreadableCellError:  # bytes that are no UTF-8, for example
        return None


def number_column(raw: RawRows, name: str, found: BatchFindings) -> pa.Array:
    """float32 from numbers and their text. Not a finite float32, or a boolean, costs its row."""
    arrays = [
        by_value(cells, _number, pa.float32(), Blame(name, found, True, "a finite number", cells.called))
        for cells in cells_of_sources(raw, name)
    ]
    return arrays[0] if len(arrays) == 1 else pc.coalesce(*arrays)


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


def _without_links(texts: pa.Array) -> pa.Array:
    """Texts with what a spreadsheet shows of a formula of a link: `=HYPERLINK("https://x","A mug")` is `A mug`."""
    if not pc.any(pc.starts_with(texts, "=")).as_py():
        return texts
    shown = pc.replace_substring_regex(texts, _LINK, r"\1")
    is_link = pc.match_substring_regex(texts, _LINK)
    return pc.if_else(is_link, pc.replace_substring(shown, '""', '"'), texts)


def _mapped(values: pa.Array, spec: Column, words: Sequence[str] | None = None) -> pa.Array:
    """Each of the shop's values as ours; others stay. words: of ours, that values stand for in any case."""
    if not spec.values:
        return values
    theirs = pc.utf8_trim_whitespace(values)
    if words is not None:  # one of ours that the mapping does not name is none of its values in another case
        return pc.coalesce(our_words(theirs, {**dict(zip(words, words, strict=True)), **dict(spec.values)}), values)
    keys, ours = zip(*spec.values, strict=True)
    place = pc.index_in(theirs, value_set=pa.array(keys, pa.string()))
    return pc.coalesce(pa.array(ours, pa.string()).take(place), values)


def _told_by_presence(text: pa.Array, spec: Column) -> pa.Array:
    """The text, or what the mapping says instead of one that is there, or is not."""
    if spec.present is not None:
        text = pc.if_else(text.is_valid(), pa.scalar(spec.present), pa.scalar(None, pa.string()))
    return text if spec.absent is None else pc.fill_null(text, spec.absent)


def _without_empty(values: pa.Array) -> pa.Array:
    is_empty = pc.equal(values, "")
    return pc.if_else(is_empty, pa.scalar(None, pa.string()), values) if pc.any(is_empty).as_py() else values


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
