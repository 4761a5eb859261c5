"""rflow's own worker as it is run in production, and how far it has come, seen from outside."""

from __future__ import annotations

import asyncio
import time
import urllib.request
from collections.abc import Mapping

import orjson
from prometheus_client.parser import text_string_to_metric_families
from redis import Redis

from bench.servers import Servers
from deploy.stack.ports import free_port
from deploy.stack.process import Process, ProcessSpec, python_module
from deploy.stack.ready import http_answers
from schemas.touchpoint import KINDS
from sources.kafka_log import Log
from streams.store import ShardKeys

PARTITIONS = 4
_POLL_S = 0.02
_STALLED_S = 120.0


def worker_spec(
    servers: Servers, prefix: str, *, number: int = 1, live: bool = False, program: tuple[str, ...] = ("deploy", "worker")
) -> ProcessSpec:
    """A worker on the topics with this prefix, which is also its group's and its keys'. Its watermark follows the events, or with `live`
    the wall clock."""
    port = free_port()
    name = prefix.strip(".")
    return ProcessSpec(
        role="worker",
        number=number,
        argv=python_module(*program),
        env={
            "RFLOW_PARTITIONS": str(PARTITIONS),
            "RFLOW_KAFKA_BOOTSTRAP": servers.bootstrap,
            "RFLOW_TOPIC_PREFIX": prefix,
            "RFLOW_GROUP": name,
            "RFLOW_REDIS_URL": servers.redis_url,
            "RFLOW_REDIS_PREFIX": name,
            "RFLOW_CLOCK": "wall" if live else "event",
            "RFLOW_LOG_LEVEL": "warning",
            "RFLOW_HTTP_PORT": str(port),
        },
        ready=http_answers(f"http://127.0.0.1:{port}/readyz"),
        ready_timeout=60.0,
    )


class Progress:
    """What the shards of a worker have applied."""

    def __init__(self, redis: Redis, prefix: str) -> None:
        self._redis = redis
        self._metas = [ShardKeys(prefix.strip("."), shard).meta for shard in range(PARTITIONS)]
        self._places = {prefix + kind.topic: i for i, kind in enumerate(KINDS)}

    def offsets(self) -> list[list[int]]:
        """By shard and topic, the last offset applied, -1 for none."""
        with self._redis.pipeline(transaction=False) as pipeline:
            for meta in self._metas:
                pipeline.hget(meta, "offsets")
            found = pipeline.execute()
        return [[-1] * len(KINDS) if value is None else orjson.loads(value) for value in found]

    def is_at(self, ends: Mapping[Log, int]) -> bool:
        """Whether every log has been applied up to its end (exclusive)."""
        offsets = self.offsets()
        return all(offsets[partition][self._places[topic]] >= end - 1 for (topic, partition), end in ends.items())

    async def wait(self, ends: Mapping[Log, int], *processes: Process) -> float:
        """Returns when every log has been applied up to its end: the instant, on the monotonic clock.

        Raises RuntimeError if one of `processes` ends, or nothing moves for two minutes.
        """
        seen, since = self.offsets(), time.monotonic()
        while not self.is_at(ends):
            if any(process.pid is None for process in processes):
                raise RuntimeError("a worker has ended. " + next(p.quote_log() for p in processes if p.pid is None))
            if (now := self.offsets()) != seen:
                seen, since = now, time.monotonic()
            if time.monotonic() - since > _STALLED_S:
                raise RuntimeError(f"expected the shards to reach {dict(ends)}, found them standing at {seen}")
            await asyncio.sleep(_POLL_S)
        return time.monotonic()


def metric(process: Process, name: str) -> dict[str, float]:
    """The samples of one metric of a worker, by their labels' values joined with commas."""
    port = process.spec.env["RFLOW_HTTP_PORT"]
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=10) as answer:
        text = answer.read().decode()
    return {
        ",".join(sample.labels.values()): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
        if sample.name == name
    }


async def settled(processes: list[Process]) -> None:
    """Returns when the workers share all shards evenly. Raises TimeoutError after a minute."""
    async with asyncio.timeout(60):
        while True:
            held = [metric(process, "rflow_shards").get("", 0.0) for process in processes]
            if all(shards == PARTITIONS // len(processes) for shards in held):
                return
            await asyncio.sleep(0.2)
