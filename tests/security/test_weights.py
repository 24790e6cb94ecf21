"""Weights from strangers: nothing in them runs, and what is no weights file is an error that says so."""

import os
import pickle
import zipfile
from pathlib import Path

import numpy as np
import pytest
import torch

from model.pictures.backbones import read_state_dict
from model.pictures.image_encoder import load_image_encoder
from schemas.errors import UsageError

NAMES = ("weights.pth", "weights.pt", "weights.bin", "weights.safetensors", "weights.npy", "weights.npz")


class Malicious:
    """Unpickling it makes a folder."""

    def __init__(self, trace: Path):
        self.trace = str(trace)

    def __reduce__(self):
        return os.mkdir, (self.trace,)


def zip_pickle(path: Path, payload: object) -> None:
    torch.save({"layer.weight": torch.zeros(2), "payload": payload}, path)


def old_pickle(path: Path, payload: object) -> None:
    torch.save({"payload": payload}, path, _use_new_zipfile_serialization=False)


def bare_pickle(path: Path, payload: object) -> None:
    path.write_bytes(pickle.dumps(payload))


def numpy_pickle(path: Path, payload: object) -> None:
    with path.open("wb") as file:
        np.save(file, np.array([payload], object), allow_pickle=True)


def whole_module(path: Path, payload: object) -> None:
    module = torch.nn.Linear(2, 2)
    module.hook = payload
    torch.save(module, path)


@pytest.mark.medium
@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("write", [zip_pickle, old_pickle, bare_pickle, numpy_pickle, whole_module])
def test_code_in_weights_does_not_run(tmp_path, name, write):
    trace, path = tmp_path / "trace", tmp_path / name
    write(path, Malicious(trace))
    with pytest.raises(UsageError, match="expected weights"):
        read_state_dict(str(path))
    with pytest.raises(UsageError, match=r"expected weights|expected a state dict"):
        load_image_encoder("squeezenet1_1", str(path), "SqueezeNet1_1_Weights.IMAGENET1K_V1", device="cpu")
    assert not trace.exists()


def test_the_trap_itself_works(tmp_path):
    """The same file, loaded as torch used to: without this, the test above proves nothing."""
    zip_pickle(tmp_path / "weights.pth", Malicious(tmp_path / "trace"))
    torch.load(tmp_path / "weights.pth", weights_only=False)
    assert (tmp_path / "trace").is_dir()


def test_weights_that_are_another_thing(tmp_path):
    for name in NAMES:
        path = tmp_path / name
        for content in (b"", b"PK\x03\x04", b"\x80\x04.", b"\xff" * 64, (2**63).to_bytes(8, "little") + b"{}"):
            path.write_bytes(content)
            with pytest.raises(UsageError, match=r"weights|state dict"):
                read_state_dict(str(path))
    with zipfile.ZipFile(tmp_path / "bomb.pth", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("archive/data.pkl", b"\0" * (1 << 20))
        archive.writestr("../../evil", b"x")
    with pytest.raises(UsageError):
        read_state_dict(str(tmp_path / "bomb.pth"))
    assert not (tmp_path.parent.parent / "evil").exists()
