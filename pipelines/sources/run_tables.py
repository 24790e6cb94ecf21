"""Tables that stages of a run have left, bucket by bucket: which files, and what identifies them."""

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from pipelines.run.units import Unit
from schemas.errors import CorruptFileError
from schemas.parquet.files import PARQUET_ERRORS
from schemas.quarantine import quote
from schemas.records.manifests import Sidecar, StageManifest


@dataclass(frozen=True, kw_only=True)
class RunTable:
    """Parquet files of one folder of a run, by bucket. Small: it travels to the workers."""

    run: str
    names: tuple[str, ...]
    sha256: tuple[str, ...]

    @property
    def paths(self) -> tuple[str, ...]:
        return tuple(str(Path(self.run, name)) for name in self.names)

    def read(self, schema: pa.Schema) -> pa.Table:
        """The rows of all files, in the order of the buckets."""
        return pa.concat_tables([schema.empty_table(), *(read_table(path, schema) for path in self.paths)])


def run_table(run: str, folder: str) -> RunTable:
    """The files of a folder that is that of a stage, or inside it. Raises CorruptFileError unless it is finished."""
    listed = StageManifest.read(run, folder.partition("/")[0]).listed(folder)
    names = sorted(listed)
    return RunTable(run=run, names=tuple(names), sha256=tuple(listed[name] for name in names))


def counts_of(run: str, units: Iterable[Unit]) -> Counter[str]:
    """The counts of finished units, before there is a manifest."""
    counts: Counter[str] = Counter()
    for unit in units:
        counts.update(Sidecar.read(run, unit.stage, unit.name).counts)
    return counts


def num_buckets_of(run: str) -> int:
    """How many buckets the items of a run are in."""
    return StageManifest.read(run, "items").whole("num_buckets", least=1)


def read_table(path: str, schema: pa.Schema) -> pa.Table:
    """The columns of the schema. Raises CorruptFileError for a file that cannot be read or has others."""
    try:
        table = pq.read_table(path, columns=schema.names)
        return table.cast(schema)
    except (*PARQUET_ERRORS, KeyError, ValueError) as error:
        raise CorruptFileError(f"expected {', '.join(schema.names)} in {path}, got {quote(str(error))}") from error
