"""Input files that a shop should not send: hostile rows as Parquet, JSON lines and CSV, and damage to whole files."""

import csv
import gzip
import io
import json
import random
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
from fuzz_bytes import damaged
from fuzz_columns import column
from fuzz_values import CONTROL, TIMES, URIS, python_value, text

_BROKEN_LINES = (
    b"{", b"}", b"[1,2]", b"null", b'"text"', b"\xff\xfe\x00", b'{"item_id": 1e999', b"[" * 5000,
    b'{"item_id":' * 200 + b"1" + b"}" * 200,
    b'{"item_id": ' + b"9" * 5000 + b"}", b'{"item_id": "a", "item_id": "b"}', b'{"item_id": NaN}', b"\0",
    b'{"item_id": "\\ud800"}',
    b'{"item_id": "\xed\xa0\x80"}', b"//", b'{"a":1}{"b"', b"{'item_id': 1}", b'{"item_id": "a\x1b[2J"}',
)  # fmt: skip
_BROKEN_CELLS = (
    b'"',
    b'"a',
    b'a"b,"c',
    b'x",",y',
    b"\xff\xfe",
    b"\0",
    b",,,,,,,,,,,,,,,,,,,,",
    b'"a"b',
    b"\r",
    b'""","',
    b"[1",
)


@dataclass
class Made:
    """Files of one input. num_rows: rows that must be accounted for, None where damage makes that unknowable.
    good_ids: of rows that nothing is wrong with, and whose ids no other row has."""

    files: list[str]
    num_rows: int | None
    good_ids: set[str] = field(default_factory=set)


def make_files(rng: random.Random, folder: Path, schema: pa.Schema, good_rows: Sequence[dict[str, Any]]) -> Made:
    """One to three files of rows for `schema`: mutations of `good_rows` (JSON-like values) among good ones."""
    made = [_make_file(rng, folder, number, schema, good_rows) for number in range(rng.choice((1, 1, 1, 2, 3)))]
    counts = [one.num_rows for one in made]
    total = None if None in counts else sum(count or 0 for count in counts)
    return Made([path for one in made for path in one.files], total, {name for one in made for name in one.good_ids})


def _make_file(
    rng: random.Random, folder: Path, number: int, schema: pa.Schema, good_rows: Sequence[dict[str, Any]]
) -> Made:
    folder = folder / rng.choice(
        ("", "", "", "", "day=2026-06-30", "brand=a%2Fb%00", "x\x1b[31m", "title=__HIVE_DEFAULT_PARTITION__")
    )
    folder.mkdir(exist_ok=True)
    kind = rng.choice(("parquet", "parquet", "jsonl", "jsonl", "csv"))
    count = rng.choice((0, 1, 5, 20))
    rows, good_ids = [], set()
    for row_number in range(count):
        row = dict(rng.choice(good_rows)) if good_rows else {}
        if rng.random() < 0.3:
            row["item_id"] = f"good-{number}-{row_number}"
            good_ids.add(row["item_id"])
        else:
            row["item_id"] = f"item-{rng.randrange(8)}"
            if kind != "parquet":
                row = _mutated(rng, row, schema)
        rows.append(row)
    make = {"parquet": _parquet, "jsonl": _json_lines, "csv": _csv}[kind]
    data, num_rows, good_ids = make(rng, schema, rows, good_ids)
    name = f"part-{number}.{kind}"
    if rng.random() < 0.35:
        data, num_rows, good_ids = damaged(data, rng), None, set()
    if kind != "parquet" and rng.random() < 0.1:
        data, name = gzip.compress(data, mtime=0), name + ".gz"
        if rng.random() < 0.5:
            data, num_rows, good_ids = damaged(data, rng), None, set()
    path = folder / name
    path.write_bytes(data)
    return Made([str(path)], num_rows, good_ids)


def _mutated(rng: random.Random, row: dict[str, Any], schema: pa.Schema) -> dict[str, Any]:
    for _ in range(rng.choice((0, 1, 1, 2, 5))):
        name = rng.choice(schema.names)
        draw = rng.random()
        if draw < 0.15:
            row.pop(name, None)
        elif draw < 0.3 and pa.types.is_list(schema.field(name).type):
            row[name] = [rng.choice(URIS) for _ in range(rng.choice((0, 1, 20, 21, 60)))]
        elif draw < 0.4:
            row[name] = rng.choice(TIMES)
        else:
            row[name] = python_value(rng)
    return row


def _json_lines(
    rng: random.Random, schema: pa.Schema, rows: list[dict[str, Any]], good_ids: set[str]
) -> tuple[bytes, int, set[str]]:
    end = rng.choice((b"\n", b"\n", b"\r\n"))
    lines = [json.dumps(row, ensure_ascii=rng.random() < 0.5).encode("utf-8", "surrogatepass") for row in rows]
    for _ in range(rng.choice((0, 0, 1, 3))):
        lines.insert(rng.randrange(len(lines) + 1), rng.choice((*_BROKEN_LINES, b"", b"  ")))
    num_rows = sum(1 for line in lines if line.strip())
    return rng.choice((b"", b"", b"\xef\xbb\xbf")) + end.join(lines) + rng.choice((b"", end)), num_rows, good_ids


def _csv(
    rng: random.Random, schema: pa.Schema, rows: list[dict[str, Any]], good_ids: set[str]
) -> tuple[bytes, int | None, set[str]]:
    buffer = io.StringIO()
    names = [*schema.names]
    rng.shuffle(names)
    writer = csv.writer(buffer, quoting=rng.choice((csv.QUOTE_MINIMAL, csv.QUOTE_ALL)))
    writer.writerow(names)
    writer.writerows([_cell(rng, row.get(name)) for name in names] for row in rows)
    data = buffer.getvalue().encode("utf-8", "surrogatepass")
    if rng.random() < 0.5:
        return data, len(rows), good_ids
    lines = data.splitlines(keepends=True)
    for _ in range(rng.choice((1, 2, 30))):
        place = rng.randrange(len(lines)) if rng.random() < 0.1 else rng.randrange(1, len(lines) + 1)
        lines.insert(place, rng.choice(_BROKEN_CELLS) + b"," * rng.choice((0, len(names) - 1)) + b"\n")
    return b"".join(lines), None, set()


def _cell(rng: random.Random, value: Any) -> str:
    if value is None:
        return ""
    if isinstance(value, list):
        return "|".join(map(str, value)) if rng.random() < 0.5 else json.dumps(value)
    return str(value) if isinstance(value, str | int | float | bool) else json.dumps(value)


def _parquet(
    rng: random.Random, schema: pa.Schema, rows: list[dict[str, Any]], good_ids: set[str]
) -> tuple[bytes, int, set[str]]:
    names, arrays = [], []
    spoilt = set(rng.sample(schema.names, rng.choice((0, 0, 1, 2, len(schema.names)))))
    for wanted in schema:
        if wanted.name in spoilt:
            if rng.random() < 0.1:
                continue
            arrays.append(column(rng, len(rows)))
        else:
            kind = pa.string() if pa.types.is_timestamp(wanted.type) else wanted.type
            arrays.append(pa.array([row.get(wanted.name) for row in rows], kind))
        names.append(wanted.name)
    for _ in range(rng.choice((0, 0, 1))):
        names.append(rng.choice((text(rng), rng.choice(schema.names), rng.choice(CONTROL))))
        arrays.append(column(rng, len(rows)))
    table = pa.table(arrays, names=names)
    if rng.random() < 0.2:
        own = {"ARROW:schema": "AAAA"} if rng.random() < 0.1 else {}
        table = table.replace_schema_metadata({text(rng): text(rng), "pandas": "{" * 50, **own})
    buffer = io.BytesIO()
    compression = rng.choice(("snappy", "zstd", "none", "gzip"))
    pq.write_table(
        table, buffer, row_group_size=rng.choice((1, 7, 1000)), compression=compression, store_schema=rng.random() < 0.8
    )
    return buffer.getvalue(), len(rows), set() if spoilt or len(names) > len(schema.names) else good_ids
