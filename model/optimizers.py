"""Optimisers for the two kinds of parameters: AdamW for dense ones, row-wise Adagrad for tables with sparse gradients.

Row-wise Adagrad keeps one number a row, so the state of a 100,000 x 256 table is 0.4 MB (Adam: 205 MB), and a step
touches only rows that the batch used:

    h_r <- h_r + mean_d(g_rd^2)          w_r <- w_r - lr g_r / (sqrt(h_r) + eps)

Also here: which parameter belongs to which, the learning rate of a step, and the clipping of both by one norm.
"""

import math
from collections.abc import Callable, Iterable
from typing import Any

import torch
from torch import Tensor, nn


class RowWiseAdagrad(torch.optim.Optimizer):
    """Row-wise Adagrad for parameters [rows, dim] with sparse gradients; dense gradients are an error."""

    def __init__(self, parameters: Iterable[nn.Parameter], lr: float, eps: float = 1e-8):
        super().__init__(list(parameters), {"lr": lr, "eps": eps})
        for parameter in self._all():
            self.state[parameter]["square_sum"] = torch.zeros(parameter.shape[0], device=parameter.device)

    def _all(self) -> list[nn.Parameter]:
        return [parameter for group in self.param_groups for parameter in group["params"]]

    @torch.no_grad()
    def step(self, closure: Callable[[], float] | None = None) -> None:  # type: ignore[override]
        """One update; a parameter without gradient is left alone."""
        assert closure is None
        for group in self.param_groups:
            for parameter in group["params"]:
                if parameter.grad is None:
                    continue
                gradient = parameter.grad.coalesce()
                rows_R, values_RD = gradient.indices()[0], gradient.values()
                square_sum = self.state[parameter]["square_sum"]
                square_sum.index_add_(0, rows_R, values_RD.square().mean(dim=1))
                step_R = -group["lr"] / (square_sum[rows_R].sqrt() + group["eps"])
                parameter.index_add_(0, rows_R, values_RD * step_R[:, None])


def is_table(parameter_name: str) -> bool:
    """Whether a parameter of ItemSage (by its name) gets sparse gradients: the hash embedders' tables."""
    return parameter_name.endswith(("hash_embedder.table", "hash_embedder.weights"))


def make_optimizers(
    model: nn.Module, learning_rate: float, table_learning_rate: float, weight_decay: float
) -> list[torch.optim.Optimizer]:
    """AdamW over dense parameters (decay on matrices only) and row-wise Adagrad over tables, each if it has any.

    Each group carries `base_lr`, which `set_learning_rate` scales. Parameters with requires_grad False are left out.
    """
    named = [(name, parameter) for name, parameter in model.named_parameters() if parameter.requires_grad]
    dense = [parameter for name, parameter in named if not is_table(name)]
    groups: list[dict[str, Any]] = [
        {"params": [p for p in dense if p.ndim > 1], "weight_decay": weight_decay},
        {"params": [p for p in dense if p.ndim <= 1], "weight_decay": 0.0},
    ]
    groups = [group for group in groups if group["params"]]
    tables = [parameter for name, parameter in named if is_table(name)]
    optimizers: list[torch.optim.Optimizer] = []
    if groups:
        optimizers.append(torch.optim.AdamW(groups, lr=learning_rate, betas=(0.9, 0.98)))
    if tables:
        optimizers.append(RowWiseAdagrad(tables, lr=table_learning_rate))
    for optimizer in optimizers:
        for group in optimizer.param_groups:
            group["base_lr"] = group["lr"]
    return optimizers


def learning_rate_factor(step: int, total_steps: int, warmup_steps: int) -> float:
    """Share of the base rate at step 0, 1, ...: up to 1 in warmup_steps, then a half cosine down to 0 at total_steps.

    >>> [round(learning_rate_factor(step, 6, 2), 2) for step in range(7)]
    [0.5, 1.0, 1.0, 0.85, 0.5, 0.15, 0.0]
    """
    if step < warmup_steps:
        return (step + 1) / warmup_steps
    progress = (step - warmup_steps) / max(total_steps - warmup_steps, 1)
    return 0.5 * (1 + math.cos(math.pi * min(progress, 1.0)))


def set_learning_rate(optimizers: Iterable[torch.optim.Optimizer], factor: float) -> None:
    """Sets every group's rate to factor times its base rate."""
    for optimizer in optimizers:
        for group in optimizer.param_groups:
            group["lr"] = factor * group["base_lr"]


@torch.no_grad()
def clip_gradients_(parameters: Iterable[nn.Parameter], max_norm: float) -> float:
    """Scales dense gradients so that their common norm is at most max_norm; returns the norm before.

    Sparse ones are left as they are: row-wise Adagrad divides by their size anyway.
    """
    gradients: list[Tensor] = [p.grad for p in parameters if p.grad is not None and not p.grad.is_sparse]
    norm = float(torch.stack([gradient.norm() for gradient in gradients]).norm())
    if norm > max_norm:
        for gradient in gradients:
            gradient.mul_(max_norm / norm)
    return norm
