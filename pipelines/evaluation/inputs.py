"""What an evaluation ranks: the engagements that count, and of those the held-out pairs, task by task."""

from collections import Counter
from collections.abc import Callable, Mapping, Sequence

import numpy as np
import pyarrow as pa

from model.evaluation import HeldOutTask
from pipelines.log_rows import RejectedRows
from pipelines.query_rows import QUERY_ROWS, query_rows
from schemas.column_spec import Columns
from schemas.days import end_of_day_us
from schemas.files import expand_inputs
from schemas.hashing import stable_hash
from schemas.reading import plan_slices, read_slice
from schemas.tables import ENGAGEMENTS
from schemas.validation import validate_engagements


def read_query_rows(
    spec: str, date: str | None, time_zone: str, columns: Columns
) -> tuple[pa.Table, dict[str, int], dict[str, int]]:
    """QUERY_ROWS of the engagements that `spec` names, up to the end of `date` in `time_zone`; counts of what was read:
    rows_read = the rows + rows_quarantined + rows_after_date + rows_other_surface_or_action; and counts of what was
    rejected, with rows_read, as the gate of the log takes them."""
    read: Counter[str] = Counter()
    rejected_rows = RejectedRows()
    tables = [QUERY_ROWS.empty_table()]
    end_us = end_of_day_us(date, time_zone)
    for part in plan_slices(expand_inputs(spec, date)):
        for raw in read_slice(part, columns, ENGAGEMENTS):
            good, rejected, counts = validate_engagements(raw, part)
            rejected_rows.add(rejected)
            kept, left_out = query_rows(good, end_us)
            read.update(left_out, rows_read=counts["rows_read"], rows_quarantined=len(rejected))
            tables.append(kept)
    counts = {
        "rows_read": read["rows_read"],
        "rows_quarantined": read["rows_quarantined"],
        "rows_after_date": read["rows_after_date"],
        "rows_other_surface_or_action": read["rows_without_task"],
    }
    return pa.concat_tables(tables), counts, rejected_rows.counts() | {"rows_read": read["rows_read"]}


def held_out_tasks(
    rows: pa.Table, row_of: Mapping[str, int], max_queries: int, counts: Counter[str]
) -> tuple[HeldOutTask, ...]:
    """Distinct (query, item) pairs of each surface and action, of at most `max_queries` queries. Rows of items that
    `row_of` lacks are counted."""
    pairs: dict[str, set[tuple[str, int]]] = {}
    distinct = rows.group_by(["surface", "action", "query", "item_id"]).aggregate([([], "count_all")])
    for row in distinct.to_pylist():
        item = row_of.get(row["item_id"])
        if item is None:
            counts["rows_item_unknown"] += row["count_all"]
        else:
            pairs.setdefault(f"{row['surface']}/{row['action']}", set()).add((row["query"], item))
    tasks = []
    for name in sorted(pairs):
        queries = sample_queries({query for query, _ in pairs[name]}, max_queries)
        place = {query: number for number, query in enumerate(queries)}
        places = np.array(sorted((place[q], item) for q, item in pairs[name] if q in place), np.int64)
        tasks.append(HeldOutTask(name, queries, places[:, 0], places[:, 1]))
    return tuple(tasks)


def engaged_items(rows: pa.Table, row_of: Mapping[str, int], key: Callable[[str], str]) -> dict[str, set[int]]:
    """key(query) -> rows of the items, among those of `row_of`, that these QUERY_ROWS have engaged after it."""
    engaged: dict[str, set[int]] = {}
    for row in rows.group_by(["query", "item_id"]).aggregate([]).to_pylist():
        if (item := row_of.get(row["item_id"])) is not None:
            engaged.setdefault(key(row["query"]), set()).add(item)
    return engaged


def known_pairs(queries: Sequence[str], engaged: Mapping[str, set[int]], key: Callable[[str], str]) -> np.ndarray:
    """int64 [K, 2]: (row of the query, item) of what the queries are known to have engaged; see engaged_items."""
    known = [(row, item) for row, query in enumerate(queries) for item in sorted(engaged.get(key(query), ()))]
    return np.array(known, np.int64).reshape(-1, 2)


def sample_queries(queries: set[str], max_queries: int) -> tuple[str, ...]:
    """At most `max_queries` of the queries, sorted: those with the smallest hashes. A new query displaces at most one:
    tomorrow's sample is today's but for what changed, and the tasks of a surface share their queries.

    >>> sample_queries({"b", "a"}, 2)
    ('a', 'b')
    """
    if len(queries) > max_queries:
        queries = set(sorted(queries, key=lambda query: (stable_hash(f"evaluate/{query}"), query))[:max_queries])
    return tuple(sorted(queries))
