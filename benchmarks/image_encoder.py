"""The image encoder against a plain script: ResNet-50, float32, contiguous, batches of 32, on the same pictures; and
how near its vectors are to those of float32, on trained networks.

    python -m benchmarks.image_encoder --images FOLDER [--resnet50-weights FILE] [--squeezenet-weights FILE]

Prints the ratio of forward speeds (bar: 4; any weights do) and the smallest cosine between the vectors of the machine's
own number format and those of float32 (bar: 0.999) for efficientnet_lite0, whose weights are a package, and each file.
Random weights would show nothing: through them two different photos have a cosine of .9989.
"""

import argparse
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import torch
import torchvision
from torch import nn

from model.pictures.decoding import decode_picture
from model.pictures.image_encoder import ImageEncoder, load_image_encoder

RESNET50_ENTRY = "ResNet50_Weights.IMAGENET1K_V2"
SQUEEZENET_ENTRY = "SqueezeNet1_0_Weights.IMAGENET1K_V1"
PLAIN_BATCH = 32
PICTURE_ENDINGS = {".jpg", ".jpeg", ".png"}


def picture_files(folder: str, count: int) -> list[Path]:
    """`count` picture files under a folder, spread over it."""
    paths = sorted(path for path in Path(folder).rglob("*") if path.suffix.lower() in PICTURE_ENDINGS)
    return [paths[number * len(paths) // count] for number in range(min(count, len(paths)))]


def plain_script(network: nn.Module, crops_BHWC: np.ndarray, encoder: ImageEncoder) -> Callable[[], np.ndarray]:
    """What a short script does: normalise as torchvision, float32, contiguous, batches of 32, features before `fc`."""
    mean, std = (
        torch.tensor(values)[:, None, None] for values in (encoder.preprocessing.mean, encoder.preprocessing.std)
    )
    pixels_BCHW = (torch.from_numpy(crops_BHWC).permute(0, 3, 1, 2).contiguous() / 255 - mean) / std

    def forward() -> np.ndarray:
        with torch.inference_mode():
            return torch.cat([network(part) for part in pixels_BCHW.split(PLAIN_BATCH)]).numpy()

    return forward


def cosines(a_BD: np.ndarray, b_BD: np.ndarray) -> np.ndarray:
    """float64 [B], row by row."""
    a_BD, b_BD = (
        x.astype(np.float64) / np.linalg.norm(x.astype(np.float64), axis=1, keepdims=True) for x in (a_BD, b_BD)
    )
    return (a_BD * b_BD).sum(axis=1)


def smallest_cosine(a_BD: np.ndarray, b_BD: np.ndarray) -> float:
    return float(cosines(a_BD, b_BD).min())


def alternate(first: Callable[[], object], second: Callable[[], object], rounds: int) -> tuple[float, float]:
    """Median seconds of each, run in turns after one warm round, so that other load hits both."""
    seconds: tuple[list[float], list[float]] = ([], [])
    for number in range(rounds + 1):
        for function, measured in zip((first, second), seconds, strict=True):
            started_s = time.perf_counter()
            function()
            if number:
                measured.append(time.perf_counter() - started_s)
    return statistics.median(seconds[0]), statistics.median(seconds[1])


def crops_of(images: str, num_pictures: int, encoder: ImageEncoder) -> np.ndarray:
    """Photos as the encoder reads them, uint8 [B, H, W, C]."""
    data = [path.read_bytes() for path in picture_files(images, num_pictures)]
    return np.stack([decode_picture(picture, encoder.preprocessing) for picture in data])


def measure_speed(images: str, num_pictures: int, rounds: int) -> None:
    """ResNet-50 with random weights: the work is that of trained ones."""
    torch.manual_seed(0)
    network = torchvision.models.resnet50(weights=None).eval()
    with tempfile.TemporaryDirectory() as folder:
        path = str(Path(folder, "resnet50.pth"))
        torch.save(network.state_dict(), path)
        encoder = load_image_encoder("resnet50", path, RESNET50_ENTRY)
    network.fc = nn.Identity()
    crops_BHWC = crops_of(images, num_pictures, encoder)
    plain = plain_script(network, crops_BHWC, encoder)
    plain_s, ours_s = alternate(plain, lambda: encoder.encode(crops_BHWC), rounds)
    rates = [len(crops_BHWC) / seconds for seconds in (plain_s, ours_s)]
    print(
        f"resnet50 forward, {torch.get_num_threads()} threads, {len(crops_BHWC)} pictures: plain {rates[0]:.1f}/s, "
        f"{encoder.spec.dtype} {rates[1]:.1f}/s, ratio {rates[1] / rates[0]:.2f} (bar 4)"
    )


def measure_parity(images: str, name: str, weights: str | None, entry: str | None, num_pictures: int) -> None:
    """How near a trained network's vectors are to float32's; and two photos to each other, for comparison."""
    fast, exact = load_image_encoder(name, weights, entry), load_image_encoder(name, weights, entry, dtype="float32")
    crops_BHWC = crops_of(images, num_pictures, fast)
    a_BD, b_BD = exact.encode(crops_BHWC), fast.encode(crops_BHWC)
    print(
        f"{name}, trained weights, {len(crops_BHWC)} pictures: {fast.spec.dtype} against float32, smallest cosine "
        f"{smallest_cosine(a_BD, b_BD):.5f} (bar 0.999), after subtracting the mean vector "
        f"{smallest_cosine(a_BD - a_BD.mean(0), b_BD - a_BD.mean(0)):.5f}; a photo and the next one: median "
        f"{np.median(cosines(a_BD[:-1], a_BD[1:])):.5f}"
    )


def main(argv: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n\n")[0])
    parser.add_argument("--images", required=True, help="folder of photos")
    parser.add_argument("--resnet50-weights", help=f"trained weights of torchvision's resnet50, {RESNET50_ENTRY}")
    parser.add_argument("--squeezenet-weights", help="trained weights of torchvision's squeezenet1_0")
    parser.add_argument("--pictures", type=int, default=64)
    parser.add_argument("--rounds", type=int, default=3)
    arguments = parser.parse_args(argv)
    trained = [("resnet50", arguments.resnet50_weights, RESNET50_ENTRY)]
    trained += [("squeezenet1_0", arguments.squeezenet_weights, SQUEEZENET_ENTRY)]
    measure_parity(arguments.images, "efficientnet_lite0", None, None, arguments.pictures)
    for name, weights, entry in trained:
        if weights:
            measure_parity(arguments.images, name, weights, entry, arguments.pictures)
    measure_speed(arguments.images, arguments.pictures, arguments.rounds)
    return 0


if __name__ == "__main__":
    sys.exit(main())
