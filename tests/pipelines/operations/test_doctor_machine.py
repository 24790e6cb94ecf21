"""The checklist before a run: what it tells of the machine."""

import importlib.metadata
import subprocess
from collections import namedtuple
from pathlib import Path

from pipelines.operations.doctor import machine as doctor_machine
from pipelines.operations.doctor.job import main
from pipelines.operations.doctor.machine import check_cores, check_disk, check_file_system, check_packages
from pipelines.operations.findings import FAILED, OK, WARNING


def test_without_flags_the_machine_is_checked(capsys):
    assert main([]) == 0
    out = capsys.readouterr().out
    for name in ("packages", "text", "cores", "annoy", "weights", "device"):
        assert any(line.split()[1] == name for line in out.splitlines()), name
    assert "apache-beam" in out
    assert "cpu" in out


def test_a_store_below_a_file_is_not_writable(tmp_path):
    (tmp_path / "file").write_text("x")
    for store in (tmp_path / "file", tmp_path / "file" / "store"):
        found = check_file_system(store)
        assert found.status == FAILED
        assert f"the file {tmp_path / 'file'}" in found.problems[0]
    found = check_file_system(tmp_path / "new" / "store")
    assert (found.status, "where the store will be made" in found.looked_at) == (OK, True)
    assert not (tmp_path / "new").exists()


def test_a_full_disk_is_told_before_the_run(made_store, monkeypatch):
    usage = namedtuple("usage", "total used free")
    monkeypatch.setattr("shutil.disk_usage", lambda folder: usage(10, 9, 1))
    found = check_disk(made_store, None, 0)
    assert found.status == FAILED
    assert "itemsage gc" in found.problems[0]
    assert check_disk(Path("/nowhere"), 1_000_000, 1280).status == FAILED
    monkeypatch.setattr("shutil.disk_usage", lambda folder: usage(10, 9, 10**15))
    assert check_disk(made_store, None, 0).status == OK


def test_packages_out_of_range_are_told(monkeypatch):
    assert check_packages().status == OK
    version = importlib.metadata.version
    monkeypatch.setattr(importlib.metadata, "version", lambda name: "0.1" if name == "annoy" else version(name))
    found = check_packages()
    assert len(found.problems) == 1
    assert "annoy" in found.problems[0]
    assert "pip install" in found.problems[0]


def test_an_annoy_that_dies_is_told(monkeypatch):
    run = subprocess.run
    monkeypatch.setattr(
        doctor_machine.subprocess,
        "run",
        lambda command, **given: run([command[0], "-c", "import os; os.kill(os.getpid(), 4)"], **given),
    )
    found = doctor_machine.check_annoy()
    assert found.status == FAILED
    assert "ANNOY_COMPILER_ARGS" in found.problems[0]


def test_too_many_threads_are_told(monkeypatch):
    monkeypatch.setenv("OMP_NUM_THREADS", "4096")
    assert check_cores().status == WARNING
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    assert check_cores().status == OK
