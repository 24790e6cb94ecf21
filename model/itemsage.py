"""ItemSage and its query towers: an item's pictures and text, text queries, picture queries -> one 256-d unit space.

Paper: Baltescu et al., "ItemSage: Learning Product Embeddings for Shopping Recommendations at Pinterest", KDD 2022
(arXiv 2205.11728). Hash embeddings: Svenstrup et al., NIPS 2017 (arXiv 1709.03933).

    token i   e_i = W[i,0] E[h_0(i)] + W[i,1] E[h_1(i)]          h_k(i) = ((a_k i + b_k) mod p) mod rows of E
    field f   t_f = sum of e_i over its tokens (words, word bigrams, character trigrams)
    text      the vector of all text by a frozen sentence encoder, if the model has one, of items and of text queries
    input     [CLS | picture_1 .. picture_N | text | field_1 .. field_12], each by its kind's Linear, absent ones
              masked
    block     x <- LayerNorm(x + Attention(x)), x <- LayerNorm(x + Linear(ReLU(Linear(x))))     (post-norm, 8 heads)
    item      u = Linear(GELU(Linear(LayerNorm(x_CLS)))), item vector = u / |u|
    score     cosine; the training logit is s cosine with s = exp(log_scale), started at 1/0.07 and at most 100

Where training starts (ItemSageConfig.start, "linear"; see model.start): the weights of these layers are set so that
the whole is the linear map of words and looks, item ~ sum of its fields + sum of its pictures, query ~ its words. A
query is then near the items that share its words (random rows of E are nearly orthogonal) or look like it before any
training, and every weight of the paper's shape can move from there. "random" draws them as usual.

Deviations from the paper, each a switch of ItemSageConfig:
- `table_std`. The successor's published code draws E xavier-normal (std 0.0045 at this size): a token has norm 0.1.
  We draw E with std 1/16, a token has norm about 1, so text and pictures weigh alike in attention from the start.
- `weight_init`. "normal" as published: W ~ N(0, 1), which gives tokens random importances. "ones": equal ones, which
  training multiplies by the inverse document frequency.
- `normalize_pictures`. CNN vectors are not unit (PinSage's are): each is scaled to norm sqrt(D), entries of about 1.
- `field_layer_norm` (LayerNorm after a field's sum): in the successor's code, not in the paper's text.
- Not told by the paper, so chosen: ffn_dim, mlp_dim, dropout; vectors of a frozen torchvision network for PinSage's.

Read from the outside in: itemsage_config (sizes and switches), item_batch (what a batch is), hash_embedder (tokens to
vectors), layers (the block), then the towers below, then start (the weights before training).

Shapes: B batch, N pictures, F 12 text fields, P positions 1 + N + F, T tokens of all segments in one flat row, S
segments (a segment owns tokens offsets[s]:offsets[s + 1]), D picture dimension, E hash dimension (256), W width (512),
H heads, C channels of a head, V vocabulary, O output dimension (256). What leaves a tower is float32 with norm 1.
"""

import math
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from model.hash_embedder import HashEmbedder
from model.item_batch import ItemBatch
from model.itemsage_config import ItemSageConfig
from model.layers import TransformerBlock, scale_pictures, scaled, unit
from model.start import start_as_linear_map_
from schemas.hashing import seed_of
from schemas.tables import NUM_TEXT_FIELDS

START_SCALE = 1 / 0.07
MAX_SCALE = 100.0
_MAX_LOG_SCALE = math.log(MAX_SCALE)


class ItemEncoder(nn.Module):
    """The ItemSage transformer. An item with no text and no picture gets a finite vector too (CLS alone)."""

    def __init__(self, config: ItemSageConfig, hash_embedder: HashEmbedder | None = None):
        super().__init__()
        self.config = config
        self.hash_embedder = hash_embedder or HashEmbedder(config)
        self.cls = nn.Parameter(torch.empty(config.width).normal_(std=0.5))
        self.field_norm = nn.LayerNorm(config.hash_dim) if config.field_layer_norm else nn.Identity()
        if config.use_text:
            self.text_in = nn.Linear(config.hash_dim, config.width)
        if config.reads_text_vectors:
            self.text_vector_in = nn.Linear(config.text_dim, config.width)
        if config.sees_pictures:
            self.picture_in = nn.Linear(config.picture_dim, config.width)
        self.blocks = nn.ModuleList(
            TransformerBlock(config.width, config.heads, config.ffn_dim, config.dropout)
            for _ in range(config.num_layers)
        )
        self.head_norm = nn.LayerNorm(config.width)
        self.head_in = nn.Linear(config.width, config.mlp_dim)
        self.head_out = nn.Linear(config.mlp_dim, config.output_dim)

    def forward(self, batch: ItemBatch) -> Tensor:
        """-> [B, O], float32, norm 1."""
        config = self.config
        B = len(batch)
        positions = [self.cls.expand(B, 1, -1)]
        masks = [torch.ones(B, 1, dtype=torch.bool, device=self.cls.device)]
        if config.sees_pictures:
            x_BND = scale_pictures(batch.pictures_BND.float(), config)
            positions.append(self.picture_in(x_BND))
            masks.append(batch.picture_mask_BN)
        if config.reads_text_vectors:
            positions.append(self.text_vector_in(scaled(batch.text_vectors_BD.float()))[:, None])
            masks.append(batch.text_vectors_BD.any(dim=1, keepdim=True))
        if config.use_text:
            fields_BFE = self.hash_embedder(batch.token_ids_T, batch.token_offsets_BF).view(B, NUM_TEXT_FIELDS, -1)
            positions.append(self.text_in(self.field_norm(fields_BFE)))
            masks.append(batch.token_offsets_BF.diff().view(B, NUM_TEXT_FIELDS) > 0)
        x_BPW, mask_BP = torch.cat(positions, dim=1), torch.cat(masks, dim=1)
        for block in self.blocks:
            x_BPW = block(x_BPW, mask_BP)
        return self.head(x_BPW[:, 0])

    def head(self, cls_BW: Tensor) -> Tensor:
        """CLS output -> [B, O], norm 1."""
        return unit(self.head_out(F.gelu(self.head_in(self.head_norm(cls_BW)))))


class TextTower(nn.Module):
    """Hashed tokens of a query and, if the model has a text encoder, its vector -> the item space. Sum, mean and
    root-mean pooling are the same here: only the direction of the sum is used. A query of which nothing is known gets
    one constant vector."""

    def __init__(self, config: ItemSageConfig, hash_embedder: HashEmbedder | None = None):
        super().__init__()
        self.config = config
        self.hash_embedder = hash_embedder or HashEmbedder(config)
        self.norm = nn.LayerNorm(config.hash_dim)
        self.hidden = nn.Linear(config.hash_dim + config.text_dim, config.mlp_dim)
        self.out = nn.Linear(config.mlp_dim, config.output_dim)

    def forward(self, token_ids_T: Tensor, offsets_B: Tensor, text_vectors_BD: Tensor | None = None) -> Tensor:
        """int64 [T] and [B + 1]; [B, text_dim] if the model has a text encoder -> [B, O], float32, norm 1."""
        return self.of_sums(self.hash_embedder(token_ids_T, offsets_B), text_vectors_BD)

    def of_sums(self, sums_BE: Tensor, text_vectors_BD: Tensor | None = None) -> Tensor:
        """The sums of the queries' token vectors, and their text vectors -> [B, O], norm 1."""
        x_BX = self.norm(unit(sums_BE))
        if self.config.text_dim:
            assert text_vectors_BD is not None, "a model with a text encoder, but queries without its vectors"
            x_BX = torch.cat([x_BX, scaled(text_vectors_BD)], dim=1)
        return unit(self.out(F.gelu(self.hidden(x_BX))))


class PictureTower(nn.Module):
    """The CNN vector of a query picture -> the item space."""

    def __init__(self, config: ItemSageConfig):
        super().__init__()
        self.config = config
        self.hidden = nn.Linear(config.picture_dim, config.mlp_dim)
        self.out = nn.Linear(config.mlp_dim, config.output_dim)

    def forward(self, pictures_BD: Tensor) -> Tensor:
        """float32 or float16 [B, D] -> [B, O], float32, norm 1."""
        x_BD = scale_pictures(pictures_BD.float(), self.config)
        return unit(self.out(F.gelu(self.hidden(x_BD))))


class ItemSage(nn.Module):
    """Item encoder, query towers and the learned scale: what training sees. Its state_dict holds the shared table once.

    picture_tower is None where there are no pictures (picture_dim 0). Same config, same weights.
    """

    def __init__(self, config: ItemSageConfig):
        super().__init__()
        self.config = config
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed_of("itemsage", config.seed))
            self.hash_embedder = HashEmbedder(config)
            self.item_encoder = ItemEncoder(config, self.hash_embedder)
            self.text_tower = TextTower(config, self.hash_embedder if config.share_text_table else None)
            self.picture_tower = PictureTower(config) if config.picture_dim else None
            if config.start == "linear":
                start_as_linear_map_(self)
        self.log_scale = nn.Parameter(torch.tensor(math.log(START_SCALE)))
        self.register_state_dict_post_hook(_drop_shared)
        self.register_load_state_dict_pre_hook(_restore_shared)

    def scale(self) -> Tensor:
        """s = exp(log_scale), at most 100."""
        return self.log_scale.clamp(max=_MAX_LOG_SCALE).exp()

    @torch.no_grad()
    def clamp_scale_(self) -> None:
        """After an optimiser step: keeps log_scale below the bound, at which clamp has no gradient any more."""
        self.log_scale.clamp_(max=_MAX_LOG_SCALE - 1e-5)


def shared_prefixes(config: ItemSageConfig) -> tuple[str, ...]:
    """Names in ItemSage under which `hash_embedder.` occurs again."""
    return ("item_encoder.hash_embedder.", *(("text_tower.hash_embedder.",) if config.share_text_table else ()))


def _drop_shared(model: nn.Module, state: dict[str, Any], prefix: str, metadata: Any) -> None:
    assert isinstance(model, ItemSage)
    repeated = tuple(prefix + name for name in shared_prefixes(model.config))
    for name in [name for name in state if name.startswith(repeated)]:
        del state[name]


def _restore_shared(model: nn.Module, state: dict[str, Any], prefix: str, *_: Any) -> None:
    assert isinstance(model, ItemSage)
    for name in [name for name in state if name.startswith(prefix + "hash_embedder.")]:
        for repeated in shared_prefixes(model.config):
            state[prefix + repeated + name.removeprefix(prefix + "hash_embedder.")] = state[name]
