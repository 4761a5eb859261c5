"""The batch transport: Faust's consumer decides who reads what, librdkafka reads it, and a message is a whole batch.

Faust's own path makes an object of every record and commits offsets by its acknowledgements; here the offset to resume at is the one
in Redis, and Kafka's committed offset is kept only for lag tools.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import Any, NamedTuple

import structlog
from aiokafka.coordinator.assignors.range import RangePartitionAssignor
from aiokafka.errors import KafkaConnectionError
from aiokafka.errors import KafkaError as AioKafkaError
from aiokafka.structs import OffsetAndMetadata, TopicPartition
from confluent_kafka import KafkaException
from faust.transport.drivers import aiokafka as driver
from faust.types import TP, ConsumerMessage

from streams.host import ShardHost
from streams.logs import Fetched, LogReader, Place
from streams.member import GroupMember

log = structlog.get_logger(__name__)

_COMMIT_S = 3.0
_RETRY_S = 0.5


class Batch(NamedTuple):
    """What Faust carries as one record: all that was fetched at once, of every log, under the name and offset of one of them.

    Faust takes some turns of the event loop for each record it carries, and in every turn the shards may fold.
    """

    topic: str
    partition: int
    offset: int
    found: dict[Place, Fetched]


class ConsumerThread(driver.AIOKafkaConsumerThread):
    """Faust's member of the consumer group, with an assignor that gives all partitions of one number to one member."""

    async def on_start(self) -> None:
        """Joins the group, as soon as Kafka answers."""
        is_told = False
        while not (self.should_stop or self.app.should_stop):
            try:
                await super().on_start()
            except KafkaConnectionError as error:
                if not is_told:
                    log.warning("Kafka does not answer yet", error=str(error))
                    is_told = True
                await self._ensure_consumer().stop()
                await asyncio.sleep(_RETRY_S)
            else:
                return

    def _create_worker_consumer(self, transport: Any) -> GroupMember:
        conf = self.app.conf
        return GroupMember(
            session_timeout=conf.broker_session_timeout,
            rebalance_timeout=conf.broker_rebalance_timeout,
            kafka=transport.kafka,
            client={
                "client_id": conf.broker_client_id,
                "bootstrap_servers": driver.server_list(transport.url, transport.default_port),
            },
            group_id=conf.id,
            heartbeat_interval_ms=int(conf.broker_heartbeat_interval * 1000),
            # Equal partition counts make the range assignor co-partition: a shard's four logs stay together.
            partition_assignment_strategy=[RangePartitionAssignor],
            enable_auto_commit=False,
            auto_offset_reset="earliest",
            # Membership alone: the records themselves come through librdkafka.
            max_poll_interval_ms=2**31 - 1,
        )


class BatchConsumer(driver.Consumer):
    """A Faust consumer whose records are batches, read from where Redis says."""

    host: ShardHost
    reader: LogReader
    seeking: asyncio.Lock
    _assigned: int | None = None
    """the number of the assignment that is in force, None between two: what it was is no longer this worker's"""
    _assignments: int = 0
    _committing: asyncio.Future[Any] | None = None
    _taken: tuple[int, dict[Place, int]] | None = None
    """the assignment whose shards have been taken, and where its logs were begun to be read"""

    def _new_consumer_thread(self) -> ConsumerThread:
        return ConsumerThread(self, loop=self.loop, beacon=self.beacon)

    async def on_partitions_revoked(self, revoked: set[TP]) -> None:
        """Lets the shards go before anyone else takes them."""
        self._assigned = None
        self.reader.assign({})
        await self.host.close()
        await super().on_partitions_revoked(revoked)

    async def on_partitions_assigned(self, assigned: set[TP], generation_id: int = 0) -> None:
        """From now on these are this worker's; they are taken when Faust seeks."""
        self._assignments += 1
        self._assigned = self._assignments
        await super().on_partitions_assigned(assigned, generation_id)

    async def seek_to_committed(self) -> Mapping[TP, int]:
        """Takes the shards of the current assignment, once: outbox first, then each log from the applied offset on.

        Faust also seeks when a fetch ends in the middle of a rebalance. The old shards are not to be taken again then, nor the new ones
        twice: each time costs the figures as long as taking them does.
        """
        async with self.seeking:
            assigned = self._assigned
            if assigned is None:
                return {}
            if self._taken is None or self._taken[0] != assigned:
                self.host.follow = self._follow
                begin = await self.host.open({tp.partition for tp in self.assignment()})
                await self.reader.meet({topic for topic, _ in begin})
                if assigned != self._assigned:
                    return {}
                self.reader.assign(begin)
                self.host.generation = self.reader.generation
                self._taken = (assigned, begin)
            begin = self._taken[1]
        return {TP(topic, partition): offset for (topic, partition), offset in begin.items()}

    def _follow(self, begin: dict[Place, int]) -> None:
        self.reader.add(begin)
        # Faust drops what lies before the offset it last passed on, be it that of an earlier assignment.
        self._read_offset.update({TP(*place): offset for place, offset in begin.items()})

    async def _getmany(self, active_partitions: set[TP] | None, timeout: float) -> dict[TP, list[Batch]]:
        active = active_partitions or set()
        idle = {place for place in self.reader.assigned if TP(*place) not in active}
        self.reader.pause(self.host.full() | idle)
        try:
            found = await self.reader.fetch(min(timeout, 0.25))
        except KafkaException:
            # A log that ends before the place to read: made anew, perhaps, which is to be told in those words.
            if not await self.host.look_at_topics():
                raise
            return {}
        carrier = next((place for place in found if TP(*place) in active), None)
        return {} if carrier is None else {TP(*carrier): [Batch(*carrier, _offset(found[carrier]), found)]}

    def _to_message(self, tp: TP, record: Batch) -> ConsumerMessage:
        value: Any = record
        return ConsumerMessage(
            record.topic, record.partition, record.offset, 0.0, 0, None, None, value, None, 0, 0, tp,
            generation_id=self.app.consumer_generation_id,
        )  # fmt: skip

    def highwater(self, tp: TP) -> int:
        """The end of the log as of the last fetch."""
        return self.reader.high_watermark((tp.topic, tp.partition))

    async def _add_gap(self, tp: TP, offset_from: int, offset_to: int) -> None:
        """Faust's own account of offsets is not used."""

    async def commit(self, topics: Any = None, start_new_transaction: bool = True) -> bool:
        """Commits the applied offsets, for lag tools alone."""
        offsets = {TP(*place): offset for place, offset in self.host.applied().items()}
        assigned = self.assignment()
        committed: bool = await self._thread.call_thread(self._commit_applied, {tp: o for tp, o in offsets.items() if tp in assigned})
        return committed

    async def _commit_applied(self, offsets: Mapping[TP, int]) -> bool:
        """Nothing waits for long for it, and none is begun while one is under way: the group's coordinator may be gone."""
        if not offsets or (self._committing is not None and not self._committing.done()):
            return False
        said = {TopicPartition(tp.topic, tp.partition): OffsetAndMetadata(offset, "") for tp, offset in offsets.items()}
        self._committing = asyncio.ensure_future(self._thread._ensure_consumer().commit(said))
        self._committing.add_done_callback(_told_of_commit)
        done, _ = await asyncio.wait({self._committing}, timeout=_COMMIT_S)
        return bool(done) and self._committing.exception() is None

    def verify_event_path(self, now: float, tp: TP) -> None:
        """The worker's own watchdog looks after progress."""


class BatchTransport(driver.Transport):
    """A Faust transport whose consumers share `host` and `reader`, and log in as librdkafka does with `kafka`."""

    def __init__(self, *args: Any, host: ShardHost, reader: LogReader, kafka: dict[str, Any], **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.kafka = kafka
        self.Consumer = type("Consumer", (BatchConsumer,), {"host": host, "reader": reader, "seeking": asyncio.Lock()})  # type: ignore[misc]


def _told_of_commit(committed: asyncio.Future[Any]) -> None:
    if not committed.cancelled() and (error := committed.exception()) is not None:
        if not isinstance(error, AioKafkaError | TimeoutError):
            raise error
        log.debug("offsets for lag tools not committed", error=str(error))


def _offset(fetched: Fetched) -> int:
    """The offset under which Faust passes a batch on; it drops what lies before the one it last passed."""
    return (fetched.messages[-1].offset() or 0) if fetched.messages else fetched.begin
