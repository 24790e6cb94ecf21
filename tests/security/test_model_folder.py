"""A model folder that somebody changed, with checksums and id made to fit: refused before it costs memory."""

import json
import resource
import struct

import pytest
import torch
from safetensors.torch import save_file

from model.items.itemsage import ItemSage, ItemSageConfig
from model.items.manifest import read_model_manifest
from model.items.store import install_model, load_item_encoder, load_model, load_text_tower, save_model
from schemas.errors import CorruptFileError, UsageError
from schemas.files import read_json, sha256_of_file, write_json
from schemas.hashing import fingerprint

CONFIG = ItemSageConfig(vocabulary_size=90, picture_dim=12, hash_rows=40, hash_dim=16, width=32, heads=4, ffn_dim=24)
_HASHED = (
    *("schema_version", "towers", "split", "picture_dim", "text_dim", "vocabulary_id"),
    *("image_encoder_id", "text_encoder_id"),
)
LOADERS = (load_item_encoder, load_text_tower, load_model)


@pytest.fixture
def folder(tmp_path):
    """A small model."""
    write_json(tmp_path / "v" / "vocabulary.json", {"id": "v"})
    write_json(tmp_path / "i" / "image_encoder.json", {"network_id": "n"})
    model = ItemSage(CONFIG)
    towers = {"text": {"search/click": 7}, "picture": {"closeup/save": 8}}
    split = {"kind": "time"}
    save_model(model, tmp_path / "m", vocabulary_folder=tmp_path / "v", image_encoder_folder=tmp_path / "i",
               towers=towers, split=split, metrics={})  # fmt: skip
    return tmp_path / "m"


def reseal(folder, **changes):
    """Makes checksums and id fit whatever lies there."""
    manifest = read_json(folder / "manifest.json") | changes
    if isinstance(manifest["files"], dict) and "files" not in changes:
        manifest["files"] = {name: sha256_of_file(folder / name) for name in manifest["files"]}
    if isinstance(manifest["files"], dict):
        files = {name: sha256 for name, sha256 in manifest["files"].items() if name != "metrics.json"}
        manifest["model_id"] = "itemsage-" + fingerprint({**{k: manifest[k] for k in _HASHED}, "files": files})[:12]
    write_json(folder / "manifest.json", manifest)


def test_resealing_works(folder):
    reseal(folder)
    for load in LOADERS:
        load(folder)


@pytest.mark.parametrize(
    "changes",
    [
        {"hash_rows": 2**40}, {"vocabulary_size": 2**50}, {"width": 2**30, "heads": 1}, {"num_layers": 10**9},
        {"ffn_dim": 2**40}, {"mlp_dim": 2**40}, {"output_dim": 2**33}, {"picture_dim": 2**40}, {"hash_dim": 10**30},
        {"vocabulary_size": "90"}, {"width": 32.0}, {"heads": 0}, {"num_layers": True}, {"hash_rows": -5},
        {"width": None}, {"no_such_switch": 1}, {"num_hashes": "2"}, {"num_hashes": 2.0}, {"num_hashes": 10**9},
        {"aggregator": []}, {"aggregator": "sum", "output_dim": 2**33}, {"aggregator": "linear", "hash_dim": 10**30},
        {"aggregator": "mlp_concat_mlp"}, {"aggregator": "mlp_concat_mlp", "width": 2**30},
    ],
)  # fmt: skip
def test_a_config_that_asks_for_the_memory_is_refused(folder, changes):
    write_json(folder / "config.json", {"model": {**CONFIG.to_json(), **changes}, "log_scale": 1.0})
    reseal(folder)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    for load in LOADERS:
        with pytest.raises((CorruptFileError, UsageError)):
            load(folder)
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 200_000, "KB"


SWITCHES = CONFIG.to_json()
CONFIGS = [[], {}, "x", None, {"model": []}, {"model": {}}, *({"model": SWITCHES, "log_scale": x} for x in ("x", [1]))]


@pytest.mark.parametrize("config", CONFIGS)
def test_a_config_of_another_kind_is_refused(folder, config):
    write_json(folder / "config.json", config)
    reseal(folder)
    for load in LOADERS:
        with pytest.raises((CorruptFileError, UsageError)):
            load(folder)


FORGED_FILES = [
    *({name: "0" * 64} for name in ("../../etc/passwd", "/etc/passwd", "a/../../b", "x\0")),
    [],
    "x",
    {"a": 1},
]


@pytest.mark.parametrize("files", FORGED_FILES)
def test_file_names_stay_inside(folder, tmp_path, files):
    reseal(folder, files=files)
    with pytest.raises(CorruptFileError):
        read_model_manifest(folder)
    with pytest.raises(CorruptFileError):
        install_model(folder, tmp_path / "models")
    assert not (tmp_path / "models").exists()


@pytest.mark.parametrize("towers", [[], {"text": 7}, {"text": {"search/click": "x"}}, {"text": {"search/click": 0.5}}])
def test_towers_of_another_kind_are_refused(folder, towers):
    manifest = read_json(folder / "manifest.json") | {"towers": towers}
    (folder / "manifest.json").write_text(json.dumps(manifest))
    with pytest.raises(CorruptFileError):
        load_text_tower(folder)


HEADER = {"table": {"dtype": "F32", "shape": [2**40, 16], "data_offsets": [0, 2**46]}}


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"\x80\x04c",
        b"\xff" * 5_000,
        struct.pack("<Q", 2**62) + b"{}" * 3_000,
        struct.pack("<Q", 4) + b"null" + b"\0" * 5_000,
        struct.pack("<Q", len(json.dumps(HEADER))) + json.dumps(HEADER).encode() + b"\0" * 5_000,
        struct.pack("<Q", 100_000) + b"[" * 100_000,
    ],
)
def test_weights_of_another_kind_are_refused(folder, content):
    (folder / "hash_embedder.safetensors").write_bytes(content)
    reseal(folder)
    for load in LOADERS:
        with pytest.raises(CorruptFileError, match="weights"):
            load(folder)


def test_weights_of_other_shapes_are_refused(folder):
    save_file({"table": torch.zeros(400, 16), "weights": torch.zeros(1)}, folder / "hash_embedder.safetensors")
    reseal(folder)
    for load in LOADERS:
        with pytest.raises(CorruptFileError, match="weights"):
            load(folder)
