"""Pseudo-queries beside the pairs of a log, sketched frequencies, and the cap of pairs an item."""

import random
from collections import Counter

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from pairs_runs import TEXTS, make_log, make_run, read_pairs, read_pairs_after, run_pairs, write_log

from model.split.held_out import item_node, query_node
from model.split.split import Split, SplitConfig, no_engagements
from model.split.split_labels import assign
from model.text.pseudo_queries import pseudo_queries, random_word_queries
from model.text.typos import TYPO_SHARE, maybe_misspelt
from pipelines.pairs import plan
from pipelines.pairs.cap_pairs import cap_pairs
from pipelines.pairs.distinct_pairs import PAIRS, PairRules, query_id, with_query_ids
from pipelines.pairs.text_pairs import PSEUDO_VALIDATION_SHARE, text_pairs
from schemas import storage
from schemas.hashing import stable_hash
from schemas.records.tfrecords import encode_pair
from schemas.tables import DISTILLATION, PSEUDO_TASK, TEXT_FIELDS

pytestmark = pytest.mark.slow


def test_pseudo_queries_alone_and_beside_a_log(tmp_path):
    run = make_run(tmp_path / "run", 2)
    manifest = run_pairs(run, pseudo_queries=6, seed=7, typo_share=0.0)
    got = read_pairs(run)
    assert Split.load(run / "pairs").kind == "none"
    assert got["test"] == []
    assert {pair.task for part in got.values() for pair in part} == {PSEUDO_TASK}
    queries = {pair.query_id for pair in got["train"]}
    assert not queries & {pair.query_id for pair in got["validation"]}
    title = {"item_id": "item-4", "title": f"Acme {TEXTS[4]} 4", "brand": "Acme"}
    expected = {query_id("search", query) for query in pseudo_queries({**dict.fromkeys(TEXT_FIELDS), **title}, 6, 7)}
    assert {pair.query_id for part in got.values() for pair in part if pair.item_id == "item-4"} == expected
    assert manifest["counts"]["pseudo_pairs"] == len(got["train"]) + len(got["validation"])
    by_query = Counter(pair.query_id for pair in got["train"])
    assert all(pair.query_count == by_query[pair.query_id] and pair.query_item_count == 1 for pair in got["train"])
    assert max(by_query.values()) > 1

    both = make_run(tmp_path / "both", 2)
    log = write_log(tmp_path / "log.parquet", make_log(3, 400, with_pictures=False))
    tasks = Counter(
        pair.task
        for pair in read_pairs_after(
            both, engagements=str(log), pseudo_queries=6, seed=7, typo_share=0.0, split="time"
        )["train"]
    )
    assert tasks[PSEUDO_TASK] == len(got["train"])
    assert tasks["search/click"] > 0


def test_a_share_of_the_pseudo_queries_is_misspelt_and_stays_where_what_was_meant_belongs(tmp_path):
    got = {
        share: read_pairs_after(make_run(tmp_path / f"run-{share}", 2), pseudo_queries=6, seed=7, typo_share=share)
        for share in (0.0, 0.15, 1.0)
    }
    pairs_of = {
        share: {part: {(pair.item_id, pair.query_id) for pair in pairs} for part, pairs in parts.items()}
        for share, parts in got.items()
    }
    assert len(pairs_of[0.0]["train"]) > 100
    for share, least, most in ((0.15, 0.08, 0.25), (1.0, 0.6, 1.0)):  # short words, brands and numbers stay
        kept = pairs_of[share]["train"] & pairs_of[0.0]["train"]
        assert least < 1 - len(kept) / len(pairs_of[0.0]["train"]) < most
        assert pairs_of[share]["test"] == set()

    meant_of = {}
    for number in range(28):
        title = {"item_id": f"item-{number}", "title": f"Acme {TEXTS[number % 6]} {number}", "brand": "Acme"}
        for query in pseudo_queries({**dict.fromkeys(TEXT_FIELDS), **title}, 6, 7):
            written = maybe_misspelt(query, 1.0, 7, title["item_id"])
            meant_of[title["item_id"], query_id("search", written)] = query_id("search", query)
    held_out = {query for _, query in pairs_of[0.0]["validation"]}
    assert held_out
    for item, query in pairs_of[1.0]["train"]:
        assert meant_of.get((item, query), query) not in held_out


def test_spellings_that_differ_by_case_blanks_or_unicode_form_are_one_query():
    rows = [
        ("search/click", "Caf\u00e9  Table", "a", "train", 2),
        ("search/click", "cafe\u0301 table", "a", "train", 3),
        ("search/click", "caf\u00e9 table", "a", "test", 1),
        ("search/save", "CAF\u00c9 TABLE", "b", "train", 1),
        ("search/click", "caf\u00e9 tables", "a", "train", 7),
        ("closeup/click", "A.jpg", "a", "train", 1),
        ("closeup/click", "a.jpg", "a", "train", 1),
    ]
    names = ["task", "query", "item_id", "part", "count"]
    pairs = with_query_ids(pa.table(dict(zip(names, map(list, zip(*rows, strict=True)), strict=True))))
    assert pairs.schema.equals(PAIRS)
    got = {(row["task"], row["query"], row["item_id"], row["part"]): row["count"] for row in pairs.to_pylist()}
    assert got == {
        ("search/click", "Caf\u00e9  Table", "a", "train"): 5,
        ("search/click", "caf\u00e9 table", "a", "test"): 1,
        ("search/save", "CAF\u00c9 TABLE", "b", "train"): 1,
        ("search/click", "caf\u00e9 tables", "a", "train"): 7,
        ("closeup/click", "A.jpg", "a", "train"): 1,
        ("closeup/click", "a.jpg", "a", "train"): 1,
    }
    assert len({row["query_id"] for row in pairs.to_pylist()}) == 4


def test_queries_to_distil_from_are_made_of_texts_and_held_out_as_pairs_are(tmp_path):
    log = str(write_log(tmp_path / "log.parquet", make_log(3, 400, with_pictures=False)))
    flags = {"engagements": log, "pseudo_queries": 6, "seed": 7}
    without = read_pairs_after(make_run(tmp_path / "without", 2), **flags)
    run = make_run(tmp_path / "run", 2)
    manifest = run_pairs(run, **flags, distill_queries=12)
    got, distilled = read_pairs(run), read_pairs(run, [DISTILLATION])[DISTILLATION]
    assert not storage.has(tmp_path / "without" / "pairs" / DISTILLATION)
    assert [list(map(encode_pair, pairs)) for pairs in got.values()] == [
        list(map(encode_pair, pairs)) for pairs in without.values()
    ], "the pairs that train are the same"
    assert manifest["counts"]["distillation_pairs"] == len(distilled) > 100
    assert manifest["counts"]["pairs_written"] == sum(map(len, got.values()))

    part_of = dict(zip(*Split.load(run / "pairs").held_out.select(["node", "part"]).to_pydict().values(), strict=True))
    asked = {text: part_of.get(query_node("search", text), "train") for text in TEXTS}
    held_out = {query_id("search", text) for text, part in asked.items() if part != "train"}
    assert held_out
    assert not held_out & {pair.query_id for pair in distilled}
    found = {(pair.item_id, pair.query_id) for pair in distilled}
    expected = set()

    def may_train(text: str) -> bool:
        in_log = part_of.get(query_node("search", text), "train")
        return in_log == "train" and stable_hash(f"pseudo/7/{text}") >= PSEUDO_VALIDATION_SHARE * 2**64

    for number in range(28):
        item = {"item_id": f"item-{number}", "title": f"Acme {TEXTS[number % 6]} {number}", "brand": "Acme"}
        item = {**dict.fromkeys(TEXT_FIELDS), **item}
        queries = pseudo_queries(item, 6, 7)
        queries += random_word_queries(item, 12 - len(queries), 7)
        if part_of.get(item_node(item["item_id"]), "train") == "train":
            expected |= {
                (item["item_id"], query_id("search", query))
                for query in queries
                if all(map(may_train, (query, maybe_misspelt(query, TYPO_SHARE, 7, item["item_id"]))))
            }
    assert found == expected
    assert {pair.task for pair in distilled} == {PSEUDO_TASK}


def test_of_a_split_by_the_hash_of_queries_nothing_is_distilled_that_does_not_train(tmp_path):
    log = str(write_log(tmp_path / "log.parquet", make_log(3, 400, with_pictures=False)))
    run = make_run(tmp_path / "run", 2)
    run_pairs(run, engagements=log, pseudo_queries=2, distill_queries=20, split="query_hash", test_fraction=0.4, seed=1)
    split, words = Split.load(run / "pairs"), sorted({word for text in TEXTS for word in text.lower().split()})
    asked = pa.table({"surface": ["search"] * len(words), "query": words})
    parts = dict(zip((query_id("search", word) for word in words), assign(split, asked).to_pylist(), strict=True))
    met = {parts[pair.query_id] for pair in read_pairs(run, [DISTILLATION])[DISTILLATION] if pair.query_id in parts}
    assert {"test", "validation"} & set(parts.values())
    assert met == {"train"}


def test_a_large_catalogue_has_fewer_queries_to_distil_from_and_fewer_items_that_have_any(monkeypatch):
    monkeypatch.setattr(plan, "MAX_DISTILL_QUERIES", 1000)
    titles = [f"red shoe number{number} soft green wool sole" for number in range(500)]
    items = pa.table(
        {"item_id": [f"i{number}" for number in range(500)]}
        | {name: pa.array(titles if name == "title" else [None] * 500, pa.string()) for name in TEXT_FIELDS}
    )
    for wanted in (40, 2):
        distillation = plan.distillation_rules(wanted, len(items))
        rules = PairRules(
            run="",
            num_buckets=1,
            vocabulary_folder="",
            query_table_folder=None,
            has_pictures=False,
            pseudo_queries=0,
            typo_share=0.0,
            distillation=distillation,
            max_pairs_per_item=0,
            seed=0,
        )
        pairs = text_pairs(items, rules, no_engagements(SplitConfig(validation_fraction=0.0)))
        of_items = Counter(pairs["item_id"].to_pylist())
        assert max(of_items.values()) == distillation.queries == min(wanted, 4)
        assert 0.8 < len(pairs) / 1000 < 1.1
        assert (len(of_items) == 500) == (wanted == 2)
        assert set(text_pairs(items, rules, no_engagements(SplitConfig()))["part"].to_pylist()) == {DISTILLATION}


def test_sketched_frequencies_are_near_the_exact_ones(tmp_path):
    rows = make_log(6, 1500, with_pictures=False)
    log = str(write_log(tmp_path / "log.parquet", rows))
    exact = read_pairs_after(make_run(tmp_path / "exact", 3), engagements=log)
    sketched = read_pairs_after(make_run(tmp_path / "sketch", 3), engagements=log, frequencies="sketch")
    for part, records in exact.items():
        assert len(records) == len(sketched[part]) > 0
        for one, other in zip(records, sketched[part], strict=True):
            assert (one.task, one.query_id, one.item_id, one.count) == (
                other.task,
                other.query_id,
                other.item_id,
                other.count,
            )
            assert one.query_count <= other.query_count <= one.query_count + 5
            assert one.query_item_count <= other.query_item_count <= one.query_item_count + 5
    tables = [
        pq.read_table(tmp_path / name / "pairs" / "item_counts.parquet").to_pydict() for name in ("exact", "sketch")
    ]
    assert tables[0]["item_id"] == tables[1]["item_id"]
    assert np.abs(np.subtract(tables[0]["count"], tables[1]["count"])).max() <= 5


def test_the_cap_lets_tasks_take_turns():
    rows = [
        {"task": task, "query": f"q{n}", "query_id": n, "item_id": item, "part": "train", "count": 1}
        for item in ("a", "b")
        for task, number in (("search/click", 50), ("search/save", 8), ("search/checkout", 2))
        for n in range(number)
    ]
    rows += [{**rows[0], "part": "test"}, {**rows[0], "task": PSEUDO_TASK}]
    table = pa.Table.from_pylist(rows, schema=PAIRS)
    capped = cap_pairs(table, 12, seed=0)
    found = Counter((row["item_id"], row["task"]) for row in capped.to_pylist() if row["part"] == "train")
    assert found[("a", PSEUDO_TASK)] == 1
    for item in ("a", "b"):  # two turns of all three tasks, then two tasks share the rest
        assert (found[item, "search/checkout"], found[item, "search/save"], found[item, "search/click"]) == (2, 5, 5)
    assert "test" in capped.column("part").to_pylist()
    shuffled = table.take(random.Random(0).sample(range(len(rows)), len(rows)))
    assert sorted(map(str, cap_pairs(shuffled, 12, seed=0).to_pylist())) == sorted(map(str, capped.to_pylist()))
    assert cap_pairs(table, 12, seed=1) != capped
    assert cap_pairs(table, 0, seed=0) is table


def test_the_cap_counts_what_it_leaves_out(tmp_path):
    log = str(write_log(tmp_path / "log.parquet", make_log(6, 1500, with_pictures=False)))
    free = read_pairs_after(make_run(tmp_path / "free", 2), engagements=log)
    run = make_run(tmp_path / "capped", 2)
    manifest = run_pairs(run, engagements=log, max_pairs_per_item=4)
    capped = read_pairs(run)
    assert max(Counter(pair.item_id for pair in capped["train"]).values()) == 4
    assert len(capped["test"]) == len(free["test"])
    counts = manifest["counts"]
    assert counts["rows_capped"] == sum(p.count for p in free["train"]) - sum(p.count for p in capped["train"]) > 0
