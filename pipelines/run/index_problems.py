"""Whether the indexes of a run are what readers may rely on."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from model.nearest.index import ItemIndex
from model.nearest.index_folder import ANNOY_FILE, IDS_FILE, MANIFEST_FILE, open_index, read_index_manifest
from model.nearest.refined import REFINED_FOLDER, read_near_duplicates
from model.split.near_duplicates import cosines
from schemas.errors import CorruptFileError
from schemas.quarantine import quote

_WHERE, _REMEDY = f"{REFINED_FOLDER}/", "build it again"
_COSINE_TOLERANCE = 1e-6
#: Vectors of an index that are held against the embeddings.
_VECTORS_COMPARED = 1_000
#: Of each kind of fault.
_MOST_TOLD = 5
_ROWS_A_BLOCK = 16_384


def read_refined_facts(folder: Path) -> dict[str, Any]:
    """How a refined index was made and how large it is, see model.nearest.refined.RefinedFacts: cosine (a number),
    items_in and items_kept (0 or more). CorruptFileError if its manifest does not say so."""
    facts: Any = read_index_manifest(folder).get("refined")
    names = ("items_in", "items_kept")
    good = isinstance(facts, dict) and all(type(facts.get(name)) is int and facts[name] >= 0 for name in names)
    if not good or type(facts.get("cosine")) not in (int, float):
        got = f"{quote(facts)} in {folder / MANIFEST_FILE}"
        raise CorruptFileError(f"expected items_in, items_kept and cosine, got {got}: run the index stage again")
    return facts


def index_problems(index: ItemIndex, index_ids: pa.Array, item_ids: pa.Array, matrix_ND: np.ndarray) -> Iterator[str]:
    """What is wrong with an index: it has the ids of the embeddings, and, as far as they are looked at, their vectors
    bit for bit.

    index_ids, item_ids: string [N]; matrix_ND: float32, the vectors of item_ids.
    """
    if not index_ids.equals(item_ids):
        yield (
            f"expected the {len(item_ids):,} ids of the embeddings, in their order, got {len(index_ids):,} others in "
            f"{IDS_FILE}: {_REMEDY}"
        )
        return
    if index.dim != matrix_ND.shape[1]:
        yield f"expected vectors of {matrix_ND.shape[1]} numbers in {ANNOY_FILE}, got {index.dim}: {_REMEDY}"
        return
    rows_M = np.unique(np.linspace(0, len(item_ids) - 1, _VECTORS_COMPARED, dtype=np.int64))
    differing_M = (index.vectors(rows_M) != matrix_ND[rows_M]).any(axis=1)
    for row in rows_M[differing_M][:_MOST_TOLD].tolist():
        item = quote(item_ids[row].as_py())
        yield f"expected the vector of the embeddings, got another in {ANNOY_FILE} for item {item}: {_REMEDY}"


@dataclass(frozen=True, eq=False)
class Refined:
    """A refined index folder, opened: index and its ids (string [K], ascending), facts as of read_refined_facts,
    removed: NEAR_DUPLICATES."""

    index: ItemIndex
    kept_ids: pa.Array
    facts: dict[str, Any]
    removed: pa.Table


def open_refined(folder: Path) -> Refined:
    """Raises CorruptFileError for files that cannot be read or are not as the folder's manifest says."""
    facts = read_refined_facts(folder)
    index, kept_ids, _ = open_index(folder)
    return Refined(index, kept_ids, facts, read_near_duplicates(folder))


def refined_problems(refined: Refined, item_ids: pa.Array, matrix_ND: np.ndarray) -> Iterator[str]:
    """What is wrong with a refined index, which recommendations prefer to the full one: every item is kept or has a
    kept one that stands for it, of the cosine that is written; the vectors of the kept are those of the embeddings, bit
    for bit; counts add up.

    item_ids: string [N], ascending; matrix_ND: float32, their vectors.
    """
    index, kept_ids, facts, removed = refined.index, refined.kept_ids, refined.facts, refined.removed
    if facts["items_in"] != len(item_ids):
        yield f"expected items that {_WHERE} was made from {len(item_ids)}, got {facts['items_in']}: {_REMEDY}"
    if facts["items_kept"] != len(kept_ids):
        yield f"expected items kept in {_WHERE} {facts['items_kept']}, got {len(kept_ids)}: {_REMEDY}"
    all_ids = pa.concat_arrays([kept_ids, removed["item_id"].combine_chunks()])
    if not all_ids.take(pc.sort_indices(all_ids)).equals(item_ids):
        yield f"expected each of the {len(item_ids)} ids of embeddings/ once, kept or left out, got others in {_WHERE}"
        return
    if index.dim != matrix_ND.shape[1]:
        yield f"expected vectors of {matrix_ND.shape[1]} numbers in {_WHERE}, got {index.dim}: {_REMEDY}"
        return
    yield from _other_vectors(index, kept_ids, item_ids, matrix_ND)
    yield from _wrong_representatives(removed, kept_ids, item_ids, matrix_ND)


def _other_vectors(index: ItemIndex, kept_ids: pa.Array, item_ids: pa.Array, matrix_ND: np.ndarray) -> Iterator[str]:
    rows_K = pc.index_in(kept_ids, item_ids).to_numpy(zero_copy_only=False)
    differing: list[int] = []
    for start in range(0, len(rows_K), _ROWS_A_BLOCK):
        places = np.arange(start, min(start + _ROWS_A_BLOCK, len(rows_K)))
        differs = (index.vectors(places) != matrix_ND[rows_K[places]]).any(axis=1)
        differing += places[differs].tolist()
    for place in differing[:_MOST_TOLD]:
        item = quote(kept_ids[place].as_py())
        yield f"expected the vector of embeddings/, got another for item {item}: {_REMEDY}"


def _wrong_representatives(
    removed: pa.Table, kept_ids: pa.Array, item_ids: pa.Array, matrix_ND: np.ndarray
) -> Iterator[str]:
    others = removed["representative_item_id"].combine_chunks()
    if strangers := others.filter(pc.invert(pc.is_in(others, kept_ids))).to_pylist():
        yield f"expected representatives that are kept, got {len(strangers)} others, {quote(strangers[0])}"
        return
    sides = (removed["item_id"].combine_chunks(), others)
    rows_R, others_R = (pc.index_in(side, item_ids).to_numpy(zero_copy_only=False) for side in sides)
    true_R = cosines(matrix_ND, matrix_ND, rows_R, others_R)
    wrong_R = np.abs(true_R - removed["cosine"].to_numpy()) > _COSINE_TOLERANCE
    for row in np.flatnonzero(wrong_R)[:_MOST_TOLD].tolist():
        got = f"{removed['cosine'][row].as_py():.6f} for item {quote(removed['item_id'][row].as_py())}"
        yield f"expected cosine {true_R[row]:.6f} to its representative, got {got}: {_REMEDY}"
