"""The real servers that are measured against: Kafka and a durable Redis, each on a loopback port, all data in one temporary folder."""

from __future__ import annotations

import asyncio
import tempfile
from collections.abc import AsyncIterator, Iterable, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from confluent_kafka.admin import AdminClient
from confluent_kafka.cimpl import NewTopic
from redis import Redis

from bench.machine import ALL_CORES, on_cores
from deploy.stack.kafka import default_cache, format_kafka, kafka_jars, kafka_server
from deploy.stack.ports import free_port
from deploy.stack.process import Process, ProcessSpec
from deploy.stack.redis import redis_server
from deploy.topics import create_topics


class Servers:
    """Running servers, and the processes started beside them. `redis` is a client for what the measurement itself asks."""

    def __init__(self, data: Path, bootstrap: str, redis_url: str, kafka: Process, redis: Process) -> None:
        self.data = data
        self.bootstrap = bootstrap
        self.redis_url = redis_url
        self.redis = Redis.from_url(redis_url)
        self._kafka = kafka
        self._redis = redis
        self._client: dict[str, Any] = {"bootstrap.servers": bootstrap, "log_level": 3}

    @property
    def kafka_pid(self) -> int:
        """Kafka's process id."""
        return pid_of(self._kafka)

    @property
    def redis_pid(self) -> int:
        """Redis' process id."""
        return pid_of(self._redis)

    @asynccontextmanager
    async def running(self, *specs: ProcessSpec, cores: Sequence[int] = ALL_CORES) -> AsyncIterator[list[Process]]:
        """Inside, these processes run, on these cores."""
        processes = [Process(spec, self.data) for spec in specs]
        try:
            with on_cores(*cores):
                await asyncio.gather(*(process.start() for process in processes))
            yield processes
        finally:
            await asyncio.gather(*(process.stop() for process in processes))

    async def create_topics(self, prefix: str, partitions: int, further: Iterable[str] = ()) -> None:
        """Creates rflow's topics with the prefix, and further ones by their full names."""
        await asyncio.to_thread(create_topics, self._client, prefix, partitions, 1)
        if topics := [NewTopic(name, num_partitions=partitions, replication_factor=1) for name in further]:
            admin = AdminClient(self._client)
            for future in admin.create_topics(topics).values():
                await asyncio.to_thread(future.result, 30)

    async def clear(self) -> None:
        """Deletes every topic but Kafka's own, and everything in Redis."""
        # One of its own each time: a client that outlives the broker complains of it.
        admin = AdminClient(self._client)
        names = [name for name in admin.list_topics(timeout=30).topics if not name.startswith("__")]
        if names:
            for future in admin.delete_topics(names).values():
                await asyncio.to_thread(future.result, 30)
        self.redis.flushall()


def pid_of(process: Process) -> int:
    """The id of a process that must be running."""
    assert process.pid is not None, f"{process.spec.name} has ended. {process.quote_log()}"
    return process.pid


@asynccontextmanager
async def servers(cores: Sequence[int] = ALL_CORES) -> AsyncIterator[Servers]:
    """New, empty servers on the given cores (all by default); nothing is left of them afterwards."""
    jars = await asyncio.to_thread(kafka_jars, default_cache())
    with tempfile.TemporaryDirectory(prefix="rflow-bench-", ignore_cleanup_errors=True) as folder:
        data = Path(folder)
        kafka_port, redis_port = free_port(), free_port()
        await asyncio.to_thread(format_kafka, data / "kafka", kafka_port, free_port(), jars)
        kafka = Process(kafka_server(data / "kafka", kafka_port, jars), data)
        redis = Process(redis_server(data / "redis", redis_port, kind="redis-server"), data)
        try:
            with on_cores(*cores):
                await asyncio.gather(kafka.start(), redis.start())
            found = Servers(data, f"127.0.0.1:{kafka_port}", f"redis://127.0.0.1:{redis_port}/0", kafka, redis)
            try:
                yield found
            finally:
                found.redis.close()
        finally:
            await asyncio.gather(kafka.stop(), redis.stop())
