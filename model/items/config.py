"""The switches of ItemSage; model.items.itemsage tells what each does. A config is read and checked without torch."""

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal, get_args

from schemas.errors import UsageError
from schemas.tables import EMBEDDING_DIM, NUM_TEXT_FIELDS

Aggregator = Literal["transformer", "mlp_concat_mlp", "sum_mlp", "sum", "linear"]
AGGREGATORS: tuple[Aggregator, ...] = get_args(Aggregator)
MAX_HASHES = 3
#: Switches that came after models were saved, and what those models are: left out of a config's JSON there, so that a
#: model keeps its id.
_LATER = {"aggregator": "transformer", "field_weights": False, "num_hashes": 2, "query_table_dim": 0}


@dataclass(frozen=True, kw_only=True)
class ItemSageConfig:
    """Every switch of the model. vocabulary_size: rows of W, all token ids lie below. picture_dim 0: no pictures;
    text_dim 0: no text encoder; query_table_dim 0: no query vectors of the shop's own. num_layers, heads, ffn_dim,
    dropout: of the transformer alone."""

    vocabulary_size: int
    picture_dim: int
    text_dim: int = 0
    query_table_dim: int = 0
    hash_rows: int = 100_000
    hash_dim: int = 256
    num_hashes: int = 2
    aggregator: Aggregator = "transformer"
    width: int = 512
    heads: int = 8
    num_layers: int = 1
    ffn_dim: int = 1024
    mlp_dim: int = 1024
    output_dim: int = EMBEDDING_DIM
    dropout: float = 0.0
    use_text: bool = True
    use_pictures: bool = True
    field_layer_norm: bool = True
    field_weights: bool = True
    normalize_pictures: bool = True
    share_text_table: bool = True
    start: Literal["linear", "random"] = "linear"
    table_std: float = 1 / 16
    weight_init: Literal["normal", "ones"] = "ones"
    seed: int = 0

    def __post_init__(self) -> None:
        for name in ("hash_rows", "hash_dim", "width", "heads", "ffn_dim", "mlp_dim", "output_dim"):
            if getattr(self, name) < 1:
                raise UsageError(f"expected {name} >= 1, got {getattr(self, name)}")
        if self.width % self.heads:
            raise UsageError(f"expected a width that {self.heads} heads divide, got {self.width}")
        input_dims = self.picture_dim, self.text_dim, self.query_table_dim
        if self.vocabulary_size < 1 or min(input_dims) < 0 or self.num_layers < 1:
            raise UsageError(
                "expected vocabulary_size >= 1, picture_dim, text_dim and query_table_dim >= 0 and num_layers >= 1, "
                f"got {self.vocabulary_size}, {', '.join(map(str, input_dims))} and {self.num_layers}"
            )
        if not 1 <= self.num_hashes <= MAX_HASHES:
            raise UsageError(f"expected num_hashes from 1 to {MAX_HASHES}, got {self.num_hashes}")
        if self.aggregator not in AGGREGATORS:
            raise UsageError(f"expected an aggregator of {', '.join(AGGREGATORS)}, got {self.aggregator!r}")
        if not 0 <= self.dropout < 1:
            raise UsageError(f"expected a dropout from 0 to below 1, got {self.dropout}")
        if not (self.use_text or self.sees_pictures):
            raise UsageError("expected text or pictures as the item encoder's input, got neither: switch one on")
        if self.aggregator != "transformer" and (self.num_layers > 1 or self.dropout > 0):
            raise UsageError(
                f"expected num_layers 1 and dropout 0 for the aggregator {self.aggregator}, which has no transformer "
                f"blocks, got {self.num_layers} and {self.dropout}"
            )

    @property
    def sees_pictures(self) -> bool:
        """Whether the item encoder reads pictures."""
        return self.use_pictures and self.picture_dim > 0

    @property
    def reads_text_vectors(self) -> bool:
        """Whether the item encoder reads the vectors of a text encoder."""
        return self.use_text and self.text_dim > 0

    @property
    def query_dim(self) -> int:
        """Size of what is known of a text query: its words, its text vector, its vector of the shop's own table."""
        return self.hash_dim + self.text_dim + self.query_table_dim

    @property
    def folds(self) -> bool:
        """Whether only the CLS output of one transformer block is used, so that attention folds
        (model.items.folded)."""
        return self.aggregator == "transformer" and self.num_layers == 1

    @property
    def num_kinds(self) -> int:
        """What an item consists of, pictures as one: each field, the text vector, pictures."""
        return NUM_TEXT_FIELDS * self.use_text + self.reads_text_vectors + self.sees_pictures

    @property
    def aggregate_dim(self) -> int:
        """Size of the vector that the aggregator makes of an item's positions."""
        if self.aggregator in ("transformer", "sum_mlp"):
            return self.width
        return self.output_dim * (self.num_kinds if self.aggregator == "mlp_concat_mlp" else 1)

    @property
    def has_head(self) -> bool:
        """Whether an MLP stands between that vector and the item's, or it is the item's."""
        return self.aggregator not in ("sum", "linear")

    def to_json(self) -> dict[str, Any]:
        return {name: value for name, value in dataclasses.asdict(self).items() if _LATER.get(name, ...) != value}

    @classmethod
    def from_json(cls, value: Mapping[str, Any]) -> "ItemSageConfig":
        known = {field.name for field in dataclasses.fields(cls)}
        if unknown := sorted(set(value) - known):
            raise UsageError(
                f"expected the switches of ItemSageConfig, got {unknown} too: is the model from newer code?"
            )
        return cls(**{**_LATER, **value})
