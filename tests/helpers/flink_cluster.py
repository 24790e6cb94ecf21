"""A Flink cluster on this machine: a job manager, a task manager of two slots, Beam's job server, a pool of workers.

Everything listens to the loopback interface, but for the worker pool, which knows no other than all of them.
"""

import json
import os
import sys
import urllib.request
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import engine_downloads
from engine_processes import EngineProcesses, is_listening
from python_process import ENVIRONMENT

SLOTS = 2
#: Memory of the task manager by part; Flink's scripts would work these out. 64 MiB of network memory are too few.
_TASK_MANAGER_MIB = {
    "framework.heap.size": 128,
    "task.heap.size": 384,
    "framework.off-heap.size": 128,
    "task.off-heap.size": 0,
    "network.min": 256,
    "network.max": 256,
    "managed.size": 128,
    "jvm-metaspace.size": 384,
    "jvm-overhead.min": 192,
    "jvm-overhead.max": 192,
}
_JOB_MANAGER_HEAP_MIB, _JOB_SERVER_HEAP_MIB = 512, 512
#: What Flink 1.19 does that Java 17 does not allow unasked, as in the configuration that it is shipped with.
_EXPORTS = (
    *("java.base/sun.net.util", "java.rmi/sun.rmi.registry", "java.security.jgss/sun.security.krb5"),
    *(f"jdk.compiler/com.sun.tools.javac.{name}" for name in ("api", "file", "parser", "tree", "util")),
)
_OPENS = (
    *("java.lang", "java.lang.reflect", "java.net", "java.io", "java.nio", "sun.nio.ch", "java.text", "java.time"),
    *("java.util", "java.util.concurrent", "java.util.concurrent.atomic", "java.util.concurrent.locks"),
)
_LOG4J = """
rootLogger.level = WARN
rootLogger.appenderRef.console.ref = console
appender.console.name = console
appender.console.type = CONSOLE
appender.console.layout.type = PatternLayout
appender.console.layout.pattern = %d{HH:mm:ss} %-5p %c{1} %m%n
"""


@dataclass(frozen=True)
class FlinkCluster:
    """A cluster that is running. flags: what sends a job there."""

    flags: list[str]
    rest_port: int

    def num_finished_jobs(self) -> int:
        """How many jobs have come to a good end there."""
        jobs = _ask(self.rest_port, "jobs/overview")["jobs"]
        return sum(job["state"] == "FINISHED" for job in jobs)


def start_flink(processes: EngineProcesses, folder: Path) -> FlinkCluster:
    """Starts all of it and waits until it can take jobs."""
    java, flink, job_server = engine_downloads.java(), engine_downloads.flink(), engine_downloads.job_server()
    names = ("rest", "rpc", "blobs", "task_rpc", "task_data", "job", "artifacts", "expansion", "workers")
    port = dict(zip(names, processes.free_ports(len(names)), strict=True))
    configuration = _write_configuration(folder / "conf", folder / "tmp", port)
    logging = f"-Dlog4j.configurationFile={configuration / 'log4j.properties'}"
    manager = [java, *_java_17_options(), logging, "-cp", f"{flink}/*"]
    entry_points = "org.apache.flink.runtime"
    heap_mib = _TASK_MANAGER_MIB["framework.heap.size"] + _TASK_MANAGER_MIB["task.heap.size"]
    direct_mib = sum(_TASK_MANAGER_MIB[name] for name in ("framework.off-heap.size", "network.max"))
    processes.start(
        "job-manager",
        *_with_heap(manager, _JOB_MANAGER_HEAP_MIB),
        f"{entry_points}.entrypoint.StandaloneSessionClusterEntrypoint",
        f"--configDir={configuration}",
    )
    processes.start(
        "task-manager",
        *_with_heap(manager, heap_mib, f"-XX:MaxDirectMemorySize={direct_mib}m"),
        f"{entry_points}.taskexecutor.TaskManagerRunner",
        f"--configDir={configuration}",
    )
    processes.start(
        "job-server",
        *_with_heap([java, "-cp", f"{job_server}/*"], _JOB_SERVER_HEAP_MIB),
        "org.apache.beam.runners.flink.FlinkJobServerDriver",
        f"--flink-master=localhost:{port['rest']}",
        *("--job-host=localhost", f"--job-port={port['job']}", f"--artifact-port={port['artifacts']}"),
        *(f"--expansion-port={port['expansion']}", f"--artifacts-dir={folder / 'artifacts'}"),
    )
    # it starts `python` from PATH, which must be this one
    path = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])
    pool = (sys.executable, "-m", "apache_beam.runners.worker.worker_pool_main")
    processes.start("workers", *pool, f"--service_port={port['workers']}", environment={**ENVIRONMENT, "PATH": path})

    processes.wait_until("a task manager with its slots", lambda: _num_slots(port["rest"]) == SLOTS)
    for name in ("job", "artifacts", "workers"):
        processes.wait_until(f"the {name} port answers", lambda name=name: is_listening(port[name]))
    flags = [
        "--runner=PortableRunner",
        f"--job_endpoint=localhost:{port['job']}",
        "--environment_type=EXTERNAL",
        f"--environment_config=localhost:{port['workers']}",
        f"--parallelism={SLOTS}",
    ]
    return FlinkCluster(flags, port["rest"])


def _write_configuration(folder: Path, scratch: Path, port: dict[str, int]) -> Path:
    """Flink's folder of configuration files, JSON in YAML: one file for both managers."""
    folder.mkdir(parents=True)
    scratch.mkdir()
    here = "localhost"
    settings = {
        "jobmanager.rpc.address": here,
        "jobmanager.rpc.port": port["rpc"],
        "jobmanager.bind-host": here,
        "rest.address": here,
        "rest.bind-address": here,
        "rest.port": port["rest"],
        "blob.server.port": str(port["blobs"]),
        "taskmanager.host": here,
        "taskmanager.bind-host": here,
        "taskmanager.rpc.port": str(port["task_rpc"]),
        "taskmanager.data.port": port["task_data"],
        "taskmanager.resource-id": "task-manager",
        "taskmanager.cpu.cores": SLOTS,
        "taskmanager.numberOfTaskSlots": SLOTS,
        "io.tmp.dirs": str(scratch),
        **{f"taskmanager.memory.{name}": f"{mib}m" for name, mib in _TASK_MANAGER_MIB.items()},
    }
    (folder / "config.yaml").write_text("".join(f"{name}: {json.dumps(value)}\n" for name, value in settings.items()))
    (folder / "log4j.properties").write_text(_LOG4J)
    return folder


def _java_17_options() -> list[str]:
    exported = [f"--add-exports={name}=ALL-UNNAMED" for name in _EXPORTS]
    return [*exported, *(f"--add-opens=java.base/{name}=ALL-UNNAMED" for name in _OPENS)]


def _with_heap(program: list[str], heap_mib: int, *options: str) -> list[str]:
    """A Java command with its options after the name of the program."""
    metaspace_mib = _TASK_MANAGER_MIB["jvm-metaspace.size"]
    return [program[0], f"-Xmx{heap_mib}m", f"-XX:MaxMetaspaceSize={metaspace_mib}m", *options, *program[1:]]


def _num_slots(rest_port: int) -> int:
    """The slots that the job manager knows of; 0 while it does not answer."""
    try:
        return sum(manager["slotsNumber"] for manager in _ask(rest_port, "taskmanagers")["taskmanagers"])
    except OSError:
        return 0


def _ask(rest_port: int, what: str) -> Any:
    """What the job manager answers. Raises OSError."""
    with urllib.request.urlopen(f"http://localhost:{rest_port}/{what}", timeout=5) as answer:
        return json.load(answer)
