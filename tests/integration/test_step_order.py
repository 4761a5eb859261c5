"""The durable order of a shard's step, seen from Redis while acknowledgements come on command."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from typing import Any, cast

import orjson
import pytest
import redis
from confluent_kafka import Producer

from schemas.ladder_file import load_ladder
from schemas.topics import load_topics
from schemas.touchpoint import KINDS, Kind
from schemas.validate import Validator
from streams.ladder import Rules
from streams.link import SingleNode
from streams.logs import Fetched
from streams.outbox import Entry
from streams.publisher import Publisher
from streams.shard import Shard
from streams.stage import StepConfig
from streams.store import ShardKeys, ShardStore
from streams.takeover import LogInspector
from tests.golden.fold_engine import NOW, StillMessage

LIKES = KINDS.index(Kind.INTERACTION)


class HeldPublisher:
    """Takes entries as the real one does, notes what Redis held at that moment, and acknowledges on command."""

    def __init__(self, url: str, keys: ShardKeys) -> None:
        self.entries: list[Entry] = []
        self.held_then: list[list[int]] = []
        self._acknowledge: list[Callable[[], None]] = []
        self._client = redis.Redis.from_url(url)
        self._keys = keys

    def held(self) -> list[int]:
        """The versions in the shard's outbox."""
        found: Any = self._client.xrange(self._keys.outbox)
        return [int(name.split(b"-")[0]) for name, _ in found]

    async def publish(self, entry: Entry, done: Callable[[], None]) -> None:
        self.entries.append(entry)
        self.held_then.append(self.held())
        self._acknowledge.append(done)

    def acknowledge(self, *versions: int) -> None:
        for version in versions:
            self._acknowledge[version - 1]()


class Taken:
    """A shard at work, fed by hand."""

    def __init__(self, shard: Shard, publisher: HeldPublisher) -> None:
        self.publisher = publisher
        self._shard = shard
        self._fed = 0

    async def step(self) -> None:
        """One more record, and the step that takes it."""
        n, self._fed = self._fed, self._fed + 1
        value = orjson.dumps({"event_id": f"e{n}", "type": "like", "brand": "acme", "user_id": f"u{n}", "occurred_at": NOW})
        messages = cast(list[object], [StillMessage(n, value)])
        self._shard.feed(LIKES, Fetched(messages, at_end=True, begin=n, generation=1))  # type: ignore[arg-type]
        async with asyncio.timeout(20):
            while len(self.publisher.entries) <= n:
                await asyncio.sleep(0.005)


@pytest.fixture
async def taken(mock_broker: str, redis_url: str, topic_prefix: str, key_prefix: str) -> AsyncIterator[Taken]:
    client = Producer({"bootstrap.servers": mock_broker, "log_level": 0})
    for name in load_topics():
        client.list_topics(topic_prefix + name, timeout=10)
    ladder, connections = load_ladder("5r"), SingleNode(redis_url)
    publisher = HeldPublisher(redis_url, ShardKeys(key_prefix, 0))
    shard = Shard(
        0,
        StepConfig(partitions=1, event_clock=True),
        Rules(ladder),
        Validator(ladder, lambda: NOW),
        ShardStore(connections, key_prefix, 0),
        cast(Publisher, publisher),
        LogInspector({"bootstrap.servers": mock_broker, "log_level": 0}, topic_prefix, topic_ids=False),
        lambda: NOW,
        "test",
    )
    await shard.open()
    for topic in range(len(KINDS)):
        shard.feed(topic, Fetched([], at_end=True, begin=0, generation=1))
    work = asyncio.create_task(shard.run())
    yield Taken(shard, publisher)
    await shard.close()
    await work
    await shard.released()
    await connections.close()


async def test_nothing_of_a_step_is_published_before_redis_holds_it(taken: Taken) -> None:
    for version in range(1, 4):
        await taken.step()
        assert taken.publisher.entries[-1].version == version
        assert version in taken.publisher.held_then[-1]


async def test_the_outbox_holds_what_has_not_been_acknowledged_up_to_the_first_gap(taken: Taken) -> None:
    for _ in range(4):
        await taken.step()
    assert taken.publisher.held() == [1, 2, 3, 4]
    taken.publisher.acknowledge(1, 3)
    await taken.step()
    assert taken.publisher.held() == [2, 3, 4, 5]
    taken.publisher.acknowledge(2)
    await taken.step()
    assert taken.publisher.held() == [4, 5, 6]
