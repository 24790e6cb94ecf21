"""Accepting a failed gate, what a failure tells, and thresholds that are none."""

import dataclasses

import pytest
from gate_runs import DEFAULTS, edit, judge

from pipelines.gates.judge import GATES, GateThresholds, check_quarantine_share, format_gates, require_passed, run_gates
from schemas.errors import ThresholdError, UsageError
from schemas.files import read_json

NEVER_ACCEPTED = {"vectors", "index", "refined_index", "users", "model_id"}


def test_accepting_keeps_the_reason_and_spares_only_what_failed(days):
    today, yesterday = days
    edit(yesterday, "embeddings", {"rows_written": 600})
    reason = "summer goods\x1b[31m left"
    found = judge(today, yesterday, row_count=reason, recall=reason)
    result = found["row_count"]
    assert (result.status, result.accepted_reason) == ("accepted", reason)
    assert (found["recall"].status, found["recall"].accepted_reason) == ("passed", None)
    saved = {gate["name"]: gate for gate in read_json(today / "gates.json")["gates"]}
    assert saved["row_count"]["accepted_reason"] == reason
    shown = format_gates(list(found.values()))
    assert r"accepted because 'summer goods\x1b[31m left'" in shown
    assert "\x1b" not in shown


@pytest.mark.parametrize(
    ("accepted", "message"),
    [
        ({"row_cuont": "x"}, "expected gates out of row_count, .*got 'row_cuont'"),
        ({"vectors": "x", "row_count": "x"}, "got vectors: what fails there is broken for readers"),
        ({"row_count": " "}, r"expected a reason \(--because\) for accepting row_count"),
    ],
)
def test_what_cannot_be_accepted_is_a_wrong_call(days, accepted, message):
    with pytest.raises(UsageError, match=message):
        run_gates(*days, DEFAULTS, accepted)
    with pytest.raises(UsageError, match=message):
        check_quarantine_share({"rows_read": 1}, thresholds=DEFAULTS, accepted=accepted)
    assert {name for name, gate in GATES.items() if not gate.acceptable} == NEVER_ACCEPTED


def test_a_failure_names_formula_numbers_remedy_and_the_way_out(days):
    today, yesterday = days
    edit(today, "features", {"items_with_text": 0, "items_with_picture": 0})
    results = run_gates(today, yesterday, DEFAULTS, {})
    with pytest.raises(ThresholdError) as failure:
        require_passed(results, today)
    text = str(failure.value)
    assert "got 2 failed" in text
    assert f"({today}/gates.json has all gates)" in text
    assert "[coverage_text] To do: see whether a text column was renamed" in text
    assert "(formula:" not in text  # the table above has them
    assert "Nothing is published: yesterday's run stays" in text
    with pytest.raises(ThresholdError, match=r"Nothing is published, nor was before: readers see no run\."):
        require_passed(results, today, has_another=False)
    assert '--accept coverage_text,coverage_pictures --because "..."' in text
    shown = format_gates(results)
    assert "coverage_text        FAILED               0            1          0.9" in shown
    assert "to do: see whether --image-root is mounted" in shown
    with pytest.raises(ThresholdError) as failure:
        require_passed([result for result in results if result.name != "coverage_pictures"], today)
    text = str(failure.value)
    assert "[coverage_text] 0 of 60 items have text (0), yesterday 60 of 60 (1): expected at least 0.9" in text
    assert (
        "(formula: items with text / items >= the same of yesterday, or of the model's training - max_coverage_drop)"
        in text
    )


@pytest.mark.parametrize("field", dataclasses.fields(GateThresholds), ids=lambda field: field.name)
def test_thresholds_out_of_range_are_a_wrong_call(field):
    flag_name = "--" + field.name.replace("_", "-")
    for value in (-0.1, float("nan"), float("inf")):
        with pytest.raises(UsageError, match=flag_name):
            GateThresholds(**{field.name: value})
    if field.name not in ("max_row_growth", "min_quarantined", "min_recall_pairs"):
        with pytest.raises(UsageError, match=f"{flag_name} from .* to 1, got 1.5"):
            GateThresholds(**{field.name: 1.5})
    assert field.metadata["help"]


def test_an_auc_below_chance_is_no_threshold():
    with pytest.raises(UsageError, match=r"--max-drift-auc from 0.5 to 1, got 0.4"):
        GateThresholds(max_drift_auc=0.4)
