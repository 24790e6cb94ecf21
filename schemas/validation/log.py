"""Raw rows of a log, or of judgements, -> good rows and rejections; the rules: schemas.validation.rules."""

from collections import Counter
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from schemas.cells.words_of_ours import our_words
from schemas.coercion.cells import BatchFindings, Faults
from schemas.coercion.columns import id_column, number_column, text_column, timestamp_column
from schemas.coercion.guests import without_guests
from schemas.columns.mapping import section_of
from schemas.columns.raw_rows import FileSlice, RawRows
from schemas.columns.spec import column_of
from schemas.quarantine import Rejection, quote
from schemas.tables import ACTIONS, ENGAGEMENTS, JUDGEMENTS, QUERY_SURFACES, SURFACES, UNREADABLE
from schemas.validation.rules import (
    DEFAULT_LIMITS,
    Limits,
    flag,
    flag_unknown,
    good_rows,
    is_blank,
    rejections_of,
    say_if_none,
    truncate,
)


def validate_engagements(
    raw: RawRows,
    file_slice: FileSlice,
    limits: Limits = DEFAULT_LIMITS,
    stage: str = "pairs",
) -> tuple[pa.Table, list[Rejection], Counter[str]]:
    """(good rows as ENGAGEMENTS in input order, rejections, counts: rows_read, rows_rejected, queries_truncated, and,
    where there are any, ids_trimmed, cells_unreadable:<column> and the counts of schemas.coercion.whole_ids of the good
    rows).

    The query of a home row is dropped. Timestamps are not compared with any clock. Of surfaces and actions case and
    signs do not count (see schemas.cells.words_of_ours).
    """
    found = BatchFindings()
    columns: dict[str, Any] = {"timestamp": timestamp_column(raw, "timestamp", found)}
    columns |= {name: id_column(raw, name, found) for name in ("user_id", "session_id")}
    columns["item_id"] = id_column(raw, "item_id", found, required=True, section=section_of(ENGAGEMENTS))
    columns["user_id"] = without_guests(columns["user_id"], found)
    columns["query"] = text_column(raw, "query", found)
    flag(found.faults, columns["timestamp"].is_null(), "null_timestamp", "a timestamp", columns["timestamp"])
    _say_if_apart(raw, "timestamp", found.faults)
    flag(found.faults, is_blank(columns["item_id"]), "null_id", "an item_id", columns["item_id"])
    say_if_none(raw, columns["item_id"], ENGAGEMENTS, found.faults)
    for name, known in (("surface", SURFACES), ("action", ACTIONS)):
        columns[name] = _in_any_case(text_column(raw, name, found, required=True), known)
        flag_unknown(found.faults, columns[name], known, f"unknown_{name}")
    needs_query = pc.is_in(columns["surface"], pa.array(QUERY_SURFACES))
    missing = pc.and_(needs_query, is_blank(columns["query"]))
    flag(found.faults, missing, "missing_query", f"a query on {' and '.join(QUERY_SURFACES)}", columns["query"])
    query, truncated = truncate(columns["query"], limits.max_query_characters)
    columns["query"] = pc.if_else(needs_query, query, pa.scalar(None, pa.string()))
    truncated &= needs_query.to_numpy(zero_copy_only=False)
    good, keep = good_rows(columns, ENGAGEMENTS, found.faults)
    rejections = rejections_of(raw, file_slice, stage, columns["item_id"], found.faults)
    counts = Counter(
        rows_read=raw.num_rows,
        rows_rejected=len(rejections),
        queries_truncated=int(truncated[keep].sum()),
        **_log_counts(found, keep),
    )
    return good, rejections, counts


def _say_if_apart(raw: RawRows, name: str, faults: Faults) -> None:
    """Puts what to do into the faults of rows that lack our column `name`, where it is in another list than the items
    are, say of visits with actions with items."""
    if name in raw.apart:
        listed = " or ".join(map(quote, column_of(raw.columns, name).source))
        remedy = (
            f"{listed} and the items are in different lists of an event: write a row for each item with the {name} of "
            "its action (docs/starts/log.md, Lists of lists)"
        )
        rows = [row for row, fault in faults.items() if fault.reason == f"null_{name}"]
        faults.update({row: faults[row]._replace(remedy=remedy) for row in rows})


def _log_counts(found: BatchFindings, keep: np.ndarray) -> dict[str, int]:
    trimmed = np.any(list(found.trimmed.values()), axis=0)
    unreadable = {f"{UNREADABLE}{name}": int(keep[list(rows)].sum()) for name, rows in found.unreadable.items()}
    pointed = {name: int(rows[keep].sum()) for name, rows in found.pointed.items()}
    counts = {"ids_trimmed": int(trimmed[keep].sum()), **unreadable, **pointed}
    return {name: count for name, count in counts.items() if count}


def _in_any_case(values: pa.Array, known: tuple[str, ...]) -> pa.Array:
    """Values that are one of the known but for case and signs as that one; others as they are."""
    return pc.coalesce(our_words(values, dict(zip(known, known, strict=True))), values)


def validate_judgements(
    raw: RawRows,
    file_slice: FileSlice,
    limits: Limits = DEFAULT_LIMITS,
    stage: str = "evaluate",
) -> tuple[pa.Table, list[Rejection], Counter[str]]:
    """(good rows as JUDGEMENTS in input order, rejections, counts: rows_read, rows_rejected, queries_truncated)."""
    found = BatchFindings()
    columns: dict[str, Any] = {name: text_column(raw, name, found, required=True) for name in ("surface", "query")}
    columns["item_id"] = id_column(raw, "item_id", found, required=True, section=section_of(JUDGEMENTS))
    columns["grade"] = number_column(raw, "grade", found)
    flag(found.faults, is_blank(columns["item_id"]), "null_id", "an item_id", columns["item_id"])
    say_if_none(raw, columns["item_id"], JUDGEMENTS, found.faults)
    columns["surface"] = _in_any_case(columns["surface"], QUERY_SURFACES)
    flag_unknown(found.faults, columns["surface"], QUERY_SURFACES, "unknown_surface")
    flag(found.faults, is_blank(columns["query"]), "missing_query", "a query", columns["query"])
    flag(found.faults, columns["grade"].is_null(), "wrong_type", "a finite number in grade", columns["grade"])
    columns["query"], truncated = truncate(columns["query"], limits.max_query_characters)
    good, keep = good_rows(columns, JUDGEMENTS, found.faults)
    rejections = rejections_of(raw, file_slice, stage, columns["item_id"], found.faults)
    counts = Counter(
        rows_read=raw.num_rows,
        rows_rejected=len(rejections),
        queries_truncated=int(truncated[keep].sum()),
    )
    return good, rejections, counts
