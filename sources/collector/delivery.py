"""Records on their way to Kafka, each known to be in its log or not.

For one event loop. A producer that has failed for good, or whose acknowledgements cannot be believed, is replaced by another; what was on
its way then counts as not acknowledged: who sent it sends it again, and the processor drops what was there after all.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from functools import partial
from typing import NamedTuple

import structlog
from confluent_kafka import KafkaError, KafkaException, Message

from schemas.acknowledged import Offsets
from schemas.kafka_client import Producer
from schemas.touchpoint import KINDS, Kind
from sources.collector.tally import Tally
from sources.kafka_log import PRODUCER

log = structlog.get_logger(__name__)

_POLL_SECONDS = 0.001
_IDLE_SECONDS = 1.0
_CLOSE_SECONDS = 5.0
_LOOK_SECONDS = (2.0, 60.0)
"""How often the topics are looked at: until they are as expected, and then."""
_LOOK_TIMEOUT = 5.0


class Routed(NamedTuple):
    """A record and where it belongs."""

    kind: Kind
    partition: int
    key: bytes | None
    value: bytes


class Sending:
    """Records handed over together. `failures` has, by place, why a record is not known to be in Kafka; it is whole when `done` is."""

    def __init__(self, count: int) -> None:
        self.done: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self.failures: dict[int, str] = {}
        self._left = count

    def settle(self, place: int, wrong: str | None) -> None:
        """The fate of one record."""
        if wrong is not None:
            self.failures[place] = wrong
        self._left -= 1
        if self._left == 0 and not self.done.done():
            self.done.set_result(None)


class Delivery:
    """`settings` are librdkafka's, the address included; `prefix` comes before every topic's name.

    A record that is not acknowledged within `timeout` seconds has failed. Where something waits and nothing has been acknowledged for
    `stall` seconds, Kafka is `away`. `trouble` says what is wrong with Kafka or its topics, empty if nothing is; `ready` is set once they
    were seen.
    """

    def __init__(
        self, settings: Mapping[str, object], tally: Tally, *, prefix: str, partitions: int, timeout: float, stall: float, records: int
    ) -> None:
        self.ready = False
        self.trouble = "Kafka has not answered yet"
        self.in_flight = 0
        self._tally = tally
        self._partitions = partitions
        self._stall = stall
        self._topics = {kind: prefix + kind.topic for kind in KINDS}
        self._config: dict[str, object] = {
            **PRODUCER,
            **settings,
            "message.timeout.ms": round(1000 * timeout),
            "queue.buffering.max.messages": 2 * records,
            "error_cb": self._on_error,
        }
        self._fatal = ""
        self._heard = 0.0
        self._failing = False
        self._was_up = False
        self._sent = asyncio.Event()
        self._tasks: list[asyncio.Task[None]] = []

    def open(self) -> None:
        """Begins; returns at once, whether Kafka answers or not."""
        self._producer, self._offsets = Producer(self._config), Offsets()
        self._tasks = [asyncio.create_task(self._poll()), asyncio.create_task(self._look())]

    async def close(self) -> None:
        """Waits some seconds for what is on its way, gives up the rest, and ends."""
        until = time.monotonic() + _CLOSE_SECONDS
        while self.in_flight and time.monotonic() < until:
            await asyncio.sleep(_POLL_SECONDS)
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await self._give_up(self._producer)

    @property
    def away(self) -> bool:
        """Whether Kafka acknowledges nothing although something waits, or was never there."""
        return not self.ready or (self.in_flight > 0 and time.monotonic() - self._heard > self._stall)

    def send(self, records: Sequence[Routed], headers: list[tuple[str, str | bytes | None]] | None) -> Sending:
        """Hands records over. What comes of them is known once `done` is; that may take `timeout` seconds, and never blocks."""
        sending = Sending(len(records))
        if not self.in_flight:
            self._heard = time.monotonic()
        for place, record in enumerate(records):
            self.in_flight += 1
            report = partial(self._reported, sending, place)
            try:
                self._producer.produce(
                    self._topics[record.kind], record.value, record.key, record.partition, on_delivery=report, headers=headers
                )
            except (BufferError, KafkaException) as error:
                self.in_flight -= 1
                sending.settle(place, str(error))
        self._sent.set()
        return sending

    def _reported(self, sending: Sending, place: int, error: KafkaError | None, record: Message) -> None:
        self.in_flight -= 1
        wrong = self._offsets.failure(error, record)
        self._failing = wrong is not None
        if wrong is None:
            self._heard = time.monotonic()
        elif error is None:
            self._fatal = self._fatal or wrong
        sending.settle(place, wrong)

    def _on_error(self, error: KafkaError) -> None:
        # All others are librdkafka's to retry, and end in a delivery error if that does not help.
        if error.fatal():
            self._fatal = self._fatal or error.str()

    async def _poll(self) -> None:
        while True:
            self._producer.poll(0)
            if self._fatal:
                await self._renew()
            self._tell()
            if self.in_flight:
                await asyncio.sleep(_POLL_SECONDS)
            else:
                self._sent.clear()
                with suppress(TimeoutError):
                    await asyncio.wait_for(self._sent.wait(), _IDLE_SECONDS)

    async def _renew(self) -> None:
        log.error("the producer cannot go on: another takes its place", error=self._fatal, not_acknowledged=self.in_flight)
        old, self._fatal = self._producer, ""
        await self._give_up(old)
        self._producer, self._offsets, self._fatal = Producer(self._config), Offsets(), ""

    async def _give_up(self, producer: Producer) -> None:
        """Ends a producer; what it had on its way is reported as failed."""
        producer.purge()
        for _ in range(100):
            if not producer.poll(0) and not len(producer):
                break
            await asyncio.sleep(_POLL_SECONDS)
        producer.close()

    def _tell(self) -> None:
        up = not self.away and not self._failing
        if up == self._was_up:
            return
        self._was_up = up
        self._tally.kafka(up)
        if up:
            log.info("Kafka takes records")
        else:
            log.warning("Kafka acknowledges nothing: requests are refused until it does", waiting=self.in_flight)

    async def _look(self) -> None:
        """Sees to it that the topics are there, with as many partitions as this process believes."""
        while True:
            before, self.trouble = self.trouble, await asyncio.to_thread(self._wrong)
            self.ready = self.ready or not self.trouble
            if self.trouble not in ("", before):
                log.warning("the topics are not as expected", error=self.trouble)
            self._tell()
            await asyncio.sleep(_LOOK_SECONDS[not self.trouble])

    def _wrong(self) -> str:
        for topic in self._topics.values():
            try:
                found = self._producer.list_topics(topic, timeout=_LOOK_TIMEOUT).topics[topic]
            except KafkaException as error:
                return f"{topic}: {error.args[0].str()}"
            if found.error is not None:
                return f"{topic}: {found.error.str()}"
            if len(found.partitions) != self._partitions:
                return f"{topic}: expected {self._partitions} partitions, found {len(found.partitions)}"
        return ""
