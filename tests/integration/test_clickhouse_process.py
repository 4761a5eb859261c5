"""The embedded ClickHouse as a process: what it keeps when it is killed, how it refuses to start, how it stops."""

from __future__ import annotations

import http.client
import socket
import subprocess
import threading
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from tests.integration.clickhouse_endpoint import Endpoint, create_events, events, insert


@pytest.fixture
def own(tmp_path: Path) -> Iterator[Endpoint]:
    endpoint = Endpoint(tmp_path)
    yield endpoint
    if endpoint.process is not None and endpoint.process.poll() is None:
        endpoint.kill()


def test_what_was_acknowledged_outlives_kill(own: Endpoint) -> None:
    own.start()
    with own.client() as client:
        client.command("CREATE DATABASE acme")
    with own.client(database="acme") as client:
        create_events(client)
        for number in range(20):
            insert(client, events(100, seed=number))
    own.kill()
    own.start()
    with own.client(database="acme") as client:
        assert client.command("SELECT count() FROM events") == 2000


def test_a_second_process_on_the_folder_is_refused(own: Endpoint) -> None:
    own.start()
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        port = str(listener.getsockname()[1])
    command = [*own.command()[:-1], port]
    second = subprocess.run(command, capture_output=True, text=True, timeout=30, check=False)
    assert second.returncode == 1
    assert second.stderr.count("\n") == 1
    assert own.process is not None
    assert f"in use by process {own.process.pid}" in second.stderr
    assert own.post("SELECT 1")[1] == b"1\n"


def test_a_taken_port_is_told_in_a_line(own: Endpoint, tmp_path: Path) -> None:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", own.port))
        listener.listen()
        refused = subprocess.run(own.command(), capture_output=True, text=True, timeout=30, check=False)
    assert refused.returncode == 1
    assert refused.stderr.count("\n") == 1
    assert "cannot be bound" in refused.stderr


def test_a_folder_that_the_engine_misreads_is_refused(own: Endpoint) -> None:
    own.data = own.data / "what?"
    refused = subprocess.run(own.command(), capture_output=True, text=True, timeout=30, check=False)
    assert refused.returncode == 1
    assert refused.stderr.count("\n") == 1
    assert "pattern" in refused.stderr


def test_stops_after_what_runs(own: Endpoint) -> None:
    own.start()
    assert own.pid_file.read_text().strip() == str(own.process.pid if own.process else 0)
    answers: list[tuple[int, bytes]] = []
    running = threading.Thread(target=lambda: answers.append(own.post("SELECT sleep(2) + 5")))
    running.start()
    time.sleep(0.5)
    status, seconds = own.stop()
    running.join()
    assert answers == [(200, b"5\n")]
    assert status == 0
    assert seconds < 8
    assert not own.pid_file.exists()


def test_stops_in_time_when_a_query_would_run_on(own: Endpoint) -> None:
    own.start()

    def run() -> None:
        with suppress(OSError, http.client.HTTPException):
            own.post("SELECT sum(cityHash64(number)) FROM numbers(1000000000000)")

    running = threading.Thread(target=run)
    running.start()
    time.sleep(0.5)
    status, seconds = own.stop()
    running.join()
    assert status == 0
    assert seconds < 10


def test_memory_has_a_cap(own: Endpoint) -> None:
    own.start("--memory-mib", "512")
    status, body = own.post("SELECT length(arraySort(groupArray(number))) FROM numbers(100000000)")
    assert status == 500
    assert b"MEMORY_LIMIT_EXCEEDED" in body
    assert own.post("SELECT 1")[1] == b"1\n"


def test_a_folder_may_have_any_name(tmp_path: Path) -> None:
    folder = tmp_path / "a b&c=é%20#'"
    folder.mkdir()
    endpoint = Endpoint(folder)
    endpoint.start()
    try:
        endpoint.post("CREATE TABLE t (x Int8) ENGINE = MergeTree ORDER BY x")
        endpoint.post("INSERT INTO t VALUES (1)")
    finally:
        endpoint.kill()
    endpoint.start()
    try:
        assert endpoint.post("SELECT * FROM t")[1] == b"1\n"
        assert [path.name for path in tmp_path.iterdir()] == [folder.name]
    finally:
        endpoint.stop()
