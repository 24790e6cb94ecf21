"""Logs of sessions, written as the rows that a person would read."""

from datetime import UTC, datetime, timedelta

import pyarrow as pa

from schemas.tables import ENGAGEMENTS

START = datetime(2026, 1, 1, tzinfo=UTC)


def us_of_day(day: float) -> int:
    """Microseconds since 1970 of a day from START on."""
    return int((START + timedelta(days=day)).timestamp() * 1_000_000)


def log_of(*events: tuple[float, str | None, str, str]) -> pa.Table:
    """Events (day, session, item, action) as ENGAGEMENTS."""
    rows = [
        {
            "timestamp": START + timedelta(days=day),
            "user_id": None,
            "session_id": session,
            "surface": "home",
            "query": None,
            "item_id": item,
            "action": action,
        }
        for day, session, item, action in events
    ]
    return pa.Table.from_pylist(rows, schema=ENGAGEMENTS)
