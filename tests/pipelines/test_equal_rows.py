"""Equal rows of a log count once, wherever they lie, and rows that differ in any column stay."""

import datetime as dt
import random
from pathlib import Path

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st
from useless_logs import good_rows, write
from users_runs import ITEM_IDS, NOW, run_users, vectors_of, write_vectors

from pipelines.log.equal_rows import with_events, without_equal
from pipelines.run.units import read_stage_manifest
from schemas.tables import ENGAGEMENTS

pytestmark = pytest.mark.medium

ROWS = st.lists(
    st.fixed_dictionaries(
        {
            "timestamp": st.integers(0, 1).map(lambda hours: NOW + dt.timedelta(hours=hours)),
            "user_id": st.sampled_from(["u", "v", None]),
            "session_id": st.sampled_from(["s", None]),
            "surface": st.sampled_from(["home", "search"]),
            "query": st.sampled_from(["mug", None]),
            "item_id": st.sampled_from(["u", "a"]),
            "action": st.sampled_from(["click", "save"]),
        }
    ),
    max_size=40,
)


@given(ROWS)
def test_the_rows_that_stay_are_the_distinct_ones_in_order(rows):
    table = with_events(pa.Table.from_pylist(rows, schema=ENGAGEMENTS))
    kept, num_equal = without_equal(table, "timestamp")
    distinct = list(dict.fromkeys(tuple(row.values()) for row in table.drop_columns("event").to_pylist()))
    assert [tuple(row.values()) for row in kept.drop_columns("event").to_pylist()] == distinct
    assert num_equal == len(rows) - len(distinct)


@pytest.mark.parametrize("num_files", [1, 3])
def test_a_log_of_every_row_five_times_makes_the_users_of_the_log(tmp_path: Path, num_files: int, capsys):
    rows = good_rows(ITEM_IDS, NOW)
    vectors = write_vectors(tmp_path / "vectors.parquet", vectors_of())
    repeated = rows * 5
    random.Random(0).shuffle(repeated)
    made = []
    for name, given_rows in (("once", rows), ("often", repeated)):
        folder = tmp_path / name
        folder.mkdir()
        for number in range(num_files):
            write(folder / f"{number}.parquet", given_rows[number::num_files])
        assert run_users(tmp_path / f"run-{name}", vectors, folder) == 0
        made.append(read_stage_manifest(str(tmp_path / f"run-{name}"), "users")["counts"])
    assert (made[0]["rows_used"], made[1]["rows_used"], made[1]["rows_equal"]) == (60, 60, 240)
    assert made[1]["rows_read"] == 300
    assert "rows equal 240" in capsys.readouterr().out
    for part in ("users", "item_popularity"):
        files = [sorted((tmp_path / f"run-{name}" / part).rglob("*.parquet")) for name in ("once", "often")]
        assert [path.read_bytes() for path in files[0]] == [path.read_bytes() for path in files[1]]
