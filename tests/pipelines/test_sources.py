"""Sources of item vectors from clickstream: each job is equal to the direct computation, whatever runs it."""

import dataclasses
import datetime as dt
import random
import shutil
from collections import Counter, defaultdict
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest
from source_runs import (
    ITEM_IDS,
    NUM_BUCKETS,
    START,
    made_of,
    make_items,
    run_sources,
    session_row,
    table_of,
    write_rows,
)

from model.sources.bpr import BprConfig, train_bpr
from model.sources.corpus import corpus_of, walks_corpus
from model.sources.engaged_rows import RowsConfig, interactions_of
from model.sources.item_graph import ItemGraphConfig, cap_degrees, count_edges
from model.sources.sequences import SequencesConfig, sequences_of
from model.sources.skip_gram import SkipGramConfig, train_skip_gram
from model.sources.unit_rows import unit_or_zero
from model.sources.walks import WalksConfig, adjacency_of, walk
from pipelines.console.exit_codes import EXIT_DONE
from pipelines.console.jobs import beam_options
from pipelines.run.stage import run_stage
from pipelines.run.units import read_stage_manifest
from pipelines.sources.clickstream import Prod2Vec, attributes_of, walks_matrix
from pipelines.sources.co_engagements import CoEngagements, CoEngagementsConfig
from pipelines.sources.trained import SourceConfig
from pipelines.sources.walks import Walks, WalkStageConfig, merged
from pipelines.stages import CLICKSTREAM
from schemas.hashing import bucket_of
from schemas.records.clickstream import WALKS
from schemas.records.embeddings import read_embeddings, read_embeddings_metadata, validate_embeddings
from schemas.tables import ENGAGEMENTS

pytest_plugins = ["source_fixtures"]
pytestmark = pytest.mark.slow
_PARTS = "part-00000-of-00001.parquet"
_END = START + dt.timedelta(days=28)


@pytest.fixture(scope="module")
def used(rows) -> pa.Table:
    """The rows that count, once each, as ENGAGEMENTS."""
    kept = [
        row
        for row in rows
        if row["timestamp"] < _END
        and row["action"] not in ("impression", "return")
        and (row["session_id"] or row["user_id"])
        and row["item_id"] != "unknown"
    ]
    once = {tuple(row.items()): row for row in kept}
    assert len(once) < len(kept) < len(rows)
    return pa.Table.from_pylist(list(once.values()), schema=ENGAGEMENTS)


def counts_of(run: Path, stage: str) -> dict[str, int]:
    return read_stage_manifest(str(run), stage)["counts"]


def test_sequences_are_those_of_the_whole_log(run, used):
    expected, facts = sequences_of(used, SequencesConfig())
    assert table_of(run, "sequences").sort_by("sequence_id").equals(expected)
    counts = counts_of(run, "sequences")
    assert counts["sequences_written"] == len(expected) > 50
    assert counts["sequences_of_one_item"] == facts["sequences_of_one_item"] > 0


def test_lifetimes_are_learnt_from_where_they_are_asked_for(run, rows, tmp_path):
    """What a user has bought or put into a cart, an item once a day; sessions stay as they are."""
    own, log = make_items(tmp_path / "run"), write_rows(tmp_path / "log", rows)
    assert run_sources(own, log, "--sources", "prod2vec", "--lifetimes") == EXIT_DONE
    first: dict[tuple[str, dt.date, str], dt.datetime] = {}
    for row in rows:
        user, when, item = row["user_id"], row["timestamp"], row["item_id"]
        if user and when < _END and item != "unknown" and row["action"] in ("add_to_cart", "checkout"):
            key = (user, when.date(), item)
            first[key] = min(when, first.get(key, when))
    lives = {user: sorted((when, item) for (one, _, item), when in first.items() if one == user) for user, *_ in first}
    expected = {user: [item for _, item in life] for user, life in lives.items() if len(life) > 1}
    table = table_of(own, "lifetimes")
    assert dict(zip(table["sequence_id"].to_pylist(), table["item_ids"].to_pylist(), strict=True)) == expected
    assert table_of(own, "sequences").equals(table_of(run, "sequences"))
    both = pa.concat_tables([table_of(own, "sequences"), table])
    found = train_skip_gram(corpus_of(both, min_count=2), SkipGramConfig(dim=8), lambda _: None)
    ids, matrix_ND = read_embeddings(own / "prod2vec" / "embeddings")
    assert ids.to_pylist() == list(found.item_ids)
    np.testing.assert_array_equal(matrix_ND, unit_or_zero(found.matrix_ND))
    assert not np.array_equal(matrix_ND, read_embeddings(run / "prod2vec" / "embeddings")[1])
    told = read_stage_manifest(str(own), "prod2vec")
    assert told["log_end_us"] == int(_END.timestamp() * 1e6)
    early = ("--date", "2026-06-20", "--sources", "prod2vec")
    assert run_sources(own, log, *early) == EXIT_DONE
    assert read_stage_manifest(str(own), "prod2vec")["log_end_us"] < told["log_end_us"]
    stages = (
        SourceConfig(run=str(own), dim=8, min_count=2, lifetimes=True),
        SourceConfig(run=str(own), dim=8, min_count=2),
    )  # the lifetimes of the run are of the later date still
    ends = [Prod2Vec(config).facts()["log_end_us"] for config in stages]
    assert ends == [told["log_end_us"], read_stage_manifest(str(own), "sequences")["log_end_us"]]
    assert run_sources(own, log, "--sources", "prod2vec") == EXIT_DONE  # without them it is as ever
    assert read_embeddings(own / "prod2vec" / "embeddings")[1].tobytes() == (
        read_embeddings(run / "prod2vec" / "embeddings")[1].tobytes()
    )


def test_rows_of_the_log_add_up(run, rows, used):
    left_out = ("quarantined", "after_date", "other_actions", "without_user_or_session", "item_unknown", "equal")
    counts = counts_of(run, "sequences")
    assert counts["rows_read"] == len(rows) == sum(counts.get(f"rows_{name}", 0) for name in (*left_out, "used"))
    assert counts["rows_used"] == len(used)
    assert all(counts[f"rows_{name}"] for name in left_out[1:])
    counts = counts_of(run, "interactions")
    assert counts["rows_read"] == sum(counts.get(f"rows_{name}", 0) for name in (*left_out, "used"))
    assert counts["rows_used"] == pc.sum(used["user_id"].is_valid()).as_py() < len(used)


def test_interactions_are_those_of_the_whole_log(run, used):
    order = [("user_id", "ascending"), ("item_id", "ascending")]
    assert table_of(run, "interactions").sort_by(order).equals(interactions_of(used, RowsConfig()))


def test_the_graph_is_that_of_all_sequences(run, used):
    sequences, _ = sequences_of(used, SequencesConfig())
    counted = count_edges(sequences, ItemGraphConfig())
    expected, facts = cap_degrees(counted, ItemGraphConfig())
    edges = table_of(run, "co_engagements/edges")
    assert edges.sort_by([("item_id", "ascending"), ("neighbour_id", "ascending")]).equals(expected)
    plain: Counter[tuple[str, str]] = Counter()
    seen: Counter[str] = Counter()
    for row in sequences.to_pylist():  # none is longer than the window, so every pair of a session is one
        pairs = list(zip(row["item_ids"], row["weights"], strict=True))
        seen.update(row["item_ids"])
        plain.update({(a, b): min(w, x) for a, w in pairs for b, x in pairs if a != b})
    assert {(e["item_id"], e["neighbour_id"]): e["weight"] for e in edges.to_pylist()} == plain
    items = table_of(run, "co_engagements/items")
    assert dict(zip(*items.to_pydict().values(), strict=True)) == seen
    counts = counts_of(run, "co_engagements")
    assert counts["edges_counted"] == len(counted) == counts["edges_written"] == facts["edges"]
    assert counts["tokens_read"] == counts_of(run, "sequences")["tokens_written"] == seen.total()
    for path in sorted((run / "co_engagements" / "edges").iterdir()):
        buckets = {bucket_of(item, NUM_BUCKETS) for item in pq.read_table(path)["item_id"].to_pylist()}
        assert buckets <= {int(path.name.split("-")[1])}


def frequent_graph(run: Path) -> tuple[pa.Array, pa.Table]:
    """(ids of items that are there twice, ascending, the edges between them)."""
    items = table_of(run, "co_engagements/items")
    ids = items.filter(pc.greater_equal(items["count"], 2))["item_id"].combine_chunks().sort()
    edges = table_of(run, "co_engagements/edges")
    known = [pc.is_in(edges[name], value_set=ids) for name in ("item_id", "neighbour_id")]
    return ids, edges.filter(pc.and_(*known))


def test_walks_are_those_over_the_whole_graph(run):
    ids, edges = frequent_graph(run)
    adjacency = adjacency_of(edges, ids)
    config = WalksConfig()
    starts = [ids[code].as_py() for code in adjacency.items_N]
    expected = walk(starts, adjacency.items_N, adjacency, config)
    walks = table_of(run, "walks").sort_by([("item_id", "ascending"), ("walk", "ascending")])
    assert walks["item_ids"].to_pylist() == [[ids[code].as_py() for code in codes if code >= 0] for codes in expected]
    assert walks["item_id"].to_pylist() == [start for start in starts for _ in range(config.walks_an_item)]
    assert walks["walk"].to_pylist() == list(range(config.walks_an_item)) * len(starts)
    counts = counts_of(run, "walks")
    parts = ("items_rare", "items_without_edges", "items_walked")
    assert counts["items_read"] == sum(counts[name] for name in parts)
    assert counts["items_walked"] == len(starts)
    assert counts["walks_written"] == len(walks) > 100


def test_an_adjacency_in_parts_is_that_of_the_whole(run):
    ids, edges = frequent_graph(run)
    parts = [edges.filter(pc.equal(edges["item_id"], ids[row])) for row in (3, 0)]
    rest = edges.filter(pc.invert(pc.is_in(edges["item_id"], value_set=pa.array([ids[3].as_py(), ids[0].as_py()]))))
    whole, found = adjacency_of(edges, ids), merged([adjacency_of(part, ids) for part in (*parts, rest)])
    for field in dataclasses.fields(whole):
        np.testing.assert_array_equal(getattr(found, field.name), getattr(whole, field.name))


def expected_vectors(run: Path, source: str) -> tuple[list[str], np.ndarray, np.ndarray]:
    """(item ids, vectors, evidence) by the trainers alone."""
    items = table_of(run, "items")
    attributes = attributes_of(items) if "si2vec" in source else {}
    if source == "bpr":
        found = train_bpr(table_of(run, "interactions"), BprConfig(dim=8))
        return found.item_ids, found.matrix_ND, found.counts_N
    if source.startswith("deepwalk"):
        matrix, names = walks_matrix(table_of(run, "walks"))
        corpus = walks_corpus(matrix, names, attributes)
        learnt = train_skip_gram(corpus, SkipGramConfig(dim=8, num_epochs=2, window=5))
        seen = dict(zip(*table_of(run, "co_engagements/items").to_pydict().values(), strict=True))
        return learnt.item_ids, learnt.matrix_ND, np.array([seen[name] for name in learnt.item_ids])
    corpus = corpus_of(table_of(run, "sequences"), min_count=2, attributes=attributes)
    learnt = train_skip_gram(corpus, SkipGramConfig(dim=8))
    return learnt.item_ids, learnt.matrix_ND, corpus.counts_N


@pytest.mark.parametrize("source", CLICKSTREAM)
def test_vectors_are_those_of_the_trainer_and_keep_the_contract(run, source):
    ids, matrix_ND = read_embeddings(run / source / "embeddings")
    validate_embeddings(ids, matrix_ND, source)
    expected_ids, expected_ND, expected_N = expected_vectors(run, source)
    assert ids.to_pylist() == list(expected_ids)
    np.testing.assert_array_equal(matrix_ND, unit_or_zero(expected_ND))
    evidence = table_of(run, f"{source}/evidence")
    assert evidence["item_id"].to_pylist() == list(expected_ids)
    assert evidence["count"].to_pylist() == expected_N.tolist()
    manifest = read_stage_manifest(str(run), source)
    metadata = read_embeddings_metadata(run / source / "embeddings")
    assert metadata["model_id"] == manifest["source_id"]
    assert manifest["source_id"].startswith(f"{source}-")
    assert metadata["dimension"] == "8"
    counts = manifest["counts"]
    parts = ("items_left_out", "items_without_direction", "items_written")
    assert counts["items_seen"] == sum(counts[name] for name in parts)
    assert counts["items_written"] == len(ids) > 20


def test_items_of_one_half_are_near_each_other(run):
    """Sessions and users have items of one half only: every source must know that much."""
    for source in CLICKSTREAM:
        ids, matrix_ND = read_embeddings(run / source / "embeddings")
        half_N = np.array([ITEM_IDS.index(name) // 12 for name in ids.to_pylist()])
        cosine_NN = matrix_ND @ matrix_ND.T
        same_NN = (half_N[:, None] == half_N) & ~np.eye(len(ids), dtype=bool)
        assert cosine_NN[same_NN].mean() > cosine_NN[half_N[:, None] != half_N].mean(), source


def test_bpr_keeps_how_popular_items_are(run):
    biases = table_of(run, "bpr/biases")
    found = train_bpr(table_of(run, "interactions"), BprConfig(dim=8))
    assert biases["item_id"].to_pylist() == found.item_ids
    np.testing.assert_array_equal(biases["bias"].to_numpy(), found.bias_N)


@pytest.mark.parametrize(
    "runner",
    [["--runner=BundleBasedDirectRunner"], ["--direct_num_workers=2", "--direct_running_mode=multi_threading"]],
    ids=["bundles", "threads"],
)
def test_runner_order_and_files_never_change_the_bytes(run, rows, tmp_path, runner):
    """Of the longest way, and of bpr: they have every job."""
    shuffled = random.Random(1).sample(rows, len(rows))
    log = write_rows(tmp_path / "log", shuffled, num_files=3)
    other = make_items(tmp_path / "other")
    asked = ("deepwalk_prodsi2vec", "bpr")
    assert run_sources(other, log, "--sources", ",".join(asked), *runner) == EXIT_DONE
    folders = ("sequences", "interactions", "co_engagements", "walks", *asked)
    assert made_of(other) == made_of(run, *folders)
    assert len(made_of(other)) == 5 * NUM_BUCKETS + 2 * 2 + 1


@pytest.mark.soak  # test_users.py and test_working_folder.py have processes in `make test`
def test_two_processes_make_the_same_graph_and_walks(run, tmp_path):
    other = tmp_path / "run"
    for folder in ("items", "sequences", "manifests", "units"):
        shutil.copytree(run / folder, other / folder)
    options = beam_options(["--direct_num_workers=2", "--direct_running_mode=multi_processing"])
    run_stage(CoEngagements(CoEngagementsConfig(run=str(other))), options)
    run_stage(Walks(WalkStageConfig(run=str(other), min_count=2)), options)
    assert made_of(other, "co_engagements", "walks") == made_of(run, "co_engagements", "walks")
    assert len(made_of(other, "walks")) == NUM_BUCKETS


def test_walks_of_any_length_are_a_matrix():
    table = pa.table([["a", "b"], pa.array([0, 0], pa.int32()), [["a"], ["b", "a", "c"]]], schema=WALKS)
    matrix, names = walks_matrix(table)
    assert names == ["a", "b", "c"]
    assert matrix.tolist() == [[0, -1, -1], [1, 0, 2]]


def test_attributes_are_named_by_their_field(run):
    attributes = attributes_of(table_of(run, "items"))
    assert attributes["item-01"] == ["brand=acme", "colors=green", "colors=blue"]
    holders: dict[str, set[str]] = defaultdict(set)
    for item, names in attributes.items():
        for name in names:
            holders[name].add(item)
    assert len(holders["brand=harrow & finch"]) == 12


def test_the_first_instant_after_the_date_is_left_out(tmp_path):
    own = make_items(tmp_path / "run")
    times = (_END - dt.timedelta(microseconds=1), _END)
    rows = [
        {**session_row(0, "s", "u", item), "timestamp": when} for when in times for item in (ITEM_IDS[0], ITEM_IDS[1])
    ]
    assert run_sources(own, write_rows(tmp_path / "log", rows), "--sources", "bpr", "--min-count", "1") != EXIT_DONE
    counts = counts_of(own, "interactions")
    assert (counts["rows_after_date"], counts["rows_used"]) == (2, 2)
