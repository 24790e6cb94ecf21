"""The switches of ItemSage; model.itemsage tells what each does. No torch: a config is read and checked without it."""

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

from schemas.errors import UsageError
from schemas.tables import EMBEDDING_DIM


@dataclass(frozen=True, kw_only=True)
class ItemSageConfig:
    """Every switch of the model. vocabulary_size: rows of W, all token ids lie below. picture_dim 0: no pictures;
    text_dim 0: no text encoder."""

    vocabulary_size: int
    picture_dim: int
    text_dim: int = 0
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
    field_layer_norm: bool = True
    normalize_pictures: bool = True
    share_text_table: bool = True
    start: Literal["linear", "random"] = "linear"
    table_std: float = 1 / 16
    weight_init: Literal["normal", "ones"] = "ones"
    seed: int = 0

    def __post_init__(self) -> None:
        if self.width % self.heads:
            raise UsageError(f"expected a width that {self.heads} heads divide, got {self.width}")
        if self.vocabulary_size < 1 or min(self.picture_dim, self.text_dim) < 0 or self.num_layers < 1:
            raise UsageError(
                "expected vocabulary_size >= 1, picture_dim and text_dim >= 0 and num_layers >= 1, got "
                f"{self.vocabulary_size}, {self.picture_dim}, {self.text_dim} and {self.num_layers}"
            )
        if not 0 <= self.dropout < 1:
            raise UsageError(f"expected a dropout from 0 to below 1, got {self.dropout}")
        if not (self.use_text or self.sees_pictures):
            raise UsageError("expected text or pictures as the item encoder's input, got neither: switch one on")

    @property
    def sees_pictures(self) -> bool:
        """Whether the item encoder reads pictures."""
        return self.use_pictures and self.picture_dim > 0

    @property
    def reads_text_vectors(self) -> bool:
        """Whether the item encoder reads the vectors of a text encoder."""
        return self.use_text and self.text_dim > 0

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
