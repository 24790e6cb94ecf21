"""Alpha, the largest squared distance at which clusters of a user are merged: where its value comes from."""

import math
import re
from pathlib import Path
from typing import Any, Protocol

from pipelines.history import RUN_NAME
from schemas.errors import CorruptFileError, UsageError
from schemas.files import read_sealed_json, shown
from schemas.hashing import stable_hash
from schemas.quarantine import quote

#: Used where nobody gave or calibrated one.
DEFAULT_ALPHA = 1.0
#: What alpha_of says of alpha's origin, beside the path of a calibration file.
GIVEN, DEFAULT = "--alpha", "default"
_PLAIN_NAME = re.compile(r"[0-9A-Za-z_-][0-9A-Za-z._-]{0,99}")


class AlphaFlags(Protocol):
    """The fields of a config that alpha depends on."""

    @property
    def run(self) -> str: ...
    @property
    def alpha(self) -> float | None: ...
    @property
    def calibration(self) -> str | None: ...


def default_calibration_path(run: str | Path, model_id: str) -> Path:
    """Where a calibration for the vectors of `model_id` is written and looked for.

    `<store>/calibration/<model id>.json` if the run lies in a store, so that every later day has it, else
    `<run>/calibration.json`.
    """
    folder = Path(run).resolve()
    if not RUN_NAME.fullmatch("/".join(folder.parts[-3:])):
        return folder / "calibration.json"
    return _path_in_store(folder.parents[2], model_id)


def alpha_in_store(store: str | Path, given: float | None, model_id: str) -> float:
    """The alpha that runs of a store use, before there is a run: `given`, else as calibrated, else DEFAULT_ALPHA."""
    if given is not None:
        return given
    calibrated = _calibrated(_path_in_store(Path(store).resolve(), model_id), model_id)
    return DEFAULT_ALPHA if calibrated is None else calibrated


def alpha_of(config: AlphaFlags, model_id: str) -> tuple[float, str]:
    """(alpha, where it comes from): `config.alpha`, else the calibration file, else DEFAULT_ALPHA.

    A calibration of another model id does not count in the default place; named by `config.calibration`, which must
    exist then, it raises UsageError. CorruptFileError for a file that is no calibration.
    """
    if config.alpha is not None:
        return config.alpha, GIVEN
    if config.calibration is None:
        path = default_calibration_path(config.run, model_id)
        alpha = _calibrated(path, model_id)
        return (DEFAULT_ALPHA, DEFAULT) if alpha is None else (alpha, str(path))
    path = Path(config.calibration)
    if not path.is_file():
        raise UsageError(f"expected a calibration file, got none at {shown(path)}: `itemsage users --calibrate` first")
    alpha = _calibrated(path, model_id)
    if alpha is None:
        raise UsageError(
            f"expected a calibration for vectors of {quote(model_id)}, got one of "
            f"{quote(read_sealed_json(path).get('model_id'))} in {shown(path)}: `itemsage users --calibrate` makes one"
        )
    return alpha, str(path)


def _path_in_store(store: Path, model_id: str) -> Path:
    name = model_id if _PLAIN_NAME.fullmatch(model_id) else f"model-{stable_hash(model_id):016x}"
    return store / "calibration" / f"{name}.json"


def _calibrated(path: Path, model_id: str) -> float | None:
    """The alpha of a calibration file; None if there is none or it is of another model's vectors."""
    calibration = read_sealed_json(path) if path.is_file() else {}
    return _checked(calibration.get("alpha"), path) if calibration.get("model_id") == model_id else None


def _checked(alpha: Any, path: Path) -> float:
    is_number = isinstance(alpha, int | float) and not isinstance(alpha, bool)
    if not is_number or not (math.isfinite(alpha) and alpha >= 0):
        raise CorruptFileError(f"expected alpha as a number of at least 0, got {quote(alpha)} in {shown(path)}")
    return float(alpha)
