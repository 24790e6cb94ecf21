"""One vector an item from those of many sources (One Embedding To Do Them All, arXiv 1906.12120, level 2).

    source s    x_s (norm 1) --P_s--> one dimension     weight w_s      evidence c_s = n_s / (n_s + k_s)

    sum             z = sum over s of w_s c_s P_s x_s,  of norm 1
    concatenation   z = [w_s c_s x_s for all s],        of norm 1: cosines are those of the sources, weighted by (w c)^2

The paper sums, with weights; n_s tells how much a source knows of this very item (clicks seen, say) and k_s how much it
takes until the source has half of its weight. k_s = 0 is plain renormalising: an item that lacks a source (a row of
zeros: n_s = 0) gets the weights of what it has. Neither evidence nor how it shrinks is in the paper.

Spaces of different sources have nothing to do with each other, so a projection P_s may turn them at will: where the
dimension differs it must, "orthogonal" turns by a seeded random matrix that keeps all cosines of a source of at most
`dim` dimensions, "principal" keeps the directions of most variance of one that has more.

Legend: N items, S sources, D dimension of a source, E dimension of the unified vector.
"""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Literal, get_args

import numpy as np

from model.machine.blas_threads import one_blas_thread
from model.sources.store import Folder, check_shapes, read_source_model, save_source_model
from model.sources.unit_rows import has_vector, unit_or_zero
from schemas.errors import CorruptFileError, UsageError
from schemas.hashing import seed_of
from schemas.quarantine import quote

KIND = "fusion"
How = Literal["sum", "concatenation"]
Projection = Literal["orthogonal", "principal"]
#: Items that are fused at once: a fixed shape, so that a row's bytes depend on its item alone.
_BATCH = 256


@dataclass(frozen=True, kw_only=True)
class FusionConfig:
    """weights: of each source, at least one above 0. half_evidence: k of each source that has one, in the unit of its
    evidence; others count whole wherever they have a vector. dim: of a sum; None: the largest of the sources'. turn:
    whether sources of that dimension are projected too."""

    weights: Mapping[str, float]
    half_evidence: Mapping[str, float] = field(default_factory=dict)
    how: How = "sum"
    projection: Projection = "orthogonal"
    dim: int | None = None
    turn: bool = False
    seed: int = 0

    def __post_init__(self) -> None:
        if self.how not in get_args(How) or self.projection not in get_args(Projection):
            raise UsageError(
                f"expected sum or concatenation, and orthogonal or principal, got {self.how!r} and {self.projection!r}"
            )
        given = [*self.weights.values(), *self.half_evidence.values()]
        if not all(np.isfinite(value) and value >= 0 for value in given) or not any(self.weights.values()):
            got = f"{dict(self.weights)} and {dict(self.half_evidence)}"
            raise UsageError(f"expected finite weights and half_evidence >= 0, one weight above 0, got {got}")
        if unknown := sorted(set(self.half_evidence) - set(self.weights)):
            raise UsageError(f"expected half_evidence of {sorted(self.weights)}, got some of {unknown}")
        if self.dim is not None and (self.how == "concatenation" or self.dim < 1):
            raise UsageError(f"expected dim >= 1, and only of a sum, got {self.dim} of a {self.how}")

    @property
    def names(self) -> list[str]:
        """The sources that count, in the order of their names: a weight of 0 leaves one out."""
        return sorted(name for name, weight in self.weights.items() if weight > 0)


@dataclass(frozen=True, eq=False)
class Fusion:
    """What fuses: settled once, for all items of all days. dims: of each source that counts; projections: float32
    [D, E] of those that are projected."""

    config: FusionConfig
    dims: Mapping[str, int]
    projections: Mapping[str, np.ndarray]

    @property
    def dim(self) -> int:
        """E."""
        return sum(self.dims.values()) if self.config.how == "concatenation" else _sum_dim(self.config, self.dims)


def settle_fusion(config: FusionConfig, sources: Mapping[str, np.ndarray]) -> Fusion:
    """The fusion of these sources, float [N, D] each (N of its own; "principal" projections are fitted on them, zero
    rows left out). Raises UsageError for a source that has a weight and is not there or has no vector."""
    dims = {}
    for name in config.names:
        if name not in sources or sources[name].ndim != 2 or not sources[name].any():
            got = "none" if name not in sources else f"an array of shape {list(sources[name].shape)} without any"
            raise UsageError(f"expected vectors of the source {name}, which has a weight, got {got}: leave it out")
        dims[name] = sources[name].shape[1]
    projections = {}
    if config.how == "sum":
        dim = _sum_dim(config, dims)
        for name, source_dim in dims.items():
            if source_dim > dim and config.projection == "principal":
                projections[name] = principal_directions(sources[name], dim)
            elif source_dim != dim or config.turn:
                projections[name] = orthogonal(source_dim, dim, seed_of("fusion", config.seed, name))
    return Fusion(config, dims, projections)


def orthogonal(rows: int, columns: int, seed: int) -> np.ndarray:
    """float32 [rows, columns] of orthonormal rows, or columns if these are fewer: uniformly random (the Q of a Gaussian
    matrix whose R has a positive diagonal; Mezzadri 2007)."""
    gaussian = np.random.default_rng(seed).standard_normal((max(rows, columns), min(rows, columns)))
    q, r = np.linalg.qr(gaussian)
    q = q * np.sign(np.diag(r))
    return (q.T if rows < columns else q).astype(np.float32)


def principal_directions(vectors_ND: np.ndarray, dim: int) -> np.ndarray:
    """float32 [D, dim]: orthonormal columns, the directions in which unit rows have the largest mean square; the
    largest number of each is positive. Raises UsageError if dim > D."""
    if dim > vectors_ND.shape[1]:
        raise UsageError(f"expected at most {vectors_ND.shape[1]} directions, as many as dimensions, got {dim}")
    unit_ND = unit_or_zero(vectors_ND).astype(np.float64)
    with one_blas_thread():
        _, columns_DD = np.linalg.eigh(unit_ND.T @ unit_ND)
    columns_DE = columns_DD[:, ::-1][:, :dim]
    largest_E = columns_DE[np.abs(columns_DE).argmax(axis=0), np.arange(dim)]
    return (columns_DE * np.where(largest_E < 0, -1, 1)).astype(np.float32)


def effective_weights(
    config: FusionConfig, present: Mapping[str, np.ndarray], evidence: Mapping[str, np.ndarray]
) -> np.ndarray:
    """float64 [N, S], sources in the order of config.names: w n / (n + k), 0 where a source is not present. present:
    bool [N] of each source; evidence: n, [N], of each source with half_evidence. Raises UsageError where it is missing,
    negative or not finite.

    >>> config = FusionConfig(weights={"clicks": 1.0, "text": 0.5}, half_evidence={"clicks": 10})
    >>> both = {"clicks": np.array([True, True, False]), "text": np.ones(3, bool)}
    >>> effective_weights(config, both, {"clicks": np.array([10, 90, 0])}).tolist()
    [[0.5, 0.5], [0.9, 0.5], [0.0, 0.5]]
    """
    columns = []
    for name in config.names:
        weights_N = np.where(present[name], config.weights[name], 0.0)
        if half := config.half_evidence.get(name, 0.0):
            weights_N *= _shrinkage(name, evidence, half, len(weights_N))
        columns.append(weights_N)
    return np.stack(columns, axis=1)


def _shrinkage(name: str, evidence: Mapping[str, np.ndarray], half: float, num_items: int) -> np.ndarray:
    n_N = np.asarray(evidence[name], np.float64) if name in evidence else np.zeros(0)
    if n_N.shape != (num_items,) or not (np.isfinite(n_N) & (n_N >= 0)).all():
        got = f"an array of shape {list(n_N.shape)}, or negative or infinite numbers in it"
        raise UsageError(
            f"expected evidence >= 0 of {num_items} items for {name}, which has a half_evidence, got {got}"
        )
    return n_N / (n_N + half)


def fuse(
    fusion: Fusion, sources: Mapping[str, np.ndarray], evidence: Mapping[str, np.ndarray] | None = None
) -> np.ndarray:
    """float32 [N, E] of norm 1; zeros for an item that no source knows, which has no vector.

    sources: float [N, D] of the same N items each, a row of zeros where a source has no vector; evidence: see
    effective_weights. A row's bytes depend on its item alone. Raises UsageError for other shapes or numbers that are
    not finite.
    """
    names = fusion.config.names
    if missing := [name for name in names if name not in sources]:
        raise UsageError(f"expected vectors of {names}, got none of {missing}")
    lengths = {len(sources[name]) for name in names}
    if len(lengths) > 1:
        raise UsageError(f"expected as many rows of each source, got {sorted(lengths)}: align them by item first")
    units = {name: unit_or_zero(sources[name]) for name in names}
    if odd := {name: unit.shape[1] for name, unit in units.items() if unit.shape[1] != fusion.dims[name]}:
        raise UsageError(f"expected the dimensions {dict(fusion.dims)}, got {odd}: settle the fusion anew")
    present = {name: has_vector(unit) for name, unit in units.items()}
    weights_NS = effective_weights(fusion.config, present, evidence or {})
    num_items = lengths.pop()
    fused_NE = np.zeros((num_items, fusion.dim), np.float32)
    with one_blas_thread():
        for start in range(0, num_items, _BATCH):
            rows = slice(start, min(start + _BATCH, num_items))
            fused_NE[rows] = _fuse_batch(fusion, [units[name][rows] for name in names], weights_NS[rows])
    return unit_or_zero(fused_NE)


def _fuse_batch(fusion: Fusion, units: Sequence[np.ndarray], weights_BS: np.ndarray) -> np.ndarray:
    """float64 [B, E], not scaled."""
    parts = []
    for column, (name, unit_BD) in enumerate(zip(fusion.config.names, units, strict=True)):
        parts.append(_projected(unit_BD, fusion.projections.get(name)) * weights_BS[:, column : column + 1])
    return np.concatenate(parts, axis=1) if fusion.config.how == "concatenation" else np.sum(parts, axis=0)


def _projected(unit_BD: np.ndarray, projection_DE: np.ndarray | None) -> np.ndarray:
    """float64 [B, E], of a product of one fixed shape."""
    if projection_DE is None:
        return unit_BD.astype(np.float64)
    padded = np.zeros((_BATCH, unit_BD.shape[1]))
    padded[: len(unit_BD)] = unit_BD
    return (padded @ projection_DE.astype(np.float64))[: len(unit_BD)]


def _sum_dim(config: FusionConfig, dims: Mapping[str, int]) -> int:
    return config.dim or max(dims.values())


def save_fusion(fusion: Fusion, folder: Folder, curve: Sequence[Mapping[str, object]] = ()) -> str:
    """Writes the fusion to a new or empty folder; returns its model id. curve: of the search for its weights."""
    config = {"config": asdict(fusion.config), "dims": dict(fusion.dims)}
    return save_source_model(folder, KIND, config, fusion.projections, {"curve": [dict(line) for line in curve]})


def load_fusion(folder: Folder) -> Fusion:
    """Inverse of save_fusion. Raises CorruptFileError for what is not as it was saved."""
    described, projections = read_source_model(folder, KIND)
    try:
        config = FusionConfig(**described["config"])
        dims = {str(name): int(dim) for name, dim in described["dims"].items()}
        if sorted(dims) != config.names or min(dims.values()) < 1:
            raise ValueError(f"dimensions of {sorted(dims)} for {config.names}")
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        raise CorruptFileError(f"expected the config of a {KIND} in {folder}, got {quote(str(error))}") from error
    to_dim = 0 if config.how == "concatenation" else _sum_dim(config, dims)
    expected = {name: (dims.get(name, 0), to_dim) for name in projections}
    if config.how == "sum":
        expected |= {name: (dim, to_dim) for name, dim in dims.items() if dim != to_dim or config.turn}
    check_shapes(projections, expected, folder)
    return Fusion(config, dims, projections)
