"""Worker processes of the suite are as many as cores. Where each makes a thread a core for every sum, too, OpenMP's
threads wait for each other in loops that take the cores from those that work: six small forests of scikit-learn's took
57 s in two processes on two busy cores, and with a thread each 0.8 s. `make soak`, a process alone and whoever runs the
jobs have the threads of their libraries.
"""

import os

from exploration import SOAK

if "PYTEST_XDIST_WORKER" in os.environ and not SOAK:
    os.environ.setdefault("OMP_NUM_THREADS", "1")
