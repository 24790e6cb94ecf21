"""Ablate: the papers' tables on a shop's own data: what each part of the model is worth, over several seeds.

    itemsage ablate --catalog C --engagements E --image-root R --work FOLDER --date D --out results-items.md

    ingest .. pairs        once for each way of making the data
    a training             for each row and seed, its step chosen on validation pairs
    Recall@10 and MRR      on the test part, which nothing is chosen by
    tables                 each with the paper's finding, and whether it holds here

Everything is kept in the work folder: a call that was killed continues, and one that asks for more tables or seeds
trains only what is new.
"""

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

import numpy as np
from apache_beam.options.pipeline_options import PipelineOptions

from model.items.config import ItemSageConfig
from model.training.config import TrainingConfig
from model.training.validation import RECALL_AT, choice_by
from pipelines.ablate.measure import Results, Training, make_training, measured_pairs, pooled
from pipelines.ablate.registry import TABLES, make_tables, names_of
from pipelines.ablate.report import format_page, table_figures
from pipelines.ablate.tables import Facts, Row
from pipelines.console.jobs import flag, main_of, narrow, print_summary, shown_call
from pipelines.console.progress import Progress
from pipelines.console.terminal import print_page
from pipelines.store.lock import store_lock
from pipelines.train import job as train
from pipelines.train.checks import check_early
from pipelines.train.flags import TrainingFlags
from pipelines.train.prepared_run import PreparedRun
from schemas.errors import ThresholdError, UsageError
from schemas.files import write_json, write_text
from schemas.hashing import fingerprint
from schemas.tables import PSEUDO_TASK

EXAMPLE = (
    "itemsage ablate --catalog shop/catalog.parquet --engagements shop/engagements.parquet --image-root shop "
    "--work ablation --date 2026-06-30 --image-encoder efficientnet_lite0 --tables aggregators,negatives "
    "--out docs/results-items.md"
)


@dataclass(frozen=True, kw_only=True)
class AblateConfig(TrainingFlags):
    """Measures what each part of the model is worth: the papers' tables on a shop's own data."""

    work: str = flag(path=True, help="folder of prepared data, checkpoints and results; a later call goes on there")
    seeds: int = flag(default=3, help="trainings of each row, with the seeds --seed, --seed + 1, ...")
    tables: str = flag(default="", help=f"of {', '.join(TABLES)}; default: all", by_commas=True)
    out: str | None = flag(
        path=True, default=None, help="Markdown file, JSON beside it; default: results-items.md in --work"
    )

    def train_config(self, preparation: Mapping[str, str]) -> train.TrainConfig:
        """The training that the flags tell, on data made by these other flags."""
        return narrow(train.TrainConfig, self, store=self.work, **preparation)


def run(config: AblateConfig, options: PipelineOptions) -> dict[str, Any]:
    """Makes what is missing, writes the page and its JSON, and returns the latter.

    Raises UsageError for a wrong call, ThresholdError if the data fail a gate of `itemsage train` or the test part has
    no engagement.
    """
    started_s = time.monotonic()
    names = names_of(config.tables)
    _check(config)
    with store_lock(config.work, "ablate"):
        runs = PreparedRuns(config, options)
        base = runs.of({})
        tables, left_out = make_tables(names, facts_of(base))
        seeds = range(config.seed, config.seed + config.seeds)
        trainings = {
            table.name: {row.name: [runs.training(row, seed) for seed in seeds] for row in table.rows}
            for table in tables
        }
        results = Results(Path(config.work))
        num_made, num_known = _make(results, trainings)
        made_tables = [
            table_figures(table, {row: list(map(results.of, of_row)) for row, of_row in trainings[table.name].items()})
            for table in tables
        ]
    report = {**_about(config, base), "tables": made_tables, "left_out": left_out}
    out = Path(config.out or Path(config.work, "results-items.md"))
    page = format_page(report)
    print_page(page)
    write_text(out, page)
    write_json(out.with_suffix(".json"), report)
    counts = {"tables": len(tables), "left_out": len(left_out), "trainings": num_made, "reused": num_known}
    print_summary("ablate", counts, started_s, str(out))
    return report


class PreparedRuns:
    """The run folders of a call: one for each way of making the data, made when it is first asked for."""

    def __init__(self, config: AblateConfig, options: PipelineOptions):
        self._config, self._options = config, options
        self._opened: dict[str, PreparedRun] = {}
        self._first: str | None = None

    def of(self, preparation: Mapping[str, str]) -> PreparedRun:
        """The data made with these flags beside the call's."""
        name = self._name(preparation)
        if name not in self._opened:
            folder = str(Path(self._config.work, "preparations", name))
            print(f"ablate: data in {folder}{_flags(preparation)}", flush=True)
            train.prepare(self._config.train_config(preparation), self._options, folder, self._first)
            self._first = self._first or folder
            self._opened[name] = PreparedRun.open(folder, with_test=True)
        return self._opened[name]

    def training(self, row: Row, seed: int) -> Training:
        """The training of a row with one seed."""
        prepared = self.of(row.preparation)
        model = narrow(ItemSageConfig, self._config, **prepared.sizes)
        return make_training(prepared, row, model, self._config.training_config(), seed)

    def _name(self, preparation: Mapping[str, str]) -> str:
        of_training = {field.name for kind in (TrainingConfig, ItemSageConfig) for field in fields(kind)}
        return fingerprint(train.identity(self._config.train_config(preparation), of_training - {"seed"}))


def facts_of(prepared: PreparedRun) -> Facts:
    """What the tables depend on. Raises ThresholdError if the test part has no engagement."""
    test = measured_pairs(prepared)
    if len(test) == 0:
        raise ThresholdError(
            "expected engagements in the test part of the split, got pseudo-queries alone: a longer log, or a higher "
            "--test-fraction or --item-test-fraction"
        )
    trained = prepared.data.train.num_pairs_by_task()
    return Facts(
        tasks={task: count for task, count in trained.items() if task in test.tasks},
        has_pictures=prepared.sizes["picture_dim"] > 0,
        has_pseudo_queries=PSEUDO_TASK in trained,
    )


def _check(config: AblateConfig) -> None:
    """Raises UsageError for what would otherwise be found out after minutes of work."""
    if config.seeds < 1:
        raise UsageError(f"expected --seeds of at least 1, got {config.seeds}")
    if config.out is not None and Path(config.out).suffix == ".json":
        raise UsageError(f"expected --out to name a Markdown file, got {config.out!r}, which is where its JSON goes")
    if config.engagements is None:
        raise UsageError("expected --engagements, got none: the tables are measured on what people engaged with")
    by_days = config.split == "time" and config.test_days is not None
    if not (config.test_days if by_days else config.test_fraction):
        raise UsageError(
            f"expected a test part, which the tables are measured on, got --test-{'days' if by_days else 'fraction'} 0"
        )
    check_early(config.train_config({}))


def _make(results: Results, trainings: Mapping[str, Mapping[str, Sequence[Training]]]) -> tuple[int, int]:
    """Makes the missing results, saying how far it is; returns how many were missing and how many were there.
    trainings: by table and row."""
    named: dict[str, str] = {}
    distinct: dict[str, Training] = {}
    for table, rows in trainings.items():
        for row, of_row in rows.items():
            for training in of_row:
                named.setdefault(training.key, f"{table}: {row}, seed {training.model.seed}")
                distinct.setdefault(training.key, training)
    missing = [training for training in distinct.values() if not results.has(training)]
    num_known = len(distinct) - len(missing)
    print(f"ablate: {len(missing)} trainings to make, {num_known} known from earlier calls", flush=True)
    progress = Progress("ablate", "trainings", len(missing))
    for number, training in enumerate(missing, 1):
        result = results.make(training)
        progress.advance()
        by_task = result["dims"][str(training.model.output_dim)]
        print(
            f"ablate: {number} of {len(missing)}: {named[training.key]}: Recall@{RECALL_AT} "
            f"{pooled(by_task, 'recall'):.3f}, step {result['best_step']} of {result['steps']}, "
            f"{result['seconds']:.0f} s",
            flush=True,
        )
    progress.close()
    return len(missing), num_known


def _about(config: AblateConfig, prepared: PreparedRun) -> dict[str, Any]:
    """What the page begins with."""
    data, test = prepared.data, measured_pairs(prepared)
    return {
        "command": shown_call("itemsage ablate", config, left_out=("work", "device")),
        "items": len(data.items),
        "train_pairs": data.train.num_pairs_by_task(),
        "test": {
            "pairs": len(test),
            "queries": len(np.unique(np.asarray(test.query_P))),
            "by_task": test.num_pairs_by_task(),
        },
        "chosen_by_validation": choice_by(data.validation).by_validation,
        "split": config.split,
        "seeds": config.seeds,
    }


def _flags(preparation: Mapping[str, str]) -> str:
    return "".join(f", {name.replace('_', ' ')} {value}" for name, value in preparation.items())


def main(argv: Sequence[str] | None = None) -> int:
    """Command line of the job; returns its exit code."""
    return main_of(AblateConfig, run, argv, "itemsage ablate", EXAMPLE)
