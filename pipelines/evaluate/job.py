"""Evaluate: how well the published vectors rank what people engaged with, or what judges graded, beside baselines.

    itemsage evaluate --store STORE --engagements E --image-root R      Recall@10 per task
    itemsage evaluate --store STORE --judgements J [--engagements E]    nDCG@10 over judged items

Engagements of the model's own training part (train, validation and gap of its split) are left out and counted; what is
made of them are baselines: the log remembered, BM25 over items and their queries, the nearest training photo, with the
catalogue's pictures or without, a vote of training photos, a probe.
The model before its training is measured beside it, as `start`.
`daily` reads no training pictures, counts no letters and embeds no item twice, so its report lacks those of photos,
character_tfidf and start.
A model's text encoder alone is a baseline, too, and each BM25 fused with it by reciprocal rank (`hybrid`).
The model's answers are exact; what the run's index makes of them, as searches get it, stands beside.
"""

import argparse
import importlib
import json
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pipelines.console.commands import COMMANDS
from pipelines.console.exit_codes import EXIT_USAGE
from pipelines.console.jobs import flag, main_of_alone
from pipelines.console.thresholds import LogThresholds
from pipelines.evaluate.evaluated_run import EvaluatedRun
from pipelines.evaluate.judgements import evaluate_judgements
from pipelines.evaluate.measure import NotEvaluatedError, evaluate_engagements
from pipelines.evaluate.plan import MAX_QUERIES, MAX_TRAINING_PICTURES, Evaluation, EvaluationRequest, plan_evaluation
from pipelines.evaluate.report import format_report, why_not_evaluated
from pipelines.evaluate.run_index import identity
from pipelines.log.dated_log import TIME_ZONE_HELP, tell_of_other_zone, zone_of
from pipelines.run.units import read_stage_manifest
from pipelines.stages import with_needs
from pipelines.store.models import ITEM_MODELS
from pipelines.store.store import current_run
from schemas.days import UTC_NAME, time_zone
from schemas.errors import CorruptFileError, UsageError
from schemas.files import read_json
from schemas.hashing import fingerprint
from schemas.quarantine import quote
from schemas.records.manifests import RunManifest

__all__ = ["evaluate_or_reuse", "evaluate_run", "format_report", "main"]

#: Raise it when the same items and engagements give another report.
CODE_VERSION = 8
#: The tasks of another command.
_ONE_EMBEDDING = "one-embedding"


@dataclass(frozen=True, kw_only=True)
class EvaluateConfig(LogThresholds):
    """Evaluates the published run on engagements or judgements (--tasks one-embedding: see evaluate-sources)."""

    store: str = flag(path=True, help="store folder")
    engagements: str | None = flag(path=True, default=None, help="engagements: a file, a folder of parts or a glob")
    image_root: str | None = flag(
        path=True, default=None, help="folder that closeup queries start from (with --engagements)"
    )
    judgements: str | None = flag(
        path=True,
        default=None,
        help="judgements: surface, query, item_id, grade; --engagements beside them is the log of the model's "
        "training, for its baselines",
    )
    date: str | None = flag(default=None, help="later engagements are left out; default: the run's date")
    time_zone: str | None = flag(default=None, help=f"{TIME_ZONE_HELP}; default: the run's")
    include_train: bool = flag(default=False, help="keep the model's own training part")
    max_queries: int = flag(default=MAX_QUERIES, help="distinct queries a task, sampled with a fixed seed")
    max_training_pictures: int = flag(
        default=MAX_TRAINING_PICTURES,
        help="query pictures of the model's training part that the picture baselines are made of, sampled with a fixed "
        "seed; 0: no such baselines",
    )
    json: bool = flag(default=False, help="print JSON")
    columns: dict[str, Any] = flag(default={}, help="our column name -> yours (table [columns] of --config)")

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.time_zone is not None:
            time_zone(self.time_zone)


def evaluate_run(run: Path, model: Path, **asked: Any) -> dict[str, Any]:
    """Recall@10 of a run whose embeddings are finished, published or not, as a report (see format_report). Writes
    nothing. asked: the fields of EvaluationRequest. Raises ThresholdError if nothing can be evaluated."""
    return evaluate_engagements(plan_evaluation(EvaluatedRun(run, model), EvaluationRequest(**asked)))


def evaluate_or_reuse(run: Path, model: Path, previous: Path | None, **asked: Any) -> tuple[dict[str, Any], bool]:
    """The report for metrics.json of a run that is not published yet, and whether it is `previous`'s: it is if all that
    it depends on is the same, and then neither a tower nor an image encoder is loaded and no known picture opened. Nor
    are they if the run has such a report of its own: that of an earlier call, whose gates failed.

    asked: the fields of EvaluationRequest. The report carries a "fingerprint" of what it depends on and a "checksum" of
    itself. Where nothing can be evaluated it is {"not_evaluated": why, "rows": counts, ...}. Leaves the vectors of
    query pictures in the run.
    """
    request = EvaluationRequest(**asked)
    planned = plan_evaluation(EvaluatedRun(run, model), request, previous)
    if planned.pictures is not None:
        planned.pictures.save()
    depends_on = evaluation_fingerprint(planned, request)
    known, is_of_previous = _known_report(run, previous, depends_on)
    report = _evaluate(planned) if known is None else _with_rows(known, planned.rows_read)
    report = {**report, "fingerprint": depends_on}
    return {**report, "checksum": fingerprint(report)}, is_of_previous


def _evaluate(planned: Evaluation) -> dict[str, Any]:
    """The report, or why there is none."""
    try:
        return evaluate_engagements(planned)
    except NotEvaluatedError as error:
        model_id = planned.evaluated.encoder.manifest["model_id"]
        return {"model_id": model_id, "not_evaluated": str(error), "rows": error.rows}


def evaluation_fingerprint(planned: Evaluation, request: EvaluationRequest) -> str:
    """Of everything that a report depends on: items, model, index, rows that count, the content of the query pictures.
    Not of dates, and not of files' names, places or times."""
    run, pictures = str(planned.evaluated.run), planned.pictures
    files = {
        stage: [
            [entry["path"], entry["sha256"]] for entry in read_stage_manifest(run, stage)["files"] if _is_data(entry)
        ]
        for stage in with_needs("embeddings")
    }
    return fingerprint(
        {
            "code_version": CODE_VERSION,
            "files": {stage: sorted(entries) for stage, entries in files.items()},
            "index": identity(planned.evaluated.run),
            "model_id": planned.evaluated.encoder.manifest["model_id"],
            "options": [
                *(request.include_train, request.max_queries, request.max_training_pictures),
                *(request.letters, request.start),
            ],
            "pictures": None if pictures is None else [pictures.encoder_id, pictures.judged_with, pictures.states()],
            "rows": planned.rows_hash,
        }
    )


def _is_data(entry: dict[str, Any]) -> bool:
    """Of a stage's files, what evaluation reads: quarantine names its run, fingerprints hold modification times."""
    return entry["path"].partition("/")[0] in with_needs("embeddings")


def _known_report(run: Path, previous: Path | None, depends_on: str) -> tuple[dict[str, Any] | None, bool]:
    """The report that the run itself, else `previous`, has of all this, and whether it is `previous`'s."""
    own = _earlier_report(run / "metrics.json", depends_on)
    if own is not None or previous is None:
        return own, False
    report = _earlier_report(previous / "metrics.json", depends_on)
    return report, report is not None


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
    if config.engagements is None and config.judgements is None:
        raise UsageError("expected --engagements or --judgements, got neither")
    folder = current_run(config.store)
    manifest = RunManifest.read(folder)
    model = ITEM_MODELS.folder(config.store, manifest.model_id)
    day = {"date": config.date or manifest.text("date"), "time_zone": _zone_of_days(config, folder)}
    if config.judgements is None:
        report = evaluate_run(folder, model, **_asked(config, day))
    else:
        evaluated = EvaluatedRun(folder, model)
        log = None
        if config.engagements is not None:  # no query picture is judged
            log = plan_evaluation(evaluated, EvaluationRequest(**{**_asked(config, day), "image_root": None}))
        report = evaluate_judgements(
            evaluated, config.judgements, date=day["date"], columns=config.columns, thresholds=config, log=log
        )
    print(json.dumps(report, indent=1, sort_keys=True) if config.json else format_report(report))
    return report


def _zone_of_days(config: EvaluateConfig, run: Path) -> str:
    """The time zone that is given, else the run's. Says so if they differ."""
    made_in = zone_of(run / "manifest.json") or UTC_NAME
    if config.engagements is not None and not config.json:
        tell_of_other_zone(f"the run {run}", made_in, config.time_zone or made_in)
    return config.time_zone or made_in


def _asked(config: EvaluateConfig, day: Mapping[str, str]) -> dict[str, Any]:
    """The fields of EvaluationRequest. day: of which, date and time_zone."""
    return {
        "engagements": config.engagements,
        "image_root": config.image_root,
        **day,
        "columns": config.columns,
        "include_train": config.include_train,
        "max_queries": config.max_queries,
        "max_training_pictures": config.max_training_pictures,
        "letters": True,
        "start": True,
        "log_thresholds": config,
    }


def _of_tasks(tasks: str, arguments: Sequence[str]) -> int:
    """Hands over to the command that has these tasks; returns its exit code."""
    if tasks != _ONE_EMBEDDING:
        print(f"error: expected --tasks {_ONE_EMBEDDING}, got {quote(tasks)}", file=sys.stderr)
        return EXIT_USAGE
    module, _ = COMMANDS["evaluate-sources"]
    return int(importlib.import_module(module).main(arguments))


def main(argv: Sequence[str] | None = None) -> int:
    """Command line of the job; returns its exit code. `--tasks one-embedding` is the command evaluate-sources, whose
    flags are the others then."""
    parser = argparse.ArgumentParser(add_help=False, allow_abbrev=False)
    parser.add_argument("--tasks", nargs="?", const="")
    given, arguments = parser.parse_known_args(list(sys.argv[1:] if argv is None else argv))
    if given.tasks is not None:
        return _of_tasks(given.tasks, arguments)
    example = "itemsage evaluate --store store --engagements shop/engagements.parquet --image-root shop"
    return main_of_alone(EvaluateConfig, run, arguments, "itemsage evaluate", example)
