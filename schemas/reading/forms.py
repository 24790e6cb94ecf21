"""The form of an input file: what it is, how it is packed, encoded and delimited; told by its name and first bytes, or
said by the call.

Each part of a folder is looked at for itself, and the whole of it is read by what was found. What the call says
([format] of a config, --format) goes before what is found; only for the kind of file a known name goes before both.
"""

import codecs
import contextlib
import functools
import io
import json
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import islice
from typing import TYPE_CHECKING, Any

from schemas import storage
from schemas.errors import CorruptFileError, UsageError
from schemas.files import declared_form, shown
from schemas.quarantine import quote
from schemas.reading.csv_dialects import SEPARATORS, USUAL_DIALECT, CsvDialect, check_dialect
from schemas.reading.csv_headers import recognised_dialect
from schemas.reading.no_tables import error_in_answer, no_table, no_text
from schemas.reading.text_streams import MAGIC, MAX_LINE_BYTES, compression_of, encoding_of, open_unpacked, open_utf8

if TYPE_CHECKING:
    from schemas.reading.json_objects import Envelope, Wanted

#: What --format may say, and the kind of file and the separator that it means.
TYPES = {"csv": "csv", "tsv": "csv", "json": "json", "parquet": "parquet", "rss": "rss"}
_DIALECT_KEYS = ("separator", "quote", "escape")
_TABLES = ("catalogue", "engagements", "judgements")
_NAMED = {
    **dict.fromkeys((".parquet", ".pq"), "parquet"),
    **dict.fromkeys((".jsonl", ".ndjson", ".json"), "json"),
    **dict.fromkeys((".csv", ".tsv"), "csv"),
    **dict.fromkeys((".xml", ".rss", ".atom"), "rss"),
}
#: Its name says that it is text, no more.
_TEXT = ".txt"
_PACKED = (".gz", ".gzip", ".zst", ".zstd")
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
    kind, suffix = _kind_by_name(path), _suffix(path)
    if kind is None and suffix != _TEXT:
        if (what := _no_input(path)) is not None:  # which no other name would make text
            raise UsageError(
                f"expected text or Parquet, got {what} ({shown(path)}). Where it is no input, let its name start with _"
            )
        raise UsageError(
            f"expected a file name that ends in {' '.join([*_NAMED, _TEXT])} (text also with {' '.join(_PACKED)}), got "
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


def checked_format(table: Mapping[str, Any], name: str, where: str) -> dict[str, str]:
    """What a config's [format] says of the files of a table (catalogue, engagements or judgements).

    Keys directly in [format] are for all tables; [format.engagements] and so on add to them or override them. Raises
    UsageError for a key or a value that means nothing.
    """
    flat = {key: value for key, value in table.items() if key not in _TABLES}
    for key in _TABLES:
        if not isinstance(table.get(key, {}), Mapping):
            raise UsageError(f"expected a table [format.{key}] in {where}, got {quote(table[key])}")
    given = {**flat, **table.get(name, {})}
    if "header" in given:
        given["header"] = json.dumps(_checked_header(given["header"], where))  # which, as the rest, is a text
    unknown = sorted(given.keys() - {"type", "encoding", "list", "header", *_DIALECT_KEYS})
    if unknown or not all(isinstance(value, str) for value in given.values()):
        raise UsageError(
            f"expected type, separator, quote, escape, encoding or list, each a text, header, a list, or tables of "
            f"{', '.join(_TABLES)} in [format] of {where}, got {', '.join(map(quote, unknown)) or quote(given)}"
        )
    if given.get("type", "csv") not in TYPES:
        raise UsageError(f"expected one of {', '.join(TYPES)} for the format in {where}, got {quote(given['type'])}")
    if given.get("escape") == given.get("quote", USUAL_DIALECT.quote):
        given["escape"] = ""  # a quote before a quote is a doubled one
    check_dialect({key: given[key] for key in _DIALECT_KEYS if key in given}, f"[format] of {where}")
    if "encoding" in given:
        given["encoding"] = _encoding_name(given["encoding"], where)
    return given


def _checked_header(names: Any, where: str) -> list[str]:
    """The names of columns that a config gives. Raises UsageError for what is no list of them."""
    if not isinstance(names, list) or not names or not all(isinstance(name, str) for name in names):
        raise UsageError(
            f'expected a list of the names of all columns, in their order ("": one that is not read), as header of '
            f"[format] in {where}, got {quote(names)}"
        )
    names = [name.strip() for name in names]
    twice = next((name for name in names if name and names.count(name) > 1), None)
    if twice is not None or not any(names):
        got = f"{quote(twice)} twice" if twice is not None else "no name"
        raise UsageError(f"expected a name for each column in header of [format] in {where}, got {got}")
    return names


def forms_in_words(files: Sequence[str], names: Sequence[str], wanted: "Wanted" = ()) -> str:
    """What was recognised of the files whose form is not the usual one of their names; "" if there is none.

    names: what to call each; wanted: see list_of_rows. "items.csv: semicolons, UTF-16", or for several of a form the
    first and how many more.
    """
    alike: dict[str, list[str]] = {}
    for path, name in zip(files, names, strict=True):
        if words := _in_words(path, form_of(path), wanted):
            alike.setdefault(words, []).append(name)
    return "; ".join(
        f"{shown(found[0])}{f' and {len(found) - 1:,} more' if len(found) > 1 else ''}: {words}"
        for words, found in alike.items()
    )


def _in_words(path: str, form: FileForm, wanted: "Wanted") -> str:
    if form.is_empty:
        return "empty, no rows"
    words = []
    if form.kind == "csv":
        dialect, usual = form.dialect, "\t" if _suffix(path) == ".tsv" else ","
        if dialect.separator != usual:
            words.append(SEPARATORS.get(dialect.separator, f"cells separated by {quote(dialect.separator)}"))
        if dialect.quote != '"':
            words.append(f"quoted by {dialect.quote}" if dialect.quote else "quotes are data")
        if dialect.letters:
            words.append(f"{dialect.escape}n and {dialect.escape}t stand for line ends and tabs")
        elif dialect.escape:
            words.append(f"escaped by {dialect.escape}")
        if dialect.blanks:
            words.append("blanks before quotes")
        if dialect.is_padded:
            words.append("blanks around cells")
        if dialect.is_closed:
            words.append("a separator behind each row")
        if form.header:
            words.append("the config names its columns")
        if dialect.has_title:
            words.append(f"the header is line {dialect.header_line}")
        if dialect.num_label_rows:
            count = dialect.num_label_rows
            words.append(f"{f'{count} lines' if count > 1 else 'a line'} of labels below the header")
    if form.is_array:
        words.append("one JSON array")
    if form.is_run_on:
        words.append("JSON objects one behind the other")
    words += [found] if (found := _rows_in_object(path, form, wanted)) else []
    if form.encoding not in ("utf-8", ""):
        words.append(form.encoding.upper().removesuffix("-LE").removesuffix("-BE").replace("CP", "cp"))
    if form.is_of_other_encoding:
        words.append('not UTF-8: say what it is, in the config: [format] encoding = "cp1251" or another')
    if form.returns:
        words.append("lines end in carriage returns")
    packed = {"gzip": (".gz", ".gzip"), "zstd": (".zst", ".zstd"), "": ()}[form.compression]
    if packed and not path.lower().endswith(packed):
        words.append(form.compression)
    elif not packed and path.lower().endswith(_PACKED):
        words.append("not compressed")
    return ", ".join(words)


def _rows_in_object(path: str, form: FileForm, wanted: "Wanted") -> str:
    """Which list of an object holds the rows; "" for none."""
    if form.kind != "json" or form.is_array:
        return ""
    from schemas.reading.json_objects import (
        list_of_rows,  # a moment that commands which read no table need not wait for
    )

    told = declared_form(path).get("list")
    try:
        found = list_of_rows(form.envelope, wanted, path) if told is None else told
    except UsageError:  # which reading raises too, where it is not told
        return ""
    return f"one JSON object, whose {quote(found)} are the rows" if found else ""


def _encoding_name(name: str, where: str) -> str:
    """As Python names it."""
    try:
        "".encode(name)  # also refuses codecs of bytes
        found = codecs.lookup(name).name
    except (LookupError, ValueError) as error:
        raise UsageError(f"expected the name of an encoding in {where}, got {quote(name)}") from error
    return found.removesuffix("-sig")


def _suffix(path: str) -> str:
    name = path.lower()
    packed = next((end for end in _PACKED if name.endswith(end)), "")
    return os.path.splitext(name.removesuffix(packed))[1]


def _kind_by_name(path: str) -> str | None:
    """By the name, or where it does not tell by what the call says; None if neither does."""
    kind = _NAMED.get(_suffix(path), TYPES.get(declared_form(path).get("type", "")))
    return None if kind == "parquet" and path.lower().endswith(_PACKED) else kind


def _no_input(path: str) -> str | None:
    """What a file is whose name does not tell it, and what to do with it; None if it may be text, or cannot be read:
    its name is then what is told of it."""
    with contextlib.suppress(OSError, CorruptFileError), open_unpacked(path, compression_of(path)) as file:
        start = file.read(_START_BYTES)
        return no_text(start) or no_table(start.decode("utf-8", "replace").removeprefix("\ufeff"), _suffix(path))
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
    given, compression = dict(declared), compression_of(path)
    with open_unpacked(path, compression) as file:
        sample = file.read(_SAMPLE_BYTES)
    packed_again = next((name for magic, name in MAGIC.items() if sample.startswith(magic)), None)
    if compression and packed_again is not None:
        raise UsageError(f"expected text, got {packed_again} within {compression}: unpack it once ({shown(path)})")
    if (what := no_text(sample)) is not None:
        raise UsageError(f"expected text, got {what} ({shown(path)})")
    if kind == "rss":  # whose first line tells the encoding to the parser of XML
        return FileForm("rss", compression, given.get("encoding", ""), is_empty=not sample)
    encoding = given.get("encoding") or encoding_of(sample, path, compression, kind in ("csv", None))
    with open_utf8(path, compression, encoding, returns=False) as file:
        start_of_text = file.read(_SAMPLE_BYTES)
    is_cut = len(start_of_text) == _SAMPLE_BYTES
    text = start_of_text.decode("utf-8", "replace").removeprefix("\ufeff")
    start = text.lstrip()[:1]
    if (what := no_table(text, _suffix(path))) is not None:
        raise UsageError(f"expected {'text' if kind is None else kind.upper()}, got {what} ({shown(path)})")
    if kind is None:
        kind = {"<": "rss", "{": "json", "[": "json"}.get(start, "csv")
        if kind != "csv":
            return _form_of_text(path, mtime_ns, num_bytes, kind, declared)
    line_end = next((end for end in text if end in "\r\n"), "\n")
    returns = line_end == "\r" and "\r\n" not in text[: text.index("\r") + 3]
    form = FileForm(
        kind, compression, encoding, returns, kind == "json" and start == "[", is_empty=not start and not is_cut
    )
    if kind == "json" and start == "{":
        if not is_cut and (what := error_in_answer(text)) is not None:
            raise UsageError(f"expected JSON with rows, got {what} ({shown(path)})")
        from schemas.reading.json_objects import read_envelope

        with open_utf8(path, compression, encoding, returns) as file:
            envelope = read_envelope(file, path, MAX_LINE_BYTES)
        return replace(form, envelope=envelope, is_run_on=envelope is None and _is_run_on(text))
    if kind == "json" or form.is_empty:
        return form
    usual = "\t" if _suffix(path) == ".tsv" or given.get("type") == "tsv" else ","
    header = tuple(json.loads(given.get("header", "[]")))
    told = {key: given[key] for key in _DIALECT_KEYS if key in given}
    dialect = _dialect_of(path, form, usual, told, has_header=not header)
    num_wrong, num_other = text.count("\ufffd"), sum(1 for character in text if character > "\x7f")
    is_other = 2 * num_wrong > num_other and "encoding" not in given
    return FileForm(kind, compression, encoding, returns, is_of_other_encoding=is_other, dialect=dialect, header=header)


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
