"""BERT (Devlin et al. 2018) and RoBERTa as makers of hidden states, from config.json and model.safetensors.

The linear maps may be in a lower number format; residual sums, layer norms and attention stay in float32, which costs a
CPU no more and loses less.

Shape letters: B texts, T tokens, W width, H heads.
"""

from dataclasses import asdict, dataclass, fields
from typing import Any

import torch
import torch.nn.functional as F
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor, nn

from schemas.errors import UsageError
from schemas.quarantine import quote

#: model_type -> prefix of the names of its tensors. RoBERTa and XLM-RoBERTa are BERT whose positions start later.
MODEL_TYPES = {"bert": "bert.", "roberta": "roberta.", "xlm-roberta": "roberta."}
_ACTIVATIONS = {"gelu": "none", "gelu_new": "tanh", "gelu_pytorch_tanh": "tanh"}
#: Tensors of a published file that sentence vectors do not need: pooling heads, language model heads, index buffers.
_UNUSED = ("pooler.", "cls.", "lm_head.", "embeddings.position_ids", "embeddings.token_type_ids")


@dataclass(frozen=True, kw_only=True)
class BertConfig:
    """The shape of a network. first_position: the position number of a text's first token. activation: of _ACTIVATIONS.
    Raises ValueError for a size that is no positive integer, or heads that do not divide the width."""

    model_type: str
    num_layers: int
    heads: int
    width: int
    ffn_dim: int
    vocabulary_size: int
    num_positions: int
    num_token_types: int
    first_position: int
    activation: str
    norm_epsilon: float

    def __post_init__(self) -> None:
        sizes = [getattr(self, field.name) for field in fields(self) if field.type is int]
        if any(type(size) is not int or size < 0 for size in sizes) or not all((self.heads, self.width, self.ffn_dim)):
            raise ValueError(f"expected positive sizes of a network, got {sizes}")
        if self.width % self.heads or self.model_type not in MODEL_TYPES or self.activation not in _ACTIVATIONS:
            raise ValueError(f"expected a network of {', '.join(MODEL_TYPES)}, got {self}")

    @property
    def max_tokens(self) -> int:
        """The longest text that has positions."""
        return self.num_positions - self.first_position

    def to_json(self) -> dict[str, Any]:
        """Inverse of BertConfig(**json)."""
        return asdict(self)

    @classmethod
    def from_published(cls, config: Any, where: str) -> "BertConfig":
        """From the config.json of a published model. Raises UsageError that names an architecture that is none of
        MODEL_TYPES, and what else is not as it is there."""
        known = f"expected a network of {', '.join(MODEL_TYPES)} with absolute positions and gelu in {where}"
        try:
            model_type, activation = config["model_type"], config["hidden_act"]
            positions = config.get("position_embedding_type", "absolute")
            if model_type not in MODEL_TYPES or positions != "absolute" or activation not in _ACTIVATIONS:
                got = f"{quote(model_type)} ({quote(config.get('architectures'))}), {quote(positions)} positions and "
                raise UsageError(f"{known}, got {got}{quote(activation)}: other networks are not supported")
            return cls(
                model_type=model_type,
                num_layers=config["num_hidden_layers"],
                heads=config["num_attention_heads"],
                width=config["hidden_size"],
                ffn_dim=config["intermediate_size"],
                vocabulary_size=config["vocab_size"],
                num_positions=config["max_position_embeddings"],
                num_token_types=config["type_vocab_size"],
                first_position=0 if model_type == "bert" else config["pad_token_id"] + 1,
                activation=activation,
                norm_epsilon=float(config["layer_norm_eps"]),
            )
        except UsageError:
            raise
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            raise UsageError(f"{known}, got {type(error).__name__}: {quote(str(error))}") from error


class Bert(nn.Module):
    """Token ids of texts -> the hidden states of the last layer, always float32, for inference."""

    def __init__(self, config: BertConfig):
        super().__init__()
        self.config = config
        self.tokens = nn.Embedding(config.vocabulary_size, config.width)
        self.positions = nn.Embedding(config.num_positions, config.width)
        self.token_types = nn.Embedding(config.num_token_types, config.width)
        self.norm = nn.LayerNorm(config.width, config.norm_epsilon)
        self.layers = nn.ModuleList(_Layer(config) for _ in range(config.num_layers))

    def forward(self, ids_BT: Tensor, present_BT: Tensor) -> Tensor:
        """ids_BT int64; present_BT bool, False for padding, True for at least the first token -> [B, T, W] float32;
        rows of padding mean nothing."""
        first = self.config.first_position
        places_TW = self.positions.weight[first : first + ids_BT.shape[1]] + self.token_types.weight[0]
        hidden_BTW = self.norm(self.tokens(ids_BT) + places_TW)
        mask_B11T = torch.zeros(present_BT.shape, device=ids_BT.device).masked_fill_(~present_BT, -torch.inf)
        mask_B11T = mask_B11T[:, None, None, :]
        for layer in self.layers:
            hidden_BTW = layer(hidden_BTW, mask_B11T)
        return hidden_BTW

    def with_linear_maps(self, dtype: torch.dtype) -> "Bert":
        """Puts the weights of the linear maps into a number format; returns self."""
        for module in self.modules():
            if isinstance(module, nn.Linear):
                module.to(dtype)
        return self


class _Layer(nn.Module):
    def __init__(self, config: BertConfig):
        super().__init__()
        self.heads, self.approximation = config.heads, _ACTIVATIONS[config.activation]
        self.qkv = nn.Linear(config.width, 3 * config.width)
        self.out = nn.Linear(config.width, config.width)
        self.attention_norm = nn.LayerNorm(config.width, config.norm_epsilon)
        self.ffn_in = nn.Linear(config.width, config.ffn_dim)
        self.ffn_out = nn.Linear(config.ffn_dim, config.width)
        self.ffn_norm = nn.LayerNorm(config.width, config.norm_epsilon)

    def forward(self, hidden_BTW: Tensor, mask_B11T: Tensor) -> Tensor:
        B, T, W = hidden_BTW.shape
        dtype = self.qkv.weight.dtype
        qkv_BT3HC = self.qkv(hidden_BTW.to(dtype)).float().view(B, T, 3, self.heads, -1)
        query_BHTC, key_BHTC, value_BHTC = qkv_BT3HC.permute(2, 0, 3, 1, 4)
        mixed_BHTC = F.scaled_dot_product_attention(query_BHTC, key_BHTC, value_BHTC, attn_mask=mask_B11T)
        mixed_BTW = mixed_BHTC.transpose(1, 2).reshape(B, T, W)
        hidden_BTW = self.attention_norm(hidden_BTW + self.out(mixed_BTW.to(dtype)))
        inner_BTF = F.gelu(self.ffn_in(hidden_BTW.to(dtype)), approximate=self.approximation)
        return self.ffn_norm(hidden_BTW + self.ffn_out(inner_BTF))


def load_bert(config: BertConfig, weights_file: str) -> Bert:
    """The network with the weights of a published model.safetensors, in float32 and evaluation mode.

    Nothing is allocated beyond what the file holds. Raises UsageError for a file that is none or does not fit.
    """
    try:
        published = load_file(weights_file)
    except (SafetensorError, OSError) as error:
        raise UsageError(f"expected safetensors in {weights_file}, got {quote(str(error))}") from error
    try:
        state = _renamed(published, config)
        with torch.device("meta"):
            network = Bert(config)
        network.load_state_dict(state, strict=True, assign=True)
    except (KeyError, ValueError, RuntimeError) as error:
        detail = " ".join(str(error).split())[:400]
        raise UsageError(f"expected weights of {config} in {weights_file}, got others: {quote(detail)}") from error
    return network.eval().requires_grad_(False)


def _renamed(published: dict[str, Tensor], config: BertConfig) -> dict[str, Tensor]:
    """float32 tensors under our names. Raises KeyError for a missing one, ValueError for one that is left over."""
    prefix = MODEL_TYPES[config.model_type]
    left = {name.removeprefix(prefix): tensor for name, tensor in published.items()}
    left = {name: tensor for name, tensor in left.items() if not name.startswith(_UNUSED)}
    if len(left) < config.num_layers:  # a forged number of layers is refused before the loop
        raise ValueError(f"{len(left)} tensors for {config.num_layers} layers")
    state: dict[str, Tensor] = {}

    def take(ours: str, *theirs: str) -> None:
        for kind in ("weight", "bias"):
            state[f"{ours}.{kind}"] = torch.cat([left.pop(f"{name}.{kind}").float() for name in theirs])

    for ours, theirs in (("tokens", "word"), ("positions", "position"), ("token_types", "token_type")):
        state[f"{ours}.weight"] = left.pop(f"embeddings.{theirs}_embeddings.weight").float()
    take("norm", "embeddings.LayerNorm")
    for number in range(config.num_layers):
        ours, theirs = f"layers.{number}", f"encoder.layer.{number}"
        take(f"{ours}.qkv", *(f"{theirs}.attention.self.{name}" for name in ("query", "key", "value")))
        take(f"{ours}.out", f"{theirs}.attention.output.dense")
        take(f"{ours}.attention_norm", f"{theirs}.attention.output.LayerNorm")
        take(f"{ours}.ffn_in", f"{theirs}.intermediate.dense")
        take(f"{ours}.ffn_out", f"{theirs}.output.dense")
        take(f"{ours}.ffn_norm", f"{theirs}.output.LayerNorm")
    if left:
        raise ValueError(f"{len(left)} tensors of another network: {sorted(left)[:3]}")
    return state
