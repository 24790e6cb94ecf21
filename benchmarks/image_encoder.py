"""The image encoder against a plain script: ResNet-50, float32, contiguous, batches of 32, on the same pictures.

    python -m benchmarks.image_encoder --images FOLDER [--squeezenet-weights FILE]

Prints the ratio of forward speeds (bar: 4) and the smallest cosine between the vectors (bar: 0.999). Without weights of
a trained network the ResNet's are random; the SqueezeNet file, if given, shows the cosine on trained weights.
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

from model.image_encoder import ImageEncoder, load_image_encoder
from model.pictures import decode_picture

ENTRY = "ResNet50_Weights.IMAGENET1K_V2"
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


def smallest_cosine(a_BD: np.ndarray, b_BD: np.ndarray) -> float:
    a_BD, b_BD = (
        x.astype(np.float64) / np.linalg.norm(x.astype(np.float64), axis=1, keepdims=True) for x in (a_BD, b_BD)
    )
    return float((a_BD * b_BD).sum(axis=1).min())


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


def measure_resnet50(images: str, num_pictures: int, rounds: int) -> None:
    torch.manual_seed(0)
    network = torchvision.models.resnet50(weights=None).eval()
    with tempfile.TemporaryDirectory() as folder:
        path = str(Path(folder, "resnet50.pth"))
        torch.save(network.state_dict(), path)
        encoder = load_image_encoder("resnet50", path, ENTRY)
    network.fc = nn.Identity()
    data = [path.read_bytes() for path in picture_files(images, num_pictures)]
    crops_BHWC = np.stack([decode_picture(picture, encoder.preprocessing) for picture in data])
    plain = plain_script(network, crops_BHWC, encoder)
    plain_s, ours_s = alternate(plain, lambda: encoder.encode(crops_BHWC), rounds)
    cosine = smallest_cosine(plain(), encoder.encode(crops_BHWC))
    rates = [len(crops_BHWC) / seconds for seconds in (plain_s, ours_s)]
    print(
        f"resnet50 forward, {torch.get_num_threads()} threads, {len(crops_BHWC)} pictures, random weights: plain "
        f"{rates[0]:.1f}/s, {encoder.spec.dtype} {rates[1]:.1f}/s, ratio {rates[1] / rates[0]:.2f} (bar 4), "
        f"smallest cosine {cosine:.5f} (bar 0.999)"
    )


def measure_squeezenet(images: str, weights: str, num_pictures: int) -> None:
    entry = "SqueezeNet1_0_Weights.IMAGENET1K_V1"
    fast = load_image_encoder("squeezenet1_0", weights, entry)
    exact = load_image_encoder("squeezenet1_0", weights, entry, dtype="float32")
    data = [path.read_bytes() for path in picture_files(images, num_pictures)]
    crops_BHWC = np.stack([decode_picture(picture, fast.preprocessing) for picture in data])
    a_BD, b_BD = exact.encode(crops_BHWC), fast.encode(crops_BHWC)
    print(
        f"squeezenet1_0, trained weights, {len(crops_BHWC)} pictures: {fast.spec.dtype} against float32, smallest "
        f"cosine {smallest_cosine(a_BD, b_BD):.5f}, after subtracting the mean vector "
        f"{smallest_cosine(a_BD - a_BD.mean(0), b_BD - a_BD.mean(0)):.5f}"
    )


def main(argv: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n\n")[0])
    parser.add_argument("--images", required=True, help="folder of photos")
    parser.add_argument("--squeezenet-weights", help="trained weights of torchvision's squeezenet1_0")
    parser.add_argument("--pictures", type=int, default=64)
    parser.add_argument("--rounds", type=int, default=3)
    arguments = parser.parse_args(argv)
    measure_resnet50(arguments.images, arguments.pictures, arguments.rounds)
    if arguments.squeezenet_weights:
        measure_squeezenet(arguments.images, arguments.squeezenet_weights, arguments.pictures)
    return 0


if __name__ == "__main__":
    sys.exit(main())
