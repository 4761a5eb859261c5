"""A worker process: the Faust app, the publisher and the watchdog, until it is told to stop."""

from __future__ import annotations

import asyncio
import gc
import time
from collections.abc import Callable
from enum import StrEnum
from typing import TYPE_CHECKING, Any

import structlog
from msgspec import Struct

from schemas.ladder import Ladder
from streams import metrics
from streams.app import GroupConfig, make_app
from streams.errors import RflowError
from streams.host import ShardHost
from streams.ladder import Rules
from streams.link import Connections
from streams.logs import LogReader
from streams.stage import Stage, StepConfig

if TYPE_CHECKING:
    from streams.tracing import Tracing

log = structlog.get_logger(__name__)

_COLLECT_S = 5.0
_STOP_S = 8.0


class WorkerConfig(Struct, frozen=True, kw_only=True):
    """All a worker needs to know. `kafka` is librdkafka's client configuration."""

    kafka: dict[str, Any]
    group: GroupConfig
    topic_prefix: str
    key_prefix: str
    worker: str
    ladder: Ladder
    step: StepConfig
    check_future: bool = True
    stall_s: float = 60.0
    """after this long without progress, although records wait, the watchdog ends the worker"""
    look_s: float = 30.0
    """how often the topics are looked at: whether they are still those of the start, with as many partitions"""


class Health(StrEnum):
    """What a worker says of itself."""

    STARTING = "starting"
    READY = "ready"
    DEGRADED = "degraded"


class Worker:
    """One worker. `run` returns after `stop`; it raises what made going on impossible."""

    def __init__(
        self,
        config: WorkerConfig,
        connections: Connections,
        now: Callable[[], int],
        tracing: Tracing | None = None,
    ) -> None:
        self._config = config
        self.host = ShardHost(
            config=config.step,
            rules=Rules(config.ladder),
            kafka=config.kafka,
            topic_prefix=config.topic_prefix,
            connections=connections,
            key_prefix=config.key_prefix,
            worker=config.worker,
            now=now,
            check_future=config.check_future,
            tracing=tracing,
        )
        self._reader = LogReader(config.kafka)
        self._app = make_app(config.group, self.host, self._reader, config.kafka)
        self._now = now
        self._stopping = asyncio.Event()
        self._measured: dict[int, list[str]] = {}

    def stop(self) -> None:
        """Ends `run` within ten seconds, with nothing half done."""
        self._stopping.set()

    async def run(self) -> None:
        """Works until `stop`. Raises RflowError, or what ended a part of the worker."""
        publisher = asyncio.create_task(self.host.publisher.run(), name="publisher")
        watchdog = asyncio.create_task(self._watch(), name="watchdog")
        topics = asyncio.create_task(self._look_at_topics(), name="topics")
        stop = asyncio.create_task(self._stopping.wait(), name="stop")
        self._settle_memory()
        faust = asyncio.create_task(self._serve(), name="faust")
        try:
            await asyncio.wait({publisher, watchdog, topics, stop, faust}, return_when=asyncio.FIRST_COMPLETED)
            log.info("worker stops", asked=self._stopping.is_set())
            if not self._stopping.is_set():
                self._raise_first(publisher, watchdog, topics, faust)
        finally:
            await self._end(publisher, watchdog, topics, stop, faust)

    async def _serve(self) -> None:
        # Starting ends with the first shards taken, which waits for Kafka and Redis: it is no reason not to stop.
        await self._app.start()
        await self._app.wait_until_stopped()

    async def _end(self, *tasks: asyncio.Task[Any]) -> None:
        try:
            async with asyncio.timeout(_STOP_S):
                await self.host.close()
                await self._app.stop()
                await self.host.shut_down(_STOP_S / 2)
        except TimeoutError:
            log.warning("worker did not end in time; the next owner of its shards goes on from Redis", seconds=_STOP_S)
        self._reader.close()
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    def _raise_first(self, *tasks: asyncio.Task[None]) -> None:
        for task in tasks:
            if task.done() and (error := task.exception()) is not None:
                raise error
        raise RflowError(f"expected Faust to run until the worker is stopped, found it ended: {self._app.crash_reason!r}")

    def _settle_memory(self) -> None:
        """The cyclic collector cost up to half of the speed: hundreds of thousands of young tracked objects a second, none in a cycle."""
        gc.collect()
        gc.freeze()
        gc.disable()

    async def _look_at_topics(self) -> None:
        while True:
            await asyncio.sleep(self._config.look_s)
            await self.host.look_at_topics()

    async def _watch(self) -> None:
        """Sees to progress, lag figures and garbage."""
        collected = time.monotonic()
        while True:
            await asyncio.sleep(0.5)
            if (error := self.host.failed()) is not None:
                raise error
            self._measure()
            for shard in self.host.shards.values():
                stalled = time.monotonic() - shard.last_progress
                if shard.stage is Stage.RUNNING and stalled > self._config.stall_s and self._is_behind(shard.number):
                    metrics.WATCHDOG.labels(str(shard.number)).inc()
                    raise RflowError(
                        f"expected shard {shard.number} to take steps, found none for {stalled:.0f} s although its logs hold more"
                    )
            if time.monotonic() - collected > _COLLECT_S and all(shard.is_idle for shard in self.host.shards.values()):
                gc.collect()
                collected = time.monotonic()
            elif time.monotonic() - collected > 12 * _COLLECT_S:
                gc.collect(1)
                collected = time.monotonic()

    def _is_behind(self, number: int) -> bool:
        shard = self.host.shards[number]
        if self._config.step.strict:
            # Without ticks a strict shard rightly waits for news of the other logs.
            return any(shard.is_full(i, self.host.logs, was_full=False) for i in range(len(self.host.topics))) and not shard.intake.is_held
        return not shard.intake.is_caught_up

    def _measure(self) -> None:
        held = {number: shard.meta.layers for number, shard in self.host.shards.items()}
        if held != self._measured:
            # What belongs to a shard that has moved on is another worker's to tell, and a layer of a former ladder nobody's.
            for gauge in (metrics.LAG_RECORDS, metrics.LAG_SECONDS, metrics.USERS):
                gauge.clear()
            self._measured = held
        metrics.SHARDS_STOPPED.set(sum(shard.stage is Stage.STOPPED for shard in self.host.shards.values()))
        users: dict[tuple[str, str], int] = {}
        for number, shard in self.host.shards.items():
            for i, topic in enumerate(self.host.topics):
                end = self._reader.high_watermark((topic, number))
                lag = max(0, end - shard.meta.offsets[i] - 1) if end >= 0 else 0
                metrics.LAG_RECORDS.labels(str(number), topic).set(lag)
            if shard.meta.watermark is not None:
                metrics.LAG_SECONDS.labels(str(number)).set(max(0.0, (self._now() - shard.meta.watermark) / 1000))
            for brand, counts in shard.meta.census.items():
                for layer, n in zip(shard.meta.layers, counts, strict=True):
                    users[brand, layer] = users.get((brand, layer), 0) + n
        for (brand, layer), n in users.items():
            metrics.USERS.labels(brand, layer).set(n)

    def health(self) -> tuple[Health, dict[str, Any]]:
        """How the worker is, and what each shard does; DEGRADED where a shard has stopped for an operator."""
        shards = {str(number): {"stage": shard.stage.value, "error": shard.error} for number, shard in sorted(self.host.shards.items())}
        stages = {shard.stage for shard in self.host.shards.values()}
        if Stage.STOPPED in stages:
            return Health.DEGRADED, shards
        if not self.host.assigned or Stage.OPENING in stages:
            return Health.STARTING, shards
        return Health.READY, shards
