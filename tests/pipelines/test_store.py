import os

import pytest

from pipelines import store
from pipelines.units import Unit, UnitWriter
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
    with pytest.raises(UsageError, match="expected a model"):
        store.model_folder(str(tmp_path), name)


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
    assert store.previous_run(str(tmp_path)) == run
    (run / "embeddings").rmdir()
    assert store.previous_run(str(tmp_path)) is None
    assert "lacks embeddings" in capsys.readouterr().err
    (run / "COMPLETED").unlink()
    assert store.previous_run(str(tmp_path)) is None
    with pytest.raises(CorruptFileError, match="finished run"):
        store.current_run(str(tmp_path))


def test_nothing_is_written_into_a_published_run(tmp_path):
    run = finished_run(tmp_path)
    with pytest.raises(UsageError, match="not published yet"):
        UnitWriter(str(run), Unit("features", "bucket-00000-of-00001", "x"))


def test_readers_are_ahead_of_an_older_date_and_of_an_earlier_attempt(tmp_path):
    def run_of(date, identity, finished_ns):
        run = finished_run(tmp_path, date, identity)
        for name in ("embeddings", "features", "manifests"):
            (run / name).mkdir()
        os.utime(run / "COMPLETED", ns=(finished_ns, finished_ns))
        return run

    old, first, second = run_of("2026-06-29", 1, 9_000), run_of("2026-06-30", 1, 1_000), run_of("2026-06-30", 2, 2_000)
    assert not store.readers_are_ahead(str(tmp_path), first)  # nothing is published
    store.point_to_run(str(tmp_path), first)
    assert store.readers_are_ahead(str(tmp_path), old)
    assert not store.readers_are_ahead(str(tmp_path), first)
    assert not store.readers_are_ahead(str(tmp_path), second)  # killed before CURRENT moved
    store.point_to_run(str(tmp_path), second)
    assert store.readers_are_ahead(str(tmp_path), first)
