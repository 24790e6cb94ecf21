"""Items to features: picture vectors, token ids and, with a text encoder, text vectors; one TFRecord file a bucket.

    python -m pipelines.features --run RUN --image-root IMAGES --image-encoder efficientnet_lite0

Equal pictures are encoded once. What an earlier run has made (--reuse-from) is taken over: an item's record where its
text and its pictures' contents are the same, a vector where the content is. A picture whose URI, size and modification
time are unchanged is not read again. A picture that cannot be used costs only itself. A text vector is that of the
item's sentence (model.text.text_encoder_spec); it is taken over where the item's text is the same, and equal sentences
are encoded once.
"""

import time
from collections.abc import Sequence
from typing import Any

import apache_beam as beam
from apache_beam.options.pipeline_options import PipelineOptions

from pipelines.console.jobs import main_of, print_summary
from pipelines.console.progress import Progress
from pipelines.features.changed_units import remove_set_aside, set_aside_if_changed
from pipelines.features.earlier import STAGE
from pipelines.features.encoders import save_encoders
from pipelines.features.plan import FeaturesConfig, FeaturesPlan, plan
from pipelines.features.resolve_texts import PROGRESS as TEXTS_PROGRESS
from pipelines.run.process_units import ProcessUnits
from pipelines.run.shared import closed_after_job
from pipelines.run.units import write_stage_manifest

EXAMPLE = "itemsage features --run store/runs/2026-06-30/0123456789abcdef --image-root images --image-encoder resnet50"


def build(root: beam.Pipeline, config: FeaturesConfig) -> beam.PCollection[dict[str, Any]]:
    """Defines the job; runs nothing. The sidecars of all buckets come out. Workers in other working folders need
    absolute paths (with_absolute_paths)."""
    return _define(root, config, plan(config))


def run(config: FeaturesConfig, options: PipelineOptions) -> dict[str, Any]:
    """Computes the features of the run's items, bucket by bucket, and returns the stage manifest."""
    started_s = time.monotonic()
    try:
        with closed_after_job():
            planned = plan(config)
            save_encoders(config, planned.source.encoder, planned.source.text_encoder)
            with beam.Pipeline(options=options) as pipeline:
                _define(pipeline, config, planned)
    finally:
        for name in (STAGE, TEXTS_PROGRESS):
            Progress.close_shared(name)
    manifest = write_stage_manifest(config.run, STAGE, [unit.name for unit in planned.units], **planned.facts)
    remove_set_aside(config.run)
    print_summary(STAGE, manifest["counts"], started_s, f"{config.run}/{STAGE}")
    return manifest


def _define(root: beam.Pipeline, config: FeaturesConfig, planned: FeaturesPlan) -> beam.PCollection[dict[str, Any]]:
    stage, total = planned.stage()
    units = root | "Buckets" >> beam.Create(planned.units)
    if not config.verify_images:
        arguments = config.run, planned.source.image_root, planned.source.limits
        units |= "Look for changed pictures" >> beam.Map(set_aside_if_changed, *arguments)
    return units | ProcessUnits(config.run, stage, total)


def main(argv: Sequence[str] | None = None) -> int:
    """Command line of the job; returns its exit code."""
    return main_of(FeaturesConfig, run, argv, "itemsage features", EXAMPLE)
