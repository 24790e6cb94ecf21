"""Texts of a mapping's `leave_out` that no row has: most likely another word than the shop's own is written there."""

import difflib
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

import pyarrow as pa
import pyarrow.compute as pc

from schemas.coercion.cells import BatchFindings, cells_of_sources
from schemas.columns.leave_out import ANY, LeaveOut
from schemas.columns.raw_rows import RawRows
from schemas.columns.spec import Columns
from schemas.quarantine import quote
from schemas.reading.rows import read_table
from schemas.tables import LEAVE_OUT
from schemas.validation.left_out_rows import plain_texts_of

#: Rows that are looked at, at most by a batch more.
MAX_ROWS = 100_000
#: How like a text of the column, from 0 to 1, one is that misspells it.
_NEAR = 0.75
#: Letters before a word that make its opposite, and so are no slip: unpublished, inactive, not visible.
_OPPOSITE = ("un", "in", "not ", "non", "de", "dis")
_MOST_NAMED = 3
_MAX_CHARACTERS = 100


@dataclass(frozen=True, kw_only=True)
class UnmetTexts:
    """Of one column. texts: of its list those that no row has; near: each that is much like a text of the column ->
    that one; is_all: whether no text of the list is there; frequent: (text, rows) of the column's most frequent ones;
    num_rows: those that were looked at."""

    column: str
    texts: tuple[str, ...]
    near: dict[str, str]
    is_all: bool
    frequent: tuple[tuple[str, int], ...]
    num_rows: int

    @property
    def is_likely_wrong(self) -> bool:
        """Whether what is written is rather a slip than a word that the shop uses on other days: a column that has one
        text today (`true`) may have the other one tomorrow."""
        return bool(self.near) or (self.is_all and len(self.frequent) > 1)

    @property
    def in_words(self) -> str:
        """For a person."""
        texts = ", ".join(map(quote, self.texts))
        asked = [f"should {quote(text)} be {quote(near)}?" for text, near in self.near.items()]
        listed = ", ".join(f"{quote(text)} ({count:,})" for text, count in self.frequent)
        there = f"the column has most often {listed}" if listed else "the column is blank"
        are = "is" if len(self.texts) == 1 else "are"
        told = (
            f"{LEAVE_OUT.name}: {texts} of {quote(self.column)} {are} on none of the {self.num_rows:,} rows looked at"
        )
        return f"{told}: {' '.join([*asked, there])}"


def unmet_texts(files: Sequence[str], columns: Columns) -> list[UnmetTexts]:
    """The texts of the mapping's leave_out that none of the first rows of the files has, by column; [] without one."""
    spec = columns.get(LEAVE_OUT.name)
    if not isinstance(spec, LeaveOut):
        return []
    met = [Counter[str]() for _ in spec.source]
    num_rows = 0
    for _, raw in read_table(files, columns, pa.schema([LEAVE_OUT])):
        _add_texts(raw, met)
        num_rows += raw.table.num_rows
        if num_rows >= MAX_ROWS:
            break
    found = [
        unmet_of(column, listed, texts, num_rows)
        for column, listed, texts in zip(spec.source, spec.texts, met, strict=True)
    ]
    return [one for one in found if one.texts and num_rows]


def unmet_of(column: str, listed: Sequence[str], met: Counter[str], num_rows: int) -> UnmetTexts:
    """What is said of one column. listed: as leave_out has them; met: text -> its rows, both as plain_texts has them.

    >>> unmet_of("Status", ["drafts", "archived"], Counter(active=9, draft=2, archived=1), 12).near
    {'drafts': 'draft'}
    """
    texts = tuple(text for text in listed if text not in (*met, ANY))
    others = [text for text in met if text not in listed]
    near = {text: found[0] for text in texts if (found := _alike(text, others))}
    is_all = len(texts) == len(listed)
    return UnmetTexts(
        column=column,
        texts=texts,
        near=near,
        is_all=is_all,
        frequent=tuple(met.most_common(_MOST_NAMED)),
        num_rows=num_rows,
    )


def _alike(text: str, others: Sequence[str]) -> list[str]:
    near = difflib.get_close_matches(text, others, n=1, cutoff=_NEAR)
    opposite = {f"{before}{one}" for before in _OPPOSITE for one in (text, *near)}
    return [one for one in near if one not in opposite and text not in opposite]


def _add_texts(raw: RawRows, met: Sequence[Counter[str]]) -> None:
    for cells, counter in zip(cells_of_sources(raw, LEAVE_OUT.name), met, strict=True):
        texts = pc.utf8_slice_codeunits(plain_texts_of(cells, BatchFindings()), 0, _MAX_CHARACTERS)
        for one in pc.value_counts(texts.drop_null()).to_pylist():
            if one["values"]:
                counter[one["values"]] += one["counts"]
        for row in cells.was_word.nonzero()[0].tolist():
            counter[str(cells.word(row)).strip().lower()] += 1
