"""A source of item vectors as a stage: what it reads, how it learns, what it leaves behind.

    tables of the run -> learn -> <source>/embeddings/    unit vectors, the contract of schemas.records.embeddings
                                  <source>/evidence/      how much is known of each of these items: how often seen
                                  <source>/<beside>/      what else the source knows
                                  <source>/model/         what was trained, of a source that encodes new items with it

The id of a source, which its files have in the place of a model's, is the hash of what it was made from. Training is
one unit: it needs all rows at once. Counts: items_seen = items_left_out (too rare to learn from) +
items_without_direction (a vector of nothing) + items_written.
"""

import abc
import functools
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from apache_beam.options.pipeline_options import PipelineOptions

from model.machine.library_versions import versions_of
from model.sources.unit_rows import has_vector, unit_or_zero
from pipelines.console.jobs import flag
from pipelines.console.progress import Progress
from pipelines.run.process_units import UnitStage
from pipelines.run.stage import Stage
from pipelines.run.units import Unit, UnitWriter, read_stage_manifest
from pipelines.sources.run_tables import RunTable, run_table
from pipelines.stages import FROM_LOG, with_needs
from schemas import storage
from schemas.errors import ThresholdError
from schemas.hashing import fingerprint
from schemas.log_ends import LOG_END, end_to_json, latest, told_end
from schemas.records.clickstream import EVIDENCE
from schemas.records.embeddings import embeddings_metadata, read_embeddings_metadata, write_embeddings_file

#: The one unit of a source, which its files are called by.
UNIT = "part-00000-of-00001"
VECTORS_FOLDER, EVIDENCE_FOLDER, MODEL_FOLDER = "embeddings", "evidence", "model"
#: The count of a source that has learnt from them: pictures that people asked with, of items which they clicked.
PICTURES_OF_QUERIES = "pictures_of_queries"
_ID_DIGITS = 12


@dataclass(frozen=True, kw_only=True)
class SourceConfig:
    """Learns item vectors of a run."""

    run: str = flag(path=True, help="run folder with the tables that the source reads")
    dim: int = flag(default=64, help="numbers of a vector; of siamese its start decides")
    min_count: int = flag(default=5, help="occurrences of an item that gets a vector")
    seed: int = flag(default=0, help="same seed, same vectors")
    lifetimes: bool = flag(
        default=False, help="prod2vec and prodsi2vec learn from what a user buys or carts in all their time, too"
    )


@dataclass(frozen=True, kw_only=True, eq=False)
class LearntVectors:
    """item_ids: ascending; matrix_ND: not normalised; count_N: how often each was seen; num_seen: items of the input,
    those without a vector too; facts: more counts; beside: folder -> a table whose first column is item_id, of the same
    items; save_model: writes what was trained to a new folder."""

    item_ids: Sequence[str]
    matrix_ND: np.ndarray
    count_N: np.ndarray
    num_seen: int
    facts: Mapping[str, int] = field(default_factory=dict)
    beside: Mapping[str, pa.Table] = field(default_factory=dict)
    save_model: Callable[[Path], object] | None = None


#: Tables of the run by folder, the config, and what is called with work that is done.
Learn = Callable[[Mapping[str, RunTable], SourceConfig, Callable[[int], None]], LearntVectors]


class TrainedSource(Stage[SourceConfig], abc.ABC):
    """reads: folders of the run, in those of the stages that make them. libraries: whose versions decide, beside our
    own code, what is learnt. learns_from: what its progress counts."""

    config_class = SourceConfig
    code_versions = (1,)
    makes = "items_written"
    reads: ClassVar[tuple[str, ...]]
    libraries: ClassVar[tuple[str, ...]] = ("numpy", "torch")
    learns_from: ClassVar[str] = "tokens"

    @staticmethod
    @abc.abstractmethod
    def settings(config: SourceConfig) -> Mapping[str, Any]:
        """All that decides, beside its input, what is learnt: part of the source's id."""

    @staticmethod
    @abc.abstractmethod
    def learn(tables: Mapping[str, RunTable], config: SourceConfig, advance: Callable[[int], None]) -> LearntVectors:
        """Raises ThresholdError where there is too little to learn from."""

    @functools.cached_property
    def tables(self) -> dict[str, RunTable]:
        """What it reads. Raises CorruptFileError for a stage that is not finished."""
        return {folder: run_table(self.run, folder) for folder in self.reads}

    @functools.cached_property
    def units(self) -> list[Unit]:
        made_of = [self.code_versions, versions_of(*self.libraries), self.settings(self.config)]
        inputs = {folder: table.sha256 for folder, table in self.tables.items()}
        return [Unit(self.name, UNIT, fingerprint([self.name, *made_of, inputs]))]

    @property
    def source_id(self) -> str:
        """Equal for what is made from equal input with equal settings."""
        return f"{self.name}-{self.units[0].fingerprint[:_ID_DIGITS]}"

    @property
    def log_stages(self) -> Sequence[str]:
        """The stages that have read the log for it, whose manifests say where that ends."""
        return [stage for stage in with_needs(self.name) if stage in FROM_LOG]

    def prepare(self, options: PipelineOptions) -> None:
        """Raises UsageError for settings out of range."""
        _ = self.units

    @functools.cached_property
    def todo(self) -> Sequence[Unit]:
        return self.unfinished

    @property
    def worker(self) -> UnitStage:
        return _Trainer(self.name, self.learn, self.tables, self.config, self.source_id, self.learns_from)

    def facts(self) -> dict[str, Any]:
        metadata = read_embeddings_metadata(Path(self.run, self.name, VECTORS_FOLDER))
        ends = [told_end(read_stage_manifest(self.run, stage).get(LOG_END)) for stage in self.log_stages]
        return {
            "source_id": self.source_id,
            "dimension": int(metadata["dimension"]),
            LOG_END: end_to_json(latest(ends)),
        }

    def shown(self, counts: dict[str, int]) -> dict[str, int]:
        return {**counts, "reused": int(not self.todo)}


@dataclass(frozen=True)
class _Trainer(UnitStage):
    stage: str
    learn: Learn
    tables: Mapping[str, RunTable]
    config: SourceConfig
    source_id: str
    progress_unit: str

    def compute(self, unit: Unit, writer: UnitWriter, progress: Progress) -> None:
        write_source(writer, self.learn(self.tables, self.config, progress.advance), self.source_id)


def write_source(writer: UnitWriter, learnt: LearntVectors, source_id: str) -> None:
    """Writes vectors, evidence and what is beside of the items whose vectors have a direction, and counts. Raises
    ThresholdError if there is none."""
    unit_ND = unit_or_zero(learnt.matrix_ND)
    has_N = has_vector(unit_ND)
    ids = pa.array(learnt.item_ids, pa.string()).filter(pa.array(has_N))
    if not len(ids):
        raise ThresholdError(f"expected at least one item with a vector of a direction, got none of {len(has_N):,}")
    with writer.file(_path(writer, VECTORS_FOLDER)) as temporary:
        write_embeddings_file(temporary, ids, unit_ND[has_N], embeddings_metadata(source_id, unit_ND.shape[1]))
    evidence = pa.table([pa.array(learnt.item_ids, pa.string()), pa.array(learnt.count_N)], schema=EVIDENCE)
    for folder, table in {EVIDENCE_FOLDER: evidence, **learnt.beside}.items():
        with writer.file(_path(writer, folder)) as temporary:
            pq.write_table(table.filter(pa.array(has_N)), temporary, compression="zstd")
    if learnt.save_model is not None:
        _write_model(writer, learnt.save_model)
    writer.counts.update(
        items_seen=learnt.num_seen,
        items_left_out=learnt.num_seen - len(has_N),
        items_without_direction=len(has_N) - len(ids),
        items_written=len(ids),
        **learnt.facts,
    )


def _write_model(writer: UnitWriter, save: Callable[[Path], object]) -> None:
    """The files that `save` writes to a folder, as files of the unit."""
    with storage.temporary_folder() as folder:
        save(Path(folder, MODEL_FOLDER))
        for path in storage.files_below(Path(folder, MODEL_FOLDER)):
            with writer.file(f"{writer.unit.stage}/{MODEL_FOLDER}/{path.name}") as temporary:
                storage.copy_file(path, temporary)


def _path(writer: UnitWriter, folder: str) -> str:
    return f"{writer.unit.stage}/{folder}/{writer.unit.name}.parquet"


def num_distinct(values: pa.ChunkedArray) -> int:
    """How many different values there are."""
    return int(pc.count_distinct(values).as_py())
