"""The part of a split that each engagement is in, as model.split.split describes the kinds."""

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from model.split.held_out import item_codes, pair_codes, query_codes
from model.split.item_cutoffs import reached_cutoffs
from model.split.split import KINDS, NO_LOG, Split
from model.text.tokenizer import query_key
from schemas.errors import CorruptFileError
from schemas.hashing import stable_hash


def assign(split: Split, table: pa.Table) -> pa.Array:
    """The part of each row of `table` (columns timestamp, surface, query, item_id): a string array of "train",
    "validation", "gap" or "test". Depends on the row alone, never on its neighbours.
    """
    if split.kind == "time":
        times = pc.cast(table.column("timestamp"), pa.int64()).to_numpy()
        cuts = [split.validation_start_us, split.gap_start_us, split.test_start_us]
        assert None not in cuts, "a time split has three cuts"
        codes = np.searchsorted(np.array(cuts, np.int64), times, side="right")
    elif split.kind == "item_time":
        codes = _assign_by_item(split, table)
    elif split.kind == "query_item":
        codes = _assign_by_query_and_item(split, table)
    elif split.kind == "query_hash":
        codes = _assign_by_query(split, table)
    elif split.kind == NO_LOG:
        codes = np.full(table.num_rows, 3)
    else:
        raise CorruptFileError(f"expected a split of {', '.join((*KINDS, NO_LOG))}, got {split.kind!r}")
    labels = pa.array(["train", "validation", "gap", "test"])
    return labels.take(pa.array(codes, pa.int64()))


def _assign_by_item(split: Split, table: pa.Table) -> np.ndarray:
    """Codes 0 train, 1 validation, 3 test; an item without cutoffs was never trained on: test."""
    if split.item_cutoffs is None:
        raise CorruptFileError("expected the cutoffs of an item_time split (split.parquet), got none")
    known, validates, tests = reached_cutoffs(split.item_cutoffs, table)
    return np.where(tests | ~known, 3, np.where(validates, 1, 0))


def _assign_by_query_and_item(split: Split, table: pa.Table) -> np.ndarray:
    """Codes 0 train, 1 validation, 3 test: the harder part of the query's and the item's."""
    if split.held_out is None:
        raise CorruptFileError("expected the parts of a query_item split (split.parquet), got none")
    parts = pair_codes(query_codes(split.held_out, table), item_codes(split.held_out, table.column("item_id")))
    return np.array([0, 1, 3])[parts]


def _assign_by_query(split: Split, table: pa.Table) -> np.ndarray:
    """Codes 0 train, 1 validation, 3 test from the hash of surface and query, as a fraction in [0, 1)."""
    keys = pc.binary_join_element_wise(table.column("surface"), pc.fill_null(table.column("query"), ""), "\n")
    encoded = keys.combine_chunks().dictionary_encode()
    hashed = (query_key(*key.split("\n", 1)) for key in encoded.dictionary.to_pylist())
    fractions = np.array([stable_hash(f"split/{split.seed}/{key}") / 2.0**64 for key in hashed], np.float64)
    codes = np.where(fractions < split.test_fraction + split.validation_fraction, 1, 0)
    codes[fractions < split.test_fraction] = 3
    return codes[encoded.indices.to_numpy()]
