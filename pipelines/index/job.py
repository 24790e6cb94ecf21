"""Embeddings to an Annoy index with measured recall.

    python -m pipelines.index --run RUN --reuse-from EARLIER_RUN

One unit, since an index is one file: index/items.ann, index/ids.parquet (row number = Annoy id), index/manifest.json;
where many items share a vector also what searches go through (model.nearest.searched). It is chosen for each kind of
query, items, texts and pictures, and the manifest says what each finds.
With --refine-cosine a second one, refined_index/: the same without near-duplicates, and who stands for them.
What depends on the clock lies apart, in index/times.json: two runs over equal embeddings write equal bytes elsewhere.
So an earlier run's index is copied, with its times, if the embeddings and the settings are equal.
"""

import functools
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from apache_beam.options.pipeline_options import PipelineOptions

from model.machine.library_versions import versions_of
from model.nearest.index_folder import MANIFEST_FILE
from model.nearest.refined import REFINED_FOLDER
from model.nearest.searched import BACKENDS
from model.nearest.voyager import require_voyager
from pipelines.console.jobs import flag
from pipelines.console.progress import Progress
from pipelines.evaluate.inputs import read_query_rows
from pipelines.gates.log import require_sound_log
from pipelines.index.description import describe, describe_refined
from pipelines.index.folder import TIMES_FILE, read_times, write_index_folder, write_refined_folder
from pipelines.index.queries import AskedQueries, plan_queries
from pipelines.log.dated_log import DatedLog
from pipelines.run.index_problems import index_problems
from pipelines.run.listed_files import EMBEDDINGS, VECTORS, VECTORS_HELP
from pipelines.run.opened import Run, vectors_facts
from pipelines.run.process_units import UnitStage
from pipelines.run.stage import RunCall, Stage, job_of
from pipelines.run.unit_files import manifest_path, remove_unit, sidecar_path
from pipelines.run.units import Unit, UnitWriter
from schemas import storage
from schemas.columns.mapping import table_columns
from schemas.errors import UsageError
from schemas.files import read_json, write_json
from schemas.hashing import fingerprint

STAGE = "index"
FOLDER = "index"
UNIT_NAME, REFINED_UNIT_NAME = "all", "refined"
_FOLDERS = {UNIT_NAME: FOLDER, REFINED_UNIT_NAME: REFINED_FOLDER}
CODE_VERSION = 2
REFINED_CODE_VERSION = 1


@dataclass(frozen=True, kw_only=True)
class IndexConfig(DatedLog):
    """Builds the Annoy index of a run's embeddings and measures its recall against exact search."""

    run: str = flag(path=True, help="run folder with finished embeddings")
    vectors: str = flag(default=EMBEDDINGS, choices=VECTORS, help=VECTORS_HELP)
    target_recall: float = flag(default=0.95, help="recall@10 to reach with the fewest trees and nodes a query")
    max_trees: int = flag(default=100, help="cost cap: trees")
    max_search_k: int = flag(default=20_000, help="cost cap: nodes inspected a query")
    index_backend: str = flag(
        default="annoy",
        choices=BACKENDS,
        help="what searches go through; items.ann, of every item, is written for other readers all the same",
    )
    seed: int = flag(default=0, help="seed of the trees and of the queries that measure recall")
    refine_cosine: float = flag(
        default=0.0, help="also write refined_index/, without items that are this near to one that is kept; 0: do not"
    )
    model: str | None = flag(
        path=True,
        default=None,
        help="model folder whose towers encode the text and picture queries that the index is chosen for; default: of "
        "the run's store",
    )
    engagements: str | None = flag(
        path=True, default=None, help="log whose text queries are asked as far as the model was not trained on them"
    )
    date: str | None = flag(default=None, help="the day, YYYY-MM-DD, of --time-zone: later engagements are left out")
    reuse_from: str | None = flag(
        path=True, default=None, help="earlier run folder whose index is copied if vectors and queries are equal"
    )
    columns: dict[str, Any] = flag(default={}, help="our column name -> yours (table [columns] of --config)")

    def __post_init__(self) -> None:
        super().__post_init__()
        if not 0 <= self.target_recall <= 1 or self.max_trees < 1 or self.max_search_k < 1:
            raise UsageError(
                "expected --target-recall from 0 to 1, --max-trees >= 1 and --max-search-k >= 1, got "
                f"{self.target_recall}, {self.max_trees}, {self.max_search_k}"
            )
        check_refine_cosine(self.refine_cosine)
        check_backend(self.index_backend)


def check_backend(name: str) -> None:
    """Raises UsageError unless the backend is one, whose library is installed."""
    if name not in BACKENDS:
        raise UsageError(f"expected --index-backend {' or '.join(BACKENDS)}, got {name!r}")
    if name == "voyager":
        require_voyager()


def check_refine_cosine(value: float) -> None:
    """Raises UsageError unless the value is 0 (no refined index) or a cosine above 0 and at most 1."""
    if not 0 <= value <= 1:
        raise UsageError(f"expected --refine-cosine of 0 or a cosine up to 1, got {value}")


class IndexStage(UnitStage):
    """Builds the index of a run, and the refined one."""

    stage = STAGE
    progress_unit = "items"

    def __init__(self, config: IndexConfig, queries: AskedQueries | None = None):
        self.config, self.queries = config, queries or AskedQueries()

    def take_over(self, unit: Unit, writer: UnitWriter) -> bool:
        earlier = self.config.reuse_from
        if earlier is None or storage.is_same_place(earlier, self.config.run):
            return False
        counts = writer.take_over(earlier)
        if counts is None:
            return False
        writer.counts.update(counts)
        folder = _FOLDERS[unit.name]
        write_json(Path(self.config.run, folder, TIMES_FILE), read_times(earlier, folder))
        return True

    def compute(self, unit: Unit, writer: UnitWriter, progress: Progress) -> None:
        run = Run(self.config.run)
        ids, matrix_ND = run.vectors(self.config.vectors)
        made_of = {"model_id": run.model_id, **vectors_facts(run, self.config.vectors)}
        common: dict[str, Any] = {"settings": _settings(self.config), "made_of": made_of}
        if unit.name == REFINED_UNIT_NAME:
            write_refined_folder(writer, ids, matrix_ND, cosine=self.config.refine_cosine, **common)
        else:
            write_index_folder(
                writer,
                FOLDER,
                ids,
                matrix_ND,
                queries=self.queries.encoded(ids),
                backend=self.config.index_backend,
                **common,
            )
            writer.counts["items_indexed"] = len(ids)
        progress.advance(len(ids))


class Index(Stage[IndexConfig]):
    """Its manifest says what index/manifest.json says; if it was refined, that of the refined index under "refined"."""

    name = STAGE
    config_class = IndexConfig
    code_versions = (CODE_VERSION, REFINED_CODE_VERSION)
    makes = "items_indexed"

    @classmethod
    def given(cls, call: RunCall) -> dict[str, Any]:
        return {**super().given(call), "model": str(call.model)}

    @functools.cached_property
    def opened(self) -> Run:
        """What the stages before have left."""
        return Run(self.run)

    @functools.cached_property
    def queries(self) -> AskedQueries:
        """What is asked of the index when it is chosen; queries have no unified vectors."""
        if self.config.vectors != EMBEDDINGS:
            return AskedQueries()
        log = {name: getattr(self.config, name) for name in ("engagements", "date", "time_zone", "columns")}
        return plan_queries(self.run, self.opened.model_id, self.config.model, **log)

    def prepare(self, options: PipelineOptions) -> None:
        """Raises UsageError if readers see a refined index that this call would remove."""
        if not self.config.refine_cosine:
            _remove_refined(self.run)

    @functools.cached_property
    def units(self) -> list[Unit]:
        names = [UNIT_NAME, REFINED_UNIT_NAME] if self.config.refine_cosine else [UNIT_NAME]
        return [Unit(STAGE, name, _fingerprint(self.config, self.opened, self.queries, name)) for name in names]

    @property
    def worker(self) -> IndexStage:
        return IndexStage(self.config, self.queries)

    def facts(self) -> dict[str, Any]:
        refined = {REFINED_UNIT_NAME: _facts(self.run, REFINED_FOLDER)} if self.config.refine_cosine else {}
        return _facts(self.run, FOLDER) | refined

    def tell(self, manifest: dict[str, Any], started_s: float) -> None:
        """Gives the manifest its "times", which no file of checksums has."""
        manifest["times"] = _mended_times(self.run, FOLDER)
        super().tell(manifest, started_s)
        print(describe(manifest), flush=True)
        if self.config.refine_cosine:
            print(describe_refined(manifest, _mended_times(self.run, REFINED_FOLDER)), flush=True)

    @classmethod
    def problems(cls, run: Run) -> Iterator[str]:
        """Of index/; those of refined_index/ are refined_problems."""
        index, ids, _ = run.index
        yield from index_problems(index, ids, *run.searched_vectors)

    @classmethod
    def soundness(cls, run: Run) -> str:
        return f"{len(run.index.ids):,} items, files, ids and vectors are those of {run.searched}/"


def _facts(run_folder: str, folder: str) -> dict[str, Any]:
    """What the manifest of an index folder says, but of its files."""
    index = read_json(Path(run_folder, folder, MANIFEST_FILE))
    return {name: value for name, value in index.items() if name != "files"}


def _mended_times(run_folder: str, folder: str) -> dict[str, float]:
    """The times of a folder; a damaged file is replaced."""
    times = read_times(run_folder, folder)
    write_json(Path(run_folder, folder, TIMES_FILE), times)
    return times


def _remove_refined(run_folder: str) -> None:
    """Removes what an earlier call with --refine-cosine left, finished or not: the unit, then the whole folder, whose
    files no sidecar lists if that call was killed."""
    sidecar, folder = sidecar_path(run_folder, STAGE, REFINED_UNIT_NAME), Path(run_folder, REFINED_FOLDER)
    if storage.has(Path(run_folder, "COMPLETED")):
        if storage.has(sidecar):
            raise UsageError(
                f"expected --refine-cosine, got none for {run_folder}, which is published with {REFINED_FOLDER}/"
            )
        return
    if storage.has(sidecar) or storage.is_folder(folder):
        storage.remove(manifest_path(run_folder, STAGE), missing_ok=True)  # it lists what goes
        remove_unit(run_folder, sidecar)
    if storage.is_folder(folder):
        storage.remove_folder(folder)


def _settings(config: IndexConfig) -> dict[str, Any]:
    """What an index depends on, beside the vectors."""
    return {name: getattr(config, name) for name in ("target_recall", "max_trees", "max_search_k", "seed")}


def _fingerprint(config: IndexConfig, run: Run, queries: AskedQueries, unit_name: str) -> str:
    # without the quarantine of the stage before, which names its run: equal vectors make an equal index
    listed = [entry.to_json() for entry in run.manifest(config.vectors).files]
    files = [entry for entry in listed if entry["path"].startswith(f"{config.vectors}/")]
    made_with = [CODE_VERSION, versions_of("annoy", "numpy")]
    parts = [*made_with, files, run.vectors_id(config.vectors), _settings(config)]
    if unit_name == REFINED_UNIT_NAME:
        parts += [REFINED_CODE_VERSION, config.refine_cosine]
    else:
        parts += [queries.identity(), config.index_backend, versions_of("voyager")]
    return fingerprint(parts)


def run_alone(config: IndexConfig, options: PipelineOptions) -> dict[str, Any]:
    """The job as a command of its own, with the gate of the log: ThresholdError if too much of it is rejected."""
    if config.engagements is not None:
        columns = table_columns(config.columns, "engagements")
        _, _, rejected = read_query_rows(config.engagements, config.date, config.time_zone, columns)
        require_sound_log(rejected, config, "the index is chosen by its queries")
    return run(config, options)


build, run, main = job_of(Index, "itemsage index --run scratch --target-recall 0.98", run_alone)
