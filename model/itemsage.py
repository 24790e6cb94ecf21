"""ItemSage and its query towers: an item's pictures and text, text queries, picture queries -> one 256-d unit space.

Paper: Baltescu et al., "ItemSage: Learning Product Embeddings for Shopping Recommendations at Pinterest", KDD 2022
(arXiv 2205.11728). Hash embeddings: Svenstrup et al., NIPS 2017 (arXiv 1709.03933).

    token i   e_i = W[i,0] E[h_0(i)] + W[i,1] E[h_1(i)]          h_k(i) = ((a_k i + b_k) mod p) mod rows of E
    field f   t_f = sum of e_i over its tokens (words, word bigrams, character trigrams)
    input     [CLS | picture_1 .. picture_N | field_1 .. field_12], each by its modality's Linear, absent ones masked
    block     x <- LayerNorm(x + Attention(x)), x <- LayerNorm(x + Linear(ReLU(Linear(x))))     (post-norm, 8 heads)
    item      u = Linear(GELU(Linear(LayerNorm(x_CLS)))), item vector = u / |u|
    score     cosine; the training logit is s cosine with s = exp(log_scale), started at 1/0.07 and at most 100

Deviations from the paper, each a switch of ItemSageConfig:
- `linear_path` (paper: False). A shop has 81 to 20,000 items; Pinterest trained on hundreds of millions of pairs. So
  each tower adds a linear map of its input to its MLP, whose last weights start at zero, and the item encoder adds the
  same maps of its own text and its mean picture, started from the same values:
      text query  A t/|t| + MLP        picture query  P x/|x| + MLP        item  A' g/|g| + P' m/|m| + (u of above)
  with g = sum_f w_f t_f/|t_f| (w learned, starts at 1) and m the mean picture. Before any training a query is thereby
  near the items that share its words (random rows of E are nearly orthogonal) or look like it.
- `table_std`. The successor's published code draws E xavier-normal (std 0.0045 at this size): a token has norm 0.1.
  We draw E with std 1/16, a token has norm about 1, so text and pictures weigh alike in attention from the start.
- `weight_init`. "normal" as published: W ~ N(0, 1), which gives tokens random importances. "ones": equal ones.
- `normalize_pictures`. CNN vectors are not unit (PinSage's are): each is scaled to norm sqrt(D), entries of about 1.
- `field_layer_norm` (LayerNorm after a field's sum): in the successor's code, not in the paper's text.
- Not told by the paper, so chosen: ffn_dim, mlp_dim, dropout; vectors of a frozen torchvision network for PinSage's.

Read from the outside in: itemsage_config (sizes and switches), item_batch (what a batch is), hash_embedder (tokens to
vectors), layers (the block and the linear paths), then the towers below.

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
from model.layers import NORM_EPSILON, TransformerBlock, picture_path, scale_pictures, start_small, text_path, unit
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
        if config.sees_pictures:
            self.picture_in = nn.Linear(config.picture_dim, config.width)
        self.blocks = nn.ModuleList(
            TransformerBlock(config.width, config.heads, config.ffn_dim, config.dropout)
            for _ in range(config.num_layers)
        )
        self.head_norm = nn.LayerNorm(config.width)
        self.head_in = nn.Linear(config.width, config.mlp_dim)
        self.head_out = nn.Linear(config.mlp_dim, config.output_dim)
        if config.linear_path:
            start_small(self.head_out)
            if config.use_text:
                self.field_weights = nn.Parameter(torch.ones(NUM_TEXT_FIELDS))
                self.text_path = text_path(config)
            if config.sees_pictures:
                self.picture_path = picture_path(config)

    def forward(self, batch: ItemBatch) -> Tensor:
        """-> [B, O], float32, norm 1."""
        config = self.config
        B = len(batch)
        positions = [self.cls.expand(B, 1, -1)]
        masks = [torch.ones(B, 1, dtype=torch.bool, device=self.cls.device)]
        path_BO = torch.zeros(B, config.output_dim, device=self.cls.device)
        if config.sees_pictures:
            x_BND = scale_pictures(batch.pictures_BND.float(), config)
            positions.append(self.picture_in(x_BND))
            masks.append(batch.picture_mask_BN)
            if config.linear_path:
                path_BO = path_BO + self.picture_linear(x_BND, batch.picture_mask_BN)
        if config.use_text:
            fields_BFE = self.hash_embedder(batch.token_ids_T, batch.token_offsets_BF).view(B, NUM_TEXT_FIELDS, -1)
            positions.append(self.text_in(self.field_norm(fields_BFE)))
            masks.append(batch.token_offsets_BF.diff().view(B, NUM_TEXT_FIELDS) > 0)
            if config.linear_path:
                path_BO = path_BO + self.text_linear(fields_BFE)
        x_BPW, mask_BP = torch.cat(positions, dim=1), torch.cat(masks, dim=1)
        for block in self.blocks:
            x_BPW = block(x_BPW, mask_BP)
        return self.head(x_BPW[:, 0], path_BO)

    def text_linear(self, fields_BFE: Tensor) -> Tensor:
        """A' g/|g|, zero for an item without text."""
        return self.text_path(unit((unit(fields_BFE) * self.field_weights[:, None]).sum(dim=1)))

    def picture_linear(self, x_BND: Tensor, mask_BN: Tensor) -> Tensor:
        """P' m/|m|, zero for an item without pictures."""
        return self.picture_linear_of_sum((x_BND * mask_BN[..., None]).sum(dim=1), mask_BN)

    def picture_linear_of_sum(self, sum_BD: Tensor, mask_BN: Tensor) -> Tensor:
        """The same from the sum of the present pictures (its length does not matter)."""
        return self.picture_path(unit(sum_BD)) * mask_BN.any(dim=1, keepdim=True)

    def head(self, cls_BW: Tensor, path_BO: Tensor) -> Tensor:
        """CLS output and the sum of the linear paths -> [B, O], norm 1."""
        return unit(self.head_out(F.gelu(self.head_in(self.head_norm(cls_BW)))) + path_BO)


class TextTower(nn.Module):
    """Hashed tokens of a query -> the item space. Sum, mean and root-mean pooling are the same here: only the direction
    of the sum is used. A query without a known token gets one constant vector."""

    def __init__(self, config: ItemSageConfig, hash_embedder: HashEmbedder | None = None):
        super().__init__()
        self.config = config
        self.hash_embedder = hash_embedder or HashEmbedder(config)
        self.norm = nn.LayerNorm(config.hash_dim)
        self.hidden = nn.Linear(config.hash_dim, config.mlp_dim)
        self.out = nn.Linear(config.mlp_dim, config.output_dim)
        if config.linear_path:
            self.text_path = text_path(config)
            start_small(self.out)

    def forward(self, token_ids_T: Tensor, offsets_B: Tensor) -> Tensor:
        """int64 [T] and [B + 1] -> [B, O], float32, norm 1."""
        x_BE = unit(self.hash_embedder(token_ids_T, offsets_B))
        u_BO = self.out(F.gelu(self.hidden(self.norm(x_BE))))
        return unit(u_BO + self.text_path(x_BE) if self.config.linear_path else u_BO)


class PictureTower(nn.Module):
    """The CNN vector of a query picture -> the item space."""

    def __init__(self, config: ItemSageConfig):
        super().__init__()
        self.config = config
        self.hidden = nn.Linear(config.picture_dim, config.mlp_dim)
        self.out = nn.Linear(config.mlp_dim, config.output_dim)
        if config.linear_path:
            self.picture_path = picture_path(config)
            start_small(self.out)

    def forward(self, pictures_BD: Tensor) -> Tensor:
        """float32 or float16 [B, D] -> [B, O], float32, norm 1."""
        x_BD = scale_pictures(pictures_BD.float(), self.config)
        u_BO = self.out(F.gelu(self.hidden(x_BD)))
        return unit(u_BO + self.picture_path(unit(x_BD)) if self.config.linear_path else u_BO)


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
        if config.linear_path and config.sees_pictures and self.picture_tower is not None:
            self.item_encoder.picture_path.load_state_dict(self.picture_tower.picture_path.state_dict())
        self.log_scale = nn.Parameter(torch.tensor(math.log(START_SCALE)))
        self.register_state_dict_post_hook(_drop_shared)
        self.register_load_state_dict_pre_hook(_restore_shared)

    @torch.no_grad()
    def start_from_pictures_(self, pictures_XD: Tensor, whitening: float = 0.5) -> None:
        """Before training: the linear paths of pictures become the principal components of a sample of the shop's
        pictures (some thousands), centred, each divided by its standard deviation ** whitening.

        CNN vectors share a large mean and few directions, so all cosines between them are high; without those a picture
        is nearer to its like. Does nothing without linear_path, pictures or at least 2 of them.
        """
        if self.picture_tower is None or not self.config.linear_path or len(pictures_XD) < 2:
            return
        x_XD = unit(pictures_XD).double()
        mean_D = x_XD.mean(dim=0)
        _, deviation_K, component_KD = torch.linalg.svd(x_XD - mean_D, full_matrices=False)
        kept = min(self.config.output_dim, int((deviation_K > 1e-6 * deviation_K[0]).sum()))
        weight_OD = torch.zeros(self.config.output_dim, self.config.picture_dim, dtype=torch.float64)
        weight_OD[:kept] = component_KD[:kept].cpu() / deviation_K[:kept, None].cpu() ** whitening
        weight_OD /= ((x_XD - mean_D).cpu() @ weight_OD.T).norm(dim=1).mean().clamp_min(NORM_EPSILON)
        for module in (self.picture_tower, self.item_encoder):
            if isinstance(path := getattr(module, "picture_path", None), nn.Linear):
                path.weight.copy_(weight_OD)
                path.bias.copy_(-weight_OD @ mean_D.cpu())

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
