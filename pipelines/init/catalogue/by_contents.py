"""A table of any shop's own: columns by their names, and by what they hold where the names do not tell.

What is unclear is not guessed: a column that could be several of ours, and several that could be one, are asked about
in the file that is written.
"""

import re
from collections.abc import Sequence
from dataclasses import replace

from pipelines.init.catalogue.descriptions import with_description
from pipelines.init.catalogue.ids import ids_of, is_called_an_id
from pipelines.init.catalogue.languages import found_in_one_language
from pipelines.init.catalogue.offered import WORDS
from pipelines.init.catalogue.pictures import pictures_of
from pipelines.init.catalogue.repeated_ids import repeated_ids
from pipelines.init.catalogue.store_views import store_views
from pipelines.init.catalogue.unseen import unseen_products
from pipelines.init.catalogue.variants import asked_of_parents, by_continuation, by_parent, titles_of
from pipelines.init.table.columns import SeenColumn
from pipelines.init.table.found import FoundColumn, Start, found_in, found_in_lists, joined, left_out, own_names
from pipelines.init.table.seen import SeenTable
from pipelines.init.table.unreadable import refuse_names_given_twice, refuse_wrapped
from schemas.cells.list_texts import is_printed_object
from schemas.columns.internal_names import is_internal
from schemas.columns.usual_names import ITEM_IDS, OF_CATALOGUE, TEXTS
from schemas.errors import UsageError
from schemas.tables import CATALOGUE, TEXT_FIELDS
from schemas.validation.kinds_of_rows import column_of_products, refuse_nameless_parts

_MOSTLY = 0.5
#: Where Spark keeps a line that it could not read.
_CORRUPT = "_corrupt_record"
_KINDS_OF_PRODUCTS = frozenset(
    (
        *("simple", "configurable", "bundle", "virtual", "grouped", "downloadable", "giftcard", "variable"),
        *("product", "product_variation", "product variation", "variant", "variants", "parent", "child", "item"),
        *("variation", "external", "standard", "pack", "combinations", "physical", "digital", "service", "p", "d"),
    )
)
#: What Elasticsearch has beside a document.
_OF_ELASTICSEARCH = ("_index", "_type", "_id", "_score", "sort")
#: Hashes of 32 digits, or UUIDs: one, or several in a list.
_HASHES = re.compile(
    r"""(?:[\s|,;\[\]"']*(?:[0-9a-f]{32}|[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}))+[\s|,;\[\]"']*""", re.I
)


def starts(table: SeenTable) -> list[Start]:
    """By each column that may be the id, the likeliest first. Raises UsageError if none may."""
    if table.column(ITEM_IDS) is None:  # a product may have a list of objects, too: its variants
        refuse_wrapped(table)
    refuse_nameless_parts(table)
    refuse_names_given_twice(table)
    views = store_views(table)
    if views is None:
        return _starts(table)
    asked = tuple(views.asked(table, ids_of(views.table)))
    return [
        replace(start, found=(*start.found, views.left_out), questions=(*asked, *start.questions))
        for start in _starts(views.table)
    ]


def _starts(table: SeenTable) -> list[Start]:
    """By each column that may be the id, the likeliest first, of a table whose rows are all of products."""
    ids = ids_of(table)
    if not ids:
        raise UsageError(
            f"expected a column of ids, called item_id, product_id, sku or the like, or with another value in each "
            f"row, got {table.names_in_words}: name it in the config: [columns] item_id = ..."
        )
    without = _without_kinds(table)
    without, found, asked = found_in_one_language(without, own_names(without, TEXTS, TEXT_FIELDS))
    found = with_description([*found, *_in_attributes(table, found)], table)
    found = [_not_of_codes(one, without) if one.name == "title" else one for one in found]
    pictures = pictures_of(table, without.column(OF_CATALOGUE["title"]))
    found = joined([*found, *pictures.found])
    found = joined([*found, *_texts_by_contents(table, found, [*ids, *pictures.columns])])
    rest = (*found, *left_out(table, found, CATALOGUE.names[1:]))
    asked += [f"{one.name} holds small pictures: left out" for one in pictures.small]
    asked += _asked_of_corrupt(table) + _asked_of_printed(table)
    variants = by_parent(table, ids, rest, tuple(asked))
    variants = variants or by_continuation(table, ids, rest, tuple(asked))
    asked += [] if variants else asked_of_parents(table, ids)
    by_id = [_by(one, table, ids, rest, tuple(asked)) for one in ids]
    made = [*_by_product(table, rest, tuple(asked)), *variants, *by_id]
    return [replace(start, hidden=unseen_products(table)) for start in made]


def _in_attributes(table: SeenTable, found: Sequence[FoundColumn]) -> list[FoundColumn]:
    """What a list of attributes has of ours that no column is."""
    names = {one.name for one in found}
    return [one for one in found_in_lists(table, "attributes") if one.name not in names]


def _not_of_codes(title: FoundColumn, table: SeenTable) -> FoundColumn:
    """The title; of a column that has codes (PRD-0001), beside another that is called so and has words, the other, with
    the codes as a line that nothing reads."""
    columns = {**table.nested, **table.columns}
    codes = [columns[name] for name in title.sources if name in columns and _is_of_codes(columns[name])]
    names = [column for name in OF_CATALOGUE["title"] if (column := table.column([name])) is not None]
    words = [column for column in names if column.num_words >= WORDS["title"][0]]
    if len(codes) != len(title.sources) or not codes or not words:
        return title
    note = f"{codes[0].name!r} is called so, too, but looks like codes ({codes[0].example}). Is it?"
    return replace(found_in(words[:1], "title", notes=[*title.notes, note]), others=(title, *title.others))


def _is_of_codes(column: SeenColumn) -> bool:
    """Whether every text is of one word, with a digit, and no other row has it."""
    return column.is_distinct and all(len(text.split()) == 1 and any(map(str.isdigit, text)) for text in column.texts)


def _without_kinds(table: SeenTable) -> SeenTable:
    """The table without columns that say whether a product is one, several or a part (Magento's product_type), without
    those of Elasticsearch about the row itself, and without those of hashes, which name things of other tables."""
    of_search = _OF_ELASTICSEARCH if "_source" in table.columns else ()
    columns = {
        name: column
        for name, column in table.columns.items()
        if name not in of_search and not (column.texts and all(map(_is_kind_or_hash, column.texts)))
    }
    return replace(table, columns=columns)


def _is_kind_or_hash(text: str) -> bool:
    return text.strip().casefold() in _KINDS_OF_PRODUCTS or _HASHES.fullmatch(text) is not None


def _by(
    column: SeenColumn, table: SeenTable, ids: Sequence[SeenColumn], rest: Sequence[FoundColumn], asked: tuple[str, ...]
) -> Start:
    others = [other.name for other in ids if other is not column]
    rest, twice = _without_the_id(rest, column)
    asked = (*asked, *twice)
    notes = [] if is_called_an_id(column) else ["by its contents: every row has a value of its own. Is it the id?"]
    notes += [f"others that may be it: {', '.join(others)}"] if others else []
    if missing := len(column.values) - len(column.texts):
        asked_of_most = ". Is it the id?" if column.share_filled <= _MOSTLY else ""
        notes.append(f"{missing:,} rows have none, and are no items{asked_of_most}")
    if column.is_distinct:
        return Start((found_in([column], "item_id", notes=notes), *rest), f"rows by {column.name}", "no", asked)
    group_rows, more, questions = repeated_ids(column, titles_of(table, rest))
    item_ids = found_in([column], "item_id", notes=[*notes, *more])
    told_apart = f"rows of one {column.name} merged" if group_rows == "merge" else f"rows by {column.name}"
    return Start((item_ids, *rest), told_apart, group_rows, (*asked, *questions))


def _without_the_id(rest: Sequence[FoundColumn], column: SeenColumn) -> tuple[list[FoundColumn], list[str]]:
    """(what is found without the column of the ids, what a person is asked): a column has one meaning."""
    kept, asked = [], []
    for one in rest:
        sources = tuple(name for name in one.sources if name != column.name)
        if len(sources) < len(one.sources):
            asked.append(
                f"{column.name} is called like the {one.name}, but is taken as the id alone: if it is both, write "
                f"{one.name} = ... with its name, too"
            )
        if sources or not one.sources:
            kept.append(replace(one, sources=sources))
    return kept, asked


def _by_product(table: SeenTable, rest: Sequence[FoundColumn], asked: tuple[str, ...]) -> list[Start]:
    """Products with the rows below them merged into them, where a column says what a row is, and another whose."""
    product = column_of_products(table)
    if product is None:
        return []
    notes = ["the rows below a product, of its variants and pictures, are merged into it"]
    item_ids = found_in([product], "item_id", notes=notes)
    return [Start((item_ids, *rest), f"products by {product.name}, rows merged", "merge", asked)]


def _asked_of_corrupt(table: SeenTable) -> list[str]:
    """What a person is told of lines that Spark could not read when it wrote the table."""
    column = table.columns.get(_CORRUPT)
    if column is None or not column.texts:
        return []
    return [
        f"{_CORRUPT}: Spark could not read {len(column.texts):,} lines of what the table was made from, such as "
        f"{column.example}. They are no items: shall they be? Then mend them there, and write the table again"
    ]


def _asked_of_printed(table: SeenTable) -> list[str]:
    """What a person is told of columns of objects that were printed, so that nothing reads them."""
    printed = [
        column for column in table.columns.values() if column.texts and all(map(is_printed_object, column.texts))
    ]
    return [
        f"{column.name} holds objects that are printed, no JSON, such as {column.example}: nothing in them is read. "
        "Write the column as JSON in the export"
        for column in printed
    ]


def _texts_by_contents(
    table: SeenTable, found: Sequence[FoundColumn], known: Sequence[SeenColumn]
) -> list[FoundColumn]:
    """Title and description where one column alone may be it; several are offered (see offered)."""
    read = {source for one in found for source in one.sources} | {column.name for column in known}
    left = [
        column
        for column in table.columns.values()
        if column.name not in read
        and column.share_distinct > _MOSTLY
        and not column.share_addresses
        and not is_internal(column.name)
    ]
    given = {one.name for one in found if one.sources}
    made = []
    for name, (fewest, most) in WORDS.items():
        columns = [column for column in left if fewest <= column.num_words <= most]
        if name not in given and len(columns) == 1:
            notes = ["by its contents: no column is called so, and no other holds such texts. Is it?"]
            made.append(found_in(columns, name, notes=notes))
    return made
