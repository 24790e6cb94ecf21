"""Publish: check a finished run once more, write its manifest, and point CURRENT at it in one atomic step.

    python -m pipelines.publish --store STORE --run STORE/runs/2026-06-30/0123456789abcdef

Readers see the old run or the new one, never half of either.
"""

import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa

from pipelines.changes import write_changes
from pipelines.jobs import flag, main_of_alone, print_summary
from pipelines.store import point_to_run, previous_run, run_name
from pipelines.units import read_stage_manifest
from schemas.embeddings import read_embeddings, read_embeddings_metadata, validate_embeddings
from schemas.errors import CorruptFileError
from schemas.files import check_sha256, read_json, sha256_of_file, write_json, write_text
from schemas.tables import SCHEMA_VERSION


@dataclass(frozen=True, kw_only=True)
class PublishConfig:
    """Checks a run whose stages are finished and makes it the one that readers see."""

    store: str = flag(help="store folder")
    run: str = flag(help="run folder inside the store")


def account(items: dict[str, int], features: dict[str, int], embeddings: dict[str, int]) -> dict[str, int]:
    """The counts that must add up, from the stages' counts. Raises CorruptFileError, with both sides, if they do not.

    rows read = published + collapsed + quarantined (rows);
    pictures listed = computed + reused + quarantined + cut off.
    """
    rows = {
        "rows_read": items.get("rows_read", 0),
        "rows_published": embeddings.get("rows_written", 0),
        "rows_collapsed": items.get("rows_collapsed", 0),
        "rows_quarantined": items.get("rows_quarantined", 0) + features.get("rows_quarantined", 0),
    }
    pictures = {
        "pictures_listed": items.get("pictures_listed", 0) + items.get("pictures_cut_off", 0),
        "pictures_computed": features.get("pictures_computed", 0),
        "pictures_reused": features.get("pictures_reused", 0),
        "pictures_quarantined": features.get("pictures_quarantined", 0),
        "pictures_cut_off": items.get("pictures_cut_off", 0),
    }
    for name, counts in (("rows", rows), ("pictures", pictures)):
        total, *parts = counts.values()
        if total != sum(parts):
            raise CorruptFileError(
                f"expected {name} to add up, first = sum of the rest, got {counts}: nothing published"
            )
    return {**rows, **pictures}


def publish(config: PublishConfig, facts: dict[str, Any] | None = None) -> dict[str, Any]:
    """Checks, writes changes/, manifest.json and COMPLETED, then moves CURRENT. Returns the manifest.

    `facts` go into the manifest (date, inputs, config). Raises CorruptFileError if anything is not as promised.
    """
    started_s = time.monotonic()
    run = Path(config.run)
    _, date, run_id = run_name(config.store, run).split("/")
    if (run / "COMPLETED").is_file():
        return republish(config.store, run)
    stages = {name: read_stage_manifest(config.run, name) for name in ("items", "features", "embeddings", "index")}
    counts = account(*(stages[name]["counts"] for name in ("items", "features", "embeddings")))
    model_id = stages["embeddings"]["model_id"]
    _check(run, stages, model_id, counts["rows_published"])
    previous = previous_run(config.store)
    if previous is not None and previous.parent.name > date:
        print(f"warning: readers go back from {previous.parent.name} to {date}", file=sys.stderr)
    changes = write_changes(run, previous)
    files = [entry for name in ("embeddings", "index") for entry in stages[name]["files"]]
    manifest = {
        "counts": counts,
        "date": date,
        "files": files,
        "model_id": model_id,
        "run_id": run_id,
        "schema_version": SCHEMA_VERSION,
        **(facts or {}),
    }
    write_json(run / "manifest.json", manifest)
    write_json(run / "changes.json", {"against": previous.name if previous else None, "counts": changes})
    write_text(run / "COMPLETED", sha256_of_file(run / "manifest.json") + "\n")
    point_to_run(config.store, run)
    print_summary("publish", {**counts, **changes}, started_s, str(run))
    return manifest


def republish(store: str, run: Path) -> dict[str, Any]:
    """Moves CURRENT to a run that was published before; CorruptFileError if its manifest is not what it was."""
    check_sha256(run / "manifest.json", (run / "COMPLETED").read_text(encoding="utf-8").strip())
    point_to_run(store, run)
    print(f"publish: {run} was finished before; it is the published run", flush=True)
    return read_json(run / "manifest.json")


def _check(run: Path, stages: dict[str, dict[str, Any]], model_id: str, rows: int) -> None:
    for name in ("embeddings", "index"):
        for entry in stages[name]["files"]:
            check_sha256(run / entry["path"], entry["sha256"])
    index = read_json(run / "index" / "manifest.json")
    metadata = read_embeddings_metadata(run / "embeddings")
    if not model_id == index["model_id"] == metadata["model_id"]:
        raise CorruptFileError(
            f"expected one model id, got {model_id} in the stage, {metadata['model_id']} in the embeddings, "
            f"{index['model_id']} in the index of {run}: run embed and index again"
        )
    ids, matrix_ND = read_embeddings(run / "embeddings")
    validate_embeddings(pa.array(ids), matrix_ND, str(run / "embeddings"))
    if not len(ids) == rows == index["n_items"]:
        raise CorruptFileError(
            f"expected {rows} rows, got {len(ids)} embeddings and {index['n_items']} indexed in {run}"
        )


def main(argv: Sequence[str] | None = None) -> int:
    """Command line of the job; returns its exit code."""
    example = "itemsage publish --store store --run store/runs/2026-06-30/0123456789abcdef"
    return main_of_alone(PublishConfig, publish, argv, "itemsage publish", example)


if __name__ == "__main__":
    sys.exit(main())
