"""What is wrong with the shop, on purpose: each planted fault is listed with the reason it must be rejected for."""

import itertools
import zlib
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import pyarrow as pa

from schemas.hashing import seed_of
from schemas.sample_shop.catalogue import Catalogue
from schemas.sample_shop.pictures import VIEWS, PictureSpec, encode
from schemas.tables import ENGAGEMENTS, MAX_PICTURES, SURFACES, TEXT_FIELDS, TIMESTAMP

CATALOGUE_FILE, ENGAGEMENTS_FILE = "catalog.parquet", "engagements.parquet"

#: level: "row" (no output at all), "picture" (the item keeps the rest), "none" (accepted: collapsed, cut off, counted).
#: expected_reason is null where level is "none". where: file:row, from 1, as quarantine has it.
PLANTED = pa.schema(
    [
        pa.field("kind", pa.string(), nullable=False),
        pa.field("level", pa.string(), nullable=False),
        pa.field("item_id", pa.string()),
        pa.field("uri", pa.string()),
        pa.field("where", pa.string(), nullable=False),
        pa.field("expected_reason", pa.string()),
    ]
)

PICTURE_FAULTS = {
    "truncated_picture": "truncated",
    "missing_picture": "missing",
    "not_a_picture": "not_a_picture",
    "picture_bomb": "too_many_pixels",
    "outside_root": "outside_root",
    "remote_uri": "remote_uri",
}
#: Faults of rows that come on top of the good ones, by kind.
ROW_FAULTS: dict[str, str | None] = {
    "duplicate_equal": None,
    "duplicate_different": "duplicate_id",
    "null_id": "null_id",
    "empty_id": "empty_id",
    "oversized_id": "oversized_id",
    "no_content": "no_content",
    "only_broken_picture": "no_content",
}
#: Good rows with too much in them: what is over the limit is cut off, the row stays.
EXCESSES = ("too_many_pictures", "long_text")
ENGAGEMENT_FAULTS: dict[str, str | None] = {
    "unknown_action": "unknown_action",
    "unknown_surface": "unknown_surface",
    "null_timestamp": "null_timestamp",
    "null_item": "null_id",
    "missing_query": "missing_query",
    "unknown_item": None,
    "future_timestamp": None,
}

_SHARE, _ENGAGEMENT_SHARE = 0.03, 0.001
_OVERSIZED_ID_CHARACTERS, _LONG_TEXT_CHARACTERS = 600, 250_000
_BOMB_SIDE_PX = 16_000
_NOT_A_PICTURE = b"<!doctype html><title>404</title><h1>404 Not Found</h1><p>The requested file is gone.</p>\n"


@dataclass(kw_only=True)
class FaultyCatalogue:
    """Catalogue rows in their final order, the fault list, and the files that have to be written for it."""

    rows: list[dict[str, Any]]
    planted: list[dict[str, str | None]]
    pictures: list[PictureSpec] = field(default_factory=list)
    files: dict[str, bytes] = field(default_factory=dict)


def plant_in_catalogue(catalogue: Catalogue, item_ids: list[str], seed: int) -> FaultyCatalogue:
    """Adds faults to about 3 % of the rows: bad pictures on good rows, bad rows between them, at least one a kind.

    Every good item keeps text or a good picture, so `item_ids` are exactly the items to be published.
    """
    rng = np.random.default_rng(seed_of("faults", seed))
    rows = [catalogue.row(number, item_id) for number, item_id in enumerate(item_ids)]
    kinds = [*PICTURE_FAULTS, *ROW_FAULTS, *EXCESSES]
    copies = max(1, round(_SHARE * len(rows) / len(kinds)))
    complete = [n for n in rng.permutation(len(rows)).tolist() if rows[n]["title"] and rows[n]["images"]]
    hosts = itertools.cycle(complete)
    result = FaultyCatalogue(rows=rows, planted=[])
    position = {id(row): float(number) for number, row in enumerate(rows)}
    faulty: list[tuple[str, dict[str, Any], str | None]] = []
    for kind, number in itertools.product(kinds, range(copies)):
        host = next(hosts)
        if kind in PICTURE_FAULTS:
            faulty.append((kind, rows[host], _break_picture(result, catalogue, rows[host], kind, number)))
        elif kind in EXCESSES:
            _overfill(result, catalogue, rows[host], kind)
            faulty.append((kind, rows[host], None))
        else:
            row = _bad_row(rows[host], kind, number)
            # of rows with one id the last stays: the planted one comes before the good one
            position[id(row)] = host * rng.random() - 0.5
            rows.append(row)
            faulty.append((kind, row, row["images"][0] if kind == "only_broken_picture" else None))
    rows.sort(key=lambda row: position[id(row)])
    place = {id(row): f"{CATALOGUE_FILE}:{number + 1}" for number, row in enumerate(rows)}
    for kind, row, uri in faulty:
        result.planted += _records(kind, row["item_id"], uri, place[id(row)])
    return result


def _records(kind: str, item_id: str | None, uri: str | None, where: str) -> Iterator[dict[str, str | None]]:
    reason = PICTURE_FAULTS.get(kind) or ROW_FAULTS.get(kind)
    level = "picture" if kind in PICTURE_FAULTS else "row" if reason else "none"
    record: dict[str, str | None] = dict.fromkeys(PLANTED.names)
    record.update(kind=kind, level=level, item_id=item_id, where=where, expected_reason=reason)
    if kind == "only_broken_picture":
        yield record
        record = {**record, "level": "picture", "expected_reason": "missing"}
    yield {**record, "uri": uri}


def _break_picture(result: FaultyCatalogue, catalogue: Catalogue, row: dict[str, Any], kind: str, number: int) -> str:
    """Appends a bad URI to the row's pictures, with its file if it has one; returns the URI."""
    uri = f"images/broken/{kind}-{number:04d}.jpg"
    if kind == "truncated_picture":
        whole = encode(next(spec for spec in catalogue.pictures if spec.uri.startswith(_stem(row))))
        result.files[uri] = whole[: len(whole) * 2 // 5]
    elif kind == "not_a_picture":
        result.files[uri] = _NOT_A_PICTURE
    elif kind == "picture_bomb":
        uri = uri.replace(".jpg", ".png")
        result.files[uri] = next((data for name, data in result.files.items() if "bomb" in name), None) or _bomb()
    elif kind == "outside_root":
        uri = f"../{row['item_id']}-{number}.png"
    elif kind == "remote_uri":
        uri = f"https://cdn.bazaar.example/{row['item_id']}/{number}.jpg"
    row["images"].append(uri)
    return uri


def _stem(row: dict[str, Any]) -> str:
    uri: str = row["images"][0]
    return uri.rsplit(".", 1)[0]


def _bomb() -> bytes:
    """A valid PNG of a few KB: 16,000 x 16,000 white pixels, one bit each in the file, 768 MB as RGB."""

    def chunk(kind: bytes, body: bytes) -> bytes:
        return len(body).to_bytes(4, "big") + kind + body + zlib.crc32(kind + body).to_bytes(4, "big")

    side = _BOMB_SIDE_PX.to_bytes(4, "big")
    line = b"\0" + b"\xff" * (_BOMB_SIDE_PX // 8)
    packer = zlib.compressobj(9)
    data = b"".join([*(packer.compress(line * 500) for _ in range(_BOMB_SIDE_PX // 500)), packer.flush()])
    header = chunk(b"IHDR", side + side + bytes((1, 0, 0, 0, 0)))
    return b"\x89PNG\r\n\x1a\n" + header + chunk(b"IDAT", data) + chunk(b"IEND", b"")


def _overfill(result: FaultyCatalogue, catalogue: Catalogue, row: dict[str, Any], kind: str) -> None:
    if kind == "long_text":
        sentence = (row["description"] or row["title"]) + " "
        row["description"] = (sentence * (_LONG_TEXT_CHARACTERS // len(sentence) + 1))[:_LONG_TEXT_CHARACTERS]
        return
    first = next(spec for spec in catalogue.pictures if spec.uri.startswith(_stem(row)))
    for view in range(len(row["images"]), MAX_PICTURES + 4):
        uri = f"images/many/{row['item_id']}-{view:02d}.jpg"
        seed = seed_of("many", first.seed, view)
        spec = replace(first, uri=uri, view=VIEWS[view % len(VIEWS)], file_format="jpeg", seed=seed)
        result.pictures.append(spec)
        row["images"].append(uri)


def _bad_row(host: dict[str, Any], kind: str, number: int) -> dict[str, Any]:
    row = {**host, "images": list(host["images"])}
    if kind == "duplicate_different":
        row["title"] = f"{host['title']} (old entry {number})"
    elif kind == "null_id":
        row["item_id"] = None
    elif kind == "empty_id":
        row["item_id"] = ""
    elif kind == "oversized_id":
        row["item_id"] = f"bad-{number:04d}-".ljust(_OVERSIZED_ID_CHARACTERS, "x")
    elif kind in ("no_content", "only_broken_picture"):
        row.update(dict.fromkeys(TEXT_FIELDS), item_id=f"{kind.replace('_', '-')}-{number:04d}", images=[])
        if kind == "only_broken_picture":
            row["images"] = [f"images/broken/lost-{number:04d}.jpg"]
    return row


def plant_in_engagements(good: pa.Table, seed: int) -> tuple[pa.Table, list[dict[str, str | None]]]:
    """Adds faulty copies of some rows (0.1 % a kind), keeps the order of time (null last); the table and its faults."""
    rng = np.random.default_rng(seed_of("engagement faults", seed))
    schema = pa.schema([field_.with_nullable(True) for field_ in ENGAGEMENTS])
    copies = max(1, round(_ENGAGEMENT_SHARE * good.num_rows))
    searches = np.flatnonzero(good.column("surface").to_numpy(zero_copy_only=False) == SURFACES[0])
    tables = [good.cast(schema)]
    for kind in ENGAGEMENT_FAULTS:
        bad = good.take(rng.choice(searches, copies)).cast(schema)
        column, values = _bad_values(kind, bad, rng)
        tables.append(bad.set_column(schema.get_field_index(column), schema.field(column), values))
    merged = pa.concat_tables(tables).combine_chunks()
    times = merged.column("timestamp").cast(pa.int64()).fill_null(np.iinfo(np.int64).max).to_numpy()
    order = np.argsort(times, kind="stable")
    row_of = np.empty(len(order), np.int64)
    row_of[order] = np.arange(len(order))
    kinds = [kind for kind in ENGAGEMENT_FAULTS for _ in range(copies)]
    item_ids = merged.column("item_id")[good.num_rows :].to_pylist()
    planted: list[dict[str, str | None]] = [
        {
            "kind": kind,
            "level": "row" if ENGAGEMENT_FAULTS[kind] else "none",
            "item_id": item_id,
            "uri": None,
            "where": f"{ENGAGEMENTS_FILE}:{row + 1}",
            "expected_reason": ENGAGEMENT_FAULTS[kind],
        }
        for kind, item_id, row in zip(kinds, item_ids, row_of[good.num_rows :].tolist(), strict=True)
    ]
    return merged.take(order), planted


def _bad_values(kind: str, bad: pa.Table, rng: np.random.Generator) -> tuple[str, pa.Array]:
    """(column, values) that make good search rows faulty."""
    count = bad.num_rows
    if kind == "unknown_action":
        return "action", pa.array(["like"] * count, pa.string())
    if kind == "unknown_surface":
        return "surface", pa.array(["newsletter"] * count, pa.string())
    if kind == "null_timestamp":
        return "timestamp", pa.nulls(count, TIMESTAMP)
    if kind == "null_item":
        return "item_id", pa.nulls(count, pa.string())
    if kind == "missing_query":
        return "query", pa.nulls(count, pa.string())
    if kind == "unknown_item":
        return "item_id", pa.array([f"gone-{number:06d}" for number in rng.integers(0, 10**6, count)], pa.string())
    if kind == "future_timestamp":
        last_us = 120 * 86_400_000_000  # a window after their own day: all are later than the last day
        times = bad.column("timestamp").cast(pa.int64()).to_numpy() + last_us
        return "timestamp", pa.array(times, TIMESTAMP)
    raise ValueError(f"expected a kind out of {list(ENGAGEMENT_FAULTS)}, got {kind!r}")
