"""Calls of sources that are repeated, killed, wrong or of too little, and a training that makes sources."""

import dataclasses
import signal

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from source_runs import (
    DATE,
    NUM_BUCKETS,
    flags_of,
    made_of,
    make_items,
    run_sources,
    session_row,
    write_rows,
)
from train_runs import write_catalogue

from pipelines.console.exit_codes import EXIT_DONE, EXIT_FAULT, EXIT_THRESHOLD, EXIT_USAGE
from pipelines.console.jobs import beam_options
from pipelines.run.units import read_stage_manifest
from pipelines.sources import walks as walks_stage
from pipelines.sources.walks import Walks, WalkStageConfig
from pipelines.train import job as train
from pipelines.train.checks import check_early
from schemas.errors import UsageError
from schemas.records.embeddings import read_embeddings
from schemas.tables import ENGAGEMENTS

pytest_plugins = ["source_fixtures", "fault_fixtures"]
pytestmark = pytest.mark.slow
_PARTS = "part-00000-of-00001.parquet"


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
    assert run_sources(run, log, "--sources", "bpr,prod2vec, bpr") == EXIT_USAGE
    assert "expected --sources that name each once, got 'bpr' twice" in capsys.readouterr().err
    assert run_sources(run, log, "--sources", "bpr", "--lifetimes") == EXIT_USAGE
    assert "expected --sources prod2vec or prodsi2vec with --lifetimes, got bpr" in capsys.readouterr().err
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


def test_a_killed_call_goes_on(run, rows, commands, tmp_path):
    """Killed after a bucket of walks, and after a source's vectors, which its unit does not know of yet."""
    other, log = make_items(tmp_path / "run"), write_rows(tmp_path / "log", rows)
    call = flags_of(other, log, "--sources", "deepwalk_prod2vec")
    deaths = ("after", "*/units/walks/bucket-*.json"), ("after", "*/deepwalk_prod2vec/embeddings/*.parquet")
    for die in deaths:
        assert commands.run("sources", *call, die=die) == -signal.SIGKILL, commands.shown()
    (finished, *_) = (other / "units" / "walks").glob("bucket-*.json")
    made_ns = finished.stat().st_mtime_ns
    assert not (other / "manifests" / "deepwalk_prod2vec.json").exists()
    assert commands.run("sources", *call) == EXIT_DONE, commands.shown()
    assert finished.stat().st_mtime_ns == made_ns
    assert made_of(other) == made_of(run, "sequences", "co_engagements", "walks", "deepwalk_prod2vec")
