"""A shop's table as its files show it: its own columns, and what is in their objects, found by the names that they may
have."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

from pipelines.console.terminal import shortened
from pipelines.init.table.columns import MAX_EXAMPLE, SeenColumn
from pipelines.init.table.nested import fields_of_lists, fields_of_objects, last_name
from schemas.columns.internal_names import is_internal
from schemas.columns.names import bare_name, plain_name
from schemas.columns.picture_names import PICTURES
from schemas.columns.usual_names import TEXTS

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

    def id_in_objects(self, names: Sequence[str], objects: Sequence[str]) -> list[SeenColumn]:
        """The filled field of one of these names, in an object that is called as one of `objects`: of several the one
        whose name, and then whose object, is named first; [] without any. All in small letters."""
        found: dict[tuple[int, int], SeenColumn] = {}
        for path, column in self.nested.items():
            whose, _, name = path.casefold().rpartition(".")
            who = whose.rpartition(".")[2]
            if name in names and who in objects and column.filled:
                found.setdefault((names.index(name), objects.index(who)), column)
        return [found[min(found)]] if found else []

    def texts_in(self, column: SeenColumn) -> SeenColumn | None:
        """The column itself, or of one of objects, or of lists of them, their names (`categories.name`), or a document
        of an editor; None if they have none, or nothing that a text can be made of."""
        if column.share_readable or not column.filled:
            return column
        inner = self.fields_in(column)
        if any(one.name.endswith(_OF_LANGUAGES) for one in inner):  # a list of one text in several languages
            return None
        return next((one for one in inner if _is_called_a_text(one.name) or one.is_of_an_editor), None)

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
        return ", ".join(shortened(name, MAX_EXAMPLE) for name in names[:12]) + more


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
