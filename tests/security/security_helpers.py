"""A published run made by hand: enough to search by item, with any ids and titles."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from model.nearest.build import build_annoy
from pipelines.run.units import bucket_name
from schemas.embeddings import embeddings_metadata, write_embeddings_file
from schemas.files import sha256_of_file, write_json, write_sealed_json
from schemas.tables import EMBEDDING_DIM, IDS, ITEMS

MODEL_ID = "itemsage-0123456789ab"
RUN = "runs/2026-06-30/0123456789abcdef"


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
    embeddings = run / "embeddings" / "part-00000-of-00001.parquet"
    write_embeddings_file(embeddings, ids, vectors, embeddings_metadata(MODEL_ID, EMBEDDING_DIM))
    write_index(run / "index", ids, vectors)
    write_sealed_json(run / "manifests" / "items.json", {"num_buckets": 1, "counts": {}, "files": [], "units": {}})
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
    paths = sorted(path for folder in ("embeddings", "index") for path in (run / folder).iterdir())
    files = [
        {"path": path.relative_to(run).as_posix(), "bytes": path.stat().st_size, "sha256": sha256_of_file(path)}
        for path in paths
    ]
    write_json(run / "manifest.json", {"model_id": MODEL_ID, "files": files, "counts": {"rows_published": 1}})
    (run / "COMPLETED").write_text(sha256_of_file(run / "manifest.json") + "\n")
