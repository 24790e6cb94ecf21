"""Milliseconds a recommendation from the published run of a store, for real users of it.

    python benchmarks/recommend.py --store store --requests 1000

The index is warm: a first round of other users has read it and the titles. "cold": no user and no medoid was asked for
before. "warm": the same requests again. "uncached": every cache is emptied before every request. Some rounds have
recent items, drawn from those that another user acted on. "heaviest": the users with the most actions.
Wall clock and processor time: the latter is what counts on a machine that others use.
"""

import argparse
import cProfile
import os
import pstats
import time
from collections.abc import Sequence

import numpy as np
import pyarrow.compute as pc
import pyarrow.dataset as ds

from pipelines.serving.recommendation_types import Settings
from pipelines.serving.recommender import Recommender
from schemas.hashing import seed_of
from schemas.records.user_rows import USER_ACTIONS_FOLDER

Request = tuple[str, list[str]]


def heaviest(recommender: Recommender, count: int) -> list[Request]:
    """The users with the most actions, without recent items."""
    table = ds.dataset(recommender.run / USER_ACTIONS_FOLDER).to_table(columns=["user_id", "actions"])
    num_actions = pc.list_value_length(table["actions"]).to_numpy()
    order = np.argsort(-num_actions, kind="stable")[:count]
    print(f"heaviest: {len(order):,} users of {num_actions[order[-1]]:,} to {num_actions[order[0]]:,} actions")
    return [(user, []) for user in table["user_id"].take(order).to_pylist()]


def requests_of(recommender: Recommender, count: int, num_recent: int) -> list[Request]:
    """Random users, each at most once, with random items of another's actions."""
    table = ds.dataset(recommender.run / USER_ACTIONS_FOLDER).to_table(columns=["user_id", "actions"])
    generator = np.random.default_rng(seed_of("recommend benchmark"))
    users = table["user_id"].to_pylist()
    found = []
    for place in generator.permutation(len(users))[:count]:
        recent: list[str] = []
        if num_recent:
            other = pc.struct_field(table["actions"][int(generator.integers(len(users)))].values, "item_id").to_pylist()
            recent = [other[n] for n in generator.integers(len(other), size=num_recent)]
        found.append((users[place], recent))
    return found


def milliseconds(
    recommender: Recommender, requests: Sequence[Request], settings: Settings, uncached: bool = False
) -> tuple[np.ndarray, list[int]]:
    """Of each request (wall clock, processor), and how many candidates it got."""
    times_ms, counts = [], []
    for user, recent in requests:
        if uncached:
            recommender.forget()
        started_s, started_cpu_s = time.perf_counter(), time.process_time()
        answer = recommender.recommend(user, recent, settings)
        used_s = time.perf_counter() - started_s, time.process_time() - started_cpu_s
        times_ms.append(np.array(used_s) * 1e3)
        counts.append(len(answer.candidates))
    return np.array(times_ms), counts


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--store", required=True)
    parser.add_argument("--requests", type=int, default=1_000)
    parser.add_argument("--heaviest", type=int, default=200, help="users in the rounds of the heaviest")
    parser.add_argument("--recent", type=int, default=20, help="recent items a request, in the rounds that have some")
    parser.add_argument("--top", type=int, default=400)
    parser.add_argument("--samples", type=int, default=3)
    parser.add_argument("--popularity-weight", type=float, default=0.1, help="in the rounds that have one")
    parser.add_argument("--profile", action=argparse.BooleanOptionalAction, default=False)
    arguments = parser.parse_args()
    started_s = time.perf_counter()
    recommender = Recommender(arguments.store)
    num_items = recommender.index.num_items
    print(f"{num_items:,} items, {os.cpu_count()} cores; opened in {time.perf_counter() - started_s:.2f} s")
    for num_recent, weight in ((0, 0.0), (arguments.recent, 0.0), (0, arguments.popularity_weight)):
        settings = Settings(top=arguments.top, samples=arguments.samples, popularity_weight=weight)
        requests = requests_of(recommender, arguments.requests + 100, num_recent)
        milliseconds(recommender, requests[arguments.requests :], settings)
        name = f"recent {num_recent:>2}, popularity {weight:.2f}"
        measure(recommender, requests[: arguments.requests], settings, name, arguments.profile)
    settings = Settings(top=arguments.top, samples=arguments.samples)
    measure(recommender, heaviest(recommender, arguments.heaviest), settings, "heaviest", arguments.profile)


def measure(
    recommender: Recommender, requests: Sequence[Request], settings: Settings, name: str, profiled: bool
) -> None:
    """Prints what the requests take in each state of the caches."""
    for state in ("cold", "warm", "uncached"):
        if state == "cold":
            recommender.forget()
        profile = cProfile.Profile()
        if profiled:
            profile.enable()
        times_ms, counts = milliseconds(recommender, requests, settings, uncached=state == "uncached")
        profile.disable()
        (median, cpu_median), (p95, cpu_p95) = np.percentile(times_ms, [50, 95], axis=0)
        print(
            f"{name}, {state}: median {median:.2f} ms, p95 {p95:.2f} ms, of processor {cpu_median:.2f}, {cpu_p95:.2f}; "
            f"{np.mean(counts):.1f} candidates (least {min(counts)})"
        )
        if profiled:
            pstats.Stats(profile).sort_stats("tottime").print_stats(18)


if __name__ == "__main__":
    main()
