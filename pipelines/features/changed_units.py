"""Finished units of an unfinished run whose pictures' files have changed since: they are computed again.

Whoever mends pictures after a failed gate repeats the call, and must not meet the old verdicts. The unit's sidecar is
set aside: a computation that is killed starts again, and what still holds is taken over from the unit's own files.
"""

from pathlib import Path

from model.pictures.faults import PictureLimits
from model.pictures.root import PictureRoot
from pipelines.features.earlier import STAGE, EarlierBucket, open_sealed
from pipelines.features.resolve_pictures import all_unchanged
from pipelines.run.unit_files import sidecar_path
from pipelines.run.units import Unit, finished_sidecar
from schemas import storage
from schemas.errors import CorruptFileError
from schemas.records.fingerprints import FINGERPRINTS_FOLDER, FingerprintsFile, MadeWith
from schemas.records.manifests import Sidecar


def set_aside_if_changed(unit: Unit, run: str, image_root: str, limits: PictureLimits) -> Unit:
    """Makes the unit unfinished if pictures' files have changed since it was finished; only looks at them. Returns it.

    A published run stays as it is.
    """
    if storage.has(Path(run, "COMPLETED")) or finished_sidecar(run, unit) is None:
        return unit
    try:
        fingerprints = FingerprintsFile(Path(run, FINGERPRINTS_FOLDER, f"{unit.name}.parquet"))
        pictures = (picture for item in fingerprints for picture in item.pictures)
        if all_unchanged(pictures, PictureRoot.of(image_root, run), limits):
            return unit
    except CorruptFileError:  # its checksum tells the stage that the unit must be computed
        return unit
    storage.move(sidecar_path(run, STAGE, unit.name), _aside_path(run, unit.name))
    return unit


def open_set_aside(run: str, unit: Unit, today: MadeWith) -> EarlierBucket:
    """What the unit knew when it was set aside; nothing if it was not, or was another, or its files are others now."""
    try:
        sidecar = Sidecar.read_file(_aside_path(run, unit.name))
        if sidecar.fingerprint != unit.fingerprint:
            return EarlierBucket()
        return open_sealed(run, unit.name, sidecar, today)
    except CorruptFileError:
        return EarlierBucket()


def remove_set_aside(run: str) -> None:
    """Forgets what was set aside, once the stage is finished again."""
    for path in storage.paths_in(_aside_path(run, "").parent, ".*.aside"):
        storage.remove(path)


def _aside_path(run: str, unit_name: str) -> Path:
    return sidecar_path(run, STAGE, unit_name).with_name(f".{unit_name}.aside")
