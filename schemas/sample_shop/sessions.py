"""Who comes to the shop and when: users with a few tastes each, and their sessions over 120 days.

Shapes: U users, T tastes, S sessions, E events.
"""

from datetime import UTC, date, datetime, timedelta
from typing import NamedTuple

import numpy as np

WINDOW_DAYS = 120
_MAX_TASTES = 4
_ANONYMOUS_SHARE = 0.06
#: Events of a session, at most.
_MAX_EVENTS = 5
SECOND_US, DAY_S = 1_000_000, 86_400
_HOURS = np.array([1, 1, 1, 1, 1, 1, 2, 3, 4, 5, 6, 6, 7, 6, 6, 6, 6, 7, 8, 10, 11, 9, 5, 2], dtype=np.float64)


class Users(NamedTuple):
    """taste_item_UT: an item for each taste, of which the first num_tastes_U are the user's; activity_U: how often one
    comes, compared with others."""

    taste_item_UT: np.ndarray
    num_tastes_U: np.ndarray
    activity_U: np.ndarray


class Sessions(NamedTuple):
    """session_E: of each event, ascending; user_S, taste_S: whose a session is, and the taste that it is mostly of;
    start_us_S: us since 1970."""

    session_E: np.ndarray
    user_S: np.ndarray
    taste_S: np.ndarray
    start_us_S: np.ndarray


def draw_users(popularity_N: np.ndarray, rng: np.random.Generator) -> Users:
    """About a quarter as many as there are items; popular items are more often a taste. popularity_N: sums up to 1."""
    num_users = max(len(popularity_N) // 4, 200)
    return Users(
        taste_item_UT=rng.choice(len(popularity_N), size=(num_users, _MAX_TASTES), p=popularity_N),
        num_tastes_U=rng.integers(2, _MAX_TASTES + 1, num_users),
        activity_U=rng.lognormal(0.0, 0.8, num_users),
    )


def draw_sessions(users: Users, num_events: int, rng: np.random.Generator, end_date: date) -> Sessions:
    """As many as it takes for num_events, the last of them on end_date (UTC)."""
    per_session = np.minimum(rng.geometric(0.45, num_events), _MAX_EVENTS)
    num_sessions = int(np.searchsorted(np.cumsum(per_session), num_events)) + 1
    user_S = rng.choice(len(users.activity_U), size=num_sessions, p=users.activity_U / users.activity_U.sum())
    return Sessions(
        session_E=np.repeat(np.arange(num_sessions), per_session[:num_sessions])[:num_events],
        user_S=user_S,
        taste_S=rng.integers(0, users.num_tastes_U[user_S]),
        start_us_S=_draw_session_starts(num_sessions, rng, end_date),
    )


def draw_event_starts(sessions: Sessions, rng: np.random.Generator) -> np.ndarray:
    """int64 [E], us since 1970: an event each two minutes of its session, about."""
    num_events = len(sessions.session_E)
    order_in_session = np.arange(num_events) - np.searchsorted(sessions.session_E, sessions.session_E)
    minutes = order_in_session * 2 + rng.random(num_events)
    return sessions.start_us_S[sessions.session_E] + (minutes * 60).astype(np.int64) * SECOND_US


def some_anonymous(user_S: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """int64 [S]: the users, -1 in sessions in which nobody logged in."""
    return np.where(rng.random(len(user_S)) < _ANONYMOUS_SHARE, -1, user_S)


def _draw_session_starts(num_sessions: int, rng: np.random.Generator, end_date: date) -> np.ndarray:
    """int64 [S], us since 1970: more sessions towards the end of the window, more in the evening, none after 23:45."""
    day_weights = 1.0 + np.arange(WINDOW_DAYS) / WINDOW_DAYS + 0.3 * (np.arange(WINDOW_DAYS) % 7 >= 5)
    days = rng.choice(WINDOW_DAYS, size=num_sessions, p=day_weights / day_weights.sum())
    hours = rng.choice(24, size=num_sessions, p=_HOURS / _HOURS.sum())
    seconds = days * DAY_S + hours * 3600 + rng.integers(0, 2700, num_sessions)
    return midnight_us(end_date - timedelta(days=WINDOW_DAYS - 1)) + seconds.astype(np.int64) * SECOND_US


def midnight_us(day: date) -> int:
    """us since 1970 at the begin of a day, UTC."""
    return int(datetime(day.year, day.month, day.day, tzinfo=UTC).timestamp()) * SECOND_US
