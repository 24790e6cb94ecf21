"""Queries to vectors of the item space, with the towers, vocabulary and image encoder of one model folder.

Everything is loaded when first needed: a text search never opens the image encoder.
"""

import copy
import os
from collections.abc import Iterable, Sequence
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import torch

from model.items.itemsage import PictureTower, TextTower
from model.items.manifest import read_model_manifest
from model.items.query_table import FILES_THAT_TELL, QueryTable
from model.items.store import QUERY_TABLE_FOLDER, TEXT_ENCODER_FOLDER, load_picture_tower, load_text_tower
from model.pictures.faults import DEFAULT_LIMITS, PictureError, PictureLimits
from model.text.vocabulary import Vocabulary
from schemas.errors import CorruptFileError, UsageError

if TYPE_CHECKING:
    from model.pictures.image_encoder import ImageEncoder
    from model.pictures.image_encoder_spec import ImageEncoderSpec
    from model.text.text_encoder import TextEncoder

_BATCH_QUERIES = 1024
_LEARNS_FROM = {
    "text": "search engagements or --pseudo-queries",
    "picture": "closeup engagements",
}


class QueryEncoder:
    """Unit float32 vectors of text and picture queries, of O dimensions, those of the items. A tower that had no
    training pairs is refused."""

    def __init__(self, model_folder: str | os.PathLike[str], device: str = "auto"):
        self.folder, self.device = Path(model_folder), device
        self.manifest = read_model_manifest(self.folder)

    def has_tower(self, tower: str) -> bool:
        """Whether the tower "text" or "picture" had training pairs."""
        return sum(self.manifest["towers"].get(tower, {}).values()) > 0

    def require(self, tower: str) -> None:
        """Raises UsageError, with the remedy, if the tower had no training pairs."""
        if not self.has_tower(tower):
            raise UsageError(
                f"expected a {tower} tower with training pairs, got none in model {self.manifest['model_id']}: "
                f"train with {_LEARNS_FROM[tower]}"
            )

    def with_towers(self, text_tower: TextTower, picture_tower: PictureTower | None) -> "QueryEncoder":
        """The same but for the towers, which are in evaluation mode; what is loaded already is shared."""
        other = copy.copy(self)
        other._text_tower = text_tower
        if picture_tower is not None:
            other._picture_tower = picture_tower
        return other

    def texts(self, queries: Sequence[str]) -> np.ndarray:
        """float32 [Q, O], norm 1. Raises UsageError if the tower was not trained.

        A query of which nothing is known gets one constant vector, which says nothing about it: `texts_and_inputs`
        tells which ones those are. Search refuses them, evaluation ranks them as misses.
        """
        return self.texts_and_inputs(queries)[0]

    def texts_and_inputs(
        self, queries: Sequence[str], sentences_QD: np.ndarray | None = None
    ) -> tuple[np.ndarray, np.ndarray]:
        """(vectors as `texts` gives, how much is known of each query int64 [Q]: its known tokens, one more if it has a
        text vector, and one if the shop's own table has it): 0 says that the vector means nothing. sentences_QD: the
        queries' `sentence_vectors`, where they are at hand."""
        self.require("text")
        blocks = [np.zeros((0, self._text_tower.config.output_dim), np.float32)]
        counts = [np.zeros(0, np.int64)]
        for start in range(0, len(queries), _BATCH_QUERIES):
            rows = slice(start, start + _BATCH_QUERIES)
            texts = queries[rows]
            token_ids = [self._vocabulary.encode(query) for query in texts]
            counts.append(np.array([len(ids) for ids in token_ids], np.int64))
            offsets_B = torch.from_numpy(np.concatenate([[0], np.cumsum(counts[-1])]))
            tokens_T = torch.from_numpy(np.concatenate(token_ids).astype(np.int64))
            with torch.inference_mode():
                sentences_BD = self.sentence_vectors(texts) if sentences_QD is None else sentences_QD[rows]
                own_BD = self.table_vectors(texts)
                vectors_BD = map(torch.from_numpy, (sentences_BD, own_BD))
                blocks.append(self._text_tower(tokens_T, offsets_B, *vectors_BD).numpy())
            counts[-1] += sentences_BD.any(axis=1).astype(np.int64) + own_BD.any(axis=1)
        return np.concatenate(blocks), np.concatenate(counts)

    def sentence_vectors(self, texts: Sequence[str]) -> np.ndarray:
        """float32 [N, text_dim] of the frozen text encoder, with the precision that training had: unit rows, zeros for
        a text without a token. [N, 0] where the model has no text encoder."""
        if not self.manifest["text_dim"]:
            return np.zeros((len(texts), 0), np.float32)
        return self.text_encoder.encode(texts).astype(np.float16).astype(np.float32)

    def table_vectors(self, texts: Sequence[str]) -> np.ndarray:
        """float32 [N, query_table_dim] of the shop's own table: unit rows, zeros for a text that is not in it. [N, 0]
        where the model has none."""
        table = self.query_table
        return np.zeros((len(texts), 0), np.float32) if table is None else table.vectors(texts).astype(np.float32)

    def pictures(
        self, encoded: Iterable[bytes | PictureError], limits: PictureLimits = DEFAULT_LIMITS
    ) -> list[np.ndarray | PictureError]:
        """A float32 [O] unit vector a picture file, or why it has none, in order."""
        self.require("picture")
        results: list[np.ndarray | PictureError] = []
        for _, vector_D in self.image_encoder.encode_stream(enumerate(encoded), limits):
            if isinstance(vector_D, PictureError):
                results.append(vector_D)
            else:
                results.append(self.picture_vectors(vector_D[None])[0])
        return results

    def picture_vectors(self, vectors_QD: np.ndarray) -> np.ndarray:
        """float16 or float32 CNN vectors [Q, D] of this model's image encoder -> float32 [Q, O], norm 1."""
        self.require("picture")
        with torch.inference_mode():
            return self._picture_tower(torch.from_numpy(np.array(vectors_QD, np.float32))).numpy()

    @cached_property
    def image_encoder_spec(self) -> "ImageEncoderSpec":
        """What the image encoder will be on this machine: its ids without loading the network."""
        from model.pictures.image_encoder_spec import saved_image_encoder_spec  # torchvision takes a second

        return saved_image_encoder_spec(self.folder / "image_encoder", device=self.device, dtype="auto")

    @cached_property
    def image_encoder(self) -> "ImageEncoder":
        """The image encoder that the model was trained with."""
        # torchvision takes a second that text search need not wait
        from model.pictures.image_encoder import ImageEncoder

        return ImageEncoder(self.image_encoder_spec, may_fall_back=True)

    @cached_property
    def text_encoder(self) -> "TextEncoder":
        """The frozen encoder of sentences that the model was trained with."""
        # its libraries take a while that other models need not wait
        from model.text.text_encoder import open_text_encoder

        return open_text_encoder(self.folder / TEXT_ENCODER_FOLDER, self.device)

    @cached_property
    def query_table(self) -> QueryTable | None:
        """The shop's own vectors of queries that the model was trained with; None without them. Little of it is read:
        that it is the model's is checked here, each vector against that when it is looked up."""
        telling, table = [f"{QUERY_TABLE_FOLDER}/{name}" for name in FILES_THAT_TELL], None
        if telling[0] in self.manifest["files"]:
            read_model_manifest(self.folder, check=telling)
            table = QueryTable(self.folder / QUERY_TABLE_FOLDER)
        got, dim = 0 if table is None else table.dim, self._text_tower.config.query_table_dim
        if got != dim:
            raise CorruptFileError(
                f"expected a {QUERY_TABLE_FOLDER} of {dim} dimensions for the text tower, got {got} in {self.folder}: "
                "restore the model or train it again"
            )
        return table

    @cached_property
    def _vocabulary(self) -> Vocabulary:
        return Vocabulary.load(self.folder / "vocabulary")

    @cached_property
    def _text_tower(self) -> TextTower:
        return load_text_tower(self.folder).eval()

    @cached_property
    def _picture_tower(self) -> PictureTower:
        return load_picture_tower(self.folder).eval()
