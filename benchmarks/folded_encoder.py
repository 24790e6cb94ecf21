"""Items/s of the folded item encoder against the plain one, in one process, warm, median of several passes.

    python -m benchmarks.folded_encoder [--batch-size 256] [--num-pictures 20] [--picture-dim 2048] [--repeats 9]

Pictures are random normal; text has Zipf-distributed tokens in all 12 fields; weights are randomised first, so that no
path through the network is zero. Prints both rates, their ratio, the largest difference and where the time goes.
"""

import argparse
import dataclasses
import statistics
import time
from collections.abc import Callable

import numpy as np
import torch

from model.items.batch import ItemBatch
from model.items.config import ItemSageConfig
from model.items.folded import FoldedItemEncoder
from model.items.itemsage import ItemSage
from model.machine.ordered_map import ordered_map, single_threaded_pool, usable_cores
from schemas.hashing import seed_of
from schemas.tables import NUM_TEXT_FIELDS

#: Tokens of a field: words, their bigrams and character trigrams. About a title of 8 words, a description of 25.
TOKENS_OF_FIELD = (60, 190, 20, 12, 12, 6, 20, 8, 12, 16, 24, 40)

#: How the embed job runs: batches side by side, one a core, each in one thread.
SIDE_BY_SIDE, BATCHES_SIDE_BY_SIDE = "folded, float16, one core a batch", 8


def random_batch(config: ItemSageConfig, batch_size: int, num_pictures: int, seed: int) -> ItemBatch:
    rng = np.random.default_rng(seed_of("folded benchmark", seed))
    lengths = np.tile(TOKENS_OF_FIELD, batch_size)
    tokens = rng.zipf(1.2, size=int(lengths.sum())) * 7919 % config.vocabulary_size
    pictures = rng.standard_normal((batch_size, num_pictures, config.picture_dim), dtype=np.float32)
    return ItemBatch(
        token_ids_T=torch.from_numpy(tokens),
        token_offsets_BF=torch.from_numpy(np.concatenate([[0], np.cumsum(lengths)])),
        pictures_BND=torch.from_numpy(pictures),
        picture_mask_BN=torch.ones(batch_size, num_pictures, dtype=torch.bool),
        text_vectors_BD=torch.from_numpy(rng.standard_normal((batch_size, config.text_dim), dtype=np.float32)),
    )


def randomize(model: torch.nn.Module, seed: int) -> None:
    """Weights as after training: none zero, biases too."""
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter += torch.randn(parameter.shape, generator=generator) * 0.02


def median_seconds(calls: dict[str, Callable[[], object]], repeats: int) -> dict[str, float]:
    """Median seconds of each call. The calls take turns, so a slow spell of the machine meets all of them."""
    seconds: dict[str, list[float]] = {name: [] for name in calls}
    for repeat in range(repeats + 1):
        for name, call in calls.items():
            start = time.perf_counter()
            call()
            if repeat:
                seconds[name].append(time.perf_counter() - start)
    return {name: statistics.median(values) for name, values in seconds.items()}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--batch-size", type=int, default=256)
    parser.add_argument("--num-pictures", type=int, default=20)
    parser.add_argument("--picture-dim", type=int, default=2048)
    parser.add_argument("--repeats", type=int, default=9)
    flags = parser.parse_args()
    config = ItemSageConfig(vocabulary_size=1_264_003, picture_dim=flags.picture_dim)
    model = ItemSage(config)
    randomize(model.item_encoder, seed=1)
    plain = model.item_encoder.eval()
    folded = FoldedItemEncoder.from_encoder(plain)
    batch = random_batch(config, flags.batch_size, flags.num_pictures, seed=1)
    half = dataclasses.replace(batch, pictures_BND=batch.pictures_BND.half())
    pool = single_threaded_pool(usable_cores())
    side_by_side = [half] * BATCHES_SIDE_BY_SIDE
    calls = {
        "plain": lambda: plain(batch),
        "folded": lambda: folded(batch),
        "folded, float16 pictures": lambda: folded(half),
        SIDE_BY_SIDE: lambda: list(ordered_map(pool, folded, side_by_side, max_waiting=len(side_by_side))),
        "field sums (part of both)": lambda: plain.hash_embedder(batch.token_ids_T, batch.token_offsets_BF),
    }
    with torch.inference_mode():
        difference = float((plain(batch) - folded(batch)).abs().max())
        seconds = median_seconds(calls, flags.repeats)
        seconds[SIDE_BY_SIDE] /= len(side_by_side)
    tokens = len(batch.token_ids_T) / flags.batch_size
    print(f"{torch.get_num_threads()} threads, batch {flags.batch_size}, {flags.num_pictures} pictures x ", end="")
    print(f"{flags.picture_dim}, {NUM_TEXT_FIELDS} fields with {tokens:.0f} tokens an item")
    for name, value in seconds.items():
        print(f"{name:34}{flags.batch_size / value:9.0f} items/s {seconds['plain'] / value:8.1f} x plain")
    print(f"largest difference {difference:.1e}")


if __name__ == "__main__":
    main()
