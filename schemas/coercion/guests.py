"""Words that logs have for a user whom nobody knows: as an id they would make one user of all guests."""

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from schemas.coercion.cells import BatchFindings

#: In small letters. 0 and -1 are none of them: in many logs somebody has that number (`itemsage init` asks).
GUESTS = ("(not set)", "not set", "undefined", "null", "none", "nan", "guest", "anonymous", "[object object]")


def without_guests(user_ids: pa.Array, found: BatchFindings) -> pa.Array:
    """The users, null where one is such a word, which is put down as a cell that cannot be read.

    >>> without_guests(pa.array(["Guest", "u1", None]), BatchFindings()).to_pylist()
    [None, 'u1', None]
    """
    is_guest = pc.fill_null(pc.is_in(pc.utf8_lower(user_ids), value_set=pa.array(GUESTS)), False)
    if not pc.any(is_guest).as_py():
        return user_ids
    rows = np.flatnonzero(is_guest.to_numpy(zero_copy_only=False)).tolist()
    found.unreadable.setdefault("user_id", set()).update(rows)
    return pc.if_else(is_guest, pa.scalar(None, pa.string()), user_ids)
