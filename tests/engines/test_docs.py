"""The commands of the documentation are those that the make targets run: no flag or program of another spelling."""

import re

import pytest
from python_process import ROOT

TRIED = ("helpers/engine_day.py", "helpers/engine_downloads.py", "helpers/flink_cluster.py", "engines/test_prism.py")
#: In the documentation of the local runner, whose own tests try them.
LOCAL = {"--direct_num_workers", "--direct_running_mode", "--run"}
_COMMANDS = re.compile(r"^```\n((?:mvn|PATH|GOBIN|itemsage).*?)^```", re.MULTILINE | re.DOTALL)
_FLAG_OR_PROGRAM = re.compile(r"(?<=\s)--?[A-Za-z][\w-]*|[\w.]+\.[A-Z]\w+|apache_beam[\w.]+|dependency:[\w-]+")


@pytest.mark.parametrize("name", ["flink.md", "other-runners.md"])
def test_every_flag_and_program_is_one_that_a_target_uses(name: str) -> None:
    commands = " ".join(_COMMANDS.findall((ROOT / "docs" / name).read_text()))
    words = set(_FLAG_OR_PROGRAM.findall(commands)) - LOCAL
    assert len(words) > 6
    tried = "".join((ROOT / "tests" / file).read_text() for file in TRIED)
    assert {word for word in words if word not in tried} == set()


def test_the_versions_are_those_that_are_fetched() -> None:
    flink, others = ((ROOT / "docs" / name).read_text() for name in ("flink.md", "other-runners.md"))
    downloads = (ROOT / "tests/helpers/engine_downloads.py").read_text()
    version_of = dict(re.findall(r'^(\w+)_VERSION = "(.+)"$', downloads, re.MULTILINE))
    assert f"Flink {version_of['FLINK']} and Beam's job server {version_of['JOB_SERVER']}" in flink
    assert others.count(version_of["PRISM"]) == 3
