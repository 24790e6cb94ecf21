"""What `itemsage explain` tells of an item, as data: today and yesterday, why computed or reused, neighbours."""

import bisect
import difflib
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np

from model.text.vocabulary import Vocabulary
from pipelines.operations.explain.item_in_run import ItemInRun, neighbours, published_ids, read_item, vocabulary_folder
from pipelines.operations.explain.item_reasons import picture_changes, tokens_of, verdict_of
from pipelines.operations.findings import Finding
from pipelines.store import history
from pipelines.store.yesterday import previous_of
from schemas.tables import ITEMS
from schemas.validation.rules import Limits

_MAX_ID_BYTES = Limits().max_id_bytes
_NEAR_IN_ORDER, _MOST_COMPARED, _MOST_SUGGESTED = 1_000, 5_000, 5


def explain(store_folder: str, run: Path, item_id: str) -> dict[str, Any]:
    """Everything that the run and the one before know of the item. Damaged files are told under "problems"."""
    finding = Finding("explain")
    previous = None
    with finding.guard("the run before"):
        previous = previous_of(store_folder, run)
    today = read_item(run, item_id)
    yesterday = read_item(previous, item_id) if previous is not None else None
    problems = [*finding.problems, *today.problems, *(yesterday.problems if yesterday else [])]
    verdict = verdict_of(today, yesterday)
    told = {
        "item_id": item_id,
        "known": today.row is not None,
        "run": history.name_of(run),
        "previous": history.name_of(previous) if previous else None,
        "bucket": today.bucket,
        "num_buckets": today.num_buckets,
        "ids": today.ids,
        "ids_yesterday": yesterday.ids if yesterday else None,
        "outcome": verdict.outcome,
        "reasons": verdict.reasons,
        "change": today.change,
        "row": _row(today, yesterday),
        "pictures": _pictures(today, yesterday),
        "tokens": _tokens(store_folder, today, problems),
        "quarantine": today.rejections,
        "quarantine_yesterday": yesterday.rejections if yesterday else [],
        "record": _record(today),
        "vector": _vector(today, yesterday),
        "unified": _unified(store_folder, today, yesterday, problems),
        "neighbours": _neighbours(today, yesterday, problems),
        "other_stages": today.others,
        "was_there_yesterday": yesterday is not None and yesterday.row is not None,
        "rows_left_out": today.rows_left_out,
        "close_ids": [],
        "problems": problems,
    }
    if today.row is None and not told["was_there_yesterday"] and "index" in today.stages:
        with finding.guard("index/ids.parquet"):
            told["close_ids"] = close_ids(item_id, published_ids(run))
    return told


def close_ids(item_id: str, ids: Sequence[str]) -> list[str]:
    """Up to 5 of the ascending ids that look like this one: those beside it in order and a sample of the others are
    compared. None for an id longer than any item's."""
    if len(item_id.encode("utf-8", "replace")) > _MAX_ID_BYTES:
        return []
    place = bisect.bisect_left(ids, item_id)
    near = ids[max(0, place - _NEAR_IN_ORDER) : place + _NEAR_IN_ORDER]
    step = max(1, len(ids) // (_MOST_COMPARED - 2 * _NEAR_IN_ORDER))
    candidates = list(dict.fromkeys([*near, *ids[::step]]))
    return difflib.get_close_matches(item_id, candidates, n=_MOST_SUGGESTED)


def _row(today: ItemInRun, yesterday: ItemInRun | None) -> list[dict[str, Any]]:
    """Every column that has a value on either day; images are told picture by picture."""
    now, before = today.row or {}, (yesterday.row if yesterday else None) or {}
    columns = [name for name in ITEMS.names if name not in ("item_id", "images")]
    return [
        {
            "field": name,
            "today": now.get(name),
            "yesterday": before.get(name),
            "differs": bool(now) and bool(before) and now.get(name) != before.get(name),
        }
        for name in columns
        if now.get(name) is not None or before.get(name) is not None
    ]


def _pictures(today: ItemInRun, yesterday: ItemInRun | None) -> list[dict[str, Any]]:
    changes = picture_changes(today.pictures, yesterday.pictures) if yesterday and yesterday.row is not None else {}
    gone = [p for p in (yesterday.pictures if yesterday else ()) if p.uri not in {q.uri for q in today.pictures}]
    return [{**asdict(picture), "change": changes.get(picture.uri)} for picture in [*today.pictures, *gone]]


def _tokens(store_folder: str, today: ItemInRun, problems: list[str]) -> list[dict[str, Any]]:
    if today.row is None or today.record is None:
        return []
    finding = Finding("tokens")
    tokens: list[dict[str, Any]] = []
    with finding.guard("the model's vocabulary"):
        folder = vocabulary_folder(store_folder, today)
        if folder is None:
            finding.fail(
                f"expected the vocabulary of {today.ids.get('model_id')} in the store, got none: tokens not told"
            )
        else:
            tokens = [asdict(tokens) for tokens in tokens_of(today.row, today.record, Vocabulary.load(folder))]
    problems += finding.problems
    return tokens


def _record(today: ItemInRun) -> dict[str, int] | None:
    if today.record is None or today.payload is None:
        return None
    num_pictures, dim = today.record.pictures.shape
    tokens = len(today.record.token_ids)
    return {"bytes": len(today.payload), "pictures": num_pictures, "picture_dim": dim, "tokens": tokens}


def _vector(today: ItemInRun, yesterday: ItemInRun | None) -> dict[str, Any] | None:
    """Of the item model's vector; None without one."""
    before_D = yesterday.vector_D if yesterday else None
    same_model = yesterday is not None and yesterday.ids.get("model_id") == today.ids.get("model_id")
    return _beside(today.vector_D, before_D, same_model)


def _unified(
    store_folder: str, today: ItemInRun, yesterday: ItemInRun | None, problems: list[str]
) -> dict[str, Any] | None:
    """What the sources give, and "vector", as of the item model's. None of a run without unified vectors, or
    without the item."""
    if today.ids.get("unified_id") is None or today.row is None:
        return None
    from pipelines.operations.explain.item_sources import unified_sources  # and torch, for which others need not wait

    told: dict[str, Any] = {}
    finding = Finding("unified")
    with finding.guard("the unified model"):
        told = unified_sources(store_folder, today)
    problems += finding.problems
    before_D = yesterday.unified_D if yesterday else None
    same_model = yesterday is not None and yesterday.ids.get("unified_id") == today.ids["unified_id"]
    return {**told, "vector": _beside(today.unified_D, before_D, same_model)}


def _beside(now_D: np.ndarray | None, before_D: np.ndarray | None, same_model: bool) -> dict[str, Any] | None:
    """cosine: with yesterday's vector, None of another dimension; same_bytes: whether it is that very vector. None
    without one."""
    if now_D is None:
        return None
    norm = float(np.linalg.norm(now_D.astype(np.float64)))
    if before_D is None:
        return {"norm": norm, "cosine": None, "same_bytes": None, "same_model": None}
    comparable = before_D.shape == now_D.shape
    return {
        "norm": norm,
        "cosine": float(now_D.astype(np.float64) @ before_D.astype(np.float64)) if comparable else None,
        "same_bytes": before_D.tobytes() == now_D.tobytes(),
        "same_model": same_model,
    }


def _neighbours(today: ItemInRun, yesterday: ItemInRun | None, problems: list[str]) -> dict[str, Any]:
    """overlap: how many of today's neighbours were neighbours yesterday."""
    now = neighbours(today, problems)
    before = neighbours(yesterday, problems) if yesterday and now else []
    names = {found.item_id for found in before}
    return {
        "today": [asdict(found) for found in now],
        "yesterday": [asdict(found) for found in before],
        "overlap": sum(found.item_id in names for found in now) if before else None,
    }
