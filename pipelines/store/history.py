"""Where readers have been: every move of CURRENT is a line of `<store>/history.jsonl`.

    {"from": "runs/2026-06-29/...", "reason": ..., "time": "2026-06-30T04:00:00+00:00", "to": ..., "why": "published"}

A line is written before the pointer moves: after a crash between the two the last line tells of a move that was only
meant, and whoever moves the pointer next writes another. Times serve people and `gc`; which run is the later one is
decided by the order of the lines, which no clock that goes back can change.
"""

import datetime
import errno
import json
import os
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from schemas import storage

HISTORY_FILE = "history.jsonl"
#: What CURRENT and the history call a run.
RUN_NAME = re.compile(r"runs/[0-9]{4}-[0-9]{2}-[0-9]{2}/[0-9a-f]{16}")
PUBLISHED, ROLLED_BACK, REPUBLISHED = "published", "rolled back", "republished"


@dataclass(frozen=True, kw_only=True)
class Move:
    """CURRENT moved from one run (None: from nothing) to another, or was about to."""

    time: datetime.datetime
    from_run: str | None
    to_run: str
    why: str
    reason: str | None = None


def record_move(store: str, from_run: str | None, to_run: str, why: str, reason: str | None = None) -> None:
    """Appends a move of CURRENT, on disk when this returns. Runs are named `runs/<date>/<run id>`."""
    line = {
        "from": from_run,
        "time": datetime.datetime.now(datetime.UTC).isoformat(timespec="microseconds"),
        "to": to_run,
        "why": why,
        **({} if reason is None else {"reason": reason}),
    }
    path = Path(store, HISTORY_FILE)
    with storage.open_file(path, "a+b", buffering=0) as file:
        size = file.seek(0, os.SEEK_END)
        if size:
            file.seek(size - 1)
        torn = bool(size) and file.read(1) != b"\n"  # by a crash in the middle of an earlier line
        data = b"\n" * torn + (json.dumps(line, sort_keys=True) + "\n").encode()
        if file.write(data) != len(data):
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(path))
        storage.sync(file)


def moves(store: str) -> list[Move]:
    """All moves, oldest first. Lines that are torn or damaged are left out."""
    return [move for move in _read(store) if move is not None]


def was_rolled_back(store: str, run: str | os.PathLike[str]) -> bool:
    """Whether somebody took readers back from `run` and it has not been published since."""
    last = last_move_of(moves(store), run)
    return last is not None and last.from_run == name_of(run) and last.why == ROLLED_BACK


def last_move_of(history: list[Move], run: str | os.PathLike[str]) -> Move | None:
    """The last move from or to `run`."""
    return next((move for move in reversed(history) if name_of(run) in (move.from_run, move.to_run)), None)


def was_published(store: str, run: str | os.PathLike[str]) -> bool:
    """Whether readers may ever have seen `run`: no only if a history that begins with the store knows nothing of it."""
    history = moves(store)
    return not history or history[0].from_run is not None or last_move_of(history, run) is not None


def superseded_at(
    store: str, run: str | os.PathLike[str], now: datetime.datetime | None = None
) -> datetime.datetime | None:
    """When readers left `run` at the latest; None for the run that they see.

    A time that does not fit between its neighbours, as of a clock that went back, and that of a damaged line, which may
    have been any move, count as the next move's. Where the history is silent it is the time of CURRENT's last change:
    readers left the run then or before.
    """
    pointer, name = Path(store, "CURRENT"), name_of(run)
    if _text_of(pointer) == name:
        return None
    now = now or datetime.datetime.now(datetime.UTC)
    history = _read(store)
    latest = _latest_possible([None if move is None else move.time for move in history], now)
    left = []
    for place, move in enumerate(history):
        if move is None or move.from_run == name:
            left.append(latest[place])
        elif move.to_run == name:  # the next move left it, or shows that this one was only meant
            left += latest[place + 1 : place + 2]
    changed_s = storage.status(pointer).st_mtime if storage.has(pointer) else 0.0
    return max(left, default=datetime.datetime.fromtimestamp(changed_s, datetime.UTC))


def name_of(run: str | os.PathLike[str]) -> str:
    """
    >>> name_of("/srv/store/runs/2026-06-30/0123456789abcdef")
    'runs/2026-06-30/0123456789abcdef'
    """
    return "/".join(Path(run).parts[-3:])


def _latest_possible(times: list[datetime.datetime | None], now: datetime.datetime) -> list[datetime.datetime]:
    """For events in their true order, when each happened at the latest: its own time if that lies between those of the
    events around it, else (as for one without a time) that of the next.

    With hours for times and now = 9: [3, 7, 4, 12, 8] -> [3, 7, 8, 8, 8]  (4 is before 7, 12 is after now).
    """
    newest = datetime.datetime.min.replace(tzinfo=datetime.UTC)
    newest_before = []
    for time in times:
        newest_before.append(newest)
        newest = newest if time is None or time > now else max(newest, time)
    latest, bound = [], now
    for time, earlier in zip(reversed(times), reversed(newest_before), strict=True):
        bound = bound if time is None or not earlier <= time <= bound else time
        latest.append(bound)
    return latest[::-1]


def _read(store: str) -> list[Move | None]:
    """The lines in their order; None for one that is torn or damaged."""
    path = Path(store, HISTORY_FILE)
    data = storage.bytes_of(path) if storage.has(path) else b""
    return [_parse(line) for line in data.split(b"\n") if line.strip()]


def _parse(line: bytes) -> Move | None:
    try:
        values: dict[str, Any] = json.loads(line)
        time = datetime.datetime.fromisoformat(values["time"])
        from_run, to_run, why, reason = values["from"], values["to"], values["why"], values.get("reason")
        named = RUN_NAME.fullmatch(to_run) and (from_run is None or RUN_NAME.fullmatch(from_run))
    except (ValueError, KeyError, TypeError, AttributeError):
        return None
    if not named or time.tzinfo is None or not isinstance(why, str) or not isinstance(reason, str | None):
        return None
    return Move(time=time, from_run=from_run, to_run=to_run, why=why, reason=reason)


def _text_of(path: Path) -> str | None:
    return storage.text_of(path, errors="replace").strip() if storage.has_file(path) else None
