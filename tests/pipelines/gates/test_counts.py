"""The gates of counts: rows, coverage of ids, text and pictures, and the share of quarantine, also judged early."""

from pathlib import Path

import pytest
from gate_runs import DEFAULTS, TODAY, edit, judge, make_run, names, unit_rows
from hypothesis import given
from hypothesis import strategies as st

from pipelines.gates.fields import field_count
from pipelines.gates.judge import GateResult, GateThresholds, check_quarantine_share, require_passed
from schemas.errors import ThresholdError
from schemas.sample_shop.assortment import make_assortment
from schemas.sample_shop.catalogue import make_catalogue
from schemas.sample_shop.faults import plant_in_catalogue


@pytest.mark.parametrize(
    ("before", "status", "message"),
    [
        (75, "passed", "60 rows are to be published, yesterday 75: expected 60 to 150"),
        (76, "failed", "60 rows are to be published, yesterday 76: expected 61 to 152"),
        (30, "passed", "60 rows are to be published, yesterday 30: expected 24 to 60"),
        (29, "failed", "60 rows are to be published, yesterday 29: expected 24 to 58"),
    ],
)
def test_row_count(days, before, status, message):
    today, yesterday = days
    edit(yesterday, "embeddings", {"rows_written": before})
    result = judge(today, yesterday)["row_count"]
    assert (result.status, result.message) == (status, message)
    assert (result.value, result.baseline) == (60, before)
    edit(yesterday, "embeddings", {"rows_written": None})
    assert judge(today, yesterday)["row_count"].status == "skipped"


@pytest.mark.medium
@pytest.mark.parametrize(
    ("now", "before", "told"),
    [
        ({"Status": ["draft"]}, None, "new is 'Status' = 'draft'"),
        ({"Status": ["draft", "old"]}, {"Status": ["draft"]}, "new is 'Status' = 'old'"),
        (None, {"Status": ["draft"]}, "gone is 'Status' = 'draft'"),
        ({"Status": ["draft"]}, {"Status": ["draft"]}, ""),
        ({"Status": "draft"}, None, ""),
    ],
)
def test_a_changed_filter_is_named_by_the_gates_that_it_moves(days, now, before, told):
    today, yesterday = days
    for run, texts in ((today, now), (yesterday, before)):
        edit(run, "items", **({} if texts is None else {"leave_out": texts}))
    edit(today, "features", {"items_with_text": 3})
    found = judge(today, yesterday, GateThresholds(min_kept=0.97))
    edit(yesterday, "embeddings", {"rows_written": 600})
    of_rows = judge(today, yesterday)
    assert "leave_out" not in of_rows["coverage"].message  # which cannot be compared then
    found["row_count"] = of_rows["row_count"]
    for name in ("row_count", "coverage", "coverage_text"):
        assert found[name].status == "failed"
        assert found[name].message.endswith(f"leave_out of [columns] has changed since: {told}") == bool(told)
        assert found[name].remedy.startswith("where leave_out of [columns] was changed") == bool(told)
        assert "else see whether" in found[name].remedy or not told
    assert "leave_out" not in found["coverage_pictures"].message + found["coverage_pictures"].remedy


def test_an_older_run_that_left_rows_out_does_not_tell_its_filter(days):
    today, yesterday = days
    edit(today, "items", leave_out={"Status": ["draft"]})
    edit(yesterday, "items", {"rows_left_out": 5})
    edit(yesterday, "embeddings", {"rows_written": 600})
    assert "has changed since" not in judge(today, yesterday)["row_count"].message


def test_coverage_of_ids(days, tmp_path):
    today, yesterday = days
    thresholds = GateThresholds(min_kept=0.95)
    assert judge(today, yesterday, thresholds)["coverage"].status == "passed"
    result = judge(today, yesterday, GateThresholds(min_kept=0.97))["coverage"]
    assert result.status == "failed"
    assert result.message == "58 of yesterday's 60 ids are still published (0.966667): expected at least 0.97"
    other = make_run(tmp_path / "renamed", TODAY, [f"sku-{n}" for n in names(60)], unit_rows(60))
    found = judge(other, yesterday)
    assert (found["coverage"].status, found["coverage"].value) == ("failed", 0.0)
    assert found["row_count"].status == "passed"
    assert found["neighbour_overlap"].status == "skipped"


@pytest.mark.medium
@pytest.mark.parametrize(
    ("gate", "key", "passing", "failing", "message"),
    [
        (
            "coverage_text",
            "items_with_text",
            54,
            53,
            "53 of 60 items have text (0.883333), yesterday 60 of 60 (1): expected at least 0.9",
        ),
        (
            "coverage_pictures",
            "items_with_picture",
            24,
            23,
            "23 of 60 items have a picture (0.383333), yesterday 30 of 60 (0.5): expected at least 0.4",
        ),
    ],
)
def test_coverage_of_text_and_pictures(days, gate, key, passing, failing, message):
    today, yesterday = days
    edit(today, "features", {key: passing})
    assert judge(today, yesterday)[gate].status == "passed"
    edit(today, "features", {key: failing})
    result = judge(today, yesterday)[gate]
    assert (result.status, result.message) == ("failed", message)
    edit(today, "features", {key: None})  # a renamed title column, or an unmounted folder
    assert (judge(today, yesterday)[gate].status, judge(today, yesterday)[gate].value) == ("failed", 0.0)
    edit(yesterday, "features", {key: None})
    result = judge(today, yesterday)[gate]
    assert (result.status, result.message) == ("skipped", f"not compared: the run before did not count {key}")


def test_coverage_of_single_fields(days):
    today, yesterday = days
    edit(today, "items", {field_count("title"): 54, field_count("brand"): 30})
    assert judge(today, yesterday)["coverage_fields"].status == "passed"
    edit(today, "items", {field_count("title"): None, field_count("brand"): 23})  # the titles' column was renamed
    result = judge(today, yesterday)["coverage_fields"]
    assert (result.status, result.value, result.threshold) == ("failed", 1.0, 0.1)
    assert "title is filled in 0 of the rows, yesterday in 1" in result.message
    assert "brand is filled in 0.383333 of the rows, yesterday in 0.5" in result.message
    edit(yesterday, "items", {field_count("title"): None, field_count("brand"): None})
    assert judge(today, yesterday)["coverage_fields"].status == "skipped"


def test_quarantine_adds_the_stages_up(days):
    today, yesterday = days
    edit(today, "items", {"rows_read": 270, "rows_quarantined": 20})
    edit(today, "features", {"rows_quarantined": 4, "pictures_listed": 100, "pictures_quarantined": 20})
    edit(today, "embeddings", {"rows_quarantined": 3})
    found = judge(today, yesterday)
    assert found["quarantine_rows"].message == "27 of 270 rows are quarantined (0.1): expected at most 0.1"
    assert found["quarantine_rows"].status == found["quarantine_pictures"].status == "passed"
    edit(today, "embeddings", {"rows_quarantined": 4})
    edit(today, "features", {"pictures_quarantined": 21})
    found = judge(today, yesterday)
    assert found["quarantine_rows"].status == found["quarantine_pictures"].status == "failed"
    assert found["quarantine_rows"].message == "28 of 270 rows are quarantined (0.103704): expected at most 0.1"
    assert found["quarantine_pictures"].message == "21 of 100 pictures are quarantined (0.21): expected at most 0.2"


def share(rejected: int, total: int, **thresholds: float) -> GateResult:
    counts = {"rows_read": total, "rows_quarantined": rejected}
    return check_quarantine_share(counts, thresholds=GateThresholds(**thresholds), accepted={})[0]


@pytest.mark.parametrize(
    ("rejected", "total", "status"),
    [
        (0, 0, "passed"),
        (20, 200, "passed"),
        (21, 200, "failed"),
        (19, 20, "passed"),
        (20, 20, "failed"),
        (1, 1, "failed"),
        (1, 0, "failed"),
    ],
)
def test_few_rejections_pass_unless_they_are_all(rejected, total, status):
    assert share(rejected, total).status == status


def test_a_share_is_not_held_against_its_own_rounding():
    assert share(40, 60, max_quarantined_rows=2 / 3).status == "passed"
    assert share(80_001, 120_000, max_quarantined_rows=2 / 3).status == "failed"


def test_the_early_check_judges_what_is_known_by_then():
    items = {"rows_read": 1000, "rows_quarantined": 90}
    features = {"rows_quarantined": 11, "pictures_listed": 100, "pictures_quarantined": 100}
    early = check_quarantine_share(items, thresholds=DEFAULTS, accepted={})
    assert [(result.name, result.status) for result in early] == [("quarantine_rows", "passed")]
    later = check_quarantine_share(items, features, thresholds=DEFAULTS, accepted={"quarantine_rows": "known"})
    assert [(r.name, r.status) for r in later] == [("quarantine_rows", "accepted"), ("quarantine_pictures", "failed")]
    assert later[1].message == "100 of 100 pictures are quarantined (1): expected at most 0.2, and never all"
    with pytest.raises(
        ThresholdError, match=r"got 1 failed: \[quarantine_pic.*--accept quarantine_rows,quarantine_pic"
    ):
        require_passed(later, Path("run"))


def test_pictures_that_their_cells_do_not_give_count_as_rejected():
    items = {"rows_read": 1000, "pictures_quarantined": 60}
    features = {"pictures_listed": 140, "pictures_quarantined": 0}
    pictures = check_quarantine_share(items, features, thresholds=DEFAULTS, accepted={})[1]
    assert (pictures.status, pictures.value) == ("failed", 0.3)


@given(st.integers(0, 300), st.integers(0, 300), st.integers(1, 300), st.floats(0, 1), st.integers(0, 40))
def test_more_rejections_never_pass_where_fewer_fail(few, many, total, most, spared):
    few, many = sorted((min(few, total), min(many, total)))
    given_thresholds = {"max_quarantined_rows": most, "min_quarantined": spared}
    if share(few, total, **given_thresholds).status == "failed":
        assert share(many, total, **given_thresholds).status == "failed"


@pytest.mark.medium
@pytest.mark.parametrize("items", [10, 60, 400, 2000])
def test_the_sample_shops_faults_pass(items):
    assortment = make_assortment(items, 0)
    faulty = plant_in_catalogue(make_catalogue(assortment, 0), [product.item_id for product in assortment.products], 0)
    levels = [row["level"] for row in faulty.planted]
    pictures = sum(len(row["images"]) for row in faulty.rows)
    results = check_quarantine_share(
        {"rows_read": len(faulty.rows), "rows_quarantined": levels.count("row")},
        {"pictures_listed": pictures, "pictures_quarantined": levels.count("picture")},
        thresholds=DEFAULTS,
        accepted={},
    )
    assert levels.count("row") > 0
    assert levels.count("picture") > 0
    assert [result.status for result in results] == ["passed", "passed"]


@pytest.mark.parametrize(
    ("counts", "status"),
    [
        ({"cells_unreadable:title": 50, "cells_unreadable:size": 10}, "passed"),
        ({"cells_unreadable:title": 51, "cells_unreadable:size": 10}, "failed"),
        ({"rows_quarantined": 51, "cells_unreadable:title": 51}, "failed"),
    ],
)
def test_a_field_that_cannot_be_read_fails_like_rows(counts, status):
    items = {"rows_read": 510, "rows_written": 500, **counts}
    result = check_quarantine_share(items, thresholds=GateThresholds(max_quarantined_rows=0.1), accepted={})[0]
    assert result.status == status
    if status == "failed" and "rows_quarantined" not in counts:
        assert (
            "51 of 500 cells of title cannot be read (0.102): expected at most 0.1; cast the column" in result.message
        )


def test_a_file_that_ends_within_a_row_is_never_spared(days):
    today, yesterday = days
    edit(today, "items", {"rows_read": 61, "rows_quarantined": 1, "reason:cut_off_file": 1})
    result = judge(today, yesterday, GateThresholds(max_quarantined_rows=1.0))["quarantine_rows"]
    assert result.status == "failed"
    assert result.message.startswith(
        "1 file ends within a row in the catalogue: expected whole ones, is the export fin"
    )
    assert "1 of 61 rows are quarantined" in result.message
    assert result.remedy.startswith("the file ends within this row: is it whole?")
    accepted = judge(today, yesterday, quarantine_rows="the last product is no more")
    assert accepted["quarantine_rows"].status == "accepted"
    early = check_quarantine_share({"rows_read": 61, "reason:cut_off_file": 2}, thresholds=DEFAULTS, accepted={})
    assert [(gate.name, gate.status) for gate in early] == [("quarantine_rows", "failed")]
    assert early[0].message.startswith("2 files end within a row")
