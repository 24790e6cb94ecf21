"""What changed since the run before: item_id and new | changed | deleted, for readers that upsert.

A pure function over two folders of vectors; "changed" means that the bytes of the vector differ.
"""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from pipelines.run.listed_files import EMBEDDINGS, UNIFIED, folders_of_vectors
from pipelines.run.opened import Embeddings, Run
from schemas.storage import atomic_write
from schemas.tables import CHANGES

#: The folder of a run that has the changes of its vectors, by theirs.
CHANGES_FOLDERS = {EMBEDDINGS: "changes", UNIFIED: "unified_changes"}
#: Rows compared at once: beside the two matrices, memory holds copies of so many only.
ROWS_PER_BLOCK = 65_536


@dataclass(frozen=True, eq=False)
class MatchedItems:
    """The items of two runs. new, gone: ids (string) of one run alone, in its order. old_rows_M, new_rows_M: int64, the
    rows of those in both, in the order of the new run; changed_M: bool, whether their vectors differ in a bit."""

    new: pa.Array
    gone: pa.Array
    old_rows_M: np.ndarray
    new_rows_M: np.ndarray
    changed_M: np.ndarray


def match_items(old_ids: pa.Array, old_ND: np.ndarray, new_ids: pa.Array, new_ND: np.ndarray) -> MatchedItems:
    """Ids (string) unique, vectors float32 [N, D]; vectors of another dimension all differ. Compared in blocks: beside
    the arguments it needs little memory."""
    place = pc.index_in(new_ids, value_set=old_ids)
    new_rows_M = np.flatnonzero(place.is_valid().to_numpy(zero_copy_only=False))
    old_rows_M = place.drop_null().to_numpy().astype(np.int64)
    changed_M = np.ones(len(new_rows_M), bool)
    if old_ND.shape[1] == new_ND.shape[1]:
        for start in range(0, len(new_rows_M), ROWS_PER_BLOCK):
            rows = slice(start, start + ROWS_PER_BLOCK)
            old_bits = old_ND[old_rows_M[rows]].view(np.uint32)
            changed_M[rows] = (old_bits != new_ND[new_rows_M[rows]].view(np.uint32)).any(axis=1)
    return MatchedItems(
        new=new_ids.filter(place.is_null()),
        gone=old_ids.filter(pc.invert(pc.is_in(old_ids, value_set=new_ids))),
        old_rows_M=old_rows_M,
        new_rows_M=new_rows_M,
        changed_M=changed_M,
    )


def compare_embeddings(
    old_ids: pa.Array, old_ND: np.ndarray, new_ids: pa.Array, new_ND: np.ndarray
) -> tuple[pa.Table, dict[str, int]]:
    """CHANGES rows sorted by id, and counts of new, changed, unchanged, deleted. Arguments as of match_items."""
    found = match_items(old_ids, old_ND, new_ids, new_ND)
    changed = new_ids.take(pa.array(found.new_rows_M[found.changed_M]))
    by_kind = {"new": found.new, "changed": changed, "deleted": found.gone}
    counts = {kind: len(ids) for kind, ids in by_kind.items()}
    counts["unchanged"] = len(found.new_rows_M) - counts["changed"]
    changes = sorted((name, kind) for kind, ids in by_kind.items() for name in ids.to_pylist())
    table = pa.table([[name for name, _ in changes], [kind for _, kind in changes]], schema=CHANGES)
    return table, counts


def write_changes(run: Path, previous: Path | None, vectors: str = EMBEDDINGS) -> dict[str, int]:
    """Writes `<run>/changes/part-00000.parquet` (of unified vectors: unified_changes/) against the vectors of
    `previous`; counts. All are new without it, or where it has none of these vectors.

    Files of equal sha256 have no vector that differs: no matrix is read then. Raises CorruptFileError if the vectors of
    either run are damaged.
    """
    new, old = Run(run), opened_with(previous, vectors)
    if old is not None and old.listed(vectors) == new.listed(vectors):
        for opened in (old, new):
            opened.checked_folder(vectors)
        table, counts = CHANGES.empty_table(), {"new": 0, "changed": 0, "deleted": 0}
        counts["unchanged"] = new.manifest(vectors).count("rows_written")
    else:
        ids, matrix_ND = new.vectors(vectors)
        before = Embeddings(ids[:0], matrix_ND[:0]) if old is None else old.vectors(vectors)
        table, counts = compare_embeddings(*before, ids, matrix_ND)
    with atomic_write(run / CHANGES_FOLDERS[vectors] / "part-00000.parquet") as temporary:
        pq.write_table(table, temporary, compression="zstd")
    return counts


def opened_with(previous: Path | None, vectors: str) -> Run | None:
    """The run before as its readers see it; None if there is none, or it never had these vectors."""
    opened = Run.open(previous) if previous is not None else None
    return opened if opened is not None and vectors in folders_of_vectors(opened.expects) else None
