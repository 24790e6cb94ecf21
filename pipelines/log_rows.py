"""What becomes of the rows of an engagement log, in counts: which are of use, and what is rejected most. Knows no Beam.

A row is of use to something (users, pairs, an evaluation) if it is an action of a shop's customer, up to the end of
the day, on an item of the catalogue, by a known user or for a query:
rows_read = rows_quarantined + rows_after_date + rows_other_actions + rows_without_user_or_query + rows_item_unknown +
rows_used; a row counts where it first belongs, in this order.
"""

import json
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from typing import NamedTuple

import pyarrow as pa
import pyarrow.compute as pc

from schemas.quarantine import Rejection, quote
from schemas.tables import POSITIVE_ACTIONS, QUERY_SURFACES

LOG_STAGE = "log"
#: Counts of valid rows that are of no use.
LEFT_OUT = ("rows_after_date", "rows_other_actions", "rows_without_user_or_query", "rows_item_unknown")
#: Values that are kept of each kind of rejection in a piece of a log, and that are shown of the whole.
KEPT_VALUES = 5
#: Kinds of rejection with their values that are told apart at one time.
_MAX_KINDS = 20_000
_REJECTED, _UNKNOWN = "rejected:", "item_unknown:"


class RejectedValue(NamedTuple):
    """A value that was rejected, and in how many rows; reason, expected and got as in schemas.quarantine.Rejection."""

    reason: str
    expected: str
    got: str
    num_rows: int


class LogUse:
    """Counts what the rows of a piece of a log are good for. end_us: rows at or after it (microseconds since 1970, UTC)
    are of no use, None: none are."""

    def __init__(self, end_us: int | None):
        self.end_us = end_us
        self._left_out: Counter[str] = Counter()
        self._items: list[pa.ChunkedArray] = []

    def add(self, valid: pa.Table) -> None:
        """Valid ENGAGEMENTS."""
        rows = valid
        time_us = pc.cast(rows["timestamp"], pa.int64())
        if self.end_us is not None:
            rows = self._keep(rows, pc.less(time_us, self.end_us), "rows_after_date")
        rows = self._keep(rows, pc.is_in(rows["action"], pa.array(POSITIVE_ACTIONS)), "rows_other_actions")
        has_query = pc.is_in(rows["surface"], pa.array(QUERY_SURFACES))
        rows = self._keep(rows, pc.or_(has_query, pc.is_valid(rows["user_id"])), "rows_without_user_or_query")
        self._items.append(rows["item_id"])

    def _keep(self, rows: pa.Table, mask: pa.ChunkedArray, left_out: str) -> pa.Table:
        kept = rows.filter(mask)
        self._left_out[left_out] += len(rows) - len(kept)
        return kept

    def counts(self, item_ids: pa.Array) -> dict[str, int]:
        """Rows by what became of them, without those that were rejected, and the unknown ids that most rows name.
        item_ids: of the catalogue."""
        items = pa.chunked_array(self._items, pa.string())
        known = pc.is_in(items, value_set=item_ids)
        unknown = pc.value_counts(items.filter(pc.invert(known))).to_pylist()
        most = sorted(((entry["values"], entry["counts"]) for entry in unknown), key=lambda pair: (-pair[1], pair[0]))
        return {
            **self._left_out,
            "rows_item_unknown": sum(count for _, count in most),
            "rows_used": pc.sum(known, min_count=0).as_py(),
            **{_UNKNOWN + quote(item_id): count for item_id, count in most[:KEPT_VALUES]},
        }


class RejectedRows:
    """Counts rejected rows by reason and value, in bounded memory: of values beyond _MAX_KINDS the rare ones are
    forgotten, so that what is counted of a value is at most too little."""

    def __init__(self) -> None:
        self._reasons: Counter[str] = Counter()
        self._values: Counter[tuple[str, str, str]] = Counter()

    def add(self, rejections: Sequence[Rejection]) -> None:
        self._reasons.update(row.reason for row in rejections)
        self._values.update((row.reason, row.expected, row.got) for row in rejections)
        if len(self._values) > _MAX_KINDS:
            self._values = Counter(dict(self._values.most_common(_MAX_KINDS // 2)))

    def counts(self) -> dict[str, int]:
        """rows_quarantined, and reason:<reason>, as a unit's quarantine counts them, and the values."""
        reasons = {f"reason:{name}": count for name, count in self._reasons.items()}
        return {"rows_quarantined": self._reasons.total(), **reasons, **self.values()}

    def values(self) -> dict[str, int]:
        """Counts of the values that are rejected most, of each reason and what it expected."""
        kept: Counter[tuple[str, str]] = Counter()
        found = {}
        for (reason, expected, got), count in sorted(self._values.items(), key=lambda entry: (-entry[1], entry[0])):
            if kept[reason, expected] < KEPT_VALUES:
                kept[reason, expected] += 1
                found[_REJECTED + json.dumps([reason, expected, got])] = count
        return found


def rejected_values(counts: Mapping[str, int]) -> list[RejectedValue]:
    """What RejectedRows has put into counts, the most frequent first; of a log in pieces a value may lack the rows of
    pieces in which others were more frequent."""
    found = [RejectedValue(*json.loads(name), count) for name, count in _named(counts, _REJECTED)]
    return sorted(found, key=lambda value: (-value.num_rows, value))


def unknown_items(counts: Mapping[str, int]) -> list[tuple[str, int]]:
    """(quoted id, rows) that LogUse has put into counts, the most frequent first; see rejected_values."""
    return sorted(_named(counts, _UNKNOWN), key=lambda pair: (-pair[1], pair[0]))


def _named(counts: Mapping[str, int], prefix: str) -> Iterator[tuple[str, int]]:
    return ((name.removeprefix(prefix), count) for name, count in counts.items() if name.startswith(prefix))
