"""Columns that have one name, of which no config can say which it means."""

from pipelines.init.table.seen import SeenTable
from schemas.columns.names import plain_name
from schemas.columns.picture_names import is_called_a_picture
from schemas.columns.usual_names import OF_CATALOGUE
from schemas.errors import UsageError
from schemas.files import shown
from schemas.quarantine import quote


def refuse_names_given_twice(table: SeenTable) -> None:
    """Raises UsageError if several columns have one name that an id, a title or a picture may have, and no other column
    is called so."""
    lacking = [name for name in table.twice if _is_needed(table, name)]
    if lacking:
        raise UsageError(
            f"expected columns with different names in {shown(table.files[0])}, got "
            f"{' and '.join(map(quote, lacking))} twice: nothing tells which is meant. Give each a name of its own in "
            "the export"
        )


def _is_needed(table: SeenTable, name: str) -> bool:
    if is_called_a_picture(name):
        return not any(map(is_called_a_picture, table.columns))
    needed = (OF_CATALOGUE["item_id"], OF_CATALOGUE["title"])
    return any(plain_name(name) in set(map(plain_name, names)) and table.column(names) is None for names in needed)
