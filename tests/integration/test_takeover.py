"""What a worker finds when it takes its shards: gaps, forgotten state, another ladder, foreign bytes, servers that do not answer."""

from __future__ import annotations

import signal
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import orjson
import pytest
import redis
import yaml
from confluent_kafka import TopicPartition
from confluent_kafka.admin import AdminClient

from schemas.partition import partition_of
from schemas.topics import load_topics
from streams.errors import LadderChanged
from streams.store import ShardKeys
from tests.servers import Servers, create_topics
from tests.workers import Deployment, Worker, Written, assert_chained

T0 = time.time_ns() // 1_000_000 - 60_000
SHIPPED = Path(__file__).parents[2] / "schemas" / "5r.yaml"
LIKES = "touchpoints.interaction"


@pytest.fixture
def deployment(tmp_path: Path, kafka: str, redis_url: str, topic_prefix: str, key_prefix: str) -> Iterator[Deployment]:
    with Deployment(tmp_path, kafka, redis_url, topic_prefix, key_prefix, session_timeout=3.0) as made:
        yield made.create_topics()


@pytest.fixture
def client(redis_url: str) -> Iterator[Any]:
    made = redis.Redis.from_url(redis_url)
    yield made
    made.close()


def likes(begin: int, end: int) -> list[Written]:
    """One touchpoint each of users of their own, on the right partitions."""
    return [(LIKES, partition_of(f"u{n}", 4), f"u{n}".encode(), _like(n), None) for n in range(begin, end)]


def _like(n: int) -> bytes:
    return orjson.dumps({"event_id": f"e{n}", "type": "like", "brand": "acme", "user_id": f"u{n}", "occurred_at": T0 + n})


def taken_once(deployment: Deployment, records: list[Written]) -> None:
    """A worker takes these and leaves."""
    worker = start(deployment)
    deployment.until_applied(deployment.produce(records))
    assert worker.stop() == 0, worker.tail()


def start(deployment: Deployment, **given: Any) -> Worker:
    """A worker in a group of its own: the one before has left or is dead."""
    return deployment.start(group=f"{deployment.settings.group}{len(deployment.workers)}", **given)


def until_stopped(deployment: Deployment, worker: Worker, shard: int) -> str:
    """Wait until a shard has stopped for an operator; why."""
    deployment.until(lambda: worker.shards().get(shard, {}).get("stage") == "stopped", f"shard {shard} to stop", 30)
    assert worker.get("/healthz")[0] == 503
    return str(worker.shards()[shard]["error"])


def delete_before(deployment: Deployment, topic: str, shard: int, offset: int) -> None:
    admin = AdminClient({"bootstrap.servers": deployment.bootstrap})
    for deleted in admin.delete_records([TopicPartition(deployment.topic(topic), shard, offset)]).values():
        deleted.result(20)


def test_a_gap_stops_its_shard_alone_until_an_operator_says_otherwise(deployment: Deployment) -> None:
    taken_once(deployment, likes(0, 400))
    ends = deployment.produce(likes(400, 1_200))
    applied = deployment.metas()[2].offsets[1]
    delete_before(deployment, LIKES, 2, applied + 11)

    worker = start(deployment)
    why = until_stopped(deployment, worker, 2)
    assert f"reach back to offset {applied + 1}" in why
    assert f"begins at {applied + 11}" in why
    assert "10 records" in why
    others = {place: end for place, end in ends.items() if place[1] != 2}
    deployment.until_applied(others)
    assert deployment.metas()[2].offsets[1] == applied
    assert worker.stop() == 0, worker.tail()

    worker = start(deployment, on_gap="continue")
    deployment.until_applied(ends)
    assert worker.get("/healthz")[0] == 200
    assert worker.stop() == 0, worker.tail()
    told = deployment.told()
    assert_chained(told, "R0")
    assert sum(rollup.applied for rollup in told.rollups) == 1_200 - 10
    assert deployment.recompute().missing > 0


def test_a_first_start_takes_what_the_log_still_holds(deployment: Deployment) -> None:
    ends = deployment.produce(likes(0, 400))
    delete_before(deployment, LIKES, 1, 20)
    worker = start(deployment)
    deployment.until_applied(ends)
    assert worker.get("/healthz")[0] == 200


def test_an_emptied_redis_stops_the_shard_and_names_what_was_published(deployment: Deployment, client: Any) -> None:
    taken_once(deployment, likes(0, 400))
    versions = [meta.version for meta in deployment.metas()]
    for shard in (0, 3):
        for key in client.scan_iter(f"{deployment.settings.redis_prefix}:{{{shard}}}:*", count=1000):
            client.delete(key)
    deployment.produce(likes(400, 500))
    worker = start(deployment)
    for shard in (0, 3):
        why = until_stopped(deployment, worker, shard)
        assert f"shard {shard}" in why
        assert f"version {versions[shard]}," in why
        assert "found version 0" in why
    deployment.until(lambda: worker.running() == {1, 2}, "the other shards to work")


def test_a_restored_older_redis_stops_the_shard(deployment: Deployment, client: Any) -> None:
    taken_once(deployment, likes(0, 100))
    key = ShardKeys(deployment.settings.redis_prefix, 0).meta
    backup = client.hgetall(key)
    taken_once(deployment, likes(100, 400))
    client.hset(key, mapping=backup)
    worker = start(deployment)
    assert "restored from an older state" in until_stopped(deployment, worker, 0)


def test_another_ladder_stops_every_shard_that_has_state(deployment: Deployment) -> None:
    taken_once(deployment, likes(0, 100))
    worker = start(deployment, ladder="aipl")
    for shard in range(4):
        why = until_stopped(deployment, worker, shard)
        assert "expected ladder 5r@1" in why
        assert "aipl@1" in why
    worker.stop()
    taken_once(deployment, likes(100, 200))


def version(folder: Path, number: int, **conditions: list[dict[str, Any]]) -> Path:
    """The 5R ladder as another version, with these conditions of single layers."""
    ladder = yaml.safe_load(SHIPPED.read_text(encoding="utf-8"))
    ladder["version"] = number
    for layer in ladder["layers"]:
        layer["any"] = conditions.get(layer["id"], layer.get("any", []))
    path = folder / f"{number}-{len(conditions)}.yaml"
    path.write_text(yaml.safe_dump(ladder, sort_keys=False), encoding="utf-8")
    return path


def test_users_move_to_a_newer_ladder_by_themselves_and_back_only_at_an_operators_word(deployment: Deployment, client: Any) -> None:
    """Two hundred users like once, half of them twice more. The second version puts who liked three times on R3, but of the three the
    first one has kept two."""
    again = [(topic, shard, key, _again(value or b"", "f", 0), None) for topic, shard, key, value, _ in likes(0, 100)]
    later = [(topic, shard, key, _again(value or b"", "g", 20_000), None) for topic, shard, key, value, _ in likes(0, 100)]
    taken_once(deployment, [*likes(0, 200), *again, *later])
    first, folder = deployment.settings, deployment.folder

    deployment.set_ladder(version(folder, 2, R3=[{"evidence": "respond", "count": 3, "window_days": 90}]))
    with pytest.raises(LadderChanged, match="expected its users on 5r@2, found them on 5r@1"):
        deployment.recompute()
    taken_once(deployment, likes(200, 300))
    told = deployment.told()
    assert_chained(told, "R0")
    assert len(told.transitions) == 300
    assert {meta.ladder for meta in deployment.metas()} == {"5r@2"}
    found = deployment.recompute()
    assert (found.differences, found.unproven) == ([], 100)

    # What is not excused by the change is still found.
    key = ShardKeys(deployment.settings.redis_prefix, 1)
    census = orjson.loads(client.hget(key.meta, "census"))
    client.hset(key.meta, "census", orjson.dumps({"acme": [census["acme"][0] + 1, *census["acme"][1:]]}))
    (difference,) = deployment.recompute().differences
    assert (difference.what, difference.redis, difference.topics) == ("census of shard 1, R0", 1, 0)
    client.hset(key.meta, "census", orjson.dumps(census))

    deployment.settings = first
    worker = start(deployment)
    for shard in range(4):
        why = until_stopped(deployment, worker, shard)
        assert "expected ladder 5r@2" in why
        assert "--on-ladder-change recompute" in why
    worker.stop()
    worker = start(deployment, ladder=str(version(folder, 2, R1=[{"evidence": "reach"}])))
    assert "expected the rules that it has known as 5r@2, found others (layers)" in until_stopped(deployment, worker, 0)
    worker.stop()
    worker = start(deployment, on_ladder_change="recompute")
    deployment.until_applied(deployment.produce(likes(300, 400)))
    assert worker.stop() == 0, worker.tail()
    assert {meta.ladder for meta in deployment.metas()} == {"5r@1"}
    assert deployment.recompute().differences == []


def _again(value: bytes, prefix: str, after: int) -> bytes:
    """Another touchpoint like this one."""
    record = orjson.loads(value)
    return orjson.dumps({**record, "event_id": f"{prefix}{record['event_id']}", "occurred_at": record["occurred_at"] + after})


def test_a_topic_made_anew_stops_its_shards(deployment: Deployment) -> None:
    taken_once(deployment, likes(0, 100))
    admin = AdminClient({"bootstrap.servers": deployment.bootstrap})
    name = deployment.topic(LIKES)
    admin.delete_topics([name])[name].result(20)
    deployment.until(lambda: name not in admin.list_topics(timeout=10).topics, "the topic to be gone", 20)
    create_topics(deployment.bootstrap, [name], 4, load_topics()[LIKES].config())
    worker = start(deployment)
    why = until_stopped(deployment, worker, 0)
    assert name in why
    assert "made anew" in why


def test_foreign_bytes_in_one_users_state_stop_that_shard_alone(deployment: Deployment, client: Any) -> None:
    taken_once(deployment, likes(0, 100))
    shard = partition_of("u7", 4)
    client.set(ShardKeys(deployment.settings.redis_prefix, shard).user + "acme:u7", b"\xc1 not ours")
    ends = deployment.produce(likes(0, 100))
    worker = start(deployment)
    why = until_stopped(deployment, worker, shard)
    assert f"shard {shard}" in why
    assert "acme:u7" in why
    deployment.until_applied({place: end for place, end in ends.items() if place[1] != shard})
    assert worker.is_running


def test_a_worker_waits_for_redis_and_goes_on(tmp_path: Path, kafka: str, servers: Servers, topic_prefix: str, key_prefix: str) -> None:
    server = servers.redis()
    with Deployment(tmp_path, kafka, server.address, topic_prefix, key_prefix, session_timeout=3.0) as deployment:
        deployment.create_topics()
        worker = start(deployment)
        deployment.until_applied(deployment.produce(likes(0, 200)))
        server.kill()
        ends = deployment.produce(likes(200, 600))
        deployment.until(lambda: {told["stage"] for told in worker.shards().values()} == {"waiting_for_redis"}, "the worker to notice", 30)
        server.start()
        deployment.until_applied(ends)
        server.freeze()
        ends = deployment.produce(likes(600, 900))
        time.sleep(1)
        server.thaw()
        deployment.until_applied(ends)
        assert worker.stop() == 0, worker.tail()
        told = deployment.told()
        assert_chained(told, "R0")
        assert len(told.transitions) == 900
        assert deployment.recompute().differences == []


def test_without_redis_a_worker_starts_late_and_stops_in_time(
    tmp_path: Path, kafka: str, servers: Servers, topic_prefix: str, key_prefix: str
) -> None:
    server = servers.redis()
    server.kill()
    with Deployment(tmp_path, kafka, server.address, topic_prefix, key_prefix, session_timeout=3.0) as deployment:
        deployment.create_topics()
        worker = start(deployment)
        time.sleep(4)
        assert worker.is_running
        assert worker.get("/readyz")[0] == 503
        began = time.monotonic()
        assert worker.stop() == 0, worker.tail()
        assert time.monotonic() - began < 10
        worker = start(deployment)
        time.sleep(3)
        server.start()
        deployment.until_applied(deployment.produce(likes(0, 100)))
        assert worker.stop() == 0, worker.tail()


def test_a_worker_that_stood_still_while_others_took_its_shards_loses_and_doubles_nothing(deployment: Deployment) -> None:
    frozen, other = deployment.start(), deployment.start()
    deployment.until(lambda: frozen.running() and other.running(), "two workers to share the shards")
    deployment.until_applied(deployment.produce(likes(0, 1_000)))
    ends = deployment.produce(likes(1_000, 4_000))
    frozen.process.send_signal(signal.SIGSTOP)
    deployment.until(lambda: other.running() == {0, 1, 2, 3}, "the other to take all shards", 40)
    deployment.until_applied(ends)
    ends = deployment.produce(likes(4_000, 6_000))
    frozen.process.send_signal(signal.SIGCONT)
    ends.update(deployment.produce(likes(6_000, 8_000)))
    deployment.until_applied(ends)
    deployment.until(lambda: frozen.running() | other.running() == {0, 1, 2, 3}, "the shards to be shared again", 60)
    deployment.until_applied(deployment.produce(likes(8_000, 9_000)))
    told = deployment.told()
    assert_chained(told, "R0")
    assert len(told.transitions) == 9_000
    assert sum(rollup.applied for rollup in told.rollups) == 9_000
    assert deployment.recompute().differences == []
