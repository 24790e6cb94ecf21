"""Events of a log whose action the config maps to "": they are no rows, and are counted."""

from dataclasses import replace

import numpy as np
import pyarrow as pa

from schemas.coercion.columns import mapped_to_empty
from schemas.columns.raw_rows import RawRows
from schemas.events.paths import OF_NO_USE


def without_unused(raw: RawRows) -> RawRows:
    """A batch of a log without the events whose action the mapping says are of no use."""
    left_out = mapped_to_empty(raw, "action")
    if not left_out.any():
        return raw
    kept = np.flatnonzero(~left_out)
    return replace(
        raw,
        table=raw.table.take(pa.array(kept)),
        row_numbers=raw.row_numbers[kept],
        mixed={name: [given[row] for row in kept] for name, given in raw.mixed.items()},
        no_rows={**raw.no_rows, OF_NO_USE: int(left_out.sum())},
    )
