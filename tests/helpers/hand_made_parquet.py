"""Parquet files written by hand: what pyarrow would need gigabytes to write, and headers that it would not write.

Structs are written in Thrift's compact protocol, as dicts of field number -> value: int (i32), Long (i64), bytes, bool,
float (a double), list (of ints, floats, bytes or structs), dict (a struct).
"""

import struct as packing
from pathlib import Path
from typing import Any

import pyarrow as pa

_I32, _I64, _DOUBLE, _BINARY, _LIST, _STRUCT = 5, 6, 7, 8, 9, 12
_BYTE_ARRAY, _UTF8, _PLAIN, _RLE, _ZSTD, _DATA_PAGE = 6, 0, 0, 3, 6, 0


class Long(int):
    """A whole number that is written as an i64."""


def varint(value: int) -> bytes:
    pieces = bytearray()
    while value > 127:
        pieces.append(value & 127 | 128)
        value >>= 7
    return bytes([*pieces, value])


def struct(fields: dict[int, Any]) -> bytes:
    """The bytes of a struct."""
    written, last = bytearray(), 0
    for number, value in fields.items():
        kind = 2 - value if isinstance(value, bool) else _kind(value)
        step = number - last
        head = bytes([step << 4 | kind]) if 0 < step < 16 else bytes([kind]) + varint(_zigzag(number))
        written += head + (b"" if isinstance(value, bool) else _value(value))
        last = number
    return bytes(written) + b"\0"


def _zigzag(value: int) -> int:
    return value << 1 if value >= 0 else (-value << 1) - 1


def _kind(value: Any) -> int:
    kinds = {Long: _I64, int: _I32, float: _DOUBLE, bytes: _BINARY, list: _LIST, dict: _STRUCT}
    return kinds[type(value)]


def _value(value: Any) -> bytes:
    if isinstance(value, int):
        return varint(_zigzag(value))
    if isinstance(value, float):
        return packing.pack("<d", value)
    if isinstance(value, bytes):
        return varint(len(value)) + value
    if isinstance(value, dict):
        return struct(value)
    kind = _kind(value[0]) if value else _I32
    head = bytes([len(value) << 4 | kind]) if len(value) < 15 else bytes([0xF0 | kind]) + varint(len(value))
    return head + b"".join(map(_value, value))


def page(compressed: bytes, uncompressed_bytes: int, num_values: int, **extra: Any) -> bytes:
    """A data page of PLAIN values, with its header; extra: further fields of the header, as f8=value."""
    data_page = {1: num_values, 2: _PLAIN, 3: _RLE, 4: _RLE}
    header = {1: _DATA_PAGE, 2: uncompressed_bytes, 3: len(compressed), 5: data_page}
    return struct(header | {int(name[1:]): value for name, value in extra.items()}) + compressed


def repeated_text(size: int) -> bytes:
    """A zstd-compressed page body of one text of `size` bytes, a multiple of 16 MiB; little memory is needed for it."""
    piece = 16 << 20
    frames = [pa.compress(size.to_bytes(4, "little"), "zstd", asbytes=True)]
    frames += [pa.compress(b"x" * piece, "zstd", asbytes=True)] * (size // piece)
    return b"".join(frames)


def write(path: Path, columns: dict[str, tuple[bytes, int]], num_rows: int) -> Path:
    """A file of one row group of required strings. columns: name -> (its pages, their bytes once uncompressed)."""
    data, chunks = bytearray(b"PAR1"), []
    for name, (pages, uncompressed_bytes) in columns.items():
        meta = {
            1: _BYTE_ARRAY,
            2: [_PLAIN, _RLE],
            3: [name.encode()],
            4: _ZSTD,
            5: Long(num_rows),
            6: Long(uncompressed_bytes),
            7: Long(len(pages)),
            9: Long(len(data)),
        }
        chunks.append({2: Long(len(data)), 3: meta})
        data += pages
    total = sum(uncompressed_bytes for _, uncompressed_bytes in columns.values())
    leaves = [{1: _BYTE_ARRAY, 3: 0, 4: name.encode(), 6: _UTF8} for name in columns]
    footer = {
        1: 1,
        2: [{4: b"schema", 5: len(leaves)}, *leaves],
        3: Long(num_rows),
        4: [{1: chunks, 2: Long(total), 3: Long(num_rows)}],
    }
    end = struct(footer)
    path.write_bytes(bytes(data) + end + len(end).to_bytes(4, "little") + b"PAR1")
    return path


def texts_page(texts: list[bytes]) -> tuple[bytes, int]:
    """A page of these texts, and its bytes once uncompressed."""
    body = b"".join(len(text).to_bytes(4, "little") + text for text in texts)
    return page(pa.compress(body, "zstd", asbytes=True), len(body), len(texts)), len(body)


def write_large_values_at_the_end(path: Path, size: int, num_small: int, num_large: int) -> Path:
    """A catalogue of items with titles of one letter and, behind them, of `size` bytes, each in a page of its own."""
    small, small_bytes = texts_page([b"t"] * num_small)
    large = page(repeated_text(size), size + 4, 1)
    titles = small + large * num_large, small_bytes + (size + 4) * num_large
    ids = texts_page([b"%d" % number for number in range(num_small + num_large)])
    return write(path, {"item_id": ids, "title": titles}, num_small + num_large)


def write_one_large_value(path: Path, size: int) -> Path:
    """A catalogue of one item, "a", with a title of `size` bytes."""
    title = page(repeated_text(size), size + 4, 1), size + 4
    return write(path, {"item_id": texts_page([b"a"]), "title": title}, 1)
