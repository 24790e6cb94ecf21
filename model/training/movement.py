"""How far training has moved the weights from their start: what tells a learning rate that is too low or too high.

table           E, the hash embedders' tables, over the rows that have moved: a row that no token met stays
importances     W, the tokens' own weights, over the rows that have moved
field_weights   the logarithms of the fields' weights
item_encoder, text_tower, picture_tower      all dense weights of each
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from model.training.optimizers import is_field_weights, is_table

_TOWERS = ("item_encoder", "text_tower", "picture_tower")


@dataclass(frozen=True, kw_only=True)
class Movement:
    """rms: root mean square of weight - start. relative: rms / the standard deviation of the start's weights, None for
    weights that start as equal ones. moved_rows: share of the rows that have moved, of which the rms is; None for dense
    weights, of which it is over all."""

    rms: float
    relative: float | None
    moved_rows: float | None


class StartWeights:
    """A copy, on the CPU, of a model's weights as they are when it is made: before the first step. It costs the memory
    of the model, the tables of hash embeddings included: RowAdam keeps no start of them."""

    def __init__(self, model: nn.Module):
        self._starts = {name: p.detach().to("cpu", copy=True) for name, p in model.named_parameters()}
        self._groups: dict[str, list[str]] = {}
        for name in self._starts:
            if (group := _group(name)) is not None:
                self._groups.setdefault(group, []).append(name)
        self._deviations = {
            group: _deviation([self._starts[name] for name in names]) for group, names in self._groups.items()
        }

    def towards(self, weights: Mapping[str, Tensor], share: float) -> dict[str, Tensor]:
        """A state_dict that is a share of the way from the start to `weights`, a state_dict on the CPU."""
        return {
            name: torch.lerp(self._starts[name], value, share) if name in self._starts else value
            for name, value in weights.items()
        }

    def movement(self, model: nn.Module) -> dict[str, Movement]:
        """Of each group above that the model has."""
        weights = {name: parameter.detach().cpu() for name, parameter in model.named_parameters()}
        movement = {}
        for group, names in self._groups.items():
            moved = [weights[name] - self._starts[name] for name in names]
            num_compared, moved_rows = sum(difference.numel() for difference in moved), None
            if is_table(names[0]):
                num_moved = [int(difference.any(dim=1).sum()) for difference in moved]
                moved_rows = sum(num_moved) / sum(map(len, moved))
                num_compared = sum(
                    rows * difference.shape[1] for rows, difference in zip(num_moved, moved, strict=True)
                )
            squares = sum(float(torch.linalg.vector_norm(difference, dtype=torch.float64)) ** 2 for difference in moved)
            rms, deviation = math.sqrt(squares / max(num_compared, 1)), self._deviations[group]
            movement[group] = Movement(rms=rms, relative=rms / deviation if deviation else None, moved_rows=moved_rows)
        return movement


def _group(name: str) -> str | None:
    if is_table(name):
        return "table" if name.endswith("table") else "importances"
    if is_field_weights(name):
        return "field_weights"
    tower = name.partition(".")[0]
    return tower if tower in _TOWERS else None


def _deviation(tensors: Sequence[Tensor]) -> float:
    """The standard deviation of all entries, 0 for equal ones."""
    count = sum(tensor.numel() for tensor in tensors)
    mean = sum(float(tensor.sum(dtype=torch.float64)) for tensor in tensors) / count
    squares = sum(float(torch.linalg.vector_norm(tensor - mean, dtype=torch.float64)) ** 2 for tensor in tensors)
    return math.sqrt(squares / count)
