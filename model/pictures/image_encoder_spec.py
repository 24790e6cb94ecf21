"""What an image encoder is, settled without loading it: network, weights, preprocessing, number format, batch size."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from safetensors.torch import save_file

from model.machine.library_versions import check_network_id, versions_of
from model.machine.number_formats import settle_device, settle_dtype
from model.pictures import backbones
from model.pictures.decoding import Preprocessing
from schemas import storage
from schemas.errors import CorruptFileError, UsageError
from schemas.files import check_sha256, read_json, sha256_of_file, write_json
from schemas.hashing import fingerprint
from schemas.storage import atomic_write

#: Part of every encoder id: raise it when decoding, preprocessing or the network's arithmetic changes.
CODE_VERSION = 1
#: Pictures a forward pass. On a CPU small batches are fastest (activations are reused from the heap and the caches).
BATCH_SIZE = {"cpu": 8, "cuda": 64}
#: Whose upgrade may change the bytes of vectors: decoding and resizing, the network and its arithmetic.
LIBRARIES = ("Pillow", "torch", "torchvision")
WEIGHTS_FILE, MANIFEST_FILE = "image_encoder.safetensors", "image_encoder.json"


@dataclass(frozen=True, kw_only=True)
class ImageEncoderSpec:
    """Everything that an encoder's vectors depend on; made without loading the network (see image_encoder_spec)."""

    name: str
    weights_file: str = field(compare=False)
    weights_sha256: str
    weights_name: str | None
    preprocessing: Preprocessing
    dim: int
    dtype: str
    device: str
    batch_size: int

    @property
    def network_id(self) -> str:
        """Network, weights and preprocessing: equal for encoders whose vectors may be compared."""
        return fingerprint([self.name, self.weights_sha256, self.preprocessing.to_json(), CODE_VERSION])

    @property
    def encoder_id(self) -> str:
        """Equal ids give equal bytes on one kind of machine; the versions of LIBRARIES are part of it."""
        return f"{self.name}-{fingerprint([self.network_id, self.dtype, self.batch_size, versions_of(*LIBRARIES)])}"

    @property
    def weights_entry(self) -> Any:
        """torchvision's entry of the weights; None for efficientnet_lite0."""
        return backbones.weights_entry(self.name, self.weights_name, has_file=True)


def image_encoder_spec(
    name: str = "resnet50",
    weights_file: str | None = None,
    weights_name: str | None = None,
    weights_sha256: str | None = None,
    device: str = "auto",
    dtype: str = "auto",
    batch_size: int | None = None,
) -> ImageEncoderSpec:
    """Settles what an encoder will be, hashing the weights but not loading them.

    Without `weights_file`: the installed package (efficientnet_lite0) or torchvision's download. With one, networks of
    torchvision need `weights_name`; `weights_sha256` is compared if given. Raises UsageError, CorruptFileError.
    """
    entry = backbones.weights_entry(name, weights_name, has_file=weights_file is not None)
    if weights_file is not None and not storage.has_file(weights_file):
        raise UsageError(f"expected a weights file at {weights_file}, got none")
    path = weights_file or backbones.weights_file_of(name, entry)
    if weights_sha256 is not None:
        check_sha256(path, weights_sha256.lower())
    device = settle_device(device)
    return ImageEncoderSpec(
        name=name,
        weights_file=path,
        weights_sha256=weights_sha256.lower() if weights_sha256 else sha256_of_file(path),
        weights_name=None if entry is None else str(entry),
        preprocessing=backbones.preprocessing_of(entry),
        dim=backbones.vector_dim(name, entry),
        dtype=settle_dtype(dtype, device),
        device=device,
        batch_size=batch_size or BATCH_SIZE[device.partition(":")[0]],
    )


def save_from_spec(spec: ImageEncoderSpec, folder: str | Path) -> None:
    """Writes image_encoder.safetensors and, last, image_encoder.json: what saved_image_encoder_spec needs.

    Equal weights, equal bytes, on every machine: the number format is not part of it.
    """
    state = backbones.read_state_dict(spec.weights_file)
    path = Path(folder, WEIGHTS_FILE)
    with atomic_write(path) as temporary:
        save_file({name: tensor.clone().contiguous() for name, tensor in state.items()}, temporary)
    manifest = {
        "dim": spec.dim,
        "file_sha256": sha256_of_file(path),
        "name": spec.name,
        "network_id": spec.network_id,
        "preprocessing": spec.preprocessing.to_json(),
        "weights_name": spec.weights_name,
        "weights_sha256": spec.weights_sha256,
    }
    write_json(Path(folder, MANIFEST_FILE), manifest)


def saved_image_encoder_spec(
    folder: str | Path, device: str = "auto", dtype: str = "auto", batch_size: int | None = None
) -> ImageEncoderSpec:
    """The spec of a saved encoder on this machine. Raises CorruptFileError if a file is not what was saved."""
    manifest = read_json(Path(folder, MANIFEST_FILE))
    path = Path(folder, WEIGHTS_FILE)
    device = settle_device(device)
    dtype = settle_dtype(dtype, device)
    try:
        network_id = str(manifest["network_id"])
        check_sha256(path, manifest["file_sha256"])
        spec = ImageEncoderSpec(
            name=manifest["name"],
            weights_file=str(path),
            weights_sha256=manifest["weights_sha256"],
            weights_name=manifest["weights_name"],
            preprocessing=Preprocessing.from_json(manifest["preprocessing"]),
            dim=manifest["dim"],
            dtype=dtype,
            device=device,
            batch_size=batch_size or BATCH_SIZE[device.partition(":")[0]],
        )
    except CorruptFileError:
        raise
    except (KeyError, TypeError, AttributeError, ValueError) as error:
        raise CorruptFileError(f"expected an image encoder's manifest in {folder}, got {error!r}") from error
    check_network_id(spec.network_id, network_id, folder)
    return spec
