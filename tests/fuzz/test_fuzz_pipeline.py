"""Hostile shops through the stages, from catalogue to index: what comes out keeps the contract, counts add up."""

import random
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from fuzz_pictures import make_picture
from fuzz_run import NUM_INPUTS, Outcome, fuzz
from fuzz_tables import make_files
from fuzz_values import URIS

from model.items.itemsage import ItemSage, ItemSageConfig
from model.items.store import save_model
from model.nearest.index_folder import open_index
from model.pictures.image_encoder import load_image_encoder, save_image_encoder
from model.text.vocabulary import Vocabulary
from pipelines.console.jobs import beam_options
from pipelines.embed import job as embed
from pipelines.features import job as features
from pipelines.index import job as index
from pipelines.ingest import job as ingest
from schemas.errors import CorruptFileError, ThresholdError, UsageError
from schemas.records.embeddings import read_embeddings, validate_embeddings
from schemas.records.tfrecords import decode_features, read_records
from schemas.sample_shop.assortment import make_assortment
from schemas.sample_shop.catalogue import make_catalogue
from schemas.tables import CATALOGUE, EMBEDDING_DIM, MAX_PICTURES, QUARANTINE

pytestmark = pytest.mark.slow

NUM_SHOPS = max(6, NUM_INPUTS // 400)
_PICTURES = [f"p{number}.png" for number in range(12)]


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A small model, not trained."""
    folder = tmp_path_factory.mktemp("model")
    vocabulary = Vocabulary.hashing(500)
    vocabulary.save(folder / "vocabulary")
    encoder = load_image_encoder("efficientnet_lite0", device="cpu", dtype="float32")
    save_image_encoder(encoder, folder / "image_encoder")
    sizes = {"hash_rows": 50, "hash_dim": 16, "width": 32, "heads": 4, "ffn_dim": 32, "mlp_dim": 32}
    config = ItemSageConfig(vocabulary_size=vocabulary.size, picture_dim=encoder.dim, **sizes)
    save_model(
        ItemSage(config),
        folder / "model",
        vocabulary_folder=folder / "vocabulary",
        image_encoder_folder=folder / "image_encoder",
        towers={"text": {"search/click": 1}},
        split={"kind": "time"},
        metrics={},
    )
    return folder / "model"


def good_rows(rng: random.Random) -> list[dict[str, Any]]:
    """Rows of the sample shop that list pictures of ours, good, bad and elsewhere."""
    assortment = make_assortment(30, 0)
    catalogue = make_catalogue(assortment, 0)
    rows = [catalogue.row(number, product.item_id) for number, product in enumerate(assortment.products)]
    for row in rows:
        row["images"] = [rng.choice((*_PICTURES, rng.choice(URIS))) for _ in range(rng.choice((0, 1, 2, 25)))]
    return rows


def run_stages(run: Path, catalog: Path, image_root: Path, model: Path) -> dict[str, dict[str, Any]]:
    options = beam_options([])
    where = str(run)
    items = ingest.run(ingest.IngestConfig(run=where, catalog=str(catalog), num_buckets=2), options)
    encoder = {"image_encoder_folder": str(model / "image_encoder"), "image_dtype": "float32", "device": "cpu"}
    settings = {"image_root": str(image_root), "vocabulary": str(model / "vocabulary"), "max_picture_pixels": 400_000}
    featured = features.run(features.FeaturesConfig(run=where, **settings, **encoder), options)
    embedded = embed.run(embed.EmbedConfig(run=where, model=str(model)), options)
    indexed = index.run(index.IndexConfig(run=where, max_trees=10), options)
    return {"items": items, "features": featured, "embeddings": embedded, "index": indexed}


def check_published(run: Path, stages: dict[str, dict[str, Any]]) -> Counter[str]:
    counts = {name: Counter(manifest["counts"]) for name, manifest in stages.items()}
    items, featured, embedded = counts["items"], counts["features"], counts["embeddings"]
    assert items["rows_read"] == items["rows_written"] + items["rows_collapsed"] + items["rows_quarantined"]
    assert items["rows_written"] == featured["items_read"] == featured["items_written"] + featured["rows_quarantined"]
    pictures = featured["pictures_computed"] + featured["pictures_reused"] + featured["pictures_quarantined"]
    assert featured["pictures_listed"] == items["pictures_listed"] == pictures
    assert featured["items_written"] == embedded["rows_written"] + embedded["rows_quarantined"]
    ids, matrix_ND = read_embeddings(run / "embeddings")
    validate_embeddings(ids, matrix_ND, "embeddings")
    assert matrix_ND.shape == (embedded["rows_written"], EMBEDDING_DIM)
    found, index_ids, _ = open_index(run / "index")
    assert index_ids.equals(ids)
    np.testing.assert_allclose(found.vectors(range(len(ids))), matrix_ND, atol=1e-6)
    for path in (run / "features").glob("*.tfrecord"):
        for record in map(decode_features, read_records(path)):
            assert record.item_id.strip()
            assert len(record.pictures) <= MAX_PICTURES
            assert np.isfinite(record.pictures).all()
            assert len(record.token_ids) or len(record.pictures)
    rows = [row for path in (run / "quarantine").glob("*.parquet") for row in read_quarantine(path)]
    levels = Counter(row["level"] for row in rows)
    assert levels["row"] == sum(count["rows_quarantined"] for count in counts.values())
    assert levels["picture"] == featured["pictures_quarantined"]
    for row in rows:
        assert all(row[name].isprintable() for name in ("got", "where", "expected", "remedy"))
    return Counter(rows=items["rows_read"], published=embedded["rows_written"], pictures=pictures) + Counter(
        row["reason"] for row in rows
    )


def read_quarantine(path: Path) -> list[dict[str, Any]]:
    table = pq.read_table(path)
    assert table.schema == QUARANTINE
    return table.to_pylist()


def check_shop(rng: random.Random, folder: Path, model: Path) -> Outcome:
    (folder / "catalog").mkdir()
    (folder / "images").mkdir()
    rows = good_rows(rng)
    made = make_files(rng, folder / "catalog", CATALOGUE, rows)
    schema = pa.schema([field.with_nullable(True) for field in CATALOGUE])
    pq.write_table(pa.Table.from_pylist(rows, schema=schema), folder / "catalog" / "sound.parquet")
    for name in _PICTURES:
        (folder / "images" / name).write_bytes(make_picture(rng))
    try:
        stages = run_stages(folder / "run", folder / "catalog", folder / "images", model)
    except (UsageError, CorruptFileError, ThresholdError) as error:
        return Outcome(type(error).__name__)
    counts = check_published(folder / "run", stages)
    assert made.num_rows is None or made.num_rows + len(rows) == counts["rows"]
    assert counts["published"] > 0
    return Outcome(counts=counts)


def test_shops(tmp_path: Path, model: Path) -> None:
    check: Callable[[random.Random, Path], Outcome] = lambda rng, folder: check_shop(rng, folder, model)  # noqa: E731
    tally = fuzz("shops", check, tmp_path, NUM_SHOPS)
    assert tally.inputs == sum(tally.verdicts.values())
