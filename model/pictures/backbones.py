"""Classification networks as vector makers: built by name, loaded strictly, cut before the classifier, folded.

The vector is the pooled input of the network's last layer: of the last `nn.Linear`, or, where there is none
(SqueezeNet), of the last 1x1 convolution, averaged over positions.

torchvision is imported where it is used: it takes more than a second, which a day without change need not wait.
"""

import operator
import re
import threading
import urllib.parse
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import torch
from safetensors.torch import load_file
from torch import fx, nn
from torch.nn.utils.fusion import fuse_conv_bn_eval

from model.pictures import efficientnet_lite
from model.pictures.decoding import Preprocessing
from schemas import storage
from schemas.errors import UsageError

if TYPE_CHECKING:
    from torchvision.models import WeightsEnum

#: What torchvision's builders set only when they load the weights themselves.
_BUILDER_OPTIONS: dict[str, dict[str, Any]] = {
    "googlenet": {"transform_input": True, "init_weights": False},
    "inception_v3": {"transform_input": True, "init_weights": False},
}
#: DenseNet files were written when module names could hold dots: "norm.1" is "norm1" now.
_DENSENET_KEY = re.compile(r"^(.*denselayer\d+\.(?:norm|conv))\.([12]\..*)$")
_TRACING = threading.Lock()


def weights_entry(name: str, weights_name: str | None, has_file: bool) -> "WeightsEnum | None":
    """The torchvision weights entry that says how to preprocess; None for efficientnet_lite0, which has its own.

    `weights_name` is "ResNet50_Weights.IMAGENET1K_V2" or its last part; only without a file it may be left out (then
    torchvision's default). Raises UsageError that lists the entries.
    """
    if name == efficientnet_lite.NAME:
        if weights_name is not None:
            raise UsageError(f"expected no --image-weights-name with {name} (it has one preprocessing only)")
        return None
    from torchvision import models

    if name not in (listed := models.list_models(module=models)):
        known = ", ".join([efficientnet_lite.NAME, *listed])
        raise UsageError(f"expected an image encoder, got {name!r}; known: {known}")
    entries = models.get_model_weights(name)
    known = ", ".join(str(entry) for entry in entries)
    if weights_name is None:
        if has_file:
            raise UsageError(
                f"expected the torchvision entry of the weights file (it fixes size, mean and std), got none: "
                f"give --image-weights-name, one of {known}"
            )
        return entries.DEFAULT
    class_name, _, member = weights_name.rpartition(".")
    if class_name not in ("", entries.__name__) or member not in entries.__members__:
        raise UsageError(f"expected --image-weights-name of {name}, one of {known}, got {weights_name!r}")
    return entries[member]


def preprocessing_of(entry: "WeightsEnum | None") -> Preprocessing:
    """The preprocessing of a weights entry (None: efficientnet_lite0's)."""
    if entry is None:
        return efficientnet_lite.PREPROCESSING
    preset = entry.transforms()
    return Preprocessing(
        resize_px=preset.resize_size[0],
        crop_px=preset.crop_size[0],
        interpolation=preset.interpolation.value,
        mean=tuple(preset.mean),
        std=tuple(preset.std),
    )


def build_network(name: str, entry: "WeightsEnum | None") -> nn.Module:
    """The network in evaluation mode, weights at random."""
    if entry is None:
        return efficientnet_lite.EfficientNetLite0().eval()
    from torchvision.models import get_model_builder

    options = dict(_BUILDER_OPTIONS.get(name, {}))
    if name.startswith("vit_"):
        options["image_size"] = entry.meta["min_size"][0]
    return get_model_builder(name)(weights=None, num_classes=len(entry.meta["categories"]), **options).eval()


def vector_dim(name: str, entry: "WeightsEnum | None") -> int:
    """The width of the vector, without allocating the network where its builder allows that."""
    try:
        with torch.device("meta"):
            network = build_network(name, entry)
    except (NotImplementedError, RuntimeError):  # RegNet computes its widths with tensors
        network = build_network(name, entry)
    layer = network.get_submodule(_classifier_name(network))
    return layer.in_features if isinstance(layer, nn.Linear) else layer.in_channels  # type: ignore[return-value]


def weights_file_of(name: str, entry: "WeightsEnum | None") -> str:
    """Where the published weights lie: in the installed package, or downloaded once to torch's cache."""
    if entry is None:
        return efficientnet_lite.packaged_weights_file()
    file_name = Path(urllib.parse.urlparse(entry.url).path).name
    path = Path(torch.hub.get_dir(), "checkpoints", file_name)
    if not storage.has_file(path):
        storage.make_folder(path.parent)
        prefix = torch.hub.HASH_REGEX.search(file_name)
        try:
            torch.hub.download_url_to_file(entry.url, str(path), prefix.group(1) if prefix else None)
        except (OSError, RuntimeError) as error:  # no network, no space; a hash that does not match
            raise UsageError(
                f"expected to download {entry.url}, got {type(error).__name__}: {error}; on a machine with network "
                f"fetch that file, then give --image-weights FILE --image-weights-name {entry}"
            ) from error
    return str(path)


def read_state_dict(path: str) -> dict[str, torch.Tensor]:
    """Tensors of a `.safetensors` file or of one that torch.save wrote; no code in it is run. Raises UsageError."""
    try:
        if path.endswith(".safetensors"):
            state = load_file(path)
        else:
            state = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # torch, zipfile, pickle and safetensors raise types of their own
        raise UsageError(
            f"expected weights (safetensors, or a state dict of torch.save) in {path}, got {type(error).__name__}: "
            f"{str(error).splitlines()[0] if str(error) else ''}"
        ) from error
    if not isinstance(state, dict) or not all(isinstance(value, torch.Tensor) for value in state.values()):
        raise UsageError(f"expected a state dict (names to tensors) in {path}, got {type(state).__name__}")
    return dict(state)


def load_weights(network: nn.Module, name: str, path: str) -> None:
    """Loads a weights file strictly. Raises UsageError that names the first keys that do not fit."""
    state = read_state_dict(path)
    if name.startswith("densenet"):
        state = {_DENSENET_KEY.sub(r"\1\2", key): value for key, value in state.items()}
    try:
        network.load_state_dict(state, strict=True)
    except RuntimeError as error:
        detail = " ".join(str(error).split())[:400]
        raise UsageError(f"expected weights of {name} in {path}, got others: {detail}") from error


def vector_network(network: nn.Module) -> fx.GraphModule:
    """The evaluation-mode network up to the pooled input of its classifier: [B, 3, S, S] -> [B, dim].

    Batch norms are folded into the convolutions before them, and residual sums are made in place: same function,
    rounding aside. The modules of `network` are shared or replaced: do not use it any more.
    """
    name = _classifier_name(network)
    with _TRACING:
        tracer = _OneThreadTracer()
        traced = fx.GraphModule(network, tracer.trace(network))
    graph = traced.graph
    classifier = next(node for node in reversed(graph.nodes) if node.op == "call_module" and node.target == name)
    vector = classifier.args[0]
    if isinstance(traced.get_submodule(name), nn.Conv2d):
        with graph.inserting_before(classifier):
            vector = graph.call_function(torch.mean, (vector, (2, 3)))
    output = next(node for node in graph.nodes if node.op == "output")
    output.args = (vector,)
    graph.eliminate_dead_code()
    _fold_batch_norms(traced)
    _add_in_place(traced)
    graph.lint()
    traced.recompile()
    traced.delete_all_unused_submodules()
    return traced.eval()


class _OneThreadTracer(fx.Tracer):
    """Records what the thread that made it calls. While fx traces, it has nn.Module patched for the whole process: only
    one thread may trace at a time, and modules that other threads call meanwhile must work as ever."""

    def __init__(self) -> None:
        super().__init__()
        self._thread = threading.get_ident()

    def call_module(self, m: nn.Module, forward: Callable[..., Any], args: Any, kwargs: Any) -> Any:
        """Overrides fx.Tracer's."""
        if threading.get_ident() != self._thread:
            return forward(*args, **kwargs)
        return super().call_module(m, forward, args, kwargs)

    def getattr(self, attr: str, attr_val: Any, parameter_proxy_cache: dict[str, Any]) -> Any:
        """Overrides fx.Tracer's."""
        if threading.get_ident() != self._thread:
            return attr_val
        return super().getattr(attr, attr_val, parameter_proxy_cache)


def _classifier_name(network: nn.Module) -> str:
    modules = list(network.named_modules())
    linear = [name for name, module in modules if isinstance(module, nn.Linear)]
    if linear:
        return linear[-1]
    return [name for name, module in modules if isinstance(module, nn.Conv2d) and module.kernel_size == (1, 1)][-1]


def _called(traced: fx.GraphModule, node: Any, kind: type[nn.Module]) -> bool:
    is_call = isinstance(node, fx.Node) and node.op == "call_module"
    return is_call and isinstance(traced.get_submodule(str(node.target)), kind)


def _fold_batch_norms(traced: fx.GraphModule) -> None:
    for node in list(traced.graph.nodes):
        if not _called(traced, node, nn.BatchNorm2d):
            continue
        convolution = node.args[0]
        if _called(traced, convolution, nn.Conv2d) and len(convolution.users) == 1:
            folded = fuse_conv_bn_eval(
                cast(nn.Conv2d, traced.get_submodule(convolution.target)),
                cast(nn.BatchNorm2d, traced.get_submodule(node.target)),
            )
            traced.set_submodule(convolution.target, folded)
            node.replace_all_uses_with(convolution)
            traced.graph.erase_node(node)


def _add_in_place(traced: fx.GraphModule) -> None:
    """`a + b` writes into a where a is a convolution's fresh output that nothing else reads: a fifth of the time of
    ResNet-50 goes into memory for the sums otherwise."""
    for node in traced.graph.nodes:
        is_sum = node.op == "call_function" and node.target in (operator.add, torch.add) and len(node.args) == 2
        if is_sum and _called(traced, node.args[0], nn.Conv2d) and len(node.args[0].users) == 1:
            node.target = operator.iadd
