"""Alpha, the largest squared distance at which clusters of a user are merged, and the number of medoids that a
recommendation samples, which belongs to it: where their values come from."""

import datetime
import math
import re
from pathlib import Path
from typing import Any, NamedTuple, Protocol

from model.users.pinnersage import DEFAULT_ALPHA
from pipelines.store.history import RUN_NAME
from schemas import storage
from schemas.errors import CorruptFileError, UsageError
from schemas.files import read_sealed_json, shown
from schemas.hashing import stable_hash
from schemas.quarantine import quote

#: The paper's e; used where alpha was not calibrated for another.
DEFAULT_SAMPLES = 3
MAX_SAMPLES = 100
#: What alpha_of says of alpha's origin, beside the path of a calibration file.
GIVEN, DEFAULT = "--alpha", "default"
_PLAIN_NAME = re.compile(r"[0-9A-Za-z_-][0-9A-Za-z._-]{0,99}")


class Alpha(NamedTuple):
    """alpha; samples: medoids a request; where: GIVEN, DEFAULT or the path of the calibration file; popularity_weight:
    the best one beside the cosine, None where no calibration chose it for this pair; sampled: whether the medoids are
    drawn in proportion to importance, or are the most important ones."""

    alpha: float
    samples: int
    where: str
    popularity_weight: float | None = None
    sampled: bool = True

    @property
    def is_calibrated(self) -> bool:
        """Whether `where` is a calibration file."""
        return self.where not in (GIVEN, DEFAULT)


class Calibrated(NamedTuple):
    """When a calibration was made. date: its last day, YYYY-MM-DD; days: how many up to it were held out in turn."""

    date: str
    days: int


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
    folder = Path(storage.real_path(run))
    if not RUN_NAME.fullmatch("/".join(folder.parts[-3:])):
        return folder / "calibration.json"
    return _path_in_store(folder.parents[2], model_id)


def alpha_in_store(store: str | Path, given: float | None, model_id: str) -> Alpha:
    """What runs of a store use, before there is a run: alpha `given`, else as calibrated, else DEFAULT_ALPHA."""
    found = None if given is None else Alpha(given, DEFAULT_SAMPLES, GIVEN)
    return found or _calibrated(_path_in_store(Path(storage.real_path(store)), model_id), model_id) or _DEFAULTS


def alpha_of(config: AlphaFlags, model_id: str) -> Alpha:
    """Alpha and samples: `config.alpha` with DEFAULT_SAMPLES, else those of the calibration file, else the defaults.

    A calibration of another model id does not count in the default place; named by `config.calibration`, which must
    exist then, it raises UsageError. CorruptFileError for a file that is no calibration.
    """
    if config.alpha is not None:
        return Alpha(config.alpha, DEFAULT_SAMPLES, GIVEN)
    if config.calibration is None:
        return _calibrated(default_calibration_path(config.run, model_id), model_id) or _DEFAULTS
    path = Path(config.calibration)
    if not storage.has_file(path):
        raise UsageError(f"expected a calibration file, got none at {shown(path)}: `itemsage users --calibrate` first")
    found = _calibrated(path, model_id)
    if found is None:
        raise UsageError(
            f"expected a calibration for vectors of {quote(model_id)}, got one of "
            f"{quote(read_sealed_json(path).get('model_id'))} in {shown(path)}: `itemsage users --calibrate` makes one"
        )
    return found


def best_alphas(path: str | Path) -> dict[int, float]:
    """number of sampled medoids -> the alpha that a calibration file found best for it, by rising number; a file
    without that list has its choice alone. CorruptFileError for a file that is no calibration."""
    calibration = read_sealed_json(path)
    chosen = _checked(calibration, path)
    listed = calibration.get("best", [])
    if not isinstance(listed, list) or not all(isinstance(one, dict) for one in listed):
        raise CorruptFileError(f"expected `best` as a list of objects, got {quote(listed)} in {shown(path)}")
    points = [chosen, *(_checked(one, path) for one in listed)]
    by_samples = sorted(points, key=lambda point: point.samples)
    return {point.samples: point.alpha for point in by_samples if point.sampled}


def calibrated_on(path: str | Path) -> Calibrated:
    """When the calibration at `path` was made. CorruptFileError if it does not say."""
    found = read_sealed_json(path)
    date, days = found.get("date"), found.get("calibration_days")
    if not _is_date(date):
        raise CorruptFileError(f"expected date as YYYY-MM-DD, got {quote(date)} in {shown(path)}: calibrate again")
    if type(days) is not int or days < 1:
        raise CorruptFileError(
            f"expected calibration_days of at least 1, got {quote(days)} in {shown(path)}: calibrate again"
        )
    return Calibrated(str(date), days)


_DEFAULTS = Alpha(DEFAULT_ALPHA, DEFAULT_SAMPLES, DEFAULT)


def _path_in_store(store: Path, model_id: str) -> Path:
    name = model_id if _PLAIN_NAME.fullmatch(model_id) else f"model-{stable_hash(model_id):016x}"
    return store / "calibration" / f"{name}.json"


def _calibrated(path: Path, model_id: str) -> Alpha | None:
    """What a calibration file chose; None if there is none or it is of another model's vectors."""
    try:
        calibration = read_sealed_json(path) if storage.has_file(path) else {}
    except CorruptFileError as error:
        raise CorruptFileError(f"{error}. Delete the file and `itemsage users --calibrate` again") from error
    return _checked(calibration, path) if calibration.get("model_id") == model_id else None


def _checked(found: dict[str, Any], path: str | Path) -> Alpha:
    """A file of before there were samples has none: it is for the default number, and sampled."""
    alpha, samples = found.get("alpha"), found.get("samples", DEFAULT_SAMPLES)
    weight = found.get("popularity_weight")
    for name, number in (("alpha", alpha), ("popularity_weight", 0.0 if weight is None else weight)):
        if not _is_amount(number):
            raise CorruptFileError(f"expected {name} as a number of at least 0, got {quote(number)} in {shown(path)}")
    if not are_samples(samples):
        raise CorruptFileError(f"expected samples from 1 to {MAX_SAMPLES}, got {quote(samples)} in {shown(path)}")
    sampled = found.get("sampled", True)
    if type(sampled) is not bool:
        raise CorruptFileError(f"expected sampled as true or false, got {quote(sampled)} in {shown(path)}")
    return Alpha(float(alpha or 0), samples, str(path), None if weight is None else float(weight), sampled)


def _is_date(value: Any) -> bool:
    try:
        return datetime.date.fromisoformat(value).isoformat() == value
    except (TypeError, ValueError):
        return False


def _is_amount(value: Any) -> bool:
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    return is_number and math.isfinite(value) and value >= 0


def are_samples(value: Any) -> bool:
    """Whether it is a number of medoids that can be sampled."""
    return type(value) is int and 1 <= value <= MAX_SAMPLES
