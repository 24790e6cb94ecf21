"""The query pictures of an evaluation: read and encoded once, known by place and by content, broken ones remembered."""

import hashlib
import os
import shutil

import numpy as np
import pytest
from evaluated_days import BUCKET, IDS, PICTURES, ROWS, draw_picture, row, settle, task
from random_models import PICTURE_DIM
from run_builder import RunBuilder

import pipelines.evaluate.query_pictures
from pipelines.evaluate.query_pictures import PATH
from pipelines.run.opened import Run
from schemas.records.fingerprints import FingerprintsWriter, ItemFingerprint, MadeWith, PictureFingerprint

pytestmark = pytest.mark.slow


def test_a_changed_query_picture_is_the_only_one_that_is_read(shop):
    first, _ = shop.day()
    before = shop.cached()
    draw_picture(shop.image_root / PICTURES[2], 99)
    second, reused = shop.day()
    assert not reused
    assert shop.loads["read_picture_file"] == 2  # to hash it and to encode it
    assert second["fingerprint"] != first["fingerprint"]
    same = [old["vector"] == new["vector"] for old, new in zip(before, shop.cached(), strict=True)]
    assert same == [True, True, False, True]
    assert second == shop.from_scratch()


def test_a_touched_or_renamed_picture_of_equal_content_is_not_encoded(shop):
    first, _ = shop.day()
    (shop.image_root / PICTURES[0]).touch()
    second, reused = shop.day()
    assert reused
    assert second == first
    assert shop.loads == {"read_picture_file": 1}
    (shop.image_root / PICTURES[0]).rename(shop.image_root / "renamed.png")
    rows = [{**each, "query": "renamed.png"} if each["query"] == PICTURES[0] else each for each in ROWS]
    assert not shop.day(rows)[1]
    assert shop.loads["ImageEncoder"] == 0


def test_a_broken_query_picture_is_remembered_until_it_is_mended(shop):
    broken = shop.image_root / PICTURES[1]
    good = broken.read_bytes()
    broken.write_bytes(good[:100])
    settle(broken)
    report, _ = shop.day()
    assert report["rows"]["query_pictures_broken"] == 1
    assert task(report, "closeup/click")["queries"] == 3
    (remembered,) = [row for row in shop.cached() if row["uri"] == PICTURES[1]]
    assert (remembered["vector"], remembered["reason"]) == (None, "truncated")
    again, reused = shop.day()
    assert reused
    assert not shop.loads
    assert again["rows"]["query_pictures_broken"] == 1
    _, reused = shop.day(verify_images=True)
    assert (reused, shop.loads["ImageEncoder"]) == (True, 1)
    broken.write_bytes(good)
    mended, reused = shop.day()
    assert not reused
    assert task(mended, "closeup/click")["queries"] == 4
    assert mended == shop.from_scratch()


def test_the_caps_of_the_run_hold_for_query_pictures(shop):
    """And what was refused under others is tried again."""
    small, _ = shop.day(run=shop.new_run(max_picture_pixels=64 * 64 - 1))
    assert {row["reason"] for row in shop.cached()} == {"too_many_pixels"}
    assert small["rows"]["query_pictures_broken"] == 4
    assert shop.day(run=shop.new_run(max_picture_pixels=64 * 64 - 1))[1]
    raised, reused = shop.day(run=shop.new_run(max_picture_pixels=64 * 64))
    assert not reused
    assert raised["rows"]["query_pictures_broken"] == 0
    assert shop.day(run=shop.new_run(max_picture_pixels=64 * 64))[1]
    shop.day(run=shop.new_run(max_picture_bytes=100))
    assert {row["reason"] for row in shop.cached()} == {"too_many_bytes"}


def test_a_missing_query_picture_is_looked_for_every_day(shop):
    good = (shop.image_root / PICTURES[1]).read_bytes()
    (shop.image_root / PICTURES[1]).unlink()
    shop.day()
    assert [(row["bytes"], row["reason"]) for row in shop.cached() if row["vector"] is None] == [(-1, "missing")]
    assert shop.day()[1]
    (shop.image_root / PICTURES[1]).write_bytes(good)
    report, reused = shop.day()
    assert not reused
    assert report["rows"]["query_pictures_broken"] == 0


def test_a_query_picture_that_has_just_been_written_is_read_again(shop):
    """A second write may leave size and time as they are."""
    path = shop.image_root / PICTURES[0]
    draw_picture(path, 55)
    os.utime(path)
    shop.day()
    (row,) = [row for row in shop.cached() if row["uri"] == PICTURES[0]]
    assert (row["bytes"], row["modified_ns"]) == (-1, -1)
    assert row["vector"] is not None
    times = path.stat()
    draw_picture(path, 56)
    os.utime(path, ns=(times.st_atime_ns, times.st_mtime_ns))
    second, reused = shop.day()
    assert not reused
    assert second == shop.from_scratch()


def test_verify_images_sees_what_size_and_time_hide(shop):
    path = shop.image_root / PICTURES[0]
    first, _ = shop.day()
    times = path.stat()
    draw_picture(path, 77)
    assert path.stat().st_size == times.st_size
    os.utime(path, ns=(times.st_atime_ns, times.st_mtime_ns))
    assert shop.day() == (first, True)
    report, reused = shop.day(verify_images=True)
    assert not reused
    assert shop.loads["read_picture_file"] == len(PICTURES) + 1
    assert report == shop.from_scratch()
    assert shop.day(verify_images=True) == (report, True)
    assert shop.loads == {"read_picture_file": len(PICTURES)}


def test_another_image_root_is_trusted_by_content_alone(shop):
    first, _ = shop.day()
    moved = shop.folder / "moved"
    shutil.copytree(shop.image_root, moved)  # keeps times and sizes
    assert shop.day(image_root=str(moved)) == (first, True)
    assert shop.loads == {"read_picture_file": len(PICTURES)}


def test_a_query_that_is_a_catalogue_picture_has_its_vector(shop):
    data = (shop.image_root / PICTURES[0]).read_bytes()
    vector = np.arange(PICTURE_DIM, dtype=np.float16) / 100
    digest = hashlib.sha256(data).digest()
    run = shop.new_run(item_pictures={5: (digest, vector)})
    picture = PictureFingerprint("elsewhere.png", len(data), 1, digest)
    ids = {"encoder_id": "e", "vocabulary_id": "v", "image_root": "r"}
    made_with = MadeWith(code_version=1, max_picture_bytes=1, max_picture_pixels=1, **ids)
    (run / "fingerprints").mkdir()
    with FingerprintsWriter(run / "fingerprints" / f"{BUCKET}.parquet", made_with) as writer:
        writer.add(ItemFingerprint(IDS[5], b"0" * 16, None, (picture,)))
    RunBuilder(run).listed("features", "features", "fingerprints", **Run(run).manifest("features").facts)
    report, _ = shop.day([row("closeup", PICTURES[0], 5)], run=run)
    assert shop.loads["ImageEncoder"] == 0
    assert [row["vector"] for row in shop.cached()] == [vector.astype("<f2").tobytes()]
    assert task(report, "closeup/click")["methods"]["raw_pictures"]["recall@1"] == 1


def test_equal_pictures_are_encoded_once(shop, monkeypatch):
    shutil.copy(shop.image_root / PICTURES[0], shop.image_root / PICTURES[3])
    seen = []
    original = pipelines.evaluate.query_pictures.QueryPictures._read

    def read(self, uris, found):
        seen.extend(uris)
        return original(self, uris, found)

    monkeypatch.setattr(pipelines.evaluate.query_pictures.QueryPictures, "_read", read)
    shop.day()
    assert seen == PICTURES[:3]
    assert shop.cached()[0]["vector"] == shop.cached()[3]["vector"]


def test_a_flipped_byte_of_the_remembered_vectors_is_found(shop, capsys):
    first, _ = shop.day()
    path = shop.run / PATH
    good = bytearray(path.read_bytes())
    for place in range(4, len(good), max(1, len(good) // 40)):
        bad = bytearray(good)
        bad[place] ^= 0x10
        path.write_bytes(bad)
        yesterday = shop.run
        report, _ = shop.day(run=shop.new_run())
        assert report == first, place
        shutil.rmtree(shop.run)
        shop.run = yesterday
    assert "encoded again" in capsys.readouterr().err


def test_a_killed_run_goes_on_with_its_own_query_pictures(shop):
    first, _ = shop.day()
    run, shop.run = shop.run, None
    assert shop.day(run=run) == (first, False)
    assert shop.loads["read_picture_file"] == shop.loads["ImageEncoder"] == 0
