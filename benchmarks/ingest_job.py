"""The ingest job against DuckDB: a catalogue of many rows, in Parquet or CSV, into buckets sorted by id.

    python -m benchmarks.ingest_job --catalog FILE [--rows 1000000] [--format csv] [--rounds 3]

The catalogue is that of FILE (Parquet), repeated under ids and titles of their own up to --rows, its descriptions cut
so that a row has --bytes on average. Both write the same items into the same number of files on two threads or
workers, each in a process of its own. DuckDB keeps one row of an id and sorts; it validates, cleans, counts and
quarantines nothing, which is what the difference pays for. Prints seconds, the ratio, and the job's largest memory.
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
    if manifest["counts"]["rows_written"] != manifest["counts"]["rows_read"]:
        raise ValueError(f"expected every row written, got {manifest['counts']}")


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
    arguments = parser.parse_args(argv)
    with tempfile.TemporaryDirectory() as folder:
        catalog = Path(folder, f"catalog.{arguments.format}")
        table = repeated(pq.read_table(arguments.catalog), arguments.rows, arguments.bytes)
        mean_bytes = table.nbytes / len(table)
        write_catalog(table, catalog)
        del table
        num_files = ingest.choose_num_buckets(arguments.rows)
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


if __name__ == "__main__":
    sys.exit(main())
