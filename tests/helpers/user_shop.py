"""A shop for evaluating users, where the right alpha and the order of methods are known by construction.

Twelve groups of 130 near items, orthogonal to each other, in four teams of three groups; 450 items in the middle of
each team. Every user has one team, and acts every day on one item of each of its groups:
- three medoids, one a group, bring 133 items each: the three groups, so recall is 1;
- one medoid or the last item brings its own group and what is near, a third;
- an average lies in the middle of the team and brings the items there, which nobody wants.
Within a group merges cost below 1, groups of 8 and more actions more than 8.
"""

import datetime as dt
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from users_runs import finish_embeddings

from schemas.tables import ENGAGEMENTS

FIRST_DAY, HISTORY_DAYS, EVALUATED_DAYS = dt.datetime(2026, 6, 1, 9, tzinfo=dt.UTC), 10, 3
#: The first and the last evaluated day.
FROM, TO = "2026-06-11", "2026-06-13"
NUM_TEAMS, GROUPS_A_TEAM, GROUP_SIZE, NUM_MIDDLE, USERS_A_TEAM, DIM = 4, 3, 130, 450, 5, 32
#: Of a group, those that anybody acts on.
NUM_WANTED = 10


def make_shop(folder: Path, impressions: bool = False) -> tuple[Path, Path]:
    """(run with item vectors, engagements)."""
    generator, shown = np.random.default_rng(0), np.random.default_rng(1)
    axes = np.eye(DIM)
    vectors, rows = {}, []
    for team in range(NUM_TEAMS):
        own = axes[team * GROUPS_A_TEAM : (team + 1) * GROUPS_A_TEAM]
        for group, axis in enumerate(own):
            for number in range(GROUP_SIZE):
                vectors[_item(team, group, number)] = _near(axis, 0.25, generator)
        for number in range(NUM_MIDDLE):
            vectors[f"middle-{team}-{number:03d}"] = _near(own.sum(axis=0) / GROUPS_A_TEAM**0.5, 0.25, generator)
        for user in range(USERS_A_TEAM):
            for day in range(HISTORY_DAYS + EVALUATED_DAYS):
                for group in range(GROUPS_A_TEAM):
                    time = FIRST_DAY + dt.timedelta(days=day, minutes=int(generator.integers(600)))
                    item = _item(team, group, int(generator.integers(NUM_WANTED)))
                    rows.append(_row(time, f"user-{team}-{user}", item, "click"))
                    if impressions:
                        other = _item((team + 1) % NUM_TEAMS, group, int(shown.integers(GROUP_SIZE)))
                        rows.append(_row(time, f"user-{team}-{user}", other, "impression"))
    run, engagements = folder / "run", folder / "log.parquet"
    finish_embeddings(run, vectors)
    pq.write_table(pa.Table.from_pylist(rows, schema=ENGAGEMENTS), engagements)
    return run, engagements


def _item(team: int, group: int, number: int) -> str:
    return f"item-{team}-{group}-{number:03d}"


def _near(centre: np.ndarray, distance: float, generator: np.random.Generator) -> np.ndarray:
    noise = generator.standard_normal(DIM)
    vector = centre + distance * noise / np.linalg.norm(noise)
    return (vector / np.linalg.norm(vector)).astype(np.float32)


def _row(time: dt.datetime, user: str, item: str, action: str) -> dict[str, object]:
    rest = {"session_id": None, "surface": "home", "query": None}
    return {"timestamp": time, "user_id": user, "item_id": item, "action": action, **rest}
