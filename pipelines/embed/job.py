"""Features to embeddings: one Parquet file of unit vectors for every group of neighbouring buckets.

    python -m pipelines.embed --run RUN --model MODEL_FOLDER --reuse-from EARLIER_RUN

A unit is one output file of at least 50,000 rows (where there are so many), so nothing is merged afterwards.
Vectors of an earlier run are taken over where item, model and code are the same; an item that the model cannot embed
is quarantined alone.
"""

import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import apache_beam as beam
from apache_beam.options.pipeline_options import PipelineOptions

from model.items.manifest import read_model_manifest, read_output_dim
from pipelines.console.jobs import flag, main_of, print_summary
from pipelines.console.progress import Progress
from pipelines.embed.compute import EmbedStage
from pipelines.embed.earlier import open_earlier
from pipelines.embed.parts import CODE_VERSION, STAGE, Part, plan_parts
from pipelines.run.process_units import ProcessUnits
from pipelines.run.shared import closed_after_job
from pipelines.run.units import Unit, read_stage_manifest, write_stage_manifest
from schemas.errors import ThresholdError, UsageError

__all__ = ["CODE_VERSION", "STAGE", "EmbedConfig", "EmbedPlan", "build", "main", "plan", "plan_parts", "run"]


@dataclass(frozen=True, kw_only=True)
class EmbedConfig:
    """Computes one unit vector per item from its features with a trained model."""

    run: str = flag(path=True, help="run folder that holds features/; embeddings/ is written there")
    model: str = flag(path=True, help="model folder")
    reuse_from: str | None = flag(
        path=True, default=None, help="earlier run folder whose vectors of equal items are taken over"
    )


@dataclass(frozen=True)
class EmbedPlan:
    """The parts to write, what writes them, and how many items they hold."""

    parts: list[Part]
    stage: EmbedStage
    num_items: int


def plan(config: EmbedConfig) -> EmbedPlan:
    """Settles the parts; loads no model. Raises UsageError if the features were made for another model, ThresholdError
    if there is no item at all."""
    features = read_stage_manifest(config.run, "features")
    model = read_model_manifest(config.model)
    if features["counts"].get("items_written", 0) == 0:
        raise ThresholdError(f"expected at least one item with features in {config.run}, got none: see its quarantine")
    for name in ("image_encoder_id", "vocabulary_id", "text_encoder_id"):
        wanted, got = model.get(name), features.get(name)
        if got != wanted:
            raise UsageError(
                f"expected features made with {name} {wanted} of model {model['model_id']}, got {got}: run the "
                "features stage again with the model's vocabulary, image encoder and text encoder"
            )
    model_id = model["model_id"]
    parts = plan_parts(features, model_id)
    earlier = open_earlier(config.reuse_from, config.run, model_id, parts)
    dims = (read_output_dim(config.model), model["picture_dim"], model["text_dim"])
    stage = EmbedStage(config.run, config.model, parts, model_id, *dims, earlier)
    return EmbedPlan(parts, stage, features["counts"]["items_written"])


def build(root: beam.Pipeline, config: EmbedConfig) -> beam.PCollection[dict[str, Any]]:
    """Defines the job; runs nothing. The sidecars of all parts come out. Workers in other working folders need
    absolute paths (with_absolute_paths)."""
    return _build(root, config.run, plan(config))


def _build(root: beam.Pipeline, run_folder: str, planned: EmbedPlan) -> beam.PCollection[dict[str, Any]]:
    units = [Unit(STAGE, part.name, part.fingerprint) for part in planned.parts]
    return root | "Parts" >> beam.Create(units) | ProcessUnits(run_folder, planned.stage, planned.num_items)


def run(config: EmbedConfig, options: PipelineOptions) -> dict[str, Any]:
    """Embeds the run's features and returns the stage manifest. Raises what `plan` raises; CorruptFileError if a file
    is not as its stage left it or the model is broken.

    Counts: rows_read = rows_written + rows_quarantined; rows_written = rows_reused + rows_computed; rows_computed =
    rows_changed + rows_new; rows_yesterday = rows_reused + rows_changed + rows_gone.
    """
    started_s = time.monotonic()
    planned = plan(config)
    with closed_after_job(), beam.Pipeline(options=options) as pipeline:
        _build(pipeline, config.run, planned)
    Progress.close_shared(STAGE)
    manifest = write_stage_manifest(
        config.run,
        STAGE,
        [part.name for part in planned.parts],
        model_id=planned.stage.model_id,
        dimension=planned.stage.output_dim,
    )
    print_summary("embed", manifest["counts"], started_s, f"{config.run}/embeddings")
    return manifest


def main(argv: Sequence[str] | None = None) -> int:
    """Command line of the job; returns its exit code."""
    example = "itemsage embed --run store/runs/2026-06-30/0123456789abcdef --model store/models/itemsage-0123456789ab"
    return main_of(EmbedConfig, run, argv, "itemsage embed", example)
