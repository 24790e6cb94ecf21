"""Optimisers for the two kinds of parameters: dense ones, and the tables of hash embeddings with sparse gradients.

Also here: which parameter belongs to which, the learning rate of a step, and the clipping of gradients by one norm.
"""

import math
from collections.abc import Callable, Iterable
from typing import Any

import torch
from torch import Tensor, nn

#: Forget old gradients sooner than the usual .999: a run of a shop has some hundred steps.
_BETAS = (0.9, 0.98)


class AdamTowardsStart(torch.optim.Adam):
    """Adam with decoupled weight decay (Loshchilov and Hutter 2019) towards the weights it was made with, not towards 0
    (L2-SP: Li, Grandvalet and Davoine, ICML 2018): w <- w - lr decay (w - w at the start), after Adam's own step.

    The start of a model of a small shop is good (model.items.start); what the data does not speak about should stay
    there.
    """

    def __init__(self, parameters: Iterable[nn.Parameter], lr: float, decay: float, betas: tuple[float, float]):
        super().__init__(list(parameters), lr=lr, betas=betas)
        self.decay = decay
        self._starts = [[p.detach().clone() for p in group["params"]] for group in self.param_groups]

    @torch.no_grad()
    def step(self, closure: Callable[[], float] | None = None) -> None:  # type: ignore[override]
        """One update; a parameter without gradient is left alone."""
        super().step(closure)
        for group, starts in zip(self.param_groups, self._starts, strict=True):
            for parameter, start in zip(group["params"], starts, strict=True):
                if parameter.grad is not None:
                    parameter.lerp_(start, min(group["lr"] * self.decay, 1.0))


class RowAdam(torch.optim.Optimizer):
    """Adam of the rows that a sparse gradient touches, the others and their moments as they were: the numbers of
    torch.optim.SparseAdam, its exact twin, in half the time (LOG.md). decay: towards the start, of the touched rows, as
    of AdamTowardsStart; above 0 it costs a copy of the tables."""

    def __init__(self, parameters: Iterable[nn.Parameter], lr: float, betas: tuple[float, float], decay: float = 0.0):
        super().__init__(list(parameters), {"lr": lr, "betas": betas, "eps": 1e-8})
        self.decay = decay
        self._starts = {p: p.detach().clone() for group in self.param_groups for p in group["params"]} if decay else {}

    @torch.no_grad()
    def step(self, closure: Callable[[], float] | None = None) -> None:  # type: ignore[override]
        """One update from sparse gradients; a parameter without gradient is left alone."""
        assert closure is None, "no closures here"
        for group in self.param_groups:
            for parameter in group["params"]:
                if parameter.grad is not None:
                    self._update_(parameter, self.state[parameter], group)

    def _update_(self, parameter: nn.Parameter, state: dict[str, Any], group: dict[str, Any]) -> None:
        if not state:
            zeros = (torch.zeros_like(parameter) for _ in range(2))
            state.update(zip(("step", "mean", "square"), (torch.zeros(()), *zeros), strict=True))
        state["step"] += 1
        assert parameter.grad is not None
        gradient = parameter.grad.coalesce()
        rows_R, gradient_RX = gradient.indices()[0], gradient.values()
        (beta_1, beta_2), step = group["betas"], float(state["step"])
        mean_RX = state["mean"].index_select(0, rows_R).lerp_(gradient_RX, 1 - beta_1)
        square_RX = state["square"].index_select(0, rows_R).mul_(beta_2)
        square_RX.addcmul_(gradient_RX, gradient_RX, value=1 - beta_2)
        state["mean"].index_copy_(0, rows_R, mean_RX)
        state["square"].index_copy_(0, rows_R, square_RX)
        size = group["lr"] * math.sqrt(1 - beta_2**step) / (1 - beta_1**step)
        change_RX = mean_RX.div_(square_RX.sqrt_().add_(group["eps"])).mul_(-size)
        if self.decay:
            moved_RX = parameter.index_select(0, rows_R).add_(change_RX)
            from_start_RX = moved_RX.sub_(self._starts[parameter].index_select(0, rows_R))
            change_RX.sub_(from_start_RX, alpha=min(group["lr"] * self.decay, 1.0))
        parameter.index_add_(0, rows_R, change_RX)


def is_table(parameter_name: str) -> bool:
    """Whether a parameter of ItemSage (by its name) gets sparse gradients: the hash embedders' tables E and W."""
    return parameter_name.endswith(("hash_embedder.table", "hash_embedder.weights"))


def is_field_weights(parameter_name: str) -> bool:
    """Whether a parameter of ItemSage (by its name) is the logarithms of its fields' weights."""
    return parameter_name.endswith("field_log_weight_F")


def make_optimizers(
    model: nn.Module,
    *,
    learning_rate: float,
    table_learning_rate: float,
    importance_learning_rate: float,
    field_weight_learning_rate: float,
    decay: float,
) -> list[torch.optim.Optimizer]:
    """AdamTowardsStart over dense parameters and over the weights of fields, RowAdam over E and over W, each with a
    rate of its own, each if it has any: entries of E are about 1/16, those of W about 1.

    Each group carries `base_lr`, which `set_learning_rate` scales. Parameters with requires_grad False are left out.
    """
    named = [(name, parameter) for name, parameter in model.named_parameters() if parameter.requires_grad]
    of_fields = [parameter for name, parameter in named if is_field_weights(name)]
    dense = [parameter for name, parameter in named if not (is_table(name) or is_field_weights(name))]
    rates_and_optimizers: list[tuple[float, torch.optim.Optimizer]] = []
    for rate, parameters in ((learning_rate, dense), (field_weight_learning_rate, of_fields)):
        if parameters:
            rates_and_optimizers.append((rate, AdamTowardsStart(parameters, rate, decay, betas=_BETAS)))
    for kind, rate in (("table", table_learning_rate), ("weights", importance_learning_rate)):
        if tables := [parameter for name, parameter in named if is_table(name) and name.endswith(kind)]:
            rates_and_optimizers.append((rate, RowAdam(tables, rate, betas=_BETAS, decay=decay)))
    for rate, optimizer in rates_and_optimizers:
        for group in optimizer.param_groups:
            group["base_lr"] = group["lr"] = rate
    return [optimizer for _, optimizer in rates_and_optimizers]


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

    Sparse ones are left as they are: Adam divides by their size anyway.
    """
    gradients: list[Tensor] = [p.grad for p in parameters if p.grad is not None and not p.grad.is_sparse]
    norm = float(torch.stack([gradient.norm() for gradient in gradients]).norm())
    if norm > max_norm:
        for gradient in gradients:
            gradient.mul_(max_norm / norm)
    return norm
