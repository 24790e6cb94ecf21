"""The encoders of the features stage: which ones its flags name, whether their number formats hold on this machine, and
their copies in the run, for the jobs that encode queries."""

from pathlib import Path
from typing import TYPE_CHECKING, TypeGuard, TypeVar

from model.pictures.image_encoder_spec import (
    MANIFEST_FILE,
    ImageEncoderSpec,
    image_encoder_spec,
    save_from_spec,
    saved_image_encoder_spec,
)
from model.text.text_encoder_spec import MANIFEST_FILE as TEXT_MANIFEST_FILE
from model.text.text_encoder_spec import TextEncoderSpec, save_text_encoder, saved_text_encoder_spec, text_encoder_spec
from pipelines.features.compute import check_number_format
from pipelines.run.opened_models import open_encoder, open_text_encoder
from schemas.errors import CorruptFileError, UsageError
from schemas.files import read_json

if TYPE_CHECKING:
    from pipelines.features.plan import FeaturesConfig

SpecT = TypeVar("SpecT", ImageEncoderSpec, TextEncoderSpec)

NO_ENCODER = "none"
DEFAULT_ENCODER = "resnet50"
IMAGE_ENCODER_FOLDER, TEXT_ENCODER_FOLDER = "image_encoder", "text_encoder"


def encoder_spec(config: "FeaturesConfig") -> ImageEncoderSpec | None:
    """The image encoder that the flags name; None for "none"."""
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


def text_spec(config: "FeaturesConfig") -> TextEncoderSpec | None:
    """The text encoder that the flags name; None without one, and for "none"."""
    if config.text_encoder_folder is not None:
        if config.text_encoder is not None:
            raise UsageError("expected --text-encoder-folder or --text-encoder, got both")
        return saved_text_encoder_spec(config.text_encoder_folder, config.device, config.text_dtype)
    if config.text_encoder is None or config.text_encoder == NO_ENCODER:
        return None
    return text_encoder_spec(config.text_encoder, config.device, config.text_dtype)


def tried_out(config: "FeaturesConfig", spec: ImageEncoderSpec) -> ImageEncoderSpec:
    """The spec as it is on this machine: loads the encoder. UsageError if the number format was asked for and fails."""
    encoder = open_encoder(spec)
    if config.image_dtype != "auto":
        check_number_format(encoder, spec)
    return encoder.spec


def text_tried_out(config: "FeaturesConfig", spec: TextEncoderSpec) -> TextEncoderSpec:
    """As tried_out, of a text encoder."""
    encoder = open_text_encoder(spec)
    if config.text_dtype != "auto":
        check_number_format(encoder, spec)
    return encoder.spec


def save_encoders(config: "FeaturesConfig", spec: ImageEncoderSpec | None, text: TextEncoderSpec | None) -> None:
    """Puts the encoders into the run, unless they are there or are a model's."""
    folder, text_folder = Path(config.run, IMAGE_ENCODER_FOLDER), Path(config.run, TEXT_ENCODER_FOLDER)
    if config.image_encoder_folder is None and _is_unsaved(spec, folder / MANIFEST_FILE):
        save_from_spec(spec, folder)
    if config.text_encoder_folder is None and _is_unsaved(text, text_folder / TEXT_MANIFEST_FILE):
        save_text_encoder(text, text_folder)


def _is_unsaved(spec: SpecT | None, manifest: Path) -> TypeGuard[SpecT]:
    """Whether there is an encoder and its manifest is not this one."""
    try:
        return spec is not None and read_json(manifest)["network_id"] != spec.network_id
    except (CorruptFileError, KeyError, TypeError):
        return True
