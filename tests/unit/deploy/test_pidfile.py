"""Nothing is killed that is not ours."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from deploy.stack.pidfile import kill_leftover, owner, pid_path, read_pid, write_pid


@pytest.fixture
def data(tmp_path: Path) -> Path:
    (tmp_path / "data" / "redis").mkdir(parents=True)
    return tmp_path / "data"


@pytest.fixture
def leftover(data: Path) -> Iterator[subprocess.Popen[bytes]]:
    """A process at home in the data folder, as a supervisor would leave it behind."""
    with subprocess.Popen(["sleep", "100"], cwd=data / "redis") as process:
        yield process
        process.kill()


def test_a_leftover_is_recognised_and_killed(data: Path, leftover: subprocess.Popen[bytes]) -> None:
    path = pid_path(data, "redis", 1)
    write_pid(path, leftover.pid)
    assert path.read_text() == f"{leftover.pid}\n"
    assert owner(path, data) == leftover.pid
    assert kill_leftover(path, data) == leftover.pid
    assert leftover.wait(5) == -9
    assert not path.exists()


def test_a_process_that_has_the_number_by_chance_is_left_alone(data: Path, leftover: subprocess.Popen[bytes]) -> None:
    path = pid_path(data, "redis", 1)
    write_pid(path, leftover.pid)
    long_ago = path.stat().st_mtime - 3600
    os.utime(path, (long_ago, long_ago))
    assert kill_leftover(path, data) is None
    assert leftover.poll() is None
    assert not path.exists()


def test_a_process_that_lives_elsewhere_is_left_alone(data: Path, tmp_path: Path) -> None:
    path = pid_path(data, "redis", 1)
    with subprocess.Popen(["sleep", "100"], cwd=tmp_path) as stranger:
        write_pid(path, stranger.pid)
        assert kill_leftover(path, data) is None
        assert stranger.poll() is None
        stranger.kill()


def test_a_dead_process_and_no_file_at_all(data: Path, leftover: subprocess.Popen[bytes]) -> None:
    path = pid_path(data, "redis", 1)
    assert kill_leftover(path, data) is None
    write_pid(path, leftover.pid)
    leftover.kill()  # a zombie now: nobody has waited for it
    os.waitid(os.P_PID, leftover.pid, os.WEXITED | os.WNOWAIT)
    assert owner(path, data) is None


def test_what_is_no_number_is_no_pid(data: Path) -> None:
    path = pid_path(data, "redis", 1)
    path.parent.mkdir()
    path.write_text("")
    assert read_pid(path) is None
    assert owner(path, data) is None
