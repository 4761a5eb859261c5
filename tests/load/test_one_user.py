"""One user who sends without end: what is kept of them is bounded, steps stay short, and what is junk is counted to the last record."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

from bench.load import EVENING_MS, Event
from schemas.ladder_file import load_ladder
from schemas.partition import partition_of
from schemas.times import MINUTE_MS
from streams.state import MAX_ORDERS, MAX_RELATIONS, encode_state
from tests.load.sizes import SIZES
from tests.load.world import PARTITIONS, Outpour, peak_mb, say, touchpoint
from tests.workers import Deployment, Worker

BOT = "bot"
WORKER_MB = 400
STATE_BYTES = 64 * 1024
LONGEST_FOLD_S = 5.0


def flood(count: int) -> Iterator[Event]:
    """A record each millisecond: of twenty one purchase, one group joined, two likes and sixteen exposures."""
    for n in range(count):
        at = EVENING_MS + n
        match n % 20:
            case 0:
                yield touchpoint(n, "purchase", BOT, at, f',"order_id":"o{n}","amount":100')
            case 1:
                yield touchpoint(n, "group_join", BOT, at, f',"relation_id":"g{n}"')
            case 2 | 3:
                yield touchpoint(n, "like", BOT, at)
            case _:
                yield touchpoint(n, "ad_exposure", BOT, at)


def junk_of(events: Iterator[Event]) -> Counter[str]:
    """By topic, what goes beyond so many in a minute, of records in order of time one millisecond apart."""
    minutes = Counter((event.kind.value, n // MINUTE_MS) for n, event in enumerate(events))
    most = load_ladder("5r").junk_above
    found: Counter[str] = Counter()
    for (kind, _), records in minutes.items():
        if kind in ("exposure", "interaction"):
            found[kind] += max(0, records - most)
    return found


def longest_below(worker: Worker, phase: str) -> float:
    """The upper bound of the histogram's bucket in which the longest of a phase lies, in seconds."""
    every = worker.metric("rflow_step_seconds_count", phase=phase)
    for bound in (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0):
        if worker.metric("rflow_step_seconds_bucket", phase=phase, le=str(bound)) == every:
            return bound
    return float("inf")


@pytest.fixture
def deployment(tmp_path: Path, kafka: str, redis_db_url: str, topic_prefix: str, key_prefix: str) -> Iterator[Deployment]:
    with Deployment(tmp_path, kafka, redis_db_url, topic_prefix, key_prefix, clock="event") as made:
        yield made.create_topics()


def test_a_user_who_sends_without_end_is_kept_small_and_their_junk_is_counted(deployment: Deployment) -> None:
    outpour = Outpour(deployment)
    assert outpour.pour(flood(SIZES.one_user)) == SIZES.one_user
    worker = deployment.start()
    deployment.until_applied(outpour.ends(), SIZES.patience)

    junk = junk_of(flood(SIZES.one_user))
    rollups = deployment.told().rollups
    rows: Counter[str] = Counter()
    for rollup in rollups:
        for row in rollup.junk_touches:
            assert (row.brand, row.channel) == ("acme", "douyin")
            rows["interaction" if row.type == "like" else "exposure"] += row.records
    assert rows == junk
    assert sum(rollup.junk for rollup in rollups) == junk.total()
    assert sum(rollup.applied for rollup in rollups) == SIZES.one_user - junk.total()
    assert worker.metric("rflow_junk_total", channel="douyin") == junk.total()

    state = deployment.users()[partition_of(BOT, PARTITIONS), f"acme:{BOT}"]
    assert state is not None
    assert state.orders is not None
    assert state.relations is not None
    assert (len(state.orders), len(state.relations)) == (MAX_ORDERS, MAX_RELATIONS)
    kept, longest, peak = len(encode_state(state)), longest_below(worker, "fold"), peak_mb(worker.process.pid)
    say(f"one user, {SIZES.one_user:,} records, {junk.total():,} junk: {kept:,} bytes, no fold above {longest} s, worker {peak:.0f} MB")
    assert kept < STATE_BYTES
    assert longest <= LONGEST_FOLD_S
    assert peak < WORKER_MB

    recomputed = deployment.recompute()
    assert recomputed.differences == []
    assert recomputed.junk == {"douyin": junk.total()}
    assert worker.stop() == 0, worker.tail()
