"""The demo's evening on a stack of its own: planned after the evening before, with a drop to be seen; Ctrl-C leaves nothing behind."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import orjson

from tests.servers import wait_until
from tests.workers import ROOT

PROGRAM = """
import asyncio, sys
from pathlib import Path
from deploy import evening
from deploy.cli.demo import open_evening
from deploy.settings import load_settings
evening._EVENTS, evening._USERS = 4_000, 1_500
print("ended by", asyncio.run(open_evening(Path(sys.argv[1]), 1, 5_000.0, load_settings())), flush=True)
"""


def rflow(data: Path, *arguments: str) -> dict[str, object]:
    command = [sys.executable, "-m", "deploy", *arguments, "--data", str(data), "--json"]
    done = subprocess.run(command, cwd=ROOT, env=_environment(), capture_output=True, timeout=120)
    assert done.returncode == 0, done.stderr
    found: dict[str, object] = orjson.loads(done.stdout)
    return found


def _environment() -> dict[str, str]:
    own = {name: value for name, value in os.environ.items() if not name.startswith("RFLOW_")}
    return {**own, "RFLOW_WARROOM_PORT": "0", "COLUMNS": "250"}


def test_the_evening_goes_by_and_can_be_planned_anew(tmp_path: Path) -> None:
    data, log = tmp_path / "evening", tmp_path / "log"
    with log.open("wb") as file:
        command = [sys.executable, "-c", PROGRAM, str(data)]
        process = subprocess.Popen(command, cwd=ROOT, env=_environment(), stdout=file, stderr=subprocess.STDOUT, start_new_session=True)
    try:
        wait_until(lambda: process.poll() is not None or b"The evening is over" in log.read_bytes(), "the evening", 150)
        assert process.poll() is None, log.read_text()
        # What is due goes by the minute that the figures have come to, which is behind the evening while the machine is busy.
        wait_until(lambda: rflow(data, "promotion", "show", "acme-tonight")["share_due"] == 1, "the figures of the last minute", 30)
        stands = rflow(data, "promotion", "show", "acme-tonight")
        gmv = stands["gmv"]
        assert isinstance(gmv, dict)
        assert gmv["actual"] > 0
        changed = rflow(data, "promotion", "adjust", "acme-tonight", "--set", "R3/headcount=x0.8", "--because", "fewer joined")
        made = changed["promotion"]
        assert isinstance(made, dict)
        # the next minute is one of the evening's own time, and not of the wall clock
        assert made["effective_from"][:10] <= str(stands["at"])[:10]
        assert "rflow report acme-tonight" in log.read_text()
        os.killpg(process.pid, signal.SIGINT)
        assert process.wait(30) == 0
        assert b"ended by" in log.read_bytes()
        assert not list((data / "run").glob("*.pid"))
    finally:
        if process.poll() is None:
            process.kill()
        process.wait()
