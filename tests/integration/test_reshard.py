"""More partitions for a deployment with users: each ends on the right shard, each touchpoint counts once, wherever it is cut short."""

from __future__ import annotations

import multiprocessing
import random
import signal
import time
from collections.abc import Iterator
from contextlib import closing
from datetime import datetime
from functools import cache
from pathlib import Path

import msgspec
import orjson
import pytest
import redis
from confluent_kafka.admin import AdminClient

import streams.split
from deploy.check import census_of
from deploy.reshard import Resharded, reshard
from deploy.settings import Settings
from deploy.wiring import clickhouse_of
from schemas.ladder_file import load_ladder
from schemas.partition import partition_of
from schemas.topics import load_topics
from schemas.touchpoint import CATALOGUE, KINDS
from sources.simulator.config import SimulatorConfig
from sources.simulator.day import PromotionDay
from streams.crash import CrashPoint, arm
from streams.errors import LadderChanged, PartitionsChanged, RflowError, ShardStopped
from streams.outbox import FORWARDED_HEADER
from streams.store import ShardKeys
from tests.servers import wait_until
from tests.workers import Deployment, Worker, Written, assert_chained
from warroom.star import Star

BEFORE, AFTER = 2, 6
PIECE = 100
"""Users dealt in one go, so that there are two or three of them a shard."""
FOLLOWS = "touchpoints.membership"
_processes = multiprocessing.get_context("forkserver")
_processes.set_forkserver_preload([__name__])


@cache
def lines() -> list[bytes]:
    config = SimulatorConfig(
        load_ladder("5r"), seed=11, users=220, events=3_000, start=datetime(2025, 1, 1, 18), peak=4, late=0, broken=0, text_times=0
    )
    return list(PromotionDay(config).lines())


def records(part: list[bytes], partitions: int, rng: random.Random, *, but: str = "") -> list[Written]:
    """Touchpoints on their partitions, each tenth on a wrong one `but` those of one topic."""
    found: list[Written] = []
    for line in part:
        record = orjson.loads(line)
        topic, partition = CATALOGUE[record["type"]].topic, partition_of(record["user_id"], partitions)
        if topic != but and rng.random() < 0.1:
            partition = rng.randrange(partitions)
        found.append((topic, partition, record["user_id"].encode(), line, None))
    return found


def follows(count: int, name: str, shard: int) -> list[Written]:
    """One account followed by each of so many users of a shard of two."""
    at = orjson.loads(lines()[len(lines()) // 3])["occurred_at"]
    users = [user for n in range(1_000) if partition_of(user := f"{name}{n}", BEFORE) == shard][:count]
    told = {"type": "account_follow", "brand": "acme", "occurred_at": at, "relation_id": "account-1"}
    return [(FOLLOWS, shard, user.encode(), orjson.dumps({**told, "event_id": f"e-{user}", "user_id": user}), None) for user in users]


def forwarded(records: list[Written], begin: int) -> list[Written]:
    """The same as shard 1 would have forwarded them, from that offset of its log on."""
    return [(*record[:4], [(FORWARDED_HEADER, b"1:%d" % (begin + n))]) for n, record in enumerate(records)]


@pytest.fixture
def deployment(
    request: pytest.FixtureRequest, tmp_path: Path, kafka: str, clickhouse_url: str, database: str, topic_prefix: str, key_prefix: str
) -> Iterator[Deployment]:
    is_cluster = getattr(request, "param", "single") == "cluster"
    redis_url = request.getfixturevalue("redis_cluster" if is_cluster else "redis_url")
    given = {"clickhouse_url": clickhouse_url, "clickhouse_database": database, "clock": "event", "session_timeout": 3.0}
    with Deployment(tmp_path, kafka, redis_url, topic_prefix, key_prefix, partitions=BEFORE, redis_cluster=is_cluster, **given) as made:
        yield made.create_topics()


def run(settings: Settings, after: int, crash_point: str) -> None:
    """In a process of its own: all of it, or up to a crash point."""
    streams.split.PIECE = PIECE
    name, _, passing = crash_point.partition(":")
    arm(name, int(passing))
    reshard(settings, after)


def cut_short(deployment: Deployment, crash_point: str) -> bool:
    """Whether it was killed before it ended."""
    process = _processes.Process(target=run, args=(deployment.settings, AFTER, crash_point))
    process.start()
    process.join(60)
    assert process.exitcode in (0, -signal.SIGKILL), process.exitcode
    return process.exitcode != 0


def ticks(partitions: int) -> list[Written]:
    """The logs have reached a day after the last touchpoint, so that every user is swept."""
    at = orjson.loads(lines()[-1])["occurred_at"] + 86_400_000
    tick = orjson.dumps({"type": "tick", "occurred_at": at})
    return [(kind.topic, partition, None, tick, None) for kind in KINDS for partition in range(partitions)]


def more(deployment: Deployment) -> None:
    """From now on processes are told of the new number of partitions."""
    deployment.settings = deployment.settings.model_copy(update={"partitions": AFTER, "group": f"{deployment.settings.group}-more"})


def sink(deployment: Deployment) -> Worker:
    made = Worker(deployment.environment(), deployment.folder / "sink.log", module=("deploy", "sink"))
    deployment.workers.append(made)
    return made


def stored(deployment: Deployment) -> dict[int, int]:
    with Star(clickhouse_of(deployment.settings)) as star:
        return {shard: one.version for shard, one in star.stored().items()}


def until_empty(deployment: Deployment) -> None:
    """Until nobody is in the group any more, as Kafka has it."""
    admin, group = AdminClient({"bootstrap.servers": deployment.bootstrap}), deployment.settings.group
    wait_until(lambda: not admin.describe_consumer_groups([group])[group].result().members, "the group to be empty", 30)


# Two writes of which the second does not come, or one whose answer is not looked at: so every pair of writes is cut apart once.
@pytest.mark.parametrize(
    ("deployment", "crash_point"),
    [("single", f"{CrashPoint.STEP_BEFORE_EXEC.value}:2"), ("cluster", f"{CrashPoint.STEP_AFTER_EXEC.value}:1")],
    indirect=["deployment"],
)
def test_users_are_dealt_once_wherever_it_is_cut_short(deployment: Deployment, crash_point: str) -> None:
    rng = random.Random(3)
    third = len(lines()) // 3
    first_sink = sink(deployment)
    worker = deployment.start()
    taken = deployment.produce(records(lines()[:third], BEFORE, rng))
    taken |= deployment.produce(follows(40, "own", 1))
    deployment.until_applied(taken)
    assert worker.stop() == 0
    # Killed with outputs that have not been published, and records behind it that have not been taken, some of them forwarded.
    deployment.produce(records(lines()[third : 2 * third], BEFORE, rng, but=FOLLOWS))
    killed = deployment.start(crash_point=f"{CrashPoint.STEP_BEFORE_PUBLISH.value}:2")
    assert killed.wait() == -signal.SIGKILL
    in_flight = forwarded(follows(40, "in-flight", 0), taken[deployment.topic(FOLLOWS), 1] - 40)
    deployment.produce(in_flight)
    assert first_sink.stop() == 0
    until_empty(deployment)
    kills = 0
    while cut_short(deployment, crash_point):
        kills += 1
    pieces = sum(meta.version > 0 for meta in deployment.metas())
    assert kills >= 2 * pieces + 6, "expected it to be cut short between all writes"
    assert reshard(deployment.settings, AFTER).users == 0  # all is done
    more(deployment)
    # A producer that has not heard of it goes on for a while.
    ends = deployment.produce([*records(lines()[2 * third :], AFTER, rng), *records(lines()[-50:], BEFORE, rng), *ticks(AFTER)])
    second_sink = sink(deployment)
    second = deployment.start()
    deployment.until_applied(ends)
    metas = deployment.metas()
    wait_until(lambda: stored(deployment) == {shard: meta.version for shard, meta in enumerate(deployment.metas())}, "all to be stored", 60)
    assert second.stop() == 0
    assert second_sink.stop() == 0
    # Every user is where producers send their touchpoints to, and nowhere else.
    users = deployment.users()
    assert all(partition_of(key.partition(":")[2], AFTER) == shard for shard, key in users)
    assert len({key for _, key in users}) == len(users)
    assert None not in users.values()
    assert {f"acme:{key.decode()}" for _, _, key, _, _ in in_flight if key} <= {key for _, key in users}
    # Nothing was lost, nothing counted twice: a plain fold of the topics, user by user, finds the same; so do the figures.
    recomputed = deployment.recompute()
    assert recomputed.differences == []
    assert recomputed.missing == 0
    assert recomputed.users == len(users)
    told = deployment.told()
    assert_chained(told, "R0")
    assert told.letters == []
    assert [meta.version for meta in metas] == [max(r.version for r in told.rollups if r.shard == shard) for shard in range(AFTER)]
    with Star(clickhouse_of(deployment.settings)) as star, closing(deployment.states()) as states:
        assert star.ledger_balances() == []
        in_redis = census_of(states, deployment.settings, load_ladder("5r"))
        assert {brand: star.census(brand).layers for brand in in_redis} == in_redis
        assert star.orders().gmv == recomputed.gmv
        assert star.orders().orders == recomputed.purchases


def test_what_cannot_be_is_refused_and_nothing_is_changed(deployment: Deployment) -> None:
    worker = deployment.start()
    deployment.until_applied(deployment.produce(records(lines()[:300], BEFORE, random.Random(1))))
    with pytest.raises(RflowError, match=f"expected no worker in the group {deployment.settings.group}, found 1"):
        reshard(deployment.settings, AFTER)
    for number in (3, 2, 1):
        with pytest.raises(PartitionsChanged, match=r"expected a multiple of the 2 partitions that there are, such as 4, found"):
            reshard(deployment.settings, number)
    assert worker.stop() == 0
    before = deployment.metas()
    planned = reshard(deployment.settings, AFTER, plan=True)
    users = len(deployment.users())
    names = sorted(deployment.topic(name) for name in load_topics())
    assert msgspec.structs.replace(planned, topics=sorted(planned.topics)) == Resharded(
        before=BEFORE, after=AFTER, topics=names, users=users, dealt=False
    )
    with redis.Redis.from_url(deployment.settings.redis_url.get_secret_value()) as client:
        meta = ShardKeys(deployment.settings.redis_prefix, 0).meta
        client.hset(meta, "ladder", '"5r@0"')
        with pytest.raises(LadderChanged, match="shard 0: expected all of its users on 5r@1, found them on 5r@0"):
            reshard(deployment.settings, AFTER)
        client.hset(meta, "ladder", '"5r@1"')
        other = ShardKeys(deployment.settings.redis_prefix, 4).meta
        client.hset(other, "version", "7")
        with pytest.raises(ShardStopped, match="shard 4: expected no such shard in Redis yet, found one at version 7"):
            reshard(deployment.settings, AFTER)
        client.delete(other)
    assert deployment.metas() == before


def test_a_worker_of_either_number_is_refused_until_all_users_are_dealt(deployment: Deployment) -> None:
    worker = deployment.start()
    deployment.until_applied(deployment.produce(records(lines()[:600], BEFORE, random.Random(1))))
    assert worker.stop() == 0
    assert cut_short(deployment, f"{CrashPoint.STEP_AFTER_EXEC.value}:6")
    old = deployment.start()
    assert old.wait() == 1
    assert "expected 2 partitions of every topic, as the worker was told, found 6" in old.tail()
    with pytest.raises(
        RflowError, match=r"expected the users to be dealt from 2 to 6 shards, as begun, found 2 to 12: that has to end first"
    ):
        reshard(deployment.settings, 12)
    new = deployment.start(partitions=AFTER)
    deployment.until(lambda: new.shards().get(0, {}).get("stage") == "stopped", "shard 0 to stop", 30)
    assert "let `rflow reshard` end, or run it again" in new.shards()[0]["error"]
    assert new.stop() == 0
    time.sleep(0.1)
    assert not cut_short(deployment, f"{CrashPoint.STEP_AFTER_EXEC.value}:1000")
    more(deployment)
    last = deployment.start()
    deployment.until(lambda: len(last.running()) == AFTER, "all shards to run")
    assert last.stop() == 0
    assert deployment.recompute().differences == []
