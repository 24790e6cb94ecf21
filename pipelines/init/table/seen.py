"""A shop's table as its files show it: its own columns, with what the first rows hold."""

import re
import statistics
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import pyarrow as pa

from pipelines.console.terminal import shortened
from pipelines.init.table.keyed_cells import with_objects
from pipelines.init.table.nested import fields_of_lists, fields_of_objects, last_name, says_nothing
from schemas import storage
from schemas.cells.lists import joined_text, list_members
from schemas.cells.text import UnreadableCellError, cell_text
from schemas.coercion.cells import BatchFindings, Blame, cells_of_sources, coerced_values
from schemas.columns.internal_names import is_internal
from schemas.columns.localised_texts import OF_ALL, texts_by_language
from schemas.columns.names import bare_name, plain_name
from schemas.columns.nested_columns import without_maps
from schemas.columns.picture_names import PICTURES
from schemas.columns.spec import ColumnsOfTable
from schemas.columns.usual_names import TEXTS
from schemas.columns.wrapped_lists import plain_lists_of
from schemas.errors import UsageError
from schemas.pictures.cells import MIN_BASE64_CHARACTERS, BadPicture, Picture
from schemas.pictures.types import is_called_like_a_picture, picture_type
from schemas.reading.json_objects import list_remedy
from schemas.reading.rows import RawRows, count_rows, known_columns, plan_slices, read_slice

#: Rows of a table that are looked at, at most by a batch more.
MAX_ROWS = 8_192
_MAX_EXAMPLE = 60
#: What an object that stands for a category, a brand or the like is called by.
_NAMES_IN_OBJECTS = ("name", "title", "label", "value", "stringValue")
#: What JSON-LD says of an object itself; of a row, its id may be the item's.
_JSON_LD = frozenset(("@type", "@context", "@id"))
_OF_JSON_LD = _JSON_LD - {"@id"}
_ENDINGS = tuple(f".{name}" for name in _NAMES_IN_OBJECTS)
#: What objects are called by that are things of their own: our columns of which a product has one among many.
_OBJECTS = frozenset(
    plain_name(name)
    for ours in ("brand", "product_types", "colors", "size", "patterns", "materials")
    for names in TEXTS[ours]
    for name in names
).union(PICTURES)
#: What says which language the text beside it is in.
_OF_LANGUAGES = (".language", ".locale", ".lang", ".languageCode", ".language_code")
#: What an object that is a picture has, by its plain name: its address, and what is known of it.
_KEYS_OF_PICTURES = frozenset(
    (
        *("src", "url", "link", "href", "originalsrc", "image", "id", "alt", "alttext", "caption", "width", "height"),
        *("position", "order", "sort", "rank", "type", "mimetype", "mediatype", "format", "size", "variant", "hires"),
        *("thumb", "large", "createdat", "updatedat", "productid", "variantids"),
    )
)
_ADDRESS = re.compile(r"https?://\S+", re.IGNORECASE)


@dataclass(frozen=True)
class PictureCell:
    """What is kept of a cell of pictures, or of other bytes: how many pictures, and the addresses beside them."""

    num_pictures: int
    addresses: tuple[str, ...] = ()

    def __str__(self) -> str:
        return {0: "bytes", 1: "a picture"}.get(self.num_pictures, f"{self.num_pictures:,} pictures")


@dataclass(frozen=True, eq=False)
class SeenColumn:
    """A column of a file, by the shop's name. values: one a row that was looked at, None for null, blank text and
    lists of nothing, a PictureCell for pictures."""

    name: str
    values: Sequence[Any]

    @cached_property
    def filled(self) -> list[Any]:
        """The values that are there."""
        return [value for value in self.values if value is not None]

    @cached_property
    def texts(self) -> list[str]:
        """Those of them that have a text."""
        return [text for value in self.filled if (text := _text_of(value)) is not None]

    @property
    def texts_of_rows(self) -> list[str | None]:
        """The text of each row; None where there is none."""
        return [None if value is None else _text_of(value) for value in self.values]

    @property
    def share_filled(self) -> float:
        """Of the rows; 0 without any."""
        return len(self.filled) / len(self.values) if self.values else 0.0

    @cached_property
    def share_readable(self) -> float:
        """The rows that have what a field of texts can be made of: a text, or a list of texts; 0 without any."""
        return sum(map(_is_readable, self.filled)) / len(self.values) if self.values else 0.0

    def without(self, words: Collection[str]) -> "SeenColumn":
        """The column with null where it has one of these words."""
        if not words:
            return self
        return SeenColumn(
            self.name,
            [None if isinstance(value, str) and value.strip() in words else value for value in self.values],
        )

    @property
    def example(self) -> str:
        """The first value, fit to print on a line; "" without any."""
        value = next(iter(self.texts or self.filled), "")
        return shortened(" ".join(str(value).split()), _MAX_EXAMPLE)

    @property
    def is_key(self) -> bool:
        """Whether every row has a value that no other has."""
        return self.is_distinct and len(self.texts) == len(self.values)

    @property
    def is_distinct(self) -> bool:
        """Whether no value is there twice; False without any."""
        return bool(self.texts) and len(set(self.texts)) == len(self.texts)

    @cached_property
    def num_words(self) -> float:
        """The median of its texts."""
        return statistics.median(len(text.split()) for text in self.texts) if self.texts else 0.0

    @cached_property
    def share_distinct(self) -> float:
        """Different texts, of all texts."""
        return len(set(self.texts)) / len(self.texts) if self.texts else 0.0

    @cached_property
    def share_pictures(self) -> float:
        """The values that hold nothing but pictures and names of pictures, of those that are there."""
        return self._share_of_lists(_is_name_of_a_picture)

    @cached_property
    def share_addresses(self) -> float:
        """The values that hold nothing but pictures and http(s) addresses, of those that are there."""
        return self._share_of_lists(_is_address)

    @cached_property
    def keys_of_records(self) -> list[str]:
        """The keys of the first value that is an object, or a list of objects, which say more than a picture's address
        and what is known of pictures; [] without any."""
        return next((keys for value in self.filled if (keys := _keys_of_record(value))), [])

    def _share_of_lists(self, is_one: Callable[[str], bool]) -> float:
        cells = map(_picture_cell, self.filled)
        matching = [bool(cell.num_pictures or cell.addresses) and all(map(is_one, cell.addresses)) for cell in cells]
        return sum(matching) / len(matching) if matching else 0.0


@dataclass(frozen=True, eq=False)
class SeenTable:
    """columns: by the shop's name, in its order. is_whole: whether every row was looked at. twice: names that the file
    gives to several columns, which no mapping can tell apart. unnamed: columns, and fields of objects, that are not
    found by a name: those in another language than the one that is taken. What is in the objects of a column is found
    by its own name where no column has it, and named with dots."""

    files: Sequence[str]
    columns: Mapping[str, SeenColumn]
    num_rows: int
    is_whole: bool
    twice: tuple[str, ...] = ()
    unnamed: frozenset[str] = frozenset()

    @cached_property
    def _by_plain_name(self) -> dict[str, list[SeenColumn]]:
        found: dict[str, list[SeenColumn]] = {}
        given = {name: column for name, column in self.columns.items() if name not in _OF_JSON_LD}
        for name, column in given.items():
            found.setdefault(plain_name(name), []).append(column)
        for name, column in given.items():  # Categories (x,y,z...) where nothing else is called Categories
            if name not in self.unnamed and (bare := bare_name(name)):
                found.setdefault(bare, [column])
        own = set(found)
        named = [one for one in self.nested.items() if one[0] not in self.unnamed]
        nested = sorted(named, key=lambda one: one[0].count("."))  # a product's name before its brand's
        for name, column in nested:
            if (last := plain_name(last_name(name))) not in own and not _is_of_another(name):
                found.setdefault(last, []).append(column)
        for name, column in nested:  # _source.brand.name is a brand where nothing else is
            if name.count(".") > 1 and name.endswith(_ENDINGS):
                found.setdefault(plain_name(last_name(name.rpartition(".")[0])), [column])
        return found

    @cached_property
    def nested(self) -> dict[str, SeenColumn]:
        """The fields of objects, by names with dots."""
        given = {name: column.values for name, column in self.columns.items()}
        return {name: SeenColumn(name, values) for name, values in fields_of_objects(given).items()}

    @cached_property
    def members(self) -> dict[str, SeenColumn]:
        """The fields of objects in lists, by names with dots: of each row the first of its list that is there."""
        given = {name: column.values for name, column in self.columns.items()}
        return {name: SeenColumn(name, values) for name, values in fields_of_lists(given).items()}

    def column(self, names: Collection[str]) -> SeenColumn | None:
        """The column of one of these names, in whatever case and with whatever signs: the first that is filled
        anywhere, else the first. A name that ends in `*` is how the column's begins."""
        found = [column for name in names for column in self._called(name)]
        return next((column for column in found if column.filled), next(iter(found), None))

    def has(self, *names: str) -> bool:
        """Whether there is a column of each of these names; what is in objects is none."""
        return all(any(column.name in self.columns for column in self._called(name)) for name in names)

    def texts_in(self, column: SeenColumn) -> SeenColumn | None:
        """The column itself, or of one of objects, or of lists of them, their names (`categories.name`); None if they
        have none, or nothing that a text can be made of."""
        if column.share_readable or not column.filled:
            return column
        inner = self.fields_in(column)
        if any(one.name.endswith(_OF_LANGUAGES) for one in inner):  # a list of one text in several languages
            return None
        return next((one for one in inner if _is_called_a_text(one.name)), None)

    def fields_in(self, column: SeenColumn) -> list[SeenColumn]:
        """What the column's objects have that is text, those that are names first."""
        inner = {**self.nested, **self.members}
        below = [
            one
            for path, one in inner.items()
            if path.startswith(f"{column.name}.") and path not in self.unnamed and one.share_readable
            if _JSON_LD.isdisjoint(path.split("."))
        ]
        wanted = [f"{column.name}.{key}" for key in _NAMES_IN_OBJECTS]
        places = {path: place for place, path in enumerate(wanted)}
        return sorted(below, key=lambda one: (places.get(one.name, len(wanted)), not _is_called_a_text(one.name)))

    def _called(self, name: str) -> list[SeenColumn]:
        if not name.endswith("*"):
            return self._by_plain_name.get(plain_name(name), [])
        start = plain_name(name)
        return [
            column for plain, columns in self._by_plain_name.items() if plain.startswith(start) for column in columns
        ]

    @property
    def names_in_words(self) -> str:
        """The first columns, for a message."""
        names = list(self.columns)
        more = f" and {len(names) - 12} more" if len(names) > 12 else ""
        return ", ".join(shortened(name, _MAX_EXAMPLE) for name in names[:12]) + more


def look_at(files: Sequence[str]) -> SeenTable:
    """The columns and first rows of files of one table. Raises UsageError, CorruptFileError for what cannot be read."""
    path = next((path for path in sorted(files) if storage.size_of(path)), sorted(files)[0])
    names = known_columns(path)
    # a lone surrogate, which JSON can escape, is in no name that a config can say
    once = [name for name in names if names.count(name) == 1 and _text_of(name) is not None]
    schema = pa.schema([pa.field(name, pa.string()) for name in once])
    values: dict[str, list[Any]] = {name: [] for name in once}
    num_rows = 0
    for file_slice in plan_slices(files) if once else []:
        if file_slice.path != path or num_rows >= MAX_ROWS:
            continue
        for raw in read_slice(file_slice, ColumnsOfTable({}, [path]), schema):
            num_rows += raw.table.num_rows
            for name in once:
                values[name] += _values_of(raw, name)
            if num_rows >= MAX_ROWS:
                break
    columns = {name: SeenColumn(name, with_objects(plain_lists_of(given))) for name, given in values.items()}
    twice = tuple(dict.fromkeys(name for name in names if names.count(name) > 1))
    return SeenTable(files, columns, num_rows, num_rows >= count_rows(files), twice)


def refuse_wrapped(table: SeenTable) -> None:
    """Raises UsageError for one object that may have the rows in a list, which its names do not tell."""
    for column in table.columns.values() if table.num_rows == 1 else ():
        value = column.filled[0] if column.filled else None
        if isinstance(value, list) and len(value) > 1 and all(isinstance(member, dict) for member in value):
            raise UsageError(
                f"expected a row an item in {table.files[0]}, got one object, whose {column.name!r} is a list of "
                f"{len(value):,} objects. {list_remedy(column.name)}"
            )


def _is_name_of_a_picture(text: str) -> bool:
    """Whether a text of one line ends as a picture's name does; behind a ? and a blank there are sentences."""
    return len(text.splitlines()) == 1 and any(map(is_called_like_a_picture, text.rsplit(maxsplit=1)[-1:]))


def _is_address(text: str) -> bool:
    return _ADDRESS.fullmatch(text) is not None


def _is_of_another(path: str) -> bool:
    """Whether a name with dots leads into an object that is a brand, a category, a picture or the like: what is called
    a name or a type there is theirs, not the product's; or into notes of the shop's own people."""
    return (
        is_internal(path)
        or not _JSON_LD.isdisjoint(path.split("."))
        or not _OBJECTS.isdisjoint(map(plain_name, path.split(".")[:-1]))
    )


def _is_called_a_text(path: str) -> bool:
    """Whether what a name with dots leads to is the name of an object, or a text in a language."""
    return path.endswith(_ENDINGS) or last_name(path) != path.rpartition(".")[2]


def _is_readable(value: Any) -> bool:
    """Of texts in languages one is named with dots: a list of one language has several tomorrow."""
    if not {OF_ALL}.issuperset(texts_by_language(value) or ()):
        return False
    try:
        return joined_text(value) is not None
    except UnreadableCellError as error:
        return bool(error.rest)


def _keys_of_record(value: Any) -> list[str]:
    if isinstance(value, list):
        return next((keys for member in value if (keys := _keys_of_record(member))), [])
    if not isinstance(value, dict):
        return []
    if len(value) == 1:  # a list may be wrapped in an object, and each of its members too
        return _keys_of_record(*value.values())
    is_picture = "bytes" in value or _KEYS_OF_PICTURES.issuperset(map(plain_name, value))
    return [] if is_picture else list(value)


def _values_of(raw: RawRows, name: str) -> list[Any]:
    """The column's values as the jobs read them; None of a cell that they cannot read, which validation counts."""
    unread = Blame(name, BatchFindings())
    (cells,) = cells_of_sources(raw, name)
    return coerced_values(cells, _seen_value, unread)


def _seen_value(value: Any) -> Any:
    plain = without_maps(value)
    return None if says_nothing(plain) else _without_bytes(plain)


def _without_bytes(value: Any) -> Any:
    """The value; a PictureCell of one that holds pictures, and of bytes that are neither pictures nor text."""
    if not isinstance(value, bytes | dict | list) and not (
        isinstance(value, str) and len(value) > MIN_BASE64_CHARACTERS
    ):
        return value
    cell = _picture_cell(value)
    return cell if cell.num_pictures or (isinstance(value, bytes) and _text_of(value) is None) else value


def _text_of(value: Any) -> str | None:
    try:
        return cell_text(value)
    except UnreadableCellError:
        return None


def _picture_cell(value: Any) -> PictureCell:
    """The pictures and addresses of a value; other bytes, such as a digest or markup, are no pictures here."""
    if isinstance(value, PictureCell):
        return value
    try:
        members = [member for member in list_members(value) if member and not isinstance(member, BadPicture)]
    except UnreadableCellError:
        return PictureCell(0)
    pictures = [member for member in members if isinstance(member, Picture)]
    return PictureCell(
        sum(picture_type(picture.data) is not None for picture in pictures),
        tuple(member for member in members if isinstance(member, str)),
    )
