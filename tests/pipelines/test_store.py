import os
import shutil

import pytest

from pipelines.publish import may_move_readers
from pipelines.run.units import Unit, UnitWriter
from pipelines.store import store, yesterday
from pipelines.store.models import ITEM_MODELS
from schemas.errors import CorruptFileError, UsageError


def finished_run(folder, date="2026-06-30", identity=1):
    run = store.run_folder(str(folder), date, {"n": identity})
    run.mkdir(parents=True)
    (run / "COMPLETED").write_text("")
    return run


def test_pointer_moves_only_to_finished_runs_of_this_store(tmp_path):
    with pytest.raises(UsageError, match="itemsage daily"):
        store.current_run(str(tmp_path))
    run = finished_run(tmp_path)
    store.point_to_run(str(tmp_path), run)
    assert store.current_run(str(tmp_path)) == run
    unfinished = store.run_folder(str(tmp_path), "2026-07-01", {})
    unfinished.mkdir(parents=True)
    for bad in (unfinished, finished_run(tmp_path.parent / "other")):
        with pytest.raises(UsageError, match=r"expected a (finished run|run folder)"):
            store.point_to_run(str(tmp_path), bad)
    assert store.current_run(str(tmp_path)) == run


@pytest.mark.parametrize("content", ["../../etc", "runs/2026-06-30/0000000000000000", "", "\x00"])
def test_a_poisoned_pointer_is_refused(tmp_path, content):
    (tmp_path / "CURRENT").write_text(content)
    with pytest.raises(CorruptFileError, match="finished run"):
        store.current_run(str(tmp_path))


def test_number_of_buckets_is_fixed_for_life(tmp_path):
    assert store.num_buckets_of(str(tmp_path)) is None
    store.fix_num_buckets(str(tmp_path), 8)
    store.fix_num_buckets(str(tmp_path), 8)
    with pytest.raises(UsageError, match=r"expected 8 buckets.*got 9"):
        store.fix_num_buckets(str(tmp_path), 9)


@pytest.mark.parametrize("date", ["2026-6-30", "30.06.2026", "2026-02-30", "", "../2026-06-30"])
def test_only_iso_dates(tmp_path, date):
    with pytest.raises(UsageError, match="YYYY-MM-DD"):
        store.run_folder(str(tmp_path), date, {})


def test_run_folder_depends_on_everything_that_went_in(tmp_path):
    folders = {store.run_folder(str(tmp_path), "2026-06-30", {"inputs": i, "model": m}) for i in "ab" for m in "xy"}
    assert len(folders) == 4


@pytest.mark.parametrize("name", ["../x", "itemsage-0", "itemsage-0123456789ab"])
def test_model_ids_are_checked(tmp_path, name):
    with pytest.raises(UsageError, match="expected a trained model of the store"):
        ITEM_MODELS.folder(str(tmp_path), name)


def test_another_number_of_buckets_than_the_store_has_is_refused(tmp_path):
    assert store.buckets_for(str(tmp_path), 0) == 0
    assert store.buckets_for(str(tmp_path), 7) == 7
    store.fix_num_buckets(str(tmp_path), 8)
    assert store.buckets_for(str(tmp_path), 0) == store.buckets_for(str(tmp_path), 8) == 8
    with pytest.raises(UsageError, match="expected 8 buckets"):
        store.buckets_for(str(tmp_path), 7)


def test_a_damaged_published_run_is_an_error_for_readers_and_nothing_for_the_next_run(tmp_path, capsys):
    run = finished_run(tmp_path)
    for name in ("embeddings", "features", "manifests"):
        (run / name).mkdir()
    store.point_to_run(str(tmp_path), run)
    assert yesterday.previous_run(str(tmp_path)) == run
    (run / "embeddings").rmdir()
    assert yesterday.previous_run(str(tmp_path)) is None
    assert "lacks embeddings" in capsys.readouterr().err
    (run / "COMPLETED").unlink()
    assert yesterday.previous_run(str(tmp_path)) is None
    with pytest.raises(CorruptFileError, match="finished run"):
        store.current_run(str(tmp_path))


def test_nothing_is_written_into_a_published_run(tmp_path):
    run = finished_run(tmp_path)
    with pytest.raises(UsageError, match="not published yet"):
        UnitWriter(str(run), Unit("features", "bucket-00000-of-00001", "x"))


def sound_run(folder, date="2026-06-30", identity=1):
    run = finished_run(folder, date, identity)
    for name in ("embeddings", "features", "manifests"):
        (run / name).mkdir()
    return run


def test_a_new_run_moves_readers_forward_only(tmp_path):
    day = {date: sound_run(tmp_path, f"2026-06-{date}") for date in (28, 29, 30)}
    assert may_move_readers(str(tmp_path), day[29])  # nothing is published
    store.point_to_run(str(tmp_path), day[29])
    assert not may_move_readers(str(tmp_path), day[28])
    assert may_move_readers(str(tmp_path), day[29])  # it is there already
    assert may_move_readers(str(tmp_path), day[30])


@pytest.mark.parametrize("clock", [[1_000, 2_000], [2_000, 1_000]], ids=["forward", "going back"])
def test_of_one_date_the_run_that_finished_later_wins_whatever_the_clock_says(tmp_path, clock):
    first, second = (sound_run(tmp_path, identity=number) for number in (1, 2))
    for run, finished_ns in zip((first, second), clock, strict=True):
        os.utime(run / "COMPLETED", ns=(finished_ns, finished_ns))
    store.point_to_run(str(tmp_path), first)
    assert may_move_readers(str(tmp_path), second)  # new, or killed before CURRENT moved
    store.point_to_run(str(tmp_path), second)
    assert not may_move_readers(str(tmp_path), first)
    assert store.completed_runs(str(tmp_path)) == [first, second]


def test_a_run_that_was_killed_between_history_and_pointer_is_still_published(tmp_path):
    first, second = sound_run(tmp_path, "2026-06-29"), sound_run(tmp_path, "2026-06-30")
    store.point_to_run(str(tmp_path), first)
    pointer = (tmp_path / "CURRENT").read_text()
    store.point_to_run(str(tmp_path), second)
    (tmp_path / "CURRENT").write_text(pointer)
    assert may_move_readers(str(tmp_path), second)


def test_nothing_that_readers_were_taken_back_from_or_past_returns_by_itself(tmp_path):
    runs = [sound_run(tmp_path, f"2026-06-{date}") for date in (27, 28, 29)]
    for run in runs:
        store.point_to_run(str(tmp_path), run)
    store.point_to_run(str(tmp_path), runs[0], why="rolled back", reason="wrong prices")
    assert not any(may_move_readers(str(tmp_path), run) for run in runs[1:])
    assert may_move_readers(str(tmp_path), sound_run(tmp_path, "2026-06-30"))
    store.point_to_run(str(tmp_path), runs[2], why="republished")
    assert may_move_readers(str(tmp_path), runs[2])


def test_a_damaged_run_is_followed_by_one_of_its_date_or_later_never_by_an_earlier_one(tmp_path):
    first, second = sound_run(tmp_path, "2026-06-29"), sound_run(tmp_path, "2026-06-30")
    store.point_to_run(str(tmp_path), second)
    shutil.rmtree(second)
    same_date = sound_run(tmp_path, "2026-06-30", 7)
    for pointer in (f"runs/2026-06-30/{second.name}\n", "damaged", f"runs/2026-06-38/{second.name}\n"):
        (tmp_path / "CURRENT").write_text(pointer)
        assert not may_move_readers(str(tmp_path), first)
        assert may_move_readers(str(tmp_path), same_date)


def test_after_a_rollback_only_a_later_date_moves_readers(tmp_path):
    first, second = sound_run(tmp_path, "2026-06-29"), sound_run(tmp_path, "2026-06-30")
    store.point_to_run(str(tmp_path), first)
    store.point_to_run(str(tmp_path), second)
    store.point_to_run(str(tmp_path), first, why="rolled back")
    assert not may_move_readers(str(tmp_path), second)
    assert not may_move_readers(str(tmp_path), sound_run(tmp_path, "2026-06-30", 7))
    assert may_move_readers(str(tmp_path), sound_run(tmp_path, "2026-07-01"))


def test_a_move_to_the_same_run_is_none(tmp_path):
    run = sound_run(tmp_path)
    for _ in range(2):
        store.point_to_run(str(tmp_path), run)
    assert len((tmp_path / "history.jsonl").read_text().splitlines()) == 1


def test_yesterday_is_the_published_run_unless_it_is_of_a_later_date(tmp_path):
    assert yesterday.yesterday_of(str(tmp_path), "2026-06-30") is None
    runs = {date: sound_run(tmp_path, f"2026-06-{date}") for date in (26, 27, 28, 29)}
    assert yesterday.yesterday_of(str(tmp_path), "2026-06-30") == runs[29]  # finished, never published: still a run
    for date in (26, 27, 29):
        store.point_to_run(str(tmp_path), runs[date])
    for date, expected in {"07-01": 29, "06-29": 29, "06-28": 28, "06-27": 27, "06-26": 26}.items():
        assert yesterday.yesterday_of(str(tmp_path), f"2026-{date}") == runs[expected], date
    assert yesterday.yesterday_of(str(tmp_path), "2026-06-25") is None
    store.point_to_run(str(tmp_path), runs[27], why="rolled back")
    assert yesterday.yesterday_of(str(tmp_path), "2026-06-30") == runs[27]  # what readers see, not what was taken back


def test_another_attempt_of_an_old_day_is_held_against_the_one_before(tmp_path):
    dates = ("2026-06-27", "2026-06-28", "2026-06-28", "2026-06-29")
    runs = [sound_run(tmp_path, date, number) for number, date in enumerate(dates)]
    for run in runs:
        store.point_to_run(str(tmp_path), run)
    assert yesterday.yesterday_of(str(tmp_path), "2026-06-28") == runs[2]


def test_yesterday_is_an_older_run_where_the_published_one_is_damaged(tmp_path, capsys):
    runs = {date: sound_run(tmp_path, f"2026-06-{date}") for date in (25, 26, 27, 28, 29)}
    for run in runs.values():
        store.point_to_run(str(tmp_path), run)
    store.point_to_run(str(tmp_path), runs[28], why="rolled back")
    (runs[28] / "features").rmdir()
    assert yesterday.yesterday_of(str(tmp_path), "2026-06-30") == runs[27]
    (runs[28] / "COMPLETED").unlink()
    (runs[27] / "manifests").rmdir()
    assert yesterday.yesterday_of(str(tmp_path), "2026-06-30") == runs[26]
    assert "2026-06-27" in (shown := capsys.readouterr().err)
    assert "lacks manifests" in shown
    (tmp_path / "CURRENT").write_text("\x1b[31m")
    assert yesterday.yesterday_of(str(tmp_path), "2026-06-30") == runs[28 - 2]  # 29 was taken back
    assert "\x1b" not in capsys.readouterr().err


def test_links_and_odd_names_are_no_runs(tmp_path):
    run = sound_run(tmp_path / "store")
    outside = sound_run(tmp_path / "other", "2026-07-01")
    (tmp_path / "store" / "runs" / "2026-07-01").symlink_to(outside.parent)
    (run.parent / ("a" * 16)).symlink_to(run)
    (run.parent / "notes").mkdir()
    (run.parent / ("b" * 16)).write_text("")
    assert list(store.run_folders(str(tmp_path / "store"))) == [run]
