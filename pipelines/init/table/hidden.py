"""Products that are in a table though customers do not see them: asked about, with the line that leaves them out."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import pyarrow as pa

from pipelines.console.terminal import shortened
from pipelines.init.table.seen import SeenTable
from schemas.columns.leave_out import ANY
from schemas.tables import LEAVE_OUT
from schemas.validation.rows_of_totals import are_called_totals

#: Different texts of a column that its line names; of one with more it is asked without a line.
_MOST_TEXTS = 20
_MAX_TEXT = 40


class Shown(NamedTuple):
    """name: of a column that tells whether customers see a product. good: what it has of one that they see, in small
    letters. hidden: what it usually has of others, whether or not it was seen; ANY: whatever stands there."""

    name: str
    good: Sequence[str]
    hidden: Sequence[str] = ()


@dataclass(frozen=True)
class Hidden:
    """A column that some rows have another text in than products that customers see. seen: these texts; texts: what
    leaves such rows out, nothing where there are too many; why: what such a row seems to be, where it is no product."""

    column: str
    seen: Counter[str]
    texts: tuple[str, ...]
    why: str = ""

    @property
    def question(self) -> str:
        """For a person."""
        listed = ", ".join(
            f"{shortened(text, _MAX_TEXT)} in {count:,} rows" for text, count in self.seen.most_common(3)
        )
        what = f"take away the # before the line {LEAVE_OUT.name} = ..." if self.texts else f"write {LEAVE_OUT.name}"
        why = f" ({self.why})" if self.why else ""
        return f"{self.column}: {listed}{why}. They are items too: {what} in [columns] if they should not be"


def hidden_products(table: SeenTable, shown: Sequence[Shown]) -> tuple[Hidden, ...]:
    """The columns of these that say of some rows that customers do not see their product."""
    found = []
    for name, good, usual in shown:
        column = table.column([name])
        if column is None:
            continue
        seen = Counter(text.strip() for text in column.texts if text.strip().casefold() not in good)
        if not seen:
            continue
        found.append(Hidden(column.name, seen, _texts(seen, usual)))
    return tuple(found)


def _texts(seen: Counter[str], usual: Sequence[str]) -> tuple[str, ...]:
    if ANY in usual:
        return (ANY,)
    if len(seen) > _MOST_TEXTS:
        return ()
    once: dict[str, str] = {}
    for text in (*dict(seen.most_common()), *usual):
        once.setdefault(text.casefold(), text)
    return tuple(once.values())


def with_totals(hidden: Sequence[Hidden], totals: Mapping[str, Sequence[str]]) -> tuple[Hidden, ...]:
    """The columns with those, too, that rows of totals are called so in. totals: column -> the texts."""
    found = (Hidden(column, Counter(texts), tuple(texts), _why(texts)) for column, texts in totals.items())
    return (*hidden, *found)


def _why(texts: Sequence[str]) -> str:
    are_totals = are_called_totals(pa.array(texts, pa.string()))
    kinds = ["a row of totals"] * bool(are_totals.any()) + ["a line below the table"] * (not are_totals.all())
    return f"{' or '.join(kinds)}?"


def leave_out_entry(hidden: Sequence[Hidden]) -> dict[str, list[str]]:
    """The value of `leave_out` that leaves all such products out."""
    return {one.column: list(one.texts) for one in hidden if one.texts}
