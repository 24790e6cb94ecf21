"""Small logs and item vectors for tests of the users job, and the users that they make, computed the plain way."""

import datetime as dt
import random
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from run_builder import RunBuilder

from model.users.pinnersage import cluster_actions, importances
from pipelines.users import job as users
from schemas.hashing import seed_of
from schemas.records.embeddings import embeddings_metadata, write_embeddings_file
from schemas.records.user_rows import POPULARITY_FOLDER, USER_ACTIONS_FOLDER, USERS_FOLDER
from schemas.records.users import read_users
from schemas.tables import ENGAGEMENTS

MODEL_ID = "itemsage-0123456789ab"
DATE = "2026-06-30"
NOW = dt.datetime(2026, 7, 1, tzinfo=dt.UTC)
DAY = dt.timedelta(days=1)
ITEM_IDS = [f"item-{number:03d}" for number in range(60)]
FOLDERS = (USERS_FOLDER, USER_ACTIONS_FOLDER, POPULARITY_FOLDER)
Row = dict[str, Any]


def vector_of(item_id: str, dim: int = 16, version: int = 0) -> np.ndarray:
    """float32 unit vector, near those of the other items of its number's tens."""
    centre = np.random.default_rng(seed_of("centre", item_id[:6], dim)).standard_normal(dim)
    own = np.random.default_rng(seed_of("own", item_id, version)).standard_normal(dim)
    vector = centre / np.linalg.norm(centre) + 0.4 * own / np.linalg.norm(own)
    return (vector / np.linalg.norm(vector)).astype(np.float32)


def vectors_of(item_ids: Sequence[str] = ITEM_IDS, dim: int = 16) -> dict[str, np.ndarray]:
    return {item_id: vector_of(item_id, dim) for item_id in item_ids}


def write_vectors(path: Path, vectors: Mapping[str, np.ndarray], model_id: str = MODEL_ID) -> Path:
    """One embeddings file."""
    ids, matrix = sorted(vectors), np.stack([vectors[name] for name in sorted(vectors)])
    write_embeddings_file(path, ids, matrix, embeddings_metadata(model_id, matrix.shape[1]))
    return path


def finish_embeddings(run: Path, vectors: Mapping[str, np.ndarray], model_id: str = MODEL_ID) -> None:
    """The embeddings stage of a run, as it leaves them."""
    RunBuilder(run, model_id).embeddings(sorted(vectors), np.stack([vectors[name] for name in sorted(vectors)]))


def row(user: str | None, item: str, age_days: float = 1, action: str = "click", surface: str = "home") -> Row:
    """An engagement so many days before the end of the day."""
    return {
        "timestamp": NOW - age_days * DAY,
        "user_id": user,
        "session_id": None,
        "surface": surface,
        "query": "shoe" if surface == "search" else None,
        "item_id": item,
        "action": action,
    }


def random_rows(num_rows: int = 1500, num_users: int = 25, seed: int = 0, oldest_days: float = 120) -> list[Row]:
    """Rows of every kind: unknown items, no user, every action, too old, in the future."""
    chance = random.Random(seed)
    names = [*(f"user {number}" for number in range(num_users)), None]
    return [
        row(
            chance.choice(names),
            chance.choice([*ITEM_IDS, "gone-1", "gone-2"]),
            round(chance.uniform(-3, oldest_days), 6),
            chance.choice(["click", "click", "save", "add_to_cart", "checkout", "impression", "return"]),
            chance.choice(["home", "search"]),
        )
        for _ in range(num_rows)
    ]


def write_log(path: Path, rows: Sequence[Row], num_files: int = 1) -> Path:
    """A folder of Parquet files, several row groups each."""
    path.mkdir(parents=True, exist_ok=True)
    for number in range(num_files):
        part = pa.Table.from_pylist(list(rows[number::num_files]), schema=ENGAGEMENTS)
        pq.write_table(part, path / f"part-{number}.parquet", row_group_size=max(len(part) // 3, 1))
    return path


def run_users(run: Path, vectors: Path | None, log: Path, *flags: str, alpha: str | None = "1.0") -> int:
    """Exit code of the job through its command line. alpha: that of plain_users; None: not given."""
    embeddings = [] if vectors is None else ["--embeddings", str(vectors)]
    argv = ["--run", str(run), "--engagements", str(log), "--date", DATE, *embeddings]
    if alpha is not None and "--alpha" not in flags:
        argv += ["--alpha", alpha]
    return users.main([*argv, *flags])


def data_of(run: Path) -> dict[str, bytes]:
    """Path -> bytes of all files that readers read, but for those of buckets' popularity."""
    files = [path for folder in FOLDERS for path in (run / folder).glob("*") if path.is_file()]
    return {path.relative_to(run).as_posix(): path.read_bytes() for path in files}


def users_of(run: Path) -> dict[str, dict[str, Any]]:
    """user -> what users/ has: clusters as (medoid, size, last action, importance), counts."""
    found = {}
    for path in sorted((run / USERS_FOLDER).glob("*.parquet")):
        rows, _ = read_users(path)
        names = rows.medoid_ids.to_pylist()
        for number, user in enumerate(rows.ids.to_pylist()):
            clusters = range(rows.cluster_offsets[number], rows.cluster_offsets[number + 1])
            found[user] = {
                "clusters": [
                    (names[c], int(rows.size_C[c]), int(rows.last_us_C[c]), float(rows.importance_C[c]))
                    for c in clusters
                ],
                "vectors": rows.medoids_CD[list(clusters)],
                "counts": (int(rows.used_U[number]), int(rows.skipped_U[number]), int(rows.over_cap_U[number])),
            }
    return found


def plain_users(
    rows: Sequence[Row],
    vectors: Mapping[str, np.ndarray],
    *,
    alpha: float = 1.0,
    cap: int = 2000,
    window_days: int = 90,
) -> dict[str, dict[str, Any]]:
    """What users_of should find, row by row."""
    now_us, kinds = us(NOW), {"click", "save", "add_to_cart", "checkout"}
    of_user: dict[str, list[tuple[str, int]]] = {}
    for one in rows:
        time_us = us(one["timestamp"])
        in_window = now_us - window_days * us_per_day() <= time_us < now_us
        if one["user_id"] and one["action"] in kinds and in_window:
            of_user.setdefault(one["user_id"], []).append((one["item_id"], time_us))
    item_rows = {name: number for number, name in enumerate(sorted(vectors))}
    expected = {}
    for user, actions in of_user.items():
        known = sorted((action for action in actions if action[0] in vectors), key=lambda a: (-a[1], a[0]))
        used = sorted(known[:cap])
        if not used:
            continue
        names, times = [name for name, _ in used], np.array([time_us for _, time_us in used])
        numbers = np.array([item_rows[name] for name in names])
        found = cluster_actions(np.stack([vectors[name] for name in names]), numbers, times, alpha)
        importance = importances(found.labels_M, times, now_us, 0.01)
        clusters = [
            (names[found.medoid_C[c]], int(found.size_C[c]), int(found.last_us_C[c]), float(importance[c]))
            for c in range(len(found.medoid_C))
        ]
        clusters.sort(key=lambda cluster: (-cluster[3], cluster[0]))
        expected[user] = {
            "clusters": clusters,
            "vectors": np.stack([vectors[name] for name, *_ in clusters]),
            "counts": (len(used), len(actions) - len(known), len(known) - len(used)),
        }
    return expected


def us(moment: dt.datetime) -> int:
    return round((moment - dt.datetime(1970, 1, 1, tzinfo=dt.UTC)) / dt.timedelta(microseconds=1))


def us_per_day() -> int:
    return 86_400_000_000
