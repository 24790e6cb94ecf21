"""Columns of texts that nothing reads, offered for a title and a description that were not found: lines of the config
that a person makes true by taking away a sign."""

import statistics
from collections.abc import Sequence

from pipelines.console.terminal import shortened
from pipelines.init.table.columns import SeenColumn
from pipelines.init.table.found import FoundColumn, Start, found_in
from pipelines.init.table.seen import SeenTable
from schemas.columns.internal_names import is_internal
from schemas.columns.picture_names import is_called_a_picture

#: Our columns without which an item is hardly known -> words, as the median of a column, that such texts have.
WORDS = {"title": (2, 20), "description": (21, float("inf"))}
#: Columns that are offered for one of ours.
_MOST = 8
#: Below it, of all texts, those that differ are few: a status, a delivery time.
_FEW_DIFFER = 0.1
_MAX_KEYS_CHARACTERS = 100


def offered(table: SeenTable, start: Start) -> dict[str, list[FoundColumn]]:
    """Our column that the start lacks -> the table's that may be it: those whose texts are as long as its are, else
    all that have texts for customers. Without those that the table has nothing for."""
    read = _read(start)
    others = [column for column in table.columns.values() if column.name not in read]
    texts = [
        column
        for column in others
        if _has_texts(column) and not is_called_a_picture(column.name) and not is_internal(column.name)
    ]
    found = {}
    for name, (fewest, most) in WORDS.items():
        fitting = [column for column in texts if fewest <= column.num_words <= most] or texts
        if name not in start.columns and fitting:
            found[name] = [found_in([column], name) for column in fitting[:_MOST]]
    return found


def asked_of_the_title(table: SeenTable, start: Start) -> list[str]:
    """What a person is asked of a title that was not found and that nothing is offered for; [] for another."""
    if "title" in start.columns or "title" in offered(table, start):
        return []
    inner = {**table.nested, **table.members}
    records = [
        (column, key)
        for column in table.columns.values()
        if column.name not in _read(start) and column.name not in _roots(start)
        for key in column.keys_of_records
        if (text := inner.get(f"{column.name}.{key}")) is not None and text.num_words >= WORDS["title"][0]
    ]
    where = [
        f"{column.name!r} holds objects ({shortened(', '.join(column.keys_of_records), _MAX_KEYS_CHARACTERS)}): what "
        f'is in them is read by a name with a dot, title = "{column.name}.{key}" or another'
        for column, key in records[:1]
    ]
    return [". ".join(["which column is the title? None looks like it: title = ... with its name", *where])]


def question(name: str, columns: Sequence[FoundColumn]) -> str:
    """What a person is asked of the columns that are offered for one of ours."""
    listed = ", ".join(repr(one.sources[0]) for one in columns)
    asked = f"which is the {name}: {listed}?" if len(columns) > 1 else f"is {listed} the {name}?"
    return f"{asked} Take away the # before its line, {name} = ..."


def _roots(start: Start) -> set[str]:
    """The columns that what is read is in: pictures, say, are no title."""
    return {source.partition(".")[0] for one in start.found if one.name == "images" for source in one.sources}


def _read(start: Start) -> set[str]:
    return {source for one in start.found for source in one.sources}


def _has_texts(column: SeenColumn) -> bool:
    """Whether its values are of several words, and differ: no numbers, dates, prices, addresses, names of pictures."""
    if column.share_addresses > 0.5 or column.share_pictures > 0.5 or column.share_distinct <= _FEW_DIFFER:
        return False
    num_words = [sum(word[:1].isalpha() for word in text.split()) for text in column.texts]
    return bool(num_words) and statistics.median(num_words) >= 2
