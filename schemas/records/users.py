"""Users as Parquet: the tables USERS, USER_ACTIONS and ITEM_POPULARITY, written and read."""

import os
from collections.abc import Sequence
from itertools import pairwise

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from schemas.errors import CorruptFileError
from schemas.parquet.files import PARQUET_ERRORS
from schemas.quarantine import quote
from schemas.records.embeddings import embeddings_schema
from schemas.records.user_rows import UserActionRows, UserRows
from schemas.tables import ITEM_POPULARITY, SCHEMA_VERSION, TIMESTAMP, USER_ACTIONS, USERS

#: A reader that wants one user reads one row group: of many light users or of a few heavy ones, about 5 MB at most.
USERS_A_GROUP = 128
CLUSTERS_A_GROUP = 5_000
ACTIONS_A_GROUP = 20_000
_ACTED_ITEM_LEAF = "actions.list.element.item_id"
_VECTOR_LEAF = "clusters.list.element.medoid_vector.list.element"


def users_schema(dim: int) -> pa.Schema:
    """schemas.tables.USERS with medoids of `dim` numbers."""
    clusters = USERS.field("clusters")
    struct = [
        embeddings_schema(dim).field("embedding").with_name(field.name) if field.name == "medoid_vector" else field
        for field in clusters.type.value_type
    ]
    of_dim = pa.list_(pa.field("element", pa.struct(struct), nullable=False))
    return USERS.set(USERS.get_field_index("clusters"), pa.field("clusters", of_dim, nullable=False))


def users_metadata(model_id: str, dim: int) -> dict[str, str]:
    """The file metadata of users made from one model's vectors. No date: equal content, equal bytes."""
    return {"dimension": str(dim), "model_id": model_id, "schema_version": str(SCHEMA_VERSION)}


def write_users(path: str | os.PathLike[str], rows: UserRows, model_id: str) -> None:
    """Writes a USERS file; not atomic: give it a temporary name. A row group ends after USERS_A_GROUP users, or before
    the user with whom it would have more than CLUSTERS_A_GROUP clusters."""
    dim = rows.medoids_CD.shape[1]
    schema = users_schema(dim).with_metadata(users_metadata(model_id, dim))
    clusters = schema.field("clusters").type
    vectors = pa.FixedSizeListArray.from_arrays(
        pa.array(np.ascontiguousarray(rows.medoids_CD, np.float32).reshape(-1)),
        type=clusters.value_type.field("medoid_vector").type,
    )
    struct = pa.StructArray.from_arrays(
        [
            rows.medoid_ids.cast(pa.string()),
            vectors,
            pa.array(rows.importance_C, pa.float64()),
            pa.array(rows.size_C, pa.int32()),
            _times(rows.last_us_C),
        ],
        fields=list(clusters.value_type),
    )
    lists = pa.ListArray.from_arrays(pa.array(rows.cluster_offsets, pa.int32()), struct, type=clusters)
    counts = [pa.array(column, pa.int32()) for column in (rows.used_U, rows.skipped_U, rows.over_cap_U)]
    table = pa.table([rows.ids, lists, pa.repeat(model_id, len(rows.ids)), *counts], schema=schema)
    groups = _row_groups(rows.cluster_offsets, CLUSTERS_A_GROUP)
    _write(table, path, groups, column_encoding={_VECTOR_LEAF: "BYTE_STREAM_SPLIT"})


def read_users(path: str | os.PathLike[str], row_group: int | None = None) -> tuple[UserRows, str]:
    """The rows of a USERS file, or of one of its row groups, and the model id. CorruptFileError for anything else."""
    file = _open(path)
    metadata = {
        key.decode(): value.decode(errors="replace") for key, value in (file.schema_arrow.metadata or {}).items()
    }
    model_id, dim = metadata.get("model_id"), metadata.get("dimension", "")
    if model_id is None or not (dim.isascii() and dim.isdecimal()) or not 0 < int(dim) < 1_000_000:
        raise CorruptFileError(f"expected model_id and dimension in the metadata, got {quote(metadata)} in {path}")
    table = _read(file, path, users_schema(int(dim)), row_group)
    if not pc.all(pc.equal(table["model_id"], model_id), min_count=0).as_py():
        raise CorruptFileError(f"expected model_id {quote(model_id)} in every row, got another in {path}")
    lists = table["clusters"].combine_chunks()
    struct = lists.values
    first, last = _bounds(lists)
    struct = struct.slice(first, last - first)
    vectors = struct.field("medoid_vector")
    return UserRows(
        ids=table["user_id"].combine_chunks(),
        cluster_offsets=_offsets(lists),
        medoid_ids=struct.field("medoid_item_id"),
        medoids_CD=vectors.flatten().to_numpy(zero_copy_only=False).reshape(-1, int(dim)),
        importance_C=_numbers(struct.field("importance")),
        size_C=_numbers(struct.field("size")),
        last_us_C=_numbers(struct.field("last_action").cast(pa.int64())),
        used_U=_numbers(table["actions_used"]),
        skipped_U=_numbers(table["actions_skipped"]),
        over_cap_U=_numbers(table["actions_over_cap"]),
    ), model_id


def write_user_actions(path: str | os.PathLike[str], rows: UserActionRows) -> None:
    """Writes a USER_ACTIONS file; not atomic: give it a temporary name. A row group ends after USERS_A_GROUP users, or
    before the user with whom it would have more than ACTIONS_A_GROUP actions."""
    actions = USER_ACTIONS.field("actions").type
    struct = pa.StructArray.from_arrays(
        [rows.item_ids.cast(pa.string()), _times(rows.times_us_M), pa.array(rows.labels_M, pa.int32())],
        fields=list(actions.value_type),
    )
    medoids = USER_ACTIONS.field("medoids").type
    columns = [
        rows.ids,
        pa.array(rows.hashes, pa.binary(16)),
        pa.ListArray.from_arrays(pa.array(rows.action_offsets, pa.int32()), struct, type=actions),
        pa.ListArray.from_arrays(
            pa.array(rows.medoid_offsets, pa.int32()), pa.array(rows.medoid_C, pa.int32()), type=medoids
        ),
    ]
    _write(pa.table(columns, schema=USER_ACTIONS), path, _row_groups(rows.action_offsets, ACTIONS_A_GROUP))


def read_user_actions(path: str | os.PathLike[str], row_group: int | None = None) -> UserActionRows:
    """The rows of a USER_ACTIONS file, or of one of its row groups. CorruptFileError for anything else."""
    table = _read(_open(path), path, USER_ACTIONS, row_group)
    lists, medoids = table["actions"].combine_chunks(), table["medoids"].combine_chunks()
    first, last = _bounds(lists)
    struct = lists.values.slice(first, last - first)
    return UserActionRows(
        ids=table["user_id"].combine_chunks(),
        hashes=table["clustered_hash"].to_pylist(),
        action_offsets=_offsets(lists),
        item_ids=struct.field("item_id"),
        times_us_M=_numbers(struct.field("timestamp").cast(pa.int64())),
        labels_M=_numbers(struct.field("cluster")),
        medoid_offsets=_offsets(medoids),
        medoid_C=_numbers(medoids.flatten()),
    )


def read_acted_items(path: str | os.PathLike[str], row_group: int) -> tuple[pa.Array, np.ndarray, pa.Array]:
    """(ids, action_offsets, item_ids) of a row group of a USER_ACTIONS file, as UserActionRows has them; the rest of it
    is not read. CorruptFileError for anything else."""
    table = _read(_open(path), path, USER_ACTIONS, row_group, columns=["user_id", _ACTED_ITEM_LEAF])
    lists = table["actions"].combine_chunks()
    return table["user_id"].combine_chunks(), _offsets(lists), lists.flatten().field("item_id")


def write_popularity(path: str | os.PathLike[str], table: pa.Table) -> None:
    """Writes an ITEM_POPULARITY table; not atomic: give it a temporary name."""
    _write(table.cast(ITEM_POPULARITY), path)


def read_popularity(path: str | os.PathLike[str]) -> pa.Table:
    """An ITEM_POPULARITY table. CorruptFileError for anything else, and unless 0 < num_users <= num_actions."""
    table = _read(_open(path), path, ITEM_POPULARITY, None)
    num_users, num_actions = table["num_users"].to_numpy(), table["num_actions"].to_numpy()
    wrong = np.flatnonzero((num_users <= 0) | (num_users > num_actions))
    if len(wrong):
        got = f"{num_users[wrong[0]]} users and {num_actions[wrong[0]]} actions of {_quoted(table, wrong[0])}"
        raise CorruptFileError(f"expected from 1 user up to one an action, got {got} in {path}")
    return table


def sum_popularity(parts: Sequence[pa.Table]) -> pa.Table:
    """ITEM_POPULARITY of the users of all parts together, who are different people; by item_id."""
    summed = pa.concat_tables(parts).group_by("item_id").aggregate([("num_users", "sum"), ("num_actions", "sum")])
    return summed.rename_columns(ITEM_POPULARITY.names).sort_by("item_id").cast(ITEM_POPULARITY)


def _quoted(table: pa.Table, row: int) -> str:
    return quote(table["item_id"][int(row)].as_py())


def _row_groups(offsets: np.ndarray, most: int) -> list[int]:
    """Where the row groups of users with these offsets begin, and the number of users.

    >>> _row_groups(np.array([0, 15, 20, 21, 45, 46]), most=20)
    [0, 2, 3, 4, 5]
    """
    starts, num_users = [0], len(offsets) - 1
    while starts[-1] < num_users:
        start = starts[-1]
        within = int(np.searchsorted(offsets, offsets[start] + most, side="right")) - 1
        starts.append(min(max(within, start + 1), start + USERS_A_GROUP, num_users))
    return starts


def _write(table: pa.Table, path: str | os.PathLike[str], groups: Sequence[int] = (), **how: object) -> None:
    """groups: where row groups begin, and the number of rows; else all rows are one."""
    with pq.ParquetWriter(
        path,
        table.schema,
        compression="zstd",
        use_dictionary=False,
        write_page_checksum=True,
        write_statistics=[name for name in ("user_id", "item_id") if name in table.schema.names],
        **how,
    ) as writer:
        for start, end in pairwise(groups if len(groups) > 1 else (0, len(table))):
            writer.write_table(table.slice(start, end - start), row_group_size=max(end - start, 1))


def _open(path: str | os.PathLike[str]) -> pq.ParquetFile:
    try:
        return pq.ParquetFile(path, page_checksum_verification=True)
    except PARQUET_ERRORS as error:
        raise CorruptFileError(f"expected a Parquet file of users at {path}, got {quote(str(error))}") from error


def _read(
    file: pq.ParquetFile,
    path: str | os.PathLike[str],
    schema: pa.Schema,
    row_group: int | None,
    columns: list[str] | None = None,
) -> pa.Table:
    """The rows (of `columns`, default all), with the file closed; the file's columns, and nulls, are as `schema`
    promises."""
    try:
        with file:
            if not file.schema_arrow.equals(schema):
                raise CorruptFileError(f"expected the columns {schema}, got {quote(str(file.schema_arrow))} in {path}")
            table = file.read() if row_group is None else file.read_row_group(row_group, columns=columns)
        table.validate(full=True)
    except PARQUET_ERRORS as error:
        raise CorruptFileError(f"expected readable rows in {path}, got {quote(str(error))}") from error
    if any(column.null_count for column in table.columns):
        raise CorruptFileError(f"expected no nulls, got some in {path}: run the users stage again")
    return table


def _times(times_us: np.ndarray) -> pa.Array:
    return pa.array(times_us, pa.int64()).cast(TIMESTAMP)


def _numbers(column: pa.Array | pa.ChunkedArray) -> np.ndarray:
    array = column.combine_chunks() if isinstance(column, pa.ChunkedArray) else column
    return array.to_numpy(zero_copy_only=False)


def _bounds(lists: pa.ListArray) -> tuple[int, int]:
    return lists.offsets[0].as_py(), lists.offsets[-1].as_py()


def _offsets(lists: pa.ListArray) -> np.ndarray:
    """int32 [rows + 1], from 0: a slice's own offsets may start later."""
    offsets = lists.offsets.to_numpy()
    return offsets - offsets[0]
