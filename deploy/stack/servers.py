"""The servers of a stack: what is asked for (`StackConfig`), and the processes that makes (`plan`)."""

from __future__ import annotations

import importlib.util
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from deploy.stack.broker import MockBrokerConfig, mock_broker, read_ready
from deploy.stack.errors import MissingProgramError, StackError
from deploy.stack.kafka import default_cache, format_kafka, kafka_jars, kafka_server
from deploy.stack.ports import PortBook
from deploy.stack.process import ProcessSpec, python_module
from deploy.stack.ready import http_answers
from deploy.stack.redis import RedisKind, redis_server

CLICKHOUSE_MIB = 2048
"""What the embedded ClickHouse may allocate, unless told otherwise."""

ServerName = Literal["broker", "redis", "clickhouse"]
ALL_SERVERS: frozenset[ServerName] = frozenset({"broker", "redis", "clickhouse"})


@dataclass(frozen=True, slots=True, kw_only=True)
class StackConfig:
    """A one-machine stack.

    `data` is its folder, created if need be. `servers` are those wanted; one whose address is given (`brokers`, `redis_url`,
    `clickhouse_url`) runs elsewhere and is not started. `topics`, `groups`, `retain_bytes` and `group_delay` are the in-memory
    broker's (see MockBrokerConfig); a real Kafka gets its topics from `rflow init`.

    The in-memory broker starts with empty topics, so the state of an earlier run would be ahead of its log: such a folder is
    refused, unless `discard_state` says that Redis and ClickHouse start over, too.

    `event_clock` tells other commands of the folder that its time is that of its events.

    `clickhouse_mib` is what the embedded ClickHouse may allocate.

    `crash_limit` deaths of one process within `crash_window` seconds end the run; those asked for by `Stack.kill` do not count.
    """

    data: Path
    servers: frozenset[ServerName] = ALL_SERVERS
    broker: Literal["mock", "kafka"] = "mock"
    redis: RedisKind = "auto"
    partitions: int = 4
    topics: tuple[str, ...] = ()
    groups: tuple[str, ...] = ()
    retain_bytes: int = 16 * 1024 * 1024
    group_delay: float = 0.0
    brokers: str | None = None
    redis_url: str | None = None
    clickhouse_url: str | None = None
    kafka_cache: Path | None = None
    discard_state: bool = False
    event_clock: bool = False
    clickhouse_mib: int = CLICKHOUSE_MIB
    crash_limit: int = 5
    crash_window: float = 60.0

    def starts(self, server: ServerName) -> bool:
        """Whether this server is one of our processes."""
        elsewhere = {"broker": self.brokers, "redis": self.redis_url, "clickhouse": self.clickhouse_url}
        return server in self.servers and elsewhere[server] is None


@dataclass(frozen=True, slots=True)
class Server:
    """A process to start, and its address, to be asked for when it is ready."""

    name: ServerName
    spec: ProcessSpec
    address: Callable[[], str]


def plan(config: StackConfig, tell: Callable[[ServerName, str], None]) -> list[Server]:
    """Prepare what the servers need on disk; what is to be started, in order. `tell` hears of what takes long.

    Blocks, for as long as Maven takes where Kafka's jars are not there yet. Raises StackError, and MissingProgramError for what is
    not installed.
    """
    if config.broker == "mock" and config.starts("broker"):
        _start_over(config)
    book = PortBook(config.data / "ports.json")
    makers = {"broker": _broker, "redis": _redis, "clickhouse": _clickhouse}
    return [make(config, book, tell) for name, make in makers.items() if config.starts(name)]  # type: ignore[arg-type]


def _broker(config: StackConfig, book: PortBook, tell: Callable[[ServerName, str], None]) -> Server:
    if config.broker == "mock":
        mock = MockBrokerConfig(
            topics=config.topics,
            partitions=config.partitions,
            groups=config.groups,
            retain_bytes=config.retain_bytes,
            group_delay=config.group_delay,
        )
        return Server("broker", mock_broker(config.data, mock), lambda: read_ready(config.data).brokers)
    cache = config.kafka_cache or default_cache()
    if not cache.is_dir():
        tell("broker", f"fetching Kafka's jars, once, into {cache}")
    jars = kafka_jars(cache)
    folder, port = config.data / "kafka", book.port("kafka")
    format_kafka(folder, port, book.port("kafka-controller"), jars)
    return Server("broker", kafka_server(folder, port, jars), lambda: f"127.0.0.1:{port}")


def _redis(config: StackConfig, book: PortBook, tell: Callable[[ServerName, str], None]) -> Server:
    port = book.port("redis")
    spec = redis_server(config.data / "redis", port, kind=config.redis)
    return Server("redis", spec, lambda: f"redis://127.0.0.1:{port}/0")


def _clickhouse(config: StackConfig, book: PortBook, tell: Callable[[ServerName, str], None]) -> Server:
    port = book.port("clickhouse")
    spec = clickhouse_server(config.data / "clickhouse", port, config.clickhouse_mib)
    return Server("clickhouse", spec, lambda: f"http://127.0.0.1:{port}")


def clickhouse_server(folder: Path, port: int, memory_mib: int = CLICKHOUSE_MIB) -> ProcessSpec:
    """The embedded ClickHouse on a loopback port, its data in `folder`. Raises MissingProgramError without chDB."""
    if importlib.util.find_spec("chdb") is None:
        raise MissingProgramError("no ClickHouse on this machine: name one by its URL, or `pip install 'rflow[embedded]'`")
    return ProcessSpec(
        role="clickhouse",
        argv=python_module("deploy.stack.clickhouse", "--data", folder, "--port", port, "--memory-mib", memory_mib),
        ready=http_answers(f"http://127.0.0.1:{port}/ping"),
        ready_timeout=90.0,
    )


def _start_over(config: StackConfig) -> None:
    """See that no earlier state meets an empty broker. Raises StackError if it would."""
    old = [folder for name in ("redis", "clickhouse") if (folder := config.data / name).is_dir() and any(folder.iterdir())]
    if old and not config.discard_state:
        raise StackError(
            f"{config.data} holds the state of an earlier run, whose topics were in memory and are gone: "
            "choose another --data, discard that state, or keep the topics, too, with a real Kafka"
        )
    for folder in old:
        shutil.rmtree(folder)
