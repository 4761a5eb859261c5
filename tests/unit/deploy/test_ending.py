"""A worker that is told to stop ends, whatever waits in it."""

from __future__ import annotations

import subprocess
import sys
import time

STUCK = """
import threading
from deploy.processes.worker import end_within
end_within({seconds}, "starting")
threading.Event().wait({waits})
"""


def run(seconds: float, waits: float) -> tuple[int, str, float]:
    began = time.monotonic()
    process = subprocess.run(
        [sys.executable, "-c", STUCK.format(seconds=seconds, waits=waits)], capture_output=True, text=True, timeout=60, check=False
    )
    return process.returncode, process.stdout + process.stderr, time.monotonic() - began


def test_one_that_does_not_end_is_ended_and_says_so() -> None:
    status, said, took = run(seconds=0.2, waits=60)
    assert status == 1
    assert "worker does not end" in said
    assert "starting" in said
    assert took < 40


def test_one_that_ends_in_time_is_left_alone() -> None:
    status, said, _ = run(seconds=30, waits=0)
    assert (status, said) == (0, "")
