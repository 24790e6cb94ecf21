"""What the features stage takes over from an earlier run, what it computes anew, and that both give equal bytes."""

import io
import json
import os
import shutil
import time
from collections import Counter
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest
import torch
from features_runs import NUM_BUCKETS, bytes_of, item, make_run, quarantine_of, records_of
from PIL import Image
from torchvision.models import squeezenet1_1

from model import image_encoder, image_encoder_spec
from model.image_encoder import ImageEncoder
from model.image_encoder_spec import LIBRARIES
from model.pictures import PictureError, PictureLimits
from model.vocabulary import Vocabulary
from pipelines import features
from pipelines.features import FeaturesConfig
from pipelines.jobs import beam_options
from pipelines.transforms import compute_features, resolve_pictures
from pipelines.transforms.earlier_features import has_tokens
from pipelines.units import bucket_name
from schemas.fingerprints import UNKNOWN_PLACE, FingerprintsFile, ItemFingerprint
from schemas.hashing import bucket_of, content_hash
from schemas.records import decode_features, read_records, write_records

OLD_NS = 1_700_000_000_000_000_000
BUCKETS = [bucket_name(bucket, NUM_BUCKETS) for bucket in range(NUM_BUCKETS)]
#: Faults of every kind that needs no file to be opened, and of contents; every bucket lists several.
ROWS = [
    item("a", "red shoe", "0.png", "1.png"),
    item("b", "blue shoe", "1.png", "same as 1.png"),
    item("c", "only text"),
    item("d", None, "2.png"),
    item("e", "half broken", "cut.png", "0.png", "missing.png", "http://x.example/a.png"),
    item("f", None, "same cut.png"),
    item("g", None),
    item("h", "text", "../outside.png", "huge.png"),
    item("i", "more", "3.png", "text.png"),
    item("j", None, "../outside.png"),
]
LISTED = sum(len(row["images"]) for row in ROWS)
LIMITS = {"max_picture_bytes": 400_000, "max_picture_pixels": 90_000}


def png(seed: int, size: tuple[int, int] = (60, 48)) -> bytes:
    coarse = Image.fromarray(np.random.default_rng(seed).integers(0, 256, (6, 6, 3), dtype=np.uint8))
    buffer = io.BytesIO()
    coarse.resize(size, Image.Resampling.BICUBIC).save(buffer, "PNG")
    return buffer.getvalue()


class Shop:
    """A folder of pictures whose modification times are long past, and a store of runs."""

    def __init__(self, folder: Path, weights_file: str):
        self.folder, self.images = folder, folder / "images"
        self.encoding = {
            "image_encoder": "squeezenet1_1",
            "image_weights": weights_file,
            "image_weights_name": "SqueezeNet1_1_Weights.IMAGENET1K_V1",
            "image_dtype": "float32",
        }
        self.clock_ns = OLD_NS
        self.images.mkdir(parents=True)
        for number in range(4):
            self.put(f"{number}.png", png(number))
        self.put("same as 1.png", png(1))
        for name in ("cut.png", "same cut.png"):
            self.put(name, png(0)[:900])
        self.put("huge.png", png(5, (400, 300)))
        self.put("text.png", b"hello")
        self.put("../outside.png", png(6))

    def put(self, name: str, data: bytes) -> None:
        (self.images / name).write_bytes(data)
        self.touch(name)

    def touch(self, name: str) -> None:
        self.clock_ns += 1_000_000_007
        os.utime(self.images / name, ns=(self.clock_ns, self.clock_ns))

    def run(self, name: str, rows: list[dict[str, Any]] = ROWS, vocabulary: int = 1000, **changes: Any) -> str:
        """The features of these rows in a run of that name."""
        run = make_run(self.folder / name, rows, vocabulary=vocabulary)
        self.again(run, **changes)
        return run

    def again(self, run: str, **changes: Any) -> dict[str, int]:
        given = {"run": run, "image_root": str(self.images), "device": "cpu", **self.encoding, **LIMITS, **changes}
        return features.run(FeaturesConfig(**given), beam_options([]))["counts"]

    def check(
        self, rows: list[dict[str, Any]], earlier: str, scratch: Path | None = None, **changes: Any
    ) -> Counter[str]:
        """The counts of an incremental run whose records, rejections and fingerprints equal those of a fresh one, which
        is made here unless `scratch` is one."""
        today = self.folder / "today"
        shutil.rmtree(today, ignore_errors=True)
        if scratch is None:
            scratch = self.folder / "scratch"
            shutil.rmtree(scratch, ignore_errors=True)
            self.run("scratch", rows, **changes)
        expected = counts_of(str(scratch))
        counts = counts_of(self.run("today", rows, reuse_from=earlier, **changes))
        assert bytes_of(str(today)) == bytes_of(str(scratch))
        assert bytes_of(str(today), "fingerprints") == bytes_of(str(scratch), "fingerprints")
        assert quarantine_of(str(today)) == quarantine_of(str(scratch))
        differing = ("items_reused", "pictures_computed", "pictures_reused", "pictures_read")
        assert {n: c for n, c in counts.items() if n not in differing} == {
            n: c for n, c in expected.items() if n not in differing
        }
        parts = ("pictures_computed", "pictures_reused", "pictures_quarantined")
        assert counts["pictures_listed"] == sum(counts[name] for name in parts)
        return counts


def counts_of(run: str) -> Counter[str]:
    return Counter(json.loads(Path(run, "manifests/features.json").read_text())["counts"])


def items_of(run: str) -> dict[str, ItemFingerprint]:
    files = [FingerprintsFile(path) for path in sorted(Path(run, "fingerprints").iterdir())]
    return {row.item_id: row for file in files for row in file}


def changed(item_id: str, *images: str, title: str | None = None) -> list[dict[str, Any]]:
    """ROWS with other pictures or another title of one item."""
    return [
        {**row, "images": list(images) or row["images"], "title": title or row["title"]}
        if row["item_id"] == item_id
        else row
        for row in ROWS
    ]


OTHER_TEXT = changed("c", title="other text")


@pytest.fixture(scope="module")
def weights_file(tmp_path_factory) -> str:
    torch.manual_seed(0)
    path = tmp_path_factory.mktemp("weights") / "weights.pth"
    torch.save(squeezenet1_1(weights=None).state_dict(), path)
    return str(path)


@pytest.fixture(scope="module")
def pristine(tmp_path_factory, weights_file) -> tuple[Shop, Path]:
    """A shop with a finished `yesterday`, and a copy of its folder: pictures are trusted under their own path only.
    `other text` is a fresh run of changed rows."""
    shop = Shop(tmp_path_factory.mktemp("shop") / "shop", weights_file)
    shop.run("yesterday")
    shop.run("other text", OTHER_TEXT)
    return shop, Path(shutil.copytree(shop.folder, shop.folder.parent / "pristine"))


@pytest.fixture
def shop(pristine) -> Shop:
    """The shop as it was after `yesterday`."""
    shop, copy = pristine
    shutil.rmtree(shop.folder)
    shutil.copytree(copy, shop.folder)
    return shop


@pytest.fixture
def yesterday(shop) -> str:
    return str(shop.folder / "yesterday")


@pytest.fixture
def nothing_loaded(monkeypatch) -> None:
    for owner, name in ((ImageEncoder, "__init__"), (Vocabulary, "load"), (resolve_pictures, "read_picture_file")):
        monkeypatch.setattr(owner, name, lambda *args, name=name, **kwargs: pytest.fail(f"{name} was called"))


def test_fingerprints_say_what_every_item_was_made_from(shop, yesterday):
    rows, records = items_of(yesterday), records_of(yesterday)
    assert list(rows) == sorted(rows, key=lambda name: (bucket_of(name, NUM_BUCKETS), name))
    assert rows.keys() == {row["item_id"] for row in ROWS} > records.keys()
    payloads = {
        decode_features(payload).item_id: payload
        for name in BUCKETS
        for payload in read_records(Path(yesterday, "features", f"{name}.tfrecord"))
    }
    for item_id, row in rows.items():
        assert row.features_hash == (content_hash(payloads[item_id]) if item_id in payloads else None)
        assert row.usable_pictures() == (records[item_id].picture_sha256 if item_id in records else ())
    reasons = {picture.uri: picture.reason for row in rows.values() for picture in row.pictures}
    assert reasons == {
        **dict.fromkeys(("0.png", "1.png", "same as 1.png", "2.png", "3.png")), "cut.png": "truncated",
        "same cut.png": "truncated", "missing.png": "missing", "http://x.example/a.png": "remote_uri",
        "../outside.png": "outside_root", "huge.png": "too_many_pixels", "text.png": "not_a_picture",
    }  # fmt: skip
    for picture in (picture for row in rows.values() for picture in row.pictures):
        if picture.reason in ("missing", "remote_uri", "outside_root"):
            assert (picture.size_bytes, picture.modified_ns, picture.sha256) == (-1, -1, None)
        else:
            status = (shop.images / picture.uri).stat()
            assert (picture.size_bytes, picture.modified_ns) == (status.st_size, status.st_mtime_ns)
    sidecar = json.loads(Path(yesterday, f"units/features/{BUCKETS[0]}.json").read_text())
    assert [entry["path"].split("/")[0] for entry in sidecar["files"]][:2] == ["features", "fingerprints"]


def test_a_day_without_change_copies_and_loads_nothing(shop, yesterday, nothing_loaded):
    expected = counts_of(yesterday)
    today = shop.run("today", reuse_from=yesterday)
    assert bytes_of(today) == bytes_of(yesterday)
    assert bytes_of(today, "fingerprints") == bytes_of(yesterday, "fingerprints")
    assert quarantine_of(today) == quarantine_of(yesterday)
    assert {row["run"] for path in Path(today, "quarantine").iterdir() for row in pq.read_table(path).to_pylist()} == {
        "today"
    }
    counts = counts_of(today)
    assert (counts["pictures_read"], counts["pictures_computed"]) == (0, 0)
    assert counts["pictures_reused"] == expected["pictures_computed"] + expected["pictures_reused"] > 0
    assert counts["items_reused"] == counts["items_written"] == expected["items_written"]
    same = ("items_read", "items_with_text", "items_with_picture", "rows_quarantined", "pictures_quarantined")
    assert all(counts[name] == expected[name] for name in (*same, "pictures_listed", "reason:truncated"))
    third = shop.run("third", reuse_from=today)
    assert counts_of(third) == counts
    assert bytes_of(third) == bytes_of(yesterday)


def test_the_merge_of_unchanged_items_loads_nothing_either(shop, yesterday, monkeypatch, nothing_loaded):
    """As for a bucket where only an item is gone."""
    monkeypatch.setattr(compute_features, "all_unchanged", lambda *args: False)
    today = shop.run("today", [row for row in ROWS if row["item_id"] != "a"], reuse_from=yesterday)
    counts = counts_of(today)
    assert counts["items_reused"] == counts["items_written"] == counts_of(yesterday)["items_written"] - 1
    assert (counts["pictures_read"], counts["pictures_computed"]) == (0, 0)


@pytest.mark.parametrize(
    ("rows", "read", "computed", "items"),
    [
        (OTHER_TEXT, 0, 0, 1),
        (changed("a", title="other text"), 0, 0, 1),
        (changed("g", title="at last"), 0, 0, 1),
        (changed("a", "1.png", "0.png"), 0, 0, 1),
        (changed("a", "0.png"), 0, 0, 1),
        (changed("a", "0.png", "1.png", "none.png"), 0, 0, 0),  # a rejected picture is not in the record
        (changed("e", "0.png"), 0, 0, 0),
        ([*ROWS, item("new", "new shoe", "http://x.example/b.png")], 0, 0, 1),
        ([*ROWS, item("new a", None, "0.png", "1.png", "2.png", "3.png")], None, None, 1),
    ],
)
def test_what_changed_is_computed_and_nothing_else(shop, yesterday, rows, read, computed, items):
    counts = shop.check(rows, yesterday)
    assert counts["items_written"] - counts["items_reused"] == items
    if read is not None:
        assert (counts["pictures_read"], counts["pictures_computed"]) == (read, computed)


def test_swapped_pictures_are_known_by_place_within_a_bucket(shop):
    names = [name for name in map(str, range(50)) if bucket_of(name, NUM_BUCKETS) == 0][:2]
    rows = [item(names[0], "one", "0.png"), item(names[1], "two", "1.png")]
    swapped = [item(names[0], "one", "1.png"), item(names[1], "two", "0.png")]
    counts = shop.check(swapped, shop.run("before", rows))
    assert (counts["pictures_read"], counts["pictures_computed"], counts["items_reused"]) == (0, 0, 0)


@pytest.mark.parametrize(
    ("change", "read", "computed"),
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


def test_a_new_vocabulary_opens_no_picture(shop, yesterday, monkeypatch):
    expected = shop.run("scratch", vocabulary=500)
    monkeypatch.setattr(ImageEncoder, "__init__", lambda *args, **kwargs: pytest.fail("loaded"))
    monkeypatch.setattr(resolve_pictures, "read_picture_file", lambda *args: pytest.fail("opened"))
    today = shop.run("today", reuse_from=yesterday, vocabulary=500)
    assert bytes_of(today) == bytes_of(expected) != bytes_of(yesterday)
    counts = counts_of(today)
    assert (counts["items_reused"], counts["pictures_read"], counts["pictures_computed"]) == (0, 0, 0)
    assert counts["pictures_reused"] > 0


def test_a_new_encoder_computes_everything_again(shop, yesterday, capsys):
    changes = {"image_encoder": "efficientnet_lite0", "image_weights": None, "image_weights_name": None}
    counts = shop.check(ROWS, yesterday, **changes)
    assert counts["items_reused"] == 0
    assert counts["pictures_read"] == LISTED - 4
    assert "nothing is taken over" in capsys.readouterr().err


def test_a_shop_without_pictures_takes_records_over(shop, nothing_loaded, monkeypatch):
    monkeypatch.undo()
    rows = [item(f"item {n}", f"title {n}" if n % 3 else None) for n in range(12)]
    yesterday = shop.run("texts", rows, **NO_ENCODER)
    assert counts_of(shop.run("copied", rows, reuse_from=yesterday, **NO_ENCODER))["items_reused"] == 8
    rows[1] = item("item 1", "another title")
    assert shop.check(rows, yesterday, **NO_ENCODER)["items_reused"] == 7


NO_ENCODER = {"image_encoder": "none", "image_weights": None, "image_weights_name": None}


@pytest.mark.parametrize(
    ("limits", "reused"),
    [
        ({"max_picture_pixels": 200_000}, True),  # huge.png is good now
        ({"max_picture_pixels": 70_000}, False),  # what was good is refused
        ({"max_picture_bytes": 1_000}, True),
        ({"max_picture_bytes": 500_000}, True),
    ],
)
def test_other_limits_read_every_picture(shop, yesterday, limits, reused):
    counts = shop.check(ROWS, yesterday, **limits)
    fresh = counts_of(str(shop.folder / "scratch"))
    assert counts["pictures_read"] == fresh["pictures_read"] > 0
    assert (counts["items_reused"] > 0) == reused


def damage_fingerprints(run: Path) -> None:
    flip(run / "fingerprints" / f"{BUCKETS[0]}.parquet", -200)


def damage_metadata(run: Path) -> None:
    path = run / "fingerprints" / f"{BUCKETS[0]}.parquet"
    table = pq.read_table(path)
    pq.write_table(table.replace_schema_metadata({"made_with": "{}"}), path)


def damage_record(run: Path) -> None:
    flip(run / "features" / f"{BUCKETS[0]}.tfrecord", 40)


def cut_between_records(run: Path) -> None:
    path = run / "features" / f"{BUCKETS[0]}.tfrecord"
    payloads = list(read_records(path))
    assert len(payloads) > 1
    write_records(path, payloads[:-1])


def cut_within_a_record(run: Path) -> None:
    path = run / "features" / f"{BUCKETS[0]}.tfrecord"
    path.write_bytes(path.read_bytes()[:-7])


def exchange_records(run: Path) -> None:
    first, second = (run / "features" / f"{name}.tfrecord" for name in BUCKETS[:2])
    payloads = list(read_records(first)), list(read_records(second))
    write_records(first, payloads[1])
    write_records(second, payloads[0])


def flip(path: Path, position: int) -> None:
    data = bytearray(path.read_bytes())
    data[position] ^= 1
    path.write_bytes(data)


DAMAGES = {
    "no fingerprints": lambda run: shutil.rmtree(run / "fingerprints"),
    "one file of fingerprints gone": lambda run: (run / f"fingerprints/{BUCKETS[0]}.parquet").unlink(),
    "fingerprints flipped": damage_fingerprints,
    "fingerprints without metadata": damage_metadata,
    "fingerprints empty": lambda run: (run / f"fingerprints/{BUCKETS[0]}.parquet").write_bytes(b""),
    "record flipped": damage_record,
    "last record gone": cut_between_records,
    "last record cut": cut_within_a_record,
    "records of another bucket": exchange_records,
    "features gone": lambda run: (run / f"features/{BUCKETS[0]}.tfrecord").unlink(),
    "no sidecar": lambda run: (run / f"units/features/{BUCKETS[0]}.json").unlink(),
    "sidecar of another form": lambda run: (run / f"units/features/{BUCKETS[0]}.json").write_text('{"files": [1]}'),
    "quarantine flipped": lambda run: flip(next((run / "quarantine").iterdir()), 100),
    "no manifest": lambda run: (run / "manifests/features.json").unlink(),
    "manifest of another form": lambda run: (run / "manifests/features.json").write_text("[]"),
    "no folder": shutil.rmtree,
}


@pytest.mark.parametrize("unchanged", [True, False])
@pytest.mark.parametrize("damage", DAMAGES)
def test_a_damaged_earlier_run_is_never_believed(shop, yesterday, pristine, damage, unchanged, capsys):
    DAMAGES[damage](Path(yesterday))
    rows, scratch = (ROWS, pristine[1] / "yesterday") if unchanged else (OTHER_TEXT, pristine[1] / "other text")
    shop.check(rows, yesterday, scratch)
    said = [line for line in capsys.readouterr().err.splitlines() if line.startswith("features:")]
    if damage != "quarantine flipped" or unchanged:
        assert 1 <= len(said) <= 2 + (damage == "records of another bucket"), said


@pytest.mark.parametrize("damage", ["fingerprints flipped", "no fingerprints"])
def test_without_fingerprints_vectors_are_still_known_by_their_content(shop, yesterday, damage, monkeypatch):
    DAMAGES[damage](Path(yesterday))
    rows = [row for row in ROWS if row["item_id"] not in "efhi"]  # nothing that must be decoded to be rejected
    monkeypatch.setattr(ImageEncoder, "__init__", lambda *args, **kwargs: pytest.fail("loaded"))
    counts = counts_of(shop.run("today", rows, reuse_from=yesterday))
    assert counts["pictures_computed"] == 0
    assert counts["pictures_reused"] == 5
    assert (counts["pictures_read"] == 5) == (damage == "no fingerprints")


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


def test_a_vector_that_another_bucket_has_just_computed_counts_as_computed(shop):
    """So that counts do not depend on which bucket came first."""
    names = {bucket_of(name, NUM_BUCKETS): name for name in map(str, range(50))}
    rows = [item(name, "x", "0.png", "0.png") for name in names.values()]
    counts = counts_of(shop.run("today", rows))
    assert (counts["pictures_computed"], counts["pictures_reused"]) == (NUM_BUCKETS, NUM_BUCKETS)


def test_has_tokens_reads_the_end_of_a_record(yesterday):
    payloads = [p for name in BUCKETS for p in read_records(Path(yesterday, "features", f"{name}.tfrecord"))]
    assert len({has_tokens(payload) for payload in payloads}) == 2
    for payload in payloads:
        assert has_tokens(payload) == (len(decode_features(payload).token_ids) > 0)
        shuffled = payload + b"\x22\x00"  # an unknown field at the end: a record of another writer
        assert has_tokens(shuffled) == has_tokens(payload)


class Day:
    """Random changes of a small shop."""

    def __init__(self, shop: Shop, seed: int):
        self.shop, self.random, self.seed = shop, np.random.default_rng(seed), seed
        self.rows = {row["item_id"]: row for row in ROWS}

    def change(self) -> None:
        events = (self.new, self.gone, self.text, self.swap, self.replace, self.break_, self.remove, self.touch)
        for number in self.random.choice(len(events), 3, replace=False):
            events[number]()

    def pick(self, names: Any) -> str:
        return str(self.random.choice(sorted(names)))

    def file(self) -> str:
        return self.pick([f"{number}.png" for number in range(8)])

    def new(self) -> None:
        name = f"new {self.random.integers(20)}"
        title = f"title {name}" if self.random.random() < 0.7 else None
        self.rows[name] = item(name, title, *(self.file() for _ in range(self.random.integers(4))))

    def gone(self) -> None:
        del self.rows[self.pick(self.rows)]

    def text(self) -> None:
        name = self.pick(self.rows)
        self.rows[name] = {**self.rows[name], "title": f"words {self.random.integers(9)}"}

    def swap(self) -> None:
        a, b = self.pick(self.rows), self.pick(self.rows)
        rows = self.rows
        rows[a], rows[b] = {**rows[a], "images": rows[b]["images"]}, {**rows[b], "images": rows[a]["images"]}

    def replace(self) -> None:
        self.shop.put(self.file(), png(int(self.random.integers(6))))

    def break_(self) -> None:
        self.shop.put(self.file(), png(int(self.random.integers(6)))[: self.random.integers(900)])

    def remove(self) -> None:
        (self.shop.images / self.file()).unlink(missing_ok=True)

    def touch(self) -> None:
        name = self.file()
        if (self.shop.images / name).exists():
            self.shop.touch(name)


@pytest.mark.parametrize("seed", range(2))
def test_random_days_equal_fresh_runs(shop, yesterday, seed):
    """Each day goes on from the day before, which went on from the one before that."""
    random, earlier, totals = Day(shop, seed), yesterday, Counter[str]()
    for number in range(4):
        random.change()
        totals += shop.check(list(random.rows.values()), earlier)
        earlier = str((shop.folder / "today").rename(shop.folder / f"day {number}"))
    fresh = counts_of(str(shop.folder / "scratch"))
    assert totals["items_reused"] > totals["items_written"] / 2
    assert 0 < totals["pictures_read"] < 2 * fresh["pictures_read"]


def test_bytes_do_not_depend_on_what_is_reused_within_a_resumed_run(shop, yesterday):
    """A bucket that is lost is made again, in a run that took the others over."""
    today = shop.run("today", reuse_from=yesterday)
    expected = bytes_of(today), bytes_of(today, "fingerprints")
    Path(today, "fingerprints", f"{BUCKETS[1]}.parquet").unlink()
    shop.again(today, reuse_from=yesterday)
    assert (bytes_of(today), bytes_of(today, "fingerprints")) == expected


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
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(compute_features, "write_records", lambda *args: 1 / 0)
        with pytest.raises(ZeroDivisionError):
            shop.again(run)
    encoded.clear()
    shop.again(run)
    assert encoded == [1]
    assert_as_fresh(shop, run)


def test_what_was_set_aside_is_not_believed_by_another_encoder(shop):
    run = shop.run("run")
    shop.put("cut.png", png(40))
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(compute_features, "write_records", lambda *args: 1 / 0)
        with pytest.raises(ZeroDivisionError):
            shop.again(run)
    shop.again(run, image_dtype="bfloat16")
    fresh = shop.run("fresh", image_dtype="bfloat16")
    assert bytes_of(run) == bytes_of(fresh)


def test_other_items_are_computed_from_what_they_are(shop):
    run = shop.run("run")
    shop.put("cut.png", png(40))
    rows = [{**row, "title": "another"} for row in ROWS]
    shop.run("run", rows)
    assert bytes_of(run) == bytes_of(shop.run("fresh", rows))


def test_a_verdict_on_a_content_is_not_believed_when_pictures_are_verified(shop, yesterday, monkeypatch):
    tried: list[int] = []
    decode = image_encoder.decode_picture
    monkeypatch.setattr(image_encoder, "decode_picture", lambda *args: tried.append(1) or decode(*args))
    assert shop.check(ROWS, yesterday, yesterday)["pictures_computed"] == 0
    assert not tried
    shop.check(ROWS, yesterday, yesterday, verify_images=True)
    assert tried


@pytest.mark.parametrize("library", LIBRARIES)
def test_an_upgrade_of_a_library_computes_everything_again(shop, yesterday, library, monkeypatch):
    versions = image_encoder_spec.versions_of(*LIBRARIES)
    monkeypatch.setattr(image_encoder_spec, "versions_of", lambda *names: {**versions, library: "99.0"})
    counts = counts_of(shop.run("today", reuse_from=yesterday))
    assert (counts["items_reused"], counts["pictures_reused"]) == (0, counts_of(yesterday)["pictures_reused"])
    assert bytes_of(str(shop.folder / "today")) == bytes_of(yesterday)
