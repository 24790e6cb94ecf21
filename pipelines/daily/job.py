"""The daily run: ingest -> (log) -> features -> embed -> index -> (users, evaluate) -> gates -> publish, with the
store's model.

    itemsage daily --catalog CATALOG --image-root IMAGES --store STORE --date 2026-06-30

The run folder's name is a hash of everything that went in: the same call finds its unfinished run and goes on with it.
What has not changed since the run before is taken over from it, picture by picture, row by row, file by file.
"""

import time
from collections.abc import Mapping, Sequence
from dataclasses import fields, replace
from pathlib import Path
from typing import Any

from apache_beam.options.pipeline_options import PipelineOptions

from model.sources.unified_manifest import UnifiedManifest
from pipelines.console.jobs import main_of, narrow
from pipelines.console.paths import given_values
from pipelines.daily.config import DailyConfig
from pipelines.evaluate import job as evaluate
from pipelines.features import plan as features_plan
from pipelines.gates.judge import GateThresholds, check_quarantine_share, require_passed, write_report
from pipelines.gates.results import FAILED, check_accepted
from pipelines.index import job as index
from pipelines.ingest.config import IngestConfig
from pipelines.log.dated_log import tell_of_other_zone, zone_of
from pipelines.publish import PublishConfig, move_readers, publish
from pipelines.run.accounting import summary
from pipelines.run.listed_files import EMBEDDINGS
from pipelines.run.stage import RunCall, run_in_turn
from pipelines.run.units import read_stage_manifest
from pipelines.stages import lines_of_day, with_users
from pipelines.store import store
from pipelines.store.lock import store_lock
from pipelines.store.models import ITEM_MODELS, UNIFIED_MODELS
from pipelines.store.yesterday import STARTED_FILE, pin_previous
from pipelines.users.alpha import alpha_in_store
from pipelines.users.config import check_users_input
from schemas import storage
from schemas.columns.mapping import catalogue_columns, catalogue_schema, table_columns
from schemas.errors import UsageError
from schemas.files import expand_inputs, write_json
from schemas.quarantine import quote
from schemas.reading.input_files import check_columns, input_identity
from schemas.reading.snapshots import catalogue_files
from schemas.records.user_rows import USERS_STAGE
from schemas.tables import ENGAGEMENTS

#: Flags whose content is in the facts by other means, or that change nothing in what comes out.
_PLACES = ("catalog", "engagements", "store", "date", "time_zone", "model", "accept", "because")
_UNIFIED = ("unify", "unified_model", "vectors")
_CALIBRATED = ("alpha", "samples", "popularity_weight")
_THRESHOLDS = frozenset(field.name for field in fields(GateThresholds))


def run(config: DailyConfig, options: PipelineOptions) -> dict[str, Any]:
    """Runs every stage that is not finished yet, publishes, prints the summary; returns the run's manifest.

    Raises ThresholdError if the data fail a gate: readers keep the run before.
    """
    _check_early(config)
    with store_lock(config.store, f"daily {config.date}"):
        model_id = ITEM_MODELS.wanted(config.store, config.model)
        config = _with_unified_model(config, model_id)
        facts = _facts(config, model_id)
        folder = store.run_folder(config.store, config.date, facts)
        print(f"daily run of {config.date} with {model_id} in {folder}", flush=True)
        if storage.has_file(folder / "COMPLETED"):
            return _finished_before(config, folder)
        return _run(config, options, folder, facts)


def _check_early(config: DailyConfig) -> None:
    """Raises UsageError for what is wrong with the call, before the run has a folder and work is done."""
    features_plan.check_image_root(config.image_root)
    narrow(IngestConfig, config, run=config.store)
    narrow(index.IndexConfig, config, run=config.store)
    check_accepted(config.accepted())
    store.buckets_for(config.store, config.num_buckets)
    columns = catalogue_columns(config.columns, config.group_rows)
    check_columns(catalogue_files(config.catalog, config.date), columns, catalogue_schema(columns))
    if with_users(config):
        check_users_input(config)
    elif config.engagements is not None:
        files = expand_inputs(config.engagements, config.date)
        check_columns(files, table_columns(config.columns, "engagements"), ENGAGEMENTS)
    # before the lock, which would make the folder of a store that is none
    model_id = ITEM_MODELS.wanted(config.store, config.model)
    _with_unified_model(config, model_id)


def _with_unified_model(config: DailyConfig, model_id: str) -> DailyConfig:
    """The config with the id of the unified model that it asks for, if any. Raises UsageError if there is none, or it
    belongs to another item model."""
    if not config.unify:
        if config.unified_model is not None or config.vectors != EMBEDDINGS:
            raise UsageError("expected --unify with --unified-model and --vectors unified, got none")
        return config
    unified_id = UNIFIED_MODELS.wanted(config.store, config.unified_model)
    made_for = UnifiedManifest.read(UNIFIED_MODELS.folder(config.store, unified_id)).item_model_id
    if made_for != model_id:
        raise UsageError(
            f"expected a unified model of {model_id}, got {unified_id}, which belongs to {made_for}: run `itemsage "
            "unify` again, or name another with --unified-model"
        )
    return replace(config, unified_model=unified_id)


def _run(config: DailyConfig, options: PipelineOptions, folder: Path, facts: dict[str, Any]) -> dict[str, Any]:
    started_s = time.monotonic()
    model = ITEM_MODELS.folder(config.store, facts["model_id"])
    if storage.has_file(folder / STARTED_FILE):
        print("begun before: units of work that are finished and sound are not computed again", flush=True)
    previous = pin_previous(config.store, folder, facts)
    print(f"compared with {previous}" if previous else "compared with nothing: there is no run before", flush=True)
    if previous is not None and config.engagements is not None:
        tell_of_other_zone(f"the run before, {previous},", zone_of(previous / "manifest.json"), config.time_zone)
    seconds = run_stages(config, options, str(folder), model, previous)
    if with_users(config):
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
    kept = {
        name: value for name, value in given_values(config).items() if name not in _THRESHOLDS.union(_PLACES, _UNIFIED)
    }
    if with_users(config):  # a new calibration is another run
        vectors_id = model_id if config.vectors == EMBEDDINGS else str(config.unified_model)
        chosen = alpha_in_store(config.store, config.alpha, vectors_id)
        kept |= {name: getattr(chosen, name) for name in _CALIBRATED} | ({} if chosen.sampled else {"sampled": False})
    unified = {"unified_id": config.unified_model} if config.unify else {}
    kept |= {"vectors": config.vectors} if config.vectors != EMBEDDINGS else {}
    return {
        "code_versions": _code_versions(config),
        "config": kept,
        "date": config.date,
        "inputs": inputs,
        "model_id": model_id,
        "time_zone": config.time_zone,
        **unified,
    }


def _code_versions(config: DailyConfig) -> tuple[int, ...]:
    """Of everything that makes the files of a run: newer code is another run."""
    lines = [line for line in lines_of_day() if not line.optional or line.day(config)]
    return tuple(version for line in lines for version in line.load().code_versions)


def run_stages(
    config: DailyConfig, options: PipelineOptions, run_folder: str, model: Path, previous: Path | None
) -> dict[str, float]:
    """Seconds a stage. A stage that rejects too much stops the run before the next."""
    call = RunCall(config=config, run=run_folder, model=model, previous=previous)
    wanted = [line for line in lines_of_day() if line.day(config)]
    counts: dict[str, dict[str, int]] = {}
    seconds: dict[str, float] = {}
    for line, manifest, seconds_of_stage in run_in_turn(call, wanted, options):
        counts[line.name], seconds[line.called] = manifest["counts"], seconds_of_stage
        if line.stops:
            _stop_if_too_much_is_rejected(config, Path(run_folder), counts)
    return seconds


def _stop_if_too_much_is_rejected(config: DailyConfig, folder: Path, counts: Mapping[str, Mapping[str, int]]) -> None:
    results = check_quarantine_share(
        counts["items"],
        counts.get("features"),
        log=counts.get("log"),
        thresholds=config,
        accepted=config.accepted(),
    )
    if any(result.status == FAILED for result in results):
        write_report(folder, None, config, results)
    require_passed(results, folder, has_another=store.has_published(config.store))


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


def main(argv: Sequence[str] | None = None) -> int:
    """Command line of the job; returns its exit code."""
    example = "itemsage daily --catalog 'catalog/{date}.parquet' --image-root images --store store --date 2026-06-30"
    return main_of(DailyConfig, run, argv, "itemsage daily", example)
