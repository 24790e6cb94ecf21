"""The tables, spelled once. Every column name, dimension and enumeration of the project is defined here.

Input tables (what a shop brings): CATALOGUE, GROUPED_CATALOGUE, ENGAGEMENTS, JUDGEMENTS. Stored tables: ITEMS,
QUARANTINE, FINGERPRINTS, EMBEDDINGS, IDS, DISTINCT, CHANGES, USERS, USER_ACTIONS, ITEM_POPULARITY. Decisions behind
them are in docs/how-it-works.md.
"""

from collections.abc import Mapping

import pyarrow as pa

SCHEMA_VERSION = 1

#: The 12 ItemSage text fields, in the order of the model's positions (Baltescu et al. 2022, section 3.1).
TEXT_FIELDS = (
    "title",
    "description",
    "domains",
    "brand",
    "colors",
    "size_type",
    "links",
    "size",
    "patterns",
    "materials",
    "product_types",
    "google_product_category",
)
NUM_TEXT_FIELDS = len(TEXT_FIELDS)
MAX_PICTURES = 20
EMBEDDING_DIM = 256

SURFACES = ("search", "closeup", "home")
ACTIONS = ("impression", "click", "save", "add_to_cart", "checkout", "return")
#: Training tasks are surface x action; home has no query and impressions and returns are not engagements.
QUERY_SURFACES = ("search", "closeup")
POSITIVE_ACTIONS = ("click", "save", "add_to_cart", "checkout")
#: Text queries made from the catalogue's own text, so that a shop without a search log has text search.
PSEUDO_TASK = "search/pseudo"
#: The part of such queries from which a model learns, before the log, to rank as BM25 does; the split has no such part.
DISTILLATION = "distillation"
TASKS = tuple(f"{surface}/{action}" for surface in QUERY_SURFACES for action in POSITIVE_ACTIONS)

TIMESTAMP = pa.timestamp("us", tz="UTC")

CATALOGUE = pa.schema(
    [
        pa.field("item_id", pa.string(), nullable=False),
        *[pa.field(name, pa.string()) for name in TEXT_FIELDS],  # a list of strings is accepted and joined
        pa.field("images", pa.list_(pa.string()), nullable=False),
    ]
)

#: A catalogue whose mapping says which column tells what rows belong together (see schemas.validation.grouping).
GROUPED_CATALOGUE = CATALOGUE.append(pa.field("group", pa.string()))
#: Beside these, of a mapping that says so: columns whose values tell that a row is no item (see
#: schemas.columns.leave_out).
LEAVE_OUT = pa.field("leave_out", pa.string())

ENGAGEMENTS = pa.schema(
    [
        pa.field("timestamp", TIMESTAMP, nullable=False),
        pa.field("user_id", pa.string()),
        pa.field("session_id", pa.string()),
        pa.field("surface", pa.string(), nullable=False),
        pa.field("query", pa.string()),
        pa.field("item_id", pa.string(), nullable=False),
        pa.field("action", pa.string(), nullable=False),
    ]
)

JUDGEMENTS = pa.schema(
    [
        pa.field("surface", pa.string(), nullable=False),
        pa.field("query", pa.string(), nullable=False),
        pa.field("item_id", pa.string(), nullable=False),
        pa.field("grade", pa.float32(), nullable=False),
    ]
)

#: Columns that hold ids, whatever the table.
ID_COLUMNS = ("item_id", "group", "user_id", "session_id")

#: Counts of cells that could not be read, and are null, are called this and their column.
UNREADABLE = "cells_unreadable:"


def unreadable_cells(counts: Mapping[str, int]) -> dict[str, int]:
    """Our column -> how many of its cells could not be read.

    >>> unreadable_cells({"cells_unreadable:brand": 2, "rows_read": 9})
    {'brand': 2}
    """
    return {name.removeprefix(UNREADABLE): count for name, count in counts.items() if name.startswith(UNREADABLE)}


#: One validated catalogue row in the bucketed store; multi-valued text joined by one space, at most MAX_PICTURES URIs.
ITEMS = CATALOGUE

#: Why something was rejected (level "row": the item has no output; "picture", or "cell", of a text that is not UTF-8:
#: the item keeps the rest).
REJECTIONS = pa.schema(
    [
        pa.field("level", pa.string(), nullable=False),
        pa.field("stage", pa.string(), nullable=False),
        pa.field("item_id", pa.string()),
        pa.field("reason", pa.string(), nullable=False),
        pa.field("expected", pa.string(), nullable=False),
        pa.field("got", pa.string(), nullable=False),
        pa.field("where", pa.string(), nullable=False),
        pa.field("remedy", pa.string(), nullable=False),
    ]
)

#: The quarantine table: rejections and the id of the run that has them.
QUARANTINE = REJECTIONS.append(pa.field("run", pa.string(), nullable=False))

#: What an item of the features stage was made from, a row an item of items/, sorted by id: the next run takes over what
#: has not changed. Hashes are XXH3-128. features_hash: of the record's bytes, null for an item that has no record.
#: modified_ns: -1 if the file must be read again (missing, or changed while it was read). sha256: null for a picture
#: that could not be read; reason, expected, got: null for a good one.
FINGERPRINTS = pa.schema(
    [
        pa.field("item_id", pa.string(), nullable=False),
        pa.field("text_hash", pa.binary(16), nullable=False),
        pa.field("features_hash", pa.binary(16)),
        pa.field(
            "pictures",
            pa.list_(
                pa.struct(
                    [
                        pa.field("uri", pa.string(), nullable=False),
                        pa.field("bytes", pa.int64(), nullable=False),
                        pa.field("modified_ns", pa.int64(), nullable=False),
                        pa.field("sha256", pa.binary(32)),
                        pa.field("reason", pa.string()),
                        pa.field("expected", pa.string()),
                        pa.field("got", pa.string()),
                    ]
                )
            ),
            nullable=False,
        ),
    ]
)

EMBEDDINGS = pa.schema(
    [
        pa.field("item_id", pa.string(), nullable=False),
        pa.field(
            "embedding",
            pa.list_(pa.field("element", pa.float32(), nullable=False), EMBEDDING_DIM),
            nullable=False,
        ),
    ]
)

#: Row number (from 0) is the Annoy id.
IDS = pa.schema([pa.field("item_id", pa.string(), nullable=False)])
#: For each row of IDS which of the different vectors it has; they are numbered as they first occur.
DISTINCT = pa.schema([pa.field("vector", pa.int32(), nullable=False)])

CHANGES = pa.schema([pa.field("item_id", pa.string(), nullable=False), pa.field("change", pa.string(), nullable=False)])

#: A user as several medoids (PinnerSage), sorted by user_id; clusters by falling importance, then medoid_item_id, at
#: least one. medoid_vector: the item's unit vector. importance: decayed number of actions at the end of the day. size:
#: number of actions. actions_used: in clusters; actions_skipped: on items that have no vector; actions_over_cap: older
#: than the newest that are used.
USERS = pa.schema(
    [
        pa.field("user_id", pa.string(), nullable=False),
        pa.field(
            "clusters",
            pa.list_(
                pa.field(
                    "element",
                    pa.struct(
                        [
                            pa.field("medoid_item_id", pa.string(), nullable=False),
                            pa.field("medoid_vector", EMBEDDINGS.field("embedding").type, nullable=False),
                            pa.field("importance", pa.float64(), nullable=False),
                            pa.field("size", pa.int32(), nullable=False),
                            pa.field("last_action", TIMESTAMP, nullable=False),
                        ]
                    ),
                    nullable=False,
                )
            ),
            nullable=False,
        ),
        pa.field("model_id", pa.string(), nullable=False),
        pa.field("actions_used", pa.int32(), nullable=False),
        pa.field("actions_skipped", pa.int32(), nullable=False),
        pa.field("actions_over_cap", pa.int32(), nullable=False),
    ]
)

#: What a user's clusters were made from, sorted by user_id: the next run takes over the clusters of equal actions, and
#: recommendations leave out what was seen. actions: those used, by item_id, then time; cluster: numbered by first
#: action (not the order of USERS). medoids: for each cluster, the position of its medoid in `actions`.
#: clustered_hash: XXH3-128 of ids, times and vectors of the actions.
USER_ACTIONS = pa.schema(
    [
        pa.field("user_id", pa.string(), nullable=False),
        pa.field("clustered_hash", pa.binary(16), nullable=False),
        pa.field(
            "actions",
            pa.list_(
                pa.field(
                    "element",
                    pa.struct(
                        [
                            pa.field("item_id", pa.string(), nullable=False),
                            pa.field("timestamp", TIMESTAMP, nullable=False),
                            pa.field("cluster", pa.int32(), nullable=False),
                        ]
                    ),
                    nullable=False,
                )
            ),
            nullable=False,
        ),
        pa.field("medoids", pa.list_(pa.field("element", pa.int32(), nullable=False)), nullable=False),
    ]
)

#: How popular the items with a vector are, sorted by item_id, only those acted on: users and actions in the window.
ITEM_POPULARITY = pa.schema(
    [
        pa.field("item_id", pa.string(), nullable=False),
        pa.field("num_users", pa.int32(), nullable=False),
        pa.field("num_actions", pa.int64(), nullable=False),
    ]
)

#: Items that the refined index leaves out, sorted by item_id, each with the item of it that stands for it; cosine: of
#: their vectors, 1 for equal ones.
NEAR_DUPLICATES = pa.schema(
    [
        pa.field("item_id", pa.string(), nullable=False),
        pa.field("representative_item_id", pa.string(), nullable=False),
        pa.field("cosine", pa.float32(), nullable=False),
    ]
)
