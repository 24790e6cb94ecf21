"""The engagement log: users with a few tastes each, sessions over 120 days, impressions and what follows from them.

Everything is drawn in columns. One event is one page of results that one shopper saw:

    user -> session (mostly one taste) -> events (surface, intent, query) -> slots (shown items) -> actions
"""

from dataclasses import dataclass
from datetime import date, timedelta
from typing import NamedTuple

import numpy as np
import pyarrow as pa

from schemas.hashing import seed_of
from schemas.sample_shop.assortment import Assortment
from schemas.sample_shop.intents import attributes_of, draw_intents, matches, search_queries
from schemas.sample_shop.returns import come_back
from schemas.sample_shop.sessions import (
    DAY_S,
    SECOND_US,
    Sessions,
    Users,
    draw_event_starts,
    draw_sessions,
    draw_users,
    midnight_us,
    some_anonymous,
)
from schemas.tables import ACTIONS, ENGAGEMENTS, SURFACES

#: Impressions, clicks and so on, all counted: between 60 and 100 an item.
_EVENTS_PER_ITEM = 11
_SLOTS = 8
_SURFACE_SHARES = (0.5, 0.32, 0.18)
_EXPLORE_SHARE = 0.15
#: Of events that are of their session's taste, not of another one of the user.
_OF_TASTE_SHARE = 0.8
#: What a slot shows: something that matches, something of the same type, anything.
_SLOT_SHARES = (0.78, 0.14, 0.08)
_CLICK_MATCHING, _CLICK_OTHER = 0.3, 0.06
_SAVE = {"search": 0.16, "closeup": 0.34, "home": 0.25}
_ADD_TO_CART = {"search": 0.22, "closeup": 0.14, "home": 0.1}
_CHECKOUT = 0.35


@dataclass(frozen=True, kw_only=True)
class Events:
    """Pages of results, [E] each: user (-1 = not logged in), session, start (us since 1970), surface, intent, query."""

    user_E: np.ndarray
    session_E: np.ndarray
    start_us_E: np.ndarray
    surface_E: np.ndarray
    intent_EA: np.ndarray
    taste_style_E: np.ndarray
    query_E: np.ndarray  # index into `queries`; -1 = none
    queries: list[str]


class _Stock(NamedTuple):
    """What events are about: attributes and popularity of each item; pictures that users search by, and the item that
    each was made from."""

    attributes_NA: np.ndarray
    popularity_N: np.ndarray
    query_uris: list[str]
    query_anchors_Q: np.ndarray


def make_engagements(
    assortment: Assortment, query_uris: list[str], query_anchors_Q: np.ndarray, seed: int, end_date: date
) -> pa.Table:
    """The good rows of the log (schemas.tables.ENGAGEMENTS), by time; the last day is `end_date`, UTC."""
    rng = np.random.default_rng(seed_of("engagements", seed))
    attributes_NA = attributes_of(assortment)
    stock = _Stock(attributes_NA, assortment.popularity_N, query_uris, query_anchors_Q)
    events = _draw_events(stock, rng, seed, end_date)
    shown = _show(events, attributes_NA, assortment.popularity_N, rng)
    return _log(events, *shown, attributes_NA, assortment, rng, midnight_us(end_date + timedelta(days=1)))


def _draw_events(stock: _Stock, rng: np.random.Generator, seed: int, end_date: date) -> Events:
    num_events = len(stock.popularity_N) * _EVENTS_PER_ITEM
    users = draw_users(stock.popularity_N, rng)
    sessions = draw_sessions(users, num_events, rng, end_date)
    anchor_E = _draw_anchors(users, sessions, stock.popularity_N, rng)
    surface_E = rng.choice(len(SURFACES), size=num_events, p=_SURFACE_SHARES)
    intent_EA, query_E, queries = _draw_intents_and_queries(stock, anchor_E, surface_E, rng, seed)
    start_us_E = draw_event_starts(sessions, rng)
    return Events(
        user_E=some_anonymous(sessions.user_S, rng)[sessions.session_E],
        session_E=sessions.session_E,
        start_us_E=start_us_E,
        surface_E=surface_E,
        intent_EA=intent_EA,
        taste_style_E=stock.attributes_NA[anchor_E, 3],
        query_E=query_E,
        queries=queries,
    )


def _draw_anchors(users: Users, sessions: Sessions, popularity_N: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """int64 [E]: the item that a page is about, mostly of the session's taste, at times of another one or any."""
    num_events = len(sessions.session_E)
    user_E = sessions.user_S[sessions.session_E]
    stay = rng.random(num_events) < _OF_TASTE_SHARE
    taste_E = np.where(stay, sessions.taste_S[sessions.session_E], rng.integers(0, users.num_tastes_U[user_E]))
    explore = rng.random(num_events) < _EXPLORE_SHARE
    anything_E = rng.choice(len(popularity_N), size=num_events, p=popularity_N)
    return np.where(explore, anything_E, users.taste_item_UT[user_E, taste_E])


def _draw_intents_and_queries(
    stock: _Stock, anchor_E: np.ndarray, surface_E: np.ndarray, rng: np.random.Generator, seed: int
) -> tuple[np.ndarray, np.ndarray, list[str]]:
    """(what each page is to match [E, A], its query [E] as a place in the queries, -1 without one, the queries)."""
    intent_EA = np.empty((len(anchor_E), stock.attributes_NA.shape[1]), dtype=np.int64)
    query_E = np.full(len(anchor_E), -1)
    queries = list(stock.query_uris)
    for number, surface in enumerate(SURFACES):
        rows = np.flatnonzero(surface_E == number)
        anchors = anchor_E[rows]
        if surface == "closeup":
            query_E[rows] = _closest_pictures(stock.attributes_NA, anchors, stock.query_anchors_Q, rng)
            anchors = stock.query_anchors_Q[query_E[rows]]
        intent_EA[rows] = draw_intents(stock.attributes_NA[anchors], surface, rng)
        if surface == "search":
            query_E[rows] = len(queries) + np.arange(len(rows))
            queries += search_queries(intent_EA[rows], seed)
    return intent_EA, query_E, queries


def _closest_pictures(
    attributes_NA: np.ndarray, anchors_E: np.ndarray, query_anchors_Q: np.ndarray, rng: np.random.Generator
) -> np.ndarray:
    """int64 [E]: a query picture of the anchor's type and colour, else of its type, else any."""
    result = rng.integers(0, len(query_anchors_Q), len(anchors_E))
    for columns in ([0], [0, 1]):
        weights = 100 ** np.arange(len(columns))
        pictures, wanted = (attributes_NA[rows][:, columns] @ weights for rows in (query_anchors_Q, anchors_E))
        order = np.argsort(pictures, kind="stable")
        first = np.searchsorted(pictures[order], wanted, "left")
        count = np.searchsorted(pictures[order], wanted, "right") - first
        chosen = order[np.minimum(first + (rng.random(len(wanted)) * count).astype(np.int64), len(order) - 1)]
        result = np.where(count > 0, chosen, result)
    return result


def _show(
    events: Events, attributes_NA: np.ndarray, popularity_N: np.ndarray, rng: np.random.Generator
) -> tuple[np.ndarray, np.ndarray]:
    """(event [R], item [R]): what each event shows, without repeats, popular items more often."""
    num_events = len(events.user_E)
    intents_IA, inverse_E = np.unique(events.intent_EA, axis=0, return_inverse=True)
    inverse_E = inverse_E.ravel()
    by_type = {kind: np.flatnonzero(attributes_NA[:, 0] == kind) for kind in np.unique(attributes_NA[:, 0]).tolist()}
    kind_of_slot = rng.choice(3, size=(num_events, _SLOTS), p=_SLOT_SHARES)
    shown = rng.choice(len(popularity_N), size=(num_events, _SLOTS), p=popularity_N)
    groups = np.split(np.argsort(inverse_E, kind="stable"), np.cumsum(np.bincount(inverse_E))[:-1])
    for intent, rows in zip(intents_IA, groups, strict=True):
        same_type = by_type[int(intent[0])]
        matching = same_type[matches(attributes_NA[same_type], intent)]
        picks = _draw(matching, popularity_N, (len(rows), _SLOTS), rng)
        related = _draw(same_type, popularity_N, (len(rows), _SLOTS), rng)
        kinds = kind_of_slot[rows]
        shown[rows] = np.where(kinds == 0, picks, np.where(kinds == 1, related, shown[rows]))
    keys = np.unique((np.arange(num_events)[:, None] * len(popularity_N) + shown).ravel())
    return keys // len(popularity_N), keys % len(popularity_N)


def _draw(
    candidates: np.ndarray, popularity_N: np.ndarray, shape: tuple[int, int], rng: np.random.Generator
) -> np.ndarray:
    cumulative = np.cumsum(popularity_N[candidates])
    places = np.searchsorted(cumulative, rng.random(shape) * cumulative[-1], side="right")
    return candidates[np.minimum(places, len(candidates) - 1)]


def _log(
    events: Events,
    event_R: np.ndarray,
    item_R: np.ndarray,
    attributes_NA: np.ndarray,
    assortment: Assortment,
    rng: np.random.Generator,
    end_us: int,
) -> pa.Table:
    """Actions of what was shown, then the columns of the log, sorted by time."""
    relevant = matches(attributes_NA[item_R], events.intent_EA[event_R])
    liked = attributes_NA[item_R, 3] == events.taste_style_E[event_R]
    surface_R = events.surface_E[event_R]
    p_click = np.where(relevant, _CLICK_MATCHING, _CLICK_OTHER) * np.where(liked, 1.3, 0.9)
    p_save, p_add = (np.array([shares[name] for name in SURFACES])[surface_R] for shares in (_SAVE, _ADD_TO_CART))

    everything = np.arange(len(event_R))
    click = everything[rng.random(len(event_R)) < p_click]
    save = click[rng.random(len(click)) < p_save[click]]
    add = click[rng.random(len(click)) < p_add[click]]
    checkout = add[rng.random(len(add)) < _CHECKOUT]
    back = checkout[come_back(rng.random(len(checkout)), assortment.return_weight_N[item_R[checkout]])]
    stages = {"impression": everything, "click": click, "save": save, "add_to_cart": add, "checkout": checkout}
    stages["return"] = back
    delay_s = dict(
        zip(stages, ((0, 4), (5, 50), (50, 90), (60, 180), (200, 660), (3 * DAY_S, 21 * DAY_S)), strict=True)
    )

    row = np.concatenate(list(stages.values()))
    action = np.repeat([ACTIONS.index(name) for name in stages], [len(rows) for rows in stages.values()])
    delay = np.concatenate([rng.integers(*delay_s[name], size=len(rows)) for name, rows in stages.items()])
    time_us = events.start_us_E[event_R[row]] + delay * SECOND_US + rng.integers(0, SECOND_US, len(row))
    inside = time_us < end_us
    order = np.flatnonzero(inside)[np.argsort(time_us[inside], kind="stable")]
    row, action, time_us = row[order], action[order], time_us[order]
    event, user, query = event_R[row], events.user_E[event_R[row]], events.query_E[event_R[row]]
    columns = [
        pa.array(time_us, pa.timestamp("us", tz="UTC")),
        _take([f"user-{number:06d}" for number in range(int(events.user_E.max()) + 1)], user),
        _take([f"s{number:07d}" for number in range(int(events.session_E[-1]) + 1)], events.session_E[event]),
        _take(list(SURFACES), events.surface_E[event]),
        _take(events.queries, query),
        _take([product.item_id for product in assortment.products], item_R[row]),
        _take(list(ACTIONS), action),
    ]
    return pa.Table.from_arrays(columns, schema=ENGAGEMENTS)


def _take(values: list[str], indices: np.ndarray) -> pa.Array:
    """values[indices], null where an index is negative."""
    return pa.array(values, pa.string()).take(pa.array(indices, mask=indices < 0))
