"""The shards a worker holds: taken and let go as partitions are assigned and revoked."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any

import structlog
from confluent_kafka import KafkaException
from redis.exceptions import RedisError

from schemas.touchpoint import KINDS
from schemas.validate import Validator
from streams import metrics
from streams.errors import Conflict, PartitionsChanged, RflowError, ShardStopped
from streams.ladder import Rules
from streams.link import Connections
from streams.logs import Fetched, Place
from streams.publisher import Publisher
from streams.shard import Shard
from streams.stage import Stage, StepConfig
from streams.store import ShardStore
from streams.takeover import LogInspector

if TYPE_CHECKING:
    from streams.tracing import Tracing

log = structlog.get_logger(__name__)

_RETRY_S = 1.0
_TOGETHER_S = 3.0
"""so long the shards that can be taken wait for those that cannot"""


class ShardHost:
    """Opens, feeds and closes shards. One per worker."""

    def __init__(
        self,
        *,
        config: StepConfig,
        rules: Rules,
        kafka: dict[str, Any],
        topic_prefix: str,
        connections: Connections,
        key_prefix: str,
        worker: str,
        now: Callable[[], int],
        check_future: bool = True,
        tracing: Tracing | None = None,
    ) -> None:
        self.topics = tuple(topic_prefix + kind.topic for kind in KINDS)
        self.publisher = Publisher(kafka, topic_prefix)
        self.shards: dict[int, Shard] = {}
        self.assigned = False
        """whether the group has said what this worker holds, be it nothing"""
        self.generation = 0
        """the assignment whose batches are taken"""
        self.follow: Callable[[dict[Place, int]], None] = lambda _: None
        """told where to begin to read the logs of a shard that was taken after the others"""
        self._late: list[asyncio.Task[None]] = []
        self._revision = 0
        self._lost: RflowError | None = None
        self._config = config
        self._rules = rules
        self._validator = Validator(rules.ladder, now, check_future=check_future)
        self._inspector = LogInspector(kafka, topic_prefix, topic_ids=config.topic_ids)
        self._connections = connections
        self._key_prefix = key_prefix
        self._worker = worker
        self._tracing = tracing
        self._now = now
        self._tasks: dict[int, asyncio.Task[None]] = {}
        self._full: set[Place] = set()
        self._index = {topic: i for i, topic in enumerate(self.topics)}

    async def open(self, numbers: Iterable[int]) -> dict[Place, int]:
        """Takes these shards, all others having been let go; tells where to begin to read each log.

        Waits for Kafka, and a while for all shards. One that cannot be taken by then, since its node of Redis does not answer, holds up
        no other: `follow` is told of it when it can. A shard that needs an operator is left out.
        """
        self._revision += 1
        revision = self._revision
        await asyncio.gather(*self._late, return_exceptions=True)
        self._late.clear()
        wanted = sorted(numbers)
        await self._close([number for number in self.shards if number not in wanted])
        if not await self._partitions_fit(revision):
            return {}
        opening = {number: asyncio.create_task(self._open(number, revision), name=f"open-{number}") for number in wanted}
        if opening:
            await asyncio.wait(opening.values(), timeout=_TOGETHER_S)
        begin: dict[Place, int] = {}
        for number, task in opening.items():
            if task.done():
                begin |= self._places(number, task.result())
            else:
                self._late.append(asyncio.create_task(self._follow_up(number, task, revision), name=f"late-{number}"))
        metrics.SHARDS.set(len(wanted))
        self.assigned = True
        log.info("shards taken", shards=wanted, reading=len(begin), waiting=len(self._late))
        return begin

    async def _follow_up(self, number: int, opening: asyncio.Task[list[int] | None], revision: int) -> None:
        begins = await opening
        if begins is not None and revision == self._revision:
            log.info("shard taken late", shard=number)
            self.follow(self._places(number, begins))

    def _places(self, number: int, begins: list[int] | None) -> dict[Place, int]:
        return {} if begins is None else {(topic, number): offset for topic, offset in zip(self.topics, begins, strict=True)}

    async def _partitions_fit(self, revision: int) -> bool:
        """Whether the topics have as many partitions as the worker was told; if not, that is what `failed` tells. Waits for Kafka."""
        while revision == self._revision:
            try:
                await self._inspector.check_partitions(self._config.partitions)
            except PartitionsChanged as error:
                self._lost = error
                return False
            except KafkaException as error:
                log.warning("topics cannot be looked at yet", error=str(error))
                await asyncio.sleep(_RETRY_S)
            else:
                return True
        return False

    async def look_at_topics(self) -> bool:
        """Stops the shards whose topics have been made anew since they were taken; tells `failed` of another number of partitions. Whether
        no shard goes on. While Kafka does not answer nothing is known: others say so."""
        held = {number: shard for number, shard in self.shards.items() if shard.stage not in (Stage.OPENING, Stage.STOPPED)}
        try:
            await self._inspector.check_partitions(self._config.partitions)
            anew = await self._inspector.made_anew({number: shard.meta.topic_ids for number, shard in held.items()})
        except PartitionsChanged as error:
            self._lost = error
            return True
        except KafkaException as error:
            log.debug("topics cannot be looked at", error=str(error))
            return False
        for number, stale in anew.items():
            if self.shards.get(number) is held[number]:
                held[number].stop(str(stale))
        return all(shard.stage is Stage.STOPPED for shard in self.shards.values())

    async def _open(self, number: int, revision: int) -> list[int] | None:
        await self._close([number])
        shard = Shard(
            number,
            self._config,
            self._rules,
            self._validator,
            ShardStore(self._connections, self._key_prefix, number),
            self.publisher,
            self._inspector,
            self._now,
            f"{self._worker}:{time.time_ns():x}",
            self._tracing,
        )
        self.shards[number] = shard
        told = ""
        while revision == self._revision:
            try:
                begins = await shard.open()
            except ShardStopped as stopped:
                shard.stop(str(stopped))
                return None
            except PartitionsChanged as error:
                self._lost = error
                return None
            except (RedisError, KafkaException, OSError, TimeoutError, Conflict) as error:
                if (why := str(error) or type(error).__name__) != told:
                    log.warning("shard cannot be taken yet", shard=number, error=why)
                    told = why
                await asyncio.sleep(_RETRY_S)
            else:
                if revision != self._revision:
                    break
                self._tasks[number] = asyncio.create_task(shard.run(), name=f"shard-{number}")
                return begins
        # Everything was let go in the meantime: this shard may already be someone else's.
        await shard.released()
        return None

    async def close(self) -> None:
        """Lets all shards go, each after the step under way. What is buffered is dropped: the next owner reads it again."""
        self._revision += 1
        await self._close(list(self.shards))

    async def _close(self, numbers: list[int]) -> None:
        going = [number for number in numbers if number in self.shards]
        for number in going:
            await self.shards[number].close()
        tasks = [self._tasks.pop(number) for number in going if number in self._tasks]
        if tasks:
            await asyncio.gather(*tasks, return_exceptions=True)
        for number in going:
            shard = self.shards.pop(number)
            await shard.released()
        self._full = {place for place in self._full if place[1] in self.shards}

    def feed(self, topic: str, partition: int, fetched: Fetched) -> None:
        """Hands a batch to its shard; what was fetched for an earlier assignment is dropped, to be fetched again."""
        shard = self.shards.get(partition)
        if shard is None or shard.stage is Stage.STOPPED or fetched.generation != self.generation:
            return
        index = self._index[topic]
        last = shard.intake.logs[index].last
        if fetched.begin > last + 1:
            self._lost = RflowError(
                f"shard {partition}: expected a batch of {topic} from offset {last + 1} on, found one from {fetched.begin}: "
                "one was lost on the way"
            )
            return
        shard.feed(index, fetched)

    @property
    def logs(self) -> int:
        """How many logs share the worker's buffers."""
        return len(self.shards) * len(self.topics)

    def full(self) -> set[Place]:
        """The logs of which no more should be fetched for now."""
        self._full = {
            (topic, number)
            for number, shard in self.shards.items()
            for i, topic in enumerate(self.topics)
            if shard.stage is Stage.STOPPED or shard.is_full(i, self.logs, was_full=(topic, number) in self._full)
        }
        return set(self._full)

    def applied(self) -> dict[Place, int]:
        """The next offset to be applied of every log, for Kafka's lag tools."""
        return {
            (topic, number): shard.meta.offsets[i] + 1
            for number, shard in self.shards.items()
            for i, topic in enumerate(self.topics)
            if shard.meta.offsets[i] >= 0
        }

    def failed(self) -> BaseException | None:
        """What makes going on impossible: a lost batch, or what ended a shard's task other than by design."""
        if self._lost is not None:
            return self._lost
        for task in (*self._tasks.values(), *self._late):
            if task.done() and not task.cancelled() and task.exception() is not None:
                return task.exception()
        return None

    async def shut_down(self, timeout: float) -> None:
        """Lets everything go and waits up to `timeout` seconds for what Kafka has not acknowledged."""
        await self.close()
        for task in self._late:
            task.cancel()
        await asyncio.gather(*self._late, return_exceptions=True)
        await self.publisher.close(timeout)
        self._inspector.close()
        await self._connections.close()
