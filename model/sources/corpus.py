"""What skip-gram reads: sequences of item codes, and for each item the tokens that it stands for.

    SEQUENCES, walks --items of at least min_count--> items_T --shuffled, expanded--> tokens of an epoch

        Prod2Vec      p1 p2 p3
        ProdSI2Vec    p1 a11 a12 p2 a21 p3     an item is followed by its attributes, each a token

Items of equal time have no order: those of a basket are shuffled anew each epoch, so that a window narrower than the
basket is a sample of it.

Legend: T items at their places in sequences, N items, V tokens of the vocabulary (N items first, then attributes),
E tokens of an epoch.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from model.machine.columns import gather_ragged, offsets_of
from model.sources.engaged_rows import ranks_of
from schemas.errors import ThresholdError, UsageError


@dataclass(frozen=True, eq=False)
class Corpus:
    """names: of the V tokens, items ascending, then attributes ascending. items_T, sequence_T: int64, sequences one
    after the other. order_T: int64, rises within a sequence wherever time does. weight_T: float32 in (0, 1]. counts_N:
    how often an item occurs. expansion: the tokens of each item, itself first, ragged (flat, offsets [N + 1])."""

    names: list[str]
    items_T: np.ndarray
    sequence_T: np.ndarray
    order_T: np.ndarray
    weight_T: np.ndarray
    counts_N: np.ndarray
    expansion: tuple[np.ndarray, np.ndarray]
    facts: Mapping[str, int] = field(default_factory=dict)

    @property
    def num_items(self) -> int:
        """N."""
        return len(self.counts_N)

    def token_counts(self) -> np.ndarray:
        """int64 [V]: how often each token occurs in an epoch without sub-sampling."""
        flat, offsets = self.expansion
        return np.bincount(flat, np.repeat(self.counts_N, np.diff(offsets)), len(self.names)).astype(np.int64)

    def epoch(self, generator: np.random.Generator) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """(tokens, sequence and weight of each) [E]: sequences in a random order, items of equal time shuffled."""
        num_sequences = int(self.sequence_T[-1]) + 1
        place_T = generator.permutation(num_sequences)[self.sequence_T]
        order_T = np.lexsort((generator.random(len(self.items_T)), self.order_T, place_T))
        tokens_E, offsets = gather_ragged(*self.expansion, self.items_T[order_T])
        lengths = np.diff(offsets)
        return tokens_E, np.repeat(place_T[order_T], lengths), np.repeat(self.weight_T[order_T], lengths)


def corpus_of(
    sequences: pa.Table, *, min_count: int = 5, attributes: Mapping[str, Sequence[str]] | None = None
) -> Corpus:
    """The corpus of a table SEQUENCES; items and attributes of fewer than min_count occurrences have no token, and what
    is left of a sequence without them must be two items. attributes: of each item the names of further tokens.

    Raises UsageError for min_count below 1, ThresholdError if fewer than two items are left.
    """
    if min_count < 1:
        raise UsageError(f"expected min_count >= 1, got {min_count}")
    table = sequences.sort_by("sequence_id").combine_chunks()
    lists = {name: _flat(table.column(name)) for name in ("item_ids", "times", "weights")}
    sequence_T = np.repeat(np.arange(table.num_rows), pc.list_value_length(table.column("item_ids")).to_numpy())
    items_T, names = ranks_of(lists["item_ids"])
    times_T = pc.cast(lists["times"], pa.int64()).to_numpy()
    weight_T = lists["weights"].to_numpy()
    kept_T = _kept(items_T, sequence_T, min_count)
    return _corpus(
        (items_T[kept_T], sequence_T[kept_T], times_T[kept_T], weight_T[kept_T]),
        (names, np.bincount(items_T[kept_T], minlength=len(names))),
        attributes or {},
        min_count,
        {"tokens_of_rare_items": int((~kept_T).sum())},
    )


def walks_corpus(walks_WL: np.ndarray, item_ids: Sequence[str], attributes: Mapping[str, Sequence[str]]) -> Corpus:
    """The corpus of walks int64 [W, L] (-1 after the end of a walk) over the items of these codes: every item that is
    walked over has a token, every step is in order, all weigh the same. counts_N are visits of walks: how often an item
    was engaged with, the log tells. Raises ThresholdError as `corpus_of` does."""
    sequence_T, step_T = np.nonzero(walks_WL >= 0)
    walked = walks_WL[sequence_T, step_T]
    counts = np.bincount(walked, minlength=len(item_ids))
    columns = (walked, sequence_T, step_T, np.ones(len(walked), np.int64))
    return _corpus(columns, (pa.array(item_ids, pa.string()), counts), attributes, 1, {})


def _flat(column: pa.ChunkedArray) -> pa.Array:
    return pa.concat_arrays([chunk.flatten() for chunk in column.chunks] or [pa.array([], column.type.value_type)])


def _kept(items_T: np.ndarray, sequence_T: np.ndarray, min_count: int) -> np.ndarray:
    """bool [T]: frequent items, of sequences that have two of them."""
    frequent_T = np.bincount(items_T, minlength=1)[items_T] >= min_count
    return frequent_T & (np.bincount(sequence_T[frequent_T], minlength=sequence_T.max(initial=0) + 1)[sequence_T] > 1)


def _corpus(
    columns: tuple[np.ndarray, ...],
    items: tuple[pa.Array, np.ndarray],
    attributes: Mapping[str, Sequence[str]],
    min_count: int,
    facts: Mapping[str, int],
) -> Corpus:
    items_T, sequence_T, order_T, weight_T = columns
    names, counts = items
    has_token = counts > 0
    if has_token.sum() < 2:
        raise ThresholdError(
            f"expected at least two items that occur {min_count} times or more beside others, got {has_token.sum()}:"
            " lower min_count or use a longer log"
        )
    kept_names = names.filter(pa.array(has_token)).to_pylist()
    counts_N = counts[has_token]
    code = np.cumsum(has_token) - 1
    _, dense_T = np.unique(sequence_T, return_inverse=True)
    side_names, expansion = _expansion(kept_names, counts_N, attributes, min_count)
    return Corpus(
        names=kept_names + side_names,
        items_T=code[items_T],
        sequence_T=dense_T,
        order_T=order_T,
        weight_T=(weight_T / weight_T.max()).astype(np.float32),
        counts_N=counts_N,
        expansion=expansion,
        facts={**facts, "items": len(kept_names), "attributes": len(side_names), "tokens": len(items_T)},
    )


def _expansion(
    names: list[str], counts_N: np.ndarray, attributes: Mapping[str, Sequence[str]], min_count: int
) -> tuple[list[str], tuple[np.ndarray, np.ndarray]]:
    """(names of attribute tokens, the tokens of each item): attributes of min_count occurrences that more than one
    item has; one that only one item has says nothing that the item does not."""
    total: dict[str, list[int]] = {}
    for name, count in zip(names, counts_N.tolist(), strict=True):
        for value in dict.fromkeys(attributes.get(name, ())):
            seen = total.setdefault(value, [0, 0])
            seen[0] += count
            seen[1] += 1
    kept = sorted(value for value, (count, num_items) in total.items() if count >= min_count and num_items > 1)
    code = {value: len(names) + place for place, value in enumerate(kept)}
    tokens = [
        [item, *(code[value] for value in dict.fromkeys(attributes.get(name, ())) if value in code)]
        for item, name in enumerate(names)
    ]
    flat = np.array([token for of_item in tokens for token in of_item], np.int64)
    return kept, (flat, offsets_of(np.array([len(of_item) for of_item in tokens])))
