"""Gates that compare the vectors of two days: the embeddings, and the unified vectors of runs that have them."""

from collections.abc import Callable

import numpy as np

from model.measures.drift import (
    MAX_PROBES,
    MAX_SAMPLE,
    NEIGHBOURS,
    common_rows,
    domain_auc,
    neighbour_overlap,
    sample_rows,
)
from pipelines.console.thresholds import GateThresholds
from pipelines.gates.results import GateResult, at_least, judged, number, rounded, skipped
from pipelines.run.listed_files import EMBEDDINGS
from pipelines.run.opened import Embeddings, Run
from schemas.errors import CorruptFileError
from schemas.quarantine import quote

#: With fewer vectors a day chance alone moves the classifier's AUC by more than .1.
MIN_DRIFT_VECTORS = 50
COVERAGE = "coverage"


def checks_of_vectors(
    today: Run, yesterday: Run, thresholds: GateThresholds, vectors: str
) -> dict[str, Callable[[], GateResult]]:
    """The gates of the folder of vectors of these names, by name; that of unified vectors begins with its own."""
    prefix = "" if vectors == EMBEDDINGS else f"{vectors}_"
    checks = {COVERAGE: check_kept, "neighbour_overlap": check_neighbour_overlap, "drift": check_drift}

    def checked(name: str) -> Callable[[], GateResult]:
        return lambda: checks[name](f"{prefix}{name}", today, yesterday, thresholds, vectors)

    return {f"{prefix}{name}": checked(name) for name in checks}


def check_kept(name: str, today: Run, yesterday: Run, thresholds: GateThresholds, vectors: str) -> GateResult:
    """How many of yesterday's ids have a vector today; if yesterday has none of these vectors, of those that its index
    was of."""
    before = yesterday.vectors(vectors) if yesterday.has(vectors) else yesterday.searched_vectors
    now = today.vectors(vectors)
    kept = len(before.ids)
    if before is not now:
        kept = len(set(before.ids.to_pylist()).intersection(now.ids.to_pylist()))
    share, least = rounded(kept / len(before.ids)), thresholds.min_kept
    message = (
        f"{kept:,} of yesterday's {len(before.ids):,} ids are still published ({number(share)}): expected at least "
        f"{number(least)}"
    )
    return judged(name, at_least(share, least), message, value=share, threshold=least)


def check_neighbour_overlap(
    name: str, today: Run, yesterday: Run, thresholds: GateThresholds, vectors: str
) -> GateResult:
    """How many of the nearest items of a fixed set of probes were nearest yesterday; skipped for two models."""
    if (other := _other_model(name, today, yesterday, vectors)) is not None:
        return other
    shares_P, num_common = _neighbour_shares(today.vectors(vectors), yesterday.vectors(vectors))
    if shares_P is None:
        return skipped(name, f"not compared: {num_common} items on both days, where all are near")
    mean, least = rounded(float(np.mean(shares_P))), thresholds.min_overlap
    message = (
        f"{number(mean)} of the {NEIGHBOURS} nearest of {len(shares_P)} items were their nearest yesterday (1 where "
        f"nothing moves): expected at least {number(least)}"
    )
    return judged(name, at_least(mean, least), message, value=mean, threshold=least)


def _neighbour_shares(now: Embeddings, before: Embeddings) -> tuple[np.ndarray | None, int]:
    """float64 [P] of model.measures.drift.neighbour_overlap, None for too few items; and how many are common to both
    days."""
    num_common, shares_P = len(now.ids), None
    if now is before:
        if num_common > NEIGHBOURS + 1:
            shares_P = np.ones(min(MAX_PROBES, num_common))
        return shares_P, num_common
    ids = now.ids.to_pylist()
    now_rows_C, before_rows_C = common_rows(ids, before.ids.to_pylist())
    if len(now_rows_C) > NEIGHBOURS + 1:
        probes_P = sample_rows([ids[row] for row in now_rows_C], "probe", MAX_PROBES)
        shares_P = neighbour_overlap(now.matrix_ND, now_rows_C, before.matrix_ND, before_rows_C, probes_P)
    return shares_P, len(now_rows_C)


def check_drift(name: str, today: Run, yesterday: Run, thresholds: GateThresholds, vectors: str) -> GateResult:
    """How well a classifier tells the days' vectors apart; skipped for two models."""
    if (other := _other_model(name, today, yesterday, vectors)) is not None:
        return other
    now, before = today.vectors(vectors), yesterday.vectors(vectors)
    if min(len(now.ids), len(before.ids)) < MIN_DRIFT_VECTORS:
        few = f"{len(now.ids)} vectors, yesterday {len(before.ids)}"
        return skipped(name, f"not compared: {few}, where chance decides")
    auc = 0.5
    if now is not before:
        auc = rounded(domain_auc(now.ids.to_pylist(), now.matrix_ND, before.ids.to_pylist(), before.matrix_ND))
    most = thresholds.max_drift_auc
    sampled = min(MAX_SAMPLE, len(now.ids)), min(MAX_SAMPLE, len(before.ids))
    message = (
        f"a classifier tells {sampled[0]:,} vectors from yesterday's {sampled[1]:,} with AUC {number(auc)} (0.5 where "
        f"nothing moves): expected at most {number(most)}"
    )
    return judged(name, at_least(most, auc), message, value=auc, threshold=most)


def _other_model(name: str, today: Run, yesterday: Run, vectors: str) -> GateResult | None:
    """A skipped gate if the days' vectors are of two models, which nothing makes comparable."""
    made_by, before = today.vectors_id(vectors), yesterday.vectors_id(vectors)
    if made_by != before:
        return skipped(name, f"not compared: model {quote(made_by)} today, yesterday {quote(before)}")
    dims = today.vectors(vectors).matrix_ND.shape[1], yesterday.vectors(vectors).matrix_ND.shape[1]
    if dims[0] != dims[1]:
        raise CorruptFileError(f"expected one dimension of model {quote(made_by)}, got {dims[0]} and {dims[1]}")
    return None
