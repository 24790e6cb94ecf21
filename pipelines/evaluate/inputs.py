"""What an evaluation ranks: the engagements that count, and of those the held-out pairs, task by task."""

from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from model.measures.evaluation import HeldOutTask
from pipelines.log.rows import RejectedRows
from pipelines.log.training_rows import QUERY_ROWS, query_rows
from schemas.columns.spec import Columns
from schemas.days import end_of_day_us
from schemas.files import expand_inputs
from schemas.hashing import stable_hash
from schemas.reading.rows import read_table
from schemas.tables import ENGAGEMENTS
from schemas.validation.log import validate_engagements


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
    files = expand_inputs(spec, date)
    for part, raw in read_table(files, columns, ENGAGEMENTS):
        good, rejected, validated = validate_engagements(raw, part)
        rejected_rows.add(rejected)
        kept, left_out = query_rows(good, end_us)
        read.update(left_out, rows_read=validated["rows_read"], rows_quarantined=len(rejected))
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
    item_R = _item_rows(rows["item_id"], row_of)
    if num_unknown := int((item_R < 0).sum()):
        counts["rows_item_unknown"] += num_unknown
    is_known = pa.array(item_R >= 0)
    rows, item_R = rows.filter(is_known), item_R[item_R >= 0]
    names = pc.binary_join_element_wise(rows["surface"], rows["action"], "/")
    tasks = []
    for name in sorted(pc.unique(names).to_pylist()):
        of_task = pc.equal(names, name)
        asked, item_T = rows["query"].filter(of_task), item_R[of_task.to_numpy()]
        queries = sample_queries(set(pc.unique(asked).to_pylist()), max_queries)
        place_T = pc.fill_null(pc.index_in(asked, value_set=pa.array(queries, asked.type)), -1).to_numpy()
        places = np.unique(np.stack([place_T, item_T], axis=1)[place_T >= 0], axis=0)
        tasks.append(HeldOutTask(name, queries, places[:, 0], places[:, 1]))
    return tuple(tasks)


def engaged_items(
    rows: pa.Table, row_of: Mapping[str, int], key: Callable[[str], str], queries: Iterable[str]
) -> dict[str, np.ndarray]:
    """key(query) of each of the queries -> rows of the items, int64 [M], distinct and sorted, among those of `row_of`,
    that these QUERY_ROWS have engaged after it. Holds what is asked for alone, however long the log is."""
    number_of = {name: number for number, name in enumerate(dict.fromkeys(map(key, queries)))}
    encoded = rows["query"].combine_chunks().dictionary_encode()
    numbers = [number_of.get(key(query.as_py()), -1) for query in encoded.dictionary]
    number_R = np.array(numbers, np.int64)[encoded.indices.to_numpy()]
    item_R = _item_rows(rows["item_id"].filter(pa.array(number_R >= 0)), row_of)
    pairs_R2 = np.stack([number_R[number_R >= 0], item_R], axis=1)
    number_M, item_M = np.unique(pairs_R2[item_R >= 0], axis=0).T
    ends = np.searchsorted(number_M, np.arange(1, len(number_of)))
    return dict(zip(number_of, np.split(item_M, ends), strict=False))


def known_pairs(queries: Sequence[str], engaged: Mapping[str, np.ndarray], key: Callable[[str], str]) -> np.ndarray:
    """int64 [K, 2]: (row of the query, item) of what the queries, which were asked for, are known to have engaged; see
    engaged_items."""
    items = [engaged[key(query)] for query in queries]
    rows_K = np.repeat(np.arange(len(items)), [len(each) for each in items])
    return np.stack([rows_K, np.concatenate([np.zeros(0, np.int64), *items])], axis=1)


def _item_rows(item_ids: pa.ChunkedArray, row_of: Mapping[str, int]) -> np.ndarray:
    """int64 [R]: the row of each item, -1 for one that `row_of` lacks."""
    encoded = item_ids.combine_chunks().dictionary_encode()
    rows = [row_of.get(item_id, -1) for item_id in encoded.dictionary.to_pylist()]
    return np.array(rows, np.int64)[encoded.indices.to_numpy()]


def sample_queries(queries: set[str], max_queries: int) -> tuple[str, ...]:
    """At most `max_queries` of the queries, sorted: those with the smallest hashes. A new query displaces at most one:
    tomorrow's sample is today's but for what changed, and the tasks of a surface share their queries.

    >>> sample_queries({"b", "a"}, 2)
    ('a', 'b')
    """
    if len(queries) > max_queries:
        queries = set(sorted(queries, key=lambda query: (stable_hash(f"evaluate/{query}"), query))[:max_queries])
    return tuple(sorted(queries))
