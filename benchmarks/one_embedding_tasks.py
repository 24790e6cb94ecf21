"""The table of `itemsage evaluate-sources` on a sample shop, with vectors of its truth beside: what can be had at best.

    itemsage sample-shop SHOP --items 2000
    itemsage train ... --date 2026-05-11 --sources prod2vec,bpr
    python -m benchmarks.one_embedding_tasks --shop SHOP --run RUN --split-date 2026-05-11 --out OUT [further flags]

truth: product type, colour, pattern, style, brand and material of each item, as ones beside each other; cause: whether
an item is of a kind that disappoints (schemas.sample_shop.returns), the whole cause of returns.
"""

import argparse
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq

from model.sources.unit_rows import unit_or_zero
from pipelines.evaluate_sources import job
from schemas.records.embeddings import embeddings_metadata, write_embeddings_file

_TRUTHS = ("product_type", "colour", "pattern", "style", "brand", "material")
_CAUSE = ("return_weight",)


def write_truth(shop: Path, out: Path, columns: Sequence[str]) -> None:
    """Embeddings that tell these columns of the shop's truth.parquet."""
    truth = pq.read_table(shop / "truth.parquet").sort_by("item_id")
    ones = [np.unique(truth[name].to_numpy(zero_copy_only=False), return_inverse=True) for name in columns]
    rows = np.concatenate([np.eye(len(values))[place.reshape(-1)] for values, place in ones], axis=1)
    vectors = unit_or_zero(rows.astype(np.float32))
    out.mkdir(parents=True, exist_ok=True)
    metadata = embeddings_metadata(out.name, vectors.shape[1])
    write_embeddings_file(out / "part.parquet", truth["item_id"].combine_chunks(), vectors, metadata)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    for name in ("--shop", "--run", "--out"):
        parser.add_argument(name, type=Path, required=True)
    arguments, flags = parser.parse_known_args()
    write_truth(arguments.shop, arguments.out / "truth", _TRUTHS)
    write_truth(arguments.shop, arguments.out / "cause", _CAUSE)
    also = ",".join(f"{name}={arguments.out / name}" for name in ("truth", "cause"))
    files = ["--out", str(arguments.out / "table.json"), "--markdown", str(arguments.out / "table.md")]
    given = ["--run", str(arguments.run), "--engagements", str(arguments.shop / "engagements.parquet")]
    return job.main([*given, "--also", also, "--return-days", "21", *files, *flags])


if __name__ == "__main__":
    raise SystemExit(main())
