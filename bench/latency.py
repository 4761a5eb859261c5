"""From an event to its transition: the time from handing a touchpoint to the producer until its transition reaches a subscriber."""

from __future__ import annotations

import asyncio
import time
from array import array
from contextlib import closing

from msgspec import Struct
from msgspec.structs import replace

from bench.backlog import open_log
from bench.load import Load, number_of
from bench.machine import SERVER_CORE, WORKER_CORE, on_cores
from bench.rflow import PARTITIONS, worker_spec
from bench.servers import Servers, pid_of, servers
from bench.throughput import Say
from schemas.follow import Subscriber
from sources.kafka_log import KafkaLog

IDLE_RATE = 20.0
"""Events a second at which nothing waits for anything else."""
_WAKE_S = 0.005
_PATIENCE_S = 0.1
_MOST_AT_ONCE = 500
_BATCH = 2_000
_LINGER_S = 5.0
_TOPIC = "transitions"


class Plan(Struct, frozen=True, kw_only=True):
    """`rate` events a second for `seconds`, over `users` users of whom none has state at first. The `warm_up` before does not count."""

    rate: float
    seconds: float
    warm_up: float
    users: int


class Latency(Struct, frozen=True, kw_only=True):
    """Milliseconds from event to transition. `rate` is what was really produced, events a second."""

    plan: Plan
    rate: float
    events: int
    transitions: int
    p50: float
    p95: float
    p99: float
    most: float


async def measure_both(plan: Plan, say: Say) -> list[Latency]:
    """As `measure`: at the rate at which the system is idle but for what is measured, then at the plan's."""
    return [await measure(replace(plan, rate=IDLE_RATE), say), await measure(plan, say)]


async def measure(plan: Plan, say: Say) -> Latency:
    """Runs for the warm-up and `plan.seconds`, a few seconds longer for what is still under way."""
    with on_cores(SERVER_CORE):
        async with servers([SERVER_CORE]) as stack:
            found = await _measure(stack, "latency.", plan)
    say(f"{found.rate:,.0f} events/s: p50 {found.p50:.0f} ms, p99 {found.p99:.0f} ms over {found.transitions:,} transitions")
    return found


async def _measure(stack: Servers, prefix: str, plan: Plan) -> Latency:
    await stack.create_topics(prefix, PARTITIONS)
    subscriber = _Listener(stack.bootstrap, prefix)
    async with stack.running(worker_spec(stack, prefix, live=True), cores=[WORKER_CORE]) as (worker,):
        with open_log(stack.bootstrap, prefix) as log:
            sender = _Sender(log, plan)
            listening = asyncio.create_task(subscriber.listen())
            try:
                await sender.run()
                await asyncio.sleep(_LINGER_S)
            finally:
                subscriber.stop()
                await listening
            pid_of(worker)
    first = sender.first_counted
    waits = sorted(1000 * (at - sender.sent[number]) for number, at in subscriber.heard if number >= first)
    if not waits:
        raise RuntimeError(f"expected transitions of {len(sender.sent)} events, found none. {worker.quote_log()}")
    return Latency(
        plan=plan,
        rate=(len(sender.sent) - first) / sender.counted_seconds,
        events=len(sender.sent) - first,
        transitions=len(waits),
        p50=quantile(waits, 0.50),
        p95=quantile(waits, 0.95),
        p99=quantile(waits, 0.99),
        most=waits[-1],
    )


def quantile(ordered: list[float], share: float) -> float:
    """The smallest value that at least this share of the values does not exceed."""
    rank = -int(-share * len(ordered) // 1)
    return ordered[max(0, rank - 1)]


class _Sender:
    """Produces at the plan's rate; `sent` has, by an event's number, when it was handed over."""

    def __init__(self, log: KafkaLog, plan: Plan) -> None:
        self.sent = array("d")
        self.first_counted = 0
        self.counted_seconds = 0.0
        self._log = log
        self._plan = plan
        self._load = Load(5, plan.users, PARTITIONS)

    async def run(self) -> None:
        """Returns when Kafka has acknowledged everything."""
        plan, counted_from = self._plan, 0.0
        began = now = time.monotonic()
        while (passed := now - began) < plan.warm_up + plan.seconds:
            if passed >= plan.warm_up and not counted_from:
                counted_from, self.first_counted = now, len(self.sent)
            due = int(passed * plan.rate) - len(self.sent)
            for _ in range(min(due, _MOST_AT_ONCE)):
                kind, partition, key, value = self._load.event(time.time_ns() // 1_000_000)
                self.sent.append(time.monotonic())
                await self._log.send(kind, partition, key, value)
            self._log.poll()
            await asyncio.sleep(0 if due > _MOST_AT_ONCE else _WAKE_S)
            now = time.monotonic()
        self.counted_seconds = now - counted_from
        await self._log.drained()


class _Listener:
    """Listens as a subscriber with the helper does; `heard` has each one's event, by number, and when it arrived. Decays have no event."""

    def __init__(self, bootstrap: str, prefix: str) -> None:
        self.heard: list[tuple[int, float]] = []
        self._subscriber = Subscriber({"bootstrap.servers": bootstrap}, topic=prefix + _TOPIC, start="end")
        self._stopping = False

    def stop(self) -> None:
        """Ends `listen`."""
        self._stopping = True

    async def listen(self) -> None:
        """Until `stop`. Raises KafkaException."""
        with closing(self._subscriber):
            while not self._stopping:
                batch = await asyncio.to_thread(self._subscriber.read, _BATCH, _PATIENCE_S)
                at = time.monotonic()
                self.heard += [(number_of(one.cause.event_id), at) for one in batch.transitions if one.cause.event_id is not None]
