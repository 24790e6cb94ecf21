"""The errors a caller is meant to see. Messages say: expected, got, where, what to do."""


class UsageError(ValueError):
    """The call is wrong (a flag, a path, a config value): exit code 2."""


class ThresholdError(ValueError):
    """The data failed a threshold (nothing valid, an empty split part, too much rejected): exit code 3."""


class CorruptFileError(ValueError):
    """A file is not what its manifest, checksum or format promises: exit code 1, and nothing is published from it."""


def printable(text: str) -> str:
    r"""`text` without anything that could act on a terminal; long text stays long.

    >>> printable("caf\u00e9 \x1b[31m")
    'café \\x1b[31m'
    """
    if text.isprintable():
        return text
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)
