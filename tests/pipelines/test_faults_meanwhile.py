"""What happens while a run is running: its model is replaced, another run starts, it is stopped or killed."""

import os
import shutil
import signal
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pyarrow.parquet as pq
import pytest
from command_server import Commands
from exploration import SOAK, soak
from fault_bench import (
    DAY,
    DAY_BEFORE,
    MODEL,
    OTHER_MODEL,
    Bench,
    Outcome,
    assert_sound,
    differing,
    pointer_of,
    published_after,
    result_of,
    run_in,
)

from pipelines.serving.searcher import Searcher
from pipelines.store import store
from pipelines.store.models import ITEM_MODELS
from schemas.files import read_json

pytest_plugins = ["fault_fixtures"]
pytestmark = pytest.mark.slow


def test_another_model_between_kill_and_resume(bench, folder, figures):
    assert bench.day(folder, die=("after", "*/manifests/features.json")).code < 0
    (killed,) = (folder / "runs" / DAY).iterdir()
    with_own_models(bench, folder)
    ITEM_MODELS.make_current(str(folder), bench.models[OTHER_MODEL])
    outcome = bench.day(folder)
    assert outcome.code == 0, outcome.output
    run = store.current_run(str(folder))
    assert run != killed
    assert model_ids(run) == {bench.models[OTHER_MODEL]}
    assert_sound(folder, run)
    figures["faults survived"] += 1
    if not SOAK:
        return
    first = bench.day(folder, "--model", bench.models[MODEL])
    assert first.code == 0, first.output
    assert differing(result_of(killed), bench.clean) == []
    assert model_ids(killed) == {bench.models[MODEL]}


def test_a_model_that_changes_all_the_time(bench, folder, figures):
    with_own_models(bench, folder)
    stop = threading.Event()

    def repoint() -> None:
        number = 0
        while not stop.wait(0.01):
            number = 1 - number
            ITEM_MODELS.make_current(str(folder), bench.models[number])

    thread = threading.Thread(target=repoint)
    thread.start()
    try:
        outcome = bench.day(folder)
    finally:
        stop.set()
        thread.join()
    assert outcome.code == 0, outcome.output
    run = store.current_run(str(folder))
    assert run.parent.name == DAY
    assert len(model_ids(run)) == 1
    assert_sound(folder, run)
    if model_ids(run) == {bench.models[MODEL]}:
        assert differing(result_of(run), bench.clean) == []
    figures["faults survived"] += 1


@pytest.mark.parametrize("name", ["item_encoder.safetensors", *soak("hash_embedder.safetensors", "manifest.json")])
def test_a_model_that_is_written_over(bench, folder, figures, name):
    """The weights of another model of the same shapes, after the features were made."""
    with_own_models(bench, folder)
    assert bench.day(folder, die=("after", "*/manifests/features.json")).code < 0
    path = folder / "models" / bench.models[MODEL] / name
    undamaged = path.read_bytes()
    path.write_bytes((folder / "models" / bench.models[OTHER_MODEL] / name).read_bytes())
    refused_with_that_model = bench.day(folder)
    assert refused_with_that_model.code == 1
    assert refused_with_that_model.error
    assert store.current_run(str(folder)).parent.name == DAY_BEFORE
    path.write_bytes(undamaged)
    published_after(bench, folder)
    figures["faults survived"] += 1


@pytest.mark.soak
def test_a_model_whose_folder_is_deleted(bench, folder, figures):
    with_own_models(bench, folder)
    model = folder / "models" / bench.models[MODEL]
    model.rename(folder / "away")
    before, outcome = pointer_of(folder), bench.day(folder)
    assert bench.models[MODEL] in outcome.error
    assert pointer_of(folder) == before
    (folder / "away").rename(model)
    published_after(bench, folder)
    figures["faults survived"] += 1


def with_own_models(bench: Bench, folder: Path) -> None:
    (folder / "models").unlink()
    shutil.copytree(bench.day_old / "models", folder / "models")


def model_ids(run: Path) -> set[str]:
    """Every model id that a run names: manifests, files, index."""
    files = [next((run / folder).glob("*.parquet")) for folder in ("embeddings", "users")]
    named = [read_json(run / "manifest.json"), read_json(run / "index" / "manifest.json")]
    named += [read_json(run / "manifests" / f"{stage}.json") for stage in ("embeddings", "index", "users")]
    in_files = {pq.read_schema(path).metadata[b"model_id"].decode() for path in files}
    return {values["model_id"] for values in named} | in_files


@contextmanager
def stopped_run(bench: Bench, folder: Path, then: signal.Signals) -> Iterator[tuple[int, list[Outcome]]]:
    """The day in another process, stopped in the middle of its work; at the end it goes on or is killed.

    Yields its process id and the list that its outcome is put into.
    """
    outcomes: list[Outcome] = []
    thread = threading.Thread(target=lambda: outcomes.append(bench.day(folder)))
    thread.start()
    pid, deadline_s = None, time.monotonic() + 60
    while pid is None and time.monotonic() < deadline_s:
        if any((folder / "runs" / DAY).glob("*/units/items/*.json")):
            pid = read_json(folder / "LOCK")["pid"]
            os.kill(pid, signal.SIGSTOP)
    assert pid is not None
    try:
        assert not outcomes, "it ended before it was stopped"
        yield pid, outcomes
    finally:
        os.kill(pid, then)
        thread.join()


def test_a_second_run_at_once(bench, folder, other_commands: Commands, figures):
    before = pointer_of(folder)
    with stopped_run(bench, folder, signal.SIGCONT) as (pid, outcomes):
        for call in (bench.day_call(folder), bench.day_call(folder, date="2026-07-01")):
            second = run_in(other_commands, *call)
            assert second.code == 1
            assert f"pid {pid}" in second.error
            assert "expected to be the only one that writes" in second.error
        assert pointer_of(folder) == before
        assert len(Searcher(str(folder)).item_ids) > 40
        assert [path.name for path in (folder / "runs").iterdir() if path.name > DAY] == []
    assert bench.check(folder, before, outcomes[0])
    figures["faults survived"] += 1


@pytest.mark.soak
def test_a_holder_that_was_killed_holds_nothing(bench, folder, other_commands: Commands, figures):
    before = pointer_of(folder)
    with stopped_run(bench, folder, signal.SIGKILL) as (pid, outcomes):
        pass
    assert outcomes[0].code == -signal.SIGKILL
    assert read_json(folder / "LOCK")["pid"] == pid
    second = run_in(other_commands, *bench.day_call(folder))
    assert f"pid {pid}, which has ended" in second.output
    assert bench.check(folder, before, second)
    figures["faults survived"] += 1


@pytest.mark.soak
def test_two_runs_started_together(bench, folder, other_commands: Commands, figures):
    before, outcomes = pointer_of(folder), []
    call = bench.day_call(folder)
    threads = [
        threading.Thread(target=lambda server=server: outcomes.append(run_in(server, *call)))
        for server in (bench.commands, other_commands)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    ended = sorted(outcome.code for outcome in outcomes)
    assert ended in ([0, 0], [0, 1]), [outcome.output for outcome in outcomes]
    for outcome in outcomes:
        bench.check(folder, pointer_of(folder) if outcome.code else before, outcome)
    figures["faults survived"] += 1
