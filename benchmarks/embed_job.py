"""The embed job against the bare loop (read, CRC, parse, folded forward; nothing written), on one features folder.

    python benchmarks/embed_job.py --items 20000 --pictures 5 --picture-dim 2048
    python benchmarks/embed_job.py --items 100000 --pictures 0 --picture-dim 0      # text only; see the peak memory

Both run in one process, warm, in turn; prints the median ratio of items per second. Bar: job >= 0.8 x bare loop.
Features are random but realistic: Zipf tokens in 12 fields with gaps, normal pictures, never zeros.
"""

import argparse
import resource
import statistics
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from model.items.config import ItemSageConfig
from model.items.folded import encoder_for_inference
from model.items.inference import embed_items
from model.items.itemsage import ItemSage
from model.items.manifest import read_model_manifest
from model.items.store import load_item_encoder, save_model
from model.split.split import SplitConfig, no_engagements
from model.text.vocabulary import Vocabulary
from pipelines.console.jobs import beam_options
from pipelines.embed import job as embed
from pipelines.run.units import Unit, UnitWriter, bucket_name, write_stage_manifest
from schemas.files import sha256_of_file, write_json
from schemas.records.tfrecords import ItemFeatures, decode_features, encode_features, read_records, write_records
from schemas.tables import NUM_TEXT_FIELDS

VOCABULARY_SIZE = 200_000
ROWS_A_BUCKET = 3_000


def random_items(start: int, count: int, num_pictures: int, picture_dim: int) -> Iterator[ItemFeatures]:
    """Items with 0 to 2 x num_pictures pictures and about 60 tokens each."""
    generator = np.random.default_rng(start)
    for number in range(start, start + count):
        lengths = generator.poisson(5, NUM_TEXT_FIELDS) * (generator.random(NUM_TEXT_FIELDS) < 0.6)
        lengths[0] += 8
        tokens = generator.zipf(1.2, lengths.sum()) % (VOCABULARY_SIZE - 1) + 1
        pictures = int(generator.integers(0, 2 * num_pictures + 1)) if num_pictures else 0
        yield ItemFeatures(
            item_id=f"item-{number:07d}",
            token_ids=tokens.astype(np.int32),
            token_offsets=np.concatenate([[0], np.cumsum(lengths)]).astype(np.int32),
            pictures=np.abs(generator.standard_normal((pictures, picture_dim))).astype(np.float16),
        )


def make_run(folder: Path, items: int, num_pictures: int, picture_dim: int, model: dict[str, str]) -> None:
    """A run folder whose features stage is finished."""
    num_buckets = -(-items // ROWS_A_BUCKET)
    names = [bucket_name(bucket, num_buckets) for bucket in range(num_buckets)]
    for bucket, name in enumerate(names):
        count = min(ROWS_A_BUCKET, items - bucket * ROWS_A_BUCKET)
        writer = UnitWriter(str(folder), Unit("features", name, "benchmark"))
        with writer.file(f"features/{name}.tfrecord") as temporary:
            made = random_items(bucket * ROWS_A_BUCKET, count, num_pictures, picture_dim)
            write_records(temporary, map(encode_features, made))
        writer.counts["items_written"] = count
        writer.seal()
    write_stage_manifest(
        str(folder), "features", names, image_encoder_id=model["image_encoder_id"], picture_dim=picture_dim,
        vocabulary_id=model["vocabulary_id"],
    )  # fmt: skip


def bare_loop(run: Path, model: Path, picture_dim: int) -> None:
    """Read, CRC, parse, folded forward; nothing written."""
    encoder = encoder_for_inference(load_item_encoder(model))
    files = sorted((run / "features").glob("*.tfrecord"))
    items = (decode_features(payload) for path in files for payload in read_records(path))
    for _ in embed_items(encoder, items, picture_dim):
        pass


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--items", type=int, default=20_000)
    parser.add_argument("--pictures", type=int, default=5, help="pictures an item, on average")
    parser.add_argument("--picture-dim", type=int, default=2048)
    parser.add_argument("--repeats", type=int, default=3)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as scratch:
        model = Path(scratch, "model")
        Vocabulary.hashing(VOCABULARY_SIZE).save(Path(scratch, "vocabulary"))
        sage = ItemSage(ItemSageConfig(vocabulary_size=VOCABULARY_SIZE, picture_dim=arguments.picture_dim))
        encoder = Path(scratch, "image_encoder") if arguments.picture_dim else None
        if encoder is not None:  # never opened: embedding reads vectors, not pictures
            write_json(encoder / "image_encoder.json", {"network_id": "benchmark"})
        save_model(
            sage,
            model,
            vocabulary_folder=Path(scratch, "vocabulary"),
            image_encoder_folder=encoder,
            towers={},
            split=no_engagements(SplitConfig()),
            metrics={},
        )
        run = Path(scratch, "run")
        make_run(run, arguments.items, arguments.pictures, arguments.picture_dim, read_model_manifest(model))
        seconds: dict[str, list[float]] = {"bare loop": [], "embed job": []}
        for repeat in range(arguments.repeats + 1):
            for name in seconds:
                started_s = time.perf_counter()
                if name == "bare loop":
                    bare_loop(run, model, arguments.picture_dim)
                else:
                    for sidecar in (run / "units" / embed.STAGE).glob("*.json"):
                        sidecar.unlink()  # else finished parts are skipped
                    embed.run(embed.EmbedConfig(run=str(run), model=str(model)), beam_options([]))
                if repeat:  # the first is the warm-up
                    seconds[name].append(time.perf_counter() - started_s)
        digest = sha256_of_file(next((run / "embeddings").glob("*.parquet")))
    medians = {name: statistics.median(values) for name, values in seconds.items()}
    for name, median in medians.items():
        print(f"{name}: {arguments.items / median:,.0f} items/s (median of {arguments.repeats})")
    print(f"embed job / bare loop: {medians['bare loop'] / medians['embed job']:.2f}   (bar: >= 0.8)")
    peak_gb = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6
    print(f"peak memory of the process: {peak_gb:.2f} GB; first part sha256 {digest[:12]}")


if __name__ == "__main__":
    main()
