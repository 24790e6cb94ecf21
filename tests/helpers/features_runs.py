"""Run folders with finished items and a vocabulary, made by hand, and what the features stage wrote into them."""

from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from model.text.vocabulary import Vocabulary
from pipelines.run.units import Unit, UnitWriter, bucket_name, write_stage_manifest
from schemas.hashing import bucket_of
from schemas.records.tfrecords import ItemFeatures, decode_features, read_records
from schemas.tables import ITEMS, REJECTIONS

NUM_BUCKETS = 3


def item(item_id: str, title: str | None, *images: str) -> dict[str, Any]:
    return {"item_id": item_id, "title": title, "images": list(images)}


def make_run(folder: Path, rows: list[dict[str, Any]], num_buckets: int = NUM_BUCKETS, vocabulary: int = 1000) -> str:
    """A run folder with finished items and a hashing vocabulary of that size."""
    run = str(folder)
    names = [bucket_name(bucket, num_buckets) for bucket in range(num_buckets)]
    for bucket, name in enumerate(names):
        kept = sorted(
            (row for row in rows if bucket_of(row["item_id"], num_buckets) == bucket), key=lambda row: row["item_id"]
        )
        writer = UnitWriter(run, Unit("items", name, "x"))
        with writer.file(f"items/{name}.parquet") as temporary:
            pq.write_table(pa.Table.from_pylist(kept, schema=ITEMS), temporary)
        writer.counts.update(rows_written=len(kept), pictures_listed=sum(len(row["images"]) for row in kept))
        writer.seal()
    write_stage_manifest(run, "items", names, num_buckets=num_buckets)
    Vocabulary.hashing(vocabulary).save(folder / "vocabulary")
    return run


def records_of(run: str) -> dict[str, ItemFeatures]:
    found: dict[str, ItemFeatures] = {}
    for path in sorted(Path(run, "features").glob("*.tfrecord")):
        records = [decode_features(payload) for payload in read_records(path)]
        assert [record.item_id for record in records] == sorted(record.item_id for record in records)
        found |= {record.item_id: record for record in records}
    return found


def bytes_of(run: str, folder: str = "features") -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in Path(run, folder).iterdir()}


def quarantine_of(run: str) -> list[dict[str, Any]]:
    """The REJECTIONS columns of all quarantine rows, in a total order."""
    rows = [row for path in Path(run, "quarantine").glob("*.parquet") for row in pq.read_table(path).to_pylist()]
    return sorted(({name: row[name] for name in REJECTIONS.names} for row in rows), key=str)
