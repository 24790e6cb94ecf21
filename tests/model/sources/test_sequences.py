"""Sequences and interactions of a log against a plain twin in dictionaries; nothing depends on the order of rows."""

import datetime as dt
from collections import defaultdict

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from model.sources.engaged_rows import ACTION_WEIGHTS, RowsConfig, interactions_of, usable_rows
from model.sources.sequences import LIFETIME, SESSION, SequencesConfig, sequences_of
from schemas.errors import UsageError
from schemas.records.clickstream import INTERACTIONS, SEQUENCES
from schemas.tables import ENGAGEMENTS

pytestmark = pytest.mark.medium

US_PER_DAY = 86_400_000_000
WEIGHTS = dict(ACTION_WEIGHTS)

ROWS = st.tuples(
    st.integers(0, 3 * US_PER_DAY).map(lambda us: us - us % (US_PER_DAY // 6)),
    st.sampled_from([None, "ann", "bob"]),
    st.sampled_from([None, "s1", "s2", "s3"]),
    st.sampled_from(["a", "b", "c", "d"]),
    st.sampled_from(["impression", "click", "checkout"]),
)


def log_of(rows) -> pa.Table:
    columns = list(zip(*rows, strict=True)) if rows else [[]] * 5
    return pa.table(
        {
            "timestamp": pa.array(columns[0], pa.int64()).cast(ENGAGEMENTS.field("timestamp").type),
            "user_id": pa.array(columns[1], pa.string()),
            "session_id": pa.array(columns[2], pa.string()),
            "surface": pa.array(["home"] * len(rows), pa.string()),
            "query": pa.nulls(len(rows), pa.string()),
            "item_id": pa.array(columns[3], pa.string()),
            "action": pa.array(columns[4], pa.string()),
        },
        schema=ENGAGEMENTS,
    )


def twin(rows, kind: str, before_us: int | None, max_length: int) -> list[tuple[str, list]]:
    found: dict[str, dict] = defaultdict(dict)
    for time, user, session, item, action in rows:
        if action not in WEIGHTS or (before_us is not None and time >= before_us):
            continue
        day = str(dt.datetime.fromtimestamp(time / 1e6, dt.UTC).date())
        of_day = f"day/{user}/{day}" if user else None
        of_session = f"session/{session}" if session else of_day
        key = user if kind == LIFETIME else of_session
        if key is None:
            continue
        name = (item, day) if kind == LIFETIME else item
        first, weight = found[key].get(name, (time, 0))
        found[key][name] = (min(first, time), max(weight, WEIGHTS[action]))
    sequences = []
    for key in sorted(found):
        tokens = sorted((time, name[0], weight) for name, (time, weight) in found[key].items())[-max_length:]
        if len(tokens) > 1:
            sequences.append((key, tokens))
    return sequences


@given(
    st.lists(ROWS, max_size=25),
    st.sampled_from([SESSION, LIFETIME]),
    st.sampled_from([None, US_PER_DAY]),
    st.integers(2, 4),
    st.randoms(),
)
def test_sequences_are_those_of_the_twin_in_any_order_of_rows(rows, kind, before_us, max_length, random):
    config = SequencesConfig(kind=kind, max_length=max_length, rows=RowsConfig(before_us=before_us))
    table, facts = sequences_of(log_of(rows), config)
    shuffled = random.sample(rows, len(rows))
    assert sequences_of(log_of(shuffled), config)[0].equals(table)
    assert table.schema == SEQUENCES
    times = [[int(t.timestamp() * 1e6) for t in of_one] for of_one in table["times"].to_pylist()]
    got = [
        (key, list(zip(time, items, weights, strict=True)))
        for key, items, time, weights in zip(
            table["sequence_id"].to_pylist(),
            table["item_ids"].to_pylist(),
            times,
            table["weights"].to_pylist(),
            strict=True,
        )
    ]
    assert got == twin(rows, kind, before_us, max_length)
    assert facts["sequences"] == len(got)
    assert facts["tokens"] == sum(len(tokens) for _, tokens in got)


def test_parts_of_whole_sessions_are_the_table_of_all():
    generator = np.random.default_rng(0)
    rows = [(int(t), None, f"s{t % 7}", f"i{t % 11}", "click") for t in generator.integers(0, 1000, 80)]
    whole, _ = sequences_of(log_of(rows), SequencesConfig())
    parts = [sequences_of(log_of([r for r in rows if (r[2] < "s4") == low]), SequencesConfig())[0] for low in (0, 1)]
    assert whole.num_rows > 4
    assert pa.concat_tables(parts).sort_by("sequence_id").combine_chunks().equals(whole.combine_chunks())


@given(st.lists(ROWS, max_size=25), st.sampled_from([None, US_PER_DAY]))
def test_interactions_are_weighted_sums_a_user_and_item(rows, before_us):
    table = interactions_of(log_of(rows), RowsConfig(before_us=before_us))
    assert table.schema == INTERACTIONS
    expected: dict[tuple[str, str], int] = defaultdict(int)
    for time, user, _, item, action in rows:
        if user and action in WEIGHTS and (before_us is None or time < before_us):
            expected[user, item] += WEIGHTS[action]
    got = [((row["user_id"], row["item_id"]), row["count"]) for row in table.to_pylist()]
    assert got == sorted(expected.items())


def test_what_was_left_out_is_told():
    rows = [
        (5, "ann", "s", "a", "click"),
        (6, "ann", "s", "b", "impression"),
        (7, None, None, "c", "click"),
        (9, "ann", "s", "b", "click"),
    ]
    _, facts = sequences_of(log_of(rows), SequencesConfig(rows=RowsConfig(before_us=9)))
    assert facts == {
        "rows": 4,
        "rows_after_the_cut": 1,
        "rows_of_other_actions": 1,
        "rows_without_sequence": 1,
        "tokens_over_the_cap": 0,
        "sequences_of_one_item": 1,
        "sequences": 0,
        "tokens": 0,
    }


def test_an_empty_log_has_no_sequences():
    for kind in (SESSION, LIFETIME):
        table, facts = sequences_of(log_of([]), SequencesConfig(kind=kind))
        assert table.num_rows == 0
        assert facts["rows"] == 0


def test_bad_logs_and_configs_are_told():
    log = log_of([(5, "ann", "s", "a", "click")])
    with pytest.raises(ValueError, match="none called item_id"):
        usable_rows(log.drop_columns(["item_id"]), RowsConfig())
    with pytest.raises(ValueError, match="1 nulls"):
        usable_rows(log.set_column(5, "item_id", pa.nulls(1, pa.string())), RowsConfig())
    with pytest.raises(UsageError, match="weights of at least 1"):
        RowsConfig(action_weights=(("click", 0),))
    with pytest.raises(UsageError, match="'week'"):
        SequencesConfig(kind="week")
    with pytest.raises(UsageError, match="max_length 1"):
        SequencesConfig(max_length=1)
