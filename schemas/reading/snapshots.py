"""Folders of a catalogue that are named after days: each is the whole catalogue of its day, and only one is read.

Warehouses write a table of products so, `products/dt=2026-06-29/`, `products/dt=2026-06-30/`. Read together, products
that were deleted meanwhile would come back. The folders of a log are its days, all of which are read.
"""

import os
import re
from collections.abc import Sequence
from datetime import date
from urllib.parse import unquote

from schemas import storage
from schemas.errors import UsageError
from schemas.files import expand_inputs, shown
from schemas.quarantine import quote
from schemas.table_folders import is_table

#: Words of which the name of a partition is made that tells when its rows were written; a product's own days (launch,
#: creation) have others.
_OF_WRITING = frozenset(
    (
        *("dt", "date", "day", "ds", "snapshot", "p", "part", "partition", "load", "loaded", "ingest", "ingestion"),
        *("ingested", "export", "exported", "extract", "extracted", "dump", "run", "as", "of", "asof", "etl", "batch"),
        *("process", "processing", "processed", "report", "backup", "datum", "stand"),
    )
)
_DAY = re.compile(r"(\d{4})-(\d\d)-(\d\d)(?:[T _-].*)?|(\d{4})(\d\d)(\d\d)")
_ISO = re.compile(r"\d{4}-\d\d-\d\d")
_YEAR, _MONTH, _DAY_OF_MONTH = ("year", "yyyy", "y"), ("month", "mm", "m"), ("day", "dd", "d")
_GLOB = re.compile(r"[*?\[]")


def catalogue_files(spec: str, date: str | None = None) -> list[str]:
    """expand_inputs of a catalogue. Raises UsageError where it does, and for a folder with those of several days, but
    of a table's, which knows its rows; a glob says that all that it matches are meant."""
    files = expand_inputs(spec, date)
    if not (_GLOB.search(spec) or (storage.is_folder(spec) and is_table(spec))):
        refuse_snapshots(files, spec)
    return files


def refuse_snapshots(files: Sequence[str], folder: str) -> None:
    """Raises UsageError if the files of a catalogue lie below `folder` in folders of several days."""
    found: dict[date, str] = {}
    for path in files:
        folders = os.path.relpath(os.path.dirname(os.path.abspath(path)), os.path.abspath(folder)).split(os.sep)
        if (day := _day_of(folders)) is not None:
            found.setdefault(day[0], "/".join(folders[: day[1]]))
    if len(found) < 2:
        return
    first, last = found[min(found)], found[max(found)]
    place = shown(folder).rstrip("/")
    of_all = f'; in the config: catalog = "{place}/{_ISO.sub("{date}", last)}"' if _ISO.search(last) else ""
    raise UsageError(
        f"expected the catalogue of one day, got folders of {len(found):,} days in {place}: {quote(first)} to "
        f"{quote(last)}: read together, products that were deleted meanwhile would come back. Give the folder of a "
        f"day, {place}/{last}{of_all}. If they are parts of one catalogue, say so with a glob: {place}/*"
    )


def _day_of(folders: Sequence[str]) -> tuple[date, int] | None:
    """(the day that one of the folders, or three of them, are named after, how many lead to it); None of others."""
    values = [folder.partition("=") for folder in folders]
    for place, (key, equals, value) in enumerate(values, 1):
        if (not equals or _is_of_writing(key)) and (day := _date_in(unquote(value) if equals else key)) is not None:
            return day, place
    given = {key.casefold(): (value, place) for place, (key, equals, value) in enumerate(values, 1) if equals}
    parts = [next((given[key] for key in keys if key in given), None) for keys in (_YEAR, _MONTH, _DAY_OF_MONTH)]
    there = [part for part in parts if part is not None]
    if len(there) < 3:
        return None
    day = _date_in("-".join(value.zfill(2) for value, _ in there))
    return None if day is None else (day, max(place for _, place in there))


def _is_of_writing(key: str) -> bool:
    words = [word for word in re.split(r"[\W\d_]+", re.sub(r"(?<=[a-z])(?=[A-Z])", " ", key).casefold()) if word]
    return bool(words) and _OF_WRITING.issuperset(words)


def _date_in(text: str) -> date | None:
    found = _DAY.fullmatch(text)
    if found is None:
        return None
    try:
        return date(*(int(part) for part in found.groups() if part is not None))
    except ValueError:
        return None
