"""A model of a query_item split is tested by whole queries and items that it has not trained on."""

from collections import Counter

import pyarrow as pa
import pytest
from evaluated_days import IDS, PICTURES, WORDS, Days, Row, draw_picture, row, task
from random_models import save_random_model

from model.split.held_out import HELD_OUT, item_node, query_node
from model.split.split import Split

#: What the model was trained with: all items but the last, queries of one word and the first picture.
PARTS = {item_node(item_id): "train" for item_id in IDS[:-1]} | {item_node(IDS[5]): "test"}
PARTS |= {query_node("search", word): "train" for word in WORDS} | {query_node("closeup", PICTURES[0]): "train"}
PARTS |= {query_node("search", "red"): "test", query_node("search", "blue"): "validation"}
#: (row, is it held out?)
ROWS: list[tuple[Row, bool]] = [
    (row("search", "green", 1), False),
    (row("search", "GREEN!", 2), False),
    (row("search", "blue", 2), False),
    (row("search", "red", 1), True),
    (row("search", "green", 5), True),
    (row("search", "green", len(IDS) - 1), True),
    (row("search", "never asked", 1), True),
    (row("closeup", PICTURES[0], 1), False),
    (row("closeup", PICTURES[1], 1), True),
]


@pytest.mark.medium
def test_rows_are_held_out_by_their_query_or_their_item(tmp_path):
    nodes = pa.array(sorted(PARTS), pa.uint64())
    columns = [nodes, pa.array([PARTS[node] for node in sorted(PARTS)]), nodes]
    split = Split(kind="query_item", has_validation=True, has_test=True, test_fraction=0.2, item_test_fraction=0.05)
    model = save_random_model(tmp_path / "model", WORDS, 0, split=split.with_table(pa.table(columns, schema=HELD_OUT)))
    days = Days(tmp_path, model, Counter())
    for number, uri in enumerate(PICTURES):
        draw_picture(days.image_root / uri, number)
    report, _ = days.day([each for each, _ in ROWS])
    assert report["rows"]["rows_of_training_part"] == sum(not held_out for _, held_out in ROWS) == 4
    for name in ("search/click", "closeup/click"):
        held_out = [each for each, is_held_out in ROWS if is_held_out and each["surface"] == name.split("/")[0]]
        assert task(report, name)["pairs"] == len(held_out)
    assert Split.load(model).held_out["part"].to_pylist() == columns[1].to_pylist()
