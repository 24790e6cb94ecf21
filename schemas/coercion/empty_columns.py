"""A column of ids that no row of a batch has a value in: most likely it is not the column of the ids."""

import pyarrow as pa

from schemas.columns.mapping import section_of, usual_names
from schemas.columns.meant_names import called
from schemas.columns.nested_columns import root_of
from schemas.columns.raw_rows import RawRows
from schemas.columns.spec import column_of
from schemas.quarantine import quote


def empty_ids_remedy(raw: RawRows, name: str, schema: pa.Schema) -> str:
    """What to do for a batch none of whose rows has an id in our column `name`: which of the shop's columns that is,
    and which of the file's others it may be instead."""
    names = raw.file_columns
    read = {root_of(one, names) or one for ours in schema.names for one in column_of(raw.columns, ours).source}
    others = [one for one in names if one not in read]
    near = called(usual_names(name, schema), others)
    sources = column_of(raw.columns, name).source
    listed = " or ".join(map(quote, sources))
    if any(root_of(one, names) is not None for one in sources):
        listed += ", where the path may end in another name"
    asked = "map the column of the ids" if near is None else f"is it {quote(near)}? Then map it"
    entry = "..." if near is None else quote(near)
    return f"no row here has one in {listed}: {asked}, in the config: [{section_of(schema)}] {name} = {entry}"
