"""`rflow replay`: a source through a whole stack, to figures that have been checked three ways."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import msgspec
from msgspec import Struct

from deploy.check import Difference, Recomputed, StateReader, census_of, recompute
from deploy.progress import Progress
from deploy.running import Broker, settings_on, stack_config, start_processes
from deploy.settings import Settings
from deploy.stack.keeper import StackEvent
from deploy.stack.supervisor import Stack
from deploy.wiring import clickhouse_of, ladder_of, pseudonymised, validator_of
from schemas.deadletter import Reason
from schemas.ladder import Ladder
from sources.kafka_log import KafkaLog
from sources.producer import Replayed, ReplayPolicy, replay
from sources.source import Source
from warroom.star import Star

MOCK_IN_FLIGHT = 1_000_000
MOCK_RETAIN = 256 << 20
"""How much of each partition the in-memory broker keeps at most: the recomputation reads the whole source back from it."""
KAFKA_IN_FLIGHT = 8_000_000


class Watcher(Struct, kw_only=True):
    """Whom a replay tells how it goes."""

    on_event: Callable[[StackEvent], None] = lambda _: None
    on_produced: Callable[[Replayed], None] = lambda _: None
    on_stage: Callable[[str], None] = lambda _: None
    on_checked: Callable[[int], None] = lambda _: None
    before_stop: Callable[[Settings, Outcome], None] = lambda *_: None
    """called with the stack still running, after the checks"""


class Outcome(Struct, kw_only=True):
    """What came of a replay: the figures as `--json` prints them, and where the checks found fault."""

    figures: dict[str, Any]
    faults: list[str]
    differences: list[Difference]
    last: int | None
    """the latest time of a valid record, epoch milliseconds"""


class ReplayPlan(Struct, frozen=True, kw_only=True):
    """How to replay: into which folder, through which broker and how many workers; `brand` leaves all others out."""

    data: Path
    broker: Broker = "mock"
    workers: int = 1
    brand: str | None = None


async def run_replay(source: Source, plan: ReplayPlan, base: Settings, watch: Watcher) -> Outcome:
    """Brings a stack up, replays the source, waits until all is applied and stored, checks, and stops.

    Raises StackError, SourceError, RflowError and what the servers' clients raise.
    """
    watch.on_stage("starting the stack")
    config = stack_config(plan.data, base, plan.broker, plan.workers, retain_bytes=MOCK_RETAIN)
    async with Stack(config, watch.on_event) as stack:
        assert stack.endpoints is not None
        settings = settings_on(stack.endpoints, base, clock="event", intake="strict", sink_linger=0.2)
        await start_processes(stack, settings, plan.workers)
        outcome = await replay_on(source, plan, settings, watch)
        watch.before_stop(settings, outcome)
        watch.on_stage("stopping")
    return outcome


async def replay_on(source: Source, plan: ReplayPlan, settings: Settings, watch: Watcher) -> Outcome:
    """Replays the source on servers and processes that run and have seen nothing yet; as `run_replay`, but for the stack."""
    lines = source.lines if plan.brand is None else _of_brand(source.lines, plan.brand)
    lines = pseudonymised(lines, settings, source.left_out)
    watch.on_stage("replaying")
    began = time.monotonic()
    with closing(Progress(settings)) as progress:
        done = await _produce(lines, settings, plan, progress, watch)
        watch.on_stage("waiting for the last step to be stored")
        await progress.wait(done.ends)
        await progress.settled()
    seconds = time.monotonic() - began
    watch.on_stage("checking")
    outcome = _outcome(done, settings, seconds, watch)
    outcome.last = done.time
    return outcome


async def _produce(lines: Iterator[bytes], settings: Settings, plan: ReplayPlan, progress: Progress, watch: Watcher) -> Replayed:
    policy = ReplayPolicy(in_flight_bytes=MOCK_IN_FLIGHT if plan.broker == "mock" else KAFKA_IN_FLIGHT)
    kafka = {"compression.type": "lz4", **settings.kafka_options()}
    with KafkaLog(settings.kafka_bootstrap, prefix=settings.topic_prefix, settings=kafka) as log:
        return await replay(
            lines, log, validator_of(settings), settings.partitions, pace=progress, policy=policy, on_progress=watch.on_produced
        )


class _Named(Struct):
    brand: object = None


_named = msgspec.json.Decoder(_Named)


def _of_brand(lines: Iterator[bytes], brand: str) -> Iterator[bytes]:
    """The lines of one brand, and those whose brand cannot be read: they are dead letters and are to be seen."""
    for line in lines:
        try:
            named = _named.decode(line).brand
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
            named = None
        if not isinstance(named, str) or named == brand:
            yield line


def _outcome(done: Replayed, settings: Settings, seconds: float, watch: Watcher) -> Outcome:
    recomputed = recompute(settings, watch.on_checked)
    ladder = ladder_of(settings)
    with closing(StateReader(settings)) as states, Star(clickhouse_of(settings)) as star:
        in_redis = _sum(census_of(states, settings, ladder), ladder)
        in_clickhouse = star.census().layers
        steps, orders = star.steps(), star.orders()
        reasons = star.dead_letters()
        violations = star.ledger_balances()
        flows, transitions = star.flows(), star.transitions()
        junk: Counter[str] = Counter()
        for of_channel in star.junk():
            junk[of_channel.channel] += of_channel.junk
    sides = {
        "orders": (orders.orders, recomputed.purchases),
        "gmv": (orders.gmv, recomputed.gmv),
        "refunds": (orders.refunds, recomputed.refunds),
        "buyers": (orders.buyers, recomputed.buyers),
    }
    accounted = steps.applied + steps.duplicates + steps.junk + steps.dead_letters
    junk_agrees = steps.junk == junk.total() and dict(junk) == recomputed.junk
    faults = [f"ledger: {v.brand} {v.where}: expected {v.expected}, found {v.found}" for v in violations]
    faults += [f"{name}: ClickHouse has {a}, the recomputation {b}" for name, (a, b) in sides.items() if a != b]
    if in_redis != in_clickhouse:
        faults.append(f"census: Redis has {in_redis}, ClickHouse {in_clickhouse}")
    if accounted != done.events:
        faults.append(f"records: {done.events} were produced, {accounted} accounted for")
    if not junk_agrees:
        faults.append(f"junk: the steps have {steps.junk}, ClickHouse {dict(junk)} by channel, the recomputation {recomputed.junk}")
    if done.invalid.total() != steps.dead_letters:
        faults.append(f"dead letters: expected {done.invalid.total()}, found {steps.dead_letters}")
    return Outcome(
        figures={
            "events": done.events,
            "applied": steps.applied,
            "duplicates": steps.duplicates,
            "junk": steps.junk,
            "dead_letters": {reason.value: reasons[reason.value] for reason in Reason if reasons.get(reason.value)},
            "transitions": transitions,
            "layers": in_redis,
            "flows": flows,
            "orders": orders.orders,
            "buyers": orders.buyers,
            "gmv": orders.gmv,
            "refunds": orders.refunds,
            "seconds": round(seconds, 3),
            "events_per_second": round(done.events / seconds) if seconds else 0,
            "checks": {
                "every_record_accounted_for": accounted == done.events and done.invalid.total() == steps.dead_letters and junk_agrees,
                "ledger_balances": not violations,
                "redis_equals_clickhouse": in_redis == in_clickhouse,
                "money_equals_recomputation": all(a == b for a, b in sides.values()),
                "users_equal_recomputation": not recomputed.differences and not recomputed.missing,
            },
        },
        faults=faults + _missing(recomputed),
        differences=recomputed.differences,
        last=None,
    )


def _missing(recomputed: Recomputed) -> list[str]:
    if not recomputed.missing:
        return []
    return [f"recomputation: the broker no longer holds {recomputed.missing} records (try --broker kafka)"]


def _sum(census: dict[str, dict[str, int]], ladder: Ladder) -> dict[str, int]:
    total = {layer.id: 0 for layer in ladder.layers}
    for layers in census.values():
        for layer, n in layers.items():
            total[layer] += n
    return total
