"""The split: parts of the right rows, for the log it was fitted on and for any other."""

import datetime as dt
import math
import random

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from model.split.held_out import fit_held_out, item_node, query_node
from model.split.item_cutoffs import fit_item_cutoffs, part_sizes
from model.split.near_groups import LOOKS, MARKS, NODES
from model.split.split import DAY_US, KINDS, Split, SplitConfig, TimeSpan, check_parts, fit_split, no_engagements
from model.split.split_labels import assign
from schemas.errors import CorruptFileError, ThresholdError, UsageError
from schemas.tables import ENGAGEMENTS

START = dt.datetime(2024, 1, 1, tzinfo=dt.UTC)


def log(rows: list[tuple[float, str, str]], surface: str = "search") -> pa.Table:
    """rows: (days after START, query, item_id)."""
    return pa.Table.from_pylist(
        [
            {
                "timestamp": START + dt.timedelta(days=days),
                "surface": surface,
                "query": query,
                "item_id": item,
                "action": "click",
            }
            for days, query, item in rows
        ],
        schema=ENGAGEMENTS,
    )


def fit(table: pa.Table, config: SplitConfig) -> Split:
    split = fit_split(TimeSpan.of(table.column("timestamp")), config)
    if config.kind == "item_time":
        return split.with_table(fit_item_cutoffs(table, config.test_fraction, config.validation_fraction))
    if config.kind == "query_item":
        queries = {query_node("search", query) for query in table.column("query").to_pylist()}
        items = {item_node(item_id) for item_id in table.column("item_id").to_pylist()}
        nodes = [(node, False, 0, 0) for node in queries] + [(node, True, 0, 0) for node in items]
        rows = [dict(zip(NODES.names, node, strict=True)) for node in nodes]
        nodes_table = pa.Table.from_pylist(rows, schema=NODES)
        return split.with_table(
            fit_held_out(nodes_table, MARKS.empty_table(), LOOKS.empty_table(), split.shares, split.seed)[0]
        )
    return split


def test_time_split_has_a_part_for_each_stretch_of_days():
    table = log([(day, "q", "i") for day in range(31)])
    split = fit(table, SplitConfig(kind="time", test_days=7, gap_days=2, validation_days=3))
    labels = assign(split, table).to_pylist()
    # the last timestamp is day 30: test is what lies less than 7 days before it
    assert labels == ["train"] * 19 + ["validation"] * 3 + ["gap"] * 2 + ["test"] * 7


def test_time_split_without_days_scales_with_the_log():
    seconds = log([(second / 86_400, "q", "i") for second in range(1000)])
    labels = assign(fit(seconds, SplitConfig(kind="time")), seconds).to_pylist()
    assert [labels.count(part) for part in ("train", "validation", "gap", "test")] == [675, 100, 25, 200]
    year = log([(day, "q", "i") for day in range(365)])
    labels = assign(fit(year, SplitConfig(kind="time")), year).to_pylist()
    assert [labels.count(part) for part in ("validation", "gap", "test")] == [7, 3, 14]


def test_no_test_part_means_no_gap_and_later_rows_are_test():
    table = log([(day, "q", "i") for day in range(20)])
    for config in (
        SplitConfig(kind="time", test_days=0, validation_days=2),
        SplitConfig(kind="time", test_fraction=0, validation_days=2),
    ):
        split = fit(table, config)
        assert not split.has_test
        assert assign(split, table).to_pylist() == ["train"] * 18 + ["validation"] * 2
        assert assign(split, log([(19, "q", "i"), (20, "q", "i")])).to_pylist() == ["validation", "test"]


def test_item_time_splits_each_item_by_itself():
    table = log([(day, f"photo-{day:02d}", "a") for day in range(10)] + [(day, "q", "b") for day in (40, 50)])
    split = fit(table, SplitConfig(kind="item_time"))
    assert assign(split, table).to_pylist() == ["train"] * 7 + ["validation"] + ["test"] * 2 + ["train", "test"]
    assert assign(split, log([(0, "q", "never seen")])).to_pylist() == ["test"]
    assert assign(split, log([(100, "q", "a"), (-1, "q", "a")])).to_pylist() == ["test", "train"]


def test_item_time_breaks_ties_by_query_and_keeps_equal_rows_together():
    table = log([(0, query, "a") for query in "edcba"])
    assert (
        assign(fit(table, SplitConfig(kind="item_time")), table).to_pylist() == ["test", "validation"] + ["train"] * 3
    )
    equal = log([(0, "q", "a")] * 9 + [(1, "q", "a")])
    labels = assign(fit(equal, SplitConfig(kind="item_time", validation_fraction=0)), equal).to_pylist()
    assert labels == ["train"] * 9 + ["test"]
    all_equal = log([(0, "q", "a")] * 10)
    assert set(assign(fit(all_equal, SplitConfig(kind="item_time")), all_equal).to_pylist()) == {"train"}


@pytest.mark.parametrize(("num_rows", "expected"), [(1, (0, 0)), (2, (0, 1)), (10, (1, 2)), (29, (3, 6)), (3, (0, 1))])
def test_part_sizes(num_rows, expected):
    assert part_sizes(num_rows, 0.2, 0.1) == expected
    assert part_sizes(num_rows, 0.0, 0.0) == (0, 0)


def test_query_hash_keeps_a_query_in_one_part_in_the_asked_shares():
    table = log([(day % 7, f"query {day % 2000}", f"i{day}") for day in range(6000)])
    labels = assign(fit(table, SplitConfig(kind="query_hash", seed=3)), table).to_pylist()
    by_query: dict[str, set[str]] = {}
    for query, label in zip(table.column("query").to_pylist(), labels, strict=True):
        by_query.setdefault(query, set()).add(label)
    assert all(len(parts) == 1 for parts in by_query.values())
    assert abs(labels.count("test") / 6000 - 0.2) < 0.03
    assert abs(labels.count("validation") / 6000 - 0.1) < 0.03
    other_seed = assign(fit(table, SplitConfig(kind="query_hash", seed=4)), table).to_pylist()
    assert other_seed != labels


def test_query_hash_keeps_all_spellings_of_a_query_in_one_part():
    spellings = ("red shoe {}", "Red Shoe {}", " RED  shoe {} ", "red\tshoe {}", "\uff52ed shoe {}")
    for surface, is_one in (("search", True), ("closeup", False)):  # the paths of pictures are not spellings
        table = log([(0, text.format(number), "i") for number in range(200) for text in spellings], surface)
        labels = assign(fit(table, SplitConfig(kind="query_hash")), table).to_pylist()
        groups = [set(labels[start : start + len(spellings)]) for start in range(0, len(labels), len(spellings))]
        assert all(len(parts) == 1 for parts in groups) == is_one
        assert set.union(*groups) == {"train", "validation", "test"}


def test_query_item_holds_out_queries_and_items():
    table = log([(0, f"query {number % 500}", f"i{number % 301}") for number in range(6000)])
    split = fit(table, SplitConfig(kind="query_item", item_test_fraction=0.1))
    labels = assign(split, table).to_pylist()
    parts_of_queries, parts_of_items = {}, {}
    for row, label in zip(table.to_pylist(), labels, strict=True):
        parts_of_queries.setdefault(row["query"], set()).add(label)
        parts_of_items.setdefault(row["item_id"], set()).add(label)
    assert sum(parts == {"test"} for parts in parts_of_queries.values()) == 100
    assert sum("train" not in parts for parts in parts_of_queries.values()) == 150
    assert sum(parts == {"test"} for parts in parts_of_items.values()) == 30
    assert sum("train" not in parts for parts in parts_of_items.values()) == 45
    assert abs(labels.count("train") / 6000 - 0.7 * 0.85) < 0.02
    train = table.to_pylist()[labels.index("train")]
    later = [
        (9, "query 501", train["item_id"]),
        (9, train["query"], "new"),
        (9, train["query"].upper(), train["item_id"]),
    ]
    assert assign(split, log(later)).to_pylist() == ["test", "test", "train"]


def test_query_item_without_a_test_part_holds_out_no_items_for_it():
    table = log([(0, f"query {number % 50}", f"i{number % 31}") for number in range(600)])
    split = fit(table, SplitConfig(kind="query_item", test_fraction=0))
    assert (split.item_test_fraction, split.item_validation_fraction) == (0, 0.05)
    assert set(assign(split, table).to_pylist()) == {"train", "validation"}
    split = fit(table, SplitConfig(kind="query_item", test_fraction=0, validation_fraction=0))
    assert set(assign(split, table).to_pylist()) == {"train"}


def test_a_model_without_engagements_is_tested_by_all_of_them():
    assert assign(no_engagements(SplitConfig()), log([(0, "q", "i")])).to_pylist() == ["test"]


@settings(max_examples=40, deadline=None)
@given(
    rows=st.lists(
        st.tuples(st.integers(0, 6), st.sampled_from("qrs"), st.sampled_from("abc")), min_size=1, max_size=40
    ),
    kind=st.sampled_from(KINDS),
    shuffle=st.randoms(use_true_random=False),
    test_fraction=st.sampled_from([0.0, 0.2, 0.5]),
)
def test_labels_do_not_depend_on_the_order_of_rows_or_on_storage(
    tmp_path_factory, rows: list, kind: str, shuffle: random.Random, test_fraction: float
):
    config = SplitConfig(kind=kind, test_fraction=test_fraction)
    table = log(rows)
    labels = assign(fit(table, config), table).to_pylist()
    order = list(range(len(rows)))
    shuffle.shuffle(order)
    folder = tmp_path_factory.mktemp("split")
    fit(table.take(order), config).save(folder)
    stored = Split.load(folder)
    assert assign(stored, table.take(order)).to_pylist() == [labels[i] for i in order]
    if kind == "item_time":  # every item trains, and no row that trains comes after one that tests
        for item in {row[2] for row in rows}:
            of_item = sorted((row[0], row[1], label) for row, label in zip(rows, labels, strict=True) if row[2] == item)
            ranks = [("train", "validation", "test").index(label) for _, _, label in of_item]
            assert ranks == sorted(ranks)
            assert ranks[0] == 0


def test_spans_add_up():
    table = log([(3, "q", "i"), (1, "q", "i"), (9, "q", "i")])
    whole = TimeSpan.of(table.column("timestamp"))
    parts = [TimeSpan.of(table.slice(i, 1).column("timestamp")) for i in range(3)]
    assert sum(parts, TimeSpan()) == whole
    assert whole.last_us - whole.first_us == 8 * DAY_US
    assert TimeSpan.of(table.slice(0, 0).column("timestamp")) == TimeSpan()


def test_an_empty_part_is_an_error_that_says_which():
    table = log([(0, "q", "i"), (1, "q", "i")])
    split = fit(table, SplitConfig(kind="time", test_days=30, gap_days=0, validation_days=1))
    with pytest.raises(
        ThresholdError, match=r"none in train and validation \(train 0, validation 0, test 2\).*--test-days"
    ):
        check_parts(split, {"test": 2})
    check_parts(no_engagements(SplitConfig(validation_fraction=0)), {"train": 1})
    with pytest.raises(ThresholdError, match=r"none in test .*--test-fraction"):
        check_parts(fit_split(TimeSpan(), SplitConfig(kind="query_hash")), {"train": 5, "validation": 1})
    with pytest.raises(ThresholdError, match="got 0 rows"):
        fit_split(TimeSpan(), SplitConfig())


@pytest.mark.parametrize(
    ("keywords", "message"),
    [
        ({"kind": "random"}, "query_item, time, item_time, query_hash, got 'random'"),
        ({"item_test_fraction": 0.7, "item_validation_fraction": 0.3}, r"leave a rest to train, got \(0.7, 0.3\)"),
        ({"test_fraction": math.nan}, r"got \(nan, 0.1\)"),
        ({"kind": "query_item", "test_days": 7.0}, "--test-days with --split time, got 7 with --split query_item"),
        ({"test_fraction": 1.0, "validation_fraction": 0.0}, r"leave a rest to train, got \(1.0, 0.0\)"),
        ({"test_fraction": -0.1}, r">= 0 .* got \(-0.1, 0.1\)"),
        ({"kind": "time", "gap_days": -1.0}, "gap_days >= 0, got -1.0"),
    ],
)
def test_wrong_configs_are_refused(keywords, message):
    with pytest.raises(UsageError, match=message):
        SplitConfig(**keywords)


def test_a_table_without_groups_leaves_each_node_alone(tmp_path):
    """Models keep their split: those of a split that had no groups are evaluated still."""
    split = fit(log([(0, "q", "a"), (1, "r", "b")]), SplitConfig(kind="query_item"))
    split.save(tmp_path)
    path = tmp_path / "split.parquet"
    pq.write_table(pq.read_table(path).drop_columns(["group"]), path)
    held_out = Split.load(tmp_path).held_out
    assert held_out["group"].to_pylist() == held_out["node"].to_pylist()


def test_broken_files_are_refused(tmp_path):
    table = log([(0, "q", "a"), (1, "q", "a")])
    for kind in ("item_time", "query_item"):
        fit(table, SplitConfig(kind=kind)).save(tmp_path)
        (tmp_path / "split.parquet").unlink()
        with pytest.raises(CorruptFileError, match=r"split\.parquet"):
            Split.load(tmp_path)
        without_table = Split(kind=kind, has_validation=True, has_test=True)
        with pytest.raises(CorruptFileError, match=r"split\.parquet"):
            assign(without_table, table)
    pq.write_table(pa.table({"item_id": ["a"]}), tmp_path / "split.parquet")
    with pytest.raises(CorruptFileError, match="query_item"):
        Split.load(tmp_path)
    (tmp_path / "split.json").write_text('{"kind": "time", "surprise": 1}')
    with pytest.raises(CorruptFileError, match="surprise"):
        Split.load(tmp_path)
