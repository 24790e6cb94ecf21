"""What is wrong with an earlier run is no error: nothing is taken over from there, and a line on stderr tells why."""

import sys

import pyarrow as pa

#: What reading a manifest or a table that somebody damaged may raise.
UNREADABLE = (ValueError, KeyError, TypeError, AttributeError, OSError, pa.ArrowException)


def say(stage: str, text: str) -> None:
    """Tells a person, in a line on stderr, what of the earlier run the stage does not use, and why."""
    print(f"{stage}: {text}", file=sys.stderr)
