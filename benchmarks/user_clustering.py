"""Users/s of PinnerSage's clustering against scikit-learn's AgglomerativeClustering, in one process, warm, one BLAS
thread each, median of several passes; the labels must be the same.

    python -m benchmarks.user_clustering [--users 40] [--alpha 0.4] [--repeats 9]
    python -m benchmarks.user_clustering --embeddings RUN/embeddings --engagements engagements.parquet

Users are made: items of 256 dimensions around tastes of the user, some of them acted on again. With an embeddings
folder and an engagements file: its users of most actions on known items, the newest so many actions of each.
"""

import argparse
import statistics
import time
from collections.abc import Callable

import numpy as np
import pyarrow.compute as pc
import pyarrow.dataset as ds
from sklearn.cluster import AgglomerativeClustering
from threadpoolctl import threadpool_limits

from model.users import pinnersage
from schemas.files import expand_inputs
from schemas.hashing import seed_of
from schemas.records.embeddings import read_embeddings

NUM_ACTIONS = (50, 150, 500)
ACTIONS = ("click", "save", "add_to_cart", "checkout")
LABELS, WHOLE, THEIRS = "labels", "labels, medoids, sizes", "scikit-learn"

#: Vectors, item rows and times of one user's actions, in canonical order.
User = tuple[np.ndarray, np.ndarray, np.ndarray]


def user_of(vectors_ND: np.ndarray, item_rows_M: np.ndarray, times_us_M: np.ndarray) -> User:
    order = pinnersage.action_order(item_rows_M, times_us_M)
    return vectors_ND[item_rows_M[order]], item_rows_M[order], times_us_M[order]


def made_users(num_users: int, num_actions: int) -> list[User]:
    users = []
    for number in range(num_users):
        generator = np.random.default_rng(seed_of("user clustering", num_actions, number))
        tastes = generator.standard_normal((generator.integers(5, 40), 256))
        spread = generator.uniform(0.2, 0.8)
        items = tastes[generator.integers(len(tastes), size=num_actions)]
        items = items + spread * generator.standard_normal(items.shape)
        items /= np.linalg.norm(items, axis=1, keepdims=True)
        item_rows = generator.integers(num_actions, size=num_actions)
        users.append(user_of(items.astype(np.float32), item_rows, generator.integers(1 << 40, size=num_actions)))
    return users


def engaged_users(embeddings: str, engagements: str) -> list[User]:
    """All users with at least NUM_ACTIONS[0] actions on items with a vector; those of most actions first."""
    ids, vectors_ND = read_embeddings(embeddings)
    table = ds.dataset(expand_inputs(engagements)).to_table(
        columns=["user_id", "item_id", "timestamp"],
        filter=pc.field("action").isin(ACTIONS) & pc.field("user_id").is_valid() & pc.field("item_id").isin(ids),
    )
    rows = pc.index_in(table["item_id"], ids).to_numpy()
    times_us = pc.cast(table["timestamp"], "int64").to_numpy()
    users = pc.dictionary_encode(table["user_id"].combine_chunks()).indices.to_numpy()
    order = np.lexsort((times_us, users))
    parts = np.split(order, np.flatnonzero(np.diff(users[order])) + 1)
    parts = sorted((part for part in parts if len(part) >= NUM_ACTIONS[0]), key=len, reverse=True)
    return [(vectors_ND, rows[part], times_us[part]) for part in parts]


def newest(user: User, num_actions: int) -> User:
    vectors_ND, item_rows, times_us = user
    return user_of(vectors_ND, item_rows[-num_actions:], times_us[-num_actions:])


def numbered_by_first(labels_M: np.ndarray) -> list[int]:
    numbers: dict[int, int] = {}
    return [numbers.setdefault(label, len(numbers)) for label in labels_M.tolist()]


def median_seconds(calls: dict[str, Callable[[User], object]], users: list[User], repeats: int) -> dict[str, float]:
    """Median seconds of each call over all users. The calls take turns, so a slow spell of the machine meets all."""
    seconds: dict[str, list[float]] = {name: [] for name in calls}
    for repeat in range(repeats + 1):
        for name, call in calls.items():
            start = time.perf_counter()
            for user in users:
                call(user)
            if repeat:
                seconds[name].append(time.perf_counter() - start)
    return {name: statistics.median(values) for name, values in seconds.items()}


def labels(user: User, alpha: float) -> list[int]:
    return pinnersage.cut_ward(pinnersage.merge_tree(user[0]), alpha).tolist()


def scikit_learn(user: User, alpha: float) -> np.ndarray:
    ward = AgglomerativeClustering(n_clusters=None, distance_threshold=float(np.sqrt(alpha)), linkage="ward")
    return ward.fit_predict(user[0])


def compare(users: list[User], num_actions: int, alpha: float, repeats: int) -> None:
    num_clusters = []
    for number, user in enumerate(users):
        ours = labels(user, alpha)
        if ours != numbered_by_first(scikit_learn(user, alpha)):
            raise SystemExit(f"the labels of user {number} at {num_actions} actions differ from scikit-learn's")
        num_clusters.append(max(ours) + 1)
    calls: dict[str, Callable[[User], object]] = {
        THEIRS: lambda user: scikit_learn(user, alpha),
        LABELS: lambda user: labels(user, alpha),
        WHOLE: lambda user: pinnersage.cluster_actions(*user, alpha),
    }
    seconds = median_seconds(calls, users, repeats)
    print(f"{num_actions} actions, {len(users)} users, {statistics.median(num_clusters):.0f} clusters, labels the same")
    for name, value in seconds.items():
        print(f"  {name:24}{len(users) / value:9,.0f} users/s {seconds[THEIRS] / value:8.2f} x {THEIRS}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--users", type=int, default=40, help="users of each number of actions, at most")
    parser.add_argument("--alpha", type=float, default=0.4)
    parser.add_argument("--repeats", type=int, default=9)
    parser.add_argument("--embeddings", help="embeddings folder, with --engagements")
    parser.add_argument("--engagements", help="engagements file, with --embeddings")
    flags = parser.parse_args()
    if (flags.embeddings is None) != (flags.engagements is None):
        parser.error("expected --embeddings and --engagements together")
    engaged = engaged_users(flags.embeddings, flags.engagements) if flags.embeddings else None
    with threadpool_limits(1, "blas"):
        for num_actions in NUM_ACTIONS:
            if engaged is None:
                users = made_users(flags.users, num_actions)
            else:
                users = [newest(user, num_actions) for user in engaged[: flags.users] if len(user[1]) >= num_actions]
            if not users:
                print(f"{num_actions} actions: no user has as many")
                continue
            compare(users, num_actions, flags.alpha, flags.repeats)


if __name__ == "__main__":
    main()
