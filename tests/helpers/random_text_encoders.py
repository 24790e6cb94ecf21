"""Folders of sentence-transformers with tiny networks of random weights, and what their vectors should be."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import nn

WIDTH, HEADS, FFN_DIM, NUM_LAYERS, NUM_POSITIONS = 32, 4, 48, 2, 66
WORDS = [
    *("[PAD]", "[UNK]", "[CLS]", "[SEP]"),
    *("red", "blue", "shoe", "sock", "for", "the", "rain", "milk", "a", "b", "c", "d", "e", "f", "g"),
]
CONFIG = {
    "architectures": ["BertModel"], "model_type": "bert", "hidden_size": WIDTH, "num_attention_heads": HEADS,
    "intermediate_size": FFN_DIM, "num_hidden_layers": NUM_LAYERS, "max_position_embeddings": NUM_POSITIONS,
    "type_vocab_size": 2, "vocab_size": len(WORDS), "hidden_act": "gelu", "layer_norm_eps": 1e-12, "pad_token_id": 0,
}  # fmt: skip
#: modules.json and sentence_bert_config.json of the published all-MiniLM-L6-v2, but for the longest text.
MODULES = [
    {"idx": 0, "name": "0", "path": "", "type": "sentence_transformers.models.Transformer"},
    {"idx": 1, "name": "1", "path": "1_Pooling", "type": "sentence_transformers.models.Pooling"},
    {"idx": 2, "name": "2", "path": "2_Normalize", "type": "sentence_transformers.models.Normalize"},
]
MAX_TOKENS = 40


def needs_tokenizers() -> None:
    """Skips the module that calls it, loudly, where the optional library is missing."""
    pytest.importorskip("tokenizers", reason="SKIPPED: text encoders are not tested, pip install tokenizers")


def write_text_encoder(folder: Path, *, seed: int = 0, pooling: str = "mean_tokens", **config: Any) -> Path:
    """A folder with a WordLevel tokenizer over WORDS, whose config.json has these entries too; returns it."""
    settings = {**CONFIG, **config}
    write_json(folder / "modules.json", MODULES)
    write_json(folder / "config.json", settings)
    write_json(folder / "sentence_bert_config.json", {"max_seq_length": MAX_TOKENS, "do_lower_case": False})
    write_json(
        folder / "1_Pooling" / "config.json", {f"pooling_mode_{pooling}": True, "word_embedding_dimension": WIDTH}
    )
    save_file(random_weights(settings, seed), folder / "model.safetensors")
    write_tokenizer(folder / "tokenizer.json")
    return folder


def write_json(path: Path, value: Any) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(value))


def change_json(path: Path, **changes: Any) -> None:
    """Other values of an object's keys; None takes a key away."""
    value = {**json.loads(path.read_text()), **changes}
    write_json(path, {key: value for key, value in value.items() if value is not None})


def random_weights(config: dict[str, Any], seed: int) -> dict[str, torch.Tensor]:
    """Under the names of published files. Of a size that lets different texts have different vectors."""
    random = torch.Generator().manual_seed(seed)
    width, ffn_dim = config["hidden_size"], config["intermediate_size"]
    state: dict[str, torch.Tensor] = {}

    def add(name: str, *shape: int, scale: float = 0.2) -> None:
        state[name] = torch.randn(*shape, generator=random) * scale

    def linear(name: str, inputs: int, outputs: int) -> None:
        add(f"{name}.weight", outputs, inputs)
        add(f"{name}.bias", outputs)

    def norm(name: str) -> None:
        add(f"{name}.weight", width)
        state[f"{name}.weight"] += 1
        add(f"{name}.bias", width)

    add("embeddings.word_embeddings.weight", config["vocab_size"], width, scale=1.0)
    add("embeddings.position_embeddings.weight", config["max_position_embeddings"], width)
    add("embeddings.token_type_embeddings.weight", config["type_vocab_size"], width)
    norm("embeddings.LayerNorm")
    for number in range(config["num_hidden_layers"]):
        layer = f"encoder.layer.{number}"
        for name in ("query", "key", "value"):
            linear(f"{layer}.attention.self.{name}", width, width)
        linear(f"{layer}.attention.output.dense", width, width)
        norm(f"{layer}.attention.output.LayerNorm")
        linear(f"{layer}.intermediate.dense", width, ffn_dim)
        linear(f"{layer}.output.dense", ffn_dim, width)
        norm(f"{layer}.output.LayerNorm")
    state["embeddings.position_ids"] = torch.arange(config["max_position_embeddings"])[None]
    linear("pooler.dense", width, width)
    return state


def write_tokenizer(path: Path, words: Sequence[str] = WORDS) -> None:
    """Words between spaces, [CLS] and [SEP] around them; pads and cuts, as published files often do."""
    from tokenizers import Tokenizer, models, pre_tokenizers, processors

    ids = {word: number for number, word in enumerate(words)}
    tokenizer = Tokenizer(models.WordLevel(ids, unk_token="[UNK]"))
    tokenizer.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    tokenizer.post_processor = processors.TemplateProcessing(
        single="[CLS] $A [SEP]", special_tokens=[(name, ids[name]) for name in ("[CLS]", "[SEP]")]
    )
    tokenizer.enable_padding(length=10)
    tokenizer.enable_truncation(5)
    tokenizer.save(str(path))


def expected_vector(folder: Path, text: str, *, first_position: int = 0, pooling: str = "mean") -> np.ndarray:
    """float32 [WIDTH] of one text of WORDS, by torch's own encoder layer: no batch, no padding, nothing of ours."""
    weights, config = load_file(folder / "model.safetensors"), json.loads((folder / "config.json").read_text())
    words = text.split()[: MAX_TOKENS - 2]
    ids = [WORDS.index(word) if word in WORDS else 1 for word in ["[CLS]", *words, "[SEP]"]]
    hidden_TW = (
        weights["embeddings.word_embeddings.weight"][ids] + weights["embeddings.token_type_embeddings.weight"][0]
    )
    hidden_TW = hidden_TW + weights["embeddings.position_embeddings.weight"][first_position:][: len(ids)]
    hidden_TW = nn.functional.layer_norm(
        hidden_TW, (WIDTH,), weights["embeddings.LayerNorm.weight"], weights["embeddings.LayerNorm.bias"], 1e-12
    )
    for number in range(config["num_hidden_layers"]):
        layer = nn.TransformerEncoderLayer(WIDTH, HEADS, FFN_DIM, 0.0, "gelu", 1e-12, batch_first=True).eval()
        published = {k.removeprefix(f"encoder.layer.{number}."): v for k, v in weights.items() if f".{number}." in k}
        layer.load_state_dict(
            {ours: torch.cat([published[t] for t in theirs]) for ours, theirs in _LAYER_NAMES.items()}
        )
        with torch.no_grad():
            hidden_TW = layer(hidden_TW[None])[0]
    pooled_W = hidden_TW[0] if pooling == "cls" else hidden_TW.mean(dim=0)
    return (pooled_W / pooled_W.norm()).numpy()


_LAYER_NAMES = {
    f"{ours}{joint}{kind}": [f"{name}.{kind}" for name in theirs]
    for kind in ("weight", "bias")
    for ours, joint, theirs in (
        ("self_attn.in_proj", "_", [f"attention.self.{name}" for name in ("query", "key", "value")]),
        ("self_attn.out_proj", ".", ["attention.output.dense"]),
        ("norm1", ".", ["attention.output.LayerNorm"]),
        ("linear1", ".", ["intermediate.dense"]),
        ("linear2", ".", ["output.dense"]),
        ("norm2", ".", ["output.LayerNorm"]),
    )
}
