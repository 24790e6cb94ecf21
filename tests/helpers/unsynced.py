"""No test cuts the power, and killed processes lose nothing that they gave to the kernel: writes of tests need not wait
for the disk, about 150 times a day. tests/schemas/test_files.py shows that they would."""

import os


def wait_for_no_disk() -> None:
    """From now on this process syncs nothing."""
    os.fsync = lambda fd: None
