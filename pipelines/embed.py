"""Features to embeddings: one Parquet file of unit vectors for every group of neighbouring buckets.

    python -m pipelines.embed --run RUN --model MODEL_FOLDER

A unit is one output file of at least ROWS_A_FILE rows (where there are so many), so nothing is merged afterwards.
"""

import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import apache_beam as beam
import numpy as np
from apache_beam.options.pipeline_options import PipelineOptions

from model.folded import FoldedItemEncoder
from model.inference import embed_items
from model.model_store import load_item_encoder, read_model_manifest
from pipelines.jobs import flag, main_of, print_summary
from pipelines.progress import Progress
from pipelines.transforms.process_units import ProcessUnits, UnitStage
from pipelines.units import Unit, UnitWriter, read_stage_manifest, write_stage_manifest
from schemas.embeddings import embeddings_metadata, write_embeddings_file
from schemas.errors import ThresholdError, UsageError
from schemas.hashing import fingerprint
from schemas.records import ItemFeatures, decode_features, read_records
from schemas.tables import EMBEDDING_DIM

STAGE = "embeddings"
CODE_VERSION = 1
ROWS_A_FILE = 50_000


@dataclass(frozen=True, kw_only=True)
class EmbedConfig:
    """Computes one 256-d unit vector per item from its features with a trained model."""

    run: str = flag(help="run folder that holds features/; embeddings/ is written there")
    model: str = flag(help="model folder")


@dataclass(frozen=True)
class Part:
    """One output file: which feature files it is made of."""

    name: str
    files: tuple[str, ...]
    fingerprint: str


def plan_parts(features: dict[str, Any], model_id: str, rows_a_file: int = ROWS_A_FILE) -> list[Part]:
    """Neighbouring buckets in groups of at least `rows_a_file` rows, the rest in the last group.

    `features` is the features stage's manifest.
    """
    groups: list[list[dict[str, Any]]] = [[]]
    rows = 0
    for entry in sorted((e for e in features["files"] if e["path"].startswith("features/")), key=lambda e: e["path"]):
        if rows >= rows_a_file:
            groups.append([])
            rows = 0
        groups[-1].append(entry)
        rows += features["units"][Path(entry["path"]).stem]["counts"].get("items_written", 0)
    if len(groups) > 1 and rows < rows_a_file:
        last = groups.pop()
        groups[-1] += last
    return [
        Part(
            name=f"part-{number:05d}-of-{len(groups):05d}",
            files=tuple(entry["path"] for entry in group),
            fingerprint=fingerprint([CODE_VERSION, model_id, [entry["sha256"] for entry in group]]),
        )
        for number, group in enumerate(groups)
    ]


class EmbedStage(UnitStage):
    """Reads feature files, embeds, sorts by id, writes one embeddings file."""

    stage = STAGE
    progress_unit = "items"

    def __init__(self, config: EmbedConfig, parts: Sequence[Part], model_id: str, picture_dim: int):
        self.config, self.model_id, self.picture_dim = config, model_id, picture_dim
        self.files = {part.name: part.files for part in parts}

    def setup(self) -> None:
        self.encoder = FoldedItemEncoder.from_encoder(load_item_encoder(self.config.model))

    def compute(self, unit: Unit, writer: UnitWriter, progress: Progress) -> None:
        ids: list[str] = []
        blocks: list[np.ndarray] = []
        for batch_ids, vectors_BD in embed_items(self.encoder, self._items(unit), self.picture_dim):
            ids += batch_ids
            blocks.append(vectors_BD)
            progress.advance(len(batch_ids))
        matrix = np.concatenate(blocks) if blocks else np.zeros((0, EMBEDDING_DIM), np.float32)
        order = sorted(range(len(ids)), key=ids.__getitem__)
        with writer.file(f"embeddings/{unit.name}.parquet") as temporary:
            metadata = embeddings_metadata(self.model_id, matrix.shape[1])
            write_embeddings_file(temporary, [ids[i] for i in order], matrix[order], metadata)
        writer.counts.update(rows_read=len(ids), rows_computed=len(ids), rows_written=len(ids))

    def _items(self, unit: Unit) -> Iterator[ItemFeatures]:
        for path in self.files[unit.name]:
            for payload in read_records(Path(self.config.run, path)):
                yield decode_features(payload)


def build(root: beam.Pipeline, config: EmbedConfig) -> beam.PCollection[dict[str, Any]]:
    """Defines the job; runs nothing. The sidecars of all parts come out."""
    parts, stage, total = _plan(config)
    units = [Unit(STAGE, part.name, part.fingerprint) for part in parts]
    return root | "Parts" >> beam.Create(units) | ProcessUnits(config.run, stage, total)


def run(config: EmbedConfig, options: PipelineOptions) -> dict[str, Any]:
    """Embeds the run's features and returns the stage manifest.

    Raises UsageError if the features were made for another model, ThresholdError if there is no item at all.
    """
    started_s = time.monotonic()
    parts, stage, _ = _plan(config)
    with beam.Pipeline(options=options) as pipeline:
        build(pipeline, config)
    Progress.close_shared(STAGE)
    manifest = write_stage_manifest(
        config.run, STAGE, [part.name for part in parts], model_id=stage.model_id, dimension=EMBEDDING_DIM
    )
    print_summary("embed", manifest["counts"], started_s, f"{config.run}/embeddings")
    return manifest


def _plan(config: EmbedConfig) -> tuple[list[Part], EmbedStage, int]:
    features = read_stage_manifest(config.run, "features")
    model = read_model_manifest(config.model)
    if features["counts"].get("items_written", 0) == 0:
        raise ThresholdError(f"expected at least one item with features in {config.run}, got none: see its quarantine")
    for name in ("image_encoder_id", "vocabulary_id"):
        if features[name] != model[name]:
            raise UsageError(
                f"expected features made with {name} {model[name]} of model {model['model_id']}, got {features[name]}: "
                "run the features stage again with the model's vocabulary and image encoder"
            )
    parts = plan_parts(features, model["model_id"])
    stage = EmbedStage(config, parts, model["model_id"], model["picture_dim"])
    return parts, stage, features["counts"]["items_written"]


def main(argv: Sequence[str] | None = None) -> int:
    """Command line of the job; returns its exit code."""
    example = "itemsage embed --run store/runs/2026-06-30/0123456789abcdef --model store/models/itemsage-0123456789ab"
    return main_of(EmbedConfig, run, argv, "itemsage embed", example)


if __name__ == "__main__":
    sys.exit(main())
