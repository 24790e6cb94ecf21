"""Weights in a model folder: a safetensors file a module, written whole and read checked. Modules that read with one
hash embedder share its file."""

from collections.abc import Mapping
from pathlib import Path

from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from model.items.manifest import Folder, read_model_manifest
from schemas.errors import CorruptFileError
from schemas.quarantine import quote
from schemas.storage import atomic_write

_SHARED_PREFIX = "hash_embedder."


def weights_file(name: str) -> str:
    """The file of a module of that name."""
    return f"{name}.safetensors"


def own_state(module: nn.Module, without_table: bool) -> dict[str, Tensor]:
    """What a module's file holds; without_table: the module's hash embedder is another file."""
    state = module.state_dict()
    return {key: value for key, value in state.items() if not (without_table and key.startswith(_SHARED_PREFIX))}


def write_weights(path: Path, state: Mapping[str, Tensor]) -> None:
    """Atomically, from whatever device they are on."""
    with atomic_write(path) as temporary:
        save_file({name: value.detach().cpu().contiguous() for name, value in state.items()}, temporary)


def load_weights(module: nn.Module, folder: Folder, name: str, without_table: bool = False) -> None:
    """Loads what `write_weights` wrote of the module's own state. Raises CorruptFileError if the file is not as it was
    saved, or has other names or shapes than the module."""
    file = weights_file(name)
    state, expected = read_weights(folder, file), own_state(module, without_table).keys()
    if set(state) != expected:
        odd = sorted(set(state) ^ expected)
        raise CorruptFileError(f"expected the weights of the configured {name}, got other names in {folder}: {odd[:5]}")
    try:
        module.load_state_dict(state, strict=False)
    except RuntimeError as error:
        raise CorruptFileError(f"expected weights of the configured shapes, got others in {folder}/{file}") from error


def read_weights(folder: Folder, file: str) -> dict[str, Tensor]:
    """The tensors of a file that is as it was saved; CorruptFileError for another."""
    read_model_manifest(folder, check=[file])
    try:
        return load_file(Path(folder, file))
    except (SafetensorError, OSError) as error:
        raise CorruptFileError(f"expected weights in {folder}/{file}, got {quote(str(error))}") from error
