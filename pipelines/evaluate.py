"""Evaluate: how well the published vectors rank what people engaged with, or what judges graded, beside baselines.

    itemsage evaluate --store STORE --engagements E --image-root R      Recall@10 per task
    itemsage evaluate --store STORE --judgements J                      nDCG@10 over judged items

Engagements of the model's own training part (train, validation and gap of its split) are left out and counted.
"""

import json
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pipelines.evaluation.evaluated_run import EvaluatedRun
from pipelines.evaluation.measure import (
    Evaluation,
    NotEvaluatedError,
    evaluate_engagements,
    evaluate_judgements,
    plan_evaluation,
)
from pipelines.evaluation.report import format_report, why_not_evaluated
from pipelines.jobs import flag, main_of_alone
from pipelines.store import current_run, model_folder
from pipelines.units import read_stage_manifest
from schemas.errors import CorruptFileError, UsageError
from schemas.files import read_json
from schemas.hashing import fingerprint

__all__ = ["evaluate_or_reuse", "evaluate_run", "format_report", "main"]

#: Raise it when the same items and engagements give another report.
CODE_VERSION = 1
MAX_QUERIES = 2_000


@dataclass(frozen=True, kw_only=True)
class EvaluateConfig:
    """Evaluates the published run on engagements or judgements."""

    store: str = flag(help="store folder")
    engagements: str | None = flag(default=None, help="engagements: a file, a folder of parts or a glob")
    image_root: str | None = flag(default=None, help="folder that closeup queries start from (with --engagements)")
    judgements: str | None = flag(default=None, help="judgements: surface, query, item_id, grade")
    date: str | None = flag(default=None, help="later engagements are left out; default: the run's date")
    include_train: bool = flag(default=False, help="keep the model's own training part")
    max_queries: int = flag(default=MAX_QUERIES, help="distinct queries a task, sampled with a fixed seed")
    json: bool = flag(default=False, help="print JSON")
    columns: dict[str, str] = flag(default={}, help="our column name -> yours (table [columns] of --config)")


def evaluate_run(
    run: Path,
    model: Path,
    *,
    engagements: str,
    image_root: str | None,
    date: str | None,
    columns: dict[str, str],
    include_train: bool = False,
    max_queries: int = MAX_QUERIES,
) -> dict[str, Any]:
    """Recall@10 of a run whose embeddings are finished, published or not, as a report (see format_report). Writes
    nothing. Raises ThresholdError if nothing can be evaluated."""
    planned = plan_evaluation(
        EvaluatedRun(run, model),
        engagements,
        image_root=image_root,
        date=date,
        columns=columns,
        include_train=include_train,
        max_queries=max_queries,
    )
    return evaluate_engagements(planned)


def evaluate_or_reuse(
    run: Path,
    model: Path,
    previous: Path | None,
    *,
    engagements: str,
    image_root: str | None,
    date: str | None,
    columns: dict[str, str],
    verify_images: bool = False,
    include_train: bool = False,
    max_queries: int = MAX_QUERIES,
) -> tuple[dict[str, Any], bool]:
    """The report for metrics.json of a run that is not published yet, and whether it is `previous`'s: it is if all that
    it depends on is the same, and then neither a tower nor an image encoder is loaded and no known picture opened.

    The report carries a "fingerprint" of what it depends on and a "checksum" of itself. Where nothing can be evaluated
    it is {"not_evaluated": why, "rows": counts, ...}. Leaves the vectors of query pictures in the run.
    """
    planned = plan_evaluation(
        EvaluatedRun(run, model),
        engagements,
        image_root=image_root,
        date=date,
        columns=columns,
        include_train=include_train,
        max_queries=max_queries,
        previous=previous,
        verify_images=verify_images,
    )
    if planned.pictures is not None:
        planned.pictures.save()
    depends_on = evaluation_fingerprint(planned, include_train, max_queries)
    report = None if previous is None else _earlier_report(previous / "metrics.json", depends_on)
    if reused := report is not None:
        report = _with_rows(report, planned.rows_read)
    else:
        try:
            report = evaluate_engagements(planned)
        except NotEvaluatedError as error:
            report = {"not_evaluated": str(error), "rows": error.rows}
    report = {**report, "fingerprint": depends_on}
    return {**report, "checksum": fingerprint(report)}, reused


def evaluation_fingerprint(planned: Evaluation, include_train: bool, max_queries: int) -> str:
    """Of everything that a report depends on: items, model, the rows that count, the content of the query pictures.
    Not of dates, and not of files' names, places or times."""
    run, pictures = str(planned.evaluated.run), planned.pictures
    files = {
        stage: [
            [entry["path"], entry["sha256"]] for entry in read_stage_manifest(run, stage)["files"] if _is_data(entry)
        ]
        for stage in ("items", "features", "embeddings")
    }
    return fingerprint(
        {
            "code_version": CODE_VERSION,
            "files": {stage: sorted(entries) for stage, entries in files.items()},
            "model_id": planned.evaluated.encoder.manifest["model_id"],
            "options": [include_train, max_queries],
            "pictures": None if pictures is None else [pictures.encoder_id, pictures.states()],
            "rows": planned.rows_hash,
        }
    )


def _is_data(entry: dict[str, Any]) -> bool:
    """Of a stage's files, what evaluation reads: quarantine names its run, fingerprints hold modification times."""
    return entry["path"].startswith(("items/", "features/", "embeddings/"))


def _earlier_report(path: Path, depends_on: str) -> dict[str, Any] | None:
    """The report at `path` without fingerprint and checksum, if it has this fingerprint and is as it was written."""
    try:
        report = dict(read_json(path))
        if report.pop("checksum") != fingerprint(report):
            print(f"evaluate: computed again, not taken over from {path}: it is not as it was written", file=sys.stderr)
            return None
        return report if report.pop("fingerprint") == depends_on else None
    except (CorruptFileError, KeyError, OSError, TypeError, ValueError):  # absent, not JSON, another shape
        return None


def _with_rows(report: dict[str, Any], rows_read: Mapping[str, int]) -> dict[str, Any]:
    """An earlier report with today's counts of the engagement files: other rows than those that count may have come."""
    rows = {**report["rows"], **rows_read}
    return {**report, "rows": rows} | ({"not_evaluated": why_not_evaluated(rows)} if "not_evaluated" in report else {})


def run(config: EvaluateConfig) -> dict[str, Any]:
    """Evaluates the published run and prints the report, which it returns."""
    if (config.engagements is None) == (config.judgements is None):
        raise UsageError("expected either --engagements or --judgements, got both or neither")
    folder = current_run(config.store)
    manifest = read_json(folder / "manifest.json")
    model = model_folder(config.store, manifest["model_id"])
    if config.engagements is not None:
        report = evaluate_run(
            folder,
            model,
            engagements=config.engagements,
            image_root=config.image_root,
            date=config.date or manifest["date"],
            columns=config.columns,
            include_train=config.include_train,
            max_queries=config.max_queries,
        )
    else:
        assert config.judgements is not None
        date = config.date or manifest["date"]
        report = evaluate_judgements(EvaluatedRun(folder, model), config.judgements, date=date, columns=config.columns)
    print(json.dumps(report, indent=1, sort_keys=True) if config.json else format_report(report))
    return report


def main(argv: Sequence[str] | None = None) -> int:
    """Command line of the job; returns its exit code."""
    example = "itemsage evaluate --store store --engagements shop/engagements.parquet --image-root shop"
    return main_of_alone(EvaluateConfig, run, argv, "itemsage evaluate", example)


if __name__ == "__main__":
    sys.exit(main())
