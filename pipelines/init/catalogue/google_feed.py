"""A product feed for Google Merchant Center: delimited text, RSS or Atom; attributes have one name everywhere."""

import re

from pipelines.init.catalogue.pictures import pictures_of
from pipelines.init.catalogue.repeated_ids import repeated_ids
from pipelines.init.table.columns import SeenColumn
from pipelines.init.table.found import FoundColumn, Names, Start, found_by_name, found_in, joined, left_out, own_names
from pipelines.init.table.seen import SeenTable
from schemas.errors import UsageError
from schemas.tables import CATALOGUE, TEXT_FIELDS

#: Our column -> Google's attributes; a text file may write them with blanks.
NAMES: Names = {
    "title": [("title", "structured_title")],
    "description": [("description", "summary")],  # as Atom has it
    "brand": [("brand",)],
    "colors": [("color", "colour")],
    "size_type": [("size_type",)],
    "size": [("size",)],
    "patterns": [("pattern",)],
    "materials": [("material",)],
    "product_types": [("product_type",)],
    "google_product_category": [("google_product_category",)],
    "images": [("image_link",), ("additional_image_link", "additional_image_links")],
}
#: Columns of one picture each, by its number.
_NUMBERED = re.compile(r"(?:additional_)?image(?:_?(?:link|url))?s?[\[_ .]?\d{1,3}\]?(?:[._]?(?:url|link|src))?")


def is_google_feed(table: SeenTable) -> bool:
    """Whether the columns are Google's attributes."""
    return table.has("id", "title") and (table.has("image_link") or table.has("link", "availability"))


def _with_numbered_pictures(found: list[FoundColumn], table: SeenTable) -> list[FoundColumn]:
    """What is found, with the columns of pictures that catalogues of Meta have beside Google's, or in their place:
    `image[0].url`, `image[1].url`. One that has in each row what another has is no picture more."""
    images = next((one for one in found if one.name == "images"), None)
    known = () if images is None else images.sources
    texts = [table.columns[name].texts_of_rows for name in known if name in table.columns]
    more: list[SeenColumn] = []
    for column in pictures_of(table, table.column(NAMES["title"][0])).taken:
        is_numbered = column.name in table.columns and _NUMBERED.fullmatch(column.name.strip().casefold())
        if column.name not in known and is_numbered and column.texts_of_rows not in texts:
            more.append(column)
            texts.append(column.texts_of_rows)
    if not more:
        return found
    before = [table.columns[name] for name in known if name in table.columns and table.columns[name].filled]
    return [*(one for one in found if one is not images), found_in([*before, *more], "images")]


def starts(table: SeenTable) -> list[Start]:
    """By id; where variants name their group, also by group. Raises UsageError."""
    number = table.column(["id"])
    if number is None or not table.has("title"):
        raise UsageError(
            f"expected a Google Merchant Center feed, with the attributes id and title, got {table.names_in_words}: "
            "see whether the file is the feed itself, or try --from csv"
        )
    found = joined(found_by_name(table, own_names(table, NAMES, (*TEXT_FIELDS, "images"))))
    found = _with_numbered_pictures(found, table)
    rest = (*found, *left_out(table, found, CATALOGUE.names[1:]))
    title = table.column(NAMES["title"][0])
    group_rows, notes, asked = repeated_ids(number, [title] if title is not None else [])
    ids = found_in([number], "item_id", notes=notes)
    by_id = Start((ids, *rest), f"rows by {number.name}", group_rows, asked)
    group = table.column(["item_group_id"])
    if group is None or not group.filled:
        return [by_id]
    by_group = found_in([group, number], "item_id", notes=["variants of one item_group_id are one item"])
    return [by_id, Start((by_group, *rest), f"groups by {group.name}", "merge")]
