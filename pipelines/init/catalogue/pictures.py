"""Columns of pictures, by what they hold: those of the products, small copies of them, and pictures of other things."""

import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from urllib.parse import unquote

from pipelines.init.table.columns import SeenColumn
from pipelines.init.table.found import FoundColumn, found_in
from pipelines.init.table.seen import SeenTable
from schemas.columns.names import plain_name
from schemas.columns.picture_names import is_called_a_picture, is_called_small, is_of_no_product, is_text_of_a_picture

#: Words in the names of pictures beside the main one, and of that.
_BESIDE = ("additional", "gallery", "secondary", "further", "extra", "weitere", "zusatz", "supplement", "adicional")
_MAIN = ("main", "primary", "hero", "cover", "featured", "haupt", "principal", "baseimage")
_MOSTLY = 0.5
#: One picture in that share of a column is not of a product, if so many items have it.
_NEARLY_ALL, _SEVERAL_ITEMS = 0.9, 5
#: Of a column that is not called one of pictures: so few of its cells differ where they are labels or flags.
_FEW_DIFFER, _FEWEST_CELLS = 0.1, 20
#: Columns that are offered.
_MOST = 8


@dataclass(frozen=True)
class Pictures:
    """Columns of pictures: of the products, in order; small copies of these; of other things, or nearly one for all."""

    taken: Sequence[SeenColumn]
    small: Sequence[SeenColumn]
    doubtful: Sequence[SeenColumn]

    @property
    def columns(self) -> list[SeenColumn]:
        """All of them."""
        return [*self.taken, *self.small, *self.doubtful]

    @property
    def found(self) -> list[FoundColumn]:
        """Our column of pictures, with what it may have besides as lines that nothing reads; [] without any picture."""
        doubt = ", ".join(repr(column.name) for column in self.doubtful)
        asked = f"{doubt}: pictures of other things by name, or one for nearly all items. Of the product? Add it here"
        notes = ["by its contents: names or addresses of pictures"] if self.taken else []
        notes += [asked] if self.doubtful else []
        before = tuple(column.name for column in self.taken)
        others = [found_in([column], "images") for column in self.doubtful[:_MOST]]
        others = [replace(one, sources=(*before, *one.sources)) for one in others]
        if self.taken:
            return [replace(found_in(self.taken, "images", notes=notes), others=tuple(others))]
        return [FoundColumn("images", (), notes=tuple(notes), others=tuple(others))] if self.doubtful else []


def pictures_of(table: SeenTable, title: SeenColumn | None) -> Pictures:
    """The columns of pictures; what is in objects where no column is one, but of small copies. title: the column of the
    titles, which tells products from variants."""
    doubtful: list[SeenColumn] = []
    found: list[SeenColumn] = []
    for columns in (table.columns, table.nested, table.members):
        if all(is_called_small(column.name) for column in found):
            roots = {column.name for column in found}
            there = [one for one in _picture_columns(columns) if one.name.partition(".")[0] not in roots]
            good = [column for column in there if not _is_doubtful(column, title)]
            doubtful += [column for column in there if column not in good]
            found += good
    found = [column for column in found if not any(_is_end_of(column, other) for other in found)]
    found = sorted(found, key=lambda column: _rank(column.name))
    small = [column for column in found if is_called_small(column.name)]
    large = [column for column in found if column not in small]
    return Pictures(*((large, small) if large else (small, [])), doubtful)


def _picture_columns(columns: Mapping[str, SeenColumn]) -> list[SeenColumn]:
    found = [
        column
        for column in columns.values()
        if (
            (column.share_pictures > _MOSTLY and not column.keys_of_records)
            or (is_called_a_picture(column.name) and max(column.share_pictures, column.share_addresses) > _MOSTLY)
        )
        and not is_text_of_a_picture(column.name)
    ]
    return _in_order_of_numbers(found)


def _rank(name: str) -> int:
    """0 of the picture that a shop calls the main one, 2 of those beside it, 1 of others: an item's first is shown.

    >>> _rank("imageLink"), _rank("main_image"), _rank("additionalImageLinks"), _rank("image_2")
    (1, 0, 2, 1)
    """
    plain = plain_name(name)
    if any(word in plain for word in _BESIDE):
        return 2
    return 0 if any(word in plain for word in _MAIN) else 1


def _is_end_of(column: SeenColumn, other: SeenColumn) -> bool:
    """Whether each cell is the end of the path or address in the other column, its file's name or more of its path: the
    same pictures once more."""
    pairs = zip(column.texts_of_rows, other.texts_of_rows, strict=True)
    ends = [_ends_with(_plain_path(path), _plain_path(cell).lstrip("/")) for cell, path in pairs if cell and path]
    return len(ends) == len(column.filled) > 0 and all(ends)


def _plain_path(text: str) -> str:
    return unquote(text.partition("?")[0])


def _ends_with(path: str, end: str) -> bool:
    """Whether something stands before that end of a path."""
    return path.endswith(f"/{end}") and path != f"/{end}"


def _in_order_of_numbers(columns: Sequence[SeenColumn]) -> list[SeenColumn]:
    """The columns in the file's order, those that differ by a number alone by it: image_3 before image_10."""
    alike: dict[str, list[SeenColumn]] = {}
    for column in columns:
        alike.setdefault(plain_name(re.sub(r"\d+", "", column.name)), []).append(column)
    return [column for same in alike.values() for column in sorted(same, key=_numbers)]


def _numbers(column: SeenColumn) -> list[int]:
    return [int(number) for number in re.findall(r"[0-9]+", column.name)]


def _is_doubtful(column: SeenColumn, title: SeenColumn | None) -> bool:
    """Whether the pictures may be of other things than the products."""
    if is_of_no_product(column.name):
        return True
    if len(column.texts) != len(column.filled) or not column.texts:  # pictures in cells, lists
        return False
    if not is_called_a_picture(column.name):
        return len(column.texts) >= _FEWEST_CELLS and column.share_distinct <= _FEW_DIFFER
    most, number = Counter(column.texts).most_common(1)[0]
    return number >= _NEARLY_ALL * len(column.texts) and _num_items(column, most, title) >= _SEVERAL_ITEMS


def _num_items(column: SeenColumn, picture: str, title: SeenColumn | None) -> int:
    """Items that have the picture: rows, or where titles are known different ones."""
    has_it = [text == picture for text in column.texts_of_rows]
    if title is None or not title.texts:
        return sum(has_it)
    return len({text for text, is_one in zip(title.texts_of_rows, has_it, strict=True) if is_one and text is not None})
