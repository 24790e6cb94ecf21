"""Python looks through all objects for garbage again and again: with the modules of torch, Beam and Arrow loaded, an
eighth of the suite's time, and a forked process copies what it looks through. `make soak`, the engines and whoever runs
the jobs collect as always."""

import gc


def collect_seldom() -> None:
    """From now on this process takes what is loaded for needed, and looks for garbage less often."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(100_000, 20, 20)
