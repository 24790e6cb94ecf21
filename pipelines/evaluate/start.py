"""The model as it was before its training, asked what the trained one is asked: what training is worth."""

from collections.abc import Sequence
from functools import cached_property

import numpy as np

from model.items.folded import encoder_for_inference
from model.items.inference import embed_items
from model.items.store import load_start
from model.measures.evaluation import ScoreBlock
from pipelines.evaluate.evaluated_run import EvaluatedRun
from schemas.errors import UsageError


class EvaluatedStart:
    """The start of the run's model on the run's items."""

    def __init__(self, evaluated: EvaluatedRun):
        """Raises UsageError if the model does not keep it."""
        self._evaluated, self._model = evaluated, load_start(evaluated.encoder.folder)
        self._encoder = evaluated.encoder.with_towers(self._model.text_tower, self._model.picture_tower)

    def text_scores(self, queries: Sequence[str]) -> ScoreBlock:
        """Cosines of text queries with all items."""
        return self._scores(self._evaluated.text_queries(tuple(queries), self._encoder)[0])

    def picture_scores(self, vectors_QD: np.ndarray) -> ScoreBlock:
        """Cosines of queries that are pictures of these vectors of the picture network with all items."""
        return self._scores(self._encoder.picture_vectors(vectors_QD))

    def _scores(self, queries_QE: np.ndarray) -> ScoreBlock:
        return lambda rows: queries_QE[rows] @ self._vectors_NE.T

    @cached_property
    def _vectors_NE(self) -> np.ndarray:
        """float32 [N, O], unit rows; zero for an item that the start cannot embed."""
        evaluated, manifest = self._evaluated, self._evaluated.encoder.manifest
        vectors_NE = np.zeros_like(evaluated.vectors_ND)
        items = (item for _, item in evaluated.features())
        encoder = encoder_for_inference(self._model.item_encoder)
        for ids, vectors_BE in embed_items(encoder, items, manifest["picture_dim"], text_dim=manifest["text_dim"]):
            vectors_NE[[evaluated.row_of[item_id] for item_id in ids]] = vectors_BE
        return vectors_NE


def start_of(evaluated: EvaluatedRun) -> EvaluatedStart | str:
    """The start, or why it cannot be had."""
    try:
        return EvaluatedStart(evaluated)
    except UsageError as error:
        return str(error)
