"""Descriptions that an editor of web pages keeps as JSON: its blocks, of which each has a text, as Editor.js and the
shops that use it (Saleor) write them. The texts in it are read, not its braces."""

from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Any

from pipelines.init.table.columns import SeenColumn
from pipelines.init.table.found import FoundColumn, found_in
from pipelines.init.table.nested import last_name
from pipelines.init.table.seen import SeenTable
from schemas.cells.keyed_texts import keyed_objects
from schemas.columns.extended_json import value_at
from schemas.columns.names import plain_name
from schemas.columns.usual_names import OF_CATALOGUE

_DESCRIPTION = "description"
#: What has the texts of such blocks, in the order in which they are joined.
_BLOCKS, _TEXTS = "blocks", ("text", "items")
_IN_LISTS = f".{_BLOCKS}.data"
_NAMES = frozenset(map(plain_name, OF_CATALOGUE[_DESCRIPTION]))
_NOTE = "{} is JSON of an editor's blocks: their texts are read"
#: The share of a column's values that are so, of a column of such values; those that are looked at.
_NEARLY_ALL, _LOOKED_AT = 0.9, 200


def with_rich_texts(found: Sequence[FoundColumn], table: SeenTable) -> list[FoundColumn]:
    """What is found, with the description led into the texts of its blocks where it has such."""
    if any(one.name == _DESCRIPTION for one in found):
        return [_led_in(one, table) if one.name == _DESCRIPTION else one for one in found]
    objects = dict.fromkeys(path.removesuffix(_IN_LISTS) for path in table.members if path.endswith(_IN_LISTS))
    called = next((path for path in objects if plain_name(last_name(path)) in _NAMES), None)
    if called is None:
        return list(found)
    root = next(name for name in table.columns if called == name or called.startswith(f"{name}."))
    column = SeenColumn(called, [value_at({root: value}, called) for value in table.columns[root].values])
    if not _has_blocks(column):
        return list(found)
    return [*found, found_in(_paths(column), _DESCRIPTION, notes=[_NOTE.format(called)])]


def _led_in(found: FoundColumn, table: SeenTable) -> FoundColumn:
    columns = {**table.nested, **table.columns}
    sources = [columns[name] for name in found.sources if name in columns]
    if not sources and (called := table.column(OF_CATALOGUE[_DESCRIPTION])) is not None:
        sources = [called]
    if not any(map(_has_blocks, sources)):
        return found
    paths = [path for column in sources for path in (_paths(column) if _has_blocks(column) else [column])]
    note = _NOTE.format(sources[0].name)
    return replace(found_in(paths, _DESCRIPTION), options=found.options, notes=(note,), others=())


def _paths(column: SeenColumn) -> list[SeenColumn]:
    """The columns that names with dots lead to, of those that have a text."""
    blocks = [list(_blocks(value)) for value in column.values]
    read = {key: [_texts_at(ones, key) for ones in blocks] for key in _TEXTS}
    return [SeenColumn(f"{column.name}{_IN_LISTS}.{key}", values) for key, values in read.items() if any(values)]


def _texts_at(blocks: Sequence[dict[str, Any]], key: str) -> str | None:
    values = [value for block in blocks if (value := block.get(key))]
    texts = [text for value in values for text in (value if isinstance(value, list) else [value])]
    return " ".join(text for text in texts if isinstance(text, str)) or None


def _has_blocks(column: SeenColumn) -> bool:
    """Whether nearly all values have blocks with texts of their own."""
    values = column.filled[:_LOOKED_AT]
    num_told = sum(any(_texts_at(list(_blocks(value)), key) for key in _TEXTS) for value in values)
    return num_told > 0 and num_told >= _NEARLY_ALL * len(values)


def _blocks(value: Any) -> Iterator[dict[str, Any]]:
    """What each block of a value has as its data."""
    told = keyed_objects(value) if isinstance(value, str) else value
    blocks = told.get(_BLOCKS) if isinstance(told, dict) else None
    for block in blocks if isinstance(blocks, list) else ():
        if isinstance(block, dict) and isinstance(data := block.get("data"), dict):
            yield data
