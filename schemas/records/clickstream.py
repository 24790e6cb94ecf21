"""Tables made from clickstream, between a log of engagements and the item vectors learnt from it."""

import pyarrow as pa

from schemas.tables import TIMESTAMP

#: What was engaged with in one session or by one user, sorted by sequence_id; its items by time, then item_id. weights:
#: of the strongest action on the item.
SEQUENCES = pa.schema(
    [
        pa.field("sequence_id", pa.string(), nullable=False),
        pa.field("item_ids", pa.list_(pa.field("element", pa.string(), nullable=False)), nullable=False),
        pa.field("times", pa.list_(pa.field("element", TIMESTAMP, nullable=False)), nullable=False),
        pa.field("weights", pa.list_(pa.field("element", pa.int32(), nullable=False)), nullable=False),
    ]
)

#: How strongly two items are engaged with together, sorted by (item_id, neighbour_id), each pair in both directions.
#: weight: a sum of whole numbers, so that partial sums may be added in any order.
CO_ENGAGEMENTS = pa.schema(
    [
        pa.field("item_id", pa.string(), nullable=False),
        pa.field("neighbour_id", pa.string(), nullable=False),
        pa.field("weight", pa.int64(), nullable=False),
    ]
)

#: Users and the items they engaged with, sorted by (user_id, item_id); count: engagements, weighted by action.
INTERACTIONS = pa.schema(
    [
        pa.field("user_id", pa.string(), nullable=False),
        pa.field("item_id", pa.string(), nullable=False),
        pa.field("count", pa.int64(), nullable=False),
    ]
)

#: How often each item was seen, sorted by item_id: the evidence for its vector.
EVIDENCE = pa.schema([pa.field("item_id", pa.string(), nullable=False), pa.field("count", pa.int64(), nullable=False)])

#: Walks over the graph of CO_ENGAGEMENTS, sorted by (item_id, walk). item_id: where it starts; walk: which of the
#: item's walks; item_ids: what it came by, the start first.
WALKS = pa.schema(
    [
        pa.field("item_id", pa.string(), nullable=False),
        pa.field("walk", pa.int32(), nullable=False),
        pa.field("item_ids", pa.list_(pa.field("element", pa.string(), nullable=False)), nullable=False),
    ]
)

#: How popular an item is beside its vector, b_p of BPR; sorted by item_id.
BIASES = pa.schema([pa.field("item_id", pa.string(), nullable=False), pa.field("bias", pa.float32(), nullable=False)])
