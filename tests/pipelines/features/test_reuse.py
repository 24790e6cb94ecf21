"""What the features stage takes over from an earlier run and what it computes anew: both give equal bytes."""

import json
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest
from exploration import representatives, soak
from features_runs import NUM_BUCKETS, bytes_of, item, quarantine_of, records_of
from features_shop import BUCKETS, LISTED, OTHER_TEXT, ROWS, Shop, changed, counts_of, items_of, png

from model.pictures import image_encoder_spec
from model.pictures.image_encoder import ImageEncoder
from model.pictures.image_encoder_spec import LIBRARIES
from pipelines.features import compute as compute_features
from pipelines.features import resolve_pictures
from pipelines.features.earlier import has_tokens
from schemas.hashing import bucket_of, content_hash
from schemas.records.tfrecords import decode_features, read_records

pytestmark = pytest.mark.slow


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
    representatives(
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
        *(0, 2, 3, 5, 8),
    ),
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


@pytest.mark.parametrize("library", LIBRARIES)
def test_an_upgrade_of_a_library_computes_everything_again(shop, yesterday, library, monkeypatch):
    versions = image_encoder_spec.versions_of(*LIBRARIES)
    monkeypatch.setattr(image_encoder_spec, "versions_of", lambda *names: {**versions, library: "99.0"})
    counts = counts_of(shop.run("today", reuse_from=yesterday))
    assert (counts["items_reused"], counts["pictures_reused"]) == (0, counts_of(yesterday)["pictures_reused"])
    assert bytes_of(str(shop.folder / "today")) == bytes_of(yesterday)


NO_ENCODER = {"image_encoder": "none", "image_weights": None, "image_weights_name": None}


def test_a_shop_without_pictures_takes_records_over(shop, nothing_loaded, monkeypatch):
    monkeypatch.undo()
    rows = [item(f"item {n}", f"title {n}" if n % 3 else None) for n in range(12)]
    yesterday = shop.run("texts", rows, **NO_ENCODER)
    assert counts_of(shop.run("copied", rows, reuse_from=yesterday, **NO_ENCODER))["items_reused"] == 8
    rows[1] = item("item 1", "another title")
    assert shop.check(rows, yesterday, **NO_ENCODER)["items_reused"] == 7


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


@pytest.mark.parametrize("seed", [0, *soak(1)])
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
