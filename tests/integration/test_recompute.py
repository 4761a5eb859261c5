"""One shard, several owners, two ladders: whoever finds users between the two moves them first, whatever it was about to do."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from typing import Any, cast

import orjson
import pytest
from msgspec.structs import replace

from schemas.ladder import Ladder
from schemas.ladder_file import load_ladder
from schemas.partition import partition_of
from schemas.touchpoint import KINDS, Kind
from schemas.validate import Validator
from streams.errors import LadderChanged
from streams.ladder import Rules
from streams.link import SingleNode
from streams.logs import Fetched
from streams.meta import Meta
from streams.publisher import Publisher
from streams.shard import Shard
from streams.stage import Stage, StepConfig
from streams.state import decode_state
from streams.store import ShardStore
from streams.takeover import LogInspector
from tests.golden.fold_engine import StillMessage
from tests.workers import Deployment

FIRST = load_ladder("5r")
SECOND = replace(FIRST, version=2, layers=FIRST.layers[:2] + FIRST.layers[3:])
"""Without R2: everybody who liked has to leave it."""
USERS = [f"u{n}" for n in range(400) if partition_of(f"u{n}", 4) == 0]
AT = time.time_ns() // 1_000_000 - 60_000
VALUES = [
    orjson.dumps({"event_id": f"{user}-{again}", "type": "like", "brand": "acme", "user_id": user, "occurred_at": AT + again})
    for again in range(2)
    for user in USERS
]
"""Two likes of each user, all the first ones first."""
LIKES = KINDS.index(Kind.INTERACTION)


class Owners:
    """Owners of shard 0, each with connections of its own, as in workers that know nothing of each other."""

    def __init__(self, bootstrap: str, redis_url: str, topic_prefix: str, key_prefix: str) -> None:
        self._kafka = {"bootstrap.servers": bootstrap, "log_level": 0}
        self._redis, self._topics, self._keys = redis_url, topic_prefix, key_prefix
        self.publisher = Publisher(self._kafka, topic_prefix)
        self._inspector = LogInspector(self._kafka, topic_prefix, topic_ids=False)
        self._made: list[tuple[Shard, SingleNode]] = []

    def new(self, ladder: Ladder) -> Shard:
        connections = SingleNode(self._redis)
        rules = Rules(ladder)
        shard = Shard(
            0,
            StepConfig(partitions=4, event_clock=True, most_swept=len(USERS) // 3, topic_ids=False),
            rules,
            Validator(ladder, lambda: AT + 60_000),
            ShardStore(connections, self._keys, 0),
            self.publisher,
            self._inspector,
            lambda: AT + 60_000,
            f"owner{len(self._made)}",
        )
        self._made.append((shard, connections))
        return shard

    def store(self) -> ShardStore:
        return self._made[0][0]._store

    async def close(self) -> None:
        for shard, connections in self._made:
            await shard.released()
            await connections.close()
        await self.publisher.close(5)
        self._inspector.close()


@pytest.fixture
async def owners(mock_broker: str, redis_url: str, topic_prefix: str, key_prefix: str, tmp_path: Any) -> AsyncIterator[Owners]:
    deployment = Deployment(tmp_path, mock_broker, redis_url, topic_prefix, key_prefix, topic_ids=False).create_topics()
    await asyncio.to_thread(deployment.produce, [("touchpoints.interaction", 0, None, value, None) for value in VALUES])
    made = Owners(mock_broker, redis_url, topic_prefix, key_prefix)
    running = asyncio.create_task(made.publisher.run())
    yield made
    await made.close()
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)


def likes(count: int) -> Fetched:
    """So many of the likes, from the log's beginning."""
    return Fetched([cast(Any, StillMessage(i, value)) for i, value in enumerate(VALUES[:count])], at_end=True, begin=0, generation=0)


async def until_applied(shard: Shard, count: int = len(VALUES)) -> None:
    """Feed it so many likes and let it work until they are applied."""
    shard.feed(LIKES, likes(count))
    for other in range(len(KINDS)):
        shard.intake.logs[other].caught_up = True
    running = asyncio.create_task(shard.run())
    async with asyncio.timeout(30):
        while shard.stage is not Stage.STOPPED and (shard.meta.offsets[LIKES] < count - 1 or not shard.is_idle):
            await asyncio.sleep(0.01)
    await shard.close()
    await running


async def standing(owners: Owners) -> tuple[Meta, dict[str, int]]:
    """The shard's meta, and how many users stand on each of its ladder's layers by their own states."""
    meta = (await owners.store().load()).meta
    values = await owners.store().read_more([f"acme:{user}" for user in USERS])
    counts: dict[str, int] = {}
    for value in values:
        assert value is not None
        layer = meta.layers[decode_state(value).layer]
        counts[layer] = counts.get(layer, 0) + 1
    return meta, counts


async def test_an_owner_of_old_finds_users_between_two_ladders_and_moves_them_before_it_takes_records(owners: Owners) -> None:
    early = owners.new(SECOND)
    await early.open()  # nobody is there yet, so there is nothing to move
    first = owners.new(FIRST)
    await first.open()
    await until_applied(first, len(USERS))
    assert (await standing(owners))[1] == {"R2": len(USERS)}
    asleep = owners.new(FIRST)
    await asleep.open()

    begun = owners.new(SECOND)
    await begun.open()
    assert begun.stage is Stage.RECOMPUTING
    assert begun._passage is not None
    await begun._try_move(begun._passage)
    meta, _ = await standing(owners)
    assert meta.moving is not None
    assert meta.moving.index == len(USERS) // 3
    assert meta.layers == [layer.id for layer in FIRST.layers]
    assert sum(meta.census["acme"]) == len(USERS)

    # It believes that it owns an empty shard, and is about to take all records, of which the second half is new.
    await until_applied(early)
    meta, counts = await standing(owners)
    assert (meta.moving, meta.ladder, counts) == (None, "5r@2", {"R0": len(USERS)})
    assert meta.census == {"acme": [len(USERS), 0, 0, 0, 0]}
    # So does the one that had begun, whose next step is refused and which finds nothing left to do.
    await until_applied(begun)
    assert await standing(owners) == (meta, counts)

    # And who has the first ladder can do nothing any more.
    await until_applied(asleep)
    assert asleep.stage is Stage.STOPPED
    assert await standing(owners) == (meta, counts)
    with pytest.raises(LadderChanged, match="expected ladder 5r@2"):
        await owners.new(FIRST).open()
