"""`rflow warroom` as an operator runs it: it refuses what is unsafe, serves, keeps the contract that its document states, and stops."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import orjson
import pytest

from deploy.stack.ports import free_port
from tests.integration.warroom_world import BRAND, DATABASE, Day
from tests.servers import wait_until
from tests.workers import ROOT
from warroom.web.endpoints import API

PASSWORD = "correct horse battery"


def environment(day: Day | None, **given: Any) -> dict[str, str]:
    found = {name: value for name, value in os.environ.items() if not name.startswith("RFLOW_")}
    if day is not None:
        settings = day.deployment.settings
        given = {
            "kafka_bootstrap": day.deployment.bootstrap,
            "redis_url": settings.redis_url.get_secret_value(),
            "redis_prefix": settings.redis_prefix,
            "topic_prefix": settings.topic_prefix,
            "clickhouse_url": day.clickhouse.url,
            "clickhouse_database": DATABASE,
            "warroom_rate": 100_000,
            **given,
        }
    return found | {f"RFLOW_{name.upper()}": str(value) for name, value in given.items()}


def rflow(*arguments: object, stdin: str = "", **given: Any) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "deploy", *map(str, arguments)]
    return subprocess.run(command, cwd=ROOT, env=environment(None, **given), input=stdin, capture_output=True, text=True, timeout=180)


def get(url: str, token: str = "") -> tuple[int, dict[str, str], bytes]:
    request = urllib.request.Request(url, headers={"Authorization": f"Bearer {token}"} if token else {})
    try:
        with urllib.request.urlopen(request, timeout=20) as answer:
            return answer.status, {name.lower(): value for name, value in answer.headers.items()}, answer.read()
    except urllib.error.HTTPError as error:
        return error.code, {name.lower(): value for name, value in error.headers.items()}, error.read()


@contextmanager
def served(day: Day, log: Path, **given: Any) -> Iterator[tuple[str, subprocess.Popen[bytes]]]:
    """The war room as a process, and its address."""
    port, health = free_port(), free_port()
    with log.open("ab") as file:
        process = subprocess.Popen(
            [sys.executable, "-m", "deploy", "warroom"],
            cwd=ROOT,
            env=environment(day, warroom_port=port, http_port=health, **given),
            stdout=file,
            stderr=file,
        )
    try:
        wait_until(lambda: process.poll() is not None or _is_ready(health), "the war room", 60)
        assert process.poll() is None, log.read_text()
        yield f"http://127.0.0.1:{port}", process
    finally:
        if process.poll() is None:
            process.kill()
        process.wait()


def _is_ready(port: int) -> bool:
    try:
        return get(f"http://127.0.0.1:{port}/readyz")[0] == 200
    except OSError:
        return False


@pytest.fixture(scope="module")
def accounts(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, str]:
    """A file of accounts as the command makes it, and the token of an admin."""
    file = tmp_path_factory.mktemp("accounts") / "accounts.json"
    added = rflow("warroom", "user", "add", "ann", "--role", "viewer", stdin=f"{PASSWORD}\n", warroom_accounts=file)
    assert added.returncode == 0, added.stderr
    made = rflow("warroom", "token", "add", "tests", "--role", "admin", "--accounts", file)
    assert made.returncode == 0, made.stderr
    return file, made.stdout.strip()


def test_accounts_are_kept_by_the_command(accounts: tuple[Path, str]) -> None:
    file, token = accounts
    assert token.startswith("rflow_")
    assert token not in file.read_text()
    assert PASSWORD not in file.read_text()
    listed = orjson.loads(rflow("warroom", "user", "list", "--accounts", file, "--json").stdout)
    assert listed == [{"name": "ann", "role": "viewer", "brands": None}]
    short = rflow("warroom", "user", "add", "bob", "--role", "viewer", "--accounts", file, stdin="short\n")
    assert (short.returncode, "expected a password of 12 to 1024" in short.stderr) == (1, True)
    gone = rflow("warroom", "token", "remove", "nobody", "--accounts", file)
    assert (gone.returncode, "expected one of the tokens tests" in gone.stderr) == (1, True)
    audit = [orjson.loads(line) for line in file.with_name("accounts.json.audit.jsonl").read_bytes().splitlines()]
    assert [(entry["action"], entry["target"]) for entry in audit] == [("add user", "ann"), ("add token", "tests")]


def test_an_address_open_to_others_without_accounts_is_refused() -> None:
    refused = rflow("warroom", "--host", "0.0.0.0")
    assert refused.returncode == 2
    assert "warroom_host: 0.0.0.0 can be reached from elsewhere" in refused.stderr
    missing = rflow("warroom", "--host", "0.0.0.0", warroom_accounts="/nowhere/accounts.json")
    assert (missing.returncode, "expected a file of accounts" in missing.stderr) == (1, True)


def test_it_serves_streams_and_stops_when_told(day: Day, accounts: tuple[Path, str], tmp_path: Path) -> None:
    file, token = accounts
    with served(day, tmp_path / "log", warroom_accounts=file) as (url, process):
        assert get(f"{url}{API}/brands")[0] == 401
        assert orjson.loads(get(f"{url}{API}/brands", token)[2])["brands"][0] == BRAND
        request = urllib.request.Request(f"{url}{API}/brands/{BRAND}/live", headers={"Authorization": f"Bearer {token}"})
        with urllib.request.urlopen(request, timeout=30) as stream:
            assert stream.headers["content-type"].startswith("text/event-stream")
            assert stream.readline().startswith(b"event: ")
            began = time.monotonic()
            process.send_signal(signal.SIGTERM)
            assert process.wait(10) in (0, -signal.SIGTERM)
            assert time.monotonic() - began < 10


def test_the_contract_is_kept(day: Day, accounts: tuple[Path, str], tmp_path: Path) -> None:
    """Schemathesis against the document: no 5xx, nothing that it does not say. Streams never end, and snapshots of all users take
    their time: they have tests of their own."""
    file, token = accounts
    with served(day, tmp_path / "log", warroom_accounts=file) as (url, process):
        command = [
            *(sys.executable, "-m", "schemathesis.cli", "--config-file", str(ROOT / "tests" / "schemathesis.toml")),
            *("run", f"{url}{API}/openapi.json", "--header", f"Authorization: Bearer {token}", "--exclude-path-regex", "/(live|layers)$"),
            *("--phases", "examples,coverage,fuzzing", "--max-examples", "4", "--seed", "7", "--no-color", "--generation-deterministic"),
        ]
        run = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=900)
        assert process.poll() is None
    assert "Unresolvable" not in run.stdout
    assert run.returncode == 0, run.stdout[-12_000:] + run.stderr[-2_000:] + (tmp_path / "log").read_text()[-2_000:]
