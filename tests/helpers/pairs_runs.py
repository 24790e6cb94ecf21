"""Runs whose stages before the pairs are finished, random logs of engagements, and the pairs that the job wrote."""

import datetime as dt
import hashlib
import random
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from model.pictures.image_encoder import open_image_encoder
from model.split.split import PARTS
from model.text.vocabulary import TokenCounts, Vocabulary
from pipelines.console.jobs import beam_options
from pipelines.pairs import job as pairs
from pipelines.run.units import Unit, UnitWriter, bucket_name, write_stage_manifest
from schemas.hashing import bucket_of
from schemas.records.tfrecords import ItemFeatures, decode_pair, encode_features, read_records, write_records
from schemas.tables import ENGAGEMENTS, ITEMS, TEXT_FIELDS

START = dt.datetime(2024, 3, 1, tzinfo=dt.UTC)
ITEM_IDS = [f"item-{number}" for number in range(30)]
WITHOUT_FEATURES = {"item-28", "item-29"}
TEXTS = ["red shoe", "Blue DRESS", "green hat", "wool scarf", "shoe", "dress for a party", "qqq"]


def make_run(
    folder: Path,
    num_buckets: int,
    encoder_folder: Path | None = None,
    pictures: Mapping[str, Sequence[Path]] | None = None,
    texts: Mapping[str, str] | None = None,
) -> Path:
    """A run folder with finished items, vocabulary and features stages. pictures: item -> its picture files, their
    vectors are noise; texts: item -> its title, where it is not the usual one."""
    pictures, texts = pictures or {}, texts or {}
    counts = TokenCounts()
    for text in TEXTS[:-1]:
        counts.add_text(f"acme {text}")
    Vocabulary.from_counts(counts.table()).save(folder / "vocabulary")
    vocabulary = Vocabulary.load(folder / "vocabulary")
    facts = {"image_encoder_id": None, "picture_dim": 0, "vocabulary_id": vocabulary.id}
    if encoder_folder is not None:
        (folder / "image_encoder").symlink_to(encoder_folder)
        encoder = open_image_encoder(encoder_folder, device="cpu")
        facts |= {"image_encoder_id": encoder.network_id, "picture_dim": encoder.dim}
    rows = []
    for number, item_id in enumerate(ITEM_IDS):
        text = {"title": texts.get(item_id, f"Acme {TEXTS[number % 6]} {number}"), "brand": "Acme"}
        images = list(map(str, pictures.get(item_id, ())))
        rows.append({"item_id": item_id, **dict.fromkeys(TEXT_FIELDS), **text, "images": images})
    names = [bucket_name(bucket, num_buckets) for bucket in range(num_buckets)]
    for bucket, name in enumerate(names):
        mine = [row for row in rows if bucket_of(row["item_id"], num_buckets) == bucket]
        writer = UnitWriter(str(folder), Unit("items", name, "x"))
        with writer.file(f"items/{name}.parquet") as temporary:
            pq.write_table(pa.Table.from_pylist(mine, schema=ITEMS), temporary)
        writer.seal()
        writer = UnitWriter(str(folder), Unit("features", name, "x"))
        with writer.file(f"features/{name}.tfrecord") as temporary:
            write_records(
                temporary,
                (
                    encode_features(
                        ItemFeatures(
                            item_id=row["item_id"],
                            token_ids=vocabulary.encode_item(row)[0],
                            token_offsets=vocabulary.encode_item(row)[1],
                            pictures=np.ones((len(row["images"]), facts["picture_dim"]), np.float16),
                            picture_sha256=tuple(
                                hashlib.sha256(Path(image).read_bytes()).digest() for image in row["images"]
                            ),
                        )
                    )
                    for row in sorted(mine, key=lambda row: row["item_id"])
                    if row["item_id"] not in WITHOUT_FEATURES
                ),
            )
        writer.seal()
    write_stage_manifest(str(folder), "items", names, num_buckets=num_buckets)
    write_stage_manifest(str(folder), "features", names, **facts)
    return folder


def make_log(seed: int, num_rows: int, with_pictures: bool) -> list[dict]:
    """A random log with every kind of row that the stage leaves out; popularity is skewed."""
    draw = random.Random(seed)
    rows = []
    for _ in range(num_rows):
        surface = draw.choice(
            ["search", "search", "closeup", "closeup", "home"] if with_pictures else ["search", "home"]
        )
        query = {"search": draw.choice(TEXTS), "closeup": f"photo-{draw.randrange(6)}.png", "home": None}[surface]
        if surface == "closeup" and draw.random() < 0.1:
            query = draw.choice(["broken.png", "missing.png", "../outside.png"])
        rows.append(
            {
                "timestamp": START + dt.timedelta(minutes=draw.randrange(40 * 24 * 60)),
                "user_id": None,
                "session_id": None,
                "surface": surface,
                "query": query,
                "item_id": draw.choice([*ITEM_IDS, "unknown"]) if draw.random() < 0.5 else "item-3",
                "action": draw.choice(["impression", "click", "click", "save", "checkout", "return"]),
            }
        )
    return rows


def write_log(path: Path, rows: list[dict]) -> Path:
    """The log in row groups of 100 rows."""
    pq.write_table(pa.Table.from_pylist(rows, schema=ENGAGEMENTS), path, row_group_size=100)
    return path


def run_pairs(run: Path, **keywords) -> dict:
    """The manifest of the finished stage; keywords: of PairsConfig."""
    return pairs.run(pairs.PairsConfig(run=str(run), device="cpu", **keywords), beam_options([]))


def read_pairs(run: Path, parts: Sequence[str] = PARTS) -> dict[str, list]:
    """Pairs by part, in the order of files and records, checked to be sorted within a file."""
    found: dict[str, list] = {}
    for part in parts:
        found[part] = []
        for path in sorted((run / "pairs" / part).glob("*.tfrecord")):
            records = [decode_pair(payload) for payload in read_records(path)]
            keys = [(pair.task, pair.query_id, pair.item_id) for pair in records]
            assert keys == sorted(set(keys))
            found[part] += records
    return found


def read_pairs_after(run: Path, **keywords) -> dict[str, list]:
    """What `read_pairs` finds after a run of the stage."""
    run_pairs(run, **keywords)
    return read_pairs(run)
