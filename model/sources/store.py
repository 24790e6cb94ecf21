"""Folders of trained sources: what a trainer leaves behind and the daily run loads. No pickles, every file checked.

    config.json           what the model is made with: kind, config, and what it reads (a vocabulary, a dimension)
    weights.safetensors
    metrics.json          the curve of its training; no part of the model id
    manifest.json         written last: kind, model_id, sha256 of every file

Equal training, equal bytes, equal model id.
"""

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from safetensors import SafetensorError
from safetensors.numpy import load_file, save_file

from schemas import storage
from schemas.errors import CorruptFileError, UsageError
from schemas.files import check_sha256, read_json, sha256_of_file, write_json
from schemas.hashing import fingerprint
from schemas.quarantine import quote
from schemas.storage import atomic_write

CONFIG_FILE, WEIGHTS_FILE, METRICS_FILE, MANIFEST_FILE = (
    *("config.json", "weights.safetensors"),
    *("metrics.json", "manifest.json"),
)
_IDENTIFYING = (CONFIG_FILE, WEIGHTS_FILE)
_DIGITS = 12

Folder = str | os.PathLike[str]


def save_source_model(
    folder: Folder, kind: str, config: Mapping[str, Any], weights: Mapping[str, np.ndarray], metrics: Mapping[str, Any]
) -> str:
    """Writes the model of a source to a new or empty folder and returns its model id. kind: of model, "autoencoder"
    say; config and metrics: JSON. Raises UsageError for a folder with files."""
    target = Path(folder)
    if storage.has(target) and any(storage.paths_in(target)):
        raise UsageError(f"expected a new or empty folder for a model, got files in {target}")
    storage.make_folder(target)
    write_json(target / CONFIG_FILE, {"kind": kind, **config})
    with atomic_write(target / WEIGHTS_FILE) as temporary:
        save_file({name: np.ascontiguousarray(weights[name]) for name in sorted(weights)}, temporary)
    write_json(target / METRICS_FILE, dict(metrics))
    files = {name: sha256_of_file(target / name) for name in (*_IDENTIFYING, METRICS_FILE)}
    model_id = _model_id(kind, files)
    write_json(target / MANIFEST_FILE, {"kind": kind, "model_id": model_id, "files": files})
    return model_id


def read_source_manifest(folder: Folder, kind: str) -> dict[str, Any]:
    """{"kind", "model_id", "files"}. Raises CorruptFileError unless it is the manifest of a model of that kind which
    fits its model id."""
    manifest = read_json(Path(folder, MANIFEST_FILE))
    files = manifest.get("files") if isinstance(manifest, dict) else None
    if not isinstance(files, dict) or not set(files) == {*_IDENTIFYING, METRICS_FILE}:
        raise CorruptFileError(f"expected the manifest of a source's model, got {quote(manifest)} in {folder}")
    if manifest.get("kind") != kind or manifest.get("model_id") != _model_id(kind, files):
        got = f"{quote(manifest.get('kind'))} with the id {quote(manifest.get('model_id'))}"
        raise CorruptFileError(f"expected a model of the kind {kind} with the id of its files, got {got} in {folder}")
    return manifest


def read_source_model(folder: Folder, kind: str) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
    """(config, weights), as they were saved; CorruptFileError for files that are not."""
    manifest = read_source_manifest(folder, kind)
    for name in _IDENTIFYING:
        check_sha256(Path(folder, name), manifest["files"][name])
    config = read_json(Path(folder, CONFIG_FILE))
    if not isinstance(config, dict):
        raise CorruptFileError(f"expected the config of a model of the kind {kind}, got {quote(config)} in {folder}")
    try:
        return config, load_file(Path(folder, WEIGHTS_FILE))
    except (SafetensorError, OSError) as error:
        raise CorruptFileError(f"expected weights in {folder}/{WEIGHTS_FILE}, got {quote(str(error))}") from error


def check_shapes(weights: Mapping[str, np.ndarray], expected: Mapping[str, tuple[int, ...]], folder: Folder) -> None:
    """Raises CorruptFileError unless there are these float32 arrays and no others, all finite: before a network of the
    config's size is made, so that a forged config fills no memory."""
    got = {name: array.shape for name, array in weights.items()}
    if got != dict(expected):
        odd = sorted(name for name in {*got, *expected} if got.get(name) != expected.get(name))[:5]
        raise CorruptFileError(f"expected weights of the configured shapes, got others of {odd} in {folder}")
    for name, array in weights.items():
        if array.dtype != np.float32 or not np.isfinite(array).all():
            raise CorruptFileError(f"expected finite float32 weights, got others in {name} of {folder}")


def _model_id(kind: str, files: Mapping[str, Any]) -> str:
    return f"{kind}-" + fingerprint({name: files[name] for name in _IDENTIFYING})[:_DIGITS]
