"""What a call with another plan left in a run is removed before its stage is finished, and nothing else."""

import os
import shutil
from pathlib import Path

import pytest

from pipelines.run.units import Unit, UnitWriter, bucket_name, read_stage_manifest, write_stage_manifest
from schemas.errors import CorruptFileError, UsageError
from schemas.quarantine import Rejection

pytestmark = pytest.mark.medium

STAGE = "features"
REJECTION = Rejection(
    level="row", stage=STAGE, item_id=None, reason="r", expected="e", got="g", where="c:1", remedy="m"
)


def write_units(run: Path, num_buckets: int, sealed: bool = True) -> list[str]:
    """Units of two files and a quarantine, as a stage writes them; of a killed stage without sidecars."""
    names = [bucket_name(bucket, num_buckets) for bucket in range(num_buckets)]
    for name in names:
        writer = UnitWriter(str(run), Unit(STAGE, name, "x"))
        for path in (f"features/{name}.tfrecord", f"fingerprints/deep/{name}.parquet", "features/facts.json"):
            with writer.file(path) as temporary:
                Path(temporary).write_text(path)
        writer.quarantine([REJECTION])
        if sealed:
            writer.seal()
    return names


def plan(run: Path, num_buckets: int) -> None:
    """A call of the stage."""
    write_stage_manifest(str(run), STAGE, write_units(run, num_buckets))


def tree(folder: Path) -> dict[str, bytes]:
    paths = (path for path in sorted(folder.rglob("*")) if path.is_file())
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in paths}


@pytest.fixture
def fresh(tmp_path) -> Path:
    """What the second plan leaves where there was no first."""
    plan(tmp_path / "fresh" / "run", 2)
    return tmp_path / "fresh" / "run"


@pytest.fixture
def run(tmp_path) -> Path:
    """A run with the units of a first plan, finished, and those of a plan between, killed before it sealed any."""
    plan(tmp_path / "run", 3)
    write_units(tmp_path / "run", 5, sealed=False)
    return tmp_path / "run"


def test_what_an_earlier_plan_left_is_removed(run, fresh):
    plan(run, 2)
    assert tree(run) == tree(fresh)
    listed = {entry["path"] for entry in read_stage_manifest(str(run), STAGE)["files"]}
    assert {name for name in tree(run) if not name.startswith(("units/", "manifests/"))} <= listed


def test_a_damaged_sidecar_of_an_earlier_plan_goes_with_its_files(run, fresh):
    for path in (run / "units" / STAGE).iterdir():
        path.write_text("{")
    plan(run, 2)
    assert tree(run) == tree(fresh)


def test_files_of_others_stay(run, fresh):
    """Of another stage, of no stage, and names that no unit has."""
    others = ["items/bucket-00002-of-00003.parquet", "quarantine/items-bucket-00002-of-00003.parquet"]
    others += ["features/times.json", "features/mine.parquet", "features/.bucket-00002-of-00003.tfrecord.0.tmp"]
    for name in others:
        (run / name).parent.mkdir(exist_ok=True)
        (run / name).write_text(name)
    plan(run, 2)
    assert tree(run) == tree(fresh) | {name: name.encode() for name in others}


def test_a_published_run_keeps_what_it_has(run):
    names = write_units(run, 2)
    (run / "COMPLETED").touch()
    before = tree(run)
    write_stage_manifest(str(run), STAGE, names)
    assert {name: data for name, data in tree(run).items() if not name.startswith("manifests/")} == before
    with pytest.raises(UsageError, match="not published yet"):
        write_units(run, 1)
    assert tree(run).keys() == before.keys() | {f"manifests/{STAGE}.json"}


def test_killed_at_any_removal_the_stage_is_unfinished_and_the_call_goes_on(run, fresh, tmp_path):
    number = 1
    while True:
        copy = shutil.copytree(run, tmp_path / f"copy-{number}" / "run")
        names = write_units(copy, 2)
        (copy / "manifests" / f"{STAGE}.json").write_text("of the first plan")
        left = number

        def unlink(path, **_):
            nonlocal left
            if os.path.exists(path):
                left -= 1
                if left == 0:
                    raise KeyboardInterrupt
            os.remove(path)

        with pytest.MonkeyPatch.context() as patched:
            patched.setattr(os, "unlink", unlink)
            try:
                write_stage_manifest(str(copy), STAGE, names)
                break
            except KeyboardInterrupt:
                pass
        if number > 1:  # the manifest goes first
            with pytest.raises(CorruptFileError, match="run it first"):
                read_stage_manifest(str(copy), STAGE)
        plan(copy, 2)
        assert tree(copy) == tree(fresh)
        number += 1
    assert number > 3 * 4
