"""Tables of query vectors as a shop brings them."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq


def write_query_vectors(path: Path, queries: Sequence[Any], vectors: Any, kind: pa.DataType | None = None) -> Path:
    """The table as one Parquet file; kind: of the vectors, lists of floats unless told otherwise."""
    rows = [None if vector is None else list(vector) for vector in vectors]
    columns = {"query": pa.array(queries, pa.string()), "vector": pa.array(rows, kind or pa.list_(pa.float32()))}
    path.parent.mkdir(parents=True, exist_ok=True)
    pq.write_table(pa.table(columns), path, row_group_size=7)
    return path


def write_vectors_of(path: Path, vector_of: Mapping[str, np.ndarray]) -> Path:
    """The table of a mapping."""
    return write_query_vectors(path, list(vector_of), list(vector_of.values()))
