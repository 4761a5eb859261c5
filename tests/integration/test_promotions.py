"""The promotions' desk on a real Redis and broker: nothing is overwritten, nothing is lost, and all others hear of it."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import msgspec
import pytest
import redis
from confluent_kafka import Consumer, Message, Producer, TopicPartition

from schemas.ladder_file import load_ladder
from schemas.partition import partition_of
from schemas.promotion import Promotion
from schemas.topics import load_topics
from tests.servers import Servers, create_topics, wait_until
from tests.unit.warroom.promotions_by_hand import BEGIN, at
from warroom.promotions import topic
from warroom.promotions.book import Book, Waiting, connected
from warroom.promotions.definition import TEMPLATE, Definition, read_definition
from warroom.promotions.desk import Desk
from warroom.promotions.errors import DeskAway, PromotionConflict, PromotionExists, PromotionInvalid, PromotionUnknown
from warroom.promotions.topic import PromotionTopic
from warroom.states import RedisConfig

PARTITIONS = 4
LADDER = load_ladder("5r")
WRITTEN = read_definition(TEMPLATE, "template")
NOW = BEGIN - 1


def definition(promotion_id: str = "acme-d11-2026") -> Definition:
    return msgspec.structs.replace(WRITTEN, promotion_id=promotion_id)


@dataclass
class Listener:
    """Another service: it follows the topic from its end, and notes when it heard of what."""

    bootstrap: str
    topic: str
    heard: list[tuple[float, Message]] = field(default_factory=list)
    stop: threading.Event = field(default_factory=threading.Event)
    thread: threading.Thread | None = None

    def start(self) -> None:
        consumer = Consumer({"bootstrap.servers": self.bootstrap, "group.id": f"{self.topic}-listener", "log_level": 0})
        consumer.assign([TopicPartition(self.topic, partition, 0) for partition in range(PARTITIONS)])

        def follow() -> None:
            while not self.stop.is_set():
                self.heard += [(time.monotonic(), one) for one in consumer.consume(100, 0.05) if one.error() is None]
            consumer.close()

        self.thread = threading.Thread(target=follow)
        self.thread.start()

    def end(self) -> None:
        self.stop.set()
        if self.thread:
            self.thread.join()

    def versions(self) -> list[Promotion]:
        return [msgspec.json.decode(message.value() or b"", type=Promotion) for _, message in self.heard]

    def told(self) -> list[tuple[str, int]]:
        return [(one.promotion_id, one.version) for one in self.versions()]


@dataclass
class World:
    """A Redis, a topic, desks, and somebody who listens."""

    redis_url: str
    bootstrap: str
    prefix: str
    key_prefix: str
    clock: Callable[[], int] = lambda: NOW
    desks: list[Desk] = field(default_factory=list)

    def client(self) -> Any:
        return redis.Redis.from_url(self.redis_url)

    def book(self) -> Book:
        return Book(self.client(), self.key_prefix)

    def desk(self, bootstrap: str | None = None) -> Desk:
        kafka = {"bootstrap.servers": bootstrap or self.bootstrap, "log_level": 0}
        made = Desk(self.book(), PromotionTopic(kafka, self.prefix, PARTITIONS), LADDER, self.clock)
        self.desks.append(made)
        return made

    def listener(self) -> Listener:
        return Listener(self.bootstrap, f"{self.prefix}promotions")

    def waiting(self) -> int:
        return int(self.client().xlen(f"{self.key_prefix}:{{promotions}}:outbox"))


@pytest.fixture
def world(redis_db_url: str, mock_broker: str, topic_prefix: str, key_prefix: str) -> Iterator[World]:
    producer = Producer({"bootstrap.servers": mock_broker, "log_level": 0})
    name = f"{topic_prefix}promotions"
    wait_until(lambda: len(producer.list_topics(name, timeout=5).topics[name].partitions) == PARTITIONS, name)
    made = World(redis_db_url, mock_broker, topic_prefix, key_prefix)
    yield made
    for desk in made.desks:
        desk.close()


@pytest.fixture
def listener(world: World) -> Iterator[Listener]:
    made = world.listener()
    made.start()
    yield made
    made.end()


def test_others_hear_of_a_change_within_a_second(redis_db_url: str, kafka: str, topic_prefix: str, key_prefix: str) -> None:
    """On a real Kafka, and by a consumer with default settings."""
    create_topics(kafka, [f"{topic_prefix}promotions"], PARTITIONS, load_topics()["promotions"].config())
    world = World(redis_db_url, kafka, topic_prefix, key_prefix)
    listener, desk = world.listener(), world.desk()
    listener.start()
    try:
        _hear(world, listener, desk)
    finally:
        listener.end()
        desk.close()


def _hear(world: World, listener: Listener, desk: Desk) -> None:
    delays = []
    desk.create(definition(), by="chen", because="first plan")
    for n in range(5):
        began = time.monotonic()
        saved = desk.adjust("acme-d11-2026", [f"tmall/R3/headcount={90_000 + n}"], by="li", because="more users")
        assert saved.published
        assert saved.promotion.version == n + 2
        wait_until(partial(lambda version: ("acme-d11-2026", version) in listener.told(), n + 2), "the change to be heard of")
        delays.append(listener.heard[-1][0] - began)
    assert sorted(delays)[2] < 1, delays
    assert listener.told() == [("acme-d11-2026", version) for version in range(1, 7)]
    _, message = listener.heard[-1]
    assert message.key() == b"acme-d11-2026"
    assert message.partition() == partition_of("acme-d11-2026", PARTITIONS)
    headers = dict(message.headers() or [])
    assert (headers["ce_id"], headers["ce_type"]) == (b"acme-d11-2026:6", b"rflow.promotion.v1")
    assert headers["ce_time"] == listener.versions()[-1].changed_at.encode()
    assert world.waiting() == 0


def test_a_version_says_who_why_and_from_when(world: World) -> None:
    desk = world.desk()
    first = desk.create(definition(), by="chen", because="first plan").promotion
    assert (first.version, first.changed_by, first.reason, first.effective_from) == (1, "chen", "first plan", first.window.from_)
    changed = desk.adjust("acme-d11-2026", ["tmall/R3/conversion_rate=6%"], by="li", because="slow", effective_from=at(0)).promotion
    assert (changed.version, changed.changed_by, changed.reason, changed.effective_ms) == (2, "li", "slow", at(0))
    assert changed.target.gmv - first.target.gmv == round(90_000 * 41_000 * -0.02)
    assert desk.versions("acme-d11-2026") == world.desk().versions("acme-d11-2026") == [first, changed]
    with pytest.raises(PromotionInvalid, match="from when version 2 counts"):
        desk.adjust("acme-d11-2026", ["name=x"], by="li", because="y", effective_from=at(-1))
    with pytest.raises(PromotionInvalid, match="a whole minute"):
        desk.adjust("acme-d11-2026", ["name=x"], by="li", because="y", effective_from=at(1) + 1)
    assert desk.adjust("acme-d11-2026", ["name=x"], by="li", because="y").promotion.effective_ms == at(0)


def test_the_second_of_two_operators_is_told(world: World) -> None:
    one, other = world.desk(), world.desk()
    one.create(definition(), by="chen", because="first plan")
    one.adjust("acme-d11-2026", ["tmall/R3/headcount=80000"], by="li", because="fewer came", if_version=1)
    with pytest.raises(PromotionConflict, match=r"expected version 1, found version 2, made by li at .* because 'fewer came'") as told:
        other.adjust("acme-d11-2026", ["tmall/R3/headcount=95000"], by="wang", because="more came", if_version=1)
    assert (told.value.found.changed_by, told.value.found.version) == ("li", 2)
    assert [version.version for version in one.versions("acme-d11-2026")] == [1, 2]


def test_of_many_at_once_each_version_has_one_author(world: World, listener: Listener) -> None:
    world.desk().create(definition(), by="chen", because="first plan")
    desks = [world.desk() for _ in range(4)]

    def adjust(number: int) -> int | None:
        try:
            saved = desks[number % 4].adjust("acme-d11-2026", [f"tmall/R3/headcount={number}"], by=f"op{number}", because="rush")
        except PromotionConflict:
            return None
        return saved.promotion.version

    with ThreadPoolExecutor(8) as pool:
        won = [version for version in pool.map(adjust, range(40)) if version is not None]
    versions = desks[0].versions("acme-d11-2026")
    assert sorted(won) == [version.version for version in versions[1:]] == list(range(2, len(won) + 2))
    assert len({version.changed_by for version in versions}) == len(versions)
    last = ("acme-d11-2026", versions[-1].version)
    wait_until(lambda: listener.told()[-1:] == [last] and world.waiting() == 0, "the last version to stand last on the topic")
    # repeats may come, but by the version rule every version is there, in order, and the newest stands last
    seen, kept = 0, []
    for _, version in listener.told():
        if version > seen:
            seen = version
            kept.append(version)
    assert kept == list(range(1, len(versions) + 1))


def test_what_a_crash_left_is_published_first_and_once(world: World, listener: Listener) -> None:
    desk = world.desk()
    desk.create(definition(), by="chen", because="first plan")
    crashed = msgspec.structs.replace(desk.versions("acme-d11-2026")[-1], version=2, changed_by="li")
    assert world.book().save(crashed)  # and then nothing more is heard of them
    wait_until(lambda: listener.told() == [("acme-d11-2026", 1)], "the first version, and no more")
    assert world.desk().create(definition("other"), by="wang", because="another").published
    wait_until(lambda: len(listener.heard) == 3, "both")
    told = listener.told()
    assert sorted(told) == [("acme-d11-2026", 1), ("acme-d11-2026", 2), ("other", 1)]
    assert [version for id_, version in told if id_ == "acme-d11-2026"] == [1, 2]
    assert world.waiting() == 0


def test_a_version_that_comes_late_to_the_topic_does_not_stay_last(world: World, listener: Listener) -> None:
    desk = world.desk()
    desk.create(definition(), by="chen", because="first plan")
    slow = world.book()
    slow.save(msgspec.structs.replace(desk.versions("acme-d11-2026")[-1], version=2))
    in_hand = slow.claim("slow")
    desk.adjust("acme-d11-2026", ["name=newer"], by="li", because="x")
    kafka = {"bootstrap.servers": world.bootstrap, "log_level": 0}
    late = PromotionTopic(kafka, world.prefix, PARTITIONS)
    late.publish(in_hand)
    assert slow.settle("slow", in_hand) == 1
    late.close()
    assert desk.publish_waiting() == 1
    wait_until(lambda: len(listener.heard) == 5, "the newest once more")
    assert [version for _, version in listener.told()] == [1, 2, 3, 2, 3]


def test_who_never_comes_back_is_made_up_for(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    desk = world.desk()
    desk.create(definition(), by="chen", because="first plan")
    book = world.book()
    book.save(msgspec.structs.replace(desk.versions("acme-d11-2026")[-1], version=2))
    assert [one.version for one in book.claim("dead")] == [2]
    assert desk.publish_waiting() == 1
    assert desk.publish_waiting() == 0
    monkeypatch.setattr("warroom.promotions.book._STALE_MS", -1)
    assert desk.publish_waiting() == 1
    monkeypatch.undo()
    assert desk.publish_waiting() == 0


def test_a_lost_redis_is_filled_from_the_topic(world: World) -> None:
    desk = world.desk()
    desk.create(definition(), by="chen", because="first plan")
    desk.adjust("acme-d11-2026", ["name=618"], by="li", because="renamed")
    desk.create(definition("other"), by="chen", because="first plan")
    before = desk.versions("acme-d11-2026")
    world.client().flushdb()
    with pytest.raises(PromotionConflict, match="found version 2, made by li"):
        world.desk().adjust("acme-d11-2026", ["name=x"], by="wang", because="y", if_version=1)
    world.client().flushdb()
    assert desk.versions("acme-d11-2026") == before
    assert [one.promotion_id for one in desk.newest("acme")] == ["acme-d11-2026", "other"]
    assert desk.newest("nova") == []
    assert desk.recover() == (0, 0)


def test_a_lost_topic_is_filled_from_redis(world: World, listener: Listener) -> None:
    first = world.desk()
    first.create(definition(), by="chen", because="first plan")
    first.adjust("acme-d11-2026", ["name=618"], by="li", because="renamed")
    elsewhere = World(world.redis_url, world.bootstrap, f"{world.prefix}new.", world.key_prefix)
    producer = Producer({"bootstrap.servers": world.bootstrap, "log_level": 0})
    wait_until(lambda: producer.list_topics(f"{elsewhere.prefix}promotions", timeout=5), "the topic")
    desk = elsewhere.desk()
    assert desk.recover() == (0, 2)
    assert desk.recover() == (0, 0)
    desk.close()


def test_what_is_no_promotion_on_the_topic_stops_nothing(world: World) -> None:
    producer = Producer({"bootstrap.servers": world.bootstrap, "log_level": 0})
    for value in (b"{}", b"not json", None):
        producer.produce(f"{world.prefix}promotions", value, "x")
    assert producer.flush(10) == 0
    assert world.desk().create(definition(), by="chen", because="first plan").published


def test_mistakes_say_what_to_do(world: World) -> None:
    desk = world.desk()
    with pytest.raises(PromotionUnknown, match="there is none yet"):
        desk.versions("d12")
    desk.create(definition(), by="chen", because="first plan")
    with pytest.raises(PromotionUnknown, match=r"a promotion that exists \(acme-d11-2026\), found 'd12'"):
        desk.adjust("d12", [], by="li", because="x")
    with pytest.raises(PromotionExists, match="version 1, made by chen"):
        desk.create(definition(), by="li", because="again")
    with pytest.raises(PromotionInvalid, match="expected a path that this promotion has"):
        desk.adjust("acme-d11-2026", ["jd/R3/headcount=1"], by="li", because="x")
    with pytest.raises(PromotionInvalid, match="who makes the change and why"):
        desk.adjust("acme-d11-2026", ["name=x"], by="li", because=" ")
    with pytest.raises(PromotionInvalid, match="brand 'acme'"):
        desk.replace("acme-d11-2026", msgspec.structs.replace(definition(), brand="nova"), by="li", because="x")
    with pytest.raises(PromotionInvalid, match="promotion_id"):
        desk.replace("acme-d11-2026", definition("other"), by="li", because="x")
    assert desk.replace("acme-d11-2026", definition(), by="li", because="the same again").promotion.version == 2


def test_without_kafka_a_change_is_saved_and_told_later(world: World, listener: Listener, monkeypatch: pytest.MonkeyPatch) -> None:
    world.desk().create(definition(), by="chen", because="first plan")
    with monkeypatch.context() as patched:
        patched.setattr(topic, "DELIVERY_SECONDS", 0.5)
        patched.setitem(topic._PRODUCER, "message.timeout.ms", 500)
        saved = world.desk(bootstrap="127.0.0.1:1").adjust("acme-d11-2026", ["name=618"], by="li", because="x")
    assert not saved.published
    assert "Kafka does not take" in saved.delay
    assert world.waiting() == 1
    assert world.desk().publish_waiting() == 1
    wait_until(lambda: listener.told()[-1:] == [("acme-d11-2026", 2)], "the change")


def test_without_redis_nothing_is_done(servers: Servers, world: World) -> None:
    own = servers.redis()
    desk = World(own.address, world.bootstrap, world.prefix, world.key_prefix).desk()
    desk.create(definition(), by="chen", because="first plan")
    own.kill()
    with pytest.raises(DeskAway, match="Redis does not answer"):
        desk.adjust("acme-d11-2026", ["name=x"], by="li", because="x")
    own.start()
    assert desk.adjust("acme-d11-2026", ["name=x"], by="li", because="x").promotion.version == 2
    desk.close()


def test_an_answer_that_was_lost_is_no_conflict(world: World) -> None:
    desk = world.desk()
    first = desk.create(definition(), by="chen", because="first plan").promotion
    book = world.book()
    second = msgspec.structs.replace(first, version=2, changed_by="li")
    assert book.save(second)
    assert book.save(second)
    assert not book.save(msgspec.structs.replace(second, changed_by="wang"))
    assert [one.changed_by for one in desk.versions("acme-d11-2026")] == ["chen", "li"]


def test_the_outbox_names_what_it_holds(world: World) -> None:
    desk = world.desk()
    first = desk.create(definition(), by="chen", because="first plan").promotion
    book = world.book()
    book.save(msgspec.structs.replace(first, version=2))
    (waiting,) = book.claim("me")
    assert isinstance(waiting, Waiting)
    assert (waiting.promotion_id, waiting.version) == ("acme-d11-2026", 2)
    assert msgspec.json.decode(waiting.record, type=Promotion).version == 2


def test_on_a_redis_cluster(world: World, redis_cluster: str) -> None:
    """All keys lie in one slot, and every script names its keys."""
    with connected(RedisConfig(url=redis_cluster, prefix=world.key_prefix, cluster=True)) as book:
        kafka = {"bootstrap.servers": world.bootstrap, "log_level": 0}
        desk = Desk(book, PromotionTopic(kafka, world.prefix, PARTITIONS), LADDER, world.clock)
        desk.create(definition(), by="chen", because="first plan")
        assert desk.adjust("acme-d11-2026", ["name=618"], by="li", because="renamed").published
        assert [one.name for one in desk.versions("acme-d11-2026")] == ["Double 11 2026", "618"]
        assert [one.version for one in desk.newest()] == [2]
        desk.close()
