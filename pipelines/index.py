"""Embeddings to an Annoy index with measured recall.

    python -m pipelines.index --run RUN --reuse-from EARLIER_RUN

One unit, since an index is one file: index/items.ann, index/ids.parquet (row number = Annoy id), index/manifest.json.
What depends on the clock lies apart, in index/times.json: two runs over equal embeddings write equal bytes elsewhere.
So an earlier run's index is copied, with its times, if the embeddings and the settings are equal.
"""

import json
import sys
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import apache_beam as beam
import pyarrow as pa
import pyarrow.parquet as pq
from apache_beam.options.pipeline_options import PipelineOptions

from model.index import ANNOY_FILE, IDS_FILE, MANIFEST_FILE
from model.index_build import build_annoy
from model.library_versions import versions_of
from pipelines.jobs import flag, main_of, print_summary
from pipelines.progress import Progress
from pipelines.transforms.process_units import ProcessUnits, UnitStage
from pipelines.units import Unit, UnitWriter, read_stage_manifest, write_stage_manifest
from schemas.embeddings import read_embeddings, read_embeddings_metadata, validate_embeddings
from schemas.errors import CorruptFileError, UsageError
from schemas.files import check_sha256, read_json, write_json
from schemas.hashing import fingerprint
from schemas.tables import IDS

STAGE = "index"
FOLDER = "index"
UNIT_NAME = "all"
TIMES_FILE = "times.json"
CODE_VERSION = 1


@dataclass(frozen=True, kw_only=True)
class IndexConfig:
    """Builds the Annoy index of a run's embeddings and measures its recall against exact search."""

    run: str = flag(help="run folder with finished embeddings")
    target_recall: float = flag(default=0.95, help="recall@10 to reach with the fewest trees and nodes a query")
    max_trees: int = flag(default=100, help="cost cap: trees")
    max_search_k: int = flag(default=20_000, help="cost cap: nodes inspected a query")
    seed: int = flag(default=0, help="seed of the trees and of the queries that measure recall")
    reuse_from: str | None = flag(default=None, help="earlier run folder whose index is copied if vectors are equal")

    def __post_init__(self) -> None:
        if not 0 <= self.target_recall <= 1 or self.max_trees < 1 or self.max_search_k < 1:
            raise UsageError(
                "expected --target-recall from 0 to 1, --max-trees >= 1 and --max-search-k >= 1, got "
                f"{self.target_recall}, {self.max_trees}, {self.max_search_k}"
            )


class IndexStage(UnitStage):
    """Builds the one index of a run."""

    stage = STAGE
    progress_unit = "items"

    def __init__(self, config: IndexConfig, embeddings: dict[str, Any]):
        self.config, self.embeddings = config, embeddings

    def take_over(self, unit: Unit, writer: UnitWriter) -> bool:
        earlier = self.config.reuse_from
        if earlier is None or Path(earlier).resolve() == Path(self.config.run).resolve():
            return False
        counts = writer.take_over(earlier)
        if counts is None:
            return False
        writer.counts.update(counts)
        write_json(Path(self.config.run, FOLDER, TIMES_FILE), _times(earlier))
        return True

    def compute(self, unit: Unit, writer: UnitWriter, progress: Progress) -> None:
        for entry in self.embeddings["files"]:
            check_sha256(Path(self.config.run, entry["path"]), entry["sha256"])
        folder = Path(self.config.run, "embeddings")
        metadata = read_embeddings_metadata(folder)
        if metadata["model_id"] != self.embeddings["model_id"]:
            raise CorruptFileError(
                f"expected embeddings of model {self.embeddings['model_id']}, got {metadata['model_id']} in {folder}: "
                "run the embed stage again"
            )
        ids, matrix_ND = read_embeddings(folder)
        validate_embeddings(ids, matrix_ND, str(folder))
        with writer.file(f"{FOLDER}/{ANNOY_FILE}") as temporary:
            facts = build_annoy(matrix_ND, temporary, **_settings(self.config))
        with writer.file(f"{FOLDER}/{IDS_FILE}") as temporary:
            pq.write_table(pa.table([ids], schema=IDS), temporary, compression="zstd", use_dictionary=False)
        files = {Path(entry["path"]).name: {k: entry[k] for k in ("bytes", "sha256")} for entry in writer.files}
        manifest = {**facts.to_json(), "files": files, "model_id": metadata["model_id"]}
        with writer.file(f"{FOLDER}/{MANIFEST_FILE}") as temporary:
            text = json.dumps(manifest, indent=1, sort_keys=True, ensure_ascii=False, allow_nan=False) + "\n"
            Path(temporary).write_text(text, encoding="utf-8")
        write_json(Path(self.config.run, FOLDER, TIMES_FILE), facts.times)
        writer.counts["items_indexed"] = facts.n_items
        progress.advance(facts.n_items)


def build(root: beam.Pipeline, config: IndexConfig) -> beam.PCollection[dict[str, Any]]:
    """The index unit; its sidecar comes out. Runs nothing."""
    embeddings = read_stage_manifest(config.run, "embeddings")
    unit = Unit(STAGE, UNIT_NAME, _fingerprint(config, embeddings))
    return root | "Index" >> beam.Create([unit]) | ProcessUnits(config.run, IndexStage(config, embeddings))


def run(config: IndexConfig, options: PipelineOptions) -> dict[str, Any]:
    """Indexes the run's embeddings and returns the stage manifest: facts of the index, its times under "times".

    Raises CorruptFileError if the embeddings are not finished or not as their stage left them, ThresholdError if there
    are none.
    """
    started_s = time.monotonic()
    with beam.Pipeline(options=options) as pipeline:
        build(pipeline, config)
    Progress.close_shared(STAGE)
    index = read_json(Path(config.run, FOLDER, MANIFEST_FILE))
    facts = {name: value for name, value in index.items() if name != "files"}
    manifest = write_stage_manifest(config.run, STAGE, [UNIT_NAME], **facts)
    manifest["times"] = _times(config.run)
    write_json(Path(config.run, FOLDER, TIMES_FILE), manifest["times"])  # a damaged file is replaced
    print_summary("index", manifest["counts"], started_s, f"{config.run}/{FOLDER}")
    print(describe(manifest), flush=True)
    return manifest


def describe(manifest: dict[str, Any]) -> str:
    """What a person wants to know of an index: its cost, its recall, and whether that is enough."""
    recall = ", ".join(f"recall@{k} {manifest['recall'][k]:.3f}" for k in sorted(manifest["recall"], key=int))
    latency = manifest["times"].get("latency_p50_ms")
    lines = [
        f"index: {manifest['n_trees']} trees, search_k {manifest['search_k']:,}, {recall} against exact search"
        + (f", {latency:.2f} ms a query" if latency is not None else "")
        + f"; {manifest['share_with_twin']:.1%} of the items share their vector with another"
    ]
    if not manifest["target_reached"]:
        lines.append(
            f"index: WARNING: expected recall@10 >= {manifest['target_recall']}, got {manifest['recall']['10']} with "
            f"at most {manifest['max_trees']} trees and search_k {manifest['max_search_k']:,}: raise --max-trees or "
            "--max-search-k, or search with --exact"
        )
    return "\n".join(lines)


def _settings(config: IndexConfig) -> dict[str, Any]:
    """What the index depends on, beside the vectors."""
    return {name: value for name, value in asdict(config).items() if name not in ("run", "reuse_from")}


def _fingerprint(config: IndexConfig, embeddings: dict[str, Any]) -> str:
    # without the quarantine of the embed stage, which names its run: equal vectors make an equal index
    files = [entry for entry in embeddings["files"] if entry["path"].startswith("embeddings/")]
    made_with = [CODE_VERSION, versions_of("annoy", "numpy")]
    return fingerprint([*made_with, files, embeddings["model_id"], _settings(config)])


def _times(run_folder: str) -> dict[str, float]:
    """Times of the build; empty if someone removed or damaged them: they are no part of the result."""
    try:
        times = read_json(Path(run_folder, FOLDER, TIMES_FILE))
    except CorruptFileError:
        return {}
    return {k: v for k, v in times.items() if isinstance(v, int | float)} if isinstance(times, dict) else {}


def main(argv: Sequence[str] | None = None) -> int:
    """Command line of the job; returns its exit code."""
    example = "itemsage index --run scratch --target-recall 0.98"
    return main_of(IndexConfig, run, argv, "itemsage index", example)


if __name__ == "__main__":
    sys.exit(main())
