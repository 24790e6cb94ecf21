"""The features job against the bare loop: one process, no Beam, no store; read, decode, preprocess, forward.

    python -m benchmarks.features_job --images FOLDER [--image-encoder efficientnet_lite0 --image-weights FILE ...]

Both use one encoder, loaded before (about a second, once a job). Prints the ratio of pictures a second (bar: 0.85).
"""

import argparse
import contextlib
import io
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from benchmarks.image_encoder import alternate, picture_files
from model.pictures.decoding import decode_picture
from model.pictures.image_encoder import ImageEncoder
from model.text.vocabulary import Vocabulary
from pipelines.console.jobs import beam_options
from pipelines.features import job as features
from pipelines.features.encoders import encoder_spec
from pipelines.run.opened_models import open_encoder
from pipelines.run.units import Unit, UnitWriter, bucket_name, write_stage_manifest
from schemas.tables import ITEMS

BARE_BATCH = 32
PICTURES_AN_ITEM = 3


def make_run(folder: str, paths: Sequence[Path], root: str) -> None:
    """A run folder of one bucket: items of three pictures and a title each, hashing vocabulary."""
    name = bucket_name(0, 1)
    uris = [str(path.relative_to(root)) for path in paths]
    rows = [
        {"item_id": f"item-{start:06d}", "title": f"picture {start}", "images": uris[start : start + PICTURES_AN_ITEM]}
        for start in range(0, len(uris), PICTURES_AN_ITEM)
    ]
    writer = UnitWriter(folder, Unit("items", name, "benchmark"))
    with writer.file(f"items/{name}.parquet") as temporary:
        pq.write_table(pa.Table.from_pylist(rows, schema=ITEMS), temporary)
    writer.counts.update(rows_written=len(rows), pictures_listed=len(uris))
    writer.seal()
    write_stage_manifest(folder, "items", [name], num_buckets=1)
    Vocabulary.hashing().save(Path(folder, "vocabulary"))


def bare_loop(encoder: ImageEncoder, paths: Sequence[Path]) -> np.ndarray:
    """float16 [len(paths), dim], batch after batch."""
    vectors = []
    for start in range(0, len(paths), BARE_BATCH):
        part = paths[start : start + BARE_BATCH]
        crops_BHWC = np.stack([decode_picture(path.read_bytes(), encoder.preprocessing) for path in part])
        vectors.append(encoder.encode(crops_BHWC))
    return np.concatenate(vectors)


def main(argv: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n\n")[0])
    parser.add_argument("--images", required=True, help="folder of photos")
    parser.add_argument("--image-encoder", default="efficientnet_lite0")
    parser.add_argument("--image-weights")
    parser.add_argument("--image-weights-name")
    parser.add_argument("--pictures", type=int, default=1000)
    parser.add_argument("--rounds", type=int, default=3)
    arguments = parser.parse_args(argv)
    paths = picture_files(arguments.images, arguments.pictures)
    encoding = {name: getattr(arguments, name) for name in ("image_encoder", "image_weights", "image_weights_name")}

    def job() -> None:
        with tempfile.TemporaryDirectory() as folder, contextlib.redirect_stdout(io.StringIO()):
            make_run(folder, paths, arguments.images)
            config = features.FeaturesConfig(run=folder, image_root=arguments.images, **encoding)
            manifest = features.run(config, beam_options([]))
        counts = manifest["counts"]
        if counts["pictures_computed"] + counts["pictures_reused"] != len(paths):
            raise ValueError(f"expected {len(paths)} vectors, got {counts}")

    config = features.FeaturesConfig(run="", image_root=arguments.images, **encoding)
    encoder = open_encoder(encoder_spec(config))
    bare_s, job_s = alternate(lambda: bare_loop(encoder, paths), job, arguments.rounds)
    print(
        f"{encoder.encoder_id}, {len(paths)} pictures: bare loop {len(paths) / bare_s:.1f}/s, features job "
        f"{len(paths) / job_s:.1f}/s, ratio {bare_s / job_s:.2f} (bar 0.85)"
    )
    return 0


if __name__ == "__main__":
    sys.exit(main())
