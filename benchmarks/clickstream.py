"""Item vectors from clickstream beside gensim's skip-gram and implicit's BPR: processor seconds and neighbours.

    python -m pipelines.convert_complete_journey journey
    python -m benchmarks.clickstream --data journey [--before 2017-12-01] [--users 600] [--only prod2vec gensim]
    python -m benchmarks.clickstream --data journey --skip-users 600 --users 600 --choose-before 2017-11-01

With --choose-before the libraries' rates and windows are chosen from all that are named, as they do best on the days
from there to the cut (learning from what was before), and then learn up to the cut; ours stay as they are.

Every method learns from the same purchases before the cut, on one thread, one after the other. Asked are items of the
sessions after it, among the items with at least --min-count purchases before:

    co-purchase   the ten nearest items of a purchased item: share of the session's others in them (of ten, if more)
    the last one  the ten nearest to the mean of the session's others, these left out: whether the item is in them

Beside them stand the most popular items and the counts of sessions in common, plain and as cosines. gensim and
implicit are no part of the project: install them to compare (`pip install gensim implicit`).
"""

import argparse
import datetime as dt
import hashlib
import importlib.util
import itertools
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from scipy import sparse
from threadpoolctl import threadpool_limits

from model.sources.bpr import BprConfig, train_bpr
from model.sources.corpus import corpus_of, walks_corpus
from model.sources.engaged_rows import RowsConfig, interactions_of
from model.sources.item_graph import ItemGraphConfig, cap_degrees, count_edges
from model.sources.sequences import LIFETIME, SequencesConfig, sequences_of
from model.sources.skip_gram import SkipGramConfig, train_skip_gram
from model.sources.walks import WalksConfig, adjacency_of, walk

TOP = 10
ATTRIBUTES = ("title", "product_types", "brand")
LIBRARIES = ("gensim", "implicit")


class Asked:
    """Sessions after the cut as item codes, and the places that are asked for."""

    def __init__(self, sequences: pa.Table, names: list[str], most: int):
        codes = pc.index_in(pc.list_flatten(sequences["item_ids"]), value_set=pa.array(names))
        session = np.repeat(np.arange(len(sequences)), pc.list_value_length(sequences["item_ids"]).to_numpy())
        known = codes.is_valid().to_numpy()
        items, session = codes.drop_null().to_numpy().astype(np.int64), session[known]
        self.sessions = [part for part in np.split(items, np.flatnonzero(np.diff(session)) + 1) if len(part) > 1]
        places = [(number, place) for number, part in enumerate(self.sessions) for place in range(len(part))]
        chosen = np.random.default_rng(0).permutation(len(places))[:most]
        self.places = [places[number] for number in sorted(chosen.tolist())]

    def measure(self, scores: Callable[[list[np.ndarray]], np.ndarray]) -> tuple[float, float]:
        """(co-purchase, the last one). scores: of all items, for each list of item codes that is asked with."""
        found, hits = [], []
        for first in range(0, len(self.places), 500):
            block = self.places[first : first + 500]
            items = np.array([self.sessions[s][p] for s, p in block])
            others = [np.delete(self.sessions[s], p) for s, p in block]
            near = _top(
                scores([items[row : row + 1] for row in range(len(items))]),
                [items[row : row + 1] for row in range(len(items))],
            )
            found += [np.isin(o, n).sum() / min(len(o), TOP) for o, n in zip(others, near, strict=True)]
            hits += (_top(scores(others), others) == items[:, None]).any(axis=1).tolist()
        return float(np.mean(found)), float(np.mean(hits))


def _top(scores_QN: np.ndarray, left_out: Sequence[np.ndarray]) -> np.ndarray:
    for row, items in enumerate(left_out):
        scores_QN[row, items] = -np.inf
    return np.argpartition(-scores_QN, TOP, axis=1)[:, :TOP]


def by_cosine(matrix_ND: np.ndarray) -> Callable[[list[np.ndarray]], np.ndarray]:
    unit_ND = matrix_ND / np.maximum(np.linalg.norm(matrix_ND, axis=1, keepdims=True), 1e-12)
    return lambda asked: np.stack([unit_ND[items].mean(axis=0) for items in asked]) @ unit_ND.T


def by_counts(counts_NN: sparse.csr_matrix) -> Callable[[list[np.ndarray]], np.ndarray]:
    def scores(asked: list[np.ndarray]) -> np.ndarray:
        rows = np.repeat(np.arange(len(asked)), [len(items) for items in asked])
        shape = (len(asked), counts_NN.shape[0])
        chosen = sparse.csr_matrix((np.ones(len(rows), np.float32), (rows, np.concatenate(asked))), shape=shape)
        return (chosen @ counts_NN).toarray()

    return scores


def _us(day: str) -> int:
    return int(dt.datetime.fromisoformat(day).replace(tzinfo=dt.UTC).timestamp() * 1e6)


class Purchases:
    """What all methods learn from."""

    def __init__(self, flags: argparse.Namespace, before: str, until: str | None = None):
        """Learns from what was before one day; asks of what was from it on, up to another day if one is named."""
        folder, min_count = flags.data, flags.min_count
        log = pq.read_table(Path(folder, "engagements.parquet"))
        users = sorted(pc.unique(log["user_id"]).to_pylist())[flags.skip_users :][: flags.users]
        log = log.filter(pc.is_in(log["user_id"], value_set=pa.array(users)))
        if until:
            log = log.filter(pc.less(pc.cast(log["timestamp"], pa.int64()), _us(until)))
        cut_us = _us(before)
        rows, self.min_count = RowsConfig(before_us=cut_us), min_count
        started = time.process_time()
        self.sequences, _ = sequences_of(log, SequencesConfig(rows=rows))
        self.lifetimes, _ = sequences_of(log, SequencesConfig(rows=rows, kind=LIFETIME))
        self.corpus = corpus_of(self.sequences, min_count=min_count)
        self.names = self.corpus.names
        print(f"sequences, corpus: {time.process_time() - started:.1f} s of the processor, {dict(self.corpus.facts)}")
        known = log.filter(pc.is_in(log["item_id"], value_set=pa.array(self.names)))
        self.interactions = interactions_of(known, rows)
        later = log.filter(pc.greater_equal(pc.cast(log["timestamp"], pa.int64()), cut_us))
        self.later, _ = sequences_of(later, SequencesConfig())
        catalogue = pq.read_table(Path(folder, "catalog.parquet"), columns=["item_id", *ATTRIBUTES])
        self.attributes = {
            row["item_id"]: [f"{name}={row[name]}" for name in ATTRIBUTES if row[name]] for row in catalogue.to_pylist()
        }

    def of_names(self, ids: Sequence[str], matrix_ND: np.ndarray) -> np.ndarray:
        """Rows in the order of `names`, zeros for an item without a vector."""
        place = pc.index_in(pa.array(self.names), value_set=pa.array(ids)).fill_null(-1).to_numpy()
        return np.where((place >= 0)[:, None], matrix_ND[place], 0).astype(np.float32)

    def session_counts(self) -> sparse.csr_matrix:
        corpus = self.corpus
        ones = np.ones(len(corpus.items_T), np.float32)
        sessions_SN = sparse.csr_matrix((ones, (corpus.sequence_T, corpus.items_T)))
        counts_NN = (sessions_SN.T @ sessions_SN).tocsr()
        counts_NN.setdiag(0)
        return counts_NN

    def skip_gram(
        self, flags: argparse.Namespace, with_attributes: bool = False, with_lifetimes: bool = False
    ) -> np.ndarray:
        attributes = self.attributes if with_attributes else None
        sequences = pa.concat_tables([self.sequences, *([self.lifetimes] if with_lifetimes else [])])
        corpus = corpus_of(sequences, min_count=self.min_count, attributes=attributes)
        config = SkipGramConfig(dim=flags.dim, num_epochs=flags.epochs)
        vectors = train_skip_gram(corpus, config)
        return self.of_names(vectors.item_ids, vectors.matrix_ND)

    def deep_walk(self, flags: argparse.Namespace, with_attributes: bool) -> np.ndarray:
        edges, _ = cap_degrees(count_edges(self.sequences, ItemGraphConfig()), ItemGraphConfig())
        edges = edges.filter(pc.is_in(edges["item_id"], value_set=pa.array(self.names)))
        edges = edges.filter(pc.is_in(edges["neighbour_id"], value_set=pa.array(self.names)))
        adjacency = adjacency_of(edges, pa.array(self.names))
        walks = walk(self.names, np.arange(len(self.names)), adjacency, WalksConfig())
        corpus = walks_corpus(walks, self.names, self.attributes if with_attributes else {})
        config = SkipGramConfig(dim=flags.dim, num_epochs=flags.walk_epochs, window=flags.walk_window)
        vectors = train_skip_gram(corpus, config)
        return self.of_names(vectors.item_ids, vectors.matrix_ND)

    def bpr(self, flags: argparse.Namespace) -> np.ndarray:
        vectors = train_bpr(self.interactions, BprConfig(dim=flags.dim, min_users=1))
        return self.of_names(vectors.item_ids, vectors.matrix_ND)

    def gensim(self, flags: argparse.Namespace, rate: float, window: int) -> np.ndarray:
        from gensim.models import Word2Vec

        words = np.array(self.names)[self.corpus.items_T]
        sessions = [part.tolist() for part in np.split(words, np.flatnonzero(np.diff(self.corpus.sequence_T)) + 1)]
        options = {
            "sg": 1,
            "negative": 5,
            "sample": 1e-3,
            "workers": 1,
            "min_count": 1,
            "seed": 1,
            "alpha": rate,
        }
        model = Word2Vec(sessions, vector_size=flags.dim, window=window, epochs=flags.epochs, **options)
        return self.of_names(model.wv.index_to_key, model.wv.vectors)

    def implicit(self, flags: argparse.Namespace, rate: float) -> np.ndarray:
        from implicit.bpr import BayesianPersonalizedRanking

        users = self.interactions["user_id"].combine_chunks().dictionary_encode().indices.to_numpy()
        items = pc.index_in(self.interactions["item_id"], value_set=pa.array(self.names)).to_numpy()
        ones = np.ones(len(users), np.float32)
        shape = (users.max() + 1, len(self.names))
        model = BayesianPersonalizedRanking(factors=flags.dim, learning_rate=rate, num_threads=1, random_state=1)
        model.fit(sparse.csr_matrix((ones, (users, items)), shape=shape), show_progress=False)
        return model.item_factors[:, :-1]  # the last is the bias


def methods(purchases: Purchases, chosen: dict[str, tuple]) -> dict[str, Callable[[argparse.Namespace], np.ndarray]]:
    """Name -> training. chosen: what each library learns with."""
    found: dict[str, Callable[[argparse.Namespace], np.ndarray]] = {
        "prod2vec": purchases.skip_gram,
        "prod2vec-lifetimes": lambda flags: purchases.skip_gram(flags, with_lifetimes=True),
        "gensim": lambda flags: purchases.gensim(flags, *chosen["gensim"]),
        "prodsi2vec": lambda flags: purchases.skip_gram(flags, with_attributes=True),
        "deepwalk-prod2vec": lambda flags: purchases.deep_walk(flags, with_attributes=False),
        "deepwalk-prodsi2vec": lambda flags: purchases.deep_walk(flags, with_attributes=True),
        "bpr": purchases.bpr,
        "implicit": lambda flags: purchases.implicit(flags, *chosen["implicit"]),
    }
    return {name: train for name, train in found.items() if name not in LIBRARIES or name in chosen}


def choices(flags: argparse.Namespace) -> dict[str, list[tuple]]:
    """What each library that is installed and asked for may learn with."""
    named = {
        "gensim": list(itertools.product(flags.gensim_rate, flags.gensim_window)),
        "implicit": [(rate,) for rate in flags.implicit_rate],
    }
    for library in LIBRARIES:
        if importlib.util.find_spec(library) is None:
            print(f"SKIPPED {library}: it is not installed, so nothing is compared with it (`pip install {library}`)")
            del named[library]
    return {name: found for name, found in named.items() if flags.only is None or name in flags.only}


def choose(flags: argparse.Namespace) -> dict[str, tuple]:
    """For each library the choice whose co-purchase recall is best from --choose-before to the cut."""
    named = choices(flags)
    if not flags.choose_before:
        return {library: first for library, (first, *_) in named.items()}
    purchases = Purchases(flags, flags.choose_before, until=flags.before)
    asked = Asked(purchases.later, purchases.names, flags.queries)
    chosen = {}
    for library, options in named.items():
        train = getattr(purchases, library)
        found = [(asked.measure(by_cosine(train(flags, *option))), option) for option in options]
        for quality, option in found:
            told(f"choosing {library} {option}", quality)
        chosen[library] = max(found)[1]
    print(f"chosen: {chosen}")
    return chosen


def parse_flags() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", required=True, help="folder of convert_complete_journey")
    parser.add_argument("--before", default="2017-12-01", help="first day that nothing is learnt from (UTC)")
    parser.add_argument("--users", type=int, help="the first so many users alone")
    parser.add_argument("--skip-users", type=int, default=0, help="of these, so many are left out first")
    parser.add_argument("--choose-before", help="first day that tells which rate and window is a library's best")
    parser.add_argument("--min-count", type=int, default=5, help="purchases of an item that gets a vector")
    parser.add_argument("--queries", type=int, default=4000)
    parser.add_argument("--only", nargs="*", help="these methods alone")
    parser.add_argument("--repeats", type=int, default=1, help="runs of each method: whether their bytes are equal")
    parser.add_argument("--dim", type=int, default=64)
    parser.add_argument("--epochs", type=int, default=SkipGramConfig.num_epochs, help="over sequences, gensim's too")
    parser.add_argument("--walk-epochs", type=int, default=1, help="over walks")
    parser.add_argument("--walk-window", type=int, default=5)
    windows_help = "100 is a whole session: gensim does not shuffle"
    parser.add_argument("--gensim-window", type=int, nargs="+", default=[100], help=windows_help)
    parser.add_argument("--gensim-rate", type=float, nargs="+", default=[0.025], help="its learning rate at the start")
    parser.add_argument("--implicit-rate", type=float, nargs="+", default=[0.05], help="its learning rate")
    return parser.parse_args()


def main() -> None:
    flags = parse_flags()
    with threadpool_limits(1):
        chosen = choose(flags)
        purchases = Purchases(flags, flags.before)
        asked = Asked(purchases.later, purchases.names, flags.queries)
        print(f"{len(purchases.names):,} items, {len(asked.places):,} asked of {len(asked.sessions):,} sessions")
        if flags.only is None or "baselines" in flags.only:
            for name, scores in baselines(purchases).items():
                told(f"{name:24}{'':10}", asked.measure(scores))
        seconds: dict[str, float] = {}
        quality: dict[str, tuple[float, float]] = {}
        for name, train in methods(purchases, chosen).items():
            if flags.only is None or name in flags.only:
                matrix_ND, seconds[name], same = trained(train, flags)
                quality[name] = asked.measure(by_cosine(matrix_ND))
                told(f"{name:24}{seconds[name]:8.1f} s", quality[name], same)
    for ours, theirs in (("prod2vec", "gensim"), ("bpr", "implicit")):
        if ours in seconds and theirs in seconds:
            ratios = tuple(mine / max(other, 1e-9) for mine, other in zip(quality[ours], quality[theirs], strict=True))
            told(f"{ours} / {theirs}: seconds {seconds[ours] / seconds[theirs]:.2f}", ratios)


def trained(
    train: Callable[[argparse.Namespace], np.ndarray], flags: argparse.Namespace
) -> tuple[np.ndarray, float, str]:
    """(vectors, least processor seconds of the repeats, whether their bytes were equal)."""
    seconds, digests = np.inf, set()
    for _ in range(flags.repeats):
        started = time.process_time()
        matrix_ND = train(flags)
        seconds = min(time.process_time() - started, seconds)
        digests.add(hashlib.sha256(np.ascontiguousarray(matrix_ND).tobytes()).hexdigest())
    same = "equal bytes" if len(digests) == 1 else "OTHER BYTES EACH TIME"
    return matrix_ND, seconds, same if flags.repeats > 1 else ""


def told(what: str, quality: tuple[float, ...], more: str = "") -> None:
    print(f"{what}  co-purchase {quality[0]:.4f}  the last one {quality[1]:.4f}  {more}".rstrip(), flush=True)


def baselines(purchases: Purchases) -> dict[str, Callable[[list[np.ndarray]], np.ndarray]]:
    counts_N = purchases.corpus.counts_N.astype(np.float32)
    counts_NN = purchases.session_counts()
    scale = sparse.diags(1 / np.sqrt(counts_N))
    return {
        "popularity": lambda lists: np.tile(counts_N, (len(lists), 1)),
        "sessions in common": by_counts(counts_NN),
        "the same as cosines": by_counts((scale @ counts_NN @ scale).tocsr()),
    }


if __name__ == "__main__":
    main()
