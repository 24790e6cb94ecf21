"""The gate of recall: compared by task where both days have enough pairs, and no silent skip where one has none."""

import pytest
from gate_runs import MODEL_ID, OTHER_MODEL, judge, report_of

from schemas.files import write_json


@pytest.mark.medium
@pytest.mark.parametrize(
    ("today_report", "yesterday_report", "status", "message"),
    [
        (report_of(click=(0.45, 200)), report_of(click=(0.5, 200)), "passed", "is 0.45 on 200 pairs, yesterday 0.5 on"),
        (report_of(click=(0.449, 200)), report_of(click=(0.5, 200)), "failed", "expected at least 0.45"),
        (report_of(click=(0.1, 199)), report_of(click=(0.5, 300)), "skipped", "got 'search/click' 199"),
        (report_of(click=(0.1, 900)), report_of(save=(0.5, 199)), "skipped", "got no task in common"),
        (
            report_of(click=(0.3, 900)),
            report_of(click=(0.5, 900), save=(0.4, 1200)),
            "failed",
            "expected Recall@10 of 'search/save' (yesterday 0.4 on 1,200 pairs) again, got none today; "
            "Recall@10 of 'search/click' is 0.3 on 900 pairs",
        ),
        (
            report_of(click=(0.5, 900)),
            {"not_evaluated": "no rows"},
            "skipped",
            "yesterday was not evaluated: 'no rows'",
        ),
        ({"not_evaluated": "no rows"}, report_of(click=(0.5, 199)), "skipped", "today was not evaluated: 'no rows'"),
        (None, report_of(click=(0.5, 200)), "skipped", "today was not evaluated (no --engagements)"),
        (report_of(click=(0.5, 200)), None, "skipped", "yesterday was not evaluated (no --engagements)"),
        (
            {"not_evaluated": "no\x1b[2J rows"},
            report_of(click=(0.5, 200)),
            "failed",
            r"(yesterday 0.5 on 200 pairs) again, got none today: 'no\x1b[2J rows'",
        ),
        (
            report_of(click=(0.3, 200), save=(0.1, 500), checkout=(0.5, 800)),
            report_of(click=(0.4, 200), save=(0.5, 500), checkout=(0.5, 800)),
            "failed",
            "Recall@10 of 'search/click' is 0.3 on 200 pairs, yesterday 0.4 on 200: expected at least 0.35; "
            "Recall@10 of 'search/save' is 0.1 on 500 pairs, yesterday 0.5 on 500: expected at least 0.45",
        ),
    ],
)
def test_recall(days, today_report, yesterday_report, status, message):
    for run, report in zip(days, (today_report, yesterday_report), strict=True):
        (run / "metrics.json").unlink()
        if report is not None:
            write_json(run / "metrics.json", report)
    result = judge(*days)["recall"]
    assert result.status == status
    assert message in result.message


def test_a_recall_that_is_not_measured_any_more_fails_until_a_person_accepts(days):
    today, yesterday = days
    write_json(today / "metrics.json", {"not_evaluated": "got none of 6 rows", "model_id": OTHER_MODEL})
    write_json(yesterday / "metrics.json", report_of(click=(0.5, 300)) | {"model_id": MODEL_ID})
    result = judge(today, yesterday)["recall"]
    assert (result.status, result.value, result.baseline, result.threshold) == ("failed", None, 0.5, None)
    assert result.message.endswith(
        f"(of two models, '{OTHER_MODEL}' and yesterday '{MODEL_ID}': on two different held-out splits)"
    )
    assert "--engagements" in result.remedy
    assert judge(today, yesterday, recall="trained on June")["recall"].status == "accepted"
    for recall, status in ((0.45, "passed"), (0.44, "failed")):
        write_json(today / "metrics.json", report_of(click=(recall, 300)) | {"model_id": OTHER_MODEL})
        result = judge(today, yesterday)["recall"]
        assert result.status == status
        assert "two different held-out splits" in result.message


@pytest.mark.parametrize("poison", ["{", "[]", '{"tasks": [{"task": "x"}]}', '{"tasks": 3}', "null"])
def test_a_report_that_is_none_is_no_silent_skip(days, poison):
    today, yesterday = days
    (yesterday / "metrics.json").write_text(poison)
    result = judge(today, yesterday)["recall"]
    assert (result.status, result.value) == ("skipped" if poison == "null" else "failed", None)
