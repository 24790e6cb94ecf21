"""The item encoder for inference: the same numbers as ItemEncoder with one block, at a fraction of the work.

Encoders that do not fold (more blocks, other aggregators) are used as they are: `encoder_for_inference` chooses.

Only the CLS output of the block is used, and CLS enters as a constant, so its query of head h, q_h, is a constant too.
With a position p = In x + b of a modality (In, b its input Linear), keys K_h p + k_h and values V_h p + v_h:

    score_h(x) = q_h . (K_h (In x + b) + k_h) / sqrt(C)  =  A_h x + c_h           A_h = q_h^T K_h In / sqrt(C): one row
    out_h      = sum_x a_h(x) (V_h (In x + b) + v_h)     =  V_h In (sum_x a_h(x) x) + (V_h b) sum_x a_h(x) + v_h

So scores cost H numbers a position instead of 3 W, values are pooled before they are projected, and attention output,
feed-forward and head run for 1 position instead of 33. A picture's scaling to norm sqrt(D) is a factor of its score and
of its weight.

A row's bytes depend neither on the other rows of a batch nor on its place in it, as long as the batch has the same
shape (B, N): give it batches of one fixed shape, the last one padded.
"""

import math

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from model.items.batch import ItemBatch
from model.items.itemsage import ItemEncoder
from model.items.layers import NORM_EPSILON, TransformerBlock, scaled
from schemas.errors import UsageError
from schemas.tables import NUM_TEXT_FIELDS

#: Items whose pictures are scored and pooled together: 20 pictures of 2048 float32 are 160 KiB, a core has 1-2 MiB.
ITEMS_IN_CACHE = 8


class FoldedItemEncoder(nn.Module):
    """Made by `from_encoder`; shares the encoder's parameters where it does not fold them. For inference only."""

    cls_score_H: Tensor
    cls_value_HC: Tensor
    value_bias_HC: Tensor

    def __init__(self, encoder: ItemEncoder):
        super().__init__()
        self.encoder = encoder
        self.text: _FoldedInput | None = None
        self.text_vector: _FoldedInput | None = None
        self.pictures: _FoldedInput | None = None

    @classmethod
    @torch.no_grad()
    def from_encoder(cls, encoder: ItemEncoder) -> "FoldedItemEncoder":
        """Folds an encoder of one block (UsageError for others: their other positions are needed, or they have no
        attention). Switches the encoder to evaluation; later changes of its weights are not followed."""
        config = encoder.config
        if not config.folds:
            got = config.num_layers if config.aggregator == "transformer" else f"the aggregator {config.aggregator}"
            raise UsageError(f"expected an item encoder of 1 block, got {got}: use the plain ItemEncoder")
        folded = cls(encoder.eval())
        H, C = config.heads, config.width // config.heads
        qkv = folded.block.qkv
        query_HCW, key_HCW, value_HCW = qkv.weight.double().view(3, H, C, config.width)
        query_bias_HC, key_bias_HC, value_bias_HC = qkv.bias.double().view(3, H, C)
        cls_W = encoder.cls.double()
        query_HC = (query_HCW @ cls_W + query_bias_HC) / math.sqrt(C)
        score_HW = torch.einsum("hc,hcw->hw", query_HC, key_HCW)
        score_bias_H = (query_HC * key_bias_HC).sum(dim=1)
        _keep(folded, "cls_score_H", score_HW @ cls_W + score_bias_H)
        _keep(folded, "cls_value_HC", value_HCW @ cls_W)
        _keep(folded, "value_bias_HC", value_bias_HC)
        if config.use_text:
            folded.text = _FoldedInput(encoder.text_in, score_HW, score_bias_H, value_HCW)
        if config.reads_text_vectors:
            folded.text_vector = _FoldedInput(encoder.text_vector_in, score_HW, score_bias_H, value_HCW)
        if config.sees_pictures:
            folded.pictures = _FoldedInput(encoder.picture_in, score_HW, score_bias_H, value_HCW)
        return folded.eval()

    @property
    def block(self) -> TransformerBlock:
        block = self.encoder.blocks[0]
        assert isinstance(block, TransformerBlock)
        return block

    @torch.inference_mode()
    def forward(self, batch: ItemBatch) -> Tensor:
        """pictures_BND float32 or float16 -> [B, O], float32, norm 1."""
        encoder, config = self.encoder, self.encoder.config
        B, H = len(batch), config.heads
        scores_BHP = self.cls_score_H[None, :, None].expand(B, H, 1)
        inputs: list[tuple[_FoldedInput, Tensor]] = []
        if self.text is not None:
            sums_BFE = encoder.hash_embedder(batch.token_ids_T, batch.token_offsets_BF).view(B, NUM_TEXT_FIELDS, -1)
            present_BF = batch.token_offsets_BF.diff().view(B, NUM_TEXT_FIELDS) > 0
            fields_BFE = encoder.fields(sums_BFE, present_BF)
            scores_BHP = torch.cat([scores_BHP, self.text.scores(fields_BFE, present_BF)], dim=2)
            inputs.append((self.text, fields_BFE))
        if self.text_vector is not None:
            text_B1D = scaled(batch.text_vectors_BD.float())[:, None]
            present_B1 = batch.text_vectors_BD.any(dim=1, keepdim=True)
            scores_BHP = torch.cat([scores_BHP, self.text_vector.scores(text_B1D, present_B1)], dim=2)
            inputs.append((self.text_vector, text_B1D))
        if self.pictures is not None:
            weights_BHP, pooled_BHD = self._pool_pictures(batch.pictures_BND, batch.picture_mask_BN, scores_BHP)
            share_BH1 = weights_BHP[:, :, scores_BHP.shape[2] :].sum(dim=2, keepdim=True)
            values_BHC = self.pictures.values(pooled_BHD, share_BH1)
        else:
            weights_BHP = scores_BHP.softmax(dim=2)
            values_BHC = torch.zeros(())
        values_BHC = values_BHC + (weights_BHP[:, :, :1] * self.cls_value_HC + self.value_bias_HC)
        start = 1
        for folded, x_BXD in inputs:
            weights_BHX = weights_BHP[:, :, start : start + x_BXD.shape[1]]
            share_BH1 = weights_BHX.sum(dim=2, keepdim=True)
            values_BHC = values_BHC + folded.values(torch.bmm(weights_BHX, x_BXD), share_BH1)
            start += x_BXD.shape[1]
        return encoder.head(self._rest_of_block(values_BHC.reshape(B, -1)))

    def _pool_pictures(self, pictures_BND: Tensor, mask_BN: Tensor, scores_BHP: Tensor) -> tuple[Tensor, Tensor]:
        """Attention over CLS, fields (their scores given) and pictures.

        Returns weights [B, H, P + N] and the pictures pooled by each head [B, H, D].
        Goes by few items at a time, whose float32 pictures stay in the processor's cache between scoring and pooling.
        """
        assert self.pictures is not None
        config = self.encoder.config
        pooled_BHD = torch.empty(len(mask_BN), config.heads, config.picture_dim, device=mask_BN.device)
        weights = []
        for start in range(0, len(mask_BN), ITEMS_IN_CACHE):
            rows = slice(start, start + ITEMS_IN_CACHE)
            x_BND, mask_B1N = pictures_BND[rows].float(), mask_BN[rows, None]
            factor_B1N = _norm_factor(x_BND)[:, None] if config.normalize_pictures else mask_B1N.float()
            picture_scores_BHN = self.pictures.scores(x_BND, mask_BN[rows], factor_B1N)
            weights_BHP = torch.cat([scores_BHP[rows], picture_scores_BHN], dim=2).softmax(dim=2)
            weights.append(weights_BHP)
            torch.bmm(weights_BHP[:, :, scores_BHP.shape[2] :] * factor_B1N, x_BND, out=pooled_BHD[rows])
        return torch.cat(weights), pooled_BHD

    def _rest_of_block(self, values_BW: Tensor) -> Tensor:
        """Everything of the block after the values are pooled, for the CLS position alone."""
        block = self.block
        x_BW = block.attention_norm(self.encoder.cls + block.attention_out(values_BW))
        return block.ffn_norm(x_BW + block.ffn_out(F.relu(block.ffn_in(x_BW))))


def encoder_for_inference(encoder: ItemEncoder) -> FoldedItemEncoder | ItemEncoder:
    """The encoder folded if it folds, else itself; in evaluation mode."""
    return FoldedItemEncoder.from_encoder(encoder) if encoder.config.folds else encoder.eval()


class _FoldedInput(nn.Module):
    """One modality's scores and values as maps of its raw input."""

    score_HD: Tensor
    score_bias_H: Tensor
    value_HDC: Tensor
    value_bias_HC: Tensor

    def __init__(self, layer: nn.Linear, score_HW: Tensor, score_bias_H: Tensor, value_HCW: Tensor):
        super().__init__()
        weight_WD, bias_W = layer.weight.double(), layer.bias.double()
        _keep(self, "score_HD", score_HW @ weight_WD)
        _keep(self, "score_bias_H", score_HW @ bias_W + score_bias_H)
        _keep(self, "value_HDC", (value_HCW @ weight_WD).transpose(1, 2))
        _keep(self, "value_bias_HC", value_HCW @ bias_W)

    def scores(self, x_BXD: Tensor, mask_BX: Tensor, factor_B1X: Tensor | None = None) -> Tensor:
        """[B, H, X]: A x (times the factor of x) + c; -inf where the mask is False. One small product an item."""
        scores_BHX = torch.bmm(self.score_HD.expand(len(x_BXD), -1, -1), x_BXD.transpose(1, 2))
        if factor_B1X is not None:
            scores_BHX = scores_BHX * factor_B1X
        return (scores_BHX + self.score_bias_H[:, None]).masked_fill(~mask_BX[:, None], -torch.inf)

    def values(self, pooled_BHD: Tensor, share_BH1: Tensor) -> Tensor:
        """[B, H, C] of the inputs pooled by attention and the attention that they got together."""
        return torch.bmm(pooled_BHD.transpose(0, 1), self.value_HDC).transpose(0, 1) + share_BH1 * self.value_bias_HC


def _norm_factor(pictures_BND: Tensor) -> Tensor:
    """[B, N]: what scales each picture to norm sqrt(D), as layers.scale_pictures."""
    norms_BN = torch.linalg.vector_norm(pictures_BND, dim=2)
    return math.sqrt(pictures_BND.shape[2]) / norms_BN.clamp_min(NORM_EPSILON)


def _keep(module: nn.Module, name: str, value: Tensor) -> None:
    module.register_buffer(name, value.float().contiguous(), persistent=False)
