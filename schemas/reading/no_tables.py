"""Files that are no table, by how they begin: archives, databases, dumps, pages, and answers that say what went wrong.

Each is named, with how to make a table of it, for its name may be one of a table, and read as text it would be items.
"""

import re
from collections.abc import Mapping
from typing import Any

from schemas.bounded_json import load_json
from schemas.columns.names_or_values import has_usual_name

#: Bytes of a file's beginning that tell what it is.
START_BYTES = 512
_TAR, _TAR_AT = b"ustar", 257
#: With the library that is installed here; X: the file.
_CALL = (
    'write it as Parquet: python -c "import pyarrow as a, pyarrow.parquet as p, pyarrow.{0}; '
    "p.write_table({1}, 'X.parquet')\""
)
_OF_ARROW = _CALL.format("feather", "a.feather.read_table('X')")
_OF_ORC = _CALL.format("orc", "a.orc.read_table('X')")
_OF_STREAM = _CALL.format("ipc", "a.ipc.open_stream('X').read_all()")
_OF_SQLITE = 'sqlite3 -header -csv X "SELECT * FROM products" > products.csv'
_OF_AVRO = "INSTALL avro; LOAD avro; COPY (FROM read_avro('X')) TO 'X.parquet'"
_COPY = r"in psql \copy products TO products.csv CSV HEADER"
#: What a file begins with -> (at which byte, what it is and what to do with it).
_NO_TEXT: Mapping[bytes, tuple[int, str]] = {
    b"PK\x03\x04": (0, "a ZIP archive, as Excel's workbooks are: unpack it, or save the sheet as CSV"),
    b"\xd0\xcf\x11\xe0": (0, "a workbook of an old Excel: save the sheet as CSV"),
    b"BZh91AY&SY": (0, "a bzip2 archive: unpack it"),
    b"\xfd7zXZ\0": (0, "an xz archive: unpack it"),
    _TAR: (_TAR_AT, "a tar archive: unpack it (tar -xf)"),
    b"PAR1": (0, "a Parquet file: let its name end in .parquet"),
    b"Obj\x01": (0, f"an Avro file: write it as Parquet, with DuckDB: {_OF_AVRO}"),
    b"ORC": (0, f"an ORC file: {_OF_ORC}"),
    b"ARROW1": (0, f"an Arrow (Feather) file: {_OF_ARROW}"),
    b"FEA1": (0, f"a Feather file: {_OF_ARROW}"),
    b"\xff\xff\xff\xff": (0, f"an Arrow stream: {_OF_STREAM}"),
    b"SQLite format 3\0": (0, f"a SQLite database: write its table as CSV: {_OF_SQLITE}"),
    b"PGDMP": (0, f"a dump of PostgreSQL: restore it (pg_restore), and {_COPY}"),
    b"DUCK": (8, "a DuckDB database: write its table as Parquet: duckdb X \"COPY products TO 'products.parquet'\""),
}
#: Those of letters alone, which a text may have there; a file of the kind has zero bytes near them.
_LETTERS = (b"ORC", b"FEA1", b"DUCK", _TAR)
#: How a page of HTML begins, comments and the line of XML aside.
_PAGE = re.compile(
    r"\s*(?:<\?xml[^>]{0,200}>\s*)?(?:<!--(?:(?!-->).){0,4000}-->\s*)?<(?:!doctype\s+html|html|head|body|script|meta)\b",
    re.IGNORECASE | re.DOTALL,
)
#: How a dump of a database begins: the comment of the program that wrote it, or a statement below comments.
_DUMP = re.compile(
    r"\s*+(?:-- (?:MySQL|MariaDB|PostgreSQL database|phpMyAdmin SQL) ?dump\b|"
    r"(?:(?:--[^\n]*+|/\*(?:(?!\*/).){0,4000}+\*/;?)\s*+){0,100}+"
    r"(?:(?:CREATE\s+(?:TABLE|DATABASE|SCHEMA)|INSERT\s+(?:IGNORE\s+)?INTO|DROP\s+TABLE|LOCK\s+TABLES)\s+[`\"\[\w]|"
    r"SET\s+[@\w.]+\s*=[^\n]*;\s*\n|PRAGMA\s+foreign_keys\b|BEGIN(?:\s+TRANSACTION)?;\s*\n))",
    re.IGNORECASE | re.DOTALL,
)
_OF_A_DUMP = (
    "a dump of a database in SQL: load it into a database, and write its table as text: mysql -B -e 'SELECT * FROM "
    f"products' > products.tsv, or {_COPY}"
)
_YAML = (".yaml", ".yml")
_OF_YAML = "YAML: write it as JSON, an object a product: yq -o=json . X > products.json"
#: What SQL*Plus prints before each statement.
_PROMPT = re.compile(r"\s*SQL>\s")
_OF_PROMPTS = (
    "what SQL*Plus printed, with its prompts: write the table alone, by a script with SET MARKUP CSV ON and SET "
    "FEEDBACK OFF above SPOOL products.csv (sqlplus -S), or take the lines above and below the table away"
)
#: Lines that show whether columns begin at the same places, and the signs that would separate their cells.
_ALIGNED_LINES, _SEPARATORS = 20, ",;|\t"
_OF_ALIGNED = (
    "columns of a fixed width, which nothing separates: export it with commas or tabs, or write it so: python -c "
    "\"import pandas; pandas.read_fwf('X', dtype=str).to_csv('products.csv', index=False)\""
)
_MAX_MESSAGE = 100
#: Keys of an answer that says what went wrong, and of what stands beside it; those that a product has, too.
_ERRORS = ("errors", "error", "Errors", "Error")
_MESSAGES = ("message", "title", "detail", "description", "error_description", "reason", "msg", "Message")
_CODES = ("code", "status", "statusCode", "status_code", "type", "errorCode", "error_code", "extensions", "Code")
_NUMBERS = tuple(key for key in _CODES if key not in ("type", "extensions"))
_OF_PRODUCTS = frozenset(("id", "title", "description", "detail"))
_BESIDE = frozenset(
    (
        *_ERRORS,
        *_MESSAGES,
        *_CODES,
        *("data", "success", "ok", "parameters", "trace", "timestamp", "time", "path", "request_id", "requestId"),
        *("error_uri", "documentation_url", "details", "meta", "links", "jsonapi", "instance", "traceId", "id"),
    )
)


def no_text(start: bytes) -> str | None:
    """What a file that begins so, unpacked, is, and what to do with it; None if it may be text."""
    for magic, (at, what) in _NO_TEXT.items():
        if start[at : at + len(magic)] == magic and (magic not in _LETTERS or b"\0" in start[:START_BYTES]):
            return what
    return None


def no_table(text: str, suffix: str) -> str | None:
    """What a text that begins so is, and what to do with it; None of what may be a table. suffix: of the file's name,
    in small letters."""
    if _PAGE.match(text):
        return (
            "an HTML page, such as one that asks for a login or says what went wrong: log in and download the export "
            "again, or save the table as CSV"
        )
    if _DUMP.match(text):
        return _OF_A_DUMP
    if _PROMPT.match(text):
        return _OF_PROMPTS
    if _is_aligned(text):
        return _OF_ALIGNED
    return _OF_YAML if suffix in _YAML else None


def _is_aligned(text: str) -> bool:
    """Whether the lines are rows whose cells begin where the names of a header do, and nothing but blanks stands
    between them."""
    header, *rows = text.splitlines()[: _ALIGNED_LINES + 1] or [""]
    starts = [found.start() for found in re.finditer(r"(?<=\s\s)\S", header)]
    if not starts or any(mark in header for mark in _SEPARATORS) or not has_usual_name(re.split(r"\s{2,}", header)):
        return False
    rows = [row for row in rows if row.strip()]
    are_aligned = all(row[start - 1 : start].strip() == "" for row in rows for start in starts)
    return len(rows) > 1 and are_aligned and all(any(len(row) > start for row in rows) for start in starts)


def error_in_answer(text: str) -> str | None:
    """What a JSON text is that is one object which says what went wrong, as interfaces answer, and nothing else; None
    of another.

    >>> error_in_answer('{"errors": [{"message": "Access denied", "code": "ACCESS_DENIED"}]}')
    "an answer that says what went wrong ('Access denied'), and no rows: mend the call, and export again"
    >>> error_in_answer('{"sku": "A-1", "title": "Mug", "error": "no picture"}') is None
    True
    """
    if not any(f'"{key}"' in text for key in (*_ERRORS, *_MESSAGES)):
        return None
    try:
        answer = load_json(text)
    except ValueError:  # several objects, one a line
        return None
    message = _message_of_answer(answer) if isinstance(answer, dict) else None
    if message is None:
        return None
    shortened = message if len(message) <= _MAX_MESSAGE else f"{message[:_MAX_MESSAGE]}..."
    return f"an answer that says what went wrong ({shortened!r}), and no rows: mend the call, and export again"


def _message_of_answer(answer: Mapping[str, Any]) -> str | None:
    beside = answer.keys() - (_BESIDE - _OF_PRODUCTS)
    if has_usual_name(sorted(beside)) or any(_has_objects(answer[key]) for key in {*beside, "data"} & answer.keys()):
        return None
    errors = next((answer[key] for key in _ERRORS if answer.get(key)), None)
    if isinstance(errors, str):
        return _text_at(answer, _MESSAGES) or errors
    if errors is not None and errors is not True:
        members = list(errors) if isinstance(errors, list) else [errors]
        return next(iter(messages), None) if all(messages := [_message_of(one) for one in members]) else None
    return None if beside or answer.keys().isdisjoint(_NUMBERS) else _text_at(answer, ("message", "Message"))


def _message_of(error: Any) -> str | None:
    """What a member of a list of errors says; None of one that is none, which has a message and a code, or a kind."""
    if isinstance(error, str):
        return error
    is_error = isinstance(error, Mapping) and not error.keys().isdisjoint(_CODES)
    return _text_at(error, _MESSAGES) if is_error and not has_usual_name(sorted(error.keys() - _BESIDE)) else None


def _text_at(value: Mapping[str, Any], keys: tuple[str, ...]) -> str | None:
    return next((value[key] for key in keys if isinstance(value.get(key), str) and value[key].strip()), None)


def _has_objects(value: Any) -> bool:
    """Whether something is in a value that may be rows."""
    if isinstance(value, Mapping):
        return any(_has_objects(inner) or isinstance(inner, Mapping) for inner in value.values())
    return isinstance(value, list) and bool(value)
