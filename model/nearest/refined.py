"""The refined index: one item of each set of near-duplicates (PinnerSage's "index refinement").

A refined index folder is an index folder (model.nearest.index_folder: `open_index` reads it) of the kept items, and
holds

    near_duplicates.parquet   who stands for the items that are left out (schemas.tables.NEAR_DUPLICATES)

Its manifest has the file's checksum among "files", and under "refined" how it was made and how good it is.

Legend: N items of the full index, K kept, Q queries, T results.
"""

import os
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from model.nearest.index import TUNED_AT, ExactIndex, ItemIndex
from model.nearest.index_folder import read_index_manifest
from model.nearest.recall import recall_query_rows
from model.split.near_duplicates import cosines, kept_rows
from schemas import storage
from schemas.errors import CorruptFileError
from schemas.files import check_sha256
from schemas.parquet.files import PARQUET_ERRORS
from schemas.quarantine import quote
from schemas.tables import NEAR_DUPLICATES

REFINED_FOLDER = "refined_index"
NEAR_DUPLICATES_FILE = "near_duplicates.parquet"


@dataclass(frozen=True, kw_only=True)
class RefinedFacts:
    """How an index was refined. cosine: the threshold; order: items are gone through by this column; largest_group:
    most items that one stands for, itself among them; the shares and means are over the same item queries that measure
    recall, of their TUNED_AT exact nearest items in the full index (themselves among them):
    share_represented: whose representative is among as many results of the refined index;
    different_of_full_top: mean number of different representatives.
    """

    cosine: float
    items_in: int
    items_kept: int
    items_removed: int
    largest_group: int
    share_represented: float
    different_of_full_top: float
    order: str = "item_id"

    def to_json(self) -> dict[str, Any]:
        return asdict(self)


def refined_facts(
    matrix_ND: np.ndarray, representative_N: np.ndarray, index: ItemIndex, *, cosine: float, seed: int
) -> RefinedFacts:
    """The facts of `index` over the kept rows of the unit rows [N, D], queries drawn with `seed`. Raises ValueError if
    the index has not as many items as are kept."""
    kept_K = kept_rows(representative_N)
    if index.num_items != len(kept_K):
        raise ValueError(f"expected an index of the {len(kept_K)} kept rows, got {index.num_items} items")
    queries_QD = matrix_ND[recall_query_rows(len(matrix_ND), seed)]
    top = min(TUNED_AT, len(matrix_ND))
    wanted_QT = representative_N[ExactIndex(matrix_ND).search(queries_QD, top)[0]]
    found_QT, _ = index.search(queries_QD, top)  # fewer items than results: padded with NO_ROW
    found_QT = np.where(found_QT >= 0, kept_K[found_QT], -1)
    is_found_QT = (wanted_QT[:, :, None] == found_QT[:, None, :]).any(axis=2)
    return RefinedFacts(
        cosine=cosine,
        items_in=len(matrix_ND),
        items_kept=len(kept_K),
        items_removed=len(matrix_ND) - len(kept_K),
        largest_group=int(np.bincount(representative_N).max()),
        share_represented=round(float(is_found_QT.mean()), 6),
        different_of_full_top=round(float(np.mean([len(np.unique(row)) for row in wanted_QT])), 6),
    )


def near_duplicates_table(ids: pa.Array, matrix_ND: np.ndarray, representative_N: np.ndarray) -> pa.Table:
    """NEAR_DUPLICATES of the removed rows; ids (string [N]) ascend."""
    removed = np.flatnonzero(representative_N != np.arange(len(representative_N)))
    others = representative_N[removed]
    columns = [ids.take(removed), ids.take(others), cosines(matrix_ND, matrix_ND, removed, others).astype(np.float32)]
    return pa.table(columns, schema=NEAR_DUPLICATES)


def read_near_duplicates(folder: str | os.PathLike[str]) -> pa.Table:
    """The NEAR_DUPLICATES of a refined index folder, after every check of its own: sha256, columns, no nulls, ids that
    ascend, no representative that is left out itself, cosines of at least the threshold, as many rows as the manifest
    says. Raises CorruptFileError."""
    manifest, path = read_index_manifest(folder), Path(folder, NEAR_DUPLICATES_FILE)
    try:
        sha256, facts = str(manifest["files"][NEAR_DUPLICATES_FILE]["sha256"]), manifest["refined"]
        num_rows, cosine = int(facts["items_removed"]), float(facts["cosine"])
    except (KeyError, TypeError, ValueError) as error:
        raise CorruptFileError(
            f"expected sha256 of {NEAR_DUPLICATES_FILE}, items_removed and cosine, got {quote(manifest)} in the "
            f"manifest of {folder}: run the index stage again with --refine-cosine"
        ) from error
    if not storage.has_file(path):
        raise CorruptFileError(f"expected the file {path}, got none: run the index stage again with --refine-cosine")
    check_sha256(path, sha256)
    try:
        table = pq.read_table(path)
        table.validate(full=True)
    except PARQUET_ERRORS as error:
        raise CorruptFileError(
            f"expected a Parquet file of near-duplicates at {path}, got {quote(str(error))}"
        ) from error
    if problem := _problem_of(table, num_rows, cosine):
        raise CorruptFileError(f"expected {problem} in {path}: run the index stage again")
    return table


def _problem_of(table: pa.Table, num_rows: int, cosine: float) -> str | None:
    """What a table of near-duplicates should be and is not: "..., got ..."; None if all is well."""
    if not table.schema.equals(NEAR_DUPLICATES):
        return f"the columns {NEAR_DUPLICATES}, got {quote(str(table.schema))}"
    if any(column.null_count for column in table.columns):
        return "no nulls, got some"
    if len(table) != num_rows:
        return f"{num_rows} rows, got {len(table)}"
    ids, others = table["item_id"].combine_chunks(), table["representative_item_id"]
    if len(ids) > 1 and not pc.all(pc.less(ids[:-1], ids[1:])).as_py():
        return "unique ids in ascending order, got another order"
    if len(left_out := others.filter(pc.is_in(others, ids))):
        return f"representatives that are kept, got {quote(left_out[0].as_py())}, which is left out"
    cosine_R = table["cosine"].to_numpy()
    wrong_R = ~((cosine_R >= np.float32(cosine)) & (cosine_R <= 1))
    return f"cosines from {cosine} to 1, got {cosine_R[wrong_R][0]}" if wrong_R.any() else None
