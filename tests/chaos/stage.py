"""The servers that all seeds of a campaign share, each behind a proxy, and what can be done to them."""

from __future__ import annotations

import resource
import signal
import time
import urllib.request
from contextlib import ExitStack
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import redis
from confluent_kafka.admin import AdminClient

from deploy.stack.ports import free_port
from tests.chaos.proxy import Loop, Proxy
from tests.servers import Server, Servers, wait_until

LONGEST_DELAY_S = 0.25
LONGEST_REPLY = 2_000
"""Bytes of a reply or request that pass at most before a connection is cut within it."""
_NOT_ENOUGH_SPACE = b"Code: 243. DB::Exception: Cannot reserve 1.00 MiB, not enough space. (NOT_ENOUGH_SPACE) (version 25.1)\n"
REFUSAL = (
    b"HTTP/1.1 500 Internal Server Error\r\nContent-Type: text/plain\r\nX-ClickHouse-Exception-Code: 243\r\nConnection: close\r\n"
    b"Content-Length: %d\r\n\r\n%s" % (len(_NOT_ENOUGH_SPACE), _NOT_ENOUGH_SPACE)
)
"""What a ClickHouse without room answers."""


class Stage:
    """Kafka, Redis and the ClickHouse engine, started once; left, all is stopped. `proxies`: by `kafka`, `redis`, `clickhouse`."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._exits = ExitStack()
        self._servers = self._exits.enter_context(Servers(folder / "servers"))
        loop = self._exits.enter_context(Loop())
        inner, outer = free_port(), free_port()
        self.kafka = self._servers.kafka(behind=(inner, outer))
        self.redis = self._servers.redis("redis-server")
        self.clickhouse = self._servers.clickhouse()
        self.proxies = {
            "kafka": Proxy(loop, outer, ("127.0.0.1", inner)),
            "redis": Proxy(loop, free_port(), ("127.0.0.1", _port(self.redis.address))),
            "clickhouse": Proxy(loop, free_port(), ("127.0.0.1", _port(self.clickhouse.address))),
        }
        for proxy in self.proxies.values():
            self._exits.callback(proxy.close)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._exits.close()

    def proxied(self) -> dict[str, str]:
        """The settings with which a process reaches every server through its proxy."""
        return {
            "kafka_bootstrap": self.proxies["kafka"].address,
            "redis_url": f"redis://{self.proxies['redis'].address}/0",
            "clickhouse_url": f"http://{self.proxies['clickhouse'].address}",
        }

    def server(self, name: str) -> Server:
        """`broker`, `redis` or `clickhouse`."""
        return {"broker": self.kafka, "redis": self.redis, "clickhouse": self.clickhouse}[name]

    # --- the state's disk is full -------------------------------------------------------------------------------------------------
    def fill_redis_disk(self, room: int, seconds: float) -> None:
        """Leaves the append-only file `room` bytes to grow and waits until Redis has ended over it, as it must with
        `appendfsync always`; kills it if nothing was written for `seconds`. Start it again with `server`."""
        pid = self.redis.pid
        data = Path(self.redis.process.spec.argv[self.redis.process.spec.argv.index("--dir") + 1])
        largest = max(file.stat().st_size for file in data.rglob("*.aof"))
        _, hard = resource.prlimit(pid, resource.RLIMIT_FSIZE)
        resource.prlimit(pid, resource.RLIMIT_FSIZE, (largest + room, hard))
        until = time.monotonic() + seconds
        while self.redis.process.pid is not None and time.monotonic() < until:
            time.sleep(0.02)
        self.redis.kill()

    def refuse_redis_writes(self) -> None:
        """Makes Redis' snapshots fail: from then on it answers every write with MISCONF."""
        with _client(self.redis) as client:
            client.config_set("save", "3600 1")
            file = Path(client.config_get("dir")["dir"]) / client.config_get("dbfilename")["dbfilename"]
            file.unlink(missing_ok=True)
            file.mkdir(exist_ok=True)  # which no file can be renamed to
            self._save(client, "err")

    def accept_redis_writes(self) -> None:
        """Lets snapshots succeed again, and with them writes."""
        with _client(self.redis) as client:
            file = Path(client.config_get("dir")["dir"]) / client.config_get("dbfilename")["dbfilename"]
            if file.is_dir():
                file.rmdir()
            self._save(client, "ok")
            client.config_set("save", "")

    def _save(self, client: redis.Redis, wanted: str) -> None:
        def saved() -> bool:
            told: Any = client.info("persistence")
            if told["rdb_bgsave_in_progress"]:
                return False
            if told["rdb_last_bgsave_status"] == wanted:
                return True
            client.bgsave()
            return False

        client.bgsave()
        wait_until(saved, f"a snapshot to end with {wanted}", 20)

    # --- between seeds ------------------------------------------------------------------------------------------------------------
    def make_database(self, name: str) -> None:
        """An empty ClickHouse database."""
        self._clickhouse(f"CREATE DATABASE {name}")

    def clear(self, database: str, topic_prefix: str) -> None:
        """Forgets what a seed has left."""
        for proxy in self.proxies.values():
            proxy.reset()
        self._clickhouse(f"DROP DATABASE IF EXISTS {database}")
        with _client(self.redis) as client:
            client.flushall()
        admin = AdminClient({"bootstrap.servers": self.kafka.address, "log_level": 0})
        topics = [topic for topic in admin.list_topics(timeout=30).topics if topic.startswith(topic_prefix)]
        for deleted in admin.delete_topics(topics).values() if topics else ():
            deleted.result(30)

    def _clickhouse(self, statement: str) -> None:
        with urllib.request.urlopen(urllib.request.Request(self.clickhouse.address, data=statement.encode()), timeout=60) as answer:
            answer.read()


def revive(server: Server) -> None:
    """Starts a server that has ended; thaws it first, should it stand still."""
    if server.process.pid is not None:
        server.process.kill(signal.SIGCONT)
        return
    server.start()


def _client(server: Server) -> redis.Redis:
    return redis.Redis.from_url(server.address, decode_responses=True, socket_timeout=20)


def _port(address: str) -> int:
    return int(address.rpartition(":")[2].partition("/")[0])
