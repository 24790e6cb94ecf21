"""A JSON file that is one object around its rows, `{"count": 2, "products": [{...}, {...}]}`, as interfaces answer.

Such a file looks like one row of JSON lines that has a list of objects, say an event with its items. What tells them
apart is whose names are those of a row: the object's own, or those of the objects in its list.
"""

from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import IO

from schemas.bounded_json import MAX_JSON_DEPTH, load_json
from schemas.columns.names import plain_name
from schemas.columns.usual_names import OF_CATALOGUE, OF_LOG
from schemas.errors import CorruptFileError, UsageError
from schemas.files import shown
from schemas.quarantine import quote
from schemas.reading.json_arrays import JsonText

#: Names of columns that a row should have, and those that it may have; none where nobody knows.
Wanted = Sequence[Collection[str]]
#: Objects within each other that are looked into for lists: {"data": {"products": {"edges": [...]}}}.
_MOST_OBJECTS = 4
#: Members of a list whose names are looked at.
_NUM_LOOKED_AT = 100
#: Names and members that are passed to learn what an object is: a small packed file may have a billion of them.
_MOST_PARTS = 100_000
#: What lists of rows are called, of which an empty one is one, too.
_LISTS = ("products", "items", "data", "results", "records", "rows", "events", "orders", "edges", "nodes", "hits")
#: What stands beside rows, and has none of them: names and types of columns, addresses of other pages.
_BESIDE_ROWS = ("meta", "links", "_links", "errors", "warnings")
#: What a row is likely to have, and what stands around rows is not: there a code is that of an answer.
_OF_ROWS = (
    tuple(name for name in OF_CATALOGUE["item_id"] if name != "code"),
    *(OF_CATALOGUE[name] for name in ("title", "description")),
    *(OF_LOG[name] for name in ("timestamp", "user_id", "action")),
)


@dataclass(frozen=True)
class ObjectList:
    """A list of objects in the only object of a file. path: its names, by dots; keys: those of its first members;
    num_members: of those that were passed, none of an empty list."""

    path: str
    keys: frozenset[str]
    num_members: int

    @property
    def is_empty(self) -> bool:
        """Whether it has none."""
        return not self.num_members


@dataclass(frozen=True)
class Envelope:
    """The only object of a file. keys: its own; lists: its lists of objects, which may be in objects in it."""

    keys: frozenset[str]
    lists: tuple[ObjectList, ...]


def read_envelope(file: IO[bytes], path: str, max_bytes: int) -> Envelope | None:
    """The only object of a file of UTF-8 JSON; None if there are several, or no list of objects in it, or if it is no
    JSON. One that does not end counts for what it has: the file is then damaged, not another. So does one that is
    large: of it the beginning is looked at."""
    text, found = JsonText(file, path, max_bytes, MAX_JSON_DEPTH), _Found()
    try:
        if text.next_byte() != b"{":
            return None
        _look_into(text, (), found)
        if text.next_byte() == b"{":
            return None
    except (CorruptFileError, _SeenEnoughError):
        pass
    lists = [one for one in found.lists if not one.is_empty] or found.lists
    lists = [one for one in lists if one.path not in _BESIDE_ROWS or len(found.keys) == 1]
    return Envelope(frozenset(found.keys), tuple(lists)) if lists else None


class _SeenEnoughError(Exception):
    """The object is large, and what it is has been seen."""


class _Found:
    def __init__(self) -> None:
        self.keys: list[str] = []
        self.lists: list[ObjectList] = []
        self._num_parts = 0

    def count(self) -> None:
        """A name or a member more. Raises _SeenEnoughError for one too many."""
        self._num_parts += 1
        if self._num_parts > _MOST_PARTS:
            raise _SeenEnoughError


def _look_into(text: JsonText, above: tuple[str, ...], found: _Found) -> None:
    """Passes an object, whose opening bracket comes next."""
    for key in text.names():
        found.count()
        if not above:
            found.keys.append(key)
        path, start = (*above, key), text.next_byte()
        if start == b"{" and len(path) < _MOST_OBJECTS:
            _look_into(text, path, found)
        elif start == b"[":
            _look_at_list(text, path, found)
        else:
            text.skip_value()


def _look_at_list(text: JsonText, path: tuple[str, ...], found: _Found) -> None:
    keys, has_dots = set[str](), "." in "".join(path)  # which no path can say
    members = text.elements()
    num_seen = num_objects = num_more = 0
    try:
        for member in islice(members, _NUM_LOOKED_AT):
            num_seen += 1
            found.count()
            if member.startswith(b"{"):
                num_objects += 1
                keys |= _keys_of(member)
        for _ in members:  # to its end, which only reading can find
            num_more += 1
            found.count()
    finally:
        if (2 * num_objects > num_seen or not num_seen) and not has_dots:
            found.lists.append(ObjectList(".".join(path), frozenset(keys), num_seen + num_more))


def _keys_of(text: bytes) -> set[str]:
    try:
        value = load_json(text.decode("utf-8", "surrogateescape"))
    except ValueError:
        return set()
    return set(value) if isinstance(value, dict) else set()


def list_of_rows(envelope: Envelope | None, wanted: Wanted, path: str) -> str | None:
    """The path of the list that holds the rows of a file; None if its only object is a row itself. Raises UsageError if
    it may be one of several lists."""
    if envelope is None:
        return None
    own = _likeness(envelope.keys, wanted)
    lists = [
        one
        for one in envelope.lists
        if _likeness(one.keys, wanted) > own
        or (not any(own) and (not one.is_empty or one.path.rpartition(".")[2] in _LISTS))
    ]
    if not lists:
        return None
    paths = dict.fromkeys(one.path for one in envelope.lists)  # a name may be there twice
    if len(paths) == 1:
        return lists[0].path
    names = ", ".join(map(quote, paths))
    likeliest = max(lists, key=lambda one: (_likeness(one.keys, wanted), one.num_members))
    raise UsageError(
        f"expected one list of rows in the object of {shown(path)}, got several: {names}. {list_remedy(likeliest.path)}"
    )


def list_remedy(path: str) -> str:
    """What to do about a file of one object, of which a list may be the rows."""
    jq = quote(f"jq '.{path}'")[1:-1]
    return (
        f"Say which are the rows, in the config: [format] list = {quote(path)} (for init, which has none yet, on two "
        f"lines of a file, say form.toml: itemsage init --config form.toml ...); or write them alone into a file ({jq})"
    )


def _likeness(keys: Collection[str], wanted: Wanted) -> tuple[int, ...]:
    """How much names are those of a row: larger is more."""
    plain = {plain_name(key) for key in keys if not key.startswith("@")}  # JSON-LD: what the object itself is
    num_usual = sum(any(plain_name(name) in plain for name in names) for names in _OF_ROWS)
    return (*(len({*keys} & {*names}) for names in wanted), num_usual)


def elements_of_list(file: IO[bytes], path: str, names: str, max_bytes: int) -> Iterator[tuple[int, bytes]]:
    """(place from 1, text) of each element of the list at `names`, by dots, in the objects of a file, one or several.

    Raises CorruptFileError for a file that ends within an object, or holds something else; UsageError where no object
    has such a list.
    """
    text, wanted = JsonText(file, path, max_bytes), tuple(names.split("."))
    was_there = False
    while start := text.next_byte():
        if start != b"{":
            raise text.broken("something else behind it")
        for elements in _lists_at(text, wanted):
            was_there = True
            for element in elements:
                text.place += 1
                yield text.place, element
    if not was_there:
        raise UsageError(
            f"expected a list at {quote(names)} in the object of {shown(path)}, got none: see [format] list"
        )


def _lists_at(text: JsonText, names: tuple[str, ...]) -> Iterator[Iterator[bytes]]:
    """The elements of the lists at `names` in an object, whose opening bracket comes next; it is passed."""
    for key in text.names():
        start = text.next_byte() if key == names[0] else b""
        if start == b"[" and len(names) == 1:
            yield text.elements()
        elif start == b"{" and len(names) > 1:
            yield from _lists_at(text, names[1:])
        else:
            text.skip_value()
