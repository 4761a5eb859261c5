"""One round of the contest: a log of its own that rflow, idiomatic Faust and the floor read in turn."""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path

import msgspec
import orjson
from confluent_kafka import Consumer, TopicPartition
from msgspec import Struct

from bench import floor, rules
from bench.backlog import StagedLog, produce, produce_at_once
from bench.idiomatic import OUTPUT, user_key
from bench.load import BRAND, Event, Load, passes, spread
from bench.machine import WORKER_CORE, cpu_seconds, fixed_loop, on_cores, thread_seconds
from bench.phases import METRIC
from bench.rflow import PARTITIONS, Progress, metric, worker_spec
from bench.servers import Servers, pid_of
from deploy.stack.process import Process, ProcessSpec, python_module
from schemas.touchpoint import KINDS, STRUCTS
from sources.kafka_log import Log

PRELOADED = 2
"""Events that every user has had before the measured ones."""
_POLL_S = 0.05
_PATIENCE_S = 300.0
_CODE = Path(__file__).resolve().parents[1]


class Sizes(Struct, frozen=True, kw_only=True):
    """How much is measured. `warm_up` are the idiomatic events that go before the measured ones."""

    users: int
    events: int
    idiomatic_events: int
    warm_up: int
    rounds: int


class Run(Struct, frozen=True, kw_only=True):
    """One measured run. `loop_seconds` is how long the fixed loop took just before it; CPU is the process's own, all its threads."""

    events: int
    seconds: float
    cpu_seconds: float
    loop_seconds: float
    kafka_cpu_seconds: float = 0.0
    redis_cpu_seconds: float = 0.0

    @property
    def per_second(self) -> float:
        return self.events / self.seconds

    @property
    def per_cpu_second(self) -> float:
        return self.events / self.cpu_seconds

    @property
    def cpu_us(self) -> float:
        """CPU microseconds an event."""
        return 1e6 * self.cpu_seconds / self.events


@asynccontextmanager
async def new_round(stack: Servers, prefix: str, sizes: Sizes) -> AsyncIterator[Round]:
    """A new log with users that have state and a backlog that nobody sees yet; all gone afterwards."""
    await stack.create_topics(prefix, PARTITIONS, [prefix + OUTPUT])
    before = await produce_at_once(stack.bootstrap, prefix, passes(Load(1, sizes.users, PARTITIONS), sizes.users, PRELOADED, PRELOADED))
    with StagedLog(stack.bootstrap, prefix) as log:
        await log.begin()
        found = Round(stack, prefix, sizes, before, log)
        await produce(log, found.backlog())
        yield found
    await stack.clear()


class Round:
    """One log to be read by each of the three in turn, rflow first, who releases the backlog."""

    def __init__(self, stack: Servers, prefix: str, sizes: Sizes, before: dict[Log, int], log: StagedLog) -> None:
        self.bytes = 0
        self._stack = stack
        self._prefix = prefix
        self._sizes = sizes
        self._before = before
        self._log = log

    def backlog(self) -> Iterator[Event]:
        """The measured events."""
        for event in spread(Load(2, self._sizes.users, PARTITIONS, first=1 << 32), self._sizes.events):
            self.bytes += len(event.value)
            yield event

    async def rflow(self) -> Run:
        """The production worker."""
        loop = fixed_loop()
        async with self._stack.running(worker_spec(self._stack, self._prefix), cores=[WORKER_CORE]) as (worker,):
            return await self._run(worker, loop)

    async def metered(self) -> tuple[Run, dict[str, float]]:
        """The worker that tells its phases."""
        loop = fixed_loop()
        spec = worker_spec(self._stack, self._prefix, program=("bench.phases",))
        async with self._stack.running(spec, cores=[WORKER_CORE]) as (worker,):
            await Progress(self._stack.redis, self._prefix).wait(self._before, worker)
            threads, phases = thread_seconds(pid_of(worker)), metric(worker, METRIC)
            run = await self._run(worker, loop)
            used = {name: value - threads[name] for name, value in thread_seconds(pid_of(worker)).items()}
            spent = {phase: value - phases[phase] for phase, value in metric(worker, METRIC).items()}
        spent["event loop, Faust"] = used["main"] - sum(spent.values())
        spent["librdkafka's threads"] = used["librdkafka"]
        spent["other threads"] = used["other"]
        return run, {name: 1e6 * value / run.events for name, value in spent.items()}

    async def _run(self, worker: Process, loop: float) -> Run:
        progress = Progress(self._stack.redis, self._prefix)
        await progress.wait(self._before, worker)
        ends = dict(self._log.ends)
        before = self._cpu(worker)
        began = await self._log.commit()
        ended = await progress.wait(ends, worker)
        used = [after - earlier for after, earlier in zip(self._cpu(worker), before, strict=True)]
        return Run(
            events=self._sizes.events,
            seconds=ended - began,
            cpu_seconds=used[0],
            loop_seconds=loop,
            kafka_cpu_seconds=used[1],
            redis_cpu_seconds=used[2],
        )

    def _cpu(self, worker: Process) -> list[float]:
        return [cpu_seconds(pid) for pid in (pid_of(worker), self._stack.kafka_pid, self._stack.redis_pid)]

    async def idiomatic(self) -> Run:
        """Faust an event at a time, over the first part of the backlog."""
        self._fill_users()
        name = self._prefix + "faust"
        _commit(self._stack.bootstrap, name, self._begins(), self._prefix)
        spec = ProcessSpec(
            role="faust",
            argv=python_module("faust", "-A", "bench.idiomatic", "worker", "-l", "warn"),
            env={
                "BENCH_NAME": name,
                "BENCH_PREFIX": self._prefix,
                "BENCH_KAFKA": self._stack.bootstrap,
                "BENCH_REDIS": self._stack.redis_url,
            },
        )
        self._stack.redis.config_resetstat()
        loop = fixed_loop()
        async with self._stack.running(spec, cores=[WORKER_CORE]) as (faust,):
            began_at = await self._sets(self._sizes.warm_up, faust)
            before, began = self._cpu(faust), time.monotonic()
            ended_at = await self._sets(began_at + self._sizes.idiomatic_events, faust)
            ended = time.monotonic()
            used = [after - earlier for after, earlier in zip(self._cpu(faust), before, strict=True)]
        return Run(
            events=ended_at - began_at,
            seconds=ended - began,
            cpu_seconds=used[0],
            loop_seconds=loop,
            kafka_cpu_seconds=used[1],
            redis_cpu_seconds=used[2],
        )

    async def _sets(self, at_least: int, process: Process) -> int:
        """Returns when Redis has carried out so many SETs: how many there were. Each is an event."""
        until = time.monotonic() + _PATIENCE_S
        while True:
            told = self._stack.redis.info("commandstats").get("cmdstat_set", {"calls": 0})
            if (calls := int(told["calls"])) >= at_least and calls:
                return calls
            pid_of(process)
            if time.monotonic() > until:
                raise RuntimeError(f"expected Faust to come to {at_least} events, found {calls}. {process.quote_log()}")
            await asyncio.sleep(_POLL_S)

    def _fill_users(self) -> None:
        """Gives every user of the idiomatic version the state of the events that went before."""
        decoders = {kind: msgspec.json.Decoder(STRUCTS[kind]).decode for kind in KINDS}
        users: dict[str, dict[str, object]] = {}
        for event in passes(Load(1, self._sizes.users, PARTITIONS), self._sizes.users, PRELOADED, PRELOADED):
            touchpoint = decoders[event.kind](event.value)
            rules.apply(users.setdefault(user_key(BRAND, touchpoint.user_id), rules.new_user()), touchpoint)
        names = list(users)
        for i in range(0, len(names), 1_000):
            self._stack.redis.mset({name: orjson.dumps(users[name]) for name in names[i : i + 1_000]})

    async def floor(self) -> Run:
        """Consume and decode."""
        job = floor.Job(bootstrap=self._stack.bootstrap, prefix=self._prefix, begin=self._begins(), events=self._sizes.events)
        loop = fixed_loop()
        with on_cores(WORKER_CORE):
            process = await asyncio.create_subprocess_exec(
                *python_module("bench.floor", msgspec.json.encode(job).decode()),
                stdout=asyncio.subprocess.PIPE,
                env={**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, (str(_CODE), os.environ.get("PYTHONPATH"))))},
            )
        told, _ = await process.communicate()
        if process.returncode != 0:
            raise RuntimeError(f"the floor ended with exit status {process.returncode}")
        figures = msgspec.json.decode(told, type=floor.Figures)
        return Run(events=figures.events, seconds=figures.seconds, cpu_seconds=figures.cpu_seconds, loop_seconds=loop)

    def _begins(self) -> list[list[int]]:
        """The first offset of the backlog in every log."""
        return [[self._before.get((self._prefix + kind.topic, number), 0) for number in range(PARTITIONS)] for kind in KINDS]


def _commit(bootstrap: str, group: str, begins: list[list[int]], prefix: str) -> None:
    """Lets a consumer group begin at these offsets."""
    consumer = Consumer({"bootstrap.servers": bootstrap, "group.id": group, "enable.auto.commit": False})
    places = [
        TopicPartition(prefix + kind.topic, number, offset)
        for kind, offsets in zip(KINDS, begins, strict=True)
        for number, offset in enumerate(offsets)
    ]
    consumer.commit(offsets=places, asynchronous=False)
    consumer.close()
