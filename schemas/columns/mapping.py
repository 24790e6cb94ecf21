"""Which of a file's columns are ours: the shop's mapping, the Hive folders of the path, what may be absent."""

import difflib
from collections.abc import Collection, Mapping, Sequence
from typing import Any

import pyarrow as pa

from schemas.columns.hive_folders import folder_values
from schemas.columns.leave_out import parse_leave_out
from schemas.columns.meant_names import called, means_another, meant_columns, meant_name, that_may_be
from schemas.columns.names_or_values import has_usual_name, value_among_names
from schemas.columns.nested_columns import root_of
from schemas.columns.spec import Column, Columns, column_of, parse_column, part_name
from schemas.columns.usual_names import OF_CATALOGUE, OF_LOG
from schemas.errors import UsageError
from schemas.files import shown
from schemas.quarantine import quote
from schemas.tables import CATALOGUE, ENGAGEMENTS, GROUPED_CATALOGUE, JUDGEMENTS, LEAVE_OUT

TABLES = {"catalogue": CATALOGUE, "engagements": ENGAGEMENTS, "judgements": JUDGEMENTS}
#: What a mapping of a catalogue may name.
_OF_CATALOGUE = (*GROUPED_CATALOGUE.names, LEAVE_OUT.name)
#: Columns that a file may lack although their stored form is not nullable: no `images` column means no pictures.
_OPTIONAL = {"images"}
#: What the rows of a log are that has no such column: no query, an action of a customer.
ASSUMED = {"surface": "home", "action": "click"}
#: Column names that a message lists.
_MAX_LISTED = 30
#: How much a name of the mapping and a column are alike, from 0 to 1, if the one misspells the other.
_MISTYPED = 0.8
#: What exports separate columns by, where the call says that it is another mark.
_OTHER_DELIMITERS = (";", "\t", "|", ",")
#: What to do for a column that is missing which names what others hold.
_BESIDE = "write the file's name of it in named_by or within, in the config: [columns]"


def table_columns(columns: Mapping[str, Any], table: str) -> dict[str, str | Column]:
    """The column mapping of one table out of a config's `[columns]`: our name -> the shop's, or how the shop writes it.

    Keys directly in `[columns]` are the catalogue's; `[columns.engagements]` and so on hold another table's.
    Raises UsageError for a name that is not a column of the table, an entry that is none (see schemas.columns.spec and
    schemas.columns.leave_out), and for `[columns.X]` of a table X that is none.
    """
    flat = {key: value for key, value in columns.items() if key not in TABLES}
    tables = {key for key, value in flat.items() if isinstance(value, Mapping) and key not in _OF_CATALOGUE}
    misplaced = sorted(
        tables | {key for key in columns.keys() & TABLES.keys() if not isinstance(columns[key], Mapping)}
    )
    if misplaced:
        raise UsageError(
            f"expected tables [columns.X] with X of {', '.join(TABLES)}, got {listed(misplaced)} in [columns]"
        )
    mapping = {**(flat if table == "catalogue" else {}), **columns.get(table, {})}
    known = _OF_CATALOGUE if table == "catalogue" else TABLES[table].names
    unknown = sorted(set(mapping) - set(known))
    if unknown:
        near = similar_name(unknown[0], known)
        raise UsageError(
            f"expected columns of {table} ({', '.join(known)}) mapped to names of yours, "
            f"got {listed(unknown)}" + (f": is it {near!r}?" if near else "")
        )
    where = f"[{section_of(TABLES[table])}]"
    leave_out = parse_leave_out(mapping.pop(LEAVE_OUT.name, ""), where)
    columns_of_ours = {name: parse_column(name, given, where) for name, given in mapping.items()}
    return columns_of_ours | ({} if leave_out is None else {LEAVE_OUT.name: leave_out})


def catalogue_columns(columns: Mapping[str, Any], group_rows: str) -> dict[str, str | Column]:
    """table_columns of the catalogue. Raises UsageError also for a column that tells which rows belong together if
    nothing is done about it (group_rows: one of schemas.validation.grouping.GROUP_ROWS)."""
    mapping = table_columns(columns, "catalogue")
    if group_rows == "no" and "group" in catalogue_schema(mapping).names:
        raise UsageError(
            "expected --group-rows merge or share-pictures, since [columns] of the config maps group, got no: say what "
            "to do with the rows of a group, or leave group out"
        )
    return mapping


def catalogue_schema(columns: Columns) -> pa.Schema:
    """What is read of a catalogue: `group` and `leave_out` only if the mapping names their columns.

    >>> catalogue_schema({"group": "Handle"}).equals(GROUPED_CATALOGUE), catalogue_schema({}).equals(CATALOGUE)
    (True, True)
    """
    is_grouped = "group" in columns and column_of(columns, "group") != Column()
    schema = GROUPED_CATALOGUE if is_grouped else CATALOGUE
    return schema.append(LEAVE_OUT) if LEAVE_OUT.name in columns else schema


def listed(names: Sequence[str]) -> str:
    r"""Names that a file gave, the first of them, fit to print.

    >>> listed(["id", "\x1b[31m"])
    "id, '\\x1b[31m'"
    """
    some = [name if name.isprintable() and len(name) <= 100 else quote(name) for name in names[:_MAX_LISTED]]
    more = [f"{len(names) - _MAX_LISTED} more"] if len(names) > _MAX_LISTED else []
    return ", ".join([*some, *more]) or "no columns"


def section_of(schema: pa.Schema) -> str:
    """The table of a config that maps columns of this schema."""
    table = next((name for name, known in TABLES.items() if known.equals(schema)), "catalogue")
    return "columns" if table == "catalogue" else f"columns.{table}"


def usual_names(ours: str, schema: pa.Schema) -> Sequence[str]:
    """What shops call our column in a table of this schema, the likeliest first; nothing where they have no other name.

    >>> usual_names("session_id", ENGAGEMENTS)[0], usual_names("grade", JUDGEMENTS)
    ('ga_session_id', ())
    """
    return (OF_LOG if schema.equals(ENGAGEMENTS) else OF_CATALOGUE).get(ours, ())


def similar_name(wanted: str, names: Sequence[str], least: float = 0.6) -> str | None:
    """The one of some column names that is most like the wanted one, in whatever case; None if none is so much alike,
    from 0 to 1, as `least`.

    >>> similar_name("images", ["Title", "Image", "price"]), similar_name("images", ["price"])
    ('Image', None)
    """
    folded = {name.casefold(): name for name in names}
    near = difflib.get_close_matches(wanted.casefold(), folded, n=1, cutoff=least)
    return folded[near[0]] if near else None


def offered_name(ours: str, theirs: str, others: Sequence[str], schema: pa.Schema, least: float = 0.6) -> str | None:
    """The one of a file's `others`, columns that nobody reads, that may be our missing column, which the mapping calls
    `theirs`: none that usually means something else, unless that is what the mapping misspells. least: as of
    similar_name; None if none may be it."""
    others = that_may_be(ours, others)
    usual = called(usual_names(ours, schema), others) if theirs == ours else None
    names = OF_LOG if schema.equals(ENGAGEMENTS) else OF_CATALOGUE
    free = [name for name in others if not means_another(ours, name, names)]
    mistyped = similar_name(theirs, others, _MISTYPED) if theirs != ours else None
    return usual or mistyped or meant_name(ours, free) or similar_name(theirs, free, least)


def partition_values(path: str, columns: Columns, schema: pa.Schema) -> dict[str, str | None]:
    """Our columns that Hive folders of the path (`key=value`) give."""
    given = folder_values(path)
    return {
        name: next(given[theirs] for theirs in column_of(columns, name).source if theirs in given)
        for name in schema.names
        if not given.keys().isdisjoint(column_of(columns, name).source)
    }


def constant_values(present: Collection[str], columns: Columns, schema: pa.Schema, path: str) -> dict[str, str | None]:
    """Our columns that have one value in all rows of a file: by its folders, by the mapping, or because a log needs not
    have them (see ASSUMED). present: the file's columns."""
    return {**assumed_values(present, columns, schema, path), **_told_values(columns, schema, path)}


def assumed_values(present: Collection[str], columns: Columns, schema: pa.Schema, path: str) -> dict[str, str]:
    """Those of constant_values that nobody has told: ASSUMED of a log that lacks the columns.

    >>> assumed_values(["item_id", "event"], {"action": "event"}, ENGAGEMENTS, "log.csv")
    {'surface': 'home'}
    """
    told = _told_values(columns, schema, path)
    return {name: ASSUMED[name] for name in _assumed_names(present, columns, schema) if name not in told}


def _told_values(columns: Columns, schema: pa.Schema, path: str) -> dict[str, str | None]:
    """Our columns whose one value the folders of a file or the mapping say."""
    constants = {name: column_of(columns, name).constant for name in schema.names}
    found: dict[str, str | None] = {name: value for name, value in constants.items() if value is not None}
    return found | partition_values(path, columns, schema)


def source_columns(
    present: Collection[str],
    columns: Columns,
    schema: pa.Schema,
    path: str,
    *,
    leads_into: Collection[str] | None = None,
) -> dict[str, str]:
    """Our name (see part_name) -> the file's column, or a path with dots into one of them, for those it has.
    leads_into: the columns that paths lead into, None: any, for their cells may be objects.

    Raises UsageError if a mapped or a required column is missing, or if one that is not mapped is missing although the
    file has one that is called much like it.
    """
    names, given = list(present), constant_values(present, columns, schema, path)
    source = {}
    for wanted in schema:
        required = wanted.name not in given and not (wanted.nullable or wanted.name in _OPTIONAL)
        spec = column_of(columns, wanted.name)
        sources = spec.source or ((wanted.name,) if required else ())
        for number, theirs in enumerate(sources):
            if names.count(theirs) > 1:
                raise UsageError(
                    f"expected one column {theirs!r}, got {names.count(theirs)} of that name in {shown(path)}: give "
                    "each a name of its own in the export, or leave out the others"
                )
            root = root_of(theirs, names)
            is_nested = root is not None and (leads_into is None or root in leads_into)
            if theirs in names or is_nested:
                source[part_name(wanted.name, number)] = theirs
            elif required or (wanted.name in columns and wanted.name not in given):
                is_beside = number >= len(spec.named_by) > 0 or theirs == spec.within
                remedy = _BESIDE if is_beside else _remedy(wanted.name, theirs, names, columns, schema)
                raise UsageError(
                    f"expected a column {theirs!r} for {wanted.name}, got {listed(names)} in {shown(path)}: {remedy}"
                )
    _ask_for_missing(names, columns, source, schema, path)
    return source


def _ask_for_missing(
    names: Sequence[str], columns: Columns, source: Mapping[str, str], schema: pa.Schema, path: str
) -> None:
    """Raises UsageError if columns of the file that nobody reads may be meant with some of ours that are neither there
    nor mapped: nothing of them would be read, and nothing would say so."""
    given = partition_values(path, columns, schema)
    used = {root_of(theirs, names) or theirs for theirs in source.values()}
    others = [name for name in names if name not in used and name not in schema.names]
    missing = [name for name in schema.names if not {name} & (source.keys() | columns.keys() | given.keys())]
    read = {*source, *given, *(name for name in columns if column_of(columns, name) != Column())}
    meant = meant_columns(missing, others, read)
    section = f"[{section_of(schema)}]"
    if meant:
        asked = ", ".join(f"{name}: is it {quote(near)}?" for name, near in meant.items())
        lines = ", ".join(f"{name} = {quote(near)}" for name, near in meant.items())
        raise UsageError(
            f"expected a column {', '.join(meant)}, got none in {shown(path)} ({asked}): map it, in the config: "
            f'{section} {lines}; or say that there is none: {section} {next(iter(meant))} = ""'
        )
    if "surface" in missing and "query" in source:
        raise UsageError(
            f"expected a column 'surface', since there are queries, got none in {shown(path)}: say where they were "
            f'asked, in the config: {section} surface = {{constant = "search"}}, or map it'
        )


def _assumed_names(present: Collection[str], columns: Columns, schema: pa.Schema) -> list[str]:
    """Our columns that a log lacks, and needs not have."""
    if not schema.equals(ENGAGEMENTS):
        return []
    left_out = [name for name in ASSUMED if name not in columns or not column_of(columns, name).source]
    return [name for name in left_out if name not in present or name in columns]


def _remedy(ours: str, theirs: str, names: Sequence[str], columns: Columns, schema: pa.Schema) -> str:
    """What to do for a column that is missing among `names`."""
    if ours == LEAVE_OUT.name:
        near = similar_name(theirs, names)
        return f"{f'is it {quote(near)}? ' if near else ''}write its name in {ours}, in the config: [columns]"
    other = next((mark for mark in _OTHER_DELIMITERS if len(names) == 1 and mark in names[0]), None)
    if other is not None:
        return (
            f"that is one column; if {other!r} separates several, say so in the config: [format] separator = {other!r}"
        )
    mapped = {source for name in columns for source in column_of(columns, name).source}
    if mapped.isdisjoint(names) and (asked := asked_of_names(names)):
        return asked
    read = {root_of(source, names) or source for source in mapped} | (set(schema.names) - columns.keys())
    near, section = offered_name(ours, theirs, [name for name in names if name not in read], schema), section_of(schema)
    if near is None:
        return f'map it, in the config: [{section}] {ours} = "your name"'
    return f"is it {quote(near)}? then map it, in the config: [{section}] {ours} = {quote(near)}"


def asked_of_names(names: Sequence[str], again: str | None = None) -> str:
    """What to ask of a file whose names of columns look like its first row, and what to do; "" of others. again: one of
    them that is a value of its column, too."""
    value = value_among_names(names) or (None if has_usual_name(names) else again)
    if value is None:
        return ""
    return (
        f"does the first line name the columns? {quote(value)} looks like a value, not like a name: write the names "
        f"into a line above it, or, all {len(names):,} in their order, into the config: [format] header = "
        '["name", "other name", ...]'
    )
