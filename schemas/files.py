"""What files are to us: the inputs that a flag names, JSON that vouches for itself, checksums."""

import hashlib
import json
import os
import re
from collections.abc import Mapping
from typing import Any, Self

from schemas import storage
from schemas.bounded_json import load_json
from schemas.errors import CorruptFileError, UsageError, printable
from schemas.hashing import fingerprint
from schemas.quarantine import quote
from schemas.table_folders import current_files, refuse_parts_of_tables

_CHUNK_BYTES = 1 << 20
#: Key of a sealed object's checksum.
_SEAL = "checksum"
_GLOB_CHARACTERS = set("*?[")
_SHA256 = re.compile(r"[0-9a-f]{64}")
#: What lies beside data and is none; a file that is named outright is taken whatever its name.
_NO_DATA = re.compile(
    r"readme(?:[._-].*)?|(?:licen[cs]e|copying|notice|changelog)(?:\.(?:txt|rst|html?))?|"
    r".*\.(?:crc|md|md5|sha1|sha256|sig|asc|manifest)|"
    r"(?:.*[._-])?(?:\d*manifest|metadata|dataset_info|datapackage|schema)(?:\.json)?|"
    r".*\.(?:csv|tsv|txt|parquet)(?:\.gz)?[._-](?:meta|metadata|schema|stats)\.json|"
    r"sha(?:1|256|512)sums|md5sums|desktop\.ini|thumbs\.db",
    re.IGNORECASE,
)
#: Of a path of which no call says anything.
NOTHING_DECLARED: Mapping[str, str] = {}


class InputPath(str):
    """A path, and what the call says of the form of the files there: `declared`, as checked_format makes it (see
    schemas.reading.formats_of_config). It goes with the path of each file that expand_inputs finds, through configs and
    to workers, to whoever reads it: no function between hands it on."""

    declared: Mapping[str, str]

    def __new__(cls, path: str, declared: Mapping[str, str] = NOTHING_DECLARED) -> Self:
        """`declared` is left out only where a copy is made, which then has that of the original."""
        made = super().__new__(cls, path)
        made.declared = declared
        return made

    def with_form(self, form: Mapping[str, str]) -> "InputPath":
        """The same path, of which this is said."""
        return InputPath(self, form)


def declare(path: str, form: Mapping[str, str]) -> str:
    """The path with what is said of its files; what is said of nothing stays as it is."""
    if not form:
        return path
    return path.with_form(form) if isinstance(path, InputPath) else InputPath(path, form)


def declared_form(path: str) -> Mapping[str, str]:
    """What a call said of the form of this file, {} if it said nothing."""
    return path.declared if isinstance(path, InputPath) else NOTHING_DECLARED


def shown(path: str | os.PathLike[str]) -> str:
    r"""A path, as a person may see it on a terminal: whole, but with what does not print escaped.

    >>> shown("parts/a\x1b[2J.csv")
    'parts/a\\x1b[2J.csv'
    """
    return printable(os.fspath(path))


def sha256_of_file(path: str | os.PathLike[str]) -> str:
    """Hex sha256 of a file's bytes, read in 1 MiB pieces."""
    with storage.open_file(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()  # type: ignore[arg-type]


def check_sha256(path: str | os.PathLike[str], expected: str) -> None:
    """Raises CorruptFileError unless the file's sha256 is `expected`."""
    wanted = expected if _SHA256.fullmatch(str(expected)) else quote(expected)
    if not storage.has_file(path):
        raise CorruptFileError(f"expected a file with sha256 {wanted}, got no file at {shown(path)}")
    got = sha256_of_file(path)
    if got != expected:
        raise CorruptFileError(
            f"expected sha256 {wanted}, got {got} for {shown(path)}: restore the file or build it again"
        )


def write_text(path: str | os.PathLike[str], text: str) -> None:
    """Atomic write of UTF-8 text."""
    with storage.atomic_write(path) as temporary:
        storage.put_bytes(temporary, text.encode())


def write_json(path: str | os.PathLike[str], value: Any) -> None:
    """Atomic write of JSON with sorted keys: equal values, equal bytes."""
    write_text(path, json.dumps(value, indent=1, sort_keys=True, ensure_ascii=False, allow_nan=False) + "\n")


def read_json(path: str | os.PathLike[str]) -> Any:
    """Reads JSON; a missing or broken file, or what load_json refuses, raises CorruptFileError that names it."""
    try:
        return load_json(storage.text_of(path))
    except FileNotFoundError as error:
        raise CorruptFileError(f"expected a JSON file at {shown(path)}, got none") from error
    except (IsADirectoryError, NotADirectoryError) as error:
        raise CorruptFileError(f"expected a JSON file at {shown(path)}, got {error.strerror}") from error
    except ValueError as error:
        raise CorruptFileError(f"expected JSON at {shown(path)}, got {error}") from error


def write_sealed_json(path: str | os.PathLike[str], value: dict[str, Any]) -> None:
    """Atomic write of a JSON object with a checksum of itself, which read_sealed_json compares."""
    write_json(path, {**value, _SEAL: fingerprint(value)})


def read_sealed_json(path: str | os.PathLike[str]) -> dict[str, Any]:
    """Inverse of write_sealed_json. Raises CorruptFileError for anything that is not as it was written; an object
    without its checksum is damaged too."""
    sealed = read_json(path)
    value = {key: sealed[key] for key in sealed if key != _SEAL} if isinstance(sealed, dict) else {}
    if not isinstance(sealed, dict) or sealed.get(_SEAL) != fingerprint(value):
        raise CorruptFileError(f"expected an object that fits its own checksum, got another at {shown(path)}")
    return value


def expand_inputs(spec: str, date: str | None = None) -> list[str]:
    """The files that an input flag names, sorted: one file, a folder of parts (searched deep, Hive folders too; names
    starting with `_` or `.` skipped, and what is no data, as READMEs and checksums) or a glob, whose pattern part
    matches no such file or folder either. `{date}` in `spec` becomes `date`. What is declared of `spec` is of each.

    Of the folder of a Delta Lake or Iceberg table they are the files of its current version (see table_folders). Raises
    UsageError if nothing is found, and for other tables and for files in the folder of a table.
    """
    form = declared_form(spec)
    if "{date}" in spec:
        if date is None:
            raise UsageError(f"expected --date for the {{date}} in {spec!r}, got none")
        spec = spec.replace("{date}", date)
    of_table = current_files(spec) if storage.is_folder(spec) else None
    if storage.has_file(spec):
        found = [spec]
    elif storage.is_folder(spec):
        found = _walk(spec) if of_table is None else of_table
    elif _GLOB_CHARACTERS & set(spec):
        folder, pattern = _split_pattern(spec)
        names = storage.matching(pattern, folder or None)
        matches = [os.path.join(folder, n) for n in names if not _is_hidden(n) and _is_data(os.path.basename(n))]
        found = [path for match in matches for path in (_walk(match) if storage.is_folder(match) else [match])]
    else:
        found = []
    if of_table is None:
        refuse_parts_of_tables([spec, *found] if storage.is_folder(spec) else found)
    if not found:
        raise UsageError(f"expected a file, a folder of parts or a glob, got {quote(spec)} where nothing is found")
    return [declare(path, form) for path in sorted(set(found))]


def _split_pattern(spec: str) -> tuple[str, str]:
    """(what is named outright, the pattern below it). A folder whose own name has glob characters is named outright
    where there is one, as everything is that the whole of a spec names.

    >>> _split_pattern("shop/_export/*/part-*.csv")
    ('shop/_export/', '*/part-*.csv')
    """
    folder, pattern = "", spec
    while "/" in pattern:
        name, _, below = pattern.partition("/")
        if _GLOB_CHARACTERS & set(name) and not storage.is_folder(folder + name):
            break
        folder, pattern = f"{folder}{name}/", below
    return folder, pattern


def _is_hidden(path: str) -> bool:
    return any(map(_hidden, path.split("/")))


def _hidden(name: str) -> bool:
    return name.startswith(("_", ".")) and name not in (".", "..")


def _is_data(name: str) -> bool:
    """
    >>> _is_data("part-0.csv"), _is_data("README.txt"), _is_data("readmes.csv"), _is_data("manifest.json")
    (True, False, True, False)
    """
    return not _hidden(name) and not _NO_DATA.fullmatch(name)


def _walk(folder: str) -> list[str]:
    found = []
    for parent, folders, names in storage.walk(folder):
        folders[:] = sorted(name for name in folders if not _hidden(name))
        found += [os.path.join(parent, name) for name in sorted(names) if _is_data(name)]
    return found
