"""The gates of the engagement log: how much of it was rejected, whether anything of it is of use, and why not."""

import json

import pyarrow as pa
import pytest
from gate_runs import DEFAULTS, judge, write_stage
from hypothesis import given
from hypothesis import strategies as st
from useless_logs import good_rows
from users_runs import NOW

from pipelines.console.thresholds import LogThresholds
from pipelines.gates.judge import GateThresholds, check_quarantine_share, require_passed
from pipelines.gates.log import check_actions, check_log, check_users, require_passed_log, require_sound_log
from pipelines.log.judge_log import by_bucket_of_row, distinct_counts
from pipelines.log.rows import LogUse, action_count
from schemas.errors import ThresholdError, UsageError
from schemas.files import read_json
from schemas.tables import ENGAGEMENTS

ACTIONS = "one of impression, click, save, add_to_cart, checkout, return"


def counts_of(rejected: int, total: int, used: int = 1, **others: int) -> dict[str, int]:
    reasons = {"reason:unknown_action": rejected} if rejected else {}
    value = {"rejected:" + json.dumps(["unknown_action", ACTIONS, "'view_item'"]): rejected} if rejected else {}
    return {"rows_read": total, "rows_quarantined": rejected, "rows_used": used, **reasons, **value, **others}


def statuses_of(*args: int, **thresholds: float) -> list[str]:
    return [result.status for result in check_log(counts_of(*args), LogThresholds(**thresholds))]


@pytest.mark.parametrize(
    ("rejected", "total", "used", "statuses"),
    [
        (0, 1000, 900, ["passed", "passed"]),
        (100, 1000, 900, ["passed", "passed"]),
        (101, 1000, 899, ["failed", "passed"]),
        (19, 39, 1, ["passed", "passed"]),  # few
        (19, 38, 1, ["failed", "passed"]),  # half
        (8, 12, 4, ["failed", "passed"]),
        (5, 11, 4, ["passed", "passed"]),
        (1, 1, 0, ["failed", "skipped"]),  # all
        (1000, 1000, 0, ["failed", "skipped"]),
        (0, 1000, 0, ["passed", "failed"]),
        (9, 20, 0, ["passed", "failed"]),
        (101, 1000, 0, ["failed", "failed"]),
        (0, 0, 0, ["skipped", "skipped"]),  # a log without rows
    ],
)
def test_a_log_passes_if_little_is_rejected_and_something_is_of_use(rejected, total, used, statuses):
    assert statuses_of(rejected, total, used) == statuses


def test_thresholds_let_more_or_less_pass_but_never_all():
    assert statuses_of(999, 1000, 1, max_quarantined_log=1.0) == ["passed", "passed"]
    assert statuses_of(1000, 1000, 0, max_quarantined_log=1.0, min_quarantined=5000) == ["failed", "skipped"]
    assert statuses_of(1, 1000, 900, max_quarantined_log=0.0, min_quarantined=0) == ["failed", "passed"]
    for wrong in ({"max_quarantined_log": 1.5}, {"min_quarantined": -1}, {"max_quarantined_log": float("nan")}):
        with pytest.raises(UsageError, match=r"--m(ax|in)-quarantined"):
            LogThresholds(**wrong)


@given(st.integers(0, 300), st.integers(0, 300), st.integers(1, 300), st.floats(0, 1), st.integers(0, 40))
def test_more_rejections_never_pass_where_fewer_fail(few, many, total, most, spared):
    few, many = sorted((min(few, total), min(many, total)))
    thresholds = {"max_quarantined_log": most, "min_quarantined": spared}
    if statuses_of(few, total, **thresholds)[0] == "failed":
        assert statuses_of(many, total, **thresholds)[0] == "failed"


def test_a_failure_names_reasons_values_and_what_to_do():
    stamp = ["wrong_type", "a timestamp or ISO 8601 text in timestamp", "1718880000000000"]
    times = {"rejected:" + json.dumps(stamp): 1, "reason:wrong_type": 300}
    (result, _) = check_log(counts_of(700, 2000, **times) | {"rows_quarantined": 1000}, DEFAULTS)
    assert (result.value, result.threshold) == (0.5, 0.1)
    assert result.message == (
        "1,000 of 2,000 log rows are quarantined (0.5): expected at most 0.1; unknown_action 700 (expected "
        f"{ACTIONS}, got 'view_item' in 700 rows): use one of the expected actions, or leave the row out; wrong_type "
        "300 (expected a timestamp or ISO 8601 text in timestamp, got 1718880000000000 in 1 row): cast the column in "
        "the export, or say in [columns] how it is written"
    )
    hostile = {"rejected:" + json.dumps(["wrong_type", "e", "'\x1b[2J" + "x" * 500]): 9, "reason:wrong_type": 9}
    (result, _) = check_log(counts_of(300, 300) | hostile, DEFAULTS)
    assert "\x1b" not in result.message
    assert len(result.message) < 600


def test_a_failure_says_what_to_do_for_most_of_the_values_of_a_reason():
    def told(got: str, *remedy: str) -> str:
        return "rejected:" + json.dumps(["wrong_type", "a timestamp", got, *remedy])

    dates = {told("'30.06.2026'", "write %d.%m.%Y"): 40, told("'x'"): 30, told("'01.02.2026'", "write %d.%m.%Y"): 5}
    (result, _) = check_log(counts_of(0, 100, 0, **dates) | {"rows_quarantined": 75, "reason:wrong_type": 75}, DEFAULTS)
    assert result.message.endswith(
        "wrong_type 75 (expected a timestamp, got '30.06.2026' in 40 rows, 'x' in 30, '01.02.2026' in 5): "
        "write %d.%m.%Y"
    )


def test_what_is_of_no_use_is_named():
    counts = counts_of(0, 100, 0, rows_item_unknown=70, rows_other_actions=30)
    counts |= {f"item_unknown:'sku-{n}'": 10 - n for n in range(7)}
    _, result = check_log(counts, DEFAULTS)
    assert (result.value, result.threshold) == (0, 1)
    assert result.message == (
        "0 of 100 log rows are of use: expected at least 1; rows item unknown 70, rows other actions 30; the catalogue "
        "has no item 'sku-0' in 10 rows, 'sku-1' in 9, 'sku-2' in 8, 'sku-3' in 7, 'sku-4' in 6"
    )


def test_an_action_of_which_most_events_have_no_item_is_told():
    """What is mapped and has no item is no rejected row, and others of the log may be of use."""
    lost = {"events_without_items": 7, "events_without_items:click": 3, "events_with_items:checkout": 2}
    few = {"events_without_items:save": 2, "events_with_items:save": 2, "events_without_items:impression": 9}
    _, result = check_log(counts_of(0, 4, 2, **lost, **few), DEFAULTS)
    assert (result.status, result.value) == ("passed", 2)
    assert "most events have no item of these actions: 3 of 3 click; they are no rows. Map item_id" in result.message
    _, result = check_log(counts_of(0, 0, 0, **lost), DEFAULTS)
    assert result.status == "failed"
    assert "3 of 3 click" in result.message
    _, result = check_log(counts_of(0, 4, 2, **few), DEFAULTS)
    assert "item" not in result.message


def test_a_run_is_judged_by_its_log_and_a_person_may_accept(days):
    today, yesterday = days
    write_stage(today, "log", counts_of(200, 1000, 0))
    found = judge(today, yesterday)
    assert [found[name].status for name in ("quarantine_log", "log_used")] == ["failed", "failed"]
    saved = {gate["name"]: gate for gate in read_json(today / "gates.json")["gates"]}
    assert saved["quarantine_log"]["formula"].startswith("rows of the log quarantined / rows of the log read <= max_qu")
    assert read_json(today / "gates.json")["thresholds"]["max_quarantined_log"] == 0.1
    with pytest.raises(ThresholdError, match=r"--accept quarantine_log,log_used --because"):
        require_passed(list(found.values()), today)
    accepted = judge(today, yesterday, quarantine_log="known", log_used="known")
    require_passed(list(accepted.values()), today)
    assert judge(today, yesterday, GateThresholds(max_quarantined_log=0.2))["quarantine_log"].status == "passed"


def test_the_early_check_judges_the_log_once_it_is_read():
    items = {"rows_read": 10}
    results = check_quarantine_share(
        items, log=counts_of(30, 100), thresholds=DEFAULTS, accepted={"quarantine_log": "known"}
    )
    assert [(result.name, result.status) for result in results] == [
        ("quarantine_rows", "passed"),
        ("quarantine_log", "accepted"),
        ("log_used", "passed"),
    ]


def test_commands_that_publish_nothing_stop_with_the_same_words():
    counts = counts_of(30, 100)
    with pytest.raises(ThresholdError) as failure:
        require_passed_log(check_log(counts, LogThresholds()), "pairs are made")
    text = str(failure.value)
    assert text.startswith(
        "expected the log to pass its gates before pairs are made, got 1 failed: [quarantine_log] 30"
    )
    assert "(formula: rows of the log quarantined / rows of the log read <= max_quarantined_log" in text
    assert "To do: mend the export of the log" in text
    with pytest.raises(ThresholdError, match=r"\[quarantine_log\] 30 of 100"):
        require_sound_log(counts, LogThresholds(), "the run is evaluated")
    require_sound_log(counts, LogThresholds(max_quarantined_log=0.3), "the run is evaluated")
    require_sound_log({}, LogThresholds(), "the run is evaluated")


@pytest.mark.parametrize(
    ("now", "status", "message"),
    [
        ({"click": 100, "checkout": 50}, "passed", "checkout has 50 rows of use, yesterday 100"),
        ({"click": 100, "checkout": 49}, "failed", "checkout has 49 rows of use, yesterday 100: expected a drop of at"),
        ({"click": 200, "save": 90}, "failed", "checkout has 0 rows of use, yesterday 100 (more than yesterday: click"),
        ({"click": 100, "checkout": 100}, "passed", "expected a drop of at most 0.5"),
    ],
)
def test_an_action_that_falls_against_yesterday_is_named(now, status, message):
    def counted(actions):
        return {action_count(name): count for name, count in actions.items()}

    before = counted({"click": 100, "checkout": 100, "save": 5})
    result = check_actions(counted(now), before, DEFAULTS)
    assert (result.name, result.status) == ("log_actions", status)
    assert message in result.message
    for today, yesterday in (
        (counted(now), None),
        (counted(now) | {"rows_read": 200}, {"rows_used": 5}),
        (None, before),
        ({"rows_read": 9}, before),
    ):
        assert check_actions(today, yesterday, DEFAULTS).status == "skipped"


def test_where_all_actions_drop_alike_the_log_may_not_be_whole():
    def counted(click, checkout):
        return {action_count("click"): click, action_count("checkout"): checkout}

    whole = check_actions(counted(30, 33), counted(100, 100), DEFAULTS)
    assert whole.status == "failed"
    assert whole.remedy.startswith("all actions drop alike: see whether the log is whole")
    for now in (counted(30, 90), counted(130, 0), counted(0, 33)):
        assert "calls the action otherwise" in check_actions(now, counted(100, 100), DEFAULTS).remedy


@pytest.mark.parametrize(
    ("with_user", "without", "before", "status"),
    [
        (100, 0, 100, "passed"),
        (70, 30, 100, "passed"),
        (69, 0, 100, "failed"),
        (60, 40, 100, "failed"),
        (0, 100, 100, "failed"),
        (0, 0, 100, "failed"),
        (0, 100, 0, "skipped"),  # of sessions alone
        (100, 0, 0, "skipped"),
        (0, 9, 19, "skipped"),  # fewer than min_quarantined
    ],
)
def test_users_that_are_lost_against_yesterday_are_told(with_user, without, before, status):
    def counted(with_user, without):
        return {"rows_used": 1 + with_user, "rows_with_user": with_user, "rows_without_user_or_query": without}

    result = check_users(counted(with_user, without), counted(before, 0), DEFAULTS)
    assert (result.name, result.status) == ("log_users", status)
    if status != "skipped":
        assert (result.value, result.baseline, result.threshold) == (with_user, 100, 70)
        told = f"{with_user} of {1 + with_user} rows of use have a user, yesterday 100 of 101; {without} rows are of no"
        assert result.message.startswith(told)
    for today, yesterday in ((None, counted(100, 0)), (counted(9, 0), None), (counted(9, 0), {"rows_used": 100})):
        assert check_users(today, yesterday, DEFAULTS).status == "skipped"
    assert check_users({"rows_used": 0, "rows_read": 9}, counted(100, 0), DEFAULTS).status == "skipped"  # see log_used


@pytest.mark.parametrize("surface", ["search", "home"])
def test_a_log_of_which_two_in_five_rows_have_lost_their_user_fails(surface):
    """Rows of a search stay of use without a user, those of a home page do not; either way no row is rejected."""
    rows = [{**row, "surface": surface, "query": "q" if surface == "search" else None} for row in good_rows(["a"], NOW)]
    days = []
    for num_lost in (0, 24):
        use = LogUse(None, pa.array(["a"]))
        lost = [{**row, "user_id": None if n < num_lost else f"u{n}"} for n, row in enumerate(rows)]
        use.add(pa.Table.from_pylist(lost * 2, schema=ENGAGEMENTS))
        distinct = distinct_counts(piece for _, piece in by_bucket_of_row(use.take()))
        days.append(use.counts() | distinct | {"rows_read": 2 * len(rows)})
    assert [counts["rows_with_user"] for counts in days] == [60, 36]
    assert {result.status for result in check_log(days[1], DEFAULTS)} == {"passed"}
    assert check_actions(days[1], days[0], DEFAULTS).status == "passed"
    result = check_users(days[1], days[0], DEFAULTS)
    assert (result.status, result.value, result.threshold) == ("failed", 36, 42)


@pytest.mark.parametrize(
    ("today", "yesterday", "status"),
    [
        ({"rows_read": 0}, counts_of(0, 9, 7, **{action_count("click"): 7}), "failed"),
        ({"rows_read": 0, "rows_blank": 3}, counts_of(0, 9, 7), "failed"),  # of an earlier version, without actions
        ({"rows_read": 0}, counts_of(0, 9, 0), "skipped"),
        ({"rows_read": 0}, None, "skipped"),
        ({"rows_read": 0, "events_without_items": 4}, counts_of(0, 9, 7), "skipped"),  # log_used fails of these
    ],
)
def test_a_log_that_is_empty_since_yesterday_fails_in_words(today, yesterday, status):
    result = check_actions(today, yesterday, DEFAULTS)
    assert (result.name, result.status) == ("log_actions", status)
    if status == "failed":
        assert (result.value, result.baseline, result.threshold) == (0, 7, 1)
        assert result.message.startswith("the log is empty (a header alone, or not even that), yesterday 7 rows of it ")
        assert "expected at least 1 row of use" in result.message
    for gate in check_log({"rows_read": 0}, DEFAULTS):
        assert gate.message == "nothing to check: the log is empty (a header alone, or not even that)"


def test_a_third_of_the_actions_under_another_name_is_gated_by_name():
    """Under a name that nobody knows the rejected rows tell it; under one that we know, only the day before does."""
    kinds = ["click", "save", "checkout"]
    rows = [{**row, "action": kinds[n % 3]} for n, row in enumerate(good_rows(["a"], NOW))]
    days = []
    for name in ("checkout", "impression"):
        use = LogUse(None, pa.array(["a"]))
        renamed = [{**row, "action": name if row["action"] == "checkout" else row["action"]} for row in rows]
        use.add(pa.Table.from_pylist(renamed, schema=ENGAGEMENTS))
        distinct = distinct_counts(piece for _, piece in by_bucket_of_row(use.take()))
        days.append(use.counts() | distinct | {"rows_read": len(rows)})
    assert check_log(days[1], DEFAULTS)[0].status == "passed"
    result = check_actions(days[1], days[0], DEFAULTS)
    assert (result.status, result.value) == ("failed", 1.0)
    assert "checkout has 0 rows of use, yesterday 20" in result.message
