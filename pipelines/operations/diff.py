"""`itemsage diff DATE DATE --store S`: how two runs differ: new and gone items, those that moved most, counts.

Vectors are compared bit by bit; how far an item moved is 1 - cosine, which means something only within one model.
"""

import contextlib
import json
import sys
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from model.sources.unified_manifest import FUSION_FOLDER
from pipelines.console.exit_codes import exit_code
from pipelines.console.jobs import flag, parse_alone
from pipelines.console.terminal import aligned, shown_title
from pipelines.run.changes import ROWS_PER_BLOCK, match_items
from pipelines.run.listed_files import EMBEDDINGS, VECTORS, VECTORS_HELP
from pipelines.run.opened import DAMAGE, PublishedRun, Run
from pipelines.store import history
from pipelines.store.models import UNIFIED_MODELS
from pipelines.store.named_run import find_run
from pipelines.store.run_files import shown
from schemas import storage
from schemas.errors import UsageError
from schemas.quarantine import quote

#: More items than any run has.
MAX_TOP = 2**31 - 1
_MAX_SHOWN_TITLE = 80
_FLAGS_WITH_VALUE = ("--config", "--new", "--old", "--store", "--top", "--vectors")


@dataclass(frozen=True, kw_only=True)
class DiffConfig:
    """Shows what differs between two runs: `itemsage diff OLD NEW`."""

    old: str = flag(help="the earlier run: DATE, RUN_ID or runs/DATE/RUN_ID; or the first argument without a flag")
    new: str = flag(help="the later run; or the second argument without a flag")
    store: str = flag(path=True, help="store folder")
    vectors: str = flag(default=EMBEDDINGS, choices=VECTORS, help=VECTORS_HELP)
    top: int = flag(default=20, help="items of each kind to show")
    json: bool = flag(default=False, help="print JSON")

    def __post_init__(self) -> None:
        if not 0 <= self.top <= MAX_TOP:
            raise UsageError(f"expected --top from 0 to {MAX_TOP:,}, got {self.top:,}")


@dataclass(frozen=True, kw_only=True)
class VectorDiff:
    """Ids: string; changed: vectors that differ in a bit; moved: (id, 1 - cosine), farthest first, None where the
    vectors cannot be compared."""

    new: pa.Array
    gone: pa.Array
    num_changed: int
    num_unchanged: int
    moved: list[tuple[str, float]] | None


def compare(
    old_ids: pa.Array, old_ND: np.ndarray, new_ids: pa.Array, new_ND: np.ndarray, *, top: int, same_model: bool
) -> VectorDiff:
    """Unique ascending ids (string) [N] and unit vectors float32 [N, D] of two runs; at most `top` moved items, equal
    distances by id. Compared in blocks: beside the arguments it needs little memory. C: changed items."""
    found = match_items(old_ids, old_ND, new_ids, new_ND)
    moved = None
    if same_model and old_ND.shape[1] == new_ND.shape[1]:
        old_rows_C, new_rows_C = found.old_rows_M[found.changed_M], found.new_rows_M[found.changed_M]
        moved_C = np.zeros(len(new_rows_C))
        for start in range(0, len(new_rows_C), ROWS_PER_BLOCK):
            rows = slice(start, start + ROWS_PER_BLOCK)
            cosine_B = np.einsum("bd,bd->b", old_ND[old_rows_C[rows]], new_ND[new_rows_C[rows]], dtype=np.float64)
            moved_C[rows] = 1 - cosine_B
        farthest = np.argsort(-moved_C, kind="stable")[:top]
        names = new_ids.take(pa.array(new_rows_C[farthest])).to_pylist()
        moved = [(name, max(0.0, float(moved_C[row]))) for name, row in zip(names, farthest, strict=True)]
    return VectorDiff(
        new=found.new,
        gone=found.gone,
        num_changed=int(found.changed_M.sum()),
        num_unchanged=int((~found.changed_M).sum()),
        moved=moved,
    )


def titles(run: Run, item_ids: Sequence[str]) -> dict[str, str | None]:
    """Titles of items of a run; those of a bucket of items/ that is gone or damaged are left out: a title is no reason
    to fail."""
    found = {}
    for item_id in item_ids:
        with contextlib.suppress(*DAMAGE):
            (found[item_id],) = run.titles([item_id])
    return found


def counts_of(run: Run) -> dict[str, int]:
    """The run's counts, and its quarantined rows and pictures by reason, of all stages."""
    counts = Counter(run.run_manifest.counts)
    for path in storage.paths_in(run.folder / "manifests", "*.json"):
        for name, count in run.counts(path.stem).items():
            if name.startswith("reason:"):
                counts["quarantined for " + name.removeprefix("reason:")] += count
    return dict(counts)


def diff(store_folder: str, old: Path, new: Path, top: int, vectors: str = EMBEDDINGS) -> dict[str, Any]:
    """What differs between two finished runs, as JSON values. Raises CorruptFileError for damaged files."""
    before = PublishedRun(old)
    after = PublishedRun(new, twin=before)
    counts = {run: counts_of(run) for run in (before, after)}
    made_by = [run.vectors_id(vectors) for run in (before, after)]
    of_before, of_after = before.vectors(vectors), after.vectors(vectors)
    found = compare(*of_before, *of_after, top=top, same_model=made_by[0] == made_by[1])
    moved = found.moved or []
    title_of = titles(after, [*found.new[:top].to_pylist(), *(name for name, _ in moved)])
    gone_title_of = titles(before, found.gone[:top].to_pylist())
    names = sorted(counts[before].keys() | counts[after].keys())
    return {
        "changed": found.num_changed,
        "counts": {
            name: [counts[before].get(name, 0), counts[after].get(name, 0)]
            for name in names
            if counts[before].get(name, 0) != counts[after].get(name, 0)
        },
        "gone": len(found.gone),
        "gone_items": [{"item_id": name, "title": gone_title_of.get(name)} for name in found.gone[:top].to_pylist()],
        "model_id": made_by,
        "moved_most": None
        if found.moved is None
        else [{"distance": round(far, 6), "item_id": name, "title": title_of.get(name)} for name, far in moved],
        "new": len(found.new),
        "new_items": [{"item_id": name, "title": title_of.get(name)} for name in found.new[:top].to_pylist()],
        "rows": [len(of_before.ids), len(of_after.ids)],
        "runs": [history.name_of(old), history.name_of(new)],
        "unchanged": found.num_unchanged,
        "unified": None if vectors == EMBEDDINGS else [_fusion_of(store_folder, name) for name in made_by],
    }


def _fusion_of(store_folder: str, unified_id: str) -> dict[str, Any] | None:
    """How a unified model of the store fuses its sources; None if it is not there any more, or damaged."""
    from model.sources.fusion import load_fusion  # a second that others need not wait for

    with contextlib.suppress(*DAMAGE):
        fusion = load_fusion(UNIFIED_MODELS.folder(store_folder, unified_id) / FUSION_FOLDER)
        config = fusion.config
        weights = {name: config.weights[name] for name in config.names}
        return {"dim": fusion.dim, "half_evidence": dict(config.half_evidence), "how": config.how, "weights": weights}
    return None


def format_diff(found: dict[str, Any]) -> str:
    """For a person."""
    old_model, new_model = map(shown, found["model_id"])
    rows = [("", *found["runs"]), ("rows", *(f"{count:,}" for count in found["rows"])), ("model", old_model, new_model)]
    if found["unified"] is not None:
        rows.append(("sources", *map(_sources, found["unified"])))
    rows += [(shown(name.replace(" ", "_")), f"{a:,}", f"{b:,}") for name, (a, b) in found["counts"].items()]
    lines = [
        *aligned(rows),
        f"\nitems: {found['new']:,} new, {found['gone']:,} gone, {found['changed']:,} changed, "
        f"{found['unchanged']:,} unchanged",
    ]
    for kind in ("new", "gone"):
        if items := found[f"{kind}_items"]:
            lines.append(f"\n{kind}{_of(len(items), found[kind])}")
            lines += aligned(
                [(f"  {quote(item['item_id'])}", shown_title(item["title"], _MAX_SHOWN_TITLE)) for item in items]
            )
    if found["moved_most"] is None:
        lines.append("\nmoved most: not shown, vectors of different models cannot be compared")
    elif moved := found["moved_most"]:
        lines.append(f"\nmoved most (1 - cosine){_of(len(moved), found['changed'])}")
        cells = [
            (f"  {item['distance']:.6f}", quote(item["item_id"]), shown_title(item["title"], _MAX_SHOWN_TITLE))
            for item in moved
        ]
        lines += aligned(cells)
    return "\n".join(lines)


def _sources(fusion: dict[str, Any] | None) -> str:
    """
    >>> _sources({"dim": 8, "half_evidence": {"bpr": 5.0}, "how": "sum", "weights": {"bpr": 0.5, "dae": 1.0}})
    'bpr 0.5 (half at 5), dae 1; sum of 8'
    """
    if fusion is None:
        return "not in the store"
    half = {name: f" (half at {value:g})" for name, value in fusion["half_evidence"].items() if value}
    weights = ", ".join(f"{name} {weight:g}{half.get(name, '')}" for name, weight in fusion["weights"].items())
    return f"{weights}; {fusion['how']} of {fusion['dim']}"


def _of(num_shown: int, num_all: int) -> str:
    return ":" if num_shown == num_all else f", {num_shown:,} of {num_all:,}:"


def run(config: DiffConfig) -> dict[str, Any]:
    """Prints what differs and returns it. Raises UsageError if there is no such finished run."""
    old, new = find_run(config.store, config.old), find_run(config.store, config.new)
    for folder in (old, new):
        if not storage.has_file(folder / "COMPLETED"):
            raise UsageError(f"expected finished runs, got {folder}, which is not: see `itemsage runs`")
    found = diff(config.store, old, new, config.top, config.vectors)
    print(json.dumps(found, indent=1) if config.json else format_diff(found))
    return found


def with_flags(argv: Sequence[str]) -> list[str]:
    """The first two arguments that belong to no flag become --old and --new.

    >>> with_flags(["2026-06-29", "--store", "s", "2026-06-30", "--json"])
    ['--old=2026-06-29', '--store', 's', '--new=2026-06-30', '--json']
    """
    found, names, is_value = [], iter(("--old", "--new")), False
    for argument in argv:
        name = next(names, None) if not is_value and not argument.startswith("-") else None
        found.append(argument if name is None else f"{name}={argument}")
        is_value = argument in _FLAGS_WITH_VALUE
    return found


def main(argv: Sequence[str] | None = None) -> int:
    """Command line of the job; returns its exit code."""
    example = "itemsage diff 2026-06-29 2026-06-30 --store store"

    def job() -> None:
        arguments = with_flags(sys.argv[1:] if argv is None else argv)
        named = [argument for argument in arguments if argument.partition("=")[0] in ("--old", "--new")]
        if len(named) == 1 and not any(argument.startswith("--config") for argument in arguments):
            raise UsageError(f"expected two runs or dates, the earlier one and the later one, got one: {example}")
        run(parse_alone(DiffConfig, arguments, "itemsage diff", example))

    return exit_code(job)


if __name__ == "__main__":
    sys.exit(main())
