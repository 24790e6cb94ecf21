"""The item vectors that a table compares: the sources of a run, ItemSage's of a day, `unified`, and any others."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from pipelines.console.paths import named_folders
from pipelines.one_embedding.vectors import (
    SourceVectors,
    aligned,
    finished_sources,
    source_of,
    unified_log_end_us,
    unified_seen_fields,
    vectors_at,
)
from pipelines.run.opened import Run
from pipelines.stages import SOURCES
from pipelines.store.history import RUN_NAME
from pipelines.users.training import trained_until_us
from schemas import storage
from schemas.days import instant_in_words
from schemas.errors import UsageError
from schemas.log_ends import ANY_DAY, log_in_words
from schemas.quarantine import quote
from schemas.tables import TEXT_FIELDS

ITEMSAGE, UNIFIED = "itemsage", "unified"
#: What makes vectors that know less.
_SOURCES = "train them with `itemsage sources --date {date}`"
_REMEDY = {
    ITEMSAGE: "train the item model with `itemsage train --date {date}`",
    "siamese": "make siamese beside the training pairs of `itemsage train --date {date}`",
    UNIFIED: "run `itemsage unify` of such sources, and a day by it",
}
#: What a table calls other things.
NAMES_TAKEN = (*SOURCES, "majority", "text", "random", "sessions in common", ITEMSAGE, UNIFIED)


def given_vectors(run: Run, items_run: Run | None, others: str, item_ids: Sequence[str]) -> list[SourceVectors]:
    """Those of the run's finished sources, of ItemSage in `items_run`, of `unified` in either, and of `others` (see
    named_folders). Raises UsageError if there are none, or where the end of a log is not told; CorruptFileError for
    damaged ones."""
    found = [source_of(run, name, item_ids) for name in finished_sources(run)]
    if items_run is not None:
        found.append(_itemsage(items_run, item_ids))
    for opened in (run, *([] if items_run is None else [items_run])):
        if storage.is_folder(opened.folder / UNIFIED) and UNIFIED not in [one.name for one in found]:
            found.append(_unified(opened, item_ids))
    for name, folder in named_folders(others, NAMES_TAKEN):
        found.append(replace(vectors_at(folder, name, item_ids), is_told=False))
    if not found:
        raise UsageError(
            f"expected sources of item vectors in {run.folder}, got none: make them with `itemsage sources`, or give "
            "--items-run or --also"
        )
    return found


def require_before(sources: Sequence[SourceVectors], split_us: int, split_date: str) -> None:
    """Raises UsageError for a source that has learnt from the log after the split: it knows what is asked."""
    late = {one.name: one.log_end_us for one in sources if one.log_end_us is not None and one.log_end_us > split_us}
    if late:
        ends = ", ".join(f"{name} of {log_in_words(end)}" for name, end in late.items())
        remedies = dict.fromkeys(_REMEDY.get(name, _SOURCES).format(date=split_date) for name in late)
        raise UsageError(
            f"expected sources of a log that ends with --split-date {split_date} ({instant_in_words(split_us)}) or "
            f"before, got {ends}: {'; '.join(remedies)}, or give a later --split-date"
        )


def _itemsage(run: Run, item_ids: Sequence[str]) -> SourceVectors:
    """Of a run whose embeddings are finished. Its model has read all text, and the log up to its training's end."""
    ids, matrix_ND = run.embeddings
    return SourceVectors(
        name=ITEMSAGE,
        model_id=run.model_id,
        vectors_ND=aligned(ids, matrix_ND, item_ids),
        evidence_N=None,
        seen=frozenset(TEXT_FIELDS),
        log_end_us=_end_of_training(run),
    )


def _end_of_training(run: Run) -> int | None:
    """None of a model that trained on no engagement. Raises UsageError where nobody knows."""
    until = trained_until_us(run.folder, run.model_id)
    if until is None and _has_split(run):
        return None
    if until is None or until == ANY_DAY:
        raise UsageError(
            f"expected --items-run of a store that has its model {quote(run.model_id)}, which tells where the log of "
            f"its training ends, got {run.folder}: give a run of runs/ in its store, by a model of this version"
        )
    return int(until)


def _has_split(run: Run) -> bool:
    """Whether the run lies in a store that has its model."""
    folder = Path(storage.real_path(run.folder))
    return bool(RUN_NAME.fullmatch("/".join(folder.parts[-3:]))) and storage.has_file(
        folder.parents[2] / "models" / Path(run.model_id).name / "split.json"
    )


def _unified(run: Run, item_ids: Sequence[str]) -> SourceVectors:
    """Of the folder `unified`: its fields and its log are those that its stage tells. Raises UsageError for vectors
    that no stage has made there: nobody knows what those have learnt from."""
    folder = run.folder / UNIFIED
    if not run.has(UNIFIED):
        raise UsageError(
            f"expected {UNIFIED}/ of the stage {UNIFIED} of {run.folder}, got a folder that it has not made: give the "
            "run whose it is as --items-run, or the folder with --also under another name"
        )
    for path in run.listed(UNIFIED):
        run.checked(path)
    return vectors_at(str(folder), UNIFIED, item_ids, unified_seen_fields(run), unified_log_end_us(run))


def opened(folder: str | None) -> Run | None:
    """A run's folder, opened. Raises UsageError if there is none."""
    if folder is None:
        return None
    if not storage.is_folder(folder):
        raise UsageError(f"expected the folder of a run, got {quote(folder)}, where there is none")
    return Run.open(Path(folder))
