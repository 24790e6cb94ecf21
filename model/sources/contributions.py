"""What each source gives to a unified vector: its weight for this very item, and how much of the vector is its own.

    parts   p_s = w_s c_s P_s x_s, as model.sources.fusion sums (or concatenates) them to z
    share   p_s . z / |z|^2                     of all sources together 1; below 0 where a source pulls away from z
    cosine  P_s x_s . z / (|P_s x_s| |z|)       of the source's vector alone, projected, with the unified one

Legend: N items, S sources, D dimension of a source, E dimension of the unified vector.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from model.machine.blas_threads import one_blas_thread
from model.sources.fusion import Fusion, effective_weights
from model.sources.unit_rows import LEAST_NORM, has_vector, unit_or_zero


@dataclass(frozen=True, eq=False)
class Contributions:
    """names: S sources, those that count. present_NS: bool, who has a vector. All others float64 [N, S]: weights, after
    evidence, 0 where a source is not present; shares and cosines, NaN there and of an item that has no unified
    vector."""

    names: tuple[str, ...]
    present_NS: np.ndarray
    weights_NS: np.ndarray
    shares_NS: np.ndarray
    cosines_NS: np.ndarray


def contributions(
    fusion: Fusion, sources: Mapping[str, np.ndarray], evidence: Mapping[str, np.ndarray] | None = None
) -> Contributions:
    """Of each source to the rows that model.sources.fusion.fuse makes of the same arguments; raises what it raises of
    evidence and numbers."""
    names = fusion.config.names
    units = {name: unit_or_zero(sources[name]) for name in names}
    present = {name: has_vector(unit_ND) for name, unit_ND in units.items()}
    weights_NS = effective_weights(fusion.config, present, evidence or {})
    with one_blas_thread():
        parts_SNE = np.stack([_part(fusion, name, units[name]) for name in names])
    fused_NE = np.einsum("ns,sne->ne", weights_NS, parts_SNE)
    along_NS = np.einsum("sne,ne->ns", parts_SNE, fused_NE)
    lengths_NS, length_N1 = np.linalg.norm(parts_SNE, axis=2).T, np.linalg.norm(fused_NE, axis=1)[:, None]
    present_NS = np.stack([present[name] for name in names], axis=1)
    return Contributions(
        names=tuple(names),
        present_NS=present_NS,
        weights_NS=weights_NS,
        shares_NS=_ratio(along_NS * weights_NS, length_N1**2, present_NS & (length_N1 > LEAST_NORM)),
        cosines_NS=_ratio(along_NS, lengths_NS * length_N1, present_NS & (length_N1 > LEAST_NORM)),
    )


def _part(fusion: Fusion, name: str, unit_ND: np.ndarray) -> np.ndarray:
    """float64 [N, E]: P_s x_s; of a concatenation x_s in its place, zeros in the others'."""
    rows_ND = unit_ND.astype(np.float64)
    if fusion.config.how == "sum":
        projection_DE = fusion.projections.get(name)
        return rows_ND if projection_DE is None else rows_ND @ projection_DE.astype(np.float64)
    names = fusion.config.names
    before = sum(fusion.dims[other] for other in names[: names.index(name)])
    return np.pad(rows_ND, ((0, 0), (before, fusion.dim - before - fusion.dims[name])))


def _ratio(above_NS: np.ndarray, below_NS: np.ndarray, where_NS: np.ndarray) -> np.ndarray:
    where_NS = where_NS & (below_NS > 0)
    return np.divide(above_NS, below_NS, out=np.full(above_NS.shape, np.nan), where=where_NS)
