"""What is lost is told: which partition, which versions. Going on is the operator's choice, and counted."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pytest
from confluent_kafka import TopicPartition
from confluent_kafka.admin import AdminClient

from schemas.ladder_file import load_ladder
from sinks.config import OnGap, SinkConfig
from sinks.errors import LogGap, LogStale, StoreError
from sinks.sink import Sink, run
from streams import metrics
from streams.crash import CrashPoint
from tests.integration.sink_config import PARTITIONS, config
from tests.integration.sink_story import Entry, Shard
from tests.integration.sink_world import TOPICS, Log, is_stored, query, run_until_killed, run_until_stored
from tests.servers import Servers, create_topics, wait_until

LADDER = load_ladder("5r")
BROKEN: dict[str, Callable[[list[Entry]], list[Entry]]] = {
    "a step": lambda entries: [*entries[:3], *entries[4:]],
    "the first step": lambda entries: entries[1:],
    "the last part of a rollup": lambda entries: [*entries[:3], Entry(entries[3].transitions, entries[3].rollups[:1]), *entries[4:]],
    "the first part of a rollup": lambda entries: [*entries[:3], Entry(entries[3].transitions, entries[3].rollups[1:]), *entries[4:]],
    "a transition": lambda entries: [
        Entry([value for value in entry.transitions if b'"index":1,' not in value], entry.rollups) for entry in entries
    ],
}


@contextmanager
def running(settings: SinkConfig) -> Iterator[Sink]:
    """A sink in a thread of this process."""
    stop, sink = threading.Event(), Sink(settings, LADDER)
    thread = threading.Thread(target=sink.run, args=(stop,))
    thread.start()
    try:
        yield sink
    finally:
        stop.set()
        thread.join(10)
        assert not thread.is_alive()


@pytest.mark.parametrize("what", BROKEN)
def test_it_stops_where_records_are_missing(what: str, mock_broker: str, topic_prefix: str, clickhouse_url: str, database: str) -> None:
    log = Log(mock_broker, topic_prefix)
    log.publish(2, BROKEN[what](Shard(2).steps(6, parts=2)))
    stream = "transitions" if what == "a transition" else "rollups"
    with pytest.raises(LogGap, match=rf"{stream}\[2\]: records are lost: the last one before was .*, the next is .*on-gap continue"):
        run(config(mock_broker, topic_prefix, clickhouse_url, database), LADDER, threading.Event())


@pytest.mark.parametrize("what", BROKEN)
def test_it_goes_on_behind_the_gap_if_told_to(what: str, mock_broker: str, topic_prefix: str, clickhouse_url: str, database: str) -> None:
    log, before = Log(mock_broker, topic_prefix), _gaps()
    log.publish(2, BROKEN[what](Shard(2).steps(6, parts=2)))
    settings = config(mock_broker, topic_prefix, clickhouse_url, database, on_gap=OnGap.CONTINUE)
    with running(settings):
        wait_until(lambda: is_stored(settings.clickhouse, {2: 6}, 0), "the sink", 30)
    assert _gaps() > before


def _gaps() -> float:
    return float(sum(metrics.SINK_GAPS.labels(stream=stream)._value.get() for stream in ("rollups", "transitions")))


def test_records_deleted_before_they_were_stored(kafka: str, topic_prefix: str, clickhouse_url: str, database: str) -> None:
    create_topics(kafka, [topic_prefix + topic for topic in TOPICS], PARTITIONS)
    log, entries = Log(kafka, topic_prefix), Shard(1).steps(20)
    settings = config(kafka, topic_prefix, clickhouse_url, database)
    log.publish(1, entries[:10])
    run_until_stored(settings, {1: 10}, 0)
    log.publish(1, entries[10:])
    _delete_before(kafka, f"{topic_prefix}rollups", 1, 15)
    with pytest.raises(LogGap, match=r"rollups\[1\]: expected to go on at offset 10, the log begins at 15"):
        run(settings, LADDER, threading.Event())
    going_on = config(kafka, topic_prefix, clickhouse_url, database, on_gap=OnGap.CONTINUE)
    with running(going_on):
        wait_until(lambda: is_stored(settings.clickhouse, {1: 20}, 0), "the sink", 30)
    assert query(settings.clickhouse, "SELECT version FROM steps ORDER BY version") == [(v,) for v in [*range(1, 11), *range(16, 21)]]


def test_records_of_an_unfinished_block_deleted(kafka: str, topic_prefix: str, clickhouse_url: str, database: str) -> None:
    create_topics(kafka, [topic_prefix + topic for topic in TOPICS], PARTITIONS)
    log, entries = Log(kafka, topic_prefix), Shard(1).steps(20)
    settings = config(kafka, topic_prefix, clickhouse_url, database, on_gap=OnGap.CONTINUE)
    log.publish(1, entries[:10])
    assert run_until_killed(settings, CrashPoint.SINK_AFTER_AGREEMENT.value, 1)
    log.publish(1, entries[10:])
    _delete_before(kafka, f"{topic_prefix}rollups", 1, 5)
    with pytest.raises(LogGap, match="the log begins at 5"):
        run(config(kafka, topic_prefix, clickhouse_url, database), LADDER, threading.Event())
    with running(settings):
        wait_until(lambda: is_stored(settings.clickhouse, {1: 20}, 0), "the sink", 30)
    assert query(settings.clickhouse, "SELECT version FROM steps ORDER BY version") == [(v,) for v in range(11, 21)]


def _delete_before(bootstrap: str, topic: str, partition: int, offset: int) -> None:
    admin = AdminClient({"bootstrap.servers": bootstrap})
    for deleted in admin.delete_records([TopicPartition(topic, partition, offset)]).values():
        deleted.result(20)


def test_another_log_is_refused(mock_broker: str, topic_prefix: str, clickhouse_url: str, database: str) -> None:
    Log(mock_broker, f"{topic_prefix}a.").publish(0, Shard(0).steps(5))
    Log(mock_broker, f"{topic_prefix}b.").publish(0, Shard(0).steps(2))
    run_until_stored(config(mock_broker, f"{topic_prefix}a.", clickhouse_url, database), {0: 5}, 0)
    with pytest.raises(LogStale, match=r"rollups\[0\] ends at offset 2, but 5 records of it are stored"):
        run(config(mock_broker, f"{topic_prefix}b.", clickhouse_url, database), LADDER, threading.Event())


def test_a_database_of_more_shards_is_refused(mock_broker: str, topic_prefix: str, clickhouse_url: str, database: str) -> None:
    Log(mock_broker, topic_prefix).publish(0, Shard(0).steps(1))
    settings = config(mock_broker, topic_prefix, clickhouse_url, database)
    run_until_stored(settings, {0: 1}, 0)
    fewer = SinkConfig(kafka=settings.kafka, clickhouse=settings.clickhouse, partitions=2, topic_prefix=topic_prefix)
    with pytest.raises(StoreError, match="holds shard 3, expected shards 0 to 1"):
        run(fewer, LADDER, threading.Event())


def test_it_waits_for_clickhouse_and_for_topics_and_says_so(mock_broker: str, topic_prefix: str, servers: Servers) -> None:
    server = servers.clickhouse()
    server.kill()
    with running(config(mock_broker, topic_prefix, server.address, "own", block_rows=50)) as sink:
        wait_until(lambda: "does not answer" in sink.health().detail, "the sink to miss ClickHouse")
        assert (sink.health().ok, sink.health().ready) == (True, False)
        server.start()
        wait_until(lambda: "not there yet" in sink.health().detail, "the sink to miss its topics", 30)
        log, shard = Log(mock_broker, topic_prefix), Shard(0)
        log.publish(0, shard.steps(5))
        wait_until(lambda: sink.health().ready and sink.health().lag_records == 0, "the sink to be ready", 30)
        server.kill()
        log.publish(0, shard.steps(40))
        wait_until(lambda: (sink.health().lag_records or 0) >= 40, "lag to show", 30)
        assert (sink.health().ok, sink.health().ready) == (True, False)
        assert metrics.SINK_UP._value.get() == 0
        server.start()
        wait_until(lambda: sink.health().ready and sink.health().lag_records == 0, "the sink to catch up", 30)


def test_what_cannot_be_read_is_counted_and_passed_over(mock_broker: str, topic_prefix: str, clickhouse_url: str, database: str) -> None:
    log, entries = Log(mock_broker, topic_prefix), Shard(3).steps(4)
    log.publish(3, entries[:2])
    log.send("rollups", 3, b"no rollup")
    log.send("spend", 3, b"no spend")
    log.publish(3, entries[2:])
    before = metrics.SINK_BAD_RECORDS.labels(stream="rollups")._value.get()
    settings = config(mock_broker, topic_prefix, clickhouse_url, database)
    with running(settings) as sink:
        wait_until(lambda: sink.health().ready, "the sink", 30)
    assert metrics.SINK_BAD_RECORDS.labels(stream="rollups")._value.get() == before + 1
    assert query(settings.clickhouse, "SELECT count() FROM steps") == [(4,)]
