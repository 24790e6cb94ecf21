"""A shop whose pictures have faults of every kind, and its runs of the features stage."""

import json
import os
import shutil
from collections import Counter
from pathlib import Path
from typing import Any

from features_runs import NUM_BUCKETS, bytes_of, item, make_run, quarantine_of
from made_pictures import encoded, smooth_picture
from random_models import IMAGE_ENCODER, WEIGHTS_NAME

from pipelines.console.jobs import beam_options
from pipelines.features import job as features
from pipelines.features.plan import FeaturesConfig
from pipelines.run.units import bucket_name
from schemas.records.fingerprints import FingerprintsFile, ItemFingerprint

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
    """The bytes of a PNG that differs by seed."""
    return encoded(smooth_picture(seed, size), "PNG")


class Shop:
    """A folder of pictures whose modification times are long past, and a store of runs."""

    def __init__(self, folder: Path, weights_file: str):
        self.folder, self.images = folder, folder / "images"
        self.encoding = {
            "image_encoder": IMAGE_ENCODER,
            "image_weights": weights_file,
            "image_weights_name": WEIGHTS_NAME,
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
        differing = ("items_reused", "pictures_computed", "pictures_reused", "pictures_read", "texts_computed")
        assert {n: c for n, c in counts.items() if n not in differing} == {
            n: c for n, c in expected.items() if n not in differing
        }
        parts = ("pictures_computed", "pictures_reused", "pictures_quarantined")
        assert counts["pictures_listed"] == sum(counts[name] for name in parts)
        return counts


def counts_of(run: str) -> Counter[str]:
    """The counts of the run's features stage."""
    return Counter(json.loads(Path(run, "manifests/features.json").read_text())["counts"])


def items_of(run: str) -> dict[str, ItemFingerprint]:
    """The run's fingerprints by item, in the order of files and rows."""
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
