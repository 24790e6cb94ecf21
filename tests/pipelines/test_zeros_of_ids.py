"""Ids that are there with and without leading zeros, as two items, are told of by `itemsage init` and the doctor."""

from pathlib import Path

import pytest

from pipelines.init import job as init
from pipelines.operations.doctor.job import DoctorConfig, diagnose

TOLD = "2 ids are there with other leading zeros, too, as items of their own, '007' beside '7'"


@pytest.fixture(autouse=True)
def files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A catalogue whose second part lost the zeros of its ids; the same without it."""
    monkeypatch.chdir(tmp_path)
    for folder, parts in (
        ("parts", (["007", "008", "0A7"], ["7", "8", "A7"])),
        ("alike", (["007", "010"], ["8", "x"])),
    ):
        Path(folder).mkdir()
        for part, ids in enumerate(parts):
            rows = "".join(f"{one},Red mug {one}\n" for one in ids)
            Path(f"{folder}/{part}.csv").write_text(f"item_id,title\n{rows}")


@pytest.mark.parametrize(("folder", "is_told"), [("parts", True), ("alike", False)])
def test_init_tells(capsys: pytest.CaptureFixture[str], folder: str, is_told: bool) -> None:
    assert init.main([folder]) == 0
    told = capsys.readouterr().out
    assert (f"WARNING: {TOLD}" in told, "zeros" in told) == (is_told, is_told)


@pytest.mark.parametrize("has_log", [True, False])
@pytest.mark.parametrize(("folder", "is_told"), [("parts", True), ("alike", False)])
def test_the_doctor_tells(folder: str, is_told: bool, has_log: bool) -> None:
    Path("log.csv").write_text("timestamp,user_id,surface,item_id,action\n2026-06-20T10:00:00,u,home,007,click\n")
    found = diagnose(DoctorConfig(catalog=folder, engagements="log.csv" if has_log else None))
    warnings = [str(one) for finding in found for one in finding.warnings]
    assert sum(TOLD in one for one in warnings) == sum("zeros" in one for one in warnings) == is_told
