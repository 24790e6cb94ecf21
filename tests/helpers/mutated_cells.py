"""Cells of every kind that a shop's table has, as each container writes them, and what may stand in their place.

A form is how a container writes the cells of a kind: good values, one a row, and a strategy of others. In Parquet a
column has one type, so a form is a type; in JSON lines and CSV any value may stand beside any other.
"""

import base64
import csv
import io
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from hypothesis import strategies as st

NUM_ROWS = 6
#: 2026-06-20, a Saturday.
DAY_S = 1_781_913_600
_ODD_TEXTS = (
    *("", " ", "\0", "\t\n", "\r", "\x1b[31m", "\u2028", "\ufeff", "\ud800", "a\udcff", "NULL", "nan", "1.0", "1e999"),
    *("2026-02-30", "0001-01-01T00:00:00+14:00", "9999-12-31T23:59:59-14:00", "1781913600000", "٢٠٢٦-06-30"),
    *('"', '\\"', '\\', "'", '27" monitor', "a\nb,c", 'x","y', "a;b|c\td", "=1+1", "<b>", "sep=;"),
    *("[", '["a"', "{'a': 1}", "[[[1]]]", '{"src": "a.jpg"}', "[" * 90 + "]" * 90, "a.jpg," * 30, "|" * 10_001),
    *("data:image/png;base64,AAAA", "data:,", "sha256:" + "0" * 64, "/9j/" + "A" * 300, "http://[", "s3://b/k"),
    *("x" * 513, "ü" * 257, "w " * 6_000, "\U0001f600" * 10_001, "9" * 4_000),
)  # fmt: skip
_TEXTS = (
    st.sampled_from(_ODD_TEXTS) | st.text(max_size=12) | st.text(st.characters(categories=["Cc", "Cs"]), max_size=3)
)
_BYTES = st.binary(max_size=12) | st.sampled_from([b"\xff\xd8\xff\xe0 no picture", b"\xed\xa0\x80", b"\xc0\x80", b"<"])
_NUMBERS = st.integers() | st.integers(-(10**400), 10**400) | st.floats()
_KEYS = st.sampled_from(["src", "url", "bytes", "path", "list", "array", "element", "value"]) | st.text(max_size=3)
#: Whatever JSON says.
_JSON = st.recursive(
    st.none() | st.booleans() | _NUMBERS | _TEXTS,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(_KEYS, inner, max_size=3),
)
_INT64 = st.integers(-(2**63), 2**63 - 1)
_OF_STRINGS = st.none() | _TEXTS | _BYTES
_STRING_TYPES = (pa.string(), pa.large_string(), pa.binary(), pa.dictionary(pa.int32(), pa.string()))
_PICTURES = [b"\x89PNG\r\n\x1a\n" + bytes([number]) * 200 for number in range(NUM_ROWS)]


@dataclass(frozen=True)
class Form:
    """good: a value a row. bad: what may stand there instead. kind: of the column, in Parquet."""

    container: str
    good: Sequence[Any]
    bad: st.SearchStrategy[Any]
    kind: pa.DataType | None = None


def write_table(path: Path, columns: Mapping[str, Sequence[Any]], column: str, form: Form) -> None:
    """A file of the form's container: `column` is written as the form says, the others are texts or lists of texts."""
    if form.container == "parquet":
        arrays = {name: pa.array(values) for name, values in columns.items() if name != column}
        assert form.kind is not None
        pq.write_table(pa.table({**arrays, column: _arrow_column(columns[column], form.kind)}), path)
        return
    rows = [dict(zip(columns, row, strict=True)) for row in zip(*columns.values(), strict=True)]
    if form.container == "jsonl":
        path.write_bytes(b"".join(_utf8(json.dumps(row, ensure_ascii=False)) + b"\n" for row in rows))
        return
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(columns)
    writer.writerows([_csv_cell(value) for value in row.values()] for row in rows)
    path.write_bytes(_utf8(text.getvalue()))


def _arrow_column(values: Sequence[Any], kind: pa.DataType) -> pa.Array:
    """Values as a column of the type, which may lie: strings that are not UTF-8, times that are no times."""
    if kind.num_fields or pa.types.is_dictionary(kind) or not (pa.types.is_temporal(kind) or _is_string(kind)):
        plain = _with_bytes(kind)
        array = pa.array(_encoded(values), plain)
        return array if plain == kind else pc.cast(array, options=_unchecked(kind))
    if _is_string(kind):
        return pc.cast(pa.array(_encoded(values), pa.binary()), options=_unchecked(kind))
    return pa.array(values, pa.int32() if kind.bit_width == 32 else pa.int64()).view(kind)


def _is_string(kind: pa.DataType) -> bool:
    return pa.types.is_string(kind) or pa.types.is_large_string(kind)


def _unchecked(kind: pa.DataType) -> pc.CastOptions:
    return pc.CastOptions(target_type=kind, allow_invalid_utf8=True)


def _with_bytes(kind: pa.DataType) -> pa.DataType:
    """The type with bytes in the place of strings."""
    if _is_string(kind):
        return pa.binary()
    if pa.types.is_dictionary(kind):
        return _with_bytes(kind.value_type)
    if pa.types.is_list(kind):
        return pa.list_(_with_bytes(kind.value_type))
    if pa.types.is_struct(kind):
        return pa.struct([(field.name, _with_bytes(field.type)) for field in kind])
    return kind


def _encoded(value: Any) -> Any:
    """The value with bytes in the place of texts."""
    if isinstance(value, str):
        return _utf8(value)
    if isinstance(value, dict):
        return {key: _encoded(member) for key, member in value.items()}
    return list(map(_encoded, value)) if isinstance(value, list | tuple) else value


def _utf8(text: str) -> bytes:
    """UTF-8, and what surrogates stand for: the bytes of decoding with surrogateescape, others as UTF-8 has none."""
    return b"".join(
        letter.encode("utf-8", "surrogateescape" if "\udc80" <= letter <= "\udcff" else "surrogatepass")
        for letter in text
    )


def _csv_cell(value: Any) -> str:
    """A JSON value as exports write it in CSV."""
    if value is None:
        return ""
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


def texts(*good: str) -> list[Form]:
    """Forms of texts: these, in turn, `{}` being the number of the row."""
    values = [good[row % len(good)].format(row) for row in range(NUM_ROWS)]
    return [*_untyped(values), *_typed(values, _OF_STRINGS, *_STRING_TYPES)]


def whole_numbers() -> list[Form]:
    """Forms of whole numbers of every type."""
    numbers = list(range(101, 101 + NUM_ROWS))
    floats, decimals = list(map(float, numbers)), list(map(Decimal, numbers))
    return [
        *_untyped(numbers),
        *_typed(numbers, _INT64, pa.int64()),
        *_typed(floats, st.floats(), pa.float64()),
        *_typed(floats, st.floats(width=32), pa.float32()),
        *_typed(floats, st.floats(width=16), pa.float16()),
        *_typed(decimals, st.decimals(-(10**30), 10**30, places=2), pa.decimal128(38, 2)),
    ]


def booleans() -> list[Form]:
    """Forms of true and false."""
    values = [row % 2 == 0 for row in range(NUM_ROWS)]
    return [*_untyped(values), *_typed(values, st.booleans(), pa.bool_())]


def times() -> list[Form]:
    """Forms of days and times; a number that is no time of its type stands in the place of some."""
    seconds = [DAY_S + 3_600 * row for row in range(NUM_ROWS)]
    stamps = [f"2026-06-20T{row:02}:00:00Z" for row in range(NUM_ROWS)]
    forms = [*_untyped(stamps), *_untyped(seconds), *_typed(stamps, _OF_STRINGS, *_STRING_TYPES)]
    for unit, a_second in (("ms", 10**3), ("us", 10**6), ("ns", 10**9)):
        numbers = [second * a_second for second in seconds]
        forms += _typed(numbers, _INT64, pa.timestamp(unit), pa.timestamp(unit, "UTC"), pa.int64())
    forms += _typed(list(map(float, seconds)), st.floats(), pa.float64())
    return forms + _typed([DAY_S // 86_400] * NUM_ROWS, st.integers(-(2**31), 2**31 - 1), pa.date32())


def lists(name: str) -> list[Form]:
    """Forms of two texts a row; `{}` in the name is a number."""
    values = [[name.format(2 * row), name.format(2 * row + 1)] for row in range(NUM_ROWS)]
    objects = [[{"src": text, "n": 1} for text in value] for value in values]
    wrapped = [{"list": [{"element": text} for text in value]} for value in values]
    some_objects = _some(st.fixed_dictionaries({"src": _OF_STRINGS, "n": st.none()}))
    some_wrapped = st.fixed_dictionaries({"list": _some(st.fixed_dictionaries({"element": _OF_STRINGS}))})
    return [
        *_untyped(values, ["|".join(value) for value in values]),
        *_typed(values, _some(_OF_STRINGS), pa.list_(pa.string()), pa.list_(pa.binary())),
        *_typed(objects, some_objects, pa.list_(pa.struct([("src", pa.string()), ("n", pa.int64())]))),
        *_typed(wrapped, some_wrapped, pa.struct([("list", pa.list_(pa.struct([("element", pa.string())])))])),
    ]


def pictures() -> list[Form]:
    """Forms of one picture a row, in its cell."""
    kind = pa.struct([("bytes", pa.binary()), ("path", pa.string())])
    in_base64 = [base64.b64encode(data).decode() for data in _PICTURES]
    structs = [{"bytes": data, "path": None} for data in _PICTURES]
    some_struct = st.fixed_dictionaries({"bytes": st.none() | _BYTES, "path": st.none() | _TEXTS})
    return [
        *_untyped([{"bytes": text, "path": None} for text in in_base64], in_base64),
        *_untyped([f"data:image/png;base64,{text}" for text in in_base64]),
        *_typed(_PICTURES, _BYTES, pa.binary()),
        *_typed(structs, some_struct, kind),
        *_typed([[struct] for struct in structs], _some(some_struct), pa.list_(kind)),
    ]


def _untyped(good: Sequence[Any], in_csv: Sequence[Any] | None = None) -> list[Form]:
    return [Form("jsonl", good, _JSON), Form("csv", good if in_csv is None else in_csv, _TEXTS | _JSON)]


def _typed(good: Sequence[Any], bad: st.SearchStrategy[Any], *kinds: pa.DataType) -> list[Form]:
    return [Form("parquet", good, st.none() | bad, kind) for kind in kinds]


def _some(members: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    return st.none() | st.lists(st.none() | members, max_size=25)
