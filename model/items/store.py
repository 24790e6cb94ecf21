"""Model folders: what training leaves behind and embedding, search and evaluation load. No pickles, every file checked.

    config.json               switches of the model, and the learned log_scale
    hash_embedder.safetensors, item_encoder.safetensors, text_tower.safetensors, picture_tower.safetensors
    start.safetensors         what training began with (model.items.kept_start), to be measured beside it
    image_encoder/            picture encoder (absent for a model without pictures)
    text_encoder/             frozen encoder of sentences (absent for a model without one)
    query_table/              the shop's own vectors of queries (absent if none), see model.items.query_table
    vocabulary/
    split.json (split.parquet)   which pairs trained it, as model.split.split.Split.load reads them
    metrics.json
    manifest.json             written last: model_id, sha256 of every file, towers -> {task: training pairs}, split, ids
                              (ids of encoders are their network ids: no number format, no batch size in them);
                              query_table: its rows, dim and id, if there is one

What identifies and checks a folder is model.items.manifest; what a config may ask for, model.items.checks; how weights
are written and read, model.items.weights.
"""

import uuid
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import nn

from model.items.checks import (
    CONFIG_FILE,
    HASH_EMBEDDER,
    ITEM_ENCODER,
    PICTURE_TOWER,
    TEXT_TOWER,
    read_config,
)
from model.items.config import ItemSageConfig
from model.items.hash_embedder import HashEmbedder
from model.items.itemsage import ItemEncoder, ItemSage, PictureTower, TextTower
from model.items.kept_start import restored_start, start_state
from model.items.manifest import Folder, read_model_manifest, write_model_manifest
from model.items.weights import load_weights, own_state, read_weights, weights_file, write_weights
from model.machine.columns import read_facts
from model.split.split import Split
from schemas import storage
from schemas.errors import CorruptFileError, UsageError
from schemas.files import read_json, write_json
from schemas.storage import copy_folder
from schemas.tables import SCHEMA_VERSION

START_FILE = "start.safetensors"
VOCABULARY_FOLDER, IMAGE_ENCODER_FOLDER, TEXT_ENCODER_FOLDER = "vocabulary", "image_encoder", "text_encoder"
QUERY_TABLE_FOLDER = "query_table"


def save_model(
    model: ItemSage,
    folder: Folder,
    *,
    vocabulary_folder: Folder,
    image_encoder_folder: Folder | None,
    text_encoder_folder: Folder | None = None,
    query_table_folder: Folder | None = None,
    towers: Mapping[str, Mapping[str, int]],
    split: Split | Mapping[str, Any],
    metrics: Mapping[str, Any],
    facts: Mapping[str, Any] | None = None,
    start: ItemSage | None = None,
) -> str:
    """Writes a model folder and returns its model id. `folder` is new or empty: a temporary one, for `install_model`.

    towers: "text" and "picture" -> {task: number of training pairs}, tasks without pairs left out. split: the one that
    chose them, or its JSON. facts: further keys of the manifest, for example where it was trained. start: the model
    before its training; None: it is not kept. A model with pictures needs image_encoder_folder, one that reads text
    vectors text_encoder_folder, one that reads the shop's own vectors of queries query_table_folder
    (QueryTable.folder).
    """
    if unknown := set(towers) - {"text", "picture"}:
        raise UsageError(f"expected towers text and picture, got {sorted(unknown)} too")
    folders = {
        IMAGE_ENCODER_FOLDER: image_encoder_folder,
        TEXT_ENCODER_FOLDER: text_encoder_folder,
        QUERY_TABLE_FOLDER: query_table_folder,
    }
    _check_inputs(model.config, folders)
    target = Path(folder)
    if storage.has(target) and storage.names_in(target):
        raise UsageError(f"expected a new or empty folder for a model, got files in {target}")
    for name, source in {VOCABULARY_FOLDER: vocabulary_folder, **folders}.items():
        if source is not None:
            copy_folder(source, target / name)
    _write_model(model, target)
    if start is not None:
        write_weights(target / START_FILE, start_state(start))
    described = {
        **(facts or {}),
        "schema_version": SCHEMA_VERSION,
        "towers": {name: {task: int(pairs) for task, pairs in tasks.items()} for name, tasks in towers.items()},
        "split": _write_split(split, target),
        **_described_inputs(model.config, target),
    }
    return write_model_manifest(target, described, metrics)


def install_model(folder: Folder, models_root: Folder) -> Path:
    """Moves a folder that save_model wrote to models_root/<model id> and returns that path; complete there or absent.

    If that model is there already (equal content), it stays and `folder` is removed.
    """
    source = Path(folder)
    manifest = read_model_manifest(source)
    target = Path(models_root, manifest["model_id"])
    if storage.has(target):
        read_model_manifest(target, check=manifest["files"])
        if not storage.is_same_place(source, target):
            storage.remove_folder(source)
        return target
    storage.make_folder(target.parent)
    hidden = target.parent / f".{target.name}.{uuid.uuid4().hex[:8]}"
    storage.move_from_elsewhere(source, hidden)  # another file system: this copies
    storage.move(hidden, target)
    return target


def load_item_encoder(folder: Folder) -> ItemEncoder:
    """In evaluation mode, on the CPU. Files are checked first."""
    config, _ = _config(folder)
    encoder = ItemEncoder(config, _load_hash_embedder(folder, config))
    load_weights(encoder, folder, ITEM_ENCODER, without_table=True)
    return encoder.eval()


def load_text_tower(folder: Folder) -> TextTower:
    """In evaluation mode, on the CPU. UsageError if the tower had no training pairs."""
    config, _ = _config(folder)
    _refuse_untrained(folder, "text", "search engagements or pseudo-queries")
    table = _load_hash_embedder(folder, config) if config.share_text_table else None
    tower = TextTower(config, table)
    load_weights(tower, folder, TEXT_TOWER, without_table=config.share_text_table)
    return tower.eval()


def load_picture_tower(folder: Folder) -> PictureTower:
    """In evaluation mode, on the CPU. UsageError if the tower had no training pairs or the model knows no pictures."""
    config, _ = _config(folder)
    _refuse_untrained(folder, "picture", "closeup engagements and pictures")
    if not config.picture_dim:
        raise UsageError(f"expected a model with a picture tower, got one without it at {folder}: train with pictures")
    tower = PictureTower(config)
    load_weights(tower, folder, PICTURE_TOWER)
    return tower.eval()


def load_model(folder: Folder) -> ItemSage:
    """Everything, trained or not, in evaluation mode: to train on or to evaluate."""
    config, log_scale = _config(folder)
    model = ItemSage(config)
    for name, module in _modules(model).items():
        load_weights(module, folder, name, without_table=_shares_table(name, config))
    with torch.no_grad():
        model.log_scale.fill_(log_scale)
    return model.eval()


def load_start(folder: Folder) -> ItemSage:
    """The model before its training, in evaluation mode. Raises UsageError if the folder does not keep it, or if its
    table cannot be drawn again; CorruptFileError if it is not what was saved."""
    config, _ = _config(folder)
    return restored_start(config, read_weights(folder, START_FILE))


def _check_inputs(config: ItemSageConfig, folders: Mapping[str, Folder | None]) -> None:
    """UsageError unless there is a folder exactly for each kind of vectors that the model reads."""
    dims = {
        IMAGE_ENCODER_FOLDER: config.picture_dim,
        TEXT_ENCODER_FOLDER: config.text_dim,
        QUERY_TABLE_FOLDER: config.query_table_dim,
    }
    for name, source in folders.items():
        if (dims[name] > 0) != (source is not None):
            raise UsageError(
                f"expected {name} exactly for a model that reads its vectors, got vectors of {dims[name]} dimensions "
                f"and the folder {source}"
            )


def _described_inputs(config: ItemSageConfig, folder: Path) -> dict[str, Any]:
    """Keys of the manifest: the vectors that the model reads, and the ids of what lies in its folder to make them."""
    described: dict[str, Any] = {
        "picture_dim": config.picture_dim,
        "text_dim": config.text_dim,
        "vocabulary_id": _id_in(folder / VOCABULARY_FOLDER / "vocabulary.json", "id"),
        "image_encoder_id": _id_in(folder / IMAGE_ENCODER_FOLDER / "image_encoder.json", "network_id"),
        "text_encoder_id": _id_in(folder / TEXT_ENCODER_FOLDER / "text_encoder.json", "network_id"),
    }
    if config.query_table_dim:
        described["query_table"] = read_facts(folder / QUERY_TABLE_FOLDER)
    return described


def _write_split(split: Split | Mapping[str, Any], folder: Path) -> dict[str, Any]:
    """Writes the split, and returns its JSON."""
    if isinstance(split, Split):
        split.save(folder)
        return split.to_json()
    write_json(folder / "split.json", dict(split))
    return dict(split)


def _write_model(model: ItemSage, folder: Path) -> None:
    """The switches, and each module's weights; those of the table once, in the file of the hash embedder."""
    write_json(folder / CONFIG_FILE, {"model": model.config.to_json(), "log_scale": model.log_scale.item()})
    for name, module in _modules(model).items():
        write_weights(folder / weights_file(name), own_state(module, without_table=_shares_table(name, model.config)))


def _shares_table(name: str, config: ItemSageConfig) -> bool:
    """Whether the hash embedder that the module reads with is another file."""
    return name == ITEM_ENCODER or (name == TEXT_TOWER and config.share_text_table)


def _modules(model: ItemSage) -> dict[str, nn.Module]:
    modules = {HASH_EMBEDDER: model.hash_embedder, ITEM_ENCODER: model.item_encoder, TEXT_TOWER: model.text_tower}
    return modules if model.picture_tower is None else {**modules, PICTURE_TOWER: model.picture_tower}


def _config(folder: Folder) -> tuple[ItemSageConfig, float]:
    read_model_manifest(folder, check=[CONFIG_FILE])
    return read_config(Path(folder))


def _refuse_untrained(folder: Folder, tower: str, remedy: str) -> None:
    manifest = read_model_manifest(folder)
    if not sum(manifest["towers"].get(tower, {}).values()):
        raise UsageError(
            f"expected a {tower} tower with training pairs, got none in model {manifest['model_id']}: "
            f"train with {remedy}"
        )


def _load_hash_embedder(folder: Folder, config: ItemSageConfig) -> HashEmbedder:
    embedder = HashEmbedder(config)
    load_weights(embedder, folder, HASH_EMBEDDER)
    return embedder


def _id_in(path: Path, key: str) -> str | None:
    if not storage.has(path):
        return None
    value = read_json(path).get(key)
    if not isinstance(value, str):
        raise CorruptFileError(f"expected a string {key!r} in {path}, got {value!r}")
    return value
