"""Features of small shops made by hand, the embed stage on them, and what it wrote."""

import dataclasses
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from model.items.config import ItemSageConfig
from model.items.itemsage import ItemSage
from model.items.store import save_model
from model.split.split import SplitConfig, no_engagements
from model.text.vocabulary import Vocabulary
from pipelines.console.jobs import beam_options
from pipelines.embed import job as embed
from pipelines.run.units import Unit, UnitWriter, bucket_name, write_stage_manifest
from schemas.files import write_json
from schemas.hashing import bucket_of, content_hash, fingerprint
from schemas.records.embeddings import read_embeddings, validate_embeddings
from schemas.records.tfrecords import ItemFeatures, encode_features, write_records
from schemas.tables import FINGERPRINTS, NUM_TEXT_FIELDS

PICTURE_DIM, NUM_BUCKETS, VOCABULARY = 8, 4, 100
Shop = dict[str, ItemFeatures | None]  # None: an item without a record (nothing of it was left)


def item(name: str, random: np.random.Generator) -> ItemFeatures:
    """An item with random text and up to three pictures."""
    lengths = random.integers(0, 3, NUM_TEXT_FIELDS)
    lengths[0] += 1
    return ItemFeatures(
        item_id=name,
        token_ids=random.integers(1, VOCABULARY, lengths.sum()).astype(np.int32),
        token_offsets=np.concatenate([[0], np.cumsum(lengths)]).astype(np.int32),
        pictures=random.standard_normal((random.integers(0, 4), PICTURE_DIM)).astype(np.float16),
    )


def shop_of(count: int, seed: int = 0) -> Shop:
    """A shop of so many items with text, each with up to three pictures."""
    random = np.random.default_rng(seed)
    return {f"item-{number:03d}": item(f"item-{number:03d}", random) for number in range(count)}


def changed_shop() -> Shop:
    """shop_of(40) with one item changed in every bucket: no part is copied whole."""
    shop = shop_of(40)
    random = np.random.default_rng(1)
    for bucket in range(NUM_BUCKETS):
        name = next(name for name in shop if bucket_of(name, NUM_BUCKETS) == bucket)
        shop[name] = item(name, random)
    return shop


def broken(features: ItemFeatures) -> ItemFeatures:
    """Tokens that the vocabulary does not have."""
    return dataclasses.replace(features, token_ids=features.token_ids + VOCABULARY)


def write_features(
    run: Path, shop: Shop, *, num_buckets: int = NUM_BUCKETS, fingerprints: bool = True, only: Iterable[int] = ()
) -> Path:
    """What the features stage leaves of a shop (`only`: of these buckets)."""
    for bucket in only or range(num_buckets):
        names = sorted(name for name in shop if bucket_of(name, num_buckets) == bucket)
        payloads = {name: encode_features(shop[name]) for name in names if shop[name] is not None}
        unit = bucket_name(bucket, num_buckets)
        writer = UnitWriter(str(run), Unit("features", unit, fingerprint(sorted(map(str, payloads.values())))))
        with writer.file(f"features/{unit}.tfrecord") as temporary:
            write_records(temporary, payloads.values())
        if fingerprints:
            rows = [
                {
                    "item_id": name,
                    "text_hash": bytes(16),
                    "features_hash": content_hash(payloads[name]) if name in payloads else None,
                    "pictures": [],
                }
                for name in names
            ]
            with writer.file(f"fingerprints/{unit}.parquet") as temporary:
                pq.write_table(pa.Table.from_pylist(rows, schema=FINGERPRINTS), temporary)
        writer.counts["items_written"] = len(payloads)
        writer.seal()
    names = [bucket_name(bucket, num_buckets) for bucket in range(num_buckets)]
    ids = {"image_encoder_id": "pictures", "vocabulary_id": Vocabulary.hashing(VOCABULARY).id}
    write_stage_manifest(str(run), "features", names, **ids)
    return run


def write_model(folder: Path, **switches: Any) -> Path:
    """A small model for these shops, with these switches of ItemSageConfig, in a new folder."""
    sources = folder.with_name(f"{folder.name}-sources")
    Vocabulary.hashing(VOCABULARY).save(sources / "vocabulary")
    write_json(sources / "encoder" / "image_encoder.json", {"network_id": "pictures"})
    small = {"hash_rows": 50, "width": 32, "heads": 4, "ffn_dim": 32, "mlp_dim": 32}
    save_model(
        ItemSage(ItemSageConfig(vocabulary_size=VOCABULARY, picture_dim=PICTURE_DIM, **small, **switches)),
        folder,
        vocabulary_folder=sources / "vocabulary",
        image_encoder_folder=sources / "encoder",
        towers={},
        split=no_engagements(SplitConfig()),
        metrics={},
    )
    return folder


def embedded(run: Path, model: Path, earlier: Path | None = None) -> dict[str, int]:
    """Runs the stage; its counts without the prefix, after the checks that always hold."""
    config = embed.EmbedConfig(run=str(run), model=str(model), reuse_from=str(earlier) if earlier else None)
    manifest = embed.run(config, beam_options([]))
    counts = {name.removeprefix("rows_"): count for name, count in manifest["counts"].items()}
    assert counts["written"] == counts["reused"] + counts["computed"]
    assert counts["computed"] == counts["changed"] + counts["new"]
    assert counts["yesterday"] == counts["reused"] + counts["changed"] + counts["gone"]
    assert counts["read"] == counts["written"] + counts["quarantined"]
    ids, matrix = read_embeddings(run / "embeddings")
    validate_embeddings(ids, matrix, str(run))
    assert len(ids) == counts["written"]
    return counts


def files_of(run: Path) -> dict[str, bytes]:
    """The bytes of the embeddings' files, by name."""
    return {path.name: path.read_bytes() for path in (run / "embeddings").iterdir()}


def ids_of(run: Path) -> set[str]:
    """The items that were embedded."""
    return set(read_embeddings(run / "embeddings")[0].to_pylist())


def quarantine_of(run: Path) -> list[dict]:
    """All quarantine rows, in the order of files and rows."""
    return [row for path in sorted((run / "quarantine").glob("*.parquet")) for row in pq.read_table(path).to_pylist()]
