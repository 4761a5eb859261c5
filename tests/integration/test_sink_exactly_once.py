"""Whatever kills the sink, and wherever: afterwards the tables hold what they hold without it, row by row."""

from __future__ import annotations

import random
import signal
import subprocess
import time
import uuid
from dataclasses import dataclass, replace

import pytest

from streams.crash import CrashPoint
from tests.integration.sink_config import PARTITIONS, config
from tests.integration.sink_story import Entry, Shard, told_again
from tests.integration.sink_world import (
    TOPICS,
    Log,
    contents,
    is_migrated,
    is_stored,
    query,
    run_until_killed,
    run_until_stored,
    sink_process,
)
from tests.servers import Servers, create_topics, wait_until

STEPS = 20
POINTS = [point for point in CrashPoint if point.value.startswith("sink.")]
AT_START = (CrashPoint.SINK_AFTER_MIGRATE, CrashPoint.SINK_AFTER_LOAD)
"""Passed once a start."""


@dataclass
class Published:
    """A log with repeats, and what must be stored of it."""

    prefix: str
    entries: dict[int, list[Entry]]
    expected: dict[str, list[str]]

    @property
    def transitions(self) -> int:
        return len(self.expected["transitions"])

    @property
    def whole(self) -> tuple[dict[int, int], int, int]:
        """What is stored in the end: steps, transitions, states of alerts."""
        return self.steps, self.transitions, self.alerts

    @property
    def alerts(self) -> int:
        return len(self.expected["alerts"])

    @property
    def steps(self) -> dict[int, int]:
        return dict.fromkeys(range(PARTITIONS), STEPS)


@pytest.fixture(scope="module")
def published(mock_broker: str, clickhouse_url: str) -> Published:
    """Everything is in the log; `expected` is what a sink that nobody disturbs stores of the same entries told once."""
    entries = {shard: Shard(shard).steps(STEPS, parts=1 + shard % 2) for shard in range(PARTITIONS)}
    name = f"t{uuid.uuid4().hex[:10]}"
    plain, repeated = Log(mock_broker, f"{name}.plain."), Log(mock_broker, f"{name}.repeated.")
    for shard, told in entries.items():
        plain.publish(shard, told)
        repeated.publish(shard, told_again(told))
    undisturbed = config(mock_broker, plain.prefix, clickhouse_url, name, block_rows=100_000)
    count = sum(len(entry.transitions) for told in entries.values() for entry in told)
    states = PARTITIONS * STEPS // 10
    run_until_stored(undisturbed, dict.fromkeys(range(PARTITIONS), STEPS), count, alerts=states)
    expected = contents(undisturbed.clickhouse)
    assert len(expected["alerts"]) == states
    assert len(expected["transitions"]) == count
    assert len(expected["steps"]) == PARTITIONS * STEPS
    return Published(repeated.prefix, entries, expected)


def test_repeats_in_the_log_are_dropped(published: Published, mock_broker: str, clickhouse_url: str, database: str) -> None:
    settings = config(mock_broker, published.prefix, clickhouse_url, database)
    run_until_stored(settings, published.steps, published.transitions, alerts=published.alerts)
    assert contents(settings.clickhouse) == published.expected


@pytest.mark.parametrize(("point", "nth"), [(point, nth) for point in POINTS for nth in (1, 2) if nth == 1 or point not in AT_START])
def test_killed_at_a_crash_point(
    published: Published, mock_broker: str, clickhouse_url: str, database: str, point: CrashPoint, nth: int
) -> None:
    settings = config(mock_broker, published.prefix, clickhouse_url, database)
    assert run_until_killed(settings, point.value, nth)
    run_until_stored(settings, published.steps, published.transitions, alerts=published.alerts)
    assert contents(settings.clickhouse) == published.expected


def test_rollups_that_do_not_tell_of_their_transitions(
    published: Published, mock_broker: str, topic_prefix: str, clickhouse_url: str, database: str
) -> None:
    log = Log(mock_broker, topic_prefix)
    for shard in range(PARTITIONS):
        log.publish(shard, told_again(Shard(shard).steps(STEPS, parts=1 + shard % 2)))
    settings = config(mock_broker, topic_prefix, clickhouse_url, database)
    run_until_stored(settings, published.steps, published.transitions, alerts=published.alerts)
    assert contents(settings.clickhouse) == published.expected


def test_a_step_is_stored_with_its_transitions(
    published: Published, mock_broker: str, topic_prefix: str, clickhouse_url: str, database: str
) -> None:
    """Whichever comes first, and be one topic read far ahead of the other."""
    log = Log(mock_broker, topic_prefix)
    for shard, told in published.entries.items():
        first = "rollups" if shard % 2 else "transitions"
        for entry in told:
            for value in entry.alerts:
                log.send("alerts", shard, value)
            for value in getattr(entry, first):
                log.send(first, shard, value)
    log.flush()
    settings = config(mock_broker, topic_prefix, clickhouse_url, database, block_rows=50)
    with sink_process(settings) as sink:
        wait_until(lambda: is_migrated(settings.clickhouse), "the sink's tables", 60)
        time.sleep(2)
        assert query(settings.clickhouse, "SELECT count() FROM transitions") == [(0,)]
        for shard, told in published.entries.items():
            later = "transitions" if shard % 2 else "rollups"
            for entry in told:
                for value in getattr(entry, later):
                    log.send(later, shard, value)
        log.flush()
        wait_until(
            lambda: sink.poll() is not None or is_stored(settings.clickhouse, *published.whole),
            "the sink",
            240,
        )
    assert contents(settings.clickhouse) == published.expected


@pytest.mark.parametrize("nth", [3, *range(5, 11), *range(12, 16)])
def test_killed_between_any_two_tables(published: Published, mock_broker: str, clickhouse_url: str, database: str, nth: int) -> None:
    settings = config(mock_broker, published.prefix, clickhouse_url, database)
    assert run_until_killed(settings, CrashPoint.SINK_AFTER_INSERT.value, nth)
    run_until_stored(settings, published.steps, published.transitions, alerts=published.alerts)
    assert contents(settings.clickhouse) == published.expected


def test_killed_again_and_again_at_every_point(
    published: Published, kafka: str, topic_prefix: str, clickhouse_url: str, database: str
) -> None:
    """Also while it settles what the one before left; on a real Kafka, the log growing meanwhile."""
    settings = config(kafka, topic_prefix, clickhouse_url, database)
    create_topics(kafka, [topic_prefix + topic for topic in TOPICS], PARTITIONS)
    log = Log(kafka, topic_prefix)
    rounds = [(point, 1) for point in POINTS] + [(point, 2 if point is CrashPoint.SINK_AFTER_INSERT else 1) for point in POINTS]
    for i, (point, nth) in enumerate(rounds):
        for shard, told in published.entries.items():
            log.publish(shard, told_again(told[STEPS * i // len(rounds) : STEPS * (i + 1) // len(rounds)], seed=i))
        assert run_until_killed(settings, point.value, nth), f"{point} was not passed {nth} times"
    run_until_stored(settings, published.steps, published.transitions, alerts=published.alerts)
    assert contents(settings.clickhouse) == published.expected


def test_a_block_is_finished_as_it_was_begun_although_the_log_has_grown(
    published: Published, mock_broker: str, topic_prefix: str, clickhouse_url: str, database: str
) -> None:
    log = Log(mock_broker, topic_prefix)
    settings = config(mock_broker, topic_prefix, clickhouse_url, database, block_rows=100_000)
    for shard, told in published.entries.items():
        log.publish(shard, told[: STEPS // 2])
    assert run_until_killed(settings, CrashPoint.SINK_AFTER_INSERT.value, 3)
    for shard, told in published.entries.items():
        log.publish(shard, told[STEPS // 2 :])
    run_until_stored(settings, published.steps, published.transitions, seconds=45, alerts=published.alerts)
    assert contents(settings.clickhouse) == published.expected


def test_two_sinks_on_one_database(published: Published, mock_broker: str, clickhouse_url: str, database: str) -> None:
    settings = config(mock_broker, published.prefix, clickhouse_url, database, block_rows=100)
    with sink_process(settings) as other:
        run_until_stored(settings, published.steps, published.transitions, alerts=published.alerts)
        assert other.poll() is None
        other.send_signal(signal.SIGTERM)
        assert other.wait(10) == 0
    assert contents(settings.clickhouse) == published.expected


def test_clickhouse_killed_and_started_again(published: Published, mock_broker: str, servers: Servers) -> None:
    server = servers.clickhouse()
    settings = config(mock_broker, published.prefix, server.address, "own", block_rows=60)
    chance = random.Random(5)
    with sink_process(settings) as sink:
        wait_until(lambda: is_migrated(settings.clickhouse), "the tables", 60)  # so that it is blocks that are cut off
        for _ in range(4):
            time.sleep(chance.uniform(0.8, 2.0))
            server.kill()
            time.sleep(chance.uniform(0.1, 1.0))
            server.start()
        wait_until(
            lambda: sink.poll() is not None or is_stored(settings.clickhouse, *published.whole),
            "the sink",
            90,
        )
        assert sink.poll() is None, sink.communicate()[1]
        sink.send_signal(signal.SIGTERM)
        assert sink.wait(10) == 0
    assert contents(settings.clickhouse) == published.expected


def test_sigterm_ends_it_within_ten_seconds_even_if_clickhouse_hangs(published: Published, mock_broker: str, servers: Servers) -> None:
    server = servers.clickhouse()
    settings = config(mock_broker, published.prefix, server.address, "own", block_rows=60)
    with sink_process(settings) as sink:
        time.sleep(2.0)
        server.freeze()
        try:
            time.sleep(1.0)
            sink.send_signal(signal.SIGTERM)
            assert sink.wait(10) == 0
        except subprocess.TimeoutExpired:
            pytest.fail("still running ten seconds after SIGTERM")
        finally:
            server.thaw()
    run_until_stored(replace(settings, block_rows=450), published.steps, published.transitions, alerts=published.alerts)
    assert contents(settings.clickhouse) == published.expected
