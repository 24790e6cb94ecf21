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

Shapes: B batch, N pictures, F 12 text fields, P positions 1 + N + F, T tokens of all segments in one flat row, S
segments (a segment owns tokens offsets[s]:offsets[s + 1]), D picture dimension, E hash dimension (256), W width (512),
H heads, C channels of a head, V vocabulary, O output dimension (256). What leaves a tower is float32 with norm 1.
"""

import dataclasses
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from schemas.errors import UsageError
from schemas.hashing import seed_of
from schemas.records import ItemFeatures
from schemas.tables import EMBEDDING_DIM, NUM_TEXT_FIELDS

START_SCALE = 1 / 0.07
MAX_SCALE = 100.0
_MAX_LOG_SCALE = math.log(MAX_SCALE)
#: Shorter vectors are not brought to norm 1 (the zero vector has no direction).
NORM_EPSILON = 1e-6


@dataclass(frozen=True, kw_only=True)
class ItemSageConfig:
    """Every switch of the model. vocabulary_size: rows of W, all token ids lie below. picture_dim 0: no pictures."""

    vocabulary_size: int
    picture_dim: int
    hash_rows: int = 100_000
    hash_dim: int = 256
    width: int = 512
    heads: int = 8
    num_layers: int = 1
    ffn_dim: int = 1024
    mlp_dim: int = 1024
    output_dim: int = EMBEDDING_DIM
    dropout: float = 0.0
    use_text: bool = True
    use_pictures: bool = True
    field_layer_norm: bool = False
    normalize_pictures: bool = True
    share_text_table: bool = True
    linear_path: bool = True
    table_std: float = 1 / 16
    weight_init: Literal["normal", "ones"] = "normal"
    seed: int = 0

    def __post_init__(self) -> None:
        if self.width % self.heads:
            raise UsageError(f"expected a width that {self.heads} heads divide, got {self.width}")
        if self.vocabulary_size < 1 or self.picture_dim < 0 or self.num_layers < 1:
            raise UsageError(
                "expected vocabulary_size >= 1, picture_dim >= 0 and num_layers >= 1, got "
                f"{self.vocabulary_size}, {self.picture_dim} and {self.num_layers}"
            )
        if not (self.use_text or self.sees_pictures):
            raise UsageError("expected text or pictures as the item encoder's input, got neither: switch one on")

    @property
    def sees_pictures(self) -> bool:
        """Whether the item encoder reads pictures."""
        return self.use_pictures and self.picture_dim > 0

    def to_json(self) -> dict[str, Any]:
        return dataclasses.asdict(self)

    @classmethod
    def from_json(cls, value: Mapping[str, Any]) -> "ItemSageConfig":
        known = {field.name for field in dataclasses.fields(cls)}
        if unknown := sorted(set(value) - known):
            raise UsageError(
                f"expected the switches of ItemSageConfig, got {unknown} too: is the model from newer code?"
            )
        return cls(**value)


@dataclass
class ItemBatch:
    """Features of B items.

    token_ids_T: int64. token_offsets_BF: int64 [B * 12 + 1], field f of item b is segment b * 12 + f.
    pictures_BND: float32 (float16 is accepted), zeros where absent. picture_mask_BN: bool, True = present.
    """

    token_ids_T: Tensor
    token_offsets_BF: Tensor
    pictures_BND: Tensor
    picture_mask_BN: Tensor

    def __len__(self) -> int:
        return self.picture_mask_BN.shape[0]

    def to(self, device: torch.device | str, non_blocking: bool = False) -> "ItemBatch":
        moved = {f.name: getattr(self, f.name).to(device, non_blocking=non_blocking) for f in dataclasses.fields(self)}
        return ItemBatch(**moved)


def collate_items(
    items: Sequence[ItemFeatures],
    picture_dim: int,
    num_pictures: int | None = None,
    picture_dtype: torch.dtype = torch.float32,
) -> ItemBatch:
    """Pads pictures to `num_pictures` (None: the most that an item has; more than that are cut) and joins tokens.

    Raises UsageError if an item's pictures are not `picture_dim` wide (picture_dim 0 ignores pictures).
    """
    most = max((len(item.pictures) for item in items), default=0) if num_pictures is None else num_pictures
    most = most if picture_dim else 0
    pictures_BND = np.zeros((len(items), most, picture_dim), np.float16)
    mask_BN = np.zeros((len(items), most), bool)
    for row, item in enumerate(items):
        count = min(len(item.pictures), most)
        if count and item.pictures.shape[1] != picture_dim:
            raise UsageError(
                f"expected pictures of {picture_dim} dimensions, got {item.pictures.shape[1]} (item {item.item_id!r}): "
                "use the picture encoder that the model was trained with"
            )
        if count:
            pictures_BND[row, :count] = item.pictures[:count]
            mask_BN[row, :count] = True
    lengths_BF = np.array([np.diff(item.token_offsets) for item in items], np.int64).reshape(-1)
    tokens_T = np.concatenate([np.zeros(0, np.int64), *(item.token_ids for item in items)], dtype=np.int64)
    return ItemBatch(
        token_ids_T=torch.from_numpy(tokens_T),
        token_offsets_BF=torch.from_numpy(np.concatenate([np.zeros(1, np.int64), np.cumsum(lengths_BF)])),
        pictures_BND=torch.from_numpy(pictures_BND).to(picture_dtype),
        picture_mask_BN=torch.from_numpy(mask_BN),
    )


def is_prime(number: int) -> bool:
    """Trial division by 2 and every odd divisor up to and including the root.

    >>> [n for n in range(2, 30) if is_prime(n)]
    [2, 3, 5, 7, 11, 13, 17, 19, 23, 29]
    """
    if number < 4:
        return number in (2, 3)
    return number % 2 == 1 and all(number % divisor for divisor in range(3, math.isqrt(number) + 1, 2))


def hash_rows_of(vocabulary_size: int, num_rows: int, seed: int) -> Tensor:
    """int32 [vocabulary_size, 2]: the two rows of E of every token id, ((a i + b) mod p) mod num_rows.

    p is the first prime >= vocabulary_size, a in [1, p), b in [0, p): products stay far below 2**63.
    """
    prime = next(n for n in range(max(vocabulary_size, 2), 2 * vocabulary_size + 3) if is_prime(n))
    ids_V = np.arange(vocabulary_size, dtype=np.int64)
    columns = []
    for number in range(2):
        a = 1 + seed_of("hash embedder", "a", number, seed) % (prime - 1)
        b = seed_of("hash embedder", "b", number, seed) % prime
        columns.append((a * ids_V + b) % prime % num_rows)
    return torch.from_numpy(np.stack(columns, axis=1).astype(np.int32))


def unit(x: Tensor) -> Tensor:
    """x / |x| along the last axis, in float32; the zero vector stays zero."""
    return F.normalize(x.float(), dim=-1, eps=NORM_EPSILON)


class HashEmbedder(nn.Module):
    """Sums of hash embeddings: table E [hash_rows, E] is shared by all tokens, weights W [vocabulary_size, 2] are each
    token's own. Both get sparse gradients."""

    rows_V2: Tensor

    def __init__(self, config: ItemSageConfig):
        super().__init__()
        self.table = nn.Parameter(torch.empty(config.hash_rows, config.hash_dim).normal_(std=config.table_std))
        weights = torch.empty(config.vocabulary_size, 2)
        self.weights = nn.Parameter(weights.normal_() if config.weight_init == "normal" else weights.fill_(1.0))
        rows_V2 = hash_rows_of(config.vocabulary_size, config.hash_rows, config.seed)
        self.register_buffer("rows_V2", rows_V2, persistent=False)

    def forward(self, token_ids_T: Tensor, offsets_S: Tensor) -> Tensor:
        """int64 [T] and [S + 1] -> [S, E]; zeros for a segment without tokens."""
        weights_T2 = F.embedding(token_ids_T, self.weights, sparse=True)
        rows_2T = self.rows_V2.index_select(0, token_ids_T).flatten()
        return F.embedding_bag(
            rows_2T,
            self.table,
            (2 * offsets_S).to(rows_2T.dtype),
            mode="sum",
            sparse=True,
            per_sample_weights=weights_T2.flatten(),
            include_last_offset=True,
        )

    @torch.no_grad()
    def start_from_importances_(self, importance_V: Tensor) -> None:
        """Before training: multiplies each token's weights W[i] by its importance, for example its inverse document
        frequency log(items / items with the token). Scaled to a mean of 1 over the tokens of importance > 0."""
        self.weights.mul_((importance_V / importance_V[importance_V > 0].mean()).to(self.weights)[:, None])


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
            _start_small(self.head_out)
            if config.use_text:
                self.field_weights = nn.Parameter(torch.ones(NUM_TEXT_FIELDS))
                self.text_path = _text_path(config)
            if config.sees_pictures:
                self.picture_path = _picture_path(config)

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
            self.text_path = _text_path(config)
            _start_small(self.out)

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
            self.picture_path = _picture_path(config)
            _start_small(self.out)

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


def scale_pictures(pictures: Tensor, config: ItemSageConfig) -> Tensor:
    """Pictures [..., D] as the model reads them: of norm sqrt(D), or as they are."""
    return unit(pictures) * math.sqrt(config.picture_dim) if config.normalize_pictures else pictures


def shared_prefixes(config: ItemSageConfig) -> tuple[str, ...]:
    """Names in ItemSage under which `hash_embedder.` occurs again."""
    return ("item_encoder.hash_embedder.", *(("text_tower.hash_embedder.",) if config.share_text_table else ()))


def _text_path(config: ItemSageConfig) -> nn.Linear:
    path = nn.Linear(config.hash_dim, config.output_dim, bias=False)
    nn.init.eye_(path.weight)
    return path


def _picture_path(config: ItemSageConfig) -> nn.Linear:
    """Starts as a random projection that keeps lengths and cosines about as they are."""
    path = nn.Linear(config.picture_dim, config.output_dim)
    nn.init.orthogonal_(path.weight, gain=max(1.0, math.sqrt(config.picture_dim / config.output_dim)))
    nn.init.zeros_(path.bias)
    return path


def _start_small(layer: nn.Linear) -> None:
    """Zero weights; a bias of norm 0.1, because the gradient of x / |x| explodes where nothing else is in x."""
    nn.init.zeros_(layer.weight)
    nn.init.normal_(layer.bias, std=0.1 / math.sqrt(layer.out_features))


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
