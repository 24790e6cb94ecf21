"""What a model folder may ask for: names inside it, and no more memory than its weights fill."""

import math
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from model.items.config import ItemSageConfig
from schemas import storage
from schemas.errors import CorruptFileError, UsageError
from schemas.files import read_json
from schemas.quarantine import quote
from schemas.tables import NUM_TEXT_FIELDS

CONFIG_FILE = "config.json"
HASH_EMBEDDER, ITEM_ENCODER, TEXT_TOWER, PICTURE_TOWER = "hash_embedder", "item_encoder", "text_tower", "picture_tower"
_NUMBER_BYTES = 4


def check_manifest(manifest: Mapping[str, Any], folder: str | os.PathLike[str]) -> None:
    """CorruptFileError unless files are names inside the folder with their sha256, and towers hold numbers of pairs."""
    files, towers = manifest["files"], manifest["towers"]
    good = isinstance(files, dict) and all(isinstance(sha256, str) for sha256 in files.values())
    good = good and not any(name.startswith("/") or ".." in Path(name).parts or "\0" in name for name in files)
    good = good and isinstance(towers, dict) and all(isinstance(tasks, dict) for tasks in towers.values())
    if not good or any(type(pairs) is not int for tasks in towers.values() for pairs in tasks.values()):
        got = f"{quote(files)} and {quote(towers)}"
        raise CorruptFileError(f"expected file names with sha256, and towers with pairs, got {got} in {folder}")


def read_config(folder: Path) -> tuple[ItemSageConfig, float]:
    """(switches, log_scale) of a model folder. Raises CorruptFileError if they are none, or if they ask for more
    numbers than the weights beside them can hold: a forged config must not fill the memory before the weights turn
    out not to fit. UsageError for switches of newer code."""
    config, log_scale = read_switches(folder)
    with _switches_or_fault(folder):
        _check_room(folder, config)
    return config, log_scale


def read_switches(folder: Path) -> tuple[ItemSageConfig, float]:
    """As read_config, for who loads no weights: nothing is held against them."""
    described = read_json(folder / CONFIG_FILE)
    with _switches_or_fault(folder):
        config, log_scale = ItemSageConfig.from_json(described["model"]), float(described["log_scale"])
        if not math.isfinite(log_scale):
            raise ValueError(f"log_scale {log_scale}")
    return config, log_scale


@contextmanager
def _switches_or_fault(folder: Path) -> Iterator[None]:
    """Whatever is wrong with the switches of a folder is a CorruptFileError that names them."""
    try:
        yield
    except (UsageError, CorruptFileError):
        raise
    except (KeyError, ValueError, TypeError, AttributeError, ArithmeticError) as error:
        got = f"{type(error).__name__}: {quote(str(error))}"
        raise CorruptFileError(f"expected the switches of a model in {folder / CONFIG_FILE}, got {got}") from error


def _check_room(folder: Path, config: ItemSageConfig) -> None:
    mlp_dim = config.mlp_dim
    sizes = [config.vocabulary_size, config.hash_rows, config.hash_dim, config.num_hashes, config.heads]
    sizes += [config.num_layers, config.width, config.ffn_dim, mlp_dim, config.output_dim]
    if any(type(size) is not int or size < 1 for size in sizes):
        raise ValueError("a size that is no positive integer")
    input_dims = config.picture_dim, config.text_dim, config.query_table_dim
    if any(type(size) is not int or size < 0 for size in input_dims):
        raise ValueError("an input dimension that is no integer of at least 0")
    least = {
        HASH_EMBEDDER: config.hash_rows * config.hash_dim + config.num_hashes * config.vocabulary_size,
        ITEM_ENCODER: _item_encoder_numbers(config),
        TEXT_TOWER: mlp_dim * (config.query_dim + config.output_dim),
    }
    for name, numbers in least.items():
        path = folder / f"{name}.safetensors"
        got = storage.size_of(path) if storage.has_file(path) else 0
        if _NUMBER_BYTES * numbers > got:
            raise CorruptFileError(
                f"expected weights of {numbers:,} numbers for the switches of {folder / CONFIG_FILE}, got "
                f"{got:,} bytes of {path.name}: restore the model or train it again"
            )


def _item_encoder_numbers(config: ItemSageConfig) -> int:
    """Numbers in the weights of the item encoder's Linears."""
    width, aggregate_dim = config.width, config.aggregate_dim
    own_fields = NUM_TEXT_FIELDS if config.aggregator in ("linear", "mlp_concat_mlp") else 1
    seen_dims = config.use_text * (own_fields * config.hash_dim + config.text_dim)
    seen_dims += config.sees_pictures * config.picture_dim
    numbers = aggregate_dim * seen_dims
    if config.aggregator == "transformer":
        numbers += config.num_layers * (4 * width * width + 2 * width * config.ffn_dim)
    if config.aggregator == "mlp_concat_mlp":
        numbers = width * (seen_dims + aggregate_dim)
    return numbers + config.has_head * config.mlp_dim * (aggregate_dim + config.output_dim)
