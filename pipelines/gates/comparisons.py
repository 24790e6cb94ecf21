"""The gates that hold a run against yesterday's, or on a store's first day against what its model was trained on."""

from collections.abc import Callable, Mapping

from pipelines.console.thresholds import GateThresholds
from pipelines.gates.changed_filter import with_changed_filter
from pipelines.gates.changed_texts import check_texts
from pipelines.gates.counts import IN_TRAINING, check_coverage, check_row_count, check_users_count
from pipelines.gates.drift import COVERAGE, checks_of_vectors
from pipelines.gates.fields import check_fields
from pipelines.gates.gated_run import DAMAGE, GatedRun
from pipelines.gates.log import check_actions, check_users
from pipelines.gates.recall import check_recall
from pipelines.gates.respelt_users import respelt_users
from pipelines.gates.results import PASSED, GateResult, incomparable, skipped
from pipelines.run.listed_files import folders_of_vectors
from pipelines.stages import StageLine, line_of
from schemas.validation.left_out_rows import ROWS_LEFT_OUT

METRICS_FILE = "metrics.json"
_NO_VECTORS = "yesterday has no {} vectors"


def compare_with_training(today: GatedRun, thresholds: GateThresholds) -> list[GateResult]:
    """On the first day: the gates of coverage against what the model was trained on, as far as the model tells."""
    try:
        before = today.trained_on()
    except DAMAGE:  # the gate model_id says what is wrong with the model
        before = None
    if before is None:
        return []
    return [
        check_coverage("text", today.counts("features"), before["features"], thresholds, IN_TRAINING),
        check_coverage("pictures", today.counts("features"), before["features"], thresholds, IN_TRAINING),
        check_fields(today.counts("items"), before["items"], thresholds, IN_TRAINING),
    ]


def compare_with_yesterday(
    today: GatedRun, yesterday: GatedRun, thresholds: GateThresholds, status_of: Mapping[str, str]
) -> list[GateResult]:
    """The gates that hold today against yesterday; they fail if yesterday cannot be read. status_of: gates that are
    judged already."""
    results = []
    checks = _checks_of_stages(today, yesterday, thresholds)
    for vectors in folders_of_vectors(today.expects):
        of_vectors = checks_of_vectors(today, yesterday, thresholds, vectors)
        why = _why_vectors_are_skipped(line_of(vectors), yesterday, status_of)
        of_index = why == _NO_VECTORS.format(vectors) and _index_is_of(today, vectors)
        for name, check in of_vectors.items():
            if not why or (of_index and name.endswith(COVERAGE)):
                checks[name] = check
            else:
                results.append(skipped(name, f"not compared: {why}"))
    for name, check in checks.items():
        try:
            results.append(check())
        except DAMAGE as error:
            results.append(incomparable(name, error))
    return with_changed_filter(results, today, yesterday)


def _checks_of_stages(
    today: GatedRun, yesterday: GatedRun, thresholds: GateThresholds
) -> dict[str, Callable[[], GateResult]]:
    """Gate -> its check, of those that hold counts, figures and texts of the two runs against each other."""

    def counts(stage: str) -> tuple[dict[str, int], dict[str, int]]:
        return today.counts(stage), yesterday.counts(stage)

    def left_out() -> tuple[int, int]:
        try:
            of_today, of_yesterday = (stage.get(ROWS_LEFT_OUT, 0) for stage in counts("items"))
        except DAMAGE:  # other gates say so; the rows published can be compared
            return 0, 0
        return of_today, of_yesterday

    return {
        "row_count": lambda: check_row_count(*counts("embeddings"), thresholds, left_out()),
        "coverage_text": lambda: check_coverage("text", *counts("features"), thresholds),
        "coverage_fields": lambda: check_fields(*counts("items"), thresholds),
        "changed_texts": lambda: check_texts(today, yesterday, thresholds),
        "coverage_pictures": lambda: check_coverage("pictures", *counts("features"), thresholds),
        "recall": lambda: check_recall(today.report(METRICS_FILE), yesterday.report(METRICS_FILE), thresholds),
        "users_count": lambda: check_users_count(
            today.user_counts(), yesterday.user_counts(), thresholds, respelt_users(today, yesterday)
        ),
        "log_actions": lambda: check_actions(today.log_counts(), yesterday.log_counts(), thresholds),
        "log_users": lambda: check_users(today.log_counts(), yesterday.log_counts(), thresholds),
    }


def _index_is_of(today: GatedRun, vectors: str) -> bool:
    try:
        return today.searched == vectors
    except DAMAGE:  # the gate index says so
        return False


def _why_vectors_are_skipped(line: StageLine, yesterday: GatedRun, status_of: Mapping[str, str]) -> str:
    """Why a stage's vectors of today are not held against yesterday's; "" if they are."""
    if status_of[line.judged_by] != PASSED:
        return f"today's vectors are broken, see the gate {line.judged_by}"
    if not yesterday.expects(line):
        return _NO_VECTORS.format(line.name)
    return ""
