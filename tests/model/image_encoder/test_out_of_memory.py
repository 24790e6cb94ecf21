"""An encoder without memory for its batches halves them; what does not fit at all is raised."""

import warnings

import numpy as np
import pytest
import torch
from made_pictures import png
from random_models import IMAGE_ENCODER, WEIGHTS_NAME

from model.pictures.faults import PictureError
from model.pictures.image_encoder import ImageEncoder, load_image_encoder

pytestmark = pytest.mark.medium


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
    encoder = load_image_encoder(IMAGE_ENCODER, weights_file, WEIGHTS_NAME, device="cpu", dtype="float32")
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
    encoder = load_image_encoder(IMAGE_ENCODER, weights_file, WEIGHTS_NAME, device="cpu", dtype="float32")
    Memory(monkeypatch, room=8, heavy_HWC=crops_BHWC[5])
    with pytest.warns(UserWarning, match="smaller batches"):
        values = dict(encoder.encode_stream(enumerate(map(png, pictures_BHWC))))
    assert {number for number, value in values.items() if isinstance(value, PictureError)} == {5}
    assert values[5].reason == "out_of_memory"
    assert "2.00 GiB" in values[5].got
    assert "more memory" in values[5].remedy


def test_a_network_that_does_not_fit_at_all_is_raised(weights_file, pictures_BHWC, monkeypatch):
    encoder = load_image_encoder(IMAGE_ENCODER, weights_file, WEIGHTS_NAME, device="cpu", dtype="float32")
    Memory(monkeypatch, room=0)
    with pytest.warns(UserWarning, match="smaller batches"), pytest.raises(torch.OutOfMemoryError):
        list(encoder.encode_stream(enumerate(map(png, pictures_BHWC[:3]))))


def test_out_of_memory_is_no_lack_of_parity(weights_file, monkeypatch):
    monkeypatch.setattr("model.machine.number_formats.has_fast_bfloat16", lambda device: True)
    lower_precision = ImageEncoder._lower_precision

    def without_memory(self, *args):
        Memory(monkeypatch, room=0)
        lower_precision(self, *args)

    monkeypatch.setattr(ImageEncoder, "_lower_precision", without_memory)
    with pytest.raises(torch.OutOfMemoryError):
        load_image_encoder(IMAGE_ENCODER, weights_file, WEIGHTS_NAME, device="cpu")
