"""Query pictures to vectors, once for each distinct URI, in resumable units.

    (unit, [(query_id, URI), ...])  ->  <run>/pairs/queries/unit-00003-of-00016.{ids,vectors}.npy

A unit's vectors are read through a memory map, row by row: no stage holds more of them than it looks up.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import apache_beam as beam
import numpy as np
import pyarrow as pa

from model.pictures.faults import DEFAULT_LIMITS, PictureError, PictureLimits
from model.pictures.files import find_picture, read_picture
from model.pictures.image_encoder import ImageEncoder
from model.pictures.image_encoder_spec import saved_image_encoder_spec
from model.pictures.root import PictureRoot
from pipelines.console.progress import Progress
from pipelines.run.counted import CountedDoFn
from pipelines.run.opened_models import open_encoder
from pipelines.run.units import Unit, UnitWriter, finished_sidecar
from schemas import storage
from schemas.hashing import fingerprint
from schemas.quarantine import Rejection, quote

CODE_VERSION = 3


@dataclass(frozen=True, kw_only=True)
class QueryEncoding:
    """What a query picture's vector depends on beside its file."""

    run: str
    image_root: str
    encoder_folder: str
    encoder_id: str
    device: str
    num_units: int
    limits: PictureLimits


def unit_name(unit: int, num_units: int) -> str:
    """
    >>> unit_name(3, 16)
    'queries-00003-of-00016'
    """
    return f"queries-{unit:05d}-of-{num_units:05d}"


def pictures_by_unit(pairs: pa.Table, num_units: int) -> Mapping[int, Sequence[tuple[int, str]]]:
    """Distinct (query_id, URI) of closeup pairs, by the unit that computes their vectors."""
    distinct = pairs.select(["query_id", "query"]).group_by(["query_id", "query"]).aggregate([]).sort_by("query_id")
    units: dict[int, list[tuple[int, str]]] = {}
    for key, uri in zip(distinct.column("query_id").to_pylist(), distinct.column("query").to_pylist(), strict=True):
        units.setdefault(key % num_units, []).append((key, uri))
    return units


class QueryVectors:
    """Vectors of query pictures of a run by query id, looked up in memory-mapped files."""

    def __init__(self, run: str, num_units: int):
        self.folder, self.num_units = Path(run, "pairs", "queries"), num_units
        self._open: dict[int, tuple[np.ndarray, np.ndarray]] = {}

    def __getitem__(self, query_id: int) -> np.ndarray:
        """float16 [picture_dim]; KeyError if the query has none (its picture is broken)."""
        unit = query_id % self.num_units
        if unit not in self._open:
            name = unit_name(unit, self.num_units)
            if not storage.has_file(self.folder / f"{name}.ids.npy"):
                raise KeyError(query_id)
            vectors = np.load(self.folder / f"{name}.vectors.npy", mmap_mode="r", allow_pickle=False)
            self._open[unit] = (np.load(self.folder / f"{name}.ids.npy", allow_pickle=False), vectors)
        ids, vectors = self._open[unit]
        row = int(np.searchsorted(ids, query_id))
        if row == len(ids) or ids[row] != query_id:
            raise KeyError(query_id)
        return vectors[row]


def unit_fingerprint(encoding: QueryEncoding, queries: Sequence[tuple[int, str]]) -> str:
    """Changes with the encoder, the caps, the URIs, and the size or modification time of any of the files."""
    states: list[Any] = []
    root = PictureRoot.of(encoding.image_root)
    for _, uri in queries:
        try:
            states.append([uri, *find_picture(root, uri, encoding.limits)[1:]])
        except PictureError as error:
            states.append([uri, error.reason])
    return fingerprint([CODE_VERSION, encoding.encoder_id, encoding.image_root, asdict(encoding.limits), states])


def encode_queries(
    encoder: ImageEncoder, image_root: str, queries: Sequence[tuple[int, str]], limits: PictureLimits = DEFAULT_LIMITS
) -> tuple[np.ndarray, np.ndarray, list[Rejection]]:
    """(ids int64 [N] rising, vectors float16 [N, dim], a rejection for each picture that cannot be used)."""
    uris, root = dict(queries), PictureRoot.of(image_root)
    rejected: list[Rejection] = []
    ids: list[int] = []
    vectors: list[np.ndarray] = []

    def pictures() -> Iterator[tuple[int, bytes | PictureError]]:
        for query_id, uri in queries:
            try:
                yield query_id, read_picture(root, uri, limits)
            except PictureError as error:
                yield query_id, error

    for query_id, result in encoder.encode_stream(pictures(), limits):
        if isinstance(result, PictureError):
            rejected.append(_rejection(uris[query_id], result))
        else:
            ids.append(query_id)
            vectors.append(result)
    order = np.argsort(np.array(ids, np.int64))
    matrix = np.stack(vectors).astype("<f2") if vectors else np.zeros((0, encoder.dim), "<f2")
    return np.array(ids, "<i8")[order], matrix[order], rejected


class _EncodeUnit(CountedDoFn):
    def __init__(self, encoding: QueryEncoding):
        self.encoding = encoding
        self.encoder: ImageEncoder | None = None

    def process(
        self, element: tuple[int, Iterable[Sequence[tuple[int, str]]]], checked: list[int]
    ) -> Iterable[list[int]]:
        number, groups = element
        queries = sorted({query for group in groups for query in group})
        name = unit_name(number, self.encoding.num_units)
        unit = Unit("pairs", name, unit_fingerprint(self.encoding, queries))
        if finished_sidecar(self.encoding.run, unit) is None:
            self._compute(unit, queries)
        yield broken_queries(self.encoding.run, name, queries)

    def _compute(self, unit: Unit, queries: Sequence[tuple[int, str]]) -> None:
        writer = UnitWriter(self.encoding.run, unit)
        if queries:
            if self.encoder is None:  # the files are checked once
                self.encoder = open_encoder(
                    saved_image_encoder_spec(self.encoding.encoder_folder, self.encoding.device)
                )
            ids, vectors, rejected = encode_queries(
                self.encoder, self.encoding.image_root, queries, self.encoding.limits
            )
            for suffix, array in (("ids", ids), ("vectors", vectors)):
                path = f"pairs/queries/{unit.name}.{suffix}.npy"
                with writer.file(path) as temporary, storage.open_file(temporary, "wb") as file:
                    np.save(file, array, allow_pickle=False)
            writer.quarantine(rejected)
            writer.counts["query_pictures_computed"] += len(ids)
            writer.counts["query_pictures_quarantined"] += len(rejected)
            Progress.shared("pairs: query pictures", "pictures").advance(len(queries))
        writer.seal()


def broken_queries(run: str, name: str, queries: Sequence[tuple[int, str]]) -> list[int]:
    """Ids of a finished unit's queries that have no vector."""
    path = Path(run, "pairs", "queries", f"{name}.ids.npy")
    if not queries:
        return []
    present = set(np.load(path, allow_pickle=False).tolist())
    return [query_id for query_id, _ in queries if query_id not in present]


class EmbedQueries(beam.PTransform):
    """(unit, [(query_id, URI), ...]), at least one for each unit, in; ids of queries with broken pictures out.

    `checked` is a side input that is there once the split is known to be good: nothing is encoded before.
    """

    def __init__(self, encoding: QueryEncoding, checked: beam.pvalue.AsSideInput):
        super().__init__(label="Embed query pictures")
        self.encoding, self.checked = encoding, checked

    def expand(self, queries: beam.PCollection[tuple[int, Any]]) -> beam.PCollection[list[int]]:
        return (
            queries
            | "Group by unit" >> beam.GroupByKey()
            | "Encode unit" >> beam.ParDo(_EncodeUnit(self.encoding), self.checked)
        )


def _rejection(uri: str, error: PictureError) -> Rejection:
    return Rejection(
        level="picture",
        stage="pairs",
        item_id=None,
        reason=error.reason,
        expected=error.expected,
        got=error.got,
        where=quote(uri),
        remedy=error.remedy,
    )
