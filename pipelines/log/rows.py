"""What becomes of the rows of an engagement log, in counts: which are of use, and what is rejected most. Knows no Beam.

A row is of use to something (users, pairs, an evaluation) if it is an action of a shop's customer, up to the end of
the day, on an item of the catalogue, by a known user or for a query:
rows_read = rows_quarantined + rows_after_date + rows_other_actions + rows_without_user_or_query + rows_item_unknown +
rows_equal (to another one that is of use) + rows_used; a row counts where it first belongs, in this order.
"""

import json
from collections import Counter
from collections.abc import Collection, Iterator, Mapping, Sequence
from typing import NamedTuple, TypeVar

import pyarrow as pa
import pyarrow.compute as pc

from schemas.cells.invisible_letters import INVISIBLE
from schemas.events.actions import WITH_ITEMS_OF, WITHOUT_ITEMS_OF
from schemas.events.paths import NO_ROWS
from schemas.quarantine import Rejection, quote
from schemas.tables import ENGAGEMENTS, POSITIVE_ACTIONS, QUERY_SURFACES
from schemas.validation.rules import REMEDIES

LOG_STAGE = "log"
#: Counts of valid rows that are of no use.
LEFT_OUT = ("rows_after_date", "rows_other_actions", "rows_without_user_or_query", "rows_item_unknown")
#: Of the rows that are used, those that have a user.
ROWS_WITH_USER = "rows_with_user"
EMPTY_LOG = "the log is empty (a header alone, or not even that)"
#: Of the rows whose item is unknown, those of which the catalogue has the id in another spelling.
ROWS_NEAR = "rows_item_near"
#: What to do where ids differ by a .0 at the end, which each table has told for itself.
_OF_POINTS = (
    ", or say in the config which is right, in [columns] and in [columns.engagements] alike: item_id = "
    '{source = "your column", whole = true} makes 7 of 7.0, whole = false leaves it'
)
#: Values that are kept of each kind of rejection in a piece of a log, and that are shown of the whole.
KEPT_VALUES = 5
#: Kinds of rejection with their values, and unknown ids, that are told apart at one time.
_MAX_KINDS = 20_000
_REJECTED, _UNKNOWN, _NEAR = "rejected:", "item_unknown:", "item_near:"
#: Unknown ids of a piece of a log, those of most rows, that are compared with the catalogue's in other spellings.
_MAX_COMPARED = 1_000


_Value = TypeVar("_Value")


class RejectedValue(NamedTuple):
    """A value that was rejected, and in how many rows; reason, expected and got as in schemas.quarantine.Rejection, and
    remedy too, "" where it is that of the reason."""

    reason: str
    expected: str
    got: str
    num_rows: int
    remedy: str = ""


class LogUse:
    """Counts what the rows of a piece of a log are good for, in bounded memory: of unknown ids beyond _MAX_KINDS those
    of few rows are forgotten, so that what is counted of an id is at most too little. end_us: rows at or after it
    (microseconds since 1970, UTC) are of no use, None: none are; item_ids: of the catalogue."""

    def __init__(self, end_us: int | None, item_ids: pa.Array):
        self.end_us, self.item_ids = end_us, item_ids
        self._left_out: Counter[str] = Counter()
        self._unknown: Counter[str] = Counter()
        self._num_unknown = 0
        self._waiting: list[pa.Table] = []
        #: Rows that take() would look at.
        self.num_waiting = 0

    def add(self, valid: pa.Table) -> None:
        """Valid ENGAGEMENTS."""
        rows = valid
        time_us = pc.cast(rows["timestamp"], pa.int64())
        if self.end_us is not None:
            rows = self._keep(rows, pc.less(time_us, self.end_us), "rows_after_date")
        rows = self._keep(rows, pc.is_in(rows["action"], pa.array(POSITIVE_ACTIONS)), "rows_other_actions")
        has_query = pc.is_in(rows["surface"], pa.array(QUERY_SURFACES))
        rows = self._keep(rows, pc.or_(has_query, pc.is_valid(rows["user_id"])), "rows_without_user_or_query")
        self._waiting.append(rows)
        self.num_waiting += len(rows)

    def _keep(self, rows: pa.Table, mask: pa.ChunkedArray, left_out: str) -> pa.Table:
        kept = rows.filter(mask)
        self._left_out[left_out] += len(rows) - len(kept)
        return kept

    def take(self) -> pa.Table:
        """The ENGAGEMENTS of use among those that were added since, equal ones too: their items are looked up in the
        whole catalogue, so many rows at once are better than few."""
        rows = pa.concat_tables([ENGAGEMENTS.empty_table(), *self._waiting])
        self._waiting, self.num_waiting = [], 0
        is_known = pc.is_in(rows["item_id"], value_set=self.item_ids)
        unknown = rows["item_id"].filter(pc.invert(is_known))
        self._num_unknown += len(unknown)
        most = pa.Table.from_struct_array(pc.value_counts(unknown))
        most = most.sort_by([("counts", "descending"), ("values", "ascending")]).slice(0, _MAX_KINDS)
        self._unknown.update(dict(zip(most["values"].to_pylist(), most["counts"].to_pylist(), strict=True)))
        self._unknown = _of_most_rows(self._unknown)
        return rows.filter(is_known)

    def counts(self) -> dict[str, int]:
        """Rows that are of no use by what became of them, without those that were rejected, nor those that take() was
        not asked for; the unknown ids that most rows name, and of these, where there are any, ROWS_NEAR and the ids
        that the catalogue has in another spelling."""
        most = _most_first(self._unknown)
        return {
            **self._left_out,
            **_near_counts(most, self.item_ids),
            "rows_item_unknown": self._num_unknown,
            **unknown_counts(self._unknown),
        }


def _of_most_rows(values: Counter[_Value]) -> Counter[_Value]:
    """Counts of at most _MAX_KINDS values: of more the half of most rows, so that what is counted of a value that was
    forgotten and comes again is too little."""
    return values if len(values) <= _MAX_KINDS else Counter(dict(values.most_common(_MAX_KINDS // 2)))


def unknown_counts(unknown: Mapping[str, int]) -> dict[str, int]:
    """The unknown ids that most rows name, as LogUse counts them; see unknown_items."""
    return {_UNKNOWN + quote(item_id): count for item_id, count in _most_first(unknown)[:KEPT_VALUES]}


def near_counts(items: Mapping[str, int], ids: Collection[str]) -> dict[str, int]:
    """ROWS_NEAR and the ids that the catalogue has in another spelling, as LogUse counts them; nothing without any.
    items: id in the log -> its rows; ids: of the catalogue."""
    unknown = {item_id: count for item_id, count in items.items() if item_id not in ids}
    return _near_counts(_most_first(unknown), pa.array(sorted(ids), pa.string()))


def _near_counts(most: Sequence[tuple[str, int]], item_ids: pa.Array) -> dict[str, int]:
    """most: unknown ids and their rows, those of most rows first."""
    near = near_misses([item_id for item_id, _ in most[:_MAX_COMPARED]], item_ids)
    spelt = [(item_id, count) for item_id, count in most if item_id in near]
    return {
        **({ROWS_NEAR: sum(count for _, count in spelt)} if spelt else {}),
        **{_NEAR + json.dumps([quote(i), quote(near[i])]): count for i, count in spelt[:KEPT_VALUES]},
    }


def _most_first(items: Mapping[str, int]) -> list[tuple[str, int]]:
    return sorted(items.items(), key=lambda pair: (-pair[1], pair[0]))


def is_empty_log(counts: Mapping[str, int]) -> bool:
    """Whether a log has neither a row nor an event that is none, by the counts of its stage."""
    return not any(counts.get(name) for name in ("rows_read", *NO_ROWS))


def action_count(action: str) -> str:
    """The count of the log stage that says how many rows of use have an action."""
    return f"action:{action}"


def near_misses(unknown: Sequence[str], item_ids: pa.Array) -> dict[str, str]:
    """The ids that item_ids has but for case, leading zeros, blanks, invisible characters, a leading apostrophe (a
    sheet's mark of a text), a `.0` at the end or their Unicode form -> the id there.

    >>> near_misses(["SKU-1", "7.0", "x"], pa.array(["sku-1", "007"]))
    {'SKU-1': 'sku-1', '7.0': '007'}
    """
    if not unknown or not len(item_ids):
        return {}
    place = pc.index_in(_spelling(pa.array(unknown, pa.string())), value_set=_spelling(item_ids))
    found = pc.take(item_ids, place).to_pylist()
    return {item_id: known for item_id, known in zip(unknown, found, strict=True) if known is not None}


def _spelling(ids: pa.Array) -> pa.Array:
    folded = pc.utf8_lower(pc.utf8_normalize(ids, form="NFD"))
    seen = pc.replace_substring_regex(folded, f"[{INVISIBLE}]", "")
    return pc.utf8_ltrim(pc.replace_substring_regex(seen, r"^\s*['’]|\s+|\.0+$", ""), "0")


class RejectedRows:
    """Counts rejected rows by reason and value, in bounded memory: of values beyond _MAX_KINDS the rare ones are
    forgotten, so that what is counted of a value is at most too little."""

    def __init__(self) -> None:
        self._reasons: Counter[str] = Counter()
        self._values: Counter[tuple[str, str, str, str]] = Counter()

    def add(self, rejections: Sequence[Rejection]) -> None:
        self._reasons.update(row.reason for row in rejections)
        self._values.update((row.reason, row.expected, row.got, _own_remedy(row)) for row in rejections)
        self._values = _of_most_rows(self._values)

    def counts(self) -> dict[str, int]:
        """rows_quarantined, and reason:<reason>, as a unit's quarantine counts them, and the values."""
        reasons = {f"reason:{name}": count for name, count in self._reasons.items()}
        return {"rows_quarantined": self._reasons.total(), **reasons, **self.values()}

    def values(self) -> dict[str, int]:
        """Counts of the values that are rejected most, of each reason and what it expected."""
        kept: Counter[tuple[str, str]] = Counter()
        found = {}
        for value, count in sorted(self._values.items(), key=lambda entry: (-entry[1], entry[0])):
            reason, expected, got, remedy = value
            if kept[reason, expected] < KEPT_VALUES:
                kept[reason, expected] += 1
                found[_REJECTED + json.dumps([reason, expected, got, *filter(None, [remedy])])] = count
        return found


def _own_remedy(row: Rejection) -> str:
    return "" if row.remedy == REMEDIES.get(row.reason) else row.remedy


def rejected_values(counts: Mapping[str, int]) -> list[RejectedValue]:
    """What RejectedRows has put into counts, the most frequent first; of a log in pieces a value may lack the rows of
    pieces in which others were more frequent."""
    told = [(json.loads(name), count) for name, count in _named(counts, _REJECTED)]
    found = [
        RejectedValue(reason, expected, got, count, remedy[0] if remedy else "")
        for (reason, expected, got, *remedy), count in told
    ]
    return sorted(found, key=lambda value: (-value.num_rows, value))


def unknown_items(counts: Mapping[str, int]) -> list[tuple[str, int]]:
    """(quoted id, rows) that LogUse has put into counts, the most frequent first; see rejected_values."""
    return sorted(_named(counts, _UNKNOWN), key=lambda pair: (-pair[1], pair[0]))


def near_items(counts: Mapping[str, int]) -> list[tuple[str, str, int]]:
    """(quoted id, quoted id of the catalogue, rows) that LogUse has put into counts, the most frequent first; see
    rejected_values."""
    found = [(*json.loads(name), count) for name, count in _named(counts, _NEAR)]
    return sorted(found, key=lambda entry: (-entry[2], entry))


def near_in_words(counts: Mapping[str, int]) -> str:
    """The ids of the log that the catalogue has in another spelling, and what to do; empty if there are none."""
    if not counts.get(ROWS_NEAR):
        return ""
    near = near_items(counts)[:KEPT_VALUES]
    pairs = ", ".join(f"{unknown} is {known} there" for unknown, known, _ in near)
    has_points = any(unknown.endswith(".0'") or known.endswith(".0'") for unknown, known, _ in near)
    return (
        f"{counts[ROWS_NEAR]:,} rows name items that the catalogue has in another spelling (case, leading zeros, "
        f"blanks, invisible characters, a leading apostrophe, a .0 at the end, Unicode form): {pairs}; write the ids "
        f"alike in both exports{_OF_POINTS if has_points else ''}"
    )


def without_items_in_words(counts: Mapping[str, int]) -> str:
    """The actions of which most events have no item, and what to do; empty if there are none.

    >>> without_items_in_words({"events_without_items:click": 1, "events_with_items:click": 1})
    ''
    """
    without = {action: counts.get(WITHOUT_ITEMS_OF + action, 0) for action in POSITIVE_ACTIONS}
    total = {action: count + counts.get(WITH_ITEMS_OF + action, 0) for action, count in without.items()}
    most = [
        f"{count:,} of {total[action]:,} {action}" for action, count in without.items() if 2 * count > total[action]
    ]
    if not most:
        return ""
    return (
        f"most events have no item of these actions: {', '.join(most)}; they are no rows. Map item_id to where they "
        'have it, the first of several that is there: [columns.engagements] item_id = ["properties.product_id", '
        '"properties.products.product_id"], for example; or let such an event become "" in the values of action'
    )


def _named(counts: Mapping[str, int], prefix: str) -> Iterator[tuple[str, int]]:
    return ((name.removeprefix(prefix), count) for name, count in counts.items() if name.startswith(prefix))
