"""The state of a training run in one safetensors file: weights, optimiser state, best weights, and JSON as metadata.

One file is written to a temporary name and moved, so a killed run leaves the checkpoint before or the one after, never
a mixture; it holds no pickle. Names: `model/<name>`, `best/<name>`, `optimizer/<number>/<parameter>/<key>`.
"""

import json
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor

from schemas import storage
from schemas.errors import CorruptFileError
from schemas.storage import atomic_write


@dataclass(frozen=True, eq=False)
class Checkpoint:
    """What `save_checkpoint` wrote. best is empty if no evaluation had happened; state is JSON."""

    model: dict[str, Tensor]
    best: dict[str, Tensor]
    optimizers: dict[str, Tensor]
    state: dict[str, Any]


def save_checkpoint(
    path: str | os.PathLike[str],
    *,
    model: Mapping[str, Tensor],
    best: Mapping[str, Tensor],
    optimizers: Sequence[torch.optim.Optimizer],
    state: Mapping[str, Any],
) -> None:
    """Writes everything a resumed run needs, atomically."""
    tensors = {f"model/{name}": tensor for name, tensor in model.items()}
    tensors |= {f"best/{name}": tensor for name, tensor in best.items()}
    for number, optimizer in enumerate(optimizers):
        for parameter, values in optimizer.state_dict()["state"].items():
            tensors |= {f"optimizer/{number}/{parameter}/{key}": tensor for key, tensor in values.items()}
    on_cpu = {name: tensor.detach().cpu().contiguous() for name, tensor in tensors.items()}
    with atomic_write(path) as temporary:
        save_file(on_cpu, temporary, metadata={"state": json.dumps(dict(state), sort_keys=True)})


def read_checkpoint(path: str | os.PathLike[str]) -> Checkpoint | None:
    """The checkpoint at `path`, on the CPU, or None if there is none. CorruptFileError if it cannot be read."""
    if not storage.has_file(path):
        return None
    parts: dict[str, dict[str, Tensor]] = {"model": {}, "best": {}, "optimizer": {}}
    try:
        with safe_open(path, framework="pt") as file:
            state = json.loads(file.metadata()["state"])
            for name in file.keys():  # noqa: SIM118 (a safetensors file is no dict)
                part, rest = name.split("/", 1)
                parts[part][rest] = file.get_tensor(name)
    except (SafetensorError, ValueError, KeyError, TypeError) as error:
        raise CorruptFileError(
            f"expected a training checkpoint at {path}, got {error}: delete it and start anew"
        ) from error
    return Checkpoint(model=parts["model"], best=parts["best"], optimizers=parts["optimizer"], state=state)


def restore_optimizers(optimizers: Sequence[torch.optim.Optimizer], tensors: Mapping[str, Tensor]) -> None:
    """Puts saved state back into optimisers that were made in the same way."""
    for number, optimizer in enumerate(optimizers):
        state: dict[int, dict[str, Tensor]] = {}
        for name, tensor in tensors.items():
            owner, parameter, key = name.split("/")
            if int(owner) == number:
                state.setdefault(int(parameter), {})[key] = tensor
        optimizer.load_state_dict({"state": state, "param_groups": optimizer.state_dict()["param_groups"]})
