"""The item graph and its walks against plain twins in dictionaries, hop by hop, in parts and whole."""

from collections import Counter, defaultdict
from dataclasses import replace

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from model.sources.item_graph import ItemGraphConfig, cap_degrees, count_edges, sum_edges
from model.sources.walks import ENDED, WalksConfig, adjacency_of, hop, start_walks, walk
from schemas.errors import UsageError
from schemas.hashing import stable_hash
from schemas.records.clickstream import CO_ENGAGEMENTS, SEQUENCES

pytestmark = pytest.mark.medium

ITEMS = [f"item-{number}" for number in range(6)]
CODE = {item: code for code, item in enumerate(ITEMS)}
EDGES = st.dictionaries(st.tuples(st.sampled_from(ITEMS), st.sampled_from(ITEMS)), st.integers(1, 9), max_size=15)
MASK = 2**64 - 1


def edges_table(weights: dict[tuple[str, str], int]) -> pa.Table:
    rows = [{"item_id": a, "neighbour_id": b, "weight": w} for (a, b), w in sorted(weights.items())]
    return pa.Table.from_pylist(rows, schema=CO_ENGAGEMENTS)


def splitmix(state: int, word: int) -> int:
    state = (state + (word + 1) * 0x9E3779B97F4A7C15) & MASK
    state = ((state ^ (state >> 30)) * 0xBF58476D1CE4E5B9) & MASK
    state = ((state ^ (state >> 27)) * 0x94D049BB133111EB) & MASK
    return state ^ (state >> 31)


def twin(weights: dict[tuple[str, str], int], start: str, number: int, config: WalksConfig) -> list[int]:
    neighbours: dict[str, list] = defaultdict(list)
    for (item, neighbour), weight in sorted(weights.items()):
        neighbours[item].append((neighbour, weight))
    path, current = [CODE[start]], start
    for step in range(1, config.length):
        if not neighbours[current]:
            return path + [ENDED] * (config.length - len(path))
        word = splitmix(splitmix(stable_hash(f"walks/{config.seed}/{start}"), number), step)
        drawn = int((word >> 11) * 2.0**-53 * sum(weight for _, weight in neighbours[current]))
        current = [neighbour for neighbour, weight in neighbours[current] for _ in range(weight)][drawn]
        path.append(CODE[current])
    return path


@given(EDGES, st.integers(0, 3))
def test_walks_are_those_of_the_twin(weights, seed):
    config = WalksConfig(walks_an_item=3, length=5, seed=seed)
    walks = walk(ITEMS, np.arange(6), adjacency_of(edges_table(weights), pa.array(ITEMS)), config)
    assert walks.tolist() == [twin(weights, item, number, config) for item in ITEMS for number in range(3)]


@given(EDGES, st.lists(st.sampled_from(ITEMS), unique=True), st.integers(1, 3))
def test_walks_are_equal_in_buckets_and_hop_by_hop_over_slices(weights, some, num_slices):
    config = WalksConfig(walks_an_item=2, length=4)
    names, edges = pa.array(ITEMS), edges_table(weights)
    whole = walk(ITEMS, np.arange(6), adjacency_of(edges, names), config)
    of_some = walk(some, np.array([CODE[item] for item in some], int), adjacency_of(edges, names), config)
    assert of_some.tolist() == [row for item in some for row in whole[2 * CODE[item] : 2 * CODE[item] + 2].tolist()]
    rows = edges.to_pylist()
    slices = [
        adjacency_of(
            pa.Table.from_pylist([r for r in rows if CODE[r["item_id"]] % num_slices == n], schema=CO_ENGAGEMENTS),
            names,
        )
        for n in range(num_slices)
    ]
    walkers = start_walks(ITEMS, np.arange(6), config)
    paths = [walkers.current_W]
    for step in range(1, config.length):
        found = np.full(len(walkers.current_W), ENDED)
        for number, adjacency in enumerate(slices):
            here = (walkers.current_W != ENDED) & (walkers.current_W % num_slices == number)
            found[here] = hop(walkers, step, adjacency).current_W[here]
        walkers = replace(walkers, current_W=found)
        paths.append(found)
    assert np.stack(paths, axis=1).tolist() == whole.tolist()


def test_steps_are_taken_in_proportion_to_weights():
    weights = {("item-0", "item-1"): 1, ("item-0", "item-2"): 3, ("item-0", "item-3"): 6}
    config = WalksConfig(walks_an_item=20_000, length=2)
    walks = walk(["item-0"], np.array([0]), adjacency_of(edges_table(weights), pa.array(ITEMS)), config)
    shares = np.bincount(walks[:, 1], minlength=4) / len(walks)
    assert shares == pytest.approx([0, 0.1, 0.3, 0.6], abs=0.012)


SEQUENCE_ITEMS = st.lists(st.lists(st.sampled_from(ITEMS), min_size=2, max_size=6), max_size=6)


def sequences_table(sequences, times=None) -> pa.Table:
    rows = [
        {
            "sequence_id": f"s{number}",
            "item_ids": items,
            "times": [place if times is None else times for place in range(len(items))],
            "weights": [1 + place % 3 for place in range(len(items))],
        }
        for number, items in enumerate(sequences)
    ]
    return pa.Table.from_pylist(rows, schema=SEQUENCES)


@given(SEQUENCE_ITEMS, st.integers(1, 4))
def test_edges_are_those_of_the_twin_and_of_parts(sequences, window):
    expected: Counter = Counter()
    for items in sequences:
        for first in range(len(items)):
            for second in range(first + 1, min(first + window + 1, len(items))):
                if items[first] != items[second]:
                    for pair in ((items[first], items[second]), (items[second], items[first])):
                        expected[pair] += min(1 + first % 3, 1 + second % 3)
    config, table = ItemGraphConfig(window=window), sequences_table(sequences)
    edges = count_edges(table, config)
    assert edges.equals(edges_table(expected))
    half = len(sequences) // 2
    parts = [count_edges(table.slice(half), config), count_edges(table.slice(0, half), config)]
    assert sum_edges(*parts).combine_chunks().equals(edges.combine_chunks())


def test_a_basket_has_no_order_so_its_pairs_are_a_draw():
    table = sequences_table([[f"i{n:02d}" for n in range(30)]], times=7)
    some = count_edges(table, ItemGraphConfig(window=2))
    assert some.num_rows == 2 * (29 + 28)
    assert not some.equals(count_edges(table, ItemGraphConfig(window=2, seed=1)))
    neighbours = {(r["item_id"], r["neighbour_id"]) for r in some.to_pylist()}
    assert sum((f"i{n:02d}", f"i{n + 1:02d}") in neighbours for n in range(29)) < 15
    assert count_edges(table, ItemGraphConfig(window=29)).num_rows == 30 * 29


@given(EDGES, st.integers(1, 3), st.integers(1, 4))
def test_the_heaviest_edges_of_each_item_are_kept_and_the_others_told(weights, max_degree, min_weight):
    kept, facts = cap_degrees(edges_table(weights), ItemGraphConfig(max_degree=max_degree, min_weight=min_weight))
    expected = {}
    for item in ITEMS:
        own = sorted((-w, b) for (a, b), w in weights.items() if a == item and w >= min_weight)
        expected |= {(item, b): -w for w, b in own[:max_degree]}
    assert kept.combine_chunks().equals(edges_table(expected).combine_chunks())
    assert facts["edges"] + facts["edges_too_light"] + facts["edges_over_the_cap"] == len(weights)
    heavy = sum(w for w in weights.values() if w >= min_weight)
    assert facts["weight_over_the_cap"] == heavy - sum(expected.values())


def test_an_empty_graph_ends_every_walk():
    assert count_edges(sequences_table([]), ItemGraphConfig()).num_rows == 0
    walks = walk(["item-0"], np.array([0]), adjacency_of(edges_table({}), pa.array(ITEMS)), WalksConfig(length=3))
    assert walks.tolist() == [[0, ENDED, ENDED]] * 10


def test_bad_edges_and_configs_are_told():
    with pytest.raises(UsageError, match="another item"):
        adjacency_of(edges_table({("item-0", "item-9"): 1}), pa.array(ITEMS))
    with pytest.raises(UsageError, match="at least 1, got 0"):
        adjacency_of(edges_table({("item-0", "item-1"): 0}), pa.array(ITEMS))
    with pytest.raises(UsageError, match="2\\^53"):
        adjacency_of(edges_table({("item-0", "item-1"): 2**53}), pa.array(ITEMS))
    with pytest.raises(UsageError, match="length=1"):
        WalksConfig(length=1)
    with pytest.raises(UsageError, match="max_degree=0"):
        ItemGraphConfig(max_degree=0)
