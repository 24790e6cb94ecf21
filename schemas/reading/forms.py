"""The form of an input file: what it is, how it is packed, encoded and delimited; told by its name and first bytes, or
said by the call.

Each part of a folder is looked at for itself, and the whole of it is read by what was found. What the call says
([format] of a config, --format) goes before what is found; only for the kind of file a known name goes before both.
"""

import contextlib
import functools
import io
import json
import os
from collections.abc import Mapping
from dataclasses import dataclass, replace
from itertools import islice
from typing import TYPE_CHECKING

from schemas import storage
from schemas.errors import CorruptFileError, UsageError
from schemas.files import declared_form, shown
from schemas.quarantine import quote
from schemas.reading.csv_dialects import USUAL_DIALECT, CsvDialect
from schemas.reading.csv_headers import recognised_dialect
from schemas.reading.formats_of_config import DIALECT_KEYS, TYPES
from schemas.reading.no_tables import error_in_answer, no_table, no_text
from schemas.reading.text_streams import MAGIC, MAX_LINE_BYTES, compression_of, encoding_of, open_unpacked, open_utf8

if TYPE_CHECKING:
    from schemas.reading.json_objects import Envelope

_NAMED = {
    **dict.fromkeys((".parquet", ".pq"), "parquet"),
    **dict.fromkeys((".jsonl", ".ndjson", ".json"), "json"),
    **dict.fromkeys((".csv", ".tsv"), "csv"),
    **dict.fromkeys((".xml", ".rss", ".atom"), "rss"),
}
#: Its name says that it is text, no more.
_TEXT = ".txt"
#: What stands behind the suffix of a compressed text.
PACKED = (".gz", ".gzip", ".zst", ".zstd")
_SAMPLE_BYTES = 256 << 10
#: A file is read on, up to this many bytes, while the sample has fewer rows: one row may be larger than a sample.
_MAX_SAMPLE_BYTES, _FEWEST_ROWS = 4 << 20, 10
#: Of a file whose name does not tell what it is.
_START_BYTES = 8 << 10


@dataclass(frozen=True)
class FileForm:
    """kind: "parquet", "json", "csv" or "rss" (also Atom). returns: its lines end in carriage returns alone. is_array:
    its JSON is one array. is_run_on: it is objects one behind the other, over several lines or several in one.
    is_empty: a text of nothing but blanks, which has no rows and no columns.
    envelope: of JSON that is one object with lists of objects, which may hold the rows. header: names of the columns of
    a delimited text that has no line of them, as the call says; the line that the dialect has for it is then a row.
    is_of_other_encoding: more of its first characters are wrong in `encoding` than are no ASCII and right."""

    kind: str
    compression: str = ""
    encoding: str = "utf-8"
    returns: bool = False
    is_array: bool = False
    is_run_on: bool = False
    is_empty: bool = False
    is_of_other_encoding: bool = False
    dialect: CsvDialect = USUAL_DIALECT
    envelope: "Envelope | None" = None
    header: tuple[str, ...] = ()


def form_of(path: str) -> FileForm:
    """The form of a file, which expand_inputs found: looked at once a process, as long as the file stays as it is.

    Raises UsageError for a name that does not tell what the file is, where the call does not either.
    """
    kind, suffix = _kind_by_name(path), suffix_of(path)
    if kind is None and suffix != _TEXT:
        if (what := _no_input(path)) is not None:  # which no other name would make text
            raise UsageError(
                f"expected text or Parquet, got {what} ({shown(path)}). Where it is no input, let its name start with _"
            )
        raise UsageError(
            f"expected a file name that ends in {' '.join([*_NAMED, _TEXT])} (text also with {' '.join(PACKED)}), got "
            f"{quote(str(path))}: rename it, say what it is (--format {'|'.join(TYPES)}), or let its name start with _ "
            "to have it skipped"
        )
    if kind == "parquet":
        return FileForm("parquet")
    try:
        status = storage.status(path)
        return _form_of_text(str(path), status.st_mtime_ns, status.st_size, kind, tuple(declared_form(path).items()))
    except OSError as error:
        raise CorruptFileError(f"expected a readable file, got {quote(str(error))} at {shown(path)}") from error


def suffix_of(path: str) -> str:
    """The suffix that says what a file is, in small letters, without that of its compression."""
    name = path.lower()
    packed = next((end for end in PACKED if name.endswith(end)), "")
    return os.path.splitext(name.removesuffix(packed))[1]


def _kind_by_name(path: str) -> str | None:
    """By the name, or where it does not tell by what the call says; None if neither does."""
    kind = _NAMED.get(suffix_of(path), TYPES.get(declared_form(path).get("type", "")))
    return None if kind == "parquet" and path.lower().endswith(PACKED) else kind


def _no_input(path: str) -> str | None:
    """What a file is whose name does not tell it, and what to do with it; None if it may be text, or cannot be read:
    its name is then what is told of it."""
    with contextlib.suppress(OSError, CorruptFileError), open_unpacked(path, compression_of(path)) as file:
        start = file.read(_START_BYTES)
        return no_text(start) or no_table(start.decode("utf-8", "replace").removeprefix("\ufeff"), suffix_of(path))
    return None


def _is_run_on(text: str) -> bool:
    """Whether JSON begins with an object that has several lines, or another one behind it in its line."""
    text = text.lstrip()
    try:
        _, end = json.JSONDecoder().raw_decode(text)
    except (ValueError, RecursionError):
        return False
    behind = text[end:].lstrip(" \t,")
    in_its_line, is_another = behind[:1] == "{", behind.lstrip()[:1] == "{"
    return is_another and (in_its_line or any(mark in text[:end] for mark in "\r\n"))


@functools.lru_cache(maxsize=1 << 16)
def _form_of_text(
    path: str, mtime_ns: int, num_bytes: int, kind: str | None, declared: tuple[tuple[str, str], ...]
) -> FileForm:
    """The form of a file of this kind, None: told by its first letter. mtime_ns, num_bytes: of the file, in which it is
    another one if they change. declared: what the call says, see schemas.files.declared_form."""
    given, compression = dict(declared), compression_of(path)
    sample = _sample_of_text(path, compression)
    if kind == "rss":  # whose first line tells the encoding to the parser of XML
        return FileForm("rss", compression, given.get("encoding", ""), is_empty=not sample)
    encoding = given.get("encoding") or encoding_of(sample, path, compression, kind in ("csv", None))
    with open_utf8(path, compression, encoding, returns=False) as file:
        start_of_text = file.read(_SAMPLE_BYTES)
    is_cut = len(start_of_text) == _SAMPLE_BYTES
    text = start_of_text.decode("utf-8", "replace").removeprefix("\ufeff")
    if (what := no_table(text, suffix_of(path))) is not None:
        raise UsageError(f"expected {'text' if kind is None else kind.upper()}, got {what} ({shown(path)})")
    start = text.lstrip()[:1]
    if kind is None:
        kind = {"<": "rss", "{": "json", "[": "json"}.get(start, "csv")
        if kind != "csv":
            return _form_of_text(path, mtime_ns, num_bytes, kind, declared)
    form = FileForm(kind, compression, encoding, _ends_in_returns(text), is_empty=not start and not is_cut)
    if kind == "json":
        return _form_of_object(path, form, text, is_cut) if start == "{" else replace(form, is_array=start == "[")
    return form if form.is_empty else _form_of_delimited(path, form, text, given)


def _sample_of_text(path: str, compression: str) -> bytes:
    """The first bytes, unpacked. Raises UsageError for what is packed once more, or is no text."""
    with open_unpacked(path, compression) as file:
        sample = file.read(_SAMPLE_BYTES)
    packed_again = next((name for magic, name in MAGIC.items() if sample.startswith(magic)), None)
    if compression and packed_again is not None:
        raise UsageError(f"expected text, got {packed_again} within {compression}: unpack it once ({shown(path)})")
    if (what := no_text(sample)) is not None:
        raise UsageError(f"expected text, got {what} ({shown(path)})")
    return sample


def _ends_in_returns(text: str) -> bool:
    """Whether the first line ends in a carriage return alone."""
    line_end = next((end for end in text if end in "\r\n"), "\n")
    return line_end == "\r" and "\r\n" not in text[: text.index("\r") + 3]


def _form_of_object(path: str, form: FileForm, text: str, is_cut: bool) -> FileForm:
    """The form of JSON that begins with an object: of one alone, with what it holds, or of several. text: its begin;
    is_cut: whether it goes on. Raises UsageError for an answer that tells of an error."""
    if not is_cut and (what := error_in_answer(text)) is not None:
        raise UsageError(f"expected JSON with rows, got {what} ({shown(path)})")
    from schemas.reading.json_objects import read_envelope

    with open_utf8(path, form.compression, form.encoding, form.returns) as file:
        envelope = read_envelope(file, path, MAX_LINE_BYTES)
    return replace(form, envelope=envelope, is_run_on=envelope is None and _is_run_on(text))


def _form_of_delimited(path: str, form: FileForm, text: str, given: Mapping[str, str]) -> FileForm:
    """The form of a delimited text that begins so. given: what the call says."""
    usual = "\t" if suffix_of(path) == ".tsv" or given.get("type") == "tsv" else ","
    header = tuple(json.loads(given.get("header", "[]")))
    told = {key: given[key] for key in DIALECT_KEYS if key in given}
    dialect = _dialect_of(path, form, usual, told, has_header=not header)
    num_wrong, num_other = text.count("\ufffd"), sum(1 for character in text if character > "\x7f")
    is_other = 2 * num_wrong > num_other and "encoding" not in given
    return replace(form, is_of_other_encoding=is_other, dialect=dialect, header=header)


def _dialect_of(path: str, form: FileForm, usual: str, told: Mapping[str, str], *, has_header: bool) -> CsvDialect:
    """The dialect of a delimited text, by a sample of its first bytes that has several rows, if one below the cap does.
    usual, told, has_header: see recognised_dialect."""
    num_bytes = _SAMPLE_BYTES
    while True:
        with open_utf8(path, form.compression, form.encoding, form.returns) as file:
            data = file.read(num_bytes)
        text, is_cut = data.decode("utf-8", "replace").removeprefix("\ufeff"), len(data) == num_bytes
        if is_cut and "\n" in text:
            text = text[: text.rindex("\n") + 1]  # what is cut off within a line would seem broken
        dialect = recognised_dialect(text, usual, told, has_header=has_header, is_cut=is_cut)
        if not is_cut or num_bytes >= _MAX_SAMPLE_BYTES or _has_rows(dialect, text):
            return dialect
        num_bytes *= 4


def _has_rows(dialect: CsvDialect, text: str) -> bool:
    """Whether a text begins with several rows, most of which are as wide as its header."""
    lines = islice(io.StringIO(text, newline="\n"), dialect.header_line - 1, None)
    header, *rows = dialect.first_rows(lines, 1 + _FEWEST_ROWS) or [[]]
    return 2 * sum(dialect.is_row(cells, len(header)) for cells in rows) > _FEWEST_ROWS
