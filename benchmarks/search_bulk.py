"""Bulk text search over a published run: queries a second from a line of JSON in to a line of JSON out.

    python benchmarks/search_bulk.py --store demo/store --queries 5000
    python benchmarks/search_bulk.py --store store --queries 5000 --engagements engagements.parquet

Queries are the search queries of an engagements file, or some words, in another order, of the titles of the run's own
items. The first of the rounds warms up (model, titles, the vocabulary's memory of words) and is not counted; "cold" is
that round with the opening of the store. Also prints how the time splits.
"""

import argparse
import contextlib
import itertools
import json
import statistics
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pyarrow.compute as pc
import pyarrow.dataset as ds

from pipelines.search import answer_lines
from pipelines.serving.searcher import Searcher
from schemas.files import expand_inputs
from schemas.hashing import seed_of


def shuffled_titles(run: Path, most_words: int) -> Iterator[str]:
    """Endless: up to `most_words` words of a random title, in random order."""
    titles = ds.dataset(run / "items").to_table(columns=["title"])["title"].drop_null().to_pylist()
    generator = np.random.default_rng(seed_of("search bulk"))
    while True:
        words = titles[generator.integers(len(titles))].split()
        yield " ".join(generator.permutation(words)[:most_words])


def engaged_queries(engagements: str) -> Iterator[str]:
    """Endless: the file's distinct search queries over and over, in random order."""
    table = ds.dataset(expand_inputs(engagements)).to_table(columns=["surface", "query"])
    queries = pc.unique(table.filter(pc.field("surface") == "search")["query"]).drop_null().to_pylist()
    generator = np.random.default_rng(seed_of("search bulk"))
    while True:
        for row in generator.permutation(len(queries)):
            yield queries[row]


@contextlib.contextmanager
def timed(seconds: dict[str, float], name: str, owner: object, method: str) -> Iterator[None]:
    """Adds the time spent in a method of an object to seconds[name]."""
    plain = getattr(owner, method)

    def measured(*args: object, **kwargs: object) -> object:
        started_s = time.perf_counter()
        try:
            return plain(*args, **kwargs)
        finally:
            seconds[name] = seconds.get(name, 0.0) + time.perf_counter() - started_s

    setattr(owner, method, measured)
    try:
        yield
    finally:
        delattr(owner, method)


def answer_all(searcher: Searcher, lines: list[bytes], top: int) -> tuple[float, int]:
    """(seconds, answers with results) of all lines, JSON text included."""
    started_s = time.perf_counter()
    answered = 0
    for answer in answer_lines(searcher, lines, top):
        answered += "results" in answer
        json.dumps(answer)
    return time.perf_counter() - started_s, answered


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--store", required=True)
    parser.add_argument("--queries", type=int, default=5_000)
    parser.add_argument("--engagements", help="take its search queries instead of titles")
    parser.add_argument("--words", type=int, default=4, help="words of a title a query, at most")
    parser.add_argument("--top", type=int, default=10)
    parser.add_argument("--exact", action=argparse.BooleanOptionalAction, default=False)
    parser.add_argument("--repeats", type=int, default=3)
    arguments = parser.parse_args()
    started_s = time.perf_counter()
    searcher = Searcher(arguments.store, exact=arguments.exact)
    opened_s = time.perf_counter() - started_s
    texts = (
        engaged_queries(arguments.engagements)
        if arguments.engagements
        else shuffled_titles(searcher.run, arguments.words)
    )
    queries = list(itertools.islice(texts, arguments.queries))
    lines = [json.dumps({"query_id": number, "text": text}).encode() for number, text in enumerate(queries)]
    first_s, answered = answer_all(searcher, lines, arguments.top)
    rounds = [answer_all(searcher, lines, arguments.top)[0] for _ in range(arguments.repeats)]
    print(
        f"{searcher.index.num_items:,} items; {len(queries):,} queries ({len(set(queries)):,} distinct, "
        f"{statistics.mean(len(query.split()) for query in queries):.1f} words), {answered:,} answered, "
        f"top {arguments.top}"
    )
    median_s = statistics.median(rounds)
    print(f"warm: {len(lines) / median_s:,.0f} queries/s (median of {arguments.repeats})")
    print(f"cold: {len(lines) / (opened_s + first_s):,.0f} queries/s with {opened_s:.2f} s to open the store")
    seconds: dict[str, float] = {}
    with (
        timed(seconds, "towers", searcher.encoder, "texts_and_inputs"),
        timed(seconds, "index", searcher.index, "search"),
        timed(seconds, "titles", searcher, "titles"),
    ):
        total_s, _ = answer_all(searcher, lines, arguments.top)
    seconds["JSON and the rest"] = total_s - sum(seconds.values())
    shown = ", ".join(f"{name} {value / len(lines) * 1e6:.0f}" for name, value in seconds.items())
    print(f"microseconds a query: {shown}")


if __name__ == "__main__":
    main()
