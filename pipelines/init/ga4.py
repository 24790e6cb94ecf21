"""Google Analytics 4's events, as BigQuery exports them (an event with its items) or flattened (a row an item), and
other logs that are written alike."""

import re
from collections import Counter
from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

from pipelines.init.found import Found, found_in, unread_columns
from pipelines.init.missing_columns import what_is_missing
from pipelines.init.no_action import MOST_ACTIONS, of_several_values, one_action
from pipelines.init.returned import asked_of_returns
from pipelines.init.seen import SeenColumn, SeenTable
from schemas import tables
from schemas.cells.date_formats import date_formats
from schemas.cells.text import UnreadableCellError
from schemas.cells.times import timestamp_of
from schemas.coercion.day_and_clock import is_clock
from schemas.columns import usual_names
from schemas.columns.names import plain_name
from schemas.errors import UsageError

#: Google's events of items -> our actions.
ACTIONS = {
    "view_item_list": "impression",
    "view_search_results": "impression",
    "view_item": "click",
    "select_item": "click",
    "add_to_wishlist": "save",
    "add_to_cart": "add_to_cart",
    "purchase": "checkout",
    "refund": "return",
}
#: Google's events that say nothing of what somebody thinks of an item, or have none. Its `click` leaves the site.
OF_NO_USE = (
    *("add_payment_info", "add_shipping_info", "begin_checkout", "remove_from_cart", "select_promotion", "view_cart"),
    *("view_promotion", "click", "file_download", "first_visit", "form_start", "form_submit", "generate_lead", "login"),
    *("page_view", "scroll", "search", "session_start", "share", "sign_up", "user_engagement", "video_complete"),
    *("video_progress", "video_start"),
)
#: What other systems call actions (Segment, Meta, Snowplow) -> ours, "" for none. Case and signs do not count.
_OTHER_ACTIONS = {
    **dict.fromkeys(("view", "product_view", "detail_view", "pdp_view"), "click"),
    **dict.fromkeys(("ansicht", "vue", "vista", "klick", "clic"), "click"),
    **dict.fromkeys(("merkzettel", "wunschliste"), "save"),
    **dict.fromkeys(("warenkorb", "panier", "carrito"), "add_to_cart"),
    **dict.fromkeys(("kauf", "bestellung", "achat", "compra"), "checkout"),
    **dict.fromkeys(("wishlist", "favorite", "favourite", "like"), "save"),
    **dict.fromkeys(("cart", "add_to_basket", "basket"), "add_to_cart"),
    **dict.fromkeys(("transaction", "order", "buy", "placed_order"), "checkout"),
    **dict.fromkeys(
        (
            *("added_to_cart", "item_added_to_cart", "product_added_to_cart", "added_product", "added_to_bag"),
            *("add_item_to_cart", "add_product_to_cart", "add_to_bag", "item_added", "cart_add"),
        ),
        "add_to_cart",
    ),
    **dict.fromkeys(
        (
            *("viewed_product", "viewed_item", "item_viewed", "product_view", "view_product", "clicked_product"),
            *("product_page_viewed", "product_detail_viewed", "viewed_product_page", "item_clicked", "product_click"),
        ),
        "click",
    ),
    **dict.fromkeys(
        (
            *("added_to_wishlist", "item_added_to_wishlist", "wishlisted", "favorited", "favourited", "saved"),
            *("product_saved", "saved_product", "liked"),
        ),
        "save",
    ),
    **dict.fromkeys(
        (
            *("purchased", "ordered", "bought", "order_placed", "completed_order", "purchase_completed"),
            *("completed_purchase", "checkout_completed", "ordered_product", "product_purchased", "made_purchase"),
            *("item_purchased", "order_paid"),
        ),
        "checkout",
    ),
    **dict.fromkeys(("refunded", "returned", "refunded_order", "order_returned", "item_returned"), "return"),
    **dict.fromkeys(("removed_from_cart", "item_removed_from_cart", "started_checkout", "viewed_cart"), ""),
    **dict.fromkeys(("viewed_product_list", "product_list_view", "product_impression"), "impression"),
    "product_list_viewed": "impression",
    "product_viewed": "click",
    "product_clicked": "click",
    "product_added_to_wishlist": "save",
    "product_added": "add_to_cart",
    "order_completed": "checkout",
    "order_refunded": "return",
    "view_content": "click",
    "ecommerce_order": "checkout",
    "ecommerce_abandoned_cart": "add_to_cart",
    **dict.fromkeys(("initiate_checkout", "checkout_started", "product_removed", "cart_viewed"), ""),
    "products_searched": "",
    "list_view": "impression",
    "list_click": "click",
    **dict.fromkeys(("checkout_step", "trans_error", "promo_view", "promo_click"), ""),
}
#: A date without a clock: 2026-06-20 (also at midnight, as a table of days has it), 20260620, 20.06.2026, 20 Jun 2026.
_DAY = re.compile(r"(?:\d{8}|\d{1,4}([-./ ])(?:\d{1,2}|[A-Za-z]{3,9})\1\d{1,4})(?:[T ]00:00:00)?")
#: Values that show whether they are times.
_LOOKED_AT = 200
#: Users that may stand for nobody, and the share of rows from which they are asked about.
_MAYBE_GUESTS = ("0", "-1", "0.0", "-1.0")
_FEWEST_OF_GUESTS = 0.05
#: The type, or the name, in an object of actions.
_TYPE_OF_ACTION = re.compile(r"action[_\d]*\.(?:type|action)$", re.IGNORECASE)
#: What the id of a user is called in an object of one; how a column is called that has the ids of known ones.
_NAMES_OF_USERS = ("id", "uuid", "key", "hash", "email", "name")
_KNOWN_USERS = ("userid", "customerid")
_ITEM_PATH = ("items", "item_id")


@dataclass(frozen=True)
class LogStart:
    """found: our columns but for the action. event: the column whose values are actions; actions: Google's event, and
    how often it was seen, to our action, "" for none. unknown: events of the file that Google has not named. unread:
    columns of the file that are none of ours; several: those that have several values, and so may be the action."""

    found: tuple[Found, ...]
    event: Found
    actions: dict[str, str]
    seen: Counter[str]
    unknown: tuple[str, ...]
    unread: tuple[str, ...]
    several: tuple[str, ...] = ()

    @property
    def event_column(self) -> str:
        """Its name in the file; "" where every row has one action."""
        return next(iter(self.event.sources), "")

    @property
    def columns(self) -> dict[str, Any]:
        """`[columns.engagements]`."""
        action = {"source": self.event_column, "values": self.actions} if self.event_column else self.event.entry
        return {**{one.name: one.entry for one in self.found}, "action": action}


def is_ga4(table: SeenTable) -> bool:
    """Whether the columns are those of GA4's events."""
    return table.has("event_name") and any(table.has(name) for name in ("event_timestamp", "event_date", "items"))


def log_start(table: SeenTable) -> LogStart:
    """How GA4's events are a log. Raises UsageError if the table lacks their name, their time or their items."""
    event, times = _event(table), _times(table)
    items = _items(table)
    found: list[Found] = []
    if times is not None:
        found.append(times)
    elif (day := table.column(usual_names.DAYS)) is not None:
        of_days = _times_of(day)
        found.append(replace(of_days, notes=("days alone: actions of one day have one time", *of_days.notes)))
    people = [*usual_names.USERS, *usual_names.OTHER_USERS, *usual_names.SESSIONS]
    is_whole = items and found and (event is not None or table.column(people) is not None)
    if not is_whole:
        raise UsageError(what_is_missing(table, event, found[0].sources if found else (), items))
    users = [column for name in usual_names.USERS if (column := table.column([name])) is not None]
    users = [*_ids_in_objects(table, users), *users]
    if not users and (other := table.column(usual_names.OTHER_USERS)) is not None:
        users = [other]
    if (device := table.column(usual_names.DEVICES)) is not None and _completes(device, users):
        users = [*users, device]
    if users:
        notes = ["the first that is there"] if len(users) > 1 else []
        found.append(found_in(users, "user_id", notes=[*notes, *_asked_of_guests(users)]))
    session = _one_of(table, usual_names.SESSIONS, ("event_params", "ga_session_id"))
    if session is not None and session.filled:
        found.append(found_in([session], "session_id"))
    notes = ["a row for each item of a list, or the one that the event has itself"] if len(items) > 1 else []
    listed = any(isinstance(value, list) for value in items[0].filled) and items[0].name in table.columns
    options = {"separator": ","} if listed and items[0].texts == [] else {}
    found.append(found_in(items, "item_id", options=options, notes=[*notes, *asked_of_returns(table)]))
    found += _searches(table)
    action = one_action(table) if event is None else found_in([event], "action")
    unread = tuple(unread_columns(table, [*found, action]))
    start = LogStart(tuple(found), action, {}, Counter(), (), unread, of_several_values(table, [*found, action]))
    return start if event is None else with_events(start, Counter(event.texts), table)


def _ids_in_objects(table: SeenTable, users: Sequence[SeenColumn]) -> list[SeenColumn]:
    """The id in an object that is called a user (`user.id`, as the Elastic Common Schema has it), unless one of the
    users that were found is more than an anonymous one; [] without any."""
    if any(plain_name(column.name).endswith(_KNOWN_USERS) for column in users):
        return []
    found: dict[tuple[int, int], SeenColumn] = {}
    for path, column in table.nested.items():
        whose, _, name = path.casefold().rpartition(".")
        if name in _NAMES_OF_USERS and (who := whose.rpartition(".")[2]) in usual_names.OTHER_USERS and column.filled:
            found.setdefault((_NAMES_OF_USERS.index(name), usual_names.OTHER_USERS.index(who)), column)
    return [found[min(found)]] if found else []


def with_events(start: LogStart, seen: Counter[str], table: SeenTable) -> LogStart:
    """The start with the events that were seen, and how often."""
    known = _known_actions(seen, is_ga4(table))
    unknown = tuple(name for name, _ in seen.most_common() if name not in known)
    actions = {**ACTIONS, **dict.fromkeys(OF_NO_USE, ""), **known, **dict.fromkeys(unknown, "")}
    return replace(start, actions=actions, seen=seen, unknown=unknown)


def _event(table: SeenTable) -> SeenColumn | None:
    """The column of what somebody did; where its events say nothing of items, the type of an object of actions that
    does (Snowplow's `unstruct_event_..._ecommerce_action_1`)."""
    named = (table.column([name]) for name in usual_names.OF_LOG["action"])
    columns = [column for column in named if column is not None]
    # of an object that is called an event the action is in it
    event = next((column for column in columns if column.texts), next(iter(columns), None))
    if event is not None and _says_actions(event, table):
        return event
    typed = (column for path, column in table.nested.items() if _TYPE_OF_ACTION.search(path))
    if (found := next((column for column in typed if _says_actions(column, table)), None)) is not None:
        return found
    if event is not None and len(set(event.texts)) > 1 and not event.is_distinct:
        return event
    others = [column for column in {**table.columns, **table.nested}.values() if _is_of_actions(column, table)]
    return next(iter(others), event)


def _is_of_actions(column: SeenColumn, table: SeenTable) -> bool:
    """Whether a column has several values, of which most are known actions."""
    seen = Counter(column.texts)
    known = _known_actions(seen, is_ga4(table)) if 1 < len(seen) <= MOST_ACTIONS else {}
    return any(known.values()) and 2 * sum(seen[name] for name in known) > seen.total()


def _says_actions(column: SeenColumn, table: SeenTable) -> bool:
    return any(_known_actions(set(column.texts), is_ga4(table)).values())


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


def _completes(column: SeenColumn, others: Sequence[SeenColumn]) -> bool:
    """Whether a column has a value in a row where none of the others has any, though they have some elsewhere."""
    if column in others or not any(other.filled for other in others):
        return False
    rows = zip(column.values, *(other.values for other in others), strict=True)
    return any(value is not None and all(other is None for other in rest) for value, *rest in rows)


def other_items(start: LogStart, table: SeenTable) -> list[SeenColumn]:
    """The further columns that may be a log's items, where one alone was found."""
    (items,) = (one for one in start.found if one.name == "item_id")
    columns = (table.column([name]) for name in usual_names.LOG_ITEMS)
    others = [column for column in columns if column is not None and column.filled and column.name not in items.sources]
    return list({column.name: column for column in others}.values()) if len(items.sources) == 1 else []


def with_items(start: LogStart, column: SeenColumn, table: SeenTable) -> LogStart:
    """The start whose items are in another column."""
    note = "the catalogue has its ids, and not those of the column that is rather called so"
    other = found_in([column], "item_id", notes=[note])
    found = tuple(other if one.name == "item_id" else one for one in start.found)
    return replace(start, found=found, unread=tuple(unread_columns(table, [*found, start.event])))


def with_separator(start: LogStart, separator: str) -> LogStart:
    """The start whose items are texts that list several."""
    note = "a row for each item of a text that lists several"
    found = [
        replace(one, options={**one.options, "separator": separator}, notes=(*one.notes, note))
        if one.name == "item_id"
        else one
        for one in start.found
    ]
    return replace(start, found=tuple(found))


def _known_actions(seen: Collection[str], is_google: bool) -> dict[str, str]:
    """Those of a file's events that are known but for case and signs -> our action, "" for none. is_google: whether
    other systems' words say nothing there, nor those of ours that Google has for something else."""
    known = {**dict.fromkeys(OF_NO_USE, ""), **ACTIONS, **({} if is_google else _OTHER_ACTIONS)}
    known |= {name: name for name in tables.ACTIONS if not (is_google and name in OF_NO_USE)}
    by_name = {plain_name(name): action for name, action in known.items()}
    theirs = [name for name in seen if name not in tables.ACTIONS]
    names = [*theirs, *(name for name in tables.ACTIONS if name in seen)]
    return {name: by_name[plain] for name in names if (plain := plain_name(name)) in by_name}


def _times(table: SeenTable) -> Found | None:
    """The timestamps: of the likeliest column, with the clock beside it if it has days alone; None without any."""
    columns = [column for name in usual_names.TIMES if (column := table.column([name])) is not None]
    dated = [column for column in columns if not _mostly(is_clock, column)]
    time = next((column for column in dated if column.filled), next(iter(dated or columns), None))
    if time is None or not _mostly(_is_day, time):
        return None if time is None else _times_of(time)
    clocks = [column for column in table.columns.values() if _is_called_a_clock(column) and _mostly(is_clock, column)]
    return _times_of(time, *clocks[:1])


def _is_called_a_clock(column: SeenColumn) -> bool:
    return any(word in plain_name(column.name) for word in usual_names.CLOCKS)


def _mostly(is_one: Callable[[str], bool], column: SeenColumn) -> bool:
    looked_at = column.texts[:_LOOKED_AT]
    return 2 * sum(map(is_one, looked_at)) > len(looked_at)


def _is_day(text: str) -> bool:
    """Whether a text may be a date without a clock."""
    return _DAY.fullmatch(text.strip()) is not None


def _times_of(column: SeenColumn, clock: SeenColumn | None = None) -> Found:
    """The timestamps of a column, and the one of clocks beside it; in the format that the texts show where they are not
    taken untold."""
    columns = [column] if clock is None else [column, clock]
    texts = column.texts
    if clock is not None:
        pairs = zip(column.values, clock.values, strict=True)
        texts = [f"{day} {at}" for day, at in pairs if None not in (day, at)]
    formats = [] if any(map(_is_time, column.filled[:_LOOKED_AT])) else date_formats(texts)
    if not formats:
        return found_in(columns, "timestamp")
    other = f"day or month first? All that was read fits {' and '.join(formats)}" if len(formats) > 1 else ""
    return found_in(columns, "timestamp", options={"time": formats[0]}, notes=[other] if other else [])


def _is_time(value: Any) -> bool:
    """Whether a value is a time without more being told of it."""
    try:
        return timestamp_of(value) is not None
    except UnreadableCellError:
        return False


def _searches(table: SeenTable) -> list[Found]:
    """The query and the surface: where an event has a search term people searched, unless the log says it."""
    told = table.column(["surface"])
    if told is not None and told.filled and set(told.texts) <= set(tables.SURFACES):
        query = table.column(["query", *usual_names.SEARCHES])
        return [found_in([told], "surface"), *([found_in([query], "query")] if query is not None else [])]
    term = _one_of(table, usual_names.SEARCHES, ("event_params", "search_term"))
    if term is None or not term.filled:
        note = "no event has a search_term: nothing is learned of searches but from the texts of items"
        return [Found("surface", (), {"constant": "home"}, (note,))]
    note = "an event with a search term belongs to a search; GA4 sends it where your tags add it"
    shown = found_in([term], "surface", options={"present": "search", "absent": "home"}, notes=[note])
    return [found_in([term], "query"), shown]


def _items(table: SeenTable) -> list[SeenColumn]:
    """The column of items, or where a path leads to them; behind the one into a list the one of a single item."""
    one = _one_of(table, usual_names.LOG_ITEMS, _ITEM_PATH)
    if one is not None and one.filled and (one.name in table.columns or one.name == ".".join(_ITEM_PATH)):
        return [one]
    names = [*usual_names.LOG_ITEMS, *(f"{listed}.id" for listed in usual_names.LOG_LISTS)]
    by_name: dict[str, SeenColumn] = {}
    for path, column in table.members.items():
        of_list, field = path.split(".")[-2:]
        of_list = re.sub(r"[_\d]+$", "", of_list).rpartition("_")[2]  # ..._ecommerce_product_1
        for name in (field, f"{of_list}.{field}"):
            by_name.setdefault(plain_name(name), column)
    listed = [by_name[plain] for name in names if (plain := plain_name(name)) in by_name]
    return [*listed[:1], *([one] if one is not None and (one.filled or not listed) else [])]


def _one_of(table: SeenTable, names: Sequence[str], path: tuple[str, str]) -> SeenColumn | None:
    """The column of one of the names, or where the path leads in one (see schemas.events.paths)."""
    flat = table.column([*names, ".".join(path)])
    root = table.columns.get(path[0])
    if (flat is not None and flat.filled) or root is None:
        return flat
    return SeenColumn(".".join(path), [next(_led_to(value, path[1]), None) for value in root.values])


def _led_to(value: Any, name: str) -> Iterator[Any]:
    """What is behind a name in a value, as schemas.events.paths has it."""
    if isinstance(value, dict) and len(value) == 1 and next(iter(value)) in ("list", "array", "element", "item"):
        value = next(iter(value.values()))
    if isinstance(value, dict):
        if value.get(name) is not None:
            yield value[name]
        return
    for member in value if isinstance(value, list | tuple) else ():
        if isinstance(member, tuple) and len(member) == 2:  # of a map
            member = {"key": member[0], "value": member[1]}
        if isinstance(member, dict) and len(member) == 1 and "element" in member:
            member = member["element"]
        if isinstance(member, dict) and member.keys() == {"key", "value"}:
            if member["key"] == name:
                told = member["value"]
                told = next((v for v in told.values() if v is not None), None) if isinstance(told, dict) else told
                yield from () if told is None else (told,)
        else:
            yield from _led_to(member, name)
