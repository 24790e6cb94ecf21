"""What docs/scheduling has for cron, systemd and Airflow: the commands run, the units and the DAG checked."""

import ast
import dataclasses
import datetime as dt
import fcntl
import os
import re
import shutil
import subprocess
from pathlib import Path

import pytest
from python_process import ROOT

from pipelines.console.jobs import parse
from pipelines.daily import job as daily
from pipelines.daily.config import DailyConfig

FOLDER = ROOT / "docs" / "scheduling"
CONFIG = """
catalog = "/srv/shop/catalog/{date}.parquet"
image_root = "/srv/shop/images"
store = "/srv/shop/store"
time_zone = "Europe/Berlin"
"""


@pytest.fixture
def shop(tmp_path) -> Path:
    """A place for /srv/shop, and in bin/ an `itemsage` that notes how it is called and ends with $CODE."""
    (tmp_path / "shop.toml").write_text(CONFIG)
    program = tmp_path / "bin" / "itemsage"
    program.parent.mkdir()
    program.write_text(f'#!/bin/sh\nprintf "%s\\n" "$@" >{tmp_path}/argv\nexit "${{CODE:-0}}"\n')
    program.chmod(0o755)
    return tmp_path


def run_line(line: str, shop: Path, code: int = 0) -> subprocess.CompletedProcess[str]:
    """What a shell makes of a command, with the shop's places."""
    return subprocess.run(
        ["/bin/sh", "-c", line.replace("/srv/shop", str(shop))],
        env={"PATH": f"{shop / 'bin'}:/usr/local/bin:/usr/bin:/bin", "CODE": str(code)},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def check_call(shop: Path) -> None:
    """The program was called as daily of yesterday, with flags that there are."""
    command, *argv = (shop / "argv").read_text().splitlines()
    assert command == "daily"
    config, _ = parse(DailyConfig, argv, "itemsage daily", "")
    today = dt.date.today()  # of the machine's clock, as `date` has it
    assert dt.date.fromisoformat(config.date) in (today - dt.timedelta(days=1), today - dt.timedelta(days=2))
    assert config.catalog == f"/srv/shop/catalog/{config.date}.parquet"


def cron_line() -> tuple[dict[str, str], list[str], str, str]:
    """(settings, the five fields of the time, user, command as the shell gets it) of the one job."""
    lines = [line for line in (FOLDER / "itemsage.crontab").read_text().splitlines() if not line.startswith("#")]
    settings = dict(line.split("=", 1) for line in lines[:-1])
    *fields, user, command = lines[-1].split(None, 6)
    assert not re.search(r"(?<!\\)%", command)  # cron ends the command there
    return settings, fields, user, command.replace("\\%", "%")


def test_the_time_of_the_cron_line_is_one_a_day():
    settings, fields, user, _ = cron_line()
    assert settings.keys() == {"SHELL", "PATH", "MAILTO"}
    assert user == "itemsage"
    assert 0 <= int(fields[0]) < 60
    assert 0 <= int(fields[1]) < 24
    assert fields[2:] == ["*", "*", "*"]


def test_cron_runs_yesterday_and_has_nothing_to_mail(shop):
    done = run_line(cron_line()[3], shop)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    check_call(shop)


@pytest.mark.parametrize("code", [1, 2, 3])
def test_cron_mails_the_exit_code(shop, code):
    assert f"exit code {code}," in run_line(cron_line()[3], shop, code).stdout


def test_cron_does_not_start_a_second_one(shop):
    with open(shop / "daily.lock", "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        assert "exit code 75," in run_line(cron_line()[3], shop).stdout
    assert not (shop / "argv").exists()


def test_systemd_runs_yesterday(shop):
    text = (FOLDER / "itemsage-daily.service").read_text()
    (start,) = re.findall(r"^ExecStart=/bin/sh -c '(.*)'$", text, re.MULTILINE)
    assert not re.search(r"(?<!\$)\$(?!\$)|(?<!%)%(?!%)", start.replace("$$", "").replace("%%", ""))
    run_line(start.replace("$$", "$").replace("%%", "%"), shop)
    check_call(shop)


def test_systemd_tries_a_fault_again_and_nothing_else():
    text = (FOLDER / "itemsage-daily.service").read_text()
    assert "\nRestart=on-failure\n" in text
    assert "\nRestartPreventExitStatus=2 3\n" in text


@pytest.mark.parametrize("unit", ["itemsage-daily.service", "itemsage-daily.timer", "itemsage-failed@itemsage.service"])
def test_systemd_takes_the_units(unit, tmp_path):
    if shutil.which("systemd-analyze") is None:
        pytest.skip("SYSTEMD MISSING: no systemd-analyze on this machine")
    for path in FOLDER.glob("itemsage-*"):
        shutil.copy(path, tmp_path)
    if "@" in unit:
        shutil.copy(FOLDER / "itemsage-failed@.service", tmp_path / unit)
    environment = {**os.environ, "SYSTEMD_UNIT_PATH": f"{tmp_path}:"}
    done = subprocess.run(
        ["systemd-analyze", "verify", "--man=no", str(tmp_path / unit)],
        env=environment,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, "")


def dag_arguments(called: str) -> dict[str, ast.expr]:
    """The arguments by name of the one call of `called` in the DAG, which only Airflow can import."""
    tree = ast.parse((FOLDER / "itemsage_day.py").read_text())
    calls = [node for node in ast.walk(tree) if isinstance(node, ast.Call)]
    (call,) = [node for node in calls if isinstance(node.func, ast.Name) and node.func.id == called]
    return {str(keyword.arg): keyword.value for keyword in call.keywords}


def test_the_dag_runs_daily_of_yesterday_once_a_day():
    schedule = dag_arguments("DAG")["schedule"]
    assert ast.unparse(schedule) == "CronDataIntervalTimetable('0 4 * * *', timezone='Europe/Berlin')"
    task = dag_arguments("ItemsageOperator")
    module = ast.literal_eval(task["py_file"])
    assert (ast.literal_eval(task["py_options"]), module) == (["-m"], daily.main.__module__.removesuffix(".job"))
    options = task["pipeline_options"]
    assert isinstance(options, ast.Dict)
    given = {ast.literal_eval(key): value for key, value in zip(options.keys, options.values, strict=True) if key}
    assert given.keys() - {"config"} <= {field.name for field in dataclasses.fields(DailyConfig)}
    assert "config" in given
    assert ast.literal_eval(given["date"]) == "{{ ds }}"


def test_the_page_names_every_file():
    page = (FOLDER / "README.md").read_text()
    assert set(re.findall(r"\]\(([^)]+)\)", page)) == {path.name for path in FOLDER.iterdir()} - {
        "README.md",
        "__pycache__",
    }
