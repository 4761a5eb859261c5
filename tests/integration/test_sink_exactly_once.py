"""Whatever kills the sink, and wherever: afterwards the tables hold what they hold without it, row by row."""

from __future__ import annotations

import random
import signal
import subprocess
import time
from dataclasses import dataclass

import pytest

from streams.crash import CrashPoint
from tests.integration.sink_fixtures import broker, name, server
from tests.integration.sink_story import Entry, Shard, told_again
from tests.integration.sink_world import (
    PARTITIONS,
    Log,
    Server,
    config,
    contents,
    is_stored,
    run_until_killed,
    run_until_stored,
    sink_process,
    wait_for,
)

__all__ = ["broker", "name", "server"]

STEPS = 30
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
    def steps(self) -> dict[int, int]:
        return dict.fromkeys(range(PARTITIONS), STEPS)


@pytest.fixture(scope="module")
def published(broker: str, server: Server) -> Published:
    """Everything is in the log; `expected` is what a sink that nobody disturbs stores of the same entries told once."""
    entries = {shard: Shard(shard).steps(STEPS, parts=1 + shard % 2) for shard in range(PARTITIONS)}
    plain, repeated = Log(broker, "plain."), Log(broker, "repeated.")
    for shard, told in entries.items():
        plain.publish(shard, told)
        repeated.publish(shard, told_again(told))
    undisturbed = config(broker, "plain.", server.url, "undisturbed", block_rows=100_000)
    count = sum(len(entry.transitions) for told in entries.values() for entry in told)
    run_until_stored(undisturbed, dict.fromkeys(range(PARTITIONS), STEPS), count)
    expected = contents(undisturbed.clickhouse)
    assert len(expected["transitions"]) == count
    assert len(expected["steps"]) == PARTITIONS * STEPS
    return Published("repeated.", entries, expected)


def test_repeats_in_the_log_are_dropped(published: Published, broker: str, server: Server, name: str) -> None:
    settings = config(broker, published.prefix, server.url, name)
    run_until_stored(settings, published.steps, published.transitions)
    assert contents(settings.clickhouse) == published.expected


@pytest.mark.parametrize(("point", "nth"), [(point, nth) for point in POINTS for nth in (1, 2) if nth == 1 or point not in AT_START])
def test_killed_at_a_crash_point(published: Published, broker: str, server: Server, name: str, point: CrashPoint, nth: int) -> None:
    settings = config(broker, published.prefix, server.url, name)
    assert run_until_killed(settings, point.value, nth)
    run_until_stored(settings, published.steps, published.transitions)
    assert contents(settings.clickhouse) == published.expected


@pytest.mark.parametrize("nth", range(3, 11))
def test_killed_between_any_two_tables(published: Published, broker: str, server: Server, name: str, nth: int) -> None:
    settings = config(broker, published.prefix, server.url, name)
    assert run_until_killed(settings, CrashPoint.SINK_AFTER_INSERT.value, nth)
    run_until_stored(settings, published.steps, published.transitions)
    assert contents(settings.clickhouse) == published.expected


def test_killed_again_and_again_at_every_point(published: Published, broker: str, server: Server, name: str) -> None:
    """Also while it settles what the one before left; the log grows meanwhile."""
    settings = config(broker, name, server.url, name)
    log = Log(broker, name)
    rounds = [(point, 1) for point in POINTS] + [(point, 2 if point is CrashPoint.SINK_AFTER_INSERT else 1) for point in POINTS]
    for i, (point, nth) in enumerate(rounds):
        for shard, told in published.entries.items():
            log.publish(shard, told_again(told[STEPS * i // len(rounds) : STEPS * (i + 1) // len(rounds)], seed=i))
        assert run_until_killed(settings, point.value, nth), f"{point} was not passed {nth} times"
    run_until_stored(settings, published.steps, published.transitions)
    assert contents(settings.clickhouse) == published.expected


def test_two_sinks_on_one_database(published: Published, broker: str, server: Server, name: str) -> None:
    settings = config(broker, published.prefix, server.url, name, block_rows=100)
    with sink_process(settings) as other:
        run_until_stored(settings, published.steps, published.transitions)
        assert other.poll() is None
        other.send_signal(signal.SIGTERM)
        assert other.wait(10) == 0
    assert contents(settings.clickhouse) == published.expected


def test_clickhouse_killed_and_started_again(published: Published, broker: str, server: Server, name: str) -> None:
    settings = config(broker, published.prefix, server.url, name, block_rows=60)
    chance = random.Random(5)
    with sink_process(settings) as sink:
        for _ in range(4):
            time.sleep(chance.uniform(0.8, 2.0))
            server.kill()
            time.sleep(chance.uniform(0.1, 1.0))
            server.start()
        wait_for(lambda: sink.poll() is not None or is_stored(settings.clickhouse, published.steps, published.transitions), "the sink")
        assert sink.poll() is None, sink.communicate()[1]
        sink.send_signal(signal.SIGTERM)
        assert sink.wait(10) == 0
    assert contents(settings.clickhouse) == published.expected


def test_sigterm_ends_it_within_ten_seconds_even_if_clickhouse_hangs(published: Published, broker: str, server: Server, name: str) -> None:
    settings = config(broker, published.prefix, server.url, name, block_rows=60)
    with sink_process(settings) as sink:
        time.sleep(2.0)
        assert server.process is not None
        server.process.send_signal(signal.SIGSTOP)
        try:
            time.sleep(1.0)
            sink.send_signal(signal.SIGTERM)
            assert sink.wait(10) == 0
        except subprocess.TimeoutExpired:
            pytest.fail("still running ten seconds after SIGTERM")
        finally:
            server.process.send_signal(signal.SIGCONT)
    run_until_stored(settings, published.steps, published.transitions)
    assert contents(settings.clickhouse) == published.expected
