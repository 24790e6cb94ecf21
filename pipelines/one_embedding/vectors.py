"""Item vectors of a run's sources, aligned by item: what each is made from, and how far its log goes.

Legend: N items, D dimension.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from model.sources.side_information import ATTRIBUTE_FIELDS
from model.sources.unified_manifest import ITEMSAGE, SOURCE_IDS
from pipelines.run.listed_files import UNIFIED
from pipelines.run.opened import Run
from pipelines.sources.run_tables import run_table
from pipelines.sources.trained import EVIDENCE_FOLDER, PICTURES_OF_QUERIES, VECTORS_FOLDER
from pipelines.stages import FROM_LOG, SOURCES, line_of, with_needs
from schemas.log_ends import ANY_DAY, LOG_END, end_from_json
from schemas.records.clickstream import EVIDENCE
from schemas.records.embeddings import read_embeddings, read_embeddings_metadata, validate_embeddings
from schemas.tables import TEXT_FIELDS

_ITEMS = "items"


@dataclass(frozen=True, eq=False, kw_only=True)
class SourceVectors:
    """vectors_ND: float32, unit rows, zeros for an item without one. evidence_N: int64, how often the source has seen
    each, None of what keeps none. seen: the fields of the catalogue that it has read. log_end_us: where its log ends
    (see schemas.log_ends). is_told: whether something tells of both."""

    name: str
    model_id: str
    vectors_ND: np.ndarray
    evidence_N: np.ndarray | None
    seen: frozenset[str]
    log_end_us: float | None
    is_told: bool = True

    @property
    def num_items(self) -> int:
        """With a vector."""
        return int(self.vectors_ND.any(axis=1).sum())


def finished_sources(run: Run) -> list[str]:
    """The sources that a run has, in the order of the flow."""
    return [name for name in SOURCES if run.has(name)]


def source_of(run: Run, name: str, item_ids: Sequence[str]) -> SourceVectors:
    """The vectors of a finished source. Raises CorruptFileError for what is not as its stage left it."""
    for path in run.listed(name):
        run.checked(path)
    end_us = log_end_us(run, name)
    found = vectors_at(str(run.folder / name / VECTORS_FOLDER), name, item_ids, seen_fields(name), end_us)
    return replace(found, evidence_N=_evidence(run, name, item_ids))


def vectors_at(
    folder: str, name: str, item_ids: Sequence[str], seen: Iterable[str] = (), log_end_us: float | None = None
) -> SourceVectors:
    """Those of any folder of embeddings. Raises UsageError if there is none, CorruptFileError for a damaged one."""
    ids, matrix_ND = read_embeddings(folder)
    validate_embeddings(ids, matrix_ND, folder)
    return SourceVectors(
        name=name,
        model_id=read_embeddings_metadata(folder)["model_id"],
        vectors_ND=aligned(ids, matrix_ND, item_ids),
        evidence_N=None,
        seen=frozenset(seen),
        log_end_us=log_end_us,
    )


def aligned(ids: pa.Array, matrix_ND: np.ndarray, item_ids: Sequence[str]) -> np.ndarray:
    """float32 [N, D]: the rows of these items, zeros for one that has none."""
    places_N = pc.index_in(pa.array(item_ids, pa.string()), value_set=ids).fill_null(-1).to_numpy()
    found_ND = np.zeros((len(item_ids), matrix_ND.shape[1]), np.float32)
    found_ND[places_N >= 0] = matrix_ND[places_N[places_N >= 0]]
    return found_ND


def seen_fields(name: str) -> frozenset[str]:
    """The fields of the catalogue that a source's training has read: all that name attributes, if it reads items; of
    ITEMSAGE all text."""
    if name == ITEMSAGE:
        return frozenset(TEXT_FIELDS)
    return frozenset(ATTRIBUTE_FIELDS) if _ITEMS in line_of(name).needs else frozenset()


def log_end_us(run: Run, name: str) -> float | None:
    """Where the log of a source ends (see schemas.log_ends), as its manifest tells."""
    facts = run.manifest(name).facts
    if LOG_END in facts:
        return end_from_json(facts[LOG_END])
    has_read = run.counts(name).get(PICTURES_OF_QUERIES) or not FROM_LOG.isdisjoint(with_needs(name))
    return ANY_DAY if has_read else None  # a source of a version that did not tell


def unified_log_end_us(run: Run) -> float | None:
    """As log_end_us, of the unified vectors of a run: ANY_DAY for those of a version that told no sources."""
    facts = run.manifest(UNIFIED).facts
    end = end_from_json(facts.get(LOG_END))
    return ANY_DAY if end is None and SOURCE_IDS not in facts else end


def unified_seen_fields(run: Run) -> frozenset[str]:
    """The fields of the catalogue that the sources of a run's unified vectors have read: all if they are not told."""
    names = run.manifest(UNIFIED).facts.get(SOURCE_IDS, (ITEMSAGE, *SOURCES))
    return frozenset[str]().union(*map(seen_fields, names))


def _evidence(run: Run, name: str, item_ids: Sequence[str]) -> np.ndarray:
    """int64 [N], 0 for an item that the source does not know."""
    table = run_table(str(run.folder), f"{name}/{EVIDENCE_FOLDER}").read(EVIDENCE)
    count_of = dict(zip(table["item_id"].to_pylist(), table["count"].to_pylist(), strict=True))
    return np.array([count_of.get(item_id, 0) for item_id in item_ids], np.int64)
