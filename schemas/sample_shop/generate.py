"""Writes a sample shop: catalogue, pictures, engagements, the table of what is true, the table of what is broken."""

import os
import re
from collections.abc import Callable
from datetime import date
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from schemas import storage
from schemas.errors import CorruptFileError, UsageError
from schemas.files import read_json, write_json, write_text
from schemas.sample_shop.assortment import make_assortment
from schemas.sample_shop.catalogue import make_catalogue, make_query_pictures
from schemas.sample_shop.engagements import make_engagements
from schemas.sample_shop.faults import (
    CATALOGUE_FILE,
    ENGAGEMENTS_FILE,
    PLANTED,
    plant_in_catalogue,
    plant_in_engagements,
)
from schemas.sample_shop.rendering import render_all
from schemas.storage import atomic_write
from schemas.tables import CATALOGUE

TRUTH_FILE, PLANTED_FILE, FACTS_FILE, README_FILE = "truth.parquet", "planted.parquet", "shop.json", "README.md"
LAST_DAY = date(2026, 6, 30)
#: Written first: the folder is ours to replace, though nothing else of it may be there. README_FILE is written last.
_MARKER_FILE = ".sample-shop"
_README_TITLE = "# Sample shop"
_OWN_NAMES = {CATALOGUE_FILE, ENGAGEMENTS_FILE, TRUTH_FILE, PLANTED_FILE, FACTS_FILE, README_FILE, "images"}
#: What an atomic write that was killed leaves behind.
_TEMPORARY = re.compile(r"\.(.+)\.[0-9a-f]{8}\.tmp")


def generate(
    out: str | os.PathLike[str],
    items: int,
    seed: int = 0,
    *,
    end_date: date = LAST_DAY,
    num_workers: int | None = None,
    on_start: Callable[[int], None] = lambda total: None,
    on_done: Callable[[int], None] = lambda count: None,
) -> dict[str, int]:
    """Writes a shop of `items` good items (and about 3 % faulty ones) to the folder `out`; returns counts.

    Equal (items, seed, end_date), equal bytes, whatever the number of workers. A sample shop that is there already,
    half-made or not, is replaced. README.md is written last: where it is, the shop is finished. `on_start` is told the
    number of pictures, `on_done` of each few finished. Raises UsageError if `items` is below 10 or `out` holds anything
    else.
    """
    if items < 10:
        raise UsageError(f"expected at least 10 items, got {items}")
    root = Path(out)
    _clear(root)
    assortment = make_assortment(items, seed)
    catalogue = make_catalogue(assortment, seed)
    queries, query_anchors = make_query_pictures(assortment, seed)
    faulty = plant_in_catalogue(catalogue, [product.item_id for product in assortment.products], seed)
    pictures = [*catalogue.pictures, *queries, *faulty.pictures]
    on_start(len(pictures))
    render_all(root, pictures, num_workers, on_done)
    for uri, data in faulty.files.items():
        _write_bytes(root / uri, data)
    for original, copy in catalogue.copies:
        _write_bytes(root / copy, storage.bytes_of(root / original))

    good = make_engagements(assortment, [spec.uri for spec in queries], query_anchors, seed, end_date)
    engagements, planted = plant_in_engagements(good, seed)
    schema = pa.schema([field.with_nullable(True) for field in CATALOGUE])
    _write_table(root / TRUTH_FILE, assortment.truth())
    _write_table(root / PLANTED_FILE, pa.Table.from_pylist([*faulty.planted, *planted], schema=PLANTED))
    _write_table(root / ENGAGEMENTS_FILE, engagements)
    _write_table(root / CATALOGUE_FILE, pa.Table.from_pylist(faulty.rows, schema=schema))
    write_json(root / FACTS_FILE, {"items": items, "seed": seed, "end_date": end_date.isoformat()})
    write_text(root / README_FILE, _readme(items, seed, end_date))
    return {
        "items": items,
        "rows": len(faulty.rows),
        "pictures": len(pictures) + len(catalogue.copies),
        "query_pictures": len(queries),
        "engagements": engagements.num_rows,
        "faults": len(faulty.planted) + len(planted),
    }


def finished_shop(out: str | os.PathLike[str]) -> dict[str, int | str] | None:
    """What the shop in the folder `out` was made with: items, seed, end_date; None if no finished shop is there."""
    root = Path(out)
    if not storage.has_file(root / README_FILE):
        return None
    try:
        facts = read_json(root / FACTS_FILE)
        return {"items": int(facts["items"]), "seed": int(facts["seed"]), "end_date": str(facts["end_date"])}
    except (CorruptFileError, OSError, KeyError, TypeError, ValueError):
        return None


def _clear(root: Path) -> None:
    """Makes room and marks the folder: removes a sample shop, finished or not, that is there; refuses anything else."""
    names = {path.name for path in storage.paths_in(root)} if storage.is_folder(root) else set()
    if storage.has(root) and not storage.is_folder(root):
        raise UsageError(f"expected a folder to write to, got the file {root}")
    foreign = [name for name in names - {_MARKER_FILE} if not _is_own(name)]
    if foreign or (names and not _is_marked(root)):
        raise UsageError(
            f"expected an empty folder or a sample shop at {root}, got {len(foreign) or len(names)} other names in it"
        )
    storage.make_folder(root)
    storage.put_bytes(root / _MARKER_FILE, b"")
    storage.remove(root / README_FILE, missing_ok=True)  # no longer finished, before anything else goes
    for name in sorted(names - {_MARKER_FILE, README_FILE}):
        storage.remove_folder(root / name) if storage.is_folder(root / name) else storage.remove(root / name)


def _is_marked(root: Path) -> bool:
    """By the marker, or by a README of ours: copying `shop/*` leaves hidden files behind."""
    readme = root / README_FILE
    return storage.has_file(root / _MARKER_FILE) or (
        storage.has_file(readme) and storage.text_of(readme, errors="replace").startswith(_README_TITLE)
    )


def _is_own(name: str) -> bool:
    temporary = _TEMPORARY.fullmatch(name)
    return (temporary.group(1) if temporary else name) in _OWN_NAMES


def _readme(items: int, seed: int, end_date: date) -> str:
    return (
        f"{_README_TITLE}: {items} good items, seed {seed}, engagements of 120 days up to {end_date} (UTC)\n"
        f"{CATALOGUE_FILE} and {ENGAGEMENTS_FILE} are the input; the image root is this folder.\n"
        f"{TRUTH_FILE} says what each item is and how likely it comes back, {PLANTED_FILE} what is broken on purpose.\n"
    )


def _write_bytes(path: Path, data: bytes) -> None:
    storage.make_folder(path.parent)
    storage.put_bytes(path, data)


def _write_table(path: Path, table: pa.Table) -> None:
    with atomic_write(path) as temporary:
        pq.write_table(table, temporary, compression="zstd")
