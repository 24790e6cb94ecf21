"""A run made by hand, stage by stage, as the stages leave it: the inverse of pipelines.run.opened.Run."""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from pipelines.run.units import Unit, UnitWriter, bucket_name, write_stage_manifest
from schemas.files import sha256_of_file, write_json, write_text
from schemas.hashing import bucket_of
from schemas.records.embeddings import embeddings_metadata, write_embeddings_file
from schemas.records.manifests import FileEntry, RunManifest, Sidecar, StageManifest, manifest_path, sum_of
from schemas.records.tfrecords import ItemFeatures, encode_features, write_records

MODEL_ID = "itemsage-0123456789ab"
#: Folders that readers read.
_PUBLISHED = ("embeddings", "index", "refined_index", "users", "user_actions", "item_popularity")
#: A Parquet file's rows, or what writes a file to a path.
Content = pa.Table | Callable[[str], object]


class RunBuilder:
    """Each method leaves a finished stage and returns the builder."""

    def __init__(self, run: Path, model_id: str = MODEL_ID):
        self.run, self.model_id = run, model_id

    def unit(self, stage: str, name: str, files: Mapping[str, Content], counts: Mapping[str, int] = {}) -> None:
        """A finished unit. files: path inside the run -> content."""
        writer = UnitWriter(str(self.run), Unit(stage, name, "0"))
        for path, content in files.items():
            with writer.file(path) as temporary:
                pq.write_table(content, temporary) if isinstance(content, pa.Table) else content(temporary)
        writer.counts.update(counts)
        writer.seal()

    def stage(
        self, name: str, files: Mapping[str, Content] = {}, counts: Mapping[str, int] = {}, **facts: Any
    ) -> "RunBuilder":
        """Any stage, of one unit."""
        self.unit(name, "all", files, counts)
        write_stage_manifest(str(self.run), name, ["all"], **facts)
        return self

    def embeddings(self, ids: Sequence[str], matrix_ND: np.ndarray, parts: int = 1, **facts: Any) -> "RunBuilder":
        """Rows dealt out to parts. ids: ascending."""
        metadata, names = embeddings_metadata(self.model_id, matrix_ND.shape[1]), []
        for part in range(parts):
            names.append(f"part-{part:05d}-of-{parts:05d}")
            rows = (list(ids)[part::parts], matrix_ND[part::parts])
            files = {f"embeddings/{names[-1]}.parquet": lambda path, rows=rows: write_rows(path, *rows, metadata)}
            self.unit("embeddings", names[-1], files, {"rows_read": len(rows[0]), "rows_written": len(rows[0])})
        write_stage_manifest(str(self.run), "embeddings", names, model_id=self.model_id, **facts)
        return self

    def unified(self, ids: Sequence[str], matrix_ND: np.ndarray, unified_id: str, **facts: Any) -> "RunBuilder":
        """Unified vectors of one part. ids: ascending."""
        metadata, rows = embeddings_metadata(unified_id, matrix_ND.shape[1]), (list(ids), matrix_ND)
        counts = {"rows_read": len(ids), "rows_written": len(ids), "rows_quarantined": 0}
        files = {"unified/part-00000-of-00001.parquet": lambda path: write_rows(path, *rows, metadata)}
        return self.stage("unified", files, counts, unified_id=unified_id, dimension=matrix_ND.shape[1], **facts)

    def items(
        self, rows: Sequence[Mapping[str, Any]], schema: pa.Schema | None = None, num_buckets: int = 1
    ) -> "RunBuilder":
        """Rows by bucket. rows: ascending by item_id."""
        names = [bucket_name(bucket, num_buckets) for bucket in range(num_buckets)]
        for bucket, name in enumerate(names):
            own = [row for row in rows if bucket_of(row["item_id"], num_buckets) == bucket]
            table = pa.Table.from_pylist(own, schema=schema)
            self.unit("items", name, {f"items/{name}.parquet": table}, {"rows_written": len(own)})
        write_stage_manifest(str(self.run), "items", names, num_buckets=num_buckets, fingerprint="0")
        return self

    def features(self, items: Sequence[ItemFeatures], num_buckets: int = 1, **facts: Any) -> "RunBuilder":
        """Records by bucket. items: ascending by item_id."""
        names = [bucket_name(bucket, num_buckets) for bucket in range(num_buckets)]
        for bucket, name in enumerate(names):
            own = [encode_features(item) for item in items if bucket_of(item.item_id, num_buckets) == bucket]
            files = {f"features/{name}.tfrecord": lambda path, own=own: write_records(path, own)}
            self.unit("features", name, files, {"items_written": len(own)})
        write_stage_manifest(str(self.run), "features", names, num_buckets=num_buckets, **facts)
        return self

    def listed(self, stage: str, *folders: str, counts: Mapping[str, int] = {}, **facts: Any) -> "RunBuilder":
        """A stage of one unit whose files lie in these folders already, whatever they are."""
        paths = [path for folder in folders for path in sorted((self.run / folder).rglob("*")) if path.is_file()]
        files = tuple(self.entry(path) for path in paths if path.name != "times.json")
        sidecar = Sidecar(unit="all", fingerprint="0", counts=counts, files=files)
        sidecar.write(self.run, stage)
        sum_of([sidecar], stage, facts).write(self.run)
        return self

    def publish(self, point: bool = False, **facts: Any) -> "RunBuilder":
        """manifest.json and COMPLETED over what the finished stages list now. point: CURRENT names it."""
        finished = [name for name in ("embeddings", "index", "users") if manifest_path(self.run, name).is_file()]
        stages = {name: StageManifest.read(self.run, name) for name in finished}
        files = [entry for stage in stages.values() for entry in stage.files if entry.path.split("/")[0] in _PUBLISHED]
        counts = {"rows_published": stages["embeddings"].counts["rows_written"]} if "embeddings" in stages else {}
        facts = {"date": self.run.parent.name, "run_id": self.run.name, **facts}
        manifest = RunManifest(model_id=self.model_id, counts=counts, files=tuple(files), facts=facts)
        write_json(self.run / "manifest.json", manifest.to_json())
        write_text(self.run / "COMPLETED", sha256_of_file(self.run / "manifest.json") + "\n")
        if point:
            write_text(self.run.parents[2] / "CURRENT", "/".join(self.run.parts[-3:]) + "\n")
        return self

    def entry(self, path: Path) -> FileEntry:
        """A file of the run as it is now."""
        return FileEntry(path.relative_to(self.run).as_posix(), sha256_of_file(path), path.stat().st_size)


def write_rows(path: str, ids: Sequence[str], matrix_ND: np.ndarray, metadata: Mapping[str, str]) -> None:
    """An embeddings file."""
    write_embeddings_file(path, ids, matrix_ND, metadata)
