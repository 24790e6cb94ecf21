"""Train: catalogue + engagements -> ingest -> vocabulary -> features -> pairs -> a model in the store.

    itemsage train --catalog C --engagements E --image-root R --store S --date D --image-encoder resnet50

The stages write to `<store>/training/<date>/<id>/`; the same call finds its unfinished work, checkpoints included.
Data that fail daily's gates on rejected rows and pictures train no model, and one that validation finds no better than
its start is not installed. Without a test part the model is trained once more, on the validation part too (--refit).

Several processes train as one: `torchrun --nproc-per-node 2 -m pipelines.train ...`; the first makes the features.
"""

import contextlib
import time
from collections.abc import Collection, Sequence
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any

from apache_beam.options.pipeline_options import PipelineOptions

from model.items.itemsage import ItemSage
from model.items.store import install_model, save_model
from model.split.split import NO_LOG, Split
from model.training.config import TrainingResult
from model.training.distributed import process_group, wait_for_all
from model.training.train import resolve_device
from pipelines.console.jobs import flag, main_of
from pipelines.console.paths import given_values
from pipelines.console.thresholds import LogThresholds
from pipelines.gates.counts import COVERED_STAGES
from pipelines.run.stage import RunCall, run_in_turn
from pipelines.run.units import read_stage_manifest
from pipelines.stages import SOURCES, STAGES
from pipelines.store import store
from pipelines.store.lock import store_lock
from pipelines.store.models import ITEM_MODELS
from pipelines.store.yesterday import previous_run
from pipelines.train.checks import (
    check_early,
    check_lists_pictures,
    require_better_than_start,
    require_little_rejected,
)
from pipelines.train.flags import TrainingFlags
from pipelines.train.model import checkpoints, distilled, print_lines, started, train_chosen, train_on_everything
from pipelines.train.prepared_run import query_table_folder
from pipelines.train.report import trained_on_text_alone, why_untrained
from schemas import storage
from schemas.days import end_of_day_us
from schemas.errors import printable
from schemas.files import expand_inputs
from schemas.reading.input_files import input_identity

CODE_VERSION = 7
#: Flags that do not change the features, the pairs and the first training: where things lie, what is let pass, and
#: what comes after.
_PLACES = ("catalog", "engagements", "image_weights", "query_vectors", "store", "date", "time_zone", "device")
_GATES = (
    "accept",
    "accept_untrained",
    "because",
    "max_quarantined_rows",
    "max_quarantined_pictures",
    *(field.name for field in fields(LogThresholds)),
)


@dataclass(frozen=True, kw_only=True)
class TrainConfig(TrainingFlags):
    """Trains a model on a shop's catalogue and engagements and puts it into the store."""

    store: str = flag(path=True, help="store folder")
    accept_untrained: bool = flag(
        default=False, help="install the start as the model if validation finds no step better than it"
    )
    refit: str = flag(
        default="auto",
        choices=("auto", "on", "off"),
        help="after the step is chosen, train again on the validation part too; auto: if there is no test part",
    )
    sources: str = flag(
        default="",
        help=f"other item vectors to learn too, of {', '.join(SOURCES)}, separated by commas; default: none",
        by_commas=True,
    )


def run(config: TrainConfig, options: PipelineOptions) -> str:
    """Runs every stage that is not finished yet, trains, installs the model; returns the model id.

    Raises UsageError for a wrong call, ThresholdError if the data fail a gate, UntrainedModelError if validation found
    no step better than the start: the store then keeps the model it has, if any.
    """
    started_s = time.monotonic()
    check_early(config)
    folder = store.run_folder(config.store, config.date, identity(config), kind="training")
    accepted: dict[str, str] = {}
    with process_group(resolve_device(config.device).type) as processes, contextlib.ExitStack() as held:
        if processes.rank == 0:
            held.enter_context(store_lock(config.store, f"train {config.date}", name="training/LOCK"))
            print(f"training run of {config.date} in {folder}", flush=True)
            accepted = prepare(config, options, str(folder))
        wait_for_all(processes)
        show = processes.rank == 0
        start = started(config, folder)
        for is_turn in (processes.rank == 0, processes.rank > 0):  # what the first has made, the others read
            if is_turn:
                taught = distilled(config, folder, start, show)
            wait_for_all(processes)
        model, result = train_chosen(config, folder, taught, show)
        wait_for_all(processes)  # one that is refused ends the others: the first has printed by then
        require_better_than_start(config, result, checkpoints(folder))
        refitted = train_on_everything(config, folder, taught, result, show)
        if processes.rank == 0:
            model, refit = (model, None) if refitted is None else refitted
            installed = _install(config, folder, start, model, result, refit, accepted)
            print(f"train: model {installed.name}; {time.monotonic() - started_s:.1f} s; {installed}", flush=True)
        wait_for_all(processes)
    return ITEM_MODELS.current(config.store)


def _install(
    config: TrainConfig,
    folder: Path,
    start: ItemSage,
    model: ItemSage,
    result: TrainingResult,
    refit: TrainingResult | None,
    accepted: dict[str, str],
) -> Path:
    """Writes the model folder, moves it to its place, makes it the store's model. Says so if the model is no better
    than its start. result: of the training that was validated; refit: of the model's own, if it is another. accepted:
    gate -> reason."""
    if result.is_better_than_start is False:
        print_lines([f"WARNING: an untrained model is installed (--accept-untrained): {why_untrained(result)}"])
    temporary = folder / ".model"
    storage.remove_folder(temporary, ignore_errors=True)  # of a run that was killed while it wrote
    save_model(
        model,
        temporary,
        vocabulary_folder=folder / "vocabulary",
        image_encoder_folder=folder / "image_encoder" if model.config.picture_dim else None,
        text_encoder_folder=folder / "text_encoder" if model.config.text_dim else None,
        query_table_folder=query_table_folder(folder),
        towers=towers_of((refit or result).num_pairs_by_task),
        split=Split.load(folder / "pairs"),
        start=start,
        metrics=asdict(result) | {"refit": None if refit is None else asdict(refit)},
        facts={
            "accepted": accepted,
            "above_start": result.above_start,
            "better_than_start": result.is_better_than_start,
            "log_end_us": end_of_day_us(config.date, config.time_zone),
            "within_noise": result.is_within_noise,
            "refit": refit is not None,
            "trained_on": {stage: read_stage_manifest(str(folder), stage)["counts"] for stage in COVERED_STAGES},
            "training_run": folder.relative_to(config.store).as_posix(),
        },
    )
    installed = install_model(temporary, Path(config.store, "models"))
    ITEM_MODELS.make_current(config.store, installed.name)
    return installed


def prepare(
    config: TrainConfig, options: PipelineOptions, folder: str, reuse_from: str | None = None
) -> dict[str, str]:
    """The stages of a training run up to the pairs; what is finished is skipped. Returns the gates that
    failed and are accepted, with the reason. reuse_from: the run that features are taken over from; default: the
    store's published one.

    Raises UsageError for an image encoder without pictures, ThresholdError if a stage rejects too much.
    """
    previous = previous_run(config.store) if reuse_from is None else Path(reuse_from)
    call = RunCall(config=config, run=folder, previous=previous)
    counts: dict[str, dict[str, int]] = {}
    accepted: dict[str, str] = {}
    for line, manifest, _ in run_in_turn(call, [line for line in STAGES if line.training(config)], options):
        counts[line.name] = manifest["counts"]
        if line.stops:
            covered = [counts[name] for name in COVERED_STAGES if name in counts]
            accepted = require_little_rejected(config, folder, *covered, log=counts.get("log"))
        if line.name == "items":
            check_lists_pictures(config, manifest["counts"]["pictures_listed"])
        if line.name == "features":
            print_lines([f"accepted {name}: {printable(reason)}" for name, reason in accepted.items()])
        if line.name == "pairs" and manifest["split"]["kind"] == NO_LOG:
            print_lines([trained_on_text_alone(config.engagements)])
    return accepted


def towers_of(num_pairs_by_task: dict[str, int]) -> dict[str, dict[str, int]]:
    """Training pairs of each task, by the query tower that learns from them.

    >>> towers_of({"search/click": 3, "closeup/save": 0})
    {'text': {'search/click': 3}, 'picture': {}}
    """
    towers: dict[str, dict[str, int]] = {"text": {}, "picture": {}}
    for task, count in num_pairs_by_task.items():
        if count:
            towers["picture" if task.startswith("closeup/") else "text"][task] = count
    return towers


def identity(config: TrainConfig, left_out: Collection[str] = ()) -> dict[str, Any]:
    """Of all that comes out of a training run; left_out: flags that do not count."""
    inputs = {"catalog": input_identity(expand_inputs(config.catalog, config.date))}
    if config.engagements is not None:
        inputs["engagements"] = input_identity(expand_inputs(config.engagements, config.date))
    if config.query_vectors is not None:
        inputs["query_vectors"] = input_identity(expand_inputs(config.query_vectors, config.date))
    if config.image_weights is not None:
        inputs["image_weights"] = input_identity([config.image_weights])
    names = given_values(config).keys() - {*_PLACES, *_GATES, *left_out, "refit", "sources"}
    kept = {name: value for name, value in given_values(config).items() if name in names}
    day = {"date": config.date, "time_zone": config.time_zone}
    return {"code_version": CODE_VERSION, "config": kept, **day, "inputs": inputs}


def main(argv: Sequence[str] | None = None) -> int:
    """Command line of the job; returns its exit code."""
    example = (
        "itemsage train --catalog shop/catalog.parquet --engagements shop/engagements.parquet "
        "--image-root shop --store store --date 2026-06-30 --image-encoder efficientnet_lite0"
    )
    return main_of(TrainConfig, run, argv, "itemsage train", example)
