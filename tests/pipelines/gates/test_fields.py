"""The gate of the text fields: a renamed column fails it though every item still has some text."""

from collections import Counter

from hypothesis import given
from hypothesis import strategies as st

from pipelines.console.thresholds import GateThresholds
from pipelines.gates.fields import check_fields, field_count
from schemas.tables import TEXT_FIELDS

YESTERDAY = {"rows_written": 400, field_count("title"): 395, field_count("brand"): 400}


def test_a_renamed_column_fails_by_name_and_numbers():
    today = {**YESTERDAY, "rows_written": 399, field_count("title"): 0, field_count("brand"): 399}
    result = check_fields(today, YESTERDAY, GateThresholds())
    assert result.status == "failed"
    assert result.value == 0.9875
    assert "title is filled in 0 of the rows, yesterday in 0.9875" in result.message
    assert "brand" not in result.message


def test_the_limit_is_allowed_and_more_is_not():
    def status(filled: int) -> str:
        return check_fields({**YESTERDAY, field_count("brand"): filled}, YESTERDAY, GateThresholds()).status

    assert (status(360), status(359)) == ("passed", "failed")


def test_without_counts_of_yesterday_it_is_skipped():
    assert check_fields(YESTERDAY, {"rows_written": 400}, GateThresholds()).status == "skipped"


@given(st.dictionaries(st.sampled_from(TEXT_FIELDS), st.integers(0, 50)), st.sampled_from(TEXT_FIELDS))
def test_more_filled_rows_never_fail(filled, field):
    counts = Counter({field_count(name): count for name, count in filled.items()}, rows_written=50)
    counts[field_count(field)] += 0
    more = {**counts, field_count(field): 50}
    assert check_fields(more, counts, GateThresholds()).status == "passed"
