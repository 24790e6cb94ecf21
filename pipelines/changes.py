"""What changed since the run before: item_id and new | changed | deleted, for readers that upsert.

A pure function over two embeddings folders; "changed" means that the bytes of the vector differ.
"""

from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from pipelines.units import read_stage_manifest
from schemas.embeddings import embedding_files, read_embeddings
from schemas.errors import CorruptFileError
from schemas.files import atomic_write, check_sha256
from schemas.tables import CHANGES

#: Rows compared at once: beside the two matrices, memory holds copies of so many only.
_ROWS_A_COMPARISON = 65_536


def compare_embeddings(
    old_ids: pa.Array, old_ND: np.ndarray, new_ids: pa.Array, new_ND: np.ndarray
) -> tuple[pa.Table, dict[str, int]]:
    """CHANGES rows sorted by id, and counts of new, changed, unchanged, deleted. Ids unique, vectors float32 [N, D]."""
    old_rows = {name: row for row, name in enumerate(old_ids.to_pylist())}
    changes: list[tuple[str, str]] = []
    matched_old: list[int] = []
    matched_new: list[int] = []
    names = new_ids.to_pylist()
    for row, name in enumerate(names):
        old_row = old_rows.pop(name, None)
        if old_row is None:
            changes.append((name, "new"))
        else:
            matched_old.append(old_row)
            matched_new.append(row)
    differs = np.ones(len(matched_new), bool)
    if old_ND.shape[1:] == new_ND.shape[1:]:
        for start in range(0, len(matched_new), _ROWS_A_COMPARISON):
            rows = slice(start, start + _ROWS_A_COMPARISON)
            old_bits = old_ND[matched_old[rows]].view(np.uint32)
            differs[rows] = (old_bits != new_ND[matched_new[rows]].view(np.uint32)).any(axis=1)
    changes += [(names[row], "changed") for row in np.array(matched_new, np.int64)[differs]]
    changes += [(name, "deleted") for name in old_rows]
    changes.sort()
    kinds = [kind for _, kind in changes]
    counts = {kind: kinds.count(kind) for kind in ("new", "changed", "deleted")}
    counts["unchanged"] = len(matched_new) - counts["changed"]
    table = pa.table([[name for name, _ in changes], kinds], schema=CHANGES)
    return table, counts


def write_changes(run: Path, previous: Path | None) -> dict[str, int]:
    """Writes `<run>/changes/part-00000.parquet` against the embeddings of `previous` (None: all are new); counts.

    Files of equal sha256 have no vector that differs: no matrix is read then. Raises CorruptFileError if embeddings of
    either run are damaged.
    """
    unchanged = _rows_of_equal_files(run, previous) if previous is not None else None
    if unchanged is not None:
        table = CHANGES.empty_table()
        counts = {"new": 0, "changed": 0, "deleted": 0, "unchanged": unchanged}
    else:
        new_ids, new_ND = read_embeddings(run / "embeddings")
        if previous is None:
            old_ids, old_ND = pa.array([], pa.string()), np.zeros((0, new_ND.shape[1]), np.float32)
        else:
            old_ids, old_ND = read_embeddings(previous / "embeddings")
        table, counts = compare_embeddings(old_ids, old_ND, new_ids, new_ND)
    with atomic_write(run / "changes" / "part-00000.parquet") as temporary:
        pq.write_table(table, temporary, compression="zstd")
    return counts


def _rows_of_equal_files(run: Path, previous: Path) -> int | None:
    """Number of rows if both runs' manifests list the same embeddings and the files of both are those; None if only
    their vectors can tell, which is so for runs without a sound manifest too."""
    try:
        listed, before = (_listed(folder) for folder in (run, previous))
    except (CorruptFileError, KeyError, TypeError):
        return None
    if not listed or listed != before:
        return None
    for folder in (run, previous):
        if {Path(path).relative_to(folder).as_posix() for path in embedding_files(folder / "embeddings")} != set(
            listed
        ):
            return None
        for name, sha256 in listed.items():
            check_sha256(folder / name, sha256)
    try:
        return sum(pq.read_metadata(run / name).num_rows for name in listed)
    except (pa.ArrowException, OSError) as error:
        raise CorruptFileError(f"expected embeddings in {run}, got {error}") from error


def _listed(run: Path) -> dict[str, str]:
    """Path inside the run -> sha256 of the embeddings files."""
    files = read_stage_manifest(str(run), "embeddings")["files"]
    return {entry["path"]: entry["sha256"] for entry in files if entry["path"].startswith("embeddings/")}
