"""The network between hosts breaks and heals, and nothing is lost or counted twice."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import orjson
import pytest

from tests.network.hosts import inside, lacking
from tests.workers import ROOT

WHY_NOT = lacking()
SECONDS = 400


@pytest.mark.skipif(WHY_NOT is not None, reason=str(WHY_NOT))
def test_hosts_that_are_cut_off_and_come_back_change_no_figure(tmp_path: Path) -> None:
    command = inside(sys.executable, "-m", "tests.network.day", str(tmp_path))
    day = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=SECONDS, check=False)
    assert day.returncode == 0, day.stderr[-4000:]
    told = orjson.loads(day.stdout.splitlines()[-1])
    assert told["records"] > 0
    assert set(told["moved_again_after_s"]) == {"worker1", "broker1", "redis2", "clickhouse"}
