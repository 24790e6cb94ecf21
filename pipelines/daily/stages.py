"""The stages of a daily run, one after the other, up to where its gates are checked and it is published."""

import sys
import time
from dataclasses import dataclass, field
from pathlib import Path

from apache_beam.options.pipeline_options import PipelineOptions

from model.items.manifest import read_model_manifest
from pipelines.console.jobs import narrow
from pipelines.daily.config import DailyConfig, makes_users
from pipelines.embed import job as embed
from pipelines.features import job as features
from pipelines.gates.gated_run import counts_of_earlier
from pipelines.gates.judge import check_quarantine_share, require_passed, write_report
from pipelines.gates.results import FAILED
from pipelines.index import job as index
from pipelines.ingest import job as ingest
from pipelines.ingest.table_pictures import share_pictures
from pipelines.log import engagement_log
from pipelines.log.dated_log import other_offsets_in_words
from pipelines.log.rows import LOG_STAGE
from pipelines.run.units import read_stage_manifest
from pipelines.store import store
from pipelines.users import job as users
from schemas.errors import CorruptFileError


def run_stages(
    config: DailyConfig, options: PipelineOptions, run_folder: str, model: Path, previous: Path | None
) -> dict[str, float]:
    """Seconds a stage. A stage that rejects too much stops the run before the next."""
    day = _Day(config, options, run_folder, model, previous)
    stages = [("ingest", day.run_ingest, True), ("log", day.run_log, config.engagements is not None)]
    stages += [("features", day.run_features, True), ("embed", day.run_embed, True), ("index", day.run_index, True)]
    stages += [("users", day.run_users, makes_users(config))]
    seconds: dict[str, float] = {}
    for name, run_stage, is_wanted in stages:
        if is_wanted:
            started_s = time.monotonic()
            run_stage()
            seconds[name] = time.monotonic() - started_s
    return seconds


@dataclass
class _Day:
    """A run, the folders of its model and of the run before, and what its stages have counted so far: of the catalogue
    stage by stage, and of the log."""

    config: DailyConfig
    options: PipelineOptions
    folder: str
    model: Path
    previous: Path | None
    counts: list[dict[str, int]] = field(default_factory=list)
    log_counts: dict[str, int] | None = None

    def run_ingest(self) -> None:
        buckets = store.buckets_for(self.config.store, self.config.num_buckets)
        asked = narrow(ingest.IngestConfig, self.config, run=self.folder, num_buckets=buckets)
        items = ingest.run(asked, self.options)
        store.fix_num_buckets(self.config.store, items["num_buckets"])
        share_pictures(self.folder, self.previous)
        self.counts.append(items["counts"])
        self._stop_if_too_much_is_rejected()

    def run_log(self) -> None:
        asked = narrow(engagement_log.LogConfig, self.config, run=self.folder)
        self.log_counts = engagement_log.run(asked, self.options)["counts"]
        if told := other_offsets_in_words(self.log_counts, counts_of_earlier(self.previous, LOG_STAGE)):
            print(f"{LOG_STAGE}: WARNING: {told}", flush=True)
        self._stop_if_too_much_is_rejected()

    def run_features(self) -> None:
        manifest = read_model_manifest(self.model)
        has_pictures = manifest["picture_dim"] > 0
        asked = narrow(
            features.FeaturesConfig,
            self.config,
            run=self.folder,
            vocabulary=str(self.model / "vocabulary"),
            image_encoder=None if has_pictures else "none",
            image_encoder_folder=str(self.model / "image_encoder") if has_pictures else None,
            text_encoder_folder=str(self.model / "text_encoder") if manifest["text_dim"] else None,
            reuse_from=_features_to_reuse(self.config.store, self.model, self.previous),
        )
        self.counts.append(features.run(asked, self.options)["counts"])
        self._stop_if_too_much_is_rejected()

    def run_embed(self) -> None:
        asked = embed.EmbedConfig(run=self.folder, model=str(self.model), reuse_from=self._reuse_from)
        embed.run(asked, self.options)

    def run_index(self) -> None:
        asked = narrow(
            index.IndexConfig, self.config, run=self.folder, reuse_from=self._reuse_from, model=str(self.model)
        )
        index.run(asked, self.options)

    def run_users(self) -> None:
        users.run(narrow(users.UsersConfig, self.config, run=self.folder, reuse_from=self._reuse_from), self.options)

    @property
    def _reuse_from(self) -> str | None:
        return str(self.previous) if self.previous else None

    def _stop_if_too_much_is_rejected(self) -> None:
        config, folder = self.config, Path(self.folder)
        results = check_quarantine_share(
            *self.counts, log=self.log_counts, thresholds=config, accepted=config.accepted()
        )
        if any(result.status == FAILED for result in results):
            write_report(folder, None, config, results)
        require_passed(results, folder, has_another=store.has_published(config.store))


def _features_to_reuse(store_folder: str, model: Path, previous: Path | None) -> str | None:
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
