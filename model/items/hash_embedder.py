"""Hash embeddings (Svenstrup et al., NIPS 2017, arXiv 1709.03933): many tokens share the rows of one table.

    token i   e_i = W[i,0] E[h_0(i)] + W[i,1] E[h_1(i)]          h_k(i) = ((a_k i + b_k) mod p) mod rows of E

Two functions are the paper's; ItemSageConfig.num_hashes has 1 (tokens that share a row are told apart by nothing but
the size of W) or 3.

Shapes as in model.items.itemsage: T tokens of all segments in one flat row, S segments, E hash dimension, V vocabulary,
K hash functions.
"""

import math

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from model.items.config import ItemSageConfig
from schemas.hashing import seed_of


def is_prime(number: int) -> bool:
    """Trial division by 2 and every odd divisor up to and including the root.

    >>> [n for n in range(2, 30) if is_prime(n)]
    [2, 3, 5, 7, 11, 13, 17, 19, 23, 29]
    """
    if number < 4:
        return number in (2, 3)
    return number % 2 == 1 and all(number % divisor for divisor in range(3, math.isqrt(number) + 1, 2))


def hash_rows_of(vocabulary_size: int, num_rows: int, seed: int, num_hashes: int = 2) -> Tensor:
    """int32 [vocabulary_size, num_hashes]: the rows of E of every token id, ((a i + b) mod p) mod num_rows.

    p is the first prime >= vocabulary_size, a in [1, p), b in [0, p): products stay far below 2**63.
    """
    prime = next(n for n in range(max(vocabulary_size, 2), 2 * vocabulary_size + 3) if is_prime(n))
    ids_V = np.arange(vocabulary_size, dtype=np.int64)
    columns = []
    for number in range(num_hashes):
        a = 1 + seed_of("hash embedder", "a", number, seed) % (prime - 1)
        b = seed_of("hash embedder", "b", number, seed) % prime
        columns.append((a * ids_V + b) % prime % num_rows)
    return torch.from_numpy(np.stack(columns, axis=1).astype(np.int32))


class HashEmbedder(nn.Module):
    """Sums of hash embeddings: table E [hash_rows, E] is shared by all tokens, weights W [vocabulary_size, K] are each
    token's own. Both get sparse gradients."""

    rows_VK: Tensor

    def __init__(self, config: ItemSageConfig):
        super().__init__()
        self.table = nn.Parameter(torch.empty(config.hash_rows, config.hash_dim).normal_(std=config.table_std))
        weights = torch.empty(config.vocabulary_size, config.num_hashes)
        self.weights = nn.Parameter(weights.normal_() if config.weight_init == "normal" else weights.fill_(1.0))
        rows_VK = hash_rows_of(config.vocabulary_size, config.hash_rows, config.seed, config.num_hashes)
        self.register_buffer("rows_VK", rows_VK, persistent=False)

    def forward(self, token_ids_T: Tensor, offsets_S: Tensor) -> Tensor:
        """int64 [T] and [S + 1] -> [S, E]; zeros for a segment without tokens."""
        weights_TK = F.embedding(token_ids_T, self.weights, sparse=True)
        rows_KT = self.rows_VK.index_select(0, token_ids_T).flatten()
        return F.embedding_bag(
            rows_KT,
            self.table,
            (self.rows_VK.shape[1] * offsets_S).to(rows_KT.dtype),
            mode="sum",
            sparse=True,
            per_sample_weights=weights_TK.flatten(),
            include_last_offset=True,
        )

    @torch.no_grad()
    def start_from_importances_(self, importance_V: Tensor) -> None:
        """Before training: multiplies each token's weights W[i] by its importance, for example its inverse document
        frequency log(items / items with the token). Scaled to a mean of 1 over the tokens of importance > 0."""
        self.weights.mul_((importance_V / importance_V[importance_V > 0].mean()).to(self.weights)[:, None])
