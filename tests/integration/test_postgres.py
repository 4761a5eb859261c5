"""The example that keeps its list in a database, with PostgreSQL: positions move in the transaction of the results, or neither does.

Needs PostgreSQL and its driver psycopg, which are no prerequisites of the suite: without them it is skipped. With SQLite the same example
is part of `test_subscribers.py`.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from tests.integration.transition_log import Log
from tests.servers import wait_until
from tests.workers import ROOT

psycopg = pytest.importorskip("psycopg", reason="psycopg is not installed")


def program(name: str) -> str | None:
    """A program of PostgreSQL's; Debian keeps them off the PATH."""
    debian = sorted(Path("/usr/lib/postgresql").glob(f"*/bin/{name}"))
    return shutil.which(name) or (str(debian[-1]) if debian else None)


@pytest.fixture(scope="module")
def postgres() -> Iterator[str]:
    """The URL of a server of its own, on a socket in its folder."""
    initdb, server = program("initdb"), program("postgres")
    if initdb is None or server is None:
        pytest.skip("PostgreSQL is not installed")
    other: dict[str, Any] = {"user": "postgres"} if os.geteuid() == 0 else {}  # it refuses to run as root
    with tempfile.TemporaryDirectory(prefix="pg") as folder:
        if other:
            shutil.chown(folder, **other)
        quiet: dict[str, Any] = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL, "cwd": folder, **other}
        subprocess.run([initdb, "-D", f"{folder}/data", "-A", "trust", "-U", "postgres", "--no-sync"], check=True, timeout=120, **quiet)
        process = subprocess.Popen([server, "-D", f"{folder}/data", "-k", folder, "-c", "listen_addresses="], **quiet)
        try:
            url = f"postgresql://postgres@/postgres?host={folder}"
            wait_until(lambda: rows(url, "SELECT 1"), "PostgreSQL to answer", 60)
            yield url
        finally:
            process.terminate()
            process.wait(20)


def rows(url: str, query: str) -> list[Any]:
    with suppress(psycopg.OperationalError, psycopg.errors.UndefinedTable), psycopg.connect(url) as database:
        return list(database.execute(query).fetchall())
    return []


def test_each_purchase_counts_once_whoever_is_killed_and_however_many_follow(kafka: str, topic_prefix: str, postgres: str) -> None:
    log = Log(kafka, f"{topic_prefix}transitions")
    command = [sys.executable, str(ROOT / "examples/helper/just_bought.py"), "--database", postgres, "--topic", log.topic]
    command += ["--bootstrap", kafka]
    quiet: dict[str, Any] = {"cwd": ROOT, "stderr": subprocess.PIPE, "text": True}
    told = Counter[int]()

    def tell(*versions: int) -> None:
        for shard in (0, 1):
            log.tell(shard, *versions)
            told[shard] += sum(version % 3 == 2 for version in versions if version > max(seen, default=0))

    seen: list[int] = []
    first = subprocess.Popen(command, **quiet)
    tell(*range(1, 60))
    seen += range(1, 60)
    wait_until(lambda: rows(postgres, "SELECT 1 FROM adverts"), "a first purchase", 60)
    first.kill()
    first.communicate()
    tell(*range(40, 100))  # a worker was killed, too
    seen += range(60, 100)

    # Two at once: whoever is second to store a batch ends, and has changed nothing.
    both = [subprocess.Popen([*command, "--stop-after", "5"], **quiet) for _ in range(2)]
    for version in range(100, 130):
        tell(version)
        seen.append(version)
        time.sleep(0.02)
    ended = [(one.communicate(timeout=60)[1], one.returncode) for one in both]
    assert sorted(code for _, code in ended) == [0, 1], ended
    assert any("another process follows under the same name" in said for said, _ in ended)
    ((purchases,),) = rows(postgres, "SELECT sum(purchases) FROM adverts")
    assert purchases == told.total()
