import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipelines.run.accounting import account, not_compared, summary
from pipelines.run.changes import compare_embeddings
from schemas.errors import CorruptFileError

YESTERDAY = {"rows_yesterday": 8, "rows_gone": 4}


def account_of(items: dict[str, int], features: dict[str, int], embeddings: dict[str, int]) -> dict[str, int]:
    return account({"items": items, "features": features, "embeddings": embeddings})


def test_account_adds_up_rows_and_pictures():
    counts = account_of(
        {"rows_read": 10, "rows_collapsed": 2, "rows_quarantined": 1, "pictures_listed": 5, "pictures_cut_off": 3},
        {"rows_quarantined": 1, "pictures_computed": 3, "pictures_reused": 1, "pictures_quarantined": 1},
        {"rows_written": 6, "rows_reused": 1, "rows_computed": 5, "rows_changed": 3, "rows_new": 2, **YESTERDAY},
    )
    assert counts["rows_quarantined"] == 2
    assert counts["rows_gone"] == 4
    assert counts["pictures_listed"] == 8


@pytest.mark.parametrize(
    ("stage", "lost"),
    [
        (0, "rows_read"),
        (0, "pictures_listed"),
        (2, "rows_reused"),
        (2, "rows_changed"),
        (2, "rows_new"),
        (2, "rows_gone"),
        (2, "rows_yesterday"),
    ],
)
def test_account_refuses_a_lost_row_or_picture(stage, lost):
    items = {"rows_read": 6, "pictures_listed": 2}
    embeddings = {
        "rows_written": 6,
        "rows_reused": 1,
        "rows_computed": 5,
        "rows_changed": 3,
        "rows_new": 2,
        **YESTERDAY,
    }
    stages = [items, {"pictures_computed": 2}, embeddings]
    account_of(*stages)
    stages[stage][lost] += 1
    with pytest.raises(CorruptFileError, match=f"expected .*{lost}"):
        account_of(*stages)


@pytest.mark.parametrize(("lost", "line"), [(0, "gone 4"), (5, "gone 4 + not compared 5")])
def test_rows_of_yesterday_that_could_not_be_read_are_told(tmp_path, lost, line):
    counts = account_of(
        {"rows_read": 6},
        {},
        {"rows_written": 6, "rows_reused": 1, "rows_computed": 5, "rows_changed": 3, "rows_new": 2, **YESTERDAY},
    )
    counts |= not_compared(counts, {"embeddings": {"rows_written": 8 + lost}}.__getitem__)
    shown = summary({"counts": counts, "accepted": {}}, {}, tmp_path)
    assert f"yesterday {8 + lost} = reused 1 + changed 3 + {line}\n" in shown
    assert not_compared(counts, lambda _: {}) == {"rows_not_compared": 0}


def test_users_of_yesterday_that_could_not_be_read_are_counted():
    counts = {"rows_yesterday": 0, "users_yesterday": 3}
    assert (
        not_compared(counts, {"embeddings": {}, "users": {"users_written": 7}}.__getitem__)["users_not_compared"] == 4
    )


@given(
    st.dictionaries(st.text(max_size=3), st.integers(0, 2), max_size=8),
    st.dictionaries(st.text(max_size=3), st.integers(0, 2), max_size=8),
)
@settings(deadline=None)
def test_changes_equal_a_comparison_of_dicts(old, new):
    def columns(vectors):
        names = sorted(vectors)
        matrix = np.array([[vectors[name], 1] for name in names], np.float32).reshape(-1, 2)
        return pa.array(names, pa.string()), matrix

    table, counts = compare_embeddings(*columns(old), *columns(new))
    expected = {
        **{name: "new" for name in new if name not in old},
        **{name: "deleted" for name in old if name not in new},
        **{name: "changed" for name in new if name in old and new[name] != old[name]},
    }
    assert table.to_pylist() == [{"item_id": name, "change": expected[name]} for name in sorted(expected)]
    assert counts["unchanged"] + counts["changed"] + counts["new"] == len(new)
