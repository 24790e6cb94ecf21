"""The daily run: ingest -> (log) -> features -> embed -> index -> (users, evaluate) -> gates -> publish, with the
store's model.

    itemsage daily --catalog CATALOG --image-root IMAGES --store STORE --date 2026-06-30

The run folder's name is a hash of everything that went in: the same call finds its unfinished run and goes on with it.
What has not changed since the run before is taken over from it, picture by picture, row by row, file by file.
"""

import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

from apache_beam.options.pipeline_options import PipelineOptions

from model.model_manifest import read_model_manifest
from model.pictures import DEFAULT_LIMITS
from model.searched_index import BACKENDS
from pipelines import embed, engagement_log, evaluate, features, index, ingest, store, users
from pipelines.accounting import summary
from pipelines.console.jobs import flag, main_of, narrow
from pipelines.console.paths import given_values
from pipelines.dated_log import DatedLog, tell_of_other_zone, zone_of
from pipelines.gates import GateThresholds, check_quarantine_share, require_passed, write_report
from pipelines.gating.results import FAILED, check_accepted
from pipelines.lock import store_lock
from pipelines.publish import STARTED_FILE, Acceptance, PublishConfig, move_readers, pin_previous, publish
from pipelines.transforms.table_pictures import share_pictures
from pipelines.units import read_stage_manifest
from pipelines.user_alpha import alpha_in_store
from pipelines.user_config import UserSettings, check_users_input
from schemas.columns import catalogue_columns, catalogue_schema, table_columns
from schemas.errors import CorruptFileError, UsageError
from schemas.files import expand_inputs, write_json
from schemas.grouping import GROUP_ROWS
from schemas.quarantine import quote
from schemas.reading import check_columns, input_identity
from schemas.tables import ENGAGEMENTS
from schemas.user_rows import USERS_STAGE

#: Of everything that makes the files of a run: newer code is another run.
CODE_VERSIONS = (
    *(ingest.CODE_VERSION, engagement_log.CODE_VERSION, features.CODE_VERSION, embed.CODE_VERSION),
    *(index.CODE_VERSION, index.REFINED_CODE_VERSION, users.CODE_VERSION),
)
#: Flags whose content is in the facts by other means, or that change nothing in what comes out.
_PLACES = ("catalog", "engagements", "store", "date", "time_zone", "model", "accept", "because")
_CALIBRATED = ("alpha", "samples", "popularity_weight")
_THRESHOLDS = frozenset(field.name for field in fields(GateThresholds))


@dataclass(frozen=True, kw_only=True)
class DailyConfig(GateThresholds, Acceptance, UserSettings, DatedLog):
    """One day: the shop's whole catalogue in, published embeddings and index out."""

    catalog: str = flag(path=True, help=ingest.CATALOG_HELP)
    engagements: str | None = flag(
        path=True, default=None, help="engagements up to the end of --date, for users and the run's metrics"
    )
    image_root: str = flag(
        path=True, default=".", help="folder that relative picture paths start from; nothing outside it is read"
    )
    store: str = flag(path=True, help="store folder")
    date: str = flag(help="the day, YYYY-MM-DD, of --time-zone")
    attempt: int = flag(default=0, help="another number runs a finished day again, say after pictures were mended")
    model: str | None = flag(default=None, help="model id; default: the model trained last")
    group_rows: str = flag(default="no", choices=GROUP_ROWS, help=ingest.GROUP_ROWS_HELP)
    num_buckets: int = flag(default=0, help="buckets of a new store; 0 chooses about 3,000 rows a bucket")
    verify_images: bool = flag(
        default=False, help="read every picture, also those whose size and modification time are unchanged"
    )
    target_recall: float = flag(default=0.95, help="recall@10 of the index to reach")
    max_trees: int = flag(default=100, help="cost cap of the index: trees")
    max_search_k: int = flag(default=20_000, help="cost cap of the index: nodes inspected a query")
    index_backend: str = flag(
        default="annoy", choices=BACKENDS, help="what searches go through; items.ann is written all the same"
    )
    refine_cosine: float = flag(default=0.0, help="also an index without items this near to one that is kept; 0: none")
    image_dtype: str = flag(
        default="auto", choices=("auto", "float32", "bfloat16"), help="number format of the image encoder"
    )
    max_picture_bytes: int = flag(default=DEFAULT_LIMITS.max_bytes, help="larger picture files are quarantined")
    max_picture_pixels: int = flag(default=DEFAULT_LIMITS.max_pixels, help="pictures of more pixels are quarantined")
    users: bool = flag(default=True, help="several vectors per user (PinnerSage), where there are --engagements")
    columns: dict[str, Any] = flag(default={}, help="our column name -> the shop's (table [columns] of --config)")


def run(config: DailyConfig, options: PipelineOptions) -> dict[str, Any]:
    """Runs every stage that is not finished yet, publishes, prints the summary; returns the run's manifest.

    Raises ThresholdError if the data fail a gate: readers keep the run before.
    """
    _check_early(config)
    with store_lock(config.store, f"daily {config.date}"):
        model_id = store.wanted_model_id(config.store, config.model)
        facts = _facts(config, model_id)
        folder = store.run_folder(config.store, config.date, facts)
        print(f"daily run of {config.date} with {model_id} in {folder}", flush=True)
        if (folder / "COMPLETED").is_file():
            return _finished_before(config, folder)
        return _run(config, options, folder, facts)


def _check_early(config: DailyConfig) -> None:
    """Raises UsageError for what is wrong with the call, before the run has a folder and work is done."""
    features.check_image_root(config.image_root)
    narrow(ingest.IngestConfig, config, run=config.store)
    narrow(index.IndexConfig, config, run=config.store)
    check_accepted(config.accepted())
    store.buckets_for(config.store, config.num_buckets)
    columns = catalogue_columns(config.columns, config.group_rows)
    check_columns(expand_inputs(config.catalog, config.date), columns, catalogue_schema(columns))
    if makes_users(config):
        check_users_input(config)
    elif config.engagements is not None:
        files = expand_inputs(config.engagements, config.date)
        check_columns(files, table_columns(config.columns, "engagements"), ENGAGEMENTS)
    store.wanted_model_id(config.store, config.model)  # the lock would make the folder of a store that is none


def _run(config: DailyConfig, options: PipelineOptions, folder: Path, facts: dict[str, Any]) -> dict[str, Any]:
    started_s = time.monotonic()
    model = store.model_folder(config.store, facts["model_id"])
    if (folder / STARTED_FILE).is_file():
        print("begun before: units of work that are finished and sound are not computed again", flush=True)
    previous = pin_previous(config.store, folder, facts)
    print(f"compared with {previous}" if previous else "compared with nothing: there is no run before", flush=True)
    if previous is not None and config.engagements is not None:
        tell_of_other_zone(f"the run before, {previous},", zone_of(previous / "manifest.json"), config.time_zone)
    seconds = _run_stages(config, options, str(folder), model, previous)
    if makes_users(config):
        _check_calibration(folder, facts)
    if config.engagements is not None:
        stage_started_s = time.monotonic()
        _evaluate(config, folder, model, previous)
        seconds["evaluate"] = time.monotonic() - stage_started_s
    manifest = publish(narrow(PublishConfig, config, run=str(folder)), facts)
    seconds["total"] = time.monotonic() - started_s
    write_json(folder / "times.json", {name: round(value, 3) for name, value in seconds.items()})
    print(summary(manifest, seconds, folder), flush=True)
    return manifest


def _finished_before(config: DailyConfig, folder: Path) -> dict[str, Any]:
    """The same call again: nothing to compute; readers move only if the run was killed before they could."""
    print("finished before: nothing to compute (--attempt 1 runs the day again)", flush=True)
    manifest = store.check_run(config.store, folder)
    move_readers(config.store, folder, "published")
    return manifest


def _evaluate(config: DailyConfig, folder: Path, model: Path, previous: Path | None) -> None:
    """Writes metrics.json; where nothing can be evaluated it says why, and the day goes on."""
    assert config.engagements is not None
    report, reused = evaluate.evaluate_or_reuse(
        folder,
        model,
        previous,
        engagements=config.engagements,
        image_root=config.image_root,
        date=config.date,
        time_zone=config.time_zone,
        columns=config.columns,
        verify_images=config.verify_images,
    )
    write_json(folder / "metrics.json", report)
    if "not_evaluated" in report:
        print(f"not evaluated: {report['not_evaluated']}", flush=True)
        return
    print(evaluate.format_report(report), flush=True)
    if reused:
        print(f"evaluate: the report of {previous}: neither items nor engagements have changed", flush=True)


def _facts(config: DailyConfig, model_id: str) -> dict[str, Any]:
    """What the run id is made of, and what its manifest keeps."""
    inputs = {"catalog": input_identity(expand_inputs(config.catalog, config.date))}
    if config.engagements is not None:
        inputs["engagements"] = input_identity(expand_inputs(config.engagements, config.date))
    kept = {name: value for name, value in given_values(config).items() if name not in _THRESHOLDS.union(_PLACES)}
    if makes_users(config):  # a new calibration is another run
        chosen = alpha_in_store(config.store, config.alpha, model_id)
        kept |= {name: getattr(chosen, name) for name in _CALIBRATED} | ({} if chosen.sampled else {"sampled": False})
    return {
        "code_versions": CODE_VERSIONS,
        "config": kept,
        "date": config.date,
        "inputs": inputs,
        "model_id": model_id,
        "time_zone": config.time_zone,
    }


def _check_calibration(folder: Path, facts: dict[str, Any]) -> None:
    """Raises UsageError if somebody calibrated since the run was named after what users are made with."""
    made = read_stage_manifest(str(folder), USERS_STAGE)
    named, found = _chosen_in(facts["config"]), _chosen_in(made)
    if named != found:
        raise UsageError(
            f"expected users made with {_in_words(named)}, got {_in_words(found)} in {folder}: somebody calibrated "
            "while the run was at work. Repeat the call: it makes another run, with the new one"
        )


def _chosen_in(values: Mapping[str, Any]) -> dict[str, Any]:
    """What a calibration chooses, of a run or of the manifest of its users: medoids are sampled unless said."""
    return {name: values.get(name) for name in _CALIBRATED} | {"sampled": values.get("sampled", True)}


def _in_words(made_with: Mapping[str, Any]) -> str:
    return ", ".join(f"{name.replace('_', ' ')} {quote(value)}" for name, value in made_with.items())


def makes_users(config: DailyConfig) -> bool:
    """Whether the day's runs have users."""
    return config.users and config.engagements is not None


def _run_stages(
    config: DailyConfig, options: PipelineOptions, run_folder: str, model: Path, previous: Path | None
) -> dict[str, float]:
    """Seconds a stage. A stage that rejects too much stops the run before the next."""
    seconds: dict[str, float] = {}
    started_s = time.monotonic()

    def done(stage: str) -> None:
        nonlocal started_s
        seconds[stage] = time.monotonic() - started_s
        started_s = time.monotonic()

    buckets = store.buckets_for(config.store, config.num_buckets)
    items = ingest.run(narrow(ingest.IngestConfig, config, run=run_folder, num_buckets=buckets), options)
    store.fix_num_buckets(config.store, items["num_buckets"])
    share_pictures(run_folder, previous)
    _stop_if_too_much_is_rejected(config, run_folder, items["counts"])
    done("ingest")
    log = None
    if config.engagements is not None:
        log = engagement_log.run(narrow(engagement_log.LogConfig, config, run=run_folder), options)["counts"]
        _stop_if_too_much_is_rejected(config, run_folder, items["counts"], log=log)
        done("log")
    manifest = read_model_manifest(model)
    has_pictures = manifest["picture_dim"] > 0
    made = features.run(
        narrow(
            features.FeaturesConfig,
            config,
            run=run_folder,
            vocabulary=str(model / "vocabulary"),
            image_encoder=None if has_pictures else "none",
            image_encoder_folder=str(model / "image_encoder") if has_pictures else None,
            text_encoder_folder=str(model / "text_encoder") if manifest["text_dim"] else None,
            reuse_from=features_to_reuse(config.store, model, previous),
        ),
        options,
    )
    _stop_if_too_much_is_rejected(config, run_folder, items["counts"], made["counts"], log=log)
    done("features")
    reuse_from = str(previous) if previous else None
    embed.run(embed.EmbedConfig(run=run_folder, model=str(model), reuse_from=reuse_from), options)
    done("embed")
    index.run(
        narrow(index.IndexConfig, config, run=run_folder, reuse_from=reuse_from, model=str(model)),
        options,
    )
    done("index")
    if makes_users(config):
        users.run(narrow(users.UsersConfig, config, run=run_folder, reuse_from=reuse_from), options)
        done("users")
    return seconds


def _stop_if_too_much_is_rejected(
    config: DailyConfig, run_folder: str, *stage_counts: dict[str, int], log: dict[str, int] | None = None
) -> None:
    results = check_quarantine_share(*stage_counts, log=log, thresholds=config, accepted=config.accepted())
    if any(result.status == FAILED for result in results):
        write_report(Path(run_folder), None, config, results)
    require_passed(results, Path(run_folder), has_another=store.has_published(config.store))


def features_to_reuse(store_folder: str, model: Path, previous: Path | None) -> str | None:
    """The run whose picture vectors are taken over: the run before, else the model's training run, whichever has
    vectors of the model's image encoder."""
    manifest = read_model_manifest(model)
    trained_in = manifest.get("training_run")
    for folder in (previous, Path(store_folder, trained_in) if trained_in else None):
        if folder is None or not (folder / "manifests" / "features.json").is_file():
            continue
        try:
            made_with = read_stage_manifest(str(folder), features.STAGE).get("image_encoder_id")
        except CorruptFileError as error:  # a damaged run never blocks the next one
            print(f"warning: no picture vectors are taken over: {error}", file=sys.stderr)
            continue
        if made_with == manifest["image_encoder_id"]:
            return str(folder)
    return None


def main(argv: Sequence[str] | None = None) -> int:
    """Command line of the job; returns its exit code."""
    example = "itemsage daily --catalog 'catalog/{date}.parquet' --image-root images --store store --date 2026-06-30"
    return main_of(DailyConfig, run, argv, "itemsage daily", example)


if __name__ == "__main__":
    sys.exit(main())
