"""How the shop writes a column of ours: an entry of `[columns]` that is more than a name.

images = ["image_link", "additional_image_link"]
colors = {source = "farben", separator = ";"}
action = {source = "event_name", values = {view_item = "click", purchase = "checkout"}}
surface = {constant = "home"}
surface = {source = "search_term", present = "search", absent = "home"}
group = {source = "Parent", prefix = "id:"}
size = {source = ["Option1 Value", "Option2 Value"], named_by = ["Option1 Name", "Option2 Name"], names = ["size"]}
timestamp = {source = "day", time = "%d.%m.%Y", zone = "Europe/Berlin"}
timestamp = ["day", "clock"]
user_id = {source = "uid", whole = true}           # 100.0 is 100 in every file
timestamp = {source = "Created at", within = "Name"}  # rows of one order, of which the first alone has it
links = ""                                         # the catalogue has no such column, and that is meant so
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields
from datetime import UTC, datetime
from typing import Any

from schemas.cells.times import UNITS
from schemas.days import UTC_NAME, time_zone
from schemas.errors import UsageError
from schemas.quarantine import quote
from schemas.tables import ID_COLUMNS, TEXT_FIELDS


@dataclass(frozen=True, kw_only=True)
class Column:
    """source: names of the shop's columns; none with a constant, and where the column is left out on purpose. Several
    are joined: lists one after the other, text by a space, a day and a clock to one time (see day_and_clock), of
    anything else the first that is not null.
    constant: the value of every row. separator: between the members of a list that is written as text.
    values: (the shop's, ours) of values that differ; an action that becomes "" is of no use, and its row is none.
    present: what every text that is there becomes; absent: what stands where there is none.
    prefix: what some or all values begin with that is no part of them.
    time: a unit of cells.times.UNITS, or a format of strptime. zone: IANA name of the time zone of times that say none
    (see cells.times); numbers since 1970 need none.
    trim: whether blanks around a value go; None: of ids, surfaces and actions. null_words: None: cells.text.NULL_WORDS,
    in CSV. named_by: for each source the column that names what it holds, "" where that is always ours; names: what it
    is then called if it is ours; within: the column whose equal values hold rows together that are named by the first
    of them (see schemas.columns.named_options), or that have what the first of them has (of a log's times and users,
    see schemas.columns.carried_values). whole: whether ids that are written as `100.0` are 100; None: the whole table
    tells (see schemas.coercion.whole_ids). A source of a log may lead into a column, by dots: see
    schemas.events.paths."""

    source: tuple[str, ...] = ()
    constant: str | None = None
    separator: str | None = None
    values: tuple[tuple[str, str], ...] = ()
    present: str | None = None
    absent: str | None = None
    prefix: str | None = None
    time: str | None = None
    zone: str = UTC_NAME
    trim: bool | None = None
    null_words: tuple[str, ...] | None = None
    named_by: tuple[str, ...] = ()
    names: tuple[str, ...] = ()
    within: str | None = None
    whole: bool | None = field(default=None, repr=False)

    def __str__(self) -> str:
        """What identifies it in fingerprints; `whole` stands there only where it is said."""
        return repr(self) if self.whole is None else f"{self!r} whole={self.whole}"


#: Keys whose values are taken as they are.
_AS_GIVEN = ("constant", "separator", "present", "absent", "prefix", "time", "zone", "trim", "within", "whole")
#: Columns whose values are no text, and have no prefix.
_NO_PREFIX = ("images", "timestamp", "grade")
#: Columns that hold no text of their own.
_NO_TEXT = ("item_id", "user_id", "session_id", "images", "timestamp", "grade")
#: Columns of a log that the first row of an order may have for all.
_CARRIED = ("timestamp", "user_id", "session_id")
#: Our column name -> how the shop writes it, or only what the shop calls it.
Columns = Mapping[str, str | Column]


class ColumnsOfTable(dict[str, str | Column]):
    """A mapping that goes with all files of its table to whoever reads one of them: what an id in one of them is may
    depend on the others."""

    files: tuple[str, ...]

    def __init__(self, columns: Columns, files: Sequence[str]):
        super().__init__(columns)
        self.files = tuple(sorted(files))

    def __reduce__(self) -> tuple[Any, ...]:
        return ColumnsOfTable, (dict(self), self.files)


def column_of(columns: Columns, name: str) -> Column:
    """What a mapping says of our column `name`, by default its own name.

    >>> column_of({"title": "Name", "links": ""}, "title").source, column_of({}, "size").source
    (('Name',), ('size',))
    """
    given = columns.get(name, name)
    return given if isinstance(given, Column) else Column(source=(given,) if given else ())


def part_name(name: str, number: int) -> str:
    """What the column of the `number`-th (from 0) of several sources of our column `name` is called.

    >>> part_name("images", 0), part_name("images", 1)
    ('images', 'images+1')
    """
    return f"{name}+{number}" if number else name


def name_of_part(part: str) -> str:
    """Our column of which part_name made this name.

    >>> name_of_part("images+1")
    'images'
    """
    return part.partition("+")[0]


def number_of_part(part: str) -> int:
    """Which of several sources, from 0, part_name made this name of.

    >>> number_of_part("images"), number_of_part("images+1")
    (0, 1)
    """
    return int(part.partition("+")[2] or 0)


def parse_column(name: str, given: Any, where: str) -> str | Column:
    """An entry of the config. Raises UsageError for what is none; `where`: the table it is in, as a message says it."""
    if isinstance(given, str):
        return given
    table: Any = {"source": given} if isinstance(given, list) else given
    known = [one.name for one in fields(Column)]
    if not isinstance(table, Mapping) or not table or not table.keys() <= set(known):
        raise UsageError(
            f"expected your name for {name}, a list of names, or a table of {', '.join(known)} in {where}, "
            f"got {quote(given)}"
        )
    _check(name, table, where)
    source = table.get("source", [] if "constant" in table else name)
    return Column(
        source=(source,) if isinstance(source, str) else tuple(source),
        values=tuple(sorted(table.get("values", {}).items())),
        null_words=tuple(table["null_words"]) if "null_words" in table else None,
        named_by=tuple(table.get("named_by", ())),
        names=tuple(table.get("names", ())),
        **{key: table[key] for key in _AS_GIVEN if key in table},
    )


def _check(name: str, table: Mapping[str, Any], where: str) -> None:
    source, values = table.get("source", name), table.get("values", {})
    rules = {
        "source": (
            _is_name(source) or (_are_names(source) and len(source) > 0),
            "a column of yours, or a list of them",
        ),
        "constant": (_is_name(table.get("constant", "x")), "a text"),
        "separator": (_is_name(table.get("separator", "|")), "a text"),
        **{
            key: (_is_name(table.get(key, "x")) and (name not in _NO_TEXT or key not in table), "a word for a text")
            for key in ("present", "absent")
        },
        "prefix": (
            _is_name(table.get("prefix", "x")) and (name not in _NO_PREFIX or "prefix" not in table),
            "what texts or ids begin with",
        ),
        "values": (
            isinstance(values, Mapping) and all(isinstance(value, str) for value in values.values()),
            "a table of your values = ours",
        ),
        "time": (
            _is_time(table.get("time", "s")) and (name == "timestamp" or "time" not in table),
            f"one of {', '.join(UNITS)} or a format such as %d.%m.%Y, of timestamp alone",
        ),
        "zone": (
            _is_name(table.get("zone", UTC_NAME)) and (name == "timestamp" or "zone" not in table),
            "the name of a time zone, of timestamp alone,",
        ),
        "trim": (isinstance(table.get("trim", True), bool), "true or false"),
        "whole": (
            isinstance(table.get("whole", True), bool) and (name in ID_COLUMNS or "whole" not in table),
            "true or false, of ids alone,",
        ),
        "null_words": (_are_names(table.get("null_words", [])), "a list of words"),
        **_rules_of_names(name, table, source),
    }
    for key, (holds, expected) in rules.items():
        if not holds:
            got = quote(table[key]) if key in table else "none"
            raise UsageError(f"expected {expected} as {key} of {name} in {where}, got {got}")
    if "constant" in table and "source" in table:
        raise UsageError(f"expected a source or a constant for {name} in {where}, got both")
    time_zone(table.get("zone", UTC_NAME), f"zone of {name} in {where}")


def _rules_of_names(name: str, table: Mapping[str, Any], source: Any) -> dict[str, tuple[bool, str]]:
    """What holds of sources that other columns name, as _check has it: key -> (whether it does, what is expected)."""
    given, sources = table.get("named_by"), source if isinstance(source, list) else [source]
    are_texts = isinstance(given, list) and all(isinstance(one, str) for one in given)
    fits = given is None or (name in TEXT_FIELDS and are_texts and any(given) and len(given) == len(sources))
    names = table.get("names", [])
    return {
        "named_by": (fits, 'of a text alone, for each source the column that names it (or ""),'),
        "names": (_are_names(names) and (given is None) == (not names), "what named_by's columns say, with it alone,"),
        "within": (
            "within" not in table or ((given is not None or name in _CARRIED) and _is_name(table["within"])),
            f"the name of a column, beside named_by alone, or of {', '.join(_CARRIED)},",
        ),
    }


def _is_name(value: Any) -> bool:
    return isinstance(value, str) and value != ""


def _are_names(value: Any) -> bool:
    return isinstance(value, list) and all(map(_is_name, value))


def _is_time(value: Any) -> bool:
    """Whether a text is a unit, or a format that strptime can read."""
    if value in UNITS:
        return True
    if not isinstance(value, str) or "%" not in value:
        return False
    try:
        datetime.strptime(datetime(2001, 2, 3, 4, 5, 6, tzinfo=UTC).strftime(value), value)  # %z is "" without one
    except ValueError:
        return False
    return True
