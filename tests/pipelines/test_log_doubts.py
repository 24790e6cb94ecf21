"""Valid rows of a log that a person is told of: of nobody, of users that cannot be read, of times that nobody meant."""

import datetime as dt

import pyarrow as pa
import pytest
from useless_logs import good_rows, nobody, only_shown

from pipelines.log.doubts import Doubts
from schemas.tables import ENGAGEMENTS

END = dt.datetime(2026, 7, 1, tzinfo=dt.UTC)
ROWS = good_rows(["item-1"], END)


def told(rows, counts=None, this_year=2026):
    """In words, of rows in two batches."""
    doubts = Doubts()
    doubts.add(pa.Table.from_pylist(rows[:20], ENGAGEMENTS), counts or {})
    doubts.add(pa.Table.from_pylist(rows[20:], ENGAGEMENTS), {})
    return doubts.in_words(this_year)


def of_year(row, year):
    return {**row, "timestamp": row["timestamp"].replace(year=year)}


def test_a_good_log_has_none():
    assert told(ROWS) == []
    assert told([*map(nobody, ROWS[:30]), *ROWS[30:]]) == []
    assert told([only_shown(nobody(row)) for row in ROWS]) == []
    assert told([of_year(row, 2018 + number % 10) for number, row in enumerate(ROWS)]) == []


def test_rows_of_nobody_are_told_where_most_are():
    (text,) = told([*map(nobody, ROWS[:31]), *ROWS[31:]])
    assert text.startswith("31 of 60 rows have neither a user nor a query, and are of no use: name the column")


def test_users_that_cannot_be_read_are_told_and_not_asked_for():
    (text,) = told([*map(nobody, ROWS)], {"cells_unreadable:user_id": 60})
    assert text.startswith("60 cells of user_id cannot be read, and are empty: of ids that a spreadsheet has rounded")


@pytest.mark.parametrize(
    ("year", "num_rows", "text"),
    [
        (2052, 60, "60 times are of 2052, which is yet to come"),
        (2052, 1, "1 times are of 2052, which is yet to come"),
        (2569, 60, "2569 of the Buddhist calendar is 2026: write the common years"),
        (1405, 60, "1405 of the Persian calendar is 2026: write the common years"),
        (1970, 4, "4 times are before 1990, as 1970-01-01 is where none was set"),
        (2000, 4, "4 times are of 2000, more than 10 years from those of 2026, as most are"),
    ],
)
def test_years_that_nobody_meant_are_told(year, num_rows, text):
    (found,) = told([*(of_year(row, year) for row in ROWS[:num_rows]), *ROWS[num_rows:]])
    assert text in found
