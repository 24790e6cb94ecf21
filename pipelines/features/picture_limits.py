"""What a picture of a run may cost: the caps that its features were made with hold for its query pictures too."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from model.pictures.faults import DEFAULT_LIMITS, PictureLimits
from pipelines.run.units import read_stage_manifest
from schemas import storage
from schemas.errors import CorruptFileError
from schemas.quarantine import quote

_DEFAULTS = {"max_picture_bytes": DEFAULT_LIMITS.max_bytes, "max_picture_pixels": DEFAULT_LIMITS.max_pixels}


def limits_of(features: Mapping[str, Any]) -> PictureLimits:
    """The caps in the manifest of a features stage; the default of one that it does not have (older versions).

    >>> limits_of({"max_picture_pixels": 1_000}).max_pixels
    1000
    """
    caps = {name: features.get(name, default) for name, default in _DEFAULTS.items()}
    if not all(type(cap) is int for cap in caps.values()):
        raise CorruptFileError(f"expected whole numbers for {', '.join(caps)} of the features, got {quote(caps)}")
    return PictureLimits(max_bytes=caps["max_picture_bytes"], max_pixels=caps["max_picture_pixels"])


def limits_of_run(run: str | Path) -> PictureLimits:
    """The caps of a run's features; the defaults if it has none."""
    has_features = storage.has_file(Path(run, "manifests", "features.json"))
    return limits_of(read_stage_manifest(str(run), "features") if has_features else {})
