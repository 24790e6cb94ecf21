"""Folders and files of a catalogue that are named after days, and copies of one file: each is the whole catalogue, of
its day, and only one is read.

Warehouses write a table of products so, `products/dt=2026-06-29/`, `products/dt=2026-06-30/`, and shops their exports,
`products-2026-06-29.csv`; a second download lies beside the first, `products (1).csv`. Read together, products that
were deleted meanwhile would come back. The folders and files of a log are its days, all of which are read.
"""

import os
import re
from collections.abc import Mapping, Sequence
from datetime import date
from urllib.parse import unquote

from schemas import storage
from schemas.columns.names import words_of
from schemas.errors import UsageError
from schemas.files import expand_inputs, shown
from schemas.quarantine import quote
from schemas.reading.copies import without_copy
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
#: A day in the name of a file, with or without a clock behind it.
_DAY_IN_NAME = re.compile(
    r"(?<!\d)(?:(?P<year>20\d\d)(?P<sign>[-_.]?)(?P<month>\d\d)(?P=sign)(?P<day>\d\d)"
    r"|(?P<day_first>\d\d)[-_.](?P<then_month>\d\d)[-_.](?P<last_year>20\d\d))"
    r"(?:[T _-]?\d\d[-_:.h]?\d\d(?:[-_:.m]?\d\d)?)?(?!\d)"
)
_GLOB = re.compile(r"[*?\[]")


def catalogue_files(spec: str, date: str | None = None) -> list[str]:
    """expand_inputs of a catalogue. Raises UsageError where it does, and for a folder with those of several days or
    with copies of a file, but of a table's, which knows its rows; a glob says that all that it matches are meant."""
    files = expand_inputs(spec, date)
    if not (_GLOB.search(spec) or (storage.is_folder(spec) and is_table(spec))):
        refuse_snapshots(files, spec)
        refuse_copies(files, spec)
    return files


def refuse_copies(files: Sequence[str], folder: str) -> None:
    """Raises UsageError if files of a catalogue that lie in one folder are called as copies of one file are."""
    alike: dict[tuple[str, str], list[str]] = {}
    for path in files:
        parent, name = os.path.split(_place(path, folder))
        alike.setdefault((parent, without_copy(name)), []).append(os.path.join(parent, name))
    for (_, plain), found in alike.items():
        if len(found) < 2 or len({name.casefold() for name in found}) < 2:
            continue
        first = next((name for name in found if os.path.basename(name).casefold() == plain), found[0])
        others = ", ".join(quote(name) for name in found if name != first)
        place = shown(folder).rstrip("/")
        raise UsageError(
            f"expected one file of the catalogue, got {len(found):,} copies in {place}: {quote(first)} and {others}: "
            f"read together, products that were deleted meanwhile would come back. Give the one that is right, as "
            f"{place}/{first}, or move the others away. If they are parts of one catalogue, say so with a glob: "
            f"{place}/*"
        )


def refuse_snapshots(files: Sequence[str], folder: str) -> None:
    """Raises UsageError if the files of a catalogue lie below `folder` in folders of several days, or if several in one
    folder are called alike but for the day in their names."""
    by_folder: dict[date, str] = {}
    by_name: dict[tuple[str, str], dict[date, str]] = {}
    for path in files:
        place = _place(path, folder)
        *folders, name = place.split(os.sep)
        if (day := _day_of(folders)) is not None:
            by_folder.setdefault(day[0], "/".join(folders[: day[1]]))
        elif (named := _day_in_name(name)) is not None:
            by_name.setdefault((os.path.dirname(place), named[1]), {}).setdefault(named[0], place)
    for kind, found in [("folder", by_folder), *(("file", one) for one in by_name.values())]:
        if len(found) > 1:
            raise UsageError(_of_several_days(kind, found, shown(folder).rstrip("/")))


def _place(path: str, folder: str) -> str:
    """Where a file lies below the folder."""
    return os.path.relpath(os.path.abspath(path), os.path.abspath(folder))


def _of_several_days(kind: str, found: Mapping[date, str], place: str) -> str:
    """What is said of a catalogue whose folders or files are of several days."""
    first, last = found[min(found)], found[max(found)]
    of_all = f'; in the config: catalog = "{place}/{_ISO.sub("{date}", last)}"' if _ISO.search(last) else ""
    return (
        f"expected the catalogue of one day, got {kind}s of {len(found):,} days in {place}: {quote(first)} to "
        f"{quote(last)}: read together, products that were deleted meanwhile would come back. Give the {kind} of a "
        f"day, {place}/{last}{of_all}. If they are parts of one catalogue, say so with a glob: {place}/*"
    )


def _day_in_name(name: str) -> tuple[date, str] | None:
    """(the day in a file's name, the name without it and without other numbers); None where there is none.

    >>> _day_in_name("products_2026-06-30T06-00.csv"), _day_in_name("p-20260630-part-1.csv"), _day_in_name("p-1.csv")
    ((datetime.date(2026, 6, 30), 'products_.csv'), (datetime.date(2026, 6, 30), 'p--part-.csv'), None)
    """
    if (found := _DAY_IN_NAME.search(name)) is None:
        return None
    parts = (
        found.group("year", "month", "day") if found["year"] else found.group("last_year", "then_month", "day_first")
    )
    day = _date_in("-".join(parts))
    return None if day is None else (day, re.sub(r"\d+", "", name[: found.start()] + name[found.end() :]))


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
    words = list(filter(None, words_of(key)))
    return bool(words) and _OF_WRITING.issuperset(words)


def _date_in(text: str) -> date | None:
    found = _DAY.fullmatch(text)
    if found is None:
        return None
    try:
        return date(*(int(part) for part in found.groups() if part is not None))
    except ValueError:
        return None
