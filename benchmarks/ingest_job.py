"""The ingest job against DuckDB: a catalogue of many rows, in Parquet or CSV, into buckets sorted by id.

    python -m benchmarks.ingest_job --catalog FILE [--rows 1000000] [--format csv] [--rounds 3]
    python -m benchmarks.ingest_job --catalog FILE --bad .5 [--repeated .5]

The catalogue is that of FILE (Parquet), repeated under ids and titles of their own up to --rows, its descriptions cut
so that a row has --bytes on average. Both write the same items into the same number of files on two threads or
workers, each in a process of its own. DuckDB keeps one row of an id and sorts; it validates, cleans, counts and
quarantines nothing, which is what the difference pays for. Prints seconds, the ratio, and the job's largest memory.

With --bad or --repeated the job is held against itself: as many rows, of which that share has no id, and that share is
there a second time.
"""

import argparse
import contextlib
import io
import multiprocessing
import resource
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import duckdb
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv as pa_csv
import pyarrow.parquet as pq

from pipelines.console.jobs import beam_options
from pipelines.ingest import job as ingest

_THREADS = 2


def repeated(source: pa.Table, num_rows: int, row_bytes: int) -> pa.Table:
    """item_id, title, description, brand of the source until there are num_rows, each under an id of its own."""
    texts = source.select(["title", "description", "brand"])
    short = pc.utf8_length(pc.fill_null(texts["title"], "")).to_numpy() + len("item-0000000") + 10
    room = max(0, row_bytes - int(short.mean()))
    # The cut that gives the mean: descriptions shorter than it stay.
    lengths = pc.utf8_length(pc.fill_null(texts["description"], "")).to_numpy()
    cut = next((cut for cut in range(room, 20 * room, 10) if lengths.clip(max=cut).mean() >= room), 20 * room)
    texts = texts.set_column(1, "description", pc.utf8_slice_codeunits(texts["description"], 0, cut))
    parts = []
    for start in range(0, num_rows, len(texts)):
        part = texts.slice(0, min(len(texts), num_rows - start))
        numbers = pa.array(range(start, start + len(part)))
        ids = pc.binary_join_element_wise("item", pc.utf8_lpad(numbers.cast(pa.string()), 7, "0"), "-")
        titles = pc.binary_join_element_wise(part["title"], numbers.cast(pa.string()), " ")
        parts.append(part.set_column(0, "title", titles).add_column(0, "item_id", ids))
    return pa.concat_tables(parts)


def spoilt(table: pa.Table, bad: float, again: float) -> pa.Table:
    """As many rows: the last share `again` are the first ones again, the share `bad` before them have no id."""
    num_again, num_bad = (int(len(table) * share) for share in (again, bad))
    num_good = len(table) - num_again - num_bad
    without_id = table.slice(num_good, num_bad).set_column(0, "item_id", pa.nulls(num_bad, pa.string()))
    return pa.concat_tables([table.slice(0, num_good), without_id, table.slice(0, num_again)])


def write_catalog(table: pa.Table, path: Path) -> None:
    if path.suffix == ".csv":
        pa_csv.write_csv(table, path)
    else:
        pq.write_table(table, path, row_group_size=100_000)


def by_duckdb(catalog: str, out: str, num_files: int) -> None:
    """What a script of three lines does: one row an id, hashed into files, sorted by id."""
    read = "read_csv" if catalog.endswith(".csv") else "read_parquet"
    options = ", header = true, quote = '\"'" if catalog.endswith(".csv") else ""
    connection = duckdb.connect()
    connection.execute(f"SET threads = {_THREADS}; SET enable_progress_bar = false")
    connection.execute(
        f"COPY (SELECT DISTINCT ON (item_id) *, hash(item_id) % {num_files} AS bucket "
        f"FROM {read}('{catalog}'{options}) "
        f"ORDER BY bucket, item_id) TO '{out}' (FORMAT parquet, PARTITION_BY (bucket))"
    )


def by_job(catalog: str, out: str, num_files: int) -> None:
    with contextlib.redirect_stdout(io.StringIO()):
        config = ingest.IngestConfig(run=out, catalog=catalog, num_buckets=num_files)
        manifest = ingest.run(config, beam_options([]))
    counts = manifest["counts"]
    num_out = sum(counts[name] for name in ("rows_written", "rows_collapsed", "rows_quarantined"))
    if num_out != counts["rows_read"]:
        raise ValueError(f"expected every row written, collapsed or quarantined, got {counts}")


def _measured(function: Callable[[str, str, int], None], arguments: tuple[str, str, int], results: object) -> None:
    started_s = time.perf_counter()
    function(*arguments)
    seconds = time.perf_counter() - started_s
    peak_kib = max(resource.getrusage(who).ru_maxrss for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
    results.put((seconds, peak_kib / 2**20))  # type: ignore[attr-defined]


def measured(function: Callable[[str, str, int], None], catalog: Path, num_files: int) -> tuple[float, float]:
    """(seconds, largest GiB of a process) of the function in a fresh process and an empty folder."""
    context = multiprocessing.get_context("spawn")
    with tempfile.TemporaryDirectory(dir=catalog.parent) as out:
        results = context.Queue()
        process = context.Process(target=_measured, args=(function, (str(catalog), f"{out}/run", num_files), results))
        process.start()
        process.join()
        if process.exitcode != 0:
            raise RuntimeError(f"{function.__name__} ended with exit code {process.exitcode}")
        seconds, gib = results.get()
        return seconds, gib


def main(argv: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n\n")[0])
    parser.add_argument("--catalog", required=True, help="Parquet with title, description, brand")
    parser.add_argument("--rows", type=int, default=1_000_000)
    parser.add_argument("--bytes", type=int, default=500)
    parser.add_argument("--format", choices=("parquet", "csv"), default="parquet")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--bad", type=float, default=0.0, help="share of rows without an id")
    parser.add_argument("--repeated", type=float, default=0.0, help="share of rows that are there before, at most .5")
    arguments = parser.parse_args(argv)
    bad, again = arguments.bad, arguments.repeated
    if not (0 <= bad < 1 and again >= 0 and bad + 2 * again <= 1):
        parser.error("expected --bad below 1 and --bad + 2 x --repeated at most 1: what is repeated has an id")
    with tempfile.TemporaryDirectory() as folder:
        catalog = Path(folder, f"catalog.{arguments.format}")
        table = repeated(pq.read_table(arguments.catalog), arguments.rows, arguments.bytes)
        mean_bytes = table.nbytes / len(table)
        write_catalog(table, catalog)
        num_files = ingest.choose_num_buckets(arguments.rows)
        if bad or again:
            other = Path(folder, f"spoilt.{arguments.format}")
            write_catalog(spoilt(table, bad, again), other)
            del table
            return _against_itself(catalog, other, num_files, arguments)
        del table
        rounds = [
            (measured(by_duckdb, catalog, num_files), measured(by_job, catalog, num_files))
            for _ in range(arguments.rounds)
        ]
    duckdb_s, job_s = (statistics.median(pair[side][0] for pair in rounds) for side in (0, 1))
    duckdb_gib, job_gib = (max(pair[side][1] for pair in rounds) for side in (0, 1))
    print(
        f"{arguments.rows:,} rows of {mean_bytes:.0f} bytes, {arguments.format}, {num_files} files: "
        f"DuckDB {duckdb_s:.1f} s "
        f"({duckdb_gib:.1f} GiB), ingest {job_s:.1f} s ({job_gib:.1f} GiB), ratio {job_s / duckdb_s:.1f}"
    )
    return 0


def _against_itself(catalog: Path, other: Path, num_files: int, arguments: argparse.Namespace) -> int:
    rounds = [[measured(by_job, path, num_files) for path in (catalog, other)] for _ in range(arguments.rounds)]
    (good_s, other_s), (good_gib, other_gib) = (
        (statistics.median(pair[side][0] for pair in rounds) for side in (0, 1)),
        (max(pair[side][1] for pair in rounds) for side in (0, 1)),
    )
    print(
        f"{arguments.rows:,} rows, {arguments.format}, {num_files} files: good {good_s:.1f} s ({good_gib:.1f} GiB), "
        f"{arguments.bad:.0%} bad and {arguments.repeated:.0%} repeated {other_s:.1f} s ({other_gib:.1f} GiB), "
        f"ratio {other_s / good_s:.2f}"
    )
    return 0


if __name__ == "__main__":
    sys.exit(main())
