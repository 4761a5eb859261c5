"""The producers against a broker: where records land, in which order, at which pace, and what happens when they do not."""

from __future__ import annotations

import time
from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping

import msgspec
import pytest
from confluent_kafka import Consumer, Producer, TopicPartition

from schemas.deadletter import InvalidRecord
from schemas.ladder_file import load_ladder
from schemas.partition import partition_of
from schemas.spend import Spend
from schemas.touchpoint import KINDS, Kind
from schemas.validate import Validator
from sources.errors import DeliveryFailed
from sources.kafka_log import KafkaLog, Log
from sources.live import LivePolicy, send, send_spend
from sources.producer import Replayed, ReplayPolicy, replay
from sources.route import partition, route
from sources.simulator.config import SimulatorConfig
from sources.simulator.day import PromotionDay
from sources.simulator.spend import spend_lines
from sources.slices import SlicePolicy

LADDER = load_ladder("5r")
VALIDATOR = Validator(LADDER, lambda: time.time_ns() // 1_000_000)
PARTITIONS = 3
SMALL = ReplayPolicy(slices=SlicePolicy(records=100))


@pytest.fixture(scope="module")
def broker() -> Iterator[str]:
    """The address of a broker in this process, with topics of PARTITIONS partitions."""
    settings = {"test.mock.num.brokers": 1, "topic.metadata.refresh.interval.ms": 100, "log_level": 0}
    producer = Producer(settings)
    (metadata,) = producer.list_topics().brokers.values()
    yield f"{metadata.host}:{metadata.port}"
    producer.flush(1)


@pytest.fixture
def log(broker: str, request: pytest.FixtureRequest) -> Iterator[KafkaLog]:
    """A producer whose topics are this test's own."""
    with KafkaLog(broker, prefix=f"{abs(hash(request.node.name))}.") as log:
        yield log


def day(**changes: object) -> list[bytes]:
    return list(PromotionDay(SimulatorConfig(LADDER, **{"users": 300, "events": 2_000, **changes})).lines())  # type: ignore[arg-type]


def consume(broker: str, ends: Mapping[Log, int]) -> dict[Log, list[tuple[bytes | None, bytes]]]:
    """Keys and values of every log up to its end."""
    consumer = Consumer({"bootstrap.servers": broker, "group.id": "test", "auto.offset.reset": "earliest", "log_level": 0})
    consumer.assign([TopicPartition(topic, partition, 0) for topic, partition in ends])
    found: defaultdict[Log, list[tuple[bytes | None, bytes]]] = defaultdict(list)
    deadline = time.monotonic() + 20
    while sum(map(len, found.values())) < sum(ends.values()) and time.monotonic() < deadline:
        for message in consumer.consume(1000, 0.1):
            assert message.error() is None
            key, value = message.key(), message.value()
            assert key is None or isinstance(key, bytes)
            assert isinstance(value, bytes)
            found[message.topic() or "", message.partition() or 0].append((key, value))
    consumer.close()
    return dict(found)


def is_tick(value: bytes) -> bool:
    return route(value).tick


async def test_every_line_lands_once_on_its_topic_and_partition_in_the_files_order(broker: str, log: KafkaLog) -> None:
    lines = [*day(broken=0.05, late=0.05), b"{", b'{"type":"like","user_id":"u1"}']
    done = await replay(lines, log, VALIDATOR, PARTITIONS, policy=SMALL)
    logs = consume(broker, done.ends)
    assert {log: len(records) for log, records in logs.items()} == done.ends
    expected: defaultdict[Log, list[tuple[bytes | None, bytes]]] = defaultdict(list)
    for line in lines:
        kind, key, _, _ = route(line)
        expected[log.topic(kind), partition(line, key, PARTITIONS)].append((key, line))
    assert {at: [record for record in records if not is_tick(record[1])] for at, records in logs.items()} == expected
    for (_, number), records in expected.items():
        assert all(key is None or partition_of(key.decode(), PARTITIONS) == number for key, _ in records)


async def test_what_is_reported_is_what_was_produced(log: KafkaLog) -> None:
    config = SimulatorConfig(LADDER, users=300, events=2_000, broken=0.05)
    simulated = PromotionDay(config)
    lines = list(simulated.lines())
    steps: list[int] = []
    done = await replay(lines, log, VALIDATOR, PARTITIONS, policy=SMALL, on_progress=lambda so_far: steps.append(so_far.events))
    assert done.events == done.topics.total() == len(lines)
    assert done.bytes == sum(map(len, lines))
    assert done.invalid == simulated.tally.broken
    assert done.topics == Counter(log.topic(route(line).kind) for line in lines)
    assert steps == sorted(steps)
    assert (len(steps), steps[-1]) == (done.slices, len(lines))
    assert done.ends.keys() == {(log.topic(kind), number) for kind in KINDS for number in range(PARTITIONS)}
    assert sum(done.ends.values()) == len(lines) + done.slices * len(KINDS) * PARTITIONS


async def test_every_log_is_told_after_each_slice_how_far_all_of_them_are(broker: str, log: KafkaLog) -> None:
    lines = day(late=0, broken=0.02, retries=0)
    done = await replay(lines, log, VALIDATOR, PARTITIONS, policy=SMALL)
    logs = consume(broker, done.ends)
    ticks = {at: [msgspec.json.decode(value)["occurred_at"] for _, value in records if is_tick(value)] for at, records in logs.items()}
    (times,) = {tuple(told) for told in ticks.values()}
    assert len(times) == done.slices
    assert list(times) == sorted(times)
    assert times[-1] == done.time == max(at for line in lines if (at := valid_time(line)) is not None)
    for records in logs.values():
        reached = -1
        for _, value in records:
            at = valid_time(value)
            # What comes after a tick is later than it: the slices end where the time changes.
            assert at is None or at > reached or is_tick(value)
            reached = at if is_tick(value) and at is not None else reached


def valid_time(line: bytes) -> int | None:
    try:
        at = VALIDATOR.validate(route(line).kind, line).occurred_at
    except InvalidRecord:
        return None
    assert isinstance(at, int)
    return at


class SlowWork:
    """A pace that works off what it is asked to wait for and no more, and adds up what lies in front of it."""

    def __init__(self) -> None:
        self.waits = 0
        self.done: dict[Log, int] = {}

    async def wait(self, produced: Mapping[Log, int]) -> None:
        assert all(end >= self.done.get(at, 0) for at, end in produced.items())
        self.waits += 1
        self.done = dict(produced)


class Measured(KafkaLog):
    """Remembers the bytes of every record but the ticks, by log and offset."""

    def __init__(self, broker: str, prefix: str) -> None:
        super().__init__(broker, prefix=prefix)
        self.sizes: defaultdict[Log, list[int]] = defaultdict(list)

    async def send(self, kind: Kind, partition: int, key: bytes | None, value: bytes) -> None:
        self.sizes[self.topic(kind), partition].append(0 if is_tick(value) else len(value) + len(key or b""))
        await super().send(kind, partition, key, value)


async def test_no_partition_holds_more_than_the_bound_that_is_not_worked_off(broker: str) -> None:
    bound, work, log = 30_000, SlowWork(), Measured(broker, "measured.")
    held: list[int] = []

    def measure(_: Replayed) -> None:
        for number in range(PARTITIONS):
            logs = [(log.topic(kind), number) for kind in KINDS]
            held.append(sum(sum(log.sizes[at][work.done.get(at, 0) :]) for at in logs))

    policy = ReplayPolicy(slices=SlicePolicy(records=100), in_flight_bytes=bound)
    done = await replay(day(broken=0), log, VALIDATOR, PARTITIONS, pace=work, policy=policy, on_progress=measure)
    log.close()
    assert 5 < work.waits < done.slices
    assert bound / 2 < max(held) <= bound


async def test_a_slice_larger_than_the_bound_waits_for_all_before_it_and_goes_alone(log: KafkaLog) -> None:
    work = SlowWork()
    policy = ReplayPolicy(slices=SlicePolicy(records=100), in_flight_bytes=1)
    done = await replay(day(), log, VALIDATOR, PARTITIONS, pace=work, policy=policy)
    assert work.waits == done.slices - 1


async def test_what_the_pace_raises_ends_the_replay(log: KafkaLog) -> None:
    class Dead:
        async def wait(self, produced: Mapping[Log, int]) -> None:
            raise RuntimeError(f"no worker left of {len(produced)} logs")

    policy = ReplayPolicy(slices=SlicePolicy(records=100), in_flight_bytes=1)
    with pytest.raises(RuntimeError, match="no worker left"):
        await replay(day(), log, VALIDATOR, PARTITIONS, pace=Dead(), policy=policy)


async def test_a_replay_can_be_slowed_to_a_rate(log: KafkaLog) -> None:
    began = time.monotonic()
    policy = ReplayPolicy(slices=SlicePolicy(records=100), rate=4_000)
    await replay(day(), log, VALIDATOR, PARTITIONS, policy=policy)
    assert 0.45 < time.monotonic() - began < 2


async def test_a_source_without_lines_leaves_no_trace(log: KafkaLog) -> None:
    assert await replay([], log, VALIDATOR, PARTITIONS) == Replayed()


async def test_rubbish_alone_is_produced_and_told_a_time_so_that_it_can_be_taken(broker: str, log: KafkaLog) -> None:
    done = await replay([b"{"] * 250, log, VALIDATOR, PARTITIONS)
    assert (done.events, done.invalid, done.time) == (250, {"invalid_json": 250}, None)
    logs = consume(broker, done.ends)
    assert {records[-1][1] for records in logs.values()} == {b'{"type":"tick","occurred_at":0}'}


async def test_a_broker_that_does_not_answer_is_an_error() -> None:
    log = KafkaLog("127.0.0.1:1", settings={"message.timeout.ms": 300, "log_level": 0})
    with pytest.raises(DeliveryFailed, match="expected Kafka to take every record"):
        await replay(day(events=10), log, VALIDATOR, PARTITIONS)
    log.close()


async def test_a_record_too_large_for_the_producer_is_an_error(log: KafkaLog) -> None:
    with pytest.raises(DeliveryFailed, match="to take 2000000 bytes"):
        await log.send(Kind.ORDER, 0, None, b"x" * 2_000_000)


async def test_a_full_queue_is_waited_for(broker: str) -> None:
    log = KafkaLog(broker, prefix="full.", settings={"queue.buffering.max.messages": 10})
    done = await replay(day(), log, VALIDATOR, PARTITIONS, policy=SMALL)
    log.close()
    assert done.events == 2_000


async def test_live_records_go_out_at_their_rate_with_their_users_keys(broker: str, log: KafkaLog) -> None:
    lines = day(events=500)
    began = time.monotonic()
    sent = await send(lines, log, PARTITIONS, policy=LivePolicy(rate=1_000))
    assert 0.45 < time.monotonic() - began < 2
    assert (sent.events, sent.bytes, sent.topics.total()) == (500, sum(map(len, lines)), 500)
    logs = consume(broker, log.ends)
    assert Counter(value for records in logs.values() for _, value in records) == Counter(lines)
    for (_, number), records in logs.items():
        assert all(key is None or partition_of(key.decode(), PARTITIONS) == number for key, _ in records)


async def test_live_records_can_be_accompanied_by_the_wall_clocks_ticks(broker: str, log: KafkaLog) -> None:
    before = time.time_ns() // 1_000_000
    await send(day(events=100), log, PARTITIONS, policy=LivePolicy(rate=200, tick_seconds=0.1))
    logs = consume(broker, log.ends)
    for kind in KINDS:
        for number in range(PARTITIONS):
            ticks = [msgspec.json.decode(value)["occurred_at"] for _, value in logs[log.topic(kind), number] if is_tick(value)]
            assert 2 <= len(ticks) <= 6
            assert before <= ticks[0] <= ticks[-1] <= time.time_ns() // 1_000_000


async def test_spend_goes_out_under_its_id(broker: str, log: KafkaLog) -> None:
    lines = list(spend_lines(SimulatorConfig(LADDER)))
    assert await send_spend(lines, log, "spend", PARTITIONS) == len(lines)
    logs = consume(broker, log.ends)
    assert sum(map(len, logs.values())) == len(lines)
    for (_, number), records in logs.items():
        for key, value in records:
            spend_id = msgspec.json.decode(value, type=Spend).spend_id
            assert (key, number) == (spend_id.encode(), partition_of(spend_id, PARTITIONS))
