"""Disks that are full or read-only, and files where folders belong: the published run stays, the same call goes on once
there is room. The disks are file systems in memory, mounted by root; chmod would prove nothing to root."""

import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from exploration import SOAK, soak
from fault_bench import DAY_BEFORE, Bench, assert_sound, copy_of, pointer_of

from pipelines.store import store

pytest_plugins = ["fault_fixtures"]
pytestmark = pytest.mark.slow
ROOMY = "64m"


@pytest.fixture
def disk(tmp_path) -> Iterator[tuple[Path, Callable[[str], None]]]:
    """An empty disk, and what changes its mount options."""
    folder = tmp_path / "disk"
    folder.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", f"size={ROOMY}", "tmpfs", str(folder)]
    try:
        mounted = subprocess.run(mount, capture_output=True, text=True, check=False)
    except FileNotFoundError as error:
        pytest.skip(f"NO FAULTY DISK WAS TRIED: {error}; run these tests as root on Linux")
    if mounted.returncode:
        pytest.skip(f"NO FAULTY DISK WAS TRIED: {mounted.stderr.strip()}; run these tests as root on Linux")
    try:
        yield folder, lambda options: subprocess.run(["mount", "-o", f"remount,{options}", folder], check=True)
    finally:
        subprocess.run(["umount", "--lazy", folder], check=True)


def used_bytes(folder: Path) -> int:
    """What a disk of memory holds, whole pages."""
    shown = subprocess.run(
        ["df", "--block-size=1", "--output=used", folder], capture_output=True, text=True, check=True
    )
    return int(shown.stdout.split()[-1])


def fill(bench: Bench, folder: Path, remount: Callable[[str], None], room_bytes: int) -> str | None:
    """The day on a disk with so much room; the file that did not fit (None if all did)."""
    remount(f"size={used_bytes(folder.parent) + room_bytes}")
    before, outcome = pointer_of(folder), bench.day(folder)
    if bench.check(folder, before, outcome):
        return None
    assert outcome.code == 1
    assert "o space left" in outcome.error
    old = store.current_run(str(folder))
    assert old.parent.name == DAY_BEFORE
    assert_sound(folder, old)
    return outcome.error


#: Room that is left at the start, and again at each call that follows; the whole run needs about 1 MB.
ROOMS = [49_152, *soak(*range(4_096, 1_200_000, 65_536))]


@pytest.mark.parametrize("room_bytes", ROOMS)
def test_a_full_disk(bench, disk, figures, room_bytes):
    """Each further call finds a little more room, so that every stage sees a full disk sooner or later."""
    folder, remount = copy_of(bench.day_old, disk[0] / "store"), disk[1]
    errors = []
    while (error := fill(bench, folder, remount, room_bytes)) is not None and len(errors) < (40 if SOAK else 2):
        errors.append(error)
    assert errors or room_bytes > 300_000
    remount(f"size={ROOMY}")
    assert bench.check(folder, pointer_of(folder), bench.day(folder))
    figures["faults survived"] += len(errors)


@pytest.mark.parametrize("finished", ["embeddings", "index"])
def test_a_disk_that_is_full_when_the_index_or_users_are_saved(bench, disk, figures, finished):
    folder, remount = copy_of(bench.day_old, disk[0] / "store"), disk[1]
    assert bench.day(folder, die=("after", f"*/manifests/{finished}.json")).code < 0
    assert fill(bench, folder, remount, 8_192) is not None
    remount(f"size={ROOMY}")
    assert bench.check(folder, pointer_of(folder), bench.day(folder))
    figures["faults survived"] += 1


def test_a_disk_that_was_mounted_read_only(bench, disk, figures):
    folder, remount = copy_of(bench.day_old, disk[0] / "store"), disk[1]
    killed = bench.day(folder, die=("after", "*/manifests/features.json"))
    assert killed.code < 0, killed.output
    remount("ro")
    before, outcome = pointer_of(folder), bench.day(folder)
    assert outcome.code == 1
    assert "Read-only file system" in outcome.error
    assert pointer_of(folder) == before
    assert_sound(folder, store.current_run(str(folder)))
    remount("rw")
    assert bench.check(folder, before, bench.day(folder))
    figures["faults survived"] += 1


def test_a_store_below_a_file(bench, tmp_path, figures):
    (tmp_path / "file").write_text("no folder")
    assert bench.day(tmp_path / "file" / "store").error
    assert (tmp_path / "file").read_text() == "no folder"
    figures["faults survived"] += 1


@pytest.mark.parametrize("name", ["runs", *soak(f"runs/{DAY_BEFORE}")])
def test_a_file_where_runs_are_expected(bench, tmp_path, figures, name):
    folder = copy_of(bench.day_old, tmp_path / "store")
    before = pointer_of(folder)
    (folder / name).rename(tmp_path / "away")
    (folder / name).write_text("no folder")
    assert not bench.check(folder, before, bench.day(folder))  # the run that readers see cannot be compared with
    assert (folder / name).read_text() == "no folder"
    (folder / name).unlink()
    (tmp_path / "away").rename(folder / name)
    assert bench.check(folder, pointer_of(folder), bench.day(folder))
    figures["faults survived"] += 1
