"""The embedded ClickHouse endpoint as a process, and the tables its tests use."""

from __future__ import annotations

import http.client
import random
import signal
import socket
import subprocess
import sys
import time
import urllib.parse
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import clickhouse_connect
from clickhouse_connect.driver.client import Client

EVENTS = ["at", "channel", "guide", "amount", "delta", "tags"]
EVENT_TYPES = ["DateTime64(3, 'UTC')", "LowCardinality(String)", "Nullable(String)", "UInt64", "Int64", "Array(String)"]
WINDOW = "SETTINGS non_replicated_deduplication_window = 1000"


class Endpoint:
    """The endpoint as a process of its own."""

    def __init__(self, folder: Path) -> None:
        self.data = folder / "data"
        self.pid_file = folder / "run" / "clickhouse-1.pid"
        self.log = folder / "log"
        with socket.socket() as listener:
            listener.bind(("127.0.0.1", 0))
            self.port = int(listener.getsockname()[1])
        self.process: subprocess.Popen[bytes] | None = None

    def command(self, *options: str) -> list[str]:
        return [sys.executable, "-m", "deploy.stack.clickhouse", "--data", str(self.data), "--port", str(self.port), *options]

    def start(self, *options: str) -> None:
        """Start it and wait until it answers."""
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(self.command("--pid-file", str(self.pid_file), *options), stdout=log, stderr=log)
        until = time.monotonic() + 60
        while True:
            with suppress(OSError):
                assert self.get("/ping")[1] == b"Ok.\n"
                return
            assert self.process.poll() is None, self.log.read_text()
            assert time.monotonic() < until, "the endpoint does not answer"
            time.sleep(0.05)

    def kill(self) -> None:
        """End it without warning."""
        assert self.process is not None
        self.process.kill()
        self.process.wait()

    def stop(self) -> tuple[int, float]:
        """End it as a supervisor does; the exit status and how long it took."""
        assert self.process is not None
        began = time.monotonic()
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(timeout=20), time.monotonic() - began

    @contextmanager
    def client(self, **options: Any) -> Iterator[Client]:
        client = clickhouse_connect.get_client(
            host="127.0.0.1", port=self.port, autogenerate_session_id=False, dedicated_pool=True, **options
        )
        try:
            yield client
        finally:
            client.close()

    def get(self, path: str, **parameters: str) -> tuple[int, bytes]:
        return self._send("GET", path, None, parameters, {})

    def post(self, body: Any, headers: dict[str, str] | None = None, **parameters: str) -> tuple[int, bytes]:
        return self._send("POST", "/", body, parameters, headers or {})

    def _send(self, method: str, path: str, body: Any, parameters: dict[str, str], headers: dict[str, str]) -> tuple[int, bytes]:
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=60)
        try:
            query = f"?{urllib.parse.urlencode(parameters)}" if parameters else ""
            connection.request(method, path + query, body, headers, encode_chunked=not isinstance(body, (bytes, str, type(None))))
            response = connection.getresponse()
            self.headers = response.headers
            return response.status, response.read()
        finally:
            connection.close()


def events(count: int, seed: int = 1) -> list[list[Any]]:
    chance = random.Random(seed)
    return [
        [
            datetime.fromtimestamp(1794355200 + number // 10, UTC).replace(microsecond=120_000),
            chance.choice(["wechat", "douyin", "店"]),
            chance.choice([None, "g1"]),
            2**64 - 1 - number,
            -number,
            [chance.choice("abc")] * chance.randint(0, 3),
        ]
        for number in range(count)
    ]


def create_events(client: Client, name: str = "events") -> None:
    columns = ", ".join(f"{column} {kind}" for column, kind in zip(EVENTS, EVENT_TYPES, strict=True))
    client.command(f"CREATE TABLE {name} ({columns}) ENGINE = MergeTree ORDER BY at {WINDOW}")


def insert(client: Client, rows: list[list[Any]], table: str = "events", **settings: object) -> int:
    return client.insert(table, rows, column_names=EVENTS, column_type_names=EVENT_TYPES, settings=settings).written_rows
