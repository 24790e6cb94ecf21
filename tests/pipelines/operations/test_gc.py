"""What gc deletes and what it keeps: the rule as a pure function, then whole stores."""

import json
import shutil
import subprocess
import sys

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from made_store import HOUR_S, MODEL, OTHER_MODEL, age, make_model, make_run, move
from python_process import ENVIRONMENT, run_python

from pipelines.operations.gc.job import GcConfig, main, remove, run
from pipelines.operations.gc.rules import RunFacts, runs_to_keep
from pipelines.store.lock import StoreBusyError, store_lock
from schemas.errors import CorruptFileError
from schemas.files import write_sealed_json

NOW_S = 1_000_000.0
OLD_S, YOUNG_S = NOW_S - 30 * HOUR_S, NOW_S - 2 * HOUR_S


def facts(name, **given):
    return RunFacts(**{"name": name, "is_completed": True, "touched_s": OLD_S, **given})


@pytest.mark.parametrize(
    ("why", "run", "is_kept"),
    [
        ("readers see it", facts("x", is_current=True), True),
        ("readers left it 2 hours ago", facts("x", left_s=YOUNG_S), True),
        ("readers left it 30 hours ago", facts("x", left_s=OLD_S), False),
        ("readers left it in the future, by a wrong clock", facts("x", left_s=NOW_S + 9e9), True),
        ("finished 2 hours ago, about to be published", facts("x", touched_s=YOUNG_S), True),
        ("finished 30 hours ago, never published", facts("x"), False),
        ("at work 2 hours ago", facts("x", is_completed=False, touched_s=YOUNG_S), True),
        ("given up 30 hours ago", facts("x", is_completed=False), False),
    ],
)
def test_the_rule_case_by_case(why, run, is_kept):
    newer = [facts(f"newer {number}", left_s=OLD_S) for number in range(3)]
    kept = runs_to_keep([run, *newer], keep=2, min_age_s=24 * HOUR_S, now_s=NOW_S, rollback_target="newer 0")
    assert ("x" in kept) == is_kept, why
    assert set(kept) - {"x"} == {"newer 0", "newer 1", "newer 2"}


def test_the_run_that_an_unfinished_one_is_compared_with_stays():
    runs = [facts("a"), facts("b"), facts("c", is_completed=False, touched_s=YOUNG_S, previous="a")]
    runs.append(facts("d", is_completed=False, previous="b"))
    assert set(runs_to_keep(runs, keep=0, min_age_s=24 * HOUR_S, now_s=NOW_S, rollback_target=None)) == {"a", "c"}


def test_comparisons_are_followed_to_their_end():
    """Only `youngest` is at work; it is compared with `older`, which is unfinished and compared with `oldest`."""
    runs = [facts("oldest"), facts("older", is_completed=False, previous="oldest")]
    runs.append(facts("youngest", is_completed=False, touched_s=YOUNG_S, previous="older"))
    runs.append(facts("given up", is_completed=False, previous="given up"))
    for ordered in (runs, runs[::-1]):
        kept = runs_to_keep(ordered, keep=0, min_age_s=24 * HOUR_S, now_s=NOW_S, rollback_target=None)
        assert set(kept) == {"youngest", "older", "oldest"}
        assert kept["oldest"] == "older, unfinished, is compared with it"


def test_comparisons_that_go_round_in_a_circle_end():
    runs = [facts("a", is_completed=False, previous="b"), facts("b", is_completed=False, previous="a")]
    runs.append(facts("c", is_completed=False, touched_s=YOUNG_S, previous="a"))
    runs.append(facts("d", is_completed=False, touched_s=YOUNG_S, previous="no such run"))
    kept = runs_to_keep(runs, keep=0, min_age_s=24 * HOUR_S, now_s=NOW_S, rollback_target=None)
    assert set(kept) == {"a", "b", "c", "d"}


@st.composite
def stores(draw):
    """Facts of up to 8 runs, oldest first, at most one of them current; times around the border of the least age."""
    moments = st.sampled_from([0.0, NOW_S - 25 * HOUR_S, NOW_S - 24 * HOUR_S + 1, NOW_S, NOW_S + HOUR_S])
    count = draw(st.integers(0, 8))
    current = draw(st.one_of(st.none(), st.integers(0, 7)))
    runs = []
    for number in range(count):
        is_completed = draw(st.booleans()) or number == current
        runs.append(
            facts(
                f"run {number}",
                is_completed=is_completed,
                is_current=number == current,
                left_s=draw(st.one_of(st.none(), moments)) if is_completed and number != current else None,
                touched_s=draw(moments),
                previous=draw(st.one_of(st.none(), st.sampled_from([f"run {n}" for n in range(count)]))),
            )
        )
    return runs


CHAIN = [  # run 3 is at work and compared with run 0, which is unfinished itself and compared with run 2
    facts(f"run {n}", is_completed=False, touched_s=NOW_S if n == 3 else 0.0, previous={0: "run 2", 3: "run 0"}.get(n))
    for n in range(6)
]


@pytest.mark.medium
@given(stores(), st.integers(0, 9), st.integers(0, 7))
@example(CHAIN, 0, 1)
def test_the_rule_never_takes_what_a_reader_may_need(runs, keep, target):
    kept = runs_to_keep(runs, keep=keep, min_age_s=24 * HOUR_S, now_s=NOW_S, rollback_target=f"run {target}")
    gone = [run for run in runs if run.name not in kept]
    completed = [run for run in runs if run.is_completed]
    assert not any(run.is_current or run.name == f"run {target}" for run in gone if run.is_completed)
    assert all(run.left_s is None or NOW_S - run.left_s >= 24 * HOUR_S for run in gone)
    assert all(NOW_S - run.touched_s >= 24 * HOUR_S for run in gone)
    assert len([run for run in completed if run.name in kept]) >= min(keep, len(completed))
    assert {run.name for run in (completed[-keep:] if keep else [])} <= set(kept)
    pinned = {run.previous for run in runs if run.name in kept and not run.is_completed}
    assert not any(run.name in pinned for run in gone)


@given(stores())
def test_with_no_age_and_nothing_kept_only_the_pointers_remain(runs):
    kept = runs_to_keep(runs, keep=0, min_age_s=0.0, now_s=NOW_S + 2 * HOUR_S, rollback_target=None)
    assert set(kept) == {run.name for run in runs if run.is_current}


def collect(store, keep=1, hours=24.0, **given):
    return {one.path for one in run(GcConfig(store=str(store), keep=keep, min_age_hours=hours, **given))}


def name_of(path):
    return "/".join(path.parts[-3:])


@pytest.fixture
def store(tmp_path):
    """Ten days of runs, each published at its end; the last three less than 60 hours ago."""
    folder = tmp_path / "store"
    for day in range(10, 20):
        hours = 24 * (19 - day)
        made = make_run(folder, f"2026-06-{day}", day, hours_ago=hours)
        move(folder, made, hours_ago=hours)
    make_model(folder, MODEL)
    (folder / "models" / "CURRENT").write_text(f"{MODEL}\n")
    return folder


def days_left(store):
    return [path.parent.name[-2:] for path in sorted(store.glob("runs/*/*"))]


@pytest.mark.parametrize(
    ("keep", "hours", "left"),
    [
        (7, 1, ["13", "14", "15", "16", "17", "18", "19"]),
        (1, 1, ["18", "19"]),  # 18: a rollback goes there
        (0, 60, ["16", "17", "18", "19"]),  # 16 was left when 17 came, 48 hours ago
        (0, 0, ["18", "19"]),
        (50, 0, [str(day) for day in range(10, 20)]),
    ],
)
def test_the_newest_and_the_recently_left_stay(store, keep, hours, left):
    gone = collect(store, keep, hours)
    assert days_left(store) == left
    assert len(gone) == 10 - len(left)
    assert sorted(path.name[-2:] for path in (store / "runs").iterdir()) == left  # no empty folders of dates
    assert collect(store, keep, hours) == set()


def test_a_dry_run_says_what_would_go_and_deletes_nothing(store, capsys):
    before = set(store.rglob("*"))
    gone = collect(store, 1, 1, dry_run=True)
    shown = capsys.readouterr().out
    assert len(gone) == 8
    assert "would delete" in shown
    assert "readers see it" in shown
    assert set(store.rglob("*")) - {store / "LOCK"} == before
    assert main(["--store", str(store), "--keep", "1", "--min-age-hours", "1", "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert {one["path"] for one in told["deleted"]} == gone
    assert told["bytes"] == sum(one["bytes"] for one in told["deleted"]) > 8_000
    assert {one["path"]: one["why"] for one in told["kept"]}[gone_after(store, "19")] == "readers see it"


def gone_after(store, day):
    return name_of(next(store.glob(f"runs/2026-06-{day}/*")))


def test_unfinished_runs_stay_while_they_may_be_at_work(store):
    old = make_run(store, "2026-06-20", 1, finished=False, hours_ago=30)
    young = make_run(store, "2026-06-20", 2, finished=False, hours_ago=30)
    write_sealed_json(young / "started.json", {"previous": gone_after(store, "11")})
    age(young, 30)
    age(young / "embeddings" / "part-00000-of-00001.parquet", 2)  # one new file is enough
    gone = collect(store, 0, 24)
    assert name_of(old) in gone
    assert young.is_dir()
    assert "11" in days_left(store)
    assert "12" not in days_left(store)


def test_models_and_training_runs_go_with_the_runs_that_name_them(store):
    named, orphan, fresh, old_training = ("training/2026-06-01/" + letter * 16 for letter in "abcd")
    shutil.rmtree(store / "models" / MODEL)
    make_model(store, MODEL, training_run=named, hours_ago=100)
    make_model(store, OTHER_MODEL, training_run=old_training, hours_ago=100)
    third = make_model(store, "itemsage-000000000003", hours_ago=1)  # just trained, not CURRENT yet
    for training in (named, orphan, fresh, old_training):
        write_sealed_json(store / training / "manifests" / "items.json", {})
        age(store / training, 1 if training == fresh else 100)
    oldest = make_run(store, "2026-06-01", 1, model=OTHER_MODEL, hours_ago=500)
    assert collect(store, 50, 24) == {orphan}  # the oldest run is kept, and with it its model and training
    assert collect(store, 2, 24) >= {f"models/{OTHER_MODEL}", old_training, name_of(oldest)}
    assert third.is_dir()
    assert (store / named).is_dir()
    assert (store / fresh).is_dir()
    assert not (store / "models" / OTHER_MODEL).exists()


def test_every_model_stays_while_a_kept_run_does_not_tell_its_own(store):
    make_model(store, OTHER_MODEL, hours_ago=100)
    unfinished = make_run(store, "2026-06-20", 1, finished=False, hours_ago=2)
    (unfinished / "manifests" / "embeddings.json").unlink()
    collect(store, 0, 24)
    assert (store / "models" / OTHER_MODEL).is_dir()
    shutil.rmtree(unfinished)
    assert collect(store, 0, 24) == {f"models/{OTHER_MODEL}"}


def test_models_stay_while_a_training_run_is_at_work(store):
    make_model(store, OTHER_MODEL, hours_ago=100)
    code = (
        "import sys\nfrom pipelines.store.lock import store_lock\n"
        "with store_lock(sys.argv[1], 'train', name='training/LOCK'):\n"
        "    print('held', flush=True); sys.stdin.read()"
    )
    with subprocess.Popen(
        [sys.executable, "-c", code, str(store)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, env=ENVIRONMENT
    ) as trainer:
        assert trainer.stdout.readline() == b"held\n"
        assert not any(path.startswith("models") for path in collect(store, 0, 24))
    assert f"models/{OTHER_MODEL}" in collect(store, 0, 24)


def test_leftovers_of_crashes_go_when_they_are_old(store):
    current = next(store.glob("runs/2026-06-19/*"))
    old, young = current / "embeddings" / ".a.parquet.1234.tmp", store / "models" / ".CURRENT.5678.tmp"
    for path, hours in ((old, 30), (young, 1)):
        path.write_text("half")
        age(path, hours)
    hidden = [store / "models" / f".{OTHER_MODEL}.{number}" for number in range(2)]
    for path, hours in zip(hidden, (30, 1), strict=True):
        path.mkdir()
        age(path, hours)
    removing = store / "runs" / "2026-06-01" / ".0123456789abcdef.9abc.removed"
    (removing / "embeddings").mkdir(parents=True)
    gone = collect(store, 50, 24)
    assert gone == {path.relative_to(store).as_posix() for path in (old, hidden[0], removing)}
    assert not removing.parent.exists()
    assert young.exists()
    assert hidden[1].exists()


def test_links_are_neither_followed_nor_deleted_through(store, tmp_path):
    outside = make_run(tmp_path / "other", "2026-05-01", 1, hours_ago=900)
    (store / "runs" / "2026-05-01").symlink_to(outside.parent)
    linked = store / "runs" / "2026-05-02" / ("e" * 16)
    linked.parent.mkdir()
    linked.symlink_to(outside)
    victim = tmp_path / "precious"
    victim.mkdir()
    (victim / ".x.tmp").write_text("x")
    age(victim, 900)
    doomed = next(store.glob("runs/2026-06-10/*"))
    (doomed / "link").symlink_to(victim)
    (store / "models" / OTHER_MODEL).symlink_to(victim)
    assert name_of(doomed) in collect(store, 1, 1)
    assert not doomed.exists()
    assert (outside / "COMPLETED").is_file()
    assert (victim / ".x.tmp").is_file()
    assert (store / "models" / OTHER_MODEL).is_symlink()


@pytest.mark.parametrize("content", ["nonsense", "runs/2026-06-30/0123456789abcdef"])
def test_with_a_damaged_pointer_nothing_is_deleted(store, content):
    (store / "CURRENT").write_text(content)
    before = len(list(store.rglob("*")))
    with pytest.raises(CorruptFileError, match="CURRENT"):
        collect(store, 0, 0)
    assert len(list(store.rglob("*"))) == before + 1  # LOCK


def test_gc_waits_for_nobody(store):
    code = "import sys\n"
    code += "from pipelines.operations.gc.job import *\nrun(GcConfig(store=sys.argv[1], keep=0, min_age_hours=0))"
    with store_lock(store, "daily"):
        done = run_python(code, str(store))
    assert StoreBusyError.__name__ in done.stderr
    assert len(days_left(store)) == 10


def test_a_run_vanishes_at_once(store, monkeypatch):
    """Killed in the middle of a removal: no reader finds half a run, and the next call removes the rest."""
    doomed = next(store.glob("runs/2026-06-10/*"))

    def killed(*_, **__):
        raise KeyboardInterrupt

    monkeypatch.setattr("shutil.rmtree", killed)
    with pytest.raises(KeyboardInterrupt):
        remove(doomed)
    assert not doomed.exists()
    (hidden,) = doomed.parent.iterdir()
    assert (hidden / "COMPLETED").is_file()
    monkeypatch.undo()
    assert hidden.relative_to(store).as_posix() in collect(store, 50, 24)
    assert not doomed.parent.exists()


@pytest.mark.parametrize("flags", [["--keep", "-1"], ["--min-age-hours", "-1"], ["--min-age-hours", "nan"]])
def test_wrong_flags(tmp_path, flags):
    assert main(["--store", str(tmp_path), *flags]) == 2
