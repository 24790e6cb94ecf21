"""Ids that are called otherwise than yesterday stop the day: of items the gate `coverage` sees it, of users
`users_count`."""

from collections.abc import Callable
from pathlib import Path

import pytest
from gate_runs import TODAY, YESTERDAY, flip_byte, judge, make_run, names, unit_rows
from users_runs import row

from pipelines.console.jobs import beam_options
from pipelines.gates.judge import require_passed
from pipelines.users import job as users
from schemas.errors import ThresholdError

pytestmark = pytest.mark.medium

NUM_USERS = 30
DATES = {"yesterday": YESTERDAY, "today": TODAY}


def days_of(folder: Path, **cell_of: Callable[[int], str]) -> tuple[Path, Path]:
    """(today, yesterday) of 30 items, whose logs have these users; the same clicks on both days."""
    runs = {}
    for day, cell in cell_of.items():
        runs[day] = make_run(folder, DATES[day], names(30), unit_rows(30, mean=0.0))
        lines = ["timestamp,user_id,surface,item_id,action"]
        for n in range(NUM_USERS):
            one = row("", names(30)[n], age_days=5 + n)
            lines += [f"{one['timestamp'].isoformat()},{cell(n)},home,{one['item_id']},click"]
        (folder / f"{day}.csv").write_text("\n".join(lines) + "\n")
        settings = {"date": DATES[day], "alpha": 1.0, "num_user_buckets": 2}
        config = users.UsersConfig(run=str(runs[day]), engagements=str(folder / f"{day}.csv"), **settings)
        users.run(config, beam_options([]))
    return runs["today"], runs["yesterday"]


def plain(n: int) -> str:
    return str(100 + n)


def pointed(n: int) -> str:
    return f"{100 + n}.0"


def of_codes(n: int) -> str:
    """One user in ten is a code, so that the others keep their point."""
    return pointed(n) if n % 10 else f"{n}.5"


def padded(n: int) -> str:
    return f"00{100 + n}"


def strangers(n: int) -> str:
    return f"u-{n}"


@pytest.mark.parametrize("today", [plain, pointed, lambda n: pointed(n) if n % 10 else "guest"])
def test_a_point_behind_numbers_renames_nobody(tmp_path: Path, today: Callable[[int], str]) -> None:
    result = judge(*days_of(tmp_path, yesterday=plain, today=today))["users_count"]
    assert (result.status, "otherwise" in result.message) == ("passed", False)


@pytest.mark.parametrize(("today", "num_left"), [(of_codes, 3), (padded, 0)])
def test_users_who_are_called_otherwise_are_missing(tmp_path: Path, today: Callable[[int], str], num_left: int) -> None:
    runs = days_of(tmp_path, yesterday=plain, today=today)
    result = judge(*runs)["users_count"]
    assert (result.status, result.value, result.baseline) == ("failed", num_left, NUM_USERS)
    assert f"; {NUM_USERS - num_left} of them were called otherwise yesterday: '1" in result.message
    assert "user_id = {source = " in result.remedy
    assert judge(*runs, users_count="new ids from today on")["users_count"].status == "accepted"
    (broken,) = (runs[1] / "users").glob("*00000-of*")
    flip_byte(broken)
    assert judge(*runs)["users_count"].status == "passed", "what nobody can read of yesterday fails nothing"


def test_strangers_are_no_spelling_of_anybody(tmp_path: Path) -> None:
    """Whoever is new is new: a log of other users is another matter."""
    result = judge(*days_of(tmp_path, yesterday=plain, today=strangers))["users_count"]
    assert (result.status, result.value) == ("passed", NUM_USERS)


def test_items_that_are_called_otherwise_are_gone(tmp_path: Path) -> None:
    ids, vectors = sorted(map(plain, range(60))), unit_rows(60)
    today = make_run(tmp_path, TODAY, [f"{one}.0" for one in ids], vectors)
    yesterday = make_run(tmp_path, YESTERDAY, ids, vectors)
    result = judge(today, yesterday)["coverage"]
    assert (result.status, result.value) == ("failed", 0)
    assert "item ids" in result.remedy
    with pytest.raises(ThresholdError, match=r"\[coverage\]"):
        require_passed([result], today)
