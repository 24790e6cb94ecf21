"""Every command that reads engagements stops, exit code 3, at a log of which too much is rejected or nothing is of use,
before it works, and says which values and what to do."""

from pathlib import Path

import pyarrow.parquet as pq
import pytest
from pairs_runs import ITEM_IDS as PAIRS_ITEMS
from pairs_runs import make_run as make_pairs_run
from train_runs import SMALL
from useless_logs import REJECTED, UNUSED, ga4_names, good_rows, other_items, write
from user_shop import FROM, TO, make_shop
from users_runs import ITEM_IDS, NOW, run_users, vectors_of, write_vectors

from pipelines.evaluate_users import job as evaluate_users
from pipelines.index import job as index
from pipelines.pairs import job as pairs
from pipelines.train import job as train
from pipelines.users import job as users
from schemas.tables import ENGAGEMENTS

pytestmark = pytest.mark.slow

DATE = "2026-06-30"


@pytest.fixture
def vectors(tmp_path) -> Path:
    return write_vectors(tmp_path / "vectors.parquet", vectors_of())


def log_of(folder: Path, change, num_changed: int = 60, items=ITEM_IDS) -> Path:
    """A good log of 60 rows, so many of them changed."""
    rows = good_rows(items, NOW)
    return write(folder / "log.parquet", [change(row) for row in rows[:num_changed]] + rows[num_changed:])


@pytest.mark.parametrize("change", [*REJECTED, *UNUSED])
def test_users_alone(tmp_path, vectors, capsys, change):
    log = log_of(tmp_path, change)
    for _ in range(2):  # a call that is repeated is told the same
        assert run_users(tmp_path / "run", vectors, log) == 3
        told = capsys.readouterr().err
        assert "expected the log to pass its gates before users are made, got 1 failed: [" in told
        assert (REJECTED | UNUSED)[change] in told
        assert not (tmp_path / "run" / "users").exists()  # nobody was clustered
        assert not (tmp_path / "run" / "manifests" / "users.json").exists()
    assert bool(list((tmp_path / "run").glob("quarantine/log-*.parquet"))) == (change in REJECTED)


def test_a_third_is_too_much_unless_a_flag_or_key_lets_it_pass(tmp_path, vectors, capsys):
    log = log_of(tmp_path, ga4_names, 20)
    run = tmp_path / "run"
    assert run_users(run, vectors, log) == 3
    assert "20 of 60 log rows are quarantined (0.333333): expected at most 0.1" in capsys.readouterr().err
    assert not (run / "users").exists()  # nobody was clustered
    (tmp_path / "shop.toml").write_text("max_quarantined_log = 0.4\n")
    assert run_users(run, vectors, log, "--config", str(tmp_path / "shop.toml")) == 0
    assert run_users(tmp_path / "other", vectors, log, "--min-quarantined", "21") == 0
    assert run_users(tmp_path / "third", vectors, log, "--max-quarantined-log", "1.1") == 2
    assert run_users(tmp_path / "fourth", vectors, log_of(tmp_path, ga4_names, 60), "--max-quarantined-log", "1") == 3


def test_a_log_whose_events_are_all_no_rows(tmp_path, vectors, capsys):
    """Nothing is rejected and nothing is left."""
    log = log_of(tmp_path, lambda row: {**row, "action": "page_view"})
    config = tmp_path / "shop.toml"
    config.write_text('[columns.engagements]\naction = {source = "action", values = {page_view = ""}}\n')
    assert run_users(tmp_path / "run", vectors, log, "--config", str(config)) == 3
    printed = capsys.readouterr()
    assert "the log has events, and none is a row: expected at least 1; events of no use 60" in printed.err
    assert "rows read 0, rows quarantined 0, rows used 0, events of no use 60" in printed.out


@pytest.mark.parametrize("change", [*REJECTED, *UNUSED])
@pytest.mark.parametrize("pseudo_queries", ["0", "2"])
def test_pairs_alone(tmp_path, capsys, change, pseudo_queries):
    """Also where pseudo-queries alone could train a model: who names a log wants it used."""
    run = make_pairs_run(tmp_path / "run", 2)
    log = log_of(tmp_path, change, items=PAIRS_ITEMS[:20])
    arguments = ["--run", str(run), "--engagements", str(log), "--date", DATE, "--pseudo-queries", pseudo_queries]
    assert pairs.main(arguments) == 3
    told = capsys.readouterr().err
    assert "expected the log to pass its gates before pairs are made, got 1 failed" in told
    assert (REJECTED | UNUSED)[change] in told
    assert not (run / "pairs").exists()


@pytest.mark.parametrize("change", REJECTED)
def test_index_alone(tmp_path, capsys, change):
    """Its queries would be made of the text of items instead, and nothing would say so."""
    log = log_of(tmp_path, change)
    assert index.main(["--run", str(tmp_path / "run"), "--engagements", str(log), "--date", DATE]) == 3
    assert REJECTED[change] in capsys.readouterr().err


def train_call(folder: Path, log: Path, *flags: str) -> int:
    catalogue = [{"item_id": item_id, "title": f"shoe {item_id}"} for item_id in ITEM_IDS]
    write(folder / "catalog.parquet", catalogue)
    places = ["--catalog", str(folder / "catalog.parquet"), "--store", str(folder / "store"), "--date", DATE]
    rest = ["--engagements", str(log), "--image-encoder", "none", "--pseudo-queries", "2"]
    return train.main([*places, *rest, *flags])


@pytest.mark.parametrize("change", [*REJECTED, *UNUSED])
def test_train(tmp_path, capsys, change):
    assert train_call(tmp_path, log_of(tmp_path, change)) == 3
    told = capsys.readouterr().err
    assert "expected every gate to pass before a model is trained" in told
    assert (REJECTED | UNUSED)[change] in told
    (run,) = (tmp_path / "store" / "training" / DATE).iterdir()
    assert not (run / "features").exists()
    assert not (tmp_path / "store" / "models").exists()


def test_train_goes_on_in_the_same_run_once_more_is_let_pass(tmp_path):
    log = log_of(tmp_path, ga4_names, 20)
    tiny = ["--epochs", "1", "--min-steps", "2", "--batch-size", "16", "--test-fraction", "0", "--accept-untrained"]
    tiny += [*SMALL]
    tiny += ["--validation-fraction", "0"]  # all rows are of one query
    assert train_call(tmp_path, log, *tiny) == 3
    assert train_call(tmp_path, log, *tiny, "--max-quarantined-log", "0.5") == 0
    (run,) = (tmp_path / "store" / "training" / DATE).iterdir()
    assert (run / "pairs").is_dir()


@pytest.fixture(scope="module")
def shop(tmp_path_factory) -> tuple[Path, Path]:
    """(run with item vectors, its log)."""
    return make_shop(tmp_path_factory.mktemp("shop"))


def changed(shop: tuple[Path, Path], path: Path, change) -> Path:
    table = pq.read_table(shop[1])
    return write(path, [change(row) for row in table.select(ENGAGEMENTS.names).to_pylist()])


@pytest.mark.parametrize("change", [*REJECTED, other_items])
def test_calibrating_and_evaluating_users(shop, tmp_path, capsys, change):
    run, _ = shop
    log = changed(shop, tmp_path / "log.parquet", change)
    before = {path: path.stat().st_mtime_ns for path in run.rglob("*")}
    calibrate = ["--run", str(run), "--engagements", str(log), "--date", TO, "--calibrate", "--calibration-days=3"]
    evaluate = ["--run", str(run), "--engagements", str(log), "--from", FROM, "--to", TO, "--alpha", "1"]
    for call, arguments in ((users.main, calibrate), (evaluate_users.main, evaluate)):
        assert call(arguments) == 3
        told = capsys.readouterr().err
        if change in REJECTED:
            assert "[quarantine_log] 780 of 780 log rows are quarantined" in told
            assert REJECTED[change].replace(" 60 ", " 780 ") in told
        else:
            assert "that make users, got none: rows item unknown 780, rows read 780. To do: see that the log" in told
    assert {path: path.stat().st_mtime_ns for path in run.rglob("*")} == before


def test_a_part_is_let_pass_where_it_may(shop, tmp_path):
    run, log = shop
    rows = pq.read_table(log).to_pylist()
    write(tmp_path / "log.parquet", [ga4_names(row) if n % 5 == 0 else row for n, row in enumerate(rows)])
    arguments = ["--run", str(run), "--engagements", str(tmp_path / "log.parquet"), "--from", FROM, "--to", TO]
    assert evaluate_users.main([*arguments, "--alpha", "1"]) == 3
    assert evaluate_users.main([*arguments, "--alpha", "1", "--max-quarantined-log", "0.2"]) == 0
