"""What the machine is, what its processes use, and which core they may use. Linux only."""

from __future__ import annotations

import os
import platform
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.metadata import version
from pathlib import Path

from msgspec import Struct

from deploy.stack.kafka import VERSION as KAFKA_VERSION
from deploy.stack.redis import redis_program

ALL_CORES = tuple(sorted(os.sched_getaffinity(0))) if sys.platform == "linux" else (0,)
WORKER_CORE = ALL_CORES[0]
SERVER_CORE = ALL_CORES[-1]
_TICK_S = 1 / os.sysconf("SC_CLK_TCK")
_LOOPS = 3_000_000


class Machine(Struct, frozen=True, kw_only=True):
    """What the figures were measured on."""

    processor: str
    cores: int
    memory_gib: float
    system: str
    python: str
    kafka: str
    redis: str
    faust: str
    aiokafka: str
    librdkafka: str


def describe() -> Machine:
    """This machine and the versions that matter."""
    import confluent_kafka

    told = subprocess.run([redis_program(), "--version"], capture_output=True, text=True, check=False).stdout
    return Machine(
        processor=_field("/proc/cpuinfo", "model name") or platform.processor() or "unknown",
        cores=os.cpu_count() or 1,
        memory_gib=round(int((_field("/proc/meminfo", "MemTotal") or "0 kB").split()[0]) / 1024**2, 1),
        system=f"{platform.system()} {platform.release()}",
        python=platform.python_version(),
        kafka=KAFKA_VERSION,
        redis=next((word[2:] for word in told.split() if word.startswith("v=")), "unknown"),
        faust=version("faust-streaming"),
        aiokafka=version("aiokafka"),
        librdkafka=str(confluent_kafka.libversion()[0]),
    )


def missing() -> list[str]:
    """What this machine lacks for the measurements, each as a sentence."""
    lacks = []
    if sys.platform != "linux":
        lacks.append("expected Linux: CPU time and cores are read and set through /proc and sched_setaffinity")
    elif len(ALL_CORES) < 2:
        lacks.append("expected two cores: one for the worker, one for the servers")
    lacks += [f"expected {program} on the PATH" for program in ("java", "redis-server") if shutil.which(program) is None]
    return lacks


@contextmanager
def on_cores(*cores: int) -> Iterator[None]:
    """Inside, this thread, and every process it starts, may run on these cores alone."""
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, cores)
    try:
        yield
    finally:
        os.sched_setaffinity(0, before)


def fixed_loop(core: int = WORKER_CORE) -> float:
    """Seconds that a loop which never changes took on the core just now: how fast the machine is at this moment."""
    with on_cores(core):
        began = time.perf_counter()
        total = 0
        for i in range(_LOOPS):
            total += i & 7
        assert total > 0
        return time.perf_counter() - began


def cpu_seconds(pid: int) -> float:
    """CPU seconds, user and system, of all threads of a process since it began."""
    return _cpu(Path(f"/proc/{pid}/stat").read_text())[1]


def thread_seconds(pid: int) -> dict[str, float]:
    """CPU seconds of a process by what its threads are: `main`, `librdkafka`, `other`."""
    found = {"main": 0.0, "librdkafka": 0.0, "other": 0.0}
    for task in Path(f"/proc/{pid}/task").iterdir():
        try:
            name, seconds = _cpu((task / "stat").read_text())
        except FileNotFoundError:  # it has just ended
            continue
        found["main" if task.name == str(pid) else "librdkafka" if name.startswith("rdk:") else "other"] += seconds
    return found


def idle_seconds() -> float:
    """Seconds that the cores have been idle since the machine started, all cores together."""
    fields = Path("/proc/stat").read_text().splitlines()[0].split()
    return (int(fields[4]) + int(fields[5])) * _TICK_S


def _cpu(stat: str) -> tuple[str, float]:
    """The name and the CPU seconds in a line of `/proc/.../stat`; the name may hold anything, brackets included."""
    head, _, tail = stat.rpartition(")")
    fields = tail.split()
    return head.partition("(")[2], (int(fields[11]) + int(fields[12])) * _TICK_S


def _field(file: str, name: str) -> str | None:
    for line in Path(file).read_text().splitlines():
        key, _, value = line.partition(":")
        if key.strip() == name:
            return value.strip()
    return None
