"""What a run needs of the machine: packages, Annoy, device, disk, file system, text encoding, cores. Pure but for
temporary files, which are removed."""

import importlib.metadata
import locale
import os
import platform
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import torch
from packaging.requirements import Requirement
from packaging.specifiers import SpecifierSet

from model.machine.number_formats import has_fast_bfloat16
from model.machine.ordered_map import usable_cores
from model.pictures.image_encoder import ImageEncoder
from model.pictures.image_encoder_spec import ImageEncoderSpec
from pipelines.console.terminal import few_digits
from pipelines.operations.findings import Finding
from pipelines.store.run_files import format_bytes, size_of
from schemas import storage
from schemas.errors import UsageError
from schemas.quarantine import quote

_PACKAGE = "itemsage"
#: What a run leaves of one row beside its pictures' vectors: its catalogue row, tokens, vector and share of the index.
_BYTES_A_ROW = 6_000
_PICTURES_A_ROW = 3
#: A day is kept beside the one before, and temporary files beside both.
_RUNS_TO_HOLD = 3
_TIMED_PICTURES = 32


def check_packages() -> Finding:
    """Python and every package that the installed metadata asks for, inside the supported range."""
    finding = Finding("packages")
    try:
        requires = importlib.metadata.requires(_PACKAGE) or []
        python_range = importlib.metadata.metadata(_PACKAGE)["Requires-Python"]
    except importlib.metadata.PackageNotFoundError:
        finding.looked_at = f"Python {platform.python_version()}"
        finding.warn(
            f"{_PACKAGE} is not installed as a package, so the supported ranges are not known: pip install -e ."
        )
        return finding
    versions = [f"Python {platform.python_version()}"]
    if python_range and platform.python_version() not in SpecifierSet(python_range, prereleases=True):
        finding.fail(f"expected Python {python_range}, got {platform.python_version()}: use another interpreter")
    for requirement in map(Requirement, requires):
        if requirement.marker is not None and not requirement.marker.evaluate({"extra": ""}):
            continue
        try:
            version = importlib.metadata.version(requirement.name)
        except importlib.metadata.PackageNotFoundError:
            finding.fail(f"expected {requirement}, got no such package: pip install '{requirement}'")
            continue
        versions.append(f"{requirement.name} {version}")
        if not requirement.specifier.contains(version, prereleases=True):
            finding.fail(f"expected {requirement}, got {version}: pip install '{requirement}'")
    finding.looked_at = ", ".join(versions)
    return finding


def check_annoy() -> Finding:
    """Annoy finds the neighbours it must; in a process of its own: built for another CPU, it dies of a search."""
    finding = Finding("annoy", "exact neighbours of 200 vectors")
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(path or "." for path in sys.path)}
    command = [sys.executable, "-c", "from model.nearest.tuned_build import self_test; self_test()"]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, errors="replace", check=False)
    if done.returncode:
        last = (done.stderr.strip().splitlines() or [f"signal {-done.returncode}"])[-1]
        remedy = (
            "ANNOY_COMPILER_ARGS='-O3 -std=c++14' pip install --force-reinstall --no-binary :all: --no-cache-dir annoy"
        )
        finding.fail(f"expected annoy to work, got exit code {done.returncode} ({last}): {remedy}")
    return finding


def check_device(device: str, spec: ImageEncoderSpec | None) -> Finding:
    """A real forward pass: on which device, in which number format, how close to float32, how fast."""
    finding = Finding("device")
    with finding.guard("a forward pass"):
        settled = (
            spec.device if spec else ("cuda" if torch.cuda.is_available() else "cpu") if device == "auto" else device
        )
        if spec is None:
            product = torch.ones((64, 64), device=settled) @ torch.ones((64, 64), device=settled)
            assert float(product[0, 0]) == 64
            kind = "bfloat16" if has_fast_bfloat16(str(product.device)) else "float32"
            finding.looked_at = f"{product.device}; fast number format {kind}; no image encoder at hand to try"
            return finding
        encoder = ImageEncoder(spec, may_fall_back=True)
        size = encoder.preprocessing.crop_px
        pictures_BHWC = np.random.default_rng(0).integers(0, 256, (_TIMED_PICTURES, size, size, 3), np.uint8)
        started_s = time.monotonic()
        vectors_BD = encoder.encode(pictures_BHWC)
        speed = _TIMED_PICTURES / (time.monotonic() - started_s)
        finding.looked_at = (
            f"{spec.device}: {spec.name} in {encoder.spec.dtype}, cosine {encoder.parity_cosine:.5f} to float32, "
            f"{few_digits(speed)} pictures/s"
        )
        if not np.isfinite(vectors_BD).all():
            finding.fail(
                f"expected finite vectors, got others from {spec.name} on {spec.device}: try --image-dtype float32"
            )
        if encoder.spec.dtype != spec.dtype:
            finding.warn(f"expected {spec.dtype}, got float32, slower: {spec.dtype} loses too much on this machine")
    return finding


def check_disk(store: Path, num_rows: int | None, picture_dim: int) -> Finding:
    """Free bytes beside what the next runs will take: three times the last run, or an estimate from the rows."""
    finding = Finding("disk")
    with finding.guard(f"the disk of {store}"):
        folder = existing_folder(store)
        free = storage.free_bytes(folder)
        runs = sorted(storage.paths_in(store, "runs/*/*/COMPLETED"), key=lambda path: storage.status(path).st_mtime_ns)
        if runs:
            need, why = _RUNS_TO_HOLD * size_of(runs[-1].parent)[0], f"{_RUNS_TO_HOLD} x the last run"
        elif num_rows is not None:
            need = _RUNS_TO_HOLD * num_rows * (_BYTES_A_ROW + _PICTURES_A_ROW * picture_dim * 2)
            why = f"{_RUNS_TO_HOLD} runs of {num_rows:,} rows with {_PICTURES_A_ROW} pictures of {picture_dim} each"
        else:
            need, why = 0, "no run and no catalogue to tell how much is needed"
        finding.looked_at = f"{format_bytes(free)} free at {folder}; {format_bytes(need)} wanted ({why})"
        if free < need:
            finding.fail(f"expected {need:,} bytes free, got {free:,} at {folder}: free some (`itemsage gc`)")
        elif free < 2 * need:
            finding.warn(f"{free:,} bytes free are less than twice the {need:,} wanted: see `itemsage gc`")
    return finding


def check_file_system(store: Path) -> Finding:
    """Writing, fsync, replacing a file by another in one step, and locks, in a temporary folder of the store."""
    finding = Finding("file system")
    with finding.guard(f"files in {store}"):
        for path in (store, *store.absolute().parents):
            if storage.has(path) and not storage.is_folder(path):
                raise UsageError(f"expected a folder for the store {store}, got the file {path}: move it away")
        folder = existing_folder(store)
        where = "the store" if folder == store else f"{folder}, where the store will be made"
        finding.looked_at = f"write, fsync, atomic rename and lock in {where}"
        with storage.temporary_folder(prefix=".doctor-", suffix=".tmp", inside=folder) as scratch:
            for problem in storage.problems_of(scratch):
                finding.fail(problem)
    return finding


def existing_folder(path: Path) -> Path:
    """The path itself, or the nearest parent that is there."""
    return next(folder for folder in (path, *path.absolute().parents) if storage.is_folder(folder))


def check_text() -> Finding:
    """Everything that names files and prints is UTF-8."""
    encodings = {
        "file names": sys.getfilesystemencoding(),
        "locale": locale.getpreferredencoding(False),
        "output": getattr(sys.stdout, "encoding", None) or "utf-8",
    }
    finding = Finding("text", ", ".join(f"{what} {name}" for what, name in encodings.items()))
    for what, name in encodings.items():
        if name.lower().replace("-", "") not in ("utf8", "utf8mb4"):
            finding.warn(f"expected UTF-8 for {what}, got {quote(name)}: set LC_ALL=C.UTF-8 or PYTHONUTF8=1")
    return finding


def check_cores() -> Finding:
    """Cores that this process may use, and settings that take more threads than there are."""
    cores = usable_cores()
    finding = Finding("cores", f"{cores} usable of {os.cpu_count()}, torch takes {torch.get_num_threads()} threads")
    for name in ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS"):
        value = os.environ.get(name)
        if value is None:
            continue
        finding.looked_at += f", {name}={quote(value).strip(chr(39))}"
        if not value.isdigit() or int(value) > cores:
            finding.warn(f"expected {name} of at most {cores}, got {quote(value)}: threads would wait for each other")
    return finding
