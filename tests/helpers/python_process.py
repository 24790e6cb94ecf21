"""Code that runs in a Python process of its own, where the project can be imported."""

import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
ENVIRONMENT = {**os.environ, "PYTHONPATH": str(ROOT)}


def run_python(code: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    """The ended process, whatever its exit code, with what it printed."""
    return subprocess.run(
        [sys.executable, "-c", code, *arguments], env=ENVIRONMENT, capture_output=True, text=True, check=False
    )
