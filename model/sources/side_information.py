"""Side information of items as sparse rows: which attribute values an item has, one-hot and multi-hot fields beside
each other (One Embedding To Do Them All, arXiv 1906.12120, section 3: what the denoising auto-encoder reads).

    field             form    text of the catalogue      values
    brand             whole   "Harrow & Finch"           "harrow & finch"
    colors            words   "navy blue, White"         "navy" "blue" "white"
    product_types     paths   "Home > Sofa | Sale"       "home" "home > sofa" "sale"

    columns of a row:  brand: most frequent value ... rarest kept, other | colors: ..., other | ...

A value that the vocabulary does not keep counts as its field's "other"; a field without text has no value at all.
Counts of values are a monoid (Counter), so that a job may add up those of its parts.

Legend: N items, V columns of the vocabulary.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Literal, get_args

import numpy as np
from scipy import sparse

from model.text.tokenizer import normalize, words
from schemas.errors import CorruptFileError, UsageError
from schemas.quarantine import quote
from schemas.tables import TEXT_FIELDS

Form = Literal["whole", "words", "paths"]
#: The text of each field of each item, None where there is none: columns of the table ITEMS.
Columns = Mapping[str, Sequence[str | None]]

#: Fields that name attributes, and how each is read. Titles and descriptions are text, links and domains are places.
ATTRIBUTE_FIELDS: Mapping[str, Form] = {
    "brand": "whole",
    "colors": "words",
    "size_type": "whole",
    "size": "whole",
    "patterns": "words",
    "materials": "words",
    "product_types": "paths",
    "google_product_category": "paths",
}
_BETWEEN_PATHS, _STEP, _STEPS = "|", ">", " > "
#: Of one cell: what lies beyond is not read, so that a broken feed costs no more than a whole one.
MAX_CELL_CHARACTERS, MAX_CELL_VALUES = 4_096, 64


@dataclass(frozen=True, kw_only=True)
class SideInformationConfig:
    """Which fields are read and how (field -> form); an attribute that is to be asked for later is left out here.
    min_items: of a value that is kept. max_values: kept in each field, the most frequent."""

    fields: Mapping[str, Form] | None = None
    min_items: int = 2
    max_values: int = 10_000

    def __post_init__(self) -> None:
        if unknown := sorted(set(self.forms) - set(TEXT_FIELDS)):
            raise UsageError(f"expected fields of {', '.join(TEXT_FIELDS)}, got {unknown} too")
        if odd := sorted(set(self.forms.values()) - set(get_args(Form))):
            raise UsageError(f"expected forms of {', '.join(get_args(Form))}, got {odd} too")
        if not self.forms or self.min_items < 1 or self.max_values < 1:
            got = f"{len(self.forms)}, {self.min_items} and {self.max_values}"
            raise UsageError(f"expected at least one field, min_items and max_values >= 1, got {got}")

    @property
    def forms(self) -> Mapping[str, Form]:
        """The fields in use."""
        return ATTRIBUTE_FIELDS if self.fields is None else self.fields

    def without(self, *fields: str) -> "SideInformationConfig":
        """The same without these fields: what a task asks for must not be in the vectors that it asks."""
        kept = {name: form for name, form in self.forms.items() if name not in fields}
        return SideInformationConfig(fields=kept, min_items=self.min_items, max_values=self.max_values)


def values_of(text: str | None, form: Form) -> list[str]:
    """The distinct values of a cell, in the order in which they come.

    >>> values_of("Home > Sofa | Sale", "paths"), values_of("navy, White navy", "words"), values_of(" ", "whole")
    (['home', 'home > sofa', 'sale'], ['navy', 'white'], [])
    """
    normal = normalize((text or "")[:MAX_CELL_CHARACTERS])
    if form == "words":
        values = words(normal)
    elif form == "paths":
        values = [value for path in normal.split(_BETWEEN_PATHS) for value in _prefixes(path)]
    else:
        values = [" ".join(normal.split())]
    return list(dict.fromkeys(filter(None, values)))[:MAX_CELL_VALUES]


def _prefixes(path: str) -> list[str]:
    steps = [" ".join(step.split()) for step in path.split(_STEP)]
    steps = [step for step in steps if step]
    return [_STEPS.join(steps[:length]) for length in range(1, len(steps) + 1)]


def count_values(columns: Columns, config: SideInformationConfig) -> Counter[tuple[str, str]]:
    """(field, value) -> number of items that have it. Raises UsageError if a field is missing or of another length."""
    _num_items(columns, config.forms)
    found: Counter[tuple[str, str]] = Counter()
    for field, form in config.forms.items():
        found.update((field, value) for text in columns[field] for value in values_of(text, form))
    return found


@dataclass(frozen=True)
class AttributeVocabulary:
    """The columns of rows of side information. forms: of each field, in the order of columns; counts: of each field the
    kept values, most frequent first, with their items; other: how often items had a value that is not kept."""

    forms: Mapping[str, Form]
    counts: Mapping[str, Mapping[str, int]]
    other: Mapping[str, int]

    def __len__(self) -> int:
        """V: the number of columns, one "other" of each field among them."""
        return sum(len(values) + 1 for values in self.counts.values())

    @cached_property
    def columns(self) -> dict[str, dict[str, int]]:
        """field -> value -> its column."""
        found, start = {}, 0
        for field in self.forms:
            found[field] = {value: start + place for place, value in enumerate(self.counts[field])}
            start += len(found[field]) + 1
        return found

    @cached_property
    def other_column(self) -> dict[str, int]:
        """field -> the column of its values that are not kept."""
        ends = np.cumsum([len(self.counts[field]) + 1 for field in self.forms])
        return {field: int(end) - 1 for field, end in zip(self.forms, ends, strict=True)}

    def rows(self, columns: Columns) -> sparse.csr_matrix:
        """float32 [N, V] of ones, columns ascending in each row. Raises UsageError if a field is missing or of another
        length than the others."""
        places = [self._places(columns, row) for row in range(_num_items(columns, self.forms))]
        offsets = np.cumsum([0, *map(len, places)])
        flat = np.fromiter((place for row in places for place in row), np.int64, count=int(offsets[-1]))
        return sparse.csr_matrix((np.ones(len(flat), np.float32), flat, offsets), shape=(len(places), len(self)))

    def _places(self, columns: Columns, row: int) -> list[int]:
        found: set[int] = set()
        for field, form in self.forms.items():
            known, other = self.columns[field], self.other_column[field]
            found.update(known.get(value, other) for value in values_of(columns[field][row], form))
        return sorted(found)

    def to_json(self) -> dict[str, Any]:
        """As from_json reads it; values keep their order, which sorted keys would lose."""
        fields = [
            {"field": field, "form": form, "values": list(self.counts[field].items()), "other": self.other[field]}
            for field, form in self.forms.items()
        ]
        return {"fields": fields}

    @classmethod
    def from_json(cls, value: Any) -> "AttributeVocabulary":
        """Inverse of to_json; CorruptFileError for anything else."""
        try:
            fields = value["fields"]
            forms = {str(one["field"]): one["form"] for one in fields}
            counts = {str(one["field"]): {str(name): int(count) for name, count in one["values"]} for one in fields}
            other = {str(one["field"]): int(one["other"]) for one in fields}
            distinct = all(len(counts[one["field"]]) == len(one["values"]) for one in fields)
        except (KeyError, TypeError, ValueError) as error:
            raise CorruptFileError(f"expected a vocabulary of attributes, got {quote(str(error))}") from error
        if not forms or len(forms) != len(fields) or not distinct or set(forms.values()) - set(get_args(Form)):
            raise CorruptFileError(f"expected fields and values that are there once, got {quote(str(value))}")
        return cls(forms, counts, other)


def vocabulary_of(counts: Mapping[tuple[str, str], int], config: SideInformationConfig) -> AttributeVocabulary:
    """The values of each field that at least `min_items` items have, at most `max_values` of them, most frequent first,
    equal counts by value: the order of the counts does not matter. A field without values keeps its "other"."""
    kept: dict[str, dict[str, int]] = {}
    other: dict[str, int] = {}
    for field in config.forms:
        of_field = sorted((-count, value) for (name, value), count in counts.items() if name == field)
        frequent = [(value, -negative) for negative, value in of_field if -negative >= config.min_items]
        kept[field] = dict(frequent[: config.max_values])
        other[field] = -sum(negative for negative, _ in of_field) - sum(kept[field].values())
    return AttributeVocabulary(dict(config.forms), kept, other)


def _num_items(columns: Columns, forms: Mapping[str, Form]) -> int:
    if missing := [field for field in forms if field not in columns]:
        raise UsageError(f"expected the columns {list(forms)}, got none of {missing}")
    lengths = {field: len(columns[field]) for field in forms}
    if len(set(lengths.values())) > 1:
        raise UsageError(f"expected columns of equal length, got {lengths}")
    return next(iter(lengths.values()))
