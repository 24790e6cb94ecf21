"""Pictures that a catalogue names by URL: fetched once into a cache under the image root, where every job finds them.

    itemsage fetch-images --catalog catalog.parquet --image-root images

    <image root>/fetched/<2 hex>/<sha256 of the URL>         a picture, as it came
    <image root>/fetched/hosts/*.jsonl                       what each server said (pipelines.fetch_images.cache)
    <image root>/fetched/quarantine/fetch-images-*.parquet   what failed in this call, why and with which status
    <image root>/fetched/manifests/fetch-images.json         the counts of this call

A picture that was fetched less than --refresh-days ago is not asked for; after that only whether it is still the same
(If-None-Match, If-Modified-Since). So is what its server refused for good (404, 410, a page in place of a picture). An
earlier picture stays when a later question fails. Killed, the same call goes on where it stopped.

Counts: urls_distinct = urls_fetched + urls_not_modified + urls_fresh + urls_failed.
"""

import datetime
import sys
import time
import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import apache_beam as beam
from apache_beam.options.pipeline_options import PipelineOptions

from model.pictures.faults import DEFAULT_LIMITS
from pipelines.console.jobs import flag, main_of, print_summary
from pipelines.console.progress import Progress
from pipelines.fetch_images.cache import remove_half_files
from pipelines.fetch_images.fetch_hosts import STAGE, FetchHosts
from pipelines.fetch_images.host import FetchRules
from pipelines.fetch_images.http import HttpLimits
from pipelines.ingest.config import CATALOG_HELP, GROUP_ROWS_HELP
from pipelines.run.unit_files import sidecar_path
from pipelines.run.units import write_stage_manifest
from pipelines.store.lock import store_lock
from schemas import storage
from schemas.columns.mapping import catalogue_columns, catalogue_schema
from schemas.columns.spec import ColumnsOfTable
from schemas.errors import ThresholdError, UsageError
from schemas.files import read_sealed_json
from schemas.pictures.fetched import FETCH_REMEDIES
from schemas.pictures.urls import FETCHED_FOLDER
from schemas.quarantine import quote
from schemas.reading.input_files import check_columns
from schemas.reading.rows import plan_slices
from schemas.reading.snapshots import catalogue_files
from schemas.validation.grouping import GROUP_ROWS

EXAMPLE = "itemsage fetch-images --catalog 'catalog/{date}/' --date 2026-06-30 --image-root images"
USER_AGENT = "itemsage/0.1 (pictures of a catalogue)"
_DAY_S = 86_400.0
#: Counts of the summary, in its order.
_SHOWN = (
    *("rows_read", "rows_rejected", "urls_listed", "urls_distinct", "urls_fetched", "urls_not_modified", "urls_fresh"),
    *("urls_failed", "urls_kept", "bytes_fetched", "requests"),
)


@dataclass(frozen=True, kw_only=True)
class FetchImagesConfig:
    """Fetches the pictures that a catalogue names by http(s) URL into a cache under the image root."""

    catalog: str = flag(path=True, help=CATALOG_HELP)
    image_root: str = flag(path=True, help=f"folder of pictures; {FETCHED_FOLDER}/ is made there")
    date: str | None = flag(default=None, help="the day of the catalogue, YYYY-MM-DD")
    refresh_days: float = flag(
        default=7.0, help="what was fetched, or refused for good, longer ago is asked for again; 0: all of it"
    )
    max_picture_bytes: int = flag(default=DEFAULT_LIMITS.max_bytes, help="of larger pictures no more is read")
    max_requests_per_host_s: float = flag(default=2.0, help="requests a second to one host, redirects too")
    concurrent_per_host: int = flag(default=2, help="requests to one host at the same time")
    timeout_s: float = flag(default=20.0, help="seconds of one request, from the connection to the last byte")
    user_agent: str = flag(default=USER_AGENT, help="what servers and their robots.txt know this by")
    ignore_robots: bool = flag(default=False, help="ask whatever robots.txt says: for servers of your own")
    allow_private: bool = flag(
        default=False, help="ask addresses of private networks and other ports than 80 and 443 too"
    )
    group_rows: str = flag(default="no", choices=GROUP_ROWS, help=GROUP_ROWS_HELP)
    columns: dict[str, Any] = flag(default={}, help="our column name -> the shop's, from [columns] of the config file")

    def __post_init__(self) -> None:
        for name, least in (("max_picture_bytes", 1), ("concurrent_per_host", 1), ("refresh_days", 0)):
            if not getattr(self, name) >= least:
                raise UsageError(f"expected --{name.replace('_', '-')} of at least {least}, got {getattr(self, name)}")
        for name in ("max_requests_per_host_s", "timeout_s"):
            if not 0 < getattr(self, name) <= _DAY_S:
                raise UsageError(f"expected --{name.replace('_', '-')} above 0, got {getattr(self, name)}")
        if not (self.user_agent.strip() and self.user_agent.isascii() and self.user_agent.isprintable()):
            raise UsageError(f"expected printable ASCII for --user-agent, got {quote(self.user_agent)}")

    @property
    def folder(self) -> str:
        """The cache."""
        return f"{self.image_root}/{FETCHED_FOLDER}"

    @property
    def rules(self) -> FetchRules:
        """How hosts are asked."""
        return FetchRules(
            http=HttpLimits(
                max_bytes=self.max_picture_bytes,
                timeout_s=self.timeout_s,
                allow_private=self.allow_private,
                user_agent=self.user_agent,
            ),
            max_requests_per_host_s=self.max_requests_per_host_s,
            concurrent_per_host=self.concurrent_per_host,
            refresh_s=self.refresh_days * _DAY_S,
            ignore_robots=self.ignore_robots,
        )


def build(root: beam.Pipeline, config: FetchImagesConfig, call_id: str | None = None) -> beam.PCollection[str]:
    """Defines the job; runs nothing. The names of the units come out, one a host and one of the catalogue. Raises
    UsageError for a wrong path, file name or column. Workers in other working folders need absolute paths
    (with_absolute_paths)."""
    files = catalogue_files(config.catalog, config.date)
    columns = ColumnsOfTable(catalogue_columns(config.columns, config.group_rows), files)
    check_columns(files, columns, catalogue_schema(columns))
    return (
        root
        | "Slices" >> beam.Create(plan_slices(files), reshuffle=False)
        | FetchHosts(config.image_root, columns, config.rules, call_id or uuid.uuid4().hex, config.group_rows)
    )


def run(config: FetchImagesConfig, options: PipelineOptions) -> dict[str, Any]:
    """Fetches what is not fresh and returns the manifest of the call.

    Raises ThresholdError if no row of the catalogue is valid, or if there are URLs and not one of them has a picture,
    of this call or an earlier one; StoreBusyError while another call fetches into the same folder.
    """
    started_s, call_id = time.monotonic(), uuid.uuid4().hex
    pipeline = beam.Pipeline(options=options)
    build(pipeline, config, call_id)
    storage.make_folder(config.image_root)
    with store_lock(config.folder, "fetching pictures"):
        remove_half_files(config.image_root)
        try:
            pipeline.run().wait_until_finish()
        finally:
            Progress.close_shared(STAGE)
        manifest = write_stage_manifest(
            config.folder,
            STAGE,
            _units_of(config.folder, call_id),
            fetched_at=datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
        )
    _check(manifest["counts"], config)
    shown = {name: manifest["counts"].get(name, 0) for name in _SHOWN}
    print_summary(STAGE, shown, started_s, config.folder)
    if failed := _reasons(manifest["counts"]):
        flags = "".join(f"\n  {told}" for told in _of_flags(manifest["counts"]))
        print(f"{STAGE}: failed {failed}: see {config.folder}/quarantine{flags}", file=sys.stderr)
    return manifest


def main(argv: Sequence[str] | None = None) -> int:
    """Command line of the job; returns its exit code."""
    return main_of(FetchImagesConfig, run, argv, "itemsage fetch-images", EXAMPLE)


def _units_of(folder: str, call_id: str) -> list[str]:
    """The units that this call has sealed."""
    sidecars = storage.paths_in(sidecar_path(folder, STAGE, "x").parent, "*.json")
    return [path.stem for path in sidecars if read_sealed_json(path)["fingerprint"] == call_id]


def _reasons(counts: dict[str, int]) -> str:
    reasons = {name.removeprefix("reason:"): n for name, n in sorted(counts.items()) if name.startswith("reason:")}
    return ", ".join(f"{count:,} {name}" for name, count in reasons.items())


def _of_flags(counts: dict[str, int]) -> list[str]:
    """What to do for failures that a flag of this command may be right for."""
    found = {reason: remedy for reason, remedy in FETCH_REMEDIES.items() if counts.get(f"reason:{reason}")}
    return [f"{reason}: {remedy}" for reason, remedy in found.items() if " --" in remedy]


def _check(counts: dict[str, int], config: FetchImagesConfig) -> None:
    read, rejected = counts.get("rows_read", 0), counts.get("rows_rejected", 0)
    if not read:
        raise ThresholdError(
            f"expected at least one valid row, got none: {config.catalog} has no rows: see whether its export is whole"
        )
    if read == rejected:
        raise ThresholdError(
            f"expected at least one valid row, got none of {read:,} in {config.catalog}. To do: run `itemsage ingest`, "
            "whose quarantine says why of each row; null ids often mean that [columns] of the config file names "
            "another column"
        )
    distinct = counts.get("urls_distinct", 0)
    there = distinct - counts.get("urls_failed", 0) + counts.get("urls_kept", 0)
    if distinct and not there:
        flags = "".join(f"; {told}" for told in _of_flags(counts))
        raise ThresholdError(
            f"expected at least one picture, got none of {distinct:,} URLs ({_reasons(counts)}). To do: see reason and "
            f"remedy of each URL in {config.folder}/quarantine{flags}"
        )
