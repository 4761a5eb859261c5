"""What the load tests stand on: floods of records, and the memory of the processes that take them."""

from __future__ import annotations

import re
import time
from collections.abc import Iterable, Iterator
from contextlib import closing
from functools import cache
from pathlib import Path

from confluent_kafka import TIMESTAMP_LOG_APPEND_TIME, Consumer, KafkaError, KafkaException, Message, Producer, TopicPartition

from bench.load import Event
from schemas.partition import partition_of
from schemas.touchpoint import CATALOGUE, KINDS
from sinks.bounded import BoundedReader
from tests.workers import Deployment

PARTITIONS = 4


def peak_mb(pid: int) -> float:
    """The most memory a process has held so far, in MB of resident pages."""
    return _status_kb(pid, "VmHWM") / 1024


def resident_mb(pid: int) -> float:
    """The memory a process holds now, in MB of resident pages."""
    return _status_kb(pid, "VmRSS") / 1024


def _status_kb(pid: int, name: str) -> int:
    found = re.search(rf"^{name}:\s+(\d+) kB$", Path(f"/proc/{pid}/status").read_text(), re.MULTILINE)
    assert found is not None, name
    return int(found[1])


def say(figures: str) -> None:
    """Tells a figure of a load test; `pytest -s` shows it."""
    print(f"\n    {figures}", end="", flush=True)


class Outpour:
    """Writes a deployment's touchpoints as fast as they are given, compressed."""

    def __init__(self, deployment: Deployment) -> None:
        self._deployment = deployment
        self._topics = {kind: deployment.topic(kind.topic) for kind in KINDS}
        self._failed: KafkaError | None = None
        self._producer = Producer(
            {
                "bootstrap.servers": deployment.bootstrap,
                "enable.idempotence": True,
                "linger.ms": 5,
                "compression.type": "lz4",
                "delivery.report.only.error": True,
                "on_delivery": self._delivered,
            }
        )

    def pour(self, flood: Iterable[Event]) -> int:
        """All of it, in order; how many records, once Kafka has them."""
        count = 0
        for event in flood:
            self.send(event)
            count += 1
        self.flush()
        return count

    def send(self, event: Event) -> None:
        """One record; waits while librdkafka has no room."""
        while True:
            try:
                self._producer.produce(self._topics[event.kind], event.value, event.key, event.partition)
            except BufferError:
                self._producer.poll(0.05)
            else:
                self._producer.poll(0)
                return

    def flush(self) -> None:
        """Waits for the acknowledgements."""
        assert self._producer.flush(60) == 0
        if self._failed is not None:
            raise KafkaException(self._failed)

    def ends(self) -> dict[tuple[str, int], int]:
        """The end of every input log."""
        consumer = Consumer({"bootstrap.servers": self._deployment.bootstrap, "group.id": "ends"})
        try:
            return {place: consumer.get_watermark_offsets(TopicPartition(*place), timeout=30)[1] for place in self._places()}
        finally:
            consumer.close()

    def arrivals(self) -> list[int]:
        """When the broker appended each record of the input logs, in order of time: epoch milliseconds."""
        found: list[int] = []
        with closing(BoundedReader({"bootstrap.servers": self._deployment.bootstrap}, "arrivals")) as reader:
            for topic, partition in self._places():
                for messages in reader.batches(topic, partition, *reader.bounds(topic, partition)):
                    stamps = [message.timestamp() for message in messages]
                    assert {kind for kind, _ in stamps} == {TIMESTAMP_LOG_APPEND_TIME}
                    found += [at for _, at in stamps]
        return sorted(found)

    def _places(self) -> list[tuple[str, int]]:
        return [(topic, partition) for topic in self._topics.values() for partition in range(PARTITIONS)]

    def _delivered(self, error: KafkaError | None, _: Message) -> None:
        self._failed = error or self._failed


def paced(flood: Iterator[Event], outpour: Outpour, rate: float, seconds: float) -> int:
    """Sends so many records a second for so long; how many."""
    began, sent = time.monotonic(), 0
    while (passed := time.monotonic() - began) < seconds:
        for _ in range(int(passed * rate) - sent):
            outpour.send(next(flood))
            sent += 1
        time.sleep(0.005)
    return sent


def touchpoint(number: int, type_: str, user: str, at: int, further: str = "") -> Event:
    """A record of brand acme on douyin."""
    value = (
        f'{{"event_id":"e{number:012x}","type":"{type_}","brand":"acme","user_id":"{user}","occurred_at":{at},'
        f'"channel":"douyin","campaign_id":"d11-teaser"{further}}}'
    )
    return Event(CATALOGUE[type_], _place(user), user.encode(), value.encode())


@cache
def _place(user: str) -> int:
    return partition_of(user, PARTITIONS)
