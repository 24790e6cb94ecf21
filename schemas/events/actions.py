"""How many events of each action have an item, and how many have none and so are no rows (see schemas.events.paths).

Of a page view nobody expects an item. Where most events of an action have none, they have it elsewhere.
"""

from collections import Counter
from collections.abc import Mapping
from dataclasses import replace

import numpy as np
import pyarrow as pa

from schemas.coercion.cells import BatchFindings
from schemas.coercion.columns import text_column
from schemas.columns.raw_rows import RawRows
from schemas.columns.spec import column_of, part_name
from schemas.events.rows import Led
from schemas.tables import ACTIONS

#: What the counts of events with and without items begin with; the action stands behind it.
WITH_ITEMS_OF, WITHOUT_ITEMS_OF = "events_with_items:", "events_without_items:"


def events_by_action(raw: RawRows, found: Mapping[str, Led], has_items: np.ndarray) -> dict[str, int]:
    """Events of actions of ours, as the mapping has them, by WITH_ITEMS_OF or WITHOUT_ITEMS_OF and the action.

    raw: a batch of events; found: what paths lead to in them (see schemas.events.rows); has_items: bool [events].
    """
    num_sources = max(len(column_of(raw.columns, "action").source), 1)
    names = [part_name("action", number) for number in range(num_sources)]
    arrays = [_of_events(raw, found, name) for name in names]
    mixed = {name: raw.mixed[name] for name in names if name in raw.mixed}
    events = replace(raw, table=pa.Table.from_arrays(arrays, names), mixed=mixed)
    actions = text_column(events, "action", BatchFindings()).to_pylist()
    return dict(
        Counter(
            (WITH_ITEMS_OF if has_items[event] else WITHOUT_ITEMS_OF) + action
            for event, action in enumerate(actions)
            if action in ACTIONS
        )
    )


def _of_events(raw: RawRows, found: Mapping[str, Led], name: str) -> pa.Array:
    """The value of each event; null of a list."""
    if name not in found:
        return raw.table[name].combine_chunks()
    return pa.nulls(raw.table.num_rows) if found[name].listed else found[name].values
