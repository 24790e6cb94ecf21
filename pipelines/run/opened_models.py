"""The models that workers compute with, each opened once a process."""

from pathlib import Path

from model.items.folded import encoder_for_inference
from model.items.inference import Encoder
from model.items.query_table import QueryTable
from model.items.store import load_item_encoder
from model.pictures.image_encoder import ImageEncoder
from model.pictures.image_encoder_spec import ImageEncoderSpec
from model.text.text_encoder import TextEncoder
from model.text.text_encoder_spec import TextEncoderSpec
from model.text.vocabulary import DESCRIPTION_FILE, Vocabulary
from pipelines.run.shared import Shared
from schemas.files import read_json
from schemas.hashing import fingerprint

_IMAGE_ENCODERS: Shared[ImageEncoderSpec, ImageEncoder] = Shared(lambda spec: ImageEncoder(spec, may_fall_back=True))
_TEXT_ENCODERS: Shared[TextEncoderSpec, TextEncoder] = Shared(lambda spec: TextEncoder(spec, may_fall_back=True))
_VOCABULARIES: Shared[tuple[str, str], Vocabulary] = Shared(lambda key: Vocabulary.load(key[0]))
_QUERY_TABLES: Shared[str, QueryTable] = Shared(QueryTable)
_ITEM_ENCODERS: Shared[tuple[str, str], Encoder] = Shared(lambda key: encoder_for_inference(load_item_encoder(key[0])))


def open_encoder(spec: ImageEncoderSpec) -> ImageEncoder:
    """The loaded image encoder. Its spec is another (float32) if the number format fails the parity check."""
    return _IMAGE_ENCODERS.get(spec)


def open_text_encoder(spec: TextEncoderSpec) -> TextEncoder:
    """The loaded text encoder. Its spec is another (float32) if the number format fails the parity check."""
    return _TEXT_ENCODERS.get(spec)


def open_vocabulary(folder: str) -> Vocabulary:
    """The vocabulary in `folder`. Raises as Vocabulary.load does."""
    return _VOCABULARIES.get((folder, fingerprint(read_json(Path(folder, DESCRIPTION_FILE)))))


def open_query_table(folder: str) -> QueryTable:
    """The table in `folder`, whose name tells its content (QueryTable.build). Raises as QueryTable does."""
    return _QUERY_TABLES.get(folder)


def open_item_encoder(folder: str, model_id: str) -> Encoder:
    """The item encoder of the model in `folder`, ready for inference. Raises as load_item_encoder does."""
    return _ITEM_ENCODERS.get((folder, model_id))
