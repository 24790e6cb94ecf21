"""What ItemSage is before training: the linear map of words and looks, written in the weights of the paper's layers.

A shop has thousands of items, Pinterest trained on hundreds of millions of pairs: random layers would first have to
learn what an overlap of words is. Here they start as a map that knows it, and every weight can move from there:

    inputs      a picture P x, a text vector S z, a field its sum t, into the block's width by a frame of
                orthonormal columns, which sum to 0 so that LayerNorms change lengths, not directions; S z and t share
                theirs
    block       no logits, so attention is the mean of what is present; values, their output and the residual keep it;
                the feed-forward adds nothing; CLS is short
    head        back out of the frame
    towers      text t + S z + R y, pictures P x: the maps of the item encoder; y the vector of the shop's own table,
                whose space nobody knows: R is a random rotation into ours, half as long as the words
    any MLP     is linear, because GELU(x) - GELU(-x) = x: hidden [M; -M], out [I, -I]; what hidden rows are left over
                start at random with no weight in the output

so that item ~ sum of fields + text vector + sum of pictures. Keys stay random: the query of CLS is zero, and has a
gradient by them.

The other aggregators start as the same map, so that what sets them apart is their shape: sum and linear are it already
(their frame is the way out of it), sum_mlp is the above without its blocks, and in mlp_concat_mlp each kind's MLP is
the kind's map and the head adds them up.

Shapes as in model.items.itemsage; R rows and X columns of a map, V vocabulary.
"""

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor, nn

from model.items.layers import NORM_EPSILON, TransformerBlock, unit
from model.text.vocabulary import inverse_document_frequencies
from schemas.hashing import seed_of

if TYPE_CHECKING:
    from model.items.batch import ItemBatch
    from model.items.config import ItemSageConfig
    from model.items.itemsage import ItemEncoder, ItemSage
    from model.text.vocabulary import Vocabulary
    from model.training.tables import ItemTable

#: Norm of the last bias and size of the entries of CLS: gradients of x / |x| and of LayerNorm explode where nothing
#: else is in x (an item or a query of nothing). Inputs have entries of about 1.
_BIAS_NORM, _CLS_STD = 0.1, 0.01
#: How much a token of each kind weighs beside its inverse document frequency: a word says more than a bigram that it is
#: part of, and stands in many trigrams.
KIND_WEIGHTS = {"word": 1.0, "bigram": 0.5, "trigram": 0.5}
#: How much longer S z is than the sum of what stands beside it, a query's words or an item's fields: the cosine of two
#: text vectors says more than the overlap of words in 256 dimensions.
TEXT_VECTOR_WEIGHT = 2.0
#: How long R y is beside a query's words. With 0, as where an unknown path starts that is to change nothing, training
#: was held up: where only the table tells what a query means, Recall@10 after 100 steps was .24 to .41, from .5 on 1.0
#: after 20. Where it tells nothing, .5 cost nothing.
TABLE_VECTOR_WEIGHT = 0.5
_WHITENING = 0.5, 0.25  # of pictures, of text vectors
_LOOKED_AT = 5000


def start_from_catalogue_(model: "ItemSage", items: "ItemTable", vocabulary: "Vocabulary") -> None:
    """The start of a model that is to be trained on a catalogue: `start_as_linear_map_` with the inverse document
    frequencies of its tokens and the principal components of its pictures. Nothing for a config that starts at random.
    """
    config = model.config
    if config.start != "linear":
        return
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed_of("start", config.seed))
        start_as_linear_map_(
            model,
            pictures_XD=items.some_pictures(_LOOKED_AT, config.seed) if config.picture_dim else None,
            text_vectors_XD=items.some_text_vectors(_LOOKED_AT, config.seed) if config.text_dim else None,
            importance_V=importances(items.document_counts(vocabulary.size), len(items), vocabulary),
        )
        if config.reads_text_vectors:
            _weigh_text_vectors_(model.item_encoder, items.batch(items.some_rows(_LOOKED_AT, config.seed)))


def importances(document_count_V: np.ndarray, num_items: int, vocabulary: "Vocabulary") -> Tensor:
    """float32 [V]: inverse document frequencies times the weight of the token's kind; 0 for tokens that no item has,
    which queries may: they say nothing about items."""
    idf_V = inverse_document_frequencies(document_count_V, num_items)
    weight_V = np.ones(len(idf_V))
    for kind, ids in vocabulary.id_ranges().items():
        weight_V[ids.start : ids.stop] = KIND_WEIGHTS[kind]
    return torch.from_numpy(np.where(document_count_V > 0, idf_V * weight_V, 0.0).astype(np.float32))


@torch.no_grad()
def start_as_linear_map_(
    model: "ItemSage",
    pictures_XD: Tensor | None = None,
    text_vectors_XD: Tensor | None = None,
    importance_V: Tensor | None = None,
) -> None:
    """Sets the weights of `model` to the start above; draws from torch's global generator.

    pictures_XD, text_vectors_XD: some of the shop's picture and text vectors: P and S become their
    `principal_components`, else random projections. S is TEXT_VECTOR_WEIGHT times as long.
    importance_V >= 0: each token's weights in the hash embedder are multiplied by it, for example inverse document
    frequencies; scaled to a mean of 1 over the tokens of importance > 0. Exact (but for CLS) for width > hash_dim +
    output_dim, of which a model of one modality needs its own (mlp_concat_mlp: width >= 2 output_dim), and mlp_dim >= 2
    output_dim; smaller layers start as near to it as they can.
    """
    frame = _Frame.of(model.config)
    _start_aggregation_(model.item_encoder, frame)
    _start_text_(model, frame, text_vectors_XD)
    _start_pictures_(model, frame, pictures_XD)
    if importance_V is not None:
        for embedder in {model.hash_embedder, model.text_tower.hash_embedder}:
            embedder.start_from_importances_(importance_V)


@dataclass(frozen=True, kw_only=True, eq=False)
class _Frame:
    """How fields and pictures lie in the block's width, columns of text_WE and pictures_WO, and how they come out of it
    again, added up: back_OW. from_text_OE: what of a field's sum is left in the output."""

    text_WE: Tensor
    pictures_WO: Tensor
    back_OW: Tensor
    from_text_OE: Tensor

    @classmethod
    def of(cls, config: "ItemSageConfig") -> "_Frame":
        from_text_OE = torch.eye(config.output_dim, config.hash_dim)
        num_text, num_pictures = config.use_text * config.hash_dim, config.sees_pictures * config.output_dim
        out_OX = torch.cat([from_text_OE[:, :num_text], torch.eye(config.output_dim)[:, :num_pictures]], dim=1)
        has_width = config.aggregator in ("transformer", "sum_mlp")
        frame_WX = _orthonormal(config.width, num_text + num_pictures) if has_width else out_OX
        return cls(
            text_WE=frame_WX[:, :num_text],
            pictures_WO=frame_WX[:, num_text:],
            back_OW=out_OX @ frame_WX.T,
            from_text_OE=from_text_OE,
        )


def _start_aggregation_(encoder: "ItemEncoder", frame: _Frame) -> None:
    """CLS, the blocks and the head: what makes one vector of all positions."""
    config = encoder.config
    encoder.cls.normal_(std=_CLS_STD)
    for block in encoder.blocks:
        assert isinstance(block, TransformerBlock)
        start_block_(block)
    if config.has_head:
        joined = config.aggregator == "mlp_concat_mlp"
        added_up = torch.eye(config.output_dim).repeat(1, config.num_kinds) if joined else frame.back_OW
        _start_mlp_(encoder.head_in, encoder.head_out, added_up)


def _start_text_(model: "ItemSage", frame: _Frame, text_vectors_XD: Tensor | None) -> None:
    """The text tower, and what an item's fields and its text vector go through."""
    config, encoder = model.config, model.item_encoder
    of_query_OX, offset_O = frame.from_text_OE, torch.zeros(config.output_dim)
    if config.text_dim:
        components_OD, centre_O = principal_components(
            text_vectors_XD, config.output_dim, config.text_dim, _WHITENING[1]
        )
        rotation_OO = nn.init.orthogonal_(torch.empty(config.output_dim, config.output_dim)) * TEXT_VECTOR_WEIGHT
        of_vector_OD, offset_O = rotation_OO @ components_OD, rotation_OO @ centre_O
        of_query_OX = torch.cat([of_query_OX, of_vector_OD], dim=1)
    if config.query_table_dim:
        rotation_OD, _ = principal_components(None, config.output_dim, config.query_table_dim, 0)
        of_query_OX = torch.cat([of_query_OX, rotation_OD * TABLE_VECTOR_WEIGHT], dim=1)
    _start_mlp_(model.text_tower.hidden, model.text_tower.out, of_query_OX, offset_O)
    if config.use_text:
        _start_input_(encoder, "text", frame.text_WE)
    if config.reads_text_vectors:
        into_WO = frame.text_WE @ frame.from_text_OE.T
        _start_input_(encoder, "text_vector", into_WO @ of_vector_OD, into_WO @ offset_O)


def _start_pictures_(model: "ItemSage", frame: _Frame, pictures_XD: Tensor | None) -> None:
    """The picture tower, and what an item's pictures go through."""
    if model.picture_tower is None:
        return
    config = model.config
    components_OD, centre_O = principal_components(pictures_XD, config.output_dim, config.picture_dim, _WHITENING[0])
    _start_mlp_(model.picture_tower.hidden, model.picture_tower.out, components_OD, centre_O)
    if config.sees_pictures:
        into_WO = frame.pictures_WO
        _start_input_(model.item_encoder, "picture", into_WO @ components_OD, into_WO @ centre_O)


@torch.no_grad()
def _weigh_text_vectors_(encoder: "ItemEncoder", batch: "ItemBatch") -> None:
    """Makes S z as much longer than the sum of an item's fields as it is than a query's words, in the mean."""
    fields_BFE, present_BF = encoder.inputs(batch)["text"]
    length_B = (fields_BFE * present_BF[..., None]).sum(dim=1).norm(dim=1)
    factor = float(length_B.mean()) / math.sqrt(encoder.config.hash_dim)
    joined = encoder.config.aggregator == "mlp_concat_mlp"
    layer = encoder.mlps_of("text_vector")[0].out if joined else encoder.linear_of("text_vector")
    for parameter in (layer.weight, layer.bias):
        parameter.mul_(max(factor, 1.0))


def principal_components(
    vectors_XD: Tensor | None, num_components: int, input_dim: int, whitening: float
) -> tuple[Tensor, Tensor]:
    """(P [O, D], c [O]): P x + c of vectors x of norm sqrt(D) are their principal components, centred, each divided by
    its standard deviation ** whitening, of norm sqrt(O) in the mean; float32.

    Vectors of a CNN share a large mean and few directions, so that all cosines between them are high; without those a
    picture is nearer to its like. Without vectors, or with fewer than 2: a random projection that keeps cosines.
    """
    if vectors_XD is None or len(vectors_XD) < 2:
        projection_OD = torch.empty(num_components, input_dim)
        gain = math.sqrt(max(1.0, num_components / input_dim))
        return nn.init.orthogonal_(projection_OD, gain=gain), torch.zeros(num_components)
    x_XD = unit(vectors_XD).double().cpu() * math.sqrt(input_dim)
    mean_D = x_XD.mean(dim=0)
    _, deviation_K, component_KD = torch.linalg.svd(x_XD - mean_D, full_matrices=False)
    kept = min(num_components, int((deviation_K > 1e-6 * deviation_K[0]).sum()))
    projection_OD = torch.zeros(num_components, input_dim, dtype=torch.float64)
    projection_OD[:kept] = component_KD[:kept] / deviation_K[:kept, None] ** whitening
    length = ((x_XD - mean_D) @ projection_OD.T).norm(dim=1).mean().clamp_min(NORM_EPSILON)
    projection_OD *= math.sqrt(num_components) / length
    return projection_OD.float(), (-projection_OD @ mean_D).float()


def _orthonormal(width: int, columns: int) -> Tensor:
    """[W, X]: orthonormal columns whose entries sum to 0; nearly so where X >= W."""
    frame_WX = nn.init.orthogonal_(torch.empty(width, columns))
    frame_WX -= frame_WX.mean(dim=0)
    return torch.linalg.qr(frame_WX).Q if columns < width else frame_WX


def _start_input_(encoder: "ItemEncoder", kind: str, map_RX: Tensor, offset_R: Tensor | None = None) -> None:
    """What positions of a kind go through becomes M x + c."""
    if encoder.config.aggregator == "mlp_concat_mlp":
        for mlp in encoder.mlps_of(kind):
            _start_mlp_(mlp.hidden, mlp.out, map_RX, offset_R)
        return
    layer = encoder.linear_of(kind)
    _set_(layer, map_RX.repeat(1, layer.in_features // map_RX.shape[1]), offset_R)


def start_block_(block: TransformerBlock) -> None:
    """CLS out = direction of CLS + the mean of all present positions."""
    width = len(block.qkv.bias) // 3
    block.qkv.bias.zero_()
    block.qkv.weight[:width].zero_()
    _set_(block.attention_out, torch.eye(width))
    block.qkv.weight[2 * width :] = torch.eye(width)
    _set_(block.ffn_out, torch.zeros_like(block.ffn_out.weight))


def _start_mlp_(hidden: nn.Linear, out: nn.Linear, map_RX: Tensor, offset_R: Tensor | None = None) -> None:
    """out(GELU(hidden(x))) = M x + c, plus a bias of norm _BIAS_NORM, for as many rows as half the hidden ones."""
    rows = min(len(map_RX), len(hidden.weight) // 2)
    offset_R = torch.zeros(len(map_RX)) if offset_R is None else offset_R
    hidden.bias.zero_()
    for sign, start in ((1, 0), (-1, rows)):
        hidden.weight[start : start + rows] = sign * map_RX[:rows]
        hidden.bias[start : start + rows] = sign * offset_R[:rows]
    out.weight.zero_()
    out.weight[:rows, :rows] = torch.eye(rows)
    out.weight[:rows, rows : 2 * rows] = -torch.eye(rows)
    out.bias.normal_(std=_BIAS_NORM / math.sqrt(len(out.bias)))


def _set_(layer: nn.Linear, weight_RX: Tensor, bias_R: Tensor | None = None) -> None:
    layer.weight.copy_(weight_RX)
    if bias_R is None:
        layer.bias.zero_()
    else:
        layer.bias.copy_(bias_R)
