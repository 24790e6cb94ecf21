"""Held-out queries and items: groups of near-duplicates, in one part each, whatever the order of rows."""

import random
from collections import defaultdict

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from model.pictures.looks import LOOK_BYTES
from model.split.held_out import (
    HELD_OUT,
    TEST,
    TRAIN,
    UNKNOWN,
    VALIDATION,
    HeldOutShares,
    codes_of,
    fit_held_out,
    groups_of,
    item_node,
    pair_codes,
    query_node,
    text_mark,
)
from model.split.near_groups import LOOKS, MAX_ITEMS_OF_A_PICTURE, MAX_QUERIES_OF_A_SESSION, NODES, near_groups
from model.split.near_groups import MARKS as MARKS_SCHEMA
from schemas.errors import CorruptFileError
from schemas.tables import TEXT_FIELDS

SHARES = HeldOutShares(test=0.2, validation=0.1, item_test=0.1, item_validation=0.1)


def table(rows: list[tuple], schema: pa.Schema) -> pa.Table:
    return pa.Table.from_pylist([dict(zip(schema.names, row, strict=True)) for row in rows], schema=schema)


def items(*nodes: int) -> list[tuple]:
    return [(node, True, 0, 0) for node in nodes]


def queries(*nodes: int, sessions: tuple[int, int] = (0, 0)) -> list[tuple]:
    return [(node, False, *sessions) for node in nodes]


def groups(nodes: list[tuple], marks: list[tuple] = (), looks: list[tuple] = ()) -> set[frozenset[int]]:
    """The groups of more than one node."""
    nodes = sorted(nodes)
    found = defaultdict(set)
    rows = near_groups(table(nodes, NODES), table(marks, MARKS_SCHEMA), table(looks, LOOKS)).tolist()
    for (node, *_), group in zip(nodes, rows, strict=True):
        found[group].add(node)
    assert all(nodes[group][0] == min(found[group]) for group in found)
    return {frozenset(group) for group in found.values() if len(group) > 1}


def test_equal_words_are_one_query_and_equal_texts_one_group():
    assert query_node("search", "Red  SHOE") == query_node("search", "red-shoe") != query_node("search", "shoe red")
    assert query_node("closeup", "A.png") != query_node("closeup", "a.png")
    assert query_node("search", "!!") != query_node("search", "?"), "a query without words is itself"
    item = dict.fromkeys(TEXT_FIELDS) | {"title": "Red Shoe", "brand": "Acme"}
    assert text_mark(item) == text_mark(item | {"title": "red  shoe!"})
    assert text_mark(item) != text_mark(item | {"title": "Red Shoe Acme", "brand": None})
    assert text_mark(dict.fromkeys(TEXT_FIELDS)) is None


def test_marks_and_looks_join_items_and_queries():
    nodes = items(1, 2, 3, 4) + queries(10, 11, 12)
    marks = [(1, 100, False), (2, 100, False), (2, 200, True), (10, 200, True), (3, 300, True), (3, 300, True)]
    looks = [(3, b"a" * LOOK_BYTES), (11, b"a" * LOOK_BYTES), (4, b"z" * LOOK_BYTES)]
    assert groups(nodes, marks, looks) == {frozenset({1, 2, 10}), frozenset({3, 11})}
    near = b"a" * (LOOK_BYTES - 1) + b"b"
    assert groups(nodes, (), [*looks, (12, near)]) == {frozenset({3, 11, 12})}


def test_a_picture_of_many_items_joins_queries_alone():
    many = list(range(1, MAX_ITEMS_OF_A_PICTURE + 2))
    nodes = items(*many) + queries(1000, 1001)
    marks = [(node, 7, True) for node in [*many, 1000, 1001]]
    looks = [(node, b"x" * LOOK_BYTES) for node in [*many, 1000, 1001]]
    assert groups(nodes, marks) == groups(nodes, (), looks) == {frozenset({1000, 1001})}
    assert groups(nodes, marks[1:], looks[1:]) == {frozenset({*many[1:], 1000, 1001})}
    assert groups(nodes, [(node, 7, False) for node in many]) == {frozenset(many)}, "a text is not a placeholder"


def test_a_session_joins_the_queries_that_are_its_own():
    nodes = items(1) + queries(10, 11, 12, sessions=(5, 5)) + queries(13, sessions=(5, 6)) + queries(14, 15)
    assert groups(nodes) == {frozenset({10, 11, 12})}
    picture_of_item = [(1, 7, True), (12, 7, True)]
    assert groups(nodes, picture_of_item) == {frozenset({10, 11}), frozenset({1, 12})}
    copies_in_two_sessions = [(11, 8, True), (13, 8, True)]
    assert groups(nodes, copies_in_two_sessions) == {frozenset({10, 12}), frozenset({11, 13})}
    crowd = queries(*range(100, 101 + MAX_QUERIES_OF_A_SESSION), sessions=(9, 9))
    assert groups(crowd) == set()
    assert groups(crowd[1:]) == {frozenset(node for node, *_ in crowd[1:])}


@st.composite
def logs(draw: st.DrawFn) -> tuple[list[tuple], list[tuple], list[tuple]]:
    number = draw(st.integers(1, 60))
    rng = random.Random(draw(st.integers(0, 10_000)))
    nodes = []
    for node in rng.sample(range(1, 10**6), number):
        session = rng.choice([0, 0, rng.randint(1, 20)])
        is_item = rng.random() < 0.5
        nodes.append((node, is_item, *((0, 0) if is_item else (session, rng.choice([session, 20])))))
    num_marks = draw(st.integers(0, number))
    marks = [(rng.choice(nodes)[0], rng.randrange(20), rng.random() < 0.5) for _ in range(num_marks)]
    looks = [(rng.choice(nodes)[0], bytes([rng.randrange(9) * 28]) * LOOK_BYTES) for _ in range(num_marks // 2)]
    return nodes, marks, looks


def naive_groups(nodes: list[tuple], marks: list[tuple], looks: list[tuple]) -> dict[int, frozenset[int]]:
    """By merging sets until nothing changes; looks of these logs are near only if equal, no picture is common."""
    group = {node: frozenset([node]) for node, *_ in nodes}

    def join(members: set[int]) -> None:
        union = frozenset().union(*(group[node] for node in members))
        group.update(dict.fromkeys(union, union))

    for pairs in ([((mark, kind), node) for node, mark, kind in marks], [(look, node) for node, look in looks]):
        for key in {key for key, _ in pairs}:
            join({node for other, node in pairs if other == key})
    is_item, sessions = {n[0]: n[1] for n in nodes}, {n[0]: n[2:] for n in nodes}
    of_session = defaultdict(set)
    for members in set(group.values()):
        marks_of = {session for node in members for session in sessions[node]}
        if not any(is_item[node] for node in members) and len(marks_of) == 1 and marks_of != {0}:
            of_session[marks_of.pop()] |= members
    for members in of_session.values():
        join(members)
    return group


@pytest.mark.medium
@settings(max_examples=80, deadline=None)
@given(log=logs(), shuffle=st.randoms(use_true_random=False), seed=st.integers(0, 3))
def test_no_group_lies_on_two_sides_and_no_order_matters(log, shuffle: random.Random, seed: int):
    nodes, marks, looks = log
    held_out, counts = fit_held_out(table(nodes, NODES), table(marks, MARKS_SCHEMA), table(looks, LOOKS), SHARES, seed)
    part_of = dict(zip(held_out["node"].to_pylist(), held_out["part"].to_pylist(), strict=True))
    assert sorted(part_of) == held_out["node"].to_pylist() == sorted(node for node, *_ in nodes)
    expected = naive_groups(nodes, marks, looks)
    for members in set(expected.values()):
        assert len({part_of[node] for node in members}) == 1
    asked = np.array([0, *part_of], np.uint64)
    assert groups_of(held_out, asked).tolist() == [0, *(min(expected[node]) for node in part_of)]
    assert counts["split_largest_group"] == max(map(len, expected.values()))
    assert counts["split_groups"] == len({members for members in expected.values() if len(members) > 1})
    assert counts["split_items"] + counts["split_queries"] == len(nodes)

    queries_of_log = [node for node, is_item, *_ in nodes if not is_item]
    items_alone = [node for node, is_item, *_ in nodes if is_item and not expected[node] & set(queries_of_log)]
    for part, share, item_share in (("test", 0.2, 0.1), ("validation", 0.1, 0.1)):
        for counted, asked in ((queries_of_log, share), (items_alone, item_share)):
            assert sum(part_of[node] == part for node in counted) <= max(1, round(asked * len(counted)))

    shuffled = [shuffle.sample(rows, len(rows)) for rows in log]
    again, counts_again = fit_held_out(
        table(shuffled[0], NODES), table(shuffled[1] * 2, MARKS_SCHEMA), table(shuffled[2] * 2, LOOKS), SHARES, seed
    )
    assert again.equals(held_out)
    assert counts_again == counts


def test_shares_of_a_log_without_duplicates():
    nodes = items(*range(1, 2001)) + queries(*range(10_000, 13_000))
    fit = (table(nodes, NODES), table([], MARKS_SCHEMA), table([], LOOKS))
    codes = codes_of(fit_held_out(*fit, SHARES, 0)[0], np.array([node for node, *_ in nodes], np.uint64))
    shares = [np.bincount(codes[rows], minlength=3).tolist() for rows in (slice(2000), slice(2000, None))]
    assert shares == [[1600, 200, 200], [2100, 300, 600]]
    other_seed = codes_of(fit_held_out(*fit, SHARES, 1)[0], np.array([node for node, *_ in nodes], np.uint64))
    assert 0.5 < (codes == other_seed).mean() < 0.65
    none = HeldOutShares(test=0, validation=0, item_test=0, item_validation=0)
    assert set(fit_held_out(*fit, none, 0)[0]["part"].to_pylist()) == {"train"}
    more = [*nodes, *queries(*range(20_000, 20_030))]  # a day later: hardly any query changes its part
    later = codes_of(
        fit_held_out(table(more, NODES), *fit[1:], SHARES, 0)[0], np.array([node for node, *_ in nodes], np.uint64)
    )
    assert (codes == later).mean() > 0.98


def test_a_group_that_is_too_large_to_be_held_out_trains():
    nodes = queries(*range(1, 101))
    marks = [(node, 1, False) for node in range(1, 51)]
    for seed in range(20):
        held_out, counts = fit_held_out(table(nodes, NODES), table(marks, MARKS_SCHEMA), table([], LOOKS), SHARES, seed)
        parts = held_out["part"].to_pylist()
        assert set(parts[:50]) == {"train"}
        assert (parts.count("test"), parts.count("validation")) == (20, 10)
        assert counts["split_largest_group"] == 50


def test_where_queries_are_pictures_of_items_both_are_held_out_as_often_as_queries():
    nodes = items(*range(1, 301)) + queries(*range(1001, 1201))
    marks = [(node, node % 1000, True) for node in [*range(1, 201), *range(1001, 1201)]]
    held_out, _ = fit_held_out(table(nodes, NODES), table(marks, MARKS_SCHEMA), table([], LOOKS), SHARES, 0)
    codes = codes_of(held_out, np.array([node for node, *_ in nodes], np.uint64))
    assert codes[:200].tolist() == codes[300:].tolist()
    assert [np.bincount(part).tolist() for part in (codes[300:], codes[200:300])] == [[140, 20, 40], [80, 10, 10]]


def test_what_is_unknown_is_test():
    held_out, _ = fit_held_out(table(items(1), NODES), table([], MARKS_SCHEMA), table([], LOOKS), SHARES, 0)
    assert codes_of(held_out, np.array([0, 1, 2], np.uint64)).tolist()[::2] == [UNKNOWN, UNKNOWN]
    assert codes_of(held_out.slice(0, 0), np.array([1], np.uint64)).tolist() == [UNKNOWN]
    parts = [TRAIN, VALIDATION, TEST, UNKNOWN]
    query_P, item_P = (grid.ravel() for grid in np.meshgrid(parts, parts))
    assert pair_codes(query_P, item_P).reshape(4, 4).tolist() == [[0, 1, 2, 2], [1, 1, 2, 2], [2] * 4, [2] * 4]


def test_what_a_split_does_not_group_is_alone():
    asked = np.array([7, 1], np.uint64)
    assert groups_of(None, asked).tolist() == groups_of(HELD_OUT.empty_table(), asked).tolist() == [7, 1]


def test_a_damaged_table_is_refused():
    for nodes, parts in (([2, 1], ["train", "test"]), ([1, 1], ["train", "test"]), ([1, 2], ["train", "exam"])):
        damaged = pa.table([pa.array(nodes, pa.uint64()), pa.array(parts), pa.array(nodes, pa.uint64())], HELD_OUT)
        with pytest.raises(CorruptFileError, match="nodes that rise"):
            codes_of(damaged, np.array([1], np.uint64))


def test_nodes_do_not_depend_on_the_process():
    assert (item_node("a"), query_node("search", "Red shoe")) == (4392279307634893582, 5916873852592505041)
