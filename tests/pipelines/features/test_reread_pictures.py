"""Which picture files are opened again although an earlier run knows them, and which rejections are believed."""

import os
import time
from dataclasses import replace

import numpy as np
import pytest
from exploration import representatives
from features_runs import bytes_of, item, quarantine_of
from features_shop import LISTED, OLD_NS, ROWS, counts_of, items_of, png
from made_pictures import encoded, smooth_picture

from model.pictures import image_encoder
from model.pictures.faults import PictureError, PictureLimits
from model.pictures.image_encoder import ImageEncoder
from model.text.vocabulary import Vocabulary
from pipelines.features import resolve_pictures
from schemas.records.fingerprints import UNKNOWN_PLACE

pytestmark = pytest.mark.slow


@pytest.mark.parametrize(
    ("change", "read", "computed"),
    representatives(
        [
            (lambda shop: shop.touch("2.png"), 1, 0),
            (lambda shop: shop.put("2.png", png(9)), 1, 1),
            (lambda shop: shop.put("2.png", png(2)[:500]), 1, 0),
            (lambda shop: shop.put("text.png", png(9)), 1, 1),
            (lambda shop: shop.touch("text.png"), 1, 0),
            (lambda shop: shop.put("missing.png", png(9)), 1, 1),
            (lambda shop: shop.put("huge.png", png(9)), 1, 1),
            (lambda shop: shop.put("huge.png", b"x" * 500_000), 0, 0),
            (lambda shop: (shop.images / "2.png").unlink(), 0, 0),
        ],
        *(0, 1, 2, 5, 8),
    ),
)
def test_pictures_whose_files_changed_are_read(shop, yesterday, change, read, computed):
    change(shop)
    counts = shop.check(ROWS, yesterday)
    assert (counts["pictures_read"], counts["pictures_computed"]) == (read, computed)
    assert counts["items_written"] - counts["items_reused"] <= 1


def test_rejections_of_unchanged_files_are_not_tried_again(shop, yesterday, nothing_loaded):
    rejected = quarantine_of(yesterday)
    assert {row["reason"] for row in rejected} >= {"truncated", "not_a_picture", "too_many_pixels", "missing"}
    today = shop.run("today", [row for row in ROWS if row["item_id"] != "c"], reuse_from=yesterday)
    assert quarantine_of(today) == rejected


def test_pictures_without_their_end_mark_are_used_and_counted_where_they_are_read(shop):
    """And a PNG whose colour profile is larger than Pillow takes is used; a JPEG that lacks more is not."""
    jpeg = encoded(smooth_picture(7, (60, 48)), "JPEG")
    profile = np.random.default_rng(0).bytes(2 << 20)
    for name, data in (
        ("0.png", jpeg[:-2]),
        ("1.png", jpeg[: len(jpeg) // 2]),
        ("2.png", encoded(smooth_picture(2, (60, 48)), "PNG", icc_profile=profile)),
    ):
        shop.put(name, data)
    rows = [item("a", "red shoe", "0.png"), item("b", None, "1.png", "2.png"), item("c", "text", "0.png", "3.png")]
    run = shop.run("day one", rows, max_picture_bytes=4 << 20)
    assert [(row["reason"], row["where"]) for row in quarantine_of(run)] == [("truncated", "1.png")]
    assert counts_of(run)["pictures_mended"] == 2
    assert "pictures_mended" not in counts_of(shop.run("day two", rows, max_picture_bytes=4 << 20, reuse_from=run))
    more = [*rows, item("d", "blue shoe", "0.png")]
    again = counts_of(shop.run("day three", more, max_picture_bytes=4 << 20, reuse_from=run, verify_images=True))
    assert (again["pictures_mended"], again["pictures_computed"]) == (3, 0)


def test_verify_images_reads_what_size_and_time_hide(shop, yesterday):
    status = (shop.images / "2.png").stat()
    other = png(9)
    shop.put("2.png", other[: status.st_size].ljust(status.st_size, b"\0"))
    os.utime(shop.images / "2.png", ns=(status.st_mtime_ns, status.st_mtime_ns))
    today = shop.run("unseen", reuse_from=yesterday)
    assert bytes_of(today) == bytes_of(yesterday)
    assert counts_of(today)["pictures_read"] == 0
    counts = shop.check(ROWS, yesterday, verify_images=True)
    assert counts["pictures_read"] == LISTED - 4  # all but the missing, the remote and those outside
    assert counts["items_written"] - counts["items_reused"] <= 1
    assert bytes_of(str(shop.folder / "today")) != bytes_of(yesterday)


def test_a_verdict_on_a_content_is_not_believed_when_pictures_are_verified(shop, yesterday, monkeypatch):
    tried: list[int] = []
    decode = image_encoder.decode_picture
    monkeypatch.setattr(image_encoder, "decode_picture", lambda *args: tried.append(1) or decode(*args))
    assert shop.check(ROWS, yesterday, yesterday)["pictures_computed"] == 0
    assert not tried
    shop.check(ROWS, yesterday, yesterday, verify_images=True)
    assert tried


def test_another_image_root_is_read_and_not_encoded(shop, yesterday, monkeypatch):
    moved = shop.images.rename(shop.folder / "moved")
    monkeypatch.setattr(ImageEncoder, "__init__", lambda *args, **kwargs: pytest.fail("loaded"))
    monkeypatch.setattr(Vocabulary, "load", lambda *args, **kwargs: pytest.fail("loaded"))
    # what is rejected for its content is known by its content too
    today = shop.run("today", reuse_from=yesterday, image_root=str(moved))
    counts = counts_of(today)
    assert bytes_of(today) == bytes_of(yesterday)
    assert (counts["pictures_read"], counts["pictures_computed"]) == (LISTED - 4, 0)
    assert counts["items_reused"] == counts["items_written"]


@pytest.mark.parametrize(
    ("limits", "reused"),
    representatives(
        [
            ({"max_picture_pixels": 200_000}, True),  # huge.png is good now
            ({"max_picture_pixels": 70_000}, False),  # what was good is refused
            ({"max_picture_bytes": 1_000}, True),
            ({"max_picture_bytes": 500_000}, True),
        ],
        *(0, 1),
    ),
)
def test_other_limits_read_every_picture(shop, yesterday, limits, reused):
    counts = shop.check(ROWS, yesterday, **limits)
    fresh = counts_of(str(shop.folder / "scratch"))
    assert counts["pictures_read"] == fresh["pictures_read"] > 0
    assert (counts["items_reused"] > 0) == reused


def test_what_was_read_too_soon_is_read_again(shop):
    shop.put("2.png", png(8))
    later_ns = time.time_ns() + 60 * 10**9  # a clock that is ahead: written after it is read, as far as one can tell
    os.utime(shop.images / "2.png", ns=(later_ns, later_ns))
    before = items_of(shop.run("before"))["d"].pictures[0]
    assert (before.size_bytes, before.modified_ns) == (-1, -1)
    assert before.sha256 is not None
    counts = counts_of(shop.run("today", reuse_from=str(shop.folder / "before")))
    assert (counts["pictures_read"], counts["pictures_computed"]) == (1, 0)
    assert counts["items_reused"] == counts["items_written"]


def test_failures_that_are_not_the_contents_are_tried_again(shop, monkeypatch):
    """A picture that broke the encoder, or found no memory, is encoded again another day."""
    forward = ImageEncoder._forward
    monkeypatch.setattr(ImageEncoder, "_forward", lambda self, part_BHWC: forward(self, part_BHWC) * np.nan)
    before = shop.run("before")
    assert {row["reason"] for row in quarantine_of(before)} >= {"encoder_failed"}
    assert items_of(before)["d"].pictures[0].modified_ns == -1
    monkeypatch.undo()
    assert shop.check(ROWS, before)["pictures_computed"] > 0
    monkeypatch.setattr(
        resolve_pictures,
        "read_picture_file",
        lambda *args: (_ for _ in ()).throw(PictureError("unreadable", "a readable file", "no right")),
    )
    unreadable = shop.run("unreadable")
    monkeypatch.undo()
    assert counts_of(unreadable)["pictures_read"] == 0
    assert shop.check(ROWS, unreadable)["pictures_read"] == LISTED - 4


def test_a_picture_is_unchanged_only_at_its_own_place(shop, yesterday):
    root, limits = str(shop.images), PictureLimits(max_bytes=400_000)
    pictures = [picture for row in items_of(yesterday).values() for picture in row.pictures]
    assert resolve_pictures.all_unchanged(pictures, root, limits)
    for picture in pictures:
        if picture.modified_ns >= 0:
            places = [(picture.size_bytes + 1, picture.modified_ns), (picture.size_bytes, picture.modified_ns + 1)]
            places += [(picture.size_bytes, -1), UNKNOWN_PLACE]
        else:
            places = [(10, OLD_NS)]
        for size_bytes, modified_ns in places:
            moved = replace(picture, size_bytes=size_bytes, modified_ns=modified_ns)
            assert not resolve_pictures.all_unchanged([moved], root, limits)
