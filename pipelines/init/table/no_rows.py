"""Files without a row: why there is none, and what to do."""

from pipelines.init.table.seen import SeenTable
from schemas import storage
from schemas.columns.usual_names import ITEM_IDS, LOG_ITEMS
from schemas.errors import UsageError
from schemas.files import shown
from schemas.reading.forms import form_of
from schemas.reading.json_rows import check_json_rows
from schemas.reading.json_shapes import refuse_other_shape


def refuse_without_rows(table: SeenTable) -> None:
    """Raises UsageError for a table without rows, and for JSON of a shape that hides them, with what to do."""
    path = next((path for path in sorted(table.files) if storage.size_of(path)), sorted(table.files)[0])
    form = form_of(path)
    if form.kind == "json" and not form.is_empty:
        check_json_rows(path, (frozenset(table.columns),))
        if table.num_rows == 1 and not form.is_array and not any(map(table.has, (*ITEM_IDS, *LOG_ITEMS))):
            refuse_other_shape(path, ())
    if table.num_rows:
        return
    if form.is_empty or not table.columns:
        got = "an empty file" if form.is_empty else "an empty list" if form.is_array else "none"
        raise UsageError(f"expected rows in {shown(path)}, got {got}: was the export written to its end? Make it again")
    raise UsageError(
        f"expected rows in {shown(path)} below the columns {table.names_in_words}, got none: see the export; of "
        "delimited text the first line must have the names of the columns"
    )
