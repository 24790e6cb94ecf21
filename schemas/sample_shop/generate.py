"""Writes a sample shop: catalogue, pictures, engagements, the table of what is true, the table of what is broken."""

import os
import shutil
from collections.abc import Callable
from datetime import date
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from schemas.errors import UsageError
from schemas.files import atomic_write, write_text
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
from schemas.tables import CATALOGUE

TRUTH_FILE, PLANTED_FILE, README_FILE = "truth.parquet", "planted.parquet", "README.md"
LAST_DAY = date(2026, 6, 30)
_README_TITLE = "# Sample shop"
_OWN_NAMES = {CATALOGUE_FILE, ENGAGEMENTS_FILE, TRUTH_FILE, PLANTED_FILE, README_FILE, "images"}


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

    Equal (items, seed, end_date), equal bytes, whatever the number of workers; a sample shop that is already there is
    replaced. `on_start` is told the number of pictures, `on_done` of each few finished. Raises UsageError if `items` is
    below 10 or `out` holds anything else.
    """
    if items < 10:
        raise UsageError(f"expected at least 10 items, got {items}")
    root = Path(out)
    _clear(root)
    write_text(root / README_FILE, _readme(items, seed, end_date))
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
        _write_bytes(root / copy, (root / original).read_bytes())

    good = make_engagements(assortment, [spec.uri for spec in queries], query_anchors, seed, end_date)
    engagements, planted = plant_in_engagements(good, seed)
    schema = pa.schema([field.with_nullable(True) for field in CATALOGUE])
    _write_table(root / TRUTH_FILE, assortment.truth())
    _write_table(root / PLANTED_FILE, pa.Table.from_pylist([*faulty.planted, *planted], schema=PLANTED))
    _write_table(root / ENGAGEMENTS_FILE, engagements)
    _write_table(root / CATALOGUE_FILE, pa.Table.from_pylist(faulty.rows, schema=schema))
    return {
        "items": items,
        "rows": len(faulty.rows),
        "pictures": len(pictures) + len(catalogue.copies),
        "query_pictures": len(queries),
        "engagements": engagements.num_rows,
        "faults": len(faulty.planted) + len(planted),
    }


def _clear(root: Path) -> None:
    """Makes room: removes a sample shop that is there, refuses anything else."""
    names = {path.name for path in root.iterdir()} if root.is_dir() else set()
    if root.exists() and not root.is_dir():
        raise UsageError(f"expected a folder to write to, got the file {root}")
    readme = root / README_FILE
    ours = names <= _OWN_NAMES and readme.is_file() and readme.read_text(encoding="utf-8").startswith(_README_TITLE)
    if names and not ours:
        raise UsageError(f"expected an empty folder or a sample shop at {root}, got {len(names)} other names in it")
    for name in sorted(names - {README_FILE}):
        shutil.rmtree(root / name) if (root / name).is_dir() else (root / name).unlink()


def _readme(items: int, seed: int, end_date: date) -> str:
    return (
        f"{_README_TITLE}: {items} good items, seed {seed}, engagements of 120 days up to {end_date} (UTC)\n"
        f"{CATALOGUE_FILE} and {ENGAGEMENTS_FILE} are the input; the image root is this folder.\n"
        f"{TRUTH_FILE} says what each item is, {PLANTED_FILE} what is broken on purpose.\n"
    )


def _write_bytes(path: Path, data: bytes) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data)


def _write_table(path: Path, table: pa.Table) -> None:
    with atomic_write(path) as temporary:
        pq.write_table(table, temporary, compression="zstd")
