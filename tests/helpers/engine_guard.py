"""`python engine_guard.py ARGV...` runs ARGV, and ends with all that it started when the end of stdin is reached.

The process that holds the other end of the pipe may die as it likes: nothing outlives it.
"""

import os
import signal
import subprocess
import sys
import threading


def kill_group_at_the_end_of_stdin() -> None:
    os.read(sys.stdin.fileno(), 1)
    os.killpg(os.getpgid(0), signal.SIGKILL)


if __name__ == "__main__":
    assert os.getpgid(0) == os.getpid(), "the guard leads its process group, else it would kill others"
    threading.Thread(target=kill_group_at_the_end_of_stdin, daemon=True).start()
    sys.exit(subprocess.call(sys.argv[1:], stdin=subprocess.DEVNULL))
