"""The sources that learn from clickstream alone, each a few lines around its trainer in model.sources.

    sequences [+ lifetimes] ----> Prod2Vec             skip-gram over sessions, and what users have bought
    sequences + items ----------> ProdSI2Vec           attributes of items are tokens beside them
    co-engagement -> walks -----> DeepWalkProd2Vec     skip-gram over walks
    ... + items ----------------> DeepWalkProdSI2Vec
    interactions ---------------> Bpr                  g_p of BPR-MF, b_p in bpr/biases

One Embedding To Do Them All (arXiv 1906.12120). Evidence: sessions with the item, of BPR users of it.
"""

import functools
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict
from typing import Any, ClassVar

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from model.machine.columns import offsets_of
from model.sources.bpr import BprConfig, train_bpr
from model.sources.corpus import Corpus, corpus_of, walks_corpus
from model.sources.engaged_rows import ranks_of
from model.sources.side_information import ATTRIBUTE_FIELDS, values_of
from model.sources.skip_gram import SkipGramConfig, train_skip_gram
from model.sources.walks import ENDED
from pipelines.sources import co_engagements
from pipelines.sources.run_tables import RunTable, run_table
from pipelines.sources.trained import LearntVectors, SourceConfig, TrainedSource, num_distinct
from schemas.records.clickstream import BIASES, EVIDENCE, INTERACTIONS, SEQUENCES, WALKS
from schemas.tables import ITEMS

Tables = Mapping[str, RunTable]
Advance = Callable[[int], None]
#: Of walks, which are many: passes over them, and how far apart two items of one are.
_WALK_EPOCHS, _WALK_WINDOW = 2, 5
_LIFETIMES = "lifetimes"


def attributes_of(items: pa.Table) -> dict[str, list[str]]:
    """item_id -> the names of its attributes as tokens, of ITEMS.

    >>> row = {name: None for name in ITEMS.names} | {"item_id": "a", "brand": "Acme", "colors": "red", "images": []}
    >>> attributes_of(pa.Table.from_pylist([row], schema=ITEMS))
    {'a': ['brand=acme', 'colors=red']}
    """
    columns = [items[name].to_pylist() for name in ATTRIBUTE_FIELDS]
    return {
        item_id: [
            f"{name}={value}"
            for (name, form), text in zip(ATTRIBUTE_FIELDS.items(), texts, strict=True)
            for value in values_of(text, form)
        ]
        for item_id, *texts in zip(items["item_id"].to_pylist(), *columns, strict=True)
    }


def walks_matrix(walks: pa.Table) -> tuple[np.ndarray, list[str]]:
    """(int64 [W, L] of codes, ENDED after the end of a walk, the items of these codes, ascending) of WALKS."""
    lists = walks["item_ids"].combine_chunks()
    codes, names = ranks_of(pc.list_flatten(lists))
    lengths = pc.list_value_length(lists).to_numpy()
    walk_T = np.repeat(np.arange(len(lengths)), lengths)
    walks_WL = np.full((len(lengths), lengths.max(initial=0)), ENDED, np.int64)
    walks_WL[walk_T, np.arange(len(codes)) - np.repeat(offsets_of(lengths)[:-1], lengths)] = codes
    return walks_WL, names.to_pylist()


class Prod2Vec(TrainedSource):
    """Skip-gram with negative sampling over the items of a session."""

    name = "prod2vec"
    reads: ClassVar[tuple[str, ...]] = ("sequences",)

    @functools.cached_property
    def tables(self) -> dict[str, RunTable]:
        """Lifetimes too, if they are asked for."""
        more = {_LIFETIMES: run_table(self.run, _LIFETIMES)} if self.config.lifetimes else {}
        return {**{folder: run_table(self.run, folder) for folder in self.reads}, **more}

    @property
    def log_stages(self) -> Sequence[str]:
        return [*super().log_stages, *([_LIFETIMES] if self.config.lifetimes else [])]

    @staticmethod
    def settings(config: SourceConfig) -> Mapping[str, Any]:
        return {"min_count": config.min_count, "skip_gram": asdict(_skip_gram(config))}

    @staticmethod
    def learn(tables: Tables, config: SourceConfig, advance: Advance) -> LearntVectors:
        return _of_sequences(tables, config, advance, {})


class ProdSI2Vec(Prod2Vec):
    """The same with the attributes of an item as tokens beside it."""

    name = "prodsi2vec"
    reads: ClassVar[tuple[str, ...]] = (*Prod2Vec.reads, "items")

    @staticmethod
    def learn(tables: Tables, config: SourceConfig, advance: Advance) -> LearntVectors:
        return _of_sequences(tables, config, advance, _attributes(tables))


class DeepWalkProd2Vec(TrainedSource):
    """Skip-gram over walks on the graph of co-engagement."""

    name = "deepwalk_prod2vec"
    reads: ClassVar[tuple[str, ...]] = ("walks", co_engagements.ITEMS)

    @staticmethod
    def settings(config: SourceConfig) -> Mapping[str, Any]:
        return {"skip_gram": asdict(_skip_gram_of_walks(config))}

    @staticmethod
    def learn(tables: Tables, config: SourceConfig, advance: Advance) -> LearntVectors:
        return _of_walks(tables, config, advance, {})


class DeepWalkProdSI2Vec(DeepWalkProd2Vec):
    """The same with the attributes of an item as tokens beside it."""

    name = "deepwalk_prodsi2vec"
    reads: ClassVar[tuple[str, ...]] = (*DeepWalkProd2Vec.reads, "items")

    @staticmethod
    def learn(tables: Tables, config: SourceConfig, advance: Advance) -> LearntVectors:
        return _of_walks(tables, config, advance, _attributes(tables))


class Bpr(TrainedSource):
    """Matrix factorisation that ranks what a user has above what they have not. Items of one user alone have no
    vector: of them there is nothing to tell users apart by."""

    name = "bpr"
    learns_from = "interactions"
    reads: ClassVar[tuple[str, ...]] = ("interactions",)

    @staticmethod
    def settings(config: SourceConfig) -> Mapping[str, Any]:
        return asdict(_bpr(config))

    @staticmethod
    def learn(tables: Tables, config: SourceConfig, advance: Advance) -> LearntVectors:
        interactions = tables["interactions"].read(INTERACTIONS)
        found = train_bpr(interactions, _bpr(config), advance)
        return LearntVectors(
            item_ids=found.item_ids,
            matrix_ND=found.matrix_ND,
            count_N=found.counts_N,
            num_seen=num_distinct(interactions["item_id"]),
            facts={"interactions_read": len(interactions)},
            beside={"biases": pa.table([found.item_ids, found.bias_N], schema=BIASES)},
        )


def _skip_gram(config: SourceConfig) -> SkipGramConfig:
    return SkipGramConfig(dim=config.dim, seed=config.seed)


def _skip_gram_of_walks(config: SourceConfig) -> SkipGramConfig:
    return SkipGramConfig(dim=config.dim, seed=config.seed, num_epochs=_WALK_EPOCHS, window=_WALK_WINDOW)


def _bpr(config: SourceConfig) -> BprConfig:
    return BprConfig(dim=config.dim, seed=config.seed)


def _attributes(tables: Tables) -> dict[str, list[str]]:
    return attributes_of(tables["items"].read(ITEMS))


def _of_sequences(
    tables: Tables, config: SourceConfig, advance: Advance, attributes: Mapping[str, Sequence[str]]
) -> LearntVectors:
    sequences = pa.concat_tables([tables[name].read(SEQUENCES) for name in ("sequences", _LIFETIMES) if name in tables])
    num_seen = num_distinct(pc.list_flatten(sequences["item_ids"]))
    num_tokens = pc.sum(pc.list_value_length(sequences["item_ids"])).as_py() or 0
    corpus = corpus_of(sequences, min_count=config.min_count, attributes=attributes)
    return _learnt(corpus, _skip_gram(config), advance, num_seen, {"tokens_read": num_tokens, **corpus.facts})


def _of_walks(
    tables: Tables, config: SourceConfig, advance: Advance, attributes: Mapping[str, Sequence[str]]
) -> LearntVectors:
    walks_WL, names = walks_matrix(tables["walks"].read(WALKS))
    items = tables[co_engagements.ITEMS].read(EVIDENCE)
    corpus = walks_corpus(walks_WL, names, attributes)
    seen = items["count"].take(pc.index_in(pa.array(names, pa.string()), value_set=items["item_id"]))
    facts = {"walks_read": len(walks_WL), **corpus.facts}
    return _learnt(corpus, _skip_gram_of_walks(config), advance, len(items), facts, seen.to_numpy())


def _learnt(
    corpus: Corpus,
    config: SkipGramConfig,
    advance: Advance,
    num_seen: int,
    facts: Mapping[str, int],
    count_N: np.ndarray | None = None,
) -> LearntVectors:
    """count_N: how often each item was seen, if not as often as the corpus has it."""
    found = train_skip_gram(corpus, config, advance)
    kept = {name: count for name, count in facts.items() if name != "items"}  # what is written is counted
    counts = corpus.counts_N if count_N is None else count_N
    return LearntVectors(
        item_ids=found.item_ids, matrix_ND=found.matrix_ND, count_N=counts, num_seen=num_seen, facts=kept
    )
