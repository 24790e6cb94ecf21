"""Renders many pictures on several cores: worker processes that import only this package, so they start at once.

(multiprocessing's spawn would import the caller's main module in each worker, Beam included; fork is unsafe beside
threads.) A picture follows from its spec alone, so the number of workers changes no byte.
"""

import os
import pickle
import subprocess
import sys
import threading
from collections.abc import Callable, Sequence
from pathlib import Path

from schemas import storage
from schemas.sample_shop.pictures import PictureSpec, write_picture

_MIN_PICTURES_A_WORKER = 150
_REPORT_EVERY = 20
_WORKER = "import sys; from schemas.sample_shop.rendering import work; work(sys.argv[1])"
#: glibc gives large arrays back to the system after every picture; keeping them saves an eighth of the time.
_KEEP_MEMORY = {"MALLOC_MMAP_THRESHOLD_": str(64 << 20), "MALLOC_TRIM_THRESHOLD_": str(256 << 20)}


def render_all(
    root: Path, specs: Sequence[PictureSpec], num_workers: int | None, on_done: Callable[[int], None]
) -> None:
    """Writes all pictures below `root`; `on_done(n)` is told of each n finished ones.

    `num_workers` None: the cores this process may use, at most 8, fewer where there is little to do.
    """
    for folder in sorted({os.path.dirname(spec.uri) for spec in specs}):
        storage.make_folder(root / folder)
    available = num_workers if num_workers is not None else min(len(os.sched_getaffinity(0)), 8)
    workers = max(1, min(available, len(specs) // _MIN_PICTURES_A_WORKER))
    if workers == 1:
        for spec in specs:
            write_picture(str(root), spec)
            on_done(1)
        return
    _render_in_workers(root, specs, workers, on_done)


def _render_in_workers(root: Path, specs: Sequence[PictureSpec], workers: int, on_done: Callable[[int], None]) -> None:
    package_root = str(Path(storage.real_path(__file__)).parents[2])
    path = os.pathsep.join(filter(None, (package_root, os.environ.get("PYTHONPATH"))))
    environment = {**os.environ, "PYTHONPATH": path, "OMP_NUM_THREADS": "1", **_KEEP_MEMORY}
    command = [sys.executable, "-c", _WORKER, str(root)]
    processes = [
        subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, env=environment)
        for _ in range(workers)
    ]
    lock = threading.Lock()

    def follow(process: subprocess.Popen[bytes], share: Sequence[PictureSpec]) -> None:
        assert process.stdin is not None
        assert process.stdout is not None
        try:
            pickle.dump(share, process.stdin)
            process.stdin.close()
        except BrokenPipeError:
            return  # the worker died: its exit status is checked below
        for line in process.stdout:
            with lock:
                on_done(int(line))

    threads = [
        threading.Thread(target=follow, args=(process, specs[number::workers]))
        for number, process in enumerate(processes)
    ]
    try:
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        statuses = [process.wait() for process in processes]
    finally:
        for process in processes:
            process.kill()
    if any(statuses):
        raise RuntimeError(f"expected exit status 0 of all picture workers, got {statuses}: see their errors above")


def work(root: str) -> None:
    """A worker: specs as a pickle on stdin, the number of pictures done as lines on stdout."""
    specs: Sequence[PictureSpec] = pickle.load(sys.stdin.buffer)  # written by our own parent process
    for number, spec in enumerate(specs, start=1):
        write_picture(root, spec)
        if number % _REPORT_EVERY == 0:
            print(_REPORT_EVERY, flush=True)
    print(len(specs) % _REPORT_EVERY, flush=True)
