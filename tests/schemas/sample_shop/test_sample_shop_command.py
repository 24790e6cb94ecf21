"""`itemsage sample-shop` through its main: exit codes and the summary."""

from pathlib import Path

import pyarrow.parquet as pq
import pytest

from pipelines.sample_shop import main
from schemas.sample_shop import finished_shop

pytestmark = pytest.mark.medium


def test_writes_a_shop_and_prints_a_summary(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    assert main([str(tmp_path / "shop"), "--items", "12", "--seed", "1", "--end-date", "2026-01-31"]) == 0
    assert "items 12" in capsys.readouterr().out
    truth = pq.read_table(tmp_path / "shop" / "truth.parquet")
    assert truth.num_rows == 12
    assert "2026-01-31" in (tmp_path / "shop" / "README.md").read_text()


def test_a_config_file_gives_any_flag_and_the_folder(tmp_path: Path):
    (tmp_path / "c.toml").write_text(f'out = "{tmp_path}/shop"\n[sample-shop]\nitems = 11\nseed = 1\n')
    assert main(["--config", str(tmp_path / "c.toml"), "--seed", "2"]) == 0
    assert finished_shop(tmp_path / "shop") == {"items": 11, "seed": 2, "end_date": "2026-06-30"}
    assert main(["--items", "11"]) == 2


@pytest.mark.parametrize(
    ("flags", "message"), [(["--items", "3"], "at least 10 items, got 3"), (["--end-date", "June"], "YYYY-MM-DD")]
)
def test_a_wrong_call_exits_2_and_says_why(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], flags: list[str], message: str
):
    assert main([str(tmp_path / "shop"), *flags]) == 2
    assert message in capsys.readouterr().err
