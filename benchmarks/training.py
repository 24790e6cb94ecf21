"""A training step against the same network trained plainly, and how long a whole training takes.

    python -m benchmarks.training                       # pairs/s of both, on a made shop of titles
    python -m benchmarks.training --whole               # and the time of `itemsage train`, from the tables to the model
    python -m benchmarks.training --catalog cj/catalog.parquet --engagements cj/training_engagements.parquet

The plain training is what a short script does with the same features, batches, dropout and loss: the whole block over
all positions of each pair's item and of each negative, items and queries that occur twice encoded twice,
nn.EmbeddingBag with dense gradients, torch.optim.Adam over everything. Ours is `model.training.train.train` as
`itemsage train` calls it, the reading of the next batch beside a step included. Both run in this process with equally
many threads, warm, rounds of both in turn; printed is the median step (bar: 5 x the plain one). --whole takes all flags
of `itemsage train` as they come (bar: 10 minutes on 2 quiet cores for 50,000 titles and 40,000 pairs).

The made shop has the sample shop's titles, without pictures: the least that ours can save.
"""

import argparse
import dataclasses
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import torch
import torch.nn.functional as F
from torch import Tensor

from model.items.batch import ItemBatch
from model.items.config import ItemSageConfig
from model.items.hash_embedder import HashEmbedder
from model.items.itemsage import ItemSage
from model.items.start import start_from_catalogue_
from model.text.vocabulary import Vocabulary
from model.training.config import TrainingConfig
from model.training.data import PairBatch, PairStream, TrainingData
from model.training.dropout import Dropout, drop_from_items, drop_from_queries
from model.training.forward import encode_items
from model.training.losses import LossConfig, LossInputs, sampled_softmax_loss
from model.training.train import train
from pipelines.console.jobs import beam_options, narrow
from pipelines.train import job as train_command
from schemas.sample_shop.assortment import make_assortment
from schemas.sample_shop.intents import attributes_of, draw_intents, search_queries
from schemas.sample_shop.wording import item_text
from schemas.tables import ENGAGEMENTS, NUM_TEXT_FIELDS

DATE = "2026-06-30"
#: Steps of a round that are not counted: optimisers and caches are new.
WARM_UP = 2


def make_shop(folder: Path, num_items: int, num_pairs: int, all_fields: bool) -> None:
    """catalog.parquet of the sample shop's titles and engagements.parquet of clicks: what someone might ask who has an
    item in mind, popular items more often."""
    assortment = make_assortment(num_items, seed=0)
    texts = [item_text(product, 0) for product in assortment.products]
    rows = [
        {"item_id": product.item_id, "images": [], **(text if all_fields else {"title": text["title"]})}
        for product, text in zip(assortment.products, texts, strict=True)
    ]
    pq.write_table(pa.Table.from_pylist(rows), folder / "catalog.parquet")
    rng = np.random.default_rng(0)
    items = rng.choice(num_items, num_pairs, p=assortment.popularity_N)
    queries = search_queries(draw_intents(attributes_of(assortment)[items], "search", rng), seed=0)
    start_us = int(np.datetime64("2026-04-01", "us").astype(np.int64))
    times_us = start_us + np.sort(rng.integers(0, 80 * 86_400_000_000, num_pairs))
    log = pa.table(
        {
            "timestamp": pa.array(times_us, ENGAGEMENTS.field("timestamp").type),
            "user_id": pa.nulls(num_pairs, pa.string()),
            "session_id": pa.nulls(num_pairs, pa.string()),
            "surface": ["search"] * num_pairs,
            "query": queries,
            "item_id": [assortment.products[item].item_id for item in items],
            "action": ["click"] * num_pairs,
        },
        schema=ENGAGEMENTS,
    )
    pq.write_table(log, folder / "engagements.parquet")


class DenseEmbedder(HashEmbedder):
    """The hash embedder as nn.EmbeddingBag makes it unless told otherwise: with gradients as large as its tables."""

    def forward(self, token_ids_T: Tensor, offsets_S: Tensor) -> Tensor:
        return F.embedding_bag(
            self.rows_VK[token_ids_T].flatten().long(),
            self.table,
            self.rows_VK.shape[1] * offsets_S,
            mode="sum",
            per_sample_weights=F.embedding(token_ids_T, self.weights).flatten(),
            include_last_offset=True,
        )


class PlainTraining:
    """The plain training of the same network: one call a step."""

    def __init__(self, model: ItemSage, data: TrainingData, config: TrainingConfig):
        self.model, self.data, self.config = model, data, config
        dense = DenseEmbedder(model.config)
        dense.load_state_dict(model.hash_embedder.state_dict())
        model.hash_embedder = model.item_encoder.hash_embedder = model.text_tower.hash_embedder = dense
        self.optimizer = torch.optim.Adam(model.parameters(), lr=config.learning_rate)
        self.stream = stream_of(data, config)
        self.step = 0

    def __call__(self) -> None:
        self.model.train()
        loss = self.loss(self.stream.batch(self.step), self.config.left_out())
        self.optimizer.zero_grad()
        loss.backward()
        self.optimizer.step()
        self.step += 1

    def loss(self, batch: PairBatch, dropout: Dropout) -> Tensor:
        queries_Q = np.concatenate([batch.text_queries, batch.picture_queries])[batch.query_B]
        is_text_B = batch.query_B < len(batch.text_queries)
        queries_BO = torch.empty(len(queries_Q), self.model.config.output_dim)
        if is_text_B.any():
            text = queries_Q[is_text_B]
            read = drop_from_queries(*self.data.train.text(text), text, dropout, self.step)
            queries_BO[is_text_B] = self.model.text_tower(*read)
        if not is_text_B.all():
            assert self.model.picture_tower is not None
            queries_BO[~is_text_B] = self.model.picture_tower(self.data.train.pictures(queries_Q[~is_text_B]))
        rows_X = batch.items_U[np.concatenate([batch.positive_B, batch.negative_M])]
        items_XO = self.model.item_encoder(drop_from_items(self.data.items.batch(rows_X), rows_X, dropout, self.step))
        num_pairs = len(queries_Q)
        is_known_BU = batch.is_known_QU[batch.query_B]
        inputs = LossInputs(
            queries_BO=queries_BO,
            items_BO=items_XO[:num_pairs],
            randoms_RO=items_XO[num_pairs:],
            is_negative_BB=torch.from_numpy(~is_known_BU[:, batch.positive_B]),
            is_negative_BR=torch.from_numpy(~is_known_BU[:, batch.negative_M]),
            log_p_of_positive_B=torch.zeros(num_pairs),
            log_p_B=torch.zeros(num_pairs),
            log_p_R=torch.zeros(len(rows_X) - num_pairs),
        )
        return sampled_softmax_loss(inputs, self.model.scale(), LossConfig(correction="none")).total


def stream_of(data: TrainingData, config: TrainingConfig) -> PairStream:
    return PairStream(
        pairs=data.train,
        num_items=len(data.items),
        batch_size=config.batch_size,
        num_negatives=config.batch_size,
        seed=config.seed,
        count_cap=config.count_cap,
        pseudo_share=config.pseudo_share,
    )


def steps_of_ours(model: ItemSage, data: TrainingData, config: TrainingConfig, num_steps: int) -> list[float]:
    """Seconds of each step of a training that validates hardly and saves nothing on the way."""
    ended_s: list[float] = []
    short = dataclasses.replace(
        config, min_steps=num_steps + WARM_UP, epochs=1e-9, validation_pairs=1, validation_items=1, log_every=num_steps
    )
    short = dataclasses.replace(short, evaluate_every=10**9, checkpoint_every=10**9)
    with tempfile.TemporaryDirectory() as folder:
        train(model, data, short, folder, on_step=lambda *_: ended_s.append(time.perf_counter()))
    return np.diff(ended_s)[WARM_UP - 1 :].tolist()


def seconds_of(call: Callable[[], None], num_steps: int) -> list[float]:
    seconds = []
    for _ in range(num_steps + WARM_UP):
        started_s = time.perf_counter()
        call()
        seconds.append(time.perf_counter() - started_s)
    return seconds[WARM_UP:]


def compare(folder: Path, arguments: argparse.Namespace, given: train_command.TrainConfig) -> None:
    """Prints the pairs/s of both. folder: of a training run with features and pairs."""
    vocabulary = Vocabulary.load(folder / "vocabulary")
    data = TrainingData.open(folder, folder / "cache", picture_dim=0)
    model_config = narrow(ItemSageConfig, given, vocabulary_size=vocabulary.size, picture_dim=0)
    config = given.training_config()

    def new_model() -> ItemSage:
        model = ItemSage(model_config)
        start_from_catalogue_(model, data.items, vocabulary)
        return model

    plain = PlainTraining(new_model(), data, config)
    batch = stream_of(data, config).batch(0)
    features: ItemBatch = data.items.batch(batch.items_U)
    print(
        f"{torch.get_num_threads()} threads, {len(data.items):,} items, {data.train.num_pairs_by_task()} pairs, "
        f"vocabulary {vocabulary.size:,}; a batch: {len(batch.task_B)} pairs and {len(batch.negative_M)} negatives are "
        f"{len(batch.items_U)} items of {len(features.token_ids_T) / len(features):.0f} tokens in {NUM_TEXT_FIELDS} "
        f"fields and {len(batch.text_queries) + len(batch.picture_queries)} queries"
    )
    plain_s, ours_s = [], []
    for _ in range(arguments.rounds):
        plain_s += seconds_of(plain, arguments.plain_steps)
        ours_s += steps_of_ours(new_model(), data, config, arguments.steps)
    encoder = plain.model.eval().item_encoder
    with torch.inference_mode():
        difference = float((encode_items(encoder, features) - encoder(features)).abs().max())
    rates = [config.batch_size / statistics.median(seconds) for seconds in (plain_s, ours_s)]
    print(
        f"plain {rates[0]:,.0f} pairs/s ({1000 * statistics.median(plain_s):,.0f} ms a step), ours {rates[1]:,.0f} "
        f"({1000 * statistics.median(ours_s):,.0f} ms): {rates[1] / rates[0]:.1f} x (bar 5); of the same "
        f"weights the largest difference of a vector is {difference:.0e}"
    )


def train_whole(given: train_command.TrainConfig) -> None:
    """Prints how long `itemsage train` takes in a new store."""
    with tempfile.TemporaryDirectory() as store:
        started_s = time.monotonic()
        config = dataclasses.replace(given, store=store, accept_untrained=True)
        model_id = train_command.run(config, beam_options([]))
        print(f"the whole training, from the tables to {model_id}: {time.monotonic() - started_s:.0f} s (bar 600)")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--items", type=int, default=50_000, help="items of the made shop")
    parser.add_argument("--pairs", type=int, default=40_000, help="clicks of the made shop")
    parser.add_argument("--all-fields", action="store_true", help="all text of the sample shop, not only titles")
    parser.add_argument("--catalog", help="a catalogue without pictures instead of the made one")
    parser.add_argument("--engagements", help="its log")
    parser.add_argument("--whole", action="store_true", help="a whole training too, with the flags' defaults")
    parser.add_argument("--batch-size", type=int, default=TrainingConfig.batch_size)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--steps", type=int, default=10, help="steps of ours in a round")
    parser.add_argument("--plain-steps", type=int, default=4, help="plain steps in a round")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        if arguments.catalog is None:
            make_shop(folder, arguments.items, arguments.pairs, arguments.all_fields)
        given = train_command.TrainConfig(
            catalog=arguments.catalog or f"{folder}/catalog.parquet",
            engagements=arguments.engagements if arguments.catalog else f"{folder}/engagements.parquet",
            store=f"{folder}/store",
            date=DATE,
            image_encoder="none",
            batch_size=arguments.batch_size,
        )
        train_command.prepare(given, beam_options([]), f"{folder}/store/training/benchmark")
        compare(folder / "store" / "training" / "benchmark", arguments, given)
        if arguments.whole:
            train_whole(given)


if __name__ == "__main__":
    main()
