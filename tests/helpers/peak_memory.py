"""How much memory some code takes at its peak, in a process of its own."""

import resource
import subprocess
import sys
from pathlib import Path

from python_process import ENVIRONMENT, ROOT

_STATUS = Path("/proc/self/status")
_HELPERS = str(ROOT / "tests" / "helpers")


def peak_bytes() -> int:
    """The most memory that this process has had. Where the system tells it: what getrusage says counts the parent's
    memory too, if the process was started from a larger one."""
    if _STATUS.exists():
        fields = dict(line.split(":", 1) for line in _STATUS.read_text().splitlines())
        return int(fields["VmHWM"].split()[0]) * 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


def growth_bytes(prepare: str, measured: str, *arguments: str) -> tuple[int, str]:
    """By how much the peak grows while the code `measured` runs, after `prepare` has; and what both print."""
    before, after = "from peak_memory import peak_bytes\nbefore = peak_bytes()", "print(peak_bytes() - before)"
    code = "\n".join((prepare, before, measured, after))
    ended = subprocess.run(
        [sys.executable, "-c", code, *arguments],
        env={**ENVIRONMENT, "PYTHONPATH": f"{ENVIRONMENT['PYTHONPATH']}:{_HELPERS}"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert ended.returncode == 0, ended.stderr
    printed, _, growth = ended.stdout.rstrip("\n").rpartition("\n")
    return int(growth), printed
