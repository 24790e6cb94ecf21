"""What `itemsage train` refuses, as early as it can know: wrong flags and columns before any work, pictures that nobody
lists after ingest, too much that was rejected between the stages, a model that is no better than its start."""

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from model.items.config import ItemSageConfig
from model.pictures.image_encoder_spec import image_encoder_spec
from model.split.split import SplitConfig
from model.text.text_encoder_spec import text_encoder_spec
from model.text.typos import check_typo_share
from model.training.config import TrainingResult
from model.training.run import METRICS_NAME
from model.training.train import check_nested_dims
from pipelines.console.jobs import names_once, narrow
from pipelines.features.encoders import NO_ENCODER
from pipelines.features.plan import check_image_root
from pipelines.gates.judge import TRAINING, GateThresholds, check_quarantine_share, require_passed, write_report
from pipelines.gates.results import ACCEPTED, check_accepted
from pipelines.stages import named_sources, require_engagements
from pipelines.store.models import ITEM_MODELS
from pipelines.train.report import why_untrained
from schemas.columns.mapping import catalogue_columns, catalogue_schema, offered_name, table_columns
from schemas.columns.spec import Columns, column_of
from schemas.errors import ThresholdError, UsageError
from schemas.files import expand_inputs
from schemas.quarantine import quote
from schemas.reading.input_files import check_columns, column_names, format_of
from schemas.reading.snapshots import catalogue_files
from schemas.records.query_vectors import check_query_vectors
from schemas.tables import CATALOGUE, ENGAGEMENTS

if TYPE_CHECKING:
    from pipelines.train.job import TrainConfig


class UntrainedModelError(ThresholdError):
    """Validation found no step of a training better than its start."""


def check_early(config: "TrainConfig") -> None:
    """Raises UsageError for what would otherwise be found out after minutes of work: numbers, paths, columns, an image
    encoder without pictures, weights, a text encoder and query vectors that cannot be read."""
    if config.engagements is None and config.pseudo_queries == 0:
        raise UsageError(
            "expected --engagements or --pseudo-queries above 0, got neither: there is nothing to learn from"
        )
    names_once(config.sources, "--sources")
    require_engagements(named_sources(config.sources), config.engagements)
    check_typo_share(config.typo_share)
    narrow(ItemSageConfig, config, vocabulary_size=1, picture_dim=int(config.image_encoder != NO_ENCODER))
    check_nested_dims(config.training_config().nested_dims, config.output_dim)
    narrow(SplitConfig, config, kind=config.split)
    narrow(GateThresholds, config)
    check_accepted(config.accepted())
    check_image_root(config.image_root)
    catalogue = catalogue_files(config.catalog, config.date)
    columns = catalogue_columns(config.columns, config.group_rows)
    check_columns(catalogue, columns, catalogue_schema(columns))
    if not any(_may_list_pictures(path, columns) for path in catalogue):
        check_lists_pictures(config, 0)
    if config.engagements is not None:
        files = expand_inputs(config.engagements, config.date)
        check_columns(files, table_columns(config.columns, "engagements"), ENGAGEMENTS)
    if config.query_vectors is not None:
        check_query_vectors(expand_inputs(config.query_vectors, config.date))
    if config.image_encoder != NO_ENCODER:
        image_encoder_spec(
            config.image_encoder, config.image_weights, config.image_weights_name, config.image_weights_sha256
        )
    if config.text_encoder is not None:
        text_encoder_spec(config.text_encoder, config.device, config.text_dtype)


def check_lists_pictures(config: "TrainConfig", num_listed: int) -> None:
    """Raises UsageError for an image encoder if the catalogue lists no picture."""
    if config.image_encoder == NO_ENCODER or num_listed:
        return
    columns = table_columns(config.columns, "catalogue")
    sources = column_of(columns, "images").source
    theirs = {name for path in expand_inputs(config.catalog, config.date) for name in column_names(path)}
    wanted = sources[0] if sources else "images"
    mapped = {source for name in columns for source in column_of(columns, name).source}
    free = sorted(theirs - mapped)
    near = None if wanted in theirs else offered_name("images", wanted, free, CATALOGUE)
    column = "" if wanted in theirs else f" in a column {quote(wanted)}"
    hint = f" (is it {quote(near)}?)" if near is not None else ""
    raise UsageError(
        f"expected pictures for the image encoder {config.image_encoder}, got a catalogue that lists none{column}"
        f"{hint} in {config.catalog}: map the column, in the config: [columns] images = "
        f'"{near or "your name"}"; or give --image-encoder none for a shop without pictures'
    )


def require_little_rejected(
    config: "TrainConfig", folder: str, *stage_counts: Mapping[str, int], log: Mapping[str, int] | None
) -> dict[str, str]:
    """The gates of `itemsage daily` on rejected rows and pictures and on the log, from the counts of the stages that
    are finished (log: None if it is not); those that somebody accepts, with the reason. Writes <folder>/gates.json.
    Raises ThresholdError if one fails."""
    thresholds = narrow(GateThresholds, config)
    results = check_quarantine_share(*stage_counts, log=log, thresholds=thresholds, accepted=config.accepted())
    write_report(Path(folder), None, thresholds, results)
    require_passed(results, Path(folder), TRAINING, has_another=ITEM_MODELS.has_current(config.store))
    return {result.name: str(result.accepted_reason) for result in results if result.status == ACCEPTED}


def require_better_than_start(config: "TrainConfig", result: TrainingResult, checkpoints: Path) -> None:
    """Raises UntrainedModelError if no step was better than the start, unless that is accepted. A training that could
    not be compared passes. checkpoints: the folder that the training worked in."""
    if result.is_better_than_start is not False or config.accept_untrained:
        return
    kept = "keeps the one it has" if ITEM_MODELS.has_current(config.store) else "has none"
    raise UntrainedModelError(
        f"expected a training with a step that validation finds better than its start, got {why_untrained(result)}. "
        f"The model is not installed: the store {kept}. To do: train on more pairs (a longer log, more "
        "--pseudo-queries), hold out more of them (--validation-fraction), try another --learning-rate or fewer "
        f"--epochs; {checkpoints / METRICS_NAME} has the curve. The same call with --accept-untrained installs the "
        "start as it is, without training again"
    )


def _may_list_pictures(path: str, columns: Columns) -> bool:
    """False if the file's header says that there are none; the first rows of JSON and feeds do not tell."""
    sources = column_of(columns, "images").source
    return format_of(path) in ("json", "rss") or not set(sources).isdisjoint(column_names(path))
