"""Runs made by hand for the gates: real embeddings and index of random vectors, counts as given; and what judges and
edits them."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from run_builder import RunBuilder

from pipelines.console.progress import Progress
from pipelines.gates.fields import field_count
from pipelines.gates.judge import GateResult, GateThresholds, run_gates
from pipelines.index.job import IndexConfig, IndexStage
from pipelines.run.units import Unit, UnitWriter, write_stage_manifest
from schemas.files import read_json, read_sealed_json, write_json, write_sealed_json
from schemas.tables import ITEMS

MODEL_ID, OTHER_MODEL = "itemsage-0123456789ab", "itemsage-ba9876543210"
DIM = 32
YESTERDAY, TODAY = "2026-06-29", "2026-06-30"
DEFAULTS = GateThresholds()


def names(num_rows: int, first: int = 0) -> list[str]:
    return [f"item-{row:05d}" for row in range(first, first + num_rows)]


def unit_rows(num_rows: int, seed: int = 0, mean: float = 3.0) -> np.ndarray:
    rows = np.random.default_rng(seed).normal(size=(num_rows, DIM)) + mean * np.eye(DIM)[0]
    return (rows / np.linalg.norm(rows, axis=1, keepdims=True)).astype(np.float32)


def report_of(**recalls: tuple[float, int]) -> dict[str, Any]:
    """metrics.json as the evaluation writes it, as far as gates read it."""
    return {
        "kind": "engagements",
        "tasks": [
            {"task": f"search/{action}", "pairs": pairs, "queries": 50, "methods": {"itemsage": {"recall@10": recall}}}
            for action, (recall, pairs) in recalls.items()
        ],
    }


def write_stage(
    run: Path, stage: str, counts: dict[str, int], tables: Mapping[str, pa.Table] = {}, **facts: Any
) -> None:
    """A finished stage of one unit. tables: its Parquet files."""
    RunBuilder(run).stage(stage, tables, counts, **facts)


def make_run(
    store: Path,
    date: str,
    ids: Sequence[str],
    matrix: np.ndarray,
    *,
    model_id: str = MODEL_ID,
    items: dict[str, int] | None = None,
    features: dict[str, int] | None = None,
    report: Any = None,
) -> Path:
    """A run whose stages are finished: `ids` are published, all with text, half of them with one picture."""
    run = store / "runs" / date / "0123456789abcdef"
    number = len(ids)
    counts = {"items_written": number, "items_with_text": number, "items_with_picture": number // 2}
    pictures = {"pictures_listed": number // 2, "pictures_quarantined": 0}
    filled = {field_count("title"): number, field_count("brand"): number // 2}
    rows = {"rows_read": number, "rows_written": number, "rows_quarantined": 0}
    texts = [
        {"item_id": name, "title": name, "brand": "b" if n % 2 else None, "images": []} for n, name in enumerate(ids)
    ]
    catalogue = {"items/all.parquet": pa.Table.from_pylist(texts, schema=ITEMS)}
    write_stage(run, "items", {**rows, **filled, **(items or {})}, catalogue)
    made_with = {"vocabulary_id": "v1", "image_encoder_id": "e1"}
    write_stage(run, "features", {**counts, **pictures, **(features or {})}, **made_with)
    write_json(store / "models" / model_id / "manifest.json", {"model_id": model_id, **made_with})
    RunBuilder(run, model_id).embeddings(ids, matrix, dimension=DIM)
    build_index(run)
    if report is not None:
        write_json(run / "metrics.json", report)
    return run


def build_index(run: Path) -> None:
    """The index stage's own work, without Beam."""
    stage = IndexStage(IndexConfig(run=str(run)))
    writer = UnitWriter(str(run), Unit("index", "all", "0"))
    stage.compute(writer.unit, writer, Progress("index", "items"))
    writer.seal()
    write_stage_manifest(str(run), "index", ["all"], model_id=read_json(run / "index" / "manifest.json")["model_id"])


def judge(run: Path, previous: Path | None, thresholds: GateThresholds = DEFAULTS, **accepted: str):
    """Gate -> result."""
    return {result.name: result for result in run_gates(run, previous, thresholds, accepted)}


def statuses(results: dict[str, GateResult]) -> dict[str, set[str]]:
    found: dict[str, set[str]] = {}
    for name, result in results.items():
        found.setdefault(result.status, set()).add(name)
    return found


def edit(run: Path, stage: str, counts: dict[str, int | None] | None = None, **facts: Any) -> None:
    """Changes counts (None: removes) and facts of a stage's manifest."""
    path = run / "manifests" / f"{stage}.json"
    manifest = read_sealed_json(path) | facts
    manifest["counts"] = {k: v for k, v in {**manifest["counts"], **(counts or {})}.items() if v is not None}
    write_sealed_json(path, manifest)


def flip_byte(path: Path, place: int = -40) -> None:
    data = bytearray(path.read_bytes())
    data[place] ^= 1
    path.write_bytes(data)
