"""What each index backend takes at equal recall: queries a second, build seconds and bytes, on a published run.

    python benchmarks/index_backends.py --store demo/store
    python benchmarks/index_backends.py --store store --engagements engagements.parquet --kind text --recall 0.95

The run's different vectors are indexed anew by each backend in this process, one after the other, and asked the queries
that its index was chosen for (text: of the log as far as the model was not trained on them, else made from items) on
one thread, the rounds of the backends in turn. For each backend the least that reaches the recall is printed, with the
median of the rounds and how many times Annoy's queries that is. Exact search stands beside. Without the library voyager
Annoy stands alone.
"""

import argparse
import statistics
import tempfile
import time
from pathlib import Path

import annoy
import numpy as np

from model.machine.equal_rows import EqualRows
from model.nearest.index import METRIC, AnnoyItemIndex, ExactIndex, NearVectors
from model.nearest.recall import KindFacts, item_queries
from model.nearest.tuned_build import build_annoy
from model.nearest.voyager import build_voyager, is_installed, load_voyager
from pipelines.index.queries import plan_queries
from pipelines.store.store import current_run
from schemas.records.embeddings import read_embeddings, read_embeddings_metadata


def queries_per_second(index: NearVectors, queries_QD: np.ndarray, search_k: int) -> float:
    """Of queries asked one at a time for 10 results."""
    started_s = time.perf_counter()
    for query_D in queries_QD:
        index.search(query_D[None], 10, search_k=search_k)
    return len(queries_QD) / (time.perf_counter() - started_s)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--store", required=True, help="store folder")
    parser.add_argument("--engagements", help="log of which the text queries are")
    parser.add_argument("--kind", default="text", choices=("item", "text", "picture"), help="what the queries are")
    parser.add_argument("--recall", type=float, default=0.95, help="recall@10 that each backend must reach")
    parser.add_argument("--rounds", type=int, default=5, help="rounds of all queries, in turn")
    args = parser.parse_args()
    run = current_run(args.store)
    model_id = read_embeddings_metadata(run / "embeddings")["model_id"]
    ids, matrix_ND = read_embeddings(run / "embeddings")
    equal = EqualRows.of(matrix_ND)
    vectors_UD = matrix_ND[equal.first_U]
    queries = plan_queries(str(run), model_id, None, engagements=args.engagements, columns={}).encoded(ids)
    asked = {kind: of_kind.of_distinct(equal.id_N) for kind, of_kind in queries.items()}
    queries_QD = asked.get(args.kind, item_queries(vectors_UD, 0)).vectors_QD
    print(f"{len(matrix_ND):,} items, {len(vectors_UD):,} different vectors; {len(queries_QD):,} {args.kind} queries")
    with tempfile.TemporaryDirectory() as folder:
        built: dict[str, tuple[NearVectors, KindFacts, float, int]] = {}
        for name in ("annoy", *(["voyager"] if is_installed() else [])):
            path, common = Path(folder, name), {"target_recall": args.recall}
            started_s = time.perf_counter()
            if name == "annoy":
                kinds = build_annoy(vectors_UD, path, asked, **common).kinds
                loaded = annoy.AnnoyIndex(vectors_UD.shape[1], METRIC)
                loaded.load(str(path))
                index: NearVectors = AnnoyItemIndex(loaded, 1, num_threads=1)
            else:
                kinds = build_voyager(vectors_UD, path, asked, **common).kinds
                index = load_voyager(path, vectors_UD.shape[1], len(vectors_UD), num_threads=1)
            built[name] = (index, kinds[args.kind], time.perf_counter() - started_s, path.stat().st_size)
        rates: dict[str, list[float]] = {name: [] for name in (*built, "exact")}
        exact = ExactIndex(vectors_UD)
        for _ in range(args.rounds):
            for name, (index, facts, _, _) in built.items():
                rates[name].append(queries_per_second(index, queries_QD, facts.search_k))
            started_s = time.perf_counter()
            for query_D in queries_QD:
                exact.search(query_D[None], 10)
            rates["exact"].append(len(queries_QD) / (time.perf_counter() - started_s))
    reference = statistics.median(rates["annoy"])
    for name, (_, facts, seconds, size) in built.items():
        rate = statistics.median(rates[name])
        print(
            f"{name:8} recall@10 {facts.recall['10']:.3f} with search_k {facts.search_k:,}: {rate:,.0f} queries/s "
            f"({rate / reference:.1f} x annoy), chosen and built in {seconds:.1f} s, {size / 1e6:.1f} MB"
        )
    rate = statistics.median(rates["exact"])
    print(f"exact    {rate:,.0f} queries/s ({rate / reference:.1f} x annoy)")


if __name__ == "__main__":
    main()
