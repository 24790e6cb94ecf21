"""Several processes train as one: every step has one global batch, and its loss is the loss of a single process.

Rank r of R encodes the r-th piece of the batch's distinct items and queries. The embeddings are gathered, so every rank
computes the same loss over the whole batch:

    rank 0   [a b | . .]   gradient reaches a b      own rows carry gradient, the others are constants;
    rank 1   [. . | c d]   gradient reaches c d      summing the ranks' gradients gives that of a single process

Parameters that the loss uses directly (the scale) get their whole gradient on each rank and are averaged instead.
Tables with sparse gradients exchange (row, gradient row) pairs, not the table.
"""

import os
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from typing import TypeVar

import torch
import torch.distributed as dist
import torch.nn.functional as F
from torch import Tensor, nn

T = TypeVar("T")

#: The other ranks wait while the first one makes the features.
_LONGEST_WAIT = timedelta(days=2)


@dataclass(frozen=True)
class Processes:
    """This process among those that train together."""

    rank: int = 0
    world_size: int = 1

    def piece(self, total: int) -> slice:
        """The rows of `total` that this rank works on: equal pieces in order, the last ones shorter or empty."""
        size = -(-total // self.world_size)
        return slice(min(self.rank * size, total), min((self.rank + 1) * size, total))


def current_processes() -> Processes:
    """The processes of the group that is set up, or this one alone."""
    if dist.is_available() and dist.is_initialized():
        return Processes(dist.get_rank(), dist.get_world_size())
    return Processes()


@contextmanager
def process_group(device_type: str) -> Iterator[Processes]:
    """Joins the group that torchrun describes in the environment (gloo on CPUs, nccl on GPUs) and leaves it at the end.

    Without torchrun, or inside a group that the caller has set up, it changes nothing.
    """
    if "WORLD_SIZE" not in os.environ or dist.is_initialized():
        yield current_processes()
        return
    if device_type == "cuda":
        torch.cuda.set_device(int(os.environ.get("LOCAL_RANK", "0")))
    dist.init_process_group("nccl" if device_type == "cuda" else "gloo", timeout=_LONGEST_WAIT)
    try:
        yield current_processes()
    finally:
        dist.destroy_process_group()


def wait_for_all(processes: Processes) -> None:
    """Returns when every process has come here."""
    if processes.world_size > 1:
        dist.barrier()


def gather_rows(piece_XD: Tensor, total: int, processes: Processes) -> Tensor:
    """The rows [total, D] of all ranks' pieces; only this rank's rows carry gradient."""
    if processes.world_size == 1:
        return piece_XD
    size = -(-total // processes.world_size)
    padded_SD = F.pad(piece_XD.detach(), (0, 0, 0, size - len(piece_XD)))
    pieces = [torch.empty_like(padded_SD) for _ in range(processes.world_size)]
    dist.all_gather(pieces, padded_SD)
    own = processes.piece(total)
    gathered = torch.cat(pieces)[:total]
    return torch.cat([gathered[: own.start], piece_XD, gathered[own.stop :]])


def sum_gradients(parameters: Iterable[nn.Parameter], replicated: nn.Parameter, processes: Processes) -> None:
    """Sums gradients over ranks, in place; `replicated`'s is averaged. Where no rank has one, there is none after."""
    if processes.world_size == 1:
        return
    parameters = [parameter for parameter in parameters if parameter.requires_grad]
    if replicated.grad is not None:
        replicated.grad /= processes.world_size
    device = parameters[0].device
    kinds = [0 if p.grad is None else 2 if p.grad.is_sparse else 1 for p in parameters]
    kinds_P = torch.tensor(kinds, device=device)
    dist.all_reduce(kinds_P, dist.ReduceOp.MAX)
    dense = [p for p, kind in zip(parameters, kinds_P.tolist(), strict=True) if kind == 1]
    if dense:
        flat = torch.cat([(torch.zeros_like(p) if p.grad is None else p.grad).flatten() for p in dense])
        dist.all_reduce(flat)
        for parameter, piece in zip(dense, flat.split([p.numel() for p in dense]), strict=True):
            parameter.grad = piece.view_as(parameter)
    for parameter, kind in zip(parameters, kinds_P.tolist(), strict=True):
        if kind == 2:
            parameter.grad = _sum_sparse(parameter, processes)


def _sum_sparse(parameter: nn.Parameter, processes: Processes) -> Tensor:
    """The sum of all ranks' sparse gradients of a table [rows, dim]."""
    if parameter.grad is None:
        indices_N, values_ND = torch.zeros(0, dtype=torch.int64, device=parameter.device), parameter.detach()[:0]
    else:
        gradient = parameter.grad.coalesce()
        indices_N, values_ND = gradient.indices()[0], gradient.values()
    sizes = [torch.zeros(1, dtype=torch.int64, device=parameter.device) for _ in range(processes.world_size)]
    dist.all_gather(sizes, torch.tensor([len(indices_N)], device=parameter.device))
    longest = max(int(size) for size in sizes)
    padded_indices = F.pad(indices_N, (0, longest - len(indices_N)))
    padded_values = F.pad(values_ND, (0, 0, 0, longest - len(values_ND)))
    all_indices = [torch.empty_like(padded_indices) for _ in sizes]
    all_values = [torch.empty_like(padded_values) for _ in sizes]
    dist.all_gather(all_indices, padded_indices)
    dist.all_gather(all_values, padded_values)
    indices = torch.cat([rows[: int(size)] for rows, size in zip(all_indices, sizes, strict=True)])
    values = torch.cat([rows[: int(size)] for rows, size in zip(all_values, sizes, strict=True)])
    return torch.sparse_coo_tensor(indices[None], values, parameter.shape, check_invariants=False).coalesce()


def broadcast_from_first(value: T, processes: Processes) -> T:
    """Rank 0's value on every rank; the others' is not looked at."""
    if processes.world_size == 1:
        return value
    values = [value]
    dist.broadcast_object_list(values, src=0)
    return values[0]
