"""Quarantine: what was rejected, why, and what to do about it. Nothing that came in disappears without a row here."""

from collections.abc import Iterable
from dataclasses import asdict, dataclass

import pyarrow as pa

from schemas.tables import QUARANTINE, REJECTIONS

#: `got` is quoted from hostile input: shortened to this many characters, control characters escaped.
MAX_QUOTED_CHARACTERS = 200


@dataclass(frozen=True, kw_only=True, slots=True)
class Rejection:
    """One quarantine row; fields as in schemas.tables.REJECTIONS."""

    level: str
    stage: str
    item_id: str | None
    reason: str
    expected: str
    got: str
    where: str
    remedy: str


def quote(value: object) -> str:
    """A short, printable rendering of an untrusted value.

    >>> quote("a\\x1b[31m")
    "'a\\\\x1b[31m'"
    """
    text = ascii(value) if not isinstance(value, str) else repr(value)
    text = text.encode("utf-8", "backslashreplace").decode()
    return text if len(text) <= MAX_QUOTED_CHARACTERS else text[: MAX_QUOTED_CHARACTERS - 1] + "…"


def rejections_to_table(rejections: Iterable[Rejection]) -> pa.Table:
    """A REJECTIONS table in a total order, so that equal rejections give equal bytes."""
    rows = sorted((asdict(rejection) for rejection in rejections), key=lambda row: tuple(map(str, row.values())))
    return pa.Table.from_pylist(rows, schema=REJECTIONS)


def quarantine_table(rejections: pa.Table, run_id: str) -> pa.Table:
    """The QUARANTINE table of a run from REJECTIONS columns (others, such as an earlier run's id, are dropped)."""
    columns = rejections.select(REJECTIONS.names).columns
    return pa.table([*columns, pa.array([run_id] * len(rejections), pa.string())], schema=QUARANTINE)
