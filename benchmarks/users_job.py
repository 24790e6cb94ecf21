"""The users job against a bare loop of the same clustering, on one log and one embeddings folder.

    python -m pipelines.convert_complete_journey --out cj          # and a daily run over it, for the embeddings
    python benchmarks/users_job.py --data cj --embeddings store/runs/2017-11-30/*/embeddings --date 2017-11-30
    python benchmarks/users_job.py ... --repeats 0 --busy-user 200000       # the job alone, for its peak memory

The loop reads both with pyarrow, keeps the window, groups by user, clusters, weighs and writes one Parquet file. It
validates, counts, hashes, seals and shuffles nothing. Both run in one process, warm, in turn, with one BLAS thread;
prints medians. Bar: job >= 0.7 x bare loop.
"""

import argparse
import contextlib
import io
import resource
import statistics
import tempfile
import time
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from model.machine.blas_threads import one_blas_thread
from model.users.pinnersage import US_PER_DAY, action_order, cluster_actions, importances
from pipelines.console.jobs import beam_options
from pipelines.users import job as users
from pipelines.users.alpha import DEFAULT_ALPHA
from schemas.records.embeddings import read_embeddings
from schemas.records.user_rows import UserRows
from schemas.records.users import write_users
from schemas.tables import POSITIVE_ACTIONS


def bare_loop(engagements: Path, embeddings: str, now_us: int, out: Path) -> int:
    """Number of users written."""
    ids, matrix_ND = read_embeddings(embeddings)
    log = pq.read_table(engagements, columns=["timestamp", "user_id", "item_id", "action"])
    times_us = log["timestamp"].cast(pa.int64())
    in_window = pc.and_(pc.less(times_us, now_us), pc.greater_equal(times_us, now_us - 90 * US_PER_DAY))
    log = log.filter(pc.and_(in_window, pc.is_in(log["action"], pa.array(POSITIVE_ACTIONS))))
    item_rows = pc.fill_null(pc.index_in(log["item_id"], value_set=ids), -1).to_numpy()
    users_of_rows = log["user_id"].combine_chunks().dictionary_encode()
    codes, times = users_of_rows.indices.to_numpy(), log["timestamp"].cast(pa.int64()).to_numpy()
    by_user = np.argsort(codes, kind="stable")
    by_user = by_user[item_rows[by_user] >= 0]
    starts = np.flatnonzero(np.diff(codes[by_user], prepend=-1))
    found = []
    for mine in np.split(by_user, starts[1:]):
        mine = mine[np.argsort(-times[mine], kind="stable")[:2000]]
        mine = mine[action_order(item_rows[mine], times[mine])]
        clusters = cluster_actions(matrix_ND[item_rows[mine]], item_rows[mine], times[mine], DEFAULT_ALPHA)
        importance_C = importances(clusters.labels_M, times[mine], now_us, 0.01)
        order = np.argsort(-importance_C, kind="stable")
        medoids = item_rows[mine[clusters.medoid_C[order]]]
        found.append((medoids, importance_C[order], clusters.size_C[order], clusters.last_us_C[order], len(mine)))
    medoids_C, importance_C, size_C, last_us_C = (np.concatenate([user[part] for user in found]) for part in range(4))
    zeros_U = np.zeros(len(found), np.int32)
    rows = UserRows(
        ids=users_of_rows.dictionary.take(pa.array(codes[by_user[starts]])),
        cluster_offsets=np.cumsum([0, *(len(user[0]) for user in found)]),
        medoid_ids=ids.take(pa.array(medoids_C)),
        medoids_CD=matrix_ND[medoids_C],
        importance_C=importance_C,
        size_C=size_C,
        last_us_C=last_us_C,
        used_U=np.array([user[4] for user in found], np.int32),
        skipped_U=zeros_U,
        over_cap_U=zeros_U,
    )
    write_users(out, rows, "benchmark")
    return len(found)


def with_busy_user(engagements: Path, num_actions: int, now_us: int, folder: Path) -> Path:
    """The log, and one more user with so many actions in the last 90 days on the log's items."""
    table = pq.read_table(engagements)
    random = np.random.default_rng(0)
    rows = table.take(pa.array(random.integers(0, len(table), num_actions)))
    times_us = now_us - random.integers(1, 90 * US_PER_DAY, num_actions)
    columns = {"timestamp": pa.array(times_us).cast(table.schema.field("timestamp").type)}
    columns["user_id"] = pa.array(["busy"] * num_actions)
    arrays = [columns.get(name, rows[name]) for name in table.schema.names]
    path = folder / "engagements.parquet"
    pq.write_table(pa.concat_tables([table, pa.table(arrays, schema=table.schema)]), path)
    return path


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, default=Path("cj"), help="folder with engagements.parquet")
    parser.add_argument("--embeddings", required=True)
    parser.add_argument("--date", default="2017-11-30")
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--busy-user", type=int, default=0, help="actions of one more user")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as scratch, contextlib.ExitStack() as stack:
        engagements = arguments.data / "engagements.parquet"
        common = {"engagements": str(engagements), "embeddings": arguments.embeddings, "date": arguments.date}
        now_us = users.UsersConfig(run="", **common).now_us
        if arguments.busy_user:
            common["engagements"] = str(with_busy_user(engagements, arguments.busy_user, now_us, Path(scratch)))
        stack.enter_context(one_blas_thread())

        def job(number: int) -> int:
            config = users.UsersConfig(run=f"{scratch}/run-{number}", alpha=DEFAULT_ALPHA, **common)
            with contextlib.redirect_stdout(io.StringIO()):
                return int(users.run(config, beam_options([]))["counts"]["users_written"])

        seconds: dict[str, list[float]] = {"users job": [], "bare loop": []}
        cpu_s: dict[str, list[float]] = {name: [] for name in seconds}
        for repeat in range(arguments.repeats + 1):
            for name in seconds if arguments.repeats else ["users job"]:
                started_s, started_cpu_s = time.perf_counter(), time.process_time()
                if name == "users job":
                    num_users = job(repeat)
                else:
                    path = Path(common["engagements"])
                    num_users = bare_loop(path, arguments.embeddings, now_us, Path(scratch, "users.parquet"))
                if repeat or not arguments.repeats:  # the first is the warm-up
                    seconds[name].append(time.perf_counter() - started_s)
                    cpu_s[name].append(time.process_time() - started_cpu_s)
    for name, values in seconds.items():
        if values:
            median_s, median_cpu_s = statistics.median(values), statistics.median(cpu_s[name])
            rate = num_users / median_s
            print(f"{name}: {num_users:,} users in {median_s:.2f} s, {rate:,.0f}/s; CPU {median_cpu_s:.2f} s")
    if arguments.repeats:
        ratio, of_cpu = (
            statistics.median(bare / mine for mine, bare in zip(*values.values(), strict=True))
            for values in (seconds, cpu_s)
        )
        print(f"users job / bare loop: {ratio:.2f} (of CPU time {of_cpu:.2f})   (bar: >= 0.7)")
    peak_gb = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6
    print(f"peak memory of the process: {peak_gb:.2f} GB")


if __name__ == "__main__":
    main()
