"""BM25 of queries against the items of a batch, from token ids: what a distillation learns from.

The numbers of model.measures.baselines.BM25 (Robertson and Zaragoza 2009, eq. 3.15; k1 = 1.2, b = .75), of all text of
an item, of words that the vocabulary knows. Of the catalogue no more is in memory than how many items have each word.

Shapes: Q queries, U items of a batch, T tokens, V vocabulary.
"""

import numpy as np
import scipy.sparse
import torch
from torch import Tensor

from model.items.batch import ItemBatch
from model.text.vocabulary import inverse_document_frequencies
from model.training.tables import ItemTable
from schemas.tables import NUM_TEXT_FIELDS

_K1, _B = 1.2, 0.75


class LexicalTeacher:
    """word_ids: the ids of words; matches of other tokens do not count."""

    def __init__(self, items: ItemTable, vocabulary_size: int, word_ids: range):
        self._word_ids = word_ids
        containing_V = items.document_counts(vocabulary_size)
        self._idf_V = inverse_document_frequencies(containing_V, len(items)).astype(np.float32)
        self._mean_words = max(items.num_tokens(word_ids) / max(len(items), 1), 1e-9)

    def scores(self, token_ids_T: Tensor, offsets_Q: Tensor, items: ItemBatch) -> Tensor:
        """float32 [Q, U]; every occurrence of a query word counts. token_ids_T, offsets_Q: int64 [T] and [Q + 1]."""
        counts_UV = self._counts(items.token_ids_T.numpy(), items.token_offsets_BF.numpy()[::NUM_TEXT_FIELDS])
        num_words_U = np.asarray(counts_UV.sum(axis=1)).ravel()
        norm_U = _K1 * (1 - _B + _B * num_words_U / self._mean_words)
        rows = np.repeat(np.arange(len(items)), np.diff(counts_UV.indptr))
        counts_UV.data *= (_K1 + 1) / (counts_UV.data + norm_U[rows]) * self._idf_V[counts_UV.indices]
        scores_QU = self._counts(token_ids_T.numpy(), offsets_Q.numpy()) @ counts_UV.T
        return torch.from_numpy(scores_QU.toarray().astype(np.float32))

    def _counts(self, token_ids_T: np.ndarray, offsets_S: np.ndarray) -> scipy.sparse.csr_matrix:
        """float32 [S, V]: how often each word stands in each segment."""
        segment_T = np.repeat(np.arange(len(offsets_S) - 1), np.diff(offsets_S))
        is_word_T = (token_ids_T >= self._word_ids.start) & (token_ids_T < self._word_ids.stop)
        ones_T = np.ones(int(is_word_T.sum()), np.float32)
        return scipy.sparse.csr_matrix(
            (ones_T, (segment_T[is_word_T], token_ids_T[is_word_T])), (len(offsets_S) - 1, len(self._idf_V))
        )
