"""Items to features: picture vectors, token ids and, with a text encoder, text vectors; one TFRecord file a bucket.

    python -m pipelines.features --run RUN --image-root IMAGES --image-encoder efficientnet_lite0

Equal pictures are encoded once. What an earlier run has made (--reuse-from) is taken over: an item's record where its
text and its pictures' contents are the same, a vector where the content is. A picture whose URI, size and modification
time are unchanged is not read again. A picture that cannot be used costs only itself. A text vector is that of the
item's sentence (model.text.text_encoder_spec); it is taken over where the item's text is the same, and equal sentences
are encoded once.
"""

import functools
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import apache_beam as beam
from apache_beam.options.pipeline_options import PipelineOptions

from model.items.manifest import read_model_manifest
from pipelines.features.changed_units import remove_set_aside, set_aside_if_changed
from pipelines.features.earlier import STAGE
from pipelines.features.encoders import NO_ENCODER, save_encoders
from pipelines.features.plan import CODE_VERSION, FeaturesConfig, FeaturesPlan, plan
from pipelines.features.resolve_texts import PROGRESS as TEXTS_PROGRESS
from pipelines.run.process_units import ProcessUnits
from pipelines.run.stage import RunCall, Stage, job_of
from pipelines.run.unit_files import manifest_path
from pipelines.run.units import Unit, read_stage_manifest
from schemas import storage
from schemas.errors import CorruptFileError


class Features(Stage[FeaturesConfig]):
    """One unit a bucket of items."""

    name = STAGE
    config_class = FeaturesConfig
    code_versions = (CODE_VERSION,)
    bars = (TEXTS_PROGRESS,)
    makes = "items_written"
    identities = ("pictures_listed = pictures_computed + pictures_reused + pictures_quarantined + pictures_cut_off",)

    @classmethod
    def given(cls, call: RunCall) -> dict[str, Any]:
        """A day's are made as the model's training made them."""
        if call.model is None:
            return super().given(call)
        manifest = read_model_manifest(call.model)
        has_pictures = manifest["picture_dim"] > 0
        return {
            "vocabulary": str(call.model / "vocabulary"),
            "image_encoder": None if has_pictures else NO_ENCODER,
            "image_encoder_folder": str(call.model / "image_encoder") if has_pictures else None,
            "text_encoder_folder": str(call.model / "text_encoder") if manifest["text_dim"] else None,
            "reuse_from": run_to_reuse(call.config.store, manifest, call.previous),
        }

    @functools.cached_property
    def planned(self) -> FeaturesPlan:
        """Raises what `plan` raises."""
        return plan(self.config)

    def prepare(self, options: PipelineOptions) -> None:
        save_encoders(self.config, self.planned.source.encoder, self.planned.source.text_encoder)

    @property
    def units(self) -> list[Unit]:
        return self.planned.units

    def define(self, root: beam.Pipeline) -> beam.PCollection[dict[str, Any]]:
        units = root | "Buckets" >> beam.Create(self.units)
        if not self.config.verify_images:
            arguments = self.run, self.planned.source.image_root, self.planned.source.limits
            units |= "Look for changed pictures" >> beam.Map(set_aside_if_changed, *arguments)
        return units | ProcessUnits(self.run, self.planned.stage())

    def facts(self) -> dict[str, Any]:
        return self.planned.facts

    def seal(self) -> dict[str, Any]:
        manifest = super().seal()
        remove_set_aside(self.run)
        return manifest

    @staticmethod
    def account(counts: Mapping[str, Mapping[str, int]]) -> dict[str, int]:
        items, made = counts["items"], counts[STAGE]
        cells = items.get("pictures_quarantined", 0)  # pictures of the table that their cells do not give
        return {
            "pictures_listed": items.get("pictures_listed", 0) + items.get("pictures_cut_off", 0) + cells,
            "pictures_cut_off": items.get("pictures_cut_off", 0),
            "pictures_quarantined": made.get("pictures_quarantined", 0) + cells,
            **{f"pictures_{name}": made.get(f"pictures_{name}", 0) for name in ("computed", "reused", "read")},
        }

    @staticmethod
    def told(counts: Mapping[str, int]) -> str:
        return (
            "pictures listed {pictures_listed:,} = computed {pictures_computed:,} + reused {pictures_reused:,} + "
            "quarantined {pictures_quarantined:,} + cut off {pictures_cut_off:,}; {pictures_read:,} read\n"
        ).format_map(counts)


def run_to_reuse(store: str, model: Mapping[str, Any], previous: Path | None) -> str | None:
    """The run whose picture vectors a day takes over: the run before, else that of the training of the `model` (its
    manifest), whichever has vectors of the model's image encoder."""
    trained_in = model.get("training_run")
    for folder in (previous, Path(store, trained_in) if trained_in else None):
        if folder is None or not storage.has_file(manifest_path(str(folder), STAGE)):
            continue
        try:
            made_with = read_stage_manifest(str(folder), STAGE).get("image_encoder_id")
        except CorruptFileError as error:  # a damaged run never blocks the next one
            print(f"warning: no picture vectors are taken over: {error}", file=sys.stderr)
            continue
        if made_with == model["image_encoder_id"]:
            return str(folder)
    return None


EXAMPLE = "itemsage features --run store/runs/2026-06-30/0123456789abcdef --image-root images --image-encoder resnet50"
build, run, main = job_of(Features, EXAMPLE)
