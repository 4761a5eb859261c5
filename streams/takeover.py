"""What a new owner of a shard looks at before its first step: does the log still begin where the state ends, and do Kafka and Redis
agree on the last version?"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Iterator, Mapping
from typing import Any, TypeVar

import structlog
from confluent_kafka import KafkaError, KafkaException, Message, TopicCollection, TopicPartition

from schemas.kafka_client import AdminClient, Consumer
from schemas.touchpoint import KINDS
from streams import metrics
from streams.errors import LogGap, PartitionsChanged, SplitUnfinished, StaleLog, StaleStore
from streams.headers import read_headers
from streams.meta import Meta
from streams.outbox import version_of

log = structlog.get_logger(__name__)

OUTPUTS = {"transitions": 64, "rollups": 64, "deadletters": 8}
"""How many of an output partition's last records are looked at: a late repeat of an old step may lie behind the newest, and dead letters
may be large."""
_FURTHER = 16
"""Where none of them is rflow's, so many times as many."""
_CONSUMER: dict[str, Any] = {
    "group.id": "rflow-inspector",
    "enable.auto.commit": False,
    "enable.partition.eof": True,
    # A shard stands still until its logs have been looked at.
    "fetch.wait.max.ms": 20,
    "fetch.queue.backoff.ms": 5,
}
_T = TypeVar("_T")


class LogInspector:
    """Looks at the logs of a shard through a consumer of its own. One per worker; blocking calls run in a thread, one at a time.

    `topic_ids` False for a broker that cannot tell them, such as librdkafka's mock cluster.
    """

    def __init__(self, kafka: dict[str, Any], topic_prefix: str, *, topic_ids: bool = True, timeout: float = 10.0) -> None:
        self._kafka = {**kafka, **_CONSUMER}
        self._prefix = topic_prefix
        self._timeout = timeout
        self._lock = asyncio.Lock()
        self._consumer: Consumer | None = None
        self._admin: AdminClient | None = None
        self._tells_ids = topic_ids
        self._topic_ids: dict[str, str] | None = None

    async def published(self, shard: int) -> int:
        """The highest version found at the end of the shard's output partitions, 0 for none. To be asked before meta is read: an owner that
        is still at work may publish more, but never what Redis does not know yet."""
        return await self._alone(lambda: max(self._last_version(name, shard) for name in OUTPUTS))

    async def check_partitions(self, expected: int) -> None:
        """To be asked before shards are taken. Raises KafkaException, or PartitionsChanged if a topic that is there has another number."""
        self._topic_ids = None  # a topic may have been made anew since shards were last taken
        names = [self._prefix + name for name in (*(kind.topic for kind in KINDS), *OUTPUTS)]
        found = await self._alone(lambda: self._open().list_topics(timeout=self._timeout).topics)
        counts = {name: len(found[name].partitions) for name in names if name in found and found[name].error is None}
        if wrong := {name: count for name, count in counts.items() if count != expected}:
            raise PartitionsChanged(
                f"expected {expected} partitions of every topic, as the worker was told, found "
                f"{', '.join(f'{count} of {name}' for name, count in wrong.items())}. A user's shard depends on their number, "
                "so all have to agree: `rflow reshard` makes them more, with the users that there are"
            )

    async def begin(self, shard: int, meta: Meta, *, continue_on_gap: bool) -> tuple[list[int], dict[str, str]]:
        """The offset from which to read each input topic, in the order of KINDS, and the topics' ids.

        Raises LogGap or StaleLog where log and state do not fit together, KafkaException if the broker does not answer.
        """
        return await self._alone(lambda: self._begin(shard, meta, continue_on_gap))

    async def ends(self, shard: int) -> list[int]:
        """The end of each input topic's log of the shard, in the order of KINDS."""
        return await self._alone(lambda: [self._bounds(kind.topic, shard)[1] for kind in KINDS])

    async def made_anew(self, known: Mapping[int, Mapping[str, str]]) -> dict[int, StaleLog]:
        """Which shards' topics have other ids by now than those `known`, given by shard; to be asked after `check_partitions`.

        Raises KafkaException.
        """
        ids = await self._alone(self._ids)
        found: dict[int, StaleLog] = {}
        for shard, expected in known.items():
            for kind in KINDS:
                if (error := self._another_log(shard, kind.topic, expected, ids)) is not None:
                    found.setdefault(shard, error)
        return found

    async def _alone(self, look: Callable[[], _T]) -> _T:
        """Runs `look` in a thread. Who is cancelled meanwhile leaves the consumer to it until it is through."""

        async def locked() -> _T:
            async with self._lock:
                return await asyncio.to_thread(look)

        task = asyncio.create_task(locked())
        task.add_done_callback(lambda done: done.cancelled() or done.exception())
        return await asyncio.shield(task)

    def close(self) -> None:
        """Ends the consumer."""
        if self._consumer is not None:
            self._consumer.close()
            self._consumer = None

    def _begin(self, shard: int, meta: Meta, continue_on_gap: bool) -> tuple[list[int], dict[str, str]]:
        ids = self._ids()
        begins = []
        for i, kind in enumerate(KINDS):
            topic = self._prefix + kind.topic
            low, high = self._bounds(kind.topic, shard)
            if (error := self._another_log(shard, kind.topic, meta.topic_ids, ids)) is not None:
                raise error
            begins.append(_begin_of(shard, topic, meta.offsets[i], low, high, continue_on_gap=continue_on_gap))
        return begins, ids

    def _another_log(self, shard: int, topic: str, known: Mapping[str, str], ids: Mapping[str, str]) -> StaleLog | None:
        if topic not in known or topic not in ids or ids[topic] == known[topic]:
            return None
        return StaleLog(
            f"shard {shard}: expected topic {self._prefix}{topic} with id {known[topic]}, found one with id {ids[topic]}: it was made "
            "anew. Bring the old one back, or start over (deploy/RUNBOOK.md)"
        )

    def _open(self) -> Consumer:
        if self._consumer is None:
            self._consumer = Consumer(self._kafka)
        return self._consumer

    def _ids(self) -> dict[str, str]:
        """Topic ids by unprefixed name, as of this taking of shards; empty where the broker does not tell them."""
        if not self._tells_ids:
            return {}
        if self._topic_ids is None:
            names = {self._prefix + kind.topic: kind.topic for kind in KINDS}
            admin = self._admin or AdminClient(self._kafka_client())
            self._admin = None  # one that fails is not asked again
            futures = admin.describe_topics(TopicCollection(list(names)), request_timeout=self._timeout)
            found = {names[name]: str(future.result().topic_id) for name, future in futures.items()}
            self._admin = admin
            self._topic_ids = found if len(set(found.values())) == len(found) else {}
        return self._topic_ids

    def _kafka_client(self) -> dict[str, Any]:
        return {name: value for name, value in self._kafka.items() if name not in _CONSUMER}

    def _bounds(self, name: str, shard: int) -> tuple[int, int]:
        """The first offset of a log, and the one after its last."""
        low, high = self._open().get_watermark_offsets(TopicPartition(self._prefix + name, shard), timeout=self._timeout)
        return int(low), int(high)

    def _last_version(self, name: str, shard: int) -> int:
        """The highest version among the last records that rflow wrote to an output partition, 0 if there is none."""
        topic = self._prefix + name
        low, high = self._bounds(name, shard)
        begin, back, highest, foreign = high, OUTPUTS[name], None, 0
        while highest is None and begin > low:
            end, begin = begin, max(low, begin - back)
            back *= _FURTHER
            for message in self._records(topic, shard, begin, end):
                version = version_of(dict(read_headers(message)), name, shard)
                if version is None:
                    foreign += 1
                else:
                    highest = max(version, highest or 0)
        if foreign:
            # Only rflow writes there. What others wrote tells nothing of the shard, and is no reason to stop it.
            metrics.FOREIGN_RECORDS.labels(topic).inc(foreign)
            log.warning("records that rflow did not write", topic=topic, partition=shard, records=foreign, among=high - begin)
        return highest or 0

    def _records(self, topic: str, shard: int, begin: int, end: int) -> Iterator[Message]:
        """The records from one offset up to another, or to the log's end."""
        consumer = self._open()
        consumer.assign([TopicPartition(topic, shard, begin)])
        deadline = time.monotonic() + self._timeout
        try:
            while time.monotonic() < deadline:
                for message in consumer.consume(64, 0.05):
                    error = message.error()
                    if error is not None and error.code() == KafkaError._PARTITION_EOF:
                        return
                    if error is not None:
                        raise KafkaException(error)
                    if (offset := message.offset() or 0) < end:
                        yield message
                    if offset + 1 >= end:
                        return
                    deadline = time.monotonic() + self._timeout
        finally:
            consumer.unassign()
        raise KafkaException(KafkaError(KafkaError._TIMED_OUT, f"records of {topic} [{shard}] did not arrive in {self._timeout} s"))


def refuse_forgotten(shard: int, known: int, published: int) -> None:
    """Raises StaleStore if an output partition carries a version that Redis does not know."""
    if published > known:
        raise StaleStore(
            f"shard {shard}: expected Redis to know version {published}, which has been published, found version {known}: "
            "Redis has been emptied or restored from an older state. Where ClickHouse has been restored to before it, `rflow restored` "
            "makes them fit, and nothing counts twice. --on-rewind continue goes on above the published version, from the offsets that "
            "Redis knows: what was counted since is counted again"
        )


def refuse_other_partitions(shard: int, meta: Meta, partitions: int) -> None:
    """Raises PartitionsChanged if the state was built with another number of `partitions`, SplitUnfinished while users are being dealt."""
    if meta.partitions not in (0, partitions):
        raise PartitionsChanged(
            f"shard {shard}: expected {meta.partitions} partitions, with which its state was built, found that the worker "
            f"was told {partitions}: where there is state, `rflow reshard` makes them more"
        )
    if meta.splitting is not None:
        raise SplitUnfinished(
            f"shard {shard}: expected all of its users dealt to {meta.partitions} shards, found that some are not yet: "
            "let `rflow reshard` end, or run it again"
        )


def _begin_of(shard: int, topic: str, applied: int, low: int, high: int, *, continue_on_gap: bool) -> int:
    if applied < 0:
        return low
    begin = applied + 1
    if begin > high:
        raise StaleLog(
            f"shard {shard}: expected {topic} to reach offset {applied}, which has been applied, found that it ends at {high - 1}. "
            "Bring its records back, or start over (deploy/RUNBOOK.md)"
        )
    if begin < low:
        if continue_on_gap:
            return low
        raise LogGap(
            f"shard {shard}: expected {topic} to reach back to offset {begin}, found that it begins at {low}: "
            f"{low - begin} records are lost. --on-gap continue goes on without them"
        )
    return begin
