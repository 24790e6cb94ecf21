"""Whether `100.0` is 100 in the columns of ids of a table: told by all of its files together, read once a process where
one of them has such an id, as long as they stay as they are."""

import functools
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import pyarrow as pa

from schemas import storage
from schemas.coercion.columns import forms_of_ids
from schemas.coercion.whole_ids import IdForms, whole_part
from schemas.columns.mapping import section_of
from schemas.columns.raw_rows import RawRows
from schemas.columns.spec import Column, Columns, ColumnsOfTable, column_of, name_of_part, number_of_part
from schemas.files import declared_form
from schemas.quarantine import quote
from schemas.tables import ID_COLUMNS

#: Reads all rows of some files: (files, columns, schema) -> batches.
Reader = Callable[[Sequence[str], Columns, pa.Schema], Iterator[RawRows]]
#: Columns that hold ids of the same things: what one of them says of a point is said of all.
_OF_ITEMS = ("item_id", "group")
_lock = threading.Lock()


def whole_ids_of(columns: Columns, path: str, schema: pa.Schema, read: Reader) -> Callable[[str], bool]:
    """Tells of our column (see part_name) whether its pointed ids are whole numbers. columns: those of a table know its
    files; of others the file `path` is the whole table."""
    files = columns.files if isinstance(columns, ColumnsOfTable) else (path,)

    @functools.cache
    def are_whole(part: str) -> bool:
        return _pooled(forms_of_table(files, columns, schema, read), part).are_whole

    return are_whole


def forms_of_table(files: Sequence[str], columns: Columns, schema: pa.Schema, read: Reader) -> Mapping[str, IdForms]:
    """Our column of ids (see part_name) -> what its ids are, in all files."""
    status = ((path, storage.status(path)) for path in files)
    states = tuple((one.st_mtime_ns, one.st_size, tuple(declared_form(path).items())) for path, one in status)
    with _lock:  # threads of a process wait for the one that reads
        return _forms(tuple(files), states, tuple(sorted(columns.items())), schema, read)


@functools.lru_cache(maxsize=4)
def _forms(
    files: tuple[str, ...],
    _states: tuple[Any, ...],
    columns: tuple[tuple[str, str | Column], ...],
    schema: pa.Schema,
    read: Reader,
) -> Mapping[str, IdForms]:
    forms: dict[str, IdForms] = {}
    for raw in read(files, dict(columns), schema):
        for name in (name for name in ID_COLUMNS if name in raw.table.column_names):
            for part, found in forms_of_ids(raw, name).items():
                forms[part] = forms.get(part, IdForms()) + found
    return forms


def _pooled(forms: Mapping[str, IdForms], part: str) -> IdForms:
    """What is known of a column, with those that hold ids of the same things."""
    if name_of_part(part) not in _OF_ITEMS:
        return forms.get(part, IdForms())
    return sum((forms[one] for one in forms if name_of_part(one) in _OF_ITEMS), IdForms())


def mixed_ids_in_words(files: Sequence[str], columns: Columns, schema: pa.Schema, read: Reader) -> list[str]:
    """Of each column that has pointed ids beside others, and of which the mapping does not say what they are: how it is
    read, and what to write so that it is always read so."""
    table, told = forms_of_table(files, columns, schema, read), []
    for part, forms in sorted(table.items()):
        spec = column_of(columns, name_of_part(part))
        if spec.whole is None and forms.counts["pointed"] and forms.others:
            told.append(_in_words(part, spec, forms, section_of(schema), are_whole=_pooled(table, part).are_whole))
    return told


def _in_words(part: str, spec: Column, forms: IdForms, section: str, *, are_whole: bool) -> str:
    name, given = name_of_part(part), quote(forms.first["pointed"])
    sources = list(map(quote, spec.source or (name,)))
    source = sources[number_of_part(part)]
    others = ", ".join(f"{count:,} as {quote(forms.first[kind])}" for kind, count in sorted(forms.others.items()))
    plain, kept = f"is {quote(whole_part(forms.first['pointed']))}", "stays as it is written"
    read_as, else_as = (plain, kept) if are_whole else (kept, plain)
    entry = f"source = {sources[0] if len(sources) == 1 else '[' + ', '.join(sources) + ']'}"
    return (
        f"ids in {source} ({name}) are written in several ways, {forms.counts['pointed']:,} as {given}, {others}; by "
        f"what the whole table has {given} {read_as}. Write them in one way in the export, or say what is right, for "
        f"every day, in the config: [{section}] {name} = {{{entry}, whole = {str(are_whole).lower()}}}; with whole = "
        f"{str(not are_whole).lower()} it {else_as}"
    )
