"""The daily run: ingest -> features -> embed -> index -> (evaluate) -> publish, with the store's current model.

    itemsage daily --catalog CATALOG --image-root IMAGES --store STORE --date 2026-06-30

The run folder's name is a hash of everything that went in: the same call finds its unfinished run and goes on with it.
"""

import sys
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from apache_beam.options.pipeline_options import PipelineOptions

from model.model_store import read_model_manifest
from model.pictures import DEFAULT_LIMITS
from pipelines import embed, evaluate, features, index, ingest, store
from pipelines.jobs import flag, main_of, narrow
from pipelines.publish import PublishConfig, publish, republish
from pipelines.units import read_stage_manifest
from schemas.errors import ThresholdError
from schemas.files import expand_inputs, read_json, write_json
from schemas.reading import input_identity

#: Of everything that makes the files of a run: newer code is another run.
CODE_VERSIONS = (ingest.CODE_VERSION, features.CODE_VERSION, embed.CODE_VERSION, index.CODE_VERSION)
#: Flags whose content is in the facts by other means, or that change nothing in what comes out.
_PLACES = ("catalog", "engagements", "store", "date", "model")


@dataclass(frozen=True, kw_only=True)
class DailyConfig:
    """One day: the shop's whole catalogue in, published embeddings and index out."""

    catalog: str = flag(help="catalogue of the day: a file, a folder of parts or a glob; {date} means --date")
    engagements: str | None = flag(default=None, help="engagements up to the end of --date, for the run's metrics")
    image_root: str = flag(
        default=".", help="folder that relative picture paths start from; nothing outside it is read"
    )
    store: str = flag(help="store folder")
    date: str = flag(help="the day, YYYY-MM-DD (UTC)")
    attempt: int = flag(default=0, help="another number runs a finished day again, say after pictures were mended")
    model: str | None = flag(default=None, help="model id; default: the model trained last")
    num_buckets: int = flag(default=0, help="buckets of a new store; 0 chooses about 3,000 rows a bucket")
    target_recall: float = flag(default=0.95, help="recall@10 of the index to reach")
    image_dtype: str = flag(
        default="auto", choices=("auto", "float32", "bfloat16"), help="number format of the image encoder"
    )
    max_picture_bytes: int = flag(default=DEFAULT_LIMITS.max_bytes, help="larger picture files are quarantined")
    max_picture_pixels: int = flag(default=DEFAULT_LIMITS.max_pixels, help="pictures of more pixels are quarantined")
    columns: dict[str, str] = flag(default={}, help="our column name -> the shop's (table [columns] of --config)")


def run(config: DailyConfig, options: PipelineOptions) -> dict[str, Any]:
    """Runs every stage that is not finished yet, publishes, prints the summary; returns the run's manifest."""
    started_s = time.monotonic()
    features.check_image_root(config.image_root)
    model_id = config.model or store.current_model_id(config.store)
    model = store.model_folder(config.store, model_id)
    facts = _facts(config, model_id)
    run_folder = store.run_folder(config.store, config.date, facts)
    print(f"daily run of {config.date} with {model_id} in {run_folder}", flush=True)
    if (run_folder / "COMPLETED").is_file():
        print("finished before: nothing to compute (--attempt 1 runs the day again)", flush=True)
        if store.readers_are_ahead(config.store, run_folder):
            print(
                f"readers stay with a later run; `itemsage publish --store {config.store} --run {run_folder}` goes back"
            )
            return read_json(run_folder / "manifest.json")
        return republish(config.store, run_folder)
    seconds = _run_stages(config, options, str(run_folder), model)
    if config.engagements is not None:
        stage_started_s = time.monotonic()
        write_json(run_folder / "metrics.json", _evaluate(config, run_folder, model))
        seconds["evaluate"] = time.monotonic() - stage_started_s
    manifest = publish(PublishConfig(store=config.store, run=str(run_folder)), facts)
    seconds["total"] = time.monotonic() - started_s
    write_json(run_folder / "times.json", {name: round(value, 3) for name, value in seconds.items()})
    print(summary(manifest, seconds, run_folder), flush=True)
    return manifest


def _evaluate(config: DailyConfig, run_folder: Path, model: Path) -> dict[str, Any]:
    """The report for metrics.json; where nothing can be evaluated it says why, and the day goes on."""
    assert config.engagements is not None
    try:
        report = evaluate.evaluate_run(
            run_folder,
            model,
            engagements=config.engagements,
            image_root=config.image_root,
            date=config.date,
            columns=config.columns,
        )
    except ThresholdError as error:
        print(f"not evaluated: {error}", flush=True)
        return {"not_evaluated": str(error)}
    print(evaluate.format_report(report), flush=True)
    return report


def summary(manifest: dict[str, Any], seconds: dict[str, float], run_folder: Path) -> str:
    """The few lines a person reads in the morning."""
    counts = manifest["counts"]
    times = ", ".join(f"{name} {value:.1f}" for name, value in seconds.items())
    return (
        f"\nrows     read {counts['rows_read']:,} = published {counts['rows_published']:,} + collapsed "
        f"{counts['rows_collapsed']:,} + quarantined {counts['rows_quarantined']:,}\n"
        f"pictures listed {counts['pictures_listed']:,} = computed {counts['pictures_computed']:,} + reused "
        f"{counts['pictures_reused']:,} + quarantined {counts['pictures_quarantined']:,} + cut off "
        f"{counts['pictures_cut_off']:,}\n"
        f"seconds  {times}\n"
        f"where    {run_folder}   (CURRENT)"
    )


def _facts(config: DailyConfig, model_id: str) -> dict[str, Any]:
    """What the run id is made of, and what its manifest keeps."""
    inputs = {"catalog": input_identity(expand_inputs(config.catalog, config.date))}
    if config.engagements is not None:
        inputs["engagements"] = input_identity(expand_inputs(config.engagements, config.date))
    kept = {name: value for name, value in asdict(config).items() if name not in _PLACES}
    return {"code_versions": CODE_VERSIONS, "config": kept, "date": config.date, "inputs": inputs, "model_id": model_id}


def _run_stages(config: DailyConfig, options: PipelineOptions, run_folder: str, model: Path) -> dict[str, float]:
    seconds: dict[str, float] = {}
    started_s = time.monotonic()

    def done(stage: str) -> None:
        nonlocal started_s
        seconds[stage] = time.monotonic() - started_s
        started_s = time.monotonic()

    items = ingest.run(
        ingest.IngestConfig(
            run=run_folder,
            catalog=config.catalog,
            date=config.date,
            num_buckets=store.buckets_for(config.store, config.num_buckets),
            columns=config.columns,
        ),
        options,
    )
    store.fix_num_buckets(config.store, items["num_buckets"])
    done("ingest")
    has_pictures = read_model_manifest(model)["picture_dim"] > 0
    features.run(
        narrow(
            features.FeaturesConfig,
            config,
            run=run_folder,
            vocabulary=str(model / "vocabulary"),
            image_encoder=None if has_pictures else "none",
            image_encoder_folder=str(model / "image_encoder") if has_pictures else None,
            reuse_from=reusable_run(config.store, model),
        ),
        options,
    )
    done("features")
    embed.run(embed.EmbedConfig(run=run_folder, model=str(model)), options)
    done("embed")
    index.run(index.IndexConfig(run=run_folder, target_recall=config.target_recall), options)
    done("index")
    return seconds


def reusable_run(store_folder: str, model: Path) -> str | None:
    """Whose picture vectors may be taken over: the published run's, else those of the model's training run, if they are
    of the model's image encoder."""
    manifest = read_model_manifest(model)
    trained_in = manifest.get("training_run")
    candidates = [store.previous_run(store_folder), Path(store_folder, trained_in) if trained_in else None]
    for folder in candidates:
        if folder is not None and (folder / "manifests" / "features.json").is_file():
            made_with = read_stage_manifest(str(folder), features.STAGE)["image_encoder_id"]
            if made_with == manifest["image_encoder_id"]:
                return str(folder)
    return None


def main(argv: Sequence[str] | None = None) -> int:
    """Command line of the job; returns its exit code."""
    example = "itemsage daily --catalog 'catalog/{date}.parquet' --image-root images --store store --date 2026-06-30"
    return main_of(DailyConfig, run, argv, "itemsage daily", example)


if __name__ == "__main__":
    sys.exit(main())
