"""Real servers for tests: Kafka, Redis, a Redis Cluster, the ClickHouse engine, the in-memory broker.

They are the processes of the one-machine stack, run by an event loop in a thread of its own, so that plain and asynchronous tests
use them alike. Everything listens on 127.0.0.1 and keeps its data in the folder given.
"""

from __future__ import annotations

import asyncio
import itertools
import signal
import threading
import time
from collections.abc import Callable, Coroutine, Iterable, Mapping
from dataclasses import replace
from pathlib import Path
from types import TracebackType
from typing import Any, Self, TypeVar

import redis
from confluent_kafka.admin import AdminClient
from confluent_kafka.cimpl import NewTopic
from redis.crc import key_slot

from deploy.stack.broker import MockBrokerConfig, mock_broker, read_ready
from deploy.stack.kafka import default_cache, format_kafka, kafka_jars, kafka_server
from deploy.stack.ports import free_port
from deploy.stack.process import Process, ProcessSpec
from deploy.stack.redis import RedisKind, redis_server
from deploy.stack.servers import clickhouse_server

T = TypeVar("T")
SLOTS = 16384


class Server:
    """One running server. `address` is what its clients take: a bootstrap address or a URL."""

    def __init__(self, servers: Servers, process: Process, address: str) -> None:
        self.address = address
        self.process = process
        self._servers = servers

    @property
    def pid(self) -> int:
        """The process id while it runs."""
        assert self.process.pid is not None, f"{self.process.spec.name} is not running"
        return self.process.pid

    def kill(self, signum: signal.Signals = signal.SIGKILL) -> None:
        """Send a deadly signal and wait until it is gone. Nobody starts it again but `start`."""
        self.process.kill(signum)
        self._servers.run(self.process.wait())

    def freeze(self) -> None:
        """Let it stand still, connections open, until `thaw`."""
        self.process.kill(signal.SIGSTOP)

    def thaw(self) -> None:
        """Let it go on."""
        self.process.kill(signal.SIGCONT)

    def stop(self) -> None:
        """Stop it as the supervisor would."""
        self._servers.run(self.process.stop())

    def start(self) -> None:
        """Start it again, at the same address and with its data."""
        self._servers.run(self.process.start())


class Servers:
    """Starts servers and stops them all when it is left."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder.resolve()
        self._numbers = itertools.count(1)
        self._processes: list[Process] = []
        self._loop = asyncio.new_event_loop()
        # The kernel ties a process to the thread that started it, so this thread lives as long as they do.
        self._thread = threading.Thread(target=self._loop.run_forever, name="servers", daemon=True)
        self._thread.start()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.close()

    def close(self) -> None:
        """Stop every server."""

        async def stop_all() -> None:
            for process in self._processes:
                process.kill(signal.SIGCONT)  # a frozen one would not hear SIGTERM
            await asyncio.gather(*(process.stop() for process in self._processes))

        self.run(stop_all())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    def run(self, coroutine: Coroutine[Any, Any, T]) -> T:
        """Run a coroutine on the servers' loop and wait for its result."""
        return asyncio.run_coroutine_threadsafe(coroutine, self._loop).result()

    def kafka(self, behind: tuple[int, int] | None = None) -> Server:
        """A Kafka broker, without topics. The first ever fetches its jars.

        `behind`: a second port to listen on, and the one that clients there are sent back to, where a proxy leads to the former.
        """
        data, port = self._new("kafka"), free_port()
        jars = kafka_jars(default_cache())
        format_kafka(data / "kafka", port, free_port(), jars)
        if behind is not None:
            port_behind, told = behind
            one = ("PLAINTEXT", f"127.0.0.1:{port_behind}", f"127.0.0.1:{told}")
            add_listeners(data / "kafka" / "server.properties", {"BEHIND": one})
        spec = kafka_server(data / "kafka", port, jars)
        # It lives for minutes: what Java's second compiler takes, on the cores that the tests need, it would never bring back in.
        spec = replace(spec, env={**spec.env, "JAVA_TOOL_OPTIONS": "-XX:TieredStopAtLevel=1"})
        return Server(self, self._start(data, spec), f"127.0.0.1:{port}")

    def mock_broker(self, config: MockBrokerConfig) -> Server:
        """The in-memory broker."""
        data = self._new("mock")
        process = self._start(data, mock_broker(data, config))
        return Server(self, process, read_ready(data).brokers)

    def redis(self, kind: RedisKind = "auto", **options: str) -> Server:
        """A durable Redis. Options are those of redis.conf, with underscores for hyphens."""
        data, port = self._new("redis"), free_port()
        settings = {name.replace("_", "-"): value for name, value in options.items()}
        process = self._start(data, redis_server(data / "redis", port, kind=kind, options=settings))
        return Server(self, process, f"redis://127.0.0.1:{port}/0")

    def redis_cluster(self, masters: int = 3) -> list[Server]:
        """A Redis Cluster of masters that share the slots evenly; any one's address leads to all."""
        nodes, ports = [], []
        for _ in range(masters):
            data, port, bus = self._new("redis"), free_port(), free_port()
            options = {"cluster-enabled": "yes", "cluster-port": str(bus), "cluster-node-timeout": "3000"}
            process = self._start(data, redis_server(data / "redis", port, options=options))
            nodes.append(Server(self, process, f"redis://127.0.0.1:{port}/0"))
            ports.append((port, bus))
        join_cluster([redis.Redis(port=port) for port, _ in ports], ("127.0.0.1", *ports[0]))
        return nodes

    def clickhouse(self) -> Server:
        """The ClickHouse engine behind HTTP."""
        data, port = self._new("clickhouse"), free_port()
        return Server(self, self._start(data, clickhouse_server(data / "clickhouse", port)), f"http://127.0.0.1:{port}")

    def started(self, data: Path, spec: ProcessSpec, address: str) -> Server:
        """Another server, as it is told to be."""
        return Server(self, self._start(data, spec), address)

    def _new(self, name: str) -> Path:
        folder = self._folder / f"{name}-{next(self._numbers)}"
        folder.mkdir(parents=True)
        return folder

    def _start(self, data: Path, spec: ProcessSpec) -> Process:
        process = Process(spec, data)
        self.run(process.start())
        self._processes.append(process)
        return process


def add_listeners(properties: Path, listeners: Mapping[str, tuple[str, str, str]]) -> None:
    """Gives a broker's settings further listeners: by name the protocol, where it listens, and where its clients are told that it is."""
    added = {
        "listeners": ",".join(f"{name}://{address}" for name, (_, address, _) in listeners.items()),
        "advertised.listeners": ",".join(f"{name}://{told}" for name, (_, _, told) in listeners.items()),
        "listener.security.protocol.map": ",".join(f"{name}:{protocol}" for name, (protocol, _, _) in listeners.items()),
    }
    lines = []
    for line in properties.read_text().splitlines():
        name = line.partition("=")[0]
        lines.append(f"{line},{added.pop(name)}" if name in added else line)
    assert not added, f"expected {', '.join(added)} in {properties}"
    properties.write_text("\n".join(lines) + "\n")


def _ask(client: redis.Redis, *command: object) -> Any:
    return client.execute_command(*command)  # type: ignore[no-untyped-call]


def join_cluster(clients: list[redis.Redis], first_node: tuple[str, int, int]) -> None:
    """Make one cluster of empty nodes and wait until every one of them knows. `first_node`: address, port and bus port of the first."""
    try:
        for number, client in enumerate(clients):
            first, last = number * SLOTS // len(clients), (number + 1) * SLOTS // len(clients) - 1
            _ask(client, "CLUSTER", "ADDSLOTSRANGE", first, last)
            _ask(client, "CLUSTER", "SET-CONFIG-EPOCH", number + 1)
            _ask(client, "CLUSTER", "MEET", *first_node)
        wait_until(lambda: all(_whole(client, len(clients)) for client in clients), "the Redis Cluster to form", 20.0)
    finally:
        for client in clients:
            client.close()


def master_of(tag: str, masters: int) -> int:
    """Which of the masters of such a cluster, from 0, has the keys with this hash tag."""
    slot = key_slot(tag.encode())
    return next(number for number in range(masters) if slot < (number + 1) * SLOTS // masters)


def _whole(client: redis.Redis, nodes: int) -> bool:
    told = _ask(client, "CLUSTER", "INFO")
    info: Mapping[str, str] = told if isinstance(told, dict) else dict(line.split(":", 1) for line in told.decode().split())
    return info["cluster_state"] == "ok" and int(info["cluster_known_nodes"]) == nodes


def wait_until(holds: Callable[[], object], what: str, seconds: float = 10.0) -> None:
    """Wait until a condition holds; fails the test, naming what was waited for, if it does not in time."""
    until = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < until, f"waited {seconds:g} s in vain for {what}"
        time.sleep(0.05)


def create_topics(bootstrap: str, names: Iterable[str], partitions: int, config: Mapping[str, str] | None = None) -> None:
    """Create topics on a real Kafka and wait until they are there. (The in-memory broker is given its topics at its start.)"""
    admin = AdminClient({"bootstrap.servers": bootstrap})
    topics = [NewTopic(name, partitions, 1, config=dict(config or {})) for name in names]
    for created in admin.create_topics(topics).values():
        created.result(30)
