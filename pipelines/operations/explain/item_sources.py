"""What the sources of a unified model give to one item's unified vector, by the store's model and the run's files."""

import math
from typing import Any

import numpy as np
import pyarrow as pa

from model.sources.contributions import contributions
from model.sources.unified import Unified, load_unified
from model.sources.unified_manifest import DAE, ITEMSAGE, SIAMESE
from pipelines.operations.explain.item_in_run import ItemInRun
from pipelines.sources.content import ATTRIBUTES, encode_attributes, encode_pictures_of
from pipelines.store.models import UNIFIED_MODELS

#: Whose evidence is not counted.
_UNCOUNTED = frozenset((ITEMSAGE,))


def unified_sources(store_folder: str, item: ItemInRun) -> dict[str, Any]:
    """{"how", "dim", "sources": [{"source", "weight": of the model, "evidence": None if none is counted,
    "half_evidence": None if none, "has_vector", "weight_here": after evidence, "share", "cosine"}], "cosine": of what
    they make with the run's unified vector, None without one}; see model.sources.contributions. None for what is not
    defined.

    Raises UsageError if the store does not have the model any more, CorruptFileError if it is damaged.
    """
    unified = load_unified(UNIFIED_MODELS.folder(store_folder, str(item.ids["unified_id"])))
    ids, encoded, config = pa.array([item.item_id]), encoded_item(unified, item), unified.fusion.config
    vectors, evidence = unified.counted(ids, encoded)
    found = contributions(unified.fusion, vectors, evidence)
    sources = [
        {
            "source": name,
            "weight": float(config.weights[name]),
            "evidence": None if name in _UNCOUNTED else int(evidence[name][0]),
            "half_evidence": config.half_evidence.get(name) or None,
            "has_vector": bool(found.present_NS[0, place]),
            "weight_here": float(found.weights_NS[0, place]),
            "share": _number(found.shares_NS[0, place]),
            "cosine": _number(found.cosines_NS[0, place]),
        }
        for place, name in enumerate(found.names)
    ]
    (made_E,) = unified.fused(ids, encoded)
    cosine = None if item.unified_D is None else float(made_E.astype(np.float64) @ item.unified_D.astype(np.float64))
    return {"how": config.how, "dim": unified.fusion.dim, "sources": sources, "cosine": cosine}


def encoded_item(unified: Unified, item: ItemInRun) -> dict[str, tuple[np.ndarray, np.ndarray]]:
    """(vectors [1, D], evidence [1]) of the item by each source of ENCODING that counts: its embedding, attributes and
    pictures, as the run has them; zeros of what it lacks."""
    dims = unified.fusion.dims
    found = {name: (np.zeros((1, dims[name]), np.float32), np.zeros(1, np.int64)) for name in dims}
    if ITEMSAGE in dims and item.vector_D is not None:
        found[ITEMSAGE] = (item.vector_D[None], np.zeros(1, np.int64))
    if unified.dae is not None and item.row is not None:
        found[DAE] = encode_attributes(unified.dae, pa.Table.from_pylist([item.row], schema=ATTRIBUTES))
    if unified.siamese is not None and item.record is not None:
        pictures = item.record.pictures
        good = pictures[np.isfinite(pictures).all(axis=1)]
        found[SIAMESE] = encode_pictures_of(unified.siamese, {item.item_id: good})
    return found


def _number(value: float) -> float | None:
    return float(value) if math.isfinite(value) else None
