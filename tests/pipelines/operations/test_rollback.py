import shutil
import subprocess
import sys

import pytest
from made_store import make_run, move

from pipelines.operations.rollback import RollbackConfig, default_target, main, run
from pipelines.store import history, store
from pipelines.store.lock import store_lock
from schemas.errors import UsageError


def published(folder, *days):
    """Runs of these days of June 2026, each published in turn."""
    runs = [make_run(folder, f"2026-06-{day}", day) for day in days]
    for made in runs:
        move(folder, made)
    return runs


def roll_back(folder, to=None, reason=None):
    return run(RollbackConfig(store=str(folder), to=to, reason=reason))


def test_readers_go_back_one_run_at_a_time(tmp_path, capsys):
    runs = published(tmp_path, 27, 28, 29)
    make_run(tmp_path, "2026-06-28", 99)  # finished, but readers never saw it
    assert roll_back(tmp_path, reason="wrong prices") == runs[1]
    assert store.current_run(str(tmp_path)) == runs[1]
    assert "readers now see runs/2026-06-28" in capsys.readouterr().out
    last = history.moves(str(tmp_path))[-1]
    assert (last.why, last.reason) == ("rolled back", "wrong prices")
    assert history.was_rolled_back(str(tmp_path), runs[2])
    assert roll_back(tmp_path) == runs[0]  # not forward again to the one that was taken back
    with pytest.raises(UsageError, match="--to"):
        roll_back(tmp_path)
    assert roll_back(tmp_path, to="2026-06-29") == runs[2]
    assert history.moves(str(tmp_path))[-1].why == "republished"
    assert not history.was_rolled_back(str(tmp_path), runs[2])


def test_a_rollback_that_was_cut_short_can_be_repeated(tmp_path):
    runs = published(tmp_path, 28, 29)
    move(tmp_path, runs[0], why="rolled back", only_meant=True)
    assert roll_back(tmp_path) == runs[0]


def test_without_the_run_of_the_history_it_is_the_next_older_sound_one(tmp_path):
    runs = published(tmp_path, 26, 27, 28)
    move(tmp_path, runs[1], why="rolled back")
    new = make_run(tmp_path, "2026-06-29", 29)
    move(tmp_path, new)
    shutil.rmtree(runs[1])
    assert default_target(str(tmp_path)) == runs[0]  # 28 was taken back
    (tmp_path / "history.jsonl").unlink()
    assert default_target(str(tmp_path)) == runs[2]


@pytest.mark.parametrize("form", ["{date}", "{id}", "runs/{date}/{id}", "{folder}"])
def test_a_run_may_be_named_in_every_way(tmp_path, form):
    runs = published(tmp_path, 27, 28, 29)
    name = form.format(date="2026-06-27", id=runs[0].name, folder=runs[0])
    assert main(["--store", str(tmp_path), "--to", name]) == 0
    assert store.current_run(str(tmp_path)) == runs[0]


def test_a_date_of_two_runs_names_neither(tmp_path, capsys):
    runs = published(tmp_path, 28, 29)
    other = make_run(tmp_path, "2026-06-28", 99)
    assert main(["--store", str(tmp_path), "--to", "2026-06-28"]) == 2
    shown = capsys.readouterr().err
    assert runs[0].name in shown
    assert other.name in shown
    assert store.current_run(str(tmp_path)) == runs[1]


@pytest.mark.parametrize("to", ["2026-06-29", "2026-06-01", "../..", "\x1b[31m", "deadbeefdeadbeef", "2026-06-30"])
def test_what_cannot_be_rolled_back_to_is_refused(tmp_path, to, capsys):
    runs = published(tmp_path, 28, 29)
    make_run(tmp_path, "2026-06-30", 30, finished=False)
    assert main(["--store", str(tmp_path), "--to", to]) == 2
    assert store.current_run(str(tmp_path)) == runs[1]
    assert "\x1b" not in capsys.readouterr().err


def test_while_another_works_on_the_store_it_is_told_what_to_do(tmp_path, capfd):
    runs = published(tmp_path, 28, 29)
    call = f"from pipelines.operations.rollback import main; import sys; sys.exit(main(['--store', {str(tmp_path)!r}]))"
    with store_lock(tmp_path, "daily run of 2026-06-30"):
        assert subprocess.run([sys.executable, "-c", call], check=False).returncode == 1
    shown = capfd.readouterr().err
    assert "daily run of 2026-06-30" in shown
    assert "stop that process" in shown
    assert "repeat this rollback" in shown
    assert store.current_run(str(tmp_path)) == runs[1]


def test_it_mends_a_pointer_to_a_run_that_is_gone(tmp_path):
    runs = published(tmp_path, 28, 29)
    shutil.rmtree(runs[1])
    assert roll_back(tmp_path) == runs[0]
    (tmp_path / "CURRENT").write_text("nonsense")
    assert roll_back(tmp_path, to="2026-06-28") == runs[0]
    assert history.moves(str(tmp_path))[-1].from_run is None
