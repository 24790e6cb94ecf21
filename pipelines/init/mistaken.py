"""A log that is given for a catalogue, and a catalogue that is given for a log: told apart by the names of columns.

A row of a log says who did something, when and what. A catalogue may have a column like one of these (the sellers of a
marketplace, the day of an offer, the event of a ticket), so two of them tell a log only where its items come again and
again, and when and what alone only where nothing describes them.
"""

from collections.abc import Sequence

from pipelines.init.kinds import GA4
from pipelines.init.log.start import log_start
from pipelines.init.table.columns import SeenColumn
from pipelines.init.table.seen import SeenTable
from schemas.columns.picture_names import is_called_a_picture
from schemas.columns.usual_names import (
    ACTIONS,
    DAYS,
    ITEM_IDS,
    OF_CATALOGUE,
    ORDERS,
    OTHER_USERS,
    SESSIONS,
    TIMES,
    USERS,
)
from schemas.errors import UsageError
from schemas.files import shown

_WHO = (*USERS, *OTHER_USERS, *SESSIONS)
_WHEN = (*TIMES, *DAYS)
_WHAT = (*ACTIONS, *ORDERS)


def log_columns(table: SeenTable) -> list[str]:
    """The columns that say who, when and what, if the table looks like a log, else none of them."""
    who, when, what = (_called(table, names) for names in (_WHO, _WHEN, _WHAT))
    is_log = when and (who or what) and ((who and what) or _comes_again(table))
    if not is_log or (not who and _is_described(table)):
        return []
    return [column.name for column in (*who, *when, *what)]


def refuse_log(table: SeenTable, given: str, flag: str = "") -> None:
    """Raises UsageError if the table looks like a log, with what to do; given: the path of the call; flag: which one
    gave it, "" for FILE."""
    columns = log_columns(table)
    if not columns:
        return
    by_ga4 = ""
    if _is_readable_log(table):
        call = f"itemsage init --from {GA4} {shown(given)} --catalog PRODUCTS"
        by_ga4 = f". If its actions are called as GA4's or as ours: {call}"
    raise UsageError(
        f"expected a catalogue{f' as {flag}' if flag else ''}, got what looks like a log in {shown(given)}: "
        f"{', '.join(columns)}. Give the products' export, a row an item, instead; the log's place is shop.toml, as "
        f"engagements = ..., with its columns in [columns.engagements]{by_ga4}. If it is the catalogue all the same, "
        "leave these columns out of it"
    )


def refuse_catalogue(table: SeenTable, given: str, catalog: str | None, catalog_is_log: bool) -> None:
    """Raises UsageError if a table that cannot be read as a log looks like a catalogue, with what to do. given: its
    path, of the call; catalog: what the call names as the catalogue, which may be the log."""
    names = [*OF_CATALOGUE["title"], *OF_CATALOGUE["description"]]
    texts = [column.name for column in _called(table, names)]
    pictures = _pictures(table)
    if _is_readable_log(table) or log_columns(table) or not (texts or pictures):
        return
    if catalog is not None and catalog_is_log:
        remedy = f"the two are swapped: itemsage init --from {GA4} {shown(catalog)} --catalog {shown(given)}"
    else:
        beside = "" if catalog is not None else f"; with a log beside it: --from {GA4} LOG --catalog {shown(given)}"
        remedy = f"is it the catalogue? Then: itemsage init {shown(given)}{beside}"
    raise UsageError(
        f"expected a log in {shown(given)} (--from {GA4}), got what looks like a catalogue: "
        f"{', '.join([*texts, *pictures][:6])}; {remedy}. A log all the same is written into the catalogue's "
        f'shop.toml: engagements = "{shown(given)}", with its columns (timestamp, user_id, item_id, action) in '
        "[columns.engagements]"
    )


def _is_readable_log(table: SeenTable) -> bool:
    """Whether init finds a log's columns in the table."""
    try:
        log_start(table)
    except UsageError:
        return False
    return True


def _called(table: SeenTable, names: Sequence[str]) -> list[SeenColumn]:
    found = (table.column([name]) for name in names)
    return list(dict.fromkeys(column for column in found if column is not None and column.name in table.columns))


def _is_described(table: SeenTable) -> bool:
    return bool(_pictures(table) or _called(table, OF_CATALOGUE["description"]))


def _pictures(table: SeenTable) -> list[str]:
    return [column.name for column in table.columns.values() if is_called_a_picture(column.name)]


def _comes_again(table: SeenTable) -> bool:
    """Whether the likeliest id has a value twice."""
    ids = [column for column in _called(table, ITEM_IDS) if column.filled]
    return bool(ids) and not ids[0].is_distinct
