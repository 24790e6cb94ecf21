"""An earlier run of which something is damaged or gone is not believed: bytes are those of a fresh run."""

import shutil
from pathlib import Path

import pyarrow.parquet as pq
import pytest
from exploration import representatives
from features_shop import BUCKETS, OTHER_TEXT, ROWS, counts_of

from model.pictures.image_encoder import ImageEncoder
from schemas.records.tfrecords import read_records, write_records

pytestmark = pytest.mark.slow


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


@pytest.mark.parametrize(
    ("damage", "unchanged"),
    [
        *((damage, True) for damage in DAMAGES),
        *representatives([(damage, False) for damage in DAMAGES], 0, len(DAMAGES) - 1),
    ],
)
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
