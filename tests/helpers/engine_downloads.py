"""The engines that jobs are tried on, fetched by the clients of Go, Python and Java into .engines/, each once.

What is fetched is pinned by version and content: the hash of the Go module, of the Python source archive, of all jars.
"""

import hashlib
import os
import shutil
import subprocess
import sys
import tarfile
import tempfile
from collections.abc import Callable
from pathlib import Path

from python_process import ROOT

CACHE = ROOT / ".engines"
PINS = ROOT / "tests" / "engines"
PRISM_VERSION = "v2.77.0"
_PRISM = "github.com/apache/beam/sdks/v2/go/cmd/prism"
_PRISM_MODULE = f"mod\tgithub.com/apache/beam/sdks/v2\t{PRISM_VERSION}\th1:RsC61pHEvtySEHAURQyP/+CVOJm/hy5hewuG9JF0+Ow="
FLINK_VERSION = "1.19.3"
JOB_SERVER_VERSION = "2.62.0"
_JOB_SERVER_SHA256 = "1d3dafed98a9fa242d8d15d6e73b16242f884711011ee989c750ceac190265e8"


def prism() -> Path:
    """The Prism binary of the same version as the Python SDK. Needs `go`."""

    def fetch(folder: Path) -> None:
        _run(_tool("go"), "install", f"{_PRISM}@{PRISM_VERSION}", GOBIN=str(folder))
        built = subprocess.run([_tool("go"), "version", "-m", folder / "prism"], capture_output=True, text=True)
        if _PRISM_MODULE not in built.stdout:
            raise ValueError(f"expected {_PRISM_MODULE!r} in prism, got {built.stdout[:300]!r}")

    return _fetched(f"prism-{PRISM_VERSION}", fetch) / "prism"


def flink() -> Path:
    """The folder of Flink's jars, its `lib`. They lie in a source archive of the Python package index."""

    def fetch(folder: Path) -> None:
        with tempfile.TemporaryDirectory(dir=folder) as scratch:
            pip = (sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--no-binary", ":all:")
            _run(*pip, "--require-hashes", "--requirement", str(PINS / "flink.txt"), "--dest", scratch)
            (archive,) = Path(scratch).glob("*.tar.gz")
            with tarfile.open(archive) as packed:
                packed.extractall(scratch, filter="data")
            shutil.move(Path(scratch, archive.name.removesuffix(".tar.gz"), "deps", "lib"), folder / "lib")

    return _fetched(f"flink-{FLINK_VERSION}", fetch) / "lib"


def job_server() -> Path:
    """The folder of the jars of Beam's job server for Flink. Needs `mvn`."""

    def fetch(folder: Path) -> None:
        pom, goal = str(PINS / "job_server" / "pom.xml"), "dependency:copy-dependencies"
        maven = (_tool("mvn"), "--batch-mode", "--quiet", "--strict-checksums", "--file", pom)
        _run(*maven, goal, "-DincludeScope=runtime", f"-DoutputDirectory={folder}")
        if (got := _sha256_of_all(folder)) != _JOB_SERVER_SHA256:
            raise ValueError(f"expected jars of sha256 {_JOB_SERVER_SHA256} together, got {got}")

    return _fetched(f"flink-job-server-{JOB_SERVER_VERSION}", fetch)


def java() -> str:
    """The Java that runs Flink: 17 was tried."""
    return _tool("java")


def _fetched(name: str, fetch: Callable[[Path], None]) -> Path:
    """The folder CACHE/name, which `fetch` fills if it is not there: whole or absent, however that ends."""
    target = CACHE / name
    if not target.is_dir():
        print(f"fetching {name} into {CACHE} ...", flush=True)
        CACHE.mkdir(exist_ok=True)
        with tempfile.TemporaryDirectory(dir=CACHE, prefix=".") as scratch:
            folder = Path(scratch, name)
            folder.mkdir()
            fetch(folder)
            folder.rename(target)
    return target


def _tool(name: str) -> str:
    """The path of a program. Raises LookupError."""
    path = shutil.which(name)
    if path is None:
        raise LookupError(f"expected {name} on PATH, got none: install it to try the jobs on this engine")
    return path


def _run(*argv: str, **environment: str) -> None:
    """Runs a program to its end. Raises RuntimeError with the last words of one that fails."""
    done = subprocess.run(argv, env={**os.environ, **environment}, capture_output=True, text=True, errors="replace")
    if done.returncode:
        raise RuntimeError(f"{' '.join(argv)}: exit code {done.returncode}\n{done.stdout[-2000:]}{done.stderr[-2000:]}")


def _sha256_of_all(folder: Path) -> str:
    """One sha256 of names and contents of all files, in order of their names."""
    digest = hashlib.sha256()
    for path in sorted(folder.iterdir()):
        digest.update(f"{path.name} {hashlib.sha256(path.read_bytes()).hexdigest()}\n".encode())
    return digest.hexdigest()
