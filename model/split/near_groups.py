"""Groups of items and queries that are almost the same, so that what is known of one is known of the others.

    items    equal text | equal picture | near picture            --+
    queries  equal words | equal picture, near picture (also of     +--> connected components
             an item) | asked in one and the same session alone   --+

A picture that many items show (a placeholder, a table of sizes) does not make them one. A session joins only what
occurs in no other session, and no item: else popular queries would join all sessions, and sessions all items.

Legend: N nodes (items and queries), E edges.
"""

import numpy as np
import pyarrow as pa

from model.pictures.looks import LOOK_BYTES, near_looks

#: Items that may share a picture before it says nothing of them: more than a product has variants.
MAX_ITEMS_OF_A_PICTURE = 50
#: Queries that a session may have before it is no person's.
MAX_QUERIES_OF_A_SESSION = 200

#: Items and queries. sessions: smallest and largest mark of the sessions of a query's rows; 0 is none, so it is for
#: rows without session, and for items.
NODES = pa.schema(
    [
        pa.field("node", pa.uint64(), nullable=False),
        pa.field("is_item", pa.bool_(), nullable=False),
        pa.field("first_session", pa.uint64(), nullable=False),
        pa.field("last_session", pa.uint64(), nullable=False),
    ]
)
#: What nodes have, as hashes (a text, a picture's file): nodes with an equal mark are alike.
MARKS = pa.schema(
    [
        pa.field("node", pa.uint64(), nullable=False),
        pa.field("mark", pa.uint64(), nullable=False),
        pa.field("is_picture", pa.bool_(), nullable=False),
    ]
)
#: Looks of the nodes' pictures, see model.pictures.looks.
LOOKS = pa.schema(
    [pa.field("node", pa.uint64(), nullable=False), pa.field("look", pa.binary(LOOK_BYTES), nullable=False)]
)


def near_groups(nodes: pa.Table, marks: pa.Table, looks: pa.Table) -> np.ndarray:
    """For each row of NODES, which are distinct and sorted, the first row of its group: int64 [N].

    MARKS and LOOKS are of these nodes, in any order, repeated or not. Memory grows with their hashes alone.
    """
    node_N = nodes["node"].to_numpy()
    is_item_N = nodes["is_item"].to_numpy(zero_copy_only=False)
    edges = [_edges_of_marks(marks, node_N, is_item_N), _edges_of_looks(looks, node_N, is_item_N)]
    alike_N = _components(len(node_N), np.concatenate(edges))
    edges.append(_edges_of_sessions(nodes, alike_N, is_item_N))
    return _components(len(node_N), np.concatenate(edges))


def _edges_of_marks(marks: pa.Table, node_N: np.ndarray, is_item_N: np.ndarray) -> np.ndarray:
    row = np.searchsorted(node_N, marks["node"].to_numpy())
    mark = marks["mark"].to_numpy()
    is_picture = marks["is_picture"].to_numpy(zero_copy_only=False)
    return np.concatenate(
        [
            _edges_of_equal(row[~is_picture], mark[~is_picture]),
            _edges_of_equal(*_without_common(row[is_picture], mark[is_picture], is_item_N)),
        ]
    )


def _edges_of_looks(looks: pa.Table, node_N: np.ndarray, is_item_N: np.ndarray) -> np.ndarray:
    row = np.searchsorted(node_N, looks["node"].to_numpy())
    distinct, look = np.unique(_fixed_bytes(looks["look"]), return_inverse=True)
    row, look = _without_common(row, look.reshape(-1), is_item_N)
    near_P2 = near_looks(np.frombuffer(distinct.tobytes(), np.uint8).reshape(-1, LOOK_BYTES))
    first_row = np.full(len(distinct), -1)  # of a look that only too many items have, none is left
    first_row[look[::-1]] = row[::-1]
    near_E2 = first_row[near_P2]
    return np.concatenate([_edges_of_equal(row, look), near_E2[(near_E2 >= 0).all(axis=1)]])


def _edges_of_sessions(nodes: pa.Table, group_N: np.ndarray, is_item_N: np.ndarray) -> np.ndarray:
    """Of groups without an item that lie in one session."""
    own_first_N, own_last_N = nodes["first_session"].to_numpy(), nodes["last_session"].to_numpy()
    first_N, last_N = own_first_N.copy(), own_last_N.copy()
    np.minimum.at(first_N, group_N, own_first_N)
    np.maximum.at(last_N, group_N, own_last_N)
    has_item_N = np.zeros(len(group_N), bool)
    has_item_N[group_N[is_item_N]] = True
    root = np.unique(group_N)
    root = root[(first_N[root] == last_N[root]) & (first_N[root] > 0) & ~has_item_N[root]]
    _, session, size = np.unique(first_N[root], return_inverse=True, return_counts=True)
    is_persons = size[session] <= MAX_QUERIES_OF_A_SESSION
    return _edges_of_equal(root[is_persons], session[is_persons])


def _without_common(row: np.ndarray, value: np.ndarray, is_item_N: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Distinct (row, value) without those of items whose value too many items have."""
    order = np.lexsort((row, value))
    row, value = row[order], value[order]
    is_new = np.ones(len(row), bool)
    is_new[1:] = (row[1:] != row[:-1]) | (value[1:] != value[:-1])
    row, value = row[is_new], value[is_new]
    _, number = np.unique(value, return_inverse=True)
    num_items = np.bincount(number, is_item_N[row])
    kept = ~is_item_N[row] | (num_items[number] <= MAX_ITEMS_OF_A_PICTURE)
    return row[kept], value[kept]


def _edges_of_equal(row: np.ndarray, value: np.ndarray) -> np.ndarray:
    """int64 [E, 2]: a chain through the rows of each value."""
    order = np.argsort(value, kind="stable")
    same = value[order][1:] == value[order][:-1]
    return np.stack([row[order][:-1][same], row[order][1:][same]], axis=1).astype(np.int64)


def _fixed_bytes(column: pa.ChunkedArray) -> np.ndarray:
    """void [N] of a column of LOOK_BYTES each, without a Python object for each."""
    array = column.combine_chunks()
    if len(array) == 0:
        return np.zeros(0, f"V{LOOK_BYTES}")
    return np.frombuffer(array.buffers()[1], f"V{LOOK_BYTES}")[array.offset : array.offset + len(array)]


def _components(num_nodes: int, edges_E2: np.ndarray) -> np.ndarray:
    """int64 [num_nodes]: for each node the smallest of its connected component."""
    from scipy.sparse import coo_array  # a moment that who splits nothing need not wait for
    from scipy.sparse.csgraph import connected_components

    edges = coo_array((np.ones(len(edges_E2), bool), (edges_E2[:, 0], edges_E2[:, 1])), (num_nodes, num_nodes))
    _, component_N = connected_components(edges, directed=False)
    return np.unique(component_N, return_index=True)[1][component_N]
