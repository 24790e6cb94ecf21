"""Gates that compare the vectors of two days."""

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
from pipelines.run.opened import Run
from schemas.errors import CorruptFileError
from schemas.quarantine import quote

#: With fewer vectors a day chance alone moves the classifier's AUC by more than .1.
MIN_DRIFT_VECTORS = 50


def check_kept(today: Run, yesterday: Run, thresholds: GateThresholds) -> GateResult:
    """How many of yesterday's ids are published today."""
    before = yesterday.embeddings.ids
    kept = len(before)
    if not _same_vectors(today, yesterday):
        kept = len(set(before.to_pylist()).intersection(today.embeddings.ids.to_pylist()))
    share, least = rounded(kept / len(before)), thresholds.min_kept
    message = f"{kept:,} of yesterday's {len(before):,} ids are still published ({number(share)}): expected at least "
    return judged("coverage", at_least(share, least), message + number(least), value=share, threshold=least)


def check_neighbour_overlap(today: Run, yesterday: Run, thresholds: GateThresholds) -> GateResult:
    """How many of the nearest items of a fixed set of probes were nearest yesterday; skipped for two models."""
    name = "neighbour_overlap"
    if (other := _other_model(name, today, yesterday)) is not None:
        return other
    shares_P, num_common = _neighbour_shares(today, yesterday)
    if shares_P is None:
        return skipped(name, f"not compared: {num_common} items on both days, where all are near")
    mean, least = rounded(float(np.mean(shares_P))), thresholds.min_overlap
    message = (
        f"{number(mean)} of the {NEIGHBOURS} nearest of {len(shares_P)} items were their nearest yesterday (1 where "
        f"nothing moves): expected at least {number(least)}"
    )
    return judged(name, at_least(mean, least), message, value=mean, threshold=least)


def _neighbour_shares(today: Run, yesterday: Run) -> tuple[np.ndarray | None, int]:
    """float64 [P] of model.measures.drift.neighbour_overlap, None for too few items; and how many are common to both
    days."""
    num_common, shares_P = len(today.embeddings.ids), None
    if _same_vectors(today, yesterday):
        if num_common > NEIGHBOURS + 1:
            shares_P = np.ones(min(MAX_PROBES, num_common))
        return shares_P, num_common
    ids = today.embeddings.ids.to_pylist()
    today_rows_C, yesterday_rows_C = common_rows(ids, yesterday.embeddings.ids.to_pylist())
    if len(today_rows_C) > NEIGHBOURS + 1:
        probes_P = sample_rows([ids[row] for row in today_rows_C], "probe", MAX_PROBES)
        shares_P = neighbour_overlap(
            today.embeddings.matrix_ND, today_rows_C, yesterday.embeddings.matrix_ND, yesterday_rows_C, probes_P
        )
    return shares_P, len(today_rows_C)


def check_drift(today: Run, yesterday: Run, thresholds: GateThresholds) -> GateResult:
    """How well a classifier tells the days' vectors apart; skipped for two models."""
    if (other := _other_model("drift", today, yesterday)) is not None:
        return other
    (ids, matrix_ND), (before_ids, before_ND) = today.embeddings, yesterday.embeddings
    if min(len(ids), len(before_ids)) < MIN_DRIFT_VECTORS:
        return skipped("drift", f"not compared: {len(ids)} vectors, yesterday {len(before_ids)}, where chance decides")
    auc = 0.5
    if not _same_vectors(today, yesterday):
        auc = rounded(domain_auc(ids.to_pylist(), matrix_ND, before_ids.to_pylist(), before_ND))
    most = thresholds.max_drift_auc
    sampled = min(MAX_SAMPLE, len(ids)), min(MAX_SAMPLE, len(before_ids))
    message = (
        f"a classifier tells {sampled[0]:,} vectors from yesterday's {sampled[1]:,} with AUC {number(auc)} (0.5 where "
        f"nothing moves): expected at most {number(most)}"
    )
    return judged("drift", at_least(most, auc), message, value=auc, threshold=most)


def _same_vectors(today: Run, yesterday: Run) -> bool:
    """Whether the days have files of equal content, so that nothing need be searched to know what a search finds. A
    Run whose files are its twin's gives the twin's very vectors."""
    return today.embeddings is yesterday.embeddings


def _other_model(name: str, today: Run, yesterday: Run) -> GateResult | None:
    """A skipped gate if the days' vectors are of two models, which nothing makes comparable."""
    if today.model_id != yesterday.model_id:
        return skipped(
            name, f"not compared: model {quote(today.model_id)} today, yesterday {quote(yesterday.model_id)}"
        )
    dims = today.embeddings.matrix_ND.shape[1], yesterday.embeddings.matrix_ND.shape[1]
    if dims[0] != dims[1]:
        raise CorruptFileError(f"expected one dimension of model {quote(today.model_id)}, got {dims[0]} and {dims[1]}")
    return None
