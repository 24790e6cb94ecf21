"""Evaluate: how well the published vectors rank what people engaged with, or what judges graded, beside baselines.

    itemsage evaluate --store STORE --engagements E --image-root R      Recall@10 per task
    itemsage evaluate --store STORE --judgements J                      nDCG@10 over judged items

Engagements of the model's own training part (train, validation and gap of its split) are left out and counted.
"""

import json
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pipelines.evaluated_run import EvaluatedRun
from pipelines.evaluation_report import format_report
from pipelines.evaluation_run import evaluate_engagements, evaluate_judgements
from pipelines.jobs import flag, main_of_alone
from pipelines.store import current_run, model_folder
from schemas.errors import UsageError
from schemas.files import read_json

__all__ = ["evaluate_run", "format_report", "main"]


@dataclass(frozen=True, kw_only=True)
class EvaluateConfig:
    """Evaluates the published run on engagements or judgements."""

    store: str = flag(help="store folder")
    engagements: str | None = flag(default=None, help="engagements: a file, a folder of parts or a glob")
    image_root: str | None = flag(default=None, help="folder that closeup queries start from (with --engagements)")
    judgements: str | None = flag(default=None, help="judgements: surface, query, item_id, grade")
    date: str | None = flag(default=None, help="later engagements are left out; default: the run's date")
    include_train: bool = flag(default=False, help="keep the model's own training part")
    max_queries: int = flag(default=2_000, help="distinct queries a task, sampled with a fixed seed")
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
    max_queries: int = 2_000,
) -> dict[str, Any]:
    """Recall@10 of a run whose embeddings are finished, published or not, as a report (see format_report)."""
    return evaluate_engagements(
        EvaluatedRun(run, model),
        engagements,
        image_root=image_root,
        date=date,
        columns=columns,
        include_train=include_train,
        max_queries=max_queries,
    )


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
