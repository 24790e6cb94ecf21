"""JSON that has no row an item yet: what it is instead, and the line of jq that makes rows of it.

| what it is | example |
|---|---|
| objects by their ids | `{"A-1": {"title": "Mug"}, "A-2": {"title": "Cup"}}` |
| names beside lists (pandas, ClickHouse's JSONCompact) | `{"columns": ["sku"], "data": [["A-1"], ["A-2"]]}` |
| a list, or an object by numbers, for each column | `{"sku": ["A-1", "A-2"], "title": ["Mug", "Cup"]}` |
| lists in a list, the names first | `[["sku", "title"], ["A-1", "Mug"]]` |
| lines of Elasticsearch's `_bulk` | `{"index": {"_id": "A-1"}}`, below it `{"title": "Mug"}` |
| lines of Shopify's bulk operations | `{"id": "gid://..."}`, below it `{"src": "a.jpg", "__parentId": "gid://..."}` |
| comments above it | `// exported today` |
| JavaScript | `var products = [{"sku": "A-1"}];` |
"""

import re
import shlex
from collections.abc import Collection
from itertools import islice
from typing import Any

from schemas.bounded_json import MAX_JSON_DEPTH, load_json
from schemas.columns.names_or_values import has_usual_name, value_among_names
from schemas.errors import CorruptFileError, UsageError
from schemas.files import shown
from schemas.reading.json_arrays import JsonText
from schemas.reading.text import open_lines
from schemas.reading.text_streams import MAX_LINE_BYTES

#: Members of the outermost object or list that are looked at, and bytes of what is no JSON.
_LOOKED_AT, _START_BYTES = 20, 4_096
#: What stands before the JSON of a script: an assignment, an export, a call.
_SCRIPT = re.compile(r"\s*(?:(?:var|let|const|export\s+default)\b[^\[{;]*|[\w$.]+\s*[=(]\s*)[\[{]")
#: A comment, of whole lines.
_COMMENT = re.compile(r"\s*(?://|/\*|#)")
#: The line above a document, in Elasticsearch's requests, and what it says of it.
_BULK_ACTIONS = frozenset(("index", "create", "update", "delete"))
_OF_BULK = frozenset(
    (
        *("_index", "_id", "_type", "routing", "_routing", "version", "version_type", "retry_on_conflict"),
        *("pipeline", "if_seq_no", "if_primary_term", "require_alias", "dynamic_templates"),
    )
)
_OF_NAMES = "[$names, .] | transpose | map({(.[0]): .[1]}) | add"
_BY_ID = "to_entries[] | {item_id: .key} + .value"
_OF_BULK_LINES = (
    'inputs | to_entries[0] as {$key, $value} | if $key == "delete" then empty else '
    "{item_id: $value._id} + (input | .doc? // .) end"
)


#: What ids of Shopify begin with, what its lines name their product by, and what makes a row a product of them.
OF_SHOPIFY, _PARENT = "gid://shopify/", "__parentId"
_OF_SHOPIFY_LINES = (
    "reduce inputs as $one ({}; if $one.__parentId == null then .[$one.id] += $one else "
    ".[$one.__parentId].parts += [$one] end) | .[] | select(.id) | "
    "(.images = ([.images[]?] + [.parts[]? | .src // .url // .image.url? // empty])) | del(.parts)"
)


def refuse_other_shape(path: str, used: Collection[str] | None = None) -> None:
    """Raises UsageError, with what to do, for JSON of a shape that has no rows; what has another one may have some.
    used: of a file that may be one row the names that are read of it; None: it is none."""
    value = _beginning_of(path)
    if used is None:
        found = _shape(value)
    elif not isinstance(value, dict):
        return
    else:
        found = _shape_of_columns(value) or (_shape_of_object(value) if value.keys().isdisjoint(used) else None)
    if found is None:
        return
    what, program = found
    remedy = f". This makes rows of it: {_call(program, path)}" if program else ""
    raise UsageError(f"expected one JSON object a line, or one array of them, got {what} in {shown(path)}{remedy}")


def refuse_lines_of_bulk(row: Any, path: str) -> None:
    """Raises UsageError if the first row of a file is a line of Elasticsearch's `_bulk`, with what to do."""
    if not isinstance(row, dict) or len(row) != 1:
        return
    ((action, told),) = row.items()
    if action in _BULK_ACTIONS and isinstance(told, dict) and _OF_BULK.issuperset(told):
        raise UsageError(
            f"expected one JSON object a line, got lines of Elasticsearch's _bulk in {shown(path)}, an action above "
            f"each document. This makes rows of it: {_call(_OF_BULK_LINES, path, '-nc')}"
        )


def refuse_lines_of_shopify(keys: Collection[str], path: str) -> None:
    """Raises UsageError, with what to do, for the answer of a bulk operation of Shopify, in which the variants and
    pictures of a product are lines below it. keys: of the first rows."""
    if _PARENT in keys:
        raise UsageError(
            f"expected one JSON object a product, got lines of a bulk operation of Shopify in {shown(path)}, whose "
            f"variants and pictures name their product in {_PARENT!r}. This makes rows of it: "
            f"{_call(_OF_SHOPIFY_LINES, path, '-nc')}"
        )


def _call(program: str, path: str, flags: str = "-c") -> str:
    if program.startswith("sed "):
        return f"{program} {shown(shlex.quote(path))} > rows.json"
    return f"jq {flags} '{program}' {shown(shlex.quote(path))} > rows.jsonl"


def _beginning_of(path: str) -> Any:
    """The first members of the object or list that a file holds; of anything else its first bytes as text."""
    with open_lines(path) as file:
        text = JsonText(file, path, MAX_LINE_BYTES, MAX_JSON_DEPTH)
        start = text.next_byte()
        if start not in (b"{", b"["):
            return text.rest(_START_BYTES).decode("utf-8", "replace")
        named: dict[str, Any] = {}
        members: list[Any] = []
        try:
            if start == b"{":
                for name in islice(text.names(), _LOOKED_AT):
                    named[name] = load_json(text.take_value().decode("utf-8", "surrogateescape"))
            else:
                for member in islice(text.elements(), _LOOKED_AT):
                    members.append(load_json(member.decode("utf-8", "surrogateescape")))
        except (CorruptFileError, ValueError):  # it counts for what it has
            pass
        return named if start == b"{" else members


def _shape(value: Any) -> tuple[str, str] | None:
    """(what a value is, the program of jq, or the call of sed); None of one that may have rows, or has nothing."""
    if isinstance(value, str):
        if _COMMENT.match(value):
            return "comments above it", "sed -E '/^[[:space:]]*(\\/\\/|#)/d; /^[[:space:]]*\\/\\*/,/\\*\\//d'"
        if not _SCRIPT.match(value):
            return None
        return "JavaScript around it", "sed -E '1s/^[^[{]*//; $s/[;)[:space:]]+$//'"
    if isinstance(value, list):
        return _shape_of_list(value)
    if not value:
        return None
    return _shape_of_columns(value) or _shape_of_object(value) or ("one object over several lines", ".")


def _shape_of_list(members: list[Any]) -> tuple[str, str] | None:
    if not members or any(isinstance(member, dict) for member in members):
        return None
    if all(isinstance(member, list) for member in members):
        if _are_names(members[0]):
            return "lists in a list, the first of names", f".[0] as $names | .[1:][] | {_OF_NAMES}"
        return "lists in a list, without names", f'["item_id", "title", "your names"] as $names | .[] | {_OF_NAMES}'
    if all(isinstance(member, str) and member.lstrip()[:1] == "{" for member in members):
        return "a list of texts that are JSON", ".[] | fromjson"
    return "a list of values that are no objects", ""


def _shape_of_columns(value: dict[str, Any]) -> tuple[str, str] | None:
    lists = {name: one for name, one in value.items() if isinstance(one, list) and one}
    if len(lists) == len(value) > 1 and len({len(one) for one in lists.values()}) == 1 and _are_scalars(lists):
        return (
            "a list for each column",
            ". as $table | range($table[keys_unsorted[0]] | length) as $row | $table | map_values(.[$row])",
        )
    if _is_by_names(value) and len({tuple(one) for one in value.values()}) == 1 and _are_rows(value):
        return (
            "an object for each column",
            ". as $table | ($table[keys_unsorted[0]] | keys_unsorted[]) as $row | $table | map_values(.[$row])",
        )
    return None


def _shape_of_object(value: dict[str, Any]) -> tuple[str, str] | None:
    lists = {name: one for name, one in value.items() if isinstance(one, list) and one}
    rows = next((name for name, one in lists.items() if all(isinstance(member, list) for member in one)), None)
    names = next((name for name, one in lists.items() if name != rows and _are_names(one)), None)
    meta = next((name for name, one in lists.items() if _are_named_columns(one)), None)
    if rows is not None and (names is not None or meta is not None):
        told = f".{names}" if names is not None else f"[.{meta}[].name]"
        return (
            f"names of columns in {names or meta!r} and lists in {rows!r}",
            f"{told} as $names | .{rows}[] | {_OF_NAMES}",
        )
    if _is_by_names(value):
        return "one object of objects, by their ids", _BY_ID
    within = next((name for name, one in value.items() if isinstance(one, dict) and _is_by_names(one)), None)
    if within is not None:
        return f"objects by their ids in {within!r}", f'.["{within}"] | {_BY_ID}'
    return None


def _are_names(cells: Any) -> bool:
    return (
        isinstance(cells, list)
        and bool(cells)
        and all(isinstance(cell, str) for cell in cells)
        and len(set(cells)) == len(cells)
        and (has_usual_name(cells) or value_among_names(cells) is None)
    )


def _are_named_columns(members: list[Any]) -> bool:
    return all(isinstance(member, dict) and {"name", "type"} <= member.keys() for member in members)


def _are_scalars(lists: dict[str, list[Any]]) -> bool:
    return not any(isinstance(member, dict | list) for one in lists.values() for member in one)


def _is_by_names(value: dict[str, Any]) -> bool:
    """Whether an object has nothing but objects that are not empty, and several."""
    return len(value) > 1 and all(isinstance(inner, dict) and inner for inner in value.values())


def _are_rows(value: dict[str, Any]) -> bool:
    """Whether the objects of an object have numbers of rows as names, and it has names of columns."""
    return has_usual_name(list(value)) and all(key.isdigit() for inner in value.values() for key in inner)
