"""Sources of item vectors, trained on a run's items, and a log for those that learn from clickstream.

    itemsage sources --run RUN --engagements LOG --date 2026-06-30 --sources prod2vec,bpr

    log -> sequences -> prod2vec, prodsi2vec <- lifetimes <- log (--lifetimes)
             +-> co_engagements -> walks -> deepwalk_prod2vec, deepwalk_prodsi2vec
        -> interactions -> bpr
    items -> dae; features -> siamese

Each is a stage, made unless it is there; a call makes what its sources ask for. `itemsage train --sources` makes them
in its training run.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from apache_beam.options.pipeline_options import PipelineOptions

from pipelines.console.jobs import flag, like, main_of, names_once, narrow
from pipelines.gates.log import check_log, require_passed_log
from pipelines.log.dated_log import DatedLog
from pipelines.log.engagement_log import Log, LogConfig
from pipelines.run.stage import RunCall, run_in_turn, run_stage
from pipelines.run.units import read_stage_manifest
from pipelines.sources.trained import SourceConfig
from pipelines.stages import CLICKSTREAM, OF_LIFETIMES, SOURCES, STAGES, ForSources, named_sources, require_engagements
from schemas.errors import UsageError

EXAMPLE = (
    "itemsage sources --run store/training/2026-06-30/0123456789abcdef --engagements log.parquet --date 2026-06-30"
)


@dataclass(frozen=True, kw_only=True)
class SourcesConfig(DatedLog):
    """Learns item vectors from clickstream, attributes and pictures, a folder of embeddings for each source."""

    run: str = flag(path=True, help="run folder that holds items/, say of a training; the sources are written there")
    engagements: str | None = flag(
        path=True,
        default=None,
        help="engagements: a file, a folder or a glob; {date} means --date; dae and siamese need none",
    )
    date: str | None = flag(
        default=None, help="rows after the end of this day (YYYY-MM-DD, of --time-zone) are left out"
    )
    sources: str = flag(
        default=",".join(CLICKSTREAM),
        help=f"which of {', '.join(SOURCES)}, separated by commas; each is a stage of its name",
        by_commas=True,
    )
    dim: int = like(SourceConfig, "dim")
    min_count: int = like(SourceConfig, "min_count", help="occurrences of an item that gets a vector; of bpr two users")
    seed: int = like(SourceConfig, "seed")
    lifetimes: bool = like(SourceConfig, "lifetimes")
    columns: dict[str, Any] = flag(default={}, help="[columns.engagements]: our column name -> the shop's")


def run(config: SourcesConfig, options: PipelineOptions) -> dict[str, dict[str, Any]]:
    """Makes what the run lacks of the sources; returns the manifests of their stages.

    Raises UsageError for a wrong call, ThresholdError if too much of the log is rejected, nothing of it is of use, or
    there is too little for a source to learn from.
    """
    names_once(config.sources, "--sources")
    named = named_sources(config.sources)
    if not named:
        raise UsageError(f"expected --sources of {', '.join(SOURCES)}, got none")
    if config.min_count < 1 or config.dim < 1:
        raise UsageError(f"expected --min-count and --dim >= 1, got {config.min_count} and {config.dim}")
    if config.lifetimes and OF_LIFETIMES.isdisjoint(named):
        raise UsageError(
            f"expected --sources {' or '.join(sorted(OF_LIFETIMES))} with --lifetimes, got {','.join(named)}: no other "
            "learns from them"
        )
    read_stage_manifest(config.run, "items")
    if not set(CLICKSTREAM).isdisjoint(named):
        require_engagements(named, config.engagements)
        log = run_stage(Log(narrow(LogConfig, config)), options)["counts"]
        require_passed_log(check_log(log, config), "sources are trained")
    lines = [line for line in STAGES if isinstance(line.training, ForSources) and line.training(config)]
    call = RunCall(config=config, run=config.run)
    return {line.name: manifest for line, manifest, _ in run_in_turn(call, lines, options)}


def main(argv: Sequence[str] | None = None) -> int:
    """Command line of the job; returns its exit code."""
    return main_of(SourcesConfig, run, argv, "itemsage sources", EXAMPLE)
