"""The start of a model's training, kept beside the trained weights, so that both can be measured on the same queries.

Everything but the random table E of the hash embedder, by far the largest part, which comes back from the seed in the
config; its first rows are kept to see that it does.
"""

from collections.abc import Mapping

import torch
from torch import Tensor

from model.items.config import ItemSageConfig
from model.items.itemsage import ItemSage
from schemas.errors import CorruptFileError, UsageError

_TABLE, _FIRST_ROWS = "hash_embedder.table", ".first_rows"
_NUM_ROWS = 16


def start_state(start: ItemSage) -> dict[str, Tensor]:
    """What is kept of a model before its training."""
    return {
        name + _FIRST_ROWS * name.endswith(_TABLE): value[:_NUM_ROWS] if name.endswith(_TABLE) else value
        for name, value in start.state_dict().items()
    }


def restored_start(config: ItemSageConfig, kept: Mapping[str, Tensor]) -> ItemSage:
    """The model that `start_state` was made of, in evaluation mode. Raises CorruptFileError for weights of other names
    or shapes, UsageError if the seed no longer gives the same table."""
    model = ItemSage(config)
    state = model.state_dict()
    tables = {name: value for name, value in state.items() if name.endswith(_TABLE)}
    expected = {name for name in state if name not in tables} | {name + _FIRST_ROWS for name in tables}
    if set(kept) != expected:
        odd = sorted(set(kept) ^ expected)
        raise CorruptFileError(f"expected the weights of the configured model's start, got other names: {odd[:5]}")
    for name, table in tables.items():
        first, got = kept[name + _FIRST_ROWS], table[:_NUM_ROWS]
        if first.shape != got.shape or not torch.allclose(first, got, atol=1e-6, rtol=0):
            raise UsageError(
                f"expected the seed {config.seed} to give the {name} that the training started from, got another one: "
                f"torch {torch.__version__} draws other numbers, train again to compare with a start"
            )
    try:
        model.load_state_dict(dict(kept) | tables, strict=False)
    except RuntimeError as error:
        raise CorruptFileError(f"expected a start of the configured shapes, got others: {error}") from error
    return model.eval()
