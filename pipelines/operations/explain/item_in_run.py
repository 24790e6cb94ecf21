"""Everything that one run knows of one item, read from the files of its bucket where possible.

A damaged file costs what it holds; the rest is told.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from pipelines.operations.findings import Finding
from pipelines.run.listed_files import EMBEDDINGS, UNIFIED
from pipelines.run.opened import Run
from pipelines.run.unit_files import manifest_path
from pipelines.run.units import bucket_name
from pipelines.stages import lines_of_day, of_every_day
from schemas import storage
from schemas.files import read_json
from schemas.hashing import bucket_of
from schemas.records.tfrecords import ItemFeatures, decode_features, read_records
from schemas.validation.left_out_rows import ROWS_LEFT_OUT

TOP = 10
#: Stages whose part in an item is told in words of its own, or that have none.
_TOLD_APART = frozenset(("items", "log", "features", "embeddings", "index", "users"))


@dataclass(frozen=True, kw_only=True)
class PictureFacts:
    """A picture of an item. reason: why it could not be used, None for a good one; None elsewhere: not known."""

    uri: str
    bytes: int | None = None
    modified_ns: int | None = None
    sha256: str | None = None
    reason: str | None = None
    got: str | None = None


@dataclass(frozen=True)
class Neighbour:
    """An item near another; score: cosine."""

    item_id: str
    score: float
    title: str | None


@dataclass
class ItemInRun:
    """row, record, payload (the record's bytes), features_hash (of it, as fingerprints/ has it), vector_D, unified_D:
    None if the run has none. ids: model_id, vocabulary_id, encoder_id, of a run with unified vectors unified_id.
    change: new, changed, deleted or None, as changes/ says. problems: files that could not be read; stages: those that
    are finished; others: other stages -> their files that have a row of the item; rows_left_out: of the run's
    catalogue, whosever they are."""

    run: Path
    item_id: str
    bucket: int = 0
    num_buckets: int = 0
    ids: dict[str, str | None] = field(default_factory=dict)
    row: dict[str, Any] | None = None
    record: ItemFeatures | None = None
    payload: bytes | None = None
    features_hash: bytes | None = None
    pictures: list[PictureFacts] = field(default_factory=list)
    vector_D: np.ndarray | None = None
    unified_D: np.ndarray | None = None
    rejections: list[dict[str, Any]] = field(default_factory=list)
    change: str | None = None
    problems: list[str] = field(default_factory=list)
    stages: tuple[str, ...] = ()
    others: dict[str, list[str]] = field(default_factory=dict)
    rows_left_out: int = 0


def read_item(run: Path, item_id: str) -> ItemInRun:
    """The item as the run has it; of an unfinished run, what its finished stages have."""
    item, finding = ItemInRun(run, item_id), Finding("item")
    is_finished = storage.has_file(run / "COMPLETED")
    wanted = of_every_day()
    item.stages = tuple(name for name in wanted if is_finished or storage.has_file(manifest_path(str(run), name)))
    if missing := [name for name in wanted if name not in item.stages]:
        finding.fail(f"the run is not finished: {', '.join(missing)} cannot be told (`itemsage runs` has its state)")
    with finding.guard("the stages' manifests"):
        _read_manifests(item)
    with finding.guard("quarantine/"):
        for path in storage.paths_in(run / "quarantine", "*.parquet"):
            item.rejections += _rows(path, item_id)
    if item.num_buckets:
        _read_bucket(item, finding)
    if "embeddings" in item.stages:
        with finding.guard("embeddings/"):
            row = _only_row(run / "embeddings", item_id)
            item.vector_D = None if row is None else np.array(row["embedding"], np.float32)
    if storage.has_file(manifest_path(str(run), UNIFIED)):
        with finding.guard(f"{UNIFIED}/"):
            item.ids["unified_id"] = Run(run).manifest(UNIFIED).text("unified_id")
            row = _only_row(run / UNIFIED, item_id)
            item.unified_D = None if row is None else np.array(row["embedding"], np.float32)
    _read_others(item, finding)
    if storage.is_folder(run / "changes"):
        with finding.guard("changes/"):
            row = _only_row(run / "changes", item_id)
            item.change = None if row is None else row["change"]
    item.problems = finding.problems
    return item


def _read_manifests(item: ItemInRun) -> None:
    opened = Run(item.run)
    manifests = {name: opened.manifest(name) for name in item.stages if name != "index"}
    if "items" in manifests:
        item.num_buckets = opened.num_buckets
        item.rows_left_out = manifests["items"].counts.get(ROWS_LEFT_OUT, 0)
        item.bucket = bucket_of(item.item_id, item.num_buckets)
    if "features" in manifests:
        item.ids = {name: manifests["features"].facts.get(name) for name in ("vocabulary_id", "encoder_id")}
    if "embeddings" in manifests:
        item.ids["model_id"] = manifests["embeddings"].facts.get("model_id")


def _read_bucket(item: ItemInRun, finding: Finding) -> None:
    """The item's row, record and pictures, from the files of its bucket."""
    name = bucket_name(item.bucket, item.num_buckets)
    with finding.guard(f"items/{name}.parquet"):
        item.row = _only_row(item.run / "items" / f"{name}.parquet", item.item_id)
    if "features" in item.stages:
        with finding.guard(f"features/{name}.tfrecord"):
            _read_record(item.run / "features" / f"{name}.tfrecord", item)
    with finding.guard(f"fingerprints/{name}.parquet"):
        item.pictures = _pictures(item.run / "fingerprints" / f"{name}.parquet", item)


def _read_others(item: ItemInRun, finding: Finding) -> None:
    """The files of further stages that have the item."""
    for line in lines_of_day():
        if line.name in _TOLD_APART:
            continue
        with finding.guard(f"the stage {line.name}"):
            folders = [item.run / name for name in (*line.published, *line.folders)]
            paths = sorted(path for folder in folders for path in storage.paths_in(folder, "*.parquet"))
            found = [path for path in paths if _has(path, item.item_id)]
            item.others[line.name] = [path.relative_to(item.run).as_posix() for path in found]


def _has(path: Path, item_id: str) -> bool:
    return "item_id" in pq.read_schema(path).names and bool(_only_row(path, item_id))


def neighbours(item: ItemInRun, problems: list[str]) -> list[Neighbour]:
    """The TOP items nearest to the item in its run's index, without itself; none, with a problem, if it is damaged."""
    finding = Finding("neighbours")
    found: list[Neighbour] = []
    with finding.guard("index/"):
        if item.vector_D is not None and "index" in item.stages:
            opened = Run.open(item.run)
            index, ids, _ = opened.index
            vector_D = item.vector_D
            if opened.searched != EMBEDDINGS:
                (place,) = pc.index_in(pa.array([item.item_id]), value_set=ids).to_pylist()
                if place is None:
                    return []
                vector_D = index.vectors([place])[0]
            rows_1K, scores_1K = index.search(vector_D[None], TOP + 1)
            pairs = [
                (ids[row].as_py(), float(s))
                for row, s in zip(rows_1K[0].tolist(), scores_1K[0], strict=True)
                if row >= 0
            ]
            others = [(name, score) for name, score in pairs if name != item.item_id][:TOP]
            titles = opened.titles([name for name, _ in others])
            found = [Neighbour(name, score, title) for (name, score), title in zip(others, titles, strict=True)]
    problems += finding.problems
    return found


def published_ids(run: Path) -> list[str]:
    """The ids of the run's index, ascending."""
    ids: list[str] = pq.read_table(run / "index" / "ids.parquet")["item_id"].to_pylist()
    return ids


def _rows(path: Path, item_id: str) -> list[dict[str, Any]]:
    rows: list[dict[str, Any]] = pq.read_table(path, filters=[("item_id", "=", item_id)]).to_pylist()
    return rows


def _only_row(path: Path, item_id: str) -> dict[str, Any] | None:
    return next(iter(_rows(path, item_id)), None)


def _read_record(path: Path, item: ItemInRun) -> None:
    for payload in read_records(path):
        record = decode_features(payload)
        if record.item_id == item.item_id:
            item.record, item.payload = record, payload
            return


def _pictures(path: Path, item: ItemInRun) -> list[PictureFacts]:
    """From the fingerprints; of a run without them, from the row, the record and the quarantine."""
    if storage.has_file(path):
        row = _only_row(path, item.item_id)
        item.features_hash = row["features_hash"] if row else None
        return [
            PictureFacts(
                uri=picture["uri"],
                bytes=picture["bytes"],
                modified_ns=picture["modified_ns"],
                sha256=None if picture["sha256"] is None else picture["sha256"].hex(),
                reason=picture["reason"],
                got=picture["got"],
            )
            for picture in (row["pictures"] if row else ())
        ]
    uris: Sequence[str] = (item.row or {}).get("images") or ()
    bad = {row["where"]: row for row in item.rejections if row["level"] == "picture"}
    digests = iter(item.record.picture_sha256 if item.record else ())
    return [
        PictureFacts(uri=uri, reason=bad[uri]["reason"], got=bad[uri]["got"])
        if uri in bad
        else PictureFacts(uri=uri, sha256=next(digests, b"").hex() or None)
        for uri in uris
    ]


def vocabulary_folder(store_folder: str, item: ItemInRun) -> Path | None:
    """The vocabulary that the item's text was read with; None if its model is not in the store any more."""
    folder = Path(store_folder, "models", str(item.ids.get("model_id")), "vocabulary")
    if not storage.has_file(folder / "vocabulary.json"):
        return None
    return folder if read_json(folder / "vocabulary.json").get("id") == item.ids.get("vocabulary_id") else None
