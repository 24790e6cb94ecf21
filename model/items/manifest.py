"""The manifest of a model folder: which model it is, and whether a file is as it was saved.

The model id is a hash of all content but metrics.json and facts (times, places): equal training, equal id.
"""

import os
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from model.items.checks import CONFIG_FILE, check_manifest, read_switches
from schemas import storage
from schemas.errors import CorruptFileError, UsageError
from schemas.files import check_sha256, read_json, sha256_of_file, write_json
from schemas.hashing import fingerprint

METRICS_FILE, MANIFEST_FILE = "metrics.json", "manifest.json"
#: Keys of the manifest that the model id is made from, beside the files.
_HASHED = (
    *("schema_version", "towers", "split", "picture_dim", "text_dim", "vocabulary_id"),
    *("image_encoder_id", "text_encoder_id"),
)
_DIGITS = 12

Folder = str | os.PathLike[str]


def read_model_manifest(folder: Folder, check: Iterable[str] = ()) -> dict[str, Any]:
    """The manifest, which must match its model id. `check`: files, relative to the folder, whose sha256 is compared.

    Raises CorruptFileError if manifest or file is not what was saved, UsageError if the model has no such file.
    """
    manifest = read_json(Path(folder, MANIFEST_FILE))
    for key in ("model_id", "files", *_HASHED):
        if not isinstance(manifest, dict) or key not in manifest:
            raise CorruptFileError(f"expected a model manifest with {key!r}, got none in {folder}")
    check_manifest(manifest, folder)
    if manifest["model_id"] != (got := model_id_of(manifest)):
        raise CorruptFileError(f"expected the content of {manifest['model_id']}, got that of {got} in {folder}")
    for name in check:
        _check(Path(folder), manifest, name)
    return manifest


def read_output_dim(folder: Folder) -> int:
    """How many dimensions the model's vectors have; loads no weights. Raises as `read_model_manifest` does."""
    read_model_manifest(folder, check=[CONFIG_FILE])
    config, _ = read_switches(Path(folder))
    return config.output_dim


def write_model_manifest(folder: Folder, described: Mapping[str, Any], metrics: Mapping[str, Any]) -> str:
    """Writes metrics.json and, last of all, the manifest of what lies in a model folder; returns the model id.
    described: the other keys of the manifest, those that the id is made from among them."""
    target = Path(folder)
    paths = storage.files_below(target)
    files = {path.relative_to(target).as_posix(): sha256_of_file(path) for path in paths}
    manifest = {**described, "files": files}
    manifest["model_id"] = model_id_of(manifest)
    write_json(target / METRICS_FILE, dict(metrics))
    files[METRICS_FILE] = sha256_of_file(target / METRICS_FILE)
    write_json(target / MANIFEST_FILE, manifest)
    return manifest["model_id"]


def model_id_of(manifest: Mapping[str, Any]) -> str:
    """The id of the model that a manifest describes."""
    files = {name: sha256 for name, sha256 in manifest["files"].items() if name != METRICS_FILE}
    return "itemsage-" + fingerprint({**{key: manifest[key] for key in _HASHED}, "files": files})[:_DIGITS]


def _check(folder: Path, manifest: Mapping[str, Any], name: str) -> None:
    if name not in manifest["files"]:
        raise UsageError(f"expected {name} in model {manifest['model_id']}, got a model without it at {folder}")
    check_sha256(folder / name, manifest["files"][name])
