"""ItemSage and its query towers: an item's pictures and text, text queries, picture queries -> one 256-d unit space.

Paper: Baltescu et al., "ItemSage: Learning Product Embeddings for Shopping Recommendations at Pinterest", KDD 2022
(arXiv 2205.11728). Hash embeddings: Svenstrup et al., NIPS 2017 (arXiv 1709.03933).

    token i   e_i = W[i,0] E[h_0(i)] + W[i,1] E[h_1(i)]          h_k(i) = ((a_k i + b_k) mod p) mod rows of E
    field f   t_f = w_f LayerNorm(sum of e_i over its tokens: words, word bigrams, character trigrams)
    text      the vector of all text by a frozen sentence encoder, if the model has one, of items and of text queries
    table     the vector that a shop's own frozen table has for a text query, if the model has a table and it the query
    input     [CLS | picture_1 .. picture_N | text | field_1 .. field_12], each by its kind's Linear, absent ones
              masked
    block     x <- LayerNorm(x + Attention(x)), x <- LayerNorm(x + Linear(ReLU(Linear(x))))     (post-norm, 8 heads)
    item      u = Linear(GELU(Linear(LayerNorm(x_CLS)))), item vector = u / |u|
    rungs     what the paper compares the block with (ItemSageConfig.aggregator), from the same kinds of positions:
              sum             u = CLS + sum of the Linears of what is present; CLS: here a constant alone
              linear          the same with a Linear of its own for each field: any linear map of the item
              sum_mlp         u = Linear(GELU(Linear(LayerNorm(that sum))))
              mlp_concat_mlp  an MLP for each field, for text and for the mean picture (times how many there are),
                              joined, through an MLP
    score     cosine; the training logit is s cosine with s = exp(log_scale), started at 1/0.07 and at most 100

Where training starts (ItemSageConfig.start, "linear"; see model.items.start): the weights of these layers are set so
that the whole is the linear map of words and looks, item ~ sum of its fields + sum of its pictures, query ~ its words.
A query is then near the items that share its words (random rows of E are nearly orthogonal) or look like it before any
training, and every weight of the paper's shape can move from there. "random" draws them as usual.

Deviations from the paper, each a switch of ItemSageConfig:
- `table_std`. The successor's published code draws E xavier-normal (std 0.0045 at this size): a token has norm 0.1.
  We draw E with std 1/16, a token has norm about 1, so text and pictures weigh alike in attention from the start.
- `weight_init`. "normal" as published: W ~ N(0, 1), which gives tokens random importances. "ones": equal ones, which
  training multiplies by the inverse document frequency.
- `normalize_pictures`. CNN vectors are not unit (PinSage's are): each is scaled to norm sqrt(D), entries of about 1.
- `field_layer_norm` (LayerNorm after a field's sum): in the successor's code, not in the paper's text.
- `field_weights` (w_f, a field's own weight, learned, 1 at the start): what says that a title tells more than a
  description. BM25F weighs fields so (Robertson, Zaragoza and Taylor, CIKM 2004). All fields go through one Linear and
  attention is not told which position is which, so nothing else could. Over the fields that an item has the mean of
  w_f^2 is 1: beside text vector and pictures its fields weigh what they weighed.
- Not told by the paper, so chosen: ffn_dim, mlp_dim, dropout; vectors of a frozen torchvision network for PinSage's.

Read from the outside in: itemsage_config (sizes and switches), item_batch (what a batch is), hash_embedder (tokens to
vectors), layers (the block), then the towers below, then start (the weights before training).

Shapes: B batch, N pictures, F 12 text fields, P positions 1 + N + F, T tokens of all segments in one flat row, S
segments (a segment owns tokens offsets[s]:offsets[s + 1]), D picture dimension, E hash dimension (256), W width (512),
H heads, C channels of a head, X aggregate_dim (512), V vocabulary, O output dimension (256). What leaves a tower is
float32 with norm 1.
"""

import math
from collections.abc import Callable
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from model.items.batch import ItemBatch
from model.items.config import ItemSageConfig
from model.items.hash_embedder import HashEmbedder
from model.items.layers import Mlp, TransformerBlock, scale_pictures, scaled, unit
from model.items.start import start_as_linear_map_
from schemas.hashing import seed_of
from schemas.tables import NUM_TEXT_FIELDS, TEXT_FIELDS

START_SCALE = 1 / 0.07
MAX_SCALE = 100.0
_MAX_LOG_SCALE = math.log(MAX_SCALE)
#: An item without text has no weights whose squares could be summed.
_LEAST_SQUARE = 1e-6


#: HashEmbedder.forward, or what gives its numbers in another way: (embedder, token ids [T], offsets [S + 1]) -> [S, E].
Embed = Callable[[HashEmbedder, Tensor, Tensor], Tensor]


class ItemEncoder(nn.Module):
    """The ItemSage transformer, or the rung below it that the config names. An item with no text and no picture gets a
    finite vector too (CLS alone).

    Parameters with 2048-d pictures, 384-d text vectors and the default sizes, without the hash embedder's:
    transformer 4.3 million (2 layers 6.4, 4 layers 10.6), mlp_concat_mlp 8.6, sum_mlp 2.2, linear 1.4, sum 0.7.
    """

    def __init__(self, config: ItemSageConfig, hash_embedder: HashEmbedder | None = None):
        super().__init__()
        self.config = config
        self.hash_embedder = hash_embedder or HashEmbedder(config)
        width, aggregator = config.aggregate_dim, config.aggregator
        self.cls = nn.Parameter(torch.empty(width).normal_(std=0.5))
        self.field_norm = nn.LayerNorm(config.hash_dim) if config.field_layer_norm else nn.Identity()
        if config.use_text and config.field_weights:
            self.field_log_weight_F = nn.Parameter(torch.zeros(NUM_TEXT_FIELDS))
        if aggregator == "mlp_concat_mlp":
            self.kind_mlps = _kind_mlps(config)
        else:
            if config.use_text:
                joined_fields = NUM_TEXT_FIELDS if aggregator == "linear" else 1
                self.text_in = nn.Linear(joined_fields * config.hash_dim, width)
            if config.reads_text_vectors:
                self.text_vector_in = nn.Linear(config.text_dim, width)
            if config.sees_pictures:
                self.picture_in = nn.Linear(config.picture_dim, width)
        self.blocks = nn.ModuleList(
            TransformerBlock(config.width, config.heads, config.ffn_dim, config.dropout)
            for _ in range(config.num_layers if aggregator == "transformer" else 0)
        )
        if config.has_head:
            self.head_norm = nn.Identity() if aggregator == "mlp_concat_mlp" else nn.LayerNorm(width)
            self.head_in = nn.Linear(width, config.mlp_dim)
            self.head_out = nn.Linear(config.mlp_dim, config.output_dim)

    def forward(self, batch: ItemBatch, embed: Embed = HashEmbedder.forward) -> Tensor:
        """-> [B, O], float32, norm 1."""
        aggregator, inputs = self.config.aggregator, self.inputs(batch, embed)
        if aggregator == "transformer":
            return self.head(self._attended(inputs, len(batch)))
        if aggregator == "mlp_concat_mlp":
            return self.head(self._joined(inputs, len(batch)))
        x_BX = self._summed(inputs, len(batch))
        return self.head(x_BX) if self.config.has_head else unit(x_BX)

    def inputs(self, batch: ItemBatch, embed: Embed = HashEmbedder.forward) -> dict[str, tuple[Tensor, Tensor]]:
        """By kind ("picture", "text_vector", "text"): its positions [B, P, D] before any layer of their own but what
        `fields` does, and which of them are present, bool [B, P]."""
        config, B = self.config, len(batch)
        inputs = {}
        if config.sees_pictures:
            inputs["picture"] = scale_pictures(batch.pictures_BND.float(), config), batch.picture_mask_BN
        if config.reads_text_vectors:
            present_B1 = batch.text_vectors_BD.any(dim=1, keepdim=True)
            inputs["text_vector"] = scaled(batch.text_vectors_BD.float())[:, None], present_B1
        if config.use_text:
            sums_BFE = embed(self.hash_embedder, batch.token_ids_T, batch.token_offsets_BF).view(B, NUM_TEXT_FIELDS, -1)
            present_BF = batch.token_offsets_BF.diff().view(B, NUM_TEXT_FIELDS) > 0
            inputs["text"] = self.fields(sums_BFE, present_BF), present_BF
        return inputs

    def fields(self, sums_BFE: Tensor, present_BF: Tensor) -> Tensor:
        """Fields t_f [B, F, E] from the sums of their tokens' vectors; present_BF: bool, which have tokens."""
        normalized_BFE: Tensor = self.field_norm(sums_BFE)
        if not self.config.field_weights:
            return normalized_BFE
        weight_F = self.field_log_weight_F.exp()
        sum_of_squares_B = (present_BF * weight_F**2).sum(dim=1)
        factor_B = (present_BF.sum(dim=1).clamp_min(1) / sum_of_squares_B.clamp_min(_LEAST_SQUARE)).sqrt()
        return normalized_BFE * (factor_B[:, None] * weight_F)[..., None]

    def field_weights(self) -> dict[str, float]:
        """Text field -> exp of its logarithm, before an item's mean is made 1; empty for a model that has none."""
        if not (self.config.use_text and self.config.field_weights):
            return {}
        return dict(zip(TEXT_FIELDS, self.field_log_weight_F.exp().tolist(), strict=True))

    def linear_of(self, kind: str) -> nn.Linear:
        """The Linear that positions of a kind go through."""
        layer = getattr(self, f"{kind}_in")
        assert isinstance(layer, nn.Linear)
        return layer

    def mlps_of(self, kind: str) -> list[Mlp]:
        """mlp_concat_mlp: the MLPs of a kind's places."""
        mlps = self.kind_mlps[kind]
        assert isinstance(mlps, nn.ModuleList)
        return [mlp for mlp in mlps if isinstance(mlp, Mlp)]

    def _attended(self, inputs: dict[str, tuple[Tensor, Tensor]], B: int) -> Tensor:
        """CLS output of the blocks, [B, W]."""
        positions = [self.cls.expand(B, 1, -1)]
        masks = [torch.ones(B, 1, dtype=torch.bool, device=self.cls.device)]
        for kind, (x_BPD, present_BP) in inputs.items():
            positions.append(self.linear_of(kind)(x_BPD))
            masks.append(present_BP)
        x_BPW, mask_BP = torch.cat(positions, dim=1), torch.cat(masks, dim=1)
        for block in self.blocks:
            x_BPW = block(x_BPW, mask_BP)
        return x_BPW[:, 0]

    def _summed(self, inputs: dict[str, tuple[Tensor, Tensor]], B: int) -> Tensor:
        """CLS + the sum of the Linears of what is present, [B, X]."""
        x_BX = self.cls.expand(B, -1)
        for kind, (x_BPD, present_BP) in inputs.items():
            if kind == "text" and self.config.aggregator == "linear":
                x_BX = x_BX + self.text_in((x_BPD * present_BP[..., None]).flatten(1))
            else:
                x_BX = x_BX + (self.linear_of(kind)(x_BPD) * present_BP[..., None]).sum(dim=1)
        return x_BX

    def _joined(self, inputs: dict[str, tuple[Tensor, Tensor]], B: int) -> Tensor:
        """CLS + every kind's MLP side by side, zeros for what is absent, [B, X]."""
        parts = []
        for kind, (x_BPD, present_BP) in inputs.items():
            weight_BP = present_BP.to(x_BPD.dtype)
            if kind == "picture":  # one position: their mean, which weighs as much as they do together
                sum_B1D, weight_BP = (x_BPD * weight_BP[..., None]).sum(1, keepdim=True), weight_BP.sum(1, keepdim=True)
                x_BPD = sum_B1D / weight_BP[..., None].clamp_min(1)
            mlps = self.mlps_of(kind)
            parts += [mlp(x_BPD[:, place]) * weight_BP[:, place, None] for place, mlp in enumerate(mlps)]
        return self.cls + torch.cat(parts, dim=1)

    def head(self, x_BX: Tensor) -> Tensor:
        """What the aggregator makes of an item's positions (CLS output) -> [B, O], norm 1."""
        return unit(self.head_out(F.gelu(self.head_in(self.head_norm(x_BX)))))


class TextTower(nn.Module):
    """Hashed tokens of a query and, if the model has them, its vectors by the text encoder and of the shop's own table
    (SearchSage's place in the paper) -> the item space. Sum, mean and root-mean pooling are the same here: only the
    direction of the sum is used. A query of which nothing is known gets one constant vector."""

    def __init__(self, config: ItemSageConfig, hash_embedder: HashEmbedder | None = None):
        super().__init__()
        self.config = config
        self.hash_embedder = hash_embedder or HashEmbedder(config)
        self.norm = nn.LayerNorm(config.hash_dim)
        self.hidden = nn.Linear(config.query_dim, config.mlp_dim)
        self.out = nn.Linear(config.mlp_dim, config.output_dim)

    def forward(
        self,
        token_ids_T: Tensor,
        offsets_B: Tensor,
        text_vectors_BD: Tensor | None = None,
        table_vectors_BD: Tensor | None = None,
    ) -> Tensor:
        """int64 [T] and [B + 1]; [B, text_dim] if the model has a text encoder; [B, query_table_dim] if it has a table,
        zeros for queries that are not in it -> [B, O], float32, norm 1."""
        return self.of_sums(self.hash_embedder(token_ids_T, offsets_B), text_vectors_BD, table_vectors_BD)

    def of_sums(
        self, sums_BE: Tensor, text_vectors_BD: Tensor | None = None, table_vectors_BD: Tensor | None = None
    ) -> Tensor:
        """The sums of the queries' token vectors, and their other vectors as in `forward` -> [B, O], norm 1."""
        x_BX = self.norm(unit(sums_BE))
        if self.config.text_dim:
            assert text_vectors_BD is not None, "a model with a text encoder, but queries without its vectors"
            x_BX = torch.cat([x_BX, scaled(text_vectors_BD)], dim=1)
        if self.config.query_table_dim:
            assert table_vectors_BD is not None, "a model with a table of queries, but queries without its vectors"
            x_BX = torch.cat([x_BX, scaled(table_vectors_BD)], dim=1)
        return unit(self.out(F.gelu(self.hidden(x_BX))))

    def of_words(self, sums_BE: Tensor) -> Tensor:
        """What words alone say in a model that knows more of a query: `of_sums` without what other vectors, and the
        bias that centres them, add before the first GELU; `of_sums` itself in a model that knows words alone."""
        if self.config.query_dim == self.config.hash_dim:
            return self.of_sums(sums_BE)
        of_words_ME = self.hidden.weight[:, : self.config.hash_dim]
        return unit(self.out(F.gelu(F.linear(self.norm(unit(sums_BE)), of_words_ME))))


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


def _kind_mlps(config: ItemSageConfig) -> nn.ModuleDict:
    """Kind of position -> an MLP for each of its places, D -> W -> O."""
    sizes = {
        "picture": (int(config.sees_pictures), config.picture_dim),
        "text_vector": (int(config.reads_text_vectors), config.text_dim),
        "text": (NUM_TEXT_FIELDS * config.use_text, config.hash_dim),
    }
    return nn.ModuleDict(
        {
            kind: nn.ModuleList(Mlp(dim, config.width, config.output_dim) for _ in range(places))
            for kind, (places, dim) in sizes.items()
            if places
        }
    )


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
