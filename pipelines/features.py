"""Items to features: picture vectors and token ids, one TFRecord file a bucket.

    python -m pipelines.features --run RUN --image-root IMAGES --image-encoder efficientnet_lite0

Equal pictures are encoded once; vectors of an earlier run are taken over (--reuse-from) where the picture's content and
the image encoder are the same. A picture that cannot be used costs only itself.
"""

import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import apache_beam as beam
from apache_beam.options.pipeline_options import PipelineOptions

from model.image_encoder_spec import (
    DTYPES,
    MANIFEST_FILE,
    ImageEncoderSpec,
    image_encoder_spec,
    save_from_spec,
    saved_image_encoder_spec,
)
from model.pictures import DEFAULT_LIMITS, PictureLimits
from model.vocabulary import DESCRIPTION_FILE
from pipelines.jobs import flag, main_of, print_summary
from pipelines.progress import Progress
from pipelines.transforms.compute_features import (
    STAGE,
    FeaturesSource,
    FeaturesStage,
    check_number_format,
    open_encoder,
)
from pipelines.transforms.process_units import ProcessUnits
from pipelines.units import Unit, bucket_name, finished_sidecar, read_stage_manifest, write_stage_manifest
from schemas.errors import CorruptFileError, UsageError
from schemas.files import read_json
from schemas.hashing import fingerprint

CODE_VERSION = 1
NO_ENCODER = "none"
DEFAULT_ENCODER = "resnet50"
EXAMPLE = "itemsage features --run store/runs/2026-06-30/0123456789abcdef --image-root images --image-encoder resnet50"


@dataclass(frozen=True, kw_only=True)
class FeaturesConfig:
    """Turns pictures into vectors and text into token ids, for every item of a run."""

    run: str = flag(help="run folder that holds items/; features/ is written there")
    image_root: str = flag(default=".", help="folder that picture paths start from; nothing outside it is read")
    vocabulary: str | None = flag(default=None, help="vocabulary folder; default: the run's own")
    image_encoder: str | None = flag(
        default=None,
        help=f"{DEFAULT_ENCODER} (default), efficientnet_lite0, any torchvision classification network, or none",
    )
    image_weights: str | None = flag(default=None, help="weights file; default: torchvision's own, downloaded")
    image_weights_name: str | None = flag(default=None, help="its torchvision entry: ResNet50_Weights.IMAGENET1K_V2")
    image_weights_sha256: str | None = flag(default=None, help="sha256 that the weights must have")
    image_encoder_folder: str | None = flag(default=None, help="saved image encoder (a model's) instead of the above")
    image_dtype: str = flag(default="auto", choices=("auto", *DTYPES), help="number format of the image encoder")
    device: str = flag(default="auto", help="auto, cpu or cuda")
    reuse_from: str | None = flag(default=None, help="earlier run folder whose picture vectors are taken over")
    max_picture_bytes: int = flag(default=DEFAULT_LIMITS.max_bytes, help="larger picture files are quarantined")
    max_picture_pixels: int = flag(default=DEFAULT_LIMITS.max_pixels, help="pictures of more pixels are quarantined")


@dataclass(frozen=True)
class FeaturesPlan:
    """The units of the stage and what they are made from. `num_pictures`: listed by the run's items."""

    units: list[Unit]
    source: FeaturesSource
    facts: dict[str, Any]
    num_items: int
    num_pictures: int

    def stage(self) -> tuple[FeaturesStage, int]:
        """The stage, and how many pictures (or, if there are none, items) it will pass."""
        kind, total = ("pictures", self.num_pictures) if self.num_pictures else ("items", self.num_items)
        return FeaturesStage(self.source, kind), total


def check_image_root(image_root: str) -> None:
    """Raises UsageError if there is no such folder: a wrong one would cost every item its pictures."""
    if not Path(image_root).is_dir():
        raise UsageError(f"expected --image-root to name a folder, got {image_root!r}, where there is none")


def plan(config: FeaturesConfig) -> FeaturesPlan:
    """Settles encoder and units. Loads the encoder only if its number format must be tried out before pictures come.

    Raises UsageError for encoder flags that do not fit, CorruptFileError if an earlier stage is not finished.
    """
    check_image_root(config.image_root)
    items = read_stage_manifest(config.run, "items")
    num_pictures = items["counts"]["pictures_listed"]
    spec = encoder_spec(config)
    if spec is None and num_pictures:
        raise UsageError(
            f"expected an image encoder for the {num_pictures:,} pictures that {config.run}/items lists, got none: "
            "give --image-encoder, or leave the pictures out of the catalogue"
        )
    planned = _plan_with(config, spec, items)
    if spec is None or not num_pictures or planned.source.reuse_from is not None:
        return planned
    if all(finished_sidecar(config.run, unit) for unit in planned.units):
        return planned
    encoder = open_encoder(spec)
    if config.image_dtype != "auto":
        check_number_format(encoder, spec)
    return planned if encoder.spec == spec else _plan_with(config, encoder.spec, items)


def build(root: beam.Pipeline, config: FeaturesConfig) -> beam.PCollection[dict[str, Any]]:
    """Defines the job; runs nothing. The sidecars of all buckets come out."""
    return _define(root, config, plan(config))


def run(config: FeaturesConfig, options: PipelineOptions) -> dict[str, Any]:
    """Computes the features of the run's items, bucket by bucket, and returns the stage manifest."""
    started_s = time.monotonic()
    opened_before = open_encoder.cache_info().currsize > 0
    try:
        planned = plan(config)
        if config.image_encoder_folder is None and planned.source.encoder is not None:
            _save_encoder(planned.source.encoder, Path(config.run, "image_encoder"))
        with beam.Pipeline(options=options) as pipeline:
            _define(pipeline, config, planned)
    finally:
        Progress.close_shared(STAGE)
        if not opened_before:  # the next stages need its memory more
            open_encoder.cache_clear()
    manifest = write_stage_manifest(config.run, STAGE, [unit.name for unit in planned.units], **planned.facts)
    print_summary(STAGE, manifest["counts"], started_s, f"{config.run}/{STAGE}")
    return manifest


def _define(root: beam.Pipeline, config: FeaturesConfig, planned: FeaturesPlan) -> beam.PCollection[dict[str, Any]]:
    stage, total = planned.stage()
    return root | "Buckets" >> beam.Create(planned.units) | ProcessUnits(config.run, stage, total)


def _save_encoder(spec: ImageEncoderSpec, folder: Path) -> None:
    """Puts the encoder into the run, for the jobs that encode query pictures, unless it is there."""
    try:
        if read_json(folder / MANIFEST_FILE)["network_id"] == spec.network_id:
            return
    except (CorruptFileError, KeyError, TypeError):
        pass
    save_from_spec(spec, folder)


def encoder_spec(config: FeaturesConfig) -> ImageEncoderSpec | None:
    """The encoder that the flags name; None for "none"."""
    by_name = (config.image_encoder, config.image_weights, config.image_weights_name, config.image_weights_sha256)
    if config.image_encoder_folder is not None:
        if any(by_name):
            raise UsageError("expected --image-encoder-folder or the encoder's name and weights, got both")
        return saved_image_encoder_spec(config.image_encoder_folder, config.device, config.image_dtype)
    if config.image_encoder == NO_ENCODER:
        return None
    return image_encoder_spec(
        config.image_encoder or DEFAULT_ENCODER,
        config.image_weights,
        config.image_weights_name,
        config.image_weights_sha256,
        device=config.device,
        dtype=config.image_dtype,
    )


def _plan_with(config: FeaturesConfig, spec: ImageEncoderSpec | None, items: dict[str, Any]) -> FeaturesPlan:
    vocabulary = config.vocabulary or str(Path(config.run, "vocabulary"))
    limits = PictureLimits(max_bytes=config.max_picture_bytes, max_pixels=config.max_picture_pixels)
    facts = {
        "encoder_id": spec.encoder_id if spec else NO_ENCODER,
        "image_encoder_id": spec.network_id if spec else None,
        "num_buckets": items["num_buckets"],
        "picture_dim": spec.dim if spec else 0,
        "vocabulary_id": read_json(Path(vocabulary, DESCRIPTION_FILE))["id"],
    }
    image_root = str(Path(config.image_root).resolve())
    ids = [CODE_VERSION, facts["encoder_id"], facts["vocabulary_id"]]
    common = [*ids, limits.max_bytes, limits.max_pixels, image_root]
    digests = {entry["path"]: entry["sha256"] for entry in items["files"]}
    names = [bucket_name(bucket, items["num_buckets"]) for bucket in range(items["num_buckets"])]
    return FeaturesPlan(
        units=[Unit(STAGE, name, fingerprint([*common, digests[f"items/{name}.parquet"]])) for name in names],
        source=FeaturesSource(
            run=config.run,
            image_root=image_root,
            vocabulary=vocabulary,
            encoder=spec,
            limits=limits,
            reuse_from=_reusable(config, facts),
        ),
        facts=facts,
        num_items=items["counts"].get("rows_written", 0),
        num_pictures=items["counts"]["pictures_listed"],
    )


def _reusable(config: FeaturesConfig, facts: dict[str, Any]) -> str | None:
    """The earlier run, if its vectors are this run's: same encoder, same buckets. If not, says why on stderr."""
    if config.reuse_from is None or facts["encoder_id"] == NO_ENCODER:
        return None
    if Path(config.reuse_from).resolve() == Path(config.run).resolve():
        return None
    try:
        earlier = read_stage_manifest(config.reuse_from, STAGE)
        differing = [name for name in ("encoder_id", "num_buckets") if earlier[name] != facts[name]]
        why = ", ".join(f"{name} {facts[name]} here, {earlier[name]} there" for name in differing)
    except (CorruptFileError, KeyError, TypeError) as error:
        why = str(error)
    if why:
        print(f"{STAGE}: no picture vectors are taken over from {config.reuse_from}: {why}", file=sys.stderr)
    return None if why else config.reuse_from


def main(argv: Sequence[str] | None = None) -> int:
    """Command line of the job; returns its exit code."""
    return main_of(FeaturesConfig, run, argv, "itemsage features", EXAMPLE)


if __name__ == "__main__":
    sys.exit(main())
