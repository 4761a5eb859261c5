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
from confluent_kafka.cimpl import NewPartitions
from redis.crc import key_slot

from deploy.stack.ports import free_port
from schemas.partition import partition_of
from schemas.topics import load_topics
from streams.errors import LadderChanged
from streams.formats import KNOWN
from streams.store import ShardKeys
from tests.integration.sink_config import config as sink_config
from tests.integration.sink_world import query, run_until_stored
from tests.servers import SLOTS, Servers, create_topics, wait_until
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


def _like(n: int, user: str | None = None) -> bytes:
    return orjson.dumps({"event_id": f"e{n}", "type": "like", "brand": "acme", "user_id": user or f"u{n}", "occurred_at": T0 + n})


def taken_once(deployment: Deployment, records: list[Written]) -> None:
    """A worker takes these and leaves."""
    worker = start(deployment)
    deployment.until_applied(deployment.produce(records))
    assert worker.stop() == 0, worker.tail()


def start(deployment: Deployment, *arguments: str, **given: Any) -> Worker:
    """A worker in a group of its own: the one before has left or is dead."""
    return deployment.start(*arguments, group=f"{deployment.settings.group}{len(deployment.workers)}", **given)


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

    worker = start(deployment, "--on-gap", "continue")
    deployment.until_applied(ends)
    assert worker.get("/healthz")[0] == 200
    assert worker.metric("rflow_gap_records_total", shard="2", topic=LIKES) == worker.metric("rflow_gap_records_total") == 10
    assert worker.stop() == 0, worker.tail()
    told = deployment.told()
    assert_chained(told, "R0")
    assert sum(rollup.applied for rollup in told.rollups) == 1_200 - 10
    assert deployment.recompute().missing > 0


def test_a_gap_that_opens_before_a_running_worker_ends_it_and_its_successor_names_it(deployment: Deployment) -> None:
    worker = start(deployment, session_timeout=60.0)
    deployment.until_applied(deployment.produce(likes(0, 400)))
    worker.process.send_signal(signal.SIGSTOP)
    end = deployment.produce(likes(400, 1_200))[deployment.topic(LIKES), 2]
    delete_before(deployment, LIKES, 2, end - 5)
    worker.process.send_signal(signal.SIGCONT)
    assert worker.wait() == 1
    assert "out of range" in worker.tail()
    assert f"begins at {end - 5}" in until_stopped(deployment, start(deployment), 2)


def test_a_first_start_takes_what_the_log_still_holds(deployment: Deployment) -> None:
    ends = deployment.produce(likes(0, 400))
    delete_before(deployment, LIKES, 1, 20)
    worker = start(deployment)
    deployment.until_applied(ends)
    assert worker.get("/healthz")[0] == 200


def test_an_emptied_redis_is_seen_behind_what_others_wrote_and_built_anew_if_an_operator_says_so(
    deployment: Deployment, client: Any
) -> None:
    taken_once(deployment, likes(0, 400))
    versions = [meta.version for meta in deployment.metas()]
    for shard in (0, 3):
        forget(deployment, client, shard)
    ends = deployment.produce(likes(400, 500))
    # More of them than are looked at first.
    deployment.produce([(topic, 0, b"k", b"not rflow's", None) for topic in ("transitions", "rollups") for _ in range(100)])
    worker = start(deployment)
    for shard in (0, 3):
        why = until_stopped(deployment, worker, shard)
        assert f"shard {shard}" in why
        assert f"version {versions[shard]}," in why
        assert "found version 0" in why
    deployment.until(lambda: worker.running() == {1, 2}, "the other shards to work")
    assert worker.metric("rflow_foreign_records_total") == 200
    assert worker.stop() == 0, worker.tail()

    worker = start(deployment, "--on-rewind", "continue")
    deployment.until_applied(ends)
    assert worker.running() == {0, 1, 2, 3}
    assert worker.metric("rflow_rewinds_total") == 2
    assert worker.metric("rflow_rewound_versions_total") == versions[0] + versions[3]
    assert worker.log.read_text().count("going on above what redis has forgotten") == 2
    assert worker.stop() == 0, worker.tail()
    assert deployment.recompute().differences == []
    assert len(deployment.users()) == 500


def test_an_older_snapshot_is_refused_and_what_goes_on_above_it_is_whole_for_the_sink(
    deployment: Deployment, client: Any, clickhouse_url: str, database: str
) -> None:
    taken_once(deployment, likes(0, 100))
    backup = {key: client.dump(key) for key in keys_of(deployment, client, 0)}
    known = deployment.metas()[0].version
    # Far more than a ring holds, on the way through the shard that will forget them.
    far = next(f"far{n}" for n in range(100) if partition_of(f"far{n}", 4) == 1)
    misplaced: list[Written] = [(LIKES, 0, far.encode(), _like(n, far), None) for n in range(1_000, 1_040)]
    taken_once(deployment, likes(100, 400) + misplaced)
    published = deployment.metas()[0].version
    forget(deployment, client, 0)
    for key, value in backup.items():
        client.restore(key, 0, value)

    worker = start(deployment)
    why = until_stopped(deployment, worker, 0)
    assert f"shard 0: expected Redis to know version {published}, which has been published, found version {known}" in why
    assert "--on-rewind continue" in why
    assert worker.stop() == 0, worker.tail()

    # What was accepted is written in one piece: after that nobody has to accept it again.
    assert start(deployment, "--on-rewind", "continue", crash_point="step.after_exec").wait() == -signal.SIGKILL
    assert deployment.metas()[0].version == published + 1
    taken_once(deployment, likes(400, 500))

    told = deployment.told()
    assert [rollup.version for rollup in told.rollups if rollup.shard == 0] == list(range(1, deployment.metas()[0].version + 1))
    again = {f"u{n}" for n in range(100, 400) if partition_of(f"u{n}", 4) == 0}
    expected = {f"u{n}": 1 + (f"u{n}" in again) for n in range(500)}
    assert {user: len(chain) for (_, user), chain in told.by_user().items()} == {**expected, far: 1}
    assert sum(rollup.applied for rollup in told.rollups) == 500 + len(again) + len(misplaced)
    assert deployment.recompute().differences == []
    settings = sink_config(deployment.bootstrap, deployment.settings.topic_prefix, clickhouse_url, database)
    run_until_stored(settings, {shard: meta.version for shard, meta in enumerate(deployment.metas())}, 501 + len(again))
    assert query(settings.clickhouse, "SELECT count() FROM transitions") == [(501 + len(again),)]


def keys_of(deployment: Deployment, client: Any, shard: int) -> list[bytes]:
    return list(client.scan_iter(f"{deployment.settings.redis_prefix}:{{{shard}}}:*", count=1000))


def forget(deployment: Deployment, client: Any, shard: int) -> None:
    client.delete(*keys_of(deployment, client, shard))


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
    worker = start(deployment, "--on-ladder-change", "recompute")
    deployment.until_applied(deployment.produce(likes(300, 400)))
    assert worker.stop() == 0, worker.tail()
    assert {meta.ladder for meta in deployment.metas()} == {"5r@1"}
    assert deployment.recompute().differences == []


def _again(value: bytes, prefix: str, after: int) -> bytes:
    """Another touchpoint like this one."""
    record = orjson.loads(value)
    return orjson.dumps({**record, "event_id": f"{prefix}{record['event_id']}", "occurred_at": record["occurred_at"] + after})


def test_a_topic_made_anew_stops_its_shards_at_work_and_at_the_next_start(deployment: Deployment) -> None:
    working = start(deployment, session_timeout=1.0)
    deployment.until_applied(deployment.produce(likes(0, 100)))
    admin = AdminClient({"bootstrap.servers": deployment.bootstrap})
    name = deployment.topic(LIKES)
    admin.delete_topics([name])[name].result(20)
    wait_until(lambda: name not in admin.list_topics(timeout=10).topics, "the topic to be gone", 20)
    create_topics(deployment.bootstrap, [name], 4, load_topics()[LIKES].config())
    for worker in (working, start(deployment)):
        for shard in range(4):
            why = until_stopped(deployment, worker, shard)
            assert f"expected topic {name} with id" in why
            assert "made anew" in why


def test_another_number_of_partitions_is_refused_with_both_numbers_also_at_work(deployment: Deployment) -> None:
    working = start(deployment, session_timeout=1.0)
    deployment.until_applied(deployment.produce(likes(0, 100)))
    refused(deployment, {3: "expected 3 partitions of every topic, as the worker was told, found 4 of "})
    assert len(working.running()) == 4
    admin = AdminClient({"bootstrap.servers": deployment.bootstrap})
    more = [NewPartitions(deployment.topic(name), 5) for name in load_topics()]
    for created in admin.create_partitions(more).values():
        created.result(20)
    found_five = "expected 4 partitions of every topic, as the worker was told, found 5 of "
    refused(
        deployment,
        {
            4: found_five,
            5: "expected 4 partitions, with which its state was built, found that the worker was told 5",
        },
    )
    assert working.wait() == 1
    assert found_five in working.tail()


def refused(deployment: Deployment, why: dict[int, str]) -> None:
    """Workers that are told these numbers of partitions end, each with its reason."""
    for worker, reason in [(start(deployment, partitions=count), reason) for count, reason in why.items()]:
        assert worker.wait() == 1
        assert reason in worker.tail()


def test_foreign_bytes_and_what_a_later_release_wrote_stop_their_shards_alone(deployment: Deployment, client: Any) -> None:
    taken_once(deployment, likes(0, 100))
    shard = partition_of("u7", 4)
    newer = (shard + 1) % 4
    keys = [ShardKeys(deployment.settings.redis_prefix, number) for number in range(4)]
    client.set(keys[shard].user + "acme:u7", b"\xc1 not ours")
    client.hset(keys[newer].meta, "format", KNOWN + 1)
    before = client.hgetall(keys[newer].meta)
    ends = deployment.produce(likes(0, 100))
    worker = start(deployment)
    why = until_stopped(deployment, worker, shard)
    assert f"shard {shard}" in why
    assert "acme:u7" in why
    assert f"found form {KNOWN + 1}: a later release has worked on it" in until_stopped(deployment, worker, newer)
    others = {number: ends[deployment.topic(LIKES), number] for number in {0, 1, 2, 3} - {shard, newer}}

    def applied() -> dict[int, int]:
        return {number: orjson.loads(client.hget(keys[number].meta, "offsets"))[1] + 1 for number in others}

    deployment.until(lambda: applied() == others, "the other shards to go on", 30)
    assert worker.is_running
    assert client.hgetall(keys[newer].meta) == before


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


def test_a_dead_master_of_a_cluster_holds_up_its_own_shards_alone(
    tmp_path: Path, kafka: str, servers: Servers, topic_prefix: str, key_prefix: str
) -> None:
    nodes = servers.redis_cluster(3)
    for node in nodes:
        with redis.Redis.from_url(node.address) as client:
            client.config_set("cluster-require-full-coverage", "no")
    with Deployment(tmp_path, kafka, nodes[0].address, topic_prefix, key_prefix, session_timeout=3.0, redis_cluster=True) as deployment:
        deployment.create_topics()
        slots = {shard: key_slot(ShardKeys(key_prefix, shard).meta.encode()) for shard in range(4)}
        held = {shard for shard, slot in slots.items() if slot * 3 // SLOTS == 2}
        assert held
        assert len(held) < 4
        nodes[2].kill()
        worker = start(deployment)
        ends = deployment.produce(likes(0, 400))
        deployment.until(lambda: worker.running() == {0, 1, 2, 3} - held, "the other shards to run", 40)
        deployment.until(lambda: all(deployment.published()[shard] for shard in {0, 1, 2, 3} - held), "them to take steps", 40)
        assert worker.get("/readyz")[0] == 503
        nodes[2].start()
        deployment.until(lambda: worker.running() == {0, 1, 2, 3}, "the others to follow", 40)
        deployment.until_applied(ends)
        assert worker.stop() == 0, worker.tail()
        told = deployment.told()
        assert_chained(told, "R0")
        assert len(told.transitions) == 400


def test_without_redis_a_worker_starts_late_and_stops_in_time(
    tmp_path: Path, kafka: str, servers: Servers, topic_prefix: str, key_prefix: str
) -> None:
    server = servers.redis()
    server.kill()
    with Deployment(tmp_path, kafka, server.address, topic_prefix, key_prefix, session_timeout=3.0) as deployment:
        deployment.create_topics()
        worker = start(deployment)
        deployment.until(lambda: "waiting=4" in worker.log.read_text(), "the worker to go on without the shards", 40)
        assert worker.get("/readyz")[0] == 503
        began = time.monotonic()
        assert worker.stop() == 0, worker.tail()
        assert time.monotonic() - began < 10
        worker = start(deployment)
        time.sleep(3)
        server.start()
        deployment.until_applied(deployment.produce(likes(0, 100)))
        assert worker.stop() == 0, worker.tail()


def test_without_kafka_a_worker_waits_and_stops_in_time(tmp_path: Path, redis_url: str, topic_prefix: str, key_prefix: str) -> None:
    with Deployment(tmp_path, f"127.0.0.1:{free_port()}", redis_url, topic_prefix, key_prefix) as deployment:
        worker = deployment.start()
        deployment.until(lambda: worker.get("/readyz")[0] == 503, "the worker to say that it is not ready")
        time.sleep(1)
        assert worker.is_running
        assert b"Kafka does not answer yet" in worker.log.read_bytes()
        began = time.monotonic()
        assert worker.stop() == 0, worker.tail()
        assert time.monotonic() - began < 10


def test_workers_frozen_within_a_step_while_another_took_their_shards_change_nothing_and_join_again(deployment: Deployment) -> None:
    everyone = {0, 1, 2, 3}
    before_exec, before_publish = (
        deployment.start(crash_point=f"{point}:2:freeze") for point in ("step.before_exec", "step.before_publish")
    )
    other = deployment.start()
    workers = (before_exec, before_publish, other)
    deployment.until(lambda: all(worker.running() for worker in workers), "three workers to share the shards")
    ends: dict[tuple[str, int], int] = {}
    users = 0

    def more(count: int) -> None:
        nonlocal users
        ends.update(deployment.produce(likes(users, users + count)))
        users += count

    while not (before_exec.is_frozen and before_publish.is_frozen):
        assert users < 10_000
        more(100)
        time.sleep(0.1)
    deployment.until(lambda: other.running() == everyone, "the other to take all shards", 40)
    more(1_000)
    deployment.until_applied(ends)
    for worker in (before_exec, before_publish):
        worker.process.send_signal(signal.SIGCONT)
    more(1_000)
    deployment.until_applied(ends)
    deployment.until(
        lambda: all(worker.running() for worker in workers) and set().union(*(worker.running() for worker in workers)) == everyone,
        "the three to share the shards again",
        60,
    )
    more(500)
    deployment.until_applied(ends)
    assert before_exec.metric("rflow_step_conflicts_total") >= 1
    told = deployment.told()
    assert told.repeats > 0
    assert_chained(told, "R0")
    assert len(told.transitions) == users
    assert sum(rollup.applied for rollup in told.rollups) == users
    assert deployment.recompute().differences == []
