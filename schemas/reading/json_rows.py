"""JSON, row by row: an object a line, objects one behind the other, an array of them, or one object around a list.

A row that cannot be parsed costs only itself, and memory stays bounded.
"""

import re
from collections.abc import Iterator, Mapping
from itertools import islice
from typing import Any

from schemas.bounded_json import load_json
from schemas.columns.extended_json import plain_value, value_at
from schemas.columns.raw_rows import Row
from schemas.errors import UsageError
from schemas.files import declared_form, shown
from schemas.quarantine import quote
from schemas.reading.dynamo_json import plain_item
from schemas.reading.forms import form_of
from schemas.reading.json_arrays import array_elements, objects_behind_each_other
from schemas.reading.json_objects import Wanted, elements_of_list, list_of_rows, list_remedy
from schemas.reading.json_shapes import OF_SHOPIFY, refuse_lines_of_bulk, refuse_lines_of_shopify, refuse_other_shape
from schemas.reading.text import lines_of, open_lines
from schemas.reading.text_streams import MAX_LINE_BYTES

#: What stands before each text of a sequence (RFC 7464).
_RECORD = b"\x1e"
#: Rows of a JSON file that are looked at to learn its keys.
_NUM_PEEKED_ROWS = 1_000
#: Bytes that a JSON value takes in memory for each byte of its text, as a rule: an empty list has 2 and takes 60.
_JSON_UNFOLDS = 8
_JSON_STRING = re.compile(rb'"[^"\\]*+(?:\\.[^"\\]*+)*+"', re.DOTALL)


def json_rows(path: str, source: Mapping[str, str], wanted: Wanted = ()) -> Iterator[Row]:
    """Rows of a file of one JSON object a line, of one array of them, or of one object around them; `source`: our name
    -> key, or a path with dots (see schemas.columns.extended_json). Blank lines are no rows."""
    is_of_lines = not _has_places(path, wanted)
    for number, text in _json_texts(path, wanted):
        if isinstance(text, str):
            yield Row(number, 0, error=text)
        else:
            value, error = _parse_json(text)
            values = None
            if error is None:
                values = {ours: plain_value(value_at(value, theirs)) for ours, theirs in source.items()}
            is_cut_off = error is not None and is_of_lines and not text.endswith(b"\n") and _is_open(text)
            yield Row(number, len(text) * _JSON_UNFOLDS, values, error, is_cut_off)


def json_keys(path: str, wanted: Wanted = ()) -> set[str]:
    """The keys of the first rows of a JSON file."""
    keys: set[str] = set()
    for _, text in islice(_json_texts(path, wanted), _NUM_PEEKED_ROWS):
        if isinstance(text, bytes):
            value, error = _parse_json(text)
            if error is None:
                keys |= value.keys()
    return keys


def count_elements(path: str, wanted: Wanted = ()) -> int | None:
    """How many rows a file has that is none of lines; None of one of lines."""
    if not _has_places(path, wanted):
        return None
    return sum(1 for _ in _json_texts(path, wanted))


def check_json_rows(path: str, wanted: Wanted) -> None:
    """Raises UsageError for a JSON file that is one object which is no row: over several lines, or around a list of
    what may be rows, where it is not clear which or whether."""
    first, second = ([text for _, text in islice(_json_texts(path, wanted), 2)] + [b"", b""])[:2]
    row = _parse_json(first)[0] if isinstance(first, bytes) else None
    if _rows_at(path, wanted) is not None:
        return
    if isinstance(first, bytes) and not isinstance(row, dict):
        refuse_other_shape(path)
    if form_of(path).is_array:
        return
    refuse_lines_of_bulk(row, path)
    if isinstance(row, dict) and str(row.get("id", "")).startswith(OF_SHOPIFY):
        refuse_lines_of_shopify(json_keys(path, wanted), path)
    envelope, used = form_of(path).envelope, set[str]().union(*wanted)
    if isinstance(row, dict) and not second:
        refuse_other_shape(path, used)
    if envelope is None or not envelope.keys.isdisjoint(used):
        return
    lists = [one.path for one in envelope.lists if not one.is_empty]
    if lists:
        raise UsageError(
            f"expected one JSON object a line, or one array of them, got one object in {shown(path)} with a list of "
            f"objects: {', '.join(map(quote, lists))}. {list_remedy(lists[0])}"
        )


def _has_places(path: str, wanted: Wanted) -> bool:
    """Whether rows are counted by their places, and not by lines."""
    return form_of(path).is_array or form_of(path).is_run_on or _rows_at(path, wanted) is not None


def _rows_at(path: str, wanted: Wanted) -> str | None:
    """The path of the list that holds the rows, as the call says it, else as it is found; None where none does."""
    told = declared_form(path).get("list")
    if told is not None:
        return told or None
    return list_of_rows(form_of(path).envelope, wanted, path)


def _parse_json(line: bytes) -> tuple[Any, str | None]:
    try:
        value = load_json(line.decode("utf-8", "surrogateescape"))
    except ValueError as error:
        return None, str(error)
    return (
        (plain_item(value), None)
        if isinstance(value, dict)
        else (None, f"expected an object, got {type(value).__name__}")
    )


def _is_open(text: bytes) -> bool:
    """Whether a JSON text has more opening brackets than closing ones, or a string that does not end."""
    rest = _JSON_STRING.sub(b"", text)
    return b'"' in rest or sum(map(rest.count, (b"{", b"["))) > sum(map(rest.count, (b"}", b"]")))


def _json_texts(path: str, wanted: Wanted) -> Iterator[tuple[int, bytes | str]]:
    """(number, text) of each row; (number, error) for a line above MAX_LINE_BYTES."""
    if form_of(path).is_array:
        with open_lines(path) as file:
            yield from array_elements(file, path, MAX_LINE_BYTES)
    elif (names := _rows_at(path, wanted)) is not None:
        with open_lines(path) as file:
            yield from elements_of_list(file, path, names, MAX_LINE_BYTES)
    elif form_of(path).is_run_on:
        with open_lines(path) as file:
            yield from objects_behind_each_other(file, path, MAX_LINE_BYTES)
    else:
        for number, line in lines_of(path):
            line = line if isinstance(line, str) else line.lstrip(_RECORD)
            if isinstance(line, str) or line.strip():
                yield number, line
