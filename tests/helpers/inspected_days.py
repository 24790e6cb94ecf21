"""Two days of a store to inspect, with an item of each kind of change between them: items and features by hand, then
the real stages."""

import hashlib
import shutil
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from users_runs import row as engagement
from users_runs import write_log

from model.items.itemsage import ItemSage, ItemSageConfig
from model.items.store import save_model
from model.text.vocabulary import TokenCounts, Vocabulary
from pipelines.console.jobs import beam_options
from pipelines.embed import job as embed
from pipelines.index import job as index
from pipelines.publish import PublishConfig, publish
from pipelines.run.units import Unit, UnitWriter, bucket_name, write_stage_manifest
from pipelines.store import store
from pipelines.store.models import ITEM_MODELS
from pipelines.users import job as users
from schemas.files import write_json
from schemas.hashing import bucket_of, content_hash, fingerprint, seed_of
from schemas.quarantine import Rejection
from schemas.records.tfrecords import ItemFeatures, encode_features, write_records
from schemas.tables import FINGERPRINTS, ITEMS

NUM_BUCKETS, PICTURE_DIM, NUM_ITEMS = 3, 8, 40
ALPHA = 0.8
DAY_BEFORE, DAY = "2026-06-29", "2026-06-30"
ENCODER = "made-up-encoder"
HOSTILE = "item-\x1b[31m-\u202e-../../etc"
_WORDS = ("red", "blue", "green", "wool", "silk", "dress", "lamp", "chair", "table", "scarf")


@dataclass
class Day:
    """rows: id -> title, brand and images; pictures: URI -> content, None for one that is missing."""

    rows: dict[str, dict[str, Any]]
    pictures: dict[str, str | None]
    touched: set[str] = field(default_factory=set)


def first_day() -> Day:
    ids = [f"item-{n:03d}" for n in range(NUM_ITEMS - 1)] + [HOSTILE]
    rows = {
        name: {
            "title": f"{_WORDS[n % 10]} {_WORDS[(n * 7 + n // 10) % 10]} number {n}",
            "brand": "Acme" if n % 3 else None,
            "images": [f"{n}-{picture}.jpg" for picture in range(n % 3)],
        }
        for n, name in enumerate(ids)
    }
    return Day(rows, {uri: f"content of {uri}" for row in rows.values() for uri in row["images"]})


def second_day() -> Day:
    """001: other text; 002: other picture; 004: touched picture; 005: a picture broke; 007: gone; 040: new; 041: only a
    broken picture."""
    day = first_day()
    day.rows["item-001"]["title"] = "entirely other zzyzx words"
    day.pictures["2-0.jpg"] = "another content"
    day.touched = {"4-0.jpg"}
    day.pictures["5-1.jpg"] = None
    del day.rows["item-007"]
    day.rows["item-040"] = {"title": "new silk lamp", "brand": None, "images": []}
    day.rows["item-041"] = {"title": None, "brand": None, "images": ["lost.jpg"]}
    day.pictures["lost.jpg"] = None
    return day


def write_model(folder: Path) -> str:
    counts = TokenCounts()
    for row in first_day().rows.values():
        counts.add_text(row["title"])
        counts.add_text(row["brand"])
    vocabulary = Vocabulary.from_counts(counts.table())
    vocabulary.save(folder / "made" / "vocabulary")
    write_json(folder / "made" / "image_encoder" / "image_encoder.json", {"network_id": ENCODER})
    config = ItemSageConfig(
        vocabulary_size=vocabulary.size, picture_dim=PICTURE_DIM, hash_rows=2_000, width=32, ffn_dim=32, mlp_dim=32
    )
    model_id = save_model(
        ItemSage(config),
        folder / ".model",
        vocabulary_folder=folder / "made" / "vocabulary",
        image_encoder_folder=folder / "made" / "image_encoder",
        towers={},
        split={"kind": "query_hash"},
        metrics={},
    )
    (folder / "models").mkdir()
    (folder / ".model").rename(folder / "models" / model_id)
    shutil.rmtree(folder / "made")
    ITEM_MODELS.make_current(str(folder), model_id)
    return model_id


def write_day(
    folder: Path,
    model_id: str,
    date: str,
    day: Day,
    previous: Path | None,
    refine_cosine: float = 0.0,
    engagements: Path | None = None,
) -> Path:
    """Items and features by hand, then the real stages and publishing; with engagements users, too."""
    facts = {"code_versions": [1], "config": {}, "date": date, "inputs": {}, "model_id": model_id}
    run = store.run_folder(str(folder), date, facts)
    model = folder / "models" / model_id
    vocabulary = Vocabulary.load(model / "vocabulary")
    names = [bucket_name(bucket, NUM_BUCKETS) for bucket in range(NUM_BUCKETS)]
    for bucket, name in enumerate(names):
        rows = [
            {"item_id": item_id, **row}
            for item_id, row in sorted(day.rows.items())
            if bucket_of(item_id, NUM_BUCKETS) == bucket
        ]
        _write_items(run, name, rows, bucket)
        _write_features(run, name, rows, day, vocabulary)
    write_stage_manifest(str(run), "items", names, num_buckets=NUM_BUCKETS, fingerprint="0")
    write_stage_manifest(
        str(run),
        "features",
        names,
        encoder_id=ENCODER,
        image_encoder_id=ENCODER,
        num_buckets=NUM_BUCKETS,
        picture_dim=PICTURE_DIM,
        vocabulary_id=vocabulary.id,
    )
    options, before = beam_options([]), str(previous) if previous else None
    embed.run(embed.EmbedConfig(run=str(run), model=str(model), reuse_from=before), options)
    index.run(index.IndexConfig(run=str(run), reuse_from=before, refine_cosine=refine_cosine), options)
    if engagements is not None:
        settings = {"engagements": str(engagements), "date": date, "alpha": ALPHA, "num_user_buckets": 2}
        users.run(users.UsersConfig(run=str(run), reuse_from=before, **settings), options)
    gates = {"max_recall_drop": 1.0, "min_overlap": 0.0}
    publish(PublishConfig(store=str(folder), run=str(run), **gates), facts)
    return run


def write_users_days(folder: Path, refine_cosine: float = 0.0) -> Path:
    """A model and two published days with users; the run of the second. Seven users click on different shares of the
    items, one has a hostile name, and of one the only item has gone on the second day."""
    ids = sorted(second_day().rows)
    rows = [
        engagement(f"user-{user}", ids[(user * 7 + k * k) % len(ids)], age_days=2 + 0.3 * k)
        for user in range(7)
        for k in range(8)
    ]
    log = write_log(folder / "log", [*rows, engagement(HOSTILE, ids[3], 4), engagement("of-007", "item-007", 5)])
    model_id = write_model(folder)
    store.fix_num_buckets(str(folder), NUM_BUCKETS)
    before = write_day(folder, model_id, DAY_BEFORE, first_day(), None, refine_cosine, log)
    return write_day(folder, model_id, DAY, second_day(), before, refine_cosine, log)


def _write_items(run: Path, name: str, rows: list[dict[str, Any]], bucket: int) -> None:
    writer = UnitWriter(str(run), Unit("items", name, "0"))
    with writer.file(f"items/{name}.parquet") as temporary:
        pq.write_table(pa.Table.from_pylist(rows, schema=ITEMS), temporary)
    listed = sum(len(row["images"]) for row in rows)
    duplicates = [_rejection("row", "item-006", "duplicate_id", "catalog.parquet:7")] if bucket == 0 else []
    writer.counts.update(rows_read=len(rows) + len(duplicates), rows_written=len(rows), pictures_listed=listed)
    writer.quarantine(duplicates)
    writer.seal()


def _write_features(run: Path, name: str, rows: list[dict[str, Any]], day: Day, vocabulary: Vocabulary) -> None:
    writer = UnitWriter(str(run), Unit("features", name, fingerprint([name, rows])))
    rejections, payloads, prints = [], [], []
    for row in rows:
        good = [uri for uri in row["images"] if day.pictures[uri] is not None]
        rejections += [_rejection("picture", row["item_id"], "missing", u) for u in row["images"] if u not in good]
        digests = [hashlib.sha256(str(day.pictures[uri]).encode()).digest() for uri in good]
        token_ids, offsets = vocabulary.encode_item(row)
        payload = None
        if len(token_ids) or good:
            vectors = [np.random.default_rng(seed_of(day.pictures[u])).standard_normal(PICTURE_DIM) for u in good]
            payload = encode_features(
                ItemFeatures(
                    item_id=row["item_id"],
                    token_ids=token_ids,
                    token_offsets=offsets,
                    pictures=np.array(vectors, np.float16).reshape(len(good), PICTURE_DIM),
                    picture_sha256=tuple(digests),
                )
            )
            payloads.append(payload)
        else:
            rejections.append(_rejection("row", row["item_id"], "no_content", f"items/{name}.parquet"))
        prints.append(_fingerprint(row, payload, day, dict(zip(good, digests, strict=True))))
    with writer.file(f"features/{name}.tfrecord") as temporary:
        write_records(temporary, payloads)
    with writer.file(f"fingerprints/{name}.parquet") as temporary:
        pq.write_table(pa.Table.from_pylist(prints, schema=FINGERPRINTS), temporary)
    listed, broken = sum(len(row["images"]) for row in rows), sum(r.level == "picture" for r in rejections)
    writer.counts.update(
        items_read=len(rows),
        items_written=len(payloads),
        items_with_text=len(payloads),
        items_with_picture=sum(bool(row["images"]) for row in rows),
        pictures_listed=listed,
        pictures_computed=listed - broken,
        pictures_reused=0,
        pictures_read=listed,
    )
    writer.quarantine(rejections)
    writer.seal()


def _fingerprint(row: dict[str, Any], payload: bytes | None, day: Day, digests: dict[str, bytes]) -> dict[str, Any]:
    pictures = [
        {
            "uri": uri,
            "bytes": len(day.pictures[uri] or ""),
            "modified_ns": 2 if uri in day.touched else 1,
            "sha256": digests.get(uri),
            "reason": None if uri in digests else "missing",
            "expected": None if uri in digests else "a file",
            "got": None if uri in digests else "none",
        }
        for uri in row["images"]
    ]
    text_hash = content_hash(repr([row["title"], row["brand"]]).encode())
    features_hash = None if payload is None else content_hash(payload)
    return {"item_id": row["item_id"], "text_hash": text_hash, "features_hash": features_hash, "pictures": pictures}


def _rejection(level: str, item_id: str, reason: str, where: str) -> Rejection:
    return Rejection(
        level=level,
        stage="items" if reason == "duplicate_id" else "features",
        item_id=item_id,
        reason=reason,
        expected="something good",
        got="something else",
        where=where,
        remedy="mend it",
    )
