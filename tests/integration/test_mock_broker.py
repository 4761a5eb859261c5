"""The in-memory broker does what rflow needs of Kafka, for clients in other processes."""

from __future__ import annotations

import asyncio
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from aiokafka import AIOKafkaConsumer, TopicPartition
from confluent_kafka import Consumer, Producer, TopicCollection
from confluent_kafka import TopicPartition as Partition
from confluent_kafka.admin import AdminClient

from deploy.stack.broker import MockBrokerConfig
from tests.servers import Server, Servers, wait_until

ROOT = Path(__file__).resolve().parents[2]
RETAINED = 32 * 1024 * 1024


@pytest.fixture(scope="module")
def broker(shared_servers: Servers) -> Server:
    config = MockBrokerConfig(topics=("one", "two", "big", "shared"), partitions=6, groups=("workers", "others"), retain_bytes=RETAINED)
    return shared_servers.mock_broker(config)


def producer(broker: Server) -> Producer:
    return Producer({"bootstrap.servers": broker.address, "enable.idempotence": True, "linger.ms": 5})


def read(broker: Server, topic: str, partition: int, start: int, count: int) -> list[bytes]:
    consumer = Consumer({"bootstrap.servers": broker.address, "group.id": "reader", "fetch.wait.max.ms": 20, "fetch.queue.backoff.ms": 5})
    values: list[bytes] = []
    try:
        consumer.assign([Partition(topic, partition, start)])
        while len(values) < count:
            batch = consumer.consume(count - len(values), 5.0)
            assert batch, f"only {len(values)} of {count} records"
            values += [message.value() or b"" for message in batch]
        return values
    finally:
        consumer.close()


def test_topics_have_the_partitions_asked_for_and_an_id(broker: Server) -> None:
    admin = AdminClient({"bootstrap.servers": broker.address})
    topics = admin.list_topics(timeout=10).topics
    assert {name: len(topics[name].partitions) for name in ("one", "two", "big")} == {"one": 6, "two": 6, "big": 6}
    described = [admin.describe_topics(TopicCollection(["one"]))["one"].result(10).topic_id for _ in range(2)]
    assert str(described[0]) == str(described[1])


def test_a_partition_keeps_what_it_was_told_to_keep_far_beyond_librdkafkas_own_limit(broker: Server) -> None:
    sender, body = producer(broker), b"x" * 10_000
    for number in range(2000):  # 20 MB
        sender.produce("big", value=b"%06d" % number + body, partition=3)
    assert sender.flush(30) == 0
    assert [value[:6] for value in read(broker, "big", 3, 0, 2000)] == [b"%06d" % number for number in range(2000)]


async def test_watermarks_seek_and_pause(broker: Server) -> None:
    sender = producer(broker)
    for partition in (0, 1):
        for number in range(100):
            sender.produce("one", value=b"%d" % number, partition=partition)
    assert sender.flush(30) == 0
    first, second = TopicPartition("one", 0), TopicPartition("one", 1)
    consumer = AIOKafkaConsumer(bootstrap_servers=broker.address, enable_auto_commit=False, fetch_max_wait_ms=20)
    await consumer.start()
    try:
        consumer.assign([first, second])
        assert await consumer.beginning_offsets([first]) == {first: 0}
        assert await consumer.end_offsets([first]) == {first: 100}
        consumer.seek(first, 40)
        consumer.seek(second, 0)
        consumer.pause(second)
        records = (await consumer.getmany(timeout_ms=5000))[first]
        assert (records[0].offset, records[0].value) == (40, b"40")
        assert consumer.highwater(first) == 100
        assert second not in await consumer.getmany(timeout_ms=200)
        consumer.resume(second)
        assert (await consumer.getmany(second, timeout_ms=5000))[second][0].offset == 0
    finally:
        await consumer.stop()


class Member:
    """A member process and what it said."""

    def __init__(self, broker: Server, group: str, topic: str) -> None:
        command = [sys.executable, "-m", "tests.integration.group_member", broker.address, group, topic]
        self.process = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True)
        self.said: list[str] = []
        self._reader = threading.Thread(target=self._read)
        self._reader.start()

    def _read(self) -> None:
        assert self.process.stdout is not None
        for line in self.process.stdout:
            self.said.append(line.strip())

    @property
    def assigned(self) -> set[int]:
        lines = [line for line in self.said if line.startswith("assigned")]
        return {int(word) for word in lines[-1].split()[1:]} if lines else set()

    @property
    def got(self) -> list[str]:
        return [line.split()[2] for line in self.said if line.startswith("got")]

    def kill(self) -> None:
        self.process.kill()
        self.process.wait(10)
        self._reader.join(10)
        if self.process.stdout is not None:
            self.process.stdout.close()


@pytest.fixture
def members(broker: Server) -> Iterator[list[Member]]:
    started: list[Member] = []
    yield started
    for member in started:
        member.kill()


def test_a_group_shares_the_partitions_and_takes_over_from_a_killed_member(broker: Server, members: list[Member]) -> None:
    everything = set(range(6))

    def spread(over: list[Member]) -> bool:
        parts = [member.assigned for member in over]
        return all(parts) and set.union(*parts) == everything and sum(map(len, parts)) == 6

    def send(names: list[str]) -> None:
        sender = producer(broker)
        for number, name in enumerate(names):
            sender.produce("shared", value=name.encode(), partition=number % 6)
        assert sender.flush(30) == 0

    members += [Member(broker, "workers", "shared"), Member(broker, "workers", "shared")]
    one, two = members
    wait_until(lambda: spread([one, two]), "both members to have a share", 20.0)
    send([f"a{number}" for number in range(6)])
    wait_until(lambda: len(one.got) + len(two.got) == 6, "the first records", 10.0)
    one.kill()
    # Long before its session of ten seconds is over: its connection broke.
    wait_until(lambda: two.assigned == everything, "the survivor to take over", 6.0)
    members.append(Member(broker, "workers", "shared"))
    wait_until(lambda: spread([two, members[2]]), "a third to get its share", 20.0)
    send([f"b{number}" for number in range(6)])
    wait_until(lambda: len(two.got) + len(members[2].got) + len(one.got) >= 12, "the second records", 10.0)
    everyone = one.got + two.got + members[2].got
    assert set(everyone) == {f"{batch}{number}" for batch in "ab" for number in range(6)}


def test_committed_offsets_are_kept(broker: Server) -> None:
    for offset in (5, 7):
        consumer = Consumer({"bootstrap.servers": broker.address, "group.id": "others", "enable.auto.commit": False})
        consumer.assign([Partition("two", 0, 0)])
        consumer.commit(offsets=[Partition("two", 0, offset)], asynchronous=False)
        committed = consumer.committed([Partition("two", 0), Partition("two", 1)], 10)
        assert [partition.offset for partition in committed] == [offset, -1001]
        consumer.close()


def test_a_group_of_librdkafka_consumers_works_too(broker: Server) -> None:
    sender = producer(broker)
    for partition in range(6):
        sender.produce("two", value=b"v", partition=partition)
    assert sender.flush(30) == 0
    settings = {"bootstrap.servers": broker.address, "group.id": "others", "auto.offset.reset": "earliest", "fetch.wait.max.ms": 20}
    consumer = Consumer(settings)
    try:
        consumer.subscribe(["two"])
        seen: set[int] = set()
        for _ in range(100):
            seen |= {int(message.partition() or 0) for message in consumer.consume(10, 0.2)}
            if len(seen) >= 5:
                break
        assert seen >= {1, 2, 3, 4, 5}
    finally:
        consumer.close()


async def test_a_group_nobody_named_works_with_one_member(broker: Server) -> None:
    sender = producer(broker)
    sender.produce("one", value=b"v", partition=5)
    assert sender.flush(30) == 0
    for group in ("stranger-1", "stranger-2", "stranger-3"):  # whichever coordinator they are dealt to
        consumer = AIOKafkaConsumer(
            "one", bootstrap_servers=broker.address, group_id=group, auto_offset_reset="earliest", fetch_max_wait_ms=20
        )
        await consumer.start()
        try:
            await asyncio.wait_for(consumer.getone(TopicPartition("one", 5)), 20)
        finally:
            await consumer.stop()
