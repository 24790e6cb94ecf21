"""Which columns of a shop's table are which of ours, as the config says it."""

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from pipelines.init.table.columns import SeenColumn
from pipelines.init.table.hidden import Hidden
from pipelines.init.table.seen import SeenTable
from schemas.columns.extended_json import value_at
from schemas.columns.meant_names import meant_columns
from schemas.columns.named_options import carried, option_name
from schemas.columns.names import plain_name
from schemas.columns.nested_columns import root_of
from schemas.tables import LEAVE_OUT, TEXT_FIELDS

#: Our column -> for each of its sources the names that it may have.
Names = Mapping[str, Sequence[Sequence[str]]]
#: Our column -> what options and attributes of products are called that mean it, as option_name has them.
OPTIONS = {
    "size": (
        *("size", "sizes", "shoe size", "clothing size", "größe", "groesse", "schuhgröße", "taille", "pointure"),
        *("talla", "tamaño", "taglia", "maat", "tamanho"),
    ),
    "colors": (
        *("color", "colour", "colors", "colours", "farbe", "farben", "couleur", "couleurs", "kleur", "colore", "cor"),
    ),
    "materials": ("material", "materials", "fabric", "materialien", "stoff", "matière", "matériau", "materiaal"),
    "patterns": ("pattern", "patterns", "print", "muster", "motif"),
    "brand": ("brand", "marke", "marque", "marca", "merk", "manufacturer", "hersteller"),
}
#: Of a column of texts, for a person.
_NOTE_OF_EDITOR = "{!r} is kept as an editor's JSON: the text in it is read"
#: Fields of objects that are offered.
_MOST_FIELDS = 8


@dataclass(frozen=True)
class FoundColumn:
    """A column of ours. sources: the names of the shop's; options: what else schemas.columns.spec.Column says of it;
    notes: what a person should know; share_filled, example: of the first source that has any; others: what it may be
    made of instead, which is written as lines that nothing reads."""

    name: str
    sources: tuple[str, ...]
    options: Mapping[str, Any] = field(default_factory=dict)
    notes: tuple[str, ...] = ()
    share_filled: float = 0.0
    example: str = ""
    others: tuple["FoundColumn", ...] = ()

    @property
    def entry(self) -> str | list[str] | dict[str, Any]:
        """The value of its key in `[columns]`."""
        source: str | list[str] = self.sources[0] if len(self.sources) == 1 else list(self.sources)
        if not self.options:
            return source if self.sources else ""
        return {**({"source": source} if self.sources else {}), **self.options}


@dataclass(frozen=True)
class Start:
    """A way to read a table. told_apart: what one item is, for a person; questions: for the file's end; hidden: what is
    in the table of products that customers do not see."""

    found: tuple[FoundColumn, ...]
    told_apart: str
    group_rows: str = "no"
    questions: tuple[str, ...] = ()
    hidden: tuple[Hidden, ...] = ()

    @property
    def columns(self) -> dict[str, Any]:
        """`[columns]`."""
        return {found.name: found.entry for found in self.found}


def found_in(
    columns: Iterable[SeenColumn], name: str, *, options: Mapping[str, Any] | None = None, notes: Sequence[str] = ()
) -> FoundColumn:
    """Our column `name` made of these. What `options` call a word for null is no value. Of documents of editors it is
    noted that they are."""
    options = options or {}
    columns = [column.without(options.get("null_words", ())) for column in dict.fromkeys(columns)]
    shares = [column.share_readable if name in TEXT_FIELDS else column.share_filled for column in columns]
    best = next((column for column in columns if column.filled), columns[0])
    of_editors = [column.name for column in columns if column.is_of_an_editor]
    return FoundColumn(
        name,
        tuple(column.name for column in columns),
        options,
        (*map(_NOTE_OF_EDITOR.format, of_editors), *notes),
        max(shares),
        best.example,
    )


def found_by_name(table: SeenTable, names: Names) -> list[FoundColumn]:
    """Those of our columns that the table has under one of their names, or under ours; of objects in which no text is
    known to be it a question."""
    found = []
    for name, sources in names.items():
        columns = [column for given in sources if (column := table.column(given)) is not None]
        texts = columns if name == "images" else [text for column in columns if (text := table.texts_in(column))]
        if texts:
            found.append(found_in(texts, name))
        elif columns:
            found.append(_asked_of_objects(table, columns[0], name))
    return found


def _asked_of_objects(table: SeenTable, column: SeenColumn, name: str) -> FoundColumn:
    """Our column made of nothing, for no text of the shop's is known to be it; with what its objects have as lines that
    nothing reads."""
    inner = table.fields_in(column)[:_MOST_FIELDS]
    listed = f" ({', '.join(one.name for one in inner)})" if inner else ""
    asked = (
        f"{column.name!r} is called so, and holds objects{listed}, no texts: none is taken. Is one of theirs it? "
        'Write its name, with dots, for ""'
    )
    return FoundColumn(name, (), notes=(asked,), others=tuple(found_in([one], name) for one in inner))


def found_in_options(
    table: SeenTable, pairs: Sequence[tuple[str, str]], within: SeenColumn | None = None
) -> list[FoundColumn]:
    """Of columns in pairs, one that names an option (`Size`) and one that has its value, our columns that some row
    names: each of all pairs, for which is which differs from product to product. within: the column whose value rows
    share that are named by the first of them."""
    there = [
        (names, values) for one, other in pairs if (names := table.column([one])) and (values := table.column([other]))
    ]
    held_by = None if within is None else within.texts_of_rows
    found = []
    for ours, called in OPTIONS.items():
        known = set(map(option_name, called))
        columns = [_of_option(values, carried(names.texts_of_rows, held_by), known) for names, values in there]
        if any(column.filled for column in columns):
            options: dict[str, Any] = {"named_by": [names.name for names, _ in there], "names": list(called)}
            options |= {} if within is None else {"within": within.name}
            found.append(found_in(columns, ours, options=options))
    return found


def found_in_lists(table: SeenTable, name: str) -> list[FoundColumn]:
    """Our columns that objects in the lists of that column are called by, as options of products in JSON: `name` beside
    `values`. However the shop spells one, it is a source."""
    column = table.column([name])
    if column is None:
        return []
    lists = [value if isinstance(value, list) else [] for value in column.values]
    given = (str(one["name"]) for members in lists for one in members if isinstance(one, dict) and "name" in one)
    names = [called for called in dict.fromkeys(given) if called.strip() and "." not in called]
    found = []
    for ours, known in OPTIONS.items():
        called = [one for one in names if option_name(one) in set(map(option_name, known))]
        paths = [f"{column.name}.{one}" for one in called]
        columns = [
            SeenColumn(path, [value_at({column.name: value}, path) for value in column.values]) for path in paths
        ]
        if any(one.filled for one in columns):
            found.append(found_in(columns, ours))
    return found


def _of_option(values: SeenColumn, names: Sequence[str | None], known: Collection[str]) -> SeenColumn:
    """The column's values in rows whose option is called by one of the known names."""
    pairs = zip(values.values, names, strict=True)
    return SeenColumn(values.name, [value if name and option_name(name) in known else None for value, name in pairs])


def joined(found: Sequence[FoundColumn]) -> list[FoundColumn]:
    """One for each of our columns: sources one after the other, each once."""
    merged: dict[str, FoundColumn] = {}
    for one in found:
        first = merged.get(one.name)
        if first is None:
            merged[one.name] = one
            continue
        named = {**_named_by(one), **_named_by(first)}
        sources = tuple(dict.fromkeys([*first.sources, *one.sources]))
        merged[one.name] = replace(
            first,
            sources=sources,
            options={**first.options, **one.options}
            | ({"named_by": [named[source] for source in sources]} if any(named.values()) else {}),
            notes=(*first.notes, *one.notes),
            share_filled=max(first.share_filled, one.share_filled),
            example=first.example or one.example,
            others=(*first.others, *one.others),
        )
    return list(merged.values())


def _named_by(one: FoundColumn) -> dict[str, str]:
    """Source -> the column that names it, "" of one that is always ours."""
    return dict(zip(one.sources, one.options.get("named_by", [""] * len(one.sources)), strict=True))


def unread_columns(table: SeenTable, found: Sequence[FoundColumn]) -> list[str]:
    """The table's columns that are no source of ours, that no source leads into, and that name none."""
    read = {root_of(source, table.columns) or source for one in found for source in one.sources}
    read |= {name for one in found for name in (*one.options.get("named_by", ()), one.options.get("within"))}
    read |= {
        root_of(name, table.columns) or name for one in found if one.name == LEAVE_OUT.name for name in one.options
    }
    return [name for name in table.columns if name not in read]


def left_out(table: SeenTable, found: Sequence[FoundColumn], known: Sequence[str]) -> list[FoundColumn]:
    """What the jobs would ask for (is it 'X'?) said beforehand: of our columns `known` those that are not found, though
    another column of the table may be one by its name."""
    names = {one.name for one in found}
    others = [name for name in unread_columns(table, found) if name not in known]
    meant = meant_columns([name for name in known if name not in names], others, names)
    inner = {near: text.name for near in meant.values() if (text := table.texts_in(table.columns[near])) is not None}
    return [
        FoundColumn(name, (), notes=(f"is it {inner.get(near, near)!r}? Then write its name here",))
        for name, near in meant.items()
    ]


def own_names(table: SeenTable, names: Names, known: Sequence[str]) -> dict[str, list[Sequence[str]]]:
    """The names, and where none of them is there ours, so that no column of our name is read unsaid."""
    whole = {name: list(names.get(name, ())) for name in known}
    plain = {plain_name(name) for name in table.columns}
    for name, sources in whole.items():
        if not any(table.column(given) for given in sources) and plain_name(name) in plain:
            sources.append([name])
    return whole
