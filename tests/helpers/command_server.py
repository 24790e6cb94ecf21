"""Runs `itemsage` commands in processes that can be killed: children of one server (this file as a script) that has
imported everything and computed nothing, so that a fork of it starts at once and is as clean as a new process.

Every file of a run appears by `os.replace`, so a point of death is "before" or "after" the replace of a named file; of
one that is appended to, before, after or "within" the write.
"""

import builtins
import importlib
import io
import json
import os
import signal
import subprocess
import sys
import threading
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from fnmatch import fnmatch
from pathlib import Path
from typing import Any

from cached_beam import remember_flags_and_signatures
from exploration import SOAK
from python_process import ENVIRONMENT
from remembered_pictures import remember_pictures
from seldom_collected import collect_seldom
from unsynced import wait_for_no_disk

#: What the children need, in the end: the jobs, and what they import where it is used, which takes seconds.
_IMPORTED_ONCE = (
    *("pipelines.train.job", "pipelines.daily.job", "pipelines.unify.job", "pipelines.pairs.job"),
    *("model.training.train", "model.pictures.image_encoder", "torch._dynamo", "torchvision", "torch.utils.model_zoo"),
    *("apache_beam.runners.portability.fn_api_runner", "pyarrow.acero", "pyarrow.dataset", "filelock", "PIL.ImageOps"),
    *("scipy.stats", "scipy.cluster.hierarchy"),
    *("sklearn.feature_extraction.text", "sklearn.linear_model", "sklearn.svm"),
)


@dataclass
class Commands:
    """The server's client; the output of its children goes to `log`."""

    process: subprocess.Popen[str]
    log: Path

    def run(self, *argv: str, die: tuple[str, str] | None = None, die_after_s: float | None = None) -> int:
        """`itemsage argv` in a process of its own: its exit code, or minus the signal that killed it.

        die: ("before" or "after", pattern of the path that is replaced; or, with "within" too, that is appended to).
        die_after_s: SIGKILL at that moment.
        """
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        self.process.stdin.write(json.dumps({"argv": argv, "die": die, "die_after_s": die_after_s}) + "\n")
        self.process.stdin.flush()
        answer = self.process.stdout.readline()
        assert answer, f"the server has ended: {self.shown()}"
        return int(answer)

    def shown(self) -> str:
        """The last output of the commands."""
        return self.log.read_text(errors="replace")[-5000:]


@contextmanager
def command_server(log: Path, *modules: str) -> Iterator[Commands]:
    """A running server; its children's output goes to the file `log`. modules: of tests/helpers, imported first."""
    with (
        open(log, "w") as file,
        subprocess.Popen(
            [sys.executable, __file__, *modules],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=file,
            text=True,
            env=ENVIRONMENT,
        ) as process,
    ):
        yield Commands(process, log)
        assert process.stdin is not None
        process.stdin.close()


def serve() -> None:
    """Requests on standard input, exit codes on standard output."""
    for name in sys.argv[1:]:
        importlib.import_module(name)
    for name in _IMPORTED_ONCE:
        importlib.import_module(name)
    from pipelines import cli

    wait_for_no_disk()
    if not SOAK:
        remember_flags_and_signatures()
        remember_pictures()
        collect_seldom()
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)
    for line in sys.stdin:
        request = json.loads(line)
        child = os.fork()
        if child == 0:
            code = 1
            try:
                _prepare_death(request)
                code = cli.main(request["argv"])
            except BaseException:
                traceback.print_exc()
            finally:
                sys.stdout.flush()
                sys.stderr.flush()
                os._exit(code)
        _, status = os.waitpid(child, 0)
        print(os.waitstatus_to_exitcode(status), file=answers, flush=True)


def _prepare_death(request: dict[str, Any]) -> None:
    if request["die"]:
        _die_at(*request["die"])
    if request["die_after_s"] is not None:
        timer = threading.Timer(request["die_after_s"], os.kill, (os.getpid(), signal.SIGKILL))
        timer.daemon = True
        timer.start()


def _die_at(when: str, pattern: str) -> None:
    """From now on this process kills itself at the replace of, or the append to, the first file whose path fits."""
    replace, open_file = os.replace, builtins.open

    def replace_or_die(source: Any, target: Any) -> None:
        fits = fnmatch(os.fspath(target), pattern)
        if fits and when == "before":
            os.kill(os.getpid(), signal.SIGKILL)
        replace(source, target)
        if fits:
            os.kill(os.getpid(), signal.SIGKILL)

    def open_or_die(file: Any, mode: str = "r", *args: Any, **kwargs: Any) -> Any:
        if "a" in mode and fnmatch(os.fspath(file), pattern):
            return _DeadlyFile(file, mode, when)
        return open_file(file, mode, *args, **kwargs)

    os.replace, builtins.open = replace_or_die, open_or_die


class _DeadlyFile(io.FileIO):
    """An unbuffered file whose first write kills the process: "before", "within" (half is written) or "after" it."""

    def __init__(self, path: Any, mode: str, when: str):
        super().__init__(path, mode.replace("b", ""))
        self.share = {"before": 0.0, "within": 0.5, "after": 1.0}[when]

    def write(self, data: Any) -> int:
        super().write(data[: int(len(data) * self.share)])
        os.kill(os.getpid(), signal.SIGKILL)
        raise AssertionError("unreachable")


if __name__ == "__main__":
    serve()
