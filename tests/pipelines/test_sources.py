"""Sources of item vectors from clickstream: each job is equal to the direct computation, whatever runs it."""

import dataclasses
import datetime as dt
import random
import shutil
import signal
from collections import Counter, defaultdict
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest
from command_server import command_server
from source_runs import (
    DATE,
    ITEM_IDS,
    NUM_BUCKETS,
    START,
    flags_of,
    made_of,
    make_items,
    run_sources,
    session_row,
    session_rows,
    table_of,
    write_rows,
)
from train_runs import write_catalogue

from model.sources.bpr import BprConfig, train_bpr
from model.sources.corpus import corpus_of, walks_corpus
from model.sources.engaged_rows import RowsConfig, interactions_of
from model.sources.item_graph import ItemGraphConfig, cap_degrees, count_edges
from model.sources.sequences import SequencesConfig, sequences_of
from model.sources.skip_gram import SkipGramConfig, train_skip_gram
from model.sources.unit_rows import unit_or_zero
from model.sources.walks import WalksConfig, adjacency_of, walk
from pipelines.console.exit_codes import EXIT_DONE, EXIT_FAULT, EXIT_THRESHOLD, EXIT_USAGE
from pipelines.console.jobs import beam_options
from pipelines.run.stage import run_stage
from pipelines.run.units import read_stage_manifest
from pipelines.sources import walks as walks_stage
from pipelines.sources.clickstream import attributes_of, walks_matrix
from pipelines.sources.co_engagements import CoEngagements, CoEngagementsConfig
from pipelines.sources.walks import Walks, WalkStageConfig, merged
from pipelines.stages import CLICKSTREAM
from pipelines.train import job as train
from pipelines.train.checks import check_early
from schemas.clickstream import WALKS
from schemas.embeddings import read_embeddings, read_embeddings_metadata, validate_embeddings
from schemas.errors import UsageError
from schemas.hashing import bucket_of
from schemas.tables import ENGAGEMENTS

pytestmark = pytest.mark.slow
_PARTS = "part-00000-of-00001.parquet"
_END = START + dt.timedelta(days=28)


@pytest.fixture(scope="module")
def rows() -> list[dict]:
    return session_rows()


@pytest.fixture(scope="module")
def run(rows, tmp_path_factory) -> Path:
    """All sources are made."""
    folder = tmp_path_factory.mktemp("sources")
    made = make_items(folder / "run")
    assert run_sources(made, write_rows(folder / "log", rows)) == EXIT_DONE
    return made


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


def test_two_processes_make_the_same_graph_and_walks(run, tmp_path):
    other = tmp_path / "run"
    for folder in ("items", "sequences", "manifests", "units"):
        shutil.copytree(run / folder, other / folder)
    options = beam_options(["--direct_num_workers=2", "--direct_running_mode=multi_processing"])
    run_stage(CoEngagements(CoEngagementsConfig(run=str(other))), options)
    run_stage(Walks(WalkStageConfig(run=str(other), min_count=2)), options)
    assert made_of(other, "co_engagements", "walks") == made_of(run, "co_engagements", "walks")
    assert len(made_of(other, "walks")) == NUM_BUCKETS


def test_what_is_there_is_not_made_again_and_what_is_lost_is(run, rows, tmp_path, capsys):
    other = make_items(tmp_path / "run")
    log = write_rows(tmp_path / "log", rows)
    assert run_sources(other, log, "--sources", "deepwalk_prod2vec") == EXIT_DONE
    assert {path.name for path in other.iterdir()} == {
        *("items", "units", "manifests", "sequences", "co_engagements", "walks", "deepwalk_prod2vec")
    }
    before = made_of(other)
    times = {path: path.stat().st_mtime_ns for path in other.rglob("*.parquet")}
    capsys.readouterr()
    assert run_sources(other, log, "--sources", "deepwalk_prod2vec") == EXIT_DONE
    assert {path: path.stat().st_mtime_ns for path in other.rglob("*.parquet")} == times
    assert "reused 1" in capsys.readouterr().out
    lost = sorted((other / "walks").iterdir())[1]
    lost.unlink()
    (other / "units" / "sequences" / f"bucket-00000-of-{NUM_BUCKETS:05d}.json").unlink()
    (other / "deepwalk_prod2vec" / "embeddings" / _PARTS).write_bytes(b"damaged")
    assert run_sources(other, log, "--sources", "deepwalk_prod2vec") == EXIT_DONE
    assert made_of(other) == before
    assert times[sorted((other / "walks").iterdir())[0]] == (sorted((other / "walks").iterdir())[0]).stat().st_mtime_ns


def test_another_seed_is_another_source(run, rows, tmp_path):
    other = make_items(tmp_path / "run")
    log = write_rows(tmp_path / "log", rows)
    assert run_sources(other, log, "--sources", "prod2vec", "--seed", "1") == EXIT_DONE
    ids = [read_stage_manifest(str(folder), "prod2vec")["source_id"] for folder in (run, other)]
    assert ids[0] != ids[1]
    assert made_of(other, "prod2vec/evidence") == made_of(run, "prod2vec/evidence")
    assert made_of(other, "prod2vec/embeddings") != made_of(run, "prod2vec/embeddings")


@pytest.mark.parametrize(
    ("rows", "sources", "told"),
    [
        ([session_row(1, None, None, "item-01"), session_row(1, None, None, "item-02")], "prod2vec", "log_used"),
        ([session_row(1, "s", "u", "other-01"), session_row(1, "s", "u", "other-02")], "bpr", "log_used"),
        ([session_row(n, f"s{n}", "u", "item-01") for n in range(9)], "prod2vec", "session with two items"),
        ([session_row(n, f"s{n}", None, "item-01") for n in range(9)], "bpr", "log_used"),
        ([session_row(n, f"s{n}", "u", "item-01") for n in range(9)], "bpr", "at least 2 users"),
        (
            [session_row(1, "s", "u", "item-01"), session_row(2, "s", "u", "item-02")],
            "prod2vec",
            "at least two items that occur 2 times",
        ),
        (
            [session_row(1, "s", "u", "item-01"), session_row(2, "s", "u", "item-02")],
            "deepwalk_prod2vec",
            "at least 2 occurrences that are engaged with together",
        ),
    ],
    ids=["nobody", "unknown items", "one item", "no user", "one item of a user", "rare items", "rare items of walks"],
)
def test_too_little_to_learn_from_is_said(tmp_path, rows, sources, told, capsys):
    run, log = make_items(tmp_path / "run"), write_rows(tmp_path / "log", rows)
    assert run_sources(run, log, "--sources", sources) == EXIT_THRESHOLD
    shown = capsys.readouterr().err
    assert "expected" in shown
    assert told in shown
    assert not (run / "manifests" / f"{sources}.json").exists()


def test_wrong_calls_are_refused(tmp_path, run, capsys):
    log = write_rows(tmp_path / "log", [session_row(1, "s", "u", "item-01")])
    assert run_sources(run, log, "--sources", "word2vec") == EXIT_USAGE
    assert "expected --sources of prod2vec," in capsys.readouterr().err
    assert run_sources(run, log, "--sources", ",") == EXIT_USAGE
    assert run_sources(run, log, "--min-count", "0") == EXIT_USAGE
    assert run_sources(tmp_path / "none", log) == EXIT_FAULT
    assert "expected the finished stage 'items'" in capsys.readouterr().err
    (run / "COMPLETED").touch()
    assert run_sources(run, log, "--sources", "prod2vec") == EXIT_USAGE
    assert "expected a run that is not published yet" in capsys.readouterr().err
    (run / "COMPLETED").unlink()


def test_a_graph_that_no_process_can_hold_is_refused(run, monkeypatch):
    monkeypatch.setattr(walks_stage, "MAX_EDGES", 3)
    stage = Walks(WalkStageConfig(run=str(run)))
    with pytest.raises(ValueError, match="expected from 1 to 3 edges"):
        stage.prepare(None)


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


def test_train_makes_them_in_its_run_and_is_no_other_training(tmp_path, rows):
    """Without --sources, nothing of a training changes."""
    folder = tmp_path / "shop"
    write_catalogue(folder, images=None)
    named = [{**row, "item_id": row["item_id"].replace("item-", "item-0")} for row in rows]
    log = pa.Table.from_pylist(named, schema=ENGAGEMENTS)
    pq.write_table(log, folder / "log.parquet")
    places = {
        "catalog": f"{folder}/catalog.parquet",
        "engagements": f"{folder}/log.parquet",
        "store": f"{folder}/store",
    }
    config = train.TrainConfig(**places, date=DATE, image_encoder="none", max_quarantined_log=1.0)
    asked = dataclasses.replace(config, sources="bpr")
    assert train.identity(asked) == train.identity(config)
    run = tmp_path / "run"
    train.prepare(config, beam_options([]), str(run))
    assert not (run / "interactions").exists()
    before = made_of(run, "pairs", "features")
    train.prepare(asked, beam_options([]), str(run))
    assert made_of(run, "pairs", "features") == before
    ids, _ = read_embeddings(run / "bpr" / "embeddings")
    assert len(ids) > 20
    with pytest.raises(UsageError, match="expected --engagements for --sources bpr"):
        check_early(dataclasses.replace(asked, engagements=None))
    with pytest.raises(UsageError, match="expected --sources of"):
        check_early(dataclasses.replace(asked, sources="gensim"))


def test_a_killed_call_goes_on(run, rows, tmp_path):
    """Killed after a bucket of walks, and after a source's vectors, which its unit does not know of yet."""
    other, log = make_items(tmp_path / "run"), write_rows(tmp_path / "log", rows)
    call = flags_of(other, log, "--sources", "deepwalk_prod2vec")
    with command_server(tmp_path / "server") as commands:
        deaths = ("after", "*/units/walks/bucket-*.json"), ("after", "*/deepwalk_prod2vec/embeddings/*.parquet")
        for die in deaths:
            assert commands.run("sources", *call, die=die) == -signal.SIGKILL, commands.shown()
        (finished, *_) = (other / "units" / "walks").glob("bucket-*.json")
        made_ns = finished.stat().st_mtime_ns
        assert not (other / "manifests" / "deepwalk_prod2vec.json").exists()
        assert commands.run("sources", *call) == EXIT_DONE, commands.shown()
    assert finished.stat().st_mtime_ns == made_ns
    assert made_of(other) == made_of(run, "sequences", "co_engagements", "walks", "deepwalk_prod2vec")
