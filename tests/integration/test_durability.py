"""A step is published only when Redis has it durably: what a node is asked, and what becomes of what it has not kept."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from typing import Any

import pytest
import redis

from deploy.doctor.redis import look
from deploy.settings import load_settings
from deploy.stack.redis import RedisKind
from streams import metrics
from streams.durability import Durability
from streams.errors import StoreEvicts
from streams.link import SingleNode
from streams.store import ShardStore
from tests.integration.test_store import SHARD, entry, step
from tests.integration.test_takeover import likes, start, until_stopped
from tests.servers import Server, Servers, wait_until
from tests.workers import Deployment, assert_chained


@contextmanager
def asked(server: Server) -> Iterator[Any]:
    """A client of a server."""
    with redis.Redis.from_url(server.address) as client:
        yield client


@asynccontextmanager
async def stored(url: str) -> AsyncIterator[ShardStore]:
    """A shard store on a connection of its own."""
    connections = SingleNode(url)
    store = ShardStore(connections, "k", SHARD)
    try:
        yield store
    finally:
        await store.close()
        await connections.close()


def a_pair(servers: Servers, **given: Any) -> tuple[Server, Server]:
    """A primary and its replica, in step."""
    given = {"repl_diskless_sync_delay": "0", "shutdown_timeout": "0", **given}
    primary, replica = servers.redis(**given), servers.redis(**given)
    with asked(replica) as client:
        client.execute_command("REPLICAOF", "127.0.0.1", primary.address.rpartition(":")[2].split("/")[0])
        wait_until(lambda: client.info("replication")["master_link_status"] == "up", "the replica to follow", 20)
    return primary, replica


def is_durable() -> float:
    return float(metrics.REDIS_DURABLE.labels(str(SHARD))._value.get())


async def test_whether_a_node_is_durable_is_told_as_far_as_it_tells(servers: Servers) -> None:
    server = servers.redis()
    async with stored(server.address) as store:
        with asked(server) as client:
            for fsync, durable in (("always", 1), ("everysec", 0), ("no", 0)):
                client.config_set("appendfsync", fsync)
                await Durability(store, SHARD).look()
                assert is_durable() == durable
            client.config_set("appendfsync", "always")
            client.config_set("appendonly", "no")
            await Durability(store, SHARD).look()
            assert is_durable() == 0
            # Who may not ask is told nothing, and goes on.
            client.execute_command("ACL", "SETUSER", "default", "-config", "-info")
            metrics.REDIS_DURABLE.remove(str(SHARD))
            await Durability(store, SHARD).look()
            assert [sample for family in metrics.REDIS_DURABLE.collect() for sample in family.samples] == []


@pytest.mark.parametrize("kind", ["redis-server", "valkey"])
async def test_the_heir_of_a_shard_asks_after_what_another_wrote(servers: Servers, kind: RedisKind) -> None:
    primary, replica = a_pair(servers, kind=kind)
    async with stored(primary.address) as dead, stored(primary.address) as heir:
        durability = Durability(heir, SHARD, replicas=1, timeout=0.2)
        replica.freeze()
        await step(dead, 1, before="", token="a:1")
        assert (await heir.load()).outbox == [entry(1)]
        await durability.look()
        await heir.fence()
        assert not await durability.reached()
        replica.thaw()
        for _ in range(100):
            if await durability.reached():
                break
        else:
            pytest.fail("waited in vain for the acknowledgement of a replica that has gone on")
    with asked(replica) as client:
        assert client.xlen(heir.keys.outbox) == 1


async def test_a_redis_that_evicts_is_refused(servers: Servers) -> None:
    server = servers.redis(maxmemory_policy="allkeys-lru")
    async with stored(server.address) as store:
        with pytest.raises(StoreEvicts, match=r"expected .*noeviction.*found allkeys-lru"):
            await Durability(store, SHARD).look()


def test_the_doctor_sees_what_is_not_durable(servers: Servers) -> None:
    primary, _ = a_pair(servers)
    with asked(primary) as client:
        for fsync, policy, replicas in (("always", "noeviction", 1), ("everysec", "allkeys-lru", 2)):
            client.config_set("appendfsync", fsync)
            client.config_set("maxmemory-policy", policy)
            found = {finding.what: finding for finding in look(load_settings(redis_url=primary.address, redis_replicas=replicas))}
            good = replicas == 1
            assert found["redis appendonly"].good
            assert (found["redis appendfsync"].good, found["redis appendfsync"].found) == (good, fsync)
            assert (found["redis maxmemory-policy"].good, found["redis maxmemory-policy"].found) == (good, policy)
            assert (found["redis replicas"].good, found["redis replicas"].found) == (good, "1 connected")


def test_a_step_is_published_only_when_the_replica_has_it_and_a_failover_loses_nothing(
    tmp_path: Path, kafka: str, servers: Servers, topic_prefix: str, key_prefix: str
) -> None:
    primary, replica = a_pair(servers)
    given: dict[str, Any] = {"session_timeout": 3.0, "redis_replicas": 1, "redis_replica_timeout": 0.2}
    with Deployment(tmp_path, kafka, primary.address, topic_prefix, key_prefix, **given) as deployment:
        deployment.create_topics()
        worker = start(deployment)
        deployment.until_applied(deployment.produce(likes(0, 200)))
        replica.freeze()
        before = [m.version for m in deployment.metas()]
        ends = deployment.produce(likes(200, 400))
        deployment.until(_all(deployment, "waiting_for_replicas"), "the worker to wait for the replica", 30)
        assert all(m.version == version + 1 for m, version in zip(deployment.metas(), before, strict=True))
        deployment.until(lambda: worker.metric("rflow_replica_waits_total") >= 12, "it to ask three times a shard", 30)
        assert deployment.published() == before
        replica.thaw()
        deployment.until_applied(ends)

        # The replica is made primary without the last steps, at the old one's address.
        with asked(replica) as client:
            client.execute_command("REPLICAOF", "NO", "ONE")
            before = [m.version for m in deployment.metas()]
            ends = deployment.produce(likes(400, 700))
            deployment.until(_all(deployment, "waiting_for_replicas"), "the worker to wait for a replica", 30)
            assert deployment.published() == before
            primary.kill()
            client.config_set("port", primary.address.rpartition(":")[2].split("/")[0])
        with asked(primary) as client:
            assert client.info("replication")["role"] == "master"
            other = servers.redis()
            client.config_set("repl-diskless-sync-delay", 0)
            with asked(other) as second:
                second.execute_command("REPLICAOF", "127.0.0.1", primary.address.rpartition(":")[2].split("/")[0])
            deployment.until_applied(ends)
            deployment.until_applied(deployment.produce(likes(700, 800)))
        assert worker.stop() == 0, worker.tail()
        assert_exact(deployment, 800)


def test_where_redis_has_no_room_the_shard_waits_and_goes_on_by_itself(
    tmp_path: Path, kafka: str, servers: Servers, topic_prefix: str, key_prefix: str
) -> None:
    server = servers.redis(maxmemory_policy="volatile-lru")
    with (
        Deployment(tmp_path, kafka, server.address, topic_prefix, key_prefix, session_timeout=3.0) as deployment,
        asked(server) as client,
    ):
        deployment.create_topics()
        worker = start(deployment)
        for shard in range(4):
            assert "found volatile-lru" in until_stopped(deployment, worker, shard)
        assert worker.stop() == 0, worker.tail()
        client.config_set("maxmemory-policy", "noeviction")

        worker = start(deployment)
        deployment.until_applied(deployment.produce(likes(0, 200)))
        client.config_set("maxmemory", 1)
        before = [m.version for m in deployment.metas()]
        ends = deployment.produce(likes(200, 600))
        deployment.until(_all(deployment, "waiting_for_redis"), "the worker to wait", 30)
        deployment.until(lambda: worker.metric("rflow_step_replies_lost_total") >= 12, "it to try three times a shard", 30)
        assert all("maxmemory" in told["error"] for told in worker.shards().values())
        assert worker.log.read_text().count("redis does not take the step") == 4
        assert [m.version for m in deployment.metas()] == before
        client.config_set("maxmemory", 0)
        deployment.until_applied(ends)
        deployment.until(_all(deployment, "running"), "all shards to run", 10)
        assert {told["error"] for told in worker.shards().values()} == {None}
        assert worker.stop() == 0, worker.tail()
        assert_exact(deployment, 600)


def _all(deployment: Deployment, stage: str) -> Callable[[], bool]:
    worker = deployment.workers[-1]
    return lambda: [told["stage"] for told in worker.shards().values()] == [stage] * 4


def assert_exact(deployment: Deployment, users: int) -> None:
    """One transition of each user, and Redis as the topics say."""
    told = deployment.told()
    assert_chained(told, "R0")
    assert len(told.transitions) == users
    assert sum(rollup.applied for rollup in told.rollups) == users
    recomputed = deployment.recompute()
    assert recomputed.differences == []
    assert recomputed.missing == 0
