"""A column of a shop's table, and what its first values say of it: how many are there, differ, are words, pictures."""

import statistics
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from pipelines.console.terminal import shortened
from pipelines.init.table.cells import (
    is_address,
    is_name_of_a_picture,
    is_readable,
    keys_of_record,
    picture_cell,
    text_or_none,
)
from pipelines.init.table.nested import EditorText

#: Of what is printed on a line.
MAX_EXAMPLE = 60


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
        return [text for value in self.filled if (text := text_or_none(value)) is not None]

    @property
    def texts_of_rows(self) -> list[str | None]:
        """The text of each row; None where there is none."""
        return [None if value is None else text_or_none(value) for value in self.values]

    @property
    def share_filled(self) -> float:
        """Of the rows; 0 without any."""
        return len(self.filled) / len(self.values) if self.values else 0.0

    @cached_property
    def share_readable(self) -> float:
        """The rows that have what a field of texts can be made of: a text, or a list of texts; 0 without any."""
        return sum(map(is_readable, self.filled)) / len(self.values) if self.values else 0.0

    @cached_property
    def is_of_an_editor(self) -> bool:
        """Whether some value was a document of an editor."""
        return any(isinstance(value, EditorText) for value in self.values)

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
        return shortened(" ".join(str(value).split()), MAX_EXAMPLE)

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
        return self._share_of_lists(is_name_of_a_picture)

    @cached_property
    def share_addresses(self) -> float:
        """The values that hold nothing but pictures and http(s) addresses, of those that are there."""
        return self._share_of_lists(is_address)

    @cached_property
    def keys_of_records(self) -> list[str]:
        """The keys of the first value that is an object, or a list of objects, which say more than a picture's address
        and what is known of pictures; [] without any."""
        return next((keys for value in self.filled if (keys := keys_of_record(value))), [])

    def _share_of_lists(self, is_one: Callable[[str], bool]) -> float:
        cells = map(picture_cell, self.filled)
        matching = [bool(cell.num_pictures or cell.addresses) and all(map(is_one, cell.addresses)) for cell in cells]
        return sum(matching) / len(matching) if matching else 0.0
