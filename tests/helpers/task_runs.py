"""A run with sources and a log that tells of its items, for the tasks of One Embedding To Do Them All.

240 items of three colours, two a family; sessions click two of a colour and buy one of them and a third; what is red
comes back mostly. Sources learn from days 0-39.
"""

import datetime as dt
import random
from pathlib import Path

from run_builder import RunBuilder
from source_runs import session_row, write_rows

from pipelines.sources import job as sources
from schemas.tables import ITEMS, TEXT_FIELDS

NUM, COLOURS = 240, ("red", "green", "blue")
ITEM_IDS = [f"item-{number:03d}" for number in range(NUM)]
#: Day 0 is 2026-06-01.
SOURCES_END, SPLIT, LAST_DAY = 40, 70, 110


def date_of(day: int) -> str:
    return (dt.date(2026, 6, 1) + dt.timedelta(days=day)).isoformat()


def colour_of(number: int) -> str:
    return COLOURS[number // 2 % 3]


def item_rows() -> list[dict]:
    """Two items of one title are a family; every tenth has no attribute."""
    rows = []
    for number, item_id in enumerate(ITEM_IDS):
        attributes = (
            {} if number % 10 == 0 else {"colors": colour_of(number), "brand": ("Acme", "Bex")[number // 60 % 2]}
        )
        title = f"thing {number // 2}" + (f" in {colour_of(number)}" if number % 3 == 0 else "")
        rows.append({"item_id": item_id, **dict.fromkeys(TEXT_FIELDS), "title": title, "images": [], **attributes})
    return rows


def log_rows(with_returns: bool = True) -> list[dict]:
    """Items of number 200 and above are not seen before day SPLIT."""
    chance = random.Random(0)
    rows = []
    for number in range(LAST_DAY * 5):
        day, session, user = number / 5, f"s{number:04d}", f"u{number % 40:02d}"
        colour = COLOURS[chance.randrange(3)]
        known = [row for row in range(NUM if day >= SPLIT else 200) if colour_of(row) == colour]
        one, two, three = (ITEM_IDS[row] for row in chance.sample(known, 3))
        acts = [(one, "click"), (two, "click"), (two, "add_to_cart"), (two, "checkout"), (three, "checkout")]
        rows += [session_row(day * 24 + place / 60, session, user, item, act) for place, (item, act) in enumerate(acts)]
        if with_returns and colour == "red" and chance.random() < 0.7:
            rows.append(session_row(day * 24 + 72, session, user, three, "return"))
    return rows


def make_run(
    folder: Path, with_sources: str = "prod2vec,prodsi2vec,bpr", with_returns: bool = True
) -> tuple[Path, Path]:
    """(the run with its sources, the log)."""
    run = RunBuilder(folder / "run").items(item_rows(), ITEMS, 3).run
    log = write_rows(folder / "log", log_rows(with_returns), 2)
    small = ("--dim", "16", "--min-count", "2", "--date", date_of(SOURCES_END - 1))
    call = ["--run", str(run), "--engagements", str(log), "--sources", with_sources, *small]
    assert sources.main(call) == 0
    return run, log
