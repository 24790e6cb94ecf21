"""Ids that are written in several ways are told of before a run, too, by `itemsage init` and `itemsage doctor`."""

from pathlib import Path

import pytest

from pipelines.init import job as init
from pipelines.operations.doctor.job import DoctorConfig, diagnose

TOLD = "ids in '{}' ({}) are written in several ways"


@pytest.fixture(autouse=True)
def files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A catalogue whose second part has pointed ids, and a log whose users have."""
    monkeypatch.chdir(tmp_path)
    Path("parts").mkdir()
    for part, ids in enumerate((["1", "2"], ["3.0", "4.0"])):
        rows = "".join(f"{one},Red mug {one}\n" for one in ids)
        Path(f"parts/{part}.csv").write_text(f"item_id,title\n{rows}")
    users = ["7.0", "8", "guest-9"]
    rows = "".join(f"2026-06-20T10:00:0{row},{user},home,{row + 1},click\n" for row, user in enumerate(users))
    Path("log.csv").write_text(f"timestamp,user_id,surface,item_id,action\n{rows}")


def test_init_tells_of_the_catalogue_and_of_the_log(capsys: pytest.CaptureFixture[str]) -> None:
    assert init.main(["--from", "ga4", "log.csv", "--catalog", "parts"]) == 0
    told = capsys.readouterr().out
    assert f"WARNING: {TOLD.format('item_id', 'item_id')}, 2 as '3.0', 2 as '1'" in told
    assert f"WARNING: {TOLD.format('user_id', 'user_id')}, 1 as '7.0'" in told


def test_init_is_silent_where_all_are_written_in_one_way(capsys: pytest.CaptureFixture[str]) -> None:
    assert init.main(["parts/0.csv"]) == 0
    assert "several ways" not in capsys.readouterr().out


def test_the_doctor_tells_of_parts_behind_the_first_and_of_the_log() -> None:
    found = diagnose(DoctorConfig(catalog="parts", engagements="log.csv"))
    warnings = [str(one) for finding in found for one in finding.warnings]
    assert sum(TOLD.format("item_id", "item_id") in one for one in warnings) == 1
    assert sum(TOLD.format("user_id", "user_id") in one for one in warnings) == 1


def test_the_doctor_is_silent_where_the_mapping_says_what_they_are() -> None:
    columns = {"item_id": {"source": "item_id", "whole": True}}
    found = diagnose(DoctorConfig(catalog="parts", columns=columns))
    assert not any("several ways" in str(one) for finding in found for one in finding.warnings)
