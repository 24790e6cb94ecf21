"""A published run made by hand: enough to search by item, with any ids and titles."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from run_builder import RunBuilder

from model.nearest.tuned_build import build_annoy
from pipelines.run.units import bucket_name
from schemas.files import sha256_of_file, write_json
from schemas.records.embeddings import embeddings_metadata, write_embeddings_file
from schemas.tables import EMBEDDING_DIM, IDS, ITEMS

MODEL_ID = "itemsage-0123456789ab"
RUN = "runs/2026-06-30/0123456789abcdef"
PART = "embeddings/part-00000-of-00001.parquet"


def publish_by_hand(store: Path, ids: Sequence[str], titles: Sequence[str]) -> Path:
    """Writes a store whose only run has these items; returns the run's folder."""
    run = store / RUN
    order = sorted(range(len(ids)), key=lambda row: ids[row].encode())
    ids, titles = [ids[row] for row in order], [titles[row] for row in order]
    vectors = np.random.default_rng(0).normal(size=(len(ids), EMBEDDING_DIM)).astype(np.float32)
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    for folder in ("items", "embeddings", "index", "manifests"):
        (run / folder).mkdir(parents=True)
    rows = [{"item_id": item_id, "title": title, "images": []} for item_id, title in zip(ids, titles, strict=True)]
    pq.write_table(pa.Table.from_pylist(rows, schema=ITEMS), run / "items" / f"{bucket_name(0, 1)}.parquet")
    write_embeddings_file(run / PART, ids, vectors, embeddings_metadata(MODEL_ID, EMBEDDING_DIM))
    write_index(run / "index", ids, vectors)
    RunBuilder(run, MODEL_ID).listed("items", "items", num_buckets=1)
    seal(run)
    (store / "CURRENT").write_text(RUN + "\n")
    return run


def write_index(folder: Path, ids: Sequence[str], vectors: np.ndarray) -> None:
    facts = build_annoy(vectors, folder / "items.ann", max_trees=10)
    pq.write_table(pa.table([ids], schema=IDS), folder / "ids.parquet")
    seal_index(folder, **facts.to_json(), model_id=MODEL_ID)


def seal_index(folder: Path, **manifest: object) -> None:
    """Makes the index manifest fit whatever lies there."""
    names = ("items.ann", "ids.parquet")
    files = {n: {"bytes": (folder / n).stat().st_size, "sha256": sha256_of_file(folder / n)} for n in names}
    write_json(folder / "manifest.json", {**manifest, "files": files})


def seal(run: Path) -> None:
    """Makes the run's manifest fit whatever lies there."""
    builder, num_rows = RunBuilder(run, MODEL_ID), pq.read_metadata(run / PART).num_rows
    builder.listed("embeddings", "embeddings", counts={"rows_written": num_rows}, model_id=MODEL_ID)
    builder.listed("index", "index", model_id=MODEL_ID).publish()
