"""What the towers of model.items.itemsage are made of: the transformer block, MLPs, unit vectors, scaled pictures.

Shape letters as there: B batch, P positions, W width, H heads, C channels of a head, D picture dimension.
"""

import math

import torch.nn.functional as F
from torch import Tensor, nn

from model.items.config import ItemSageConfig

#: Shorter vectors are not brought to norm 1 (the zero vector has no direction).
NORM_EPSILON = 1e-6


def unit(x: Tensor) -> Tensor:
    """x / |x| along the last axis, in float32; the zero vector stays zero."""
    return F.normalize(x.float(), dim=-1, eps=NORM_EPSILON)


def scaled(x: Tensor) -> Tensor:
    """Vectors [..., D] of norm sqrt(D), with entries of about 1; the zero vector stays zero."""
    return unit(x) * math.sqrt(x.shape[-1])


def scale_pictures(pictures: Tensor, config: ItemSageConfig) -> Tensor:
    """Pictures [..., D] as the model reads them: of norm sqrt(D), or as they are."""
    return scaled(pictures) if config.normalize_pictures else pictures


class Mlp(nn.Module):
    """out(GELU(hidden(x)))."""

    def __init__(self, input_dim: int, hidden_dim: int, output_dim: int):
        super().__init__()
        self.hidden = nn.Linear(input_dim, hidden_dim)
        self.out = nn.Linear(hidden_dim, output_dim)

    def forward(self, x: Tensor) -> Tensor:
        y: Tensor = self.out(F.gelu(self.hidden(x)))
        return y


class TransformerBlock(nn.Module):
    """One post-norm block, equal to nn.TransformerEncoderLayer(batch_first=True) with its default activation."""

    def __init__(self, width: int, heads: int, ffn_dim: int, dropout: float):
        super().__init__()
        self.heads = heads
        self.dropout = dropout
        self.qkv = nn.Linear(width, 3 * width)
        self.attention_out = nn.Linear(width, width)
        self.ffn_in = nn.Linear(width, ffn_dim)
        self.ffn_out = nn.Linear(ffn_dim, width)
        self.attention_norm = nn.LayerNorm(width)
        self.ffn_norm = nn.LayerNorm(width)

    def forward(self, x_BPW: Tensor, mask_BP: Tensor) -> Tensor:
        """mask_BP: True = present. Absent positions are attended to by none."""
        B, P, W = x_BPW.shape
        q, k, v = self.qkv(x_BPW).view(B, P, 3, self.heads, W // self.heads).permute(2, 0, 3, 1, 4)
        dropout = self.dropout if self.training else 0.0
        a_BHPC = F.scaled_dot_product_attention(q, k, v, attn_mask=mask_BP[:, None, None, :], dropout_p=dropout)
        a_BPW = self.attention_out(a_BHPC.transpose(1, 2).reshape(B, P, W))
        x_BPW = self.attention_norm(x_BPW + F.dropout(a_BPW, dropout))
        hidden = F.dropout(F.relu(self.ffn_in(x_BPW)), dropout)
        return self.ffn_norm(x_BPW + F.dropout(self.ffn_out(hidden), dropout))
