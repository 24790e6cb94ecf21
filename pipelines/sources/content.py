"""The sources that learn from the catalogue, each a few lines around its trainer in model.sources: they know an item
before anybody clicked it, and their models, which they leave behind, know those that come later.

    items -----> Dae        denoising auto-encoder of attributes
    features --> Siamese    network on the backbone's vectors of pictures; an item is the mean of its pictures
    pairs ......^           pictures that people asked with, of the training part: each of the item that was clicked

One Embedding To Do Them All (arXiv 1906.12120), level 1. Evidence: attributes of the item, pictures of it.
"""

import functools
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict
from typing import Any, ClassVar

import numpy as np
import pyarrow as pa

from model.sources.autoencoder import (
    AutoencoderConfig,
    TrainedAutoencoder,
    encode_rows,
    save_autoencoder,
    train_autoencoder,
)
from model.sources.clicked_pictures import clicked_products
from model.sources.siamese import SiameseConfig, TrainedSiamese, encode_items, save_siamese, train_siamese
from model.sources.side_information import ATTRIBUTE_FIELDS, Columns, SideInformationConfig, count_values, vocabulary_of
from pipelines.run.unit_files import manifest_path
from pipelines.sources.run_tables import RunTable, counts_of, run_table
from pipelines.sources.trained import PICTURES_OF_QUERIES, LearntVectors, SourceConfig, TrainedSource
from schemas import storage
from schemas.errors import ThresholdError
from schemas.hashing import stable_hash
from schemas.records.tfrecords import decode_features, decode_pair, read_records
from schemas.tables import ITEMS

#: What is read of ITEMS.
ATTRIBUTES = pa.schema([ITEMS.field(name) for name in ("item_id", *ATTRIBUTE_FIELDS)])
#: Pictures that are trained on, in memory: 1 GB of 2,048 numbers each. Of a larger shop those of some items.
MAX_TRAINING_PICTURES = 120_000
#: Where the pairs are whose pictures are of the item that was clicked. More clicks than this on one say no more.
_CLICKED, _MOST_CLICKS = "pairs/train", 1_000


def columns_of(items: pa.Table) -> Columns:
    """The texts of the attributes of ATTRIBUTES."""
    return {name: items[name].to_pylist() for name in ATTRIBUTE_FIELDS}


def encode_attributes(trained: TrainedAutoencoder, items: pa.Table) -> tuple[np.ndarray, np.ndarray]:
    """(float32 [N, D] of norm 1, zeros for an item without attributes; int64 [N], how many it has) of ATTRIBUTES."""
    rows_NV = trained.vocabulary.rows(columns_of(items))
    return encode_rows(trained, rows_NV), np.diff(rows_NV.indptr).astype(np.int64)


def pictures_of(paths: Iterable[str]) -> Iterator[tuple[str, np.ndarray]]:
    """Items of features files and their pictures, float16 [n, D] by the backbone, n >= 0: those that are finite."""
    for path in paths:
        for item in map(decode_features, read_records(path)):
            yield item.item_id, item.pictures[np.isfinite(item.pictures).all(axis=1)]


def encode_pictures_of(trained: TrainedSiamese, items: Mapping[str, np.ndarray]) -> tuple[np.ndarray, np.ndarray]:
    """(float32 [N, E] of norm 1, zeros for an item without pictures; int64 [N], how many it has)."""
    pictures = [vectors.astype(np.float32) for vectors in items.values()]
    return encode_items(trained, pictures), np.array([len(vectors) for vectors in pictures], np.int64)


def clicked_pictures(paths: Iterable[str]) -> dict[str, list[np.ndarray]]:
    """item -> pictures of queries, float16 [D] each, that are of it as far as clicks tell (model.sources
    .clicked_pictures), in the order of their ids; of files of training pairs."""
    vectors: dict[str, np.ndarray] = {}
    clicks: list[tuple[str, str]] = []
    for pair in (decode_pair(record) for path in paths for record in read_records(path)):
        if len(pair.query_picture) and np.isfinite(pair.query_picture).all():
            query = f"{pair.query_id:020d}"
            vectors[query] = pair.query_picture
            clicks += [(query, pair.item_id)] * min(pair.count, _MOST_CLICKS)
    found: dict[str, list[np.ndarray]] = {}
    for query, item_id in clicked_products(clicks).items():
        found.setdefault(item_id, []).append(vectors[query])
    return found


def training_pictures(
    paths: Iterable[str], most: int, clicked: Mapping[str, Sequence[np.ndarray]] | None = None
) -> dict[str, np.ndarray]:
    """Items in ascending order and their pictures, float32, `clicked` ones after their own: of all items that have any,
    or of so many, by the hash of their ids, that there are at most `most` pictures."""
    paths, more = list(paths), clicked or {}
    sizes = ((name, len(own) + len(more.get(name, ()))) for name, own in pictures_of(paths))
    counts = sorted((stable_hash(f"siamese/{name}"), name, count) for name, count in sizes)
    totals = np.cumsum([count for _, _, count in counts])
    chosen = {name for (_, name, count), total in zip(counts, totals, strict=True) if count and total <= most}
    found = {
        name: np.concatenate([own, *(vector[None] for vector in more.get(name, ()))]).astype(np.float32)
        for name, own in pictures_of(paths)
        if name in chosen
    }
    return dict(sorted(found.items()))


class Dae(TrainedSource):
    """Items with equal attributes have equal vectors; one without any has none."""

    name = "dae"
    learns_from = "items"
    reads: ClassVar[tuple[str, ...]] = ("items",)
    libraries: ClassVar[tuple[str, ...]] = ("numpy", "torch", "scipy", "scikit-learn")

    @staticmethod
    def settings(config: SourceConfig) -> Mapping[str, Any]:
        return {"autoencoder": asdict(_autoencoder(config)), "side_information": _side_information()}

    @staticmethod
    def learn(tables: Mapping[str, RunTable], config: SourceConfig, advance: Callable[[int], None]) -> LearntVectors:
        items = tables["items"].read(ATTRIBUTES).sort_by("item_id")
        item_ids, columns, side = items["item_id"].to_pylist(), columns_of(items), SideInformationConfig()
        vocabulary = vocabulary_of(count_values(columns, side), side)
        trained = train_autoencoder(item_ids, vocabulary.rows(columns), vocabulary, _autoencoder(config), advance)
        matrix_ND, count_N = encode_attributes(trained, items)
        return LearntVectors(
            item_ids=item_ids,
            matrix_ND=matrix_ND,
            count_N=count_N,
            num_seen=len(item_ids),
            facts={"attributes_known": len(vocabulary), "epochs_kept": trained.best_epoch},
            save_model=functools.partial(save_autoencoder, trained),
        )


class Siamese(TrainedSource):
    """Pictures of one item are of one product, and so are those that people asked with who then clicked it, where the
    run has training pairs. Trained weights are kept only if validation shows them above their start. An item without
    pictures has no vector."""

    name = "siamese"
    learns_from = "products"
    reads: ClassVar[tuple[str, ...]] = ("features",)

    @functools.cached_property
    def tables(self) -> dict[str, RunTable]:
        """Training pairs too, where the run has them."""
        has_pairs = storage.has_file(manifest_path(self.run, "pairs"))
        folders = (*self.reads, *([_CLICKED] if has_pairs else []))
        return {folder: run_table(self.run, folder) for folder in folders}

    @staticmethod
    def settings(config: SourceConfig) -> Mapping[str, Any]:
        return {"siamese": asdict(_siamese(config)), "most": MAX_TRAINING_PICTURES}

    @property
    def log_stages(self) -> Sequence[str]:
        """The pairs, where it has learnt from pictures of their queries."""
        return ["pairs"] if counts_of(self.run, self.units)[PICTURES_OF_QUERIES] else []

    @staticmethod
    def learn(tables: Mapping[str, RunTable], config: SourceConfig, advance: Callable[[int], None]) -> LearntVectors:
        paths = tables["features"].paths
        clicked = clicked_pictures(tables[_CLICKED].paths if _CLICKED in tables else ())
        training = training_pictures(paths, MAX_TRAINING_PICTURES, clicked)
        if not training:
            raise ThresholdError("expected items with pictures to learn from, got none: leave the source siamese out")
        products = [name for name, vectors in training.items() for _ in vectors]
        trained = train_siamese(np.concatenate(list(training.values())), products, _siamese(config))
        advance(len(products))
        item_ids: list[str] = []
        parts: list[tuple[np.ndarray, np.ndarray]] = []
        for path in paths:
            items = dict(pictures_of([path]))
            item_ids += items
            parts.append(encode_pictures_of(trained, items))
        order = sorted(range(len(item_ids)), key=item_ids.__getitem__)
        matrix_NE, count_N = (np.concatenate(found)[order] for found in zip(*parts, strict=True))
        return LearntVectors(
            item_ids=[item_ids[row] for row in order],
            matrix_ND=matrix_NE,
            count_N=count_N,
            num_seen=len(item_ids),
            facts={
                "pictures_trained_on": len(products),
                PICTURES_OF_QUERIES: sum(len(clicked.get(name, ())) for name in training),
                "epochs_kept": trained.best_epoch,
            },
            save_model=functools.partial(save_siamese, trained),
        )


def _autoencoder(config: SourceConfig) -> AutoencoderConfig:
    return AutoencoderConfig(output_dim=config.dim, seed=config.seed)


def _side_information() -> dict[str, Any]:
    side = SideInformationConfig()
    return {"fields": dict(side.forms), "min_items": side.min_items, "max_values": side.max_values}


def _siamese(config: SourceConfig) -> SiameseConfig:
    return SiameseConfig(seed=config.seed)
