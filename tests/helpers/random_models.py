"""Models with random weights: networks of torchvision, the smallest as an image encoder, and an ItemSage over it."""

import shutil
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path

import torch
from torch import nn

from model.items.itemsage import ItemSage, ItemSageConfig
from model.items.store import save_model
from model.pictures import backbones
from model.pictures.image_encoder import load_image_encoder, save_image_encoder
from model.split.split import Split
from model.text.text_encoder_spec import saved_text_encoder_spec
from model.text.vocabulary import TokenCounts, Vocabulary

IMAGE_ENCODER, WEIGHTS_NAME, PICTURE_DIM = "squeezenet1_1", "SqueezeNet1_1_Weights.IMAGENET1K_V1", 512


def random_network(name: str) -> nn.Module:
    """Weights at random, batch norm statistics too: folding them wrongly shows."""
    torch.manual_seed(0)
    network = backbones.build_network(name, backbones.weights_entry(name, None, has_file=False))
    for module in network.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.running_mean.normal_(std=0.1)
            module.running_var.uniform_(0.5, 2)
            module.weight.data.uniform_(0.5, 1.5)
            module.bias.data.normal_(std=0.1)
    return network


def write_image_weights(path: Path) -> str:
    """The file of IMAGE_ENCODER's weights."""
    torch.save(random_network(IMAGE_ENCODER).state_dict(), path)
    return str(path)


def save_random_image_encoder(folder: Path) -> Path:
    """IMAGE_ENCODER in float32, saved as a model keeps it."""
    folder.mkdir(parents=True)
    weights = write_image_weights(folder / "weights.pth")
    encoder = load_image_encoder(IMAGE_ENCODER, weights, WEIGHTS_NAME, device="cpu", dtype="float32")
    save_image_encoder(encoder, folder / "saved")
    return folder / "saved"


def save_random_model(
    folder: Path,
    texts: Iterable[str | None],
    cut_us: int,
    seed: int = 0,
    split: Split | None = None,
    text_encoder_folder: Path | None = None,
    keeps_start: bool = False,
) -> Path:
    """The folder of a model that knows the words of these texts: `folder`/its id. Both towers count as trained, with
    the engagements before `cut_us`, or as the split says. text_encoder_folder: of a saved text encoder, for a model
    that has one. keeps_start: whether a start is kept, all of whose weights but E are others."""
    work = folder / f"made-{seed}"
    image_encoder = save_random_image_encoder(work / "image_encoder")
    counts = TokenCounts()
    for text in texts:
        counts.add_text(text)
    vocabulary = Vocabulary.from_counts(counts.table())
    vocabulary.save(work / "vocabulary")
    text_dim = 0 if text_encoder_folder is None else saved_text_encoder_spec(text_encoder_folder, "cpu").dim
    small = {"hash_rows": 500, "width": 32, "ffn_dim": 32, "mlp_dim": 32, "seed": seed}
    config = ItemSageConfig(vocabulary_size=vocabulary.size, picture_dim=PICTURE_DIM, text_dim=text_dim, **small)
    model_id = save_model(
        ItemSage(config),
        work / "model",
        start=_other_weights(config) if keeps_start else None,
        vocabulary_folder=work / "vocabulary",
        image_encoder_folder=image_encoder,
        text_encoder_folder=text_encoder_folder,
        towers={"text": {"search/click": 10}, "picture": {"closeup/click": 10}},
        split=split
        or Split(
            kind="time",
            has_validation=True,
            has_test=True,
            validation_start_us=cut_us - 2,
            gap_start_us=cut_us - 1,
            test_start_us=cut_us,
        ),
        metrics={},
    )
    model = (work / "model").rename(folder / model_id)
    shutil.rmtree(work)
    return model


def _other_weights(config: ItemSageConfig) -> ItemSage:
    """A model of the config with the weights of another seed, but for the random table E, which is that of its own."""
    model, other = ItemSage(config), ItemSage(replace(config, seed=config.seed + 1))
    weights = {name: value for name, value in other.state_dict().items() if not name.endswith("hash_embedder.table")}
    model.load_state_dict(model.state_dict() | weights)
    return model
