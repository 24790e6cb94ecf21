"""What an evaluation ranks, against plain loops over all rows."""

import random
from collections import Counter

import numpy as np
import pyarrow as pa
import pytest

from model.text.tokenizer import only_words
from pipelines.evaluate.inputs import engaged_items, held_out_tasks, known_pairs, sample_queries

ROW_OF = {f"i{number}": 20 - number for number in range(20)}


def log(seed: int, num_rows: int) -> pa.Table:
    """Rows of a few queries in many spellings and of items, some of which are unknown."""
    draw = random.Random(seed)
    columns = {
        "surface": [draw.choice(["search", "closeup"]) for _ in range(num_rows)],
        "action": [draw.choice(["click", "purchase"]) for _ in range(num_rows)],
        "query": [f"{draw.choice(['red', 'Red ', 'RED!'])} {draw.randrange(9)}" for _ in range(num_rows)],
        "item_id": [f"i{draw.randrange(25)}" for _ in range(num_rows)],
    }
    table = pa.table({name: pa.array(values, pa.string()) for name, values in columns.items()})
    return pa.concat_tables([table.slice(0, num_rows // 3), table.slice(num_rows // 3)])


@pytest.mark.parametrize("num_rows", [0, 1, 40, 600])
@pytest.mark.parametrize("max_queries", [3, 100])
def test_tasks_are_the_distinct_pairs_of_the_sampled_queries(num_rows: int, max_queries: int) -> None:
    rows, counts = log(num_rows, num_rows), Counter[str]()
    pairs: dict[str, set[tuple[str, int]]] = {}
    unknown = 0
    for row in rows.to_pylist():
        if row["item_id"] in ROW_OF:
            of_task = pairs.setdefault(f"{row['surface']}/{row['action']}", set())
            of_task.add((row["query"], ROW_OF[row["item_id"]]))
        unknown += row["item_id"] not in ROW_OF
    tasks = held_out_tasks(rows, ROW_OF, max_queries, counts)
    assert [task.name for task in tasks] == sorted(pairs)
    assert counts == ({"rows_item_unknown": unknown} if unknown else {})
    for task in tasks:
        assert task.queries == sample_queries({query for query, _ in pairs[task.name]}, max_queries)
        found = list(zip(task.query_rows_P.tolist(), task.item_rows_P.tolist(), strict=True))
        kept = [(task.queries.index(query), item) for query, item in pairs[task.name] if query in task.queries]
        assert found == sorted(kept)


@pytest.mark.parametrize("num_rows", [0, 1, 40, 600])
@pytest.mark.parametrize("queries", [(), ("RED! 3", "red 3", "never asked", "Red  5")])
def test_known_pairs_are_those_of_all_spellings(num_rows: int, queries: tuple[str, ...]) -> None:
    rows = log(num_rows, num_rows)
    engaged = engaged_items(rows, ROW_OF, only_words, queries)
    known = {
        (place, ROW_OF[row["item_id"]])
        for row in rows.to_pylist()
        for place, query in enumerate(queries)
        if row["item_id"] in ROW_OF and only_words(query) == only_words(row["query"])
    }
    found_K2 = known_pairs(queries, engaged, only_words)
    assert found_K2.shape == (len(known), 2)
    assert found_K2.dtype == np.int64
    assert [tuple(pair) for pair in found_K2.tolist()] == sorted(known)
    assert engaged.keys() <= {only_words(query) for query in queries}
