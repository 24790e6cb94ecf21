"""The columns of a log's users: known ones before devices, and who may be nobody."""

from collections import Counter
from collections.abc import Sequence

from pipelines.init.table.columns import SeenColumn
from pipelines.init.table.found import FoundColumn, found_in
from pipelines.init.table.seen import SeenTable
from schemas.columns import usual_names
from schemas.columns.names import plain_name
from schemas.quarantine import quote

#: Users that may stand for nobody, and the share of rows from which they are asked about.
_MAYBE_GUESTS = ("0", "-1", "0.0", "-1.0")
_FEWEST_OF_GUESTS = 0.05
#: What the id of a user is called in an object of one; how a column is called that has the ids of known ones.
_NAMES_OF_USERS = ("id", "uuid", "key", "hash", "email", "name")
_KNOWN_USERS = ("userid", "customerid")
#: Columns that a question names.
_MOST_NAMED = 4


def users_of_log(table: SeenTable) -> list[FoundColumn]:
    """The users, of which each row has the first that is there; [] without any."""
    users = [column for name in usual_names.USERS if (column := table.column([name])) is not None]
    users = [*_ids_in_objects(table, users), *users]
    if not users and (other := table.column(usual_names.OTHER_USERS)) is not None:
        users = [other]
    if (device := table.column(usual_names.DEVICES)) is not None and _completes(device, users):
        users = [*users, device]
    notes = ["the first that is there"] if len(users) > 1 else []
    return [found_in(users, "user_id", notes=[*notes, *_asked_of_guests(users)])] if users else []


def asked_of_nobody(table: SeenTable, found: Sequence[FoundColumn]) -> list[str]:
    """What a person is asked of a log whose users were not found; found: our columns that were."""
    by_name = {one.name: one for one in found}
    users = by_name.get("user_id")
    if users is not None and users.share_filled:
        return []
    none = "no column is called as users are" if users is None else f"{' and '.join(users.sources)} is empty"
    read = {source for one in found for source in one.sources}
    columns = [one for one in {**table.columns, **table.nested}.values() if one.name not in read and one.texts]
    called = [one.name for one in columns if any(word in plain_name(one.name) for word in usual_names.WORDS_OF_USERS)]
    again = [one.name for one in columns if _comes_again(one)]
    named = ", ".join(quote(name) for name in (called or again)[:_MOST_NAMED])
    session = ""
    if "session_id" in by_name:
        session = f"; a session may stand for one: user_id = {quote(by_name['session_id'].sources[0])}"
    return [
        f"user_id: {none}{f': is it one of {named}?' if named else '. Does none say who?'} "
        f'Then write user_id = "its name"{session}. A row without a user and without a query is of no use'
    ]


def _comes_again(column: SeenColumn) -> bool:
    """Whether the column may name those who act: some of them several times, and many of them."""
    return not column.is_distinct and len(set(column.texts)) > 1 and column.num_words <= 1


def _ids_in_objects(table: SeenTable, users: Sequence[SeenColumn]) -> list[SeenColumn]:
    """The id in an object that is called a user (`user.id`, as the Elastic Common Schema has it), unless one of the
    users that were found is more than an anonymous one; [] without any."""
    if any(plain_name(column.name).endswith(_KNOWN_USERS) for column in users):
        return []
    return table.id_in_objects(_NAMES_OF_USERS, usual_names.OBJECTS_OF_USERS)


def _completes(column: SeenColumn, others: Sequence[SeenColumn]) -> bool:
    """Whether a column has a value in a row where none of the others has any, though they have some elsewhere."""
    if column in others or not any(other.filled for other in others):
        return False
    rows = zip(column.values, *(other.values for other in others), strict=True)
    return any(value is not None and all(other is None for other in rest) for value, *rest in rows)


def _asked_of_guests(users: Sequence[SeenColumn]) -> list[str]:
    """What a person is asked of a user called 0 or -1 who has more rows than all others, and more than a few."""
    asked = []
    for column in users:
        (user, count), *_ = Counter(column.texts).most_common(1) or [("", 0)]
        if user.strip() in _MAYBE_GUESTS and count >= _FEWEST_OF_GUESTS * len(column.texts) and count > 1:
            asked.append(
                f"{user} in {count:,} of {len(column.texts):,} rows: are these guests? They would be one user: write "
                f'user_id = {{source = "{column.name}", values = {{"{user}" = ""}}}}'
            )
    return asked
