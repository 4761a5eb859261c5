"""Pid files: `run/ROLE-N.pid` in the data folder holds the process id and nothing else.

A pid file can outlive its process, and the number can be given to a stranger. So nothing is killed by number alone: the process
must have been started when the file was written, and must be at home in the data folder (every process of the stack runs in it).
"""

from __future__ import annotations

import os
import signal
import time
from pathlib import Path

from deploy.stack.files import write_whole

_TOLERANCE = 10.0
"""Seconds between a process's start and its pid file; boot time is known to the second only, and clocks are slewed."""


def pid_path(data: Path, role: str, number: int) -> Path:
    """Where the pid of a role's process is written."""
    return data / "run" / f"{role}-{number}.pid"


def write_pid(path: Path, pid: int) -> None:
    """Record a process that has just been started."""
    write_whole(path, f"{pid}\n")


def read_pid(path: Path) -> int | None:
    """The recorded process id, or None if there is none."""
    try:
        return int(path.read_text())
    except (FileNotFoundError, ValueError):
        return None


def owner(path: Path, data: Path) -> int | None:
    """The id of the living process that the pid file was written for, or None.

    Without /proc (not Linux) nothing can be proven: None.
    """
    pid = read_pid(path)
    if pid is None:
        return None
    try:
        home = Path(f"/proc/{pid}/cwd").readlink()
        started = _started_at(pid)
        written = path.stat().st_mtime
    except OSError:
        return None
    at_home = home.is_relative_to(data.resolve())
    return pid if at_home and abs(started - written) < _TOLERANCE else None


def kill_leftover(path: Path, data: Path) -> int | None:
    """Kill what an earlier supervisor left behind under this pid file, wait until it is gone, remove the file.

    Returns the id of the process that was killed, or None if there was nothing to kill. Blocks for at most two seconds.
    """
    pid = owner(path, data)
    if pid is not None:
        os.kill(pid, signal.SIGKILL)
        for _ in range(200):
            if owner(path, data) is None:
                break
            time.sleep(0.01)
    path.unlink(missing_ok=True)
    return pid


def _started_at(pid: int) -> float:
    """When a process was started, in seconds since the epoch."""
    # The second field, the program's name, may hold blanks and brackets: count from the last bracket on.
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    if fields[0] in "ZX":
        raise ProcessLookupError(pid)
    ticks = int(fields[19])
    boot = next(int(line.split()[1]) for line in Path("/proc/stat").read_text().splitlines() if line.startswith("btime"))
    return boot + ticks / os.sysconf("SC_CLK_TCK")
