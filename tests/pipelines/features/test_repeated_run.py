"""The stage called again in a run that has finished features: what has changed since is computed, nothing else."""

from pathlib import Path

import pytest
from features_runs import bytes_of, make_run, quarantine_of
from features_shop import BUCKETS, ROWS, Shop, counts_of, png

from pipelines.features import compute as compute_features
from pipelines.features import resolve_pictures

pytestmark = pytest.mark.slow


@pytest.fixture
def encoded(monkeypatch) -> list[int]:
    """The sizes of the batches that an encoder gets."""
    sizes: list[int] = []
    encode = compute_features.ImageEncoder._encode_batch

    def counting(encoder, part_BHWC):
        sizes.append(len(part_BHWC))
        return encode(encoder, part_BHWC)

    monkeypatch.setattr(compute_features.ImageEncoder, "_encode_batch", counting)
    return sizes


def assert_as_fresh(shop: Shop, run: str) -> None:
    """The run holds what a new run would hold; only what had to be read again may differ."""
    fresh = shop.run("fresh")
    for folder in ("features", "fingerprints"):
        assert bytes_of(run, folder) == bytes_of(fresh, folder)
    assert quarantine_of(run) == quarantine_of(fresh)
    different = {"pictures_read": 0}
    assert counts_of(run) | different == counts_of(fresh) | different
    assert not list(Path(run, "units").rglob(".*"))


def killed_while_writing(shop: Shop, run: str) -> None:
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(compute_features, "write_records", lambda *args: 1 / 0)
        with pytest.raises(ZeroDivisionError):
            shop.again(run)


def test_bytes_do_not_depend_on_what_is_reused_within_a_resumed_run(shop, yesterday):
    """A bucket that is lost is made again, in a run that took the others over."""
    today = shop.run("today", reuse_from=yesterday)
    expected = bytes_of(today), bytes_of(today, "fingerprints")
    Path(today, "fingerprints", f"{BUCKETS[1]}.parquet").unlink()
    shop.again(today, reuse_from=yesterday)
    assert (bytes_of(today), bytes_of(today, "fingerprints")) == expected


def test_pictures_that_were_put_there_after_a_failed_gate_are_used(shop):
    images = shop.images.rename(shop.folder / "not yet copied")
    shop.images.mkdir()
    run = shop.run("run")
    assert counts_of(run)["pictures_computed"] == 0
    shop.images.rmdir()
    images.rename(shop.images)
    assert shop.again(run)["pictures_computed"] > 0
    assert_as_fresh(shop, run)


def test_pictures_that_a_missing_folder_hid_are_taken_over_from_yesterday(shop, yesterday, nothing_loaded):
    images = shop.images.rename(shop.folder / "not mounted")
    shop.images.mkdir()
    run = shop.run("run", reuse_from=yesterday)
    shop.images.rmdir()
    images.rename(shop.images)
    counts = shop.again(run, reuse_from=yesterday)
    assert (counts["pictures_computed"], counts["pictures_read"]) == (0, 0)
    assert bytes_of(run) == bytes_of(yesterday)


def test_one_mended_picture_costs_itself(shop, encoded, monkeypatch):
    read = resolve_pictures.read_picture_file
    run = shop.run("run")
    encoded.clear()
    shop.put("cut.png", png(40))
    opened: list[str] = []
    monkeypatch.setattr(resolve_pictures, "read_picture_file", lambda *args: opened.append(args[1]) or read(*args))
    shop.again(run)
    assert (encoded, opened) == ([1], ["cut.png"])
    assert_as_fresh(shop, run)


def test_a_picture_that_is_gone_is_gone_from_the_run(shop, encoded):
    run = shop.run("run")
    encoded.clear()
    (shop.images / "2.png").unlink()
    assert shop.again(run)["pictures_computed"] > 0
    assert not encoded
    assert_as_fresh(shop, run)


def test_without_a_change_nothing_is_opened_or_written(shop, monkeypatch):
    run = shop.run("run")
    before = {path: path.stat().st_mtime_ns for path in Path(run).rglob("*.tfrecord")}
    monkeypatch.setattr(compute_features.FeaturesStage, "compute", lambda *args: pytest.fail("computed"))
    shop.again(run)
    assert {path: path.stat().st_mtime_ns for path in Path(run).rglob("*.tfrecord")} == before


def test_units_are_kept_where_all_pictures_are_read_anyway_and_where_the_run_is_published(shop, monkeypatch):
    run = shop.run("run", verify_images=True)
    shop.put("cut.png", png(40))
    monkeypatch.setattr(compute_features.FeaturesStage, "compute", lambda *args: pytest.fail("computed"))
    before = counts_of(run)
    assert shop.again(run, verify_images=True) == before
    Path(run, "COMPLETED").touch()
    assert shop.again(run) == before


def test_a_recomputation_that_is_killed_starts_again(shop, encoded):
    run = shop.run("run")
    shop.put("cut.png", png(40))
    killed_while_writing(shop, run)
    encoded.clear()
    shop.again(run)
    assert encoded == [1]
    assert_as_fresh(shop, run)


def test_what_was_set_aside_is_not_believed_by_another_encoder(shop):
    run = shop.run("run")
    shop.put("cut.png", png(40))
    killed_while_writing(shop, run)
    shop.again(run, image_dtype="bfloat16")
    fresh = shop.run("fresh", image_dtype="bfloat16")
    assert bytes_of(run) == bytes_of(fresh)


def test_other_items_are_computed_from_what_they_are(shop):
    run = shop.run("run")
    shop.put("cut.png", png(40))
    rows = [{**row, "title": "another"} for row in ROWS]
    shop.run("run", rows)
    assert bytes_of(run) == bytes_of(shop.run("fresh", rows))


def test_another_number_of_buckets_leaves_nothing_of_the_first(shop):
    run = shop.run("run")
    shop.put("cut.png", png(40))
    killed_while_writing(shop, run)  # a unit of the first is set aside
    fresh = make_run(shop.folder / "fresh", ROWS, num_buckets=2)
    make_run(Path(run), ROWS, num_buckets=2)
    assert shop.again(run) == shop.again(fresh)
    for folder in ("features", "fingerprints", "units/features"):
        assert bytes_of(run, folder).keys() == bytes_of(fresh, folder).keys()
    assert bytes_of(run) == bytes_of(fresh)
    assert quarantine_of(run) == quarantine_of(fresh)
    assert len(bytes_of(run)) == 2
