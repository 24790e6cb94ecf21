"""An encoder's id, its files, and the calls and files that are refused."""

import json
import urllib.error

import numpy as np
import pytest
import torch
from PIL import Image
from random_models import IMAGE_ENCODER, PICTURE_DIM, WEIGHTS_NAME

from model.machine.library_versions import versions_of
from model.pictures import backbones
from model.pictures import image_encoder_spec as specs
from model.pictures.image_encoder import load_image_encoder, open_image_encoder, save_image_encoder
from model.pictures.image_encoder_spec import image_encoder_spec, saved_image_encoder_spec
from schemas.errors import CorruptFileError, UsageError
from schemas.files import sha256_of_file


def test_the_id_is_of_weights_preprocessing_dtype_batch_and_libraries(weights_file, tmp_path, monkeypatch):
    base = image_encoder_spec(IMAGE_ENCODER, weights_file, WEIGHTS_NAME, device="cpu", dtype="float32")
    encoder_id, network_id = base.encoder_id, base.network_id
    state = torch.load(weights_file, weights_only=True)
    other_file = str(tmp_path / "other.pth")
    torch.save({key: value + (1 if key == "classifier.1.bias" else 0) for key, value in state.items()}, other_file)
    others = [
        image_encoder_spec(IMAGE_ENCODER, other_file, WEIGHTS_NAME, device="cpu", dtype="float32"),
        image_encoder_spec(IMAGE_ENCODER, weights_file, WEIGHTS_NAME, device="cpu", dtype="bfloat16"),
        image_encoder_spec(IMAGE_ENCODER, weights_file, WEIGHTS_NAME, device="cpu", dtype="float32", batch_size=3),
    ]
    assert len({spec.encoder_id for spec in [base, *others]}) == 4
    assert image_encoder_spec(IMAGE_ENCODER, weights_file, "IMAGENET1K_V1", device="cpu", dtype="float32") == base
    for library in specs.LIBRARIES:
        with monkeypatch.context() as patched:
            patched.setattr(specs, "versions_of", lambda *names, new=library: {**versions_of(*names), new: "99.0"})
            assert (base.encoder_id == encoder_id, base.network_id) == (False, network_id)
    resnet = [backbones.preprocessing_of(backbones.weights_entry("resnet50", f"IMAGENET1K_V{v}", True)) for v in (1, 2)]
    assert [p.resize_px for p in resnet] == [256, 232]


@pytest.mark.medium
def test_save_and_open(encoder, weights_file, crops_BHWC, tmp_path):
    save_image_encoder(encoder, tmp_path / "a")
    again = open_image_encoder(tmp_path / "a", "cpu", "float32")
    assert (again.encoder_id, again.network_id, again.dim) == (encoder.encoder_id, encoder.network_id, encoder.dim)
    np.testing.assert_array_equal(again.encode(crops_BHWC[:3]), encoder.encode(crops_BHWC[:3]))
    save_image_encoder(again, tmp_path / "b")
    for name in ("image_encoder.safetensors", "image_encoder.json"):
        assert (tmp_path / "a" / name).read_bytes() == (tmp_path / "b" / name).read_bytes()
    path = tmp_path / "a" / "image_encoder.json"
    manifest = json.loads(path.read_text())
    path.write_text(json.dumps({**manifest, "network_id": "other"}))
    with pytest.raises(CorruptFileError, match=r"expected network id .other."):
        saved_image_encoder_spec(tmp_path / "a")
    path.write_text(json.dumps({"file_sha256": manifest["file_sha256"]}))
    with pytest.raises(CorruptFileError, match="manifest"):
        saved_image_encoder_spec(tmp_path / "a")
    with open(tmp_path / "b" / "image_encoder.safetensors", "r+b") as file:
        file.seek(-1, 2)
        file.write(b"x")
    with pytest.raises(CorruptFileError, match="sha256"):
        open_image_encoder(tmp_path / "b")


@pytest.mark.medium
def test_wrong_calls_say_what_is_expected(weights_file, tmp_path, monkeypatch):
    def fails(match, *args, error=UsageError, **kwargs):
        with pytest.raises(error, match=match):
            load_image_encoder(*args, device="cpu", **kwargs)

    fails("IMAGENET1K_V1, ResNet50_Weights.IMAGENET1K_V2", "resnet50", weights_file)
    fails("IMAGENET1K_V1, ResNet50_Weights.IMAGENET1K_V2", "resnet50", weights_file, "VGG11_Weights.IMAGENET1K_V1")
    fails("no_such_net", "no_such_net")
    fails("no --image-weights-name", "efficientnet_lite0", None, "IMAGENET1K_V1")
    fails("Missing key", "mobilenet_v3_small", weights_file, "IMAGENET1K_V1")
    fails("no file|got none", IMAGE_ENCODER, str(tmp_path / "none.pth"), WEIGHTS_NAME)
    fails("sha256", IMAGE_ENCODER, weights_file, WEIGHTS_NAME, "0" * 64, error=CorruptFileError)
    sha256 = sha256_of_file(weights_file).upper()
    assert load_image_encoder(IMAGE_ENCODER, weights_file, WEIGHTS_NAME, sha256, device="cpu").dim == PICTURE_DIM
    (tmp_path / "text.pth").write_text("hello")
    fails("expected weights", IMAGE_ENCODER, str(tmp_path / "text.pth"), WEIGHTS_NAME)
    torch.save([1, 2], tmp_path / "list.pth")
    fails("got list", IMAGE_ENCODER, str(tmp_path / "list.pth"), WEIGHTS_NAME)
    fails("auto, float32 or bfloat16", IMAGE_ENCODER, weights_file, WEIGHTS_NAME, dtype="int3")
    with pytest.raises(UsageError, match="expected device"):
        load_image_encoder(IMAGE_ENCODER, weights_file, WEIGHTS_NAME, device="abacus")
    monkeypatch.setattr(torch.hub, "get_dir", lambda: str(tmp_path / "hub"))

    def no_network(*args, **kwargs):
        raise urllib.error.URLError("no network")

    monkeypatch.setattr(torch.hub, "download_url_to_file", no_network)
    fails(r"download\.pytorch\.org.*--image-weights FILE --image-weights-name ResNet50", "resnet50")


@pytest.mark.parametrize("key", ["network_id", "file_sha256", "preprocessing"])
@pytest.mark.parametrize("value", [None, 7, "absent"])
def test_a_damaged_manifest_is_a_corrupt_file(weights_file, tmp_path, key, value):
    spec = image_encoder_spec(IMAGE_ENCODER, weights_file, WEIGHTS_NAME, device="cpu", dtype="float32")
    specs.save_from_spec(spec, tmp_path)
    path = tmp_path / specs.MANIFEST_FILE
    manifest = json.loads(path.read_text())
    if value == "absent":
        del manifest[key]
    else:
        manifest[key] = value
    path.write_text(json.dumps(manifest))
    with pytest.raises(CorruptFileError):
        specs.saved_image_encoder_spec(tmp_path, "cpu", "float32")


def test_versions_are_those_of_the_installed_libraries():
    versions = versions_of(*specs.LIBRARIES)
    assert versions["Pillow"] == Image.__version__
    assert versions["torch"].partition("+")[0] == torch.__version__.partition("+")[0]
