"""Users of yesterday whom today's log calls otherwise: 100 has become 100.0, 00123 is 123, User-7 is user-7.

Counts do not see it: as many users as before have clusters, and whoever asks for one finds nobody.
"""

from collections.abc import Mapping

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from pipelines.log.rows import near_misses
from pipelines.run.opened import DAMAGE, Run
from pipelines.run.units import bucket_name
from schemas.errors import CorruptFileError
from schemas.parquet.files import PARQUET_ERRORS
from schemas.quarantine import quote
from schemas.records.user_rows import USERS_FOLDER, USERS_STAGE

_SHOWN = 3


def respelt_users(today: Run, yesterday: Run) -> dict[str, str]:
    """User of yesterday who is gone -> one of today who was not there, and who is called so but for what near_misses
    leaves out. Nobody where yesterday's users cannot be read: today's do not rest on them."""
    if not (today.has(USERS_STAGE) and yesterday.has(USERS_STAGE)):
        return {}
    try:
        now, before = _user_ids(today), _user_ids(yesterday)
    except DAMAGE:
        return {}
    gone = before.filter(pc.invert(pc.is_in(before, value_set=now)))
    new = now.filter(pc.invert(pc.is_in(now, value_set=before)))
    return near_misses(gone.to_pylist(), new)


def respelt_in_words(respelt: Mapping[str, str]) -> str:
    """
    >>> respelt_in_words({"100": "100.0", "7": "7.0"})
    "2 of them were called otherwise yesterday: '100' is '100.0' now, '7' is '7.0' now"
    """
    num_now = len({*respelt.values()})
    shown = ", ".join(f"{quote(one)} is {quote(other)} now" for one, other in sorted(respelt.items())[:_SHOWN])
    return f"{num_now:,} of them were called otherwise yesterday: {shown}"


def _user_ids(run: Run) -> pa.Array:
    """string [users]: of all of a run's users. Raises CorruptFileError for files that are not as listed."""
    names = [f"{USERS_FOLDER}/{bucket_name(n, run.num_user_buckets)}.parquet" for n in range(run.num_user_buckets)]
    ids = [pa.array([], pa.string())]
    for name in names:
        try:
            table = pq.read_table(run.checked(name), columns=["user_id"], partitioning=None)
        except PARQUET_ERRORS as error:
            raise CorruptFileError(f"expected the run's users at {run.folder / name}, got {error}") from error
        ids += table["user_id"].cast(pa.string()).chunks
    return pa.concat_arrays(ids)
